//! Creating, reading and revising definitions.

use super::{LOOSEN, Service};
use crate::definition::{complete, revise};
use crate::store::kpis::{KpiVersions, Kpis, keep_version, shown};
use crate::store::rollups;
use crate::strictness;
use remit_api::kpi::v1::{
    CreateKpiRequest, GetKpiRequest, Kpi, KpiState, ListKpiVersionsRequest, ListKpiVersionsResponse, ListKpisRequest,
    ListKpisResponse, RetireKpiRequest, UpdateKpiRequest,
};
use remit_api::wire::{self, time, time::stamp};
use remit_core::details::{Details as _, KpiDefined};
use remit_core::mandate::Mandate;
use remit_core::name::{self, KpiName, KpiVersionName, last};
use remit_core::strictness::Comparison;
use remit_core::{Error, Result, etag};
use remit_runtime::{Cx, mandates};
use remit_store::{Mutation, Records as _};

impl Service {
    /// Creates a KPI.
    ///
    /// # Errors
    /// `AlreadyExists` (`KPI_EXISTS`), `InvalidArgument` naming the field.
    pub(crate) async fn create_kpi(&self, cx: &Cx, request: CreateKpiRequest) -> Result<Kpi> {
        let name = KpiName::new(name::id(&request.kpi_id, "kpi_id")?).to_string();
        let wanted = request.kpi.clone().unwrap_or_default();
        let mut kpi = complete(Kpi { name, version: 1, derived: false, mandate: String::new(), ..wanted })?;
        kpi.set_state(KpiState::Active);
        self.mutate(cx, &request, async |m| {
            kpi.create_time = Some(stamp(m.now()));
            kpi.update_time = kpi.create_time;
            Kpis::insert(m, &mut kpi).await?;
            keep_version(m, &kpi).await?;
            record(m, None, &kpi, "", KpiDefined { version: kpi.version, ..KpiDefined::default() });
            Ok(kpi)
        })
        .await
    }

    /// Returns a KPI, now or at a version.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn get_kpi(&self, cx: &Cx, request: GetKpiRequest) -> Result<Kpi> {
        let mut tx = self.read(cx).await?;
        if KpiVersionName::parse(&request.name, "name").is_ok() {
            return KpiVersions::get(&mut tx, &cx.tenant, &request.name).await.map(shown);
        }
        KpiName::parse(&request.name, "name")?;
        Kpis::get(&mut tx, &cx.tenant, &request.name).await
    }

    /// Lists KPIs by name.
    ///
    /// # Errors
    /// `InvalidArgument`: `FILTER_INVALID`, `PAGE_TOKEN_INVALID`.
    pub(crate) async fn list_kpis(&self, cx: &Cx, request: ListKpisRequest) -> Result<ListKpisResponse> {
        self.ready(&cx.tenant).await?;
        let (kpis, next_page_token) = Kpis::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(ListKpisResponse { kpis, next_page_token })
    }

    /// Lists the versions of a definition, newest first.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `InvalidArgument`: `NAME_INVALID`, `PAGE_TOKEN_INVALID`.
    pub(crate) async fn list_kpi_versions(
        &self,
        cx: &Cx,
        request: ListKpiVersionsRequest,
    ) -> Result<ListKpiVersionsResponse> {
        self.ready(&cx.tenant).await?;
        let page = cx.page(&request);
        let (versions, next_page_token) =
            KpiVersions::list_in::<Kpis>(&self.db, &cx.tenant, page, KpiName::PATTERN).await?;
        Ok(ListKpiVersionsResponse { versions: versions.into_iter().map(shown).collect(), next_page_token })
    }

    /// Makes a new version of a definition; the same definition again changes nothing.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `Conflict` (`ETAG_MISMATCH`), `FailedPrecondition` (`KPI_RETIRED`,
    /// `KPI_HAS_DATA`), `InvalidArgument` naming the field; `PermissionDenied` as [`mandates::allow`] and what the mandate is refused for.
    pub(crate) async fn update_kpi(&self, cx: &Cx, request: UpdateKpiRequest) -> Result<Kpi> {
        let wanted = wire::required(request.kpi.as_ref(), "kpi")?;
        KpiName::parse(&wanted.name, "kpi.name")?;
        self.mutate(cx, &request, async |m| {
            let current = Kpis::claim(m, &wanted.name).await?;
            let mandate = self.mandates.shown(m, LOOSEN, &request).await?;
            check_active(&current)?;
            etag::check(&wanted.etag, &current.etag, &current.name)?;
            let Some(next) = revise(&current, wanted, request.update_mask.as_ref())? else { return Ok(current) };
            if settled_by(&next) != settled_by(&current) {
                check_no_data(m, &current).await?;
            }
            let change = strictness::of_kpi(&current, &next);
            mandates::allow(m, LOOSEN, &current.name, &change, mandate.as_ref())?;
            put(m, &current, next, Why { reason: "", change, mandate, token: &request.mandate }).await
        })
        .await
    }

    /// Closes a KPI to events.
    ///
    /// # Errors
    /// `NotFound` (`KPI_NOT_FOUND`), `FailedPrecondition` (`KPI_RETIRED`), `InvalidArgument` (`NAME_INVALID`);
    /// `PermissionDenied`: `MANDATE_REQUIRED`, `MANDATE_OUTDATED`, and what the mandate is refused for.
    pub(crate) async fn retire_kpi(&self, cx: &Cx, request: RetireKpiRequest) -> Result<Kpi> {
        KpiName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let current = Kpis::claim(m, &request.name).await?;
            let mandate = self.mandates.shown(m, LOOSEN, &request).await?;
            check_active(&current)?;
            if let Some(mandate) = &mandate {
                mandate.check_newer(&current.name, time::of(&current.update_time.unwrap_or_default()))?;
            }
            let change = strictness::of_retirement(&current);
            mandates::allow(m, LOOSEN, &current.name, &change, mandate.as_ref())?;
            let mut next = current.clone();
            next.set_state(KpiState::Retired);
            put(m, &current, next, Why { reason: &request.reason, change, mandate, token: &request.mandate }).await
        })
        .await
    }
}

