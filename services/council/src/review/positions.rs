//! Waits until every service has handed over what it knows up to an instant, so that what is frozen is complete. A
//! service that does not answer, or takes too long, counts as away, and the pack says so.

use super::pack::SourceState;
use super::progress::Progress;
use super::sources::{Got, LARGEST, got};
use crate::ask::Ask;
use crate::time::{Month, at};
use remit_api::kpi::v1::kpi_service_client::KpiServiceClient;
use remit_api::kpi::v1::{SummarizeKpisRequest, SummarizeKpisResponse};
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_api::system::v1::{GetInfoRequest, Info};
use remit_core::Timestamp;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The services whose events the log and the figures are made of.
const SERVICES: [&str; 5] = ["scoring", "registry", "handoff", "kpi", "council"];
/// How often a service is asked.
const POLL: Duration = Duration::from_millis(100);
/// The longest pause between two questions for the KPIs, which cost the service more than the others.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Within how long a process writes down what it has acknowledged. What is on its way after that is newer than the
/// question.
const WRITTEN: Duration = Duration::from_secs(2);

/// Whether events from `until` or before are still on their way; `asked` is how long ago that was asked first.
fn is_behind(info: &Info, service: &str, until: Timestamp, asked: Duration) -> bool {
    match info.outbox_oldest.get(service) {
        Some(oldest) => at(&Some(*oldest)) <= until,
        None => waiting(info, service) > 0 && asked < WRITTEN,
    }
}

fn waiting(info: &Info, service: &str) -> i64 {
    info.outbox_depth.get(service).copied().unwrap_or(0)
}

/// Waits for the events of all services up to `until`, at most for `patience`.
pub(crate) async fn outboxes(
    ask: Ask<'_>,
    until: Timestamp,
    patience: Duration,
    progress: &Progress,
) -> Vec<SourceState> {
    let begun = Instant::now();
    let mut states = Vec::with_capacity(SERVICES.len());
    // One after another: they empty meanwhile, and the bound is on all of them.
    for service in SERVICES {
        let asked = outbox(ask, service, until, patience.saturating_sub(begun.elapsed()));
        states.push(progress.during(&format!("{service}.outbox"), asked).await);
    }
    states
}

async fn outbox(ask: Ask<'_>, service: &'static str, until: Timestamp, patience: Duration) -> SourceState {
    let mut client = SystemServiceClient::new(ask.channel(service));
    let begun = Instant::now();
    let mut state = SourceState { source: service.to_owned(), until: until.to_string(), ..SourceState::default() };
    loop {
        let info = match got(client.get_info(ask.of(GetInfoRequest {})).await) {
            Ok(info) => info,
            Err(why) => return SourceState { away: why, ..state },
        };
        state.parked = info.parked_events.get(service).copied().unwrap_or(0);
        if !is_behind(&info, service, until, begun.elapsed()) {
            return state;
        }
        if begun.elapsed() >= patience {
            state.waiting = waiting(&info, service);
            state.away = format!("{} events up to {until} have not reached the audit log", state.waiting);
            return state;
        }
        sleep(POLL).await;
    }
}

/// Asks for the KPIs of a month until they count `of` entries of the audit log, at most for `patience`. Returns them all the
/// same, with how many they count.
pub(crate) async fn kpis(
    ask: Ask<'_>,
    month: &Month,
    of: Option<i64>,
    patience: Duration,
) -> (Got<SummarizeKpisResponse>, Option<i64>) {
    let mut client = KpiServiceClient::new(ask.channel("kpi")).max_decoding_message_size(LARGEST);
    let begun = Instant::now();
    let mut pause = POLL;
    loop {
        let request = SummarizeKpisRequest { range: Some(month.range()) };
        let answer = got(client.summarize_kpis(ask.of(request)).await);
        let Ok(found) = &answer else { return (answer, None) };
        let counts = found.processed_index;
        if of.is_none_or(|of| counts >= of) || begun.elapsed() >= patience {
            return (answer, Some(counts));
        }
        sleep(pause.min(patience.saturating_sub(begun.elapsed()))).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Writes down how many entries of the log a service had counted.
pub(crate) fn note(states: &mut [SourceState], service: &str, index: Option<i64>, of: Option<i64>) {
    let Some(state) = states.iter_mut().find(|state| state.source == service) else { return };
    (state.index, state.of) = (index, of);
    if let (Some(index), Some(of)) = (index, of)
        && index < of
        && state.away.is_empty()
    {
        state.away = format!("its figures count {index} of {of} entries of the audit log");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_api::wire::time::stamp;

    #[test]
    fn events_up_to_the_instant_are_waited_for_and_later_ones_are_not() {
        let info = |depth: i64, oldest: Option<i64>| Info {
            outbox_depth: [("registry".to_owned(), depth)].into(),
            outbox_oldest: oldest.map(|at| ("registry".to_owned(), stamp(Timestamp(at)))).into_iter().collect(),
            ..Info::default()
        };
        let behind = |info: &Info, asked| is_behind(info, "registry", Timestamp(1_000), asked);
        assert!(behind(&info(1, Some(1_000)), WRITTEN), "whatever was recorded by then");
        assert!(!behind(&info(1, Some(1_001)), Duration::ZERO), "that is for the next pack");
        assert!(!behind(&info(0, None), Duration::ZERO));
        assert!(behind(&info(3, None), Duration::ZERO), "acknowledged, and not written down");
        assert!(!behind(&info(3, None), WRITTEN), "by now these are newer");
    }

    #[test]
    fn figures_that_count_too_little_make_their_service_away() {
        let mut states = vec![SourceState { source: "kpi".to_owned(), ..SourceState::default() }];
        note(&mut states, "kpi", Some(522), Some(522));
        assert!(states[0].away.is_empty());
        note(&mut states, "kpi", Some(392), Some(522));
        assert_eq!(states[0].away, "its figures count 392 of 522 entries of the audit log");
    }
}
