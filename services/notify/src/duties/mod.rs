//! What is wanted of people, as data: the cause, who is told, what she reads, and what happens if nothing is done.

mod at_once;
mod clocks;

use crate::filter::Seen;
use crate::language;
use remit_core::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// When an event is a cause, beside its action.
#[derive(Debug, Clone, Copy)]
enum When {
    Always,
    /// A text of the details has this value.
    Is(&'static str, &'static str),
    /// A text or a list of the details is not empty.
    Has(&'static str),
    /// The first is not empty, and the second is.
    HasWithout(&'static str, &'static str),
    /// It names somebody else than who did it.
    OfAnother(&'static str),
}

/// Who is told.
#[derive(Debug, Clone, Copy)]
enum To {
    /// Everybody with this role.
    Role(&'static str),
    /// Those whom a field of the details names: a subject, several, or seats.
    Named(&'static str),
}

/// When somebody is reminded.
#[derive(Debug, Clone, Copy)]
enum Remind {
    /// When this many hundredths of the time until it is due have passed.
    Share(u32),
    /// This many hours before it is due.
    Before(u64),
    /// This many hours after the event.
    After(u64),
}

/// One kind of duty.
#[derive(Debug)]
pub(crate) struct Duty {
    /// Its name in the contract.
    pub(crate) kind: &'static str,
    actions: &'static [&'static str],
    when: When,
    to: &'static [To],
    /// What she reads; `{resource}`, `{action}` and `{field of the details}` are filled in.
    text: &'static str,
    /// What happens if nothing is done.
    otherwise: &'static str,
    /// Whether the law or the constitution puts a clock on it.
    statutory: bool,
    /// The field of the details that says until when.
    due: &'static str,
    /// How many hours after the event it is due, if no field says it; 0: nobody knows.
    within: u64,
    remind: &'static [Remind],
    /// The field of the details that says from when shares of the time count; empty: from the event.
    since: &'static str,
    /// Whether there is nothing to do yet when the event happens, so that the reminders are all that she reads.
    later: bool,
    /// The actions on the same thing that end the reminders.
    ended_by: &'static [&'static str],
    /// Unless a text of the details has this value: it goes on.
    unless: Option<(&'static str, &'static str)>,
    /// The causes that say it once more.
    again: &'static [&'static str],
    /// What somebody does on the same thing so that it is not wanted of her any more, and who else's it is then done by: the
    /// action, and a field of its details.
    done_by: Option<(&'static str, &'static str)>,
    /// The field of the details of what happens on the same thing that names of whom it is wanted once more.
    undone_by: &'static str,
}

const QUIET: Duty = Duty {
    kind: "",
    actions: &[],
    when: When::Always,
    to: &[],
    text: "",
    otherwise: "",
    statutory: false,
    due: "",
    within: 0,
    remind: &[],
    since: "",
    later: false,
    ended_by: &[],
    unless: None,
    again: &[],
    done_by: None,
    undone_by: "",
};

/// Ends what is open about another thing than its own: the action, and the field of its details that names that.
const ENDS_OTHERS: &[(&str, &str)] = &[("council.breakGlassUses.review", "action_item")];

const COUNCIL: &[To] = &[To::Role("member")];
const STOPPED: &[To] = &[To::Role("member"), To::Role("operator"), To::Role("reviewer")];
const WATCHERS: &[To] = &[To::Role("operator"), To::Role("member")];
const CLOSED_HANDOFF: &[&str] = &[
    "handoff.reviews.submit",
    "handoff.handoffs.cancel",
    "handoff.handoffs.expire",
    "handoff.handoffs.override",
    "handoff.variants.submit",
];

/// What asks for votes: of all, or of those whose votes it took back.
const ASKS_FOR_VOTES: &[&str] = &[
    "council.proposals.create",
    "council.proposals.open",
    "council.proposals.update",
    "council.proposals.recuse",
    "council.proposals.remind",
];
const CLOSED_PROPOSAL: &[&str] = &[
    "council.proposals.vote",
    "council.proposals.settle",
    "council.proposals.expire",
    "council.proposals.cancel",
    "council.proposals.recuse",
];
const ACCEPTED_LEAD: &[&str] =
    &["handoff.routings.accept", "handoff.routings.reassign", "handoff.routings.breach", "handoff.routings.review"];

const DECIDED_LEAD: &[&str] = &["handoff.routings.review", "handoff.routings.reassign", "handoff.decisions.breach"];

/// What expires is said 30, 7 and 1 days before.
const MONTH_WEEK_DAY: &[Remind] = &[Remind::Before(720), Remind::Before(168), Remind::Before(24)];
/// Whoever signs a review, and whose seat it is, has done what it asks.
const SIGNED: Option<(&str, &str)> = Some(("council.reviews.sign", "seat"));
/// A review that is not signed within so many hours is missed.
const MONTH: u64 = 720;
/// The third share is when it runs out, of which the breach tells.
const SHARES: &[Remind] = &[Remind::Share(50), Remind::Share(80)];

/// Every kind of duty.
pub(crate) fn all() -> impl Iterator<Item = &'static Duty> {
    at_once::DUTIES.iter().chain(clocks::DUTIES)
}

