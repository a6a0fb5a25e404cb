//! Rules of the constitution: which body may decide what, and what may become of a body. Pure, so that the order in which
//! people act cannot matter to them.

use crate::body;
use crate::proposal::ballot;
use crate::time::at;
use remit_api::council::v1::{Body, NewSeat, Proposal, ProposalState};
use remit_core::authority::STEERING_GROUP;
use remit_core::quorum::{Ballot, Seat};
use remit_core::{Error, Kind, Result, Timestamp, name};
use std::collections::BTreeSet;
use std::time::Duration;

/// What an act of the constitution would change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    /// The body concerned, `bodies/{body}`.
    pub(crate) name: &'a str,
    /// The body as it is; `None` if it is to be made.
    pub(crate) before: Option<&'a Body>,
    /// The body as it shall be; `None` if only a seat changes.
    pub(crate) after: Option<&'a Body>,
    /// Whether seats are given or taken.
    pub(crate) seats: bool,
}

impl<'a> Change<'a> {
    /// What the body would decide beside what it does.
    fn given(&self) -> Vec<&'a str> {
        let held = self.before.map_or(&[][..], |body| &body.jurisdiction);
        let wanted = self.after.map_or(&[][..], |body| &body.jurisdiction);
        wanted.iter().filter(|kind| !held.contains(kind)).map(String::as_str).collect()
    }

    /// What the body would not decide any more.
    fn taken(&self) -> Vec<&'a str> {
        let Some(after) = self.after else { return Vec::new() };
        let held = self.before.map_or(&[][..], |body| &body.jurisdiction);
        held.iter().filter(|kind| !after.jurisdiction.contains(kind)).map(String::as_str).collect()
    }

    /// Whether it does nothing but give jurisdiction to a body that is there.
    fn only_gives(&self) -> bool {
        let (Some(before), Some(after)) = (self.before, self.after) else { return false };
        let same = Body { jurisdiction: before.jurisdiction.clone(), ..content(after) } == content(before);
        same && !self.seats && self.taken().is_empty() && !self.given().is_empty()
    }
}

/// What people decide of a body, without what the service writes.
pub(crate) fn content(body: &Body) -> Body {
    Body { etag: String::new(), create_time: None, update_time: None, ..body.clone() }
}

/// Whether `body` may decide an act. For an act of the constitution, `change` says what it would change.
///
/// The body concerned decides about itself; a body with that act in its jurisdiction about those below it; the steering
/// group is above all and below none. Nobody gives what they do not have, so nobody gives anything to themselves.
///
/// # Errors
/// `FailedPrecondition`: `NO_JURISDICTION`, `JURISDICTION_NOT_HELD`.
pub(crate) fn may_decide(body: &Body, kind: &str, change: Option<&Change<'_>>) -> Result<()> {
    let Some(change) = change else {
        if body::jurisdiction(body).contains(kind) {
            return Ok(());
        }
        return Err(Error::precondition("NO_JURISDICTION", format!("{} does not decide {kind}", body.name)));
    };
    let itself = change.before.is_some_and(|before| before.name == body.name);
    let above = body.name == STEERING_GROUP || (body::has(body, kind) && change.name != STEERING_GROUP);
    if !(itself || above || change.only_gives()) {
        let message = format!("{} is neither {} nor above it: let one of these decide", body.name, change.name);
        return Err(Error::precondition("NO_JURISDICTION", message));
    }
    match change.given().into_iter().find(|kind| !body::has(body, kind)) {
        Some(kind) => {
            let message = format!("{} does not decide {kind} and cannot give it to {}", body.name, change.name);
            Err(Error::precondition("JURISDICTION_NOT_HELD", message))
        }
        None => Ok(()),
    }
}

