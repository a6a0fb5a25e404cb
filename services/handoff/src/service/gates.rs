//! Gate definitions.

use super::{Service, calendars};
use crate::store::gates::{self, GateVersions, Gates};
use crate::{gate_changes, gate_rules};
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::GateState as State;
use remit_api::wire::time::stamp;
use remit_api::wire::{Updatable as _, actor, mask, required};
use remit_core::details::{Details as _, GateActivated};
use remit_core::name::{self, GateName, GateVersionName};
use remit_core::{Error, Kind, Result, Tenant, etag};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, Tx};

/// What stands for the number of the version in force.
const ACTIVE: &str = "active";

/// The version that a name means, the one in force for `active`.
async fn find(tx: &mut Tx, tenant: &Tenant, name: &str, field: &str) -> Result<pb::GateVersion> {
    if GateVersionName::parse(name, field)?.version != ACTIVE {
        return GateVersions::get(tx, tenant, name).await;
    }
    let active = gates::active(tx, tenant, name::parent(name)).await?;
    active.ok_or_else(|| Error::not_found("GATE_VERSION_NOT_FOUND", name))
}

/// The version in force of a gate.
///
/// # Errors
/// `NotFound` (`GATE_NOT_FOUND`), `FailedPrecondition` (`GATE_NOT_ACTIVE`).
pub(super) async fn active(tx: &mut Tx, tenant: &Tenant, name: &str, field: &str) -> Result<pb::GateVersion> {
    GateName::parse(name, field)?;
    if let Some(version) = gates::active(tx, tenant, name).await? {
        return Ok(version);
    }
    Gates::get(tx, tenant, name).await?;
    let message = format!("{name} has no active version: complete a draft and activate it");
    Err(Error::precondition("GATE_NOT_ACTIVE", message))
}

/// Locks a gate, which is created if it is new.
pub(super) async fn claim_or_insert(m: &mut Mutation, mut gate: pb::Gate) -> Result<pb::Gate> {
    if let Some(known) = Gates::try_claim(m, &gate.name).await? {
        return Ok(known);
    }
    gate.create_time = Some(stamp(m.now()));
    if Gates::try_insert(m, &mut gate).await? { Ok(gate) } else { Gates::claim(m, &gate.name).await }
}

/// Inserts the next version of a locked gate as a draft.
pub(super) async fn insert_version(
    m: &mut Mutation,
    mut gate: pb::Gate,
    version: pb::GateVersion,
) -> Result<pb::GateVersion> {
    let now = Some(stamp(m.now()));
    let id = name::last(&gate.name);
    let number = gates::number(&gate.latest_version) + 1;
    let mut version = pb::GateVersion {
        name: GateVersionName::new(id, number.to_string()).to_string(),
        state: State::Draft.into(),
        activated_by: None,
        activate_time: None,
        mandate: String::new(),
        proposal: String::new(),
        create_time: now,
        update_time: now,
        ..version
    };
    version.digest = gate_rules::content_digest(&version);
    GateVersions::insert(m, &mut version).await?;
    gate.latest_version.clone_from(&version.name);
    if gate.active_version.is_empty() {
        gate.display_name.clone_from(&version.display_name);
    }
    gate.update_time = now;
    Gates::save(m, &mut gate).await?;
    Ok(version)
}

/// Locks the version that a name means. Who needs the lock of the gate too takes it after this one.
async fn claim(m: &mut Mutation, name: &str, field: &str) -> Result<pb::GateVersion> {
    if GateVersionName::parse(name, field)?.version != ACTIVE {
        return GateVersions::claim(m, name).await;
    }
    let tenant = m.tenant().clone();
    let active = find(m.tx(), &tenant, name, field).await?;
    GateVersions::claim(m, &active.name).await
}

