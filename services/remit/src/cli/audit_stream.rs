//! `remit audit search` as a stream of lines, for other programs.

use super::connect::{Session, answer};
use super::list::ListArgs;
use super::output::{json, print_raw};
use prost_types::Timestamp;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{Entry, SearchOrder, SearchRequest};
use remit_core::{Error, Result};
use remit_sheet::inert;

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON text a line.
    Ndjson,
    /// CSV (RFC 4180) with a header.
    Csv,
}

/// The most entries that a server gives in one page.
const PAGE: usize = 1_000;

const HEADER: [&str; 17] = [
    "index",
    "recorded_at",
    "occurred_at",
    "integrated_at",
    "actor",
    "actor_kind",
    "on_behalf_of",
    "action",
    "resource",
    "outcome",
    "reason",
    "service",
    "model_version",
    "policy_version",
    "request_id",
    "trace_id",
    "details",
];

/// Prints entries as they are found, and where to go on if there are more than were asked for.
pub(super) async fn stream(
    session: &Session,
    order: SearchOrder,
    list: ListArgs,
    from: String,
    form: Form,
) -> Result<()> {
    let mut client = AuditServiceClient::new(session.wire());
    let ListArgs { filter, limit } = list;
    let (mut left, mut page_token) = (limit, from);
    if form == Form::Csv && page_token.is_empty() {
        print_raw(&line(HEADER)?)?;
    }
    while left > 0 {
        let page_size = i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX);
        let filter = filter.clone();
        let request = SearchRequest { filter, order: order.into(), page_size, page_token, ..Default::default() };
        let page = answer(client.search(request).await)?;
        left = left.saturating_sub(page.entries.len());
        for entry in &page.entries {
            match form {
                Form::Ndjson => print_raw(ndjson(entry)?.as_bytes())?,
                Form::Csv => print_raw(&line(cells(entry))?)?,
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(());
        }
    }
    session.out.note(&format!("more than {limit}: go on with --page-token {page_token}"));
    Ok(())
}

/// An entry as one JSON text with its line feed. Proto JSON leaves zeros out, and the first entry has an index too.
pub(super) fn ndjson(entry: &Entry) -> Result<String> {
    let mut value = json(entry)?;
    if let Some(fields) = value.as_object_mut() {
        fields.entry("index").or_insert_with(|| entry.index.to_string().into());
    }
    Ok(format!("{value}\n"))
}

fn cells(entry: &Entry) -> [String; 17] {
    let event = entry.event.clone().unwrap_or_default();
    let actor = event.actor.clone().unwrap_or_default();
    let word = |name: &str, prefix: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    let (kind, outcome) =
        (word(actor.kind().as_str_name(), "ACTOR_KIND_"), word(event.outcome().as_str_name(), "OUTCOME_"));
    [
        entry.index.to_string(),
        time(event.recorded_at.as_ref()),
        time(event.occurred_at.as_ref()),
        time(entry.integrated_at.as_ref()),
        actor.subject,
        kind,
        actor.on_behalf_of,
        event.action,
        event.resource,
        outcome,
        event.reason,
        event.service,
        event.model_version,
        event.policy_version,
        event.request_id,
        event.trace_id,
        event.details_json,
    ]
}

fn time(at: Option<&Timestamp>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// One line. What callers wrote must not become a formula where the file is opened in a spreadsheet.
fn line<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> Result<Vec<u8>> {
    let failed = |error: String| Error::internal(format!("cannot write CSV: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let cells = cells.into_iter().map(|cell| inert(cell.as_ref()).into_owned());
    writer.write_record(cells).map_err(|error| failed(error.to_string()))?;
    writer.into_inner().map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::audit::v1::{Event, Outcome};
    use remit_api::types::{Actor, ActorKind};

    #[test]
    fn the_first_entry_has_an_index_too() {
        for index in [0, 7] {
            let line = ndjson(&Entry { index, ..Entry::default() }).unwrap();
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value.get("index"), Some(&index.to_string().into()), "{line}");
        }
    }

    #[test]
    fn an_entry_is_one_line_that_no_spreadsheet_runs() {
        let actor = Actor { subject: "=cmd()".into(), kind: ActorKind::Ai.into(), ..Actor::default() };
        let event = Event {
            actor: Some(actor),
            outcome: Outcome::Denied.into(),
            reason: "no, \"not\" now".into(),
            recorded_at: Some(Timestamp { seconds: 1_767_225_600, nanos: 5_000 }),
            details_json: "{\"a\":1}".into(),
            ..Event::default()
        };
        let entry = Entry { index: 7, event: Some(event), ..Entry::default() };
        let text = String::from_utf8(line(cells(&entry)).unwrap()).unwrap();
        assert_eq!(
            text,
            "7,2026-01-01T00:00:00.000005Z,,,'=cmd(),AI,,,,DENIED,\"no, \"\"not\"\" now\",,,,,,\"{\"\"a\"\":1}\"\n"
        );
        let header = String::from_utf8(line(HEADER).unwrap()).unwrap();
        assert_eq!(header.matches(',').count(), HEADER.len() - 1);
    }
}
