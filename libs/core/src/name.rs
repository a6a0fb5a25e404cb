//! Resource names: collections and ids in turn, as in `models/lead-scorer/versions/3` (AIP-122).

use crate::error::{Error, Result};
use std::fmt;

/// Whether `id` can stand as one segment of a name: 1 to 100 characters of letters, digits, `.`,
/// `_` and `-`, starting with a letter or a digit.
pub fn is_id(id: &str) -> bool {
    (1..=100).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Takes the ids out of `name` by `pattern`, in which `*` stands for one id:
/// `ids("models/m/versions/3", "models/*/versions/*", "name")` is `["m", "3"]`.
///
/// # Errors
/// `InvalidArgument` (`NAME_INVALID`), naming `field`, if the name does not have that form.
pub fn ids<'a, const N: usize>(name: &'a str, pattern: &str, field: &str) -> Result<[&'a str; N]> {
    let wrong = || Error::invalid("NAME_INVALID", field, format!("must have the form {pattern}"));
    let mut found = [""; N];
    let mut next = 0;
    let (mut parts, mut wanted) = (name.split('/'), pattern.split('/'));
    loop {
        match (parts.next(), wanted.next()) {
            (None, None) if next == N => return Ok(found),
            (Some(part), Some("*")) if next < N && is_id(part) => {
                found[next] = part;
                next += 1;
            }
            (Some(part), Some(want)) if part == want => {}
            _ => return Err(wrong()),
        }
    }
}

/// Checks an id that a caller chose for a new resource.
///
/// # Errors
/// `InvalidArgument` (`ID_INVALID`), naming `field`.
pub fn id<'a>(text: &'a str, field: &str) -> Result<&'a str> {
    if is_id(text) {
        return Ok(text);
    }
    Err(Error::invalid(
        "ID_INVALID",
        field,
        "must be 1 to 100 letters, digits, '.', '_' and '-', starting with a letter or a digit",
    ))
}

/// The name of the resource that `name` stands inside, empty at the top: `bodies/b` for `bodies/b/members/m`.
pub fn parent(name: &str) -> &str {
    name.rsplitn(3, '/').nth(2).unwrap_or_default()
}

/// The last id of a name: `m` for `bodies/b/members/m`.
pub fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident($($collection:literal / $id:ident),+);)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            $(
                #[doc = concat!("The id in `", $collection, "`.")]
                pub $id: String,
            )+
        }

        impl $name {
            /// The form of such a name, with `*` for each id.
            pub const PATTERN: &'static str = names!(@join "", $($collection),+);

            /// Puts a name together from ids.
            pub fn new($($id: impl Into<String>),+) -> Self {
                Self { $($id: $id.into()),+ }
            }

            /// Reads the name that stands in `field` of a request.
            ///
            /// # Errors
            /// `InvalidArgument` (`NAME_INVALID`), naming `field`, if it has another form.
            pub fn parse(name: &str, field: &str) -> Result<Self> {
                let [$($id),+] = ids(name, Self::PATTERN, field)?;
                Ok(Self::new($($id),+))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut between = "";
                $(
                    write!(f, "{between}{}/{}", $collection, self.$id)?;
                    between = "/";
                )+
                let _ = between;
                Ok(())
            }
        }
    )+};
    (@join $before:expr, $first:literal) => { concat!($before, $first, "/*") };
    (@join $before:expr, $first:literal, $($rest:literal),+) => {
        names!(@join concat!($before, $first, "/*/"), $($rest),+)
    };
}

