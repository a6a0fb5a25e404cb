//! Bodies, their members and delegations.

use super::ballots::settle_departed;
use super::{Service, insert, save};
use crate::proposal::asked;
use crate::store::{Bodies, Delegations, Members, Proposals, delegations, seats};
use crate::time::{Month, at, days};
use crate::{body, seat};
use remit_api::council::v1::{
    Body, CreateDelegationRequest, Delegation, GetBodyRequest, ListBodiesRequest, ListBodiesResponse,
    ListDelegationsRequest, ListDelegationsResponse, ListMembersRequest, ListMembersResponse, Member, Proposal,
    ProposalState, ResignMemberRequest, RevokeDelegationRequest,
};
use remit_api::types::TimeRange;
use remit_api::wire::time::{parse, stamp};
use remit_api::wire::{self, Word as _, range, required};
use remit_core::authority::STEERING_GROUP;
use remit_core::details::{Details as _, SeatChanged, SeatDelegated};
use remit_core::name::{BodyName, DelegationName, MemberName};
use remit_core::{Error, Result, Tenant, name};
use remit_runtime::Cx;
use remit_store::{Mutation, Records, timers};

/// Schedules the collection of a month's evidence, at its cut-off.
pub(super) async fn schedule_review(m: &mut Mutation, body: &Body, month: &Month) -> Result<()> {
    let (tenant, due) = (m.tenant().clone(), body::cut_off(body, month));
    timers::schedule(m.tx(), &tenant, &review_timer(body), "review.open", due, month.period().as_bytes()).await
}

fn review_timer(body: &Body) -> String {
    format!("review.open:{}", body.name)
}

impl Service {
    /// Gives a tenant its two bodies, once.
    pub(super) async fn seed(&self, tenant: &Tenant) -> Result<()> {
        let seed = async || {
            if Bodies::find(&mut self.db.read().await?, tenant, STEERING_GROUP).await?.is_some() {
                return Ok(());
            }
            let plant = async |m: &mut Mutation| {
                for mut body in body::seeds(m.now()) {
                    if Bodies::try_insert(m, &mut body).await? {
                        super::record::<Bodies>(m, None, &body, |_| {});
                        begin_reviews(m, &body).await?;
                    }
                }
                Ok(())
            };
            self.db.own(tenant, "council.bodies.seed", plant).await
        };
        self.seeded.ensure(tenant, seed).await
    }

    pub(crate) async fn get_body(&self, cx: &Cx, request: GetBodyRequest) -> Result<Body> {
        BodyName::parse(&request.name, "name")?;
        self.get::<Bodies>(cx, &request.name).await
    }

    pub(crate) async fn list_bodies(&self, cx: &Cx, request: ListBodiesRequest) -> Result<ListBodiesResponse> {
        let (bodies, next_page_token) = self.list::<Bodies>(cx, cx.page(&request)).await?;
        Ok(ListBodiesResponse { bodies, next_page_token })
    }

    pub(crate) async fn list_members(&self, cx: &Cx, request: ListMembersRequest) -> Result<ListMembersResponse> {
        self.seed(&cx.tenant).await?;
        let page = cx.page(&request);
        let (members, next_page_token) =
            Members::list_in::<Bodies>(&self.db, &cx.tenant, page, BodyName::PATTERN).await?;
        Ok(ListMembersResponse { members, next_page_token })
    }

    /// Gives up the caller's seat.
    pub(crate) async fn resign_member(&self, cx: &Cx, request: ResignMemberRequest) -> Result<Member> {
        MemberName::parse(&request.name, "name")?;
        let resign = async |m: &mut Mutation| {
            let gone = || Error::not_found("MEMBER_NOT_FOUND", &request.name);
            // The body first, as whoever opens a vote does: a vote has either pinned the seat by now, or never will.
            Bodies::try_claim(m, name::parent(&request.name)).await?.ok_or_else(gone)?;
            let before = Members::claim(m, &request.name).await?;
            if !before.active {
                return Err(gone());
            }
            if before.subject != cx.actor.subject || cx.actor.on_behalf_of.is_some() {
                let message = format!("{} is the seat of {}: a proposal takes it", before.name, before.subject);
                return Err(Error::denied("NOT_YOUR_SEAT", message));
            }
            end_seat(m, &before, "", "council.members.resign").await
        };
        self.mutate(cx, &request, resign).await
    }

