//! Answering questions about rollups, once or as they change.

use super::query::{self, Question};
use super::{Kpis, ingest, micros, span};
use crate::calendar::Span;
use crate::definition::Definition;
use crate::dimensions::Dimensions;
use futures::{Stream, StreamExt as _};
use remit_api::kpi::v1::{
    QueryRollupsRequest, QueryRollupsResponse, Rollup, WatchRollupsRequest, WatchRollupsResponse,
};
use remit_api::types::WatchPhase;
use remit_core::{Error, Result, Tenant};
use remit_runtime::watch;
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// How far ahead of the clock a watch looks, since events may be a day ahead.
const AHEAD: i64 = 86_400_000_000;

impl Kpis {
    /// Returns rollups by period and dimension.
    ///
    /// # Errors
    /// `NotFound` (`KPI_UNKNOWN`), `InvalidArgument` naming the field, `ResourceExhausted`
    /// (`RESULT_TOO_LARGE`).
    pub async fn query_rollups(&self, tenant: &Tenant, request: &QueryRollupsRequest) -> Result<QueryRollupsResponse> {
        self.ready(tenant).await?;
        let span = span(request.range.as_ref(), "range")?;
        let mut tx = self.db.snapshot().await?;
        let definition = self.definition(&mut tx, tenant, &request.kpi, "kpi").await?;
        let question = Question::periods(&definition, span, request.granularity(), &request.group_by, &request.filter)?;
        let mut cells = query::cells(&mut tx, tenant, &definition, &question).await?;
        if request.omit_empty {
            cells.retain(|cell| cell.summary.n() > 0);
        }
        let now = self.clock.now().0;
        let rollups = query::present(&mut tx, tenant, &definition, &question, cells, now).await?;
        Ok(QueryRollupsResponse { rollups, kpi: Some(definition.kpi) })
    }

    /// Watches the rollups of a KPI.
    ///
    /// # Errors
    /// `NotFound` (`KPI_UNKNOWN`), `InvalidArgument` naming the field; later errors end the stream.
    pub async fn watch_rollups(
        &self,
        tenant: &Tenant,
        request: WatchRollupsRequest,
        shutdown: CancellationToken,
    ) -> Result<impl Stream<Item = Result<WatchRollupsResponse>> + Send + 'static + use<>> {
        self.ready(tenant).await?;
        let mut tx = self.db.read().await?;
        let definition = self.definition(&mut tx, tenant, &request.kpi, "kpi").await?;
        drop(tx);
        let start = match request.start_time {
            Some(time) => micros(time, "start_time")?,
            None => self.clock.now().0,
        };
        let start = definition.calendar.period(request.granularity(), start).start;
        let window = Window { kpis: self.clone(), tenant: tenant.clone(), request, start, sent: BTreeMap::new() };
        // Refused here rather than in the stream.
        window.question(&definition)?;
        let cursor = window.request.cursor.clone();
        let changes = watch::stream(self.db.clone(), tenant.clone(), ingest::FEED, &cursor, shutdown)?;
        let (sender, receiver) = mpsc::channel(64);
        tokio::spawn(window.run(definition.id, changes, cursor.is_empty(), sender));
        Ok(ReceiverStream::new(receiver))
    }
}

/// The rollups that one watcher sees, and what was sent of them.
struct Window {
    kpis: Kpis,
    tenant: Tenant,
    request: WatchRollupsRequest,
    start: i64,
    sent: BTreeMap<(i64, Dimensions), Rollup>,
}

type Sender = mpsc::Sender<Result<WatchRollupsResponse>>;

impl Window {
    fn question(&self, definition: &Definition) -> Result<Question> {
        let span = Span { start: self.start, end: (self.kpis.clock.now().0 + AHEAD).max(self.start + 1) };
        let granularity = self.request.granularity();
        Question::periods(definition, span, granularity, &self.request.group_by, &self.request.filter)
    }

    async fn run(
        mut self,
        kpi_id: String,
        changes: impl Stream<Item = Result<watch::Watched>> + Send,
        mut snapshot: bool,
        sender: Sender,
    ) {
        let mut changes = std::pin::pin!(changes);
        while let Some(change) = changes.next().await {
            let going = match change {
                Err(error) => Err(error),
                Ok(change) => match change.phase {
                    WatchPhase::SnapshotDone => {
                        snapshot = false;
                        match self.send_new(WatchPhase::Snapshot, &change.cursor, &sender).await {
                            Ok(true) => Ok(send(&sender, WatchPhase::SnapshotDone, &change.cursor, None).await),
                            other => other,
                        }
                    }
                    WatchPhase::Change if change.key == kpi_id => {
                        self.send_new(WatchPhase::Change, &change.cursor, &sender).await
                    }
                    WatchPhase::Heartbeat => Ok(send(&sender, WatchPhase::Heartbeat, &change.cursor, None).await),
                    _ => Ok(true),
                },
            };
            match going {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    // The reader may be gone already; then nobody needs the reason.
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            }
        }
        if snapshot {
            let _ = sender.send(Err(Error::internal("the feed ended before its snapshot"))).await;
        }
    }

    /// Sends the rollups that differ from what was sent; false if the reader is gone.
    async fn send_new(&mut self, phase: WatchPhase, cursor: &str, sender: &Sender) -> Result<bool> {
        let mut tx = self.kpis.db.snapshot().await?;
        let definition = self.kpis.definition(&mut tx, &self.tenant, &self.request.kpi, "kpi").await?;
        let question = self.question(&definition)?;
        let cells = query::cells(&mut tx, &self.tenant, &definition, &question).await?;
        drop(tx);
        let now = self.kpis.clock.now().0;
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
