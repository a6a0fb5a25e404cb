#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::known::Item;
use super::*;
use remit_api::council::v1::{Revocation, RoleAssignment};
use remit_api::types;
use remit_api::wire::time::stamp;
use remit_core::{Actor, ActorKind};

const ISSUER: &str = "https://idp.example";
/// When the tokens of these tests were issued, in seconds.
const ISSUED: u64 = 1_780_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp(i64::try_from(seconds).unwrap() * 1_000_000)
}

fn token(subject: &str) -> Identity {
    Identity {
        tenant: Tenant::new("acme").unwrap(),
        actor: Actor {
            subject: subject.to_owned(),
            kind: ActorKind::Human,
            roles: vec!["viewer".to_owned()],
            role_groups: Vec::new(),
            on_behalf_of: None,
        }
        .into(),
        service: None,
        issuer: ISSUER.to_owned(),
        email: Some(format!("{subject}@example.com")),
        token_id: format!("{subject}-1"),
        issued: ISSUED,
        expires: ISSUED + 600,
    }
}

fn known(items: impl IntoIterator<Item = Item>) -> Known {
    let named = items.into_iter().enumerate().map(|(at, item)| (format!("items/{at}"), item));
    Known::of(named.collect(), "1".to_owned())
}

fn subject(subject: &str, until: u64) -> Revocation {
    let revoke_time = Some(stamp(at(until)));
    Revocation { subject: subject.to_owned(), revoke_time, ..Revocation::default() }
}

fn one(token_id: &str) -> Revocation {
    Revocation { token_id: token_id.to_owned(), revoke_time: Some(stamp(at(ISSUED))), ..Revocation::default() }
}

fn refused(revocation: Revocation, token: &Identity) -> bool {
    let checked = known([Item::Revocation(revocation)]).check(token, at(ISSUED + 60));
    checked.is_err_and(|error| error.reason() == "TOKEN_REVOKED" && error.kind() == Kind::Unauthenticated)
}

#[test]
fn a_revocation_meets_the_tokens_that_it_names_and_no_others() {
    let ann = token("ann");
    let behalf = {
        let mut bot = token("bot");
        Arc::make_mut(&mut bot.actor).on_behalf_of = Some("ann".to_owned());
        bot
    };
    let mute = Identity { token_id: String::new(), issued: 0, ..token("ann") };
    let over = Some(stamp(at(ISSUED + 60)));
    let (issuer, other) = (ISSUER.to_owned(), "https://other.example".to_owned());
    for (revocation, token, wanted) in [
        (one("ann-1"), &ann, true),
        (one("ann-2"), &ann, false),
        (Revocation { subject: "ann".to_owned(), ..one("ann-1") }, &ann, true),
        (Revocation { subject: "bob".to_owned(), ..one("ann-1") }, &ann, false),
        (Revocation { issuer: issuer.clone(), ..one("ann-1") }, &ann, true),
        (Revocation { issuer: other.clone(), ..one("ann-1") }, &ann, false),
        (Revocation { expire_time: over, ..one("ann-1") }, &ann, false),
        // Issued in the same second, before or after: it may have been before.
        (subject("ann", ISSUED), &ann, true),
        (subject("ann", ISSUED - 1), &ann, false),
        (subject("bob", ISSUED), &ann, false),
        (subject("ann", ISSUED), &behalf, true),
        (subject("ann", 1), &mute, true),
        (one(""), &mute, false),
        (Revocation { issuer: other, ..subject("ann", ISSUED) }, &ann, false),
        (Revocation { block: true, ..subject("ann", 1) }, &ann, true),
        (Revocation { block: true, ..subject("ann", 1) }, &behalf, true),
        (Revocation { block: true, expire_time: over, ..subject("ann", 1) }, &ann, false),
    ] {
        assert_eq!(refused(revocation.clone(), token), wanted, "{revocation:?} and {token:?}");
    }
}

#[test]
fn what_is_lifted_is_forgotten_and_what_changes_is_found_anew() {
    let mut known = known([Item::Revocation(subject("ann", ISSUED)), Item::Revocation(one("ann-1"))]);
    let checked = |known: &Known, who: &str| known.check(&token(who), at(ISSUED)).is_ok();
    let both = ["items/0", "items/1"];
    known.put(both[0].to_owned(), None);
    assert!(!checked(&known, "ann"), "the other one stands");
    known.put(both[1].to_owned(), Some(Item::Revocation(one("bob-1"))));
    assert!(checked(&known, "ann") && !checked(&known, "bob"));
    known.put(both[1].to_owned(), None);
    known.put("items/never".to_owned(), None);
    assert!(checked(&known, "bob"));
}

