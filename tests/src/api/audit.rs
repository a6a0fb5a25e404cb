//! The cases of the service `audit`.

use super::cases;
use crate::support::{Connection, Suite, reason, stamp, witness};
use remit_api::audit::v1 as api;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::types;
use remit_audit::export_verify::{Beforehand, verify_export};
use remit_core::ActorKind;
use remit_tlog::client::{LogVerifier, Trust};
use remit_tlog::{Hash, Note, VerifierKey, leaf_hash};
use std::time::Duration;
use tonic::Code;

cases! {
    an_event_is_durable_provable_and_recorded_once: Append, AppendBatch;
    malformed_events_are_refused_by_field;
    only_services_append_and_only_people_open_personal_data;
    entries_are_searched_summarised_and_tailed;
    exports_verify_offline_and_follow_an_earlier_checkpoint;
    personal_data_is_erased_and_the_log_still_verifies: EraseSubject, RewrapSubjectKeys;
    legal_holds_and_retention_are_kept:
        UpdateRetentionPolicy, PruneEntries, CreateLegalHold, ReleaseLegalHold, AdvanceClock;
    a_witness_cosigns: AddCosignature;
    tiles_are_served_over_http;
    another_tenant_sees_nothing;
}

type Client = AuditServiceClient<Connection>;

fn recorder(suite: &Suite) -> Client {
    AuditServiceClient::new(suite.service("registry").to("audit"))
}

fn auditor(suite: &Suite) -> Client {
    AuditServiceClient::new(suite.human("dpo", &["auditor", "privacy"], &[]).to("audit"))
}

async fn event(suite: &Suite, id: &str) -> api::Event {
    let now = stamp(suite.now().await);
    api::Event {
        id: id.to_owned(),
        actor: Some(types::Actor { subject: "ann".into(), kind: types::ActorKind::Human.into(), ..Default::default() }),
        action: "registry.versions.suspend".into(),
        resource: format!("models/lead-scorer/versions/{id}"),
        outcome: api::Outcome::Success.into(),
        occurred_at: Some(now),
        recorded_at: Some(now),
        service: "registry".into(),
        details_json: "{\"psi\": 0.31}".into(),
        ..Default::default()
    }
}

fn with_email(event: api::Event, subject: &str, email: &str) -> api::Event {
    let fields = [("email".to_owned(), email.to_owned())].into_iter().collect();
    api::Event { personal: Some(api::PersonalData { subject: subject.into(), fields }), ..event }
}

async fn append(suite: &Suite, ids: std::ops::Range<u32>) -> Vec<api::AppendResponse> {
    let mut events = Vec::new();
    for n in ids {
        events.push(event(suite, &format!("e{n}")).await);
    }
    let answer = recorder(suite).append_batch(api::AppendBatchRequest { events, prove: false }).await;
    answer.expect("events are recorded").into_inner().results
}

async fn checkpoint(suite: &Suite) -> api::Checkpoint {
    let answer = auditor(suite).get_checkpoint(api::GetCheckpointRequest::default()).await;
    answer.expect("there is a checkpoint").into_inner()
}

async fn export(suite: &Suite, request: api::ExportRequest) -> Vec<u8> {
    let mut pieces = auditor(suite).export(request).await.expect("an export begins").into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.message().await.expect("an export goes on") {
        bytes.extend(piece.data);
    }
    bytes
}

async fn assert_sound(suite: &Suite) -> api::VerifyLogResponse {
    let mut said = auditor(suite).verify_log(api::VerifyLogRequest::default()).await.expect("a check").into_inner();
    loop {
        let report = said.message().await.expect("the log is checked").expect("a report at the end");
        if report.complete {
            assert!(report.ok, "{:#?}", report.findings);
            return report;
        }
    }
}

fn hashes(bytes: &[Vec<u8>]) -> Vec<Hash> {
    bytes.iter().map(|hash| Hash::from_slice(hash).expect("a hash has 32 bytes")).collect()
}

