//! `remit review`.

use super::Group;
use super::connect::{Session, answer, text};
use super::list::{ListArgs, Page};
use super::output::{Column, print_raw};
use super::review_verify::{self, Verify};
use super::target;
use super::values::{named, time};
use clap::{Subcommand, ValueEnum};
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::action_item_service_client::ActionItemServiceClient;
use remit_api::council::v1::proposal_service_client::ProposalServiceClient;
use remit_api::council::v1::review_service_client::ReviewServiceClient;
use remit_api::council::v1::{
    Action, ActionItem, Attendance, Collection, CreateActionItemRequest, CreateProposalRequest, DeclareRecusalRequest,
    DisposeFindingRequest, Disposition, ExportFormat, ExportReviewRequest, Finding, GetReviewRequest,
    ListReviewsRequest, OpenReviewRequest, Proposal, RecordAttendanceRequest, RecordMinutesRequest,
    RefreshEvidenceRequest, Review, ReviewState, SealReviewRequest, SignReviewRequest, SuspendModel,
};
use remit_core::{Error, Kind as ErrorKind, Result, name};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::Response;

/// How often it is asked how far a collection is.
const BETWEEN: Duration = Duration::from_millis(300);

/// What to do with reviews.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List reviews, such as those with 'state = "OPEN"'.
    List(ListArgs),
    /// Show a review as its first page: what is asked of whom by when. All of the record with --json.
    Show {
        /// The review.
        name: String,
    },
    /// Check a pack in its JSON form offline, without server or token. Exit code 3 if anything is wrong.
    Verify(Verify),
    /// Collect the evidence of an open review anew, and wait for it; voids signatures.
    Refresh {
        /// The review.
        name: String,
        /// Do not wait: the evidence is collected all the same.
        #[arg(long)]
        no_wait: bool,
    },
    /// Record who takes part; replaces what was recorded before.
    Attend {
        /// The review.
        name: String,
        /// A member who is present; may be repeated.
        #[arg(long = "present", value_name = "SUBJECT", required_unless_present = "absent")]
        present: Vec<String>,
        /// A member who is not; may be repeated.
        #[arg(long = "absent", value_name = "SUBJECT")]
        absent: Vec<String>,
    },
    /// Declare your conflict of interest for a section, such as drift, or for a finding.
    Recuse {
        /// The review.
        name: String,
        /// The section or the finding.
        item: String,
        /// The conflict.
        #[arg(long)]
        reason: String,
    },
    /// Replace the minutes by a text file.
    Minutes {
        /// The review.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// Say what follows from a finding.
    Dispose {
        /// The review.
        name: String,
        /// The finding.
        finding: String,
        /// What follows.
        #[arg(value_enum)]
        outcome: Outcome,
        /// Why.
        #[arg(long)]
        note: String,
        /// The proposal or action item that follows.
        #[arg(long, default_value = "")]
        reference: String,
    },
    /// Put what a finding suggests to the vote, and say so in the review.
    Propose {
        /// The review.
        name: String,
        /// The finding.
        finding: String,
        /// Why.
        #[arg(long)]
        rationale: String,
    },
    /// Give a finding an owner: makes an action item, and says so in the review.
    Assign {
        /// The review.
        name: String,
        /// The finding.
        finding: String,
        /// The person who sees to it.
        #[arg(long)]
        owner: String,
        /// By when, such as 2026-07-21.
        #[arg(long)]
        due: String,
        /// What is to be done.
        #[arg(long)]
        note: String,
    },
    /// Sign the pack. The signature is bound to what the digest stands for.
    Sign {
        /// The review.
        name: String,
        /// The digest of the pack that you read, which `remit review show` and every form of the pack print.
        #[arg(long)]
        digest: String,
        /// A comment.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Seal a review that enough members signed. It never changes again.
    Seal {
        /// The review.
        name: String,
        /// Why it is sealed although a source was away or findings are undecided; asked for only then.
        #[arg(long, value_name = "REASON", default_value = "")]
        acknowledgement: String,
    },
    /// Open the review of a month, and wait until its evidence is frozen.
    Open {
        /// The month, such as 2026-05.
        month: String,
        /// The body; the steering group if absent.
        #[arg(long, default_value = "")]
        body: String,
        /// Do not wait: the evidence is collected all the same.
        #[arg(long)]
        no_wait: bool,
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
    /// All values in one CSV, a line each.
    Csv,
    /// One CSV for each table, in a ZIP archive.
    CsvTables,
    /// What is due, as iCalendar.
    Icalendar,
    /// The first page alone, as a page.
    Summary,
    /// The first page alone, as Markdown.
    SummaryMarkdown,
}

impl Form {
    fn format(self) -> ExportFormat {
        match self {
            Self::Json => ExportFormat::Json,
            Self::Html => ExportFormat::Html,
            Self::Markdown => ExportFormat::Markdown,
            Self::Csv => ExportFormat::Csv,
            Self::CsvTables => ExportFormat::CsvTables,
            Self::Icalendar => ExportFormat::Icalendar,
            Self::Summary => ExportFormat::SummaryHtml,
            Self::SummaryMarkdown => ExportFormat::SummaryMarkdown,
        }
    }
}

/// What follows from a finding.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Outcome {
    /// It is noted, and nothing follows.
    Noted,
    /// An action item follows.
    ActionItem,
    /// A proposal follows.
    Proposal,
    /// The risk is accepted.
    RiskAccepted,
}

impl Outcome {
    fn disposition(self) -> Disposition {
        match self {
            Self::Noted => Disposition::Noted,
            Self::ActionItem => Disposition::ActionItem,
            Self::Proposal => Disposition::Proposal,
            Self::RiskAccepted => Disposition::RiskAccepted,
        }
    }
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

/// Runs the command. What checks a pack needs no server, and must not.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    match group.command {
        Command::Verify(arguments) => review_verify::verify(group.connection.json, &arguments),
        command => served(&Session::open(&group.connection).await?, command).await,
    }
}

