//! The command line as people and pipelines use it: the binary itself, its output and its exit codes.

use crate::support::{Process, Site, eventually};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    CreateModelRequest, CreateModelVersionRequest, GetModelVersionRequest, Model, ModelVersion,
};
use remit_core::{ActorKind, digest};
use remit_policy::seed;
use std::path::{Path, PathBuf};

/// Runs the binary to its end; its exit code and what it printed.
fn run(dir: &Path, args: &[&str]) -> (i32, String) {
    let mut process = Process::start(dir, "cli", args);
    let code = process.wait();
    (code, process.printed())
}

/// The same with blanks run together, as columns of a table have different widths.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn write(dir: &Path, name: &str, content: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, content).expect("a file can be written");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

#[test]
fn policies_are_checked_as_files_without_a_server() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path();
    let inverted = write(dir, "inverted.yaml", seed::INVERTED_SUM);
    let literal = write(dir, "literal.yaml", seed::LITERAL_SUM);
    let run = |args: &[&str]| run(dir, &[&["policy"], args].concat());

    let (code, printed) = run(&["lint", text(&inverted)]);
    assert_eq!(code, 0, "{printed}");
    let found = words(&printed);
    for row in ["AI_AUTOMATED HUMAN_ON_THE_LOOP 10", "HYBRID HUMAN_IN_THE_LOOP 43", "HUMAN_LED AI_FIRST_DRAFT 72"] {
        assert!(found.contains(row), "{row} in {printed}");
    }
    assert!(found.contains("passed: 125 combinations of ratings"), "{printed}");

    let (code, printed) = run(&["lint", text(&literal)]);
    assert_eq!(code, 3, "{printed}");
    assert!(printed.contains("12 steps break monotonicity") && printed.contains("LINT_FAILED"), "{printed}");
    let (code, printed) = run(&["lint", "--json", text(&literal)]);
    assert_eq!(code, 3, "{printed}");
    assert_eq!(printed.matches("\"stage\": \"before_caps\"").count(), 12, "{printed}");

    let (code, printed) = run(&["test", text(&inverted)]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("36 of 36 golden cases passed"), "{printed}");
    let wrong = seed::INVERTED_SUM.replacen("    score: 15\n", "    score: 14\n", 1);
    let (code, printed) = run(&["test", text(&write(dir, "wrong.yaml", &wrong))]);
    assert_eq!(code, 3, "{printed}");
    assert!(words(&printed).contains("score is 15, expected 14") && printed.contains("CASES_FAILED"), "{printed}");
    let (code, printed) = run(&["test", text(&literal)]);
    assert_eq!((code, printed.contains("CASES_MISSING")), (3, true), "{printed}");

    let changed = seed::INVERTED_SUM.replace("above: 12", "above: 11").replace("at_most: 12", "at_most: 11");
    let changed = write(dir, "changed.yaml", &changed);
    let (code, printed) = run(&["diff", text(&inverted), text(&changed)]);
    assert_eq!(code, 0, "{printed}");
    assert!(words(&printed).contains("/bands/0/above 12 11"), "{printed}");
    assert!(printed.contains("10 combinations of ratings move toward AI, 0 toward people"), "{printed}");
    assert!(printed.contains("LOOSENS: looser: loosens 8 of 125 inputs, tightens 0"), "{printed}");
    let (_, printed) = run(&["diff", text(&changed), text(&inverted)]);
    assert!(printed.contains("TIGHTENS: tighter: loosens 0 of 125 inputs, tightens 8"), "{printed}");
    let policy = remit_policy::Policy::parse(seed::INVERTED_SUM.as_bytes()).expect("it parses");
    let json = write(dir, "inverted.json", policy.canonical_json());
    let (code, printed) = run(&["diff", text(&inverted), text(&json)]);
    assert_eq!((code, printed.trim()), (0, "the policies are the same"), "YAML and JSON are one policy");

    let wrong = seed::INVERTED_SUM.replace("when: risk >= 4", "when: risc >= 4");
    let (code, printed) = run(&["lint", text(&write(dir, "wrong.yaml", &wrong))]);
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("caps[2].when") && printed.contains("risc is not known"), "{printed}");
    let (code, printed) = run(&["lint", "nowhere.yaml"]);
    assert_eq!((code, printed.contains("FILE_UNREADABLE")), (2, true), "{printed}");
    let (code, printed) = run(&["lint", "seed-004-inverted-sum/1"]);
    assert_eq!((code, printed.contains("TOKEN_MISSING")), (4, true), "a stored version needs a server: {printed}");
}

