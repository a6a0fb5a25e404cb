//! The numbers that events have of their services' outboxes: a number that is nowhere is an event that was taken away
//! before it was delivered.

use super::{FindingKind, Findings, at};
use crate::leaf::Leaf;
use remit_core::SERVICES;
use remit_runtime::relay::PARK;
use std::collections::{BTreeMap, BTreeSet};

/// What came of one service so far.
#[derive(Default)]
struct Numbers {
    /// The greatest number.
    last: u64,
    /// How many entries without content had come when it came.
    unknown: u64,
    /// The numbers that did not come: ends by starts, without the end.
    missing: BTreeMap<u64, u64>,
}

impl Numbers {
    /// Takes a number out of those that are missing; false if it is not among them.
    fn found(&mut self, number: u64) -> bool {
        let Some((start, end)) = self.missing.range(..=number).next_back().map(|(start, end)| (*start, *end)) else {
            return false;
        };
        if number >= end {
            return false;
        }
        self.missing.remove(&start);
        if start < number {
            self.missing.insert(start, number);
        }
        if number + 1 < end {
            self.missing.insert(number + 1, end);
        }
        true
    }
}

/// The numbers of all services.
pub(super) struct Sequences {
    whole: bool,
    unknown: u64,
    services: BTreeMap<&'static str, Numbers>,
    /// What each service says that it set aside itself.
    parked: BTreeMap<&'static str, BTreeSet<u64>>,
}

impl Sequences {
    /// From the beginning of the log on if it is `whole`: then the first number is 1.
    pub(super) fn new(whole: bool) -> Self {
        Self { whole, unknown: 0, services: BTreeMap::new(), parked: BTreeMap::new() }
    }

    /// Takes an entry whose content is not there: it may have had any number.
    pub(super) fn skip(&mut self) {
        self.unknown += 1;
    }

    /// Takes the entry at `index`.
    pub(super) fn push(&mut self, index: u64, leaf: &Leaf, findings: &mut Findings) {
        let Some(service) = SERVICES.into_iter().find(|service| *service == leaf.service) else { return };
        if leaf.action == PARK
            && leaf.outcome == "SUCCESS"
            && let Some(number) = parked(service, &leaf.resource)
        {
            self.parked.entry(service).or_default().insert(number);
        }
        let Some(number) = leaf.seq.map(std::num::NonZeroU64::get) else { return };
        let unknown = self.unknown;
        let first = !self.services.contains_key(service);
        let numbers = self.services.entry(service).or_default();
        if first && !self.whole {
            numbers.last = number - 1;
        }
        if number > numbers.last {
            let gap = number - numbers.last - 1;
            if gap > unknown - numbers.unknown {
                numbers.missing.insert(numbers.last + 1, number);
            }
            (numbers.last, numbers.unknown) = (number, unknown);
        } else if !numbers.found(number) && unknown == 0 && self.whole {
            let message =
                format!("event {number} of {service} came before: its database was put back, or the event made up");
            findings.add(FindingKind::Sequence, at(index), message);
        }
    }

    /// Names what is missing and was not set aside.
    pub(super) fn finish(&self, findings: &mut Findings) {
        for (service, numbers) in &self.services {
            for (start, end) in &numbers.missing {
                let set_aside = self.parked.get(service).into_iter().flat_map(|parked| parked.range(start..end));
                let mut next = *start;
                for number in set_aside.copied().chain([*end]) {
                    if next < number {
                        lost(service, next, number - 1, findings);
                    }
                    next = number + 1;
                }
            }
        }
    }
}

/// Names the events `first` to `last`, which are nowhere.
fn lost(service: &str, first: u64, last: u64, findings: &mut Findings) {
    let which = if first == last { format!("event {first}") } else { format!("events {first} to {last}") };
    let message = format!("{which} of {service} never came and were not set aside: they were taken out of its outbox");
    findings.add(FindingKind::Sequence, format!("services/{service}/events/{first}"), message);
}

