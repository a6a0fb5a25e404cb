//! Creating, reading and revising definitions.

use super::{Kpis, timestamp};
use crate::definition::{complete, revise};
use crate::store::definitions as store;
use crate::store::{self as sql};
use prost::Message;
use remit_api::kpi::v1::{
    CreateKpiRequest, GetKpiRequest, Kpi, KpiState, ListKpiVersionsRequest, ListKpiVersionsResponse, ListKpisRequest,
    ListKpisResponse, RetireKpiRequest, UpdateKpiRequest,
};
use remit_core::{Error, Kind, Result, Tenant, digest, name};
use remit_runtime::{Started, begin, finish};
use remit_store::filter::Field;
use remit_store::{Call, Mutation, Value, filter, page};

/// What a list of KPIs can be filtered by.
const FIELDS: [Field; 5] = [
    Field::words("layer", "layer", &["OPERATIONAL", "EXECUTION", "STRATEGIC"]),
    Field::words("kind", "kind", &["SUM", "COUNT", "RATIO", "MEAN", "PERCENTILE", "DISTINCT", "LAST", "DISTRIBUTION"]),
    Field::words("state", "state", &["ACTIVE", "RETIRED"]),
    Field::text("owner", "owner"),
    Field::boolean("derived", "derived"),
];

impl Kpis {
    /// Creates a KPI.
    ///
    /// # Errors
    /// `AlreadyExists` (`KPI_EXISTS`), `InvalidArgument` naming the field.
    pub async fn create_kpi(&self, call: Call, request: CreateKpiRequest) -> Result<Kpi> {
        self.ready(&call.tenant).await?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let mut kpi = complete(Kpi { name: format!("kpis/{}", request.kpi_id), ..request.kpi.unwrap_or_default() })?;
        kpi.version = 1;
        kpi.derived = false;
        kpi.set_state(KpiState::Active);
        kpi.create_time = timestamp(mutation.now());
        kpi.update_time = kpi.create_time;
        kpi.etag = etag(&kpi);
        let tenant = mutation.tenant().clone();
        if !store::insert(mutation.tx(), &tenant, &request.kpi_id, &kpi).await? {
            let message = format!("{} exists already", kpi.name);
            return Err(Error::new(Kind::AlreadyExists, "KPI_EXISTS", message));
        }
        audit(&mut mutation, "kpi.definitions.create", None, &kpi, "");
        finish(mutation, kpi).await
    }

    /// Returns a KPI, now or at a version.
    ///
    /// # Errors
    /// `NotFound` (`KPI_UNKNOWN`).
    pub async fn get_kpi(&self, tenant: &Tenant, request: &GetKpiRequest) -> Result<Kpi> {
        self.ready(tenant).await?;
        let mut tx = self.db.read().await?;
        let found = if request.name.contains("/versions/") {
            let [id, version] = name::ids(&request.name, "kpis/*/versions/*", "name")?;
            match version.parse() {
                Ok(version) => store::get_version(&mut tx, tenant, id, version).await?,
                Err(_) => None,
            }
        } else {
            let [id] = name::ids(&request.name, "kpis/*", "name")?;
            store::get(&mut tx, tenant, id).await?
        };
        found.ok_or_else(|| Error::not_found("KPI_UNKNOWN", &request.name))
    }

    /// Lists KPIs by name.
    ///
    /// # Errors
    /// `InvalidArgument`: `FILTER_INVALID`, `PAGE_TOKEN_INVALID`.
    pub async fn list_kpis(&self, tenant: &Tenant, request: &ListKpisRequest) -> Result<ListKpisResponse> {
        self.ready(tenant).await?;
        let filter = filter::parse(&request.filter, &FIELDS)?;
        let keyset = self.db.keyset(tenant, "kpi.definitions.list", &[&request.filter]);
        let (after, size) = (keyset.after(&request.page_token)?, page::size(request.page_size)?);
        let mut tx = self.db.read().await?;
        let found = store::list(&mut tx, tenant, &filter, after.as_deref(), size + 1).await?;
        let id = |kpi: &Kpi| sql::text(kpi.name.trim_start_matches("kpis/"));
        let (kpis, next_page_token) = keyset.cut(found, size, id);
        Ok(ListKpisResponse { kpis, next_page_token })
    }

