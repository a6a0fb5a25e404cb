//! Bodies, their members and delegations.

use crate::time::at;
use remit_api::council::v1::{Body, Delegation, Member};
use remit_core::quorum::{self, Seat};
use remit_core::{Result, Tenant, Timestamp, name};
use remit_store::{Records, Tx, Value};

pub(crate) struct Bodies;

impl Records for Bodies {
    type Message = Body;
    const TABLE: &'static str = "bodies";
    const NOT_FOUND: &'static str = "BODY_NOT_FOUND";
    const EXISTS: &'static str = "BODY_EXISTS";

    fn name(body: &Body) -> &str {
        &body.name
    }
    fn create_time(body: &Body) -> Timestamp {
        at(&body.create_time)
    }
    fn set_etag(body: &mut Body, etag: String) {
        body.etag = etag;
    }
}

pub(crate) struct Members;

impl Records for Members {
    type Message = Member;
    const TABLE: &'static str = "members";
    const NOT_FOUND: &'static str = "MEMBER_NOT_FOUND";
    const EXISTS: &'static str = "MEMBER_EXISTS";

    fn name(member: &Member) -> &str {
        &member.name
    }
    fn create_time(member: &Member) -> Timestamp {
        at(&member.create_time)
    }
    fn columns(member: &Member) -> Vec<(&'static str, Value)> {
        vec![("parent", name::parent(&member.name).into()), ("active", member.active.into())]
    }
}

pub(crate) struct Delegations;

impl Records for Delegations {
    type Message = Delegation;
    const TABLE: &'static str = "delegations";
    const NOT_FOUND: &'static str = "DELEGATION_NOT_FOUND";
    const EXISTS: &'static str = "DELEGATION_EXISTS";

    fn name(delegation: &Delegation) -> &str {
        &delegation.name
    }
    fn create_time(delegation: &Delegation) -> Timestamp {
        at(&delegation.create_time)
    }
    fn columns(delegation: &Delegation) -> Vec<(&'static str, Value)> {
        vec![("parent", name::parent(&delegation.name).into())]
    }
}

/// The seats of the members who are active, by name.
pub(crate) async fn seats(tx: &mut Tx, tenant: &Tenant, body: &str) -> Result<Vec<Seat>> {
    let members = Members::all(tx, tenant, &[("parent", body.into()), ("active", true.into())]).await?;
    Ok(members.into_iter().map(|member| Seat { subject: member.subject, role_group: member.role_group }).collect())
}

/// The delegations of a body as the rules of a vote read them.
pub(crate) async fn delegations(tx: &mut Tx, tenant: &Tenant, body: &str) -> Result<Vec<quorum::Delegation>> {
    let all = Delegations::all(tx, tenant, &[("parent", body.into())]).await?;
    let read = |one: Delegation| {
        let expire_time = at(&one.expire_time);
        quorum::Delegation {
            from: at(&one.start_time),
            until: one.revoke_time.map_or(expire_time, |_| at(&one.revoke_time).min(expire_time)),
            delegator: one.delegator,
            delegate: one.delegate,
        }
    };
    Ok(all.into_iter().map(read).collect())
}
