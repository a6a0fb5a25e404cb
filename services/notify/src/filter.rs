//! Filters over events, evaluated in memory: the same language as the filters of lists (AIP-160).

use aip_160::{Comparator, Expression, Restriction, StringMatch};
use remit_api::audit::v1::{Event, Outcome};
use remit_api::types::ActorKind;
use remit_api::wire::Word as _;
use remit_core::details;
use remit_core::{Error, Result};
use serde_json::Value;

/// The most comparisons in one filter, and the deepest nesting.
const MOST: usize = 50;
const DEPTH: usize = 20;

const FIELDS: [&str; 6] = ["action", "resource", "outcome", "service", "actor", "actor_kind"];

/// Details that say something about a person, or in free words: nobody selects by them.
pub(crate) const CLOSED: [&str; 31] = [
    "accountable_person",
    "acknowledgement",
    "address",
    "asker",
    "audience",
    "called",
    "change_note",
    "claimed_by",
    "delegate",
    "delegator",
    "electorate",
    "email_digest",
    "entered_by",
    "excluded",
    "message",
    "notify",
    "owner",
    "rater",
    "request",
    "responsible",
    "seat",
    "seats",
    "signers",
    "standing_in",
    "subject",
    "tags_claimed_by",
    "taken_from",
    "text",
    "token_id",
    "voided",
    "wanted",
];

/// Details that say who somebody is in the events of some actions, and a state in those of others.
const CLOSED_IN: [(&str, &str); 2] = [("handoff.routings.reassign", "from"), ("handoff.routings.reassign", "to")];

/// An event as filters and duties see it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) outcome: &'static str,
    pub(crate) service: String,
    pub(crate) actor: String,
    pub(crate) actor_kind: &'static str,
    pub(crate) details: Value,
}

impl Seen {
    pub(crate) fn of(event: &Event) -> Self {
        let actor = event.actor.clone().unwrap_or_default();
        Self {
            action: event.action.clone(),
            resource: event.resource.clone(),
            outcome: Outcome::try_from(event.outcome).unwrap_or_default().word(),
            service: event.service.clone(),
            actor_kind: ActorKind::try_from(actor.kind).unwrap_or_default().word(),
            actor: actor.subject,
            details: serde_json::from_str(&event.details_json).unwrap_or_default(),
        }
    }

    /// The resource as it is shown outside: of a person only that it is one.
    pub(crate) fn shown_resource(&self) -> &str {
        if self.resource.starts_with("subjects/") { "subjects/-" } else { &self.resource }
    }

    /// Whether a text of a field passes `test`; a field may have none or several.
    fn any(&self, field: &str, test: impl Fn(&str) -> bool) -> bool {
        let own = match field {
            "action" => Some(self.action.as_str()),
            "resource" => Some(self.shown_resource()),
            "outcome" => Some(self.outcome),
            "service" => Some(self.service.as_str()),
            "actor" => Some(self.actor.as_str()),
            "actor_kind" => Some(self.actor_kind),
            _ => None,
        };
        if let Some(own) = own {
            return test(own);
        }
        let Some(field) = field.strip_prefix("details.") else { return false };
        if CLOSED_IN.contains(&(self.action.as_str(), field)) {
            return false;
        }
        match self.details.get(field) {
            Some(Value::Array(items)) => items.iter().any(|item| is(item, &test)),
            Some(value) => is(value, test),
            None => false,
        }
    }
}

/// Whether a value has a text, and that passes `test`.
fn is(value: &Value, test: impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => test(text),
        Value::Number(number) => test(&number.to_string()),
        Value::Bool(flag) => test(if *flag { "true" } else { "false" }),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// How one field is compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum How {
    Equal(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Number(Comparator, f64),
}

impl How {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Equal(wanted) => text == wanted,
            Self::Prefix(part) => text.starts_with(part.as_str()),
            Self::Suffix(part) => text.ends_with(part.as_str()),
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Number(comparator, wanted) => text.parse::<f64>().is_ok_and(|number| match comparator {
                Comparator::LessThan => number < *wanted,
                Comparator::LessThanOrEqual => number <= *wanted,
                Comparator::GreaterThan => number > *wanted,
                _ => number >= *wanted,
            }),
        }
    }
}

/// A filter, ready to be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Compare(String, How),
}

fn refused(why: impl Into<String>) -> Error {
    Error::invalid("FILTER_INVALID", "filter", why)
}

impl Filter {
    /// Reads a filter; an empty one lets all pass.
    ///
    /// # Errors
    /// `InvalidArgument` (`FILTER_INVALID`).
    pub(crate) fn parse(filter: &str) -> Result<Self> {
        let parsed = aip_160::parse_filter_with_max_depth(filter, DEPTH).map_err(|error| refused(error.to_string()))?;
        let mut left = MOST;
        parsed.expression.as_ref().map_or(Ok(Self::All(Vec::new())), |expression| Self::read(expression, &mut left))
    }

    fn read(expression: &Expression, left: &mut usize) -> Result<Self> {
        let mut each = |all: &[Expression]| all.iter().map(|one| Self::read(one, left)).collect::<Result<Vec<_>>>();
        Ok(match expression {
            Expression::And(all) | Expression::Sequence(all) => Self::All(each(all)?),
            Expression::Or(any) => Self::Any(each(any)?),
            Expression::Not(inner) => Self::Not(Box::new(Self::read(inner, left)?)),
            Expression::Restriction(restriction) => {
                *left = left.checked_sub(1).ok_or_else(|| refused(format!("must have at most {MOST} comparisons")))?;
                Self::compare(restriction)?
            }
            Expression::Global(word) => {
                return Err(refused(format!("{word} needs a field and a comparison, such as action = …")));
            }
        })
    }

