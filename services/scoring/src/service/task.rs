//! Single tasks: create, read, change, remove, rate.

use super::{Rules, Scoring};
use crate::convert;
use crate::store::{self, tasks::TaskRow};
use remit_api::scoring::v1 as api;
use remit_core::{AuditEvent, Error, Kind, Result, Tenant, Timestamp, name};
use remit_policy::signatures::remarks;
use remit_runtime::{Started, begin, finish};
use remit_store::{Call, Mutation, page};

const MAX_RATERS: usize = 50;

/// The fields that a caller may set, as in an update mask.
pub(super) const SETTABLE: [&str; 24] = [
    "title",
    "description",
    "function",
    "role",
    "frequency_per_week",
    "minutes_per_instance",
    "complexity",
    "brand_impacting",
    "regulated_domain",
    "reserved_category",
    "execution_kind",
    "stakes",
    "pilot_evidence",
    "disclosure",
    "gate",
    "purpose",
    "strategy_owner",
    "execution_owner",
    "audit_window",
    "labels",
    "ratings",
    "tolerated_variability",
    "environment_validity",
    "feedback_delay",
];

pub(crate) fn task_id<'a>(task_name: &'a str, field: &str) -> Result<&'a str> {
    name::ids::<1>(task_name, "tasks/*", field).map(|[id]| id)
}

pub(crate) fn not_found(task_name: &str) -> Error {
    Error::not_found("TASK_NOT_FOUND", task_name)
}

/// Checks what the field rules of the contract cannot say.
pub(crate) fn check(task: &api::Task) -> Result<()> {
    convert::reference(&task.function, "functions/*", "task.function")?;
    convert::reference(&task.gate, "gates/*", "task.gate")?;
    convert::reference(&task.audit_window, "auditWindows/*", "task.audit_window")?;
    if task.ratings.len() > MAX_RATERS {
        return Err(Error::invalid("TOO_MANY_RATERS", "task.ratings", format!("must be at most {MAX_RATERS}")));
    }
    Ok(())
}

/// Puts ratings in the order of their raters, one for each, and clears what the service sets.
pub(crate) fn normalize(task: &mut api::Task, now: Timestamp) {
    let mut ratings = std::collections::BTreeMap::new();
    for mut rating in std::mem::take(&mut task.ratings) {
        rating.rate_time.get_or_insert(convert::time(now));
        ratings.insert(rating.rater.clone(), rating);
    }
    task.ratings = ratings.into_values().collect();
    task.labels.sort();
    task.summaries.clear();
    task.remarks.clear();
    task.name.clear();
    task.state = 0;
    task.decision.clear();
    task.pattern = 0;
    task.hours_per_year = 0.0;
    task.content_digest.clear();
    task.create_time = None;
    task.update_time = None;
    task.etag.clear();
}

/// A row for a normalized task. A decision on the same content stays in force.
pub(crate) fn row(
    id: &str,
    task: api::Task,
    before: Option<&TaskRow>,
    rules: &Rules,
    revision: i64,
    now: Timestamp,
) -> Result<TaskRow> {
    let summaries = convert::summaries(&task, &rules.policy);
    let digest = convert::content_digest(&task)?;
    let function = task.function.strip_prefix("functions/").unwrap_or_default();
    let stands = before.is_some_and(|before| {
        before.state == "DECIDED"
            && !before.removed
            && before.decided_digest == digest
            && before.decided_function_digest == rules.function(function).1
    });
    let kept = before.filter(|_| stands);
    Ok(TaskRow {
        id: id.to_owned(),
        removed: false,
        state: if stands { "DECIDED".into() } else { convert::rated_state(&summaries, &rules.policy).into() },
        hours_per_year: convert::hours_per_year(&task),
        content_digest: digest,
        decision_id: kept.map(|row| row.decision_id.clone()).unwrap_or_default(),
        pattern: kept.map(|row| row.pattern.clone()).unwrap_or_default(),
        // Kept although it no longer stands: a check then says that the decision is outdated, not missing.
        decided_digest: before.map(|row| row.decided_digest.clone()).unwrap_or_default(),
        decided_function_digest: kept.map(|row| row.decided_function_digest.clone()).unwrap_or_default(),
        decided_policy_digest: kept.map(|row| row.decided_policy_digest.clone()).unwrap_or_default(),
        revision,
        create_time: before.filter(|before| !before.removed).map_or(now, |before| before.create_time),
        update_time: now,
        task,
    })
}