    /// Lets somebody vote on the caller's seat.
    pub(crate) async fn create_delegation(&self, cx: &Cx, request: CreateDelegationRequest) -> Result<Delegation> {
        let body = BodyName::parse(&request.parent, "parent")?.body;
        let name = DelegationName::new(body, name::id(&request.delegation_id, "delegation_id")?).to_string();
        let given = required(request.delegation.clone(), "delegation")?;
        let from = given.start_time.map(|from| parse(&from, "delegation.start_time")).transpose()?;
        let (me, until) = (cx.actor.subject.clone(), at(&given.expire_time));
        let create = async |m: &mut Mutation| {
            let body = Bodies::claim(m, &request.parent).await?;
            let now = m.now();
            let from = from.unwrap_or(now);
            let wrong = |field: &str, rule: &str| Err(Error::invalid("DELEGATION_INVALID", field, rule));
            if given.delegate == me {
                return wrong("delegation.delegate", "must be another person");
            }
            if until <= now {
                return wrong("delegation.expire_time", "must be in the future");
            }
            let span = TimeRange { start_time: Some(stamp(from)), end_time: given.expire_time };
            range::closed(Some(&span), "delegation")?;
            if until > from.plus(days(366)) {
                return wrong("delegation.expire_time", "must be at most 366 days after start_time");
            }
            let seats = seats(m.tx(), &cx.tenant, &body.name).await?;
            if !seats.iter().any(|seat| seat.subject == me) {
                return Err(Error::precondition("NOT_A_MEMBER", format!("{me} has no seat in {}", body.name)));
            }
            seat::acting(&cx.actor, &body.name, &seats, &[], now)?;
            let others = delegations(m.tx(), &cx.tenant, &body.name).await?;
            if others.iter().any(|other| other.delegator == me && other.from < until && from < other.until) {
                let message = format!("the seat of {me} is delegated in that time");
                return Err(Error::precondition("DELEGATION_OVERLAPS", message));
            }
            let mut delegation = Delegation {
                name,
                delegator: me,
                start_time: Some(stamp(from)),
                revoke_time: None,
                create_time: Some(stamp(now)),
                creator: Some(wire::actor(&cx.actor)),
                ..given
            };
            let open_votes = waiting(m, &delegation).await?;
            let details = delegated(&delegation, open_votes).json();
            insert::<Delegations>(m, &mut delegation, |event| event.details = details).await?;
            Ok(delegation)
        };
        self.mutate(cx, &request, create).await
    }

    pub(crate) async fn list_delegations(
        &self,
        cx: &Cx,
        request: ListDelegationsRequest,
    ) -> Result<ListDelegationsResponse> {
        self.seed(&cx.tenant).await?;
        let page = cx.page(&request);
        let (delegations, next_page_token) =
            Delegations::list_in::<Bodies>(&self.db, &cx.tenant, page, BodyName::PATTERN).await?;
        Ok(ListDelegationsResponse { delegations, next_page_token })
    }

    /// Ends a delegation.
    pub(crate) async fn revoke_delegation(&self, cx: &Cx, request: RevokeDelegationRequest) -> Result<Delegation> {
        DelegationName::parse(&request.name, "name")?;
        let revoke = async |m: &mut Mutation| {
            let before = Delegations::claim(m, &request.name).await?;
            if cx.actor.subject != before.delegator && cx.actor.subject != before.delegate {
                return Err(Error::denied("NOT_YOUR_DELEGATION", "only who delegated and the delegate may revoke it"));
            }
            let revoke_time = before.revoke_time.or_else(|| Some(stamp(m.now())));
            let mut delegation = Delegation { revoke_time, ..before.clone() };
            let details = delegated(&delegation, 0).json();
            save::<Delegations>(m, &before, &mut delegation, |event| event.details = details).await?;
            Ok(delegation)
        };
        self.mutate(cx, &request, revoke).await
    }
}

/// How many open votes of its body wait for the seat of a new delegation, which has not begun to count for others.
async fn waiting(m: &mut Mutation, delegation: &Delegation) -> Result<i64> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    let parent = name::parent(&delegation.name);
    let open = Proposals::in_states(m.tx(), &tenant, &[ProposalState::Open.word()]).await?;
    let wanted = |one: &&Proposal| one.body == parent && asked(one, &[], now).members.contains(&delegation.delegator);
    Ok(i64::try_from(open.iter().filter(wanted).count()).unwrap_or(i64::MAX))
}

/// What an audit entry says of a delegation.
fn delegated(delegation: &Delegation, open_votes: i64) -> SeatDelegated {
    let until = at(&delegation.expire_time);
    let until = delegation.revoke_time.map_or(until, |_| at(&delegation.revoke_time).min(until));
    SeatDelegated {
        body: name::parent(&delegation.name).to_owned(),
        delegator: delegation.delegator.clone(),
        delegate: delegation.delegate.clone(),
        start_time: at(&delegation.start_time).to_string(),
        expire_time: until.to_string(),
        open_votes,
    }
}

/// Plans the review of this month for a body that holds reviews, and none for any other.
pub(super) async fn begin_reviews(m: &mut Mutation, body: &Body) -> Result<()> {
    if body.holds_reviews {
        let month = Month::of(m.now(), &body.zone)?;
        return schedule_review(m, body, &month).await;
    }
    let tenant = m.tenant().clone();
    timers::cancel(m.tx(), &tenant, &review_timer(body)).await.map(drop)
}

pub(super) fn seat_changed(member: &Member, proposal: &str) -> SeatChanged {
    SeatChanged {
        proposal: proposal.to_owned(),
        subject: member.subject.clone(),
        role_group: member.role_group.clone(),
    }
}

/// Ends a membership, and settles the votes that are open without it.
pub(super) async fn end_seat(
    m: &mut Mutation,
    before: &Member,
    proposal: &str,
    action: &'static str,
) -> Result<Member> {
    let mut member = Member { active: false, end_time: Some(stamp(m.now())), ..before.clone() };
    let details = seat_changed(&member, proposal);
    save::<Members>(m, before, &mut member, |event| {
        action.clone_into(&mut event.action);
        event.details = details.json();
    })
    .await?;
    settle_departed(m, name::parent(&member.name), &member.subject).await?;
    Ok(member)
}
