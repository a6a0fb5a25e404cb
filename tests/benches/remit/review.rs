//! The first review over a large log: how long the caller waits, and what collecting its evidence costs.

use super::Settings;
use super::append::fill;
use super::memory;
use super::suite::{Bench, Engine};
use super::table::{Table, count};
use remit_api::council::v1::review_service_client::ReviewServiceClient;
use remit_api::council::v1::{GetReviewRequest, OpenReviewRequest, ReviewState};
use remit_core::{Clock as _, SystemClock};
use std::time::{Duration, Instant};

pub async fn run_group(engine: Engine, settings: &Settings) {
    // A log of any size is verified whole, and nothing counts as away because it takes longer.
    let more = "max_streams = 1000\n[limits]\nrate_per_tenant = 0\nrate_per_subject = 0\n[council]\nverify_whole_log_up_to = 1000000000\nsource_patience = \"10m\"\n";
    let bench = Bench::start_with(engine, more).await;
    fill(&bench, settings.entries).await;
    let table = Table::new(
        &format!("First review, {}, {} entries", engine.name(), count(settings.entries as f64)),
        "The review of last month, opened once everything is in the log. CPU is that of this process, client and server. \
         Target: the caller is answered in 100 ms, and 1,000,000 entries take at most 10 s of CPU and no more memory than \
         1,000 do.",
        &["", "answered ms", "collected s", "CPU s", "CPU µs/entry", "MiB before", "MiB peak"],
        8,
    );
    let mut council = ReviewServiceClient::new(bench.service("council").await);
    let month = SystemClock.now().to_jiff().to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month();
    let period = month.yesterday().unwrap().strftime("%Y-%m").to_string();
    let before = memory::resident();
    let exact = memory::reset_peak();
    let (start, cpu) = (Instant::now(), memory::cpu());
    let request = OpenReviewRequest { period, ..Default::default() };
    let mut review = council.open_review(request).await.unwrap().into_inner();
    let answered = start.elapsed();
    let mut peak = before;
    while review.state() == ReviewState::Collecting {
        tokio::time::sleep(Duration::from_millis(200)).await;
        peak = peak.max(memory::resident());
        review = council.get_review(GetReviewRequest { name: review.name }).await.unwrap().into_inner();
    }
    let (took, cpu) = (start.elapsed().as_secs_f64(), memory::cpu() - cpu);
    table.row(vec![
        "review".into(),
        format!("{:.1}", answered.as_secs_f64() * 1e3),
        format!("{took:.1}"),
        format!("{cpu:.1}"),
        format!("{:.1}", cpu * 1e6 / settings.entries as f64),
        count(before),
        count(if exact { memory::peak() } else { peak }),
    ]);
    bench.stop().await;
}