/// The message of a row.
pub(crate) fn message(row: TaskRow, rules: &Rules) -> api::Task {
    let summaries = convert::summaries(&row.task, &rules.policy);
    let remarks = remarks(&convert::input(&row.task, rules.function(row.function_id()).0, &summaries));
    let remarks = remarks
        .into_iter()
        .map(|remark| api::TaskRemark { code: remark.code.to_owned(), message: remark.message.to_owned() });
    let summaries = summaries.into_iter().map(|(axis, summary)| api::AxisSummary {
        axis,
        median: summary.median,
        spread: summary.spread,
        raters: i32::try_from(summary.raters).unwrap_or(i32::MAX),
    });
    let state = api::TaskState::from_str_name(&format!("TASK_STATE_{}", row.state));
    api::Task {
        name: format!("tasks/{}", row.id),
        summaries: summaries.collect(),
        remarks: remarks.collect(),
        state: state.unwrap_or(api::TaskState::Unspecified).into(),
        decision: if row.decision_id.is_empty() { String::new() } else { format!("decisions/{}", row.decision_id) },
        pattern: convert::pattern_number(&row.pattern),
        hours_per_year: row.hours_per_year,
        content_digest: row.content_digest,
        create_time: Some(convert::time(row.create_time)),
        update_time: Some(convert::time(row.update_time)),
        etag: convert::etag(row.revision),
        ..row.task
    }
}

pub(crate) fn event(
    mutation: &Mutation,
    action: &str,
    before: Option<&TaskRow>,
    after: Option<&TaskRow>,
) -> AuditEvent {
    let id = after.or(before).map(|row| row.id.as_str()).unwrap_or_default();
    let mut event = mutation.event(action, &format!("tasks/{id}"));
    event.before_digest = before.map(|row| row.content_digest.clone()).unwrap_or_default();
    event.after_digest = after.map(|row| row.content_digest.clone()).unwrap_or_default();
    event
}