#[test]
fn a_draw_is_made_again_without_a_server() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let draw = |ratio: &str| {
        run(dir.path(), &["task", "draw", "t", "--tenant", "acme", "--run-id", "run-1", "--ratio", ratio, "--json"])
    };
    let (code, printed) = draw("0.95");
    assert_eq!(code, 0, "{printed}");
    let hash = "ee93c3b62c7df20e5b505cd90a1b04017e2ec7697fc08bc7f4bbc6205586fcde";
    assert!(printed.contains(hash) && printed.contains("\"drawn\": true"), "{printed}");
    assert!(draw("0.9").1.contains("\"drawn\": false"));
    let (code, printed) = draw("5");
    assert_eq!((code, printed.contains("ratio")), (2, true), "{printed}");
}

const FOREIGN: &str = "Key;ignored\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_is_imported_decided_planned_and_exported() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path();
    let site = Site::new(&[("all", "all")], "");
    let _process = site.start("all").await;
    let token = write(dir, "token", &site.token("ada", ActorKind::Human, &["operator"]));
    let url = site.url("all");
    let call = |args: &[&str]| run(dir, &[args, &["--server", &url, "--token-file", text(&token)]].concat());

    let csv = "Key,What,Times,Minutes,P,R,H,Remarks
v1,Write variants,20,30,5,1,1,x
v2,Set up campaigns,5,60,4,2,2,y
v3,Positioning,0.1,600,1,5,5,z
";
    let inventory = write(dir, "inventory.csv", csv);
    let mapping =
        "columns: { Key: id, What: title, Times: frequency_per_week, Minutes: minutes_per_instance, P: predictability,
  R: risk, H: human_judgment, Remarks: '-' }
