//! Bodies, their members and delegations.

use super::{Council, actor, changed, check_etag, check_name, fresh, lock, masked, name, new_name, required, some};
use crate::store;
use crate::time::{Month, days, micros};
use remit_api::council::v1::{
    Body, ChangeClass, ClassRule, CreateBodyRequest, CreateDelegationRequest, CreateMemberRequest, Delegation,
    DeleteMemberRequest, Member, QuorumRule, RevokeDelegationRequest, UpdateBodyRequest,
};
use remit_core::quorum::{self, Rule, Seat};
use remit_core::{Error, Kind, Result, Tenant, Timestamp};
use remit_runtime::{Cx, finish};
use remit_store::{Mutation, Tx, timers};
use std::time::Duration;

/// The body that holds the monthly review (S62).
pub const STEERING_GROUP: &str = "bodies/steering-group";
/// The body that approves cross-functional automations (S73).
pub const AUTOMATION_COUNCIL: &str = "bodies/automation-council";
/// On which day of the following month evidence is cut off, unless the body says otherwise (A25).
const CUT_OFF_DAY: i32 = 3;

fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// The two bodies that every tenant begins with.
///
/// # Source
/// A18: quorum is not in the seed; the default is a majority that includes Legal for the steering
/// group, and one approval from each function for the automation council.
fn seed_bodies(now: Timestamp) -> [Body; 2] {
    let steering = Body {
        name: STEERING_GROUP.to_owned(),
        display_name: "AI steering group".to_owned(),
        purpose:
            "Reviews model drift, hallucinations and data privacy every month, and decides on models and policies."
                .to_owned(),
        role_groups: groups(&["marketing_lead", "legal", "data"]),
        quorum: Some(QuorumRule {
            min_approvals: 2,
            majority: true,
            group_minimums: [("legal".to_owned(), 1)].into(),
            veto_groups: groups(&["legal"]),
        }),
        holds_reviews: true,
        cut_off_day: CUT_OFF_DAY,
        create_time: some(now),
        update_time: some(now),
        ..Body::default()
    };
    let functions = ["sales_ops", "legal", "product"];
    let council = Body {
        name: AUTOMATION_COUNCIL.to_owned(),
        display_name: "Automation council".to_owned(),
        purpose: "Approves automations that cross functions: one approval from each of Sales Ops, Legal and Product."
            .to_owned(),
        role_groups: groups(&functions),
        quorum: Some(QuorumRule {
            group_minimums: functions.map(|group| (group.to_owned(), 1)).into(),
            veto_groups: groups(&["legal"]),
            ..QuorumRule::default()
        }),
        create_time: some(now),
        update_time: some(now),
        ..Body::default()
    };
    [steering, council]
}

/// The rule as the pure module reads it.
pub(super) fn rule(quorum: &QuorumRule) -> Rule {
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    Rule {
        min_approvals: count(quorum.min_approvals),
        majority: quorum.majority,
        group_minimums: quorum.group_minimums.iter().map(|(group, &n)| (group.clone(), count(n))).collect(),
        veto_groups: quorum.veto_groups.iter().cloned().collect(),
    }
}

/// The rule and the voting period of a change class in a body.
pub(super) fn class_rule(body: &Body, class: ChangeClass) -> (QuorumRule, Duration) {
    let own = body.class_rules.iter().find(|rule| rule.change_class == i32::from(class));
    let quorum = own.and_then(|rule| rule.quorum.clone()).or_else(|| body.quorum.clone()).unwrap_or_default();
    let period = own.and_then(|rule| rule.voting_period.as_ref()).map(crate::time::duration);
    let usual = if class == ChangeClass::Emergency { days(1) } else { days(14) };
    (quorum, period.unwrap_or(usual))
}

/// The seats of the members who are active, by name.
pub(super) async fn seats(tx: &mut Tx, tenant: &Tenant, body: &str) -> Result<Vec<Seat>> {
    let members: Vec<Member> = store::all(tx, tenant, body).await?;
    let active = members.into_iter().filter(|member| member.active);
    Ok(active.map(|member| Seat { subject: member.subject, role_group: member.role_group }).collect())
}

/// The delegations of a body as the pure module reads them.
pub(super) async fn delegations(tx: &mut Tx, tenant: &Tenant, body: &str) -> Result<Vec<quorum::Delegation>> {
    let all: Vec<Delegation> = store::all(tx, tenant, body).await?;
    Ok(all.iter().map(in_force).collect())
}

fn in_force(delegation: &Delegation) -> quorum::Delegation {
    let at = |stamp: &Option<_>| stamp.as_ref().map(micros).unwrap_or_default();
    let revoked = delegation.revoke_time.as_ref().map(micros);
    quorum::Delegation {
        delegator: delegation.delegator.clone(),
        delegate: delegation.delegate.clone(),
        from: at(&delegation.start_time),
        until: revoked.unwrap_or(at(&delegation.expire_time)).min(at(&delegation.expire_time)),
    }
}

