//! `docs/events.md`: every action of the log with its details, made from the types that writers and readers share.

use crate::support::{is_read, permission};
use remit_core::details::{self, Doc};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// The permissions of all mutating methods: each is the action of the event that the method leaves.
fn actions() -> BTreeSet<String> {
    let services = remit_api::pool().services().filter(|service| service.full_name().starts_with("remit."));
    let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.filter(|method| !is_read(method)).map(|method| permission(&method)).collect()
}

fn render() -> String {
    let mut page = "# Events\n\n\
        Every change of state leaves one entry in the audit log; its action is the permission of the method that made it, or the\n\
        name of what a service did by itself. What stands in `details_json`, by action. Made from `libs/core/src/details`; do not\n\
        edit.\n"
        .to_owned();
    let mut services: BTreeMap<&str, Vec<&Doc>> = BTreeMap::new();
    for doc in details::all() {
        let service = doc.actions.first().and_then(|action| action.split('.').next()).unwrap_or_default();
        services.entry(service).or_default().push(doc);
    }
    for (service, docs) in services {
        let _ = write!(page, "\n## {service}\n");
        for doc in docs {
            let actions: Vec<_> = doc.actions.iter().map(|action| format!("`{action}`")).collect();
            let _ = write!(page, "\n### {}\n\n{}\n\nOf {}.\n\n", doc.name, text(doc.text), actions.join(", "));
            if !doc.fields.is_empty() {
                page.push_str("| field | type | |\n|---|---|---|\n");
            }
            for (name, kind, about) in doc.fields {
                let _ = writeln!(page, "| `{name}` | `{}` | {} |", kind.replace(' ', ""), text(about));
            }
        }
    }
    let documented: BTreeSet<&str> = details::all().iter().flat_map(|doc| doc.actions.iter().copied()).collect();
    let plain: Vec<_> = actions().into_iter().filter(|action| !documented.contains(action.as_str())).collect();
    page.push_str("\n## Without details\n\n");
    for action in plain {
        let _ = writeln!(page, "- `{action}`");
    }
    page
}

/// The lines of a doc comment as one line of a page.
fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn the_page_is_made_from_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let made = render();
    if std::env::var("REMIT_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &made).expect("the page can be written");
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(made == stands, "docs/events.md is not what the types say: run this test with REMIT_BLESS=1");
}

#[test]
fn an_action_has_one_type() {
    let mut seen = BTreeMap::new();
    for doc in details::all() {
        for action in doc.actions {
            if let Some(other) = seen.insert(action, doc.name) {
                panic!("{action} has the details of {other} and of {}", doc.name);
            }
        }
    }
}
