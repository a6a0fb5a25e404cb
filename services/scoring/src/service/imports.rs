//! Import of tasks and ratings from CSV.

use super::{Service, tasks};
use crate::cache::Written;
use crate::store::tasks::TaskRow;
use crate::table::{Parsed, SEEDED_AXES, bad};
use crate::tags::{self, How};
use crate::{rating, store, task};
use prost_types::FieldMask;
use remit_api::handoff::v1::ListGatesRequest;
use remit_api::handoff::v1::gate_service_client::GateServiceClient;
use remit_api::scoring::v1 as api;
use remit_api::scoring::v1::import_tasks_request::Part;
use remit_api::wire::{Updatable as _, mask};
use remit_core::name::TaskName;
use remit_core::{Actor, Error, Kind, Result, Tenant, Timestamp};
use remit_runtime::{Cx, foreign, received};
use remit_store::{Call, Skipped};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use tonic::Streaming;

/// The largest file.
const MAX_BYTES: usize = 64 << 20;
/// How many tasks one transaction of an import writes.
const GROUP: usize = 500;

/// What an import may change in a task that exists, and who imports.
struct Terms {
    by: Actor,
    existing: api::ExistingTask,
    /// The settable fields that the file has a column or a default for.
    fields: FieldMask,
    axes: BTreeSet<String>,
    comments: bool,
}

impl Terms {
    fn of(by: Actor, existing: api::ExistingTask, given: &BTreeSet<String>) -> Self {
        let settable = |column: &&String| api::Task::UPDATABLE.contains(&column.as_str());
        let axis = |column: &String| match column.strip_prefix("axis:") {
            Some(axis) => Some(axis.to_owned()),
            None => SEEDED_AXES.contains(&column.as_str()).then(|| column.clone()),
        };
        Self {
            by,
            existing,
            fields: FieldMask { paths: given.iter().filter(settable).cloned().collect() },
            axes: given.iter().filter_map(axis).collect(),
            comments: given.contains("comment"),
        }
    }

    /// The task after the import, or none if it stays as it is. `found` may be one that was deleted.
    fn apply(&self, found: Option<&TaskRow>, given: &api::Task, now: Timestamp) -> Result<Option<api::Task>> {
        let known = found.map(|row| &row.task);
        let Some(before) = known.filter(|_| found.is_some_and(|row| !row.removed)) else {
            let mut task = given.clone();
            let ratings = std::mem::take(&mut task.ratings);
            task.ratings = rating::restore(known.map_or(&[], |former| &former.ratings), ratings, &self.by, now)?;
            tags::hold(&self.by, known, &mut task, How::Created)?;
            task::normalize(&mut task, now);
            return Ok(Some(task));
        };
        if self.existing == api::ExistingTask::Skip {
            return Ok(None);
        }
        let mut task = mask::apply(before, given, Some(&self.fields), api::Task::UPDATABLE)?;
        for new in &given.ratings {
            let old = before.ratings.iter().find(|old| old.rater == new.rater);
            let given = old.map_or_else(|| new.clone(), |old| self.rated_again(old, new));
            rating::put(&mut task.ratings, given, &self.by, now)?;
        }
        // A file that names no column but those of texts says nothing of the tags.
        let names = !self.fields.paths.is_empty() && tags::named(Some(&self.fields));
        tags::hold(&self.by, Some(before), &mut task, if names { How::Named } else { How::Left })?;
        task::normalize(&mut task, now);
        Ok((*before != task).then_some(task))
    }

    fn rated_again(&self, old: &api::Rating, new: &api::Rating) -> api::Rating {
        let mut rating = api::Rating { entered_by: String::new(), ..old.clone() };
        rating.scores.retain(|axis, _| !self.axes.contains(axis));
        rating.scores.extend(new.scores.clone());
        if self.comments {
            rating.comment.clone_from(&new.comment);
        }
        rating
    }
}

