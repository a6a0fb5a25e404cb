//! From entries of the audit log to events of operational KPIs: pure, so that the same log gives the same
//! events wherever it is read.
//!
//! An entry's index is in the id of its events, so each counts once. What a KPI needs to know of earlier
//! entries about the same handoff is kept in a [`Memory`] until then.

use prost::Message;
use remit_api::audit::v1::{Entry, Event as Audited, Outcome};
use remit_api::handoff::v1::HandoffState;
use remit_api::kpi::v1::Event;
use remit_api::types::ActorKind;
use remit_api::wire::{Word as _, time};
use remit_core::details::{
    self, Details, HandoffOverridden, LeadRouted, ReviewDecided, RoutingReviewed, VariantEdited,
};
use remit_core::{SERVICES, name};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The service whose entries say what became of handoffs and leads.
const HANDOFF: &str = "handoff";

/// A day in seconds.
const DAY: f64 = 86_400.0;
/// A quarter hour in seconds.
const QUARTER_HOUR: i64 = 900;

/// What is remembered of a handoff.
#[derive(Clone, PartialEq, Message)]
pub struct Memory {
    /// When it was created.
    #[prost(message, optional, tag = "1")]
    pub created: Option<prost_types::Timestamp>,
    /// Whether a person overrode an AI result.
    #[prost(bool, tag = "2")]
    pub overridden: bool,
    /// Whether it was escalated.
    #[prost(bool, tag = "3")]
    pub escalated: bool,
    /// The event that counted it as finished; empty until then.
    #[prost(string, tag = "4")]
    pub finished: String,
    /// When it was finished.
    #[prost(message, optional, tag = "5")]
    pub finish_time: Option<prost_types::Timestamp>,
    /// The gate that it is governed by.
    #[prost(string, tag = "6")]
    pub gate: String,
    /// Whether an AI run ever began.
    #[prost(bool, tag = "7")]
    pub ran: bool,
    /// Whether the variants last submitted came from a run of AI rather than from a person.
    #[prost(bool, tag = "8")]
    pub made_by_ai: bool,
    /// When its brief was accepted, which triggered it.
    #[prost(message, optional, tag = "9")]
    pub briefed: Option<prost_types::Timestamp>,
}

/// The resources whose memory the entries need.
pub fn resources(entries: &[Entry]) -> Vec<String> {
    let named = entries.iter().filter_map(|entry| entry.event.as_ref());
    let mut names: Vec<String> =
        named.map(|event| event.resource.clone()).filter(|resource| resource.starts_with("handoffs/")).collect();
    names.sort();
    names.dedup();
    names
}

/// The KPI events of some entries, in order; `memory` is brought up to date.
pub fn derive(entries: &[Entry], memory: &mut BTreeMap<String, Memory>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut actions: BTreeMap<(String, i64), Tally> = BTreeMap::new();
    for entry in entries {
        // What a program of another issuer says of itself is none of the suite's work.
        let Some(audited) = entry.event.as_ref().filter(|event| SERVICES.contains(&event.service.as_str())) else {
            continue;
        };
        tally(&mut actions, entry.index, audited);
        if audited.outcome() != Outcome::Success || audited.service != HANDOFF {
            continue;
        }
        let details: Json = serde_json::from_str(&audited.details_json).unwrap_or_default();
        let seen = Seen { index: entry.index, audited, details: &details };
        if audited.resource.starts_with("handoffs/") {
            let memory = memory.entry(audited.resource.clone()).or_default();
            seen.handoff(memory, &mut events);
        } else if audited.resource.starts_with("routings/") {
            seen.routing(&mut events);
        }
    }
    events.extend(actions.into_iter().map(|((service, _), tally)| tally.event(&service)));
    events
}

/// Recorded and refused actions of one service in one quarter hour: one event instead of one for each entry.
struct Tally {
    index: i64,
    time: Option<prost_types::Timestamp>,
    denied: u32,
    all: u32,
}

fn tally(actions: &mut BTreeMap<(String, i64), Tally>, index: i64, audited: &Audited) {
    let time = audited.recorded_at;
    let slot = time.map_or(0, |time| time.seconds.div_euclid(QUARTER_HOUR));
    let tally = actions.entry((audited.service.clone(), slot)).or_insert(Tally { index, time, denied: 0, all: 0 });
    tally.all += 1;
    tally.denied += u32::from(audited.outcome() == Outcome::Denied);
}

