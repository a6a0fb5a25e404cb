#![allow(clippy::unwrap_used)]
use super::*;

const DIGEST: &str = "sha256:aa";
const NOW: Timestamp = Timestamp(1_000_000_000_000);

fn mandate() -> Mandate {
    let seat = |subject: &str, group: &str| Seat { subject: subject.into(), role_group: group.into() };
    let vote = |seat: &str| Vote { seat: seat.into(), voter: seat.into(), choice: Choice::Approve };
    Mandate {
        iss: ISSUER.into(),
        aud: "registry".into(),
        sub: "proposals/p".into(),
        jti: "n1".into(),
        iat: 1_000_000,
        nbf: 1_000_000,
        decided: NOW,
        exp: 1_000_100,
        tenant: Tenant::new("t0").unwrap(),
        permission: "registry.versions.transition".into(),
        request_digest: DIGEST.into(),
        kind: "promote_model".into(),
        content_digest: "sha256:bb".into(),
        body: authority::STEERING_GROUP.into(),
        jurisdiction: ["promote_model".to_owned()].into(),
        round: 1,
        ballot: Ballot {
            rule: Rule { min_approvals: 2, majority: true, ..Rule::default() },
            seats: vec![seat("ann", "marketing_lead"), seat("lea", "legal"), seat("dan", "data")],
            proposer: "pat".into(),
            votes: vec![vote("ann"), vote("lea")],
            ..Ballot::default()
        },
        evidence: Vec::new(),
    }
}

fn reason(mandate: &Mandate) -> &'static str {
    let tenant = Tenant::new("t0").unwrap();
    mandate.check(&tenant, "registry.versions.transition", DIGEST, NOW).err().map_or("", |error| error.reason())
}

#[test]
fn a_mandate_for_exactly_this_call_is_taken() {
    assert_eq!(reason(&mandate()), "");
}

#[test]
fn whatever_differs_is_refused_with_its_own_reason() {
    let spoil = |spoil: fn(&mut Mandate)| {
        let mut spoilt = mandate();
        spoil(&mut spoilt);
        reason(&spoilt)
    };
    assert_eq!(spoil(|m| m.tenant = Tenant::new("t1").unwrap()), "MANDATE_TENANT");
    assert_eq!(spoil(|m| m.permission = "registry.aliases.set".into()), "MANDATE_ACTION");
    assert_eq!(spoil(|m| m.request_digest = "sha256:cc".into()), "MANDATE_ACTION");
    assert_eq!(spoil(|m| m.kind = "activate_policy".into()), "MANDATE_ACTION");
    assert_eq!(spoil(|m| m.exp = 1_000_000), "MANDATE_EXPIRED");
    assert_eq!(spoil(|m| m.nbf = 1_000_001), "MANDATE_EXPIRED");
    assert_eq!(spoil(|m| m.jurisdiction.clear()), "MANDATE_JURISDICTION");
    assert_eq!(spoil(|m| m.ballot.votes.truncate(1)), "MANDATE_INVALID");
    assert_eq!(spoil(|m| m.ballot.votes[0].voter = "lea".into()), "MANDATE_INVALID");
    assert_eq!(spoil(|m| m.ballot.proposer = "ann".into()), "MANDATE_INVALID");
    assert_eq!(spoil(|m| m.ballot.votes[0].seat = "eve".into()), "MANDATE_INVALID");
}

#[test]
fn a_decision_does_not_undo_what_came_after_it() {
    let mandate = mandate();
    assert!(mandate.check_newer("models/m/versions/1", NOW).is_ok());
    let later = mandate.check_newer("models/m/versions/1", Timestamp(NOW.0 + 1));
    assert_eq!(later.unwrap_err().reason(), "MANDATE_OUTDATED");
}

#[test]
fn a_sample_of_every_act_passes() {
    let tenant = Tenant::new("t0").unwrap();
    for act in authority::ACTS {
        for permission in act.permissions {
            let sample = Mandate::sample(&tenant, act.kind, permission, DIGEST.into(), NOW);
            assert!(sample.check(&tenant, permission, DIGEST, NOW).is_ok(), "{} by {permission}", act.kind);
        }
    }
}

#[test]
fn a_weak_rule_does_not_go_below_the_floor() {
    let mut alone = mandate();
    alone.ballot.rule = Rule { min_approvals: 1, ..Rule::default() };
    alone.ballot.votes.truncate(1);
    assert_eq!(reason(&alone), "MANDATE_JURISDICTION");
}

#[test]
fn a_mandate_is_read_back_as_it_was_written() {
    let text = serde_json::to_string(&mandate()).unwrap();
    let again: Mandate = serde_json::from_str(&text).unwrap();
    assert_eq!(reason(&again), "");
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
}
