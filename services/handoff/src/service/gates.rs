//! Gate definitions.

use super::{Service, calendars, decode, record};
use crate::convert::{self, stamp};
use crate::gate_rules;
use crate::store::{self, gates::GateRow, gates::VersionRow};
use prost::Message as _;
use remit_api::handoff::v1 as pb;
use remit_api::handoff::v1::GateState as State;
use remit_core::{Error, Kind, Result, Tenant, name};
use remit_runtime::{Cx, Started, finish};
use remit_store::{Mutation, Tx, Value, page};

fn missing(name: &str) -> Error {
    Error::not_found("GATE_VERSION_NOT_FOUND", name)
}

/// The name of a version.
pub(super) fn version_name(gate: &str, version: i64) -> String {
    format!("gates/{gate}/versions/{version}")
}

/// A state as it is stored.
fn code(state: State) -> i64 {
    i64::from(state as i32)
}

/// A version as callers see it.
pub(super) fn show(row: &VersionRow) -> Result<pb::GateVersion> {
    let mut gate: pb::GateVersion = decode(&row.body)?;
    gate.name = version_name(&row.gate_id, row.version);
    gate.state = i32::try_from(row.state).unwrap_or(0);
    gate.etag = convert::etag(row.revision);
    gate.create_time = Some(stamp(row.create_time));
    gate.update_time = Some(stamp(row.update_time));
    Ok(gate)
}

fn show_gate(row: &GateRow) -> Result<pb::Gate> {
    Ok(pb::Gate {
        name: format!("gates/{}", row.id),
        active_version: row.active_version.map(|version| version_name(&row.id, version)).unwrap_or_default(),
        latest_version: version_name(&row.id, row.latest_version),
        display_name: decode::<pb::GateVersion>(&row.shown)?.display_name,
        template: row.template,
        create_time: Some(stamp(row.create_time)),
        update_time: Some(stamp(row.update_time)),
    })
}

/// Inserts a draft under a version number that was taken.
pub(super) async fn insert(
    mutation: &mut Mutation,
    gate_id: &str,
    version: i64,
    mut gate: pb::GateVersion,
    author: Option<remit_api::types::Actor>,
) -> Result<pb::GateVersion> {
    gate.author = author;
    gate.activated_by = None;
    gate.activate_time = None;
    gate.digest = gate_rules::content_digest(&gate);
    let (tenant, now) = (mutation.tenant().clone(), mutation.now());
    let row = VersionRow {
        gate_id: gate_id.to_owned(),
        version,
        state: code(State::Draft),
        revision: 1,
        body: gate.encode_to_vec(),
        create_time: now,
        update_time: now,
    };
    let shown = show(&row)?;
    store::gates::insert_version(mutation.tx(), &tenant, row).await?;
    Ok(shown)
}

/// Splits `gates/g/versions/v`; the version is `None` for `active`.
fn parse(name: &str, field: &str) -> Result<(String, Option<i64>)> {
    let [gate, version] = name::ids::<2>(name, "gates/*/versions/*", field)?;
    if version == "active" {
        return Ok((gate.to_owned(), None));
    }
    let version = version.parse().ok().filter(|version| *version > 0);
    Ok((gate.to_owned(), Some(version.ok_or_else(|| missing(name))?)))
}

async fn find(tx: &mut Tx, tenant: &Tenant, name: &str, field: &str) -> Result<VersionRow> {
    let (gate, version) = parse(name, field)?;
    let row = match version {
        Some(version) => store::gates::get_version(tx, tenant, &gate, version).await?,
        None => store::gates::get_active(tx, tenant, &gate).await?,
    };
    row.ok_or_else(|| missing(name))
}

/// The version that governs something already running.
pub(super) async fn load(tx: &mut Tx, tenant: &Tenant, gate: &str, version: i64) -> Result<pb::GateVersion> {
    let row = store::gates::get_version(tx, tenant, gate, version).await?;
    show(&row.ok_or_else(|| missing(&version_name(gate, version)))?)
}

