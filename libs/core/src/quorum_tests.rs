#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::actor::ActorKind;
use proptest::prelude::*;

fn seat(subject: &str, group: &str) -> Seat {
    Seat { subject: subject.into(), role_group: group.into() }
}

fn vote(seat: &str, choice: Choice) -> Vote {
    Vote { seat: seat.into(), voter: seat.into(), choice }
}

fn person(subject: &str, group: &str) -> Actor {
    Actor {
        subject: subject.into(),
        kind: ActorKind::Human,
        roles: vec![],
        role_groups: vec![group.into()],
        on_behalf_of: None,
    }
}

fn steering() -> Ballot {
    Ballot {
        rule: Rule {
            min_approvals: 2,
            majority: true,
            group_minimums: [("legal".to_owned(), 1)].into(),
            veto_groups: ["legal".to_owned()].into(),
        },
        seats: vec![seat("mia", "marketing_lead"), seat("lea", "legal"), seat("dan", "data")],
        proposer: "pat".into(),
        ..Ballot::default()
    }
}

fn reason<T>(result: Result<T>) -> &'static str {
    result.err().map_or("OK", |error| error.reason())
}

const NOW: Timestamp = Timestamp(1_000_000);

#[test]
fn a_majority_without_legal_does_not_carry() {
    let mut ballot = steering();
    ballot.votes = vec![vote("mia", Choice::Approve), vote("dan", Choice::Approve)];
    assert_eq!(ballot.standing().outcome, Outcome::Pending);
    assert_eq!(ballot.standing().missing, ["1 approval(s) from legal"]);
    ballot.votes.push(vote("lea", Choice::Approve));
    assert_eq!(ballot.standing().outcome, Outcome::Approved);
}

#[test]
fn legal_abstaining_rejects_and_legal_recused_escalates() {
    let mut ballot = steering();
    ballot.votes = vec![vote("lea", Choice::Abstain)];
    assert_eq!(ballot.standing().outcome, Outcome::Rejected);
    ballot.votes.clear();
    ballot.recused.insert("lea".into());
    assert_eq!(ballot.standing().outcome, Outcome::Unreachable);
    assert_eq!(ballot.unreachable(), ["1 approval(s) from legal"]);
}

#[test]
fn a_recusal_lowers_the_eligible_set() {
    let mut ballot = steering();
    ballot.recused.insert("dan".into());
    ballot.votes = vec![vote("mia", Choice::Approve), vote("lea", Choice::Approve)];
    assert_eq!((ballot.standing().eligible, ballot.standing().outcome), (2, Outcome::Approved));
    ballot.recused.insert("mia".into());
    assert_eq!(ballot.standing().outcome, Outcome::Unreachable);
}

#[test]
fn one_veto_rejects_whatever_else_was_cast() {
    let mut ballot = steering();
    ballot.votes = vec![vote("lea", Choice::Veto), vote("mia", Choice::Approve), vote("dan", Choice::Approve)];
    assert_eq!(ballot.standing().outcome, Outcome::Rejected);
    ballot.votes.clear();
    assert_eq!(
        reason(ballot.admit(&person("mia", "marketing_lead"), None, Choice::Veto, &[], NOW)),
        "VETO_NOT_ALLOWED"
    );
}

#[test]
fn one_approval_from_each_group() {
    let groups = ["sales_ops", "legal", "product"];
    let mut ballot = Ballot {
        rule: Rule { group_minimums: groups.map(|g| (g.to_owned(), 1)).into(), ..Rule::default() },
        seats: vec![seat("a", "sales_ops"), seat("b", "legal"), seat("c", "product"), seat("d", "product")],
        proposer: "d".into(),
        ..Ballot::default()
    };
    for who in ["a", "b"] {
        ballot.votes.push(vote(who, Choice::Approve));
        assert_eq!(ballot.standing().outcome, Outcome::Pending);
    }
    ballot.votes.push(vote("d", Choice::Approve));
    assert_eq!(ballot.standing().outcome, Outcome::Pending, "the proposer's seat does not count");
    ballot.votes.push(vote("c", Choice::Reject));
    assert_eq!(ballot.standing().outcome, Outcome::Rejected);
}

