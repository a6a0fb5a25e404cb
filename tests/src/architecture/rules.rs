//! Who may know whom: each rule gives a line for every place that breaks it.

use super::Tree;
use std::collections::BTreeMap;

pub(super) use remit_core::SERVICES;

/// Crates without I/O, which anything may use.
const PURE: [&str; 5] = ["core", "policy", "tlog", "drift", "sheet"];

/// What each crate may depend on outside tests, in the order of the layers.
fn allowed() -> BTreeMap<String, Vec<String>> {
    let named = |names: &[&str]| names.iter().map(|name| format!("remit-{name}")).collect::<Vec<_>>();
    let base = named(&["core", "tlog", "drift"]);
    let below = [base.clone(), named(&["sheet", "store", "api", "runtime"])].concat();
    let mut allowed = BTreeMap::from(
        [
            ("core", vec![]),
            ("policy", named(&["core"])),
            ("tlog", vec![]),
            ("drift", vec![]),
            ("sheet", named(&["core"])),
            ("api", named(&["core"])),
            ("store", base.clone()),
            ("runtime", [base, named(&["store", "api"])].concat()),
        ]
        .map(|(name, uses)| (format!("remit-{name}"), uses)),
    );
    allowed.extend(SERVICES.map(|service| (format!("remit-{service}"), below.clone())));
    // Conditions need CEL, which the other services need not wait for.
    allowed.entry("remit-scoring".to_owned()).or_default().extend(named(&["policy"]));
    allowed.insert("remit".to_owned(), [below, named(&["policy"]), named(&SERVICES)].concat());
    allowed
}

/// Crates that depend on what is not below them.
pub(super) fn upward(tree: &Tree) -> Vec<String> {
    let (allowed, mut broken) = (allowed(), Vec::new());
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let manifest: toml::Table = text.parse().expect("a valid manifest");
        let name = manifest["package"]["name"].as_str().expect("a crate has a name");
        let Some(allowed) = allowed.get(name) else {
            broken.push(format!("{path}: {name} is not in the map of the workspace"));
            continue;
        };
        let tables = ["dependencies", "build-dependencies"].into_iter();
        let tables = tables.filter_map(|table| manifest.get(table).and_then(toml::Value::as_table));
        let uses = tables.flat_map(|table| table.keys()).filter(|key| *key == "remit" || key.starts_with("remit-"));
        broken.extend(
            uses.filter(|used| !allowed.contains(used)).map(|used| format!("{name} must not depend on {used}")),
        );
    }
    broken
}

/// The lines of a source that are no comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The first of `words` that stands in the code of `text`.
fn first<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    words.iter().find(|word| code(text).any(|line| line.contains(**word))).copied()
}

/// Files below one of `folders` that hold one of `words`, as `path: word`.
fn naming(tree: &Tree, folders: &[String], words: &[&str]) -> Vec<String> {
    let files = tree.iter().filter(|(path, _)| folders.iter().any(|folder| path.starts_with(folder.as_str())));
    files.filter_map(|(path, text)| first(text, words).map(|word| format!("{path}: {word}"))).collect()
}

/// Crates other than the store that know the database driver.
pub(super) fn drivers(tree: &Tree) -> Vec<String> {
    let mut others = tree.clone();
    others.retain(|path, _| !path.starts_with("libs/store/"));
    others.iter().filter_map(|(path, text)| first(text, &["sqlx"]).map(|word| format!("{path}: {word}"))).collect()
}

/// Whether a text builds SQL: `query("…")`, also across lines and from a constant, or `Sql::new(…)`.
fn builds_sql(text: &str) -> bool {
    let code: Vec<_> = code(text).collect();
    let code = code.join("\n");
    let literal = |rest: &str| {
        let starts = |c: char| c.is_ascii_uppercase();
        rest.starts_with('"') || rest.starts_with("r#") || (rest.starts_with(starts) && rest[1..].starts_with(starts))
    };
    code.contains("Sql::new(")
        || code.match_indices("query").any(|(at, word)| {
            let rest = code[at + word.len()..].trim_start_matches(|c: char| c == '_' || c.is_ascii_lowercase());
            rest.strip_prefix('(').is_some_and(|rest| literal(rest.trim_start()))
        })
}

/// Files of a service outside its store that hold SQL.
pub(super) fn sql_outside_stores(tree: &Tree) -> Vec<String> {
    // The check of the stored log reads the tables without the code that wrote them, so that a fault in
    // that code is found and not repeated.
    let store = |path: &str| ["/store/", "/store.rs", "/audit/src/fsck/"].iter().any(|part| path.contains(part));
    let service = |path: &str| SERVICES.iter().any(|service| path.starts_with(&format!("services/{service}/src/")));
    let files = tree.iter().filter(|(path, text)| service(path) && !store(path) && builds_sql(text));
    files.map(|(path, _)| format!("{path} holds SQL outside a store module")).collect()
}

