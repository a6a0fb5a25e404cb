//! `remit policy`.

use super::connect::{Session, bytes, refused};
use super::output::{Column, DEFAULT_LIMIT, json, pages};
use super::values::versioned;
use clap::Subcommand;
use remit_api::scoring::v1::policy_ref::Policy;
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_api::scoring::v1::{
    Backtest, BacktestPolicyRequest, CreatePolicyVersionRequest, DiffPoliciesRequest, GetPolicyVersionRequest,
    LintPolicyRequest, LintReport, ListPolicyVersionsRequest, PolicyFormat, PolicyRef,
};
use remit_core::{Error, Result};
use std::path::{Path, PathBuf};

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a policy over its whole input space; exit code 3 if it does not pass.
    Lint {
        /// A file (YAML or JSON), or a version such as seed-004-inverted-sum/1.
        policy: String,
    },
    /// Compare two policies: what changed in the text, and for which inputs the answer changes.
    Diff {
        /// A file, or a version.
        base: String,
        /// A file, or a version.
        candidate: String,
    },
    /// Replay recorded decisions under a stored version; the digest of the result goes into a proposal.
    Test {
        /// A version such as seed-004-inverted-sum/1.
        policy: String,
        /// Which decisions; all in force if empty.
        #[arg(long, default_value = "")]
        filter: String,
    },
    /// Store a policy as a draft.
    Create {
        /// The file (YAML or JSON).
        file: PathBuf,
    },
    /// List versions.
    List {
        /// Such as 'state = "ACTIVE"'.
        #[arg(long, default_value = "")]
        filter: String,
        /// How many at most.
        #[arg(long, default_value_t = DEFAULT_LIMIT)]
        limit: usize,
    },
    /// Show a version.
    Show {
        /// A version such as seed-004-inverted-sum/1.
        policy: String,
    },
}

const COLUMNS: &[Column] = &[
    ("POLICY", "name", "policies/"),
    ("TITLE", "title", ""),
    ("STATE", "state", "POLICY_STATE_"),
    ("ACTIVATABLE", "activatable", ""),
    ("REVIEW BY", "reviewBy", ""),
    ("DIGEST", "digest", ""),
];
const FINDING_COLUMNS: &[Column] = &[
    ("SEVERITY", "severity", "LINT_SEVERITY_"),
    ("CODE", "code", ""),
    ("FIELD", "field", ""),
    ("MESSAGE", "message", ""),
];
const SHIFT_COLUMNS: &[Column] =
    &[("FROM", "from", "AUTONOMY_PATTERN_"), ("TO", "to", "AUTONOMY_PATTERN_"), ("COUNT", "count", "")];

/// A file if there is one of this name, else the name of a stored version.
fn reference(text: &str) -> Result<PolicyRef> {
    let policy = if Path::new(text).is_file() {
        Policy::Source(bytes(Path::new(text))?)
    } else if Path::new(text).extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json") {
        return Err(Error::invalid("FILE_UNREADABLE", text, "does not exist"));
    } else {
        Policy::Name(versioned("policies", text)?)
    };
    Ok(PolicyRef { policy: Some(policy) })
}

