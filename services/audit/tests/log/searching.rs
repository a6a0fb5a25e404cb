//! What a search costs: the plan of each filter is read on a log that is large enough for a wrong one to show.

use super::{Fixture, START};
use remit_api::audit::v1 as api;
use remit_api::types;
use remit_audit::store::entries;
use remit_core::{Result, Timestamp};
use remit_store::testing::each_engine;
use remit_store::{Engine, Order, filter, query};

/// Entries, a page of them, and how many rows a plan may touch for that page.
const SIZE: u64 = 24_000;
const PAGE: i64 = 50;
const MOST: u64 = 5_000;

/// One entry a second; of every kind some that are frequent and some that are rare.
fn event(fixture: &Fixture, n: u64) -> api::Event {
    let at = |late: u64| Some(remit_api::wire::time::stamp(Timestamp(START.0 + (n - n.min(late)) as i64 * 1_000_000)));
    let actor = match n {
        n if n % 2_000 == 7 => "eve",
        n if n % 10 == 3 => "ann",
        _ => "platform",
    };
    let mut event = api::Event {
        actor: Some(types::Actor {
            subject: actor.into(),
            kind: types::ActorKind::Human.into(),
            on_behalf_of: if n % 3_000 == 11 { "bob".into() } else { String::new() },
            ..Default::default()
        }),
        action: if n % 1_500 == 13 { "council.holds.engage" } else { "handoff.routings.route" }.into(),
        resource: if n % 1_000 == 17 { format!("models/rare-{n}") } else { format!("routings/{n}") },
        outcome: if n % 2_400 == 19 { api::Outcome::Denied } else { api::Outcome::Success }.into(),
        request_id: format!("request-{}", n / 4),
        trace_id: format!("{:032x}", n / 3),
        recorded_at: at(0),
        occurred_at: at(2 + n % 5),
        service: "handoff".into(),
        ..fixture.event(&format!("e{n}"))
    };
    if n % 1_200 == 23 {
        let fields = [("email".to_owned(), "x@example.com".to_owned())].into();
        event.personal = Some(api::PersonalData { subject: format!("leads/{}", n % 5), fields });
    }
    event
}

fn time(second: u64) -> String {
    Timestamp(START.0 + second as i64 * 1_000_000).to_string()
}

/// What a filter says, in Rust.
type Passes = Box<dyn Fn(u64, &api::Event) -> bool>;

/// The filters.
fn searches() -> Vec<(String, Passes)> {
    fn case(filter: impl Into<String>, passes: impl Fn(u64, &api::Event) -> bool + 'static) -> (String, Passes) {
        (filter.into(), Box::new(passes))
    }
    fn actor(event: &api::Event) -> &str {
        event.actor.as_ref().map_or("", |actor| actor.subject.as_str())
    }
    // Half a minute, an hour early in the log, and what no full tile holds yet.
    let span =
        |from: u64, until: u64| format!("recorded_at >= \"{}\" AND recorded_at < \"{}\"", time(from), time(until));
    let (short, hour) = (span(9_000, 9_030), span(3_600, 7_200));
    vec![
        case("", |_, _| true),
        case("id = \"e777\"", |_, event| event.id == "e777"),
        case("actor = \"eve\"", |_, event| actor(event) == "eve"),
        case("actor = \"nobody\"", |_, _| false),
        case("actor = \"platform\"", |_, event| actor(event) == "platform"),
        case("on_behalf_of = \"bob\"", |n, _| n % 3_000 == 11),
        case("action = \"council.holds.engage\"", |_, event| event.action == "council.holds.engage"),
        case("action = \"council.*\"", |_, event| event.action.starts_with("council.")),
        case("resource = \"routings/4711\"", |n, event| n == 4_711 && event.resource == "routings/4711"),
        case("resource = \"models/rare-*\"", |_, event| event.resource.starts_with("models/rare-")),
        case("resource = \"routings/*\"", |_, event| event.resource.starts_with("routings/")),
        case("outcome = DENIED", |_, event| event.outcome() == api::Outcome::Denied),
        case("request_id = \"request-100\"", |n, _| n / 4 == 100),
        case(format!("trace_id = \"{:032x}\"", 5_000), |n, _| n / 3 == 5_000),
        case("subject = \"leads/3\"", |n, _| n % 1_200 == 23 && n % 5 == 3),
        case("index >= 5000 AND index < 5030", |n, _| (5_000..5_030).contains(&n)),
        case(short.clone(), |n, _| (9_000..9_030).contains(&n)),
        case(hour.clone(), |n, _| (3_600..7_200).contains(&n)),
        case(format!("recorded_at > \"{}\"", time(SIZE - 20)), |n, _| n > SIZE - 20),
        case(format!("recorded_at < \"{}\"", time(40)), |n, _| n < 40),
        case(format!("occurred_at >= \"{}\" AND occurred_at < \"{}\"", time(3_600), time(7_200)), |n, _| {
            (3_600..7_200).contains(&(n - n.min(2 + n % 5)))
        }),
        case(format!("actor = \"eve\" AND {hour}"), |n, event| (3_600..7_200).contains(&n) && actor(event) == "eve"),
        case(format!("actor = \"platform\" AND {hour}"), |n, event| {
            (3_600..7_200).contains(&n) && actor(event) == "platform"
        }),
        case(format!("action = \"handoff.routings.route\" AND outcome = DENIED AND {hour}"), |n, event| {
            (3_600..7_200).contains(&n)
                && event.outcome() == api::Outcome::Denied
                && event.action == "handoff.routings.route"
        }),
        case("actor = \"platform\" AND outcome = DENIED", |_, event| {
            actor(event) == "platform" && event.outcome() == api::Outcome::Denied
        }),
        case("actor = \"eve\" AND action = \"handoff.*\"", |_, event| {
            actor(event) == "eve" && event.action.starts_with("handoff.")
        }),
        case(format!("resource = \"models/*\" AND {hour}"), |n, event| {
            (3_600..7_200).contains(&n) && event.resource.starts_with("models/")
        }),
        case("request_id = \"request-100\" AND action = \"handoff.routings.route\"", |n, event| {
            n / 4 == 100 && event.action == "handoff.routings.route"
        }),
    ]
}

