//! The behaviour of every service through its gRPC API: the same cases in three topologies.
//!
//! Each case has a tenant of its own on a suite that all cases of the topology share; tenants are the
//! isolation boundary, so this also tests isolation. After each case, what every mutation promises is
//! checked for all mutations that the case made.
//!
//! `REMIT_CASE=text` runs only the cases whose name contains the text.

mod audit;
mod council;
mod council_meetings;
mod council_records;
mod handoff;
mod kpi;
mod registry;
mod scoring;
mod witnessed;

use crate::support::{Suite, Topology, is_read};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::panic::AssertUnwindSafe;

/// A case: its name and what it does.
pub type Case = (&'static str, fn(Suite) -> BoxFuture<'static, ()>);

/// Lists the cases of a module: `cases![a_task_is_decided, an_unrated_task_stays_with_people]`.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub fn cases() -> Vec<crate::api::Case> {
            vec![$((concat!(module_path!(), "::", stringify!($name)), |suite| Box::pin($name(suite)))),*]
        }
    };
}
pub(crate) use cases;

fn all() -> Vec<Case> {
    let registry = [registry::cases(), registry::artifacts::cases(), registry::outputs::cases()].concat();
    let kpi = [kpi::cases(), kpi::alerts::cases()].concat();
    let council = [council::cases(), council_meetings::cases(), council_records::cases()].concat();
    [audit::cases(), scoring::cases(), registry, handoff::cases(), kpi, council].concat()
}

/// Mutations that do not leave exactly one audit entry under their own action, each with its reason.
const AUDIT_EXCEPTIONS: &[(&str, &str)] =
    &[("/remit.system.v1.SystemService/AdvanceClock", "moves a test clock; there is no tenant state to record")];

/// Mutations that no case makes, each with its reason. Every other mutation must be made by some case.
const NOT_EXERCISED: &[(&str, &str)] = &[];

async fn run(topology: Topology) {
    let Some(suite) = Suite::start(topology).await else {
        eprintln!("no PostgreSQL: {topology:?} is not tested here");
        return;
    };
    let wanted = std::env::var("REMIT_CASE").unwrap_or_default();
    let mut failed = Vec::new();
    for (number, (name, case)) in all().into_iter().enumerate().filter(|(_, (name, _))| name.contains(&wanted)) {
        let name = name.trim_start_matches("remit_tests::api::");
        let tenant = suite.tenant(&format!("case-{number}"));
        let ended = AssertUnwindSafe(async {
            case(tenant.clone()).await;
            tenant.check_recorded(AUDIT_EXCEPTIONS).await;
        })
        .catch_unwind()
        .await;
        suite.recorder().take();
        if ended.is_err() {
            eprintln!("FAILED {topology:?} {name}");
            failed.push(name);
        }
    }
    if wanted.is_empty() && failed.is_empty() {
        every_mutation_was_made(&suite);
    }
    suite.stop().await;
    assert!(failed.is_empty(), "{topology:?}: {} cases failed: {failed:#?}", failed.len());
}

/// Without this, a method that nobody tests would pass every check that is made for all recorded calls.
fn every_mutation_was_made(suite: &Suite) {
    let made = suite.recorder().succeeded();
    let services = remit_api::pool().services().filter(|service| service.full_name().starts_with("remit."));
    let missing: Vec<_> = services
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .filter(|method| !is_read(method))
        .map(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()))
        .filter(|path| !made.contains(path) && !NOT_EXERCISED.iter().any(|(known, _)| known == path))
        .collect();
    assert!(missing.is_empty(), "no case makes these mutations: {missing:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process_on_sqlite() {
    run(Topology::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process_on_postgres() {
    run(Topology::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_six_processes_on_postgres() {
    run(Topology::SixProcesses).await;
}