/// Runs the command.
pub async fn run(session: &Session, command: Command) -> Result<()> {
    let mut client = PolicyServiceClient::new(session.wire());
    match command {
        Command::Lint { policy } => {
            let request = LintPolicyRequest { policy: Some(reference(&policy)?) };
            lint(session, &client.lint_policy(request).await.map_err(refused)?.into_inner())
        }
        Command::Diff { base, candidate } => {
            let request =
                DiffPoliciesRequest { base: Some(reference(&base)?), candidate: Some(reference(&candidate)?) };
            let answer = client.diff_policies(request).await.map_err(refused)?.into_inner();
            if session.out.json {
                return session.out.show(&answer);
            }
            session
                .out
                .list(&answer.changes, &[("FIELD", "path", ""), ("BEFORE", "before", ""), ("AFTER", "after", "")])?;
            session.out.list(&answer.shifts, SHIFT_COLUMNS)?;
            let text = format!("{} inputs move toward AI, {} toward people", answer.toward_ai, answer.toward_human);
            session.out.text(&text, || json(&answer))
        }
        Command::Test { policy, filter } => test(session, versioned("policies", &policy)?, filter).await,
        Command::Create { file } => {
            let is_json = file.extension().is_some_and(|end| end == "json");
            let format = if is_json { PolicyFormat::Json } else { PolicyFormat::Yaml };
            let request = CreatePolicyVersionRequest {
                source: bytes(&file)?,
                format: format.into(),
                request_id: session.request_id(),
            };
            let version = client.create_policy_version(request).await.map_err(refused)?.into_inner();
            session.out.list(&[version], COLUMNS)
        }
        Command::List { filter, limit } => {
            let versions = pages(session.out, limit, |page_size, page_token| {
                let request = ListPolicyVersionsRequest { page_size, page_token, filter: filter.clone() };
                let mut client = client.clone();
                async move {
                    let page = client.list_policy_versions(request).await.map_err(refused)?.into_inner();
                    Ok((page.policy_versions, page.next_page_token))
                }
            });
            session.out.list(&versions.await?, COLUMNS)
        }
        Command::Show { policy } => {
            let request = GetPolicyVersionRequest { name: versioned("policies", &policy)? };
            session.out.show(&client.get_policy_version(request).await.map_err(refused)?.into_inner())
        }
    }
}

fn lint(session: &Session, report: &LintReport) -> Result<()> {
    if session.out.json {
        session.out.show(report)?;
    } else {
        if !report.findings.is_empty() {
            session.out.list(&report.findings, FINDING_COLUMNS)?;
        }
        let columns =
            &[("BAND", "band", ""), ("PATTERN", "pattern", "AUTONOMY_PATTERN_"), ("COMBINATIONS", "combinations", "")];
        session.out.list(&report.bands, columns)?;
        let text = format!("{} inputs checked, {} break monotonicity", report.inputs, report.monotonicity_violations);
        session.out.text(&text, || json(report))?;
    }
    if report.passed { Ok(()) } else { Err(Error::precondition("LINT_FAILED", "the policy does not pass its checks")) }
}

async fn test(session: &Session, name: String, filter: String) -> Result<()> {
    let mut client = PolicyServiceClient::new(session.wire());
    let request = BacktestPolicyRequest { name, filter, request_id: session.request_id(), ..Default::default() };
    let mut stream = client.backtest_policy(request).await.map_err(refused)?.into_inner();
    let bar = session.out.progress(0, "replaying");
    let mut result = None;
    while let Some(part) = stream.message().await.map_err(refused)? {
        bar.set_length(u64::try_from(part.total).unwrap_or(0));
        bar.set_position(u64::try_from(part.done).unwrap_or(0));
        result = part.backtest.or(result);
    }
    bar.finish_and_clear();
    let result: Backtest = result.ok_or_else(|| Error::internal("the server ended the test without a result"))?;
    if session.out.json {
        return session.out.show(&result);
    }
    session.out.list(&result.shifts, SHIFT_COLUMNS)?;
    let columns = &[
        ("TASK", "task", "tasks/"),
        ("BEFORE", "before", "AUTONOMY_PATTERN_"),
        ("AFTER", "after", "AUTONOMY_PATTERN_"),
        ("HOURS/YEAR", "hoursPerYear", ""),
    ];
    let largest = [result.largest_toward_ai.as_slice(), result.largest_toward_human.as_slice()].concat();
    if !largest.is_empty() {
        session.out.list(&largest, columns)?;
    }
    if !result.not_replayable.is_empty() {
        session.out.list(&result.not_replayable, &[("NOT REPLAYABLE", "reason", ""), ("COUNT", "count", "")])?;
    }
    let text = format!(
        "{} decisions: {} unchanged, {} toward AI, {} toward people; digest {}",
        result.decisions, result.unchanged, result.toward_ai, result.toward_human, result.digest
    );
    session.out.text(&text, || json(&result))
}
