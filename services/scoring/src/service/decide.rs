//! Decisions: what if, one, many.

use super::{Rules, Scoring, task};
use crate::convert;
use crate::store::decisions::NewDecision;
use crate::store::{self, tasks::TaskRow};
use remit_api::scoring::v1 as api;
use remit_api::scoring::v1::score_task_request::Input as ScoreInput;
use remit_core::{Error, Result, Tenant, Timestamp, name};
use remit_policy::{Evaluation, Pattern, Policy};
use remit_runtime::{Started, begin, finish};
use remit_store::{Begin, Call, page};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// How many tasks one transaction of a batch decides.
const GROUP: i64 = 500;

/// An evaluation and the inputs it was made from.
struct Evaluated {
    evaluation: Evaluation,
    inputs_json: String,
}

/// Evaluates a task whose raters agree.
fn evaluate(row: &TaskRow, rules: &Rules) -> Result<Evaluated> {
    let name = format!("tasks/{}", row.id);
    let (function, _) = rules.function(row.function_id());
    evaluate_task(&name, &row.task, function, &rules.policy)
}

fn evaluate_task(name: &str, task: &api::Task, function: Option<&api::Function>, policy: &Policy) -> Result<Evaluated> {
    let summaries = convert::summaries(task, policy);
    match convert::rated_state(&summaries, policy) {
        "UNRATED" => {
            let missing = policy.file.axes.iter().filter(|axis| !summaries.contains_key(&axis.name));
            let missing: Vec<&str> = missing.map(|axis| axis.name.as_str()).collect();
            let text = format!("{name} has no rating of {}, and {} needs one", missing.join(", "), policy.name());
            Err(Error::precondition("TASK_UNRATED", text))
        }
        "NEEDS_RECONCILIATION" => {
            let apart = summaries.iter().filter(|(_, summary)| summary.spread >= 2);
            let apart: Vec<String> = apart.map(|(axis, summary)| format!("{axis} by {}", summary.spread)).collect();
            let text = format!("the raters of {name} are apart on {}: let them talk and rate again", apart.join(", "));
            Err(Error::precondition("TASK_NEEDS_RECONCILIATION", text))
        }
        _ => {
            let input = convert::input(task, function, &summaries);
            let evaluation = policy.evaluate(&input)?;
            Ok(Evaluated { evaluation, inputs_json: convert::input_json(&input)? })
        }
    }
}

fn decision(
    id: String,
    row: &TaskRow,
    rules: &Rules,
    found: Evaluated,
    decider: &str,
    now: Timestamp,
) -> Result<NewDecision> {
    let moved = found.evaluation.caps.iter().filter(|cap| cap.after < cap.before);
    let caps: Vec<&str> = moved.map(|cap| cap.id.as_str()).collect();
    let caps = caps.join(",");
    let (_, function_digest) = rules.function(row.function_id());
    let message = api::Decision {
        name: format!("decisions/{id}"),
        task: format!("tasks/{}", row.id),
        task_digest: row.content_digest.clone(),
        evaluation: Some(convert::evaluation(&found.evaluation)?),
        inputs_json: found.inputs_json,
        title: row.task.title.clone(),
        hours_per_year: row.hours_per_year,
        in_force: true,
        decider: decider.to_owned(),
        decide_time: Some(convert::time(now)),
        end_time: None,
    };
    Ok(NewDecision {
        id,
        task_id: row.id.clone(),
        pattern: found.evaluation.pattern.as_str(),
        band: found.evaluation.band,
        policy: found.evaluation.policy,
        policy_digest: found.evaluation.policy_digest,
        task_digest: row.content_digest.clone(),
        function_digest: function_digest.to_owned(),
        caps,
        decision: message,
    })
}

/// Whether the decision in force was made from the same content under the same rules.
fn stands(row: &TaskRow, rules: &Rules) -> bool {
    row.state == "DECIDED"
        && row.decided_digest == row.content_digest
        && row.decided_policy_digest == rules.policy.digest()
        && row.decided_function_digest == rules.function(row.function_id()).1
}

/// Counts so far of a batch.
#[derive(Default, Clone)]
struct Counts {
    done: i64,
    decided: i64,
    unchanged: i64,
    skipped: i64,
    patterns: BTreeMap<Pattern, i64>,
}

