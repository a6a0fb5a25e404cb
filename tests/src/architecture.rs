//! The dependency rules of the workspace, read from the manifests and the sources.
//!
//! A rule that is only written down is broken within a month; these fail the build instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SERVICES: [&str; 6] =
    ["remit-scoring", "remit-registry", "remit-handoff", "remit-audit", "remit-kpi", "remit-council"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every crate of the workspace with the workspace crates that it depends on outside tests.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for group in ["libs", "services"] {
        for entry in std::fs::read_dir(root().join(group)).expect("the workspace has this folder") {
            let manifest = entry.expect("a readable folder").path().join("Cargo.toml");
            let text = std::fs::read_to_string(&manifest).expect("every crate has a manifest");
            let manifest: toml::Table = text.parse().expect("a valid manifest");
            let name = manifest["package"]["name"].as_str().expect("a crate has a name").to_owned();
            let mut uses = Vec::new();
            for table in ["dependencies", "build-dependencies"] {
                if let Some(table) = manifest.get(table).and_then(toml::Value::as_table) {
                    uses.extend(table.keys().filter(|key| *key == "remit" || key.starts_with("remit-")).cloned());
                }
            }
            found.insert(name, uses);
        }
    }
    found
}

/// Every Rust source file below `dir`, tests and examples left out.
fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("a readable source file");
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn crates_depend_only_downwards() {
    let base: &[&str] = &["remit-core", "remit-tlog", "remit-drift"];
    let mut allowed: BTreeMap<&str, Vec<&str>> = BTreeMap::from([
        ("remit-core", vec![]),
        ("remit-policy", vec!["remit-core"]),
        ("remit-tlog", vec![]),
        ("remit-drift", vec![]),
        ("remit-api", vec!["remit-core"]),
        ("remit-store", base.to_vec()),
        ("remit-runtime", [base, &["remit-store", "remit-api"]].concat()),
    ]);
    for service in SERVICES {
        allowed.insert(service, [base, &["remit-store", "remit-api", "remit-runtime"]].concat());
    }
    allowed.insert("remit", [base, &["remit-store", "remit-api", "remit-runtime"], &SERVICES].concat());
    // CEL is large: whoever does not evaluate policies must not wait for it.
    for user in ["remit-scoring", "remit"] {
        allowed.entry(user).or_default().push("remit-policy");
    }

    for (name, uses) in dependencies() {
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not in the map of the workspace"));
        for used in uses {
            assert!(allowed.contains(&used.as_str()), "{name} must not depend on {used}");
        }
    }
}

#[test]
fn only_the_store_names_a_database_driver() {
    for (name, _) in dependencies() {
        if name == "remit-store" {
            continue;
        }
        let folder = folder_of(&name);
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("every crate has a manifest");
        assert!(!manifest.contains("sqlx"), "{name} names the database driver in its manifest");
        for (path, text) in sources(&folder.join("src")) {
            assert!(!text.contains("sqlx::"), "{} names the database driver", path.display());
        }
    }
}

#[test]
fn sql_stands_in_store_modules_only() {
    for service in SERVICES {
        for (path, text) in sources(&folder_of(service).join("src")) {
            let shown = path.display().to_string();
            // The check of the stored log reads the tables without the code that wrote them, so that a fault in
            // that code is found and not repeated.
            let is_store = ["/store/", "/store.rs", "/audit/src/fsck/"].iter().any(|part| shown.contains(part));
            let has_sql = text.lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//") && (line.contains("query(\"") || line.contains("query(\n"))
            });
            assert!(is_store || !has_sql, "{shown} holds SQL outside a store module");
        }
    }
}

#[test]
fn the_pure_crates_do_no_io() {
    for name in ["remit-core", "remit-policy", "remit-tlog", "remit-drift"] {
        for (path, text) in sources(&folder_of(name).join("src")) {
            for word in ["tokio", "std::fs", "std::net", "tonic", "sqlx"] {
                let used = text
                    .lines()
                    .any(|line| !line.trim_start().starts_with("//") && line.contains(&format!("{word}::")));
                assert!(!used, "{} uses {word}", path.display());
            }
        }
    }
}

#[test]
fn only_the_system_clock_reads_the_time() {
    let injected = ["SystemTime::now", "Instant::now()", "Timestamp::now()", "Zoned::now()"];
    for service in SERVICES {
        for (path, text) in sources(&folder_of(service).join("src")) {
            // A monotonic Instant measures how long something took; only civil time must be injected.
            for word in injected.iter().filter(|word| **word != "Instant::now()") {
                assert!(!text.contains(word), "{} reads the time by {word}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn the_tables_of_every_service_lead_with_the_tenant() {
    for service in remit::services() {
        if let Err(broken) = remit_store::testing::check_migrations(&service.schema).await {
            panic!("{}:\n{}", service.name, broken.message());
        }
    }
}

#[test]
fn every_statement_names_the_tenant_and_suits_both_engines() {
    for service in SERVICES {
        if let Err(broken) = remit_store::testing::check_statements(&folder_of(service).join("src")) {
            panic!("{service}:\n{}", broken.message());
        }
    }
}

fn folder_of(name: &str) -> PathBuf {
    let short = name.strip_prefix("remit-").unwrap_or(name);
    ["libs", "services"]
        .into_iter()
        .map(|group| root().join(group).join(short))
        .find(|path| path.is_dir())
        .unwrap_or_else(|| panic!("{name} has no folder"))
}