impl Tally {
    fn event(self, service: &str) -> Event {
        Event {
            event_id: format!("audit-{}-{service}", self.index),
            kpi: "kpis/denied_action_rate".to_owned(),
            occurred_at: self.time,
            value: Some(f64::from(self.denied)),
            denominator: Some(f64::from(self.all)),
            dimensions: BTreeMap::from([("service".to_owned(), service.to_owned())]),
            ..Event::default()
        }
    }
}

/// One entry with its details read.
struct Seen<'a> {
    index: i64,
    audited: &'a Audited,
    details: &'a Json,
}

impl Seen<'_> {
    /// The details as those of an action; as if nothing was said if they are of another form.
    fn details<D: Details + Default>(&self) -> D {
        D::read(self.details).unwrap_or_default()
    }

    fn event(&self, kpi: &str, value: Option<f64>, gate: &str) -> Event {
        let dimension = |key: &str, value: &str| (!value.is_empty()).then(|| (key.to_owned(), value.to_owned()));
        Event {
            event_id: format!("audit-{}", self.index),
            kpi: format!("kpis/{kpi}"),
            occurred_at: self.audited.occurred_at,
            value,
            dimensions: dimension("gate", gate).into_iter().collect(),
            ..Event::default()
        }
    }

    fn handoff(&self, memory: &mut Memory, events: &mut Vec<Event>) {
        let action = self.audited.action.as_str();
        let Some(moved) = details::moved(action, self.details) else { return };
        let gate = gate_of(&moved.gate_version);
        if !gate.is_empty() {
            gate.clone_into(&mut memory.gate);
        }
        let gate = memory.gate.clone();
        let running = HandoffState::AiRunning.word();
        memory.ran |= moved.from == running || moved.to == running;
        if action == "handoff.variants.submit" {
            memory.made_by_ai = moved.from == running;
        }
        let by_machine = self.audited.actor.as_ref().is_some_and(|actor| actor.kind() != ActorKind::Human);
        match action {
            "handoff.handoffs.create" => memory.created = self.audited.occurred_at,
            "handoff.runs.fail" => events.push(self.event("ai_run_failure_rate", Some(1.0), &gate)),
            "handoff.variants.submit" if by_machine => {
                events.push(self.event("ai_run_failure_rate", Some(0.0), &gate));
            }
            "handoff.reviews.submit" => self.review(&self.details(), memory, events),
            "handoff.variants.edit" if !self.details::<VariantEdited>().override_name.is_empty() => {
                self.overridden(memory, events);
            }
            // Taking over before AI did anything, or correcting a person's work, overrides no AI result.
            "handoff.handoffs.override" if !self.details::<HandoffOverridden>().override_name.is_empty() => {
                self.overridden(memory, events);
            }
            _ => {}
        }
        if moved.to == moved.from {
            return;
        }
        if (moved.from.as_str(), moved.to.as_str()) == (HandoffState::Draft.word(), HandoffState::Triggered.word()) {
            memory.briefed = self.audited.occurred_at;
        }
        match HandoffState::parse(&moved.to) {
            Some(HandoffState::Escalated) => memory.escalated = true,
            Some(HandoffState::Published) if memory.finished.is_empty() => self.finished(memory, &gate, events),
            Some(HandoffState::Cancelled | HandoffState::Expired) if memory.finished.is_empty() => {
                // A person who stops what AI made has intervened, though nothing was published; the end counts once.
                let intervened = memory.ran && memory.overridden;
                events.extend(intervened.then(|| self.intervention(memory, &gate)));
                events.push(self.escalation(memory, &gate));
            }
            _ => {}
        }
    }

    /// A decided review: how long it took, whether the result was taken as it was, and its grades.
    fn review(&self, decided: &ReviewDecided, memory: &Memory, events: &mut Vec<Event>) {
        let gate = memory.gate.as_str();
        let latency = decided.decision_latency_us as f64 / 1e6;
        events.push(self.event("review_decision_latency", Some(latency), gate));
        // What people made says nothing of a model (A17).
        if !memory.made_by_ai {
            return;
        }
        let accepted = decided.edits_before == 0 && !decided.passed.is_empty();
        let mut acceptance = self.event("acceptance_rate", Some(if accepted { 1.0 } else { 0.0 }), gate);
        self.tag(&mut acceptance, "model_version", &self.audited.model_version);
        let reviewer = self.audited.actor.as_ref().map(|actor| actor.subject.as_str()).unwrap_or_default();
        self.tag(&mut acceptance, "reviewer", reviewer);
        events.push(acceptance);
        for (position, graded) in decided.totals.iter().enumerate() {
            let mut grade = self.event("checklist_score", Some((graded.total / 100.0).clamp(0.0, 1.0)), gate);
            grade.event_id = format!("audit-{}-{position}", self.index);
            self.tag(&mut grade, "model_version", &self.audited.model_version);
            events.push(grade);
        }
    }

    fn tag(&self, event: &mut Event, key: &str, value: &str) {
        // Longer values than a dimension may have say nothing in a chart.
        if (1..=100).contains(&value.chars().count()) {
            event.dimensions.insert(key.to_owned(), value.to_owned());
        }
    }

    /// An override counts with the work that it changed: before its end through the memory, after it (a
    /// rollback) by correcting what was counted.
    fn overridden(&self, memory: &mut Memory, events: &mut Vec<Event>) {
        if memory.overridden {
            return;
        }
        memory.overridden = true;
        if !memory.finished.is_empty() && memory.ran {
            events.push(Event {
                corrects: memory.finished.clone(),
                occurred_at: memory.finish_time,
                ..self.event("human_intervention_rate", Some(1.0), &memory.gate)
            });
        }
    }

    /// Counts the work as ended, overridden or not; a later override corrects this event.
    fn intervention(&self, memory: &mut Memory, gate: &str) -> Event {
        let value = if memory.overridden { 1.0 } else { 0.0 };
        let ended = self.event("human_intervention_rate", Some(value), gate);
        memory.finished.clone_from(&ended.event_id);
        memory.finish_time = ended.occurred_at;
        ended
    }

    fn finished(&self, memory: &mut Memory, gate: &str, events: &mut Vec<Event>) {
        let finished = self.intervention(memory, gate);
        // What people did alone is no work of AI.
        events.extend(Some(finished).filter(|_| memory.ran));
        events.push(self.event("handoff_throughput", None, gate));
        events.push(self.escalation(memory, gate));
        for (kpi, start) in [("handoff_cycle_time", memory.created), ("time_to_launch", memory.briefed)] {
            if let Some((end, start)) = self.audited.occurred_at.zip(start) {
                events.push(self.event(kpi, Some(seconds_between(start, end)), gate));
            }
        }
    }

    fn escalation(&self, memory: &Memory, gate: &str) -> Event {
        self.event("handoff_escalation_rate", Some(if memory.escalated { 1.0 } else { 0.0 }), gate)
    }

    /// A routed lead is finished AI work; a review that sends it elsewhere overrides it.
    fn routing(&self, events: &mut Vec<Event>) {
        let counted = format!("lead-{}", name::last(&self.audited.resource));
        // When a lead was scored is the word of whoever sent it.
        let said = self.audited.occurred_at.zip(self.audited.recorded_at);
        let at = said.map(|(at, recorded)| time::stamp(time::counted(time::of(&at), time::of(&recorded))));
        let event = |value, gate_version: &str| Event {
            occurred_at: at,
            ..self.event("human_intervention_rate", Some(value), gate_of(gate_version))
        };
        match self.audited.action.as_str() {
            "handoff.routings.route" => {
                let gate_version = self.details::<LeadRouted>().gate_version;
                events.push(Event { event_id: counted, ..event(0.0, &gate_version) });
                // A score of long ago is an import, and says nothing of how fast leads are routed.
                let took = said.map(|(scored, routed)| seconds_between(scored, routed));
                if let Some(took) = took.filter(|took| *took <= DAY) {
                    let latency = self.event("routing_latency", Some(took), gate_of(&gate_version));
                    events.push(Event { occurred_at: at, ..latency });
                }
            }
            "handoff.routings.review" => {
                let reviewed: RoutingReviewed = self.details();
                if !reviewed.override_name.is_empty() {
                    events.push(Event { corrects: counted, ..event(1.0, &reviewed.gate_version) });
                }
            }
            _ => {}
        }
    }
}

