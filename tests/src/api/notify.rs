//! Whoever must act hears of it: webhooks that a real receiver takes, refuses and loses, and the inbox of each person.

use super::cases;
use crate::support::{Caller, Connection, Suite, eventually, reason};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ed25519_dalek::{Signature, VerifyingKey};
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{EngageHoldRequest, Hold, Scope};
use remit_api::notify::v1::notice_service_client::NoticeServiceClient;
use remit_api::notify::v1::subscription_service_client::SubscriptionServiceClient;
use remit_api::notify::v1::*;
use remit_api::types::TimeRange;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

cases! {
    an_event_arrives_signed_once_and_again_when_asked:
        CreateSubscription, RotateSecret, ResumeSubscription, TestSubscription, ReplayDeliveries, DeleteSubscription;
    a_receiver_that_fails_is_tried_again_and_one_that_is_gone_is_left: UpdateSubscription, PauseSubscription;
    nobody_subscribes_to_what_she_may_not_read_or_to_addresses_inside;
    whoever_must_act_finds_it_in_her_inbox_until_she_has_read_it: AcknowledgeNotice;
}

type Client = SubscriptionServiceClient<Connection>;

fn client(caller: &Caller) -> Client {
    SubscriptionServiceClient::new(caller.to("notify"))
}

/// What a receiver was sent.
#[derive(Debug, Clone)]
struct Got {
    headers: BTreeMap<String, String>,
    body: String,
}

/// A receiver on this machine that answers as it is told: with the next of its answers, or else with 204.
#[derive(Clone)]
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
}

const FAILED: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 5\r\nconnection: close\r\n\r\nouch!";
const MOVED: &str =
    "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const GONE: &str = "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const TAKEN: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

impl Receiver {
    async fn start(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let receiver =
            Self { url, got: Arc::default(), answers: Arc::new(Mutex::new(answers.iter().copied().collect())) };
        let all = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let one = all.clone();
                tokio::spawn(async move { one.take(stream).await });
            }
        });
        receiver
    }

    async fn take(&self, stream: TcpStream) -> Option<()> {
        let (mut stream, mut headers) = (BufReader::new(stream), BTreeMap::new());
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(": ") {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        stream.read_exact(&mut body).await.ok()?;
        let answer = self.answers.lock().expect("a lock").pop_front().unwrap_or(TAKEN);
        let body = String::from_utf8(body).expect("text");
        self.got.lock().expect("a lock").push(Got { headers, body });
        stream.write_all(answer.as_bytes()).await.ok()
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().expect("a lock").clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<Got> {
        eventually(&format!("{count} deliveries"), || async { self.got().len() >= count }).await;
        self.got()
    }
}

fn asked(id: &str, receiver: &Receiver, filter: &str) -> CreateSubscriptionRequest {
    let subscription = Subscription {
        endpoint: receiver.url.clone(),
        filter: filter.to_owned(),
        signing: Signing::Ed25519.into(),
        ..Subscription::default()
    };
    CreateSubscriptionRequest { subscription_id: id.to_owned(), subscription: Some(subscription), ..Default::default() }
}

/// Subscribes and starts it; returns the key that verifies.
async fn subscribed(suite: &Suite, id: &str, receiver: &Receiver, filter: &str) -> VerifyingKey {
    let mut client = client(&suite.admin());
    let made = client.create_subscription(asked(id, receiver, filter)).await.expect("it is made").into_inner();
    assert_eq!((made.state(), made.owner.as_str()), (SubscriptionState::Paused, "admin"));
    let name = made.name;
    let early = ResumeSubscriptionRequest { name: name.clone(), ..Default::default() };
    let early = client.resume_subscription(early).await.expect_err("it has no secret");
    assert_eq!(reason(&early), "SECRET_MISSING");
    let rotate = RotateSecretRequest { name: name.clone(), ..Default::default() };
    let secret = client.rotate_secret(rotate).await.expect("a secret").into_inner().secret;
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whpk_").expect("a public key")).expect("base64");
    let resume = ResumeSubscriptionRequest { name, ..Default::default() };
    let resumed = client.resume_subscription(resume).await.expect("it starts").into_inner();
    assert_eq!(resumed.state(), SubscriptionState::Active);
    VerifyingKey::from_bytes(&key.try_into().expect("32 bytes")).expect("a key")
}

/// Holds that what a receiver got is signed with the key.
fn verify(key: &VerifyingKey, got: &Got) {
    let header = |name: &str| got.headers[name].as_str();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), got.body);
    let signature = header("webhook-signature").strip_prefix("v1a,").expect("an Ed25519 signature");
    let signature = BASE64_STANDARD.decode(signature).expect("base64").try_into().expect("64 bytes");
    key.verify_strict(signed.as_bytes(), &Signature::from_bytes(&signature)).expect("it is signed");
}

