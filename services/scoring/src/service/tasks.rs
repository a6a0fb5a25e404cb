//! Single tasks: create, read, change, remove, rate, export.

use super::Service;
use crate::assessment::{Scope, engaged};
use crate::cache::{Freshness, Rules, Written};
use crate::store::tasks::TaskRow;
use crate::store::{self, Head};
use crate::table::{SEEDED_AXES, Writer};
use crate::tags::{self, How};
use crate::{evaluation, pattern, rating, task};
use futures::TryStreamExt as _;
use remit_api::council::v1 as council;
use remit_api::scoring::v1 as api;
use remit_api::wire::{Repeatable, Updatable as _, mask, time};
use remit_core::details::{Details as _, TaskChanged, TaskRated};
use remit_core::name::{DecisionName, TaskName};
use remit_core::{Error, Kind, Result, Tenant, Timestamp, etag, name};
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

/// Refuses a function that the tenant does not have: with a typing error in it a task would be out of reach of the holds
/// and of the signals of the function that was meant.
pub(super) fn known_function(rules: &Rules, function: &str) -> Result<()> {
    if function.is_empty() || rules.function(function).0.is_some() {
        return Ok(());
    }
    let known = not_known(function, rules.functions().map(|function| function.name.as_str()));
    let text = format!("{known}; or make it with UpdateFunction and allow_missing");
    Err(Error::new(Kind::NotFound, "FUNCTION_NOT_FOUND", text))
}

/// The most names that a message lists.
const LISTED: usize = 30;

/// Says of a name that it is none of those that there are.
pub(super) fn not_known<'a>(name: &str, there: impl Iterator<Item = &'a str>) -> String {
    let there: Vec<&str> = there.collect();
    let shown = there.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    match there.len() {
        0 => format!("{name} is not known, and there is none yet"),
        all if all > LISTED => format!("{name} is not known: correct the id; of the {all} that there are: {shown}"),
        _ => format!("{name} is not known: correct the id; there are {shown}"),
    }
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

/// Records the change of a task. `before` may be one that was deleted.
pub(super) fn record(m: &mut Mutation, name: &str, before: Option<&TaskRow>, after: Option<&TaskRow>) {
    record_with(m, name, before, after, after.map(|after| changed(before, after)));
}

fn record_with(
    m: &mut Mutation,
    name: &str,
    before: Option<&TaskRow>,
    after: Option<&TaskRow>,
    details: Option<serde_json::Value>,
) {
    let digest = |row: Option<&TaskRow>| row.map(|row| row.content_digest.clone()).unwrap_or_default();
    m.record(name, |event| {
        (event.before_digest, event.after_digest) = (digest(before.filter(|before| !before.removed)), digest(after));
        event.details = details.unwrap_or_default();
    });
}

/// What the log says of a task that was created or changed.
fn changed(before: Option<&TaskRow>, after: &TaskRow) -> serde_json::Value {
    let loosened = before.map(|before| tags::compare(&before.task, &after.task).loosened().to_vec());
    TaskChanged {
        loosened: loosened.unwrap_or_default(),
        tags_claimed_by: after.task.tags_claimed_by.clone(),
        restored: before.is_some_and(|before| before.removed),
    }
    .json()
}

/// Writes a task that was changed under the lock of `head`, and ends the decision that no longer stands.
async fn write(
    m: &mut Mutation,
    head: Head,
    before: Option<&TaskRow>,
    after: TaskRow,
    rules: Arc<Rules>,
    details: Option<serde_json::Value>,
) -> Result<Written> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    store::tasks::put(m.tx(), &tenant, std::slice::from_ref(&after)).await?;
    let ended = before.and_then(|before| ended(before, &after));
    store::decisions::end(m.tx(), &tenant, ended.as_slice(), now).await?;
    let present = Some(&after).filter(|after| !after.removed);
    let details = details.or_else(|| present.map(|after| changed(before, after)));
    record_with(m, &after.name(), before, present, details);
    Ok(Written { head, changes: 1, rules, tasks: vec![(after, None)] })
}

impl Service {
    /// Waits a little for the first word of the council about holds, where a task may leave what one stops.
    pub(super) async fn hear_holds(&self, tenant: &Tenant) {
        let cache = self.caches.tenant(tenant);
        if !cache.holds.is_ready() {
            let _ = tokio::time::timeout(self.settings.first_state_wait, cache.holds.ready()).await;
        }
    }

