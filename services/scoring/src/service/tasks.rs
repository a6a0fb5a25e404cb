//! Single tasks: create, read, change, remove, rate, export.

use super::Service;
use crate::assessment::{Scope, engaged};
use crate::cache::{Rules, Written};
use crate::store::tasks::TaskRow;
use crate::store::{self, Head};
use crate::table::{SEEDED_AXES, Writer};
use crate::{evaluation, pattern, rating, task};
use futures::TryStreamExt as _;
use remit_api::council::v1 as council;
use remit_api::scoring::v1 as api;
use remit_api::wire::{Repeatable, Updatable as _, mask, time};
use remit_core::details::{Details as _, TaskRated};
use remit_core::name::{DecisionName, TaskName};
use remit_core::{AuditEvent, Error, Kind, Result, Tenant, Timestamp, etag, name};
use remit_policy::signatures::remarks;
use remit_runtime::{Answers, Cx, produce};
use remit_store::{Mutation, page};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;

/// How many bytes of CSV are sent at once, about.
const CHUNK: usize = 256 << 10;

/// What a reader saw: a task, removed or not, and the head at that moment.
pub(super) struct Seen {
    id: String,
    head: Head,
    row: Option<TaskRow>,
}

impl Seen {
    /// Locks the head for one change, and returns it with the task as it is now.
    pub(super) async fn claim(self, m: &mut Mutation) -> Result<(Head, Option<TaskRow>)> {
        let head = store::claim(m, 1, 0).await?;
        if head.revision == self.head.revision + 1 {
            return Ok((head, self.row));
        }
        let tenant = m.tenant().clone();
        Ok((head, store::tasks::find(m.tx(), &tenant, &self.id).await?.1))
    }
}

/// The task in a row, if it is in the inventory.
pub(super) fn present(row: Option<TaskRow>, name: &str) -> Result<TaskRow> {
    row.filter(|row| !row.removed).ok_or_else(|| Error::not_found("TASK_NOT_FOUND", name))
}

/// A row for a normalized task. A decision on the same content stays in force.
pub(super) fn row(
    id: &str,
    task: api::Task,
    before: Option<&TaskRow>,
    rules: &Rules,
    revision: i64,
    now: Timestamp,
) -> Result<TaskRow> {
    let digest = task::content_digest(&task)?;
    let stands = before.filter(|before| {
        before.state == api::TaskState::Decided
            && !before.removed
            && before.decided_digest == digest
            && before.decided_function_digest == rules.function(&task.function).1
    });
    let rated = || task::rated_state(&task::summaries(&task, &rules.policy), &rules.policy);
    Ok(TaskRow {
        id: id.to_owned(),
        removed: false,
        state: if stands.is_some() { api::TaskState::Decided } else { rated() },
        hours_per_year: task::hours_per_year(&task),
        content_digest: digest,
        decision_id: stands.map(|row| row.decision_id.clone()).unwrap_or_default(),
        pattern: stands.and_then(|row| row.pattern),
        // Kept although it no longer stands: a check then says that the decision is outdated, not missing.
        decided_digest: before.map(|row| row.decided_digest.clone()).unwrap_or_default(),
        decided_function_digest: stands.map(|row| row.decided_function_digest.clone()).unwrap_or_default(),
        decided_policy_digest: stands.map(|row| row.decided_policy_digest.clone()).unwrap_or_default(),
        revision,
        create_time: before.filter(|before| !before.removed).map_or(now, |before| before.create_time),
        update_time: now,
        task,
    })
}

/// The decision that was in force on a task before and is not after, if there is such.
pub(super) fn ended<'a>(before: &'a TaskRow, after: &TaskRow) -> Option<&'a str> {
    Some(before.decision_id.as_str()).filter(|id| !id.is_empty() && *id != after.decision_id)
}

