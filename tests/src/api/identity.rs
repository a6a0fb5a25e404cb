//! Who speaks: the suite's own services by their key, everybody else for themselves; and whoever is refused a change is
//! on record.

use super::cases;
use crate::support::{Caller, Connection, Suite, eventually, reason, stamp};
use remit_api::audit::v1 as api;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{BreakGlassRequest, EngageHoldRequest, Hold, Scope};
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::{CreateTaskRequest, RateTaskRequest, Rating, Task};
use remit_api::types;
use remit_core::details::{ActionRefused, Details as _, TokenRefused};
use remit_core::{Actor, ActorKind, Tenant};
use remit_runtime::auth::Claims;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::{Code, Status};

cases! {
    a_program_reports_only_what_it_did_itself: Append;
    a_service_of_the_suite_reports_only_its_own_events: AppendBatch;
    what_a_rule_refuses_is_on_record: EngageHold;
    what_a_role_or_kind_of_actor_forbids_is_on_record_once_a_minute;
    one_person_is_one_subject_however_she_is_written: CreateTask, RateTask;
    a_request_id_belongs_to_subject_and_kind: CreateTask;
    refused_tokens_are_on_record_with_their_address;
}

fn log(caller: &Caller) -> AuditServiceClient<Connection> {
    AuditServiceClient::new(caller.to("audit"))
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    let status = answer.expect_err("a refusal");
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    reason(&status)
}

/// What `subject` would say that it did.
async fn event(suite: &Suite, id: &str, action: &str, subject: &str, kind: types::ActorKind) -> api::Event {
    let now = Some(stamp(suite.now().await));
    api::Event {
        id: id.to_owned(),
        actor: Some(types::Actor { subject: subject.into(), kind: kind.into(), ..Default::default() }),
        actor_roles: vec!["made_up".into()],
        action: action.into(),
        resource: "leads/1".into(),
        outcome: api::Outcome::Success.into(),
        occurred_at: now,
        recorded_at: now,
        ..Default::default()
    }
}

fn one(event: api::Event) -> api::AppendRequest {
    api::AppendRequest { event: Some(event), prove: false }
}

/// The reasons of the refusals on record that match, in order.
async fn refused(suite: &Suite, filter: &str) -> Vec<String> {
    let entries = suite.entries(&format!("outcome = DENIED AND {filter}")).await;
    entries.into_iter().filter_map(|entry| Some(entry.event?.reason)).collect()
}

