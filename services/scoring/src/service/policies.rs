//! Policy versions: create, read, lint, diff, activate.

use super::Service;
use crate::files::diff_message;
use crate::store;
use crate::store::backtests::Backtests;
use crate::store::policies::{Policies, find_active};
use remit_api::scoring::v1 as api;
use remit_api::scoring::v1::policy_ref::Policy as Reference;
use remit_api::wire::{Word as _, time};
use remit_core::details::{Details as _, PolicyActivated, PolicyCreated};
use remit_core::name::PolicyVersionName;
use remit_core::{Error, Result, Tenant};
use remit_policy::Policy;
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, Tx};
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// The stored version of that name.
pub(super) async fn find(tx: &mut Tx, tenant: &Tenant, name: &str, field: &str) -> Result<api::PolicyVersion> {
    PolicyVersionName::parse(name, field)?;
    Policies::get(tx, tenant, name).await
}

/// Reads a policy file. Hundreds of conditions take a while to compile, which must not hold up other calls.
async fn parse(source: Vec<u8>) -> Result<Arc<Policy>> {
    let parsed = tokio::task::spawn_blocking(move || Policy::parse(&source)).await;
    parsed.map_err(|error| Error::internal("reading a policy ended early").with_source(error))?.map(Arc::new)
}

/// A policy as a draft.
pub(super) fn version(policy: &Policy, source: Vec<u8>, format: api::PolicyFormat, m: &Mutation) -> api::PolicyVersion {
    api::PolicyVersion {
        name: policy.name(),
        title: policy.file.title.clone(),
        reading: policy.file.reading.clone(),
        state: api::PolicyState::Draft.into(),
        activatable: policy.file.activatable,
        digest: policy.digest().to_owned(),
        source,
        format: format.into(),
        review_by: Some(time::stamp(policy.review_by())),
        creator: m.actor().subject.clone(),
        create_time: Some(time::stamp(m.now())),
        ..api::PolicyVersion::default()
    }
}

/// What the event of its creation says.
pub(super) fn created(version: &api::PolicyVersion) -> PolicyCreated {
    let state = version.state().word().to_owned();
    PolicyCreated { state, activatable: version.activatable, lint_passed: None, seed: false }
}

impl Service {
    /// A version with everything that follows from its source.
    async fn whole(&self, version: api::PolicyVersion) -> Result<api::PolicyVersion> {
        let policy = self.rules.compiled(&version)?;
        let report = self.rules.linted(policy.clone()).await?;
        Ok(complete(version, &policy, &report))
    }

    /// The policy that a request names or sends.
    pub(super) async fn resolve_policy(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        reference: Option<api::PolicyRef>,
        field: &str,
    ) -> Result<Arc<Policy>> {
        match reference.and_then(|reference| reference.policy) {
            Some(Reference::Name(name)) => self.rules.compiled(&find(tx, tenant, &name, field).await?),
            Some(Reference::Source(source)) => parse(source).await,
            None => Err(Error::invalid("POLICY_MISSING", field, "must name a policy or send one")),
        }
    }

    pub(crate) async fn create_policy_version(
        &self,
        cx: &Cx,
        request: api::CreatePolicyVersionRequest,
    ) -> Result<api::PolicyVersion> {
        let policy = parse(request.source.clone()).await?;
        let report = self.rules.linted(policy.clone()).await?;
        self.mutate(cx, &request, async |m| {
            let mut version = version(&policy, request.source.clone(), request.format(), m);
            Policies::insert(m, &mut version).await?;
            m.record(&version.name, |event| {
                event.policy_version.clone_from(&version.name);
                event.after_digest.clone_from(&version.digest);
                event.details = PolicyCreated { lint_passed: Some(report.passed), ..created(&version) }.json();
            });
            Ok(complete(version, &policy, &report))
        })
        .await
    }

    pub(crate) async fn get_policy_version(
        &self,
        cx: &Cx,
        request: api::GetPolicyVersionRequest,
    ) -> Result<api::PolicyVersion> {
        self.seed(&cx.tenant).await?;
        let version = find(&mut self.db.read().await?, &cx.tenant, &request.name, "name").await?;
        self.whole(version).await
    }

    pub(crate) async fn list_policy_versions(
        &self,
        cx: &Cx,
        request: api::ListPolicyVersionsRequest,
    ) -> Result<api::ListPolicyVersionsResponse> {
        self.seed(&cx.tenant).await?;
        let (mut policy_versions, next_page_token) = Policies::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        policy_versions.iter_mut().for_each(|version| version.source.clear());
        Ok(api::ListPolicyVersionsResponse { policy_versions, next_page_token })
    }

    pub(crate) async fn lint_policy(&self, cx: &Cx, request: api::LintPolicyRequest) -> Result<api::LintReport> {
        self.seed(&cx.tenant).await?;
        let policy = self.resolve_policy(&mut self.db.read().await?, &cx.tenant, request.policy, "policy").await?;
        Ok(self.rules.linted(policy).await?.as_ref().clone())
    }