#[test]
fn each_refusal_has_its_reason() {
    let mut ballot = steering();
    ballot.proposer = "mia".into();
    ballot.beneficiary = "dan".into();
    let approve = |ballot: &Ballot, actor: &Actor| reason(ballot.admit(actor, None, Choice::Approve, &[], NOW));
    assert_eq!(approve(&ballot, &person("mia", "marketing_lead")), "PROPOSER_CANNOT_VOTE");
    assert_eq!(approve(&ballot, &person("dan", "data")), "BENEFICIARY_CANNOT_VOTE");
    assert_eq!(approve(&ballot, &person("eve", "legal")), "NOT_ELIGIBLE");
    assert_eq!(approve(&ballot, &person("lea", "data")), "NOT_ELIGIBLE");
    let bot = Actor { kind: ActorKind::Service, ..person("lea", "legal") };
    assert_eq!(approve(&ballot, &bot), "ACTOR_KIND_NOT_ALLOWED");
    let for_the_proposer = Actor { on_behalf_of: Some("mia".into()), ..person("lea", "legal") };
    assert_eq!(approve(&ballot, &for_the_proposer), "ON_BEHALF_NOT_ALLOWED");
    assert_eq!(approve(&ballot, &person("lea", "legal")), "OK");
    ballot.votes.push(vote("lea", Choice::Approve));
    assert_eq!(approve(&ballot, &person("lea", "legal")), "ALREADY_VOTED");
    ballot.recused.insert("lea".into());
    assert_eq!(approve(&ballot, &person("lea", "legal")), "RECUSED");
}

#[test]
fn a_delegate_votes_once_in_time_and_never_for_a_party() {
    let mut ballot = steering();
    let until = Timestamp(2_000_000);
    let to_leo =
        |delegator: &str| Delegation { delegator: delegator.into(), delegate: "leo".into(), from: Timestamp(0), until };
    let leo = person("leo", "legal");
    let delegations = [to_leo("lea")];
    assert_eq!(ballot.admit(&leo, None, Choice::Approve, &delegations, NOW).unwrap().subject, "lea");
    assert_eq!(reason(ballot.admit(&leo, None, Choice::Approve, &delegations, until)), "NOT_ELIGIBLE");
    assert_eq!(reason(ballot.admit(&leo, Some("dan"), Choice::Approve, &delegations, NOW)), "NOT_ELIGIBLE");
    let both = [to_leo("lea"), to_leo("dan")];
    assert_eq!(reason(ballot.admit(&leo, None, Choice::Approve, &both, NOW)), "SEAT_AMBIGUOUS");
    ballot.votes.push(Vote { seat: "lea".into(), voter: "leo".into(), choice: Choice::Approve });
    let wide = Actor { role_groups: vec!["legal".into(), "data".into()], ..leo.clone() };
    assert_eq!(reason(ballot.admit(&wide, Some("dan"), Choice::Approve, &both, NOW)), "ALREADY_VOTED");
    assert_eq!(reason(ballot.admit(&person("lea", "legal"), None, Choice::Reject, &both, NOW)), "ALREADY_VOTED");
    ballot.votes.clear();
    ballot.proposer = "lea".into();
    assert_eq!(reason(ballot.admit(&leo, None, Choice::Approve, &delegations, NOW)), "PROPOSER_CANNOT_VOTE");
}

#[test]
fn a_rule_must_ask_for_something_and_name_known_groups() {
    let groups = ["legal".to_owned()];
    assert_eq!(reason(Rule::default().check(&groups, "quorum")), "QUORUM_INVALID");
    let strange = Rule { group_minimums: [("sales".to_owned(), 1)].into(), ..Rule::default() };
    assert_eq!(reason(strange.check(&groups, "quorum")), "QUORUM_INVALID");
    assert_eq!(reason(steering().rule.check(&groups, "quorum")), "OK");
}

