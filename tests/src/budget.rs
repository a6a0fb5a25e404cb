//! What a call costs in SQL statements, counted and not timed: a get one, a list two, a mutation six, and what has to
//! be worked out a dozen.
//!
//! The table stands in `docs/architecture.md`, so that a change that costs a statement shows in review:
//! `REMIT_BLESS=1 cargo nextest run -p remit-tests budget` writes it.

use crate::contract::answers::{Remit, valid};
use crate::contract::requests::UNKNOWN;
use crate::contract::wire::{methods, path};
use crate::support::is_read;
use prost_reflect::{MethodDescriptor, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/architecture.md");
const BEGIN: &str = "<!-- budget -->\n";
const END: &str = "<!-- /budget -->";

/// Methods that may cost more, how much, and why.
const EXCEPTIONS: &[(&str, u64, &str)] = &[
    ("GetEntry", 2, "of an entry that is not there, the size of the log tells whether it was pruned"),
    ("GetPersonalData", 2, "the same"),
    (
        "GetCheckpoint",
        6,
        "the root is worked out from tiles and held against the signed head, and cosignatures are looked up",
    ),
    ("UpdateRetentionPolicy", 7, "its own entry goes into the log in the same transaction"),
    ("Bootstrap", 24, "two bodies with all their first members"),
    ("GetConstitution", 4, "how it began, the bodies, and the members"),
    ("GetRollout", 3, "members, trainings and reviews; the rest it asks of the other services"),
    (
        "CreateProposal",
        10,
        "it opens at once: rule and electorate are pinned, who is asked is noted and a timer is set",
    ),
    ("Vote", 22, "seats and delegations are counted, and the vote that decides is followed by the execution"),
    ("OpenReview", 9, "it takes a seat, which is looked for in the same transaction; the evidence is collected behind"),
    ("ActivateGateVersion", 11, "two versions and their gate change, and the mandate is used up"),
    ("RouteLead", 10, "the assignment, its clock and the work queue follow"),
    ("GetBriefing", 6, "a day that was not briefed is counted"),
    ("UpdateOrganizationSettings", 200, "each shipped definition is claimed, asked for events, and made anew"),
    ("CreatePilot", 9, "others are looked for under the lock of the settings, its KPIs are read, and a timer is set"),
    ("ListEvents", 3, "the definition, and the experiments whose arms are hidden"),
    ("GetEvent", 2, "of an event that is not there, whether its KPI is"),
    ("UpdateFunction", 12, "decisions on its tasks end, and the rules are read again"),
    ("CreateRevocation", 10, "what is over is forgotten, what is in force counted, who is kept away noted"),
    ("UpdateRoleAssignment", 9, "that the caller was heard of is noted"),
    ("CreateDelegation", 8, "the same, and how many votes wait for the seat"),
    ("CreateRoleAssignment", 8, "what is over is forgotten, and what is in force counted"),
    ("CreateTask", 7, "one read before a transaction of six"),
    ("GetInfo", 28, "outbox, feeds and timers of every service in the process are counted"),
];

/// What a read may take that works something out. It reads what it needs together, however many things that is.
const WORKED_OUT: u64 = 13;

/// The most statements that a call of the method may take.
fn bound(method: &MethodDescriptor) -> u64 {
    let name = method.name();
    match () {
        () if !is_read(method) => 6,
        () if name.starts_with("Get") => 1,
        () if method.input().get_field_by_name("page_size").is_some() => 2,
        () => WORKED_OUT,
    }
}

/// What is wrong with what the calls cost.
fn excesses(most: &BTreeMap<String, u64>, exceptions: &[(&str, u64, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for method in methods() {
        let Some(taken) = most.get(&path(&method)).copied() else { continue };
        let exception = exceptions.iter().find(|(name, ..)| *name == method.name());
        let within = taken <= bound(&method);
        match exception {
            None if !within => found.push(format!("{} takes {taken} statements", path(&method))),
            Some((_, bound, _)) if taken > *bound => {
                found.push(format!("{} takes {taken} statements, and {bound} are excused", path(&method)));
            }
            Some(_) if within => found.push(format!("{} needs no exception", path(&method))),
            _ => {}
        }
    }
    found
}

/// The table of the page.
fn table(most: &BTreeMap<String, u64>, exceptions: &[(&str, u64, &str)]) -> String {
    let mut table = "| Method | Statements | Why more |\n|---|---:|---|\n".to_owned();
    for method in methods() {
        let Some(taken) = most.get(&path(&method)) else { continue };
        let why = exceptions.iter().find(|(name, ..)| *name == method.name()).map_or("", |(_, _, why)| *why);
        let service = method.parent_service().name().to_owned();
        writeln!(table, "| `{service}.{}` | {taken} | {why} |", method.name()).expect("a string can be written to");
    }
    table
}

/// The page with `table` between its markers.
fn written(page: &str, table: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("docs/architecture.md has the marker of the budget");
    let (_, after) = rest.split_once(END).expect("the budget of docs/architecture.md ends");
    format!("{before}{BEGIN}{table}{END}{after}")
}

/// Calls every Get, every list and every Update once, after all that `Remit` makes.
async fn exercise(remit: &Remit) {
    for method in methods() {
        let name = method.name();
        let paged = method.input().get_field_by_name("page_size").is_some();
        if !(paged || name.starts_with("Get") || name.starts_with("Update")) {
            continue;
        }
        let mut request = valid(&method);
        if let Some((_, unknown)) = UNKNOWN.iter().find(|(known, _)| *known == name) {
            let field = method.input().fields().next().expect("a Get names something");
            request.set_field(&field, Value::String((*unknown).to_owned()));
        }
        // Refused or not: what is counted is what it took.
        let _ = remit.ask(&method, &request).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_costs_more_than_its_kind() {
    let remit = Remit::start().await;
    exercise(&remit).await;
    let most = remit_runtime::statements::most();
    remit.stop().await;
    assert!(most.len() > 80, "only {} methods were counted", most.len());
    let excesses = excesses(&most, EXCEPTIONS);
    assert!(excesses.is_empty(), "{excesses:#?}");
    let page = std::fs::read_to_string(PAGE).expect("the page exists");
    let wanted = written(&page, &table(&most, EXCEPTIONS));
    if std::env::var("REMIT_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(PAGE, wanted).expect("the page can be written");
    } else {
        assert!(page == wanted, "docs/architecture.md does not say what calls cost: run with REMIT_BLESS=1");
    }
}

#[test]
fn a_statement_too_many_and_an_exception_too_many_are_found() {
    let cost = |path: &str, taken| BTreeMap::from([(path.to_owned(), taken)]);
    let get = "/remit.scoring.v1.TaskService/GetTask";
    assert_eq!(excesses(&cost(get, 2), &[]), [format!("{get} takes 2 statements")]);
    assert!(excesses(&cost(get, 1), &[]).is_empty());
    assert!(excesses(&cost(get, 2), &[("GetTask", 2, "a reason")]).is_empty());
    assert_eq!(excesses(&cost(get, 3), &[("GetTask", 2, "a reason")]).len(), 1);
    assert_eq!(excesses(&cost(get, 1), &[("GetTask", 2, "a reason")]), [format!("{get} needs no exception")]);
    assert_eq!(excesses(&cost("/remit.scoring.v1.TaskService/ListTasks", 3), &[]).len(), 1);
    assert_eq!(excesses(&cost("/remit.scoring.v1.TaskService/CreateTask", 7), &[]).len(), 1);
    assert!(excesses(&cost("/remit.scoring.v1.TaskService/CreateTask", 6), &[]).is_empty());
    assert_eq!(excesses(&cost("/remit.kpi.v1.KpiService/SummarizeKpis", 179), &[]).len(), 1);
    let page = written(&format!("a\n{BEGIN}old\n{END}\nb\n"), &table(&cost(get, 1), &[]));
    assert!(
        page.contains("| `TaskService.GetTask` | 1 |  |\n<!-- /budget -->\nb\n") && !page.contains("old"),
        "{page}"
    );
}
