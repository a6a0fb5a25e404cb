//! One record an event and subscription, whoever is cut off; and everything arrives, in order, whoever was away.

use super::{Receiver, acme, entry, settings, subscribe};
use crate::SCHEMA;
use crate::metrics::Metrics;
use crate::sender::Sender;
use crate::service::Service;
use crate::store::deliveries::Deliveries;
use crate::store::subscriptions::Subscriptions;
use crate::tail::Filters;
use remit_api::audit::v1::Entry;
use remit_api::notify::v1::{Delivery, DeliveryState, Subscription, SubscriptionState};
use remit_core::{ManualClock, Timestamp};
use remit_runtime::Follow as _;
use remit_store::testing::TestDb;
use remit_store::{Db, Options, Records as _, tail};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

async fn deliveries(db: &Db, subscription: &str) -> Vec<Delivery> {
    let parent = [("parent", subscription.into())];
    Deliveries::all(&mut db.read().await.unwrap(), &acme(), &parent).await.unwrap()
}

/// Polls `work` so many times, and then drops it wherever it is, as a kill would.
async fn cut_off<T>(work: impl Future<Output = T>, polls: u64) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

/// A replica that takes the log from where it is, and is cut off again and again.
async fn follow(service: Service, log: Arc<Vec<Entry>>, mut dice: u64) {
    let (tenant, mut filters) = (acme(), Filters::default());
    loop {
        let Ok(mut tx) = service.db.read().await else { continue };
        let next = tail::position(&mut tx, &tenant).await.unwrap();
        drop(tx);
        let at = usize::try_from(next).unwrap();
        let Some(part) = log.get(at..log.len().min(at + 7)).filter(|part| !part.is_empty()) else { return };
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let to = next + i64::try_from(part.len()).unwrap();
        let took = cut_off(service.take(&tenant, part, next, to, &mut filters), (dice >> 33) % 160 + 1).await;
        // Busy is an answer too: the follower comes again.
        if !matches!(took, Some(Ok(true))) {
            filters = Filters::default();
        }
    }
}

