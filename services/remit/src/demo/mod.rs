//! The main job from end to end, through the public gRPC API only: `remit demo`.
//!
//! Different people and programs act with tokens of their own, on the manual clock. Every call carries a
//! request id that follows from the data, so a run that was killed can be started again on the same data
//! directory: what was done answers as before, what was not is done now.

pub mod actors;
mod constitution;
mod creative;
pub mod data;
mod files;
mod gates;
mod governance;
pub mod inbox;
mod inventory;
mod leads;
mod models;
mod names;
mod proof;
pub mod report;
mod reviews;
mod sample;
mod tasks;

use actors::Actors;
use data::{Data, VERSIONS, next_month, start_of};
use futures::future::LocalBoxFuture;
use jiff::civil::Date;
use remit_api::council::v1::{DriftVerdict, ExportFormat};
use remit_core::{Error, Result, Timestamp};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use report::Row;

/// Days after the month's end at which the review is opened (A25).
const CUT_OFF: Duration = Duration::from_secs(3 * 86_400);

/// Everything that a run found, for the table and for the tests.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What step 1 decided.
    pub decided: tasks::Decided,
    /// The calls that were refused in step 2, as they had to be.
    pub refusals: Vec<models::Refusal>,
    /// One row a month.
    pub rows: Vec<Row>,
    /// What step 4 proved.
    pub proof: proof::Proof,
    /// The review packs that were written.
    pub packs: Vec<PathBuf>,
    /// Who heard of it.
    pub heard: inbox::Heard,
}

/// Hears what the demo is doing, for the terminal.
pub trait Observer: Send + Sync {
    /// A step begins.
    fn step(&self, number: u8, text: &str);
    /// Something worth a line happened.
    fn line(&self, text: &str);
    /// One month of `total` is done.
    fn month(&self, done: usize, total: usize, label: &str);
}

/// Runs the story on the suite that `actors` talk to, and writes packs and the export below `out`.
///
/// # Errors
/// `FailedPrecondition` with the service's own reason if a call is refused that should not be;
/// `Unavailable` if a file cannot be written.
pub fn run<'a>(
    actors: &'a Actors,
    data: &'a Data,
    out: &'a Path,
    observer: &'a dyn Observer,
) -> LocalBoxFuture<'a, Result<Outcome>> {
    Box::pin(tell(actors, data, out, observer))
}

async fn tell(actors: &Actors, data: &Data, out: &Path, observer: &dyn Observer) -> Result<Outcome> {
    let months = data.months();
    let Some(&first) = months.first() else { return Err(Error::invalid("DATA_EMPTY", "leads", "must not be empty")) };
    let start = Timestamp(start_of(first).0 - 86_400 * 1_000_000);
    actors.advance(start).await?;
    let receiver = inbox::listen(actors).await?;

    observer.step(1, "Import, rate and decide the task inventory");
    let decided = tasks::run(actors, data).await?;
    report::decided(&decided, observer);

    observer.step(2, "Make the constitution; register the models; the steering group approves them by quorum");
    constitution::bootstrap(actors).await?;
    let mut refusals = models::run(actors, data, start).await?;
    refusals.extend(constitution::try_to_get_round(actors).await?);
    for refusal in &refusals {
        observer.line(&format!("  refused: {} ({})", refusal.attempt, refusal.reason));
    }
    gates::run(actors).await?;

    observer.step(3, "Run the months: check, record, route, measure; review and decide at each month's end");
    let mut run = Run { actors, data, out, version: 0, rows: Vec::new(), packs: Vec::new() };
    observer.month(0, months.len(), &period_of(first));
    for (done, &month) in months.iter().enumerate() {
        run.month(month, observer).await?;
        observer.month(done + 1, months.len(), &period_of(month));
    }

    observer.step(4, "Erase one lead; verify the audit log offline; show that tampering is found");
    let proof = proof::run(actors, out, &data.leads[0].id).await?;
    report::proven(&proof, observer);

    observer.step(5, "Who heard of it: a receiver of webhooks, and the inbox of each member");
    let heard = inbox::show(actors, &receiver, out, observer).await?;

    observer.step(6, "Review packs and the table");
    report::index(out, &data.source, &run.rows, &reviews::left_open(actors).await?)?;
    Ok(Outcome { decided, refusals, rows: run.rows, proof, packs: run.packs, heard })
}

/// A month as the suite names it.
fn period_of(month: Date) -> String {
    month.strftime("%Y-%m").to_string()
}

struct Run<'a> {
    actors: &'a Actors,
    data: &'a Data,
    out: &'a Path,
    /// The version of the lead scorer in force, counted from 0.
    version: usize,
    rows: Vec<Row>,
    packs: Vec<PathBuf>,
}