/// The calendars that a version names and the tenant does not have.
async fn unknown_calendars(tx: &mut Tx, tenant: &Tenant, gate: &pb::GateVersion) -> Result<Vec<pb::GateDefect>> {
    let mut found = Vec::new();
    for (field, level) in gate_rules::levels(gate) {
        if level.clock() != pb::ClockKind::Business {
            continue;
        }
        match calendars::load(tx, tenant, &level.calendar).await {
            Ok(_) => {}
            Err(error) if error.kind() == Kind::NotFound => found.push(pb::GateDefect {
                field: format!("{field}.calendar"),
                description: format!("{} does not exist", level.calendar),
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Everything that keeps a version from being activated. `unknown` are those of its KPIs that are not there.
async fn defects(
    tx: &mut Tx,
    tenant: &Tenant,
    gate: &pb::GateVersion,
    unknown: &[String],
) -> Result<Vec<pb::GateDefect>> {
    let mut defects = gate_rules::defects(gate);
    defects.extend(unknown_calendars(tx, tenant, gate).await?);
    let unknown =
        unknown.iter().map(|kpi| pb::GateDefect { field: "kpis".into(), description: format!("{kpi} does not exist") });
    defects.extend(unknown);
    Ok(defects)
}

impl Service {
    /// Creates the next version of a gate as a draft.
    pub(crate) async fn create_gate_version(
        &self,
        cx: &Cx,
        request: pb::CreateGateVersionRequest,
    ) -> Result<pb::GateVersion> {
        let call = cx.call(&request);
        let name = GateName::new(name::id(&request.gate_id, "gate_id")?).to_string();
        let given = request.gate_version;
        if given.is_none() && request.base.is_empty() {
            return Err(Error::invalid("GATE_INVALID", "gate_version", "is required without a base"));
        }
        let given = given.unwrap_or_default();
        let set = mask::set(&given, pb::GateVersion::UPDATABLE)?;
        self.mutate(call, async |m| {
            let gate = claim_or_insert(m, pb::Gate { name, ..Default::default() }).await?;
            let version = if request.base.is_empty() {
                given
            } else {
                let base = find(m.tx(), &cx.tenant, &request.base, "base").await?;
                if set.paths.is_empty() { base } else { mask::update(&base, &given, Some(&set))?.unwrap_or(base) }
            };
            gate_rules::check(&version)?;
            let version = pb::GateVersion { author: Some(actor(m.actor())), ..version };
            let version = insert_version(m, gate, version).await?;
            m.record(&version.name, |event| event.after_digest = version.digest.clone());
            Ok(version)
        })
        .await
    }

    /// Edits a draft.
    pub(crate) async fn update_gate_version(
        &self,
        cx: &Cx,
        request: pb::UpdateGateVersionRequest,
    ) -> Result<pb::GateVersion> {
        let call = cx.call(&request);
        let given = required(request.gate_version, "gate_version")?;
        self.mutate(call, async |m| {
            let before = claim(m, &given.name, "gate_version.name").await?;
            if before.state() != State::Draft {
                let message = format!("{} was activated and never changes: create the next version", given.name);
                return Err(Error::precondition("GATE_VERSION_IMMUTABLE", message));
            }
            etag::check(&given.etag, &before.etag, &given.name)?;
            let Some(mut version) = mask::update(&before, &given, request.update_mask.as_ref())? else {
                return Ok(before);
            };
            gate_rules::check(&version)?;
            version.digest = gate_rules::content_digest(&version);
            version.update_time = Some(stamp(m.now()));
            GateVersions::save(m, &mut version).await?;
            if version.display_name != before.display_name {
                retitle(m, &version).await?;
            }
            m.record(&version.name, |event| {
                event.before_digest = before.digest;
                event.after_digest = version.digest.clone();
            });
            Ok(version)
        })
        .await
    }

    /// Puts a version in force.
    pub(crate) async fn activate_gate_version(
        &self,
        cx: &Cx,
        request: pb::ActivateGateVersionRequest,
    ) -> Result<pb::GateVersion> {
        // Asked outside the mutation and judged inside.
        self.seed(&cx.tenant).await?;
        let asked = find(&mut self.db.read().await?, &cx.tenant, &request.name, "name").await?;
        let draft = asked.state() == State::Draft;
        let unknown = if draft { self.kpis.unknown(&cx.tenant, &asked.kpis).await } else { Ok(Vec::new()) };
        self.mutate(cx.call(&request), async |m| {
            let mut version = claim(m, &request.name, "name").await?;
            let shown = !request.mandate.is_empty();
            let mut mandate =
                if shown { Some(self.mandates.redeem(m, "activate_gate", &request).await?) } else { None };
            etag::check(&request.etag, &version.etag, &request.name)?;
            match version.state() {
                State::Draft => {}
                State::Active => return Ok(version),
                State::Superseded | State::Unspecified => {
                    let message = format!("{} was superseded: create a new version from it", request.name);
                    return Err(Error::precondition("GATE_VERSION_SUPERSEDED", message));
                }
            }
            if version.digest != asked.digest {
                let message = format!("{} was edited while it was looked at: activate it again", request.name);
                return Err(Error::new(Kind::Conflict, "ETAG_MISMATCH", message));
            }
            complete(&request.name, defects(m.tx(), &cx.tenant, &version, &unknown?).await?)?;
            let mut gate = Gates::claim(m, name::parent(&version.name)).await?;
            let superseded = Some(gate.active_version).filter(|name| !name.is_empty());
            let last = match &superseded {
                Some(superseded) => Some(GateVersions::claim(m, superseded).await?),
                None => None,
            };
            let changes = gate_changes::compare(last.as_ref(), &version);
            let change = gate_changes::direction(&changes);
            if change.loosens() && mandate.is_none() {
                mandate = Some(self.mandates.redeem(m, "activate_gate", &request).await?);
            }
            if mandate.is_some() {
                check_content(&version, &request.content_digest)?;
            }
            let proposal = mandate.map(|mandate| mandate.sub).unwrap_or_default();
            let now = Some(stamp(m.now()));
            if let Some(mut last) = last {
                last.state = State::Superseded.into();
                last.update_time = now;
                GateVersions::save(m, &mut last).await?;
            }
            version.state = State::Active.into();
            version.activated_by = Some(actor(m.actor()));
            version.activate_time = now;
            version.mandate.clone_from(&request.mandate);
            version.proposal.clone_from(&proposal);
            version.update_time = now;
            GateVersions::save(m, &mut version).await?;
            gate.active_version = version.name.clone();
            gate.display_name = version.display_name.clone();
            gate.update_time = now;
            Gates::save(m, &mut gate).await?;
            m.record(&version.name, |event| {
                event.reason = request.reason;
                event.after_digest = version.digest.clone();
                let accountable_person = version.accountable_person.clone();
                let changes =
                    changes.iter().map(|change| format!("{}: {}", change.field, change.description)).collect();
                let change = change.as_str().to_owned();
                event.details = GateActivated { superseded, accountable_person, proposal, change, changes }.json();
            });
            Ok(version)
        })
        .await
    }

    /// Says what a version lacks, and what it would change.
    pub(crate) async fn check_gate_version(
        &self,
        cx: &Cx,
        request: pb::CheckGateVersionRequest,
    ) -> Result<pb::CheckGateVersionResponse> {
        self.seed(&cx.tenant).await?;
        let version = find(&mut self.db.read().await?, &cx.tenant, &request.name, "name").await?;
        let unknown = self.kpis.unknown(&cx.tenant, &version.kpis).await?;
        let mut tx = self.db.read().await?;
        let active = gates::active(&mut tx, &cx.tenant, name::parent(&version.name)).await?;
        let changes = gate_changes::compare(active.as_ref(), &version);
        Ok(pb::CheckGateVersionResponse {
            defects: defects(&mut tx, &cx.tenant, &version, &unknown).await?,
            change: gate_changes::wire(gate_changes::direction(&changes)).into(),
            changes: changes.iter().map(gate_changes::Change::message).collect(),
        })
    }

    /// Returns a gate.
    pub(crate) async fn get_gate(&self, cx: &Cx, request: pb::GetGateRequest) -> Result<pb::Gate> {
        self.seed(&cx.tenant).await?;
        GateName::parse(&request.name, "name")?;
        Gates::get(&mut self.db.read().await?, &cx.tenant, &request.name).await
    }

    /// Lists gates.
    pub(crate) async fn list_gates(&self, cx: &Cx, request: pb::ListGatesRequest) -> Result<pb::ListGatesResponse> {
        self.seed(&cx.tenant).await?;
        let (gates, next_page_token) = Gates::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(pb::ListGatesResponse { gates, next_page_token })
    }

    /// Returns a version.
    pub(crate) async fn get_gate_version(
        &self,
        cx: &Cx,
        request: pb::GetGateVersionRequest,
    ) -> Result<pb::GateVersion> {
        self.seed(&cx.tenant).await?;
        find(&mut self.db.read().await?, &cx.tenant, &request.name, "name").await
    }

    /// Lists the versions of a gate.
    pub(crate) async fn list_gate_versions(
        &self,
        cx: &Cx,
        request: pb::ListGateVersionsRequest,
    ) -> Result<pb::ListGateVersionsResponse> {
        self.seed(&cx.tenant).await?;
        let page = cx.page(&request);
        let (gate_versions, next_page_token) =
            GateVersions::list_in::<Gates>(&self.db, &cx.tenant, page, GateName::PATTERN).await?;
        Ok(pb::ListGateVersionsResponse { gate_versions, next_page_token })
    }
}

/// Refuses a version with defects.
fn complete(name: &str, defects: Vec<pb::GateDefect>) -> Result<()> {
    if defects.is_empty() {
        return Ok(());
    }
    let fields: Vec<&str> = defects.iter().map(|defect| defect.field.as_str()).collect();
    let message = format!("{name} cannot be activated without {}", fields.join(", "));
    let error = Error::precondition("GATE_INCOMPLETE", message);
    Err(defects.into_iter().fold(error, |error, defect| {
        error.with_violation(format!("gate_version.{}", defect.field), defect.description)
    }))
}

/// Refuses a mandate that names no content, or another one than the version has.
fn check_content(version: &pb::GateVersion, decided: &str) -> Result<()> {
    if decided.is_empty() {
        let what = "is required with a mandate: the digest of the version that was voted on";
        return Err(Error::invalid("FIELD_REQUIRED", "content_digest", what));
    }
    if decided != version.digest {
        let message = format!("{} has content {}, the decision was about {decided}", version.name, version.digest);
        return Err(Error::precondition("CONTENT_CHANGED", message));
    }
    Ok(())
}

/// Gives a gate without a version in force the title of its newest draft.
async fn retitle(m: &mut Mutation, version: &pb::GateVersion) -> Result<()> {
    let mut gate = Gates::claim(m, name::parent(&version.name)).await?;
    if !gate.active_version.is_empty() || gate.latest_version != version.name {
        return Ok(());
    }
    gate.display_name.clone_from(&version.display_name);
    gate.update_time = Some(stamp(m.now()));
    Gates::save(m, &mut gate).await
}
