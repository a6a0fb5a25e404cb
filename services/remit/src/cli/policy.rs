//! `remit policy`.

use super::Group;
use super::connect::{Connection, Session, answer, bytes, refused};
use super::list::{ListArgs, Page};
use super::output::{Column, Output, json, moved};
use super::target::Target;
use super::values::versioned;
use crate::bearer::Wire;
use clap::Subcommand;
use remit_api::scoring::v1::policy_ref::Policy;
use remit_api::scoring::v1::policy_service_client::PolicyServiceClient;
use remit_api::scoring::v1::{
    Backtest, BacktestPolicyRequest, CreatePolicyVersionRequest, DiffPoliciesRequest, DiffPoliciesResponse,
    GetPolicyVersionRequest, LintPolicyRequest, LintReport, ListPolicyVersionsRequest, PolicyFormat, PolicyRef,
};
use remit_api::types::StrictnessChange;
use remit_api::wire::Word as _;
use remit_core::{Error, Result};
use std::path::{Path, PathBuf};

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a policy over its whole input space; exit code 3 if it does not pass. A file needs no server.
    Lint {
        /// A file (YAML or JSON), or a version such as seed-004-inverted-sum/1.
        policy: String,
    },
    /// Compare two policies: what changed in the text, and for which inputs the answer changes. Two files need no
    /// server.
    Diff {
        /// A file, or a version.
        base: String,
        /// A file, or a version.
        candidate: String,
    },
    /// Run the golden cases of a policy; exit code 3 if one does not come out as the file says. A file needs no
    /// server.
    Test {
        /// A file (YAML or JSON), or a version such as seed-004-inverted-sum/1.
        policy: String,
    },
    /// Replay recorded decisions under a stored version; the digest of the result goes into a proposal.
    Backtest {
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
    /// List versions, such as those with 'state = "ACTIVE"'.
    List(ListArgs),
    /// Show a version: what is known of it, and its text.
    Show {
        /// A version such as seed-004-inverted-sum/1.
        policy: String,
    },
    /// Write the text of a version as it was stored.
    Export {
        /// A version such as seed-004-inverted-sum/1.
        policy: String,
        /// The file; standard output if absent, or '-'.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
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
const STEP_COLUMNS: &[Column] = &[
    ("RAISED BY ONE", "axis", ""),
    ("RATINGS BEFORE", "ratings", ""),
    ("BEFORE", "before", "AUTONOMY_PATTERN_"),
    ("AFTER", "after", "AUTONOMY_PATTERN_"),
    ("OTHER INPUTS", "attributes", ""),
    ("BY", "stage", ""),
];
const SHIFT_COLUMNS: &[Column] =
    &[("FROM", "from", "AUTONOMY_PATTERN_"), ("TO", "to", "AUTONOMY_PATTERN_"), ("COUNT", "count", "")];

/// A file if there is one of this name, else the name of a stored version.
fn reference(text: &str) -> Result<Policy> {
    Ok(if Path::new(text).is_file() {
        Policy::Source(bytes(Path::new(text))?)
    } else if Path::new(text).extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json") {
        return Err(Error::invalid("FILE_UNREADABLE", text, "does not exist"));
    } else {
        Policy::Name(versioned("policies", text)?)
    })
}

/// Runs the command. What is about files alone needs neither a server nor a token, so that a pipeline can run it.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let connection = &group.connection;
    let out = Output { json: connection.json };
    match group.command {
        Command::Lint { policy } => show_lint(out, &lint(connection, &policy).await?),
        Command::Test { policy } => show_cases(out, &lint(connection, &policy).await?),
        Command::Diff { base, candidate } => {
            let answer = match (reference(&base)?, reference(&candidate)?) {
                (Policy::Source(base), Policy::Source(candidate)) => remit_scoring::files::diff(&base, &candidate)?,
                (base, candidate) => {
                    let refer = |policy| Some(PolicyRef { policy: Some(policy) });
                    let request = DiffPoliciesRequest { base: refer(base), candidate: refer(candidate) };
                    answer(client(connection).await?.0.diff_policies(request).await)?
                }
            };
            show_diff(out, &answer)
        }
        Command::Backtest { policy, filter } => {
            backtest(&Session::open(connection).await?, versioned("policies", &policy)?, filter).await
        }
        Command::Create { file } => {
            let (mut client, session) = client(connection).await?;
            let is_json = file.extension().is_some_and(|end| end == "json");
            let format = if is_json { PolicyFormat::Json } else { PolicyFormat::Yaml };
            let request = CreatePolicyVersionRequest {
                source: bytes(&file)?,
                format: format.into(),
                request_id: session.request_id(),
            };
            session.row(client.create_policy_version(request).await, COLUMNS)
        }
        Command::List(list) => {
            let (mut client, session) = client(connection).await?;
            session
                .list(list, COLUMNS, async |page: Page| {
                    let Page { size: page_size, token: page_token, filter } = page;
                    let request = ListPolicyVersionsRequest { page_size, page_token, filter };
                    let page = client.list_policy_versions(request).await?.into_inner();
                    Ok((page.policy_versions, page.next_page_token))
                })
                .await
        }
        Command::Show { policy } => {
            let request = GetPolicyVersionRequest { name: versioned("policies", &policy)? };
            let (mut client, session) = client(connection).await?;
            let mut version = answer(client.get_policy_version(request).await)?;
            if session.out.json {
                return session.out.show(&version);
            }
            let source = std::mem::take(&mut version.source);
            // The text says it better, and remit policy lint says all that there is to say of it.
            version.canonical_json.clear();
            version.lint = None;
            session.out.show(&version)?;
            session.out.text(&format!("\n{}", String::from_utf8_lossy(&source).trim_end()), || json(&version))
        }
        Command::Export { policy, output } => {
            let request = GetPolicyVersionRequest { name: versioned("policies", &policy)? };
            let (mut client, session) = client(connection).await?;
            let version = answer(client.get_policy_version(request).await)?;
            let mut file = Target::open(output.as_deref())?;
            file.write(&version.source)?;
            session.out.wrote(file.finish()?.as_deref());
            Ok(())
        }
    }
}

