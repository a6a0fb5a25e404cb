//! Whose a rating is.
//!
//! A rating is the rater's own if the call that gave it was hers. Anyone else, a program too, may enter one for a named
//! person; it is kept with who entered it and counts as a claim, which moves work toward people and never away from
//! them ([`remit_policy::CLAIMED_CAP`]). A claim never replaces what a person has said herself, and what she says
//! replaces it. AI systems neither rate nor enter ratings: they would have a say in their own autonomy.

use remit_api::scoring::v1::{RateTaskRequest, Rating, Task};
use remit_api::wire::time;
use remit_core::{Actor, ActorKind, Error, Result, Timestamp};

/// Whose rating a request gives: the caller's own, or that of the person for whom it is entered.
///
/// # Errors
/// `PermissionDenied` (`RATER_NOT_CALLER`) if the rating names somebody else.
pub(crate) fn rater(request: &RateTaskRequest, by: &Actor) -> Result<String> {
    let named = request.rating.as_ref().map_or("", |rating| rating.rater.as_str());
    let rater = if request.entered_for.is_empty() { by.subject.as_str() } else { request.entered_for.as_str() };
    if named.is_empty() || named == rater {
        return Ok(rater.to_owned());
    }
    let text = format!(
        "the rating is that of {rater}, not of {named}: leave the rater out, or enter what somebody else says with \
         entered_for"
    );
    Err(Error::denied("RATER_NOT_CALLER", text))
}

/// Puts a rating among those of a task, in the name of its rater; without one it is the caller's own. One that changes
/// nothing is left as it is, whoever gave it.
///
/// # Errors
/// `PermissionDenied`: `RATER_NOT_HUMAN`, `RATING_NOT_YOURS`.
pub(crate) fn put(ratings: &mut Vec<Rating>, mut given: Rating, by: &Actor, now: Timestamp) -> Result<()> {
    if given.rater.is_empty() {
        given.rater.clone_from(&by.subject);
    }
    let own = given.rater == by.subject;
    let known = ratings.iter().position(|known| known.rater == given.rater);
    if let Some(old) = known.and_then(|at| ratings.get(at)) {
        // Who sends a task back as it was given says nothing of her own.
        let signs = own && given.entered_by != old.entered_by;
        if (&old.scores, &old.comment) == (&given.scores, &given.comment) && !signs {
            return Ok(());
        }
        if !own && old.entered_by.is_empty() {
            return Err(not_yours(&given.rater));
        }
    }
    person(by, own)?;
    given.entered_by = if own { String::new() } else { by.subject.clone() };
    given.rate_time = Some(time::stamp(now));
    match known.and_then(|at| ratings.get_mut(at)) {
        Some(place) => *place = given,
        None => ratings.push(given),
    }
    Ok(())
}

/// The ratings of a task after a caller has given all of them.
///
/// # Errors
/// As [`put`]; also if a rating is left out that is another's own.
pub(crate) fn replace(before: &[Rating], given: Vec<Rating>, by: &Actor, now: Timestamp) -> Result<Vec<Rating>> {
    let rater = |rating: &Rating| if rating.rater.is_empty() { by.subject.clone() } else { rating.rater.clone() };
    let raters: Vec<String> = given.iter().map(rater).collect();
    for left_out in before.iter().filter(|old| !raters.contains(&old.rater)) {
        if left_out.entered_by.is_empty() && left_out.rater != by.subject {
            return Err(not_yours(&left_out.rater));
        }
        person(by, left_out.rater == by.subject)?;
    }
    let mut ratings: Vec<Rating> = before.iter().filter(|old| raters.contains(&old.rater)).cloned().collect();
    for rating in given {
        put(&mut ratings, rating, by, now)?;
    }
    Ok(ratings)
}

/// The ratings of a task that is created where one of its name was deleted: it takes its former ratings back, and who
/// would give another's own anew is refused as ever.
///
/// # Errors
/// As [`put`].
pub(crate) fn restore(former: &[Rating], given: Vec<Rating>, by: &Actor, now: Timestamp) -> Result<Vec<Rating>> {
    let mut ratings = former.to_vec();
    for rating in given {
        put(&mut ratings, rating, by, now)?;
    }
    Ok(ratings)
}

/// The raters of a task whose ratings others entered.
pub(crate) fn claimed(task: &Task) -> impl Iterator<Item = &Rating> {
    task.ratings.iter().filter(|rating| !rating.entered_by.is_empty())
}

fn person(by: &Actor, own: bool) -> Result<()> {
    match by.kind {
        ActorKind::Human => Ok(()),
        ActorKind::Service if !own => Ok(()),
        ActorKind::Service => {
            let text = format!("{} is a program and rates nothing: enter what a person says with her name", by.subject);
            Err(Error::denied("RATER_NOT_HUMAN", text))
        }
        ActorKind::Ai => {
            let text =
                format!("{} is an AI system: only people rate, and no AI system enters what they say", by.subject);
            Err(Error::denied("RATER_NOT_HUMAN", text))
        }
    }
}

