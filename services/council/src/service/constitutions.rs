//! The constitution: its one beginning, its changes by proposals, and its recovery.

use super::action_items::plan;
use super::bodies::{begin_reviews, end_seat, seat_changed};
use super::{Service, insert, save};
use crate::body;
use crate::constitution::{
    Change, check_amendment, check_reachable, check_unseating, content, lacking, may_decide, seated, silent,
};
use crate::proposal::{act, kind_of};
use crate::store::{Bodies, CONSTITUTION, Constitutions, Members, Proposals, heard_until, seats};
use crate::time::{at, days};
use remit_api::council::v1::action::Kind as Act;
use remit_api::council::v1::{
    ActFloor, Action, ActionItem, AmendBody, Body, BootstrapRequest, Constitution, FoundingBody,
    GetConstitutionRequest, Member, NewSeat, Proposal, RecoverConstitutionRequest, Recovery, RecoveryState, SeatMember,
    UnseatMember,
};
use remit_api::wire::time::stamp;
use remit_api::wire::{self, Word as _, required};
use remit_core::authority::{ACTS, AUTOMATION_COUNCIL, STEERING_GROUP};
use remit_core::details::{BodyAmended, ConstitutionMade, ConstitutionRecovered, Details as _};
use remit_core::{Error, Kind, Result, Tenant, name};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, Tx};
use std::collections::BTreeSet;

/// For how long one administrator's word waits for another's.
const CONFIRM_DAYS: u64 = 1;
/// Within how many days a recovery is to be looked at afterwards.
const RECOVERY_REVIEW_DAYS: u64 = 7;
/// So many recoveries are kept with the constitution; the log has all.
const MOST_RECOVERIES: usize = 20;

fn changed(name: &str) -> Error {
    Error::precondition("CONTENT_CHANGED", format!("{name} was changed since this was proposed: propose it anew"))
}

/// Writes into an action what it refers to, as it is when the proposal is made.
///
/// # Errors
/// `FailedPrecondition` (`CONTENT_CHANGED`) if the proposer saw another body; `NotFound` (`MEMBER_NOT_FOUND`).
pub(super) async fn pin(m: &mut Mutation, action: Option<&mut Action>) -> Result<()> {
    let tenant = m.tenant().clone();
    match action.and_then(|action| action.kind.as_mut()) {
        Some(Act::AmendBody(AmendBody { body: Some(body), .. })) => {
            let there = Bodies::find(m.tx(), &tenant, &body.name).await?;
            let etag = there.map(|body| body.etag).unwrap_or_default();
            if !body.etag.is_empty() && body.etag != etag {
                return Err(changed(&body.name));
            }
            *body = Body { etag, ..content(body) };
        }
        Some(Act::UnseatMember(a)) => a.subject = sitting(m, &a.member).await?.subject,
        _ => {}
    }
    Ok(())
}

/// The member who sits there.
async fn sitting(m: &mut Mutation, name: &str) -> Result<Member> {
    let tenant = m.tenant().clone();
    let member = Members::get(m.tx(), &tenant, name).await?;
    if member.active { Ok(member) } else { Err(Error::not_found("MEMBER_NOT_FOUND", name)) }
}

