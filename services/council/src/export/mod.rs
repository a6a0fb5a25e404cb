//! Renders a pack. The bytes depend on the pack, its signatures and its seal alone: no clock, no
//! randomness, no map order. What is written is the same for everybody who asks.

mod asks;
mod calendar;
mod charts;
mod csv;
mod first;
mod html;
mod markdown;
mod page;
mod parts;
mod tables;
mod values;
mod words;

use crate::review::Pack;
use crate::time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use remit_api::council::v1::{ExportFormat, ExportReviewResponse, Review};
use remit_api::wire::Word as _;
use remit_core::{Error, Result, canonical, digest, name};
use serde::Serialize;

/// A signature as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Signature {
    signer: String,
    seat: String,
    role_group: String,
    pack_digest: String,
    time: String,
    valid: bool,
    comment: String,
}

/// The seal as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Seal {
    time: String,
    algorithm: &'static str,
    signed: &'static str,
    signature: String,
    public_key: String,
    audit_event: String,
    /// The checkpoint that covers the one the pack cites, with the cosignatures of witnesses; empty if none are asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    cosigned_checkpoint: String,
    /// That it extends the one the pack cites (RFC 9162), in base64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consistency: Vec<String>,
}

/// A pack with what proves it.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    schema: &'static str,
    pack_digest: String,
    state: &'static str,
    pack: &'a Pack,
    signatures: Vec<Signature>,
    seal: Option<Seal>,
}

fn document<'a>(pack: &'a Pack, review: &Review) -> Result<Document<'a>> {
    let signatures = review.signatures.iter().map(|one| Signature {
        signer: one.signer.as_ref().map(|signer| signer.subject.clone()).unwrap_or_default(),
        seat: one.seat.clone(),
        role_group: one.role_group.clone(),
        pack_digest: one.pack_digest.clone(),
        time: time::text(&one.create_time),
        valid: one.valid,
        comment: one.comment.clone(),
    });
    let seal = review.seal.as_ref().map(|seal| Seal {
        time: time::text(&seal.create_time),
        algorithm: "Ed25519",
        signed: "the ASCII text of pack_digest",
        signature: STANDARD.encode(&seal.signature),
        public_key: STANDARD.encode(&seal.public_key),
        audit_event: seal.audit_event.clone(),
        cosigned_checkpoint: seal.cosigned_checkpoint.clone(),
        consistency: seal.consistency.iter().map(|hash| STANDARD.encode(hash)).collect(),
    });
    Ok(Document {
        schema: "remit.review/1",
        pack_digest: pack.digest()?,
        state: review.state().word(),
        pack,
        signatures: signatures.collect(),
        seal,
    })
}

/// Renders a pack in one form.
///
/// # Errors
/// `InvalidArgument` (`FORMAT_UNKNOWN`); `Internal` if the pack does not have the digest that was signed.
pub(crate) fn render(pack: &Pack, review: &Review, format: ExportFormat) -> Result<ExportReviewResponse> {
    let document = document(pack, review)?;
    if document.pack_digest != review.pack_digest {
        return Err(Error::internal(format!("the pack of {} does not have the digest on record", review.name)));
    }
    let (content, content_type, extension) = match format {
        ExportFormat::Json => (canonical::json(&document)?.into_bytes(), "application/json", "json"),
        ExportFormat::Html | ExportFormat::SummaryHtml => {
            let page = html::render(&parts::page(&document), format == ExportFormat::Html)?;
            let extension = if format == ExportFormat::Html { "html" } else { "summary.html" };
            (page.into_bytes(), "text/html; charset=utf-8", extension)
        }
        ExportFormat::Markdown | ExportFormat::SummaryMarkdown => {
            let page = markdown::render(&parts::page(&document), format == ExportFormat::Markdown);
            let extension = if format == ExportFormat::Markdown { "md" } else { "summary.md" };
            (page.into_bytes(), "text/markdown; charset=utf-8", extension)
        }
        ExportFormat::Csv => (csv::render(&document).into_bytes(), "text/csv; charset=utf-8", "csv"),
        ExportFormat::CsvTables => (tables::render(&document)?, "application/zip", "csv.zip"),
        ExportFormat::Icalendar => (calendar::render(pack).into_bytes(), "text/calendar; charset=utf-8", "ics"),
        ExportFormat::Unspecified => {
            return Err(Error::invalid("FORMAT_UNKNOWN", "format", "must be one of the forms of the contract"));
        }
    };
    let id = name::last(&review.name);
    Ok(ExportReviewResponse {
        content_digest: digest::sha256(&content),
        content,
        content_type: content_type.to_owned(),
        filename: format!("review-{id}.{extension}"),
        pack_digest: document.pack_digest,
    })
}

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