/// What a body's rules lack if every one of these seats approved; empty if all can be met.
pub(crate) fn lacking(body: &Body, seats: &[Seat]) -> Vec<String> {
    let missing = |rule| Ballot { rule, seats: seats.to_vec(), ..Ballot::default() }.unreachable();
    body::rules(body).map(|(_, rule)| missing(rule)).find(|missing| !missing.is_empty()).unwrap_or_default()
}

/// For how long a member must have been silent before two administrators may say that she is gone.
const SILENCE: Duration = Duration::from_secs(30 * 86_400);

/// Whether nobody has heard of a member for long: a vote that was opened that long ago ran out without hers, and since
/// then she has neither voted nor recused herself nor proposed anything in the body whose `proposals` these are, nor done
/// anything else in the council. `until` is when she last did, or was last kept from it: who cannot call is not silent.
pub(crate) fn silent(subject: &str, proposals: &[Proposal], until: Timestamp, now: Timestamp) -> bool {
    let heard = |since: Timestamp| {
        proposals.iter().any(|one| {
            let proposed =
                one.proposer.as_ref().is_some_and(|by| by.subject == subject) && at(&one.create_time) >= since;
            let voted = one.votes.iter().any(|vote| vote.seat == subject && at(&vote.create_time) >= since);
            proposed || voted || one.recusals.iter().any(|own| own.subject == subject && at(&own.create_time) >= since)
        })
    };
    let ran_out = |one: &&Proposal| {
        // One on which she could not have voted, such as that on her own seat, asked her nothing.
        let asked = ballot(one).eligible().any(|seat| seat.subject == subject);
        asked && one.state() == ProposalState::Expired && at(&one.open_time).plus(SILENCE) <= now
    };
    proposals.iter().filter(ran_out).any(|one| until < at(&one.open_time) && !heard(at(&one.open_time)))
}

/// Refuses seats under which a body could not meet its rule.
///
/// # Errors
/// `FailedPrecondition` (`QUORUM_UNREACHABLE`).
pub(crate) fn check_reachable(body: &Body, seats: &[Seat]) -> Result<()> {
    let lacking = lacking(body, seats);
    if lacking.is_empty() {
        return Ok(());
    }
    let message = format!("the members of {} could not meet its rule: {}", body.name, lacking.join(", "));
    Err(Error::precondition("QUORUM_UNREACHABLE", message))
}

/// The seats of a body once `given` are added to `present`.
///
/// # Errors
/// `InvalidArgument`, naming fields of `field`: `ID_INVALID`, `ROLE_GROUP_UNKNOWN`; `AlreadyExists` (`MEMBER_EXISTS`)
/// for a second seat of a person, or a second of one id.
pub(crate) fn seated(body: &Body, present: &[Seat], given: &[NewSeat], field: &str) -> Result<Vec<Seat>> {
    let mut seats = present.to_vec();
    let mut ids = BTreeSet::new();
    for (at, new) in given.iter().enumerate() {
        let field =
            |part: &str| if given.len() > 1 { format!("{field}[{at}].{part}") } else { format!("{field}.{part}") };
        let id = name::id(&new.member_id, &field("member_id"))?;
        if !body.role_groups.contains(&new.role_group) {
            let rule = format!("must be one of {}", body.role_groups.join(", "));
            return Err(Error::invalid("ROLE_GROUP_UNKNOWN", field("role_group"), rule));
        }
        let twice = !ids.insert(id) || seats.iter().any(|seat| seat.subject == new.subject);
        if twice {
            let message = format!("{} has a seat in {} already, or the id is given twice", new.subject, body.name);
            return Err(Error::new(Kind::AlreadyExists, "MEMBER_EXISTS", message));
        }
        seats.push(Seat { subject: new.subject.clone(), role_group: new.role_group.clone() });
    }
    Ok(seats)
}