const GROUPS: [&str; 3] = ["a", "b", "c"];

fn any_choice() -> impl Strategy<Value = Option<Choice>> {
    prop_oneof![
        Just(None),
        Just(Some(Choice::Approve)),
        Just(Some(Choice::Reject)),
        Just(Some(Choice::Abstain)),
        Just(Some(Choice::Veto)),
    ]
}

prop_compose! {
    fn any_ballot()(
        members in prop::collection::vec((0usize..3, any_choice(), prop::bool::weighted(0.15)), 0..9),
        min_approvals in 0u32..5,
        majority in any::<bool>(),
        minimums in prop::collection::btree_map(0usize..3, 1u32..3, 0..3),
        vetoers in prop::collection::btree_set(0usize..3, 0..2),
        proposer in 0usize..12,
    ) -> Ballot {
        let name = |i: usize| format!("p{i}");
        Ballot {
            rule: Rule {
                min_approvals,
                majority,
                group_minimums: minimums.into_iter().map(|(g, n)| (GROUPS[g].to_owned(), n)).collect(),
                veto_groups: vetoers.into_iter().map(|g| GROUPS[g].to_owned()).collect(),
            },
            seats: members.iter().enumerate().map(|(i, m)| seat(&name(i), GROUPS[m.0])).collect(),
            proposer: name(proposer),
            recused: members.iter().enumerate().filter(|(_, m)| m.2).map(|(i, _)| name(i)).collect(),
            votes: members.iter().enumerate().filter_map(|(i, m)| m.1.map(|c| vote(&name(i), c))).collect(),
            ..Ballot::default()
        }
    }
}

/// The rule spelled out a second time, straight from its definition.
fn meets_rule(ballot: &Ballot) -> bool {
    let counted: Vec<_> = ballot.eligible().collect();
    let approving = |seat: &&&Seat| ballot.votes.iter().any(|v| v.seat == seat.subject && v.choice == Choice::Approve);
    let approvals = counted.iter().filter(approving).count();
    let vetoed = counted.iter().any(|seat| {
        ballot.rule.veto_groups.contains(&seat.role_group)
            && ballot.votes.iter().any(|v| v.seat == seat.subject && v.choice == Choice::Veto)
    });
    let groups = ballot.rule.group_minimums.iter().all(|(group, &n)| {
        counted.iter().filter(|seat| &seat.role_group == group).filter(approving).count() >= n as usize
    });
    !vetoed
        && approvals >= 1
        && approvals >= ballot.rule.min_approvals as usize
        && (!ballot.rule.majority || approvals * 2 > counted.len())
        && groups
}

