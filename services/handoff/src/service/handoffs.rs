//! Creating, reading and editing handoffs, and the events that trigger them.

use super::record::{self, Record};
use super::{Service, clocks, decode, gates};
use crate::convert::{self, stamp};
use crate::machine::{self, Action};
use crate::store::{self, handoffs::HandoffColumns, handoffs::VariantRow};
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::HandoffState as State;
use remit_api::handoff::v1::gate_version::Rules;
use remit_core::{Error, Kind, Result, digest, name};
use remit_runtime::{Cx, Started, finish};
use remit_store::{Value, page};
use serde_json::json;

/// The trigger event that makes a brief final.
const BRIEF_FINAL: &str = "brief.finalized";

/// The brief with the digest of its answers.
fn with_digest(brief: Option<pb::Brief>) -> Option<pb::Brief> {
    brief.map(|mut brief| {
        brief.digest.clear();
        brief.digest = digest::sha256(&brief.encode_to_vec());
        brief
    })
}

/// The answers that a brief lacks (S149).
fn open_questions(brief: Option<&pb::Brief>) -> Vec<(&'static str, &'static str)> {
    let empty = pb::Brief::default();
    let brief = brief.unwrap_or(&empty);
    let answers = [
        (&brief.audience, "brief.audience", "who are we reaching?"),
        (&brief.message, "brief.message", "what must they hear, and where in the buying process?"),
        (&brief.outcome, "brief.outcome", "what are we trying to produce?"),
        (&brief.success_measure, "brief.success_measure", "how will we know?"),
    ];
    let open = answers.into_iter().filter(|(answer, ..)| answer.trim().is_empty());
    open.map(|(_, field, question)| (field, question)).collect()
}

fn check_task(task: &str) -> Result<()> {
    name::ids::<1>(task, "tasks/*", "handoff.task").map(drop)
}

impl Service {
    /// Creates a handoff under the gate's active version.
    pub async fn create_handoff(&self, cx: &Cx, request: pb::CreateHandoffRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let id = request.handoff_id;
        if !name::is_id(&id) {
            return Err(Error::invalid("HANDOFF_INVALID", "handoff_id", "must be letters, digits, '.', '_' and '-'"));
        }
        let wanted = request.handoff.unwrap_or_default();
        check_task(&wanted.task)?;
        let (gate_id, version, gate) = gates::active(mutation.tx(), &cx.tenant, &wanted.gate, "handoff.gate").await?;
        if !matches!(gate.rules, Some(Rules::Creative(_))) {
            return Err(Error::precondition(
                "GATE_KIND",
                format!("{} is a gate for leads: use RouteLeads", wanted.gate),
            ));
        }
        let now = mutation.now();
        let mut handoff = pb::Handoff {
            name: format!("handoffs/{id}"),
            display_name: wanted.display_name,
            gate: wanted.gate,
            gate_version: gate.name.clone(),
            task: wanted.task,
            brief: with_digest(wanted.brief),
            parents: wanted.parents,
            channel: wanted.channel,
            state: State::Draft.into(),
            requester: Some(convert::actor(&cx.actor)),
            etag: convert::etag(1),
            create_time: Some(stamp(now)),
            update_time: Some(stamp(now)),
            ..Default::default()
        };
        handoff.expire_time = clocks::start_expiry(&mut mutation, &gate, &id).await?.map(stamp);
        let columns = HandoffColumns {
            id: &id,
            gate_id: &gate_id,
            gate_version: version,
            task: &handoff.task,
            channel: &handoff.channel,
            state: handoff.state.into(),
            human_led: false,
            ai_run: false,
            iteration: 0,
            override_count: 0,
            due_time: None,
            escalate_time: None,
            escalate_cause: None,
            accept_time: None,
            publish_time: None,
            body: handoff.encode_to_vec(),
        };
        if !store::handoffs::insert(mutation.tx(), &cx.tenant, columns, now).await? {
            return Err(Error::new(Kind::AlreadyExists, "HANDOFF_EXISTS", format!("{} exists already", handoff.name)));
        }
        super::record(&mut mutation, &handoff.name, |event| {
            event.after_digest = digest::sha256(&handoff.encode_to_vec());
            event.details = json!({"to": "DRAFT", "gate_version": handoff.gate_version, "task": handoff.task});
        });
        finish(mutation, handoff).await
    }