/// Refuses an amendment that would leave a body without a rule that it can meet, or an act without a body.
///
/// # Errors
/// Those of [`body::check`] and [`seated`]; `InvalidArgument` (`QUORUM_INVALID`) for a role group that is left out while
/// members sit for it; `FailedPrecondition`: `QUORUM_UNREACHABLE`, `JURISDICTION_ORPHANED`.
pub(crate) fn check_amendment(change: &Change<'_>, present: &[Seat], given: &[NewSeat], all: &[Body]) -> Result<()> {
    const FIELD: &str = "proposal.action.amend_body";
    let Some(after) = change.after else { return Ok(()) };
    body::check(after, &format!("{FIELD}.body"))?;
    if let Some(seat) = present.iter().find(|seat| !after.role_groups.contains(&seat.role_group)) {
        let rule = format!("must hold {}: {} sits for it", seat.role_group, seat.subject);
        return Err(Error::invalid("QUORUM_INVALID", format!("{FIELD}.body.role_groups"), rule));
    }
    let seats = seated(after, present, given, &format!("{FIELD}.seats"))?;
    let could = change.before.is_some_and(|before| lacking(before, present).is_empty());
    if could || !given.is_empty() {
        check_reachable(after, &seats)?;
    }
    let held = |kind: &str| all.iter().any(|body| body.name != after.name && body::has(body, kind));
    match change.taken().into_iter().find(|kind| !held(kind)) {
        Some(kind) => {
            let message = format!("nobody but {} decides {kind}: give it to another body first", after.name);
            Err(Error::precondition("JURISDICTION_ORPHANED", message))
        }
        None => Ok(()),
    }
}

