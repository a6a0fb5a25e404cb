//! Backtests: what a candidate policy would have made of the decisions on record (R12).

use super::Scoring;
use crate::{convert, store};
use futures::TryStreamExt as _;
use prost::Message as _;
use remit_api::scoring::v1 as api;
use remit_core::{Error, Result, Tenant, name};
use remit_policy::{Input, Milli, Pattern, Policy};
use remit_runtime::{Started, begin, finish};
use remit_store::{Call, page};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// How many decisions are replayed between two messages of progress.
const STEP: i64 = 5_000;
const EXAMPLES: usize = 20;

/// What is counted while decisions pass by; its size does not grow with their number.
struct Replay<'a> {
    policy: &'a Policy,
    largest: usize,
    done: i64,
    unchanged: i64,
    shifts: BTreeMap<(Pattern, Pattern), i64>,
    missing: BTreeMap<&'static str, (i64, Vec<String>)>,
    toward_ai: Vec<api::BacktestChange>,
    toward_human: Vec<api::BacktestChange>,
    moves: Sha256,
}

impl Replay<'_> {
    fn add(&mut self, decision: &api::Decision) {
        self.done += 1;
        let recorded = decision.evaluation.as_ref();
        let before = recorded.map(|evaluation| evaluation.pattern().as_str_name());
        let before = before.and_then(|name| Pattern::parse(convert::short(name, "AUTONOMY_PATTERN_")));
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
            before: convert::pattern(before).into(),
            after: convert::pattern(after.pattern).into(),
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
}

impl Scoring {
    /// Replays, sends progress, stores the result and sends it last.
    pub(crate) async fn backtest(
        &self,
        call: &Call,
        request: &api::BacktestPolicyRequest,
        progress: &mpsc::Sender<Result<api::BacktestPolicyResponse>>,
    ) -> Result<()> {
        self.seed(&call.tenant).await?;
        let tenant = &call.tenant;
        if let Some(answer) = self.answered(call).await? {
            let total = answer.decisions;
            let last = api::BacktestPolicyResponse { done: total, total, backtest: Some(answer) };
            let _ = progress.send(Ok(last)).await;
            return Ok(());
        }
        let backtest = {
            let mut tx = self.db.snapshot().await?;
            let candidate = super::policy::find(&mut tx, tenant, &request.name, "name").await?;
            let policy = self.compiled(&candidate)?;
            let active = self.rules(&mut tx, tenant).await?.policy;
            let all = request.include_superseded;
            let total = store::decisions::count_for_replay(&mut tx, tenant, &request.filter, all).await?;
            let mut replay = Replay {
                policy: &policy,
                largest: if request.largest == 0 { 20 } else { usize::try_from(request.largest).unwrap_or(20) },
                done: 0,
                unchanged: 0,
                shifts: BTreeMap::new(),
                missing: BTreeMap::new(),
                toward_ai: Vec::new(),
                toward_human: Vec::new(),
                moves: Sha256::new(),
            };
            let mut decisions = store::decisions::stream_for_replay(&mut tx, tenant, &request.filter, all)?;
            while let Some(decision) = decisions.try_next().await? {
                replay.add(&decision);
                if replay.done % STEP == 0 {
                    let message = api::BacktestPolicyResponse { done: replay.done, total, backtest: None };
                    if progress.send(Ok(message)).await.is_err() {
                        return Ok(());
                    }
                    tokio::task::yield_now().await;
                }
            }
            result(replay, &active, call, request)
        };
        let mut mutation = match begin::<api::Backtest>(&self.db, call).await? {
            Started::Replay(answer) => {
                let total = answer.decisions;
                let last = api::BacktestPolicyResponse { done: total, total, backtest: Some(answer) };
                let _ = progress.send(Ok(last)).await;
                return Ok(());
            }
            Started::Fresh(mutation) => mutation,
        };
        let id = mutation.new_id();
        let backtest = api::Backtest { name: format!("backtests/{id}"), ..backtest };
        store::policies::insert_backtest(mutation.tx(), tenant, &id, &backtest, call.now).await?;
        let mut event = mutation.event(call.method, &backtest.name);
        event.policy_version.clone_from(&backtest.policy);
        event.after_digest.clone_from(&backtest.digest);
        event.details = serde_json::json!({
            "decisions": backtest.decisions,
            "toward_ai": backtest.toward_ai,
            "toward_human": backtest.toward_human,
        });
        mutation.record(event);
        let backtest = finish(mutation, backtest).await?;
        let total = backtest.decisions;
        let _ = progress.send(Ok(api::BacktestPolicyResponse { done: total, total, backtest: Some(backtest) })).await;
        Ok(())
    }

