//! Overrides: what people corrected and why, linked to what was done about it (R9, S61, S81).

use super::record::Record;
use super::{Service, decode};
use crate::convert::{self, stamp};
use crate::store::{self, decisions::OverrideColumns};
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::OverrideKind;
use remit_core::{Error, Kind, Result, name};
use remit_runtime::{Cx, Started, finish};
use remit_store::{Mutation, Value, page};
use serde_json::json;

/// How many follow-ups an override can have.
const MOST_FOLLOW_UPS: usize = 50;

/// What is overridden.
pub(super) struct Overridden<'a> {
    pub resource: &'a str,
    pub gate_id: &'a str,
    pub gate_version: &'a str,
    pub model_version: &'a str,
    pub before_digest: String,
    pub after_digest: String,
}

/// Records an override and returns its name.
pub(super) async fn insert(
    mutation: &mut Mutation,
    what: Overridden<'_>,
    kind: OverrideKind,
    reason: pb::Reason,
) -> Result<String> {
    let (tenant, now, id) = (mutation.tenant().clone(), mutation.now(), mutation.new_id());
    let code = reason.code;
    let record = pb::Override {
        name: format!("overrides/{id}"),
        resource: what.resource.to_owned(),
        gate_version: what.gate_version.to_owned(),
        kind: kind.into(),
        reason: Some(reason),
        before_digest: what.before_digest,
        after_digest: what.after_digest,
        model_version: what.model_version.to_owned(),
        actor: Some(convert::actor(mutation.actor())),
        create_time: Some(stamp(now)),
        follow_ups: Vec::new(),
    };
    let columns = OverrideColumns {
        id: &id,
        resource: what.resource,
        gate_id: what.gate_id,
        gate_version: what.gate_version,
        kind: i64::from(kind as i32),
        reason: code.into(),
        model_version: what.model_version,
        body: record.encode_to_vec(),
    };
    store::decisions::insert_override(mutation.tx(), &tenant, columns, now).await?;
    Ok(record.name)
}

/// Records an override of a handoff's AI result.
pub(super) async fn insert_for_handoff(
    mutation: &mut Mutation,
    record: &mut Record,
    kind: OverrideKind,
    reason: pb::Reason,
    (before_digest, after_digest): (String, String),
) -> Result<String> {
    record.handoff.override_count += 1;
    let model_version = record.handoff.run_inputs.as_ref().map(|run| run.model_version.clone()).unwrap_or_default();
    let what = Overridden {
        resource: &record.handoff.name,
        gate_id: &record.gate_id,
        gate_version: &record.handoff.gate_version,
        model_version: &model_version,
        before_digest,
        after_digest,
    };
    insert(mutation, what, kind, reason).await
}

impl Service {
    /// Lists overrides.
    pub async fn list_overrides(
        &self,
        cx: &Cx,
        request: pb::ListOverridesRequest,
    ) -> Result<pb::ListOverridesResponse> {
        let size = page::size(request.page_size)?;
        let filter = store::decisions::override_filter(&request.filter)?;
        let keyset = self.db.keyset(&cx.tenant, "overrides", &[&request.filter]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = store::decisions::list_overrides(&mut tx, &cx.tenant, &filter, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) =
            keyset.cut(rows, size, |row| vec![Value::from(row.create_time), Value::from(&row.id)]);
        let overrides = rows.iter().map(|row| decode(&row.body)).collect::<Result<_>>()?;
        Ok(pb::ListOverridesResponse { overrides, next_page_token })
    }

    /// Links an override to a follow-up.
    pub async fn link_follow_up(&self, cx: &Cx, request: pb::LinkFollowUpRequest) -> Result<pb::Override> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let [id] = name::ids::<1>(&request.name, "overrides/*", "name")?;
        let body = store::decisions::lock_override(mutation.tx(), &cx.tenant, id).await?;
        let body = body.ok_or_else(|| Error::not_found("OVERRIDE_NOT_FOUND", &request.name))?;
        let mut found: pb::Override = decode(&body)?;
        if found.follow_ups.contains(&request.follow_up) {
            return Ok(found);
        }
        if found.follow_ups.len() >= MOST_FOLLOW_UPS {
            let message = format!("{} has {MOST_FOLLOW_UPS} follow-ups already", request.name);
            return Err(Error::new(Kind::ResourceExhausted, "FOLLOW_UPS_FULL", message));
        }
        found.follow_ups.push(request.follow_up.clone());
        store::decisions::update_override(mutation.tx(), &cx.tenant, id, found.encode_to_vec()).await?;
        super::record(&mut mutation, &found.name, |event| {
            event.details = json!({"follow_up": request.follow_up, "resource": found.resource});
        });
        finish(mutation, found).await
    }
}
