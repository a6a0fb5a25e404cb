//! Who speaks: the suite's own services by their key, everybody else for themselves; and whoever is refused a change is
//! on record.

use super::cases;
use crate::support::{Caller, Connection, Suite, eventually, reason, stamp};
use remit_api::audit::v1 as api;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::council::v1::hold_service_client::HoldServiceClient;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::{BreakGlassRequest, EngageHoldRequest, Hold, Scope};
use remit_api::scoring::v1::RateTaskRequest;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::types;
use remit_core::details::{ActionRefused, Details as _};
use remit_core::{Actor, ActorKind, Tenant};
use std::time::Duration;
use tonic::{Code, Status};

cases! {
    a_program_reports_only_what_it_did_itself: Append;
    a_service_of_the_suite_reports_only_its_own_events: AppendBatch;
    what_a_rule_refuses_is_on_record: EngageHold;
    what_a_role_or_kind_of_actor_forbids_is_on_record_once_a_minute;
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
    // Reads are not on record, whoever is refused them.
    assert_eq!(refusal(log(&eve).export(api::ExportRequest::default()).await.map(|_| ())), "PERMISSION_MISSING");
    for _ in 0..3 {
        let rate = RateTaskRequest { name: "tasks/t".into(), ..Default::default() };
        assert_eq!(refusal(tasks.rate_task(rate).await), "ACTOR_KIND_NOT_ALLOWED");
        assert_eq!(refusal(holds.engage_hold(EngageHoldRequest::default()).await), "PERMISSION_MISSING");
    }
    for (actor, action, wanted, service) in [
        ("bot", "scoring.tasks.rate", "ACTOR_KIND_NOT_ALLOWED", "scoring"),
        ("eve", "council.holds.engage", "PERMISSION_MISSING", "council"),
    ] {
        let filter = format!("actor = \"{actor}\"");
        eventually("the refusal is on record", || async { !suite.entries(&filter).await.is_empty() }).await;
        let entries = suite.entries(&filter).await;
        assert_eq!(entries.len(), 1, "{entries:#?}");
        let event = entries[0].event.clone().expect("an event");
        assert_eq!((event.action.as_str(), event.reason.as_str()), (action, wanted));
        assert_eq!((event.outcome(), event.resource.as_str()), (api::Outcome::Denied, service));
        assert_eq!((event.service.as_str(), event.trace_id.len()), (service, 32));
    }
}