async fn an_event_is_durable_provable_and_recorded_once(suite: Suite) {
    let sent = event(&suite, "a").await;
    let request = api::AppendRequest { event: Some(sent.clone()), prove: true };
    let first = recorder(&suite).append(request.clone()).await.expect("it is recorded").into_inner();
    assert_eq!((first.index, first.duplicate), (0, false));
    let again = recorder(&suite).append(request).await.expect("a resend is harmless").into_inner();
    assert_eq!((again.index, again.duplicate, &again.leaf_hash), (0, true, &first.leaf_hash));

    let other = api::AppendRequest { event: Some(api::Event { reason: "other".into(), ..sent }), prove: false };
    let refused = recorder(&suite).append(other).await.expect_err("the id is taken");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "EVENT_ID_REUSED"));
    assert_eq!(refused.message().matches("sha256:").count(), 2, "{}", refused.message());

    let key = VerifierKey::parse(&checkpoint(&suite).await.verifier_key).expect("a key");
    let trust = Trust::new(key.name(), key.clone(), vec![], 0).expect("one key");
    let entry =
        auditor(&suite).get_entry(api::GetEntryRequest { name: "entries/0".into(), ..Default::default() }).await;
    let entry = entry.expect("it is there").into_inner();
    let leaf = leaf_hash(&entry.leaf_data);
    assert_eq!(leaf.0.as_slice(), first.leaf_hash);
    let proof = first.proof.expect("a proof was asked for");
    trust.check_proof_file(leaf, &proof.tlog_proof).expect("the proof holds");

    let mut client = LogVerifier::new(trust, None).expect("no state");
    client.update(&proof.checkpoint, &[]).expect("signed");
    append(&suite, 0..300).await;
    let request = api::GetConsistencyProofRequest { old_size: 1, ..Default::default() };
    let consistency = auditor(&suite).get_consistency_proof(request).await.expect("a proof").into_inner();
    client.update(&checkpoint(&suite).await.note, &hashes(&consistency.hashes)).expect("the log only grew");
    let request = api::GetInclusionProofRequest { name: "entries/200".into(), size: 0 };
    let proof = auditor(&suite).get_inclusion_proof(request).await.expect("a proof").into_inner();
    client.check_inclusion(200, hashes(&[proof.leaf_hash])[0], &hashes(&proof.hashes)).expect("it is in the log");
    assert_eq!(assert_sound(&suite).await.checked_entry_count, 301);
}

async fn malformed_events_are_refused_by_field(suite: Suite) {
    let good = event(&suite, "x").await;
    let many = |text: &str, n: usize| text.repeat(n);
    let wrong = [
        ("event.id", api::Event { id: String::new(), ..good.clone() }),
        ("event.actor", api::Event { actor: None, ..good.clone() }),
        ("event.outcome", api::Event { outcome: 0, ..good.clone() }),
        ("event.outcome", api::Event { outcome: 17, ..good.clone() }),
        ("event.trace_id", api::Event { trace_id: "xyz".into(), ..good.clone() }),
        ("event.after_digest", api::Event { after_digest: "sha256:1".into(), ..good.clone() }),
        ("event.details_json", api::Event { details_json: "{\"a\":1,\"a\":2}".into(), ..good.clone() }),
        ("event.resource", api::Event { resource: many("r", 501), ..good.clone() }),
        ("event.occurred_at", api::Event { occurred_at: None, ..good.clone() }),
        ("event.personal.subject", with_email(good.clone(), "", "x")),
    ];
    for (field, event) in wrong {
        let status =
            recorder(&suite).append(api::AppendRequest { event: Some(event), prove: false }).await.expect_err(field);
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
        assert!(status.message().contains(field.trim_start_matches("event.")), "{field}: {}", status.message());
    }
    let text = format!("\"{}\"", many("x", 61_000));
    let large = api::Event { details_json: text, reason: many("\u{1}", 2_000), ..good };
    let status =
        recorder(&suite).append(api::AppendRequest { event: Some(large), prove: false }).await.expect_err("too large");
    assert_eq!(reason(&status), "ENTRY_TOO_LARGE");
    assert_eq!(checkpoint(&suite).await.size, 0);
}

