//! Answering questions about rollups, once or as they change.

use super::experiments::check_hidden;
use super::query::{self, Question};
use super::{Service, ingest};
use crate::calendar::Span;
use crate::definition::Definition;
use crate::dimensions::Dimensions;
use crate::store::kpis::definition;
use futures::{Stream, StreamExt as _};
use remit_api::kpi::v1::{
    QueryRollupsRequest, QueryRollupsResponse, Rollup, WatchRollupsRequest, WatchRollupsResponse,
};
use remit_api::types::WatchPhase;
use remit_api::wire::{range, time};
use remit_core::{Error, Result, Tenant};
use remit_runtime::{Answers, Cx, produce, watch};
use remit_store::Db;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// How far ahead of the clock a watch looks, since events may be a day ahead.
const AHEAD: i64 = 86_400_000_000;

impl Service {
    /// Returns rollups by period and dimension.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `InvalidArgument` naming the field, `ResourceExhausted`
    /// (`RESULT_TOO_LARGE`), `FailedPrecondition` (`EXPERIMENT_RUNNING`).
    pub(crate) async fn query_rollups(&self, cx: &Cx, request: QueryRollupsRequest) -> Result<QueryRollupsResponse> {
        let span = range::closed(request.range.as_ref(), "range")?.into();
        let mut tx = self.snapshot(cx).await?;
        let definition = definition(&mut tx, &cx.tenant, &request.kpi, "kpi").await?;
        let granularity = request.granularity();
        let mut question = Question::periods(&definition, span, granularity, &request.group_by, &request.filter)?;
        let now = self.db.now().0;
        check_hidden(&mut tx, &cx.tenant, &definition, &question, now).await?;
        let top = usize::try_from(request.top).unwrap_or(0);
        let mut ranks = Vec::new();
        if top > 0 {
            ranks = query::largest(&mut tx, &cx.tenant, &definition, &question, top).await?;
            question.only = Some(ranks.iter().cloned().collect());
        }
        let mut cells = query::cells(&mut tx, &cx.tenant, &definition, &question).await?;
        if top > 0 {
            let rank = |cell: &query::Cell| ranks.iter().position(|group| *group == cell.group);
            cells.sort_by_key(|cell| (cell.span.start, rank(cell)));
        }
        if request.omit_empty {
            cells.retain(|cell| cell.summary.n() > 0);
        }
        let rollups = query::present(&mut tx, &cx.tenant, &definition, &question, cells, now).await?;
        Ok(QueryRollupsResponse { rollups, kpi: Some(definition.kpi) })
    }

    /// Watches the rollups of a KPI.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `InvalidArgument` naming the field; later errors end the stream.
    pub(crate) async fn watch_rollups(
        &self,
        cx: &Cx,
        request: WatchRollupsRequest,
    ) -> Result<Answers<WatchRollupsResponse>> {
        let start = request.start_time.map(|at| time::parse(&at, "start_time")).transpose()?;
        let definition = definition(&mut self.read(cx).await?, &cx.tenant, &request.kpi, "kpi").await?;
        let start = start.unwrap_or_else(|| self.db.now());
        let start = definition.calendar.period(request.granularity(), start.0).start;
        let (db, tenant) = (self.db.clone(), cx.tenant.clone());
        let window = Window { db, tenant, request, start, sent: BTreeMap::new() };
        // Refused here rather than in the stream.
        let question = window.question(&definition)?;
        check_hidden(&mut self.read(cx).await?, &cx.tenant, &definition, &question, self.db.now().0).await?;
        let (db, tenant, cursor) = (self.db.clone(), cx.tenant.clone(), &window.request.cursor);
        let changes = watch::stream(db, tenant, ingest::FEED, cursor, self.shutdown.clone())?;
        Ok(produce(|sender| window.run(definition.id, changes, sender)))
    }
}

/// The rollups that one watcher sees, and what was sent of them.
struct Window {
    db: Db,
    tenant: Tenant,
    request: WatchRollupsRequest,
    start: i64,
    sent: BTreeMap<(i64, Dimensions), Rollup>,
}

type Sender = mpsc::Sender<Result<WatchRollupsResponse>>;

impl Window {
    fn question(&self, definition: &Definition) -> Result<Question> {
        let span = Span { start: self.start, end: (self.db.now().0 + AHEAD).max(self.start + 1) };
        let granularity = self.request.granularity();
        Question::periods(definition, span, granularity, &self.request.group_by, &self.request.filter)
    }

    /// Sends until the feed ends or the reader is gone, which is success.
    async fn run(
        mut self,
        kpi_id: String,
        changes: impl Stream<Item = Result<watch::Watched>> + Send,
        sender: Sender,
    ) -> Result<()> {
        let mut snapshot = self.request.cursor.is_empty();
        let mut changes = std::pin::pin!(changes);
        while let Some(change) = changes.next().await {
            let change = change?;
            let going = match change.phase {
                WatchPhase::SnapshotDone => {
                    snapshot = false;
                    self.send_new(WatchPhase::Snapshot, &change.cursor, &sender).await?
                        && send(&sender, WatchPhase::SnapshotDone, &change.cursor, None).await
                }
                WatchPhase::Change if change.key == kpi_id => {
                    self.send_new(WatchPhase::Change, &change.cursor, &sender).await?
                }
                WatchPhase::Heartbeat => send(&sender, WatchPhase::Heartbeat, &change.cursor, None).await,
                _ => true,
            };
            if !going {
                return Ok(());
            }
        }
        if snapshot { Err(Error::internal("the feed ended before its snapshot")) } else { Ok(()) }
    }

    /// Sends the rollups that differ from what was sent; false if the reader is gone.
    async fn send_new(&mut self, phase: WatchPhase, cursor: &str, sender: &Sender) -> Result<bool> {
        let mut tx = self.db.snapshot().await?;
        let definition = definition(&mut tx, &self.tenant, &self.request.kpi, "kpi").await?;
        let question = self.question(&definition)?;
        let now = self.db.now().0;
        // An experiment may have been registered since.
        check_hidden(&mut tx, &self.tenant, &definition, &question, now).await?;
        let cells = query::cells(&mut tx, &self.tenant, &definition, &question).await?;
        drop(tx);
        for cell in cells.into_iter().filter(|cell| cell.summary.updated_at > 0) {
            let rollup = cell.rollup(&definition, now);
            let key = (cell.span.start, cell.group);
            if self.sent.get(&key) == Some(&rollup) {
                continue;
            }
            if !send(sender, phase, cursor, Some(rollup.clone())).await {
                return Ok(false);
            }
            self.sent.insert(key, rollup);
        }
        Ok(true)
    }
}

async fn send(sender: &Sender, phase: WatchPhase, cursor: &str, rollup: Option<Rollup>) -> bool {
    // A stream that breaks within the snapshot has no cursor to resume from but the beginning.
    let cursor = if phase == WatchPhase::Snapshot { String::new() } else { cursor.to_owned() };
    sender.send(Ok(WatchRollupsResponse { phase: phase.into(), cursor, rollup })).await.is_ok()
}
