//! Who is meant by a principal, who the people of a gate are, and who may review.
//!
//! What passes a gate belongs to its people: owner, delegates whose time has not run out, the rungs of the ladder, and who
//! answers for the outcomes; at a gate for leads Sales Ops too. Whoever is none of them is refused, but for what makes the
//! work more human (escalate, suspend) and for a named, counted override.

use remit_api::handoff::v1::gate_version::Rules;
use remit_api::handoff::v1::principal::Who;
use remit_api::handoff::v1::{GateVersion, Handoff, Principal};
use remit_api::types;
use remit_api::wire::time;
use remit_core::{Actor, Error, Result, Timestamp};

/// Whether `actor` is meant.
pub(crate) fn is(principal: &Principal, actor: &Actor) -> bool {
    match &principal.who {
        Some(Who::Subject(subject)) => *subject == actor.subject,
        Some(Who::RoleGroup(group)) => actor.role_groups.contains(group),
        None => false,
    }
}

/// Everyone in a role group.
pub(crate) fn group(name: &str) -> Principal {
    Principal { who: Some(Who::RoleGroup(name.to_owned())) }
}

/// One person.
pub(crate) fn person(subject: &str) -> Principal {
    Principal { who: Some(Who::Subject(subject.to_owned())) }
}

/// The principal in words, for messages.
pub(crate) fn words(principal: &Principal) -> String {
    match &principal.who {
        Some(Who::Subject(subject)) => subject.clone(),
        Some(Who::RoleGroup(group)) => format!("group {group}"),
        None => "nobody".to_owned(),
    }
}

/// Refuses who may not decide at this gate: anyone but owner, delegate and ladder; the requester; and who delivered the
/// variants, because nobody approves their own work, nor does anybody in their name.
///
/// # Errors
/// `PermissionDenied` (`NOT_OF_THIS_GATE`, `REVIEWER_NOT_ELIGIBLE`).
pub(crate) fn check_reviewer(gate: &GateVersion, handoff: &Handoff, actor: &Actor, now: Timestamp) -> Result<()> {
    let refused = |why: String| Err(Error::denied("REVIEWER_NOT_ELIGIBLE", why));
    let name = &handoff.name;
    if !actor.is_human() {
        return refused(format!("only people decide about {name}"));
    }
    if handoff.requester.as_ref().is_some_and(|requester| speaks_for(actor, requester)) {
        return refused(format!("{} requested {name} and may not decide about it", actor.subject));
    }
    if handoff.submitted_by.as_ref().is_some_and(|author| speaks_for(actor, author)) {
        return refused(format!("{} delivered the variants of {name} and may not decide about them", actor.subject));
    }
    if on_ladder(gate, actor, now) { Ok(()) } else { Err(outside(gate, &actor.subject)) }
}

/// The error for who is none of the people of a gate.
fn outside(gate: &GateVersion, subject: &str) -> Error {
    let owner = gate.owner.as_ref().map(words).unwrap_or_default();
    let gate = &gate.name;
    let what = format!("{subject} is none of the people of {gate}: its owner ({owner}), a delegate or on its ladder");
    Error::denied("NOT_OF_THIS_GATE", what)
}

/// Whether `actor` is `other`, or one of them acts in the name of the other.
fn speaks_for(actor: &Actor, other: &types::Actor) -> bool {
    let mine = [Some(actor.subject.as_str()), actor.on_behalf_of.as_deref()];
    let theirs = [other.subject.as_str(), other.on_behalf_of.as_str()];
    mine.into_iter().flatten().any(|name| !name.is_empty() && theirs.contains(&name))
}

/// Whether `actor` is one of the people of the gate.
pub(crate) fn of_gate(gate: &GateVersion, actor: &Actor, now: Timestamp) -> bool {
    let sales_ops = match &gate.rules {
        Some(Rules::Routing(rules)) => actor.role_groups.contains(&rules.sales_ops_group),
        Some(Rules::Creative(_)) | None => false,
    };
    actor.is_human() && (on_ladder(gate, actor, now) || gate.accountable_person == actor.subject || sales_ops)
}

/// Refuses who is none of the people of the gate.
///
/// # Errors
/// `PermissionDenied` (`NOT_OF_THIS_GATE`).
pub(crate) fn check_of_gate(gate: &GateVersion, actor: &Actor, now: Timestamp) -> Result<()> {
    if of_gate(gate, actor, now) { Ok(()) } else { Err(outside(gate, &actor.subject)) }
}

/// Refuses who is neither one of the people of the gate nor leads this handoff, or made what a person's lead produced.
///
/// # Errors
/// `PermissionDenied` (`NOT_OF_THIS_GATE`).
pub(crate) fn check_of_work(gate: &GateVersion, handoff: &Handoff, actor: &Actor, now: Timestamp) -> Result<()> {
    let responsible = handoff.responsible.as_ref().is_some_and(|responsible| is(responsible, actor));
    let author = handoff.submitted_by.as_ref().is_some_and(|author| author.subject == actor.subject);
    let leads = handoff.human_led && actor.is_human() && (responsible || author);
    if leads { Ok(()) } else { check_of_gate(gate, actor, now) }
}

/// Whether `actor` is owner, delegate in time, or on the escalation ladder.
pub(crate) fn on_ladder(gate: &GateVersion, actor: &Actor, now: Timestamp) -> bool {
    let delegated = || {
        gate.delegates
            .iter()
            .filter(|delegate| delegate.expire_time.as_ref().is_none_or(|end| now < time::of(end)))
            .filter_map(|delegate| delegate.principal.as_ref())
            .any(|principal| is(principal, actor))
    };
    let called = || gate.escalation_ladder.iter().filter_map(|rung| rung.principal.as_ref()).any(|who| is(who, actor));
    gate.owner.as_ref().is_some_and(|owner| is(owner, actor)) || delegated() || called()
}