async fn only_services_append_and_only_people_open_personal_data(suite: Suite) {
    let request = api::AppendRequest { event: Some(event(&suite, "a").await), prove: false };
    let person = suite.admin();
    let status = AuditServiceClient::new(person.to("audit")).append(request).await.expect_err("a person");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ACTOR_KIND_NOT_ALLOWED"));
    let request = api::GetPersonalDataRequest { name: "entries/0".into() };
    let status = recorder(&suite).get_personal_data(request).await.expect_err("a service");
    assert_eq!(reason(&status), "ACTOR_KIND_NOT_ALLOWED");
    let viewer = suite.human("vera", &["viewer"], &[]);
    let request = api::GetPersonalDataRequest { name: "entries/0".into() };
    let status = AuditServiceClient::new(viewer.to("audit")).get_personal_data(request).await;
    assert_eq!(reason(&status.expect_err("a viewer")), "PERMISSION_MISSING");
}

async fn entries_are_searched_summarised_and_tailed(suite: Suite) {
    append(&suite, 0..20).await;
    let mut denied = event(&suite, "d").await;
    denied.outcome = api::Outcome::Denied.into();
    denied.action = "registry.aliases.set".into();
    denied.model_version = "models/lead-scorer/versions/7".into();
    denied.details_json = "{\"to\":\"SUSPENDED\"}".into();
    recorder(&suite).append(api::AppendRequest { event: Some(denied), prove: false }).await.expect("recorded");

    let search = |filter: &str, page_size, page_token: String| {
        let mut client = auditor(&suite);
        let request = api::SearchRequest { filter: filter.into(), page_size, page_token, ..Default::default() };
        async move { client.search(request).await.map(tonic::Response::into_inner) }
    };
    let found = search("outcome = DENIED AND actor = ann", 0, String::new()).await.expect("found");
    assert_eq!(found.entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [20]);
    let filter =
        "model_version = 'models/lead-scorer/versions/7' AND details.to = SUSPENDED AND recorded_at > \"2000-01-01\"";
    let found = search(filter, 0, String::new()).await.expect("found");
    assert_eq!(found.entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [20]);
    let first = search("resource = \"models/lead-scorer/versions/e1*\"", 8, String::new()).await.expect("found");
    let filter = "resource = \"models/lead-scorer/versions/e1*\"";
    let second = search(filter, 8, first.next_page_token.clone()).await.expect("found");
    assert_eq!((first.entries.len(), second.entries.len(), second.next_page_token.as_str()), (8, 3, ""));
    let status = search("outcome = DENIED", 8, first.next_page_token).await.expect_err("a token of another filter");
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    assert_eq!(reason(&search("colour = red", 0, String::new()).await.expect_err("no such field")), "FILTER_INVALID");

    let summary = auditor(&suite).summarize_entries(api::SummarizeEntriesRequest::default()).await.expect("counted");
    let summary = summary.into_inner();
    assert_eq!((summary.total_count, summary.first_index, summary.last_index, summary.counts.len()), (21, 0, 20, 2));

    // A live tail, without the recording connection, which would wait for its end.
    let token = suite.token("dpo", ActorKind::Human, &["auditor"], &[]);
    let mut request = tonic::Request::new(api::TailRequest { start_index: 18, ..Default::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    let mut tail = AuditServiceClient::new(suite.bare("audit")).tail(request).await.expect("a tail").into_inner();
    let mut seen = Vec::new();
    append(&suite, 20..22).await;
    while seen.len() < 5 {
        let message = tail.message().await.expect("the tail goes on").expect("the tail does not end");
        seen.extend(message.entries.iter().map(|entry| entry.index));
        assert_eq!(message.next_index, seen.last().map_or(18, |last| last + 1));
    }
    assert_eq!(seen, [18, 19, 20, 21, 22]);
    let filter = api::TailRequest {
        action_prefixes: vec!["registry.aliases.".into()],
        snapshot_only: true,
        ..Default::default()
    };
    let mut tail = auditor(&suite).tail(filter).await.expect("a tail").into_inner();
    let message = tail.message().await.expect("a message").expect("one message");
    assert_eq!((message.entries.len(), message.next_index), (1, 23));
    assert!(tail.message().await.expect("an end").is_none());
}

async fn exports_verify_offline_and_follow_an_earlier_checkpoint(suite: Suite) {
    append(&suite, 0..40).await;
    let earlier = checkpoint(&suite).await;
    append(&suite, 40..80).await;
    let key = VerifierKey::parse(&earlier.verifier_key).expect("a key");
    let trust = Beforehand { key: Some(key), earlier: Some(earlier.note), ..Default::default() };
    // Before the export, which is an entry itself.
    let whole = checkpoint(&suite).await.note;
    let bytes = export(&suite, api::ExportRequest::default()).await;
    let verified = verify_export(bytes.as_slice(), &trust).expect("a sound export");
    assert_eq!((verified.entries, verified.extends), (80, Some(40)));

    let mut altered = bytes.clone();
    let at = altered.len() / 2;
    altered[at] ^= 1;
    assert!(verify_export(altered.as_slice(), &trust).is_err());
    let now = Beforehand { earlier: Some(whole), ..trust };
    let cut = export(&suite, api::ExportRequest { size: 60, ..Default::default() }).await;
    let refused = verify_export(cut.as_slice(), &now).expect_err("its tail was cut");
    assert_eq!(refused.cause, Some(remit_tlog::Error::Rollback { seen: 80, offered: 60 }));

    let resumed = api::ExportRequest { size: verified.checkpoint.size as i64, resume_index: 50, ..Default::default() };
    assert!(bytes.ends_with(&export(&suite, resumed).await));
    let beyond = api::ExportRequest { size: 1_000, ..Default::default() };
    assert_eq!(reason(&auditor(&suite).export(beyond).await.expect_err("beyond the log")), "SIZE_INVALID");
}

async fn personal_data_is_erased_and_the_log_still_verifies(suite: Suite) {
    let sent = with_email(event(&suite, "a").await, "leads/1", "ann.secret@example.com");
    let request = api::AppendRequest { event: Some(sent), prove: false };
    recorder(&suite).append(request.clone()).await.expect("recorded");
    assert!(recorder(&suite).append(request.clone()).await.expect("a resend").into_inner().duplicate);
    let reveal = || api::GetPersonalDataRequest { name: "entries/0".into() };
    let data = auditor(&suite).get_personal_data(reveal()).await.expect("it is open to the auditor").into_inner();
    assert_eq!(data.fields["email"], "ann.secret@example.com");

    let erase =
        api::EraseSubjectRequest { subject: "leads/1".into(), reason: "asked".into(), request_id: String::new() };
    let erased = auditor(&suite).erase_subject(erase.clone()).await.expect("erased").into_inner();
    assert_eq!(
        (erased.destroyed_key_count, erased.erased_entry_count, erased.first_entry.as_str()),
        (1, 1, "entries/0")
    );
    let again = auditor(&suite).erase_subject(erase).await.expect("erasing again is harmless").into_inner();
    assert_eq!((again.destroyed_key_count, again.erase_time), (0, erased.erase_time));
    let status = auditor(&suite).get_personal_data(reveal()).await.expect_err("it is gone");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "PERSONAL_DATA_ERASED"));
    assert!(recorder(&suite).append(request).await.expect("a late resend").into_inner().duplicate);
    assert_eq!(assert_sound(&suite).await.erased_entry_count, 1);
    let bytes = export(&suite, api::ExportRequest { include_sealed: true, ..Default::default() }).await;
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
    let rewrapped = auditor(&suite).rewrap_subject_keys(api::RewrapSubjectKeysRequest::default()).await;
    assert_eq!(rewrapped.expect("nothing is under an old key").into_inner().remaining_count, 0);
}

