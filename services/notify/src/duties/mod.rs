//! What is wanted of people, as data: the cause, who is told, what she reads, and what happens if nothing is done.

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
    remind: &'static [Remind],
    /// The field of the details that says from when shares of the time count; empty: from the event.
    since: &'static str,
    /// Whether there is nothing to do yet when the event happens, so that the reminders are all that she reads.
    later: bool,
    /// The actions on the same thing that end the reminders.
    ended_by: &'static [&'static str],
    /// Unless a text of the details has this value: it goes on.
    unless: Option<(&'static str, &'static str)>,
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
    remind: &[],
    since: "",
    later: false,
    ended_by: &[],
    unless: None,
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

const CLOSED_PROPOSAL: &[&str] = &[
    "council.proposals.vote",
    "council.proposals.settle",
    "council.proposals.expire",
    "council.proposals.cancel",
    "council.proposals.recuse",
];
const ACCEPTED_LEAD: &[&str] =
    &["handoff.routings.accept", "handoff.routings.reassign", "handoff.routings.breach", "handoff.routings.review"];

/// What expires is said 30, 7 and 1 days before.
const MONTH_WEEK_DAY: &[Remind] = &[Remind::Before(720), Remind::Before(168), Remind::Before(24)];
/// The third share is when it runs out, of which the breach tells.
const SHARES: &[Remind] = &[Remind::Share(50), Remind::Share(80)];

/// Every kind of duty.
pub(crate) fn all() -> impl Iterator<Item = &'static Duty> {
    DUTIES.iter().chain(clocks::DUTIES)
}

