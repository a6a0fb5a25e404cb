//! The cases of the organisation's settings, and of the days of one KPI.

use super::*;
use crate::api::cases;

cases! {
    shipped_definitions_follow_the_organisation: UpdateOrganizationSettings;
    a_month_is_summed_by_the_days_of_its_kpi;
}

async fn shipped_definitions_follow_the_organisation(suite: Suite) {
    let mut admin = client(&suite.admin());
    let now = suite.now().await.0;
    let name = "organizationSettings/current".to_owned();
    let get = GetOrganizationSettingsRequest { name };
    let first = admin.get_organization_settings(get.clone()).await.unwrap().into_inner();
    assert_eq!((first.currency_code.as_str(), first.time_zone.as_str(), first.etag.as_str()), ("USD", "", "r1"));
    assert_eq!((first.week_start(), first.fiscal_year_start_month), (Weekday::Monday, 1));
    // What has events keeps the days and the money of these.
    let spend = Event { denominator: Some(2.0), ..event("cost_per_lead", "a", now, Some(10.0), &[]) };
    record(&mut admin, vec![spend]).await;
    let mut wanted = OrganizationSettings {
        currency_code: "EUR".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        fiscal_year_start_month: 4,
        ..first.clone()
    };
    wanted.set_week_start(Weekday::Sunday);
    let update = |settings: &OrganizationSettings| UpdateOrganizationSettingsRequest {
        organization_settings: Some(settings.clone()),
        ..Default::default()
    };
    let second = admin.update_organization_settings(update(&wanted)).await.unwrap().into_inner();
    assert_eq!((second.etag.as_str(), second.kept_kpis.as_slice()), ("r2", &["kpis/cost_per_lead".to_owned()][..]));
    let kpi = async |admin: &mut Client, id: &str| {
        let request = GetKpiRequest { name: format!("kpis/{id}") };
        admin.get_kpi(request).await.unwrap().into_inner()
    };
    let kept = kpi(&mut admin, "cost_per_lead").await;
    assert_eq!((kept.currency_code.as_str(), kept.time_zone.as_str(), kept.version), ("USD", "", 1));
    let follows = kpi(&mut admin, "cost_per_acquisition").await;
    assert_eq!((follows.currency_code.as_str(), follows.time_zone.as_str()), ("EUR", "Europe/Berlin"));
    assert_eq!((follows.week_start(), follows.fiscal_year_start_month, follows.version), (Weekday::Sunday, 4, 2));
    assert_eq!(follows.etag, "r2", "a new version has a new etag");
    // Its weeks begin on the Sunday of Berlin, and its years in April.
    let starts = async |admin: &mut Client, granularity: Granularity| {
        let request = QueryRollupsRequest {
            kpi: "kpis/contacts".to_owned(),
            range: range(now, now + 1),
            granularity: granularity.into(),
            ..Default::default()
        };
        let start = rollups(admin, request).await.remove(0).start_time.unwrap().seconds;
        jiff::Timestamp::from_second(start).unwrap().in_tz("Europe/Berlin").unwrap()
    };
    let (week, year) = (starts(&mut admin, Granularity::Week).await, starts(&mut admin, Granularity::Year).await);
    assert_eq!((week.weekday(), week.hour()), (jiff::civil::Weekday::Sunday, 0));
    assert_eq!((year.month(), year.day(), year.hour()), (4, 1, 0));

    let stale = admin.update_organization_settings(update(&wanted)).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let mars = OrganizationSettings { time_zone: "Mars/Olympus".to_owned(), ..second };
    assert_eq!(reason(&admin.update_organization_settings(update(&mars)).await.unwrap_err()), "TIME_ZONE_UNKNOWN");
    let other = GetOrganizationSettingsRequest { name: "organizationSettings/other".to_owned() };
    assert_eq!(reason(&admin.get_organization_settings(other).await.unwrap_err()), "SETTINGS_NOT_FOUND");

    let entries = suite.entries("action = \"kpi.settings.update\"").await;
    assert_eq!(entries.len(), 1);
    let told = format!("{:?}", entries[0]);
    assert!(told.contains("EUR") && told.contains("kpis/contacts") && told.contains("kpis/cost_per_lead"), "{told}");
    // What is derived from the log has events already, and has been counted anew by the same days.
    let derived = kpi(&mut admin, "denied_action_rate").await;
    assert_eq!(derived.time_zone, "Europe/Berlin");
}

/// The span of the month that contains a day.
fn month_of(day: jiff::civil::Date) -> (i64, i64) {
    let at = |date: jiff::civil::Date| {
        date.to_zoned(jiff::tz::TimeZone::UTC).expect("a day of our time").timestamp().as_microsecond()
    };
    (at(day.first_of_month()), at(day.last_of_month().tomorrow().expect("a day of our time")))
}

async fn a_month_is_summed_by_the_days_of_its_kpi(suite: Suite) {
    let mut admin = client(&suite.admin());
    let now = jiff::Timestamp::from_microsecond(suite.now().await.0).unwrap();
    let last = now.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month().yesterday().unwrap();
    let (start, end) = month_of(last);
    let kpi = Kpi { time_zone: "Europe/Berlin".to_owned(), ..definition(Kind::Sum, Unit::Index) };
    create(&mut admin, "visits", kpi).await;
    // Half an hour before a month ends in Greenwich, the next has begun in Berlin.
    let events = vec![
        event("visits", "next", end - HOUR / 2, Some(1.0), &[]),
        event("visits", "within", end - 3 * DAY, Some(10.0), &[]),
        event("visits", "first", start - HOUR / 2, Some(100.0), &[]),
        event("visits", "before", start - 3 * DAY, Some(1_000.0), &[]),
    ];
    record(&mut admin, events).await;
    let summary = admin.summarize_kpis(SummarizeKpisRequest { range: range(start, end) }).await.unwrap().into_inner();
    let row = summary.kpis.iter().find(|row| row.kpi.as_ref().unwrap().name == "kpis/visits").unwrap();
    let values = [&row.current, &row.previous].map(|rollup| rollup.as_ref().unwrap().value);
    assert_eq!(values, [Some(110.0), Some(1_000.0)]);
    let (before, _) = month_of(last.first_of_month().yesterday().unwrap());
    assert_eq!(summary.previous_range, range(before, start), "the month before is a month");
    let request = QueryRollupsRequest {
        kpi: "kpis/visits".to_owned(),
        range: range(start + DAY, end - DAY),
        granularity: Granularity::Month.into(),
        ..Default::default()
    };
    assert_eq!(rollups(&mut admin, request).await[0].value, Some(110.0), "as its own month");
}