defaults: { function: paid_media, complexity: '2' }
rater: ada
";
    let mapping = write(dir, "mapping.yaml", mapping);
    let (code, printed) = call(&["task", "import", text(&inventory)]);
    assert_eq!((code, printed.contains("'Key', is not known; map it to one of")), (2, true), "{printed}");
    let (code, printed) =
        call(&["task", "import", text(&inventory), "--mapping", text(&write(dir, "bad.yaml", FOREIGN))]);
    assert_eq!((code, printed.contains("MAPPING_INVALID")), (2, true), "{printed}");
    let (code, printed) = call(&["task", "import", text(&inventory), "--mapping", text(&mapping)]);
    assert_eq!((code, printed.contains("3 created")), (0, true), "{printed}");
    let (code, printed) = call(&["task", "decide", "--all"]);
    assert_eq!((code, printed.contains("3 decided")), (0, true), "{printed}");

    let (plan, picture) = (dir.join("plan.csv"), dir.join("plan.svg"));
    let (code, printed) = call(&["plan", "--csv", text(&plan), "--picture", text(&picture)]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("3 tasks, 3 decided") && printed.contains("NO_STRATEGY_OWNER"), "{printed}");
    let rows = std::fs::read_to_string(&plan).expect("the plan was written");
    assert!(
        rows.lines()
            .nth(1)
            .is_some_and(|row| row.starts_with("1,v1,Write variants,paid_media,,HUMAN_ON_THE_LOOP,15,20,520.00,")),
        "{rows}"
    );
    assert_eq!(rows.lines().count(), 4);
    let svg = std::fs::read_to_string(&picture).expect("the picture was written");
    assert!(svg.starts_with("<svg") && svg.contains("Write variants"), "{svg}");
    if let Some(keep) = std::env::var_os("REMIT_KEEP_PICTURE") {
        std::fs::write(keep, &svg).expect("the picture can be kept");
    }

    let out = dir.join("out.csv");
    let (code, printed) = call(&["task", "export", "--out", text(&out)]);
    assert_eq!(code, 0, "{printed}");
    let exported = std::fs::read_to_string(&out).expect("the inventory was written");
    assert!(exported.contains(",ada,") && exported.lines().count() == 4, "{exported}");
    let (code, printed) = call(&["task", "import", text(&out)]);
    assert_eq!((code, printed.contains("3 unchanged")), (0, true), "{printed}");

    let (code, printed) = call(&["task", "check", "v1", "--model", "none/1", "--run-id", "r1"]);
    assert_eq!(code, 3, "{printed}");
    assert!(printed.contains("CHECK_DENIED") && printed.contains("MODEL_VERSION_UNKNOWN"), "{printed}");
    let (code, printed) = call(&["task", "suggest", "--structured", "--documented", "--large-judgment", "--json"]);
    assert_eq!((code, words(&printed).contains("\"humanJudgment\": 1, \"predictability\": 2")), (0, true), "{printed}");
    let (code, printed) = call(&["policy", "backtest", "seed-004-inverted-sum/1"]);
    assert_eq!((code, printed.contains("3 decisions: 3 unchanged")), (0, true), "{printed}");
    let (code, printed) = call(&["policy", "test", "seed-004-inverted-sum/1"]);
    assert_eq!((code, printed.contains("golden cases passed")), (0, true), "{printed}");

    let stored = dir.join("stored.yaml");
    let (code, printed) = call(&["policy", "export", "seed-004-inverted-sum/1", "--output", text(&stored)]);
    assert_eq!(code, 0, "{printed}");
    assert_eq!(std::fs::read_to_string(&stored).expect("the policy was written"), seed::INVERTED_SUM);
    let (code, printed) = call(&["policy", "show", "seed-004-inverted-sum/1"]);
    assert_eq!((code, printed.contains("bands:"), printed.contains("ACTIVE")), (0, true, true), "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() < 400), "a policy is text: {printed}");
    let (code, printed) = call(&["task", "show", "v1"]);
    assert!(words(&printed).contains("state DECIDED") && !printed.contains("etag"), "{code} {printed}");
    let (code, printed) = call(&["kpi", "query", "brand_consideration", "--range", "2026-01-01..2026-04-01"]);
    assert!(code != 0 || printed.matches("NOT_DUE").count() < 5, "{printed}");

    let typo = write(dir, "typo.csv", "id;title;function\r\nx;X;paid_media\r\ny;Y;payed_media\r\n");
    let (code, printed) = call(&["task", "import", text(&typo), "--dry-run"]);
    assert_eq!((code, printed.contains("FUNCTION_NOT_FOUND")), (3, true), "{printed}");
    assert!(words(&printed).contains("3 function") && printed.contains("with ';' between fields"), "{printed}");

    // More events than one request takes.
    let event = |n: usize| format!("e{n},2026-01-0{}T08:00:00Z,email\n", n % 9 + 1);
    let contacts = format!("event_id,occurred_at,channel\n{}", (0..2_001).map(event).collect::<String>());
    let contacts = write(dir, "contacts.csv", &contacts);
    for (accepted, duplicates) in [(2_001, 0), (0, 2_001)] {
        let (code, printed) = call(&["kpi", "import", "contacts", text(&contacts), "--json"]);
        let told = format!("{accepted} {duplicates}");
        let found: serde_json::Value = serde_json::from_str(&printed).expect(&printed);
        let count = |name: &str| found[name].as_i64().unwrap_or_default();
        assert_eq!((code, format!("{} {}", count("acceptedCount"), count("duplicateCount"))), (0, told), "{printed}");
    }
    let january = "2026-01-01..2026-02-01";
    let (code, printed) = call(&["kpi", "events", "contacts", "--range", january, "--limit", "3"]);
    assert_eq!((code, printed.matches("email").count()), (0, 3), "{printed}");
    let (code, printed) = call(&["kpi", "top", "contacts", "--by", "channel", "--range", january]);
    assert_eq!((code, printed.contains("email"), printed.contains("2001")), (0, true, true), "{printed}");
    let (code, printed) = call(&["kpi", "alert", "create", "no-contacts", "--kpi", "contacts", "--silent"]);
    assert_eq!((code, printed.contains("contacts")), (0, true), "{printed}");
    let (code, printed) = call(&["kpi", "alert", "rules"]);
    assert_eq!((code, printed.contains("no-contacts")), (0, true), "{printed}");
    let (code, printed) = call(&["kpi", "settings", "--currency", "EUR", "--week-start", "sunday"]);
    assert_eq!((code, printed.contains("EUR"), printed.contains("contacts")), (0, true, true), "{printed}");
}