fn assignment(subject: &str, roles: &[&str], by: &str) -> RoleAssignment {
    RoleAssignment {
        subject: subject.to_owned(),
        issuer: ISSUER.to_owned(),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        role_groups: vec!["legal".to_owned()],
        assigner: Some(types::Actor { subject: by.to_owned(), ..types::Actor::default() }),
        ..RoleAssignment::default()
    }
}

fn by_email(email: &str, by: &str) -> RoleAssignment {
    RoleAssignment { subject: String::new(), email: email.to_owned(), ..assignment("", &["auditor"], by) }
}

#[test]
fn roles_are_added_for_whom_they_are_assigned_to_and_never_by_oneself() {
    let roles = |assignment: RoleAssignment, token: &Identity| {
        let assigned = known([Item::Assignment(assignment)]).assigned(token, at(ISSUED), &Grants::new());
        let mut actor = Actor::clone(&token.actor);
        assigned.give(&mut actor);
        actor.roles.join(" ")
    };
    let ann = token("ann");
    let unverified = Identity { email: None, ..token("ann") };
    let of = |address: &str| Identity { email: Some(address.to_owned()), ..token("k") };
    let (kim, kelvin) = (of("Kim@Example.com"), of("\u{212a}im@example.com"));
    let elsewhere = Identity { issuer: "https://other.example".to_owned(), ..token("ann") };
    let over = Some(stamp(at(ISSUED)));
    for (assignment, token, wanted) in [
        (assignment("ann", &["auditor", "viewer"], "root"), &ann, "viewer auditor"),
        (assignment("bob", &["auditor"], "root"), &ann, "viewer"),
        (assignment("ann", &["service", "auditor"], "root"), &ann, "viewer auditor"),
        (assignment("ann", &["auditor"], "ann"), &ann, "viewer"),
        (RoleAssignment { expire_time: over, ..assignment("ann", &["auditor"], "root") }, &ann, "viewer"),
        (assignment("ann", &["auditor"], "root"), &elsewhere, "viewer"),
        (by_email("ann@example.com", "root"), &ann, "viewer auditor"),
        (by_email("ann@example.com", "ann"), &ann, "viewer"),
        (by_email("ann@example.com", "root"), &unverified, "viewer"),
        (by_email("", "root"), &unverified, "viewer"),
        (by_email("kim@example.com", "root"), &kim, "viewer auditor"),
        (by_email("kim@example.com", "root"), &kelvin, "viewer"),
        (by_email("bob@example.com", "root"), &ann, "viewer"),
    ] {
        assert_eq!(roles(assignment.clone(), token), wanted, "{assignment:?}");
    }
    let mut actor = Actor::clone(&ann.actor);
    known([Item::Assignment(assignment("ann", &[], "root"))])
        .assigned(&ann, at(ISSUED), &Grants::new())
        .give(&mut actor);
    assert_eq!((actor.roles.as_slice(), actor.role_groups.as_slice()), (&["viewer".into()][..], &["legal".into()][..]));
}

fn followed(items: impl IntoIterator<Item = Item>) -> Arc<Followed> {
    let followed = Arc::new(Followed::new(Duration::from_secs(60), Arc::default()));
    let first = known(items);
    followed.change(|known| *known = first);
    followed
}

fn standing(followed: &Arc<Followed>, ends: Timestamp) -> Admitted {
    let token = Arc::new((0, token("ann")));
    let verified = followed.judge(&token, token_time()).unwrap();
    Admitted { verified, token, followed: Some(followed.clone()), ends }
}

#[tokio::test]
async fn what_is_open_ends_when_its_token_expires_or_is_revoked_or_its_roles_are_taken() {
    const LONG: Timestamp = Timestamp(i64::MAX);
    let held = followed([Item::Assignment(assignment("ann", &["auditor"], "root"))]);
    assert_eq!(standing(&held, Timestamp(0)).over().await.reason(), "TOKEN_EXPIRED");
    let alone = Admitted { followed: None, ..standing(&held, token_time().plus(Duration::from_millis(5))) };
    assert_eq!(alone.over().await.reason(), "TOKEN_EXPIRED");

    let open = tokio::spawn(standing(&held, LONG).over());
    held.change(|known| known.put("items/other".to_owned(), Some(Item::Revocation(one("bob-1")))));
    held.change(|known| known.put("items/0".to_owned(), None));
    let error = open.await.unwrap();
    assert_eq!((error.kind(), error.reason()), (Kind::Unavailable, "ROLES_CHANGED"));

    let open = tokio::spawn(standing(&held, LONG).over());
    let more = assignment("ann", &["auditor"], "root");
    held.change(|known| known.put("items/1".to_owned(), Some(Item::Assignment(more))));
    assert!(!open.is_finished(), "more roles end nothing");
    held.change(|known| known.put("items/2".to_owned(), Some(Item::Revocation(one("ann-1")))));
    assert_eq!(open.await.unwrap().reason(), "TOKEN_REVOKED");
}

