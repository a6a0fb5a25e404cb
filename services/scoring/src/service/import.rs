//! Import of tasks and ratings from CSV.

use super::csv_rows::{Parsed, SEEDED_AXES, bad};
use super::{Scoring, task};
use crate::store;
use crate::store::tasks::TaskRow;
use remit_api::scoring::v1 as api;
use remit_core::{Error, Kind, Result, Timestamp};
use remit_runtime::{Started, begin, finish};
use remit_store::Call;
use std::collections::{BTreeMap, BTreeSet};

/// The largest file.
pub(crate) const MAX_BYTES: usize = 64 << 20;
/// How many tasks one transaction of an import writes.
const GROUP: usize = 500;

/// What an import may change in a task that exists.
struct Terms {
    existing: api::ExistingTask,
    /// The settable fields that the file has a column or a default for, as in an update mask.
    fields: Vec<String>,
    axes: BTreeSet<String>,
    comments: bool,
}

impl Terms {
    fn of(existing: api::ExistingTask, given: &BTreeSet<String>) -> Self {
        let settable = |column: &&String| task::SETTABLE.contains(&column.as_str());
        let axis = |column: &String| match column.strip_prefix("axis:") {
            Some(axis) => Some(axis.to_owned()),
            None => SEEDED_AXES.contains(&column.as_str()).then(|| column.clone()),
        };
        Self {
            existing,
            fields: given.iter().filter(settable).cloned().collect(),
            axes: given.iter().filter_map(axis).collect(),
            comments: given.contains("comment"),
        }
    }

    /// The task after the import, or none if it stays as it is.
    fn apply(&self, present: Option<&api::Task>, given: &api::Task, now: Timestamp) -> Option<api::Task> {
        let Some(before) = present else {
            let mut task = given.clone();
            task::normalize(&mut task, now);
            return Some(task);
        };
        if self.existing == api::ExistingTask::Skip {
            return None;
        }
        let mut task = before.clone();
        task::merge(&mut task, given, &self.fields);
        for new in &given.ratings {
            let old = before.ratings.iter().find(|old| old.rater == new.rater);
            let rating = old.map_or_else(|| new.clone(), |old| self.rated_again(old, new));
            task.ratings.retain(|other| other.rater != new.rater);
            task.ratings.push(rating);
        }
        task::normalize(&mut task, now);
        (*before != task).then_some(task)
    }

    fn rated_again(&self, old: &api::Rating, new: &api::Rating) -> api::Rating {
        let mut rating = old.clone();
        rating.scores.retain(|axis, _| !self.axes.contains(axis));
        rating.scores.extend(new.scores.clone());
        if self.comments {
            rating.comment.clone_from(&new.comment);
        }
        // The time of an unchanged rating stays, so that importing twice changes nothing.
        if rating != *old {
            rating.rate_time = None;
        }
        rating
    }
}

impl Scoring {
    /// Imports a file. `call.request_id` is the prefix of the ids of its groups, so that a repetition continues.
    pub(crate) async fn import_tasks(
        &self,
        call: &Call,
        config: &api::ImportTasksConfig,
        file: &[u8],
    ) -> Result<api::ImportTasksResponse> {
        self.seed(&call.tenant).await?;
        let rater = if config.rater.is_empty() { &call.actor.subject } else { &config.rater };
        let mut parsed = Parsed::read(file, config, rater)?;
        let terms = Terms::of(config.existing(), &parsed.given);
        if terms.existing == api::ExistingTask::Refuse {
            self.refuse_existing(call, &mut parsed).await?;
        }
        let mut answer = api::ImportTasksResponse {
            rows: parsed.rows,
            bad_rows: parsed.bad_rows,
            committed: !config.dry_run && (parsed.bad_rows == 0 || config.skip_bad),
            ..api::ImportTasksResponse::default()
        };
        let tasks: Vec<(String, api::Task)> = parsed.tasks.into_iter().map(|(id, (task, _))| (id, task)).collect();
        answer.errors = parsed.errors;
        for (number, group) in tasks.chunks(GROUP).enumerate() {
            let part = if answer.committed {
                let request_id =
                    if call.request_id.is_empty() { String::new() } else { format!("{}/{number}", call.request_id) };
                let call = Call { request_id, now: self.clock.now(), ..call.clone() };
                loop {
                    match self.import_group(&call, group, &terms).await {
                        Err(error) if super::full(&error) => tokio::time::sleep(super::FULL_PAUSE).await,
                        other => break other?,
                    }
                }
            } else {
                self.preview_group(call, group, &terms).await?
            };
            answer.created += part.created;
            answer.updated += part.updated;
            answer.unchanged += part.unchanged;
        }
        self.caches.refresh(&call.tenant).await;
        Ok(answer)
    }