async fn a_program_reports_only_what_it_did_itself(suite: Suite) {
    let service = types::ActorKind::Service;
    let mut crm = log(&suite.program("crm"));
    let own = event(&suite, "own", "crm.leads.merge", "crm", service).await;
    crm.append(one(own.clone())).await.expect("it is recorded");
    crm.append(one(own.clone())).await.expect("a resend is harmless");
    // When that was recorded is no word of its own, and a resend at another time is the same event.
    suite.advance(Duration::from_secs(3_600)).await;
    let long_ago = Some(prost_types::Timestamp { seconds: 1_000_000_000, nanos: 0 });
    crm.append(one(api::Event { recorded_at: long_ago, ..own.clone() })).await.expect("it is recorded already");
    let entries = suite.entries("action = \"crm.leads.merge\"").await;
    let recorded = entries[0].event.clone().expect("an event");
    assert_eq!((recorded.occurred_at, recorded.recorded_at), (own.occurred_at, own.recorded_at));
    let late = api::Event { id: "late".into(), occurred_at: long_ago, recorded_at: long_ago, ..own.clone() };
    let now = stamp(suite.now().await);
    crm.append(one(late)).await.expect("it is recorded");
    let late = suite.entries("id = \"late\"").await.remove(0).event.expect("an event");
    assert_eq!((late.occurred_at, late.recorded_at), (long_ago, Some(now)));
    let ahead = Some(prost_types::Timestamp { seconds: now.seconds + 3_600, nanos: 0 });
    let ahead = api::Event { id: "ahead".into(), occurred_at: ahead, ..own.clone() };
    let status = crm.append(one(ahead)).await.expect_err("it has not happened yet");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "TIME_OUT_OF_RANGE"));
    let actor = recorded.actor.expect("an actor");
    assert_eq!((entries.len(), recorded.service.as_str(), actor.subject.as_str()), (1, "crm", "crm"));
    // The roles are those of its token, in which that of the suite's own services has no effect.
    assert_eq!((actor.kind(), recorded.actor_roles), (service, vec!["admin".to_owned()]));

    let carol = event(&suite, "carol", "council.proposals.vote", "carol", types::ActorKind::Human).await;
    let mut vote = own.clone();
    (vote.id, vote.action) = ("vote".into(), "council.proposals.vote".into());
    let prune = api::Event { id: "prune".into(), action: "audit.entries.prune".into(), ..own.clone() };
    let park = api::Event { id: "park".into(), action: "relay.events.park".into(), ..own.clone() };
    let posing = api::Event { id: "posing".into(), service: "council".into(), ..own.clone() };
    let mut behalf = api::Event { id: "behalf".into(), ..own.clone() };
    behalf.actor.get_or_insert_default().on_behalf_of = "carol".into();
    for (said, wanted) in [
        (carol, "ACTOR_NOT_CALLER"),
        (vote, "ACTION_RESERVED"),
        (prune, "ACTION_RESERVED"),
        (park, "ACTION_RESERVED"),
        (posing, "SERVICE_NOT_CALLER"),
        (behalf, "ACTOR_NOT_CALLER"),
    ] {
        let id = said.id.clone();
        assert_eq!(refusal(crm.append(one(said)).await), wanted, "{id}");
        assert!(suite.entries(&format!("id = \"{id}\"")).await.is_empty(), "{id}");
        assert_eq!(refused(&suite, "actor = \"crm\"").await.last().map(String::as_str), Some(wanted), "{id}");
    }
    // A program that is called like a service does not pass for it.
    let mut audit = log(&suite.program("audit"));
    let own = event(&suite, "audit", "x.y.z", "audit", service).await;
    assert_eq!(refusal(audit.append(one(own)).await), "SERVICE_NOT_CALLER");
    let attempts = suite.entries("outcome = DENIED AND action = \"audit.entries.append\"").await;
    assert_eq!(attempts.len(), 7);
    for entry in attempts {
        let event = entry.event.expect("an event");
        assert_eq!((event.service.as_str(), event.resource.as_str()), ("audit", "entries"));
        let details = serde_json::from_str(&event.details_json).expect("details are JSON");
        assert!(ActionRefused::read(&details).is_some_and(|details| !details.message.is_empty()), "{details}");
    }
}

async fn a_service_of_the_suite_reports_only_its_own_events(suite: Suite) {
    let human = types::ActorKind::Human;
    let mut registry = log(&suite.service("registry"));
    let batch = |events| api::AppendBatchRequest { events, prove: false };
    let of = |event, service: &str| api::Event { service: service.into(), ..event };
    let own = of(event(&suite, "a", "registry.versions.suspend", "carol", human).await, "registry");
    let vote = of(event(&suite, "b", "council.proposals.vote", "carol", human).await, "registry");
    let council = of(event(&suite, "c", "council.proposals.vote", "carol", human).await, "council");
    for (other, wanted) in [(vote, "ACTION_RESERVED"), (council, "SERVICE_NOT_CALLER")] {
        let status = registry.append_batch(batch(vec![own.clone(), other])).await.expect_err("all or none");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, wanted));
        assert!(status.message().contains("council"), "{}", status.message());
    }
    // The key of the registry, leaked, does not make anybody the council.
    let (leaked, tenant) = (suite.services().signer("registry").expect("its key"), suite.tenant_id());
    let tenant = Tenant::new(tenant).expect("a tenant");
    let token = leaked.token(&tenant, &Actor::service("council"), Duration::from_secs(60));
    let mut posing = log(&suite.bearing(&token.expect("a token can be signed")));
    let vote = of(event(&suite, "d", "council.proposals.vote", "carol", human).await, "council");
    let status = posing.append_batch(batch(vec![vote])).await.expect_err("it is the registry's key");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_SERVICE_KEY"));
    assert!(suite.entries("actor = \"carol\"").await.is_empty(), "nothing of either batch is recorded");
    registry.append_batch(batch(vec![own])).await.expect("it is recorded");
    assert_eq!(suite.entries("actor = \"carol\"").await.len(), 1);
    assert_eq!(refused(&suite, "actor = \"remit-registry\"").await, ["ACTION_RESERVED", "SERVICE_NOT_CALLER"]);
}

