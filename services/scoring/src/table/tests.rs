#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::float_cmp)]

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

/// A file, what it holds, and what the importer says of its columns.
type Exported = (&'static str, &'static [u8], &'static [(&'static str, &'static str)]);

/// Files as the programs of others export them.
const EXPORTS: [Exported; 8] = [
    ("Excel in Germany", include_bytes!("../../tests/exports/excel-germany.csv"), &GERMAN),
    ("Excel, CSV UTF-8", include_bytes!("../../tests/exports/excel-utf8.csv"), &[]),
    ("Excel, Unicode text", include_bytes!("../../tests/exports/excel-unicode.txt"), &[]),
    ("Excel with sep=", include_bytes!("../../tests/exports/excel-sep.csv"), &[]),
    ("Google Sheets, CSV", include_bytes!("../../tests/exports/google-sheets.csv"), &[]),
    ("Google Sheets, TSV", include_bytes!("../../tests/exports/google-sheets.tsv"), &[]),
    ("HubSpot", include_bytes!("../../tests/exports/hubspot.csv"), &HUBSPOT),
    ("Salesforce", include_bytes!("../../tests/exports/salesforce.csv"), &SALESFORCE),
];
const GERMAN: [(&str, &str); 8] = [
    ("Aufgabe", "id"),
    ("Was", "title"),
    ("Pro Woche", "frequency_per_week"),
    ("Minuten", "minutes_per_instance"),
    ("Vorhersehbar", "predictability"),
    ("Risiko", "risk"),
    ("Urteil", "human_judgment"),
    ("Notizen", "comment"),
];
const HUBSPOT: [(&str, &str); 10] = [
    ("Record ID", "-"),
    ("Task key", "id"),
    ("Task name", "title"),
    ("Times per week", "frequency_per_week"),
    ("Minutes", "minutes_per_instance"),
    ("Predictability", "predictability"),
    ("Risk", "risk"),
    ("Human judgment", "human_judgment"),
    ("Notes", "-"),
    ("#10", "comment"),
];
const SALESFORCE: [(&str, &str); 8] = [
    ("Task Id", "id"),
    ("Subject", "title"),
    ("Per Week", "frequency_per_week"),
    ("Minutes", "minutes_per_instance"),
    ("Predictability", "predictability"),
    ("Risk", "risk"),
    ("Judgment", "human_judgment"),
    ("Comments", "comment"),
];

fn mapped(columns: &[(&str, &str)]) -> api::ImportTasksConfig {
    let columns = columns.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned()));
    api::ImportTasksConfig { columns: columns.collect(), ..Default::default() }
}

#[test]
fn what_spreadsheets_and_marketing_suites_export_is_imported_as_it_is() {
    for (program, file, columns) in EXPORTS {
        let parsed = Parsed::read(file, &mapped(columns), "ada").unwrap();
        assert_eq!((parsed.rows, parsed.bad_rows), (3, 0), "{program}: {:?}", parsed.errors);
        let found = |id: &str| {
            let (task, line) = &parsed.tasks[id];
            let rating = &task.ratings[0];
            let scores = SEEDED_AXES.map(|axis| rating.scores[axis]);
            let title = task.title.replace('\n', " ");
            (title, task.frequency_per_week, task.minutes_per_instance, scores, rating.comment.clone(), *line)
        };
        let (title, per_week, minutes, scores, comment, line) = found("variants");
        assert_eq!(
            (title.as_str(), per_week, minutes, scores, comment.as_str()),
            ("Anzeigen für Größen, kurz", 20.5, 1250.25, [5, 2, 1], "sagt \"ja\""),
            "{program}"
        );
        let begin = i64::from(file.starts_with(b"sep="));
        assert_eq!(line, begin + 2, "{program}");
        assert_eq!(found("setup").0, "Kampagne anlegen", "{program}");
        let (_, per_week, _, scores, comment, line) = found("strategy");
        assert_eq!((per_week, scores, comment.as_str()), (0.1, [1, 5, 5], "–"), "{program}");
        // A line break in a title is a line of the file.
        let broken = i64::from(program != "Google Sheets, TSV");
        assert_eq!(line, begin + 4 + broken, "{program}");
    }
}