/// The configuration and the file that a caller sends.
async fn receive(mut parts: Streaming<api::ImportTasksRequest>) -> Result<(api::ImportTasksConfig, Vec<u8>)> {
    let Some(Part::Config(config)) = parts.message().await.map_err(received)?.and_then(|first| first.part) else {
        return Err(Error::invalid("CONFIG_MISSING", "config", "must come in the first message"));
    };
    let mut file = Vec::new();
    while let Some(message) = parts.message().await.map_err(received)? {
        let Some(Part::Chunk(chunk)) = message.part else {
            return Err(Error::invalid("CONFIG_TWICE", "config", "must come in the first message only"));
        };
        if file.len() + chunk.len() > MAX_BYTES {
            let text = format!("the file is larger than {MAX_BYTES} bytes: split it");
            return Err(Error::invalid("FILE_TOO_LARGE", "chunk", text));
        }
        file.extend_from_slice(&chunk);
    }
    Ok((config, file))
}

impl Service {
    /// Imports a file in groups. The request id is the prefix of the ids of its groups, so that a repetition continues.
    pub(crate) async fn import_tasks(
        &self,
        cx: &Cx,
        parts: Streaming<api::ImportTasksRequest>,
    ) -> Result<api::ImportTasksResponse> {
        let (config, file) = receive(parts).await?;
        self.seed(&cx.tenant).await?;
        let mut call = cx.call_as("", &config);
        // The file is part of what the request id stands for.
        call.request_digest = Sha256::new().chain_update(call.request_digest).chain_update(&file).finalize().into();
        let rater = if config.rater.is_empty() { &cx.actor.subject } else { &config.rater };
        let mut parsed = Parsed::read(&file, &config, rater)?;
        let terms = Terms::of(Actor::clone(&cx.actor), config.existing(), &parsed.given);
        if terms.existing == api::ExistingTask::Refuse {
            self.refuse_existing(&cx.tenant, &mut parsed).await?;
        }
        self.refuse_unknown(&cx.tenant, &mut parsed).await?;
        self.refuse_unknown_gates(&cx.tenant, &mut parsed).await?;
        self.hear_holds(&cx.tenant).await;
        let forbidden = self.refuse_forbidden(&cx.tenant, &mut parsed, &terms).await?;
        if !config.dry_run {
            for (error, others) in forbidden.into_values() {
                let skipped = Skipped { alike: others, in_all: others };
                self.db.refuse(&call, &error, skipped).await;
            }
        }
        let mut answer = api::ImportTasksResponse {
            rows: parsed.rows,
            bad_rows: parsed.bad_rows,
            committed: !config.dry_run && (parsed.bad_rows == 0 || config.skip_bad),
            format: Some(parsed.format),
            ..api::ImportTasksResponse::default()
        };
        let tasks: Vec<(String, api::Task)> = parsed.tasks.into_iter().map(|(id, (task, _))| (id, task)).collect();
        answer.errors = parsed.errors;
        // Who mends the file goes through it from the top.
        answer.errors.sort_by_key(|error| error.line);
        for (number, group) in tasks.chunks(GROUP).enumerate() {
            let part = if answer.committed {
                let id = Some(&config.request_id).filter(|id| !id.is_empty());
                let request_id = id.map(|id| format!("{id}/{number}")).unwrap_or_default();
                let call = Call { request_id, ..call.clone() };
                loop {
                    match self.import_group(&call, group, &terms).await {
                        Err(error) if super::full(&error) => tokio::time::sleep(super::FULL_PAUSE).await,
                        other => break other?,
                    }
                }
            } else {
                self.preview_group(&cx.tenant, group, &terms).await?
            };
            answer.created += part.created;
            answer.updated += part.updated;
            answer.unchanged += part.unchanged;
        }
        Ok(answer)
    }