async fn served(session: &Session, command: Command) -> Result<()> {
    let mut client = ReviewServiceClient::new(session.wire());
    let request_id = session.request_id();
    match command {
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
        Command::Show { name } => show(session, &named("reviews", &name)).await,
        Command::Verify(arguments) => review_verify::verify(session.out.json, &arguments),
        Command::Open { month, body, no_wait } => {
            let body = if body.is_empty() { body } else { named("bodies", &body) };
            let request = OpenReviewRequest { period: month, body, request_id };
            let review = client.open_review(request).await;
            if no_wait { session.row(review, COLUMNS) } else { collected(session, answer(review)?).await }
        }
        Command::Refresh { name, no_wait } => {
            let request = RefreshEvidenceRequest { name: named("reviews", &name), request_id };
            let review = client.refresh_evidence(request).await;
            if no_wait { session.row(review, COLUMNS) } else { collected(session, answer(review)?).await }
        }
        Command::Attend { name, present, absent } => {
            let one = |present: bool| move |subject| Attendance { subject, present, role_group: String::new() };
            let attendance = present.into_iter().map(one(true)).chain(absent.into_iter().map(one(false))).collect();
            let request = RecordAttendanceRequest { name: named("reviews", &name), attendance, request_id };
            session.row(client.record_attendance(request).await, COLUMNS)
        }
        Command::Recuse { name, item, reason } => {
            let request = DeclareRecusalRequest { name: named("reviews", &name), item, reason, request_id };
            session.row(client.declare_recusal(request).await, COLUMNS)
        }
        Command::Minutes { name, file } => {
            let request = RecordMinutesRequest { name: named("reviews", &name), minutes: text(&file)?, request_id };
            session.row(client.record_minutes(request).await, COLUMNS)
        }
        Command::Dispose { name, finding, outcome, note, reference } => {
            let disposition = outcome.disposition().into();
            let name = named("reviews", &name);
            let request = DisposeFindingRequest { name, finding, disposition, reference, note, request_id };
            session.row(client.dispose_finding(request).await, COLUMNS)
        }
        Command::Propose { name, finding, rationale } => {
            propose(session, &named("reviews", &name), &finding, rationale).await
        }
        Command::Assign { name, finding, owner, due, note } => {
            let item = ActionItem { owner, due_time: Some(time(&due, "due")?), ..ActionItem::default() };
            assign(session, &named("reviews", &name), &finding, item, note).await
        }
        Command::Sign { name, digest, comment } => {
            let name = named("reviews", &name);
            let request = SignReviewRequest { name, pack_digest: digest, comment, request_id };
            session.row(client.sign_review(request).await, COLUMNS)
        }
        Command::Seal { name, acknowledgement } => {
            let request = SealReviewRequest { name: named("reviews", &name), request_id, acknowledgement };
            session.row(client.seal_review(request).await, COLUMNS)
        }
        Command::Export { name, format, output } => export(session, &named("reviews", &name), format, output).await,
    }
}

