use super::Fixture;
use remit_api::audit::v1 as api;
use remit_api::types::TimeRange;
use remit_audit::Service;
use remit_audit::export_verify::{Beforehand, verify_export};
use remit_core::{Clock as _, Kind, Result};
use remit_store::testing::each_engine;
use remit_store::{query, timers};
use std::time::Duration;

const DAY: u64 = 86_400;

fn keep(days: i64) -> api::UpdateRetentionPolicyRequest {
    let keep = Some(prost_types::Duration { seconds: days * 86_400, nanos: 0 });
    let retention_policy = Some(api::RetentionPolicy { keep, ..Default::default() });
    api::UpdateRetentionPolicyRequest { retention_policy, ..Default::default() }
}

fn hold(id: &str, hold: api::LegalHold) -> api::CreateLegalHoldRequest {
    let legal_hold = Some(api::LegalHold { reason: "matter 1".into(), ..hold });
    api::CreateLegalHoldRequest { legal_hold_id: id.into(), legal_hold, request_id: String::new() }
}

fn release(id: &str) -> api::ReleaseLegalHoldRequest {
    api::ReleaseLegalHoldRequest { name: format!("legalHolds/{id}"), reason: "settled".into(), ..Default::default() }
}

#[tokio::test]
async fn retention_has_a_floor_and_etags() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        let call = || fixture.cx("audit.retention.update");
        let low = fixture.log.update_retention_policy(&call(), keep(183)).await.unwrap_err();
        assert_eq!(
            (low.reason(), low.violations()[0].field.as_str()),
            ("RETENTION_BELOW_FLOOR", "retention_policy.keep")
        );
        assert_eq!(fixture.retention().await?.keep, None);
        let first = fixture.log.update_retention_policy(&call(), keep(184)).await?;
        let mut stale = keep(400);
        stale.retention_policy.as_mut().unwrap().etag = "r1".into();
        let error = fixture.log.update_retention_policy(&call(), stale).await.unwrap_err();
        assert_eq!((error.kind(), error.reason()), (Kind::Conflict, "ETAG_MISMATCH"));
        assert_eq!(fixture.retention().await?, first);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn pruning_removes_content_and_keeps_every_proof() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        let tenant = &fixture.tenant;
        fixture.fill(0, 300).await?;
        fixture.append(vec![fixture.personal("p", "leads/1", "x@example.com")]).await?;
        fixture.fill(301, 560).await?;
        let prune = |validate_only| async move {
            let request = api::PruneEntriesRequest { validate_only, ..Default::default() };
            fixture.log.prune_entries(&fixture.cx("audit.entries.prune"), request).await
        };
        fixture.tick(400 * DAY);
        assert_eq!(prune(true).await?, api::PruneEntriesResponse::default(), "nothing is pruned without a policy");
        fixture.log.update_retention_policy(&fixture.cx("audit.retention.update"), keep(200)).await?;
        fixture.fill(600, 610).await?;
        let held = api::LegalHold { resource_prefix: "models/lead-scorer/versions/e10".into(), ..Default::default() };
        fixture.log.create_legal_hold(&fixture.cx("audit.legalHolds.create"), hold("h1", held)).await?;
        let before = fixture.checkpoint(0).await?;

        let asked = prune(true).await?;
        // Two full tiles are past their retention; e10 and e100 to e109 are held.
        assert_eq!((asked.pruned_count, asked.held_count, asked.end_index, asked.more), (512 - 11, 11, 512, false));
        assert_eq!(fixture.checkpoint(0).await?.note, before.note);
        assert_eq!(prune(false).await?, asked);
        assert_eq!(prune(false).await?.pruned_count, 0);
        assert_eq!(fixture.findings().await?, []);
        let report = fixture.log.fsck(tenant, "", 10).await?;
        assert_eq!(report.pruned, 501);

        let gone = fixture.get("entries/300", api::EntryView::Full).await?;
        assert!(gone.pruned && gone.event.is_none() && gone.leaf_hash.len() == 32);
        assert_eq!(fixture.reveal("entries/300").await.unwrap_err().reason(), "PERSONAL_DATA_ABSENT");
        assert!(!fixture.get("entries/105", api::EntryView::Full).await?.pruned);
        for index in [0, 105, 300, 511, 512, 560] {
            let proof = fixture.inclusion(&format!("entries/{index}"), 0).await?;
            let trust = remit_tlog::client::Trust::new("remit.example/acme", fixture.log_key(), vec![], 0).unwrap();
            let leaf = remit_tlog::Hash::from_slice(&proof.leaf_hash).unwrap();
            trust.check_proof_file(leaf, &proof.tlog_proof).unwrap();
        }
        let export = fixture.export(api::ExportRequest::default()).await?;
        let beforehand = Beforehand { key: Some(fixture.log_key()), earlier: Some(before.note), ..Default::default() };
        let verified = verify_export(export.as_slice(), &beforehand).unwrap();
        assert_eq!((verified.pruned, verified.extends), (501, Some(before.size as u64)));
        let mut tail =
            fixture.log.begin_tail(tenant, api::TailRequest { snapshot_only: true, ..Default::default() }).await?;
        let first = tail.next().await?.unwrap();
        assert_eq!((first.entries.len(), first.entries[0].pruned), (500, true));

        fixture.log.release_legal_hold(&fixture.cx("audit.legalHolds.release"), release("h1")).await?;
        assert_eq!(prune(false).await?.pruned_count, 11);
        assert_eq!(fixture.findings().await?, []);
        Ok(())
    })
    .await
}

