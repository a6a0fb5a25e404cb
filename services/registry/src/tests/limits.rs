//! How an approval bounds the outputs of a day.

use super::*;
use remit_store::timers::fire_due;
use std::time::Duration;

/// 2009-08-11T14:13:20Z: a quarter past two in the night of the 12th in Auckland.
const START: Timestamp = Timestamp(1_250_000_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const NAME: &str = "models/m/versions/1";

/// A version that was evaluated.
async fn candidate(registry: &Service) -> Result<()> {
    model(registry, "m").await?;
    version(registry, "m", "1", &[]).await?;
    evaluated(registry, NAME).await
}

async fn approve_with(registry: &Service, most: i64, zone: &str) -> Result<ModelVersion> {
    let terms = ApprovalTerms { max_outputs_per_day: most, time_zone: zone.into(), ..Default::default() };
    let request = TransitionModelVersionRequest { terms: Some(terms), ..to(NAME, ModelVersionState::Approved) };
    decide(registry, "promote_model", request).await
}

/// Records outputs under these numbers, one batch, and returns what the version shows.
async fn make(registry: &Service, numbers: std::ops::Range<usize>) -> Result<Option<(DailyLimit, i64)>> {
    let entry = |n: usize| {
        // What a caller says of the time moves nothing to another day.
        let occurred_time = Some(time::stamp(Timestamp(START.0 - 86_400_000_000 * 40)));
        let output = Output { occurred_time, ..output(n, Stakes::Low) };
        OutputEntry { output_id: format!("o{n:05}"), output: Some(output) }
    };
    let request = RecordOutputsRequest { entries: numbers.map(entry).collect() };
    let results = registry.record_outputs(&human(), request).await?.results;
    assert!(results.iter().all(|result| result.status() != RecordStatus::Refused), "{results:?}");
    shown(registry).await
}

async fn shown(registry: &Service) -> Result<Option<(DailyLimit, i64)>> {
    let version = registry.get_model_version(&human(), GetModelVersionRequest { name: NAME.into() }).await?;
    Ok(version.daily_outputs.map(|shown| (shown.limit(), shown.outputs)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_has_the_outputs_that_the_approval_allows() -> Result<()> {
    use DailyLimit::{Exceeded, Near, Reached};
    each_engine(|db| async move {
        let clock = Arc::new(ManualClock::new(START));
        let registry = registry_at(&db, clock.clone()).await?;
        candidate(&registry).await?;
        let unknown = approve_with(&registry, 5, "Mars/Olympus").await.unwrap_err();
        let field = unknown.violations()[0].field.as_str();
        assert_eq!((unknown.reason(), field), ("TIME_ZONE_UNKNOWN", "terms.time_zone"));
        assert_eq!(make(&registry, 0..3).await?, None);

        let approved = approve_with(&registry, 5, "Pacific/Auckland").await?;
        assert_eq!(approved.daily_outputs, None, "3 of 5 were made before");
        assert_eq!(make(&registry, 3..4).await?, Some((Near, 4)));
        assert_eq!(make(&registry, 0..4).await?, Some((Near, 4)), "sent again");
        assert_eq!(make(&registry, 4..6).await?, Some((Reached, 6)));
        assert_eq!(make(&registry, 6..9).await?, Some((Reached, 6)), "what a version shows moves by steps");
        assert_eq!(make(&registry, 9..40).await?, Some((Exceeded, 40)));
        assert_eq!(make(&registry, 40..41).await?, Some((Exceeded, 40)), "and nothing goes unrecorded");

        // What is allowed anew counts the same day.
        let more = approve_with(&registry, 100, "Pacific/Auckland").await?;
        assert_eq!(more.daily_outputs, None);
        let fewer = approve_with(&registry, 41, "Pacific/Auckland").await?.daily_outputs.unwrap();
        assert_eq!((fewer.limit(), fewer.outputs, fewer.max_outputs), (Reached, 41, 41));
        let end = time::of(fewer.end_time.as_ref().unwrap());
        assert_eq!(end.to_string(), "2009-08-12T12:00:00Z");

        clock.advance_to(end.plus(HOUR));
        let report = fire_due(&registry.db, &registry, &human().tenant, clock.now()).await?;
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        assert_eq!(shown(&registry).await?, None);
        assert_eq!(make(&registry, 41..73).await?, None, "32 of 41");
        assert_eq!(make(&registry, 73..74).await?, Some((Near, 33)));
        let stopped = registry.transition_model_version(&human(), to(NAME, ModelVersionState::Suspended)).await?;
        assert_eq!(stopped.daily_outputs, None);
        assert_eq!(make(&registry, 74..200).await?, None, "what does not run has nothing to show");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_nobody_ended_is_over_with_the_first_output_of_the_next() -> Result<()> {
    each_engine(|db| async move {
        let clock = Arc::new(ManualClock::new(START));
        let registry = registry_at(&db, clock.clone()).await?;
        candidate(&registry).await?;
        approve_with(&registry, 2, "").await?;
        assert_eq!(make(&registry, 0..9).await?, Some((DailyLimit::Exceeded, 9)));
        clock.advance_to(START.plus(HOUR * 24));
        assert_eq!(make(&registry, 9..11).await?, Some((DailyLimit::Reached, 2)));
        // The late timer of the day before leaves this one alone.
        let report = fire_due(&registry.db, &registry, &human().tenant, clock.now()).await?;
        assert_eq!((report.fired, report.failed.len()), (1, 0));
        assert_eq!(shown(&registry).await?, Some((DailyLimit::Reached, 2)));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_records_at_once_is_counted_once() -> Result<()> {
    const AT_ONCE: usize = 8;
    each_engine(|db| async move {
        let registry = registry(&db).await?;
        candidate(&registry).await?;
        approve_with(&registry, 40, "").await?;
        let recording = (0..AT_ONCE).map(|n| {
            let registry = registry.clone();
            tokio::spawn(async move { make(&registry, n * 5..n * 5 + 5).await })
        });
        for recorded in recording.collect::<Vec<_>>() {
            recorded.await.map_err(|_| Error::internal("a caller has panicked"))??;
        }
        assert_eq!(shown(&registry).await?, Some((DailyLimit::Reached, 40)));
        Ok(())
    })
    .await
}
