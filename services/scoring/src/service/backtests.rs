//! Backtests: a candidate policy tried on the decisions on record.

use super::{Service, policies};
use crate::replay::Replay;
use crate::store;
use crate::store::backtests::Backtests;
use futures::TryStreamExt as _;
use remit_api::scoring::v1 as api;
use remit_core::details::{Details as _, PolicyBacktested};
use remit_core::name::BacktestName;
use remit_core::{Error, Result};
use remit_runtime::{Answers, Cx, produce};
use remit_store::{Call, Records as _};
use tokio::sync::mpsc;

/// How many decisions are replayed between two messages of progress.
const STEP: i64 = 5_000;

impl Service {
    /// Replays, sends progress, stores the result and sends it last.
    pub(crate) fn backtest_policy(
        &self,
        cx: &Cx,
        request: api::BacktestPolicyRequest,
    ) -> Answers<api::BacktestPolicyResponse> {
        let (service, cx) = (self.clone(), cx.clone());
        produce(|messages| async move {
            let Some(backtest) = service.backtest(&cx, &request, &messages).await? else { return Ok(()) };
            let total = backtest.decisions;
            let last = api::BacktestPolicyResponse { done: total, total, backtest: Some(backtest) };
            let _ = messages.send(Ok(last)).await;
            Ok(())
        })
    }

    /// The stored result; none if nobody listens any more.
    async fn backtest(
        &self,
        cx: &Cx,
        request: &api::BacktestPolicyRequest,
        messages: &mpsc::Sender<Result<api::BacktestPolicyResponse>>,
    ) -> Result<Option<api::Backtest>> {
        let (tenant, call) = (&cx.tenant, cx.call(request));
        self.seed(tenant).await?;
        if let Some(answer) = self.answered(&call).await? {
            return Ok(Some(answer));
        }
        let mut tx = self.db.snapshot().await?;
        let candidate = policies::find(&mut tx, tenant, &request.name, "name").await?;
        let policy = self.rules.compiled(&candidate)?;
        let active = self.rules(&mut tx, tenant).await?.policy.clone();
        let all = request.include_superseded;
        let total = store::decisions::count_for_replay(&mut tx, tenant, &request.filter, all).await?;
        let mut replay = Replay::new(&policy, request.largest);
        let mut decisions = store::decisions::stream_for_replay(&mut tx, tenant, &request.filter, all)?;
        while let Some(decision) = decisions.try_next().await? {
            replay.add(&decision);
            if replay.done % STEP == 0 {
                let message = api::BacktestPolicyResponse { done: replay.done, total, backtest: None };
                if messages.send(Ok(message)).await.is_err() {
                    return Ok(None);
                }
                tokio::task::yield_now().await;
            }
        }
        drop(decisions);
        drop(tx);
        let stored = self
            .db
            .mutate(&call, async |m| {
                let result = replay.result(&active, &request.filter, &cx.actor.subject, m.now());
                let mut backtest = api::Backtest { name: BacktestName::new(m.new_id()).to_string(), ..result };
                Backtests::insert(m, &mut backtest).await?;
                m.record(&backtest.name, |event| {
                    event.policy_version.clone_from(&backtest.policy);
                    event.after_digest.clone_from(&backtest.digest);
                    event.details = PolicyBacktested {
                        decisions: backtest.decisions,
                        toward_ai: backtest.toward_ai,
                        toward_human: backtest.toward_human,
                    }
                    .json();
                });
                Ok(backtest)
            })
            .await?;
        Ok(Some(stored))
    }

    /// The first answer to a repeated request, so that nothing is replayed for it again.
    async fn answered(&self, call: &Call) -> Result<Option<api::Backtest>> {
        let mut fresh = call.request_id.is_empty();
        if fresh {
            return Ok(None);
        }
        // What is fresh fails here, which undoes the claim of its id.
        let first = self.db.mutate(call, async |_| {
            fresh = true;
            Err(Error::internal("a backtest has no answer before its replay"))
        });
        let first = first.await;
        if fresh { Ok(None) } else { first.map(Some) }
    }

    pub(crate) async fn get_backtest(&self, cx: &Cx, request: api::GetBacktestRequest) -> Result<api::Backtest> {
        BacktestName::parse(&request.name, "name")?;
        Backtests::get(&mut self.db.read().await?, &cx.tenant, &request.name).await
    }

    pub(crate) async fn list_backtests(
        &self,
        cx: &Cx,
        request: api::ListBacktestsRequest,
    ) -> Result<api::ListBacktestsResponse> {
        let (backtests, next_page_token) = Backtests::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(api::ListBacktestsResponse { backtests, next_page_token })
    }
}