/// Schedules the opening of the review of the month that contains `from`, at its cut-off.
pub(super) async fn schedule_review(tx: &mut Tx, tenant: &Tenant, body: &Body, month: &Month) -> Result<()> {
    let day = if body.cut_off_day == 0 { CUT_OFF_DAY } else { body.cut_off_day };
    let payload = month.period().into_bytes();
    timers::schedule(tx, tenant, &format!("review.open:{}", body.name), "review.open", month.cut_off(day), &payload)
        .await
}

/// The day of the month at whose end a body cuts off evidence.
pub(super) fn cut_off_day(body: &Body) -> i32 {
    if body.cut_off_day == 0 { CUT_OFF_DAY } else { body.cut_off_day }
}

fn check(body: &Body) -> Result<()> {
    let quorum = required(body.quorum.as_ref(), "body.quorum")?;
    rule(quorum).check(&body.role_groups, "body.quorum")?;
    for (at, class) in body.class_rules.iter().enumerate() {
        let earlier = &body.class_rules[..at];
        if earlier.iter().any(|other: &ClassRule| other.change_class == class.change_class) {
            return Err(Error::invalid("QUORUM_INVALID", "body.class_rules", "has two rules for one change class"));
        }
        if let Some(quorum) = &class.quorum {
            rule(quorum).check(&body.role_groups, "body.class_rules.quorum")?;
        }
    }
    Month::of(Timestamp(0), &body.zone).map(|_| ())
}

impl Council {
    /// Gives a tenant its two bodies, once.
    pub(super) async fn seed(&self, tenant: &Tenant) -> Result<()> {
        if lock(&self.seeded).contains(tenant) {
            return Ok(());
        }
        let there = store::find::<Body>(&mut self.db.read().await?, tenant, STEERING_GROUP).await?;
        if there.is_none() {
            let mut mutation = self.own(tenant, "council.bodies.seed").await?;
            for mut body in seed_bodies(mutation.now()) {
                if store::try_insert(mutation.tx(), tenant, &mut body).await? {
                    let event = changed(&mutation, &body.name, None, &body);
                    mutation.record(event);
                    self.begin_reviews(&mut mutation, &body).await?;
                }
            }
            mutation.commit(Vec::new()).await?;
        }
        lock(&self.seeded).insert(tenant.clone());
        Ok(())
    }

    async fn begin_reviews(&self, mutation: &mut Mutation, body: &Body) -> Result<()> {
        let tenant = mutation.tenant().clone();
        if body.holds_reviews {
            let month = Month::of(mutation.now(), &body.zone)?;
            schedule_review(mutation.tx(), &tenant, body, &month).await
        } else {
            timers::cancel(mutation.tx(), &tenant, &format!("review.open:{}", body.name)).await.map(|_| ())
        }
    }

    /// Creates a body.
    pub async fn create_body(&self, cx: &Cx, request: CreateBodyRequest) -> Result<Body> {
        let name = new_name("bodies", &request.body_id, "body_id")?;
        let given = required(request.body.clone(), "body")?;
        check(&given)?;
        let mut mutation = fresh!(self, cx, request);
        let now = some(mutation.now());
        let mut body = Body { name, create_time: now, update_time: now, ..given };
        store::insert(mutation.tx(), &cx.tenant, &mut body).await?;
        self.begin_reviews(&mut mutation, &body).await?;
        let event = changed(&mutation, &body.name, None, &body);
        mutation.record(event);
        finish(mutation, body).await
    }

    /// Changes a body.
    pub async fn update_body(&self, cx: &Cx, request: UpdateBodyRequest) -> Result<Body> {
        let given = required(request.body.clone(), "body")?;
        check_name(&given.name, "bodies/*", "body.name")?;
        let allowed =
            ["display_name", "purpose", "role_groups", "quorum", "class_rules", "holds_reviews", "zone", "cut_off_day"];
        let paths = masked(request.update_mask.as_ref(), &allowed)?;
        let mut mutation = fresh!(self, cx, request);
        let before: Body = store::claim(mutation.tx(), &cx.tenant, &given.name).await?;
        check_etag(&before.name, &before.etag, &given.etag)?;
        let mut body = before.clone();
        for path in paths {
            match path {
                "display_name" => body.display_name.clone_from(&given.display_name),
                "purpose" => body.purpose.clone_from(&given.purpose),
                "role_groups" => body.role_groups.clone_from(&given.role_groups),
                "quorum" => body.quorum.clone_from(&given.quorum),
                "class_rules" => body.class_rules.clone_from(&given.class_rules),
                "holds_reviews" => body.holds_reviews = given.holds_reviews,
                "zone" => body.zone.clone_from(&given.zone),
                _ => body.cut_off_day = given.cut_off_day,
            }
        }
        check(&body)?;
        body.update_time = some(mutation.now());
        store::save(mutation.tx(), &cx.tenant, &mut body).await?;
        self.begin_reviews(&mut mutation, &body).await?;
        let event = changed(&mutation, &body.name, Some(&before), &body);
        mutation.record(event);
        finish(mutation, body).await
    }