async fn legal_holds_and_retention_are_kept(suite: Suite) {
    // First what will be pruned: the entries of this case's own calls must outlast it.
    append(&suite, 0..300).await;
    let sent = with_email(event(&suite, "a").await, "leads/1", "x@example.com");
    recorder(&suite).append(api::AppendRequest { event: Some(sent), prove: false }).await.expect("recorded");
    let hold = api::LegalHold { reason: "matter 1".into(), subject: "leads/1".into(), ..Default::default() };
    let create =
        api::CreateLegalHoldRequest { legal_hold_id: "h1".into(), legal_hold: Some(hold), ..Default::default() };
    let hold = auditor(&suite).create_legal_hold(create.clone()).await.expect("engaged").into_inner();
    assert_eq!((hold.name.as_str(), hold.creator.as_str()), ("legalHolds/h1", "dpo"));
    let status = auditor(&suite).create_legal_hold(create).await.expect_err("the id is taken");
    assert_eq!(reason(&status), "LEGAL_HOLD_EXISTS");
    let erase = api::EraseSubjectRequest { subject: "leads/1".into(), ..Default::default() };
    let status = auditor(&suite).erase_subject(erase.clone()).await.expect_err("it is held");
    assert_eq!(reason(&status), "SUBJECT_ON_HOLD");
    assert!(status.message().contains("legalHolds/h1"), "{}", status.message());
    let listed =
        auditor(&suite).list_legal_holds(api::ListLegalHoldsRequest::default()).await.expect("listed").into_inner();
    assert_eq!(listed.legal_holds, std::slice::from_ref(&hold));
    let name = || hold.name.clone();
    let release = api::ReleaseLegalHoldRequest {
        name: name(),
        reason: "settled".into(),
        etag: hold.etag.clone(),
        ..Default::default()
    };
    let released = auditor(&suite).release_legal_hold(release).await.expect("released").into_inner();
    let got =
        auditor(&suite).get_legal_hold(api::GetLegalHoldRequest { name: name() }).await.expect("kept").into_inner();
    assert_eq!(got, released);
    auditor(&suite).erase_subject(erase).await.expect("nothing holds it");

    let update = |days: i64, etag: &str| {
        let keep = Some(prost_types::Duration { seconds: days * 86_400, nanos: 0 });
        let policy = api::RetentionPolicy { keep, etag: etag.into(), ..Default::default() };
        let request = api::UpdateRetentionPolicyRequest { retention_policy: Some(policy), ..Default::default() };
        let mut client = auditor(&suite);
        async move { client.update_retention_policy(request).await.map(tonic::Response::into_inner) }
    };
    let status = update(100, "").await.expect_err("below six months");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("retention_policy.keep"), "{}", status.message());
    let policy = update(200, "").await.expect("above the floor");
    assert_eq!(reason(&update(300, "0").await.expect_err("a stale etag")), "ETAG_MISMATCH");
    let got = auditor(&suite).get_retention_policy(api::GetRetentionPolicyRequest {}).await.expect("kept").into_inner();
    assert_eq!(got, policy);
    suite.advance(Duration::from_secs(201 * 86_400)).await;
    // By schedule, and recorded as the service's own doing.
    let runs = suite.entries("action = \"audit.entries.prune\"").await;
    let run = runs.first().and_then(|entry| entry.event.clone()).expect("a run by schedule");
    assert_eq!((runs.len(), run.actor.as_ref().map(|actor| actor.subject.as_str())), (1, Some("remit-audit")));
    assert!(run.details_json.contains("\"pruned\":256") && run.details_json.contains("due_time"), "{run:?}");
    let pruned = auditor(&suite).prune_entries(api::PruneEntriesRequest::default()).await.expect("pruned").into_inner();
    assert_eq!((pruned.pruned_count, pruned.held_count, pruned.end_index), (0, 0, 256));
    assert_eq!(assert_sound(&suite).await.pruned_entry_count, 256);
    let request = api::GetInclusionProofRequest { name: "entries/7".into(), size: 0 };
    let proof = auditor(&suite).get_inclusion_proof(request).await.expect("proofs remain").into_inner();
    let key = VerifierKey::parse(&checkpoint(&suite).await.verifier_key).expect("a key");
    let trust = Trust::new(key.name(), key.clone(), vec![], 0).expect("one key");
    trust.check_proof_file(hashes(&[proof.leaf_hash])[0], &proof.tlog_proof).expect("the proof holds");
}