const PEOPLE: &str = "
bodies:
  - body: bodies/steering-group
    seats:
      - { member_id: ada, subject: ada, role_group: marketing_lead }
      - { member_id: ben, subject: ben, role_group: legal }
      - { member_id: cleo, subject: cleo, role_group: data }
  - body: bodies/automation-council
    seats:
      - { member_id: sam, subject: sam, role_group: sales_ops }
      - { member_id: ben, subject: ben, role_group: legal }
      - { member_id: pia, subject: pia, role_group: product }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_constitution_is_made_from_a_file_once_and_a_leaked_token_is_revoked_from_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path();
    let site = Site::new(&[("all", "all")], "");
    let _process = site.start("all").await;
    let token = write(dir, "token", &site.token("root", ActorKind::Human, &["admin"]));
    let url = site.url("all");
    let call =
        |args: &[&str]| run(dir, &[&["council"], args, &["--server", &url, "--token-file", text(&token)]].concat());

    let twice =
        write(dir, "twice.yaml", &PEOPLE.replace("    seats:", "    zone: UTC\n    zone: Europe/Zurich\n    seats:"));
    let (code, printed) = call(&["bootstrap", text(&twice)]);
    assert_eq!((code, printed.contains("CONSTITUTION_FILE_INVALID")), (2, true), "{printed}");
    let lawless = write(dir, "lawless.yaml", &PEOPLE.replacen("role_group: legal", "role_group: data", 1));
    let (code, printed) = call(&["bootstrap", text(&lawless)]);
    assert_eq!((code, printed.contains("QUORUM_UNREACHABLE")), (3, true), "{printed}");
    let people = write(dir, "people.yaml", PEOPLE);
    let (code, printed) = call(&["bootstrap", text(&people)]);
    assert_eq!((code, printed.contains("automation-council/members/pia")), (0, true), "{printed}");
    let (code, printed) = call(&["bootstrap", text(&people)]);
    assert_eq!((code, printed.contains("CONSTITUTION_EXISTS")), (3, true), "{printed}");
    let (code, printed) = call(&["show"]);
    assert_eq!((code, printed.contains("approve_automation")), (0, true), "{printed}");
    assert!(words(&printed).contains("2 approvals, a majority, 1 from legal; legal may veto"), "{printed}");
    let (code, printed) = call(&["recover", "--seat", "leo:leo:legal", "--reason", "they all left"]);
    assert_eq!((code, printed.contains("CONSTITUTION_ALIVE")), (3, true), "{printed}");
    let (code, printed) = call(&["recover", "--seat", "leo", "--reason", "they all left"]);
    assert_eq!((code, printed.contains("SEAT_INVALID")), (2, true), "{printed}");

    let access =
        |args: &[&str]| run(dir, &[&["access"], args, &["--server", &url, "--token-file", text(&token)]].concat());
    let leaked = write(dir, "leaked", &site.token("mallory", ActorKind::Human, &["viewer"]));
    let (code, printed) =
        access(&["revoke", "--leaked", text(&leaked), "--reason", "in a repository", "--id", "found", "--json"]);
    assert_eq!((code, printed.contains("in a repository")), (0, true), "{printed}");
    eventually("it is refused", || {
        let (_, printed) = run(dir, &["access", "list", "--server", &url, "--token-file", text(&leaked)]);
        async move { printed.contains("TOKEN_REVOKED") }
    })
    .await;
    let assign = ["assign", "--email", "ann@example.com", "--issuer", "remit-development", "--role", "operator"];
    let (code, printed) = access(&[&assign[..], &["--reason", "she joined", "--id", "ann", "--json"]].concat());
    assert_eq!((code, printed.contains("ann@example.com")), (0, true), "{printed}");
    for args in [&["lift", "found", "--reason", "rotated"][..], &["unassign", "ann", "--reason", "left"]] {
        let (code, printed) = access(args);
        assert_eq!(code, 0, "{printed}");
    }
    let (code, printed) = access(&["lift", "found", "--reason", "again"]);
    assert_eq!((code, printed.contains("REVOCATION_NOT_FOUND")), (5, true), "{printed}");
}

