//! Audit events between the service that records them and the log: what is recorded fits into the log, and what
//! the log refuses all the same is parked where everybody can see it.

use crate::support::eventually;
use remit_api::audit::v1 as api;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::system::v1::GetInfoRequest;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_audit::prepare::Prepared;
use remit_core::{Actor, ActorKind, AuditEvent, Outcome, PersonalData, Tenant, Timestamp, digest};
use remit_runtime::{Config, Running, relay};
use remit_store::testing::TestDb;
use remit_store::{Db, query};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Request;

fn event(id: &str) -> AuditEvent {
    AuditEvent {
        id: id.to_owned(),
        actor: Actor {
            subject: "ann".into(),
            kind: ActorKind::Human,
            roles: vec!["operator".into()],
            role_groups: vec![],
            on_behalf_of: None,
        },
        action: "registry.versions.suspend".into(),
        resource: "models/lead-scorer/versions/1".into(),
        outcome: Outcome::Success,
        reason: String::new(),
        occurred_at: Timestamp(1_767_225_600_000_000),
        recorded_at: Timestamp(1_767_225_600_000_000),
        request_id: String::new(),
        trace_id: String::new(),
        service: "registry".into(),
        policy_version: String::new(),
        model_version: String::new(),
        before_digest: String::new(),
        after_digest: String::new(),
        details: serde_json::Value::Null,
        personal: None,
    }
}

/// Whether the audit service takes an event: its field rules and its encoding.
fn taken(event: &AuditEvent) -> Result<(), String> {
    let event = relay::to_proto(event);
    let batch = api::AppendBatchRequest { events: vec![event.clone()], prove: false };
    let bytes = prost::Message::encode_to_vec(&batch);
    let kind = remit_api::pool().get_message_by_name("remit.audit.v1.AppendBatchRequest").expect("a known message");
    let message = prost_reflect::DynamicMessage::decode(kind, bytes.as_slice()).expect("a message");
    let broken = remit_api::validate::violations(&message).expect("the rules can be applied");
    if !broken.is_empty() {
        return Err(format!("{broken:?}"));
    }
    Prepared::new(event, "events[0]", Timestamp(0)).map(|_| ()).map_err(|error| error.to_string())
}