/// Puts a person in the lead of a handoff.
pub(crate) fn lead(handoff: &mut Handoff, actor: &Actor) {
    handoff.human_led = true;
    handoff.responsible = Some(person(&actor.subject));
    handoff.next_prompt_version.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_api::handoff::v1::Delegate;
    use remit_api::wire;
    use remit_api::wire::time::stamp;
    use remit_core::ActorKind;

    fn actor(subject: &str, groups: &[&str], kind: ActorKind) -> Actor {
        let role_groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Actor { subject: subject.into(), kind, roles: vec![], role_groups, on_behalf_of: None }
    }

    #[test]
    fn only_people_of_the_gate_other_than_the_authors_decide() {
        let gate = GateVersion {
            owner: Some(group("creative_director")),
            delegates: vec![Delegate { principal: Some(person("dora")), expire_time: Some(stamp(Timestamp(100))) }],
            ..Default::default()
        };
        let handoff = Handoff {
            requester: Some(wire::actor(&actor("rita", &[], ActorKind::Human))),
            submitted_by: Some(wire::actor(&actor("sam", &[], ActorKind::Human))),
            ..Default::default()
        };
        let allowed = |who: Actor, now| check_reviewer(&gate, &handoff, &who, Timestamp(now)).is_ok();
        let director = &["creative_director"][..];
        assert!(allowed(actor("carl", director, ActorKind::Human), 0));
        assert!(!allowed(actor("carl", director, ActorKind::Ai), 0));
        assert!(!allowed(actor("carl", director, ActorKind::Service), 0));
        assert!(!allowed(actor("rita", director, ActorKind::Human), 0));
        assert!(!allowed(actor("sam", director, ActorKind::Human), 0));
        assert!(!allowed(actor("eve", &["legal"], ActorKind::Human), 0));
        assert!(allowed(actor("dora", &[], ActorKind::Human), 99));
        assert!(!allowed(actor("dora", &[], ActorKind::Human), 100));
        let reason = |who: Actor| check_reviewer(&gate, &handoff, &who, Timestamp(0)).map_err(|error| error.reason());
        assert_eq!(reason(actor("eve", &["legal"], ActorKind::Human)), Err("NOT_OF_THIS_GATE"));
        assert_eq!(reason(actor("rita", director, ActorKind::Human)), Err("REVIEWER_NOT_ELIGIBLE"));
    }

    #[test]
    fn nobody_reviews_in_the_name_of_an_author() {
        let gate = GateVersion { owner: Some(group("creative_director")), ..Default::default() };
        let director = &["creative_director"][..];
        let for_whom = |subject: &str, whom: &str| {
            let on_behalf_of = Some(whom.to_owned()).filter(|whom| !whom.is_empty());
            Actor { on_behalf_of, ..actor(subject, director, ActorKind::Human) }
        };
        let reason = |author: &Actor, who: Actor| {
            let handoff = Handoff { submitted_by: Some(wire::actor(author)), ..Default::default() };
            check_reviewer(&gate, &handoff, &who, Timestamp(0)).map_err(|error| error.reason())
        };
        let sam = for_whom("sam", "");
        assert_eq!(reason(&sam, for_whom("carl", "")), Ok(()));
        assert_eq!(reason(&sam, for_whom("carl", "sam")), Err("REVIEWER_NOT_ELIGIBLE"));
        assert_eq!(reason(&for_whom("maker", "carl"), for_whom("carl", "")), Err("REVIEWER_NOT_ELIGIBLE"));
        assert_eq!(reason(&for_whom("maker", "dora"), for_whom("carl", "dora")), Err("REVIEWER_NOT_ELIGIBLE"));
    }

    #[test]
    fn the_people_of_a_gate_are_those_whom_it_names() {
        let rules = remit_api::handoff::v1::RoutingRules {
            sales_ops_group: "sales_ops".into(),
            sales_owners: vec!["sue".into()],
            ..Default::default()
        };
        let gate = GateVersion {
            owner: Some(group("head_of_sales")),
            accountable_person: "ada".into(),
            delegates: vec![Delegate { principal: Some(person("dora")), expire_time: Some(stamp(Timestamp(100))) }],
            rules: Some(Rules::Routing(rules)),
            ..Default::default()
        };
        let of = |who: Actor, now| of_gate(&gate, &who, Timestamp(now));
        assert!(of(actor("hal", &["head_of_sales"], ActorKind::Human), 0));
        assert!(of(actor("ada", &[], ActorKind::Human), 0));
        assert!(of(actor("olga", &["sales_ops"], ActorKind::Human), 0));
        assert!(of(actor("dora", &[], ActorKind::Human), 99) && !of(actor("dora", &[], ActorKind::Human), 100));
        assert!(!of(actor("sue", &["sales"], ActorKind::Human), 0));
        assert!(!of(actor("ada", &[], ActorKind::Ai), 0));
        assert!(!of(actor("olga", &["sales_ops"], ActorKind::Service), 0));
        let led = |human_led| Handoff { human_led, responsible: Some(person("wanda")), ..Default::default() };
        let work = |handoff: &Handoff| {
            check_of_work(&gate, handoff, &actor("wanda", &[], ActorKind::Human), Timestamp(0)).is_ok()
        };
        assert!(work(&led(true)) && !work(&led(false)));
    }
}