/// A proposal from the file to its effect, and what anybody can check of it afterwards with the log, the council's public
/// key, and no server.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_made_and_verified_by_hand() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path();
    let site = Site::new(&[("all", "all")], "");
    let mut process = site.start("all").await;
    let url = site.url("all");
    let as_ = |who: &str, roles: &[&str], groups: &[&str], args: &[&str]| {
        let token = write(dir, "token", &site.token_in(who, ActorKind::Human, roles, groups));
        run(dir, &[args, &["--server", &url, "--token-file", text(&token)]].concat())
    };
    let people = write(dir, "people.yaml", PEOPLE);
    let (code, printed) = as_("root", &["admin"], &[], &["council", "bootstrap", text(&people)]);
    assert_eq!(code, 0, "{printed}");

    let mut models = ModelServiceClient::new(site.human("dara", &["operator"], "all"));
    let model = Model { display_name: "m".into(), owner: "dara".into(), ..Default::default() };
    let create = CreateModelRequest { model_id: "m".into(), model: Some(model), ..Default::default() };
    models.create_model(create).await.expect("a model");
    let version = ModelVersion {
        provider: "in-house".into(),
        artifact_digest: digest::sha256(b"m"),
        intended_use: "tests".into(),
        owner: "dara".into(),
        ..Default::default()
    };
    let create =
        CreateModelVersionRequest { parent: "models/m".into(), model_version: Some(version), ..Default::default() };
    models.create_model_version(create).await.expect("a version");

    let file = write(
        dir,
        "proposal.yaml",
        "title: Retire it\nrationale: Nobody uses it.\nbody: bodies/steering-group\naction: {retire_model: {model_version: models/m/versions/1}}\n",
    );
    let (code, printed) = as_("root", &["admin"], &[], &["proposal", "create", "p", text(&file), "--json"]);
    assert_eq!(code, 0, "{printed}");
    let proposal: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    let digest = proposal["contentDigest"].as_str().expect("a digest").to_owned();
    let vote = |who: &str, group: &str, digest: &str| {
        as_(who, &["member"], &[group], &["proposal", "vote", "p", "approve", "--digest", digest])
    };
    let (code, printed) = vote("ada", "marketing_lead", &format!("sha256:{}", "0".repeat(64)));
    assert_eq!((code, printed.contains("CONTENT_CHANGED"), printed.contains(&digest)), (3, true, false), "{printed}");
    let (code, printed) = vote("ada", "marketing_lead", &digest);
    assert_eq!((code, printed.contains("OPEN")), (0, true), "{printed}");
    let (code, printed) = vote("ben", "legal", &digest);
    assert_eq!((code, printed.contains("EXECUTED")), (0, true), "{printed}");
    let (code, printed) = as_("ada", &["member"], &["marketing_lead"], &["proposal", "list"]);
    assert_eq!((code, words(&printed).contains("p steering-group retire_model Retire it")), (0, true), "{printed}");
    let (code, shown) = as_("ada", &["member"], &["marketing_lead"], &["proposal", "show", "p"]);
    assert_eq!((code, words(&shown).contains("proposals/p:1:0")), (0, true), "{shown}");

    let get = GetModelVersionRequest { name: "models/m/versions/1".into() };
    let mandate = models.get_model_version(get).await.expect("it is there").into_inner().mandate;
    assert!(!mandate.is_empty() && !shown.contains(&mandate), "a token is for programs: {shown}");
    let log = dir.join("log.ndjson");
    eventually("the votes are in the log", || {
        let (code, _) = as_("dpo", &["auditor"], &[], &["audit", "export", "--out", text(&log)]);
        let votes = std::fs::read_to_string(&log).unwrap_or_default().matches("council.proposals.vote").count();
        async move { code == 0 && votes >= 3 }
    })
    .await;
    let keys = site.council_keys();
    process.kill();

    let token = write(dir, "mandate", &mandate);
    let verify = |token: &Path, log: &Path| {
        run(dir, &["mandate", "verify", text(token), "--keys", text(&keys), "--export", text(log)])
    };
    let (code, printed) = verify(&token, &log);
    assert_eq!(code, 0, "{printed}");
    assert!(words(&printed).contains("in the log 2 votes") && printed.contains("retire_model"), "{printed}");
    let whole = std::fs::read_to_string(&log).expect("the export is there");
    let altered = write(dir, "altered", &whole.replace("\"choice\":\"APPROVE\"", "\"choice\":\"REJECT\""));
    let (code, printed) = verify(&token, &altered);
    assert_eq!((code, printed.contains("EXPORT_REFUSED")), (3, true), "{printed}");
    let mut forged = mandate.clone().into_bytes();
    forged[mandate.len() / 2] ^= 1;
    let forged = write(dir, "forged", &String::from_utf8_lossy(&forged));
    let (code, printed) = verify(&forged, &log);
    assert_eq!((code, printed.contains("MANDATE_INVALID")), (4, true), "{printed}");
}