/// Refuses ids of members that were used before: the record of who left stays.
async fn check_ids(m: &mut Mutation, body: &str, given: &[NewSeat]) -> Result<()> {
    let tenant = m.tenant().clone();
    let names: Vec<String> = given.iter().map(|seat| format!("{body}/members/{}", seat.member_id)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match Members::named(m.tx(), &tenant, &names).await?.first() {
        Some(taken) => Err(Error::new(Kind::AlreadyExists, "MEMBER_EXISTS", format!("{} exists already", taken.name))),
        None => Ok(()),
    }
}

/// Refuses a proposal that `decider` may not decide, and a change of the constitution that could not be made.
///
/// # Errors
/// Those of [`may_decide`] and [`check_amendment`]; `NotFound`: `BODY_NOT_FOUND`, `MEMBER_NOT_FOUND`;
/// `FailedPrecondition` (`CONTENT_CHANGED`) if what was proposed is not what is there.
pub(super) async fn check_jurisdiction(m: &mut Mutation, decider: &Body, proposal: &Proposal) -> Result<()> {
    let (tenant, kind) = (m.tenant().clone(), kind_of(proposal));
    match act(proposal) {
        Some(Act::AmendBody(a)) => {
            let after = required(a.body.as_ref(), "proposal.action.amend_body.body")?;
            let before = Bodies::find(m.tx(), &tenant, &after.name).await?;
            if before.as_ref().map_or("", |body| body.etag.as_str()) != after.etag {
                return Err(changed(&after.name));
            }
            let seats_change = !a.seats.is_empty();
            let change = Change { name: &after.name, before: before.as_ref(), after: Some(after), seats: seats_change };
            may_decide(decider, kind, Some(&change))?;
            let all = Bodies::all(m.tx(), &tenant, &[]).await?;
            let present = seats(m.tx(), &tenant, &after.name).await?;
            check_amendment(&change, &present, &a.seats, &all)?;
            check_ids(m, &after.name, &a.seats).await
        }
        Some(Act::SeatMember(a)) => {
            let seat = required(a.seat.as_ref(), "proposal.action.seat_member.seat")?;
            let body = Bodies::get(m.tx(), &tenant, &a.body).await?;
            let change = Change { name: &body.name, before: Some(&body), after: None, seats: true };
            may_decide(decider, kind, Some(&change))?;
            let present = seats(m.tx(), &tenant, &body.name).await?;
            let given = std::slice::from_ref(seat);
            seated(&body, &present, given, "proposal.action.seat_member.seat")?;
            check_ids(m, &body.name, given).await
        }
        Some(Act::UnseatMember(a)) => {
            let member = sitting(m, &a.member).await?;
            let body = Bodies::get(m.tx(), &tenant, name::parent(&member.name)).await?;
            let change = Change { name: &body.name, before: Some(&body), after: None, seats: true };
            may_decide(decider, kind, Some(&change))?;
            let present = seats(m.tx(), &tenant, &body.name).await?;
            check_unseating(&body, &present, &member.subject)
        }
        _ => may_decide(decider, kind, None),
    }
}

/// Checks a change again where it is carried out, with the body concerned locked.
async fn check_again(m: &mut Mutation, proposal: &Proposal) -> Result<()> {
    let tenant = m.tenant().clone();
    let decider = Bodies::get(m.tx(), &tenant, &proposal.body).await?;
    check_jurisdiction(m, &decider, proposal).await
}

/// Makes or changes a body as an approved proposal says; returns its name.
pub(super) async fn amend_body(m: &mut Mutation, proposal: &Proposal, a: &AmendBody) -> Result<String> {
    let given = required(a.body.as_ref(), "proposal.action.amend_body.body")?;
    // One after the other: two bodies that give up the same act at once would each rely on the other.
    Bodies::claim(m, STEERING_GROUP).await?;
    let before = Bodies::try_claim(m, &given.name).await?;
    check_again(m, proposal).await?;
    let body = Body { create_time: before.as_ref().and_then(|body| body.create_time), ..given.clone() };
    let body = write_body(m, before, body, &proposal.name, "council.bodies.amend").await?;
    give_seats(m, &body, &a.seats, &proposal.name).await?;
    Ok(body.name)
}

/// Writes a body that was claimed as `before`, and plans its reviews anew if they change.
async fn write_body(
    m: &mut Mutation,
    before: Option<Body>,
    mut body: Body,
    proposal: &str,
    action: &'static str,
) -> Result<Body> {
    let now = Some(stamp(m.now()));
    body.create_time = body.create_time.or(now);
    body.update_time = now;
    let details = BodyAmended {
        proposal: proposal.to_owned(),
        rule: body.quorum.as_ref().map(body::rule).unwrap_or_default(),
        jurisdiction: body.jurisdiction.clone(),
    };
    let fill = |event: &mut remit_core::AuditEvent| {
        action.clone_into(&mut event.action);
        event.details = details.json();
    };
    match &before {
        Some(before) => save::<Bodies>(m, before, &mut body, fill).await?,
        None => insert::<Bodies>(m, &mut body, fill).await?,
    }
    let when = |body: &Body| (body.holds_reviews, body.zone.clone(), body.cut_off_day);
    if before.as_ref().map(when) != Some(when(&body)) {
        begin_reviews(m, &body).await?;
    }
    Ok(body)
}

/// Gives seats; `proposal` says so, and is empty for the bootstrap and a recovery.
async fn give_seats(m: &mut Mutation, body: &Body, given: &[NewSeat], proposal: &str) -> Result<()> {
    for new in given {
        let mut member = Member {
            name: format!("{}/members/{}", body.name, new.member_id),
            subject: new.subject.clone(),
            role_group: new.role_group.clone(),
            active: true,
            create_time: Some(stamp(m.now())),
            end_time: None,
        };
        let details = seat_changed(&member, proposal);
        insert::<Members>(m, &mut member, |event| {
            "council.members.seat".clone_into(&mut event.action);
            event.details = details.json();
        })
        .await?;
    }
    Ok(())
}

/// Gives a seat as an approved proposal says; returns the name of the member.
pub(super) async fn seat_member(m: &mut Mutation, proposal: &Proposal, a: &SeatMember) -> Result<String> {
    let body = Bodies::claim(m, &a.body).await?;
    check_again(m, proposal).await?;
    let seat = required(a.seat.as_ref(), "proposal.action.seat_member.seat")?;
    give_seats(m, &body, std::slice::from_ref(seat), &proposal.name).await?;
    Ok(format!("{}/members/{}", body.name, seat.member_id))
}

/// Takes a seat as an approved proposal says; returns the name of the member.
pub(super) async fn unseat_member(m: &mut Mutation, proposal: &Proposal, a: &UnseatMember) -> Result<String> {
    Bodies::claim(m, name::parent(&a.member)).await?;
    check_again(m, proposal).await?;
    let before = Members::claim(m, &a.member).await?;
    let member = end_seat(m, &before, &proposal.name, "council.members.unseat").await?;
    Ok(member.name)
}

/// The constitution with its bodies, members and acts as they are now.
async fn whole(tx: &mut Tx, tenant: &Tenant, kept: Constitution) -> Result<Constitution> {
    let mut bodies = Bodies::all(tx, tenant, &[]).await?;
    bodies.sort_by(|a, b| a.name.cmp(&b.name));
    let mut members = Members::all(tx, tenant, &[("active", true.into())]).await?;
    members.sort_by(|a, b| a.name.cmp(&b.name));
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let acts = ACTS.iter().map(|act| ActFloor {
        kind: act.kind.to_owned(),
        what: act.what.to_owned(),
        bodies: bodies
            .iter()
            .filter(|body| act.body.is_empty() || body::has(body, act.kind))
            .map(|body| body.name.clone())
            .collect(),
        min_approvals: count(act.floor.min_approvals),
        role_groups: act.floor.groups.iter().map(|&group| group.to_owned()).collect(),
        permissions: act.permissions.iter().map(|&permission| permission.to_owned()).collect(),
    });
    let acts = acts.collect();
    Ok(Constitution { bodies, members, acts, ..kept })
}

/// One of the two bodies with its first members.
async fn found(m: &mut Mutation, founding: &FoundingBody, field: &str) -> Result<Vec<String>> {
    let before = Bodies::claim(m, &founding.body).await?;
    let zone = if founding.zone.is_empty() { before.zone.clone() } else { founding.zone.clone() };
    let rules = if founding.class_rules.is_empty() { before.class_rules.clone() } else { founding.class_rules.clone() };
    let body = Body {
        quorum: founding.quorum.clone().or_else(|| before.quorum.clone()),
        class_rules: rules,
        zone,
        cut_off_day: if founding.cut_off_day == 0 { before.cut_off_day } else { founding.cut_off_day },
        ..before.clone()
    };
    body::check(&body, field)?;
    let seats = seated(&body, &[], &founding.seats, &format!("{field}.seats"))?;
    check_reachable(&body, &seats)?;
    let body = write_body(m, Some(before), body, "", "council.bodies.found").await?;
    give_seats(m, &body, &founding.seats, "").await?;
    let line = |seat: &NewSeat| format!("{}/members/{}", body.name, said(seat));
    Ok(founding.seats.iter().map(line).collect())
}

/// A seat in the words of an audit entry.
fn said(seat: &NewSeat) -> String {
    format!("{}: {} ({})", seat.member_id, seat.subject, seat.role_group)
}

impl Service {
    /// Makes the constitution, once.
    pub(crate) async fn bootstrap(&self, cx: &Cx, request: BootstrapRequest) -> Result<Constitution> {
        let named: BTreeSet<&str> = request.bodies.iter().map(|body| body.body.as_str()).collect();
        if request.bodies.len() != 2 || named != BTreeSet::from([STEERING_GROUP, AUTOMATION_COUNCIL]) {
            let rule = format!("must name {STEERING_GROUP} and {AUTOMATION_COUNCIL}, each once");
            return Err(Error::invalid("BODIES_INCOMPLETE", "bodies", rule));
        }
        let make = async |m: &mut Mutation| {
            // Whoever comes second waits here, and finds that it is made.
            Bodies::claim(m, STEERING_GROUP).await?;
            let mut kept = Constitution {
                create_time: Some(stamp(m.now())),
                founder: Some(wire::actor(&cx.actor)),
                ..Constitution::default()
            };
            if !Constitutions::try_insert(m, &mut kept).await? {
                let message = "the constitution was made already: it changes by proposals, or by RecoverConstitution";
                return Err(Error::precondition("CONSTITUTION_EXISTS", message));
            }
            let mut seats = Vec::new();
            for (at, founding) in request.bodies.iter().enumerate() {
                seats.extend(found(m, founding, &format!("bodies[{at}]")).await?);
            }
            m.record(CONSTITUTION, |event| event.details = ConstitutionMade { seats }.json());
            whole(m.tx(), &cx.tenant, kept).await
        };
        self.mutate(cx, &request, make).await
    }

    pub(crate) async fn get_constitution(&self, cx: &Cx, _: GetConstitutionRequest) -> Result<Constitution> {
        self.seed(&cx.tenant).await?;
        let mut tx = self.db.snapshot().await?;
        let kept = Constitutions::find(&mut tx, &cx.tenant, CONSTITUTION).await?;
        whole(&mut tx, &cx.tenant, kept.unwrap_or_default()).await
    }

    /// Asks for a recovery, or confirms one that somebody else asked for.
    pub(crate) async fn recover_constitution(
        &self,
        cx: &Cx,
        request: RecoverConstitutionRequest,
    ) -> Result<Constitution> {
        let recover = async |m: &mut Mutation| {
            let body = Bodies::claim(m, STEERING_GROUP).await?;
            let Some(mut kept) = Constitutions::try_claim(m, CONSTITUTION).await? else {
                return Err(missing());
            };
            let now = m.now();
            let gone = check_gone(m, &body, &request.departed).await?;
            let mut present = seats(m.tx(), &cx.tenant, &body.name).await?;
            present.retain(|seat| !gone.iter().any(|member| member.subject == seat.subject));
            if lacking(&body, &present).is_empty() {
                let message = format!("{} can meet its rule: change the constitution by a proposal", body.name);
                return Err(Error::precondition("CONSTITUTION_ALIVE", message));
            }
            check_reachable(&body, &seated(&body, &present, &request.seats, "seats")?)?;
            check_ids(m, &body.name, &request.seats).await?;
            let waits = |one: &Recovery| one.state() == RecoveryState::Asked && now < at(&one.expire_time);
            let same = |one: &Recovery| (&one.seats, &one.departed) == (&request.seats, &request.departed);
            let asked = kept.recoveries.first().filter(|one| waits(one) && same(one)).cloned();
            let other = kept.recoveries.first().filter(|one| waits(one) && !same(one));
            if let Some(other) = other
                && other.asker.as_ref().is_none_or(|asker| asker.subject != cx.actor.subject)
            {
                let seats: Vec<String> = other.seats.iter().map(said).collect();
                let message = format!("another recovery waits to be confirmed, with these seats: {}", seats.join(", "));
                return Err(Error::precondition("RECOVERY_WAITS", message));
            }
            kept.recoveries.retain(|one| one.state() == RecoveryState::Done);
            let recovery = match asked {
                Some(asked) => confirm(m, cx, &body, asked, &request.reason).await?,
                None => Recovery {
                    state: RecoveryState::Asked.into(),
                    seats: request.seats.clone(),
                    departed: request.departed.clone(),
                    reason: request.reason.clone(),
                    asker: Some(wire::actor(&cx.actor)),
                    ask_time: Some(stamp(now)),
                    expire_time: Some(stamp(now.plus(days(CONFIRM_DAYS)))),
                    ..Recovery::default()
                },
            };
            let details = ConstitutionRecovered {
                state: recovery.state().word().to_owned(),
                asker: recovery.asker.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default(),
                seats: recovery.seats.iter().map(said).collect(),
                departed: recovery.departed.clone(),
                notify: recovery.notified.clone(),
                action_item: recovery.action_item.clone(),
            };
            kept.recoveries.insert(0, recovery);
            kept.recoveries.truncate(MOST_RECOVERIES);
            Constitutions::save(m, &mut kept).await?;
            m.record(CONSTITUTION, |event| {
                event.reason.clone_from(&request.reason);
                event.details = details.json();
            });
            whole(m.tx(), &cx.tenant, kept).await
        };
        self.mutate(cx, &request, recover).await
    }
}

/// The members of a body who are said to be gone: each must have been silent for long, so that nobody is declared gone
/// who is there.
///
/// # Errors
/// `NotFound` (`MEMBER_NOT_FOUND`) for whoever has no seat there; `FailedPrecondition` (`MEMBER_NOT_SILENT`).
async fn check_gone(m: &mut Mutation, body: &Body, departed: &[String]) -> Result<Vec<Member>> {
    let mut gone = Vec::new();
    if departed.is_empty() {
        return Ok(gone);
    }
    let (tenant, now) = (m.tenant().clone(), m.now());
    let proposals = Proposals::all(m.tx(), &tenant, &[("parent", (&body.name).into())]).await?;
    for name in departed {
        let member = sitting(m, name).await?;
        if name::parent(&member.name) != body.name {
            return Err(Error::not_found("MEMBER_NOT_FOUND", name));
        }
        let heard = heard_until(m.tx(), &tenant, &member.subject).await?;
        if !silent(&member.subject, &proposals, heard, now) {
            let message = format!(
                "{} has not been silent for 30 days while a vote of {} ran out, or was kept from calling meanwhile: let \
                 her vote, resign, or be unseated",
                member.subject, body.name
            );
            return Err(Error::precondition("MEMBER_NOT_SILENT", message));
        }
        gone.push(member);
    }
    Ok(gone)
}

/// The second of two administrators confirms a recovery.
async fn confirm(m: &mut Mutation, cx: &Cx, body: &Body, asked: Recovery, reason: &str) -> Result<Recovery> {
    let asker = asked.asker.as_ref().map_or("", |actor| actor.subject.as_str());
    if cx.actor.subject == asker || cx.actor.on_behalf_of.is_some() {
        let message = format!("{asker} asked for it: another person must confirm, in person");
        return Err(Error::denied("SECOND_PERSON_REQUIRED", message));
    }
    // Who is said to be gone is told too.
    let members = Members::all(m.tx(), &cx.tenant, &[("active", true.into())]).await?;
    for name in &asked.departed {
        let before = Members::claim(m, name).await?;
        end_seat(m, &before, "", "council.members.unseat").await?;
    }
    give_seats(m, body, &asked.seats, "").await?;
    let seated = asked.seats.iter().map(|seat| seat.subject.clone());
    let notified: BTreeSet<String> = members.into_iter().map(|member| member.subject).chain(seated).collect();
    let item = ActionItem {
        title: "Review the recovery of the constitution".to_owned(),
        description: format!(
            "{asker} and {} seated people in {} without a vote. Say whether that was justified, and who is to sit there.",
            cx.actor.subject, body.name
        ),
        owner: asked.seats.first().map(|seat| seat.subject.clone()).unwrap_or_default(),
        origin: CONSTITUTION.to_owned(),
        ..ActionItem::default()
    };
    let action_item = plan(m, "", RECOVERY_REVIEW_DAYS, item).await?;
    Ok(Recovery {
        state: RecoveryState::Done.into(),
        confirmer: Some(wire::actor(&cx.actor)),
        confirm_time: Some(stamp(m.now())),
        confirm_reason: reason.to_owned(),
        action_item,
        notified: notified.into_iter().collect(),
        ..asked
    })
}

/// What is said where nobody has a seat yet.
pub(super) fn missing() -> Error {
    let message = "nobody has a seat yet: an administrator makes the constitution with remit council bootstrap FILE";
    Error::precondition("CONSTITUTION_MISSING", message)
}
