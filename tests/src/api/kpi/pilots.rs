//! The cases of pilots.

use super::*;
use crate::api::cases;
use remit_api::kpi::v1::criterion_result::State;
use remit_api::kpi::v1::exit_criterion::Comparison as Side;

cases! {
    a_pilot_is_judged_once_by_what_was_written_down_before: CreatePilot, ConcludePilot;
}

fn criterion(kpi: &str, comparison: Side, limit: f64) -> ExitCriterion {
    ExitCriterion { kpi: format!("kpis/{kpi}"), comparison: comparison.into(), limit }
}

fn written(id: &str, pilot: Pilot) -> CreatePilotRequest {
    CreatePilotRequest { pilot_id: id.to_owned(), pilot: Some(pilot), request_id: String::new() }
}

/// Six weeks of a rate from `start` on, a batch a week, about `rate`; and of contacts.
fn weeks(prefix: &str, start: i64, rate: f64) -> Vec<Event> {
    let week = |week: u8| {
        let when = start + i64::from(week) * 7 * DAY + HOUR;
        let won = (rate * 1_000.0).round() + f64::from(week % 3);
        let share = Event {
            denominator: Some(1_000.0),
            ..event("conversion_rate", &format!("{prefix}{week}"), when, Some(won), &[])
        };
        [share, event("contacts", &format!("{prefix}c{week}"), when, None, &[])]
    };
    (0..6).flat_map(week).collect()
}

async fn report(client: &mut Client, pilot: &str) -> ReportPilotResponse {
    let request = ReportPilotRequest { name: format!("pilots/{pilot}") };
    client.report_pilot(request).await.unwrap().into_inner()
}

async fn conclude(client: &mut Client, pilot: &str) -> Result<Pilot, tonic::Status> {
    let request = ConcludePilotRequest {
        name: format!("pilots/{pilot}"),
        conclusion: "Go on to all campaigns.".to_owned(),
        request_id: String::new(),
    };
    client.conclude_pilot(request).await.map(tonic::Response::into_inner)
}