async fn what_a_rule_refuses_is_on_record(suite: Suite) {
    let mia = suite.human("mia", &["admin"], &["marketing_lead"]);
    let mut holds = HoldServiceClient::new(mia.to("council"));
    let hold = Hold {
        scope: Some(Scope { target: Some(Target::Organisation(true)) }),
        reason: "complaints".into(),
        ..Default::default()
    };
    let engage = EngageHoldRequest { hold_id: "h".into(), hold: Some(hold), ..Default::default() };
    holds.engage_hold(engage).await.expect("a hold");
    let glass = BreakGlassRequest {
        hold: "holds/h".into(),
        reason: "a campaign cannot wait".into(),
        duration: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
        request_id: "glass".into(),
    };
    let why = refusal(holds.break_glass(glass.clone()).await);
    assert_eq!(refusal(holds.break_glass(glass).await), why, "a refusal keeps nothing under the request id");
    let attempts = suite.entries("outcome = DENIED AND action = \"council.holds.override\"").await;
    assert_eq!(attempts.len(), 2);
    for entry in attempts {
        let event = entry.event.expect("an event");
        assert_eq!((event.resource.as_str(), &event.reason), ("holds/h", &why));
        assert_eq!(event.actor.expect("an actor").subject, "mia");
    }
}

async fn what_a_role_or_kind_of_actor_forbids_is_on_record_once_a_minute(suite: Suite) {
    let bot = suite.caller("bot", ActorKind::Ai, &["admin", "operator"], &[]);
    let mut tasks = TaskServiceClient::new(bot.to("scoring"));
    let eve = suite.human("eve", &["viewer"], &[]);
    let mut holds = HoldServiceClient::new(eve.to("council"));
    for _ in 0..3 {
        assert_eq!(refusal(log(&eve).export(api::ExportRequest::default()).await.map(|_| ())), "PERMISSION_MISSING");
        let rate = RateTaskRequest { name: "tasks/t".into(), ..Default::default() };
        assert_eq!(refusal(tasks.rate_task(rate).await), "ACTOR_KIND_NOT_ALLOWED");
        assert_eq!(refusal(holds.engage_hold(EngageHoldRequest::default()).await), "PERMISSION_MISSING");
    }
    for (actor, action, wanted, service) in [
        ("bot", "scoring.tasks.rate", "ACTOR_KIND_NOT_ALLOWED", "scoring"),
        ("eve", "council.holds.engage", "PERMISSION_MISSING", "council"),
        // Reads are on record too when they are refused.
        ("eve", "audit.entries.export", "PERMISSION_MISSING", "audit"),
    ] {
        let filter = format!("actor = \"{actor}\" AND action = \"{action}\"");
        eventually("the refusal is on record", || async { !suite.entries(&filter).await.is_empty() }).await;
        let entries = suite.entries(&filter).await;
        assert_eq!(entries.len(), 1, "{entries:#?}");
        let event = entries[0].event.clone().expect("an event");
        assert_eq!((event.action.as_str(), event.reason.as_str()), (action, wanted));
        assert_eq!((event.outcome(), event.resource.as_str()), (api::Outcome::Denied, service));
        assert_eq!((event.service.as_str(), event.trace_id.len()), (service, 32));
        let details = serde_json::from_str(&event.details_json).expect("details are JSON");
        let details = ActionRefused::read(&details).expect("details of a refusal");
        assert!(details.address.starts_with("127.0.0.1:"), "{details:?}");
    }
}

fn create(id: &str, request_id: &str) -> CreateTaskRequest {
    let task = Some(Task { title: "T".into(), strategy_owner: " Ada ".into(), ..Default::default() });
    CreateTaskRequest { task_id: id.into(), task, request_id: request_id.into() }
}