#[tokio::test]
async fn who_comes_first_waits_and_who_knows_nothing_for_long_refuses() {
    let soon = || Some(Instant::now() + Duration::from_millis(20));
    let fresh = Arc::new(Followed::new(Duration::from_secs(60), Arc::default()));
    let refused = fresh.ready(soon()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.reason()), (Kind::Unavailable, "ACCESS_UNKNOWN"));
    assert!(refused.retry_after().is_some());
    fresh.refused.store(true, Ordering::Relaxed);
    let shut_out = fresh.ready(soon()).await.unwrap_err();
    assert_eq!((shut_out.kind(), shut_out.reason()), (Kind::Unavailable, "ACCESS_UNKNOWN"));
    assert!(shut_out.message().contains("not let in by the council"), "{shut_out}");
    let waiting = tokio::spawn({
        let fresh = fresh.clone();
        async move { fresh.ready(None).await }
    });
    fresh.change(|known| "1".clone_into(&mut known.cursor));
    waiting.await.unwrap().unwrap();

    let token = Arc::new((0, token("ann")));
    fresh.judge(&token, token_time()).unwrap();
    let long_ago = Instant::now().checked_sub(PATIENCE * 2).unwrap();
    let stale =
        Followed { begun: long_ago, max_age: Duration::from_secs(1), ..Followed::new(PATIENCE, Arc::default()) };
    let late = stale.ready(None);
    assert_eq!(late.await.unwrap_err().reason(), "ACCESS_UNKNOWN", "nobody waits for a council that is away");
    stale.heard.store(1, Ordering::Relaxed);
    assert_eq!(stale.judge(&token, token_time()).unwrap_err().reason(), "ACCESS_UNKNOWN");
    stale.hear();
    stale.judge(&token, token_time()).unwrap();
}

async fn access(more: &str, here: &[&'static str]) -> Access {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::from_toml(&format!("data.dir = {:?}\n{more}", dir.path().display().to_string())).unwrap();
    let (_, signers) = Authenticator::open(&config).await.unwrap();
    let peers = Peers::new(here, &config.peers, &config.peer_tls, signers.services, Duration::from_secs(600)).unwrap();
    Access::open(&config, here, &peers, CancellationToken::new())
}

/// Nothing listens on port 1.
const AWAY: &str = "peers.council = \"http://127.0.0.1:1\"";

#[tokio::test]
async fn a_process_without_a_council_knows_of_no_revocation_and_one_that_cannot_reach_it_refuses() {
    let token = Arc::new((0, token("ann")));
    let soon = Some(Instant::now() + Duration::from_millis(20));
    let alone = access("", &["audit"]).await.admit(token.clone(), soon).await.unwrap();
    assert!(Arc::ptr_eq(&alone.verified, &token) && alone.followed.is_none());
    let away = access(AWAY, &["audit"]).await;
    assert_eq!(away.admit(token.clone(), soon).await.err().unwrap().reason(), "ACCESS_UNKNOWN");
    // The suite's own services are not held against it: the council could not even be asked.
    let own = Identity { service: Some("audit"), ..token.1.clone() };
    away.admit(Arc::new((0, own)), soon).await.unwrap();
}

#[tokio::test]
async fn a_tenant_is_given_up_when_nobody_asks_and_nothing_is_open() {
    let access = access(AWAY, &["audit"]).await;
    let (shared, tenant) = (access.0.unwrap(), Tenant::new("acme").unwrap());
    let begun = Instant::now().checked_sub(IDLE * 2).unwrap();
    let old = Arc::new(Followed { begun, ..Followed::new(PATIENCE, Arc::default()) });
    shared.tenants.write().unwrap().insert(tenant.clone(), old.clone());
    let open = old.clone();
    assert!(!shared.give_up(&tenant, &old), "a stream is open");
    drop(open);
    old.used.store(old.now(), Ordering::Relaxed);
    assert!(!shared.give_up(&tenant, &old), "somebody has just asked");
    old.used.store(1, Ordering::Relaxed);
    assert!(shared.give_up(&tenant, &old) && shared.tenants.read().unwrap().is_empty());
    let again = shared.followed(&tenant);
    assert!(!Arc::ptr_eq(&again, &old) && shared.tenants.read().unwrap().len() == 1);
}

#[tokio::test]
async fn a_connection_to_the_council_carries_so_many_streams_and_no_more() {
    let shared = access(&format!("server.max_streams = 4\n{AWAY}"), &["audit"]).await.0.unwrap();
    let open = || shared.ways.open.lock().unwrap().len();
    let mut taken: Vec<_> = (0..5).map(|_| shared.ways.take()).collect();
    assert_eq!(open(), 3, "two on each");
    taken.clear();
    let _again = shared.ways.take();
    assert_eq!(open(), 3, "a connection is used again");
}
