//! The entries of the audit log that the findings of a pack rest on, each with the proof that the log which the pack cites
//! holds it: whoever has the log's key needs nobody else to check that.

use super::pack::Unit::{Count, Text};
use super::pack::{Block, Column, Evidence};
use super::sources::{AT_ONCE, LARGEST, got};
use crate::ask::Ask;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, stream};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{Entry, EntryView, GetInclusionProofRequest, SearchOrder, SearchRequest};
use serde::{Deserialize, Serialize};

/// Of so many things that findings are about, the gravest first, entries are cited.
const MOST_RESOURCES: usize = 20;
/// So many entries about each, the newest.
const MOST_ENTRIES: i32 = 3;

/// Longer lines are left out: a pack is read whole each time that somebody works on it.
const MOST_LETTERS: usize = 16_384;

/// An entry of the log with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cited {
    /// What it is about, which is what findings name.
    pub(crate) resource: String,
    /// Its position in the log.
    pub(crate) index: i64,
    /// The line of JSON that its leaf hash is over.
    pub(crate) entry: String,
    /// The hashes from the leaf to the root of the checkpoint that the pack cites (RFC 9162), in base64.
    pub(crate) proof: Vec<String>,
}

/// The things that findings are about, the gravest first, each once.
fn resources(evidence: &Evidence) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for finding in &evidence.findings {
        // A quote would end the filter: no name has one.
        let named = finding.resource.contains('/') && !finding.resource.contains(['"', '\\', '*']);
        if named && !found.contains(&finding.resource) {
            found.push(finding.resource.clone());
        }
    }
    found.truncate(MOST_RESOURCES);
    found
}

/// The entries of a log of `size` entries about what findings name. What cannot be had is left out: that the log does not
/// answer is a finding of its own.
pub(crate) async fn entries(ask: Ask<'_>, evidence: &Evidence, size: i64) -> Vec<Cited> {
    let about = resources(evidence).into_iter().map(|resource| of_resource(ask, resource, size));
    let found: Vec<Vec<Cited>> = stream::iter(about).buffered(AT_ONCE).collect().await;
    let mut all: Vec<Cited> = found.into_iter().flatten().collect();
    all.sort_by(|a, b| (a.index, &a.resource).cmp(&(b.index, &b.resource)));
    all
}

async fn of_resource(ask: Ask<'_>, resource: String, size: i64) -> Vec<Cited> {
    let mut client = AuditServiceClient::new(ask.channel("audit")).max_decoding_message_size(LARGEST);
    let request = SearchRequest {
        filter: format!("resource = \"{resource}\" AND index < {size}"),
        order: SearchOrder::NewestFirst.into(),
        view: EntryView::Full.into(),
        page_size: MOST_ENTRIES,
        ..Default::default()
    };
    let Ok(found) = got(client.search(ask.of(request)).await) else { return Vec::new() };
    let mut cited = Vec::new();
    for entry in found.entries {
        cited.extend(proven(&mut client, ask, &resource, entry, size).await);
    }
    cited
}

async fn proven(
    client: &mut AuditServiceClient<remit_runtime::Channel>,
    ask: Ask<'_>,
    resource: &str,
    entry: Entry,
    size: i64,
) -> Option<Cited> {
    let line = String::from_utf8(entry.leaf_data).ok().filter(|line| (1..=MOST_LETTERS).contains(&line.len()))?;
    let request = GetInclusionProofRequest { name: entry.name, size };
    let proof = got(client.get_inclusion_proof(ask.of(request)).await).ok()?;
    let proof = proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
    Some(Cited { resource: resource.to_owned(), index: entry.index, entry: line, proof })
}

/// The cited entries as people read them.
pub(crate) fn table(cited: &[Cited]) -> Option<Block> {
    let of = |line: &str, field: &str| -> String {
        let value = serde_json::from_str::<serde_json::Value>(line).unwrap_or_default();
        value.get(field).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let rows: Vec<_> = cited
        .iter()
        .map(|one| {
            let (action, time) = (of(&one.entry, "action"), of(&one.entry, "recorded_at"));
            vec![(&one.resource).into(), one.index.into(), action.into(), time.into()]
        })
        .collect();
    let columns = [("about", Text), ("entry", Count), ("action", Text), ("recorded", Text)];
    let columns = columns.map(|(label, unit)| Column { label: label.to_owned(), unit }).to_vec();
    let title = "Entries that the findings rest on, each with its proof in the JSON form".to_owned();
    (!rows.is_empty()).then_some(Block::Table { title, columns, rows })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[test]
    fn a_cited_entry_is_shown_by_what_was_done_and_when() {
        let entry = r#"{"v":1,"recorded_at":"2009-06-02T10:00:00Z","action":"registry.versions.transition"}"#;
        let one = Cited { resource: "models/m/versions/1".into(), index: 12, entry: entry.into(), proof: Vec::new() };
        assert_eq!(table(&[]), None);
        let Some(Block::Table { rows, .. }) = table(&[one]) else { panic!("a table") };
        assert_eq!(rows[0][1], 12_i64.into());
        assert_eq!(rows[0][2], "registry.versions.transition".into());
        assert_eq!(rows[0][3], "2009-06-02T10:00:00Z".into());
    }
}
