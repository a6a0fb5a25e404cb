//! Gates and their versions.

use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Order, Row, Sql, Tx, Value, query};

/// A gate as stored.
pub struct GateRow {
    pub id: String,
    pub latest_version: i64,
    pub active_version: Option<i64>,
    pub template: bool,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    /// The content of the version that gives the gate its title.
    pub shown: Vec<u8>,
}

/// A version as stored.
pub struct VersionRow {
    pub gate_id: String,
    pub version: i64,
    pub state: i64,
    pub revision: i64,
    pub body: Vec<u8>,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
}

fn read_version(row: &Row) -> Result<VersionRow> {
    Ok(VersionRow {
        gate_id: row.get("gate_id")?,
        version: row.get("version")?,
        state: row.get("state")?,
        revision: row.get("revision")?,
        body: row.get("body")?,
        create_time: row.get("create_time")?,
        update_time: row.get("update_time")?,
    })
}

fn read_gate(row: &Row) -> Result<GateRow> {
    Ok(GateRow {
        id: row.get("gate_id")?,
        latest_version: row.get("latest_version")?,
        active_version: row.get("active_version")?,
        template: row.get("template")?,
        create_time: row.get("create_time")?,
        update_time: row.get("update_time")?,
        shown: row.get("shown")?,
    })
}

/// Takes the next version number of a gate, which is created if it is new; the row is then locked.
pub async fn next_version(tx: &mut Tx, tenant: &Tenant, gate: &str, template: bool, now: Timestamp) -> Result<i64> {
    query(
        "insert into gates (tenant_id, gate_id, latest_version, active_version, template, create_time, update_time)
         values ($1, $2, 1, null, $3, $4, $4)
         on conflict (tenant_id, gate_id)
         do update set latest_version = gates.latest_version + 1, update_time = excluded.update_time
         returning latest_version",
    )
    .bind(tenant)
    .bind(gate)
    .bind(template)
    .bind(now)
    .fetch_one(tx)
    .await?
    .get("latest_version")
}

/// Inserts a version.
pub async fn insert_version(tx: &mut Tx, tenant: &Tenant, row: VersionRow) -> Result<()> {
    query(
        "insert into gate_versions (tenant_id, gate_id, version, state, revision, body, create_time, update_time)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(row.gate_id)
    .bind(row.version)
    .bind(row.state)
    .bind(row.revision)
    .bind(row.body)
    .bind(row.create_time)
    .bind(row.update_time)
    .execute(tx)
    .await
    .map(drop)
}

/// Locks a gate and returns the version in force; `None` if there is no such gate.
pub async fn lock(tx: &mut Tx, tenant: &Tenant, gate: &str, now: Timestamp) -> Result<Option<Option<i64>>> {
    let row = query("update gates set update_time = $3 where tenant_id = $1 and gate_id = $2 returning active_version")
        .bind(tenant)
        .bind(gate)
        .bind(now)
        .fetch_optional(tx)
        .await?;
    row.map(|row| row.get("active_version")).transpose()
}

/// Puts a version in force.
pub async fn set_active(tx: &mut Tx, tenant: &Tenant, gate: &str, version: i64) -> Result<()> {
    query("update gates set active_version = $3 where tenant_id = $1 and gate_id = $2")
        .bind(tenant)
        .bind(gate)
        .bind(version)
        .execute(tx)
        .await
        .map(drop)
}

/// Changes a version.
pub async fn update_version(
    tx: &mut Tx,
    tenant: &Tenant,
    (gate, version): (&str, i64),
    state: i64,
    body: Vec<u8>,
    now: Timestamp,
) -> Result<()> {
    query(
        "update gate_versions set state = $4, body = $5, update_time = $6, revision = revision + 1
         where tenant_id = $1 and gate_id = $2 and version = $3",
    )
    .bind(tenant)
    .bind(gate)
    .bind(version)
    .bind(state)
    .bind(body)
    .bind(now)
    .execute(tx)
    .await
    .map(drop)
}

/// Marks a version as superseded.
pub async fn supersede(tx: &mut Tx, tenant: &Tenant, gate: &str, version: i64, state: i64) -> Result<()> {
    query(
        "update gate_versions set state = $4, revision = revision + 1
         where tenant_id = $1 and gate_id = $2 and version = $3",
    )
    .bind(tenant)
    .bind(gate)
    .bind(version)
    .bind(state)
    .execute(tx)
    .await
    .map(drop)
}

/// One gate.
pub async fn get(tx: &mut Tx, tenant: &Tenant, gate: &str) -> Result<Option<GateRow>> {
    let row = query(
        "select g.gate_id, g.latest_version, g.active_version, g.template, g.create_time, g.update_time, v.body as shown
         from gates g join gate_versions v on v.tenant_id = g.tenant_id and v.gate_id = g.gate_id
             and v.version = coalesce(g.active_version, g.latest_version)
         where g.tenant_id = $1 and g.gate_id = $2",
    )
    .bind(tenant)
    .bind(gate)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read_gate).transpose()
}

/// Gates by id.
pub async fn list(tx: &mut Tx, tenant: &Tenant, after: Option<&[Value]>, limit: i64) -> Result<Vec<GateRow>> {
    let rows = Sql::new(
        "select g.gate_id, g.latest_version, g.active_version, g.template, g.create_time, g.update_time, v.body as shown
         from gates g join gate_versions v on v.tenant_id = g.tenant_id and v.gate_id = g.gate_id
             and v.version = coalesce(g.active_version, g.latest_version)
         where g.tenant_id = ",
    )
    .bind(tenant)
    .and_after(&["g.gate_id"], Order::Ascending, after)
    .order_limit(&["g.gate_id"], Order::Ascending, limit)
    .query()
    .fetch_all(tx)
    .await?;
    rows.iter().map(read_gate).collect()
}

/// One version.
pub async fn get_version(tx: &mut Tx, tenant: &Tenant, gate: &str, version: i64) -> Result<Option<VersionRow>> {
    let row = query(
        "select gate_id, version, state, revision, body, create_time, update_time from gate_versions
         where tenant_id = $1 and gate_id = $2 and version = $3",
    )
    .bind(tenant)
    .bind(gate)
    .bind(version)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read_version).transpose()
}

/// The version in force.
pub async fn get_active(tx: &mut Tx, tenant: &Tenant, gate: &str) -> Result<Option<VersionRow>> {
    let row = query(
        "select v.gate_id, v.version, v.state, v.revision, v.body, v.create_time, v.update_time
         from gates g join gate_versions v on v.tenant_id = g.tenant_id and v.gate_id = g.gate_id and v.version = g.active_version
         where g.tenant_id = $1 and g.gate_id = $2",
    )
    .bind(tenant)
    .bind(gate)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read_version).transpose()
}

/// The versions of a gate, newest first.
pub async fn list_versions(
    tx: &mut Tx,
    tenant: &Tenant,
    gate: &str,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<VersionRow>> {
    let rows = Sql::new(
        "select gate_id, version, state, revision, body, create_time, update_time from gate_versions where tenant_id = ",
    )
    .bind(tenant)
    .push(" and gate_id = ")
    .bind(gate)
    .and_after(&["version"], Order::Descending, after)
    .order_limit(&["version"], Order::Descending, limit)
    .query()
    .fetch_all(tx)
    .await?;
    rows.iter().map(read_version).collect()
}
