//! Policy versions: create, read, lint, diff, activate.

use super::Scoring;
use crate::convert;
use crate::store::{self, policies::PolicyRow};
use remit_api::scoring::v1 as api;
use remit_core::{Error, Kind, Outcome, Result, Tenant, name};
use remit_policy::{Policy, diff, lint};
use remit_runtime::{Started, begin, finish};
use remit_store::{Call, Tx, page};
use std::sync::Arc;

const DAY_US: i64 = 86_400_000_000;

/// The stored version of that name.
pub(crate) async fn find(tx: &mut Tx, tenant: &Tenant, policy_name: &str, field: &str) -> Result<PolicyRow> {
    let [policy, version] = name::ids::<2>(policy_name, "policies/*/versions/*", field)?;
    let row = store::policies::find(tx, tenant, policy, version).await?;
    row.ok_or_else(|| Error::not_found("POLICY_VERSION_NOT_FOUND", policy_name))
}

/// Reads a policy file. Hundreds of conditions take a while to compile, which must not hold up other calls.
pub(crate) async fn parse(source: Vec<u8>) -> Result<Arc<Policy>> {
    let parsed = tokio::task::spawn_blocking(move || Policy::parse(&source)).await;
    parsed.map_err(|error| Error::internal("reading a policy ended early").with_source(error))?.map(Arc::new)
}

pub(crate) fn lint_message(policy: &Policy) -> api::LintReport {
    let report = lint::lint(policy);
    let severity = |severity| match severity {
        lint::Severity::Error => api::LintSeverity::Error,
        lint::Severity::Warning => api::LintSeverity::Warning,
        lint::Severity::Info => api::LintSeverity::Info,
    };
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    api::LintReport {
        passed: report.passed(),
        combinations: count(report.combinations),
        inputs: count(report.inputs),
        bands: report
            .bands
            .iter()
            .map(|(band, pattern, n)| api::BandCount {
                band: band.clone(),
                pattern: convert::pattern(*pattern).into(),
                combinations: count(*n),
            })
            .collect(),
        findings: report
            .findings
            .iter()
            .map(|finding| api::LintFinding {
                code: finding.code.to_owned(),
                severity: severity(finding.severity).into(),
                field: finding.field.clone(),
                message: finding.message.clone(),
            })
            .collect(),
        monotonicity_violations: count(report.violations),
        counter_examples: report
            .counter_examples
            .iter()
            .map(|step| api::MonotonicityViolation {
                axis: step.axis.clone(),
                ratings: step.ratings.clone().into_iter().collect(),
                attributes: step.attributes.clone(),
                before: convert::pattern(step.before).into(),
                after: convert::pattern(step.after).into(),
                stage: step.stage.clone(),
            })
            .collect(),
        golden_cases: report
            .cases
            .iter()
            .map(|case| api::GoldenCaseResult {
                name: case.name.clone(),
                passed: case.passed(),
                difference: case.difference.clone(),
            })
            .collect(),
        policy_digest: policy.digest().to_owned(),
    }
}

pub(crate) fn diff_message(base: &Policy, candidate: &Policy) -> api::DiffPoliciesResponse {
    let found = diff::diff(base, candidate);
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    api::DiffPoliciesResponse {
        base_digest: base.digest().to_owned(),
        candidate_digest: candidate.digest().to_owned(),
        toward_ai: count(found.toward_ai()),
        toward_human: count(found.toward_human()),
        changes: found
            .changes
            .into_iter()
            .map(|change| api::PolicyChange { path: change.path, before: change.before, after: change.after })
            .collect(),
        shifts: found
            .shifts
            .into_iter()
            .map(|((from, to), n)| api::PatternShift {
                from: convert::pattern(from).into(),
                to: convert::pattern(to).into(),
                count: count(n),
            })
            .collect(),
    }
}

