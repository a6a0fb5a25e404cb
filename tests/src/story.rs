//! The demo's story as a test: on real and on bundled data, on SQLite and on PostgreSQL.

use crate::support::{Suite, Topology};
use remit::demo::actors::{Actors, Mint};
use remit::demo::data::{Data, LEADS_FILE};
use remit::demo::{self, Observer, Outcome};
use remit_core::Tenant;
use remit_runtime::Config;
use remit_runtime::auth::Signer;
use remit_store::testing::TestDb;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Hears the demo and keeps quiet.
pub struct Quiet;

impl Observer for Quiet {
    fn step(&self, _: u8, _: &str) {}
    fn line(&self, _: &str) {}
    fn month(&self, _: usize, _: usize, _: &str) {}
}

/// The real data beside the checkout, if it is there.
fn real_data() -> Option<Data> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    dir.join(LEADS_FILE).is_file().then(|| Data::load(Some(&dir)).expect("the real data can be read"))
}

/// Without optimisation a whole verification of the log, and of a year of figures, takes minutes over the months; longer
/// logs than this are verified from what was verified before, as very long ones are in production.
const COUNCIL: &str = "[council]\nverify_whole_log_up_to = 2000\nrestated_months = 2\n";

async fn tell(data: &Data, database: Option<&str>) -> (Outcome, PathBuf, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let out = dir.path().join("out");
    let start = demo::data::start_of(data.months()[0]);
    let mut toml = format!(
        "[data]\ndir = \"{}\"\n[clock]\nallow_manual = true\nmanual = true\nstart = \"{}\"\n[server]\nlisten = \"127.0.0.1:0\"\n",
        dir.path().join("data").display(),
        remit_core::Timestamp(start.0 - 86_400_000_000),
    );
    toml += COUNCIL;
    toml += "[notify]\nallow_http = true\nallow_addresses = [\"127.0.0.0/8\"]\n";
    if let Some(url) = database {
        toml += &format!("[database]\nurl = \"{url}\"\n");
    }
    let config = Config::from_toml(&toml).expect("the test's configuration is valid");
    let signer = Arc::new(Signer::development(&config).expect("the development issuer can sign"));
    let running = remit_runtime::Suite::start(config, remit::services()).await.expect("the suite starts");
    let url = format!("http://{}", running.addr().expect("the suite listens"));
    let urls: BTreeMap<_, _> =
        running.services().into_iter().map(|service| (service.to_owned(), url.clone())).collect();
    let tenant = Tenant::new("demo").expect("a valid tenant");
    let mint: Mint = Box::new(move |actor| signer.token(&tenant, actor, Duration::from_secs(3_600)));
    let actors = Actors::connect(urls, &mint).expect("tokens can be minted");
    let outcome = demo::run(&actors, data, &out, &Quiet).await.expect("the story runs to its end");
    running.stop().await.expect("the suite stops");
    (outcome, out, dir)
}

/// What the story must show whatever the data.
fn check_common(outcome: &Outcome, data: &Data) {
    assert_eq!(outcome.rows.iter().map(|row| row.leads).sum::<usize>(), data.leads.len());
    let reasons: Vec<_> = outcome.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    let votes = ["PROPOSER_CANNOT_VOTE", "ACTOR_KIND_NOT_ALLOWED", "ALREADY_VOTED"];
    let ways_round = ["MANDATE_INVALID", "NOT_ELIGIBLE", "NO_JURISDICTION"];
    assert_eq!(reasons, [votes, ways_round].concat());
    assert!(outcome.proof.erased_entries >= 1);
    let heard = &outcome.heard;
    assert_eq!(heard.forged, 0);
    assert!(heard.events["remit.council.reviews.seal.v1"] >= data.months().len(), "{:?}", heard.events);
    assert!(heard.inboxes.len() == 6 && heard.inboxes.values().all(|notices| *notices > 0), "{:?}", heard.inboxes);
    assert!(outcome.proof.entries as usize > data.leads.len(), "every lead left an entry");
    for path in &outcome.packs {
        assert!(path.metadata().is_ok_and(|file| file.len() > 1_000), "{} is no pack", path.display());
    }
    assert_eq!(outcome.packs.len(), 2 * data.months().len());
    assert!(outcome.rows.iter().all(|row| row.escalated == 1));
    let promoted: Vec<_> = outcome.rows.iter().filter(|row| row.promoted).map(|row| row.version).collect();
    assert_eq!(promoted, [1, 2], "version 1 gives way to 2, and 2 to 3");
    for row in &outcome.rows {
        assert_eq!(row.verdict == "INSUFFICIENT_DATA", row.leads < 100, "{row:?}");
    }
}