#[test]
fn what_may_mean_two_things_is_refused_with_its_place_and_what_to_do() {
    let read = |file: &str, columns: &[(&str, &str)]| Parsed::read(file.as_bytes(), &mapped(columns), "ada");
    let refused = |file: &str| {
        let errors = read(file, &[]).unwrap().errors;
        let error = errors.first().unwrap_or_else(|| panic!("{file} is not refused"));
        (error.line, error.column.clone(), error.reason.clone(), error.message.clone())
    };
    for (file, line, column, reason, told) in [
        (
            "id;title;minutes_per_instance\r\na;A;60\r\nb;B;1,234\r\n",
            3,
            "minutes_per_instance",
            "NUMBER_AMBIGUOUS",
            "--decimal-mark",
        ),
        ("id,title,minutes_per_instance\na,A,\"1,234\"\n", 2, "minutes_per_instance", "NUMBER_AMBIGUOUS", "1,234"),
        ("id,title,frequency_per_week\na,A,20%\n", 2, "frequency_per_week", "NUMBER_OUT_OF_RANGE", "20%"),
        ("id,title,frequency_per_week\na,A,often\n", 2, "frequency_per_week", "NUMBER_INVALID", "often"),
        ("id,title,risk\na,A,2.5\n", 2, "risk", "RATING_OUT_OF_RANGE", "2.5"),
        ("id,title,risk\na,A,high\n", 2, "risk", "RATING_OUT_OF_RANGE", "high"),
        ("id,title,\na,A,lost\n", 2, "#3", "COLUMN_UNNAMED", "'#3'"),
        ("id,title\na,A,lost\n", 2, "", "FIELD_COUNT", "3 fields"),
        ("id,title,risk\na,A\n", 2, "", "FIELD_COUNT", "2 fields"),
    ] {
        let (at, of, why, message) = refused(file);
        assert_eq!((at, of.as_str(), why.as_str()), (line, column, reason), "{file}: {message}");
        assert!(message.contains(told), "{message}");
    }
    let twice = read("id,title,Notes,Notes\na,A,x,y\n", &[("Notes", "comment")]).err().unwrap();
    assert_eq!(twice.reason(), "COLUMN_TWICE");
    assert!(twice.message().contains("columns 3 and 4") && twice.message().contains("'#4'"), "{twice}");
    let open = read("id,title,comment\r\na,A,\"x\r\nb,B,y\r\n", &[]).err().unwrap();
    assert_eq!(open.reason(), "QUOTE_UNCLOSED");
    assert!(open.message().contains("line 2, column 'comment'"), "{open}");
    let said = api::ImportTasksConfig {
        format: Some(api::TableFormat { decimal_mark: ",".into(), ..Default::default() }),
        ..Default::default()
    };
    let parsed = Parsed::read(b"id,title,minutes_per_instance\na,A,1.234\n", &said, "ada").unwrap();
    assert_eq!(parsed.tasks["a"].0.minutes_per_instance, 1234.0);
}

#[test]
fn an_exported_title_is_no_formula_and_is_the_same_when_it_comes_back() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let title = "=HYPERLINK(\"http://evil\")";
    writer.task(&api::Task { name: "tasks/t".into(), title: title.into(), ..Default::default() }).unwrap();
    let csv = writer.take().unwrap();
    assert!(
        String::from_utf8_lossy(&csv).contains(",'=HYPERLINK")
            || String::from_utf8_lossy(&csv).contains(",\"'=HYPERLINK")
    );
    let parsed = Parsed::read(&csv, &api::ImportTasksConfig::default(), "ada").unwrap();
    assert_eq!(parsed.tasks["t"].0.title, title);
}
