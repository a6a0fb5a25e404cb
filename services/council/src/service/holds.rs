//! Holds: engaging, drills, breaking the glass, lifting.

use super::action_items::{close, plan};
use super::{Service, insert, save};
use crate::store::{ActionItems, Bodies, BreakGlassUses, Holds, delegations, seats};
use crate::{body, scope, seat};
use futures::Stream;
use remit_api::council::v1::{
    ActionItem, ActionItemState, Body, BreakGlassRequest, BreakGlassUse, EndDrillRequest, EngageHoldRequest,
    GetHoldRequest, Hold, HoldState, LiftHold, ListBreakGlassUsesRequest, ListBreakGlassUsesResponse, ListHoldsRequest,
    ListHoldsResponse, Proposal, ReviewBreakGlassRequest, WatchHoldsRequest, WatchHoldsResponse,
};
use remit_api::wire::time::{duration, stamp};
use remit_api::wire::{self, required};
use remit_core::authority::BREAK_GLASS;
use remit_core::details::{BreakGlassReviewed, Details as _, GlassBroken, HoldEngaged, HoldLifted};
use remit_core::name::{ActionItemName, BreakGlassUseName, HoldName, IncidentName};
use remit_core::quorum::Seat;
use remit_core::{Error, Result, name};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, timers};

/// Within how many days the use of the break-glass procedure is to be reviewed.
const BREAK_GLASS_REVIEW_DAYS: u64 = 7;

fn rearm_timer(hold: &str) -> String {
    format!("hold.rearm:{hold}")
}

/// Writes that a hold is over.
fn lift(hold: &mut Hold, m: &Mutation, reason: &str) {
    hold.state = HoldState::Lifted.into();
    hold.bypass_expire_time = None;
    hold.lift_time = Some(stamp(m.now()));
    hold.update_time = hold.lift_time;
    reason.clone_into(&mut hold.lift_reason);
}

/// Refuses what a proposal cannot lift.
///
/// # Errors
/// `FailedPrecondition`: `HOLD_LIFTED`, `HOLD_IS_DRILL`.
pub(super) fn check_liftable(hold: &Hold) -> Result<()> {
    if hold.state() == HoldState::Lifted {
        return Err(Error::precondition("HOLD_LIFTED", format!("{} is lifted already", hold.name)));
    }
    if hold.drill {
        return Err(Error::precondition("HOLD_IS_DRILL", "a drill ends with EndDrill, without a proposal"));
    }
    Ok(())
}

/// Lifts a hold, as an approved proposal says; returns its name.
pub(super) async fn lift_hold(m: &mut Mutation, proposal: &Proposal, by: &LiftHold) -> Result<String> {
    let before = Holds::claim(m, &by.hold).await?;
    check_liftable(&before)?;
    let mut hold = Hold { lift_proposal: proposal.name.clone(), ..before.clone() };
    lift(&mut hold, m, &by.reason);
    let tenant = m.tenant().clone();
    timers::cancel(m.tx(), &tenant, &rearm_timer(&hold.name)).await?;
    save::<Holds>(m, &before, &mut hold, |event| {
        "council.holds.lift".clone_into(&mut event.action);
        event.reason.clone_from(&by.reason);
        event.details = HoldLifted { proposal: proposal.name.clone() }.json();
    })
    .await?;
    Ok(hold.name)
}

/// Ends the suspension of a hold when its time box is over.
pub(super) async fn rearm_hold(m: &mut Mutation, name: &str) -> Result<()> {
    let before = Holds::claim(m, name).await?;
    if before.state() != HoldState::Bypassed {
        return Ok(());
    }
    let (state, update_time) = (HoldState::Engaged.into(), Some(stamp(m.now())));
    let mut hold = Hold { state, bypass_expire_time: None, update_time, ..before.clone() };
    save::<Holds>(m, &before, &mut hold, |event| "council.holds.rearm".clone_into(&mut event.action)).await
}

