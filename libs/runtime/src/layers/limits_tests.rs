#![allow(clippy::unwrap_used)]
use super::super::book::{MEMORY, TIDY};
use super::*;
use crate::telemetry::{TELL, Told};
use std::time::Duration;

fn bounds() -> Bounds {
    let config = Config::from_toml(
        "server.max_calls = 10\nserver.max_open_streams = 10\n[limits]\ncalls_per_tenant = 6\ncalls_per_subject = 4\n\
         streams_per_tenant = 6\nstreams_per_subject = 4\nreserved_calls = 8\nrate_per_tenant = 0\n\
         rate_per_subject = 0",
    );
    let limits = Limits::new(&config.unwrap(), &opentelemetry::global::meter("test"));
    Arc::into_inner(limits).unwrap().bounds
}

struct Desk {
    bounds: Bounds,
    book: Book,
    now: Instant,
}

impl Desk {
    fn new() -> Self {
        let now = Instant::now();
        Self { bounds: bounds(), book: Book::new(now), now }
    }

    /// `who` is `tenant/subject`; the reason of a refusal.
    fn enter(&mut self, who: &str, reach: Reach, sort: Sort) -> Option<&'static str> {
        let (tenant, subject) = who.split_once('/').unwrap();
        let tenant = Tenant::new(tenant).unwrap();
        let who = Who { tenant: &tenant, subject, reach, sort };
        self.book.enter(&self.bounds, who, self.now).err().map(|refusal| refusal.reason)
    }

    fn leave(&mut self, who: &str, reach: Reach, sort: Sort) {
        let (tenant, subject) = who.split_once('/').unwrap();
        let tenant = Tenant::new(tenant).unwrap();
        self.book.leave(Who { tenant: &tenant, subject, reach, sort }, Place::Ordinary, self.now);
    }

    /// How many calls get in until one is refused, and why.
    fn fill(&mut self, who: &str, reach: Reach, sort: Sort) -> (usize, &'static str) {
        for count in 0..1_000 {
            if let Some(reason) = self.enter(who, reach, sort) {
                return (count, reason);
            }
        }
        (1_000, "")
    }
}

#[test]
fn subject_tenant_and_process_have_bounds_of_their_own() {
    let mut desk = Desk::new();
    assert_eq!(desk.fill("acme/ann", Reach::Ordinary, Sort::Call), (4, "SUBJECT_CALLS"));
    // With one tenant that calls, half of all are its share as soon as half are taken.
    assert_eq!(desk.fill("acme/bob", Reach::Ordinary, Sort::Call), (1, "TENANT_CALLS"));
    assert_eq!(desk.fill("acme/ann", Reach::Ordinary, Sort::Stream), (4, "SUBJECT_STREAMS"));
    assert_eq!(desk.fill("acme/bob", Reach::Ordinary, Sort::Stream), (1, "TENANT_STREAMS"));
    for _ in 0..4 {
        desk.leave("acme/ann", Reach::Ordinary, Sort::Call);
    }
    assert_eq!(desk.fill("acme/bob", Reach::Ordinary, Sort::Call), (3, "SUBJECT_CALLS"));
}

#[test]
fn a_tenant_beyond_its_share_is_refused_first() {
    let mut desk = Desk::new();
    (desk.bounds.calls.tenant, desk.bounds.calls.subject) = (100, 100);
    let mut fill = |who| desk.fill(who, Reach::Ordinary, Sort::Call);
    assert_eq!(fill("acme/ann"), (5, "TENANT_CALLS"), "half, with one share kept for who comes");
    assert_eq!(fill("beta/ann"), (3, "TENANT_CALLS"), "a third");
    for _ in 0..3 {
        desk.leave("acme/ann", Reach::Ordinary, Sort::Call);
    }
    let mut fill = |who| desk.fill(who, Reach::Ordinary, Sort::Call);
    assert_eq!(fill("acme/ann"), (1, "TENANT_CALLS"), "what was more than a third does not come back");
    assert_eq!(fill("gamma/ann"), (2, "TENANT_CALLS"), "a quarter");
}

