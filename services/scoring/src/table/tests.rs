#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{Parsed, SEEDED_AXES, Writer};
use crate::task;
use proptest::prelude::*;
use remit_api::scoring::v1 as api;
use remit_api::types::Stakes;
use remit_core::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

fn rating(rater: String) -> impl Strategy<Value = api::Rating> {
    (prop::collection::btree_map("[a-z][a-z0-9_]{0,8}", 1i32..=5, 1..4), "[a-z,\"\n;]{0,10}").prop_map(
        move |(scores, comment)| api::Rating {
            rater: rater.clone(),
            scores,
            comment: comment.trim().to_owned(),
            ..Default::default()
        },
    )
}

fn given() -> impl Strategy<Value = api::Task> {
    let ratings = prop_oneof![
        Just(Vec::new()).boxed(),
        (rating("ada".into()), rating("bob".into())).prop_map(|(a, b)| vec![a, b]).boxed(),
    ];
    let texts = ("[a-zäöü,\"'\n =+@-]{0,20}x", "[a-z\",\n]{0,20}", prop::collection::btree_set("[a-z]{1,5}", 0..3));
    (texts, 0.0f64..1e6, 0i32..=5, any::<[bool; 3]>(), 0i32..=3, ratings).prop_map(
        |((title, purpose, labels), frequency, complexity, [brand, regulated, pilot], stakes, ratings)| api::Task {
            title: title.trim().to_owned(),
            purpose: purpose.trim().to_owned(),
            function: "functions/f-1".into(),
            frequency_per_week: frequency,
            minutes_per_instance: frequency / 10.0,
            complexity,
            brand_impacting: brand,
            regulated_domain: regulated,
            pilot_evidence: pilot,
            stakes: Stakes::try_from(stakes).unwrap().into(),
            reserved_category: api::ReservedCategory::CreativeDirection.into(),
            labels: labels.into_iter().collect(),
            tolerated_variability: api::ToleratedVariability::High.into(),
            feedback_delay: api::FeedbackDelay::Weeks.into(),
            ratings,
            ..Default::default()
        },
    )
}

proptest! {
    #[test]
    fn what_is_exported_is_imported_as_it_was(mut tasks in prop::collection::btree_map("[a-z0-9][a-z0-9._-]{0,10}", given(), 1..5)) {
        let ratings = tasks.values().flat_map(|task| &task.ratings);
        let axes: BTreeSet<String> = ratings.flat_map(|rating| rating.scores.keys().cloned()).collect();
        let axes = axes.into_iter().filter(|axis| !SEEDED_AXES.contains(&axis.as_str()));
        let mut writer = Writer::new(axes.collect()).unwrap();
        for (id, task) in &mut tasks {
            task::normalize(task, Timestamp(0));
            for rating in &mut task.ratings {
                rating.rate_time = None;
            }
            writer.task(&api::Task { name: format!("tasks/{id}"), ..task.clone() }).unwrap();
        }
        let csv = writer.take().unwrap();
        let parsed = Parsed::read(&csv, &api::ImportTasksConfig::default(), "importer").unwrap();
        prop_assert_eq!(parsed.bad_rows, 0, "{:?}\n{}", parsed.errors, String::from_utf8_lossy(&csv));
        let found: BTreeMap<String, api::Task> =
            parsed.tasks.into_iter().map(|(id, (task, _))| (id, task)).collect();
        prop_assert_eq!(found, tasks);
    }
}