async fn drill(suite: &Suite, id: &str, drill: bool) {
    let scope = Some(Scope { target: Some(Target::Organisation(true)) });
    let hold = Hold { scope, reason: "unmistakable-reason".to_owned(), drill, ..Hold::default() };
    let request = EngageHoldRequest { hold_id: id.to_owned(), hold: Some(hold), ..Default::default() };
    let mut holds = HoldServiceClient::new(suite.human("olga", &["operator"], &[]).to("council"));
    holds.engage_hold(request).await.expect("it is engaged");
}

async fn deliveries(suite: &Suite, id: &str, filter: &str) -> Vec<Delivery> {
    let parent = format!("subscriptions/{id}");
    let request = ListDeliveriesRequest { parent, filter: filter.to_owned(), ..Default::default() };
    client(&suite.admin()).list_deliveries(request).await.expect("deliveries").into_inner().deliveries
}

const HOLDS: &str = "action = \"council.holds.engage\" AND outcome = SUCCESS";

async fn an_event_arrives_signed_once_and_again_when_asked(suite: Suite) {
    let receiver = Receiver::start(&[]).await;
    // One that takes connections and says nothing holds up neither the log nor anybody else.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", silent.local_addr().expect("an address"));
    subscribed(&suite, "silent", &Receiver { url, ..receiver.clone() }, HOLDS).await;
    let key = subscribed(&suite, "s", &receiver, HOLDS).await;
    drill(&suite, "h", true).await;
    let got = receiver.wait_for(1).await.remove(0);
    for id in ["g1", "g2", "g3"] {
        drill(&suite, id, true).await;
    }
    receiver.wait_for(4).await;
    assert_eq!(suite.entries(HOLDS).await.len(), 4, "the log went on");
    assert_eq!(deliveries(&suite, "silent", "state = PENDING").await.len(), 4, "what is not taken waits");
    verify(&key, &got);
    let event: Value = serde_json::from_str(&got.body).expect("JSON");
    assert_eq!((&event["type"], &event["subject"]), (&json!("remit.council.holds.engage.v1"), &json!("holds/h")));
    assert!(!got.body.contains("olga") && !got.body.contains("unmistakable"), "{}", got.body);
    eventually("all are delivered", || async { deliveries(&suite, "s", "state = DELIVERED").await.len() == 4 }).await;
    let name = "subscriptions/s".to_owned();
    let index = event["data"]["entryIndex"].as_i64().expect("an index");
    let request =
        ReplayDeliveriesRequest { name: name.clone(), start_index: index, end_index: index + 1, ..Default::default() };
    let mut admin = client(&suite.admin());
    let bad = ReplayDeliveriesRequest { end_index: index, ..request.clone() };
    assert_eq!(reason(&admin.replay_deliveries(bad).await.expect_err("no span")), "RANGE_INVALID");
    let again = admin.replay_deliveries(request).await.expect("a replay").into_inner();
    assert_eq!(again.replayed, 1);
    let twice = receiver.wait_for(5).await.remove(4);
    assert_eq!((&twice.headers["webhook-id"], &twice.body), (&got.headers["webhook-id"], &got.body));
    eventually("one record", || async {
        let all = deliveries(&suite, "s", "").await;
        all.len() == 4 && all[0].attempts == 2 && all[0].state() == DeliveryState::Delivered
    })
    .await;
    let test = TestSubscriptionRequest { name: name.clone(), ..Default::default() };
    admin.test_subscription(test).await.expect("a test");
    let tested: Value = serde_json::from_str(&receiver.wait_for(6).await[5].body).expect("JSON");
    assert_eq!(tested["type"], "remit.notify.test.v1");
    replayed_from_before_it_was(&suite, index).await;
    admin.delete_subscription(DeleteSubscriptionRequest { name, ..Default::default() }).await.expect("it ends");
}

