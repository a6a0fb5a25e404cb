//! Searches, proofs and exports of a large log.

use super::Settings;
use super::append::{Client, fill};
use super::load::{Load, run};
use super::memory;
use super::suite::{Bench, Engine};
use super::table::{Table, count, ms};
use remit_api::audit::v1 as api;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_core::ActorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio_stream::StreamExt as _;

/// Reads of one case.
const PAGE: i32 = 50;

pub async fn run_group(engine: Engine, settings: &Settings) {
    let bench = Bench::start(engine).await;
    let filled = fill(&bench, settings.entries).await;
    println!(
        "\n{}: a log of {} entries, appended at {} a second",
        engine.name(),
        count(settings.entries as f64),
        count(filled.rate())
    );
    let client = AuditServiceClient::new(bench.connect("auditor", ActorKind::Human, "auditor").await);
    let size = i64::try_from(settings.entries).unwrap();
    let mut point = one(settings, &client, size, Kind::Entry).await;
    let point = point.percentile(0.5);
    proofs(engine, settings, &client, size, point).await;
    searches(engine, settings, &client, size, point).await;
    export(engine, &client, size).await;
    bench.stop().await;
}

#[derive(Clone, Copy)]
enum Kind {
    Entry,
    Inclusion,
    Consistency,
}

/// One caller who asks about places all over the log.
async fn one(settings: &Settings, client: &Client, size: i64, kind: Kind) -> Load {
    let (client, turn) = (client.clone(), Arc::new(AtomicU64::new(0)));
    run(1, settings.turn, move |_| {
        let (mut client, turn) = (client.clone(), turn.clone());
        async move {
            // A stride without a common factor with any size that is likely visits places in no order.
            let index = (turn.fetch_add(1, Ordering::Relaxed) as i64 * 611_953) % size;
            let name = format!("entries/{index}");
            match kind {
                Kind::Entry => {
                    let request = api::GetEntryRequest { name, ..Default::default() };
                    assert_eq!(client.get_entry(request).await.unwrap().into_inner().index, index);
                }
                Kind::Inclusion => {
                    let request = api::GetInclusionProofRequest { name, ..Default::default() };
                    assert_eq!(client.get_inclusion_proof(request).await.unwrap().into_inner().index, index);
                }
                Kind::Consistency => {
                    let request = api::GetConsistencyProofRequest { old_size: index + 1, ..Default::default() };
                    let proof = client.get_consistency_proof(request).await.unwrap().into_inner();
                    assert_eq!(proof.old_size, index + 1);
                }
            }
        }
    })
    .await
}

async fn proofs(engine: Engine, settings: &Settings, client: &Client, size: i64, point: f64) {
    let table = Table::new(
        &format!("Proofs, {}, {} entries", engine.name(), count(size as f64)),
        "One caller over gRPC, places all over the log. Floor: GetEntry, a point read over the same way. Target: p50 at \
         most twice the floor's.",
        &["call", "per second", "p50 ms", "p99 ms", "p50 ratio"],
        19,
    );
    let kinds =
        [("GetEntry", Kind::Entry), ("GetInclusionProof", Kind::Inclusion), ("GetConsistencyProof", Kind::Consistency)];
    for (name, kind) in kinds {
        let mut load = one(settings, client, size, kind).await;
        let p50 = load.percentile(0.5);
        table.row(vec![
            name.into(),
            count(load.rate()),
            ms(p50),
            ms(load.percentile(0.99)),
            format!("{:.2}", p50 / point),
        ]);
    }
}

async fn searches(engine: Engine, settings: &Settings, client: &Client, size: i64, point: f64) {
    let table = Table::new(
        &format!("Searches, {}, {} entries", engine.name(), count(size as f64)),
        "One caller over gRPC, a page of 50, newest first unless it says otherwise. Floor: 50 entries by index, which \
         is the first row.",
        &["filter", "p50 ms", "p99 ms", "rows", "p50 ratio"],
        72,
    );
    let day = |entry: i64| remit_core::Timestamp((1_767_225_600 + entry / 50) * 1_000_000).to_string();
    let middle = size / 2;
    let filters = [
        (format!("index >= {middle} AND index < {}", middle + 50), false),
        (String::new(), false),
        ("actor = \"person-0042@example.com\"".to_owned(), false),
        ("action = \"registry.labels.set\"".to_owned(), false),
        ("resource = \"models/m123/*\"".to_owned(), false),
        ("outcome = DENIED".to_owned(), true),
        (format!("request_id = \"req-{middle:012}\""), false),
        (format!("trace_id = \"{:032x}\"", middle + 1), false),
        (format!("occurred_at >= \"{}\" AND occurred_at < \"{}\"", day(middle), day(middle + 10_000)), false),
        (format!("recorded_at >= \"{}\"", day(size - 5_000)), true),
        ("actor = \"person-0042@example.com\" AND outcome = DENIED".to_owned(), false),
        ("action = \"registry.labels.set\" AND resource = \"models/m123/*\"".to_owned(), false),
        (format!("outcome = DENIED AND occurred_at < \"{}\"", day(middle)), false),
        ("actor = \"nobody@example.com\"".to_owned(), false),
        ("details.to = SUSPENDED".to_owned(), false),
        ("model_version = \"models/m123/versions/4\" AND reason = drift".to_owned(), false),
        ("outcome != SUCCESS AND action = \"registry.labels.*\"".to_owned(), false),
    ];
    let mut floor = point;
    for (at, (filter, oldest)) in filters.into_iter().enumerate() {
        let order = if oldest { api::SearchOrder::OldestFirst } else { api::SearchOrder::NewestFirst };
        let request =
            api::SearchRequest { filter: filter.clone(), order: order.into(), page_size: PAGE, ..Default::default() };
        let rows = client.clone().search(request.clone()).await.unwrap().into_inner().entries.len();
        let client = client.clone();
        let mut load = run(1, settings.turn / 2, move |_| {
            let (mut client, request) = (client.clone(), request.clone());
            async move {
                client.search(request).await.unwrap();
            }
        })
        .await;
        let p50 = load.percentile(0.5);
        if at == 0 {
            floor = p50;
        }
        let shown = if filter.is_empty() { "(none)".to_owned() } else { filter };
        table.row(vec![
            if oldest { format!("{shown}, oldest first") } else { shown },
            ms(p50),
            ms(load.percentile(0.99)),
            rows.to_string(),
            format!("{:.2}", p50 / floor),
        ]);
    }
}

async fn export(engine: Engine, client: &Client, size: i64) {
    let table = Table::new(
        &format!("Export, {}, {} entries", engine.name(), count(size as f64)),
        "The whole log with its proofs over gRPC. Memory is the resident size of this process, client and server, \
         before, and at most during the export.",
        &["", "entries/s", "MiB", "MiB before", "MiB peak"],
        6,
    );
    let before = memory::resident();
    let exact = memory::reset_peak();
    let start = Instant::now();
    let request = api::ExportRequest { end_index: 0, ..Default::default() };
    let mut stream = client.clone().export(request).await.unwrap().into_inner();
    let (mut bytes, mut peak) = (0, before);
    while let Some(part) = stream.next().await {
        bytes += part.unwrap().data.len();
        peak = peak.max(memory::resident());
    }
    let peak = if exact { memory::peak() } else { peak };
    table.row(vec![
        "export".into(),
        count(size as f64 / start.elapsed().as_secs_f64()),
        count(bytes as f64 / f64::from(1 << 20)),
        count(before),
        count(peak),
    ]);
}