async fn one_person_is_one_subject_however_she_is_written(suite: Suite) {
    let person = |subject: &str| TaskServiceClient::new(suite.human(subject, &["operator"], &[]).to("scoring"));
    let made = person("mallory").create_task(create("t", "")).await.expect("a task").into_inner();
    assert_eq!(made.strategy_owner, "ada", "what a request says of people is canonical too");
    let rate = |rater: &str, risk: i32| RateTaskRequest {
        name: "tasks/t".into(),
        rating: Some(Rating {
            rater: rater.into(),
            scores: BTreeMap::from([("risk".into(), risk)]),
            ..Default::default()
        }),
        ..Default::default()
    };
    for (token, rater, risk) in
        [("mallory", "", 1), ("Mallory", "mallory", 2), ("mallory ", "MALLORY", 3), ("ｍａｌｌｏｒｙ", " mallory", 4)]
    {
        let rated = person(token).rate_task(rate(rater, risk)).await.expect("her own rating").into_inner();
        let raters: Vec<&str> = rated.ratings.iter().map(|rating| rating.rater.as_str()).collect();
        assert_eq!(raters, ["mallory"], "{token:?}");
    }
    // Nobody can be told from her by what is not seen, in a token or in a request.
    let status = person("mallory\u{200b}").rate_task(rate("", 5)).await.expect_err("no such subject");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_CLAIMS"));
    let status = person("mallory").rate_task(rate("mallory\u{200b}", 5)).await.expect_err("no such subject");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
    assert!(status.message().starts_with("rating.rater:"), "{}", status.message());
    let raters = suite.entries("action = \"scoring.tasks.rate\" AND actor = \"MALLORY \"").await;
    assert!(!raters.is_empty(), "a search finds her however she is written");
    assert!(raters.iter().all(|entry| {
        entry.event.as_ref().is_some_and(|event| event.actor.as_ref().is_some_and(|actor| actor.subject == "mallory"))
    }));
}

async fn a_request_id_belongs_to_subject_and_kind(suite: Suite) {
    let of = |kind| TaskServiceClient::new(suite.caller("mallory", kind, &["operator"], &[]).to("scoring"));
    let (mut person, mut program) = (of(ActorKind::Human), of(ActorKind::Service));
    let made = person.create_task(create("t", "id")).await.expect("a task").into_inner();
    assert_eq!(person.create_task(create("t", "id")).await.expect("the first answer").into_inner(), made);
    // A program under her name is told nothing of what she was answered: it asks for itself, and is refused as such.
    let status = program.create_task(create("t", "id")).await.expect_err("it exists");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "TASK_EXISTS"));
}

/// What scoring has put on record of tokens that it refused for this reason.
async fn tokens(log: &Suite, reason: &str) -> Vec<api::Event> {
    let entries = log.entries("action = \"system.tokens.refuse\" AND actor = \"remit-scoring\"").await;
    entries.into_iter().filter_map(|entry| entry.event).filter(|event| event.reason == reason).collect()
}

async fn refused_tokens_are_on_record_with_their_address(suite: Suite) {
    let rate = |token: String| {
        let caller = suite.bearing(&token);
        async move {
            let answer = TaskServiceClient::new(caller.to("scoring")).rate_task(RateTaskRequest::default()).await;
            let status = answer.expect_err("a refusal");
            assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
            reason(&status)
        }
    };
    let claims = Claims { tenant: suite.tenant_id().to_owned(), ..Claims::sample(suite.signer().issuer(), "remit") };
    let (sub, past) = ("Eve".to_owned(), claims.iat - 7_200);
    let expired = Claims { sub, iat: past, nbf: past, exp: past + 60, ..claims };
    let expired = suite.signer().sign(&expired).expect("claims can be signed");
    for _ in 0..50 {
        assert_eq!(rate(expired.clone()).await, "TOKEN_EXPIRED");
        assert_eq!(rate("hunter2.hunter2.hunter2".to_owned()).await, "TOKEN_MALFORMED");
    }
    // Whose signature is right is in the log of the tenant; of anybody else nothing can be believed.
    let installation = suite.tenant("remit");
    for (log, wanted, issuer, subject) in
        [(&suite, "TOKEN_EXPIRED", suite.signer().issuer(), "eve"), (&installation, "TOKEN_MALFORMED", "", "")]
    {
        eventually("the refusal is on record", || async { !tokens(log, wanted).await.is_empty() }).await;
        let events = tokens(log, wanted).await;
        assert!(events.len() <= 3, "one a minute, not {}", events.len());
        let event = &events[0];
        assert_eq!((event.outcome(), event.resource.as_str()), (api::Outcome::Denied, "addresses/127.0.0.1"));
        assert!(!format!("{event:?}").contains("hunter2"), "nothing of a token is kept: {event:?}");
        let details = serde_json::from_str(&event.details_json).expect("details are JSON");
        let details = TokenRefused::read(&details).expect("details of a token");
        assert_eq!((details.issuer.as_str(), details.subject.as_str()), (issuer, subject));
        assert_eq!(details.method, "remit.scoring.v1.TaskService/RateTask");
        assert!(details.address.starts_with("127.0.0.1:"), "{details:?}");
    }
}