/// So many seconds from one instant to another; none if that is before.
fn seconds_between(start: prost_types::Timestamp, end: prost_types::Timestamp) -> f64 {
    let seconds = |time: prost_types::Timestamp| time.seconds as f64 + f64::from(time.nanos) / 1e9;
    (seconds(end) - seconds(start)).max(0.0)
}

/// The gate of `gates/{gate}/versions/{version}`.
fn gate_of(gate_version: &str) -> &str {
    name::last(name::parent(gate_version))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::types::Actor;
    use remit_core::details::{
        Graded, HandoffCreated, HandoffExpired, HandoffMoved, HandoffPublished, Moved, OfHandoff, TriggerRecorded,
        VariantsSubmitted,
    };

    fn entry(index: i64, resource: &str, details: impl Details, action: &str) -> Entry {
        let at = Some(prost_types::Timestamp { seconds: 1_212_278_400 + index * 60, nanos: 0 });
        let mut actor = Actor { subject: "mira".to_owned(), ..Actor::default() };
        actor.set_kind(if action == "handoff.variants.submit" { ActorKind::Ai } else { ActorKind::Human });
        let mut event = Audited {
            action: action.to_owned(),
            resource: resource.to_owned(),
            actor: Some(actor),
            occurred_at: at,
            recorded_at: at,
            service: "handoff".to_owned(),
            details_json: details.json().to_string(),
            ..Audited::default()
        };
        event.set_outcome(Outcome::Success);
        Entry { index, event: Some(event), ..Entry::default() }
    }

    fn step<D: OfHandoff>(
        index: i64,
        action: &str,
        from: Option<HandoffState>,
        to: HandoffState,
        mut details: D,
    ) -> Entry {
        assert!(D::DOC.actions.contains(&action), "{action}");
        details.set_moved(Moved {
            from: from.map(|from| from.word().to_owned()).unwrap_or_default(),
            to: to.word().to_owned(),
            iteration: 1,
            gate_version: "gates/creative/versions/1".to_owned(),
        });
        entry(index, "handoffs/h", details, action)
    }

    fn life(edits_before: i32) -> Vec<Entry> {
        use HandoffState::{Accepted, AiRunning, Cancelled, Draft, InReview, Published, Triggered};
        let graded = |variant: &str, total: f64, passed: bool| Graded {
            variant: variant.to_owned(),
            content_digest: format!("sha256:{variant}"),
            total,
            passed,
        };
        let decided = ReviewDecided {
            decision_latency_us: 90_000_000,
            edits_before,
            passed: vec!["a".to_owned()],
            totals: vec![graded("a", 85.0, true), graded("b", 60.0, false)],
            ..ReviewDecided::default()
        };
        let rolled_back = HandoffOverridden { override_name: "overrides/1".to_owned(), ..HandoffOverridden::default() };
        vec![
            step(0, "handoff.handoffs.create", None, Draft, HandoffCreated::default()),
            step(1, "handoff.runs.fail", Some(AiRunning), Triggered, HandoffMoved::default()),
            step(2, "handoff.variants.submit", Some(AiRunning), InReview, VariantsSubmitted::default()),
            step(3, "handoff.reviews.submit", Some(InReview), Accepted, decided),
            step(4, "handoff.handoffs.publish", Some(Accepted), Published, HandoffPublished::default()),
            step(5, "handoff.handoffs.override", Some(Published), Cancelled, rolled_back),
        ]
    }

    fn of<'a>(events: &'a [Event], kpi: &str) -> Vec<&'a Event> {
        events.iter().filter(|event| event.kpi == format!("kpis/{kpi}")).collect()
    }

    #[test]
    fn a_handoff_gives_its_kpis_and_a_rollback_corrects_them() {
        let events = derive(&life(0), &mut BTreeMap::new());
        let values = |kpi: &str| of(&events, kpi).iter().map(|event| event.value).collect::<Vec<_>>();
        assert_eq!(values("ai_run_failure_rate"), [Some(1.0), Some(0.0)]);
        assert_eq!(values("review_decision_latency"), [Some(90.0)]);
        assert_eq!(values("acceptance_rate"), [Some(1.0)]);
        assert_eq!(values("checklist_score"), [Some(0.85), Some(0.6)]);
        assert_eq!(values("handoff_cycle_time"), [Some(240.0)]);
        assert_eq!(values("time_to_launch"), [], "its draft was never left by a brief");
        assert_eq!(values("handoff_throughput"), [None]);
        let intervention = of(&events, "human_intervention_rate");
        assert_eq!(intervention[0].value, Some(0.0));
        assert_eq!((intervention[1].value, intervention[1].corrects.as_str()), (Some(1.0), "audit-4"));
        assert_eq!(intervention[1].occurred_at, intervention[0].occurred_at);
        assert_eq!(intervention[0].dimensions["gate"], "creative");
        assert_eq!(values("denied_action_rate"), [Some(0.0)]);
        let edited = derive(&life(1), &mut BTreeMap::new());
        assert_eq!(of(&edited, "acceptance_rate")[0].value, Some(0.0));
    }

    #[test]
    fn a_launch_takes_from_the_accepted_brief_on() {
        use HandoffState::{Accepted, Draft, Published, Triggered};
        let events = derive(
            &[
                step(0, "handoff.handoffs.create", None, Draft, HandoffCreated::default()),
                step(2, "handoff.handoffs.trigger", Some(Draft), Triggered, TriggerRecorded::default()),
                step(5, "handoff.handoffs.publish", Some(Accepted), Published, HandoffPublished::default()),
            ],
            &mut BTreeMap::new(),
        );
        let took = |kpi: &str| of(&events, kpi).iter().map(|event| event.value).collect::<Vec<_>>();
        assert_eq!((took("handoff_cycle_time"), took("time_to_launch")), (vec![Some(300.0)], vec![Some(180.0)]));
    }

    #[test]
    fn routing_takes_from_the_score_on_and_an_import_says_nothing_of_it() {
        let routed = || LeadRouted { gate_version: "gates/lead/versions/2".to_owned(), ..LeadRouted::default() };
        let after = |seconds: i64| {
            let mut one = entry(7, "routings/lead-1", routed(), "handoff.routings.route");
            let event = one.event.as_mut().unwrap();
            event.recorded_at =
                event.occurred_at.map(|at| prost_types::Timestamp { seconds: at.seconds + seconds, ..at });
            let events = derive(&[one], &mut BTreeMap::new());
            of(&events, "routing_latency").iter().map(|event| event.value).collect::<Vec<_>>()
        };
        assert_eq!((after(4), after(-4), after(86_401)), (vec![Some(4.0)], vec![Some(0.0)], vec![]));
    }

    #[test]
    fn only_kpis_that_nobody_else_records_are_derived() {
        let shipped = crate::seed::kpis(remit_core::Timestamp(1)).unwrap();
        let derived: Vec<&str> = shipped.iter().filter(|kpi| kpi.derived).map(|kpi| kpi.name.as_str()).collect();
        for event in derive(&life(0), &mut BTreeMap::new()) {
            assert!(derived.contains(&event.kpi.as_str()), "{} is derived, and callers may record it", event.kpi);
        }
    }

    #[test]
    fn what_others_say_of_themselves_derives_nothing() {
        let by = |service: &str| -> Vec<Entry> {
            let mut entries = life(0);
            for event in entries.iter_mut().filter_map(|entry| entry.event.as_mut()) {
                service.clone_into(&mut event.service);
            }
            entries
        };
        let mut memory = BTreeMap::new();
        assert_eq!(derive(&by("crm"), &mut memory), []);
        // Another service of the suite counts with its actions, and says nothing of handoffs.
        let events = derive(&by("registry"), &mut memory);
        assert!(events.iter().all(|event| event.kpi == "kpis/denied_action_rate"), "{events:#?}");
        assert!(memory.is_empty() && !events.is_empty());
    }

    #[test]
    fn a_takeover_before_ai_did_anything_is_no_intervention() {
        use HandoffState::{AiRunning, Draft, HumanLed, Published, Triggered};
        let work = |from: HandoffState, override_name: &str| {
            let taken = HandoffOverridden { override_name: override_name.to_owned(), ..HandoffOverridden::default() };
            let entries = [
                step(0, "handoff.handoffs.create", None, Draft, HandoffCreated::default()),
                step(1, "handoff.handoffs.override", Some(from), HumanLed, taken),
                step(2, "handoff.handoffs.publish", Some(HumanLed), Published, HandoffPublished::default()),
            ];
            let events = derive(&entries, &mut BTreeMap::new());
            assert_eq!(of(&events, "handoff_throughput").len(), 1);
            of(&events, "human_intervention_rate").iter().map(|event| event.value).collect::<Vec<_>>()
        };
        assert_eq!(work(Triggered, ""), [], "nor is it work of AI");
        assert_eq!(work(AiRunning, "overrides/1"), [Some(1.0)]);
        assert_eq!(work(AiRunning, ""), [Some(0.0)], "a correction of a person's work");
    }

    #[test]
    fn work_of_ai_that_a_person_stopped_is_an_intervention_and_ends_once() {
        use HandoffState::{AiRunning, Cancelled, Draft, Expired, HumanLed, InReview};
        let taken = HandoffOverridden { override_name: "overrides/1".to_owned(), ..HandoffOverridden::default() };
        let rates = |entries: &[Entry]| {
            let events = derive(entries, &mut BTreeMap::new());
            assert_eq!(of(&events, "handoff_escalation_rate").len(), 1);
            of(&events, "human_intervention_rate").iter().map(|event| event.value).collect::<Vec<_>>()
        };
        let created = step(0, "handoff.handoffs.create", None, Draft, HandoffCreated::default());
        let stopped = step(1, "handoff.handoffs.override", Some(AiRunning), Cancelled, taken.clone());
        assert_eq!(rates(&[created.clone(), stopped]), [Some(1.0)]);
        let expired = [
            created.clone(),
            step(1, "handoff.handoffs.override", Some(AiRunning), HumanLed, taken),
            step(2, "handoff.handoffs.expire", Some(HumanLed), Expired, HandoffExpired::default()),
        ];
        assert_eq!(rates(&expired), [Some(1.0)]);
        let unseen = [created, step(1, "handoff.handoffs.expire", Some(InReview), Expired, HandoffExpired::default())];
        assert_eq!(rates(&unseen), [], "work that nobody overrode and that did not end well is not finished work");
        assert_eq!(rates(&life(0)), [Some(0.0), Some(1.0)], "published, and then rolled back");
    }

    #[test]
    fn what_people_made_says_nothing_of_a_model() {
        use HandoffState::{AiRunning, Draft, HumanLed, InReview};
        let decided = ReviewDecided { passed: vec!["a".to_owned()], ..ReviewDecided::default() };
        let reviewed = |from: HandoffState| {
            let entries = [
                step(0, "handoff.handoffs.create", None, Draft, HandoffCreated::default()),
                step(1, "handoff.runs.fail", Some(AiRunning), HumanLed, HandoffMoved::default()),
                step(2, "handoff.variants.submit", Some(from), InReview, VariantsSubmitted::default()),
                step(3, "handoff.reviews.submit", Some(InReview), InReview, decided.clone()),
            ];
            let events = derive(&entries, &mut BTreeMap::new());
            assert_eq!(of(&events, "review_decision_latency").len(), 1);
            of(&events, "acceptance_rate").len()
        };
        assert_eq!((reviewed(HumanLed), reviewed(AiRunning)), (0, 1));
    }

    #[test]
    fn where_the_log_is_cut_makes_no_difference_but_to_tallies() {
        let whole = derive(&life(0), &mut BTreeMap::new());
        let mut memory = BTreeMap::new();
        let mut parts = Vec::new();
        for entry in life(0) {
            parts.extend(derive(&[entry], &mut memory));
        }
        let without = |events: Vec<Event>| -> Vec<Event> {
            events.into_iter().filter(|event| event.kpi != "kpis/denied_action_rate").collect()
        };
        assert_eq!(without(parts), without(whole));
    }

    #[test]
    fn a_lead_that_a_person_sends_elsewhere_is_an_intervention() {
        let gate_version = "gates/lead/versions/2".to_owned();
        let routed = LeadRouted { gate_version: gate_version.clone(), ..LeadRouted::default() };
        let review = RoutingReviewed { gate_version, ..RoutingReviewed::default() };
        let redirected = RoutingReviewed { override_name: "overrides/1".to_owned(), ..review.clone() };
        let events = derive(
            &[
                entry(7, "routings/lead-1", routed, "handoff.routings.route"),
                entry(8, "routings/lead-1", review, "handoff.routings.review"),
                entry(9, "routings/lead-1", redirected, "handoff.routings.review"),
            ],
            &mut BTreeMap::new(),
        );
        let found = of(&events, "human_intervention_rate");
        assert_eq!((found[0].event_id.as_str(), found[0].value), ("lead-lead-1", Some(0.0)));
        assert_eq!((found[1].corrects.as_str(), found[1].value), ("lead-lead-1", Some(1.0)));
        assert_eq!((found.len(), found[1].dimensions["gate"].as_str()), (2, "lead"));
    }
}