async fn client(connection: &Connection) -> Result<(PolicyServiceClient<Wire>, Session)> {
    let session = Session::open(connection).await?;
    Ok((PolicyServiceClient::new(session.wire()), session))
}

async fn lint(connection: &Connection, policy: &str) -> Result<LintReport> {
    match reference(policy)? {
        Policy::Source(source) => remit_scoring::files::lint(&source),
        named => {
            let request = LintPolicyRequest { policy: Some(PolicyRef { policy: Some(named) }) };
            answer(client(connection).await?.0.lint_policy(request).await)
        }
    }
}

fn show_lint(out: Output, report: &LintReport) -> Result<()> {
    if out.json {
        out.show(report)?;
    } else {
        out.part(&report.findings, FINDING_COLUMNS)?;
        out.part(&report.counter_examples, STEP_COLUMNS)?;
        let columns =
            &[("BAND", "band", ""), ("PATTERN", "pattern", "AUTONOMY_PATTERN_"), ("COMBINATIONS", "combinations", "")];
        out.list(&report.bands, columns)?;
        let verdict = if report.passed { "passed" } else { "refused" };
        let text = format!(
            "{verdict}: {} combinations of ratings, {} inputs, {} steps break monotonicity",
            report.combinations, report.inputs, report.monotonicity_violations
        );
        out.text(&text, || json(report))?;
    }
    if report.passed { Ok(()) } else { Err(Error::precondition("LINT_FAILED", "the policy does not pass its checks")) }
}

fn show_cases(out: Output, report: &LintReport) -> Result<()> {
    let cases = &report.golden_cases;
    let failed = cases.iter().filter(|case| !case.passed).count();
    let text = format!("{} of {} golden cases passed", cases.len() - failed, cases.len());
    if out.json || failed > 0 {
        out.list(cases, &[("CASE", "name", ""), ("PASSED", "passed", ""), ("DIFFERENCE", "difference", "")])?;
    }
    if cases.is_empty() {
        return Err(Error::precondition("CASES_MISSING", "the policy has no golden cases"));
    }
    if failed > 0 {
        return Err(Error::precondition("CASES_FAILED", text));
    }
    if out.json { Ok(()) } else { out.text(&text, || json(report)) }
}

fn show_diff(out: Output, answer: &DiffPoliciesResponse) -> Result<()> {
    if out.json {
        return out.show(answer);
    }
    if answer.changes.is_empty() {
        return out.text("the policies are the same", || json(answer));
    }
    out.list(&answer.changes, &[("FIELD", "path", ""), ("BEFORE", "before", ""), ("AFTER", "after", "")])?;
    out.part(&answer.shifts, SHIFT_COLUMNS)?;
    let looser: Vec<_> = answer.loosening.iter().map(|text| serde_json::json!({"looser": text})).collect();
    if !looser.is_empty() {
        out.values(looser, &[("LOOSER", "looser", "")])?;
    }
    let text = format!(
        "{} combinations of ratings move toward AI, {} toward people, before caps\n{}",
        answer.toward_ai,
        answer.toward_human,
        strictness(answer)
    );
    out.text(&text, || json(answer))
}

/// Whether the candidate is tighter or looser, in a line.
fn strictness(answer: &DiffPoliciesResponse) -> String {
    let (loosened, tightened, cells) = (answer.cells_loosened, answer.cells_tightened, answer.cells);
    let counts = format!("loosens {loosened} of {cells} inputs, tightens {tightened}");
    let what = match answer.strictness_change() {
        StrictnessChange::Same => "the same strictness",
        StrictnessChange::Tightens => "tighter",
        StrictnessChange::Loosens => "looser",
        StrictnessChange::Mixed if cells == 0 => return "MIXED: the two cannot be compared input by input".to_owned(),
        StrictnessChange::Mixed => "tighter and looser, which counts as looser",
        StrictnessChange::Unspecified => "of unknown strictness, which counts as looser",
    };
    format!("{}: {what}: {counts}", answer.strictness_change().word())
}

async fn backtest(session: &Session, name: String, filter: String) -> Result<()> {
    let mut client = PolicyServiceClient::new(session.wire());
    let request = BacktestPolicyRequest { name, filter, request_id: session.request_id(), ..Default::default() };
    let mut stream = answer(client.backtest_policy(request).await)?;
    let bar = session.out.progress(0, "replaying");
    let mut result = None;
    while let Some(part) = stream.message().await.map_err(refused)? {
        moved(&bar, part.done, part.total);
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
    session.out.part(&largest, columns)?;
    session.out.part(&result.not_replayable, &[("NOT REPLAYABLE", "reason", ""), ("COUNT", "count", "")])?;
    let text = format!(
        "{} decisions: {} unchanged, {} toward AI, {} toward people; digest {}",
        result.decisions, result.unchanged, result.toward_ai, result.toward_human, result.digest
    );
    session.out.text(&text, || json(&result))
}