    fn compare(restriction: &Restriction) -> Result<Self> {
        let comparable = &restriction.comparable;
        let path = comparable.field_path().ok_or_else(|| refused(format!("{comparable} is not supported")))?;
        if !is_field(&path) {
            let fields = FIELDS.join(", ");
            return Err(refused(format!("{path} is not a field to filter by: use {fields} or details.<field>")));
        }
        let literal = restriction.arg.as_value();
        let literal = literal.ok_or_else(|| refused(format!("{path} must be compared with one literal")))?;
        let matched = literal.string_match();
        let equal = || match &matched {
            Some(StringMatch::Prefix(part)) => How::Prefix((*part).to_owned()),
            Some(StringMatch::Suffix(part)) => How::Suffix((*part).to_owned()),
            Some(StringMatch::Contains(part)) => How::Contains((*part).to_owned()),
            _ => How::Equal(literal.as_str().to_owned()),
        };
        Ok(match restriction.comparator {
            Comparator::Equal => Self::Compare(path, equal()),
            Comparator::NotEqual => Self::Not(Box::new(Self::Compare(path, equal()))),
            Comparator::Has => match equal() {
                How::Equal(part) => Self::Compare(path, How::Contains(part)),
                how => Self::Compare(path, how),
            },
            comparator => {
                let number = literal.as_f64().filter(|_| path.starts_with("details."));
                let number = number.ok_or_else(|| refused(format!("{path} has no order: use = or !=")))?;
                Self::Compare(path, How::Number(comparator, number))
            }
        })
    }

    /// Whether an event passes.
    pub(crate) fn passes(&self, event: &Seen) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.passes(event)),
            Self::Any(any) => any.iter().any(|one| one.passes(event)),
            Self::Not(inner) => !inner.passes(event),
            Self::Compare(field, how) => event.any(field, |text| how.holds(text)),
        }
    }
}

fn is_field(path: &str) -> bool {
    let known = |field: &str| details::all().iter().any(|doc| doc.fields.iter().any(|(name, ..)| *name == field));
    FIELDS.contains(&path)
        || path.strip_prefix("details.").is_some_and(|field| !CLOSED.contains(&field) && known(field))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn event() -> Seen {
        Seen {
            action: "kpi.alerts.fire".into(),
            resource: "alerts/a".into(),
            outcome: "SUCCESS",
            service: "kpi".into(),
            actor: "remit-kpi".into(),
            actor_kind: "SERVICE",
            details: json!({"severity": "WARNING", "n": 40, "kpi": "kpis/c", "drifted": ["a", "b"], "drill": true}),
        }
    }

    #[test]
    fn filters_select() {
        let passing = [
            "",
            "action = \"kpi.alerts.fire\"",
            "action = \"kpi.*\" AND resource = \"alerts/*\" outcome = SUCCESS",
            "action = \"*.fire\"",
            "resource:\"lert\"",
            "service = kpi OR service = council",
            "NOT actor_kind = HUMAN",
            "actor != \"ann\"",
            "details.severity = \"WARNING\" AND details.n >= 40 AND details.n < 41",
            "details.drill = true",
            "details.drifted:\"b\"",
            "details.proposal != \"p\"",
        ];
        for filter in passing {
            assert!(Filter::parse(filter).unwrap().passes(&event()), "{filter}");
        }
        for filter in
            ["action = \"kpi\"", "-service = kpi", "details.n > 40", "details.proposal = \"p\"", "outcome = DENIED"]
        {
            assert!(!Filter::parse(filter).unwrap().passes(&event()), "{filter}");
        }
    }

    #[test]
    fn nobody_selects_by_persons_or_unknown_fields() {
        let long = vec!["action = a"; 51].join(" OR ");
        let wrong = [
            "details.subject = \"ann\"",
            "details.email_digest = \"x\"",
            "details.audience = \"subject:ann\"",
            "details.nothing = 1",
            "personal = \"x\"",
            "reason = \"x\"",
            "action > \"a\"",
            "action",
            "action = ",
            "f(action)",
            long.as_str(),
        ];
        for filter in wrong {
            assert_eq!(Filter::parse(filter).unwrap_err().reason(), "FILTER_INVALID", "{filter}");
        }
    }

    #[test]
    fn nobody_selects_by_who_somebody_is() {
        let of_persons =
            ["Who ", "Whom ", "Whose ", "The person", "The subject", "This subject", "Seats ", "The seats"];
        // Whose model it is, how the work is shared, and what is closed by its action.
        let open = ["provider", "pattern", "from", "to"];
        for doc in details::all() {
            for (name, _, text) in doc.fields {
                let said = text.join(" ");
                if of_persons.iter().any(|begin| said.trim().starts_with(begin)) && !open.contains(name) {
                    let filter = format!("details.{name} = \"ann\"");
                    assert!(Filter::parse(&filter).is_err(), "{}: {name}: {said}", doc.name);
                }
            }
        }
        let to = Filter::parse("details.to = \"ann\"").unwrap();
        let event = |action: &str| Seen { action: action.into(), details: json!({"to": "ann"}), ..event() };
        assert!(to.passes(&event("registry.versions.transition")) && !to.passes(&event("handoff.routings.reassign")));
        let erased = Seen { resource: "subjects/ann".into(), ..self::event() };
        assert!(!Filter::parse("resource = \"subjects/ann\"").unwrap().passes(&erased));
        assert!(Filter::parse("resource = \"subjects/*\"").unwrap().passes(&erased));
    }
}