fn not_yours(rater: &str) -> Error {
    let text = format!("{rater} has rated this task in person: only {rater} may change that rating");
    Error::denied("RATING_NOT_YOURS", text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn actor(subject: &str, kind: ActorKind) -> Actor {
        Actor { subject: subject.into(), kind, roles: vec![], role_groups: vec![], on_behalf_of: None }
    }

    fn rating(rater: &str, risk: i32) -> Rating {
        Rating { rater: rater.into(), scores: [("risk".to_owned(), risk)].into(), ..Default::default() }
    }

    /// Rater, risk and who entered it.
    fn said(ratings: &[Rating]) -> Vec<(&str, i32, &str)> {
        ratings.iter().map(|r| (r.rater.as_str(), r.scores["risk"], r.entered_by.as_str())).collect()
    }

    #[test]
    fn a_rating_is_the_callers_own_or_entered_for_somebody() {
        let ada = actor("ada", ActorKind::Human);
        let request = |rater: &str, entered_for: &str| RateTaskRequest {
            rating: Some(rating(rater, 1)),
            entered_for: entered_for.into(),
            ..Default::default()
        };
        assert_eq!(rater(&request("", ""), &ada).unwrap(), "ada");
        assert_eq!(rater(&request("ada", ""), &ada).unwrap(), "ada");
        assert_eq!(rater(&request("", "bob"), &ada).unwrap(), "bob");
        assert_eq!(rater(&request("bob", "bob"), &ada).unwrap(), "bob");
        for (named, entered_for) in [("bob", ""), ("ada", "bob"), ("eve", "bob")] {
            assert_eq!(rater(&request(named, entered_for), &ada).unwrap_err().reason(), "RATER_NOT_CALLER");
        }
    }

    #[test]
    fn what_a_person_says_replaces_what_was_entered_for_her_and_never_the_other_way() {
        let (ada, bob) = (actor("ada", ActorKind::Human), actor("bob", ActorKind::Human));
        let program = actor("crm", ActorKind::Service);
        let mut ratings = Vec::new();
        put(&mut ratings, rating("ada", 5), &program, NOW).unwrap();
        assert_eq!(said(&ratings), [("ada", 5, "crm")]);
        put(&mut ratings, rating("ada", 4), &bob, NOW).unwrap();
        assert_eq!(said(&ratings), [("ada", 4, "bob")], "a claim may be corrected by another");
        put(&mut ratings, rating("", 4), &ada, NOW).unwrap();
        assert_eq!(said(&ratings), [("ada", 4, "")], "the same words in person are her own");
        for other in [&bob, &program] {
            put(&mut ratings, rating("ada", 4), other, NOW).unwrap();
            assert_eq!(put(&mut ratings, rating("ada", 1), other, NOW).unwrap_err().reason(), "RATING_NOT_YOURS");
        }
        assert_eq!(said(&ratings), [("ada", 4, "")]);
        put(&mut ratings, rating("", 3), &ada, NOW).unwrap();
        put(&mut ratings, rating("", 2), &bob, NOW).unwrap();
        assert_eq!(said(&ratings), [("ada", 3, ""), ("bob", 2, "")]);
    }

    #[test]
    fn only_people_rate_and_ai_systems_enter_nothing() {
        let refused = |by: &Actor, rater: &str| put(&mut Vec::new(), rating(rater, 1), by, NOW).unwrap_err();
        assert_eq!(refused(&actor("crm", ActorKind::Service), "").reason(), "RATER_NOT_HUMAN");
        for rater in ["", "ada"] {
            assert_eq!(refused(&actor("bot", ActorKind::Ai), rater).reason(), "RATER_NOT_HUMAN");
        }
    }

    #[test]
    fn a_whole_set_keeps_what_others_have_said_themselves() {
        let (ada, bot) = (actor("ada", ActorKind::Human), actor("bot", ActorKind::Ai));
        let entered = Rating { entered_by: "crm".into(), ..rating("eve", 5) };
        let before = [rating("ada", 3), rating("bob", 4), entered];
        let reason = |given: Vec<Rating>, by: &Actor| replace(&before, given, by, NOW).unwrap_err().reason();
        assert_eq!(replace(&before, before.to_vec(), &bot, NOW).unwrap(), before, "nothing has changed");
        let eve = actor("eve", ActorKind::Human);
        assert_eq!(replace(&before, before.to_vec(), &eve, NOW).unwrap(), before, "to send back is not to say");
        let said_so = [before[0].clone(), before[1].clone(), rating("eve", 5)];
        assert_eq!(said(&replace(&before, said_so.to_vec(), &eve, NOW).unwrap())[2], ("eve", 5, ""));
        let left = replace(&before, vec![rating("bob", 4)], &ada, NOW).unwrap();
        assert_eq!(said(&left), [("bob", 4, "")], "her own and a claim may go");
        assert_eq!(reason(vec![rating("ada", 3)], &ada), "RATING_NOT_YOURS");
        assert_eq!(reason(vec![rating("ada", 3), rating("bob", 1)], &ada), "RATING_NOT_YOURS");
        assert_eq!(reason(vec![rating("ada", 3), rating("bob", 4)], &bot), "RATER_NOT_HUMAN");
        let new = replace(&[], vec![rating("", 1), rating("bob", 2)], &ada, NOW).unwrap();
        assert_eq!(said(&new), [("ada", 1, ""), ("bob", 2, "ada")]);
    }

    #[test]
    fn what_was_said_of_a_task_outlives_its_deletion() {
        let (ada, eve) = (actor("ada", ActorKind::Human), actor("eve", ActorKind::Human));
        let former = [rating("ada", 4), Rating { entered_by: "crm".into(), ..rating("bob", 5) }];
        assert_eq!(said(&restore(&former, vec![], &eve, NOW).unwrap()), [("ada", 4, ""), ("bob", 5, "crm")]);
        let again = restore(&former, vec![rating("", 1), rating("bob", 3)], &eve, NOW).unwrap();
        assert_eq!(said(&again), [("ada", 4, ""), ("bob", 3, "eve"), ("eve", 1, "")]);
        let washed = restore(&former, vec![rating("ada", 1)], &eve, NOW).unwrap_err();
        assert_eq!(washed.reason(), "RATING_NOT_YOURS");
        assert_eq!(said(&restore(&former, vec![rating("", 2)], &ada, NOW).unwrap())[0], ("ada", 2, ""));
    }
}