    async fn refuse_existing(&self, call: &Call, parsed: &mut Parsed) -> Result<()> {
        let ids: Vec<String> = parsed.tasks.keys().cloned().collect();
        for group in ids.chunks(GROUP) {
            let rows = store::tasks::find_all(&mut self.db.read().await?, &call.tenant, group).await?;
            for row in rows.iter().filter(|row| !row.removed) {
                if let Some((_, line)) = parsed.tasks.remove(&row.id) {
                    parsed.refuse(line, bad("id", "TASK_EXISTS", format!("tasks/{} exists", row.id)));
                }
            }
        }
        Ok(())
    }

    /// What an import of the group would do.
    async fn preview_group(
        &self,
        call: &Call,
        group: &[(String, api::Task)],
        terms: &Terms,
    ) -> Result<api::ImportTasksResponse> {
        let ids: Vec<String> = group.iter().map(|(id, _)| id.clone()).collect();
        let found = store::tasks::find_all(&mut self.db.read().await?, &call.tenant, &ids).await?;
        let present = by_id(&found);
        let mut answer = api::ImportTasksResponse::default();
        for (id, given) in group {
            let before = present.get(id.as_str()).filter(|row| !row.removed);
            let after = terms.apply(before.map(|row| &row.task), given, call.now);
            count(&mut answer, before.is_some(), after.is_some());
        }
        Ok(answer)
    }

    async fn import_group(
        &self,
        call: &Call,
        group: &[(String, api::Task)],
        terms: &Terms,
    ) -> Result<api::ImportTasksResponse> {
        let mut mutation = match begin(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let tenant = &call.tenant;
        let length = i64::try_from(group.len()).unwrap_or(i64::MAX);
        let head = store::claim(mutation.tx(), tenant, length, 0).await?;
        let ids: Vec<String> = group.iter().map(|(id, _)| id.clone()).collect();
        let found = store::tasks::find_all(mutation.tx(), tenant, &ids).await?;
        let present = by_id(&found);
        let rules = self.rules(mutation.tx(), tenant).await?;
        let mut answer = api::ImportTasksResponse::default();
        let mut changed = Vec::new();
        for ((id, given), revision) in group.iter().zip(head.revision - length + 1..) {
            let before = present.get(id.as_str()).copied().filter(|row| !row.removed);
            let after = terms.apply(before.map(|row| &row.task), given, call.now);
            count(&mut answer, before.is_some(), after.is_some());
            let Some(after) = after else { continue };
            let after = task::row(id, after, before, &rules, revision, call.now)?;
            mutation.record(task::event(&mutation, call.method, before, Some(&after)));
            changed.push(after);
        }
        store::tasks::put(mutation.tx(), tenant, &changed).await?;
        store::decisions::end_changed(mutation.tx(), tenant, head.revision - length, call.now).await?;
        finish(mutation, answer).await
    }
}

fn by_id(rows: &[TaskRow]) -> BTreeMap<&str, &TaskRow> {
    rows.iter().map(|row| (row.id.as_str(), row)).collect()
}

fn count(answer: &mut api::ImportTasksResponse, existed: bool, changes: bool) {
    match (existed, changes) {
        (_, false) => answer.unchanged += 1,
        (true, true) => answer.updated += 1,
        (false, true) => answer.created += 1,
    }
}

/// Collects the chunks of a file up to the bound.
#[derive(Default)]
pub(crate) struct File(pub Vec<u8>);

impl File {
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<()> {
        if self.0.len() + chunk.len() > MAX_BYTES {
            let text = format!("the file is larger than {MAX_BYTES} bytes: split it");
            return Err(Error::new(Kind::InvalidArgument, "FILE_TOO_LARGE", text));
        }
        self.0.extend_from_slice(chunk);
        Ok(())
    }
}