/// The version in force of `gates/g`, with its number.
///
/// # Errors
/// `NotFound` (`GATE_NOT_FOUND`), `FailedPrecondition` (`GATE_NOT_ACTIVE`).
pub(super) async fn active(
    tx: &mut Tx,
    tenant: &Tenant,
    name: &str,
    field: &str,
) -> Result<(String, i64, pb::GateVersion)> {
    let [gate] = name::ids::<1>(name, "gates/*", field)?;
    if let Some(row) = store::gates::get_active(tx, tenant, gate).await? {
        return Ok((gate.to_owned(), row.version, show(&row)?));
    }
    match store::gates::get(tx, tenant, gate).await? {
        Some(_) => Err(Error::precondition(
            "GATE_NOT_ACTIVE",
            format!("{name} has no active version: complete a draft and activate it"),
        )),
        None => Err(Error::not_found("GATE_NOT_FOUND", name)),
    }
}

/// The fields that can be changed, in the order of the message.
const FIELDS: &[&str] = &[
    "display_name",
    "description",
    "triggers",
    "owner",
    "delegates",
    "accountable_person",
    "service_level",
    "remind_after",
    "expire_after",
    "checklist",
    "iteration_limit",
    "escalation_ladder",
    "kpis",
    "brand_impacting",
    "risk",
    "stakes",
    "expansion_guardrails",
    "compression_criteria",
    "sampling",
    "creative",
    "routing",
];

/// Copies one field; false if there is none of that name.
fn copy(into: &mut pb::GateVersion, from: &pb::GateVersion, field: &str) -> bool {
    match field {
        "display_name" => into.display_name.clone_from(&from.display_name),
        "description" => into.description.clone_from(&from.description),
        "triggers" => into.triggers.clone_from(&from.triggers),
        "owner" => into.owner.clone_from(&from.owner),
        "delegates" => into.delegates.clone_from(&from.delegates),
        "accountable_person" => into.accountable_person.clone_from(&from.accountable_person),
        "service_level" => into.service_level.clone_from(&from.service_level),
        "remind_after" => into.remind_after.clone_from(&from.remind_after),
        "expire_after" => into.expire_after.clone_from(&from.expire_after),
        "checklist" => into.checklist.clone_from(&from.checklist),
        "iteration_limit" => into.iteration_limit = from.iteration_limit,
        "escalation_ladder" => into.escalation_ladder.clone_from(&from.escalation_ladder),
        "kpis" => into.kpis.clone_from(&from.kpis),
        "brand_impacting" => into.brand_impacting = from.brand_impacting,
        "risk" => into.risk = from.risk,
        "stakes" => into.stakes = from.stakes,
        "expansion_guardrails" => into.expansion_guardrails.clone_from(&from.expansion_guardrails),
        "compression_criteria" => into.compression_criteria.clone_from(&from.compression_criteria),
        "sampling" => into.sampling = from.sampling,
        "creative" | "routing" | "rules" => into.rules.clone_from(&from.rules),
        _ => return false,
    }
    true
}

/// The fields that `gate` sets, for a version made from a base.
fn set_fields(gate: &pb::GateVersion) -> Vec<&'static str> {
    let empty = pb::GateVersion::default();
    let alone = |field: &&'static str| {
        let mut one = empty.clone();
        copy(&mut one, gate, field);
        one != empty
    };
    FIELDS.iter().copied().filter(|field| alone(field)).collect()
}

