//! Where things stand: the same plural noun in `grpc/`, `service/` and `store/` of every service, so that who
//! knows the way of one request knows them all.

use super::Tree;
use super::rules::SERVICES;
use std::collections::BTreeSet;

/// The crates that are held to the layout: all of them.
pub(super) fn crates(tree: &Tree) -> Vec<&str> {
    tree.keys().filter_map(|path| path.strip_suffix("/Cargo.toml")).collect()
}

/// Files that stand apart from the layout, each with its reason.
pub(super) const APART: &[(&str, &str)] = &[];

/// What stands apart in `crates`, folders such as `services/kpi`: a line for each place and for each exception
/// that nothing needs.
pub(super) fn broken(tree: &Tree, crates: &[&str], apart: &[(&str, &str)]) -> Vec<String> {
    let found: Vec<_> = crates.iter().flat_map(|folder| [twins(tree, folder), nouns(tree, folder)].concat()).collect();
    let missing: BTreeSet<_> = found.iter().map(|(path, _)| path.as_str()).collect();
    let stale = apart.iter().filter(|(path, _)| !missing.contains(path));
    let stale: Vec<_> = stale.map(|(path, reason)| format!("{path} needs no exception ({reason})")).collect();
    let found = found.into_iter().filter(|(path, _)| !apart.iter().any(|(known, _)| known == path));
    found.map(|(path, what)| format!("{path}: {what}")).chain(stale).collect()
}

/// Modules that are a file beside their folder: `x.rs` and `x/`.
fn twins(tree: &Tree, folder: &str) -> Vec<(String, String)> {
    let files = tree.keys().filter(|path| path.starts_with(&format!("{folder}/src/")));
    let twins = files.filter(|path| {
        let inside = path.strip_suffix(".rs").map(|stem| format!("{stem}/"));
        inside.is_some_and(|inside| tree.keys().any(|other| other.starts_with(&inside)))
    });
    twins.map(|path| (path.clone(), "its folder has no mod.rs: this is the file for it".to_owned())).collect()
}

/// The files of a module of a service: `<level>/<noun>.rs`, or all in `<level>/<noun>/`.
fn module(tree: &Tree, folder: &str, level: &str, noun: &str) -> Vec<String> {
    let stem = format!("{folder}/src/{level}/{noun}");
    let own = |path: &&String| **path == format!("{stem}.rs") || path.starts_with(&format!("{stem}/"));
    tree.keys().filter(own).cloned().collect()
}

/// Nouns of `grpc/` that do not go on in `service/`, or change something and do not go on in `store/`.
fn nouns(tree: &Tree, folder: &str) -> Vec<(String, String)> {
    // The binary serves nothing of its own.
    if !SERVICES.iter().any(|service| folder.strip_prefix("services/") == Some(service)) {
        return Vec::new();
    }
    let grpc = format!("{folder}/src/grpc/");
    let inside = tree.keys().filter_map(|path| path.strip_prefix(&grpc));
    let nouns: BTreeSet<_> =
        inside.filter_map(|rest| rest.split('/').next()).map(|part| part.trim_end_matches(".rs")).collect();
    if !nouns.contains("mod") {
        return vec![(grpc, "every service has grpc/mod.rs, service/mod.rs and store/mod.rs".to_owned())];
    }
    let mut found = Vec::new();
    for noun in nouns.into_iter().filter(|noun| *noun != "mod") {
        let mut say = |what: &str| found.push((format!("{grpc}{noun}.rs"), what.to_owned()));
        if !noun.ends_with('s') {
            say("a plural noun names what the service keeps");
        }
        let service = module(tree, folder, "service", noun);
        if service.is_empty() {
            say("service/ has no file of this noun");
        }
        let changes = service.iter().any(|path| tree[path].contains("mutate("));
        if changes && module(tree, folder, "store", noun).is_empty() {
            say("it changes something, and store/ has no file of this noun");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::tree;

    const GOOD: &[(&str, &str)] = &[
        ("services/kpi/src/lib.rs", ""),
        ("services/kpi/src/grpc/mod.rs", ""),
        ("services/kpi/src/grpc/alerts.rs", ""),
        ("services/kpi/src/grpc/summaries.rs", ""),
        ("services/kpi/src/service/mod.rs", ""),
        ("services/kpi/src/service/alerts/mod.rs", ""),
        ("services/kpi/src/service/alerts/rules.rs", "mutate(&db, cx, async |m| ())"),
        ("services/kpi/src/service/summaries.rs", "reads only"),
        ("services/kpi/src/store/mod.rs", ""),
        ("services/kpi/src/store/alerts.rs", ""),
    ];

    /// What is found after `without` is taken from a good service and `with` is added.
    fn found(without: &str, with: &str) -> Vec<String> {
        let mut tree = tree(GOOD);
        tree.remove(without);
        tree.extend((!with.is_empty()).then(|| (with.to_owned(), String::new())));
        broken(&tree, &["services/kpi"], &[])
    }

    #[test]
    fn a_service_in_shape_passes() {
        assert!(found("", "").is_empty(), "{:?}", found("", ""));
    }

    #[test]
    fn a_file_beside_its_folder_is_found() {
        let expected = ["services/kpi/src/service/alerts.rs: its folder has no mod.rs: this is the file for it"];
        assert_eq!(found("", "services/kpi/src/service/alerts.rs"), expected);
        let lib = tree(&[("libs/store/src/db.rs", ""), ("libs/store/src/db/open.rs", "")]);
        assert_eq!(broken(&lib, &["libs/store"], &[]).len(), 1);
    }

    #[test]
    fn a_noun_that_does_not_go_on_is_found() {
        let expected = ["services/kpi/src/grpc/summaries.rs: service/ has no file of this noun"];
        assert_eq!(found("services/kpi/src/service/summaries.rs", ""), expected);
        let expected = ["services/kpi/src/grpc/alerts.rs: it changes something, and store/ has no file of this noun"];
        assert_eq!(found("services/kpi/src/store/alerts.rs", ""), expected);
        let singular = found("", "services/kpi/src/grpc/event.rs");
        assert_eq!(singular.len(), 2, "{singular:?}");
        assert!(singular[0].contains("a plural noun"), "{singular:?}");
        assert_eq!(found("services/kpi/src/grpc/mod.rs", "").len(), 1);
    }

    #[test]
    fn an_exception_excuses_its_file_and_must_be_needed() {
        let mut tree = tree(GOOD);
        tree.insert("services/kpi/src/grpc/event.rs".to_owned(), String::new());
        let reason = "a reason";
        assert!(broken(&tree, &["services/kpi"], &[("services/kpi/src/grpc/event.rs", reason)]).is_empty());
        tree.remove("services/kpi/src/grpc/event.rs");
        let stale = broken(&tree, &["services/kpi"], &[("services/kpi/src/grpc/event.rs", reason)]);
        assert_eq!(stale, ["services/kpi/src/grpc/event.rs needs no exception (a reason)"]);
    }
}