/// A notice that follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    /// What the text was filled with.
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) otherwise: &'static str,
    pub(crate) statutory: bool,
    pub(crate) audiences: BTreeSet<String>,
    pub(crate) due: Option<Timestamp>,
    /// Whether she is told nothing but the reminders.
    pub(crate) later: bool,
    /// Whether it was said before.
    pub(crate) again: bool,
    /// When she is reminded, each with a number.
    pub(crate) reminders: Vec<(usize, Timestamp)>,
}

/// What follows from an event that was recorded at `at`.
pub(crate) fn told(event: &Seen, at: Timestamp) -> Vec<Told> {
    if event.outcome != "SUCCESS" {
        return Vec::new();
    }
    all().filter_map(|duty| duty.told(event, at)).collect()
}

/// Whether there is such a kind of duty.
pub(crate) fn is_known(kind: &str) -> bool {
    all().any(|duty| duty.kind == kind)
}

/// Whether what a kind of duty asks is done by each for herself.
pub(crate) fn is_of_each(kind: &str) -> bool {
    all().any(|duty| duty.kind == kind && duty.done_by.is_some())
}

/// Whether the law or the constitution puts a clock on a kind of duty.
pub(crate) fn is_statutory(kind: &str) -> bool {
    all().any(|duty| duty.kind == kind && duty.statutory)
}

/// What an event ends: what was asked, its deadlines and its reminders. Whatever is a cause anew ends the times of before,
/// which may be others now.
pub(crate) fn ended(event: &Seen) -> Option<Ended> {
    if event.outcome != "SUCCESS" {
        return None;
    }
    let action = event.action.as_str();
    let other = ENDS_OTHERS.iter().find(|(ends, _)| *ends == action).map(|(_, field)| text(event, field));
    let about = other.unwrap_or_else(|| event.resource.clone());
    let ended = all().filter_map(|duty| {
        let goes_on = duty.unless.is_some_and(|(field, value)| text(event, field) == value);
        let over = duty.ended_by.contains(&action) && !goes_on;
        // What goes on and asks nobody anew is as it was.
        let anew = duty.actions.contains(&action) && (!goes_on || duty.audiences(event).is_some());
        let has_time = !duty.remind.is_empty() || !duty.due.is_empty() || duty.within > 0;
        (over || (anew && has_time)).then_some((duty.kind, has_time.then_some(duty.remind.len())))
    });
    let kinds: Vec<_> = ended.collect();
    (!kinds.is_empty()).then_some(Ended { about, kinds })
}

/// What an event ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    /// About what.
    pub(crate) about: String,
    /// The kinds of duty, and how many reminders each may have, if it has a time.
    pub(crate) kinds: Vec<(&'static str, Option<usize>)>,
}

/// The kinds of duty of which an event is what was asked, and the subjects who have done it.
pub(crate) fn done(event: &Seen) -> Vec<(&'static str, BTreeSet<String>)> {
    if event.outcome != "SUCCESS" {
        return Vec::new();
    }
    let done = all().filter_map(|duty| {
        let (_, field) = duty.done_by.filter(|(action, _)| *action == event.action)?;
        let who = [event.actor.clone(), text(event, field)];
        Some((duty.kind, who.into_iter().filter(|subject| !subject.is_empty()).collect()))
    });
    done.collect()
}

/// The kinds of duty that are wanted once more, and of whom.
pub(crate) fn undone(event: &Seen) -> Vec<(&'static str, BTreeSet<String>)> {
    let undone = all().filter(|duty| event.outcome == "SUCCESS" && !duty.undone_by.is_empty());
    let undone = undone.map(|duty| (duty.kind, To::Named(duty.undone_by).subjects(&event.details).collect()));
    undone.filter(|(_, who): &(_, BTreeSet<String>)| !who.is_empty()).collect()
}

/// A field of the details as text; empty if it is not there.
fn text(event: &Seen, field: &str) -> String {
    event.details.get(field).map(shown).unwrap_or_default()
}

