#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn a_prefix_ends_where_the_next_text_begins() {
    assert_eq!(after_prefix("models/").as_deref(), Some("models0"));
    assert_eq!(after_prefix("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
    assert_eq!(after_prefix("a\u{10FFFF}\u{10FFFF}").as_deref(), Some("b"));
    assert_eq!((after_prefix(""), after_prefix("\u{10FFFF}")), (None, None));
}

#[test]
fn a_filter_finds_a_subject_however_it_is_written() {
    let fields = &[Field::key("actor", "actor").subjects(), Field::text("owner", "owner")];
    let bound = |filter: &str| {
        let fragment = parse(filter, fields).unwrap();
        let values = fragment.parts().iter().filter_map(|part| match part {
            Part::Bind(Value::Text(Some(text))) => Some(text.clone()),
            _ => None,
        });
        values.collect::<Vec<String>>()
    };
    assert_eq!(bound("actor = \"Mallory \""), ["mallory"]);
    assert_eq!(bound("actor != \"MALLORY\" AND actor > \"ＡNN\""), ["mallory", "ann"]);
    assert_eq!(bound("actor = \"Mal*\""), ["mal", "mam"]);
    assert_eq!(bound("actor = \"*ORY\" OR actor:\"LL\""), ["ory", "ll"]);
    assert_eq!(bound("owner = \"Mallory \""), ["Mallory "]);
}

#[test]
fn parts_of_texts_are_looked_for_a_few_times_only() {
    let fields = &[Field::text("text", "text"), Field::key("key", "key")];
    let filter = |comparison: &str, times: usize| vec![comparison; times].join(" OR ");
    for comparison in ["text:\"a\"", "key:\"a\"", "text = \"*a\"", "text = \"a*\"", "text != \"*a*\""] {
        let found = parse(&filter(comparison, MAX_SCANS), fields).unwrap();
        assert!(found.is_scan() && found.terms() == MAX_SCANS, "{comparison}");
        let refused = parse(&filter(comparison, MAX_SCANS + 1), fields).unwrap_err();
        assert_eq!(refused.reason(), "FILTER_INVALID", "{comparison}");
    }
    for comparison in ["text = \"a\"", "key = \"a*\"", "key >= \"a\""] {
        let found = parse(&filter(comparison, MAX_TERMS), fields).unwrap();
        assert!(!found.is_scan() && found.terms() == MAX_TERMS, "{comparison}");
    }
}

#[test]
fn a_span_of_time_is_known_only_where_every_row_must_be_in_it() {
    let fields = &[Field::timestamp("at", "at"), Field::timestamp("seen", "seen"), Field::key("word", "word")];
    let span = |filter: &str| {
        let span = parse(filter, fields).unwrap().span("at");
        (span.from.map(|at| at.0 / 1_000_000), span.until.map(|at| at.0 / 1_000_000))
    };
    let (early, late) = ("at >= \"1970-01-01T00:00:05Z\"", "at < \"1970-01-01T00:00:09Z\"");
    assert_eq!(span(&format!("{early} AND {late}")), (Some(5), Some(9)));
    assert_eq!(span(&format!("word = \"a*\" AND (({early}) {late})")), (Some(5), Some(9)));
    assert_eq!(span(&format!("{early} AND at > \"1970-01-01T00:00:07Z\"")), (Some(7), None));
    assert_eq!(span("at = \"1970-01-01T00:00:05Z\" seen > \"1970-01-01T00:00:07Z\""), (Some(5), Some(5)));
    assert_eq!(span("at != \"1970-01-01T00:00:05Z\""), (None, None));
    assert_eq!(span(&format!("{early} OR {late}")), (None, None));
    assert_eq!(span(&format!("NOT ({early} AND {late})")), (None, None));
    assert_eq!(span(&format!("word = \"a\" OR ({early} AND {late})")), (None, None));
}

#[test]
fn a_date_is_its_whole_day_in_utc() {
    let fields = &[Field::timestamp("at", "at")];
    let (first, second) = (1_777_593_600_000_000, 1_777_680_000_000_000);
    let seen = |filter: &str| {
        let fragment = parse(filter, fields).unwrap();
        let (mut sql, mut bound) = (String::new(), Vec::new());
        for part in fragment.parts() {
            match part {
                Part::Sql(text) => sql.push_str(text),
                Part::Bind(Value::Int(Some(at))) => {
                    sql.push('?');
                    bound.push(*at);
                }
                Part::Bind(other) => panic!("{other:?}"),
            }
        }
        (sql, bound, fragment.range("at"))
    };
    assert_eq!(seen("at >= \"2026-05-01\""), ("at >= ?".into(), vec![first], (Some(first), None)));
    assert_eq!(seen("at > 2026-05-01"), ("at >= ?".into(), vec![second], (Some(second), None)));
    assert_eq!(seen("at < '2026-05-01'"), ("at < ?".into(), vec![first], (None, Some(first))));
    assert_eq!(seen("at <= \"2026-05-01\""), ("at < ?".into(), vec![second], (None, Some(second))));
    let both = (Some(first), Some(second));
    assert_eq!(seen("at = \"2026-05-01\""), ("(at >= ? and at < ?)".into(), vec![first, second], both));
    let (sql, _, range) = seen("at != \"2026-05-01\"");
    assert_eq!((sql.as_str(), range), ("not coalesce(at >= ? and at < ?, false)", (None, None)));
    let error = parse("at > \"2026-02-30\"", fields).unwrap_err();
    assert!(error.violations()[0].description.contains("2026-05-01"), "{error:?}");
}

#[test]
fn what_every_row_needs_is_known_where_something_is_named() {
    let fields = &[
        Field::key("actor", "actor").subjects(),
        Field::key("kind", "kind"),
        Field::words("outcome", "outcome", &["SUCCESS", "DENIED", "FAILURE"]).always(),
        Field::words("state", "state", &["ON", "OFF"]),
        Field::bigint("n", "n"),
    ];
    let needs = |filter: &str| parse(filter, fields).unwrap().needs().to_vec();
    let is = |field: &'static str, text: &str| Atom::Is(field, text.to_owned());
    assert_eq!(needs("actor = \"Ann\""), [[is("actor", "ann")]]);
    assert_eq!(
        needs("actor = ann kind = 'a b*' AND n > 3"),
        [[is("actor", "ann")], [Atom::Begins("kind", "a b".to_owned())]]
    );
    assert_eq!(needs("actor = ann OR kind = x"), [[is("actor", "ann"), is("kind", "x")]]);
    assert_eq!(needs("(actor = \"a*\" AND kind = y) OR kind = x"), [[is("kind", "y"), is("kind", "x")]]);
    assert_eq!(needs("outcome != SUCCESS"), [[is("outcome", "DENIED"), is("outcome", "FAILURE")]]);
    assert_eq!(needs("NOT outcome = SUCCESS"), needs("outcome != SUCCESS"));
    // What may be absent passes too, and what names nothing lets anything pass.
    for nothing in [
        "state != ON",
        "actor != ann",
        "NOT actor = ann",
        "actor = ann OR n = 3",
        "kind = null",
        "kind:a",
        "kind = \"*a\"",
        "kind > a",
        "NOT (actor = ann OR kind = x)",
        "actor = \"*\"",
        "",
    ] {
        assert!(needs(nothing).is_empty(), "{nothing}: {:?}", needs(nothing));
    }
}