/// Files of the pure crates that reach out.
pub(super) fn impure(tree: &Tree) -> Vec<String> {
    let folders = PURE.map(|name| format!("libs/{name}/src/"));
    naming(tree, &folders, &["tokio::", "std::fs::", "std::net::", "tonic::", "sqlx::"])
}

/// Files of the services that read the civil time, which is injected so that tests and the demo can move it.
/// A monotonic `Instant` is not in the list: it only says how long something took, and a clock that is moved
/// by hand must not stretch a timeout.
pub(super) fn clocks(tree: &Tree) -> Vec<String> {
    let folders = SERVICES.map(|service| format!("services/{service}/src/"));
    naming(tree, &folders, &["SystemTime::now", "Timestamp::now()", "Zoned::now()"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::tree;

    fn manifest(name: &str, dependency: &str) -> String {
        format!("[package]\nname = \"{name}\"\n[dependencies]\n{dependency}.workspace = true\n")
    }

    #[test]
    fn a_crate_that_depends_upwards_is_found() {
        let up = |name: &str, uses: &str| upward(&tree(&[("libs/x/Cargo.toml", &manifest(name, uses))]));
        assert_eq!(up("remit-store", "remit-runtime"), ["remit-store must not depend on remit-runtime"]);
        assert_eq!(up("remit-kpi", "remit-council"), ["remit-kpi must not depend on remit-council"]);
        assert_eq!(up("remit-new", "serde"), ["libs/x/Cargo.toml: remit-new is not in the map of the workspace"]);
        assert!(up("remit-runtime", "remit-store").is_empty());
        let build = "[package]\nname = \"remit-api\"\n[build-dependencies]\nremit = \"1\"\n";
        assert_eq!(upward(&tree(&[("libs/api/Cargo.toml", build)])), ["remit-api must not depend on remit"]);
    }

    #[test]
    fn a_database_driver_outside_the_store_is_found() {
        let broken = tree(&[
            ("libs/store/src/db.rs", "use sqlx::Row;"),
            ("services/kpi/Cargo.toml", "[dependencies]\nsqlx.workspace = true\n"),
            ("services/kpi/src/store/events.rs", "let row: sqlx::Row;\n"),
            ("services/kpi/src/lib.rs", "// Without sqlx: the store has it.\n"),
        ]);
        assert_eq!(drivers(&broken), ["services/kpi/Cargo.toml: sqlx", "services/kpi/src/store/events.rs: sqlx"]);
    }

    #[test]
    fn sql_outside_a_store_is_found_in_each_of_its_forms() {
        for sql in [
            "let rows = query(\"select 1\");",
            "let rows = query(\n    \"select 1\",\n);",
            "let rows = query(SELECT);",
            "let rows = query_scalar(\"select 1\");",
            "let sql = Sql::new(\"select 1\");",
        ] {
            let broken = tree(&[
                ("services/kpi/src/service/events.rs", sql),
                ("services/kpi/src/store/events.rs", sql),
                ("services/kpi/src/store.rs", sql),
                ("services/audit/src/fsck/tiles.rs", sql),
                ("libs/store/src/outbox.rs", sql),
            ]);
            let expected = ["services/kpi/src/service/events.rs holds SQL outside a store module"];
            assert_eq!(sql_outside_stores(&broken), expected, "{sql}");
        }
        for other in ["// query(\"select 1\")", "self.query(request)", "fn query_rollups(&self)"] {
            assert!(sql_outside_stores(&tree(&[("services/kpi/src/lib.rs", other)])).is_empty(), "{other}");
        }
    }

    #[test]
    fn a_pure_crate_that_reaches_out_is_found() {
        for word in ["tokio::spawn(x)", "std::fs::read(x)", "std::net::IpAddr", "tonic::Status", "sqlx::Row"] {
            let broken = tree(&[("libs/core/src/x.rs", word), ("libs/store/src/x.rs", word)]);
            assert_eq!(impure(&broken).len(), 1, "{word}");
        }
        assert!(impure(&tree(&[("libs/core/src/x.rs", "/// As std::fs::read does.")])).is_empty());
    }

    #[test]
    fn a_service_that_reads_the_civil_time_is_found() {
        for word in ["SystemTime::now()", "jiff::Timestamp::now()", "Zoned::now()"] {
            let broken = tree(&[("services/kpi/src/x.rs", word), ("libs/runtime/src/clock.rs", word)]);
            assert_eq!(clocks(&broken).len(), 1, "{word}");
        }
        assert!(clocks(&tree(&[("services/kpi/src/x.rs", "let begun = Instant::now();")])).is_empty());
    }
}