/// Waits until the evidence of a review is there, and says meanwhile what is waited for.
async fn collected(session: &Session, mut review: Review) -> Result<()> {
    let mut client = ReviewServiceClient::new(session.wire());
    let mut said = String::new();
    while review.state() == ReviewState::Collecting {
        let now = so_far(review.collection.as_ref());
        if now != said {
            session.out.note(&now);
            said = now;
        }
        tokio::time::sleep(BETWEEN).await;
        review = answer(client.get_review(GetReviewRequest { name: review.name }).await)?;
    }
    session.row(Ok(Response::new(review)), COLUMNS)
}

/// How far a collection is, in one line.
fn so_far(collection: Option<&Collection>) -> String {
    let Some(now) = collection else { return "the evidence waits for its turn".to_owned() };
    let mut said = match now.waiting_for.as_slice() {
        [] => "the evidence is being put together".to_owned(),
        waiting => format!("waiting for {}", waiting.join(", ")),
    };
    if now.entry_count > 0 {
        said.push_str(&format!("; {} of {} entries verified", now.verified_entry_count, now.entry_count));
    }
    if !now.error.is_empty() {
        said.push_str(&format!("; tried again, as it failed: {}", now.error));
    }
    said
}

/// Shows the first page; what else there is to know of a review that has none yet, or that the caller may not export.
async fn show(session: &Session, name: &str) -> Result<()> {
    let mut client = ReviewServiceClient::new(session.wire());
    let review = answer(client.get_review(GetReviewRequest { name: name.to_owned() }).await)?;
    if session.out.json || review.state() == ReviewState::Collecting {
        return session.out.show(&review);
    }
    let request = ExportReviewRequest { name: name.to_owned(), format: ExportFormat::SummaryMarkdown.into() };
    let page = match answer(client.export_review(request).await) {
        Ok(page) => page,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            session.out.note("the pack itself is not for this token: only the record is shown");
            return session.out.show(&review);
        }
        Err(error) => return Err(error),
    };
    let page = String::from_utf8_lossy(&page.content).into_owned();
    let signing = format!("{page}\nTo sign: remit review sign {} --digest {}", name::last(name), review.pack_digest);
    session.out.text(&signing, || Ok(serde_json::Value::Null))
}