    pub(crate) async fn diff_policies(
        &self,
        cx: &Cx,
        request: api::DiffPoliciesRequest,
    ) -> Result<api::DiffPoliciesResponse> {
        self.seed(&cx.tenant).await?;
        let mut tx = self.db.read().await?;
        let base = self.resolve_policy(&mut tx, &cx.tenant, request.base, "base").await?;
        let candidate = self.resolve_policy(&mut tx, &cx.tenant, request.candidate, "candidate").await?;
        drop(tx);
        let compared = tokio::task::spawn_blocking(move || diff_message(&base, &candidate)).await;
        compared.map_err(|error| Error::internal("comparing policies ended early").with_source(error))
    }

    pub(crate) async fn activate_policy_version(
        &self,
        cx: &Cx,
        request: api::ActivatePolicyVersionRequest,
    ) -> Result<api::PolicyVersion> {
        self.seed(&cx.tenant).await?;
        // Before the transaction, which must not wait for it; what lint says of a version never changes.
        let version = find(&mut self.db.read().await?, &cx.tenant, &request.name, "name").await?;
        let policy = self.rules.compiled(&version)?;
        let report = self.rules.linted(policy.clone()).await?;
        let activated = self
            .mutate(cx, &request, async |m| {
                store::claim(m, 0, 1).await?;
                let mut version = Policies::claim(m, &request.name).await?;
                let tenant = m.tenant().clone();
                let mandate = self.mandates.redeem(m, "activate_policy", &request).await?;
                activatable(&version, &report)?;
                let mut active = find_active(m.tx(), &tenant).await?;
                let digest = &request.backtest_digest;
                let backtest = Backtests::all(m.tx(), &tenant, &[("digest", digest.into())]).await?.pop();
                let backtest = evidence(backtest, &version, active.as_ref(), &policy, m)?;
                if let Some(active) = &mut active {
                    active.set_state(api::PolicyState::Superseded);
                    active.supersede_time = Some(time::stamp(m.now()));
                    Policies::save(m, active).await?;
                }
                version.set_state(api::PolicyState::Active);
                version.proposal.clone_from(&mandate.sub);
                version.mandate.clone_from(&request.mandate);
                version.backtest_digest.clone_from(digest);
                version.activate_time = Some(time::stamp(m.now()));
                Policies::save(m, &mut version).await?;
                m.record(&version.name, |event| {
                    event.policy_version.clone_from(&version.name);
                    event.before_digest = active.as_ref().map(|active| active.digest.clone()).unwrap_or_default();
                    event.after_digest.clone_from(&version.digest);
                    event.details = PolicyActivated {
                        proposal: mandate.sub,
                        backtest: backtest.name,
                        backtest_digest: digest.clone(),
                        superseded: active.map(|active| active.name),
                    }
                    .json();
                });
                Ok(complete(version, &policy, &report))
            })
            .await?;
        self.caches.refresh(&cx.tenant).await;
        Ok(activated)
    }
}

fn complete(version: api::PolicyVersion, policy: &Policy, report: &api::LintReport) -> api::PolicyVersion {
    let canonical_json = policy.canonical_json().to_owned();
    api::PolicyVersion { canonical_json, lint: Some(report.clone()), ..version }
}

/// Refuses what must never decide tasks.
fn activatable(version: &api::PolicyVersion, report: &api::LintReport) -> Result<()> {
    let name = &version.name;
    if version.state() != api::PolicyState::Draft {
        let text = format!("{name} is {}; only a draft can be activated", version.state().word());
        return Err(Error::precondition("POLICY_NOT_ACTIVATABLE", text));
    }
    if !version.activatable {
        let text = format!("{name} is marked as never to be activated");
        return Err(Error::precondition("POLICY_NOT_ACTIVATABLE", text));
    }
    match report.findings.iter().find(|finding| finding.severity() == api::LintSeverity::Error) {
        Some(finding) => {
            let text = format!("lint refuses {name}: {} {}", finding.code, finding.message);
            Err(Error::precondition("POLICY_LINT_FAILED", text))
        }
        None => Ok(()),
    }
}

/// The backtest, if it is a fresh one of this version against the active one.
fn evidence(
    backtest: Option<api::Backtest>,
    version: &api::PolicyVersion,
    active: Option<&api::PolicyVersion>,
    policy: &Policy,
    m: &Mutation,
) -> Result<api::Backtest> {
    let Some(backtest) = backtest else {
        return Err(Error::precondition("BACKTEST_UNKNOWN", "no backtest has this digest: run one and propose again"));
    };
    let (name, active_digest) = (&version.name, active.map(|active| active.digest.as_str()).unwrap_or_default());
    if backtest.policy_digest != version.digest || backtest.active_policy_digest != active_digest {
        let text = format!(
            "the backtest compared {} with {}; now {name} would replace {}: run it again",
            backtest.policy,
            backtest.active_policy,
            active.map(|active| active.name.as_str()).unwrap_or_default()
        );
        return Err(Error::precondition("BACKTEST_OTHER_VERSION", text));
    }
    let (made, limit) = (backtest.create_time.as_ref().map(time::of), policy.file.backtest_max_age_days);
    if made.is_none_or(|made| m.now().since(made) > DAY * limit) {
        let text = format!("the backtest is older than the {limit} days that {name} allows: run it again");
        return Err(Error::precondition("BACKTEST_STALE", text));
    }
    Ok(backtest)
}
