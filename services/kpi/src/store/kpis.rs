//! Definitions in force, their versions, and the series of their events.

use super::chunks;
use crate::definition::Definition;
use remit_api::kpi::v1::{Kind, Kpi, KpiState, Layer};
use remit_api::wire::{Word as _, time};
use remit_core::name::{KpiName, KpiVersionName, last};
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Mutation, Order, Records, Sql, Tx, Value, query};

/// Definitions in force. Claiming one locks its series and rollups too: batches of events of a KPI take turns,
/// and its revision stays.
pub(crate) struct Kpis;

impl Records for Kpis {
    type Message = Kpi;

    const TABLE: &'static str = "kpis";
    const NOT_FOUND: &'static str = "KPI_NOT_FOUND";
    const EXISTS: &'static str = "KPI_EXISTS";
    const FIELDS: &'static [Field] = &[
        Field::words("layer", "layer", Layer::WORDS),
        Field::words("kind", "kind", Kind::WORDS),
        Field::words("state", "state", KpiState::WORDS),
        Field::text("owner", "owner").subjects(),
        Field::boolean("derived", "derived"),
    ];

    fn name(kpi: &Kpi) -> &str {
        &kpi.name
    }

    fn create_time(kpi: &Kpi) -> Timestamp {
        time::of(&kpi.create_time.unwrap_or_default())
    }

    fn columns(kpi: &Kpi) -> Vec<(&'static str, Value)> {
        vec![
            ("layer", Layer::word_of(kpi.layer).into()),
            ("kind", Kind::word_of(kpi.kind).into()),
            ("state", KpiState::word_of(kpi.state).into()),
            ("owner", Value::from(&kpi.owner)),
            ("derived", kpi.derived.into()),
        ]
    }

    fn set_etag(kpi: &mut Kpi, etag: String) {
        kpi.etag = etag;
    }
}

/// The definition in force of `kpis/{kpi}`, named by `field`.
///
/// # Errors
/// `NotFound` (`KPI_NOT_FOUND`), `InvalidArgument` (`NAME_INVALID`).
pub(crate) async fn definition(tx: &mut Tx, tenant: &Tenant, kpi: &str, field: &str) -> Result<Definition> {
    KpiName::parse(kpi, field)?;
    Definition::new(Kpis::get(tx, tenant, kpi).await?)
}

/// Every definition that takes events, by name.
pub(crate) async fn active(tx: &mut Tx, tenant: &Tenant) -> Result<Vec<Kpi>> {
    Kpis::all(tx, tenant, &[("state", KpiState::Active.word().into())]).await
}

/// The definition at each version, newest first. Versions have names of their own here; callers see the KPI's.
pub(crate) struct KpiVersions;

impl Records for KpiVersions {
    type Message = Kpi;

    const TABLE: &'static str = "kpi_versions";
    const NOT_FOUND: &'static str = Kpis::NOT_FOUND;
    const EXISTS: &'static str = Kpis::EXISTS;
    const SORT: &'static [Key] = &[Key::Int("version")];
    const ORDER: Order = Order::Descending;

    fn name(kpi: &Kpi) -> &str {
        &kpi.name
    }

    fn create_time(kpi: &Kpi) -> Timestamp {
        time::of(&kpi.update_time.unwrap_or_default())
    }

    fn columns(kpi: &Kpi) -> Vec<(&'static str, Value)> {
        vec![("parent", remit_core::name::parent(&kpi.name).into()), ("version", kpi.version.into())]
    }
}

fn as_version(kpi: &Kpi) -> Kpi {
    Kpi { name: KpiVersionName::new(last(&kpi.name), kpi.version.to_string()).to_string(), ..kpi.clone() }
}

/// Keeps a definition as it is now among its versions.
pub(crate) async fn keep_version(m: &mut Mutation, kpi: &Kpi) -> Result<()> {
    KpiVersions::insert(m, &mut as_version(kpi)).await
}

/// Keeps new definitions among their versions.
pub(crate) async fn keep_versions(m: &mut Mutation, kpis: &[Kpi]) -> Result<()> {
    let mut versions: Vec<Kpi> = kpis.iter().map(as_version).collect();
    KpiVersions::insert_all(m, &mut versions).await.map(drop)
}

/// A version as callers see it.
pub(crate) fn shown(mut version: Kpi) -> Kpi {
    version.name = remit_core::name::parent(&version.name).to_owned();
    version
}

/// The series of a KPI: id and canonical dimensions.
pub(crate) async fn series(tx: &mut Tx, tenant: &Tenant, kpi_id: &str) -> Result<Vec<(i64, String)>> {
    let rows =
        query("select series_id, dimensions from series where tenant_id = $1 and kpi_id = $2 order by series_id")
            .bind(tenant)
            .bind(kpi_id)
            .fetch_all(tx)
            .await?;
    rows.iter().map(|row| Ok((row.get("series_id")?, row.get("dimensions")?))).collect()
}

/// The series of a KPI with these canonical dimensions, as far as there are any; all of them where very many are named.
pub(crate) async fn series_named(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    named: &[&str],
) -> Result<Vec<(i64, String)>> {
    let mut chunks = chunks(named).into_iter();
    let (first, more) = (chunks.next(), chunks.next());
    let Some(chunk) = first.filter(|_| more.is_none()) else {
        return if named.is_empty() { Ok(Vec::new()) } else { series(tx, tenant, kpi_id).await };
    };
    let sql = Sql::new("select series_id, dimensions from series where tenant_id = ")
        .bind(tenant)
        .push(" and kpi_id = ")
        .bind(kpi_id)
        .push(" and dimensions in ")
        .bind_list(chunk);
    let rows = sql.query().fetch_all(tx).await?;
    rows.iter().map(|row| Ok((row.get("series_id")?, row.get("dimensions")?))).collect()
}

/// The series of several KPIs: the id of the KPI, that of the series, and its canonical dimensions.
pub(crate) async fn series_of(tx: &mut Tx, tenant: &Tenant, kpi_ids: &[&str]) -> Result<Vec<(String, i64, String)>> {
    let mut series = Vec::new();
    for chunk in chunks(kpi_ids) {
        let sql = Sql::new("select kpi_id, series_id, dimensions from series where tenant_id = ")
            .bind(tenant)
            .push(" and kpi_id in ")
            .bind_list(chunk);
        for row in &sql.query().fetch_all(tx).await? {
            series.push((row.get("kpi_id")?, row.get("series_id")?, row.get("dimensions")?));
        }
    }
    Ok(series)
}

/// Adds a series to a claimed KPI.
pub(crate) async fn insert_series(
    tx: &mut Tx,
    tenant: &Tenant,
    kpi_id: &str,
    series_id: i64,
    dimensions: &str,
) -> Result<()> {
    query("insert into series (tenant_id, kpi_id, series_id, dimensions) values ($1, $2, $3, $4)")
        .bind(tenant)
        .bind(kpi_id)
        .bind(series_id)
        .bind(dimensions)
        .execute(tx)
        .await?;
    Ok(())
}
