//! Policy versions and backtests.

use prost::Message as _;
use remit_api::scoring::v1::Backtest;
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_store::{BulkInsert, Order, Row, Sql, Tx, Value, filter, query};

/// A stored version.
#[derive(Debug, Clone)]
pub(crate) struct PolicyRow {
    pub policy: String,
    pub version: String,
    pub state: String,
    pub digest: String,
    pub source: Vec<u8>,
    pub format: i64,
    pub creator: String,
    pub proposal: String,
    pub backtest_digest: String,
    pub create_time: Timestamp,
    pub activate_time: Option<Timestamp>,
    pub supersede_time: Option<Timestamp>,
}

impl PolicyRow {
    pub(crate) fn name(&self) -> String {
        format!("policies/{}/versions/{}", self.policy, self.version)
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            policy: row.get("policy")?,
            version: row.get("version")?,
            state: row.get("state")?,
            digest: row.get("digest")?,
            source: row.get("source")?,
            format: row.get("format")?,
            creator: row.get("creator")?,
            proposal: row.get("proposal")?,
            backtest_digest: row.get("backtest_digest")?,
            create_time: row.get("create_time")?,
            activate_time: row.get("activate_time")?,
            supersede_time: row.get("supersede_time")?,
        })
    }
}

const COLUMNS: &str = "select policy, version, state, digest, source, format, creator, proposal, backtest_digest,
    create_time, activate_time, supersede_time from policies where tenant_id = ";

/// Inserts a version; false if there is one of that name.
pub(crate) async fn insert(tx: &mut Tx, tenant: &Tenant, row: &PolicyRow, activatable: bool) -> Result<bool> {
    let inserted = query(
        "insert into policies (tenant_id, policy, version, state, digest, activatable, source, format, creator,
             proposal, backtest_digest, create_time, activate_time, supersede_time)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         on conflict (tenant_id, policy, version) do nothing",
    )
    .bind(tenant)
    .bind(&row.policy)
    .bind(&row.version)
    .bind(&row.state)
    .bind(&row.digest)
    .bind(activatable)
    .bind(row.source.clone())
    .bind(row.format)
    .bind(&row.creator)
    .bind(&row.proposal)
    .bind(&row.backtest_digest)
    .bind(row.create_time)
    .bind(row.activate_time)
    .bind(row.supersede_time)
    .execute(tx)
    .await?;
    Ok(inserted == 1)
}

pub(crate) async fn find(tx: &mut Tx, tenant: &Tenant, policy: &str, version: &str) -> Result<Option<PolicyRow>> {
    let sql = Sql::new(COLUMNS).bind(tenant).push(" and policy = ").bind(policy).push(" and version = ").bind(version);
    sql.query().fetch_optional(tx).await?.as_ref().map(PolicyRow::read).transpose()
}

pub(crate) async fn find_active(tx: &mut Tx, tenant: &Tenant) -> Result<Option<PolicyRow>> {
    let sql = Sql::new(COLUMNS).bind(tenant).push(" and state = 'ACTIVE'");
    sql.query().fetch_optional(tx).await?.as_ref().map(PolicyRow::read).transpose()
}

const FIELDS: [filter::Field; 4] = [
    filter::Field::text("policy", "policy"),
    filter::Field::text("version", "version"),
    filter::Field::words("state", "state", &["DRAFT", "ACTIVE", "SUPERSEDED"]),
    filter::Field::timestamp("create_time", "create_time"),
];

pub(crate) async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &str,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<PolicyRow>> {
    let sql = Sql::new(COLUMNS)
        .bind(tenant)
        .and_filter(&filter::parse(filter, &FIELDS)?)
        .and_after(&["policy", "version"], Order::Ascending, after)
        .order_limit(&["policy", "version"], Order::Ascending, limit);
    sql.query().fetch_all(tx).await?.iter().map(PolicyRow::read).collect()
}

/// Ends the active version, if any.
pub(crate) async fn supersede(tx: &mut Tx, tenant: &Tenant, now: Timestamp) -> Result<u64> {
    query("update policies set state = 'SUPERSEDED', supersede_time = $2 where tenant_id = $1 and state = 'ACTIVE'")
        .bind(tenant)
        .bind(now)
        .execute(tx)
        .await
}

/// Makes a draft active.
pub(crate) async fn activate(
    tx: &mut Tx,
    tenant: &Tenant,
    row: &PolicyRow,
    proposal: &str,
    backtest_digest: &str,
    now: Timestamp,
) -> Result<u64> {
    query(
        "update policies set state = 'ACTIVE', proposal = $4, backtest_digest = $5, activate_time = $6
         where tenant_id = $1 and policy = $2 and version = $3 and state = 'DRAFT'",
    )
    .bind(tenant)
    .bind(&row.policy)
    .bind(&row.version)
    .bind(proposal)
    .bind(backtest_digest)
    .bind(now)
    .execute(tx)
    .await
}

/// Stores a backtest; an equal one of the same moment is kept once.
pub(crate) async fn insert_backtest(
    tx: &mut Tx,
    tenant: &Tenant,
    id: &str,
    backtest: &Backtest,
    now: Timestamp,
) -> Result<()> {
    BulkInsert::into("backtests")
        .text("tenant_id", vec![tenant.to_string()])
        .text("backtest_id", vec![id.to_owned()])
        .text("digest", vec![backtest.digest.clone()])
        .text("policy_digest", vec![backtest.policy_digest.clone()])
        .text("active_policy_digest", vec![backtest.active_policy_digest.clone()])
        .bigint("create_time", vec![now.micros()])
        .bytes("body", vec![backtest.encode_to_vec()])
        .on_conflict_do_nothing()
        .execute(tx)
        .await
        .map(|_| ())
}

fn backtest(row: &Row) -> Result<(Backtest, Timestamp)> {
    let body: Vec<u8> = row.get("body")?;
    let backtest = Backtest::decode(body.as_slice())
        .map_err(|error| Error::internal("reading a stored backtest").with_source(error))?;
    Ok((backtest, row.get("create_time")?))
}

pub(crate) async fn find_backtest(tx: &mut Tx, tenant: &Tenant, id: &str) -> Result<Option<Backtest>> {
    let row = query("select body, create_time from backtests where tenant_id = $1 and backtest_id = $2")
        .bind(tenant)
        .bind(id)
        .fetch_optional(tx)
        .await?;
    Ok(row.as_ref().map(backtest).transpose()?.map(|(backtest, _)| backtest))
}

pub(crate) async fn find_backtest_by_digest(
    tx: &mut Tx,
    tenant: &Tenant,
    digest: &str,
) -> Result<Option<(Backtest, Timestamp)>> {
    let row = query("select body, create_time from backtests where tenant_id = $1 and digest = $2")
        .bind(tenant)
        .bind(digest)
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(backtest).transpose()
}

pub(crate) async fn list_backtests(
    tx: &mut Tx,
    tenant: &Tenant,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<(Backtest, Timestamp)>> {
    let columns = ["create_time", "backtest_id"];
    let sql = Sql::new("select body, create_time from backtests where tenant_id = ")
        .bind(tenant)
        .and_after(&columns, Order::Descending, after)
        .order_limit(&columns, Order::Descending, limit);
    sql.query().fetch_all(tx).await?.iter().map(backtest).collect()
}
