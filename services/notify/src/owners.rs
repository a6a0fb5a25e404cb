//! A subscription sees what its owner may see now. What she may see is asked of her token when she makes, changes or resumes
//! it; what is taken from her afterwards stands in the audit log, and stops it until somebody who may read takes it over.

use crate::filter::Seen;
use crate::service::{Service, stop};
use crate::store::at;
use crate::store::subscriptions::{self, Subscriptions};
use remit_core::details::{Details as _, RolesAssigned, TokensRevoked};
use remit_core::{Result, Timestamp};
use remit_store::{Mutation, Records as _, timers};
use std::time::Duration;

/// What a timer is for that is due when roles end by themselves.
pub(crate) const ROLES_END: &str = "notify.roles.end";

/// Why a subscription is stopped.
const WHY: &str = "roles or tokens of its owner were taken back, so that it is unknown whether she may still read the \
                   audit log: whoever may read it and resumes this owns it from then on";

/// How far the clocks of two processes may be apart: what was changed later than that after the loss was changed with what
/// is left.
const APART: Duration = Duration::from_secs(60);

/// What an event means for those subscriptions that its subject owns.
#[derive(Debug, PartialEq)]
enum Means {
    Nothing,
    Lost(String),
    /// What she has now ends by itself.
    Until(String, Timestamp),
}

fn means(event: &Seen, reads: impl Fn(&[String]) -> bool) -> Means {
    if event.outcome != "SUCCESS" {
        return Means::Nothing;
    }
    if event.action == "council.revocations.create" {
        let revoked = TokensRevoked::read(&event.details).filter(|it| it.block && it.token_id.is_empty());
        return revoked.map_or(Means::Nothing, |it| Means::Lost(it.subject));
    }
    let Some(verb) = event.action.strip_prefix("council.roleAssignments.") else { return Means::Nothing };
    let Some(RolesAssigned { subject, roles, expire_time, .. }) = RolesAssigned::read(&event.details) else {
        return Means::Nothing;
    };
    match (verb, reads(&roles)) {
        // What the roles were before is not said.
        ("delete", true) | ("update", false) => Means::Lost(subject),
        ("create" | "update", true) => {
            expire_time.parse::<jiff::Timestamp>().map_or(Means::Nothing, |end| Means::Until(subject, end.into()))
        }
        _ => Means::Nothing,
    }
}

/// Does what follows from an event that was recorded at `recorded`.
pub(crate) async fn follow(service: &Service, m: &mut Mutation, event: &Seen, recorded: Timestamp) -> Result<()> {
    let tenant = m.tenant().clone();
    let timer = format!("{ROLES_END}:{}", event.resource);
    if event.action.starts_with("council.roleAssignments.") && event.outcome == "SUCCESS" {
        timers::cancel(m.tx(), &tenant, &timer).await?;
    }
    match means(event, |roles| service.roles_read(roles)) {
        Means::Nothing => Ok(()),
        Means::Lost(subject) => lost(m, &subject, recorded).await,
        Means::Until(subject, end) => {
            timers::schedule(m.tx(), &tenant, &timer, ROLES_END, end, subject.as_bytes()).await
        }
    }
}

/// Stops the subscriptions of somebody who has lost something at `when`.
pub(crate) async fn lost(m: &mut Mutation, subject: &str, when: Timestamp) -> Result<()> {
    if subject.is_empty() {
        return Ok(());
    }
    for name in subscriptions::owned(m, subject).await? {
        let Some(subscription) = Subscriptions::try_claim(m, &name).await? else { continue };
        if subscription.owner == subject && at(&subscription.update_time) <= when.plus(APART) {
            stop(m, &subscription, WHY).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn of(action: &str, details: Value) -> Means {
        let event = Seen {
            action: action.into(),
            resource: "roleAssignments/a".into(),
            outcome: "SUCCESS",
            service: "council".into(),
            actor: "root".into(),
            actor_kind: "HUMAN",
            details,
        };
        let reads = |roles: &[String]| roles.iter().any(|role| role == "operator");
        let denied = means(&Seen { outcome: "DENIED", ..event.clone() }, reads);
        assert_eq!(denied, Means::Nothing, "{action}");
        means(&event, reads)
    }

    #[test]
    fn what_is_taken_from_the_owner_is_lost_and_what_may_be_is_lost_too() {
        let (reading, other) =
            (json!({"subject": "ann", "roles": ["operator"]}), json!({"subject": "ann", "roles": ["x"]}));
        let lost = || Means::Lost("ann".to_owned());
        assert_eq!(of("council.roleAssignments.delete", reading.clone()), lost());
        assert_eq!(of("council.roleAssignments.update", other.clone()), lost());
        assert_eq!(of("council.revocations.create", json!({"subject": "ann", "block": true})), lost());
        for (action, details) in [
            ("council.roleAssignments.create", other.clone()),
            ("council.roleAssignments.create", reading.clone()),
            ("council.roleAssignments.update", reading),
            ("council.roleAssignments.delete", other),
            ("council.revocations.create", json!({"subject": "ann"})),
            ("council.revocations.create", json!({"subject": "ann", "token_id": "t", "block": true})),
            ("council.proposals.create", json!({})),
        ] {
            assert_eq!(of(action, details.clone()), Means::Nothing, "{action} {details}");
        }
        let ends = json!({"subject": "ann", "roles": ["operator"], "expire_time": "1970-01-01T00:00:09Z"});
        let until = Means::Until("ann".to_owned(), Timestamp(9_000_000));
        assert_eq!(of("council.roleAssignments.update", ends), until);
    }
}