impl Run<'_> {
    async fn month(&mut self, month: Date, observer: &dyn Observer) -> Result<()> {
        let period = period_of(month);
        let row = match report::Saved::read(self.out, &period)? {
            // A run that was cut short finished this month: its answer stands, and only it.
            Some(saved) if reviews::sealed(self.actors, &period).await?.is_some() => saved.row,
            _ => {
                let row = self.work(month, &period).await?;
                report::Saved { row: row.clone() }.write(self.out, &period)?;
                row
            }
        };
        if row.promoted {
            self.version = (self.version + 1).min(VERSIONS - 1);
        }
        if !row.decision.is_empty() {
            observer.line(&format!("  {period}: {}", row.decision));
        }
        for format in [ExportFormat::Html, ExportFormat::Json] {
            self.packs.push(self.write_pack(&period, format).await?);
        }
        self.rows.push(row);
        Ok(())
    }

    async fn work(&self, month: Date, period: &str) -> Result<Row> {
        let leads = self.data.leads_of(month);
        self.actors.advance(start_of(month)).await?;
        governance::month(self.actors, self.rows.len(), start_of(month), self.version).await?;
        let creative = creative::month(self.actors, period, start_of(month)).await?;
        let mut sum = leads::Month::default();
        for week in 0..4u32 {
            let from = Timestamp(start_of(month).0 + i64::from(week) * 7 * 86_400 * 1_000_000);
            let to = Timestamp(from.0 + 7 * 86_400 * 1_000_000);
            let of_week: Vec<_> =
                leads.iter().copied().filter(|lead| (from..to).contains(&lead.contacted_at)).collect();
            let run = format!("{period}-week-{}", week + 1);
            sum += leads::week(self.actors, &of_week, self.version, &run).await?;
        }
        self.review(month, period, sum, creative).await
    }

    async fn review(&self, month: Date, period: &str, sum: leads::Month, creative: creative::Creative) -> Result<Row> {
        let opening = start_of(next_month(month)).plus(CUT_OFF);
        self.actors.advance(opening).await?;
        let review = reviews::open(self.actors, period).await?;
        let champion = names::lead_scorer(self.version);
        let drift = reviews::lead_score_drift(&review, &champion)
            .ok_or_else(|| Error::internal(format!("the review of {period} says nothing about {champion}")))?
            .clone();
        let mut row = Row {
            period: period.to_owned(),
            version: self.version + 1,
            leads: sum.leads,
            routed: sum.routed,
            converted: sum.converted,
            escalated: creative.escalated,
            n: drift.n,
            psi: drift.value.unwrap_or_default(),
            psi_corrected: drift.corrected_value.unwrap_or_default(),
            verdict: reviews::words(drift.verdict()).to_owned(),
            decision: String::new(),
            promoted: false,
            pack_digest: String::new(),
        };
        let mut proposal = None;
        if drift.verdict() == DriftVerdict::Significant {
            let rationale = format!(
                "Review of {period}: PSI {:.3} over {} scores against {} of the baseline, verdict SIGNIFICANT.",
                drift.corrected_value.unwrap_or_default(),
                drift.n,
                drift.baseline_n
            );
            proposal = Some(models::suspend_lead_scorer(self.actors, self.version, &rationale).await?);
            row.decision = format!("suspend v{}", self.version + 1);
            self.must_refuse(self.version, period).await?;
            if self.version + 1 < VERSIONS {
                models::register_lead_scorer(self.actors, self.data, self.version + 1, opening, false).await?;
                row.decision = format!("suspend v{}, promote v{}", self.version + 1, self.version + 2);
                row.promoted = true;
            }
        }
        let sealed = reviews::conclude(self.actors, &review, period, proposal.as_deref()).await?;
        row.pack_digest = sealed.pack_digest;
        Ok(row)
    }

    /// A suspended version is refused within one second.
    async fn must_refuse(&self, version: usize, period: &str) -> Result<()> {
        for _ in 0..50 {
            let answer = leads::check(self.actors, version, &format!("{period}-after-suspension")).await?;
            if answer.verdict() == remit_api::scoring::v1::Verdict::Deny {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(Error::internal(format!("{} is suspended and still permitted", names::lead_scorer(version))))
    }

    async fn write_pack(&self, period: &str, format: ExportFormat) -> Result<PathBuf> {
        let (_, content) = reviews::export(self.actors, period, format).await?;
        let extension = if format == ExportFormat::Html { "html" } else { "json" };
        let path = self.out.join("packs").join(format!("review-{period}.{extension}"));
        files::write(&path, &content)?;
        Ok(path)
    }
}