type Change = (&'static str, Box<dyn Fn(&mut AuditEvent, usize)>, usize);

/// Every bounded text, with the most characters that it may have.
fn bounds() -> Vec<Change> {
    fn text(name: &'static str, most: usize, set: impl Fn(&mut AuditEvent, String) + 'static) -> Change {
        // Of the characters that take the most bytes, both in UTF-8 and escaped in JSON.
        (name, Box::new(move |event, length| set(event, "\u{1F600}".repeat(length))), most)
    }
    vec![
        text("id", 100, |event, text| event.id = text),
        text("subject", 200, |event, text| event.actor.subject = text),
        text("on behalf of", 200, |event, text| event.actor.on_behalf_of = Some(text)),
        text("role", 63, |event, text| event.actor.roles = vec![text; 32]),
        text("role group", 63, |event, text| event.actor.role_groups = vec![text; 32]),
        text("action", 100, |event, text| event.action = text),
        text("resource", 500, |event, text| event.resource = text),
        text("reason", 2_000, |event, text| event.reason = text),
        text("request id", 100, |event, text| event.request_id = text),
        text("service", 63, |event, text| event.service = text),
        text("policy version", 300, |event, text| event.policy_version = text),
        text("model version", 300, |event, text| event.model_version = text),
        text("personal subject", 200, |event, text| {
            event.personal = Some(PersonalData { subject: text, fields: BTreeMap::from([("a".into(), "b".into())]) });
        }),
        text("personal field", 4_096, |event, text| {
            let fields = (0..64).map(|n| (format!("f{n}"), text.clone())).collect();
            event.personal = Some(PersonalData { subject: "leads/1".into(), fields });
        }),
        (
            "details",
            Box::new(|event, length| event.details = serde_json::Value::String("x".repeat(length - 2))),
            61_440,
        ),
        (
            "depth of details",
            Box::new(|event, depth| {
                let nest = |inner, _| serde_json::Value::Array(vec![inner]);
                event.details = (0..depth).fold(serde_json::Value::Bool(true), nest);
            }),
            100,
        ),
        ("roles", Box::new(|event, count| event.actor.roles = vec!["operator".into(); count]), 32),
    ]
}

#[test]
fn what_may_be_recorded_the_log_takes() {
    for (name, change, most) in bounds() {
        let mut longest = event("e");
        change(&mut longest, most);
        longest.encode().unwrap_or_else(|error| panic!("{name}: {error}"));
        taken(&longest).unwrap_or_else(|why| panic!("{name} of {most} passes where it is recorded: {why}"));
        let mut longer = event("e");
        change(&mut longer, most + 1);
        let error = longer.encode().expect_err(name);
        assert!(matches!(error.reason(), "AUDIT_EVENT_INVALID" | "ENTRY_TOO_LARGE"), "{name}: {error}");
        assert!(error.violations()[0].field.starts_with("audit_event"), "{name}: {error}");
    }
    // All bounds at once are more than an entry may have; whatever passes must still be taken.
    let (mut passed, mut refused) = (0, 0);
    for length in (0..62_000).step_by(487) {
        let mut full = event("e");
        for (_, change, most) in bounds().into_iter().filter(|(name, ..)| *name != "details" && *name != "role") {
            change(&mut full, most);
        }
        full.actor.on_behalf_of = Some("\u{1}".repeat(200));
        full.details = serde_json::Value::String("\"".repeat(length / 2));
        match full.encode() {
            Ok(_) => {
                passed += 1;
                taken(&full).unwrap_or_else(|why| panic!("{length} passes where it is recorded: {why}"));
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.reason(), "ENTRY_TOO_LARGE", "{error}");
            }
        }
    }
    assert!(passed > 10 && refused > 10, "{passed} passed, {refused} were refused: no bound was crossed");
    for at in [i64::MIN, i64::MAX] {
        assert!(AuditEvent { occurred_at: Timestamp(at), ..event("e") }.encode().is_err());
    }
    assert!(AuditEvent { resource: "models/\0".into(), ..event("e") }.encode().is_err());
}

/// Puts an event into the outbox as a version without the bounds would have done.
async fn smuggle(db: &Db, tenant: &Tenant, event: &AuditEvent) {
    let mut tx = db.write().await.expect("a transaction");
    let head = query(
        "insert into remit_outbox_heads (tenant_id, last_seq, acked_seq) values ($1, 1, 0)
         on conflict (tenant_id) do update set last_seq = remit_outbox_heads.last_seq + 1 returning last_seq",
    );
    let seq: i64 = head.bind(tenant).fetch_one(&mut tx).await.expect("a head").get("last_seq").expect("a number");
    query("insert into remit_outbox (tenant_id, seq, event, recorded_at) values ($1, $2, $3, $4)")
        .bind(tenant)
        .bind(seq)
        .bind(serde_json::to_string(event).expect("an event is JSON"))
        .bind(event.recorded_at)
        .execute(&mut tx)
        .await
        .expect("a row");
    tx.commit().await.expect("a commit");
}

fn auditor<T>(running: &Running, message: T) -> Request<T> {
    let actor =
        Actor { subject: "dpo".into(), kind: ActorKind::Human, roles: vec!["admin".into()], ..event("e").actor };
    let token = running.signer().expect("a development issuer").token(
        &Tenant::new("acme").expect("a tenant"),
        &actor,
        Duration::from_secs(60),
    );
    let mut request = Request::new(message);
    let header = format!("Bearer {}", token.expect("a token")).parse().expect("a header");
    request.metadata_mut().insert("authorization", header);
    request
}

async fn waiting_and_parked(running: &Running) -> (i64, i64) {
    let mut client = SystemServiceClient::new(running.channel());
    let info = client.get_info(auditor(running, GetInfoRequest {})).await.expect("info is given").into_inner();
    (info.outbox_depth["registry"], info.parked_events["registry"])
}