async fn a_witness_cosigns(suite: Suite) {
    append(&suite, 0..5).await;
    let asked = |min_cosignatures| {
        let mut client = auditor(&suite);
        async move {
            client.get_checkpoint(api::GetCheckpointRequest { min_cosignatures }).await.map(tonic::Response::into_inner)
        }
    };
    assert_eq!(reason(&asked(1).await.expect_err("nobody has cosigned")), "NOT_COSIGNED");
    let note = checkpoint(&suite).await.note;
    let text = Note::parse(&note).expect("a note").text;
    let cosigned = format!("{note}{}", witness().sign(&text, 1_767_225_600));
    let request = api::AddCosignatureRequest { note: cosigned, request_id: String::new() };
    let answer = auditor(&suite).add_cosignature(request).await.expect("a known witness").into_inner();
    append(&suite, 5..8).await;
    assert_eq!(asked(1).await.expect("cosigned"), answer);
    assert_eq!((answer.size, answer.cosignatures[0].witness.as_str()), (5, "w1.example"));
    for (text, expected) in [(note, "WITNESS_UNKNOWN"), ("nonsense".to_owned(), "NOTE_INVALID")] {
        let request = api::AddCosignatureRequest { note: text, request_id: String::new() };
        assert_eq!(reason(&auditor(&suite).add_cosignature(request).await.expect_err(expected)), expected);
    }
    assert_sound(&suite).await;
}