    async fn refuse_existing(&self, tenant: &Tenant, parsed: &mut Parsed) -> Result<()> {
        let ids: Vec<String> = parsed.tasks.keys().cloned().collect();
        for group in ids.chunks(GROUP) {
            let ids: Vec<&str> = group.iter().map(String::as_str).collect();
            let rows = store::tasks::find_all(&mut self.db.read().await?, tenant, &ids).await?;
            for row in rows.iter().filter(|row| !row.removed) {
                if let Some((_, line)) = parsed.tasks.remove(&row.id) {
                    parsed.refuse(line, bad("id", "TASK_EXISTS", format!("{} exists", row.name())));
                }
            }
        }
        Ok(())
    }

    /// Refuses the rows whose function is none of the tenant's.
    async fn refuse_unknown(&self, tenant: &Tenant, parsed: &mut Parsed) -> Result<()> {
        let rules = self.rules(&mut self.db.read().await?, tenant).await?;
        let mut unknown = Vec::new();
        for (id, (task, line)) in &parsed.tasks {
            if let Err(error) = tasks::known_function(&rules, &task.function) {
                unknown.push((id.clone(), *line, error));
            }
        }
        for (id, line, error) in unknown {
            parsed.tasks.remove(&id);
            parsed.refuse(line, bad("function", error.reason(), error.message()));
        }
        Ok(())
    }

    /// Refuses the rows whose gate is none of the tenant's; nobody is asked if none names one.
    async fn refuse_unknown_gates(&self, tenant: &Tenant, parsed: &mut Parsed) -> Result<()> {
        if parsed.tasks.values().all(|(task, _)| task.gate.is_empty()) {
            return Ok(());
        }
        let known = self.gates(tenant).await?;
        let named = parsed.tasks.iter().map(|(id, (task, line))| (id, &task.gate, *line));
        let unknown = named.filter(|(_, gate, _)| !gate.is_empty() && !known.contains(*gate));
        let unknown: Vec<_> = unknown
            .map(|(id, gate, line)| (id.clone(), line, tasks::not_known(gate, known.iter().map(String::as_str))))
            .collect();
        for (id, line, text) in unknown {
            parsed.tasks.remove(&id);
            parsed.refuse(line, bad("gate", "GATE_NOT_FOUND", text));
        }
        Ok(())
    }