#[test]
fn what_checks_and_stops_gets_through_where_others_are_refused() {
    let mut desk = Desk::new();
    for who in ["acme/ann", "acme/bob", "beta/ann", "beta/bob"] {
        let _ = desk.fill(who, Reach::Ordinary, Sort::Call);
    }
    for who in ["acme/ann", "beta/ann", "gamma/ann"] {
        assert_eq!(desk.enter(who, Reach::Stop, Sort::Call), None, "{who} cannot stop");
    }
    // However many checks a tenant sends, it can still stop.
    let mut desk = Desk::new();
    for who in ["acme/ann", "acme/bob", "acme/eve"] {
        let _ = desk.fill(who, Reach::Check, Sort::Call);
    }
    assert!(desk.enter("acme/ann", Reach::Check, Sort::Call).is_some());
    assert_eq!(desk.enter("acme/zoe", Reach::Stop, Sort::Call), None);
}

#[test]
fn a_tenant_with_more_than_its_share_can_still_stop() {
    let mut desk = Desk::new();
    (desk.bounds.calls.all, desk.bounds.calls.tenant, desk.bounds.calls.subject) = (2_000, 1_000, 1_000);
    desk.bounds.reserved = 200;
    let mut fill = |who, reach| desk.fill(who, reach, Sort::Call);
    assert_eq!(fill("acme/ann", Reach::Ordinary), (1_000, ""));
    assert_eq!(fill("beta/ann", Reach::Ordinary), (666, "TENANT_CALLS"), "a third");
    // A quarter of the reserve, half of that for one subject, and of both half for what only checks.
    assert_eq!(fill("acme/ann", Reach::Check), (12, "TENANT_CALLS"));
    assert_eq!(fill("acme/bob", Reach::Check), (12, "TENANT_CALLS"));
    assert_eq!(fill("acme/ann", Reach::Stop), (13, "TENANT_CALLS"));
    assert_eq!(fill("acme/eve", Reach::Stop), (13, "TENANT_CALLS"));
    assert_eq!(fill("beta/ann", Reach::Stop), (25, "TENANT_CALLS"));
    assert_eq!(desk.book.reserved, 75);
    let acme = Tenant::new("acme").unwrap();
    for _ in 0..25 {
        let who = Who { tenant: &acme, subject: "ann", reach: Reach::Stop, sort: Sort::Call };
        desk.book.leave(who, Place::Reserve, desk.now);
    }
    assert_eq!((desk.book.reserved, desk.book.calls, desk.book.calling), (50, 1_666, 2));
    assert_eq!(desk.fill("acme/ann", Reach::Stop, Sort::Call), (25, "TENANT_CALLS"));
}

#[test]
fn only_so_many_urgent_calls_of_a_subject_wait_for_their_message() {
    let mut desk = Desk::new();
    let acme = Tenant::new("acme").unwrap();
    for _ in 0..desk.bounds.calls.subject {
        assert!(desk.book.arrive(&desk.bounds, &acme, "ann", desk.now));
    }
    assert!(!desk.book.arrive(&desk.bounds, &acme, "ann", desk.now));
    assert!(desk.book.arrive(&desk.bounds, &acme, "bob", desk.now));
    desk.book.arrived(&acme, "ann");
    assert!(desk.book.arrive(&desk.bounds, &acme, "ann", desk.now));
    assert_eq!(desk.book.calls, 0);
}

#[test]
fn a_full_process_refuses_in_the_order_of_what_matters() {
    let mut desk = Desk::new();
    // The suite itself takes it all.
    assert_eq!(desk.fill("acme/remit-audit", Reach::Suite, Sort::Call), (16, "OVERLOADED"));
    for (reach, refused) in [
        (Reach::Ordinary, Some("OVERLOADED")),
        (Reach::Check, Some("OVERLOADED")),
        (Reach::Suite, Some("OVERLOADED")),
        (Reach::Stop, None),
    ] {
        assert_eq!(desk.enter("acme/ann", reach, Sort::Call), refused, "{reach:?}");
    }
    assert_eq!(desk.fill("acme/remit-kpi", Reach::Suite, Sort::Stream), (1_000, ""));
    assert_eq!(desk.enter("acme/ann", Reach::Ordinary, Sort::Stream), None);
}

