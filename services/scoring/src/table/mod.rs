//! The inventory as a table of CSV: what an export writes and an import reads, so that each gives back the other.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::{Parsed, bad};
pub(crate) use write::Writer;

use remit_api::scoring::v1 as api;
use remit_api::wire::Word as _;
use remit_core::name;

/// The columns of an import besides `axis:name`, in the order of an export.
const COLUMNS: [&str; 30] = [
    "id",
    "title",
    "description",
    "function",
    "role",
    "frequency_per_week",
    "minutes_per_instance",
    "complexity",
    "brand_impacting",
    "regulated_domain",
    "pilot_evidence",
    "reserved_category",
    "execution_kind",
    "stakes",
    "disclosure",
    "gate",
    "purpose",
    "strategy_owner",
    "execution_owner",
    "audit_window",
    "labels",
    "tolerated_variability",
    "environment_validity",
    "feedback_delay",
    "rater",
    "comment",
    "predictability",
    "risk",
    "human_judgment",
    "state",
];

/// Columns that an export has for people and an import ignores.
const EXPORT_ONLY: [&str; 1] = ["state"];
/// The axes that have a column of their own name; any other is `axis:name`.
pub(crate) const SEEDED_AXES: [&str; 3] = ["predictability", "risk", "human_judgment"];

/// The text of a task's own column; none for columns of a rating and for those that the service sets.
fn field(task: &api::Task, column: &str) -> Option<String> {
    let number = |value: f64| if value == 0.0 { String::new() } else { value.to_string() };
    let flag = |value: bool| if value { "true".to_owned() } else { String::new() };
    let id = |of: &str| name::last(of).to_owned();
    Some(match column {
        "title" => task.title.clone(),
        "description" => task.description.clone(),
        "function" => id(&task.function),
        "role" => task.role.clone(),
        "frequency_per_week" => number(task.frequency_per_week),
        "minutes_per_instance" => number(task.minutes_per_instance),
        "complexity" => number(f64::from(task.complexity)),
        "brand_impacting" => flag(task.brand_impacting),
        "regulated_domain" => flag(task.regulated_domain),
        "pilot_evidence" => flag(task.pilot_evidence),
        "reserved_category" => task.reserved_category().word().to_owned(),
        "execution_kind" => task.execution_kind().word().to_owned(),
        "stakes" => task.stakes().word().to_owned(),
        "disclosure" => task.disclosure().word().to_owned(),
        "gate" => id(&task.gate),
        "purpose" => task.purpose.clone(),
        "strategy_owner" => task.strategy_owner.clone(),
        "execution_owner" => task.execution_owner.clone(),
        "audit_window" => id(&task.audit_window),
        "labels" => task.labels.join(";"),
        "tolerated_variability" => task.tolerated_variability().word().to_owned(),
        "environment_validity" => task.environment_validity().word().to_owned(),
        "feedback_delay" => task.feedback_delay().word().to_owned(),
        _ => return None,
    })
}