/// The number of the event of `service` that an entry about `resource` says was set aside. No service speaks for another.
fn parked(service: &str, resource: &str) -> Option<u64> {
    let number = resource.strip_prefix("parkedEvents/")?.strip_prefix(service)?.strip_prefix('-')?;
    number.parse().ok().filter(|parsed: &u64| parsed.to_string() == number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::audit::v1 as api;
    use remit_api::types;

    fn leaf(service: &str, seq: i64, action: &str, resource: &str) -> Leaf {
        let actor = types::Actor { kind: types::ActorKind::Service.into(), ..Default::default() };
        let at = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        let event = api::Event {
            id: format!("{service}-{seq}"),
            actor: Some(actor),
            outcome: api::Outcome::Success.into(),
            occurred_at: at,
            recorded_at: at,
            service: service.to_owned(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            seq,
            ..Default::default()
        };
        Leaf::new(&event, "event").unwrap()
    }

    /// The locations found after entries of the registry with these numbers; 0 stands for content that is not there.
    fn found(whole: bool, numbers: &[i64]) -> Vec<String> {
        let (mut sequences, mut findings) = (Sequences::new(whole), Findings { found: Vec::new(), most: 100 });
        for (index, number) in (0..).zip(numbers) {
            match number {
                0 => sequences.skip(),
                seq => {
                    sequences.push(index, &leaf("registry", *seq, "registry.models.create", "models/a"), &mut findings)
                }
            }
        }
        sequences.finish(&mut findings);
        findings.found.into_iter().map(|finding| finding.location).collect()
    }

    #[test]
    fn what_was_taken_out_of_an_outbox_is_a_gap_and_what_was_pruned_is_none() {
        let none: [&str; 0] = [];
        assert_eq!(found(true, &[1, 2, 3]), none);
        assert_eq!(found(true, &[2, 3]), ["services/registry/events/1"]);
        assert_eq!(found(false, &[7, 8, 10]), ["services/registry/events/9"]);
        assert_eq!(found(true, &[1, 5, 3, 4]), ["services/registry/events/2"], "what came late is there");
        assert_eq!(found(true, &[0, 0, 3]), none);
        assert_eq!(found(true, &[0, 3]), ["services/registry/events/1"], "one entry was not two");
        assert_eq!(found(true, &[1, 2, 2]), ["entries/2"]);
        assert_eq!(found(true, &[1, i64::MAX]), ["services/registry/events/2"]);
    }

    #[test]
    fn what_was_set_aside_is_accounted_for_by_its_own_service_alone() {
        for (by, about, gap) in [
            ("registry", "registry-1", 0),
            ("registry", "scoring-1", 1),
            ("scoring", "registry-1", 1),
            ("crm", "registry-1", 1),
            ("registry", "registry-01", 1),
        ] {
            let (mut sequences, mut findings) = (Sequences::new(true), Findings { found: Vec::new(), most: 100 });
            sequences.push(0, &leaf("registry", 2, "registry.models.create", "models/a"), &mut findings);
            let number = if by == "registry" { 3 } else { 1 };
            sequences.push(1, &leaf(by, number, PARK, &format!("parkedEvents/{about}")), &mut findings);
            sequences.finish(&mut findings);
            assert_eq!(findings.found.len(), gap, "{about} by {by}");
        }
    }

    #[test]
    fn of_a_gap_that_is_accounted_for_in_part_the_rest_is_named() {
        let (mut sequences, mut findings) = (Sequences::new(true), Findings { found: Vec::new(), most: 100 });
        for (index, number) in (0..).zip([3, 5]) {
            sequences.push(
                index,
                &leaf("registry", 10 + number, PARK, &format!("parkedEvents/registry-{number}")),
                &mut findings,
            );
        }
        sequences.finish(&mut findings);
        let named: Vec<_> = findings.found.iter().map(|found| found.message.split(" of ").next().unwrap()).collect();
        assert_eq!(named, ["events 1 to 2", "event 4", "events 6 to 12", "event 14"]);
    }
}