/// Refuses to take a seat without which the body could no longer meet its rule.
///
/// # Errors
/// `FailedPrecondition` (`QUORUM_UNREACHABLE`).
pub(crate) fn check_unseating(body: &Body, present: &[Seat], subject: &str) -> Result<()> {
    if !lacking(body, present).is_empty() {
        return Ok(());
    }
    let left: Vec<_> = present.iter().filter(|seat| seat.subject != subject).cloned().collect();
    check_reachable(body, &left)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::body::seeds;
    use remit_api::council::v1::action::Kind;
    use remit_api::council::v1::{Action, CastVote, QuorumRule, UnseatMember};
    use remit_api::wire::time::stamp;

    fn house() -> (Body, Body, Body) {
        let [steering, council] = seeds(Timestamp(0));
        let board = Body {
            name: "bodies/board".into(),
            display_name: "Launch board".into(),
            role_groups: vec!["legal".into(), "data".into()],
            quorum: Some(QuorumRule { min_approvals: 1, ..Default::default() }),
            ..Default::default()
        };
        (steering, council, board)
    }

    fn seat(subject: &str, role_group: &str) -> Seat {
        Seat { subject: subject.into(), role_group: role_group.into() }
    }

    fn new(id: &str, role_group: &str) -> NewSeat {
        NewSeat { member_id: id.into(), subject: id.into(), role_group: role_group.into() }
    }

    fn amend<'a>(before: Option<&'a Body>, after: &'a Body) -> Change<'a> {
        Change { name: &after.name, before, after: Some(after), seats: false }
    }

    fn reason<T: std::fmt::Debug>(answer: Result<T>) -> &'static str {
        answer.expect_err("a refusal").reason()
    }

    #[test]
    fn an_act_is_decided_where_the_constitution_says() {
        let (steering, council, board) = house();
        for (body, kind, may) in [
            (&steering, "promote_model", true),
            (&steering, "approve_automation", false),
            (&council, "approve_automation", true),
            (&council, "promote_model", false),
            (&board, "lift_hold", false),
            (&board, "resolution", true),
            (&steering, "break_glass", false),
        ] {
            assert_eq!(may_decide(body, kind, None).is_ok(), may, "{} {kind}", body.name);
        }
    }

    #[test]
    fn a_body_amends_itself_and_those_below_it() {
        let (steering, council, board) = house();
        for (decider, target, may) in [
            (&steering, &steering, true),
            (&steering, &council, true),
            (&steering, &board, true),
            (&council, &council, true),
            (&council, &steering, false),
            (&council, &board, false),
            (&board, &board, true),
            (&board, &steering, false),
        ] {
            let after = Body { purpose: "another".into(), ..target.clone() };
            let change = amend(Some(target), &after);
            assert_eq!(
                may_decide(decider, "amend_body", Some(&change)).is_ok(),
                may,
                "{} {}",
                decider.name,
                target.name
            );
            let seats = Change { after: None, seats: true, ..change };
            assert_eq!(
                may_decide(decider, "seat_member", Some(&seats)).is_ok(),
                may,
                "{} {}",
                decider.name,
                target.name
            );
        }
        // A body that may amend others is still not above the steering group.
        let deputy = Body { jurisdiction: vec!["amend_body".into()], ..board.clone() };
        let after = Body { purpose: "another".into(), ..steering.clone() };
        assert_eq!(reason(may_decide(&deputy, "amend_body", Some(&amend(Some(&steering), &after)))), "NO_JURISDICTION");
        assert!(may_decide(&deputy, "amend_body", Some(&amend(Some(&council), &council))).is_ok());
        assert_eq!(reason(may_decide(&board, "amend_body", Some(&amend(None, &board)))), "NO_JURISDICTION");
    }

    #[test]
    fn nobody_gives_what_they_do_not_have() {
        let (steering, council, board) = house();
        let with = |body: &Body, kind: &str| {
            let mut body = body.clone();
            body.jurisdiction.push(kind.into());
            body
        };
        let decide = |decider: &Body, before: &Body, after: &Body| {
            may_decide(decider, "amend_body", Some(&amend(Some(before), after)))
        };
        assert!(decide(&steering, &board, &with(&board, "lift_hold")).is_ok());
        assert_eq!(reason(decide(&steering, &board, &with(&board, "approve_automation"))), "JURISDICTION_NOT_HELD");
        assert_eq!(
            reason(decide(&steering, &steering, &with(&steering, "approve_automation"))),
            "JURISDICTION_NOT_HELD"
        );
        assert_eq!(reason(decide(&board, &board, &with(&board, "lift_hold"))), "JURISDICTION_NOT_HELD");
        assert!(decide(&council, &board, &with(&board, "approve_automation")).is_ok(), "who has it gives it");
        let more = Body { purpose: "and more".into(), ..with(&board, "approve_automation") };
        assert_eq!(reason(decide(&council, &board, &more)), "NO_JURISDICTION", "and nothing else");
    }

    #[test]
    fn a_rule_below_a_floor_is_refused_and_not_raised() {
        let (steering, _, board) = house();
        let weak = QuorumRule { min_approvals: 2, ..Default::default() };
        let weaker = Body { quorum: Some(weak), ..steering.clone() };
        let change = amend(Some(&steering), &weaker);
        assert_eq!(reason(check_amendment(&change, &[], &[], &[])), "QUORUM_BELOW_FLOOR");
        let lifting = Body { jurisdiction: vec!["lift_hold".into()], ..board.clone() };
        assert_eq!(reason(check_amendment(&amend(None, &lifting), &[], &[], &[])), "QUORUM_BELOW_FLOOR");
        let odd = Body { jurisdiction: vec!["everything".into()], ..board };
        assert_eq!(reason(check_amendment(&amend(None, &odd), &[], &[], &[])), "JURISDICTION_UNKNOWN");
    }

    #[test]
    fn nobody_amends_a_body_out_of_its_own_reach() {
        let (steering, council, board) = house();
        let people = [seat("mia", "marketing_lead"), seat("lea", "legal"), seat("dan", "data")];
        let strict = QuorumRule { min_approvals: 4, ..steering.quorum.clone().unwrap() };
        let stricter = Body { quorum: Some(strict), ..steering.clone() };
        let change = amend(Some(&steering), &stricter);
        assert_eq!(reason(check_amendment(&change, &people, &[], &[])), "QUORUM_UNREACHABLE");
        assert!(check_amendment(&change, &people, &[new("leo", "legal")], &[]).is_ok(), "it seats another");
        let smaller = Body { role_groups: vec!["marketing_lead".into(), "legal".into()], ..steering.clone() };
        assert_eq!(reason(check_amendment(&amend(Some(&steering), &smaller), &people, &[], &[])), "QUORUM_INVALID");
        let idle = Body { jurisdiction: Vec::new(), ..council.clone() };
        let all = [steering.clone(), council.clone(), board];
        let change = amend(Some(&council), &idle);
        assert_eq!(reason(check_amendment(&change, &[], &[], &all)), "JURISDICTION_ORPHANED");
        assert_eq!(reason(check_unseating(&steering, &people, "lea")), "QUORUM_UNREACHABLE");
        assert!(check_unseating(&steering, &people, "dan").is_ok());
        assert!(check_unseating(&steering, &people[..1], "mia").is_ok(), "it could not decide anyway");
    }

    #[test]
    fn who_is_asked_and_says_nothing_for_a_month_is_silent() {
        let day = |n: u64| Timestamp(0).plus(Duration::from_secs(n * 86_400));
        let pinned = |subject: &str| remit_api::council::v1::Seat { subject: subject.into(), ..Default::default() };
        let asked = Proposal {
            state: ProposalState::Expired.into(),
            open_time: Some(stamp(day(10))),
            electorate: vec![pinned("lea"), pinned("mia")],
            votes: vec![CastVote { seat: "mia".into(), create_time: Some(stamp(day(11))), ..Default::default() }],
            ..Default::default()
        };
        let all = std::slice::from_ref(&asked);
        assert!(silent("lea", all, day(9), day(40)) && !silent("lea", all, day(9), day(39)));
        assert!(!silent("lea", all, day(10), day(90)), "she did something else, or was kept from it");
        assert!(!silent("lea", all, Timestamp(i64::MAX), day(90)), "she is kept from it still");
        assert!(!silent("mia", all, day(9), day(90)), "she voted");
        assert!(!silent("nell", all, day(9), day(90)), "nobody asked her");
        let open = Proposal { state: ProposalState::Open.into(), ..asked.clone() };
        assert!(!silent("lea", &[open], day(9), day(90)), "it may still be answered");
        let own = Proposal {
            action: Some(Action {
                kind: Some(Kind::UnseatMember(UnseatMember { subject: "lea".into(), ..Default::default() })),
            }),
            ..asked.clone()
        };
        assert!(!silent("lea", &[own], day(9), day(90)), "she could not vote on that");
        let later = Proposal {
            votes: vec![CastVote { seat: "lea".into(), create_time: Some(stamp(day(35))), ..Default::default() }],
            ..Default::default()
        };
        assert!(!silent("lea", &[asked.clone(), later], day(9), day(40)), "she was heard of since");
        let before = Proposal {
            votes: vec![CastVote { seat: "lea".into(), create_time: Some(stamp(day(5))), ..Default::default() }],
            ..Default::default()
        };
        assert!(silent("lea", &[asked, before], day(9), day(40)));
    }

    #[test]
    fn a_person_has_one_seat_in_a_body() {
        let (steering, ..) = house();
        let present = [seat("lea", "legal")];
        let give = |new: &[NewSeat]| seated(&steering, &present, new, "seats");
        assert_eq!(reason(give(&[new("lea", "data")])), "MEMBER_EXISTS");
        assert_eq!(reason(give(&[new("leo", "data"), new("leo", "legal")])), "MEMBER_EXISTS");
        assert_eq!(reason(give(&[new("leo", "sales")])), "ROLE_GROUP_UNKNOWN");
        assert_eq!(reason(give(&[new("l e o", "legal")])), "ID_INVALID");
        assert_eq!(give(&[new("leo", "legal")]).unwrap().len(), 2);
    }
}
