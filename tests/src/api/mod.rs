//! The behaviour of every service through its gRPC API: the same cases in three topologies.
//!
//! Each case is a test in one process on SQLite and one in one process on PostgreSQL, each on a suite of its own:
//! `cargo nextest run -p remit-tests silence_never_approves` runs both. Six processes cost more than most cases, so
//! there the cases of a module share them and are one test, `api::council::six_processes`. There each case has a
//! tenant of its own; tenants are the isolation boundary, so this also tests isolation.
//!
//! After each case, what every mutation promises is checked for all mutations that the case made, and that it made
//! those that it says it covers.

mod access;
mod audit;
mod council;
mod council_constitution;
mod council_meetings;
mod council_packs;
mod council_proofs;
mod council_records;
mod council_seats;
mod duties;
mod handoff;
mod identity;
mod kpi;
mod limits;
mod mandates;
mod notify;
mod notify_mail;
mod registry;
mod scoring;
mod witnessed;

use crate::support::{Suite, Topology, is_read};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

/// What a service is asked and must answer.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    /// The mutations that this case is there for, by the names of their methods.
    covers: &'static [&'static str],
    run: fn(Suite) -> BoxFuture<'static, ()>,
}

/// Lists the cases of a module with the mutations that each covers, and makes them tests:
/// `cases! { a_vote_counts_once: Vote, Recuse; silence_never_approves; }`.
macro_rules! cases {
    ($($name:ident $(: $($method:ident),+)?;)+) => {
        pub(in crate::api) const CASES: &[crate::api::Case] = &[$($name::CASE),+];

        $(mod $name {
            pub(super) const CASE: crate::api::Case = crate::api::Case {
                name: stringify!($name),
                covers: &[$($(stringify!($method)),+)?],
                run: |suite| Box::pin(super::$name(suite)),
            };

            #[test]
            fn sqlite() {
                crate::api::alone(crate::support::Topology::Sqlite, CASE);
            }

            #[test]
            fn postgres() {
                crate::api::alone(crate::support::Topology::Postgres, CASE);
            }
        })+

        #[test]
        fn six_processes() {
            crate::api::together(crate::support::Topology::SixProcesses, CASES);
        }
    };
}
pub(crate) use cases;

/// The cases of every module.
const ALL: &[&[Case]] = &[
    access::CASES,
    audit::CASES,
    identity::CASES,
    limits::CASES,
    scoring::tasks::CASES,
    scoring::plans::CASES,
    scoring::policies::CASES,
    scoring::ratings::CASES,
    scoring::tags::CASES,
    scoring::checks::CASES,
    scoring::approvals::CASES,
    registry::CASES,
    registry::approvals::CASES,
    registry::artifacts::CASES,
    registry::outputs::CASES,
    mandates::CASES,
    notify::CASES,
    duties::CASES,
    notify_mail::CASES,
    handoff::gates::CASES,
    handoff::creative::CASES,
    handoff::deadlines::CASES,
    handoff::leads::CASES,
    handoff::noops::CASES,
    handoff::derived::CASES,
    handoff::patterns::CASES,
    handoff::people::CASES,
    handoff::runs::CASES,
    handoff::suspensions::CASES,
    kpi::CASES,
    kpi::alerts::CASES,
    kpi::events::CASES,
    kpi::pilots::CASES,
    kpi::settings::CASES,
    kpi::verdicts::CASES,
    council::CASES,
    council_constitution::CASES,
    council_meetings::CASES,
    council_packs::CASES,
    council_proofs::CASES,
    council_records::CASES,
    council_seats::CASES,
];

/// Makes what takes more than one request: gates in use, two reviews, and a waiver that the council granted.
pub(crate) async fn furnish(suite: &Suite) {
    for gate in [handoff::CREATIVE, handoff::ROUTING] {
        handoff::activate(suite, gate).await;
    }
    council_meetings::december(suite).await;
    let waiver = council::waiver(suite).await;
    for who in ["mia", "lea"] {
        council::approve(&council::seat(suite, who), &waiver).await.expect("a vote");
    }
}

/// Mutations that do not leave exactly one audit entry under their own action, each with its reason.
const AUDIT_EXCEPTIONS: &[(&str, &str)] = &[
    ("/remit.system.v1.SystemService/AdvanceClock", "moves a test clock; there is no tenant state to record"),
    ("/remit.council.v1.ReviewService/OpenReview", "of a review that the schedule has opened already, nothing changes"),
    ("/remit.council.v1.ReviewService/RefreshEvidence", "of a review that is being collected already, nothing changes"),
];

