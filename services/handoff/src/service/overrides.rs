//! Overrides: what people corrected and why, linked to what was done about it (R9, S61, S81).

use super::Service;
use crate::store::Overrides;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::OverrideKind;
use remit_api::wire::actor;
use remit_api::wire::time::stamp;
use remit_core::details::{Details as _, FollowUpLinked};
use remit_core::name::OverrideName;
use remit_core::{Error, Kind, Result};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _};

/// How many follow-ups an override can have.
const MOST_FOLLOW_UPS: usize = 50;

/// Records an override by the caller and returns its name.
pub(super) async fn insert(m: &mut Mutation, what: pb::Override) -> Result<String> {
    let mut record = pb::Override {
        name: OverrideName::new(m.new_id()).to_string(),
        actor: Some(actor(m.actor())),
        create_time: Some(stamp(m.now())),
        ..what
    };
    Overrides::insert(m, &mut record).await?;
    Ok(record.name)
}

/// Records an override of a handoff's result, given the digests before and after, and whether the caller is none of
/// the gate's people.
pub(super) async fn of_handoff(
    m: &mut Mutation,
    handoff: &pb::Handoff,
    kind: OverrideKind,
    reason: pb::Reason,
    (before_digest, after_digest): (String, String),
    outsider: bool,
) -> Result<String> {
    let what = pb::Override {
        resource: handoff.name.clone(),
        gate_version: handoff.gate_version.clone(),
        model_version: handoff.run_inputs.as_ref().map(|run| run.model_version.clone()).unwrap_or_default(),
        kind: kind.into(),
        reason: Some(reason),
        before_digest,
        after_digest,
        outsider,
        ..Default::default()
    };
    insert(m, what).await
}

impl Service {
    /// Lists overrides.
    pub(crate) async fn list_overrides(
        &self,
        cx: &Cx,
        request: pb::ListOverridesRequest,
    ) -> Result<pb::ListOverridesResponse> {
        let (overrides, next_page_token) = Overrides::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(pb::ListOverridesResponse { overrides, next_page_token })
    }

    /// Links an override to a follow-up.
    pub(crate) async fn link_follow_up(&self, cx: &Cx, request: pb::LinkFollowUpRequest) -> Result<pb::Override> {
        OverrideName::parse(&request.name, "name")?;
        self.mutate(cx.call(&request), async |m| {
            let mut found = Overrides::claim(m, &request.name).await?;
            if found.follow_ups.contains(&request.follow_up) {
                return Ok(found);
            }
            if found.follow_ups.len() >= MOST_FOLLOW_UPS {
                let message = format!("{} has {MOST_FOLLOW_UPS} follow-ups already", request.name);
                return Err(Error::new(Kind::ResourceExhausted, "FOLLOW_UPS_FULL", message));
            }
            found.follow_ups.push(request.follow_up.clone());
            Overrides::save(m, &mut found).await?;
            m.record(&found.name, |event| {
                event.details =
                    FollowUpLinked { follow_up: request.follow_up, resource: found.resource.clone() }.json();
            });
            Ok(found)
        })
        .await
    }
}