impl Scoring {
    pub(crate) async fn create_task(&self, call: &Call, request: api::CreateTaskRequest) -> Result<api::Task> {
        self.seed(&call.tenant).await?;
        let mut task = request.task.unwrap_or_default();
        check(&task)?;
        let mut mutation = match begin(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let head = store::claim(mutation.tx(), &call.tenant, 1, 0).await?;
        let before = store::tasks::find(mutation.tx(), &call.tenant, &request.task_id).await?;
        if before.as_ref().is_some_and(|before| !before.removed) {
            let text = format!("tasks/{} exists", request.task_id);
            return Err(Error::new(Kind::AlreadyExists, "TASK_EXISTS", text));
        }
        let rules = self.rules(mutation.tx(), &call.tenant).await?;
        normalize(&mut task, call.now);
        let row = row(&request.task_id, task, None, &rules, head.revision, call.now)?;
        store::tasks::put(mutation.tx(), &call.tenant, std::slice::from_ref(&row)).await?;
        mutation.record(event(&mutation, call.method, None, Some(&row)));
        let answer = finish(mutation, message(row, &rules)).await?;
        self.caches.refresh(&call.tenant).await;
        Ok(answer)
    }

    pub(crate) async fn get_task(&self, tenant: &Tenant, task_name: &str) -> Result<api::Task> {
        self.seed(tenant).await?;
        let id = task_id(task_name, "name")?;
        let mut tx = self.db.snapshot().await?;
        let row = store::tasks::find(&mut tx, tenant, id).await?.filter(|row| !row.removed);
        let row = row.ok_or_else(|| not_found(task_name))?;
        let rules = self.rules(&mut tx, tenant).await?;
        Ok(message(row, &rules))
    }

    pub(crate) async fn list_tasks(
        &self,
        tenant: &Tenant,
        request: &api::ListTasksRequest,
    ) -> Result<api::ListTasksResponse> {
        self.seed(tenant).await?;
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(tenant, "scoring.tasks.list", &[&request.filter]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.snapshot().await?;
        let rows = store::tasks::list(&mut tx, tenant, &request.filter, after.as_deref(), size + 1).await?;
        let rules = self.rules(&mut tx, tenant).await?;
        let (rows, next_page_token) = keyset.cut(rows, size, |row| vec![row.id.as_str().into()]);
        Ok(api::ListTasksResponse {
            tasks: rows.into_iter().map(|row| message(row, &rules)).collect(),
            next_page_token,
        })
    }

    pub(crate) async fn update_task(&self, call: &Call, request: api::UpdateTaskRequest) -> Result<api::Task> {
        self.seed(&call.tenant).await?;
        let given = request.task.unwrap_or_default();
        let id = task_id(&given.name, "task.name")?.to_owned();
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        if let Some(unknown) = paths.iter().find(|path| *path != "*" && !SETTABLE.contains(&path.as_str())) {
            let text = format!("{unknown} cannot be set; a caller may set {}", SETTABLE.join(", "));
            return Err(Error::invalid("UPDATE_MASK_INVALID", "update_mask", text));
        }
        self.change_task(call, &id, &given.etag.clone(), |task| {
            merge(task, &given, &paths);
            check(task)
        })
        .await
    }

    pub(crate) async fn rate_task(&self, call: &Call, request: api::RateTaskRequest) -> Result<api::Task> {
        self.seed(&call.tenant).await?;
        let id = task_id(&request.name, "name")?.to_owned();
        let mut rating = request.rating.unwrap_or_default();
        rating.rate_time = Some(convert::time(call.now));
        self.change_task(call, &id, "", |task| {
            task.ratings.retain(|other| other.rater != rating.rater);
            task.ratings.push(rating);
            check(task)
        })
        .await
    }

    async fn change_task(
        &self,
        call: &Call,
        id: &str,
        etag: &str,
        change: impl FnOnce(&mut api::Task) -> Result<()>,
    ) -> Result<api::Task> {
        let mut mutation = match begin(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let head = store::claim(mutation.tx(), &call.tenant, 1, 0).await?;
        let before = self.present(&mut mutation, id, etag).await?;
        let rules = self.rules(mutation.tx(), &call.tenant).await?;
        let mut task = before.task.clone();
        change(&mut task)?;
        normalize(&mut task, call.now);
        let after = row(id, task, Some(&before), &rules, head.revision, call.now)?;
        store::tasks::put(mutation.tx(), &call.tenant, std::slice::from_ref(&after)).await?;
        store::decisions::end_changed(mutation.tx(), &call.tenant, head.revision - 1, call.now).await?;
        mutation.record(event(&mutation, call.method, Some(&before), Some(&after)));
        let answer = finish(mutation, message(after, &rules)).await?;
        self.caches.refresh(&call.tenant).await;
        Ok(answer)
    }

    pub(crate) async fn delete_task(&self, call: &Call, request: &api::DeleteTaskRequest) -> Result<()> {
        self.seed(&call.tenant).await?;
        let id = task_id(&request.name, "name")?;
        let mut mutation = match begin::<()>(&self.db, call).await? {
            Started::Replay(()) => return Ok(()),
            Started::Fresh(mutation) => mutation,
        };
        let head = store::claim(mutation.tx(), &call.tenant, 1, 0).await?;
        let before = self.present(&mut mutation, id, &request.etag).await?;
        let after = TaskRow {
            removed: true,
            state: "UNRATED".into(),
            pattern: String::new(),
            decision_id: String::new(),
            revision: head.revision,
            update_time: call.now,
            ..before.clone()
        };
        store::tasks::put(mutation.tx(), &call.tenant, std::slice::from_ref(&after)).await?;
        store::decisions::end_changed(mutation.tx(), &call.tenant, head.revision - 1, call.now).await?;
        mutation.record(event(&mutation, call.method, Some(&before), None));
        finish(mutation, ()).await?;
        self.caches.refresh(&call.tenant).await;
        Ok(())
    }

    async fn present(&self, mutation: &mut Mutation, id: &str, etag: &str) -> Result<TaskRow> {
        let tenant = mutation.tenant().clone();
        let row = store::tasks::find(mutation.tx(), &tenant, id).await?.filter(|row| !row.removed);
        let row = row.ok_or_else(|| not_found(&format!("tasks/{id}")))?;
        if !etag.is_empty() && etag != convert::etag(row.revision) {
            let text = format!("tasks/{id} has changed since etag {etag}: read it again");
            return Err(Error::new(Kind::Conflict, "ETAG_MISMATCH", text));
        }
        Ok(row)
    }
}

/// Takes the named fields from `given`; all that a caller may set if none are named.
pub(super) fn merge(task: &mut api::Task, given: &api::Task, paths: &[String]) {
    let every = paths.is_empty() || paths.iter().any(|path| path == "*");
    let named = |path: &str| every || paths.iter().any(|other| other == path);
    if named("title") {
        task.title.clone_from(&given.title);
    }
    if named("description") {
        task.description.clone_from(&given.description);
    }
    if named("function") {
        task.function.clone_from(&given.function);
    }
    if named("role") {
        task.role.clone_from(&given.role);
    }
    if named("frequency_per_week") {
        task.frequency_per_week = given.frequency_per_week;
    }
    if named("minutes_per_instance") {
        task.minutes_per_instance = given.minutes_per_instance;
    }
    if named("complexity") {
        task.complexity = given.complexity;
    }
    if named("brand_impacting") {
        task.brand_impacting = given.brand_impacting;
    }
    if named("regulated_domain") {
        task.regulated_domain = given.regulated_domain;
    }
    if named("reserved_category") {
        task.reserved_category = given.reserved_category;
    }
    if named("execution_kind") {
        task.execution_kind = given.execution_kind;
    }
    if named("stakes") {
        task.stakes = given.stakes;
    }
    if named("pilot_evidence") {
        task.pilot_evidence = given.pilot_evidence;
    }
    if named("disclosure") {
        task.disclosure = given.disclosure;
    }
    if named("gate") {
        task.gate.clone_from(&given.gate);
    }
    if named("purpose") {
        task.purpose.clone_from(&given.purpose);
    }
    if named("strategy_owner") {
        task.strategy_owner.clone_from(&given.strategy_owner);
    }
    if named("execution_owner") {
        task.execution_owner.clone_from(&given.execution_owner);
    }
    if named("audit_window") {
        task.audit_window.clone_from(&given.audit_window);
    }
    if named("labels") {
        task.labels.clone_from(&given.labels);
    }
    if named("ratings") {
        task.ratings.clone_from(&given.ratings);
    }
    if named("tolerated_variability") {
        task.tolerated_variability = given.tolerated_variability;
    }
    if named("environment_validity") {
        task.environment_validity = given.environment_validity;
    }
    if named("feedback_delay") {
        task.feedback_delay = given.feedback_delay;
    }
}
