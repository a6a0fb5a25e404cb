//! What `deploy/` and the operations page say of the program is so.

use remit_runtime::Config;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the repository").to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The names of instruments in the sources, as Prometheus writes them but for units and `_total`.
fn instruments() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root().join("libs"), root().join("services")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|ext| ext == "rs") {
                let source = fs::read_to_string(entry).expect("a source");
                let quoted = source.split('"').skip(1).step_by(2);
                let named = |text: &&str| ["remit.", "rpc.", "process."].iter().any(|start| text.starts_with(start));
                names.extend(quoted.filter(named).map(|name| name.replace('.', "_")));
            }
        }
    }
    names
}

#[test]
fn alerts_and_dashboards_ask_for_metrics_that_there_are() {
    let known = instruments();
    let mut asked = 0;
    for path in ["deploy/prometheus/alerts.yml", "deploy/grafana/remit.json", "docs/operations.md"] {
        let text = text(path);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| ["remit_", "rpc_server_", "process_"].iter().any(|s| word.starts_with(s))) {
            let bare = ["_bucket", "_total", "_seconds", "_bytes"]
                .iter()
                .fold(word.to_owned(), |word, end| word.strip_suffix(end).unwrap_or(&word).to_owned());
            assert!(known.contains(&bare) || known.contains(word), "{path} asks for {word}, which nothing counts");
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked} metrics found");
}

#[test]
fn every_alert_has_its_section_of_the_runbook() {
    let (alerts, page) = (text("deploy/prometheus/alerts.yml"), text("docs/operations.md"));
    let anchors: Vec<&str> = alerts.lines().filter_map(|line| line.split_once("#runbook-").map(|(_, a)| a)).collect();
    assert_eq!(anchors.len(), alerts.matches("- alert:").count());
    for anchor in anchors {
        assert!(page.contains(&format!("### Runbook: {anchor}\n")), "{anchor}");
    }
}

#[test]
fn the_configuration_for_kubernetes_can_be_read_and_names_every_service() {
    let config = Config::from_toml(&text("deploy/kubernetes/base/remit.toml")).expect("a configuration");
    let named: BTreeSet<&str> = config.peers.keys().map(String::as_str).collect();
    let services: BTreeSet<&str> = remit::services().iter().map(|service| service.name).collect();
    assert_eq!(named, services);
    let (base, compose) = (text("deploy/kubernetes/base/kustomization.yaml"), text("deploy/compose/compose.yaml"));
    for service in services {
        assert!(base.contains(service) && compose.contains(&format!("[serve, --only, {service}]")), "{service}");
        let own = text(&format!("deploy/kubernetes/base/{service}/kustomization.yaml"));
        assert!(own.contains(&format!("remit-{service}-key")), "{service}");
    }
}

#[test]
fn the_gateway_knows_every_service() {
    let gateway = text("deploy/envoy/envoy.yaml");
    let services = remit_api::pool().services().filter(|service| service.full_name().starts_with("remit."));
    let missing: Vec<_> = services
        .map(|service| service.full_name().to_owned())
        .filter(|name| !gateway.contains(&format!("- {name}\n")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
