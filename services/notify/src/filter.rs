//! Filters over events, evaluated in memory: the same language as the filters of lists (AIP-160).

use aip_160::{Comparator, Expression, Restriction, StringMatch, Value as Literal};
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
pub(crate) const CLOSED: [&str; 41] = [
    "accountable_person",
    "acknowledgement",
    "action",
    "actor",
    "address",
    "asker",
    "audience",
    "called",
    "change_note",
    "changes",
    "claimed_by",
    "delegate",
    "delegator",
    "electorate",
    "email_digest",
    "entered_by",
    "excluded",
    "follow_up",
    "holds",
    "loosened",
    "message",
    "notify",
    "owner",
    "rater",
    "request",
    "resource",
    "resource_prefix",
    "responsible",
    "seat",
    "seats",
    "signers",
    "standing_in",
    "state_reason",
    "subject",
    "system",
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
        if CLOSED.contains(&field) || CLOSED_IN.contains(&(self.action.as_str(), field)) {
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

/// What more is asked of each comparison.
type Rule<'a> = &'a dyn Fn(&Restriction) -> Result<()>;

impl How {
    fn equal(literal: &Literal) -> Self {
        match literal.string_match() {
            Some(StringMatch::Prefix(part)) => Self::Prefix(part.to_owned()),
            Some(StringMatch::Suffix(part)) => Self::Suffix(part.to_owned()),
            Some(StringMatch::Contains(part)) => Self::Contains(part.to_owned()),
            _ => Self::Equal(literal.as_str().to_owned()),
        }
    }

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
    /// Reads a filter that is kept; an empty one lets all pass. What was accepted before there was a rule against it is read
    /// all the same, for the log waits behind whoever cannot read it; by what is closed it selects nothing.
    ///
    /// # Errors
    /// `InvalidArgument` (`FILTER_INVALID`).
    pub(crate) fn parse(filter: &str) -> Result<Self> {
        Self::read_all(filter, &|_| Ok(()))
    }

    /// Reads a filter that is asked for: it compares with what there can be, and by nothing that is closed.
    ///
    /// # Errors
    /// `InvalidArgument` (`FILTER_INVALID`).
    pub(crate) fn asked(filter: &str) -> Result<Self> {
        Self::read_all(filter, &meaningful)
    }

    fn read_all(filter: &str, rule: Rule<'_>) -> Result<Self> {
        let parsed = aip_160::parse_filter_with_max_depth(filter, DEPTH).map_err(|error| refused(error.to_string()))?;
        let mut left = MOST;
        let expression = parsed.expression.as_ref();
        expression.map_or(Ok(Self::All(Vec::new())), |expression| Self::read(expression, &mut left, rule))
    }

    fn read(expression: &Expression, left: &mut usize, rule: Rule<'_>) -> Result<Self> {
        let mut each =
            |all: &[Expression]| all.iter().map(|one| Self::read(one, left, rule)).collect::<Result<Vec<_>>>();
        Ok(match expression {
            Expression::And(all) | Expression::Sequence(all) => Self::All(each(all)?),
            Expression::Or(any) => Self::Any(each(any)?),
            Expression::Not(inner) => Self::Not(Box::new(Self::read(inner, left, rule)?)),
            Expression::Restriction(restriction) => {
                *left = left.checked_sub(1).ok_or_else(|| refused(format!("must have at most {MOST} comparisons")))?;
                let compared = Self::compare(restriction)?;
                rule(restriction)?;
                compared
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
        let equal = || How::equal(literal);
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

/// The types of the details of this name in the catalogue of events.
fn kinds(field: &str) -> Vec<&'static str> {
    let fields = details::all().into_iter().flat_map(|doc| doc.fields);
    fields.filter(|(name, ..)| *name == field).map(|(_, kind, _)| *kind).collect()
}

fn is_field(path: &str) -> bool {
    FIELDS.contains(&path) || path.strip_prefix("details.").is_some_and(|field| !kinds(field).is_empty())
}

/// What a flag of the details is compared with.
const FLAGS: &[&str] = &["true", "false"];

/// The only texts that a field can have; none if there is no such list.
fn words(path: &str) -> Option<&'static [&'static str]> {
    match path {
        "outcome" => Some(Outcome::WORDS),
        "actor_kind" => Some(ActorKind::WORDS),
        _ => {
            let kinds = kinds(path.strip_prefix("details.")?);
            kinds.iter().all(|kind| ["bool", "Option<bool>"].contains(kind)).then_some(FLAGS)
        }
    }
}

/// Holds that a comparison can mean something: whoever writes a word that there is not would wait for ever.
fn meaningful(restriction: &Restriction) -> Result<()> {
    let path = restriction.comparable.field_path().unwrap_or_default();
    if path.strip_prefix("details.").is_some_and(|field| CLOSED.contains(&field)) {
        let why = format!("{path} is not a field to filter by: it says who somebody is, or something in free words");
        return Err(refused(why));
    }
    let Some(literal) = restriction.arg.as_value() else { return Ok(()) };
    let text = literal.as_str();
    // Without quotation marks a * is one like any other character.
    let open = |text| if literal.is_quoted() { text } else { None };
    let inner = open(text.strip_suffix('*')).unwrap_or(text);
    let inner = open(inner.strip_prefix('*')).unwrap_or(inner);
    if path == "action" && inner.contains('*') {
        let why = format!("{text:?} has a * within it: write such as \"kpi.alerts.*\" or \"*.fire\"");
        return Err(refused(why));
    }
    let Some(words) = words(&path) else { return Ok(()) };
    let how = match (restriction.comparator, How::equal(literal)) {
        (Comparator::Equal | Comparator::NotEqual, how) => how,
        (Comparator::Has, How::Equal(part)) => How::Contains(part),
        (Comparator::Has, how) => how,
        _ => return Err(refused(format!("{path} has no order: use = or != and one of {}", words.join(", ")))),
    };
    if !words.iter().any(|word| how.holds(word)) {
        return Err(refused(format!("{path} is never {text:?}: it is one of {}", words.join(", "))));
    }
    Ok(())
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
            assert_eq!(Filter::asked(filter).unwrap_err().reason(), "FILTER_INVALID", "{filter}");
        }
    }

    #[test]
    fn what_can_never_be_is_refused_where_it_is_asked_for_and_says_what_can() {
        let wrong = [
            ("outcome = success", "SUCCESS, "),
            ("outcome != \"REFUSED*\"", "SUCCESS, "),
            ("outcome:\"x\"", "SUCCESS, "),
            ("NOT (service = kpi AND actor_kind = ROBOT)", "HUMAN, "),
            ("details.drill = yes", "true, false"),
            ("details.drill > 0", "true, false"),
            ("action = \"kpi.*.fire\"", "kpi.alerts.*"),
            ("action = \"kpi.**\"", "kpi.alerts.*"),
        ];
        for (filter, hint) in wrong {
            let error = Filter::asked(filter).unwrap_err();
            assert_eq!(error.reason(), "FILTER_INVALID", "{filter}");
            assert!(error.to_string().contains(hint), "{filter}: {error}");
            assert!(Filter::parse(filter).is_ok(), "{filter}: what is kept is read");
        }
        for right in [
            "outcome = SUCCESS OR outcome = \"DENIED\" OR outcome = \"SUC*\"",
            "actor_kind != AI",
            "details.drill = true OR details.drill != \"false\"",
            "details.state = anything",
            "action = \"*\" AND action:\"fire\" AND action = \"kpi.*\" AND action = \"*.fire\"",
        ] {
            assert!(Filter::asked(right).is_ok(), "{right}: {:?}", Filter::asked(right));
        }
    }

    #[test]
    fn by_what_is_closed_a_filter_of_before_selects_nothing() {
        let event = Seen { details: json!({"actor": "ann", "state_reason": "ill"}), ..event() };
        for filter in ["details.actor = \"ann\"", "details.state_reason:\"ill\""] {
            assert!(!Filter::parse(filter).unwrap().passes(&event), "{filter}");
            assert!(Filter::asked(filter).is_err(), "{filter}");
        }
        assert!(Filter::asked("actor = \"ann\" OR action = a OR resource = \"holds/h\"").is_ok());
    }

    #[test]
    fn nobody_selects_by_who_somebody_is() {
        let of_persons =
            ["Who ", "Whom ", "Whose ", "The person", "The subject", "This subject", "Seats ", "The seats"];
        let within =
            ["actor", "subject", "in words", "as the reporter calls it", "canonical JSON", "resources that begin"];
        // Whose model it is, how the work is shared, what is closed by its action, and a time.
        let open = ["provider", "pattern", "from", "to", "revoke_time"];
        for doc in details::all() {
            for (name, _, text) in doc.fields {
                let said = text.join(" ");
                let is_closed = of_persons.iter().any(|begin| said.trim().starts_with(begin))
                    || within.iter().any(|part| said.contains(part));
                if is_closed && !open.contains(name) {
                    let filter = format!("details.{name} = \"ann\"");
                    assert!(Filter::asked(&filter).is_err(), "{}: {name}: {said}", doc.name);
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