/// Those that ask for something at once; `clocks` has those that ask for it when time passes.
const DUTIES: &[Duty] = &[
    Duty {
        kind: "vote_wanted",
        actions: &["council.proposals.create", "council.proposals.open"],
        when: When::Is("state", "OPEN"),
        to: &[To::Named("electorate")],
        text: "{resource} is open for a vote ({kind}). Please read it and vote.",
        otherwise: "Without a quorum it expires; time never approves.",
        statutory: true,
        due: "expire_time",
        remind: &[Remind::Before(24)],
        ended_by: CLOSED_PROPOSAL,
        unless: Some(("state", "OPEN")),
        ..QUIET
    },
    Duty {
        kind: "proposal_escalated",
        actions: &["council.proposals.settle", "council.proposals.vote", "council.proposals.expire"],
        when: When::Is("state", "ESCALATED"),
        to: COUNCIL,
        text: "{resource} was escalated. Please take it up in the steering group.",
        otherwise: "What it proposes does not happen.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "proposal_expired",
        actions: &["council.proposals.expire"],
        to: COUNCIL,
        text: "The time for {resource} is over. Please look whether it is to be proposed again.",
        otherwise: "Nothing changes: time never approves.",
        ..QUIET
    },
    Duty {
        kind: "review_open",
        actions: &["council.reviews.collect"],
        to: COUNCIL,
        text: "{resource} is open. Please read the pack and sign it.",
        otherwise: "It stays unsigned, which the next review shows.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "review_sealed",
        actions: &["council.reviews.seal"],
        to: COUNCIL,
        text: "{resource} is sealed. Nothing is to be done.",
        otherwise: "Nothing happens.",
        ..QUIET
    },
    Duty {
        kind: "hold_engaged",
        actions: &["council.holds.engage"],
        when: When::Is("drill", "false"),
        to: STOPPED,
        text: "{resource} stops AI in {scope}. Please do this work without AI, and find the cause.",
        otherwise: "It stays stopped until a quorum lifts it.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "hold_lifted",
        actions: &["council.holds.lift"],
        to: STOPPED,
        text: "{resource} was lifted by {proposal}. AI may work there again as the policy says.",
        otherwise: "Nothing happens.",
        ..QUIET
    },
    Duty {
        kind: "break_glass_used",
        actions: &["council.holds.override"],
        to: &[To::Named("notify"), To::Role("auditor")],
        text: "The glass was broken: {resource} is bypassed until {until}. Please review it in {action_item}.",
        otherwise: "The hold is in force again at that time, and the open review shows in the monthly pack.",
        statutory: true,
        due: "until",
        ..QUIET
    },
    Duty {
        kind: "hold_rearmed",
        actions: &["council.holds.rearm"],
        to: COUNCIL,
        text: "{resource} is in force again after the glass was broken.",
        otherwise: "It stays stopped until a quorum lifts it.",
        ..QUIET
    },
    Duty {
        kind: "constitution_recovered",
        actions: &["council.constitution.recover"],
        when: When::Is("state", "DONE"),
        to: &[To::Named("notify"), To::Role("auditor")],
        text: "The steering group was recovered by {asker}. Please review that in {action_item}.",
        otherwise: "The seats stay as they are now.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "handoff_review_wanted",
        actions: &["handoff.variants.submit"],
        to: &[To::Role("reviewer")],
        text: "{resource} waits for a review until {due}. Please claim it and decide.",
        otherwise: "It is escalated when its time is over; nothing is published without a review.",
        statutory: true,
        due: "due",
        remind: SHARES,
        ended_by: CLOSED_HANDOFF,
        ..QUIET
    },
    Duty {
        kind: "handoff_review_late",
        actions: &["handoff.reviews.breach", "handoff.triages.breach"],
        to: &[To::Role("reviewer"), To::Named("called")],
        text: "The {clock} of {resource} is late. Please decide now.",
        otherwise: "The next person in the order of the gate is called.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "handoff_escalated",
        actions: &["handoff.handoffs.escalate"],
        to: &[To::Role("reviewer"), To::Role("operator")],
        text: "{resource} was escalated. Please decide who takes it over.",
        otherwise: "It waits.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "handoff_expired",
        actions: &["handoff.handoffs.expire"],
        to: &[To::Role("reviewer"), To::Role("operator")],
        text: "{resource} was not finished in time. Please see whether the work is still wanted.",
        otherwise: "It stays unpublished.",
        ..QUIET
    },
    Duty {
        kind: "handoff_held",
        actions: &["handoff.handoffs.hold"],
        to: &[To::Role("reviewer"), To::Role("operator")],
        text: "A hold stopped {resource}. Please go on without AI, or wait until it is lifted.",
        otherwise: "It waits, and its clock runs on.",
        ..QUIET
    },
    Duty {
        kind: "lead_assigned",
        actions: &["handoff.routings.route"],
        when: When::Has("owner"),
        to: &[To::Named("owner")],
        text: "{resource} is yours. Please accept it within two business hours.",
        otherwise: "Somebody else is called.",
        statutory: true,
        due: "due",
        remind: SHARES,
        ended_by: ACCEPTED_LEAD,
        ..QUIET
    },
    Duty {
        kind: "lead_passed_on",
        actions: &["handoff.routings.reassign"],
        when: When::Has("to"),
        to: &[To::Named("to")],
        text: "{resource} was passed on to you. Please accept it within two business hours.",
        otherwise: "Somebody else is called.",
        statutory: true,
        due: "due",
        remind: SHARES,
        ended_by: ACCEPTED_LEAD,
        ..QUIET
    },
    Duty {
        kind: "lead_late",
        actions: &["handoff.routings.breach", "handoff.decisions.breach"],
        to: &[To::Named("owner"), To::Named("called"), To::Role("operator")],
        text: "Nobody took {resource} in time. Please take it or pass it on.",
        otherwise: "It is called out again.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "incident_reported",
        actions: &["council.incidents.create"],
        to: WATCHERS,
        text: "{resource} was reported ({severity}, {category}). Please look whether AI must be stopped and who must be told.",
        otherwise: "Its statutory clocks run on.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "incident_clock_over",
        actions: &["council.clocks.breach"],
        to: &[To::Role("member"), To::Role("auditor"), To::Role("admin")],
        text: "A statutory clock of {resource} ran out without a report. Please report to the authority now.",
        otherwise: "The breach stands in the log and in the monthly pack.",
        statutory: true,
        ..QUIET
    },
    Duty {
        kind: "waiver_granted",
        actions: &["council.waivers.grant"],
        to: COUNCIL,
        text: "{resource} waives {control} until {expire_time}. Please see that the cause is gone by then.",
        otherwise: "The rule is in force again at that time.",
        due: "expire_time",
        remind: MONTH_WEEK_DAY,
        ended_by: &["council.waivers.expire", "council.waivers.revoke"],
        ..QUIET
    },
    Duty {
        kind: "waiver_expired",
        actions: &["council.waivers.expire"],
        to: COUNCIL,
        text: "{resource} is over: the rule is in force again.",
        otherwise: "Nothing happens.",
        ..QUIET
    },
    Duty {
        kind: "roles_expire",
        actions: &["council.roleAssignments.create", "council.roleAssignments.update"],
        when: When::Has("expire_time"),
        to: &[To::Named("subject"), To::Role("admin")],
        text: "The roles of {resource} end at {expire_time}. Please have them assigned again if they are still needed.",
        otherwise: "They end then.",
        due: "expire_time",
        remind: MONTH_WEEK_DAY,
        ended_by: &["council.roleAssignments.delete"],
        ..QUIET
    },
    Duty {
        kind: "action_item_open",
        actions: &["council.actionItems.create"],
        to: &[To::Named("owner"), To::Role("member")],
        text: "{resource} is to be done. Please see that its owner knows.",
        otherwise: "The next review carries it over, and says how often.",
        due: "due_time",
        ..QUIET
    },
    Duty {
        kind: "action_item_carried",
        actions: &["council.actionItems.carry"],
        to: COUNCIL,
        text: "{resource} was carried over by {review}, for the {times_carried}. time. Please have it done.",
        otherwise: "It is carried over again.",
        ..QUIET
    },
    Duty {
        kind: "alert_fired",
        actions: &["kpi.alerts.fire"],
        to: WATCHERS,
        text: "{resource} fires ({severity}; n = {n}; rule {rule}). Please find the cause, or engage a hold.",
        otherwise: "It fires until the numbers are within the rule again.",
        ..QUIET
    },
    Duty {
        kind: "alert_resolved",
        actions: &["kpi.alerts.resolve"],
        to: WATCHERS,
        text: "{resource} fires no longer (n = {n}). Please note what the cause was.",
        otherwise: "Nothing happens.",
        ..QUIET
    },
    Duty {
        kind: "approval_expired",
        actions: &["registry.versions.expire"],
        to: &[To::Role("operator"), To::Role("member")],
        text: "The approval of {resource} is over. Please have it evaluated and approved again.",
        otherwise: "It may not work until then.",
        ..QUIET
    },
    Duty {
        kind: "delivery_stuck",
        actions: &["notify.subscriptions.break", "notify.settings.break"],
        to: &[To::Named("owner"), To::Role("admin")],
        text: "{resource} sends nothing any more: {state_reason}. Please put that right and resume it.",
        otherwise: "Events are no longer kept for it.",
        ..QUIET
    },
    Duty {
        kind: "event_parked",
        actions: &["relay.events.park"],
        to: &[To::Role("admin"), To::Role("auditor")],
        text: "An event of {resource} could not be recorded and was set aside. Please find out why.",
        otherwise: "It stays outside the log.",
        statutory: true,
        ..QUIET
    },
];

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