async fn entries(running: &Running) -> Vec<api::Event> {
    let request = api::SearchRequest { order: api::SearchOrder::OldestFirst.into(), ..Default::default() };
    let mut client = AuditServiceClient::new(running.channel());
    let found = client.search(auditor(running, request)).await.expect("the log can be searched").into_inner();
    found.entries.into_iter().filter_map(|entry| entry.event).collect()
}

async fn parks(database: Option<&TestDb>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut toml = format!(
        "[data]\ndir = \"{}\"\n[server]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlog = \"error\"\n",
        dir.path().join("data").display()
    );
    if let Some(database) = database {
        toml += &format!("[database]\nurl = \"{}\"\nconnections = 4\n", database.url());
    }
    let config = Config::from_toml(&toml).expect("a valid configuration");
    let start = || remit_runtime::Suite::start(config.clone(), remit::services());
    let running = start().await.expect("the suite starts");
    let (db, tenant) = (running.db("registry").expect("it runs here").clone(), Tenant::new("acme").expect("a tenant"));
    remit_store::tenants::see(&db, &tenant).await.expect("a tenant is noted");

    let long = AuditEvent { reason: "x".repeat(3_000), request_id: "req-7".into(), ..event("long") };
    let fields = BTreeMap::from([("email".to_owned(), "ann@example.com".to_owned())]);
    let personal = Some(PersonalData { subject: "leads/1".into(), fields });
    let reused = AuditEvent { resource: "models/other".into(), personal, ..event("first") };
    let nul = AuditEvent { resource: "models/\0".into(), ..event("nul") };
    for event in [&event("first"), &event("second"), &long, &event("third"), &reused, &nul, &event("last")] {
        smuggle(&db, &tenant, event).await;
    }
    eventually("all but three are delivered", || async { waiting_and_parked(&running).await == (0, 3) }).await;
    let found = entries(&running).await;
    let ids: Vec<&str> =
        found.iter().filter(|event| event.action != relay::PARK).map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["first", "second", "third", "last"]);

    let rows = query("select seq, event, reason from remit_outbox_parked where tenant_id = 'acme' order by seq")
        .fetch_all(&mut db.read().await.expect("a reader"))
        .await
        .expect("rows");
    let notices: Vec<_> = found.iter().filter(|event| event.action == relay::PARK).collect();
    assert_eq!((rows.len(), notices.len()), (3, 3));
    for (row, (notice, id)) in rows.iter().zip(notices.iter().zip(["long", "first", "nul"])) {
        let (seq, text): (i64, String) = (row.get("seq").expect("a number"), row.get("event").expect("a text"));
        assert_eq!(notice.resource, format!("parkedEvents/registry-{seq}"));
        assert_eq!(notice.after_digest, digest::sha256(text.as_bytes()));
        assert_eq!(notice.outcome(), api::Outcome::Failure);
        assert!(notice.reason.starts_with(&row.get::<String>("reason").expect("a text")), "{}", notice.reason);
        assert!(notice.details_json.contains(&format!("\"event\":\"{id}\"")), "{}", notice.details_json);
        // Erasing the person reaches the log, not this table.
        assert!(!text.contains("ann@example.com"), "{text}");
    }
    assert_eq!(notices[0].request_id, "req-7");

    // What a later version takes is delivered when its relay starts.
    let mut tx = db.write().await.expect("a transaction");
    query("update remit_outbox_parked set event = $1 where tenant_id = 'acme' and reason = 'FIELD_INVALID'")
        .bind(serde_json::to_string(&AuditEvent { reason: "short".into(), ..long }).expect("JSON"))
        .execute(&mut tx)
        .await
        .expect("a change");
    tx.commit().await.expect("a commit");
    running.stop().await.expect("the suite stops");
    let running = start().await.expect("the suite starts again");
    eventually("the parked event is taken", || async { waiting_and_parked(&running).await == (0, 2) }).await;
    assert_eq!(entries(&running).await.last().map(|event| event.id.as_str()), Some("long"));
    running.stop().await.expect("the suite stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_is_parked_on_sqlite() {
    parks(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_is_parked_on_postgres() {
    match TestDb::postgres().await.expect("the test server can be used") {
        Some(database) => parks(Some(&database)).await,
        None => eprintln!("no PostgreSQL: not tested here"),
    }
}