async fn tiles_are_served_over_http(suite: Suite) {
    append(&suite, 0..260).await;
    let token = suite.token("dpo", ActorKind::Human, &["auditor"], &[]);
    let url = suite.urls()["audit"].clone();
    let checkpoint = checkpoint(&suite).await;
    let name = checkpoint.origin.rsplit('/').next().expect("an origin names the tenant").to_owned();
    let (status, body) = http_request(&url, &format!("/tlog/{name}/checkpoint"), Some(&token)).await;
    assert_eq!((status, String::from_utf8_lossy(&body).into_owned()), (200, checkpoint.note));
    let (status, tile) = http_request(&url, &format!("/tlog/{name}/tile/0/000"), Some(&token)).await;
    assert_eq!((status, tile.len()), (200, 8192));
    let (status, bundle) = http_request(&url, &format!("/tlog/{name}/tile/entries/001.p/4"), Some(&token)).await;
    assert_eq!(status, 200);
    let length = usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
    let (_, partial) = http_request(&url, &format!("/tlog/{name}/tile/0/001.p/4"), Some(&token)).await;
    assert_eq!(leaf_hash(&bundle[2..2 + length]).0, partial[..32]);
    // Entries that are fetched are on record, once a minute; hashes say nothing.
    http_request(&url, &format!("/tlog/{name}/tile/entries/001.p/4"), Some(&token)).await;
    let fetched = suite.entries("action = \"audit.entries.export\" AND actor = \"dpo\"").await;
    let event = fetched[0].event.as_ref().expect("an event");
    assert!(fetched.len() <= 2, "{fetched:#?}");
    assert_eq!((event.resource.as_str(), event.outcome()), ("tile/entries/001.p/4", api::Outcome::Success));
    let (_, above) = http_request(&url, &format!("/tlog/{name}/tile/1/000.p/1"), Some(&token)).await;
    let leaves = Hash::split(&tile).expect("a tile of hashes");
    assert_eq!(remit_tlog::tile::root(&leaves).expect("a full tile").0, above[..]);
    for (path, token, expected) in [
        (format!("/tlog/{name}/tile/0/002"), Some(token.as_str()), 404),
        (format!("/tlog/{name}/tile/0/1"), Some(token.as_str()), 400),
        ("/tlog/somebody-else/checkpoint".to_owned(), Some(token.as_str()), 404),
        (format!("/tlog/{name}/checkpoint"), None, 401),
    ] {
        assert_eq!(http_request(&url, &path, token).await.0, expected, "{path}");
    }
}

/// One GET over a connection of its own: status and body.
pub(super) async fn http_request(url: &str, path: &str, token: Option<&str>) -> (u16, Vec<u8>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the suite listens");
    let auth = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{auth}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request can be sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer comes");
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
    // What is there never changes and may be kept; where the log ends, and what is not there yet, may not.
    assert_eq!(
        head.contains("max-age=31536000, immutable"),
        status == 200 && path.contains("/tile/"),
        "{path}: {head}"
    );
    (status, answer[end + 4..].to_vec())
}

async fn another_tenant_sees_nothing(suite: Suite) {
    append(&suite, 0..3).await;
    let other = suite.tenant("audit-other");
    let get = api::GetEntryRequest { name: "entries/0".into(), ..Default::default() };
    let status = auditor(&other).get_entry(get).await.expect_err("not theirs");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "ENTRY_NOT_FOUND"));
    assert_eq!(checkpoint(&other).await.size, 0);
    assert!(
        auditor(&other)
            .search(api::SearchRequest::default())
            .await
            .expect("an empty log")
            .into_inner()
            .entries
            .is_empty()
    );
    // The same event id is free in another tenant.
    assert_eq!(append(&other, 0..1).await[0].index, 0);
    assert_eq!(checkpoint(&suite).await.size, 3);
    assert_ne!(checkpoint(&suite).await.origin, checkpoint(&other).await.origin);
}
