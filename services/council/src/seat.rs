//! On which seat a caller acts. Roles open the door to the API; what needs a seat, the seat decides.

use remit_core::quorum::{Delegation, Seat};
use remit_core::{Actor, Error, Result, Timestamp};

fn refuse(message: String) -> Error {
    Error::denied("NOT_ELIGIBLE", message)
}

/// The seat in `body` on which `actor` acts: the actor's own, or one that the actor stands in for now.
///
/// # Errors
/// `PermissionDenied` (`NOT_ELIGIBLE`) without such a seat, for whoever is not a person, for a token that does not name the
/// role group of the seat, and for one that speaks for somebody else.
pub(crate) fn acting<'a>(
    actor: &Actor,
    body: &str,
    seats: &'a [Seat],
    delegations: &[Delegation],
    now: Timestamp,
) -> Result<&'a Seat> {
    let me = actor.subject.as_str();
    if !actor.is_human() {
        return Err(refuse(format!("{me} is no person, and only people have seats")));
    }
    if let Some(other) = &actor.on_behalf_of {
        return Err(refuse(format!("the token of {me} speaks for {other}: a seat is acted on in person")));
    }
    let stands_in =
        |seat: &&Seat| delegations.iter().any(|d| d.delegate == me && d.delegator == seat.subject && d.in_force(now));
    let own = seats.iter().find(|seat| seat.subject == me);
    let Some(seat) = own.or_else(|| seats.iter().find(stands_in)) else {
        return Err(refuse(format!("{me} has no seat in {body}")));
    };
    if !actor.role_groups.contains(&seat.role_group) {
        return Err(refuse(format!("the token of {me} does not name the role group {}", seat.role_group)));
    }
    Ok(seat)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_core::ActorKind;

    fn actor(subject: &str, group: &str, on_behalf_of: Option<&str>) -> Actor {
        Actor {
            subject: subject.into(),
            kind: ActorKind::Human,
            roles: vec!["member".into()],
            role_groups: vec![group.into()],
            on_behalf_of: on_behalf_of.map(str::to_owned),
        }
    }

    #[test]
    fn a_seat_is_acted_on_by_its_member_or_a_stand_in() {
        let seats = [Seat { subject: "lea".into(), role_group: "legal".into() }];
        let stand_in =
            Delegation { delegator: "lea".into(), delegate: "ed".into(), from: Timestamp(10), until: Timestamp(20) };
        let acts =
            |who: &Actor, at: i64| acting(who, "bodies/b", &seats, std::slice::from_ref(&stand_in), Timestamp(at));
        assert_eq!(acts(&actor("lea", "legal", None), 0).unwrap().subject, "lea");
        assert_eq!(acts(&actor("ed", "legal", None), 10).unwrap().subject, "lea");
        let machine = Actor { kind: ActorKind::Service, ..actor("lea", "legal", None) };
        for (who, at) in [
            (machine, 0),
            (actor("ed", "legal", None), 20),
            (actor("ed", "data", None), 10),
            (actor("lea", "data", None), 0),
            (actor("lea", "legal", Some("pat")), 0),
            (actor("eve", "legal", None), 10),
        ] {
            assert!(acts(&who, at).is_err_and(|error| error.reason() == "NOT_ELIGIBLE"), "{who:?} at {at}");
        }
    }
}