#[test]
fn rates_count_apart_what_is_urgent_and_who_calls() {
    let more = "rate_per_tenant = 3\nrate_per_subject = 2\nburst = \"1s\"";
    let mut desk = Desk::new();
    desk.bounds = bounds_with_rates(more);
    assert_eq!(desk.fill("acme/ann", Reach::Ordinary, Sort::Call), (2, "SUBJECT_RATE"));
    assert_eq!(desk.fill("acme/bob", Reach::Ordinary, Sort::Call), (1, "TENANT_RATE"));
    assert_eq!(desk.enter("acme/ann", Reach::Stop, Sort::Call), None);
    assert_eq!(desk.enter("beta/ann", Reach::Ordinary, Sort::Call), None);
    desk.now += Duration::from_millis(500);
    assert_eq!(desk.enter("acme/ann", Reach::Ordinary, Sort::Call), None);
    assert_eq!(desk.enter("acme/ann", Reach::Ordinary, Sort::Call), Some("SUBJECT_RATE"));
}

fn bounds_with_rates(more: &str) -> Bounds {
    let config = Config::from_toml(&format!("[limits]\n{more}")).unwrap();
    let limits = Limits::new(&config, &opentelemetry::global::meter("test"));
    Arc::into_inner(limits).unwrap().bounds
}

#[test]
fn who_is_gone_is_forgotten_and_the_counts_are_right() {
    let mut desk = Desk::new();
    for tenant in 0..50 {
        let who = format!("t{tenant}/ann");
        assert_eq!(desk.enter(&who, Reach::Ordinary, Sort::Call), None);
        desk.leave(&who, Reach::Ordinary, Sort::Call);
    }
    assert_eq!(desk.enter("acme/ann", Reach::Ordinary, Sort::Stream), None);
    assert_eq!((desk.book.calls, desk.book.calling, desk.book.streams, desk.book.streaming), (0, 0, 1, 1));
    desk.now += MEMORY + TIDY;
    assert_eq!(desk.enter("beta/ann", Reach::Ordinary, Sort::Call), None);
    let mut known: Vec<_> = desk.book.tenants.keys().map(Tenant::as_str).collect();
    known.sort_unstable();
    assert_eq!(known, ["acme", "beta"]);
}

#[test]
fn the_log_is_told_now_and_then_with_what_it_missed() {
    let (mut told, start) = (Told::default(), Instant::now());
    assert_eq!(told.count(start), Some(1));
    assert_eq!(told.count(start), None);
    assert_eq!(told.count(start + Duration::from_secs(1)), None);
    assert_eq!(told.count(start + TELL), Some(3));
}

#[tokio::test]
async fn searches_of_a_tenant_take_turns_and_leave_room_for_others() {
    use futures::FutureExt as _;
    use remit_core::Actor;
    let config = Config::from_toml("limits.searches = 2\nlimits.searches_per_tenant = 1").unwrap();
    let limits = Limits::new(&config, &opentelemetry::global::meter("test"));
    let identity = |tenant: &str| Identity {
        tenant: Tenant::new(tenant).unwrap(),
        actor: Actor { subject: "ann".to_owned(), ..Actor::service("x") }.into(),
        service: None,
        email: None,
        issuer: String::new(),
        token_id: String::new(),
        issued: 0,
        expires: 0,
    };
    let ticket = |tenant: &str, priority| limits.admit(&identity(tenant), priority, Sort::Call, "m").unwrap();
    let mut first = ticket("acme", Priority::Search);
    assert!(first.turn().now_or_never().is_some());
    let mut second = ticket("acme", Priority::Search);
    assert!(second.turn().now_or_never().is_none());
    let mut other = ticket("beta", Priority::Search);
    assert!(other.turn().now_or_never().is_some());
    assert!(ticket("acme", Priority::Ordinary).turn().now_or_never().is_some());
    assert_eq!(limits.calls(), 3);
    drop((first, other));
    let mut third = ticket("acme", Priority::Search);
    assert!(third.turn().now_or_never().is_some());
    drop((second, third));
    assert_eq!(limits.calls(), 0);
}