    /// The same, if `given` may move the task that was seen.
    async fn hear_holds_for(&self, tenant: &Tenant, seen: &Seen, given: &api::Task) {
        let moves = |row: &TaskRow| (&row.task.function, &row.task.gate) != (&given.function, &given.gate);
        if seen.row.as_ref().is_some_and(moves) {
            self.hear_holds(tenant).await;
        }
    }

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
        self.hear_holds_for(&cx.tenant, &seen, &given).await;
        let created = self
            .mutate(cx, &request, async |m| {
                let (head, former) = seen.claim(m).await?;
                if former.as_ref().is_some_and(|former| !former.removed) {
                    return Err(Error::new(Kind::AlreadyExists, "TASK_EXISTS", format!("{name} exists already")));
                }
                let rules = self.rules.at(m.tx(), &cx.tenant, head).await?;
                known_function(&rules, &given.function)?;
                let (mut task, now) = (given, m.now());
                // Who deletes a task and makes it again has not washed anything off it.
                let former = former.as_ref();
                self.create_over(cx, former.map(|row| &row.task), &mut task, now)?;
                task::check(&task)?;
                let after = row(&name.task, task, None, &rules, head.revision, now)?;
                let answer = message(&after, &rules);
                written = Some(write(m, head, former, after, rules, None).await?);
                Ok(answer)
            })
            .await?;
        self.caches.take(&cx.tenant, written).await;
        Ok(created)
    }

    /// Makes a given task one that may be created, where one of its name was deleted before, or never was.
    fn create_over(&self, cx: &Cx, former: Option<&api::Task>, task: &mut api::Task, now: Timestamp) -> Result<()> {
        let ratings = std::mem::take(&mut task.ratings);
        task.ratings = rating::restore(former.map_or(&[], |former| &former.ratings), ratings, &cx.actor, now)?;
        tags::hold(&cx.actor, former, task, How::Created)?;
        task::normalize(task, now);
        former.map_or(Ok(()), |former| self.check_held(&cx.tenant, former, task))
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
        let how = if tags::named(request.update_mask.as_ref()) { How::Named } else { How::Left };
        let change = |before: &TaskRow, now: Timestamp| -> Result<(api::Task, Option<serde_json::Value>)> {
            etag::check(&given.etag, &etag::of(before.revision), &given.name)?;
            let mut task = mask::apply(&before.task, &given, request.update_mask.as_ref(), api::Task::UPDATABLE)?;
            let ratings = std::mem::take(&mut task.ratings);
            task.ratings = rating::replace(&before.task.ratings, ratings, &cx.actor, now)?;
            task::keep_times(&mut task, &before.task);
            tags::hold(&cx.actor, Some(&before.task), &mut task, how)?;
            Ok((task, None))
        };
        let seen = self.see(&cx.tenant, &name.task).await?;
        self.hear_holds_for(&cx.tenant, &seen, &given).await;
        self.change_task(cx, &request, (name, seen), change).await
    }

    pub(crate) async fn rate_task(&self, cx: &Cx, request: api::RateTaskRequest) -> Result<api::Task> {
        let name = TaskName::parse(&request.name, "name")?;
        let change = |before: &TaskRow, now: Timestamp| -> Result<(api::Task, Option<serde_json::Value>)> {
            // In the mutation, so that who speaks for another is on record.
            let rater = rating::rater(&request, &cx.actor)?;
            let entered_by = if rater == cx.actor.subject { String::new() } else { cx.actor.subject.clone() };
            let details = TaskRated { rater: rater.clone(), entered_by }.json();
            let given = api::Rating { rater, entered_by: String::new(), ..request.rating.clone().unwrap_or_default() };
            let mut task = before.task.clone();
            rating::put(&mut task.ratings, given, &cx.actor, now)?;
            Ok((task, Some(details)))
        };
        let seen = self.see(&cx.tenant, &name.task).await?;
        self.change_task(cx, &request, (name, seen), change).await
    }

    async fn change_task<Q: Repeatable>(
        &self,
        cx: &Cx,
        request: &Q,
        (name, seen): (TaskName, Seen),
        change: impl FnOnce(&TaskRow, Timestamp) -> Result<(api::Task, Option<serde_json::Value>)>,
    ) -> Result<api::Task> {
        let mut written = None;
        let changed = self
            .mutate(cx, request, async |m| {
                let (head, before) = seen.claim(m).await?;
                let before = present(before, &name.to_string())?;
                let rules = self.rules.at(m.tx(), &cx.tenant, head).await?;
                let (mut task, details) = change(&before, m.now())?;
                task::check(&task)?;
                task::normalize(&mut task, m.now());
                if task == before.task {
                    return Ok(message(&before, &rules));
                }
                if task.function != before.task.function {
                    known_function(&rules, &task.function)?;
                }
                self.check_held(&cx.tenant, &before.task, &task)?;
                let after = row(&name.task, task, Some(&before), &rules, head.revision, m.now())?;
                let answer = message(&after, &rules);
                written = Some(write(m, head, Some(&before), after, rules, details).await?);
                Ok(answer)
            })
            .await?;
        self.caches.take(&cx.tenant, written).await;
        Ok(changed)
    }

    /// Whether any hold stops work now, or may: what nobody knows may be.
    pub(super) fn any_hold(&self, tenant: &Tenant) -> bool {
        let (cache, now) = (self.caches.tenant(tenant), self.db.now());
        !self.knows(&cache.holds.freshness()) || cache.holds.with(|holds| holds.values().any(|hold| engaged(hold, now)))
    }

    /// Whether what a source said is known, and recently enough.
    fn knows(&self, source: &Freshness) -> bool {
        source.age.is_some_and(|age| age <= self.settings.deny_after)
    }

    /// Refuses to move a task out of the way of a hold: what one person stopped, no edit lets go on.
    ///
    /// # Errors
    /// `PermissionDenied` (`HOLD_ENGAGED`); `Unavailable` (`STATE_UNAVAILABLE`) if nobody knows what is held.
    pub(super) fn check_held(&self, tenant: &Tenant, before: &api::Task, after: &api::Task) -> Result<()> {
        if (&before.function, &before.gate) == (&after.function, &after.gate) {
            return Ok(());
        }
        let (cache, now) = (self.caches.tenant(tenant), self.db.now());
        if !self.knows(&cache.holds.freshness()) {
            let what = "nobody knows whether a hold covers the task, which would leave its function or gate: ask again";
            return Err(Error::new(Kind::Unavailable, "STATE_UNAVAILABLE", what));
        }
        let covers = |task: &api::Task, hold: &council::Hold| {
            let scope = Scope { task: "", function: &task.function, model_version: "", gate: &task.gate };
            scope.covers(hold.scope.as_ref())
        };
        let left = cache.holds.with(|holds| {
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
            written = Some(write(m, head, Some(&before), after, rules, None).await?);
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
