//! Reviews and the audit log: each review verifies what came since the last, and with
//! `council.seal_min_cosignatures` none is sealed before enough witnesses vouch for what it cites.

use super::council_meetings::{december, open_review, refreshed, reviews, sign};
use crate::support::{Suite, Topology, reason, witnesses};
use remit_api::audit::v1 as audit;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::council::v1::*;
use std::time::Duration;
use tonic::Status;

/// The newest checkpoint, cosigned by some of the witnesses.
async fn cosign(suite: &Suite, by: std::ops::Range<usize>) -> i64 {
    let mut client = AuditServiceClient::new(suite.human("dpo", &["admin"], &[]).to("audit"));
    let newest =
        client.get_checkpoint(audit::GetCheckpointRequest::default()).await.expect("a checkpoint").into_inner();
    let mut note = newest.note.clone();
    let text = newest.note.split("\n\n").next().map(|text| format!("{text}\n")).expect("a note has a text");
    for witness in &witnesses()[by] {
        note += &witness.sign(&text, 1_767_225_600).to_string();
    }
    let request = audit::AddCosignatureRequest { note, request_id: String::new() };
    client.add_cosignature(request).await.expect("known witnesses");
    newest.size
}

async fn seal(suite: &Suite, review: &Review) -> Result<Review, Status> {
    let request = SealReviewRequest {
        name: review.name.clone(),
        request_id: "seal-1".into(),
        acknowledgement: "what is open is read next month".into(),
    };
    reviews(suite, "lea").seal_review(request).await.map(tonic::Response::into_inner)
}

async fn two_of_three(topology: Topology) {
    let more = "[council]\nseal_min_cosignatures = 2\n";
    let Some(suite) = Suite::start_with(topology, "2026-01-05T09:00:00Z", more).await else {
        eprintln!("no PostgreSQL: not tested here");
        return;
    };
    // Witnesses who vouch only for what was there before count for nothing.
    let mut first = december(&suite).await;
    suite.settle().await;
    for round in 0..2 {
        for who in ["mia", "lea"] {
            sign(&suite, who, &first).await.expect("a signature");
        }
        if round == 0 {
            let refused = seal(&suite, &first).await.expect_err("no witness");
            assert_eq!(reason(&refused), "REVIEW_NOT_COSIGNED");
            suite.settle().await;
            cosign(&suite, 0..3).await;
            first = refreshed(&suite, &first).await;
        }
    }
    let refused = seal(&suite, &first).await.expect_err("they vouch for an older log");
    assert_eq!(reason(&refused), "REVIEW_NOT_COSIGNED");
    assert!(refused.message().contains("vouch only for"), "{}", refused.message());
    suite.settle().await;
    cosign(&suite, 2..3).await;
    assert_eq!(reason(&seal(&suite, &first).await.expect_err("one witness is not two")), "REVIEW_NOT_COSIGNED");
    suite.settle().await;
    let size = cosign(&suite, 0..2).await;
    let sealed = seal(&suite, &first).await.expect("two witnesses vouch for a later log that extends the cited one");
    let mark = sealed.seal.clone().expect("a seal").cosigned_checkpoint;
    assert!(
        mark.contains(&format!("\n{size}\n")) && mark.contains("w1.example") && mark.contains("w2.example"),
        "{mark}"
    );
    assert_eq!(seal(&suite, &first).await.expect("a repetition is answered"), sealed);
    // That a witness begins is an entry; what it cosigns later is not.
    suite.check_recorded(&[("/remit.audit.v1.AuditService/AddCosignature", "the first of a witness alone")]).await;
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_waits_for_two_of_three_witnesses_on_sqlite() {
    two_of_three(Topology::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_waits_for_two_of_three_witnesses_in_six_processes() {
    two_of_three(Topology::SixProcesses).await;
}

/// The value of a fact of the pack, wherever it stands.
fn fact<'a>(value: &'a serde_json::Value, label: &str) -> Option<&'a serde_json::Value> {
    match value {
        serde_json::Value::Object(members) if members.get("label").is_some_and(|text| text == label) => {
            members.get("value")
        }
        serde_json::Value::Object(members) => members.values().find_map(|value| fact(value, label)),
        serde_json::Value::Array(items) => items.iter().find_map(|value| fact(value, label)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_review_of_a_long_log_verifies_it_from_where_one_before_the_month_stopped() {
    // A log that is too long to be verified whole each month.
    let more = "[council]\nverify_whole_log_up_to = 1\n";
    let suite =
        Suite::start_with(Topology::Sqlite, "2026-01-05T09:00:00Z", more).await.expect("SQLite is always there");
    let pack = async |review: &Review| {
        let request = ExportReviewRequest { name: review.name.clone(), format: ExportFormat::Json.into() };
        let pack = reviews(&suite, "lea").export_review(request).await.expect("a pack").into_inner();
        serde_json::from_slice::<serde_json::Value>(&pack.content).expect("JSON")
    };
    let first = pack(&december(&suite).await).await;
    let verified = fact(&first, "Size").and_then(serde_json::Value::as_i64).expect("the size that it cites");
    // All that was recorded in the month is recomputed: from what was verified before it began.
    suite.advance(Duration::from_secs(59 * 86_400)).await;
    suite.settle().await;
    let second = pack(&open_review(&suite, "2026-02").await).await;
    assert!(verified > 0);
    assert_eq!(fact(&second, "Recomputed from entry"), Some(&verified.into()), "from the checkpoint that it cites");
    assert_eq!(fact(&second, "Result"), Some(&"nothing wrong was found".into()));
    suite.stop().await;
}