    /// Gives a person a seat.
    pub async fn create_member(&self, cx: &Cx, request: CreateMemberRequest) -> Result<Member> {
        check_name(&request.parent, "bodies/*", "parent")?;
        let name = new_name(&format!("{}/members", request.parent), &request.member_id, "member_id")?;
        let given = required(request.member.clone(), "member")?;
        let mut mutation = fresh!(self, cx, request);
        let body: Body = store::claim(mutation.tx(), &cx.tenant, &request.parent).await?;
        if !body.role_groups.contains(&given.role_group) {
            let rule = format!("must be one of {}", body.role_groups.join(", "));
            return Err(Error::invalid("ROLE_GROUP_UNKNOWN", "member.role_group", rule));
        }
        if seats(mutation.tx(), &cx.tenant, &body.name).await?.iter().any(|seat| seat.subject == given.subject) {
            let message = format!("{} has a seat in {} already", given.subject, body.name);
            return Err(Error::new(Kind::AlreadyExists, "MEMBER_EXISTS", message));
        }
        let create_time = some(mutation.now());
        let mut member = Member { name, active: true, create_time, end_time: None, ..given };
        store::insert(mutation.tx(), &cx.tenant, &mut member).await?;
        let event = changed(&mutation, &member.name, None, &member);
        mutation.record(event);
        finish(mutation, member).await
    }

    /// Ends a membership.
    pub async fn delete_member(&self, cx: &Cx, request: DeleteMemberRequest) -> Result<Member> {
        let [body, _] = name::ids::<2>(&request.name, "bodies/*/members/*", "name")?;
        let mut mutation = fresh!(self, cx, request);
        store::claim::<Body>(mutation.tx(), &cx.tenant, &format!("bodies/{body}")).await?;
        let before: Member = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        if !before.active {
            return Err(Error::not_found("MEMBER_NOT_FOUND", &request.name));
        }
        let mut member = Member { active: false, end_time: some(mutation.now()), ..before.clone() };
        store::save(mutation.tx(), &cx.tenant, &mut member).await?;
        let event = changed(&mutation, &member.name, Some(&before), &member);
        mutation.record(event);
        finish(mutation, member).await
    }

    /// Lets somebody vote on the caller's seat.
    pub async fn create_delegation(&self, cx: &Cx, request: CreateDelegationRequest) -> Result<Delegation> {
        check_name(&request.parent, "bodies/*", "parent")?;
        let name = new_name(&format!("{}/delegations", request.parent), &request.delegation_id, "delegation_id")?;
        let given = required(request.delegation.clone(), "delegation")?;
        let mut mutation = fresh!(self, cx, request);
        let (now, me) = (mutation.now(), cx.actor.subject.clone());
        let from = given.start_time.as_ref().map_or(now, micros);
        let until = given.expire_time.as_ref().map(micros).unwrap_or_default();
        let wrong = |field: &str, rule: &str| Err(Error::invalid("DELEGATION_INVALID", field, rule));
        if given.delegate == me {
            return wrong("delegation.delegate", "must be another person");
        }
        if until <= from.max(now) {
            return wrong("delegation.expire_time", "must be after start_time and in the future");
        }
        if until > from.plus(days(366)) {
            return wrong("delegation.expire_time", "must be at most 366 days after start_time");
        }
        let body: Body = store::claim(mutation.tx(), &cx.tenant, &request.parent).await?;
        if !seats(mutation.tx(), &cx.tenant, &body.name).await?.iter().any(|seat| seat.subject == me) {
            return Err(Error::precondition("NOT_A_MEMBER", format!("{me} has no seat in {}", body.name)));
        }
        let others = delegations(mutation.tx(), &cx.tenant, &body.name).await?;
        if others.iter().any(|other| other.delegator == me && other.from < until && from < other.until) {
            return Err(Error::precondition(
                "DELEGATION_OVERLAPS",
                format!("the seat of {me} is delegated in that time"),
            ));
        }
        let mut delegation = Delegation {
            name,
            delegator: me,
            start_time: some(from),
            revoke_time: None,
            create_time: some(now),
            creator: Some(actor(&cx.actor)),
            ..given
        };
        store::insert(mutation.tx(), &cx.tenant, &mut delegation).await?;
        let event = changed(&mutation, &delegation.name, None, &delegation);
        mutation.record(event);
        finish(mutation, delegation).await
    }

    /// Ends a delegation.
    pub async fn revoke_delegation(&self, cx: &Cx, request: RevokeDelegationRequest) -> Result<Delegation> {
        check_name(&request.name, "bodies/*/delegations/*", "name")?;
        let mut mutation = fresh!(self, cx, request);
        let before: Delegation = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        if cx.actor.subject != before.delegator && cx.actor.subject != before.delegate {
            return Err(Error::denied("NOT_YOUR_DELEGATION", "only who delegated and the delegate may revoke it"));
        }
        let revoke_time = before.revoke_time.or_else(|| some(mutation.now()));
        let mut delegation = Delegation { revoke_time, ..before.clone() };
        store::save(mutation.tx(), &cx.tenant, &mut delegation).await?;
        let event = changed(&mutation, &delegation.name, Some(&before), &delegation);
        mutation.record(event);
        finish(mutation, delegation).await
    }
}