    /// The names of the tenant's gates, of the service that keeps them.
    async fn gates(&self, tenant: &Tenant) -> Result<BTreeSet<String>> {
        let peers = self.caches.peers();
        let mut client = GateServiceClient::new(peers.channel("handoff"));
        let (mut found, mut page_token) = (BTreeSet::new(), String::new());
        loop {
            let message = ListGatesRequest { page_size: 1_000, page_token };
            let page =
                client.list_gates(peers.request("scoring", tenant, message)).await.map_err(foreign)?.into_inner();
            found.extend(page.gates.into_iter().map(|gate| gate.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Refuses the rows whose ratings or tags are not the importer's to give, and those that would move a task out of the
    /// way of a hold, so that they are reported with their lines. Returns the first refusal of each reason, and how many
    /// there were beside it: one entry each is enough for the log.
    async fn refuse_forbidden(
        &self,
        tenant: &Tenant,
        parsed: &mut Parsed,
        terms: &Terms,
    ) -> Result<BTreeMap<&'static str, (Error, u64)>> {
        let mut forbidden: BTreeMap<&'static str, (Error, u64)> = BTreeMap::new();
        // Most files of people have neither: their rows are read once, where they are imported.
        let all = self.any_hold(tenant) || !terms.by.is_human();
        let looked_at = parsed.tasks.iter().filter(|(_, (task, _))| all || !task.ratings.is_empty());
        let looked_at: Vec<String> = looked_at.map(|(id, _)| id.clone()).collect();
        for group in looked_at.chunks(GROUP) {
            let ids: Vec<&str> = group.iter().map(String::as_str).collect();
            let rows = store::tasks::find_all(&mut self.db.read().await?, tenant, &ids).await?;
            let known: BTreeMap<&str, _> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
            for id in group {
                let Some((given, line)) = parsed.tasks.get(id) else { continue };
                let before = known.get(id.as_str()).copied();
                let line = *line;
                let (column, answer) = match terms.apply(before, given, self.db.now()) {
                    Ok(after) => {
                        let moved = before.zip(after.as_ref());
                        let held = |(before, after): (&TaskRow, _)| self.check_held(tenant, &before.task, after);
                        ("function", moved.map_or(Ok(()), held))
                    }
                    // Which of its tags are meant, the message says.
                    Err(error) if error.reason() == "TAGS_NEED_A_PERSON" => ("", Err(error)),
                    Err(error) => ("rater", Err(error)),
                };
                match answer {
                    Err(error) if error.kind() == Kind::PermissionDenied => {
                        parsed.tasks.remove(id);
                        parsed.refuse(line, bad(column, error.reason(), error.message()));
                        let known = forbidden.get_mut(error.reason());
                        match known {
                            Some((_, others)) => *others += 1,
                            None => drop(forbidden.insert(error.reason(), (error, 0))),
                        }
                    }
                    other => other?,
                }
            }
        }
        Ok(forbidden)
    }

    /// What an import of the group would do.
    async fn preview_group(
        &self,
        tenant: &Tenant,
        group: &[(String, api::Task)],
        terms: &Terms,
    ) -> Result<api::ImportTasksResponse> {
        let found = store::tasks::find_all(&mut self.db.read().await?, tenant, &ids(group)).await?;
        let present: BTreeMap<&str, _> = found.iter().map(|row| (row.id.as_str(), row)).collect();
        let mut answer = api::ImportTasksResponse::default();
        for (id, given) in group {
            let known = present.get(id.as_str()).copied();
            let after = terms.apply(known, given, self.db.now())?;
            count(&mut answer, known.is_some_and(|row| !row.removed), after.is_some());
        }
        Ok(answer)
    }

    async fn import_group(
        &self,
        call: &Call,
        group: &[(String, api::Task)],
        terms: &Terms,
    ) -> Result<api::ImportTasksResponse> {
        let (tenant, mut written) = (&call.tenant, None);
        let answer = self
            .db
            .mutate(call, async |m| {
                let changes = i64::try_from(group.len()).unwrap_or(i64::MAX);
                let head = store::claim(m, changes, 0).await?;
                let found = store::tasks::find_all(m.tx(), tenant, &ids(group)).await?;
                let present: BTreeMap<&str, _> = found.iter().map(|row| (row.id.as_str(), row)).collect();
                let (rules, now) = (self.rules.at(m.tx(), tenant, head).await?, m.now());
                let mut answer = api::ImportTasksResponse::default();
                let (mut changed, mut ended) = (Vec::new(), Vec::new());
                for ((id, given), revision) in group.iter().zip(head.revision - changes + 1..) {
                    let known = present.get(id.as_str()).copied();
                    let before = known.filter(|row| !row.removed);
                    let after = terms.apply(known, given, now)?;
                    count(&mut answer, before.is_some(), after.is_some());
                    let Some(after) = after else { continue };
                    let after = tasks::row(id, after, before, &rules, revision, now)?;
                    ended.extend(before.and_then(|before| tasks::ended(before, &after)));
                    tasks::record(m, &TaskName::new(id).to_string(), known, Some(&after));
                    changed.push(after);
                }
                store::tasks::put(m.tx(), tenant, &changed).await?;
                store::decisions::end(m.tx(), tenant, &ended, now).await?;
                let tasks = changed.into_iter().map(|row| (row, None)).collect();
                written = Some(Written { head, changes, rules, tasks });
                Ok(answer)
            })
            .await?;
        self.caches.take(tenant, written).await;
        Ok(answer)
    }
}

fn ids(group: &[(String, api::Task)]) -> Vec<&str> {
    group.iter().map(|(id, _)| id.as_str()).collect()
}

fn count(answer: &mut api::ImportTasksResponse, existed: bool, changes: bool) {
    match (existed, changes) {
        (_, false) => answer.unchanged += 1,
        (true, true) => answer.updated += 1,
        (false, true) => answer.created += 1,
    }
}