impl Service {
    /// Creates the next version of a gate as a draft.
    pub async fn create_gate_version(&self, cx: &Cx, request: pb::CreateGateVersionRequest) -> Result<pb::GateVersion> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        if !name::is_id(&request.gate_id) {
            return Err(Error::invalid("GATE_INVALID", "gate_id", "must be letters, digits, '.', '_' and '-'"));
        }
        let now = mutation.now();
        let version = store::gates::next_version(mutation.tx(), &cx.tenant, &request.gate_id, false, now).await?;
        let gate = match (&request.gate_version, request.base.as_str()) {
            (None, "") => return Err(Error::invalid("GATE_INVALID", "gate_version", "is required without a base")),
            (Some(gate), "") => gate.clone(),
            (changes, base) => {
                let mut gate = show(&find(mutation.tx(), &cx.tenant, base, "base").await?)?;
                for field in changes.iter().flat_map(set_fields) {
                    copy(&mut gate, changes.as_ref().unwrap_or(&pb::GateVersion::default()), field);
                }
                gate
            }
        };
        gate_rules::check(&gate)?;
        let author = convert::actor(&cx.actor);
        let gate = insert(&mut mutation, &request.gate_id, version, gate, Some(author)).await?;
        record(&mut mutation, &gate.name, |event| event.after_digest.clone_from(&gate.digest));
        finish(mutation, gate).await
    }

    /// Edits a draft.
    pub async fn update_gate_version(&self, cx: &Cx, request: pb::UpdateGateVersionRequest) -> Result<pb::GateVersion> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let changes = request.gate_version.unwrap_or_default();
        let row = self.claim(&mut mutation, &changes.name, "gate_version.name").await?;
        if row.state != code(State::Draft) {
            let message = format!("{} was activated and never changes: create the next version", changes.name);
            return Err(Error::precondition("GATE_VERSION_IMMUTABLE", message));
        }
        convert::check_etag(&changes.etag, row.revision, &changes.name)?;
        let mut gate = show(&row)?;
        let before = gate.digest.clone();
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        let all = paths.is_empty() || paths == ["*"];
        let fields = if all { FIELDS.iter().map(|field| (*field).to_owned()).collect() } else { paths };
        for field in fields {
            if !copy(&mut gate, &changes, &field) {
                let known = format!("has no field {field}; fields are {}", FIELDS.join(", "));
                return Err(Error::invalid("UPDATE_MASK_INVALID", "update_mask", known));
            }
        }
        gate_rules::check(&gate)?;
        gate.digest = gate_rules::content_digest(&gate);
        let gate = self.save(&mut mutation, row, gate, State::Draft).await?;
        record(&mut mutation, &gate.name, |event| {
            event.before_digest = before;
            event.after_digest.clone_from(&gate.digest);
        });
        finish(mutation, gate).await
    }

    /// Puts a version in force.
    pub async fn activate_gate_version(
        &self,
        cx: &Cx,
        request: pb::ActivateGateVersionRequest,
    ) -> Result<pb::GateVersion> {
        let mut mutation = match self.begin(cx, &request.request_id, &request).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let row = self.claim(&mut mutation, &request.name, "name").await?;
        convert::check_etag(&request.etag, row.revision, &request.name)?;
        let mut gate = show(&row)?;
        match gate.state() {
            State::Draft => {}
            State::Active => return finish(mutation, gate).await,
            State::Superseded | State::Unspecified => {
                let message = format!("{} was superseded: create a new version from it", request.name);
                return Err(Error::precondition("GATE_VERSION_SUPERSEDED", message));
            }
        }
        let mut defects = gate_rules::defects(&gate);
        defects.extend(self.unknown_calendars(mutation.tx(), cx, &gate).await?);
        if !defects.is_empty() {
            let fields: Vec<&str> = defects.iter().map(|defect| defect.field.as_str()).collect();
            let message = format!("{} cannot be activated without {}", request.name, fields.join(", "));
            let error = Error::precondition("GATE_INCOMPLETE", message);
            return Err(defects.into_iter().fold(error, |error, defect| {
                error.with_violation(format!("gate_version.{}", defect.field), defect.description)
            }));
        }
        let before =
            store::gates::get(mutation.tx(), &cx.tenant, &row.gate_id).await?.and_then(|gate| gate.active_version);
        if let Some(before) = before {
            store::gates::supersede(mutation.tx(), &cx.tenant, &row.gate_id, before, code(State::Superseded)).await?;
        }
        store::gates::set_active(mutation.tx(), &cx.tenant, &row.gate_id, row.version).await?;
        gate.activated_by = Some(convert::actor(&cx.actor));
        gate.activate_time = Some(stamp(mutation.now()));
        let gate_id = row.gate_id.clone();
        let gate = self.save(&mut mutation, row, gate, State::Active).await?;
        record(&mut mutation, &gate.name, |event| {
            event.reason = request.reason;
            event.after_digest.clone_from(&gate.digest);
            let superseded = before.map(|version| version_name(&gate_id, version));
            event.details =
                serde_json::json!({"superseded": superseded, "accountable_person": gate.accountable_person});
        });
        finish(mutation, gate).await
    }

    /// Locks the gate of a version and reads the version.
    async fn claim(&self, mutation: &mut Mutation, name: &str, field: &str) -> Result<VersionRow> {
        let (gate, version) = parse(name, field)?;
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let active = store::gates::lock(mutation.tx(), &tenant, &gate, now).await?;
        let version = version.or(active.flatten()).ok_or_else(|| missing(name))?;
        let row = store::gates::get_version(mutation.tx(), &tenant, &gate, version).await?;
        row.ok_or_else(|| missing(name))
    }

    async fn save(
        &self,
        mutation: &mut Mutation,
        row: VersionRow,
        gate: pb::GateVersion,
        state: State,
    ) -> Result<pb::GateVersion> {
        let (tenant, now) = (mutation.tenant().clone(), mutation.now());
        let body = gate.encode_to_vec();
        let key = (row.gate_id.as_str(), row.version);
        store::gates::update_version(mutation.tx(), &tenant, key, code(state), body.clone(), now).await?;
        show(&VersionRow { state: code(state), revision: row.revision + 1, update_time: now, body, ..row })
    }

    async fn unknown_calendars(&self, tx: &mut Tx, cx: &Cx, gate: &pb::GateVersion) -> Result<Vec<pb::GateDefect>> {
        let mut found = Vec::new();
        for (field, level) in gate_rules::levels(gate) {
            if level.clock() != pb::ClockKind::Business {
                continue;
            }
            match calendars::load(tx, &cx.tenant, &level.calendar).await {
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

    /// Says what a version lacks.
    pub async fn check_gate_version(
        &self,
        cx: &Cx,
        request: pb::CheckGateVersionRequest,
    ) -> Result<pb::CheckGateVersionResponse> {
        self.seed(&cx.tenant).await?;
        let mut tx = self.db.read().await?;
        let gate = show(&find(&mut tx, &cx.tenant, &request.name, "name").await?)?;
        let mut defects = gate_rules::defects(&gate);
        defects.extend(self.unknown_calendars(&mut tx, cx, &gate).await?);
        Ok(pb::CheckGateVersionResponse { defects })
    }

    /// Returns a gate.
    pub async fn get_gate(&self, cx: &Cx, request: pb::GetGateRequest) -> Result<pb::Gate> {
        self.seed(&cx.tenant).await?;
        let [gate] = name::ids::<1>(&request.name, "gates/*", "name")?;
        let row = store::gates::get(&mut self.db.read().await?, &cx.tenant, gate).await?;
        show_gate(&row.ok_or_else(|| Error::not_found("GATE_NOT_FOUND", &request.name))?)
    }

    /// Lists gates.
    pub async fn list_gates(&self, cx: &Cx, request: pb::ListGatesRequest) -> Result<pb::ListGatesResponse> {
        self.seed(&cx.tenant).await?;
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(&cx.tenant, "gates", &[]);
        let after = keyset.after(&request.page_token)?;
        let rows = store::gates::list(&mut self.db.read().await?, &cx.tenant, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) = keyset.cut(rows, size, |row| vec![Value::from(&row.id)]);
        Ok(pb::ListGatesResponse { gates: rows.iter().map(show_gate).collect::<Result<_>>()?, next_page_token })
    }

    /// Returns a version.
    pub async fn get_gate_version(&self, cx: &Cx, request: pb::GetGateVersionRequest) -> Result<pb::GateVersion> {
        self.seed(&cx.tenant).await?;
        show(&find(&mut self.db.read().await?, &cx.tenant, &request.name, "name").await?)
    }

    /// Lists the versions of a gate.
    pub async fn list_gate_versions(
        &self,
        cx: &Cx,
        request: pb::ListGateVersionsRequest,
    ) -> Result<pb::ListGateVersionsResponse> {
        self.seed(&cx.tenant).await?;
        let [gate] = name::ids::<1>(&request.parent, "gates/*", "parent")?;
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(&cx.tenant, "gate_versions", &[gate]);
        let after = keyset.after(&request.page_token)?;
        let mut tx = self.db.read().await?;
        let rows = store::gates::list_versions(&mut tx, &cx.tenant, gate, after.as_deref(), size + 1).await?;
        let (rows, next_page_token) = keyset.cut(rows, size, |row| vec![Value::from(row.version)]);
        Ok(pb::ListGateVersionsResponse {
            gate_versions: rows.iter().map(show).collect::<Result<_>>()?,
            next_page_token,
        })
    }
}