/// Refuses to change a KPI that takes no more events.
///
/// # Errors
/// `FailedPrecondition` (`KPI_RETIRED`).
fn check_active(kpi: &Kpi) -> Result<()> {
    if kpi.state() == KpiState::Retired {
        return Err(Error::precondition("KPI_RETIRED", format!("{} is retired", kpi.name)));
    }
    Ok(())
}

/// What an organisation settles before the first event.
fn settled_by(kpi: &Kpi) -> (&str, &str, i32, i32) {
    (&kpi.time_zone, &kpi.currency_code, kpi.week_start, kpi.fiscal_year_start_month)
}

/// Refuses to move the days or the money of what has been counted. Under the claim no event can come in between.
///
/// # Errors
/// `FailedPrecondition` (`KPI_HAS_DATA`).
async fn check_no_data(m: &mut Mutation, kpi: &Kpi) -> Result<()> {
    let tenant = m.tenant().clone();
    if rollups::extent(m.tx(), &tenant, last(&kpi.name)).await?.is_none() {
        return Ok(());
    }
    let message = format!(
        "{} has events, whose days and money are those of its calendar and currency: create another KPI",
        kpi.name
    );
    Err(Error::precondition("KPI_HAS_DATA", message))
}

/// Why a definition changes, and what that does.
struct Why<'a> {
    /// The reason given; empty if none is asked for.
    reason: &'a str,
    change: Comparison,
    /// The decision behind it, and as it was shown.
    mandate: Option<Mandate>,
    token: &'a str,
}

/// Makes `next` the version in force of a claimed KPI.
async fn put(m: &mut Mutation, current: &Kpi, mut next: Kpi, why: Why<'_>) -> Result<Kpi> {
    next.version = current.version + 1;
    next.update_time = Some(stamp(m.now()));
    if why.mandate.is_some() {
        why.token.clone_into(&mut next.mandate);
    }
    Kpis::save(m, &mut next).await?;
    keep_version(m, &next).await?;
    let details = KpiDefined {
        version: next.version,
        change: why.change.direction().as_str().to_owned(),
        loosened: why.change.loosened().to_vec(),
        proposal: why.mandate.map(|mandate| mandate.sub).unwrap_or_default(),
    };
    record(m, Some(current), &next, why.reason, details);
    Ok(next)
}

fn record(m: &mut Mutation, before: Option<&Kpi>, after: &Kpi, reason: &str, details: KpiDefined) {
    m.record(&after.name, |event| {
        event.reason = reason.to_owned();
        event.before_digest = before.map(wire::digest).unwrap_or_default();
        event.after_digest = wire::digest(after);
        event.details = details.json();
    });
}