async fn written_once(database: TestDb, seed: u64) {
    let log: Arc<Vec<Entry>> =
        Arc::new((0..120).map(|index| entry(index, &format!("alerts/a{}", index % 5))).collect());
    let (first, second) = (database.open(&SCHEMA).await.unwrap(), database.open(&SCHEMA).await.unwrap());
    let filters = [("all", ""), ("some", "resource = \"alerts/a3\""), ("none", "service = council")];
    let filters = filters.map(|(id, filter)| (id.to_owned(), filter.to_owned()));
    subscribe(&first, "https://receiver.example/", &filters).await;
    let replicas = [first.clone(), second].map(|db| Service::on(db, &[]).unwrap());
    let [one, other] = replicas;
    tokio::join!(follow(one, log.clone(), seed), follow(other, log.clone(), !seed));
    for (id, expected) in [("all", (0..120).collect()), ("some", (3..120).step_by(5).collect()), ("none", Vec::new())] {
        let found = deliveries(&first, &format!("subscriptions/{id}")).await;
        let mut indexes: Vec<i64> = found.iter().map(|delivery| delivery.entry_index).collect();
        indexes.sort_unstable();
        assert_eq!(indexes, expected, "{id}, seed {seed}");
        assert!(found.iter().all(|delivery| delivery.webhook_id == format!("{id}.{}", delivery.entry_index)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_that_are_cut_off_anywhere_write_each_delivery_once() {
    for seed in [1, 2_026] {
        written_once(TestDb::sqlite().unwrap(), seed).await;
        match TestDb::postgres().await.unwrap() {
            Some(database) => written_once(database, seed).await,
            None => eprintln!("no PostgreSQL: not tested here"),
        }
    }
}

async fn on_a_clock(start: i64) -> (TestDb, Db, Arc<ManualClock>) {
    let (database, clock) = (TestDb::sqlite().unwrap(), Arc::new(ManualClock::new(Timestamp(start))));
    let options = Options { clock: clock.clone(), ..Options::default() };
    let db = database.open_with(&SCHEMA, options).await.unwrap();
    (database, db, clock)
}

async fn subscription(db: &Db) -> Subscription {
    Subscriptions::get(&mut db.read().await.unwrap(), &acme(), "subscriptions/s").await.unwrap()
}

/// Sends until there is nothing due.
async fn drain(sender: &Sender, db: &Db) {
    loop {
        let before = attempts(db).await;
        sender.drain(&acme(), "subscriptions/s").await.unwrap();
        if attempts(db).await == before {
            return;
        }
    }
}

async fn attempts(db: &Db) -> i32 {
    deliveries(db, "subscriptions/s").await.iter().map(|delivery| delivery.attempts).sum()
}

const DAY: i64 = 86_400_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_two_days_arrives_once_and_in_order_for_each_resource() {
    let (_database, db, clock) = on_a_clock(DAY).await;
    let receiver = Receiver::start().await;
    subscribe(&db, &receiver.url, &[("s".to_owned(), String::new())]).await;
    let service = Service::on(db.clone(), &["127.0.0.0/8"]).unwrap();
    let sender = Sender::new(service.clone(), Metrics::new(), &settings()).unwrap();
    receiver.failing.store(true, Ordering::SeqCst);
    let log: Vec<Entry> = (0..24).map(|index| entry(index, &format!("alerts/a{}", index % 3))).collect();
    let mut filters = Filters::default();
    for (hour, part) in log.chunks(2).enumerate() {
        let from = i64::try_from(2 * hour).unwrap();
        assert!(service.take(&acme(), part, from, from + 2, &mut filters).await.unwrap());
        drain(&sender, &db).await;
        clock.advance_to(Timestamp(DAY + i64::try_from(hour + 1).unwrap() * DAY / 6));
    }
    let calls = receiver.calls.load(Ordering::SeqCst);
    assert!((10..60).contains(&calls), "an endpoint that is away is asked seldom: {calls}");
    assert!(receiver.taken.lock().unwrap().is_empty());
    receiver.failing.store(false, Ordering::SeqCst);
    clock.advance_to(Timestamp(3 * DAY + DAY / 2));
    drain(&sender, &db).await;
    let all = deliveries(&db, "subscriptions/s").await;
    assert!(all.iter().all(|delivery| delivery.state() == DeliveryState::Delivered), "{all:?}");
    let mut by_resource: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for id in receiver.taken.lock().unwrap().iter() {
        let index: i64 = id.strip_prefix("s.").unwrap().parse().unwrap();
        by_resource.entry(index % 3).or_default().push(index);
    }
    for (rest, indexes) in by_resource {
        assert_eq!(indexes, (rest..24).step_by(3).collect::<Vec<_>>(), "each once, in the order of the log");
    }
    assert_eq!(subscription(&db).await.state(), SubscriptionState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_and_a_resumption_begin_with_short_waits_and_three_days_of_their_own() {
    let (_database, db, clock) = on_a_clock(DAY).await;
    let receiver = Receiver::start().await;
    subscribe(&db, &receiver.url, &[("s".to_owned(), String::new())]).await;
    let service = Service::on(db.clone(), &["127.0.0.0/8"]).unwrap();
    let sender = Sender::new(service.clone(), Metrics::new(), &settings()).unwrap();
    receiver.failing.store(true, Ordering::SeqCst);
    service.take(&acme(), &[entry(0, "alerts/a")], 0, 1, &mut Filters::default()).await.unwrap();
    for _ in 0..40 {
        drain(&sender, &db).await;
        clock.advance_to(Timestamp(db.now().0 + DAY / 4));
    }
    let dead = deliveries(&db, "subscriptions/s").await.remove(0);
    assert_eq!((dead.state(), subscription(&db).await.state()), (DeliveryState::Dead, SubscriptionState::Broken));
    assert_eq!(dead.failures, dead.attempts);
    // As ReplayDeliveries and ResumeSubscription do it.
    let (now, tenant) = (db.now(), acme());
    let again = async |m: &mut remit_store::Mutation| {
        let mut delivery = dead.clone();
        delivery.state = DeliveryState::Pending.into();
        delivery.next_attempt_time = Some(remit_api::wire::time::stamp(now));
        delivery.failures = 0;
        crate::store::deliveries::settle(m, &[delivery]).await?;
        let mut resumed = Subscriptions::claim(m, "subscriptions/s").await?;
        resumed.state = SubscriptionState::Active.into();
        resumed.resume_time = Some(remit_api::wire::time::stamp(now));
        Subscriptions::save(m, &mut resumed).await
    };
    db.own(&tenant, "notify.test", again).await.unwrap();
    drain(&sender, &db).await;
    let failed = deliveries(&db, "subscriptions/s").await.remove(0);
    assert_eq!((failed.state(), failed.failures), (DeliveryState::Pending, 1), "what waited is not blamed on it");
    assert_eq!(failed.attempts, dead.attempts + 1);
    let wait = crate::store::at(&failed.next_attempt_time).since(now);
    assert!((Duration::from_secs(5)..=Duration::from_secs(6)).contains(&wait), "{wait:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_made_again_under_its_name_has_its_own_filter() {
    let database = TestDb::sqlite().unwrap();
    let db = database.open(&SCHEMA).await.unwrap();
    let (service, mut filters) = (Service::on(db.clone(), &[]).unwrap(), Filters::default());
    let make = |uid: &str, filter: &str| Subscription {
        name: "subscriptions/s".into(),
        uid: uid.into(),
        filter: filter.into(),
        state: SubscriptionState::Active.into(),
        ..Subscription::default()
    };
    for (uid, filter) in [("one", ""), ("two", "resource = \"alerts/b\"")] {
        let mut made = make(uid, filter);
        let again = async |m: &mut remit_store::Mutation| {
            crate::store::subscriptions::clear(m, "subscriptions/s").await?;
            if Subscriptions::try_claim(m, "subscriptions/s").await?.is_some() {
                Subscriptions::delete(m, "subscriptions/s").await?;
            }
            Subscriptions::insert(m, &mut made).await
        };
        db.own(&acme(), "notify.test", again).await.unwrap();
        let from = if uid == "one" { 0 } else { 2 };
        let log = [entry(from, "alerts/a"), entry(from + 1, "alerts/b")];
        assert!(service.take(&acme(), &log, from, from + 2, &mut filters).await.unwrap());
    }
    let indexes: Vec<i64> = deliveries(&db, "subscriptions/s").await.iter().map(|one| one.entry_index).collect();
    assert_eq!(indexes, [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_subscriptions_get_what_each_selects() {
    let database = TestDb::sqlite().unwrap();
    let db = database.open(&SCHEMA).await.unwrap();
    let mut filters: Vec<_> =
        (0..9_999).map(|number| (format!("s{number}"), format!("resource = \"alerts/a{number}\""))).collect();
    filters.push(("everything".to_owned(), String::new()));
    subscribe(&db, "https://receiver.example/", &filters).await;
    let service = Service::on(db.clone(), &[]).unwrap();
    let log: Vec<Entry> = (0..6).map(|index| entry(index, &format!("alerts/a{}", index * 1_999))).collect();
    assert!(service.take(&acme(), &log, 0, 6, &mut Filters::default()).await.unwrap());
    assert_eq!(deliveries(&db, "subscriptions/everything").await.len(), 6);
    assert_eq!(deliveries(&db, "subscriptions/s1999").await.len(), 1);
    let all = Deliveries::all(&mut db.read().await.unwrap(), &acme(), &[]).await.unwrap();
    assert_eq!(all.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_endpoint_that_is_away_little_is_asked() {
    let (_database, db, clock) = on_a_clock(DAY).await;
    // Nobody listens there.
    subscribe(&db, "http://127.0.0.1:1/", &[("s".to_owned(), String::new())]).await;
    let service = Service::on(db.clone(), &["127.0.0.0/8"]).unwrap();
    let sender = Sender::new(service.clone(), Metrics::new(), &settings()).unwrap();
    let log: Vec<Entry> = (0..40).map(|index| entry(index, &format!("alerts/a{index}"))).collect();
    assert!(service.take(&acme(), &log, 0, 40, &mut Filters::default()).await.unwrap());
    drain(&sender, &db).await;
    let first = attempts(&db).await;
    assert!((1..=8).contains(&first), "not each of the forty is a try: {first}");
    clock.advance_to(Timestamp(DAY + 10_000_000));
    drain(&sender, &db).await;
    assert!(attempts(&db).await > first, "it is tried again when it is time");
    // And whoever is sent to at all goes before it, however long it is due.
    subscribe(&db, "http://127.0.0.1:2/", &[("young".to_owned(), String::new())]).await;
    clock.advance_to(Timestamp(DAY + 600_000_000));
    assert!(service.take(&acme(), &[entry(40, "alerts/b")], 40, 41, &mut Filters::default()).await.unwrap());
    let due = crate::store::queues::due(&mut db.read().await.unwrap(), &acme(), db.now(), 9).await.unwrap();
    let due: Vec<(&str, bool)> = due.iter().map(|due| (due.name.as_str(), due.is_silent)).collect();
    assert_eq!(due, [("subscriptions/young", false), ("subscriptions/s", true)]);
}

/// Changes the subscription as an update does.
async fn change(db: &Db, with: impl Fn(&mut Subscription) + Sync) {
    let work = async |m: &mut remit_store::Mutation| {
        let mut subscription = Subscriptions::claim(m, "subscriptions/s").await?;
        with(&mut subscription);
        Subscriptions::save(m, &mut subscription).await?;
        crate::store::queues::renew(m, &subscription).await
    };
    db.own(&acme(), "notify.test", work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn order_and_pace_are_as_the_subscription_asks() {
    let (_database, db, clock) = on_a_clock(DAY).await;
    let receiver = Receiver::start().await;
    subscribe(&db, &receiver.url, &[("s".to_owned(), String::new())]).await;
    let service = Service::on(db.clone(), &["127.0.0.0/8"]).unwrap();
    let sender = Sender::new(service.clone(), Metrics::new(), &settings()).unwrap();
    receiver.failing.store(true, Ordering::SeqCst);
    let log: Vec<Entry> = (0..7).map(|index| entry(index, &format!("alerts/a{}", index % 2))).collect();
    assert!(service.take(&acme(), &log, 0, 7, &mut Filters::default()).await.unwrap());
    drain(&sender, &db).await;
    assert_eq!(attempts(&db).await, 2, "of each resource the first, which holds up the others");
    change(&db, |subscription| subscription.unordered = true).await;
    drain(&sender, &db).await;
    assert_eq!(attempts(&db).await, 7, "nothing waits for another");
    receiver.failing.store(false, Ordering::SeqCst);
    change(&db, |subscription| subscription.max_per_second = 3).await;
    clock.advance_to(Timestamp(2 * DAY));
    let taken = || receiver.taken.lock().unwrap().len();
    for (second, expected) in [(0, 3), (0, 3), (1, 6), (2, 7), (2, 7)] {
        clock.advance_to(Timestamp(2 * DAY + second * 1_000_000));
        drain(&sender, &db).await;
        assert_eq!(taken(), expected, "after {second} s");
    }
    // What comes at once after it waits for its share of the second too.
    assert!(service.take(&acme(), &[entry(7, "alerts/b")], 7, 8, &mut Filters::default()).await.unwrap());
    drain(&sender, &db).await;
    assert_eq!(taken(), 7);
    clock.advance_to(Timestamp(2 * DAY + 3_000_000));
    drain(&sender, &db).await;
    assert_eq!(taken(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_arrives_as_it_was_written_whatever_changes_meanwhile() {
    let (_database, db, clock) = on_a_clock(DAY).await;
    let (first, second) = (Receiver::start().await, Receiver::start().await);
    subscribe(&db, &first.url, &[("s".to_owned(), String::new())]).await;
    let service = Service::on(db.clone(), &["127.0.0.0/8"]).unwrap();
    let sender = Sender::new(service.clone(), Metrics::new(), &settings()).unwrap();
    first.failing.store(true, Ordering::SeqCst);
    let log: Vec<Entry> = (0..6).map(|index| entry(index, &format!("alerts/a{}", index % 2))).collect();
    let mut filters = Filters::default();
    assert!(service.take(&acme(), &log[..4], 0, 4, &mut filters).await.unwrap());
    drain(&sender, &db).await;
    let bodies: BTreeMap<String, String> =
        deliveries(&db, "subscriptions/s").await.into_iter().map(|one| (one.webhook_id, one.payload)).collect();
    let rotate = async |m: &mut remit_store::Mutation| {
        crate::store::secrets::add(m, "subscriptions/s", &[8; 32], Timestamp(2 * DAY)).await
    };
    db.own(&acme(), "notify.test", rotate).await.unwrap();
    // It selects nothing any more, leads elsewhere and is paused; what has a record is still owed.
    change(&db, |subscription| {
        subscription.filter = "service = council".to_owned();
        subscription.endpoint.clone_from(&second.url);
        subscription.state = SubscriptionState::Paused.into();
    })
    .await;
    clock.advance_to(Timestamp(DAY + DAY / 2));
    assert!(service.take(&acme(), &log[4..], 4, 6, &mut filters).await.unwrap());
    drain(&sender, &db).await;
    assert_eq!(
        (attempts(&db).await, second.calls.load(Ordering::SeqCst)),
        (2, 0),
        "while it is paused nothing is tried"
    );
    change(&db, |subscription| {
        subscription.state = SubscriptionState::Active.into();
        subscription.resume_time = Some(remit_api::wire::time::stamp(Timestamp(DAY + DAY / 2)));
    })
    .await;
    drain(&sender, &db).await;
    let all = deliveries(&db, "subscriptions/s").await;
    assert!(all.iter().all(|one| one.state() == DeliveryState::Delivered && bodies[&one.webhook_id] == one.payload));
    let taken = second.taken.lock().unwrap().clone();
    let of = |rest: &[&str]| taken.iter().filter(|id| rest.contains(&id.as_str())).cloned().collect::<Vec<_>>();
    assert_eq!(
        (of(&["s.0", "s.2"]), of(&["s.1", "s.3"])),
        (vec!["s.0".into(), "s.2".into()], vec!["s.1".into(), "s.3".into()])
    );
    assert!(all.len() == 4 && taken.len() == 4 && first.taken.lock().unwrap().is_empty());
    // Both secrets sign until the older one ends, and of many the newest four.
    let signing = async |at: i64, more: u8| {
        let work = async |m: &mut remit_store::Mutation| {
            for number in 0..more {
                crate::store::secrets::add(m, "subscriptions/s", &[9 + number; 32], Timestamp(3 * DAY)).await?;
            }
            crate::store::secrets::signing(m, "subscriptions/s", Timestamp(at)).await
        };
        db.own(&acme(), "notify.test", work).await.unwrap()
    };
    assert_eq!(signing(2 * DAY - 1, 0).await, [vec![8; 32], vec![7; 32]]);
    assert_eq!(signing(2 * DAY, 0).await, [vec![8; 32]]);
    assert_eq!(signing(2 * DAY, 5).await.iter().map(|secret| secret[0]).collect::<Vec<_>>(), [13, 12, 11, 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_is_in_no_reminder_and_owns_nothing() {
    let (_database, db, _clock) = on_a_clock(DAY).await;
    let service = Service::on(db.clone(), &[]).unwrap();
    subscribe(&db, "https://receiver.example/", &[("s".to_owned(), String::new())]).await;
    let item = |index: i64, action: &str, resource: &str, details: &str| {
        let mut entry = entry(index, resource);
        let event = entry.event.as_mut().unwrap();
        (event.action, event.details_json) = (action.to_owned(), details.to_owned());
        event.recorded_at = Some(remit_api::wire::time::stamp(Timestamp(DAY)));
        entry
    };
    let due = r#"{"origin":"","kind":"","owner":"ann","due_time":"1970-03-01T00:00:00Z"}"#;
    let log = [
        item(0, "council.actionItems.create", "actionItems/a", due),
        item(1, "audit.subjects.erase", "subjects/ann", "{}"),
    ];
    assert!(service.take(&acme(), &log[..1], 0, 1, &mut Filters::default()).await.unwrap());
    let planned = async || {
        let all = remit_store::timers::due(&mut db.read().await.unwrap(), &acme(), Timestamp(i64::MAX), None, 9).await;
        all.unwrap().into_iter().map(|timer| String::from_utf8_lossy(&timer.payload).into_owned()).collect::<Vec<_>>()
    };
    assert!(planned().await.len() == 3 && planned().await.iter().all(|payload| payload.contains("subject:ann")));
    assert!(service.take(&acme(), &log[1..], 1, 2, &mut Filters::default()).await.unwrap());
    let left = planned().await;
    assert!(left.len() == 3 && left.iter().all(|it| !it.contains("ann") && it.contains("role:member")), "{left:?}");
    let subscription = subscription(&db).await;
    assert_eq!((subscription.state(), subscription.owner.as_str()), (SubscriptionState::Broken, ""));
    // The delivery of the erasure itself says that it is of a person, and not of whom.
    let erased = deliveries(&db, "subscriptions/s").await;
    assert!(erased.iter().all(|delivery| !format!("{delivery:?}").contains("ann")), "{erased:?}");
}