    /// The first answer to a repeated request, so that nothing is replayed for it again.
    async fn answered(&self, call: &Call) -> Result<Option<api::Backtest>> {
        if call.request_id.is_empty() {
            return Ok(None);
        }
        // A fresh mutation is dropped here, which undoes the claim.
        match begin::<api::Backtest>(&self.db, call).await? {
            Started::Replay(answer) => Ok(Some(answer)),
            Started::Fresh(_) => Ok(None),
        }
    }

    pub(crate) async fn get_backtest(&self, tenant: &Tenant, backtest_name: &str) -> Result<api::Backtest> {
        let [id] = name::ids::<1>(backtest_name, "backtests/*", "name")?;
        let found = store::policies::find_backtest(&mut self.db.read().await?, tenant, id).await?;
        found.ok_or_else(|| Error::not_found("BACKTEST_NOT_FOUND", backtest_name))
    }

    pub(crate) async fn list_backtests(
        &self,
        tenant: &Tenant,
        request: &api::ListBacktestsRequest,
    ) -> Result<api::ListBacktestsResponse> {
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(tenant, "scoring.backtests.list", &[]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = store::policies::list_backtests(&mut tx, tenant, after.as_deref(), size + 1).await?;
        let id = |backtest: &api::Backtest| backtest.name.strip_prefix("backtests/").unwrap_or_default().to_owned();
        let (rows, next_page_token) =
            keyset.cut(rows, size, |(backtest, at)| vec![at.micros().into(), id(backtest).into()]);
        let backtests = rows.into_iter().map(|(backtest, _)| backtest).collect();
        Ok(api::ListBacktestsResponse { backtests, next_page_token })
    }
}

fn result(replay: Replay<'_>, active: &Policy, call: &Call, request: &api::BacktestPolicyRequest) -> api::Backtest {
    let (toward_ai, toward_human) = (replay.sum(true), replay.sum(false));
    let mut backtest = api::Backtest {
        name: String::new(),
        policy: replay.policy.name(),
        policy_digest: replay.policy.digest().to_owned(),
        active_policy: active.name(),
        active_policy_digest: active.digest().to_owned(),
        filter: request.filter.clone(),
        decisions: replay.done,
        unchanged: replay.unchanged,
        toward_ai,
        toward_human,
        not_replayable: replay
            .missing
            .into_iter()
            .map(|(reason, (count, examples))| api::NotReplayable { reason: reason.to_owned(), count, examples })
            .collect(),
        shifts: replay
            .shifts
            .into_iter()
            .map(|((from, to), count)| api::PatternShift {
                from: convert::pattern(from).into(),
                to: convert::pattern(to).into(),
                count,
            })
            .collect(),
        largest_toward_ai: replay.toward_ai,
        largest_toward_human: replay.toward_human,
        digest: String::new(),
        create_time: Some(convert::time(call.now)),
        creator: call.actor.subject.clone(),
    };
    let mut digest = Sha256::new();
    digest.update(backtest.encode_to_vec());
    digest.update(replay.moves.finalize());
    backtest.digest = format!("sha256:{}", hex::encode(digest.finalize()));
    backtest
}
