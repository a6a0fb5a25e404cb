//! The dependency rules of the workspace, read from the manifests and the sources.
//!
//! A rule that is only written down is broken within a month; these fail the build instead. A rule that never
//! fails is no rule: each is a function over a tree of texts, and a test beside it breaks it.

mod layout;
mod rules;

use rules::SERVICES;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files by their paths from the root of the repository, with their texts.
type Tree = BTreeMap<String, String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The manifests and the Rust sources of `libs` and `services`; tests, examples and benches of a crate left out.
fn workspace() -> Tree {
    let mut found = Tree::new();
    let mut folders = vec![PathBuf::from("libs"), PathBuf::from("services")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("a readable folder") {
            let entry = entry.expect("a readable entry");
            let name = entry.file_name().into_string().expect("names are text");
            let path = folder.join(&name);
            if entry.path().is_dir() {
                if !matches!(name.as_str(), "tests" | "examples" | "benches" | "target") {
                    folders.push(path);
                }
            } else if name == "Cargo.toml" || name.ends_with(".rs") {
                let text = std::fs::read_to_string(entry.path()).expect("a readable source file");
                found.insert(path.to_str().expect("paths are text").to_owned(), text);
            }
        }
    }
    found
}

/// A tree of the given files.
fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn holds(broken: &[String]) {
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_workspace_is_seen() {
    let tree = workspace();
    for service in SERVICES {
        assert!(tree.contains_key(&format!("services/{service}/src/lib.rs")), "{service} is not where it was");
    }
    assert!(tree.len() > 200, "only {} files", tree.len());
}

#[test]
fn crates_depend_only_downwards() {
    holds(&rules::upward(&workspace()));
}

#[test]
fn only_the_store_names_a_database_driver() {
    holds(&rules::drivers(&workspace()));
}

#[test]
fn sql_stands_in_store_modules_only() {
    holds(&rules::sql_outside_stores(&workspace()));
}

#[test]
fn the_pure_crates_do_no_io() {
    holds(&rules::impure(&workspace()));
}

#[test]
fn services_are_given_the_civil_time() {
    holds(&rules::clocks(&workspace()));
}

#[test]
fn the_same_noun_stands_at_every_level() {
    let tree = workspace();
    holds(&layout::broken(&tree, &layout::crates(&tree), layout::APART));
}

#[tokio::test]
async fn the_tables_of_every_service_lead_with_the_tenant() {
    for service in remit::services() {
        if let Err(broken) = remit_store::testing::check_migrations(&service.schema).await {
            panic!("{}:\n{}", service.name, broken.message());
        }
    }
}

#[tokio::test]
async fn a_table_that_does_not_lead_with_the_tenant_is_found() {
    use remit_store::{Migration, Schema};
    let sql = "create table x_notes (id $KEY not null, tenant_id $KEY not null, \
               constraint x_notes_pk primary key (id, tenant_id));";
    let schema = Schema { service: "x", migrations: Box::leak(Box::new([Migration::new(1, "init", sql)])) };
    let broken = remit_store::testing::check_migrations(&schema).await.expect_err("the key leads with the id");
    assert!(
        broken.message().contains("x_notes: index") && broken.message().contains("begins with id"),
        "{}",
        broken.message()
    );
}

#[test]
fn every_statement_names_the_tenant_and_suits_both_engines() {
    for service in SERVICES {
        if let Err(broken) = remit_store::testing::check_statements(&root().join("services").join(service).join("src"))
        {
            panic!("{service}:\n{}", broken.message());
        }
    }
}

#[test]
fn a_statement_without_the_tenant_or_for_one_engine_is_found() {
    let check = |text: &str| {
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join("store.rs"), text).expect("a file can be written");
        remit_store::testing::check_statements(folder.path()).map_err(|error| error.message().to_owned())
    };
    check(r#"let rows = query("select id from notes where tenant_id = ?");"#).expect("it names the tenant");
    check(r#"let rows = query("select id from notes where id = ?");"#).expect_err("no tenant");
    check(r#"let rows = Sql::new("select id from notes where id = ");"#).expect_err("no tenant");
    let one = r#"let rows = query("select strpos(id, 'x') from notes where tenant_id = ?");"#;
    assert!(check(one).expect_err("PostgreSQL only").contains("strpos"));
}