/// A subscription that is younger than what it is sent: from any index, by time, each once.
async fn replayed_from_before_it_was(suite: &Suite, index: i64) {
    let receiver = Receiver::start(&[]).await;
    subscribed(suite, "late", &receiver, HOLDS).await;
    let mut admin = client(&suite.admin());
    let name = "subscriptions/late".to_owned();
    let all = ReplayDeliveriesRequest { name, end_index: i64::MAX, ..Default::default() };
    let day = |days: i64| Some(prost_types::Timestamp { seconds: 1_767_603_600 + days * 86_400, nanos: 0 });
    let span = |from, until| Some(TimeRange { start_time: day(from), end_time: day(until) });
    let wrong = ReplayDeliveriesRequest { recorded: span(1, 0), ..all.clone() };
    assert_eq!(reason(&admin.replay_deliveries(wrong).await.expect_err("backwards")), "TIME_RANGE_INVALID");
    let mut total = 0;
    for (recorded, dead_only, expected) in [
        (None, true, 0),
        (span(-9, -8), false, 0),
        (span(-9, 3_650), true, 0),
        (span(-9, 3_650), false, 4),
        (None, false, 4),
    ] {
        let request = ReplayDeliveriesRequest { recorded, dead_only, ..all.clone() };
        let answer = admin.replay_deliveries(request).await.expect("a replay").into_inner();
        assert_eq!((answer.replayed, answer.next_index), (expected, 0), "{recorded:?} {dead_only}");
        total += usize::try_from(expected).expect("few");
        let sent = receiver.wait_for(total).await;
        assert!(sent.iter().all(|got| got.headers["webhook-id"].starts_with("late.")));
        eventually("they are delivered", || async {
            let found = deliveries(suite, "late", "").await;
            found.len() == usize::try_from(expected).expect("few")
                && found.iter().all(|delivery| delivery.state() == DeliveryState::Delivered)
        })
        .await;
    }
    assert_eq!(receiver.got().len(), 8);
    let part = ReplayDeliveriesRequest { start_index: index, end_index: index + 1, ..all };
    assert_eq!(admin.replay_deliveries(part).await.expect("a replay").into_inner().replayed, 1);
    assert_eq!(receiver.wait_for(9).await[8].headers["webhook-id"], format!("late.{index}"));
}

async fn a_receiver_that_fails_is_tried_again_and_one_that_is_gone_is_left(suite: Suite) {
    let receiver = Receiver::start(&[FAILED, MOVED, TAKEN, GONE]).await;
    let key = subscribed(&suite, "f", &receiver, HOLDS).await;
    drill(&suite, "h1", true).await;
    for tries in 1..=2 {
        receiver.wait_for(tries).await;
        eventually("the failure is written", || async {
            let pending = deliveries(&suite, "f", "state = PENDING").await;
            pending.len() == 1 && usize::try_from(pending[0].attempts) == Ok(tries)
        })
        .await;
        // Longer than the wait after a second failure may be.
        suite.advance(Duration::from_secs(60)).await;
    }
    let got = receiver.wait_for(3).await;
    got.iter().for_each(|got| verify(&key, got));
    assert!(got.iter().all(|one| one.headers["webhook-id"] == got[0].headers["webhook-id"] && one.body == got[0].body));
    eventually("it is taken", || async { deliveries(&suite, "f", "state = DELIVERED").await.len() == 1 }).await;
    let tries = deliveries(&suite, "f", "").await.remove(0).latest_attempts;
    let errors: Vec<_> = tries.iter().map(|attempt| (attempt.status, attempt.error.as_str())).collect();
    assert_eq!(errors, [(500, "REFUSED"), (302, "REDIRECTED"), (204, "")]);
    assert_eq!(tries[0].answer, "ouch!");
    let parent = "subscriptions/f".to_owned();
    let request = ListDeliveriesRequest { parent, ..Default::default() };
    let mut viewer = client(&suite.human("vic", &["viewer"], &[]));
    let seen = viewer.list_deliveries(request.clone()).await.expect("deliveries").into_inner().deliveries.remove(0);
    assert!(seen.latest_attempts.iter().all(|attempt| attempt.answer.is_empty()), "it may repeat the URL");
    assert_eq!((seen.latest_attempts[0].status, seen.next_attempt_time), (500, None), "and it is tried no more");
    let wrong = ListDeliveriesRequest { filter: "state = GONE".to_owned(), ..request };
    let refused = viewer.list_deliveries(wrong).await.expect_err("no such state");
    assert!(reason(&refused) == "FILTER_INVALID" && refused.message().contains("DELIVERED"), "{refused}");

    let name = "subscriptions/f".to_owned();
    let mut admin = client(&suite.admin());
    let pause = PauseSubscriptionRequest { name: name.clone(), reason: "a release".to_owned(), ..Default::default() };
    let paused = admin.pause_subscription(pause).await.expect("it pauses").into_inner();
    assert_eq!(paused.state_reason, "a release");
    drill(&suite, "h2", true).await;
    eventually("it is kept", || async { deliveries(&suite, "f", "state = PENDING").await.len() == 1 }).await;
    let subscription = Subscription { description: "other".to_owned(), ..paused };
    let mask = Some(prost_types::FieldMask { paths: vec!["description".to_owned()] });
    let update =
        UpdateSubscriptionRequest { subscription: Some(subscription), update_mask: mask, ..Default::default() };
    admin.update_subscription(update).await.expect("it changes");
    let resume = ResumeSubscriptionRequest { name: name.clone(), ..Default::default() };
    admin.resume_subscription(resume).await.expect("it goes on");
    eventually("it is broken", || async {
        let request = GetSubscriptionRequest { name: name.clone() };
        let found = client(&suite.admin()).get_subscription(request).await.expect("it is there").into_inner();
        found.state() == SubscriptionState::Broken && found.state_reason.contains("410")
    })
    .await;
    assert_eq!(deliveries(&suite, "f", "state = DEAD").await.len(), 1);
    eventually("its owner hears of it", || async {
        inbox(&suite.admin()).await.iter().any(|notice| notice.duty == "delivery_stuck" && notice.resource == name)
    })
    .await;
}