    /// Lists the versions of a definition, newest first.
    ///
    /// # Errors
    /// `NotFound` (`KPI_UNKNOWN`), `InvalidArgument` (`PAGE_TOKEN_INVALID`).
    pub async fn list_kpi_versions(
        &self,
        tenant: &Tenant,
        request: &ListKpiVersionsRequest,
    ) -> Result<ListKpiVersionsResponse> {
        self.ready(tenant).await?;
        let keyset = self.db.keyset(tenant, "kpi.versions.list", &[&request.parent]);
        let (after, size) = (keyset.after(&request.page_token)?, page::size(request.page_size)?);
        let mut tx = self.db.read().await?;
        let definition = self.definition(&mut tx, tenant, &request.parent, "parent").await?;
        let found = store::versions(&mut tx, tenant, &definition.id, after.as_deref(), size + 1).await?;
        let (versions, next_page_token) = keyset.cut(found, size, |kpi| vec![Value::from(kpi.version)]);
        Ok(ListKpiVersionsResponse { versions, next_page_token })
    }

    /// Makes a new version of a definition; the same definition again changes nothing.
    ///
    /// # Errors
    /// `NotFound` (`KPI_UNKNOWN`), `Conflict` (`ETAG_MISMATCH`), `FailedPrecondition` (`KPI_RETIRED`),
    /// `InvalidArgument` naming the field.
    pub async fn update_kpi(&self, call: Call, request: UpdateKpiRequest) -> Result<Kpi> {
        let wanted = request.kpi.unwrap_or_default();
        let (mut mutation, id, current) = match self.claim(call, &wanted.name, "kpi.name").await? {
            Claimed::Replay(answer) => return Ok(answer),
            Claimed::Fresh(mutation, id, current) => (mutation, id, current),
        };
        if !wanted.etag.is_empty() && wanted.etag != current.etag {
            return Err(etag_mismatch(&current.name));
        }
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        let mut next = revise(&current, &wanted, &paths)?;
        if next == current {
            return finish(mutation, current).await;
        }
        next.version = current.version + 1;
        next.update_time = timestamp(mutation.now());
        next.etag = etag(&next);
        let tenant = mutation.tenant().clone();
        store::update(mutation.tx(), &tenant, &id, &next).await?;
        audit(&mut mutation, "kpi.definitions.update", Some(&current), &next, "");
        finish(mutation, next).await
    }

    /// Closes a KPI to events.
    ///
    /// # Errors
    /// `NotFound` (`KPI_UNKNOWN`), `FailedPrecondition` (`KPI_RETIRED`).
    pub async fn retire_kpi(&self, call: Call, request: &RetireKpiRequest) -> Result<Kpi> {
        let (mut mutation, id, current) = match self.claim(call, &request.name, "name").await? {
            Claimed::Replay(answer) => return Ok(answer),
            Claimed::Fresh(mutation, id, current) => (mutation, id, current),
        };
        let mut next = current.clone();
        next.set_state(KpiState::Retired);
        next.version += 1;
        next.update_time = timestamp(mutation.now());
        next.etag = etag(&next);
        let tenant = mutation.tenant().clone();
        store::update(mutation.tx(), &tenant, &id, &next).await?;
        audit(&mut mutation, "kpi.definitions.retire", Some(&current), &next, &request.reason);
        finish(mutation, next).await
    }

    /// Begins a mutation of a KPI that still takes events, and locks it.
    async fn claim(&self, call: Call, kpi: &str, field: &str) -> Result<Claimed> {
        let [id] = name::ids(kpi, "kpis/*", field)?;
        self.ready(&call.tenant).await?;
        let mut mutation = match begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(Claimed::Replay(answer)),
            Started::Fresh(mutation) => mutation,
        };
        let tenant = mutation.tenant().clone();
        let current = store::claim(mutation.tx(), &tenant, id).await?;
        let current = current.ok_or_else(|| Error::not_found("KPI_UNKNOWN", kpi))?;
        if current.state() == KpiState::Retired {
            return Err(Error::precondition("KPI_RETIRED", format!("{kpi} is retired")));
        }
        Ok(Claimed::Fresh(mutation, id.to_owned(), current))
    }
}

#[allow(clippy::large_enum_variant, reason = "made once a call and matched at once")]
enum Claimed {
    Replay(Kpi),
    Fresh(Box<Mutation>, String, Kpi),
}

/// The etag of a version.
pub fn etag(kpi: &Kpi) -> String {
    format!("v{}", kpi.version)
}

/// The error for an etag that is no longer the current one.
pub fn etag_mismatch(name: &str) -> Error {
    Error::new(Kind::Conflict, "ETAG_MISMATCH", format!("{name} has changed: read it again, then repeat the change"))
}

fn audit(mutation: &mut Mutation, action: &str, before: Option<&Kpi>, after: &Kpi, reason: &str) {
    let mut event = mutation.event(action, &after.name);
    event.reason = reason.to_owned();
    event.before_digest = before.map(|kpi| digest::sha256(&kpi.encode_to_vec())).unwrap_or_default();
    event.after_digest = digest::sha256(&after.encode_to_vec());
    event.details = serde_json::json!({ "version": after.version });
    mutation.record(event);
}