async fn export(session: &Session, name: &str, format: Form, output: PathBuf) -> Result<()> {
    let mut client = ReviewServiceClient::new(session.wire());
    let request = ExportReviewRequest { name: name.to_owned(), format: format.format().into() };
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

/// The review and one of its findings.
async fn found(session: &Session, name: &str, id: &str) -> Result<(Review, Finding)> {
    let mut client = ReviewServiceClient::new(session.wire());
    let review = answer(client.get_review(GetReviewRequest { name: name.to_owned() }).await)?;
    let finding = review.findings.iter().find(|finding| finding.id == id).cloned();
    let finding = finding.ok_or_else(|| Error::not_found("FINDING_NOT_FOUND", id))?;
    Ok((review, finding))
}

/// The first so many characters.
fn short(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// An id for what follows from a finding: the same each time, so that a repetition makes nothing twice.
fn follow_up(review: &Review, finding: &Finding) -> String {
    let told = remit_core::digest::sha256(format!("{}/{}", review.name, finding.id).as_bytes());
    let code = finding.code.to_lowercase().replace('_', "-");
    format!("{}-{}", short(&code, 40), told.get(7..19).unwrap_or_default())
}

/// The act that a finding suggests.
fn suggested(finding: &Finding) -> Result<Kind> {
    let model_version = finding.resource.clone();
    match finding.suggested_action.as_str() {
        "suspend_model" => Ok(Kind::SuspendModel(SuspendModel { model_version })),
        other => {
            let message = format!("{} suggests {other:?}: write it down for remit proposal create", finding.id);
            Err(Error::precondition("NOTHING_SUGGESTED", message))
        }
    }
}

async fn dispose(
    session: &Session,
    review: &str,
    finding: &str,
    outcome: Outcome,
    what: (String, String),
) -> Result<()> {
    let mut client = ReviewServiceClient::new(session.wire());
    let (reference, note) = what;
    let request = DisposeFindingRequest {
        name: review.to_owned(),
        finding: finding.to_owned(),
        disposition: outcome.disposition().into(),
        reference,
        note,
        request_id: format!("{}-dispose", session.request_id()),
    };
    session.row(client.dispose_finding(request).await, COLUMNS)
}

async fn propose(session: &Session, name: &str, finding: &str, rationale: String) -> Result<()> {
    let (review, finding) = found(session, name, finding).await?;
    let mut client = ProposalServiceClient::new(session.wire());
    let proposal = Proposal {
        title: short(&finding.title, 200),
        rationale: rationale.clone(),
        evidence: vec![format!("{}: {}", review.name, finding.id), review.pack_digest.clone()],
        action: Some(Action { kind: Some(suggested(&finding)?) }),
        body: review.body.clone(),
        ..Proposal::default()
    };
    let request = CreateProposalRequest {
        proposal_id: follow_up(&review, &finding),
        proposal: Some(proposal),
        open: true,
        request_id: session.request_id(),
    };
    let proposal = answer(client.create_proposal(request).await)?;
    let vote =
        format!("remit proposal vote {} approve --digest {}", name::last(&proposal.name), proposal.content_digest);
    session.out.note(&format!("the vote is open; others vote with: {vote}"));
    dispose(session, name, &finding.id, Outcome::Proposal, (proposal.name, rationale)).await
}

async fn assign(session: &Session, name: &str, finding: &str, item: ActionItem, note: String) -> Result<()> {
    let (review, finding) = found(session, name, finding).await?;
    let mut client = ActionItemServiceClient::new(session.wire());
    let item = ActionItem {
        title: short(&finding.title, 200),
        description: note.clone(),
        origin: review.name.clone(),
        ..item
    };
    let request = CreateActionItemRequest {
        action_item_id: follow_up(&review, &finding),
        action_item: Some(item),
        request_id: session.request_id(),
    };
    let item = answer(client.create_action_item(request).await)?;
    dispose(session, name, &finding.id, Outcome::ActionItem, (item.name, note)).await
}

/// The last part of a name that a server gave, which must not lead out of the directory.
fn filename(given: &str) -> Result<&str> {
    let plain = Path::new(given).file_name().and_then(|name| name.to_str()).filter(|name| *name == given);
    plain.ok_or_else(|| Error::internal(format!("the server named the pack {given:?}, which is no file name")))
}