/// An entry that somebody else vouches for makes no deletion lawful, even where it says what a pruning would say.
#[tokio::test]
async fn a_pruning_that_the_log_did_not_record_itself_accounts_for_nothing() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        fixture.fill(0, 520).await?;
        let spans_digest = remit_core::digest::sha256(b"3-4\n");
        let (keep_days, end_index, pruned) = (Some(200), 256, 1);
        let details =
            remit_core::details::EntriesPruned { keep_days, end_index, pruned, spans_digest, ..Default::default() };
        let details_json = remit_core::details::Details::json(&details).to_string();
        let forged = |id: &str, service: &str| api::Event {
            action: "audit.entries.prune".into(),
            service: service.into(),
            details_json: details_json.clone(),
            ..fixture.event(id)
        };
        fixture.append(vec![forged("by-crm", "crm"), forged("by-audit", "audit")]).await?;
        fixture.tick(300 * DAY);
        fixture.append(vec![forged("in-time", "audit")]).await?;
        let mut tx = fixture.db.write().await?;
        query("delete from entries where idx = 3").execute(&mut tx).await?;
        query("insert into prunings values ('acme', 3, 4, 'by-crm', 1)").execute(&mut tx).await?;
        tx.commit().await?;
        let found = fixture.findings().await?;
        assert!(found.contains(&(api::FindingKind::Column, "postings/0".to_owned())), "{found:?}");
        // Whoever knows how takes away what led to it too.
        let mut tx = fixture.db.write().await?;
        remit_audit::store::postings::rewrite(&mut tx, &fixture.tenant, &[0].into()).await?;
        tx.commit().await?;
        assert_eq!(fixture.findings().await?, [(api::FindingKind::Pruning, "entries/3".to_owned())]);
        // Only the service that makes them vouches for them, and only once the retention has passed: this is what is left
        // of a real one.
        for (id, found) in [("by-audit", 1), ("in-time", 0)] {
            let mut tx = fixture.db.write().await?;
            query("update prunings set event_id = $1 where start_idx = 3").bind(id).execute(&mut tx).await?;
            tx.commit().await?;
            let findings = fixture.findings().await?;
            assert_eq!(findings.len(), found, "{id}: {findings:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn legal_holds_stop_erasure_until_they_are_released() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        fixture.append(vec![fixture.personal("a", "leads/1", "x@example.com")]).await?;
        fixture.tick(DAY);
        let create = |request| async move {
            fixture.log.create_legal_hold(&fixture.cx("audit.legalHolds.create"), request).await
        };
        let all = api::LegalHold {
            recorded: Some(TimeRange {
                end_time: Some(remit_api::wire::time::stamp(super::START.plus(std::time::Duration::from_secs(60)))),
                start_time: None,
            }),
            ..Default::default()
        };
        create(hold("span", all)).await?;
        create(hold("other", api::LegalHold { subject: "leads/2".into(), ..Default::default() })).await?;
        create(hold("person", api::LegalHold { subject: "leads/1".into(), ..Default::default() })).await?;
        assert_eq!(create(hold("span", api::LegalHold::default())).await.unwrap_err().reason(), "LEGAL_HOLD_EXISTS");

        let request = &api::EraseSubjectRequest { subject: "leads/1".into(), ..Default::default() };
        let erase =
            || async move { fixture.log.erase_subject(&fixture.cx("audit.subjects.erase"), request.clone()).await };
        let error = erase().await.unwrap_err();
        assert_eq!(error.reason(), "SUBJECT_ON_HOLD");
        assert!(error.message().contains("legalHolds/person, legalHolds/span"), "{error}");
        let lift = |id: &'static str| async move {
            fixture.log.release_legal_hold(&fixture.cx("audit.legalHolds.release"), release(id)).await
        };
        lift("person").await?;
        assert_eq!(lift("person").await.unwrap_err().reason(), "LEGAL_HOLD_RELEASED");
        assert_eq!(lift("nothing").await.unwrap_err().reason(), "LEGAL_HOLD_NOT_FOUND");
        assert_eq!(erase().await.unwrap_err().reason(), "SUBJECT_ON_HOLD");
        let released = lift("span").await?;
        assert_eq!((released.releaser.as_str(), released.release_reason.as_str()), ("dpo", "settled"));
        assert_eq!(erase().await?.erased_entry_count, 1);

        let list = |show_released, page_size, page_token| {
            let request = api::ListLegalHoldsRequest { show_released, page_size, page_token };
            async move { fixture.log.list_legal_holds(&fixture.cx("audit.legalHolds.list"), request).await }
        };
        let active = list(false, 0, String::new()).await?;
        assert_eq!(active.legal_holds.iter().map(|hold| hold.name.as_str()).collect::<Vec<_>>(), ["legalHolds/other"]);
        let first = list(true, 2, String::new()).await?;
        let second = list(true, 2, first.next_page_token).await?;
        assert_eq!((first.legal_holds.len(), second.legal_holds.len()), (2, 1));
        assert_eq!(fixture.hold("legalHolds/span").await?, released);
        // Each of the three holds, two releases and one erasure is one entry.
        assert_eq!(fixture.checkpoint(0).await?.size, 1 + 3 + 2 + 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_past_its_retention_goes_by_itself() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        let tenant = &fixture.tenant;
        let log = fixture.log.clone().prune_every(Some(Duration::from_secs(DAY)));
        let fire = |log: Service| async move {
            let report = timers::fire_due(&fixture.db, &log, tenant, fixture.clock.now()).await?;
            assert!(report.failed.is_empty(), "{:?}", report.failed);
            Ok::<_, remit_core::Error>(report.fired)
        };
        let set = |request| {
            let log = log.clone();
            async move { log.update_retention_policy(&fixture.cx("audit.retention.update"), request).await }
        };
        let pruned = || async move { Ok::<_, remit_core::Error>(fixture.log.fsck(tenant, "", 10).await?.pruned) };
        fixture.fill(0, 600).await?;
        fixture.tick(400 * DAY);
        assert_eq!(fire(log.clone()).await?, 0, "without a retention there is nothing to do");
        set(keep(200)).await?;
        let held = api::LegalHold { resource_prefix: "models/lead-scorer/versions/e10".into(), ..Default::default() };
        fixture.log.create_legal_hold(&fixture.cx("audit.legalHolds.create"), hold("h1", held)).await?;
        assert_eq!((fire(log.clone()).await?, pruned().await?), (0, 0), "the first run comes after the pause");
        fixture.tick(DAY);
        assert_eq!((fire(log.clone()).await?, pruned().await?), (1, 512 - 11));
        let size = fixture.checkpoint(0).await?.size;
        fixture.tick(DAY);
        assert_eq!((fire(log.clone()).await?, pruned().await?), (1, 512 - 11), "what is held stays");
        assert_eq!(fixture.checkpoint(0).await?.size, size, "a run that prunes nothing leaves no entry");
        fixture.log.release_legal_hold(&fixture.cx("audit.legalHolds.release"), release("h1")).await?;
        // A process that prunes only when asked keeps the timer for one that does.
        fixture.tick(DAY);
        assert_eq!((fire(fixture.log.clone()).await?, pruned().await?), (1, 512 - 11));
        fixture.tick(DAY);
        assert_eq!((fire(log.clone()).await?, pruned().await?), (1, 512));
        assert_eq!(fixture.findings().await?, []);
        set(api::UpdateRetentionPolicyRequest::default()).await?;
        fixture.tick(2 * DAY);
        assert_eq!(fire(log.clone()).await?, 0, "nothing is due once everything is kept");
        Ok(())
    })
    .await
}