impl Scoring {
    pub(crate) async fn score_task(&self, tenant: &Tenant, request: api::ScoreTaskRequest) -> Result<api::Evaluation> {
        self.seed(tenant).await?;
        let mut tx = self.db.snapshot().await?;
        let rules = self.rules(&mut tx, tenant).await?;
        let policy = match request.policy {
            Some(reference) => self.resolve_policy(&mut tx, tenant, reference, "policy").await?,
            None => rules.policy.clone(),
        };
        let (name, task) = match request.input {
            Some(ScoreInput::Name(name)) => {
                let id = task::task_id(&name, "name")?;
                let row = store::tasks::find(&mut tx, tenant, id).await?.filter(|row| !row.removed);
                let row = row.ok_or_else(|| task::not_found(&name))?;
                (name, row.task)
            }
            Some(ScoreInput::Task(task)) => {
                task::check(&task)?;
                ("the task".to_owned(), task)
            }
            None => return Err(Error::invalid("INPUT_MISSING", "input", "must be given")),
        };
        let (function, _) = rules.function(task.function.strip_prefix("functions/").unwrap_or_default());
        convert::evaluation(&evaluate_task(&name, &task, function, &policy)?.evaluation)
    }

    pub(crate) async fn decide_task(&self, call: &Call, task_name: &str) -> Result<api::Decision> {
        self.seed(&call.tenant).await?;
        let id = task::task_id(task_name, "name")?;
        let mut mutation = match begin(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let head = store::claim(mutation.tx(), &call.tenant, 1, 0).await?;
        let row = store::tasks::find(mutation.tx(), &call.tenant, id).await?.filter(|row| !row.removed);
        let row = row.ok_or_else(|| task::not_found(task_name))?;
        let rules = self.rules(mutation.tx(), &call.tenant).await?;
        let found = evaluate(&row, &rules)?;
        let new = decision(mutation.new_id(), &row, &rules, found, &call.actor.subject, call.now)?;
        let answer = new.decision.clone();
        self.put_in_force(&mut mutation, std::slice::from_ref(&new), head.revision - 1).await?;
        let answer = finish(mutation, answer).await?;
        self.caches.refresh(&call.tenant).await;
        Ok(answer)
    }

    /// Stores a group of decisions, puts them in force and records one audit event for each.
    async fn put_in_force(
        &self,
        mutation: &mut remit_store::Mutation,
        decisions: &[NewDecision],
        base: i64,
    ) -> Result<()> {
        if decisions.is_empty() {
            return Ok(());
        }
        let (tenant, now, batch) = (mutation.tenant().clone(), mutation.now(), mutation.new_id());
        store::decisions::insert(mutation.tx(), &tenant, &batch, now, decisions).await?;
        store::decisions::end_replaced(mutation.tx(), &tenant, &batch, now).await?;
        store::tasks::set_decisions(mutation.tx(), &tenant, &batch, base).await?;
        for new in decisions {
            let mut event = mutation.event("scoring.decisions.create", &format!("decisions/{}", new.id));
            event.policy_version.clone_from(&new.policy);
            let evaluation = new.decision.evaluation.as_ref();
            event.after_digest = evaluation.map(|evaluation| evaluation.digest.clone()).unwrap_or_default();
            event.details = serde_json::json!({
                "task": new.decision.task,
                "task_digest": new.task_digest,
                "pattern": new.pattern,
                "band": new.band,
                "caps": new.caps,
                "policy_digest": new.policy_digest,
            });
            mutation.record(event);
        }
        Ok(())
    }

    /// Decides in groups and sends progress after each. Ends early if nobody listens any more.
    pub(crate) async fn batch_decide(
        &self,
        call: &Call,
        request: &api::BatchDecideRequest,
        progress: &mpsc::Sender<Result<api::BatchDecideResponse>>,
    ) -> Result<()> {
        self.seed(&call.tenant).await?;
        let total = store::tasks::count(&mut self.db.read().await?, &call.tenant, &request.filter).await?;
        let mut counts = Counts::default();
        let mut after: Option<String> = None;
        loop {
            // Copies, so that a group that is refused for now can be made again from where it began.
            let (mut next, mut sums) = (after.clone(), counts.clone());
            let message = match self.decide_group(call, request, &mut next, &mut sums).await {
                Err(error) if super::full(&error) => {
                    tokio::time::sleep(super::FULL_PAUSE).await;
                    continue;
                }
                other => other?,
            };
            (after, counts) = (next, sums);
            let last = after.is_none();
            let message = api::BatchDecideResponse { total: total.max(counts.done), ..message };
            if progress.send(Ok(message)).await.is_err() || last {
                break;
            }
        }
        Ok(())
    }

    async fn decide_group(
        &self,
        call: &Call,
        request: &api::BatchDecideRequest,
        after: &mut Option<String>,
        counts: &mut Counts,
    ) -> Result<api::BatchDecideResponse> {
        let call = Call { now: self.clock.now(), request_id: String::new(), ..call.clone() };
        let Begin::Fresh(mut mutation) = self.db.begin(&call).await? else {
            return Err(Error::internal("a call without request id was replayed"));
        };
        let tenant = &call.tenant;
        let head = store::claim(mutation.tx(), tenant, GROUP, 0).await?;
        let rules = self.rules(mutation.tx(), tenant).await?;
        let key = after.take().map(|id| vec![id.into()]);
        let rows = store::tasks::list(mutation.tx(), tenant, &request.filter, key.as_deref(), GROUP).await?;
        *after = rows.last().filter(|_| rows.len() as i64 == GROUP).map(|row| row.id.clone());
        let (mut new, mut skipped_tasks) = (Vec::new(), Vec::new());
        for row in &rows {
            counts.done += 1;
            if stands(row, &rules) {
                counts.unchanged += 1;
                if let Some(pattern) = Pattern::parse(&row.pattern) {
                    *counts.patterns.entry(pattern).or_default() += 1;
                }
                continue;
            }
            match evaluate(row, &rules) {
                Ok(found) => {
                    counts.decided += 1;
                    *counts.patterns.entry(found.evaluation.pattern).or_default() += 1;
                    new.push(decision(mutation.new_id(), row, &rules, found, &call.actor.subject, call.now)?);
                }
                Err(error) if error.kind() == remit_core::Kind::Internal => return Err(error),
                Err(error) => {
                    counts.skipped += 1;
                    skipped_tasks.push(api::SkippedTask {
                        task: format!("tasks/{}", row.id),
                        reason: error.reason().to_owned(),
                        message: error.message().to_owned(),
                    });
                }
            }
        }
        if !new.is_empty() {
            self.put_in_force(&mut mutation, &new, head.revision - GROUP).await?;
            mutation.commit(Vec::new()).await?;
            self.caches.refresh(tenant).await;
        }
        let decisions =
            if request.send_decisions { new.into_iter().map(|new| new.decision).collect() } else { Vec::new() };
        let patterns = Pattern::ALL.into_iter().map(|pattern| api::PatternCount {
            pattern: convert::pattern(pattern).into(),
            count: counts.patterns.get(&pattern).copied().unwrap_or_default(),
        });
        Ok(api::BatchDecideResponse {
            done: counts.done,
            total: 0,
            decided: counts.decided,
            unchanged: counts.unchanged,
            skipped: counts.skipped,
            skipped_tasks,
            decisions,
            patterns: patterns.collect(),
        })
    }

    pub(crate) async fn get_decision(&self, tenant: &Tenant, decision_name: &str) -> Result<api::Decision> {
        let [id] = name::ids::<1>(decision_name, "decisions/*", "name")?;
        let found = store::decisions::find(&mut self.db.read().await?, tenant, id).await?;
        found.ok_or_else(|| Error::not_found("DECISION_NOT_FOUND", decision_name))
    }

    pub(crate) async fn list_decisions(
        &self,
        tenant: &Tenant,
        request: &api::ListDecisionsRequest,
    ) -> Result<api::ListDecisionsResponse> {
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(tenant, "scoring.decisions.list", &[&request.filter]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = store::decisions::list(&mut tx, tenant, &request.filter, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) = keyset.cut(rows, size, |(_, at, id)| vec![(*at).into(), id.as_str().into()]);
        let decisions = rows.into_iter().map(|(decision, _, _)| decision).collect();
        Ok(api::ListDecisionsResponse { decisions, next_page_token })
    }

    /// The policy that a request names or sends.
    pub(crate) async fn resolve_policy(
        &self,
        tx: &mut remit_store::Tx,
        tenant: &Tenant,
        reference: api::PolicyRef,
        field: &str,
    ) -> Result<Arc<Policy>> {
        match reference.policy {
            Some(api::policy_ref::Policy::Name(name)) => {
                let row = super::policy::find(tx, tenant, &name, field).await?;
                self.compiled(&row)
            }
            Some(api::policy_ref::Policy::Source(source)) => super::policy::parse(source).await,
            None => Err(Error::invalid("POLICY_MISSING", field, "must name a policy or send one")),
        }
    }
}
