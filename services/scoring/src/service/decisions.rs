//! Decisions: what if, one, many.

use super::{Service, tasks};
use crate::cache::{Rules, Written};
use crate::evaluation::{self, Evaluated, evaluate};
use crate::store::decisions::NewDecision;
use crate::store::tasks::TaskRow;
use crate::store::{self, Head};
use crate::{pattern, task};
use remit_api::scoring::v1 as api;
use remit_api::scoring::v1::score_task_request::Input;
use remit_api::wire::time;
use remit_core::details::{Details as _, TaskDecided};
use remit_core::name::{DecisionName, TaskName};
use remit_core::{Error, Kind, Result};
use remit_policy::Pattern;
use remit_runtime::{Answers, Cx, produce};
use remit_store::{Mutation, page};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// How many tasks one transaction of a batch decides.
const GROUP: i64 = 500;

/// Evaluates a task of the inventory and makes a decision of what comes out.
fn decide(m: &Mutation, row: &TaskRow, rules: &Rules) -> Result<NewDecision> {
    let (function, function_digest) = rules.function(&row.task.function);
    let Evaluated { evaluation, inputs_json } = evaluate(&row.name(), &row.task, function, &rules.policy)?;
    let message = evaluation::message(&evaluation)?;
    let moved = evaluation.caps.into_iter().filter(|cap| cap.after < cap.before);
    let id = m.new_id();
    let decision = api::Decision {
        name: DecisionName::new(&id).to_string(),
        task: row.name(),
        task_digest: row.content_digest.clone(),
        evaluation: Some(message),
        inputs_json,
        title: row.task.title.clone(),
        hours_per_year: row.hours_per_year,
        in_force: true,
        decider: m.actor().subject.clone(),
        decide_time: Some(time::stamp(m.now())),
        end_time: None,
    };
    Ok(NewDecision {
        id,
        task_id: row.id.clone(),
        pattern: evaluation.pattern,
        band: evaluation.band,
        policy: evaluation.policy,
        policy_digest: evaluation.policy_digest,
        task_digest: row.content_digest.clone(),
        function_digest: function_digest.to_owned(),
        caps: moved.map(|cap| cap.id).collect(),
        decision,
    })
}

/// Whether the decision in force was made from the same content under the same rules.
fn stands(row: &TaskRow, rules: &Rules) -> bool {
    row.state == api::TaskState::Decided
        && row.decided_digest == row.content_digest
        && row.decided_policy_digest == rules.policy.digest()
        && row.decided_function_digest == rules.function(&row.task.function).1
}

/// Stores decisions, puts them in force on their tasks, which `head` has room for, and records one event for each.
async fn put_in_force(
    m: &mut Mutation,
    head: Head,
    rules: Arc<Rules>,
    made: Vec<(TaskRow, NewDecision)>,
) -> Result<Written> {
    let (tenant, now, batch) = (m.tenant().clone(), m.now(), m.new_id());
    let changes = i64::try_from(made.len()).unwrap_or(i64::MAX);
    let base = head.revision - changes;
    let (rows, new): (Vec<TaskRow>, Vec<NewDecision>) = made.into_iter().unzip();
    store::decisions::insert(m.tx(), &tenant, &batch, now, &new).await?;
    let replaced: Vec<&str> = rows.iter().map(|row| row.decision_id.as_str()).filter(|id| !id.is_empty()).collect();
    store::decisions::end(m.tx(), &tenant, &replaced, now).await?;
    store::tasks::set_decisions(m.tx(), &tenant, &batch, base).await?;
    let mut tasks = Vec::with_capacity(rows.len());
    for ((row, new), revision) in rows.into_iter().zip(new).zip(base + 1..) {
        let mut event = m.event("scoring.decisions.create", &new.decision.name);
        event.policy_version.clone_from(&new.policy);
        let evaluation = new.decision.evaluation.as_ref();
        event.after_digest = evaluation.map(|evaluation| evaluation.digest.clone()).unwrap_or_default();
        event.details = TaskDecided {
            task: row.name(),
            task_digest: new.task_digest.clone(),
            pattern: new.pattern.as_str().to_owned(),
            band: new.band,
            caps: new.caps,
            policy_digest: new.policy_digest.clone(),
            claimed: evaluation.is_some_and(|evaluation| evaluation.claimed),
        }
        .json();
        m.record_event(event);
        let row = TaskRow {
            state: api::TaskState::Decided,
            decision_id: new.id,
            pattern: Some(new.pattern),
            decided_digest: new.task_digest,
            decided_function_digest: new.function_digest,
            decided_policy_digest: new.policy_digest,
            revision,
            ..row
        };
        tasks.push((row, Some(new.decision)));
    }
    Ok(Written { head, changes, rules, tasks })
}