proptest! {
    #[test]
    fn approved_exactly_when_the_rule_is_met(ballot in any_ballot()) {
        prop_assert_eq!(ballot.standing().outcome == Outcome::Approved, meets_rule(&ballot));
    }

    #[test]
    fn the_order_of_votes_does_not_matter(ballot in any_ballot()) {
        let mut reversed = ballot.clone();
        reversed.votes.reverse();
        prop_assert_eq!(ballot.standing(), reversed.standing());
    }

    #[test]
    fn withdrawing_an_approval_never_approves(ballot in any_ballot()) {
        if ballot.standing().outcome != Outcome::Approved {
            for i in (0..ballot.votes.len()).filter(|&i| ballot.votes[i].choice == Choice::Approve) {
                for instead in [None, Some(Choice::Abstain), Some(Choice::Reject)] {
                    let mut less = ballot.clone();
                    let removed = less.votes.remove(i);
                    less.votes.extend(instead.map(|choice| Vote { choice, ..removed }));
                    prop_assert_ne!(less.standing().outcome, Outcome::Approved);
                }
            }
        }
    }

    #[test]
    fn pending_means_that_the_remaining_seats_can_carry_it(ballot in any_ballot()) {
        if ballot.standing().outcome == Outcome::Pending {
            let mut all = ballot.clone();
            for seat in ballot.eligible() {
                if !ballot.votes.iter().any(|v| v.seat == seat.subject) {
                    all.votes.push(vote(&seat.subject, Choice::Approve));
                }
            }
            prop_assert_eq!(all.standing().outcome, Outcome::Approved);
        }
    }

    #[test]
    fn unreachable_means_that_not_even_everybody_could_carry_it(ballot in any_ballot()) {
        let mut all = ballot.clone();
        all.votes = ballot.eligible().map(|seat| vote(&seat.subject, Choice::Approve)).collect();
        prop_assert_eq!(all.standing().outcome == Outcome::Approved, ballot.unreachable().is_empty());
        if ballot.standing().outcome == Outcome::Unreachable {
            prop_assert_ne!(all.standing().outcome, Outcome::Approved);
        }
    }

    #[test]
    fn nobody_but_an_eligible_person_is_admitted(ballot in any_ballot(), who in 0usize..12, kind in 0usize..3) {
        let kind = [ActorKind::Human, ActorKind::Ai, ActorKind::Service][kind];
        let subject = format!("p{who}");
        let voter = Actor { kind, role_groups: GROUPS.map(String::from).to_vec(), ..person(&subject, "a") };
        if let Ok(seat) = ballot.admit(&voter, None, Choice::Approve, &[], NOW) {
            prop_assert_eq!(kind, ActorKind::Human);
            prop_assert_ne!(&subject, &ballot.proposer);
            prop_assert_eq!(&seat.subject, &subject);
            prop_assert!(!ballot.recused.contains(&subject));
            prop_assert!(!ballot.votes.iter().any(|v| v.voter == subject));
        }
    }
}

proptest! {
    /// Whoever is asked may vote, and whoever may vote is asked: for any seats, parties, votes and delegations.
    #[test]
    fn asked_is_who_may_vote(
        proposer in 0..6usize, beneficiary in 0..6usize, recused in 0..6usize, departed in 0..6usize,
        votes in proptest::collection::vec((0..3usize, 0..5usize), 0..3),
        delegations in proptest::collection::vec((0..3usize, 0..5usize, 0..3i64), 0..4),
    ) {
        // The first three have seats; beyond the five there is nobody.
        let who = |at: usize| ["mia", "lea", "dan", "ed", "eve"].get(at).map_or(String::new(), |who| (*who).to_owned());
        let some = |at: usize| Some(who(at)).filter(|who| !who.is_empty()).into_iter().collect();
        let mut ballot = steering();
        (ballot.proposer, ballot.beneficiary) = (who(proposer), who(beneficiary));
        (ballot.recused, ballot.departed) = (some(recused), some(departed));
        let cast = |(seat, voter): &(usize, usize)| Vote { voter: who(*voter), ..vote(&who(*seat), Choice::Abstain) };
        ballot.votes = votes.iter().map(cast).collect();
        let delegations: Vec<Delegation> = delegations
            .iter()
            .filter(|(delegator, delegate, _)| delegator != delegate)
            .map(|(delegator, delegate, from)| Delegation {
                delegator: who(*delegator),
                delegate: who(*delegate),
                from: Timestamp(NOW.0 + from - 1),
                until: Timestamp(NOW.0 + 9),
            })
            .collect();
        let asked = ballot.asked(&delegations, NOW);
        for at in 0..5 {
            let me = who(at);
            let groups = ["marketing_lead", "legal", "data"].map(str::to_owned).to_vec();
            let actor = Actor { role_groups: groups, ..person(&me, "") };
            let may = |seat: &str| ballot.admit(&actor, Some(seat), Choice::Abstain, &delegations, NOW).is_ok();
            let seats = || ballot.seats.iter().map(|seat| seat.subject.as_str());
            prop_assert_eq!(asked.members.contains(&me), may(&me), "{} {:?}", me, ballot);
            let may_for_another = seats().any(|seat| seat != me && may(seat));
            prop_assert_eq!(asked.stand_ins.contains(&me), may_for_another, "{} {:?}", me, ballot);
        }
    }
}