    /// Returns a handoff.
    pub async fn get_handoff(&self, cx: &Cx, request: pb::GetHandoffRequest) -> Result<pb::Handoff> {
        record::peek(&mut self.db.read().await?, &cx.tenant, &request.name).await
    }

    /// Lists handoffs.
    pub async fn list_handoffs(&self, cx: &Cx, request: pb::ListHandoffsRequest) -> Result<pb::ListHandoffsResponse> {
        let size = page::size(request.page_size)?;
        let filter = store::handoffs::filter(&request.filter)?;
        let keyset = self.db.keyset(&cx.tenant, "handoffs", &[&request.filter]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = store::handoffs::list(&mut tx, &cx.tenant, &filter, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) =
            keyset.cut(rows, size, |row| vec![Value::from(row.create_time), Value::from(&row.id)]);
        Ok(pb::ListHandoffsResponse {
            handoffs: rows.iter().map(record::show).collect::<Result<_>>()?,
            next_page_token,
        })
    }

    /// Edits a handoff's description.
    pub async fn update_handoff(&self, cx: &Cx, request: pb::UpdateHandoffRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let wanted = request.handoff.unwrap_or_default();
        let mut record = Record::lock(&mut mutation, &wanted.name).await?;
        // The lock has already counted this change.
        let was = record.handoff.etag.trim_start_matches('r').parse::<i64>().unwrap_or(0) - 1;
        convert::check_etag(&wanted.etag, was, &wanted.name)?;
        if machine::is_final(record.state()) {
            return Err(machine::wrong_state(&wanted.name, record.state(), "be edited", "nothing"));
        }
        let mut paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        if paths.is_empty() || paths == ["*"] {
            paths = ["display_name", "task", "brief", "parents", "channel"].map(str::to_owned).to_vec();
        }
        let state = record.state();
        let handoff = &mut record.handoff;
        for path in &paths {
            match path.as_str() {
                "display_name" => handoff.display_name.clone_from(&wanted.display_name),
                "parents" => handoff.parents.clone_from(&wanted.parents),
                "channel" => handoff.channel.clone_from(&wanted.channel),
                "brief" | "task" if state != State::Draft => {
                    let (same_brief, same_task) =
                        (handoff.brief == with_digest(wanted.brief.clone()), handoff.task == wanted.task);
                    if if path == "brief" { same_brief } else { same_task } {
                        continue;
                    }
                    let wanted_change = format!("change its {path}");
                    return Err(machine::wrong_state(
                        &wanted.name,
                        state,
                        &wanted_change,
                        "changing display_name, parents, channel",
                    ));
                }
                "brief" => handoff.brief = with_digest(wanted.brief.clone()),
                "task" => {
                    check_task(&wanted.task)?;
                    handoff.task.clone_from(&wanted.task);
                }
                _ => {
                    let known = format!("has no field {path}; fields are display_name, task, brief, parents, channel");
                    return Err(Error::invalid("UPDATE_MASK_INVALID", "update_mask", known));
                }
            }
        }
        let finalized = handoff.trigger_events.iter().any(|event| event.event_type == BRIEF_FINAL);
        if finalized && paths.iter().any(|path| path == "brief") {
            check_brief(handoff)?;
        }
        let handoff = record.save(&mut mutation, cx.method, "", json!({"fields": paths})).await?;
        finish(mutation, handoff).await
    }

    /// Records a trigger event.
    pub async fn record_trigger(&self, cx: &Cx, request: pb::RecordTriggerRequest) -> Result<pb::Handoff> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut record = Record::lock(&mut mutation, &request.name).await?;
        let mut event = request.event.unwrap_or_default();
        let now = mutation.now();
        let types: Vec<&str> = record.gate.triggers.iter().map(|trigger| trigger.event_type.as_str()).collect();
        if !types.contains(&event.event_type.as_str()) {
            let known = format!("must be one of {}", types.join(", "));
            return Err(Error::invalid("TRIGGER_UNKNOWN", "event.event_type", known));
        }
        convert::past(event.occurred_at.as_ref(), now, "event.occurred_at")?;
        if event.event_type == BRIEF_FINAL {
            check_brief(&record.handoff)?;
        }
        let new = store::handoffs::insert_trigger(mutation.tx(), &cx.tenant, &record.id, &event.event_id, now).await?;
        if !new {
            // Delivered twice by the other system: nothing changes, nothing is recorded.
            let unchanged = record::peek(&mut self.db.read().await?, &cx.tenant, &request.name).await?;
            return Ok(unchanged);
        }
        if record.state() != State::Draft {
            return Err(machine::wrong_state(
                &request.name,
                record.state(),
                "be triggered",
                "what comes after the trigger",
            ));
        }
        event.recorded_at = Some(stamp(now));
        let details = json!({"event_id": event.event_id, "event_type": event.event_type, "source": event.source});
        record.handoff.trigger_events.push(event);
        let events = &record.handoff.trigger_events;
        let all = record
            .gate
            .triggers
            .iter()
            .all(|trigger| events.iter().any(|event| event.event_type == trigger.event_type));
        if all {
            record.go(Action::Trigger)?;
        }
        let handoff = record.save(&mut mutation, cx.method, "", details).await?;
        finish(mutation, handoff).await
    }

