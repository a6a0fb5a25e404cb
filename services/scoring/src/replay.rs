//! What a candidate policy would have made of the decisions on record (R12).

use crate::pattern;
use prost::Message as _;
use remit_api::scoring::v1 as api;
use remit_api::wire::time;
use remit_core::Timestamp;
use remit_policy::{Input, Milli, Pattern, Policy};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// How many decisions are named of those that cannot be replayed for one reason.
const EXAMPLES: usize = 20;

/// What is counted while decisions pass by; its size does not grow with their number.
pub(crate) struct Replay<'a> {
    policy: &'a Policy,
    largest: usize,
    pub(crate) done: i64,
    unchanged: i64,
    shifts: BTreeMap<(Pattern, Pattern), i64>,
    missing: BTreeMap<&'static str, (i64, Vec<String>)>,
    toward_ai: Vec<api::BacktestChange>,
    toward_human: Vec<api::BacktestChange>,
    moves: Sha256,
}

impl<'a> Replay<'a> {
    /// Replays through `policy`, and names at most `largest` moves in each direction; 0 means 20.
    pub(crate) fn new(policy: &'a Policy, largest: i32) -> Self {
        Self {
            policy,
            largest: usize::try_from(largest).ok().filter(|largest| *largest > 0).unwrap_or(20),
            done: 0,
            unchanged: 0,
            shifts: BTreeMap::new(),
            missing: BTreeMap::new(),
            toward_ai: Vec::new(),
            toward_human: Vec::new(),
            moves: Sha256::new(),
        }
    }

    /// Takes a decision in.
    pub(crate) fn add(&mut self, decision: &api::Decision) {
        self.done += 1;
        let recorded = decision.evaluation.as_ref();
        let before = recorded.and_then(|evaluation| pattern::of(evaluation.pattern()));
        let input: Option<Input> = serde_json::from_str(&decision.inputs_json).ok();
        let (Some(before), Some(input)) = (before, input) else {
            return self.not_replayable("INPUTS_UNREADABLE", decision);
        };
        let after = match self.policy.evaluate(&input) {
            Ok(after) => after,
            Err(error) => return self.not_replayable(error.reason(), decision),
        };
        // Every single move is part of the digest, also those that no list shows.
        self.moves.update(decision.name.as_bytes());
        self.moves.update([b' ', before as u8, after.pattern as u8, b'\n']);
        if before == after.pattern {
            self.unchanged += 1;
            return;
        }
        *self.shifts.entry((before, after.pattern)).or_default() += 1;
        let change = api::BacktestChange {
            task: decision.task.clone(),
            decision: decision.name.clone(),
            title: decision.title.clone(),
            before: pattern::message(before).into(),
            after: pattern::message(after.pattern).into(),
            hours_per_year: decision.hours_per_year,
            score_before: recorded.map_or(0.0, |evaluation| evaluation.score),
            score_after: Milli::to_f64(after.score),
        };
        let list = if after.pattern > before { &mut self.toward_ai } else { &mut self.toward_human };
        let place = list.partition_point(|other| {
            other.hours_per_year > change.hours_per_year
                || (other.hours_per_year == change.hours_per_year && other.task <= change.task)
        });
        if place < self.largest {
            list.insert(place, change);
            list.truncate(self.largest);
        }
    }

    fn not_replayable(&mut self, reason: &'static str, decision: &api::Decision) {
        let (count, examples) = self.missing.entry(reason).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(decision.name.clone());
        }
        self.moves.update(decision.name.as_bytes());
        self.moves.update(reason.as_bytes());
    }

    fn sum(&self, toward_ai: bool) -> i64 {
        self.shifts.iter().filter(|((from, to), _)| (to > from) == toward_ai).map(|(_, n)| n).sum()
    }

    /// The result, in which every move that was seen has its part in the digest.
    pub(crate) fn result(self, active: &Policy, filter: &str, creator: &str, now: Timestamp) -> api::Backtest {
        let (toward_ai, toward_human) = (self.sum(true), self.sum(false));
        let mut backtest = api::Backtest {
            name: String::new(),
            policy: self.policy.name(),
            policy_digest: self.policy.digest().to_owned(),
            active_policy: active.name(),
            active_policy_digest: active.digest().to_owned(),
            filter: filter.to_owned(),
            decisions: self.done,
            unchanged: self.unchanged,
            toward_ai,
            toward_human,
            not_replayable: self
                .missing
                .into_iter()
                .map(|(reason, (count, examples))| api::NotReplayable { reason: reason.to_owned(), count, examples })
                .collect(),
            shifts: pattern::shifts(self.shifts),
            largest_toward_ai: self.toward_ai,
            largest_toward_human: self.toward_human,
            digest: String::new(),
            create_time: Some(time::stamp(now)),
            creator: creator.to_owned(),
        };
        let mut digest = Sha256::new();
        digest.update(backtest.encode_to_vec());
        digest.update(self.moves.finalize());
        backtest.digest = format!("sha256:{}", hex::encode(digest.finalize()));
        backtest
    }
}