/// The body on whose seat the caller may do alone what `kind` names, with the seats of that body.
///
/// # Errors
/// `PermissionDenied` (`NOT_ELIGIBLE`).
async fn alone(m: &mut Mutation, cx: &Cx, kind: &str) -> Result<(Body, Vec<Seat>)> {
    let bodies = Bodies::all(m.tx(), &cx.tenant, &[]).await?;
    let mut refusal = Error::denied("NOT_ELIGIBLE", format!("no body has {kind} in its jurisdiction"));
    for body in bodies.into_iter().filter(|body| body::has(body, kind)) {
        let seats = seats(m.tx(), &cx.tenant, &body.name).await?;
        match seat::acting(&cx.actor, &body.name, &seats, &[], m.now()) {
            Ok(_) => return Ok((body, seats)),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Refuses a use after which a former one is not reviewed yet: of this hold by anybody, and by `subject` of any hold of
/// the same scope. One person alone would otherwise lift it for good, a day at a time.
///
/// # Errors
/// `FailedPrecondition` (`BREAK_GLASS_REVIEW_DUE`).
async fn check_reviewed(m: &mut Mutation, hold: &Hold, subject: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    for used in BreakGlassUses::all(m.tx(), &tenant, &[("reviewed", false.into())]).await? {
        let own = used.actor.as_ref().is_some_and(|who| who.subject == subject);
        let again = used.hold == hold.name
            || own && {
                let other = Holds::get(m.tx(), &tenant, &used.hold).await?;
                scope::text(other.scope.as_ref()) == scope::text(hold.scope.as_ref())
            };
        if again {
            let message = format!(
                "{} of {} was not reviewed yet: let another member review it with ReviewBreakGlass, or propose to lift \
                 the hold",
                used.name, used.hold
            );
            return Err(Error::precondition("BREAK_GLASS_REVIEW_DUE", message));
        }
    }
    Ok(())
}

impl Service {
    pub(crate) async fn engage_hold(&self, cx: &Cx, request: EngageHoldRequest) -> Result<Hold> {
        let name = HoldName::new(name::id(&request.hold_id, "hold_id")?).to_string();
        let given = required(request.hold.clone(), "hold")?;
        scope::check(given.scope.as_ref(), "hold.scope")?;
        if !given.incident.is_empty() {
            IncidentName::parse(&given.incident, "hold.incident")?;
        }
        let found = self.verify_scope(&cx.tenant, given.scope.as_ref()).await;
        let engage = async |m: &mut Mutation| {
            // Not before: a repetition is answered whatever has become of what it names.
            let scope_verified = found?;
            let now = Some(stamp(m.now()));
            let mut hold = Hold {
                name,
                scope: given.scope,
                reason: given.reason,
                incident: given.incident,
                drill: given.drill,
                scope_verified,
                state: HoldState::Engaged.into(),
                engager: Some(wire::actor(&cx.actor)),
                create_time: now,
                update_time: now,
                ..Hold::default()
            };
            let scope = scope::text(hold.scope.as_ref()).to_owned();
            let details = HoldEngaged { scope, drill: hold.drill, scope_verified };
            let reason = hold.reason.clone();
            insert::<Holds>(m, &mut hold, |event| (event.reason, event.details) = (reason, details.json())).await?;
            Ok(hold)
        };
        self.mutate(cx, &request, engage).await
    }

    pub(crate) async fn get_hold(&self, cx: &Cx, request: GetHoldRequest) -> Result<Hold> {
        HoldName::parse(&request.name, "name")?;
        self.get::<Holds>(cx, &request.name).await
    }

    pub(crate) async fn list_holds(&self, cx: &Cx, request: ListHoldsRequest) -> Result<ListHoldsResponse> {
        let (holds, next_page_token) = self.list::<Holds>(cx, cx.page(&request)).await?;
        Ok(ListHoldsResponse { holds, next_page_token })
    }

    pub(crate) fn watch_holds(
        &self,
        cx: &Cx,
        request: WatchHoldsRequest,
    ) -> Result<impl Stream<Item = Result<WatchHoldsResponse>> + Send + 'static + use<>> {
        self.watch::<Holds, _, _>(cx, &request.cursor, |watched, item| {
            let (phase, deleted) = (watched.phase.into(), watched.is_deletion());
            let gone = deleted.then(|| Hold { name: watched.key, state: HoldState::Lifted.into(), ..Hold::default() });
            WatchHoldsResponse { phase, cursor: watched.cursor, item: item.or(gone), deleted }
        })
    }

    pub(crate) async fn end_drill(&self, cx: &Cx, request: EndDrillRequest) -> Result<Hold> {
        HoldName::parse(&request.name, "name")?;
        let end = async |m: &mut Mutation| {
            let before = Holds::claim(m, &request.name).await?;
            if !before.drill {
                let message = format!("{} is no drill: a proposal lifts it", before.name);
                return Err(Error::precondition("NOT_A_DRILL", message));
            }
            if before.state() == HoldState::Lifted {
                return Err(Error::precondition("HOLD_LIFTED", format!("{} is over already", before.name)));
            }
            if before.engager.as_ref().is_none_or(|engager| engager.subject != cx.actor.subject) {
                alone(m, cx, "lift_hold").await?;
            }
            let mut hold = before.clone();
            lift(&mut hold, m, &request.finding);
            save::<Holds>(m, &before, &mut hold, |event| event.reason.clone_from(&request.finding)).await?;
            Ok(hold)
        };
        self.mutate(cx, &request, end).await
    }

    /// Suspends a hold for a short time.
    pub(crate) async fn break_glass(&self, cx: &Cx, request: BreakGlassRequest) -> Result<BreakGlassUse> {
        HoldName::parse(&request.hold, "hold")?;
        let length = duration(&required(request.duration, "duration")?);
        let suspend = async |m: &mut Mutation| {
            let before = Holds::claim(m, &request.hold).await?;
            match before.state() {
                HoldState::Engaged => {}
                HoldState::Bypassed => {
                    return Err(Error::precondition("HOLD_BYPASSED", format!("{} is suspended already", before.name)));
                }
                HoldState::Lifted | HoldState::Unspecified => {
                    return Err(Error::precondition("HOLD_LIFTED", format!("{} is lifted already", before.name)));
                }
            }
            if before.engager.as_ref().is_some_and(|engager| engager.subject == cx.actor.subject) {
                return Err(Error::denied("ENGAGER_CANNOT_BYPASS", "another person must break the glass"));
            }
            let (body, members) = alone(m, cx, BREAK_GLASS).await?;
            check_reviewed(m, &before, &cx.actor.subject).await?;
            let (now, until) = (Some(stamp(m.now())), m.now().plus(length));
            let hold = before.name.as_str();
            timers::schedule(m.tx(), &cx.tenant, &rearm_timer(hold), "hold.rearm", until, hold.as_bytes()).await?;
            let id = m.new_id();
            let used = BreakGlassUseName::new(&id).to_string();
            let item = ActionItem {
                name: ActionItemName::new(format!("break-glass-{id}")).to_string(),
                title: format!("Review the break-glass use on {hold}"),
                description: "Another member records with ReviewBreakGlass whether the use was justified.".to_owned(),
                owner: cx.actor.subject.clone(),
                origin: used.clone(),
                ..ActionItem::default()
            };
            let mut used = BreakGlassUse {
                name: used,
                hold: hold.to_owned(),
                reason: request.reason.clone(),
                actor: Some(wire::actor(&cx.actor)),
                create_time: now,
                expire_time: Some(stamp(until)),
                action_item: plan(m, "", BREAK_GLASS_REVIEW_DAYS, item).await?,
                notified: members.into_iter().map(|seat| seat.subject).collect(),
                body: body.name,
                ..BreakGlassUse::default()
            };
            BreakGlassUses::insert(m, &mut used).await?;
            let mut hold = Hold {
                state: HoldState::Bypassed.into(),
                bypass_expire_time: Some(stamp(until)),
                update_time: now,
                ..before.clone()
            };
            let details = GlassBroken {
                break_glass_use: used.name.clone(),
                until: until.to_string(),
                notify: used.notified.clone(),
                action_item: used.action_item.clone(),
            };
            save::<Holds>(m, &before, &mut hold, |event| {
                event.reason.clone_from(&request.reason);
                event.details = details.json();
            })
            .await?;
            Ok(used)
        };
        self.mutate(cx, &request, suspend).await
    }

    pub(crate) async fn list_break_glass_uses(
        &self,
        cx: &Cx,
        request: ListBreakGlassUsesRequest,
    ) -> Result<ListBreakGlassUsesResponse> {
        let (break_glass_uses, next_page_token) = self.list::<BreakGlassUses>(cx, cx.page(&request)).await?;
        Ok(ListBreakGlassUsesResponse { break_glass_uses, next_page_token })
    }

    /// Records the review of a use of the break-glass procedure.
    pub(crate) async fn review_break_glass(&self, cx: &Cx, request: ReviewBreakGlassRequest) -> Result<BreakGlassUse> {
        BreakGlassUseName::parse(&request.name, "name")?;
        let review = async |m: &mut Mutation| {
            let before = BreakGlassUses::claim(m, &request.name).await?;
            if before.review_time.is_some() {
                return Err(Error::precondition("ALREADY_REVIEWED", format!("{} was reviewed already", before.name)));
            }
            if before.actor.as_ref().is_some_and(|who| who.subject == cx.actor.subject) {
                return Err(Error::denied("OWN_BREAK_GLASS", "another person must review the use"));
            }
            let (seats, now) = (seats(m.tx(), &cx.tenant, &before.body).await?, m.now());
            let delegations = delegations(m.tx(), &cx.tenant, &before.body).await?;
            let seat = seat::acting(&cx.actor, &before.body, &seats, &delegations, now)?;
            if before.actor.as_ref().is_some_and(|who| who.subject == seat.subject) {
                return Err(Error::denied(
                    "OWN_BREAK_GLASS",
                    "whoever stands in for the person who did it is not another",
                ));
            }
            let mut used = BreakGlassUse {
                review_time: Some(stamp(m.now())),
                reviewer: Some(wire::actor(&cx.actor)),
                review_note: request.note.clone(),
                ..before.clone()
            };
            let open = ActionItems::claim(m, &used.action_item).await?;
            if open.state() == ActionItemState::Open {
                let mut item = open.clone();
                close(m, &mut item, ActionItemState::Done, &request.note);
                save::<ActionItems>(m, &open, &mut item, |event| {
                    "council.actionItems.close".clone_into(&mut event.action);
                    event.reason.clone_from(&request.note);
                })
                .await?;
            }
            save::<BreakGlassUses>(m, &before, &mut used, |event| {
                event.reason.clone_from(&request.note);
                event.details = BreakGlassReviewed { action_item: before.action_item.clone() }.json();
            })
            .await?;
            Ok(used)
        };
        self.mutate(cx, &request, review).await
    }
}