names! {
    /// Something the council wants done.
    ActionItemName("actionItems" / item);
    /// A rule that watches a KPI.
    AlertRuleName("alertRules" / rule);
    /// What an alert rule has noticed.
    AlertName("alerts" / alert);
    /// A prompt, guardrail, corpus, style guide or playbook.
    ArtifactName("artifacts" / artifact);
    /// A label of an artifact.
    ArtifactLabelName("artifacts" / artifact, "labels" / label);
    /// An immutable version of an artifact.
    ArtifactVersionName("artifacts" / artifact, "versions" / version);
    /// A span in which tasks were observed.
    AuditWindowName("auditWindows" / window);
    /// An automation that crosses functions.
    AutomationName("automations" / automation);
    /// A policy tried on recorded decisions.
    BacktestName("backtests" / backtest);
    /// A body of the council.
    BodyName("bodies" / body);
    /// Who votes for whom in a body.
    DelegationName("bodies" / body, "delegations" / delegation);
    /// A seat in a body.
    MemberName("bodies" / body, "members" / member);
    /// One use of the break-glass.
    BreakGlassUseName("breakGlassUses" / usage);
    /// The briefing of a day.
    BriefingName("briefings" / day);
    /// Working hours and holidays.
    CalendarName("calendars" / calendar);
    /// A control of the library.
    ControlName("controls" / control);
    /// A recorded decision about a task.
    DecisionName("decisions" / decision);
    /// An entry of the audit log.
    EntryName("entries" / index);
    /// A change tried in one domain.
    PilotName("pilots" / pilot);
    /// A pre-registered experiment.
    ExperimentName("experiments" / experiment);
    /// A marketing function.
    FunctionName("functions" / function);
    /// A gate between AI and people.
    GateName("gates" / gate);
    /// A version of a gate.
    GateVersionName("gates" / gate, "versions" / version);
    /// A piece of work at a gate.
    HandoffName("handoffs" / handoff);
    /// A hold of the council.
    HoldName("holds" / hold);
    /// An incident.
    IncidentName("incidents" / incident);
    /// What a person says a number means.
    InterpretationName("kpis" / kpi, "interpretations" / interpretation);
    /// The definition of a KPI.
    KpiName("kpis" / kpi);
    /// A version of a definition.
    KpiVersionName("kpis" / kpi, "versions" / version);
    /// A hold on the audit log.
    LegalHoldName("legalHolds" / hold);
    /// A model.
    ModelName("models" / model);
    /// An alias of a model.
    ModelAliasName("models" / model, "aliases" / alias);
    /// An immutable version of a model.
    ModelVersionName("models" / model, "versions" / version);
    /// What the shipped definitions of KPIs take from the organisation.
    OrganizationSettingsName("organizationSettings" / settings);
    /// A recorded output.
    OutputName("outputs" / output);
    /// An override of a person.
    OverrideName("overrides" / overriding);
    /// A version of a decision policy.
    PolicyVersionName("policies" / policy, "versions" / version);
    /// A proposal.
    ProposalName("proposals" / proposal);
    /// A monthly review.
    ReviewName("reviews" / review);
    /// Tokens that no longer count.
    RevocationName("revocations" / revocation);
    /// Roles that somebody has inside Remit.
    RoleAssignmentName("roleAssignments" / assignment);
    /// The routing of a lead.
    RoutingName("routings" / lead);
    /// A task of the inventory.
    TaskName("tasks" / task);
    /// A waiver.
    WaiverName("waivers" / waiver);
    /// That a person was trained.
    TrainingName("trainings" / training);
    /// Events that are sent to somebody.
    SubscriptionName("subscriptions" / subscription);
    /// One event for one subscription.
    DeliveryName("subscriptions" / subscription, "deliveries" / delivery);
    /// What is wanted of people.
    NoticeName("notices" / notice);
    /// Where notices reach somebody.
    SettingsName("notificationSettings" / settings);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_1_to_100_letters_digits_and_marks() {
        assert!(is_id("a") && is_id("9.a_b-C") && is_id(&"a".repeat(100)));
        for wrong in ["", ".a", "-a", "a/b", "a b", "é", &"a".repeat(101)] {
            assert!(!is_id(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_name_gives_its_ids_and_only_in_its_form() -> Result<()> {
        assert_eq!(ids::<2>("models/m/versions/3", "models/*/versions/*", "name")?, ["m", "3"]);
        for wrong in [
            "",
            "models",
            "models/",
            "models/m",
            "models/m/versions/3/x",
            "models/a b/versions/3",
            "models/../versions/3",
        ] {
            assert!(ids::<2>(wrong, "models/*/versions/*", "name").is_err(), "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn a_typed_name_is_what_it_was_read_from() -> Result<()> {
        let name = ModelVersionName::parse("models/m/versions/3", "name")?;
        assert_eq!((name.model.as_str(), name.version.as_str()), ("m", "3"));
        assert_eq!(
            (name.to_string().as_str(), ModelVersionName::PATTERN),
            ("models/m/versions/3", "models/*/versions/*")
        );
        assert_eq!(TaskName::new("t").to_string(), "tasks/t");
        assert_eq!(TaskName::parse("models/m", "task").map_err(|error| error.reason()), Err("NAME_INVALID"));
        Ok(())
    }

    #[test]
    fn a_name_inside_another_has_a_parent() {
        assert_eq!((parent("bodies/b/members/m"), last("bodies/b/members/m")), ("bodies/b", "m"));
        assert_eq!((parent("holds/h"), last("holds/h")), ("", "h"));
    }
}