async fn a_pilot_is_judged_once_by_what_was_written_down_before(suite: Suite) {
    let mut admin = client(&suite.admin());
    let mut ann = client(&suite.human("ann", &["operator"], &[]));
    let day = today(&suite).await;
    let (baseline, start) = (day - 43 * DAY, day + DAY);
    let pilot = Pilot {
        domain: "E-mail campaigns".to_owned(),
        description: "AI drafts the subject lines.".to_owned(),
        kpis: ["conversion_rate", "contacts"].map(|kpi| format!("kpis/{kpi}")).to_vec(),
        baseline: range(baseline, baseline + 42 * DAY),
        start_time: at(start),
        days: 42,
        exit_criteria: vec![
            criterion("conversion_rate", Side::AtLeast, 0.15),
            criterion("conversion_rate", Side::ChangeAtLeast, 0.05),
        ],
        ..Default::default()
    };
    for (wrong, expected) in [
        (Pilot { baseline: range(start - 42 * DAY, start), ..pilot.clone() }, "PILOT_INVALID"),
        (Pilot { baseline: range(day - 41 * DAY, day), ..pilot.clone() }, "PILOT_INVALID"),
        (Pilot { start_time: at(day - DAY), ..pilot.clone() }, "PILOT_INVALID"),
        (Pilot { days: 41, ..pilot.clone() }, "FIELD_INVALID"),
        (Pilot { days: 57, ..pilot.clone() }, "FIELD_INVALID"),
        (Pilot { exit_criteria: vec![criterion("visit_rate", Side::AtLeast, 0.1)], ..pilot.clone() }, "PILOT_INVALID"),
        (Pilot { filter: "nothing = \"x\"".to_owned(), ..pilot.clone() }, "DIMENSION_UNKNOWN"),
        (
            Pilot {
                kpis: vec!["kpis/nothing".to_owned()],
                exit_criteria: vec![criterion("nothing", Side::AtLeast, 0.1)],
                ..pilot.clone()
            },
            "KPI_NOT_FOUND",
        ),
        (
            Pilot {
                kpis: vec!["kpis/call_percentiles".to_owned()],
                exit_criteria: vec![criterion("call_percentiles", Side::AtLeast, 0.1)],
                ..pilot.clone()
            },
            "KIND_WRONG",
        ),
    ] {
        if expected == "KIND_WRONG" {
            let mut kpi = Kpi { display_name: "P".to_owned(), description: "P.".to_owned(), ..Default::default() };
            kpi.set_layer(Layer::Execution);
            kpi.set_kind(Kind::Percentile);
            kpi.set_unit(Unit::Seconds);
            kpi.set_direction(Direction::LowerIsBetter);
            kpi.percentiles = vec![0.5];
            let request =
                CreateKpiRequest { kpi_id: "call_percentiles".to_owned(), kpi: Some(kpi), request_id: String::new() };
            admin.create_kpi(request).await.unwrap();
        }
        assert_eq!(reason(&admin.create_pilot(written("mail", wrong)).await.unwrap_err()), expected);
    }
    record(&mut admin, weeks("b", baseline, 0.10)).await;
    // What only happens later is nobody's to say.
    let told = Pilot { result_digest: "sha256:x".to_owned(), conclusion: "It works.".to_owned(), ..pilot.clone() };
    let made = admin.create_pilot(written("mail", told)).await.unwrap().into_inner();
    assert_eq!((made.end_time, made.creator.as_str()), (at(start + 42 * DAY), "admin"));
    assert!(made.judge_time.unwrap().seconds > made.end_time.unwrap().seconds && made.kpi_versions == [1, 1]);
    assert!(made.result_digest.is_empty() && made.conclusion.is_empty());
    // One at a time; with more allowed, still not two of one KPI.
    let beside = Pilot { kpis: vec!["kpis/call_seconds".to_owned()], ..pilot.clone() };
    let beside = Pilot { exit_criteria: vec![criterion("call_seconds", Side::AtMost, 300.0)], ..beside };
    assert_eq!(reason(&admin.create_pilot(written("second", beside.clone())).await.unwrap_err()), "PILOT_ACTIVE");
    let settings = OrganizationSettings {
        name: "organizationSettings/current".to_owned(),
        currency_code: "USD".to_owned(),
        max_active_pilots: 2,
        ..Default::default()
    };
    let update = UpdateOrganizationSettingsRequest {
        organization_settings: Some(settings),
        update_mask: Some(FieldMask { paths: vec!["max_active_pilots".to_owned()] }),
        request_id: String::new(),
    };
    admin.update_organization_settings(update).await.unwrap();
    assert_eq!(reason(&admin.create_pilot(written("second", pilot.clone())).await.unwrap_err()), "PILOT_ACTIVE");
    admin.create_pilot(written("second", beside)).await.unwrap();

    let first = report(&mut admin, "mail").await;
    assert_eq!(first.state(), PilotState::Scheduled);
    assert!(first.result.unwrap().baseline.is_none(), "nothing is measured before the start");
    suite.advance(Duration::from_secs(2 * 86_400)).await;
    suite.settle().await;
    let began = report(&mut admin, "mail").await;
    assert!(began.result.as_ref().unwrap().baseline.is_some());
    assert_eq!((began.state(), began.restated), (PilotState::Running, None));
    // Who would have the pilot look better makes the weeks before look worse, too late.
    let planted =
        Event { denominator: Some(9_000.0), ..event("conversion_rate", "plant", day - 5 * DAY, Some(0.0), &[]) };
    record(&mut ann, vec![planted]).await;
    suite.advance(Duration::from_secs(40 * 86_400)).await;
    record(&mut ann, weeks("p", start, 0.20)).await;
    let running = report(&mut admin, "mail").await;
    let (result, restated) = (running.result.unwrap(), running.restated.unwrap());
    assert!(result.changes.is_empty() && result.pilot.is_none() && !result.exit, "who looks every day finds something");
    assert!(result.criteria.iter().all(|found| found.state() == State::InsufficientData));
    let value = |measured: &Option<PilotMeasurement>| measured.as_ref().unwrap().figures[0].value.unwrap();
    assert!((value(&result.baseline) - 0.101).abs() < 1e-9 && value(&restated.baseline) < 0.05);

    suite.advance(Duration::from_secs(2 * 86_400)).await;
    suite.settle().await;
    let late = report(&mut admin, "mail").await;
    assert_eq!(late.state(), PilotState::Judged);
    let result = late.result.unwrap();
    let (rate, contacts) = (&result.changes[0], &result.changes[1]);
    assert_eq!((rate.verdict(), rate.kpi_version), (ChangeVerdict::Improved, 1));
    assert!((rate.difference.unwrap() - 0.1).abs() < 1e-9 && rate.difference_interval.unwrap().lower > 0.09);
    assert_eq!(contacts.verdict(), ChangeVerdict::InsufficientData, "six events are too few");
    assert!(result.exit && result.criteria.iter().all(|found| found.state() == State::Met && found.n == 6_000));
    assert!(late.case_figures.len() == 3 && late.case_figures.iter().all(|figure| figure.evidence == "ANECDOTAL"));
    assert!(late.caveat.contains("not why"));
    // What comes later is shown beside it.
    let digest = late.pilot.unwrap().result_digest;
    let tail = Event { denominator: Some(9_000.0), ..event("conversion_rate", "tail", start + DAY, Some(0.0), &[]) };
    record(&mut ann, vec![tail]).await;
    let after = report(&mut admin, "mail").await;
    assert_eq!((after.result.as_ref(), after.pilot.unwrap().result_digest), (Some(&result), digest.clone()));
    assert!(!after.restated.unwrap().exit, "which is what is known by now");

    assert_eq!(reason(&conclude(&mut admin, "mail").await.unwrap_err()), "PILOT_OWN");
    let concluded = conclude(&mut ann, "mail").await.unwrap();
    assert_eq!((concluded.concluder.as_str(), concluded.result_digest.as_str()), ("ann", digest.as_str()));
    assert_eq!(reason(&conclude(&mut ann, "mail").await.unwrap_err()), "PILOT_CONCLUDED");
    assert_eq!(report(&mut admin, "mail").await.state(), PilotState::Concluded);
    let again = suite.now().await.0;
    let again = again - again.rem_euclid(DAY);
    let next = Pilot { baseline: range(again - 43 * DAY, again - DAY), start_time: at(again + DAY), ..pilot };
    let next = admin.create_pilot(written("again", next)).await.unwrap().into_inner();
    assert_eq!(next.preceded_by, ["pilots/mail"], "who tries again until it works is seen");
    // Who wrote it down may give it up; then it is never judged.
    conclude(&mut admin, "again").await.unwrap();
    suite.advance(Duration::from_secs(50 * 86_400)).await;
    suite.settle().await;
    let given_up = report(&mut admin, "again").await;
    assert_eq!((given_up.state(), given_up.pilot.unwrap().result_digest.as_str()), (PilotState::Abandoned, ""));

    let get = |name: &str| GetPilotRequest { name: name.to_owned() };
    assert_eq!(admin.get_pilot(get("pilots/mail")).await.unwrap().into_inner(), concluded);
    assert_eq!(reason(&admin.get_pilot(get("pilots/none")).await.unwrap_err()), "PILOT_NOT_FOUND");
    let listed = admin.list_pilots(ListPilotsRequest::default()).await.unwrap().into_inner().pilots;
    assert_eq!(listed.len(), 3);
}