/// How far a batch has come.
#[derive(Default, Clone)]
struct Progress {
    /// The task to go on after.
    after: Option<String>,
    done: i64,
    decided: i64,
    unchanged: i64,
    skipped: i64,
    patterns: BTreeMap<Pattern, i64>,
}

impl Service {
    pub(crate) async fn score_task(&self, cx: &Cx, request: api::ScoreTaskRequest) -> Result<api::Evaluation> {
        self.seed(&cx.tenant).await?;
        let mut tx = self.db.snapshot().await?;
        let rules = self.rules(&mut tx, &cx.tenant).await?;
        let policy = match request.policy {
            Some(policy) => self.resolve_policy(&mut tx, &cx.tenant, Some(policy), "policy").await?,
            None => rules.policy.clone(),
        };
        let (name, task) = match request.input {
            Some(Input::Name(name)) => {
                let id = TaskName::parse(&name, "name")?.task;
                let row = store::tasks::find(&mut tx, &cx.tenant, &id).await?.1;
                let task = tasks::present(row, &name)?.task;
                (name, task)
            }
            Some(Input::Task(task)) => {
                task::check(&task)?;
                ("the task".to_owned(), task)
            }
            None => return Err(Error::invalid("INPUT_MISSING", "input", "must be given")),
        };
        let (function, _) = rules.function(&task.function);
        evaluation::message(&evaluate(&name, &task, function, &policy)?.evaluation)
    }

    pub(crate) async fn decide_task(&self, cx: &Cx, request: api::DecideTaskRequest) -> Result<api::Decision> {
        let id = TaskName::parse(&request.name, "name")?.task;
        let (seen, mut written) = (self.see(&cx.tenant, &id).await?, None);
        let decision = self
            .mutate(cx, &request, async |m| {
                let (head, row) = seen.claim(m).await?;
                let row = tasks::present(row, &request.name)?;
                let rules = self.rules.at(m.tx(), &cx.tenant, head).await?;
                let new = decide(m, &row, &rules)?;
                let answer = new.decision.clone();
                written = Some(put_in_force(m, head, rules, vec![(row, new)]).await?);
                Ok(answer)
            })
            .await?;
        self.caches.take(&cx.tenant, written).await;
        Ok(decision)
    }

    /// Decides in groups and sends progress after each. Ends early if nobody listens any more.
    pub(crate) fn batch_decide(&self, cx: &Cx, request: api::BatchDecideRequest) -> Answers<api::BatchDecideResponse> {
        let (service, cx) = (self.clone(), cx.clone());
        produce(|messages| async move { service.decide_all(&cx, &request, &messages).await })
    }

    async fn decide_all(
        &self,
        cx: &Cx,
        request: &api::BatchDecideRequest,
        messages: &mpsc::Sender<Result<api::BatchDecideResponse>>,
    ) -> Result<()> {
        self.seed(&cx.tenant).await?;
        let total = store::tasks::count(&mut self.db.read().await?, &cx.tenant, &request.filter).await?;
        let mut progress = Progress::default();
        loop {
            // A copy, so that a group that is refused for now can be made again from where it began.
            let mut next = progress.clone();
            let message = match self.decide_group(cx, request, &mut next).await {
                Err(error) if super::full(&error) => {
                    tokio::time::sleep(super::FULL_PAUSE).await;
                    continue;
                }
                other => other?,
            };
            progress = next;
            let message = api::BatchDecideResponse { total: total.max(progress.done), ..message };
            if messages.send(Ok(message)).await.is_err() || progress.after.is_none() {
                return Ok(());
            }
        }
    }

