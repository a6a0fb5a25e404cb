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

/// How a task's own column is written.
type Text = fn(&api::Task) -> String;

/// The columns of a task itself, in order. The others are `id` before them, and `rater`, `comment`, the axes and those
/// for people after them.
const OWN: [(&str, Text); 23] = [
    ("title", |task| task.title.clone()),
    ("description", |task| task.description.clone()),
    ("function", |task| name::last(&task.function).to_owned()),
    ("role", |task| task.role.clone()),
    ("frequency_per_week", |task| number(task.frequency_per_week)),
    ("minutes_per_instance", |task| number(task.minutes_per_instance)),
    ("complexity", |task| number(f64::from(task.complexity))),
    ("brand_impacting", |task| flag(task.brand_impacting)),
    ("regulated_domain", |task| flag(task.regulated_domain)),
    ("pilot_evidence", |task| flag(task.pilot_evidence)),
    ("reserved_category", |task| task.reserved_category().word().to_owned()),
    ("execution_kind", |task| task.execution_kind().word().to_owned()),
    ("stakes", |task| task.stakes().word().to_owned()),
    ("disclosure", |task| task.disclosure().word().to_owned()),
    ("gate", |task| name::last(&task.gate).to_owned()),
    ("purpose", |task| task.purpose.clone()),
    ("strategy_owner", |task| task.strategy_owner.clone()),
    ("execution_owner", |task| task.execution_owner.clone()),
    ("audit_window", |task| name::last(&task.audit_window).to_owned()),
    ("labels", |task| task.labels.join(";")),
    ("tolerated_variability", |task| task.tolerated_variability().word().to_owned()),
    ("environment_validity", |task| task.environment_validity().word().to_owned()),
    ("feedback_delay", |task| task.feedback_delay().word().to_owned()),
];

/// The axes that have a column of their own name; any other is `axis:name`.
pub(crate) const SEEDED_AXES: [&str; 3] = ["predictability", "risk", "human_judgment"];

/// Columns that an export has for people and an import passes over: how far a task has come, and who entered a rating
/// for its rater. Who enters the ratings of a file is who imports it.
const FOR_PEOPLE: [&str; 2] = ["state", "entered_by"];

/// The columns besides `axis:name`, in the order of an export.
fn columns() -> impl Iterator<Item = &'static str> {
    let own = OWN.iter().map(|(column, _)| *column);
    ["id"].into_iter().chain(own).chain(["rater", "comment"]).chain(SEEDED_AXES).chain(FOR_PEOPLE)
}

/// Whether there is such a column, apart from those of other axes.
fn is_column(name: &str) -> bool {
    columns().any(|column| column == name)
}

fn number(value: f64) -> String {
    if value == 0.0 { String::new() } else { value.to_string() }
}

fn flag(value: bool) -> String {
    if value { "true".to_owned() } else { String::new() }
}
