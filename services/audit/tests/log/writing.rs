use super::Fixture;
use remit_api::audit::v1 as api;
use remit_core::{Result, Tenant};
use remit_store::testing::each_engine;
use remit_tlog::client::{LogVerifier, Trust};
use remit_tlog::{Hash, leaf_hash};
use std::collections::HashSet;

fn hashes(bytes: &[Vec<u8>]) -> Vec<Hash> {
    bytes.iter().map(|hash| Hash::from_slice(hash).unwrap()).collect()
}

#[tokio::test]
async fn entries_get_gap_free_indexes_and_every_proof_holds() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        let trust = Trust::new("remit.example/acme", fixture.log_key(), vec![], 0).unwrap();
        let mut client = LogVerifier::new(trust.clone(), None).unwrap();
        let mut size = 0;
        // Sizes around the borders of tiles, at which tiles and levels fill.
        for next in [1, 2, 3, 255, 256, 257, 300, 511, 512, 513, 600] {
            fixture.fill(size, next).await?;
            let checkpoint = fixture.checkpoint(0).await?;
            let proof = match size {
                0 => Vec::new(),
                old => hashes(&fixture.consistency(old as i64, 0).await?.hashes),
            };
            client.update(&checkpoint.note, &proof).unwrap();
            size = next;
            assert_eq!(client.seen().unwrap().size, size);
        }
        for index in (0..600).step_by(37).chain([254, 255, 256, 511, 512, 599]) {
            let entry = fixture.get(&format!("entries/{index}"), api::EntryView::Full).await?;
            let leaf = leaf_hash(&entry.leaf_data);
            assert_eq!(entry.leaf_hash, leaf.0);
            assert_eq!(entry.event.unwrap().id, format!("e{index}"));
            for at in [index + 1, 600] {
                let proof = fixture.inclusion(&entry.name, at).await?;
                assert_eq!(trust.check_proof_file(leaf, &proof.tlog_proof).unwrap().size, at as u64);
            }
            let proof = fixture.inclusion(&entry.name, 0).await?;
            client.check_inclusion(index as u64, leaf, &hashes(&proof.hashes)).unwrap();
        }
        assert_eq!(fixture.findings().await?, []);
        let stranger = fixture.cx_of(&Tenant::new("other")?, "audit.entries.get");
        let request = api::GetEntryRequest { name: "entries/0".into(), ..Default::default() };
        assert_eq!(fixture.log.get_entry(&stranger, request).await.unwrap_err().reason(), "ENTRY_NOT_FOUND");
        assert_eq!(fixture.log.get_checkpoint(&stranger, api::GetCheckpointRequest::default()).await?.size, 0);
        for wrong in ["entries/600", "entries/9223372036854775807"] {
            let error = fixture.inclusion(wrong, 0).await.unwrap_err();
            assert_eq!(error.reason(), "ENTRY_NOT_FOUND", "{wrong}");
        }
        for (index, at) in [("entries/5", 5), ("entries/5", 601), ("entries/5", -1)] {
            assert_eq!(fixture.inclusion(index, at).await.unwrap_err().reason(), "SIZE_INVALID");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_event_is_recorded_once_and_another_body_is_refused() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        let event = |id: &str| fixture.event(id);
        assert_eq!(fixture.append(vec![event("a"), event("b"), event("a")]).await?, [0, 1, 0]);
        let receipt =
            fixture.log.record_events(&fixture.tenant, vec![event("c"), event("b")], |_| String::new()).await?;
        let seen: Vec<(u64, bool)> = receipt.places.iter().map(|place| (place.index, place.duplicate)).collect();
        assert_eq!(seen, [(2, false), (1, true)]);

        let changed = api::Event { reason: "another".into(), ..event("a") };
        let first = fixture.get("entries/0", api::EntryView::Full).await?.leaf_hash;
        for batch in
            [vec![event("d"), changed.clone()], vec![event("d"), api::Event { reason: "x".into(), ..event("d") }]]
        {
            let error = fixture.append(batch).await.unwrap_err();
            assert_eq!(error.reason(), "EVENT_ID_REUSED");
            assert_eq!(error.message().matches("sha256:").count(), 2);
        }
        let error = fixture.append(vec![changed]).await.unwrap_err();
        assert!(error.message().contains(&hex::encode(first)), "{error}");
        // A refused batch leaves no trace.
        assert_eq!(fixture.append(vec![event("d")]).await?, [3]);

        let large = api::Event { details_json: format!("\"{}\"", "x".repeat(65_000)), ..event("large") };
        let fits = api::Event { details_json: format!("\"{}\"", "x".repeat(65_000)), ..event("fits") };
        assert_eq!(fixture.append(vec![fits]).await?, [4]);
        let larger = api::Event { reason: "y".repeat(1_000), ..large };
        assert_eq!(fixture.append(vec![larger]).await.unwrap_err().reason(), "ENTRY_TOO_LARGE");
        // What a column cannot hold must not fail the step, which others share.
        let nul = api::Event { resource: "models/\0".into(), ..event("nul") };
        let error = fixture.append(vec![nul]).await.unwrap_err();
        assert_eq!((error.reason(), error.violations()[0].field.as_str()), ("TEXT_HAS_NUL", "events[0].resource"));
        assert_eq!(fixture.findings().await?, []);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_no_service_of_the_suite_sends_keeps_its_first_time() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        let first = fixture.event("any").recorded_at.unwrap();
        let at = |id: &str, service: &str, later: i64| api::Event {
            recorded_at: Some(prost_types::Timestamp { seconds: first.seconds + later, ..first }),
            service: service.into(),
            ..fixture.event(id)
        };
        // The log gives it the time at which each attempt arrives: together, and again.
        assert_eq!(fixture.append(vec![at("a", "crm", 0), at("a", "crm", 9)]).await?, [0, 0]);
        assert_eq!(fixture.append(vec![at("a", "crm", 99)]).await?, [0]);
        let kept = fixture.get("entries/0", api::EntryView::Full).await?.event.unwrap();
        assert_eq!(kept.recorded_at, Some(first));
        for other in [
            vec![api::Event { reason: "another".into(), ..at("a", "crm", 0) }],
            vec![at("b", "registry", 0), at("b", "registry", 9)],
        ] {
            assert_eq!(fixture.append(other).await.unwrap_err().reason(), "EVENT_ID_REUSED");
        }
        assert_eq!(fixture.findings().await?, []);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn concurrent_callers_of_two_replicas_share_one_log() -> Result<()> {
    each_engine(|database| async move {
        let one = Fixture::new(&database).await?;
        let two = one.replica(&database).await?;
        let mut calls = Vec::new();
        for n in 0..60u64 {
            let fixture = if n % 2 == 0 { &one } else { &two };
            // Every third call repeats events of another, perhaps at the same time and elsewhere.
            let base = if n % 3 == 0 { n } else { n + 1_000 };
            let events = (0..7).map(|k| fixture.event(&format!("e{}", base / 6 * 100 + k))).collect();
            calls.push(fixture.append(events));
        }
        let mut indexes = HashSet::new();
        for places in futures::future::join_all(calls).await {
            indexes.extend(places?);
        }
        let size = one.checkpoint(0).await?.size as u64;
        assert_eq!(indexes, (0..size).collect::<HashSet<_>>());
        assert_eq!(one.findings().await?, []);
        assert_eq!(one.checkpoint(0).await?.note, two.checkpoint(0).await?.note);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn entries_are_found_by_any_mix_of_fields_in_pages() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        let mut events = Vec::new();
        for n in 0..50u64 {
            let mut event = fixture.event(&format!("e{n}"));
            event.outcome = if n % 10 == 3 { api::Outcome::Denied } else { api::Outcome::Success }.into();
            event.action =
                if n % 2 == 0 { "handoff.handoffs.accept".into() } else { "registry.versions.suspend".into() };
            event.request_id = format!("r{}", n / 5);
            event.resource = format!("leads/lead-{:03}", n);
            fixture.tick(60);
            events.push(event);
        }
        fixture.append(events).await?;
        let found = |filter: &str, order: api::SearchOrder, size: i32| {
            let (log, cx, filter) = (fixture.log.clone(), fixture.cx("audit.entries.search"), filter.to_owned());
            async move {
                let (mut all, mut page_token) = (Vec::new(), String::new());
                loop {
                    let order = order.into();
                    let request = api::SearchRequest {
                        filter: filter.clone(),
                        order,
                        page_size: size,
                        page_token,
                        ..Default::default()
                    };
                    let page = log.search(&cx, request).await?;
                    assert!(page.entries.len() <= size as usize);
                    all.extend(page.entries.into_iter().map(|entry| entry.index));
                    if page.next_page_token.is_empty() {
                        return Result::Ok(all);
                    }
                    page_token = page.next_page_token;
                }
            }
        };
        let (newest, oldest) = (api::SearchOrder::Unspecified, api::SearchOrder::OldestFirst);
        assert_eq!(found("", oldest, 7).await?, (0..50).collect::<Vec<_>>());
        assert_eq!(found("outcome = DENIED", newest, 2).await?, [43, 33, 23, 13, 3]);
        assert_eq!(found("action = \"handoff.*\" AND index < 10", oldest, 3).await?, [0, 2, 4, 6, 8]);
        assert_eq!(found("request_id = r3", oldest, 50).await?, [15, 16, 17, 18, 19]);
        assert_eq!(
            found("resource = \"leads/lead-01*\" AND actor = ann AND actor_kind = human", oldest, 50).await?.len(),
            10
        );
        assert_eq!(
            found("recorded_at >= \"2026-01-01T00:10:00Z\" AND occurred_at < \"2026-01-01T00:12:00Z\"", oldest, 50)
                .await?,
            [10, 11]
        );
        assert!(found("actor = nobody", oldest, 50).await?.is_empty());
        let bad: remit_core::Error = found("colour = red", oldest, 50).await.unwrap_err();
        assert_eq!(bad.reason(), "FILTER_INVALID");

        let summary = fixture
            .log
            .summarize_entries(&fixture.cx("audit.entries.summarize"), api::SummarizeEntriesRequest::default())
            .await?;
        assert_eq!(
            (summary.total_count, summary.actor_count, summary.first_index, summary.last_index, summary.size),
            (50, 1, 0, 49, 50)
        );
        let counts: Vec<i64> = summary.counts.iter().map(|count| count.count).collect();
        assert_eq!(counts, [25, 20, 5]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tail_goes_on_from_where_it_was_and_sees_what_others_append() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        let replica = fixture.replica(&database).await?;
        fixture.fill(0, 10).await?;
        let mut tail =
            fixture.log.begin_tail(&fixture.tenant, api::TailRequest { start_index: 4, ..Default::default() }).await?;
        let message = tail.next().await?.unwrap();
        let indexes = |message: &api::TailResponse| message.entries.iter().map(|entry| entry.index).collect::<Vec<_>>();
        assert_eq!((indexes(&message), message.next_index, message.size), ((4..10).collect(), 10, 10));
        let (_, message) = tokio::join!(fixture.fill(10, 11), tail.next());
        assert_eq!(indexes(&message?.unwrap()), [10]);
        let (_, message) = tokio::join!(replica.fill(11, 12), tail.next());
        assert_eq!(indexes(&message?.unwrap()), [11]);

        let request =
            api::TailRequest { action_prefixes: vec!["kpi.".into()], snapshot_only: true, ..Default::default() };
        let mut filtered = fixture.log.begin_tail(&fixture.tenant, request).await?;
        let message = filtered.next().await?.unwrap();
        assert_eq!((indexes(&message), message.next_index), (vec![], 12));
        assert!(filtered.next().await?.is_none());
        let request = api::TailRequest { start_index: 12, snapshot_only: true, ..Default::default() };
        let mut empty = fixture.log.begin_tail(&fixture.tenant, request).await?;
        assert_eq!(empty.next().await?.unwrap().next_index, 12);
        assert!(empty.next().await?.is_none());
        let beyond =
            fixture.log.begin_tail(&fixture.tenant, api::TailRequest { start_index: 13, ..Default::default() }).await;
        assert_eq!(beyond.err().unwrap().reason(), "INDEX_INVALID");
        Ok(())
    })
    .await
}