/// The most rows that a node of PostgreSQL's plan touched, from `actual … rows=N loops=L` and what it removed.
fn touched(plan: &[String]) -> u64 {
    let number = |line: &str, word: &str| -> u64 {
        let rest = line.split(word).nth(1).unwrap_or("");
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
    };
    let mut most = 0;
    let mut loops = 1;
    for line in plan {
        if let Some(actual) = line.split("(actual ").nth(1) {
            loops = number(actual, "loops=").max(1);
            most = most.max(number(actual, "rows=") * loops);
        }
        if line.contains("Rows Removed by ") {
            most = most.max(number(line, ": ") * loops);
        }
    }
    most
}

/// The plans of the statements that a search runs until it has a page.
async fn plans(fixture: &Fixture, text: &str, order: Order) -> Result<Vec<String>> {
    let mut tx = fixture.db.read().await?;
    let filter = filter::parse(text, entries::FIELDS)?;
    let (begun, column) = match fixture.db.engine() {
        Engine::Postgres => ("explain (analyze, costs off, timing off, summary off) ", "QUERY PLAN"),
        Engine::Sqlite => ("explain query plan ", "detail"),
    };
    let mut plans = Vec::new();
    for (place, last) in entries::places(&mut tx, &fixture.tenant, &filter, order, None).await? {
        let sql = |begun| entries::search_sql(begun, &fixture.tenant, &filter, place, order, None, PAGE + 1);
        for row in sql(begun).query().fetch_all(&mut tx).await? {
            plans.push(row.get::<String>(column)?);
        }
        if last || sql("").query().fetch_all(&mut tx).await?.len() > PAGE as usize {
            break;
        }
    }
    Ok(plans)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_search_reads_the_whole_log() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        let events: Vec<api::Event> = (0..SIZE).map(|n| event(&fixture, n)).collect();
        for batch in events.chunks(1_000) {
            fixture.append(batch.to_vec()).await?;
        }
        let mut tx = fixture.db.write().await?;
        query("analyze").execute(&mut tx).await?;
        tx.commit().await?;
        let mut wrong = Vec::new();
        for (text, passes) in searches() {
            let mut expected: Vec<u64> = (0..SIZE).filter(|n| passes(*n, &events[*n as usize])).collect();
            for (order, word) in [(Order::Ascending, "oldest"), (Order::Descending, "newest")] {
                let search_order =
                    if word == "oldest" { api::SearchOrder::OldestFirst } else { api::SearchOrder::NewestFirst };
                let request = api::SearchRequest {
                    filter: text.clone(),
                    order: search_order.into(),
                    page_size: PAGE as i32,
                    ..Default::default()
                };
                let found = fixture.log.search(&fixture.cx("audit.entries.search"), request).await?.entries;
                let found: Vec<u64> = found.iter().map(|entry| entry.index as u64).collect();
                assert_eq!(found, expected[..expected.len().min(PAGE as usize)], "{text} {word}");
                expected.reverse();

                let plan = plans(&fixture, &text, order).await?;
                let bad = match fixture.db.engine() {
                    Engine::Postgres => touched(&plan) > MOST,
                    // A prefix is sorted where it is rare, and only there.
                    Engine::Sqlite => plan.iter().any(|line| {
                        let sorted = line.contains("TEMP B-TREE");
                        line.starts_with("SCAN") || sorted && (expected.len() > 100 || !text.contains('*'))
                    }),
                };
                if bad {
                    wrong.push(format!("{text:?}, {word} first:\n  {}", plan.join("\n  ")));
                }
            }
        }
        assert!(wrong.is_empty(), "{} plans read too much:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    })
    .await
}