/// The message of a row.
fn message(row: &TaskRow, rules: &Rules) -> api::Task {
    let summaries = task::summaries(&row.task, &rules.policy);
    let remarks = remarks(&evaluation::input(&row.task, rules.function(&row.task.function).0, &summaries));
    let remarks = remarks
        .into_iter()
        .map(|remark| api::TaskRemark { code: remark.code.to_owned(), message: remark.message.to_owned() });
    let summaries = summaries.into_iter().map(|(axis, summary)| api::AxisSummary {
        axis,
        median: summary.median,
        spread: summary.spread,
        raters: i32::try_from(summary.raters).unwrap_or(i32::MAX),
    });
    let decision = Some(&row.decision_id).filter(|id| !id.is_empty()).map(DecisionName::new);
    api::Task {
        name: row.name(),
        summaries: summaries.collect(),
        remarks: remarks.collect(),
        claimed_ratings: i32::try_from(rating::claimed(&row.task).count()).unwrap_or(i32::MAX),
        state: row.state.into(),
        decision: decision.map(|name| name.to_string()).unwrap_or_default(),
        pattern: pattern::number(row.pattern),
        hours_per_year: row.hours_per_year,
        content_digest: row.content_digest.clone(),
        create_time: Some(time::stamp(row.create_time)),
        update_time: Some(time::stamp(row.update_time)),
        etag: etag::of(row.revision),
        ..row.task.clone()
    }
}

/// Records the change of a task.
pub(super) fn record(m: &mut Mutation, name: &str, before: Option<&TaskRow>, after: Option<&TaskRow>) {
    record_with(m, name, before, after, |_| ());
}

fn record_with(
    m: &mut Mutation,
    name: &str,
    before: Option<&TaskRow>,
    after: Option<&TaskRow>,
    fill: impl FnOnce(&mut AuditEvent),
) {
    let digest = |row: Option<&TaskRow>| row.map(|row| row.content_digest.clone()).unwrap_or_default();
    m.record(name, |event| {
        (event.before_digest, event.after_digest) = (digest(before), digest(after));
        fill(event);
    });
}

/// Writes a task that was changed under the lock of `head`, and ends the decision that no longer stands.
async fn write(
    m: &mut Mutation,
    head: Head,
    before: Option<&TaskRow>,
    after: TaskRow,
    rules: Arc<Rules>,
    fill: impl FnOnce(&mut AuditEvent),
) -> Result<Written> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    store::tasks::put(m.tx(), &tenant, std::slice::from_ref(&after)).await?;
    let ended = before.and_then(|before| ended(before, &after));
    store::decisions::end(m.tx(), &tenant, ended.as_slice(), now).await?;
    record_with(m, &after.name(), before, Some(&after).filter(|after| !after.removed), fill);
    Ok(Written { head, changes: 1, rules, tasks: vec![(after, None)] })
}

impl Service {
    /// Reads a task before its change, so that the change need not hold others up while it reads. Whether it is as it
    /// was, the head tells.
    pub(super) async fn see(&self, tenant: &Tenant, id: &str) -> Result<Seen> {
        self.seed(tenant).await?;
        let (head, row) = store::tasks::find(&mut self.db.read().await?, tenant, id).await?;
        Ok(Seen { id: id.to_owned(), head, row })
    }

    pub(crate) async fn create_task(&self, cx: &Cx, request: api::CreateTaskRequest) -> Result<api::Task> {
        let given = request.task.clone().unwrap_or_default();
        task::check(&given)?;
        let name = TaskName::new(name::id(&request.task_id, "task_id")?);
        let (seen, mut written) = (self.see(&cx.tenant, &name.task).await?, None);
        let created = self
            .mutate(cx, &request, async |m| {
                let (head, before) = seen.claim(m).await?;
                if before.is_some_and(|before| !before.removed) {
                    return Err(Error::new(Kind::AlreadyExists, "TASK_EXISTS", format!("{name} exists already")));
                }
                let rules = self.rules.at(m.tx(), &cx.tenant, head).await?;
                let (mut task, now) = (given, m.now());
                task.ratings = rating::replace(&[], std::mem::take(&mut task.ratings), &cx.actor, now)?;
                task::normalize(&mut task, now);
                let after = row(&name.task, task, None, &rules, head.revision, now)?;
                let answer = message(&after, &rules);
                written = Some(write(m, head, None, after, rules, |_| ()).await?);
                Ok(answer)
            })
            .await?;
        self.caches.take(&cx.tenant, written).await;
        Ok(created)
    }

