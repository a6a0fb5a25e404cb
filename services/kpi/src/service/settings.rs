//! The money and the calendar of the organisation, which the shipped definitions follow until they have events.

use super::Service;
use super::recount::recount;
use super::retention;
use crate::calendar::Calendar;
use crate::definition::Definition;
use crate::seed;
use crate::store::kpis::{Kpis, keep_versions};
use crate::store::rollups;
use crate::store::settings::Settings;
use remit_api::kpi::v1::{
    GetOrganizationSettingsRequest, Kpi, KpiState, OrganizationSettings, Unit, UpdateOrganizationSettingsRequest,
    Weekday,
};
use remit_api::wire::{self, Word as _, mask, time::stamp};
use remit_core::details::{Details as _, OrganizationSettled};
use remit_core::name::{OrganizationSettingsName, last};
use remit_core::{Result, Timestamp, etag};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _};
use std::collections::BTreeSet;
use std::time::Duration;

/// Their name.
pub(crate) const NAME: &str = "organizationSettings/current";

/// The settings as nobody has changed them.
pub(crate) fn first(now: Timestamp) -> OrganizationSettings {
    let mut settings = OrganizationSettings {
        name: NAME.to_owned(),
        currency_code: seed::CURRENCY.to_owned(),
        fiscal_year_start_month: 1,
        max_active_pilots: 1,
        create_time: Some(stamp(now)),
        update_time: Some(stamp(now)),
        ..OrganizationSettings::default()
    };
    settings.set_week_start(Weekday::Monday);
    settings
}

/// A shipped definition as it is with these settings.
fn settled(kpi: &Kpi, settings: &OrganizationSettings) -> Kpi {
    let mut next = Kpi { time_zone: settings.time_zone.clone(), ..kpi.clone() };
    if kpi.unit() == Unit::Currency {
        next.currency_code.clone_from(&settings.currency_code);
    }
    // A definition says nothing of what is usual.
    let week_start = Some(settings.week_start()).filter(|day| *day != Weekday::Monday);
    next.set_week_start(week_start.unwrap_or_default());
    next.fiscal_year_start_month =
        if settings.fiscal_year_start_month == 1 { 0 } else { settings.fiscal_year_start_month };
    next
}

impl Service {
    /// Returns the settings.
    ///
    /// # Errors
    /// `NotFound` (`SETTINGS_NOT_FOUND`), `InvalidArgument` (`NAME_INVALID`).
    pub(crate) async fn get_organization_settings(
        &self,
        cx: &Cx,
        request: GetOrganizationSettingsRequest,
    ) -> Result<OrganizationSettings> {
        OrganizationSettingsName::parse(&request.name, "name")?;
        Settings::get(&mut self.read(cx).await?, &cx.tenant, &request.name).await
    }

    /// Changes the settings, and with them the shipped definitions without events.
    ///
    /// # Errors
    /// `NotFound` (`SETTINGS_NOT_FOUND`), `Conflict` (`ETAG_MISMATCH`), `PermissionDenied` (`RETENTION_NEEDS_A_PERSON`),
    /// `InvalidArgument` naming the field.
    pub(crate) async fn update_organization_settings(
        &self,
        cx: &Cx,
        request: UpdateOrganizationSettingsRequest,
    ) -> Result<OrganizationSettings> {
        let wanted = wire::required(request.organization_settings.as_ref(), "organization_settings")?;
        OrganizationSettingsName::parse(&wanted.name, "organization_settings.name")?;
        self.mutate(cx, &request, async |m| {
            let current = Settings::claim(m, &wanted.name).await?;
            etag::check(&wanted.etag, &current.etag, &current.name)?;
            let Some(mut next) = mask::update(&current, wanted, request.update_mask.as_ref())? else {
                return Ok(current);
            };
            Calendar::new(&next.time_zone, "organization_settings.time_zone")?;
            if next.week_start() == Weekday::Unspecified {
                next.set_week_start(Weekday::Monday);
            }
            next.fiscal_year_start_month = next.fiscal_year_start_month.max(1);
            next.max_active_pilots = next.max_active_pilots.max(1);
            retention::check(next.event_retention_days)?;
            if next == current {
                return Ok(current);
            }
            if next.event_retention_days != current.event_retention_days {
                retention::check_person(&cx.actor)?;
                retention::schedule(m, Duration::ZERO, "").await?;
            }
            next.update_time = Some(stamp(m.now()));
            let (followed, kept) = follow(m, &next).await?;
            next.kept_kpis.clone_from(&kept);
            // With the change, and not by its timer a moment later: whoever made it knows the etag.
            retention::advance(&mut next, m.now());
            Settings::save(m, &mut next).await?;
            m.record(&next.name, |event| {
                event.before_digest = wire::digest(&current);
                event.after_digest = wire::digest(&next);
                event.details = OrganizationSettled {
                    currency_code: next.currency_code.clone(),
                    time_zone: next.time_zone.clone(),
                    week_start: next.week_start().word().to_owned(),
                    fiscal_year_start_month: next.fiscal_year_start_month,
                    max_active_pilots: next.max_active_pilots,
                    event_retention_days: next.event_retention_days,
                    followed,
                    kept,
                }
                .json();
            });
            Ok(next)
        })
        .await
    }
}

/// Makes the shipped definitions follow, as far as they have no event yet or few that are derived. Returns the names of those that did, and of those
/// that keep their own.
async fn follow(m: &mut Mutation, settings: &OrganizationSettings) -> Result<(Vec<String>, Vec<String>)> {
    let tenant = m.tenant().clone();
    let shipped: BTreeSet<String> = seed::kpis(m.now())?.into_iter().map(|kpi| kpi.name).collect();
    let (mut versions, mut kept) = (Vec::new(), Vec::new());
    // In the order of their names, as events claim them.
    for name in shipped {
        let Some(current) = Kpis::try_claim(m, &name).await? else { continue };
        let mut next = settled(&current, settings);
        if current.state() == KpiState::Retired || next == current {
            continue;
        }
        // What is derived from the audit log has events from the first minute on. They are no money, and are counted anew.
        let keeps = rollups::extent(m.tx(), &tenant, last(&name)).await?.is_some()
            && !(current.derived
                && settings.events_from_time.is_none()
                && recount(m, &Definition::new(next.clone())?).await?);
        if keeps {
            kept.push(name);
            continue;
        }
        next.version += 1;
        next.update_time = Some(stamp(m.now()));
        Kpis::save(m, &mut next).await?;
        versions.push(next);
    }
    keep_versions(m, &versions).await?;
    Ok((versions.into_iter().map(|kpi| kpi.name).collect(), kept))
}
