//! Who is meant by a principal, and who may review.

use remit_api::handoff::v1::principal::Who;
use remit_api::handoff::v1::{GateVersion, Handoff, Principal};
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

/// Refuses who may not decide at this gate: anyone but owner, delegate and ladder; the requester; and
/// who delivered the variants, because nobody approves their own work.
///
/// # Errors
/// `PermissionDenied` (`REVIEWER_NOT_ELIGIBLE`).
pub(crate) fn check_reviewer(gate: &GateVersion, handoff: &Handoff, actor: &Actor, now: Timestamp) -> Result<()> {
    let refused = |why: String| Err(Error::denied("REVIEWER_NOT_ELIGIBLE", why));
    let name = &handoff.name;
    if !actor.is_human() {
        return refused(format!("only people decide about {name}"));
    }
    if handoff.requester.as_ref().is_some_and(|requester| requester.subject == actor.subject) {
        return refused(format!("{} requested {name} and may not decide about it", actor.subject));
    }
    if handoff.submitted_by.as_ref().is_some_and(|author| author.subject == actor.subject) {
        return refused(format!("{} delivered the variants of {name} and may not decide about them", actor.subject));
    }
    if !on_ladder(gate, actor, now) {
        let owner = gate.owner.as_ref().map(words).unwrap_or_default();
        return refused(format!(
            "{} is not the owner of the gate ({owner}), a delegate or on its ladder",
            actor.subject
        ));
    }
    Ok(())
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
    }
}