    pub(crate) async fn get_task(&self, cx: &Cx, request: api::GetTaskRequest) -> Result<api::Task> {
        self.seed(&cx.tenant).await?;
        let id = TaskName::parse(&request.name, "name")?.task;
        let mut tx = self.db.read().await?;
        let (head, row) = store::tasks::find(&mut tx, &cx.tenant, &id).await?;
        let row = present(row, &request.name)?;
        Ok(message(&row, self.rules.at(&mut tx, &cx.tenant, head).await?.as_ref()))
    }

    pub(crate) async fn list_tasks(&self, cx: &Cx, request: api::ListTasksRequest) -> Result<api::ListTasksResponse> {
        self.seed(&cx.tenant).await?;
        let size = page::size(request.page_size);
        let keyset = self.db.keyset(&cx.tenant, cx.method, &[&request.filter]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.snapshot().await?;
        let rows = store::tasks::list(&mut tx, &cx.tenant, &request.filter, after.as_deref(), size + 1).await?;
        let rules = self.rules(&mut tx, &cx.tenant).await?;
        let (rows, next_page_token) = keyset.cut(rows, size, |row| vec![row.id.as_str().into()]);
        Ok(api::ListTasksResponse { tasks: rows.iter().map(|row| message(row, &rules)).collect(), next_page_token })
    }

    pub(crate) async fn update_task(&self, cx: &Cx, request: api::UpdateTaskRequest) -> Result<api::Task> {
        let given = request.task.clone().unwrap_or_default();
        let name = TaskName::parse(&given.name, "task.name")?;
        let change = |before: &TaskRow, now: Timestamp| -> Result<api::Task> {
            etag::check(&given.etag, &etag::of(before.revision), &given.name)?;
            let mut task = mask::apply(&before.task, &given, request.update_mask.as_ref(), api::Task::UPDATABLE)?;
            let ratings = std::mem::take(&mut task.ratings);
            task.ratings = rating::replace(&before.task.ratings, ratings, &cx.actor, now)?;
            task::keep_times(&mut task, &before.task);
            Ok(task)
        };
        self.change_task(cx, &request, name, change, |_| ()).await
    }

    pub(crate) async fn rate_task(&self, cx: &Cx, request: api::RateTaskRequest) -> Result<api::Task> {
        let name = TaskName::parse(&request.name, "name")?;
        let rater = rating::rater(&request, &cx.actor)?;
        let entered_by = if rater == cx.actor.subject { String::new() } else { cx.actor.subject.clone() };
        let details = TaskRated { rater: rater.clone(), entered_by }.json();
        let given = api::Rating { rater, entered_by: String::new(), ..request.rating.clone().unwrap_or_default() };
        let change = |before: &TaskRow, now: Timestamp| -> Result<api::Task> {
            let mut task = before.task.clone();
            rating::put(&mut task.ratings, given, &cx.actor, now)?;
            Ok(task)
        };
        self.change_task(cx, &request, name, change, |event| event.details = details).await
    }

    async fn change_task<Q: Repeatable>(
        &self,
        cx: &Cx,
        request: &Q,
        name: TaskName,
        change: impl FnOnce(&TaskRow, Timestamp) -> Result<api::Task>,
        fill: impl FnOnce(&mut AuditEvent),
    ) -> Result<api::Task> {
        let (seen, mut written) = (self.see(&cx.tenant, &name.task).await?, None);
        let changed = self
            .mutate(cx, request, async |m| {
                let (head, before) = seen.claim(m).await?;
                let before = present(before, &name.to_string())?;
                let rules = self.rules.at(m.tx(), &cx.tenant, head).await?;
                let mut task = change(&before, m.now())?;
                task::check(&task)?;
                task::normalize(&mut task, m.now());
                if task == before.task {
                    return Ok(message(&before, &rules));
                }
                self.check_held(&cx.tenant, &before.task, &task)?;
                let after = row(&name.task, task, Some(&before), &rules, head.revision, m.now())?;
                let answer = message(&after, &rules);
                written = Some(write(m, head, Some(&before), after, rules, fill).await?);
                Ok(answer)
            })
            .await?;
        self.caches.take(&cx.tenant, written).await;
        Ok(changed)
    }

    /// Whether any hold stops work now.
    pub(super) fn any_hold(&self, tenant: &Tenant) -> bool {
        let now = self.db.now();
        self.caches.tenant(tenant).holds.with(|holds| holds.values().any(|hold| engaged(hold, now)))
    }

    /// Refuses to move a task out of the way of a hold: what one person stopped, no edit lets go on.
    ///
    /// # Errors
    /// `PermissionDenied` (`HOLD_ENGAGED`).
    pub(super) fn check_held(&self, tenant: &Tenant, before: &api::Task, after: &api::Task) -> Result<()> {
        let now = self.db.now();
        let covers = |task: &api::Task, hold: &council::Hold| {
            let scope = Scope { task: "", function: &task.function, model_version: "", gate: &task.gate };
            scope.covers(hold.scope.as_ref())
        };
        let left = self.caches.tenant(tenant).holds.with(|holds| {
            let left = |hold: &&council::Hold| engaged(hold, now) && covers(before, hold) && !covers(after, hold);
            holds.values().find(left).map(|hold| hold.name.clone())
        });
        match left {
            None => Ok(()),
            Some(hold) => {
                let what = format!("{hold} covers the task, and would not after this: lift it by a proposal first");
                Err(Error::denied("HOLD_ENGAGED", what))
            }
        }
    }

    pub(crate) async fn delete_task(&self, cx: &Cx, request: api::DeleteTaskRequest) -> Result<()> {
        let name = TaskName::parse(&request.name, "name")?;
        let (seen, mut written) = (self.see(&cx.tenant, &name.task).await?, None);
        self.mutate(cx, &request, async |m| {
            let (head, before) = seen.claim(m).await?;
            let before = present(before, &request.name)?;
            etag::check(&request.etag, &etag::of(before.revision), &request.name)?;
            let after = TaskRow {
                removed: true,
                state: api::TaskState::Unrated,
                pattern: None,
                decision_id: String::new(),
                revision: head.revision,
                update_time: m.now(),
                ..before.clone()
            };
            let rules = self.rules.at(m.tx(), &cx.tenant, head).await?;
            written = Some(write(m, head, Some(&before), after, rules, |_| ()).await?);
            Ok(())
        })
        .await?;
        self.caches.take(&cx.tenant, written).await;
        Ok(())
    }

    /// Sends the inventory as CSV in pieces; ends early if nobody listens any more.
    pub(crate) fn export_tasks(&self, cx: &Cx, request: api::ExportTasksRequest) -> Answers<api::ExportTasksResponse> {
        let (service, tenant) = (self.clone(), cx.tenant.clone());
        produce(|pieces| async move { service.send_tasks(&tenant, &request.filter, &pieces).await })
    }

    async fn send_tasks(
        &self,
        tenant: &Tenant,
        filter: &str,
        pieces: &mpsc::Sender<Result<api::ExportTasksResponse>>,
    ) -> Result<()> {
        self.seed(tenant).await?;
        let mut tx = self.db.snapshot().await?;
        // The header must name every axis, so the axes are collected before the first row is written.
        let mut axes = BTreeSet::new();
        {
            let mut rows = store::tasks::stream(&mut tx, tenant, filter)?;
            while let Some(row) = rows.try_next().await? {
                axes.extend(row.task.ratings.into_iter().flat_map(|rating| rating.scores.into_keys()));
            }
        }
        axes.retain(|axis| !SEEDED_AXES.contains(&axis.as_str()));
        let mut writer = Writer::new(axes.into_iter().collect())?;
        let mut rows = store::tasks::stream(&mut tx, tenant, filter)?;
        let mut size = 0;
        while let Some(row) = rows.try_next().await? {
            let task = api::Task { name: row.name(), state: row.state.into(), ..row.task };
            writer.task(&task)?;
            // An estimate is enough to bound a piece: texts are bounded, and a task has at most 50 ratings.
            size += 300 + (task.title.len() + task.description.len() + 600) * task.ratings.len().max(1);
            if size >= CHUNK {
                size = 0;
                let piece = api::ExportTasksResponse { chunk: writer.take()? };
                if pieces.send(Ok(piece)).await.is_err() {
                    return Ok(());
                }
            }
        }
        let _ = pieces.send(Ok(api::ExportTasksResponse { chunk: writer.take()? })).await;
        Ok(())
    }
}