async fn nobody_subscribes_to_what_she_may_not_read_or_to_addresses_inside(suite: Suite) {
    let receiver = Receiver::start(&[]).await;
    let request = asked("x", &receiver, "");
    let mut admin = client(&suite.admin());
    let endpoints = [
        "ftp://a.example/",
        "https://ann:secret@a.example/",
        "https://10.0.0.1/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fd00::1]/",
        "receiver",
        "https://2130706433.0.0.0.0.1/",
        "https://a.example\\b",
        "https://a.example/\u{7f}b",
    ];
    for endpoint in endpoints {
        let mut bad = request.clone();
        bad.subscription.as_mut().expect("a subscription").endpoint = endpoint.to_owned();
        let refused = admin.create_subscription(bad).await.expect_err(endpoint);
        assert_eq!(reason(&refused), "ENDPOINT_INVALID", "{endpoint}");
    }
    for filter in [
        "details.subject = \"ann\"",
        "details.state_reason:\"x\"",
        "reason = \"x\"",
        "action >",
        "outcome = success",
        "action = \"kpi.*.fire\"",
        "details.drill = \"x\"",
    ] {
        let refused = admin.create_subscription(asked("x", &receiver, filter)).await.expect_err(filter);
        assert_eq!(reason(&refused), "FILTER_INVALID", "{filter}");
    }
    let viewer = client(&suite.human("vic", &["viewer"], &[])).create_subscription(request).await;
    assert_eq!(reason(&viewer.expect_err("a viewer")), "PERMISSION_MISSING");
}

async fn inbox(caller: &Caller) -> Vec<Notice> {
    let mut client = NoticeServiceClient::new(caller.to("notify"));
    client.list_notices(ListNoticesRequest::default()).await.expect("an inbox").into_inner().notices
}

async fn whoever_must_act_finds_it_in_her_inbox_until_she_has_read_it(suite: Suite) {
    let (mia, vic) = (suite.human("mia", &["member"], &[]), suite.human("vic", &["viewer"], &[]));
    assert!(inbox(&mia).await.is_empty());
    drill(&suite, "d", true).await;
    drill(&suite, "h", false).await;
    eventually("she is told", || async { inbox(&mia).await.len() == 1 }).await;
    let notice = inbox(&mia).await.remove(0);
    assert_eq!((notice.duty.as_str(), notice.resource.as_str(), notice.statutory), ("hold_engaged", "holds/h", true));
    assert!(notice.text.starts_with("holds/h stops AI (scope: organisation)."), "{}", notice.text);
    assert!(notice.audiences.contains(&"role:operator".to_owned()), "each knows who else was told");
    assert!(inbox(&vic).await.is_empty());
    let name = notice.name.clone();
    let hidden = NoticeServiceClient::new(vic.to("notify")).get_notice(GetNoticeRequest { name: name.clone() }).await;
    assert_eq!(reason(&hidden.expect_err("another's inbox")), "NOTICE_NOT_FOUND");
    let mut hers = NoticeServiceClient::new(mia.to("notify"));
    let request = AcknowledgeNoticeRequest { name, ..Default::default() };
    hers.acknowledge_notice(request).await.expect("she has read it");
    assert!(inbox(&mia).await.is_empty());
    let all = ListNoticesRequest { show_acknowledged: true, ..Default::default() };
    assert_eq!(hers.list_notices(all).await.expect("all").into_inner().notices.len(), 1);
    assert_eq!(inbox(&suite.human("olga", &["operator"], &[])).await.len(), 1, "it leaves nobody else's");
}