impl Duty {
    /// What she reads, with the names of what fills it in braces.
    pub(crate) fn text(&self) -> &'static str {
        self.text
    }

    /// What happens if nothing is done.
    pub(crate) fn otherwise(&self) -> &'static str {
        self.otherwise
    }

    /// Who is told of an event; nothing if it is no cause, or names nobody.
    fn audiences(&self, event: &Seen) -> Option<BTreeSet<String>> {
        let field = |name: &str| text(event, name);
        let holds = match self.when {
            When::Always => true,
            When::Is(name, value) => field(name) == value,
            When::Has(name) => !field(name).is_empty(),
            When::HasWithout(name, other) => !field(name).is_empty() && field(other).is_empty(),
            When::OfAnother(name) => !field(name).is_empty() && field(name) != event.actor,
        };
        let told = || self.to.iter().flat_map(|to| to.audiences(&event.details)).collect::<BTreeSet<String>>();
        (holds && self.actions.contains(&event.action.as_str())).then(told).filter(|told| !told.is_empty())
    }

    fn told(&self, event: &Seen, at: Timestamp) -> Option<Told> {
        let audiences = self.audiences(event)?;
        let field = |name: &str| text(event, name);
        let time = |name: &str| field(name).parse::<jiff::Timestamp>().ok().map(Timestamp::from);
        let within = (self.within > 0).then(|| at.plus(Duration::from_secs(self.within * 3_600)));
        let (due, since) = (time(self.due).or(within), time(self.since).unwrap_or(at));
        let reminders = self.reminders(at, since, due);
        // So late that no reminder is left: said at once, or it would never be.
        let now_or_never = reminders.is_empty() && due.is_some_and(|due| due > at);
        Some(Told {
            kind: self.kind,
            text: filled(self.text, event),
            parameters: parameters(self.text, event),
            otherwise: self.otherwise,
            statutory: self.statutory,
            audiences,
            due,
            later: self.later && !now_or_never,
            again: self.again.contains(&event.action.as_str()),
            reminders,
        })
    }

    fn reminders(&self, at: Timestamp, since: Timestamp, due: Option<Timestamp>) -> Vec<(usize, Timestamp)> {
        let one = |remind: &Remind| match (remind, due) {
            (Remind::Share(hundredths), Some(due)) => Some(since.plus(due.since(since) * *hundredths / 100)),
            (Remind::Before(hours), Some(due)) => Some(due.minus(Duration::from_secs(hours * 3_600))),
            (Remind::After(hours), _) => Some(at.plus(Duration::from_secs(hours * 3_600))),
            _ => None,
        };
        let all = self.remind.iter().enumerate();
        all.filter_map(|(number, remind)| Some((number, one(remind)?))).filter(|(_, when)| *when > at).collect()
    }
}

impl To {
    fn audiences(self, details: &Value) -> Vec<String> {
        match self {
            Self::Role(role) => vec![format!("role:{role}")],
            Self::Named(_) => self.subjects(details).map(|subject| format!("subject:{subject}")).collect(),
        }
    }

    /// Those whom a field names.
    fn subjects(self, details: &Value) -> impl Iterator<Item = String> {
        let named = match self {
            Self::Role(_) => None,
            Self::Named(field) => details.get(field),
        };
        let all = match named {
            Some(Value::Array(all)) => all.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        let subject = |value: &Value| Some(value.as_str().or_else(|| value.get("subject")?.as_str())?.to_owned());
        all.iter().filter_map(subject).filter(|subject| !subject.is_empty())
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// What fills a sentence, by name; whatever it holds, it is one short piece of text.
fn parameters(sentence: &str, event: &Seen) -> BTreeMap<String, String> {
    let names = sentence.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0));
    let value = |name: &str| match name {
        "resource" => event.resource.clone(),
        "action" => event.action.clone(),
        field => event.details.get(field).map(shown).unwrap_or_default(),
    };
    let plain = |name: &str| {
        let plain = language::clean(&value(name), 200);
        if plain.is_empty() { "(unknown)".to_owned() } else { plain }
    };
    names.map(|name| (name.to_owned(), plain(name))).collect()
}

/// Puts names into a sentence, and times as people read them.
fn filled(sentence: &str, event: &Seen) -> String {
    let parameters = parameters(sentence, event);
    let mut text = String::new();
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        text += before;
        text +=
            &parameters.get(name).map(|value| language::readable(value, &jiff::tz::TimeZone::UTC)).unwrap_or_default();
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests;
