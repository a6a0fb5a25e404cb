//! What a search finds, held against a look at every entry, and how many pages it takes where a page is bounded.

use super::Fixture;
use super::entries::{self, Facts};
use remit_api::audit::v1 as api;
use remit_core::Result;
use remit_store::query;
use remit_store::testing::each_engine;
use std::ops::Range;

/// All that a search finds, page by page, and how many pages it took.
async fn found(fixture: &Fixture, filter: &str, order: api::SearchOrder, page_size: i32) -> Result<(Vec<u64>, usize)> {
    let (mut found, mut pages, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let request = api::SearchRequest {
            filter: filter.into(),
            order: order.into(),
            page_size,
            page_token,
            ..Default::default()
        };
        let page = fixture.log.search(&fixture.cx("audit.entries.search"), request).await?;
        assert!(page.entries.len() <= page_size as usize, "{filter}");
        found.extend(page.entries.iter().map(|entry| entry.index as u64));
        (pages, page_token) = (pages + 1, page.next_page_token);
        if page_token.is_empty() {
            return Ok((found, pages));
        }
    }
}

/// Compares what random filters find among the entries of a part of the log, which `left` has, with a look at each of them.
async fn compare(fixture: &Fixture, left: &[(u64, Facts)], seeds: Range<u64>, part: Range<u64>) -> Result<()> {
    for seed in seeds {
        let (text, passes) = entries::filter(&mut entries::Dice(seed), 3, part.end);
        let text = format!("index >= {} AND index < {} AND {text}", part.start, part.end);
        let inside = left.iter().filter(|(index, _)| part.contains(index));
        let mut expected: Vec<u64> = inside.filter(|(_, facts)| passes(facts)).map(|(index, _)| *index).collect();
        let size = [3, 50, 400][seed as usize % 3];
        let oldest = found(fixture, &text, api::SearchOrder::OldestFirst, size).await?.0;
        assert_eq!(oldest, expected, "{text}, oldest first");
        expected.reverse();
        let newest = found(fixture, &text, api::SearchOrder::NewestFirst, size).await?.0;
        assert_eq!(newest, expected, "{text}, newest first");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_a_look_at_every_entry_finds() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        let other = &fixture.replica(&database).await?;
        let mut dice = entries::Dice(1);
        let facts: Vec<Facts> = (0..16_900).map(|n| Facts::roll(&mut dice, n)).collect();
        let events = |facts: &[Facts]| facts.iter().map(Facts::event).collect::<Vec<_>>();
        // Steps that end within tiles, at their ends and beyond, of two replicas in turn, some of them sent again.
        let (begin, rest) = facts.split_at(1_100);
        for (at, step) in begin.chunks(173).enumerate() {
            let replica = [fixture, other][at % 2];
            replica.append(events(step)).await?;
            assert_eq!(fixture.append(events(&step[..5])).await?[0], at as u64 * 173);
        }
        let all: Vec<(u64, Facts)> = (0..).zip(facts.iter().cloned()).collect();
        compare(fixture, &all, 0..120, 0..1_100).await?;
        assert_eq!(fixture.findings().await?, []);

        // Where postings of tiles are put together, and after that.
        for (at, step) in rest.chunks(900).enumerate() {
            [fixture, other][at / 2 % 2].append(events(step)).await?;
        }
        compare(other, &all, 200..230, 16_200..16_900).await?;
        compare(other, &all, 230..250, 7_000..7_400).await?;
        assert_eq!(fixture.findings().await?, []);

        // What a hold keeps under a tile that is pruned otherwise is still found, and nothing else.
        fixture.tick(400 * 86_400);
        let keep = Some(prost_types::Duration { seconds: 200 * 86_400, nanos: 0 });
        let policy = Some(api::RetentionPolicy { keep, ..Default::default() });
        let update = api::UpdateRetentionPolicyRequest { retention_policy: policy, ..Default::default() };
        fixture.log.update_retention_policy(&fixture.cx("audit.retention.update"), update).await?;
        let hold = api::LegalHold { actor: "eve".into(), reason: "matter 1".into(), ..Default::default() };
        let hold =
            api::CreateLegalHoldRequest { legal_hold_id: "h1".into(), legal_hold: Some(hold), ..Default::default() };
        fixture.log.create_legal_hold(&fixture.cx("audit.legalHolds.create"), hold).await?;
        fixture.log.prune_entries(&fixture.cx("audit.entries.prune"), api::PruneEntriesRequest::default()).await?;
        // Two hundred days are 4,800 entries, and of these the full tiles go.
        let left: Vec<(u64, Facts)> =
            all.into_iter().filter(|(index, facts)| *index >= 4_608 || facts.actor == "eve").collect();
        compare(fixture, &left, 500..540, 4_300..4_900).await?;
        compare(other, &left, 540..560, 0..700).await?;

        // What no column can hold stops nobody.
        let nul = "a\0b".to_owned();
        let event =
            api::Event { reason: nul.clone(), model_version: nul.clone(), policy_version: nul, ..fixture.event("nul") };
        fixture.append(vec![event]).await?;
        assert_eq!(fixture.findings().await?, []);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_looks_at_a_bounded_part_of_the_log() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        let rare = |n: u64| n == 40;
        for first in (0..24_000).step_by(1_000) {
            let event = |n: u64| api::Event {
                resource: format!("routings/{n}"),
                details_json: if rare(n) { r#"{"to":"SUSPENDED"}"#.into() } else { String::new() },
                ..fixture.event(&format!("e{n}"))
            };
            fixture.append((first..first + 1_000).map(event).collect()).await?;
        }
        let newest = api::SearchOrder::NewestFirst;
        // One value leads there at once, also beside one that is everywhere; so does a page of what is frequent.
        for text in [
            "details.to = SUSPENDED",
            "details.to = SUSPENDED AND outcome = SUCCESS",
            "id = e40",
            "resource = \"routings/40\" AND action = \"registry.*\"",
            "details.to = \"SUS*\" AND reason = null AND resource = \"routings/40\"",
            "index = 40",
        ] {
            assert_eq!(found(fixture, text, newest, 50).await?, (vec![40], 1), "{text}");
        }
        let request = |filter: &str| api::SearchRequest { filter: filter.into(), page_size: 50, ..Default::default() };
        for text in ["", "resource = \"routings/*\"", "actor = ann", "NOT actor = bob", "outcome = SUCCESS"] {
            let page = fixture.log.search(&fixture.cx("audit.entries.search"), request(text)).await?;
            assert_eq!(page.entries.len(), 50, "{text}");
            assert_eq!(page.entries[0].index, 23_999, "{text}");
        }
        // Where nothing says which entries could pass, and few do, a page ends before the log does.
        assert_eq!(found(fixture, "details.to != null", newest, 50).await?, (vec![40], 2));
        assert_eq!(found(fixture, "actor = nobody", newest, 50).await?, (vec![], 1));

        // The same tiles, most of them in groups by now, after their entries were pruned but for what is held.
        fixture.tick(400 * 86_400);
        let keep = Some(prost_types::Duration { seconds: 200 * 86_400, nanos: 0 });
        let policy = Some(api::RetentionPolicy { keep, ..Default::default() });
        let update = api::UpdateRetentionPolicyRequest { retention_policy: policy, ..Default::default() };
        fixture.log.update_retention_policy(&fixture.cx("audit.retention.update"), update).await?;
        let hold =
            api::LegalHold { resource_prefix: "routings/4".into(), reason: "matter 1".into(), ..Default::default() };
        let hold =
            api::CreateLegalHoldRequest { legal_hold_id: "h1".into(), legal_hold: Some(hold), ..Default::default() };
        fixture.log.create_legal_hold(&fixture.cx("audit.legalHolds.create"), hold).await?;
        fixture.log.prune_entries(&fixture.cx("audit.entries.prune"), api::PruneEntriesRequest::default()).await?;
        for (text, expected) in [
            ("details.to = SUSPENDED", vec![40]),
            ("resource = \"routings/4711\" OR resource = \"routings/5711\"", vec![4_711]),
            ("resource = \"routings/40*\" AND index < 500", (400..410).rev().chain([40]).collect()),
        ] {
            assert_eq!(found(fixture, text, newest, 50).await?.0, expected, "{text}");
        }
        assert_eq!(fixture.findings().await?, []);
        let mut tx = fixture.db.write().await?;
        let change = "update postings set body = $1 where tile = 0 and bucket = (select max(bucket) from postings where tile = 0)";
        query(change).bind(vec![7u8; 32]).execute(&mut tx).await?;
        tx.commit().await?;
        assert_eq!(fixture.findings().await?, [(api::FindingKind::Column, "postings/0".to_owned())]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_clock_of_the_log_is_searched_whatever_senders_say() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        let said = fixture.event("any").recorded_at;
        for day in 0..3u64 {
            let numbers = day * 200..day * 200 + 200;
            let event = |n: u64| api::Event { recorded_at: said, occurred_at: said, ..fixture.event(&format!("e{n}")) };
            fixture.append(numbers.map(event).collect()).await?;
            fixture.tick(86_400);
        }
        let oldest = api::SearchOrder::OldestFirst;
        for (filter, expected) in [
            ("integrated_at = 2026-01-02", 200..400),
            ("integrated_at >= 2026-01-02 AND integrated_at < \"2026-01-03T00:00:00Z\"", 200..400),
            ("integrated_at > 2026-01-02 AND actor = ann", 400..600),
            ("integrated_at > 2026-01-02 AND recorded_at > 2026-01-01", 0..0),
            ("integrated_at < 2026-01-01 OR recorded_at = 2026-01-01", 0..600),
        ] {
            let expected: Vec<u64> = expected.collect();
            assert_eq!(found(fixture, filter, oldest, 700).await?.0, expected, "{filter}");
        }
        assert_eq!(fixture.findings().await?, []);
        Ok(())
    })
    .await
}