    /// Lists the variants of all iterations.
    pub async fn list_variants(&self, cx: &Cx, request: pb::ListVariantsRequest) -> Result<pb::ListVariantsResponse> {
        let [id] = name::ids::<1>(&request.parent, "handoffs/*", "parent")?;
        let mut tx = self.db.read().await?;
        record::peek(&mut tx, &cx.tenant, &request.parent).await?;
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(&cx.tenant, "variants", &[id]);
        let after = keyset.after(&request.page_token)?;
        let rows = store::handoffs::list_variants(&mut tx, &cx.tenant, id, after.as_deref(), size + 1).await?;
        let key = |row: &VariantRow| vec![Value::from(row.iteration), Value::from(row.rank), Value::from(&row.id)];
        let (rows, next_page_token) = keyset.cut(rows, size, key);
        let variants = rows.iter().map(|row| decode(&row.body)).collect::<Result<_>>()?;
        Ok(pb::ListVariantsResponse { variants, next_page_token })
    }
}

fn check_brief(handoff: &pb::Handoff) -> Result<()> {
    let open = open_questions(handoff.brief.as_ref());
    if open.is_empty() {
        return Ok(());
    }
    let questions: Vec<&str> = open.iter().map(|(_, question)| *question).collect();
    let message = format!("the brief of {} does not answer: {}", handoff.name, questions.join(" "));
    let error = Error::precondition("BRIEF_INCOMPLETE", message);
    Err(open.into_iter().fold(error, |error, (field, question)| error.with_violation(field, question)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_has_four_answers() {
        assert_eq!(open_questions(None).len(), 4);
        let mut brief = pb::Brief {
            audience: "CFOs".into(),
            message: "One ledger, when they compare".into(),
            outcome: "Demo requests".into(),
            success_measure: " ".into(),
            ..Default::default()
        };
        assert_eq!(open_questions(Some(&brief)), [("brief.success_measure", "how will we know?")]);
        brief.success_measure = "40 demos a month".into();
        assert!(open_questions(Some(&brief)).is_empty());
    }

    #[test]
    fn an_edit_changes_the_digest_of_a_brief() {
        let brief = pb::Brief { audience: "CFOs".into(), ..Default::default() };
        let first = with_digest(Some(brief.clone())).unwrap_or_default();
        assert_eq!(Some(first.clone()), with_digest(Some(first.clone())));
        let second = with_digest(Some(pb::Brief { audience: "CFO".into(), ..brief })).unwrap_or_default();
        assert_ne!(first.digest, second.digest);
    }
}
