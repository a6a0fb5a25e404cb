//! `remit review`.

use super::Group;
use super::connect::{Session, answer};
use super::list::{ListArgs, Page};
use super::output::{Column, print_raw};
use super::target;
use super::values::named;
use clap::{Subcommand, ValueEnum};
use remit_api::council::v1::review_service_client::ReviewServiceClient;
use remit_api::council::v1::{
    ExportFormat, ExportReviewRequest, GetReviewRequest, ListReviewsRequest, OpenReviewRequest,
};
use remit_core::{Error, Result};
use std::path::{Path, PathBuf};

/// What to do with reviews.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List reviews, such as those with 'state = "OPEN"'.
    List(ListArgs),
    /// Show a review.
    Show {
        /// The review.
        name: String,
    },
    /// Open the review of a month and freeze its evidence.
    Open {
        /// The month, such as 2026-05.
        month: String,
        /// The body; the steering group if absent.
        #[arg(long, default_value = "")]
        body: String,
    },
    /// Write the review pack to a file or to standard output.
    Export {
        /// The review.
        name: String,
        /// The form.
        #[arg(long, value_enum, default_value = "html")]
        format: Form,
        /// The file; '-' is standard output; a directory takes the pack under its own name.
        #[arg(long, short, alias = "out", value_name = "FILE", default_value = ".")]
        output: PathBuf,
    },
}

/// The form of a pack.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Form {
    /// Canonical JSON.
    Json,
    /// A page with charts, which prints well.
    Html,
    /// Markdown.
    Markdown,
    /// Tables as CSV.
    Csv,
}

const COLUMNS: &[Column] = &[
    ("REVIEW", "name", "reviews/"),
    ("PERIOD", "period", ""),
    ("BODY", "body", "bodies/"),
    ("STATE", "state", "REVIEW_STATE_"),
    ("MISSING", "missing", ""),
    ("UNAVAILABLE", "unavailable", ""),
    ("FROZEN", "freezeTime", ""),
];

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = ReviewServiceClient::new(session.wire());
    match group.command {
        Command::List(list) => {
            session
                .list(list, COLUMNS, async |page: Page| {
                    let request =
                        ListReviewsRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_reviews(request).await?.into_inner();
                    Ok((page.reviews, page.next_page_token))
                })
                .await
        }
        Command::Show { name } => {
            let request = GetReviewRequest { name: named("reviews", &name) };
            session.show(client.get_review(request).await)
        }
        Command::Open { month, body } => {
            let body = if body.is_empty() { body } else { named("bodies", &body) };
            let request = OpenReviewRequest { period: month, body, request_id: session.request_id() };
            session.row(client.open_review(request).await, COLUMNS)
        }
        Command::Export { name, format, output } => {
            let format = match format {
                Form::Json => ExportFormat::Json,
                Form::Html => ExportFormat::Html,
                Form::Markdown => ExportFormat::Markdown,
                Form::Csv => ExportFormat::Csv,
            };
            let request = ExportReviewRequest { name: named("reviews", &name), format: format.into() };
            let pack = answer(client.export_review(request).await)?;
            if output == Path::new("-") {
                return print_raw(&pack.content);
            }
            let path = if output.is_dir() { output.join(filename(&pack.filename)?) } else { output };
            target::write(&path, &pack.content)?;
            let text = format!("wrote {} ({})", path.display(), pack.content_digest);
            session.out.text(&text, || {
                Ok(serde_json::json!({
                    "path": path.display().to_string(), "contentDigest": pack.content_digest, "packDigest": pack.pack_digest,
                }))
            })
        }
    }
}

/// The last part of a name that a server gave, which must not lead out of the directory.
fn filename(given: &str) -> Result<&str> {
    let plain = Path::new(given).file_name().and_then(|name| name.to_str()).filter(|name| *name == given);
    plain.ok_or_else(|| Error::internal(format!("the server named the pack {given:?}, which is no file name")))
}