impl Scoring {
    /// The message of a version: whole with its lint report, short without.
    fn policy_message(&self, row: &PolicyRow, lint: Option<&api::LintReport>) -> Result<api::PolicyVersion> {
        let full = lint.is_some();
        let policy = self.compiled(row)?;
        let state = match row.state.as_str() {
            "ACTIVE" => api::PolicyState::Active,
            "SUPERSEDED" => api::PolicyState::Superseded,
            _ => api::PolicyState::Draft,
        };
        Ok(api::PolicyVersion {
            name: row.name(),
            title: policy.file.title.clone(),
            reading: policy.file.reading.clone(),
            state: state.into(),
            activatable: policy.file.activatable,
            digest: row.digest.clone(),
            canonical_json: if full { policy.canonical_json().to_owned() } else { String::new() },
            source: if full { row.source.clone() } else { Vec::new() },
            format: i32::try_from(row.format).unwrap_or_default(),
            lint: lint.cloned(),
            review_by: Some(convert::time(policy.review_by())),
            creator: row.creator.clone(),
            proposal: row.proposal.clone(),
            backtest_digest: row.backtest_digest.clone(),
            activate_time: row.activate_time.map(convert::time),
            supersede_time: row.supersede_time.map(convert::time),
            create_time: Some(convert::time(row.create_time)),
            etag: row.state.to_lowercase(),
        })
    }