/// Mutations that no case covers, each with its reason. Every other mutation must be covered by some case.
const NOT_COVERED: &[(&str, &str)] = &[];

/// Runs one case on a suite of its own.
fn alone(topology: Topology, case: Case) {
    on_a_suite(topology, async move |suite| hold(&suite, case, "case").await);
}

/// Runs cases one after the other on one suite, each to its end whatever the others did.
fn together(topology: Topology, cases: &'static [Case]) {
    on_a_suite(topology, async move |suite| {
        let mut failed = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let held = AssertUnwindSafe(hold(&suite, *case, &format!("case-{number}"))).catch_unwind().await;
            suite.recorder().clear();
            if held.is_err() {
                eprintln!("FAILED {topology:?} {}", case.name);
                failed.push(case.name);
            }
        }
        assert!(failed.is_empty(), "{topology:?}: {} cases failed: {failed:#?}", failed.len());
    });
}

fn on_a_suite(topology: Topology, what: impl AsyncFnOnce(Suite)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(async {
        let Some(suite) = Suite::start(topology).await else {
            eprintln!("no PostgreSQL: {topology:?} is not tested here");
            return;
        };
        what(suite.clone()).await;
        suite.stop().await;
    });
}

/// Runs a case as a tenant, and checks what must hold after every case.
async fn hold(suite: &Suite, case: Case, tenant: &str) {
    let tenant = suite.tenant(tenant);
    (case.run)(tenant.clone()).await;
    let missed = missed(case.covers, &suite.recorder().succeeded());
    assert!(missed.is_empty(), "{} says that it covers what it never did: {missed:?}", case.name);
    tenant.check_recorded(AUDIT_EXCEPTIONS).await;
}

/// The methods of `covers` that are not among the paths of calls that succeeded.
fn missed<'a>(covers: &[&'a str], succeeded: &BTreeSet<String>) -> Vec<&'a str> {
    let made: BTreeSet<_> = succeeded.iter().filter_map(|path| path.rsplit('/').next()).collect();
    covers.iter().filter(|method| !made.contains(**method)).copied().collect()
}

/// What is wrong with the declarations of `cases`, against the mutations by name with their paths.
fn gaps(cases: &[Case], mutations: &BTreeMap<String, String>) -> Vec<String> {
    let covered: BTreeSet<_> = cases.iter().flat_map(|case| case.covers).copied().collect();
    let excused = |path: &String| NOT_COVERED.iter().any(|(known, _)| known == path);
    let open = mutations.iter().filter(|(name, path)| !covered.contains(name.as_str()) && !excused(path));
    let open = open.map(|(_, path)| format!("no case covers {path}"));
    let invented = covered.iter().filter(|name| !mutations.contains_key(**name));
    open.chain(invented.map(|name| format!("{name} is no mutation"))).collect()
}

/// Every mutation by name with its path.
fn mutations() -> BTreeMap<String, String> {
    let services = remit_api::pool().services().filter(|service| service.full_name().starts_with("remit."));
    let mut mutations = BTreeMap::new();
    for method in services.flat_map(|service| service.methods().collect::<Vec<_>>()).filter(|m| !is_read(m)) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let twin = mutations.insert(method.name().to_owned(), path.clone());
        assert!(twin.is_none(), "{path} has the name of {twin:?}: a case could not say which of them it covers");
    }
    mutations
}

/// Without this, a method that nobody tests would pass every check that is made for all recorded calls.
#[test]
fn every_mutation_is_covered() {
    let gaps = gaps(&ALL.concat(), &mutations());
    assert!(gaps.is_empty(), "{gaps:#?}");
}

#[test]
fn a_mutation_without_a_case_and_a_case_without_its_mutation_are_noticed() {
    let (mut mutations, all) = (mutations(), ALL.concat());
    mutations.insert("Forget".to_owned(), "/remit.audit.v1.AuditService/Forget".to_owned());
    assert_eq!(gaps(&all, &mutations), ["no case covers /remit.audit.v1.AuditService/Forget"]);
    mutations.remove("Forget");
    mutations.remove("Vote");
    assert_eq!(gaps(&all, &mutations), ["Vote is no mutation"]);
    let made = BTreeSet::from(["/remit.council.v1.ProposalService/Recuse".to_owned()]);
    assert_eq!(missed(&["Vote", "Recuse"], &made), ["Vote"]);
}