fn check_real(outcome: &Outcome) {
    let converted: usize = outcome.rows.iter().map(|row| row.converted).sum();
    assert_eq!((outcome.rows.len(), converted), (26, 4_640));
    let tiny: Vec<_> =
        outcome.rows.iter().filter(|row| row.verdict == "INSUFFICIENT_DATA").map(|row| row.period.as_str()).collect();
    assert_eq!(tiny, ["2008-10", "2008-12"]);
    let decided: Vec<_> = outcome
        .rows
        .iter()
        .filter(|row| !row.decision.is_empty())
        .map(|row| (row.period.as_str(), row.decision.as_str()))
        .collect();
    assert_eq!(decided, [("2009-04", "suspend v1, promote v2"), ("2009-06", "suspend v2, promote v3")]);
}

fn check_sample(outcome: &Outcome) {
    // The 320 tasks of the case study and the two that the demo itself runs, one of them automated.
    assert_eq!(outcome.decided.tasks, 322);
    let automated: i64 = outcome
        .decided
        .patterns
        .iter()
        .filter(|count| count.pattern() == remit_api::types::AutonomyPattern::HumanOnTheLoop)
        .map(|count| count.count)
        .sum();
    assert_eq!(automated, 116);
    assert_eq!(outcome.rows.len(), 12);
}

async fn on_postgres(data: &Data) -> Option<(Outcome, tempfile::TempDir)> {
    let database = TestDb::postgres().await.expect("the test server can be used")?;
    let (outcome, _, dir) = tell(data, Some(database.url())).await;
    Some((outcome, dir))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_on_postgres() {
    let data = Data::sample();
    if let Some((outcome, _dir)) = on_postgres(&data).await {
        check_common(&outcome, &data);
        check_sample(&outcome);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes beside the sample: `make drills ARGS=story`"]
async fn the_real_data_on_sqlite() {
    let Some(data) = real_data() else { return eprintln!("no real data beside the checkout: not tested here") };
    let (outcome, _, _dir) = tell(&data, None).await;
    check_common(&outcome, &data);
    check_real(&outcome);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes beside the sample: `make drills ARGS=story`"]
async fn the_real_data_on_postgres() {
    let Some(data) = real_data() else { return eprintln!("no real data beside the checkout: not tested here") };
    if let Some((outcome, _dir)) = on_postgres(&data).await {
        check_common(&outcome, &data);
        check_real(&outcome);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_on_sqlite_and_six_processes_tell_the_same_story() {
    let data = Data::sample();
    let (alone, _, _dir) = tell(&data, None).await;
    check_common(&alone, &data);
    check_sample(&alone);
    let Some(suite) = Suite::start_with(Topology::SixProcesses, "2023-12-31T00:00:00Z", COUNCIL).await else {
        return eprintln!("no PostgreSQL: not tested here");
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let tenant = suite.tenant("demo");
    let mint: Mint = Box::new(move |actor| {
        let roles: Vec<_> = actor.roles.iter().map(String::as_str).collect();
        let groups: Vec<_> = actor.role_groups.iter().map(String::as_str).collect();
        Ok(tenant.token(&actor.subject, actor.kind, &roles, &groups))
    });
    let actors = Actors::connect(suite.urls().clone(), &mint).expect("tokens can be minted");
    let outcome = demo::run(&actors, &data, &dir.path().join("out"), &Quiet).await.expect("the story runs to its end");
    check_common(&outcome, &data);
    let facts = |outcome: &Outcome| {
        outcome
            .rows
            .iter()
            .map(|row| {
                (
                    row.period.clone(),
                    row.leads,
                    row.routed,
                    row.converted,
                    row.verdict.clone(),
                    row.decision.clone(),
                    row.n,
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(facts(&outcome), facts(&alone));
}