    pub(crate) async fn create_policy_version(
        &self,
        call: &Call,
        request: api::CreatePolicyVersionRequest,
    ) -> Result<api::PolicyVersion> {
        self.seed(&call.tenant).await?;
        let policy = parse(request.source.clone()).await?;
        let report = self.linted(policy.clone()).await?;
        let mut mutation = match begin(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let row = PolicyRow {
            policy: policy.file.policy.clone(),
            version: policy.file.version.clone(),
            state: "DRAFT".into(),
            digest: policy.digest().into(),
            source: request.source,
            format: request.format.into(),
            creator: call.actor.subject.clone(),
            proposal: String::new(),
            backtest_digest: String::new(),
            create_time: call.now,
            activate_time: None,
            supersede_time: None,
        };
        if !store::policies::insert(mutation.tx(), &call.tenant, &row, policy.file.activatable).await? {
            let text = format!("{} exists, and versions never change: choose another version", row.name());
            return Err(Error::new(Kind::AlreadyExists, "POLICY_VERSION_EXISTS", text));
        }
        let answer = self.policy_message(&row, Some(&report))?;
        let mut event = mutation.event(call.method, &row.name());
        event.policy_version = row.name();
        event.after_digest.clone_from(&row.digest);
        event.details = serde_json::json!({"lint_passed": report.passed, "activatable": policy.file.activatable});
        mutation.record(event);
        finish(mutation, answer).await
    }

    pub(crate) async fn get_policy_version(&self, tenant: &Tenant, policy_name: &str) -> Result<api::PolicyVersion> {
        self.seed(tenant).await?;
        let row = find(&mut self.db.read().await?, tenant, policy_name, "name").await?;
        let report = self.linted(self.compiled(&row)?).await?;
        self.policy_message(&row, Some(&report))
    }

    pub(crate) async fn list_policy_versions(
        &self,
        tenant: &Tenant,
        request: &api::ListPolicyVersionsRequest,
    ) -> Result<api::ListPolicyVersionsResponse> {
        self.seed(tenant).await?;
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(tenant, "scoring.policies.list", &[&request.filter]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = store::policies::list(&mut tx, tenant, &request.filter, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) =
            keyset.cut(rows, size, |row| vec![row.policy.as_str().into(), row.version.as_str().into()]);
        let policy_versions = rows.iter().map(|row| self.policy_message(row, None)).collect::<Result<_>>()?;
        Ok(api::ListPolicyVersionsResponse { policy_versions, next_page_token })
    }

    pub(crate) async fn lint_policy(&self, tenant: &Tenant, policy: api::PolicyRef) -> Result<api::LintReport> {
        self.seed(tenant).await?;
        let policy = self.resolve_policy(&mut self.db.read().await?, tenant, policy, "policy").await?;
        Ok(self.linted(policy).await?.as_ref().clone())
    }

    pub(crate) async fn diff_policies(
        &self,
        tenant: &Tenant,
        request: api::DiffPoliciesRequest,
    ) -> Result<api::DiffPoliciesResponse> {
        self.seed(tenant).await?;
        let mut tx = self.db.read().await?;
        let base = self.resolve_policy(&mut tx, tenant, request.base.unwrap_or_default(), "base").await?;
        let candidate = request.candidate.unwrap_or_default();
        let candidate = self.resolve_policy(&mut tx, tenant, candidate, "candidate").await?;
        drop(tx);
        let compared = tokio::task::spawn_blocking(move || diff_message(&base, &candidate)).await;
        compared.map_err(|error| Error::internal("comparing policies ended early").with_source(error))
    }

    pub(crate) async fn activate_policy_version(
        &self,
        call: &Call,
        request: &api::ActivatePolicyVersionRequest,
    ) -> Result<api::PolicyVersion> {
        self.seed(&call.tenant).await?;
        name::ids::<1>(&request.proposal, "proposals/*", "proposal")?;
        // Before the transaction, which must not wait for it; what lint says of a version never changes.
        let row = find(&mut self.db.read().await?, &call.tenant, &request.name, "name").await?;
        let report = self.linted(self.compiled(&row)?).await?;
        let mut mutation = match begin(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let tenant = &call.tenant;
        store::claim(mutation.tx(), tenant, 0, 1).await?;
        let row = find(mutation.tx(), tenant, &request.name, "name").await?;
        let policy = self.compiled(&row)?;
        if row.state != "DRAFT" {
            let text = format!("{} is {}; only a draft can be activated", row.name(), row.state);
            return Err(Error::precondition("POLICY_NOT_ACTIVATABLE", text));
        }
        if !policy.file.activatable {
            let text = format!("{} is marked as never to be activated", row.name());
            return Err(Error::precondition("POLICY_NOT_ACTIVATABLE", text));
        }
        if let Some(finding) = report.findings.iter().find(|finding| finding.severity() == api::LintSeverity::Error) {
            let text = format!("lint refuses {}: {} {}", row.name(), finding.code, finding.message);
            return Err(Error::precondition("POLICY_LINT_FAILED", text));
        }
        let active = store::policies::find_active(mutation.tx(), tenant).await?;
        let backtest =
            store::policies::find_backtest_by_digest(mutation.tx(), tenant, &request.backtest_digest).await?;
        let Some((backtest, made)) = backtest else {
            return Err(Error::precondition(
                "BACKTEST_UNKNOWN",
                "no backtest has this digest: run one and propose again",
            ));
        };
        let active_digest = active.as_ref().map(|active| active.digest.as_str()).unwrap_or_default();
        if backtest.policy_digest != row.digest || backtest.active_policy_digest != active_digest {
            let text = format!(
                "the backtest compared {} with {}; now {} would replace {}: run it again",
                backtest.policy,
                backtest.active_policy,
                row.name(),
                active.as_ref().map(PolicyRow::name).unwrap_or_default()
            );
            return Err(Error::precondition("BACKTEST_OTHER_VERSION", text));
        }
        let limit = i64::from(policy.file.backtest_max_age_days);
        if call.now.micros() - made.micros() > limit * DAY_US {
            let text = format!("the backtest is older than the {limit} days that {} allows: run it again", row.name());
            return Err(Error::precondition("BACKTEST_STALE", text));
        }
        store::policies::supersede(mutation.tx(), tenant, call.now).await?;
        let digest = &request.backtest_digest;
        store::policies::activate(mutation.tx(), tenant, &row, &request.proposal, digest, call.now).await?;
        let mut event = mutation.event(call.method, &row.name());
        event.policy_version = row.name();
        event.outcome = Outcome::Success;
        event.before_digest = active_digest.to_owned();
        event.after_digest.clone_from(&row.digest);
        event.details = serde_json::json!({
            "proposal": request.proposal,
            "backtest": backtest.name,
            "backtest_digest": digest,
            "superseded": active.as_ref().map(PolicyRow::name),
        });
        mutation.record(event);
        let row = PolicyRow {
            state: "ACTIVE".into(),
            proposal: request.proposal.clone(),
            backtest_digest: digest.clone(),
            activate_time: Some(call.now),
            ..row
        };
        let answer = finish(mutation, self.policy_message(&row, Some(&report))?).await?;
        self.caches.refresh(tenant).await;
        Ok(answer)
    }
}
