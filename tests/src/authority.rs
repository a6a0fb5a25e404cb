//! `docs/authority.md`: the tables of acts and of methods, made from what the code decides by, and the table of threats,
//! each row of which names its test.

use crate::support::{is_read, permission};
use prost_reflect::MethodDescriptor;
use remit_core::authority::{ACTS, Act};
use remit_core::{Actor, ActorKind};
use remit_runtime::auth::Methods;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- made by `make docs`: begin -->";
const END: &str = "<!-- made by `make docs`: end -->";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/authority.md")
}

fn mutations() -> Vec<MethodDescriptor> {
    let services = remit_api::pool().services().filter(|service| service.full_name().starts_with("remit."));
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).filter(|method| !is_read(method)).collect()
}

fn floor(act: &Act) -> String {
    let mut parts =
        vec![format!("{} approval{}", act.floor.min_approvals, if act.floor.min_approvals == 1 { "" } else { "s" })];
    parts.extend(act.floor.groups.iter().map(|group| format!("one from `{group}`")));
    parts.join(", ")
}

fn acts() -> String {
    let mut methods: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for method in mutations() {
        methods.entry(permission(&method)).or_default().push(method.name().to_owned());
    }
    let mut table = "\n## Acts\n\nWhat needs a mandate. The body is the one that decides in a new constitution; the floor stays under any rule.\n\n\
        | act | what it does | body | floor | carried out by |\n|---|---|---|---|---|\n"
        .to_owned();
    for act in ACTS {
        let by = act.permissions.iter().flat_map(|permission| methods.get(*permission).cloned().unwrap_or_default());
        let by: Vec<String> = by.map(|name| format!("`{name}`")).collect();
        let by = if by.is_empty() { "the council itself".to_owned() } else { by.join(", ") };
        let body = if act.body.is_empty() { "any".to_owned() } else { format!("`{}`", act.body) };
        let _ = writeln!(table, "| `{}` | {} | {body} | {} | {by} |", act.kind, act.what, floor(act));
    }
    table
}

fn kinds() -> String {
    let config = remit_runtime::Config::from_toml("").expect("the defaults are valid");
    let rules = Methods::new(remit_api::pool(), &config.roles).expect("every method has a rule");
    let mut table = "\n## Methods that change something\n\nBy kind of actor. Roles narrow this further (`[roles]` in the configuration).\n\n\
        | method | people | programs | AI |\n|---|---|---|---|\n"
        .to_owned();
    let mut lines: Vec<String> = mutations()
        .iter()
        .map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let rule = rules.get(&path).expect("every method has a rule");
            let may = |kind: ActorKind| {
                let actor = Actor {
                    subject: "somebody".into(),
                    kind,
                    roles: vec!["admin".into()],
                    role_groups: vec![],
                    on_behalf_of: None,
                };
                if rule.authorize(&actor).is_ok() { "yes" } else { "" }
            };
            let service = permission(method).split('.').next().unwrap_or_default().to_owned();
            let (person, program, ai) = (may(ActorKind::Human), may(ActorKind::Service), may(ActorKind::Ai));
            format!("| `{service}.{}` | {person} | {program} | {ai} |", method.name())
        })
        .collect();
    lines.sort();
    for line in lines {
        table.push_str(&line);
        table.push('\n');
    }
    table
}

#[test]
fn the_tables_are_made_from_what_decides() {
    let stands = std::fs::read_to_string(page()).expect("the page is there");
    let (head, rest) = stands.split_once(BEGIN).expect("the page has a place for the tables");
    let (_, tail) = rest.split_once(END).expect("the place ends");
    let made = format!("{head}{BEGIN}\n{}{}\n{END}{tail}", acts(), kinds());
    if std::env::var("REMIT_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(page(), &made).expect("the page can be written");
    }
    let stands = std::fs::read_to_string(page()).expect("the page is there");
    assert!(made == stands, "docs/authority.md is not what the code decides by: run this test with REMIT_BLESS=1");
}

/// Rows of the table of threats end with the tests that hold them, in backticks: `api::mandates::an_alias…`.
#[test]
fn every_threat_names_a_test_that_is_there() {
    let text = std::fs::read_to_string(page()).expect("the page is there");
    let Some((_, threats)) = text.split_once("## Threats") else { panic!("the page has no table of threats") };
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let rows = threats.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| who"));
    let mut named = 0;
    for row in rows {
        let tests = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        let tests: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test holds: {row}");
        for test in tests {
            let name = test.rsplit("::").next().unwrap_or_default();
            assert!(sources.contains(&format!("fn {name}(")), "{test} is named and not there");
            named += 1;
        }
    }
    assert!(named > 0, "the table of threats is empty");
}

/// The text of all Rust sources, by which a test is found.
fn sources(root: &Path) -> String {
    let mut text = String::new();
    for part in ["tests/src", "libs", "services"] {
        gather(&root.join(part), &mut text);
    }
    text
}

fn gather(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository").flatten() {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("a source can be read"));
        }
    }
}
