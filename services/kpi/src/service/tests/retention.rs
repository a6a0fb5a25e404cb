use super::*;
use prost_types::FieldMask;
use remit_core::ActorKind;
use remit_core::details::EventsPruned;

const A_DAY: i64 = 450;
const DAYS: i64 = 20;

fn keep_for(days: i32) -> UpdateOrganizationSettingsRequest {
    UpdateOrganizationSettingsRequest {
        organization_settings: Some(OrganizationSettings {
            name: "organizationSettings/current".to_owned(),
            currency_code: "USD".to_owned(),
            event_retention_days: days,
            ..OrganizationSettings::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["event_retention_days".to_owned()] }),
        request_id: String::new(),
    }
}

/// Fires what is due until nothing is left to delete today.
async fn prune(suite: &Suite) {
    for _ in 0..4 {
        let (db, tenant) = (&suite.service.db, &suite.cx.tenant);
        let report = timers::fire_due(db, &suite.service, tenant, db.now()).await.unwrap();
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        suite.clock.advance_to(Timestamp(db.now().0 + 2_000_000));
    }
}

async fn stored(suite: &Suite, kpi: &str) -> i64 {
    let mut tx = suite.service.db.read().await.unwrap();
    events::count(&mut tx, &suite.cx.tenant, kpi, 100_000).await.unwrap()
}

async fn experiment(suite: &Suite) -> CompareExperimentResponse {
    let request = CompareExperimentRequest { name: "experiments/held".to_owned() };
    let found = suite.service.compare_experiment(&suite.cx, request).await.unwrap();
    assert!(found.arms.iter().all(|arm| arm.n > 0));
    found
}

#[tokio::test]
async fn events_are_forgotten_and_what_they_add_up_to_stays() {
    for db in databases().await {
        let suite = Suite::on(db).await;
        create(&suite, "amounts", Kind::Mean).await;
        create(&suite, "visitors", Kind::Distinct).await;
        suite.clock.advance_to(Timestamp(JUNE + 21 * DAY));
        // Registered afterwards, so that whatever is recorded counts.
        let experiment_of = Experiment {
            hypothesis: "A call brings more.".to_owned(),
            metric: "kpis/amounts".to_owned(),
            arm_dimension: "channel".to_owned(),
            control: "email".to_owned(),
            treatments: vec!["phone".to_owned()],
            unit: ExperimentUnit::Event.into(),
            min_n_per_arm: 2,
            start_time: Some(stamp(Timestamp(JUNE + 5 * DAY))),
            end_time: Some(stamp(Timestamp(JUNE + 7 * DAY))),
            ..Experiment::default()
        };
        let request = CreateExperimentRequest {
            experiment_id: "held".to_owned(),
            experiment: Some(experiment_of),
            request_id: String::new(),
        };
        suite.service.create_experiment(&suite.cx, request).await.unwrap();
        let made = |i: i64| {
            let channel = CHANNELS[usize::try_from(i % 2).unwrap()];
            event("amounts", &format!("e{i}"), JUNE + i * (DAY / A_DAY), Some(i as f64), &[("channel", channel)])
        };
        for part in 0..3 {
            let third = A_DAY * DAYS / 3;
            suite.record((part * third..(part + 1) * third).map(made).collect(), false).await;
        }
        let visitor = |id: &str| Event { member: id.to_owned(), ..event("visitors", id, JUNE, None, &[]) };
        suite.record(vec![visitor("ann"), visitor("bob")], false).await;
        suite.clock.advance_to(Timestamp(JUNE + 415 * DAY));
        let (before, result) = (as_stored(&suite, "kpis/amounts", Granularity::Day).await, experiment(&suite).await);

        let short = suite.service.update_organization_settings(&suite.cx, keep_for(399)).await.unwrap_err();
        assert_eq!(short.reason(), "RETENTION_TOO_SHORT");
        prune(&suite).await;
        assert_eq!(stored(&suite, "amounts").await, A_DAY * DAYS, "nothing is forgotten unless that is asked for");
        let by_program = suite.service.update_organization_settings(&suite.cx, keep_for(400)).await.unwrap_err();
        assert_eq!(by_program.reason(), "RETENTION_NEEDS_A_PERSON");
        let actor = Actor { kind: ActorKind::Human, ..Actor::service("ann") };
        let person = Cx { actor: actor.into(), ..suite.cx.clone() };
        suite.service.update_organization_settings(&person, keep_for(400)).await.unwrap();
        prune(&suite).await;
        // Days 0 to 14 but for the two of the experiment.
        assert_eq!(stored(&suite, "amounts").await, A_DAY * (DAYS - 13));
        assert_eq!(stored(&suite, "visitors").await, 2);
        assert_eq!(as_stored(&suite, "kpis/amounts", Granularity::Day).await, before);
        assert_eq!(experiment(&suite).await, result);
        let waiting =
            outbox::read_batch(&mut suite.service.db.read().await.unwrap(), &suite.cx.tenant, 100).await.unwrap();
        let pruned = waiting.iter().filter(|pending| pending.event.action == "kpi.events.prune");
        let pruned: Vec<EventsPruned> =
            pruned.map(|pending| EventsPruned::read(&pending.event.details).unwrap()).collect();
        let deleted: u64 = pruned.iter().map(|step| step.deleted).sum();
        assert!(deleted == 13 * 450 && pruned.len() == 2, "in steps, each in the log: {pruned:?}");

        // What is gone counts once, however often it is sent, and what is held changes no more.
        let corrects = Event { corrects: "e2500".to_owned(), ..event("amounts", "c", JUNE + 16 * DAY, Some(0.0), &[]) };
        let refused = suite.record(vec![made(0), made(2_500), corrects], true).await;
        let reasons: Vec<(&str, &str)> =
            refused.errors.iter().map(|error| (error.field.as_str(), error.reason.as_str())).collect();
        let old = |field| (field, "EVENT_TOO_OLD");
        assert_eq!(reasons, [old("occurred_at"), old("occurred_at"), old("corrects")]);
        // What is younger does, exactly.
        let younger = Event {
            corrects: "e7300".to_owned(),
            ..event("amounts", "d", JUNE + 16 * DAY + 9, Some(5.0), &[("channel", "web")])
        };
        assert_eq!(suite.record(vec![younger, made(7_301)], false).await.duplicate_count, 1);
        let (shown, computed) = (
            as_stored(&suite, "kpis/amounts", Granularity::Day).await,
            from_scratch(&suite, "kpis/amounts", Granularity::Day).await,
        );
        let young = |cells: &BTreeMap<(i64, String), Summary>| -> Vec<((i64, String), Summary)> {
            let young = cells.iter().filter(|((start, _), _)| *start >= JUNE + 15 * DAY);
            young.map(|(key, summary)| (key.clone(), summary.clone())).collect()
        };
        assert_eq!(young(&shown), young(&computed));
        assert!(young(&shown).iter().any(|((_, channel), _)| channel == "web"));
    }
}