/// Whether the law or the constitution puts a clock on a kind of duty.
pub(crate) fn is_statutory(kind: &str) -> bool {
    all().any(|duty| duty.kind == kind && duty.statutory)
}

/// The reminders that an event ends: the kind of duty, about what, and how many it may have. Whatever is a cause anew ends
/// those of before, which may say another time.
pub(crate) fn ended(event: &Seen) -> Vec<(&'static str, String, usize)> {
    if event.outcome != "SUCCESS" {
        return Vec::new();
    }
    let action = event.action.as_str();
    let other = ENDS_OTHERS.iter().find(|(ends, _)| *ends == action).map(|(_, field)| text(event, field));
    let about = other.unwrap_or_else(|| event.resource.clone());
    let ends = all().filter(|duty| {
        let goes_on = duty.unless.is_some_and(|(field, value)| text(event, field) == value);
        let over = duty.ended_by.contains(&action) && !goes_on;
        !duty.remind.is_empty() && (over || duty.actions.contains(&action))
    });
    ends.map(|duty| (duty.kind, about.clone(), duty.remind.len())).collect()
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

    fn told(&self, event: &Seen, at: Timestamp) -> Option<Told> {
        if !self.actions.contains(&event.action.as_str()) {
            return None;
        }
        let field = |name: &str| text(event, name);
        let holds = match self.when {
            When::Always => true,
            When::Is(name, value) => field(name) == value,
            When::Has(name) => !field(name).is_empty(),
        };
        if !holds {
            return None;
        }
        let audiences: BTreeSet<String> = self.to.iter().flat_map(|to| to.audiences(&event.details)).collect();
        if audiences.is_empty() {
            return None;
        }
        let time = |name: &str| field(name).parse::<jiff::Timestamp>().ok().map(Timestamp::from);
        let (due, since) = (time(self.due), time(self.since).unwrap_or(at));
        Some(Told {
            kind: self.kind,
            text: filled(self.text, event),
            parameters: parameters(self.text, event),
            otherwise: self.otherwise,
            statutory: self.statutory,
            audiences,
            due,
            later: self.later,
            reminders: self.reminders(at, since, due),
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
        let subject = |value: &Value| {
            let text = value.as_str().or_else(|| value.get("subject").and_then(Value::as_str));
            text.filter(|text| !text.is_empty()).map(|text| format!("subject:{text}"))
        };
        match self {
            Self::Role(role) => vec![format!("role:{role}")],
            Self::Named(field) => match details.get(field) {
                Some(Value::Array(all)) => all.iter().filter_map(subject).collect(),
                Some(one) => subject(one).into_iter().collect(),
                None => Vec::new(),
            },
        }
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

/// Puts names into a sentence.
fn filled(sentence: &str, event: &Seen) -> String {
    let parameters = parameters(sentence, event);
    let mut text = String::new();
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        text += before;
        text += parameters.get(name).map_or("", String::as_str);
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests;