    async fn decide_group(
        &self,
        cx: &Cx,
        request: &api::BatchDecideRequest,
        progress: &mut Progress,
    ) -> Result<api::BatchDecideResponse> {
        let (tenant, mut written) = (&cx.tenant, None);
        let answer = self
            .db
            .mutate(&cx.call_as("", request), async |m| {
                // Locked here and moved on below, once it is known by how much.
                let head = store::claim(m, 0, 0).await?;
                let rules = self.rules.at(m.tx(), tenant, head).await?;
                let key = progress.after.take().map(|id| vec![id.into()]);
                let rows = store::tasks::list(m.tx(), tenant, &request.filter, key.as_deref(), GROUP).await?;
                progress.after = rows.last().filter(|_| rows.len() as i64 == GROUP).map(|row| row.id.clone());
                let (mut made, mut skipped_tasks) = (Vec::new(), Vec::new());
                for row in rows {
                    progress.done += 1;
                    if stands(&row, &rules) {
                        progress.unchanged += 1;
                        if let Some(pattern) = row.pattern {
                            *progress.patterns.entry(pattern).or_default() += 1;
                        }
                        continue;
                    }
                    match decide(m, &row, &rules) {
                        Ok(new) => {
                            progress.decided += 1;
                            *progress.patterns.entry(new.pattern).or_default() += 1;
                            made.push((row, new));
                        }
                        Err(error) if error.kind() == Kind::Internal => return Err(error),
                        Err(error) => {
                            progress.skipped += 1;
                            skipped_tasks.push(api::SkippedTask {
                                task: row.name(),
                                reason: error.reason().to_owned(),
                                message: error.message().to_owned(),
                            });
                        }
                    }
                }
                let sent = made.iter().filter(|_| request.send_decisions);
                let decisions = sent.map(|(_, new)| new.decision.clone()).collect();
                if !made.is_empty() {
                    let head = store::claim(m, i64::try_from(made.len()).unwrap_or(i64::MAX), 0).await?;
                    written = Some(put_in_force(m, head, rules, made).await?);
                }
                Ok(api::BatchDecideResponse {
                    done: progress.done,
                    total: 0,
                    decided: progress.decided,
                    unchanged: progress.unchanged,
                    skipped: progress.skipped,
                    skipped_tasks,
                    decisions,
                    patterns: pattern::counts(&progress.patterns),
                })
            })
            .await?;
        self.caches.take(tenant, written).await;
        Ok(answer)
    }

    pub(crate) async fn get_decision(&self, cx: &Cx, request: api::GetDecisionRequest) -> Result<api::Decision> {
        let id = DecisionName::parse(&request.name, "name")?.decision;
        let found = store::decisions::find(&mut self.db.read().await?, &cx.tenant, &id).await?;
        found.ok_or_else(|| Error::not_found("DECISION_NOT_FOUND", &request.name))
    }

    pub(crate) async fn list_decisions(
        &self,
        cx: &Cx,
        request: api::ListDecisionsRequest,
    ) -> Result<api::ListDecisionsResponse> {
        let size = page::size(request.page_size);
        let keyset = self.db.keyset(&cx.tenant, cx.method, &[&request.filter]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = store::decisions::list(&mut tx, &cx.tenant, &request.filter, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) = keyset.cut(rows, size, |(_, at, id)| vec![(*at).into(), id.as_str().into()]);
        let decisions = rows.into_iter().map(|(decision, _, _)| decision).collect();
        Ok(api::ListDecisionsResponse { decisions, next_page_token })
    }
}
