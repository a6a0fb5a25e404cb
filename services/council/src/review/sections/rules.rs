//! How good what was decided turned out to be (S142), and rules that stopped nothing (R31).

use super::super::pack::Unit::{Count, Ratio, Text};
use super::super::pack::{Block, Cell};
use super::super::sources::{Frame, Sources};
use super::{note, table, unavailable};
use remit_api::handoff::v1::{HandoffSummary, Rate};
use remit_drift::{Sample, wilson};

/// Of so many decisions of one kind, those that did not hold.
struct Outcome {
    what: &'static str,
    count: i64,
    of: i64,
}

fn outcomes(frame: &Frame<'_>, sources: &Sources, handoffs: &HandoffSummary) -> Vec<Outcome> {
    let reviews: i64 = handoffs.review_outcomes.iter().map(|one| one.count).sum();
    let of = |key: &str| handoffs.review_outcomes.iter().filter(|one| one.key == key).map(|one| one.count).sum();
    let mut found = vec![
        Outcome { what: "reviews of AI's work that sent it back", count: of("RETURNED"), of: reviews },
        Outcome { what: "reviews that went on to another person", count: of("ESCALATED"), of: reviews },
    ];
    let rated = |what, rate: Option<&Rate>| {
        let rate = rate.cloned().unwrap_or_default();
        Outcome { what, count: rate.count, of: rate.total }
    };
    found.push(rated("AI-run work that people overrode", handoffs.human_intervention.as_ref()));
    let routing = sources.routing.as_ref().ok();
    found.push(rated("checked lead decisions that people overrode", routing.and_then(|one| one.overridden.as_ref())));
    let new = sources.own.incidents.iter().filter(|one| frame.in_month(&one.create_time)).count();
    let decided = reviews.saturating_add(routing.map_or(0, |one| one.total_count));
    let count = i64::try_from(new).unwrap_or(i64::MAX);
    found.push(Outcome { what: "incidents, of reviews and lead decisions", count, of: decided });
    found
}

/// Reversals, overrides and incidents of each hundred decisions, each with its interval.
pub(crate) fn decision_quality(frame: &Frame<'_>, sources: &Sources) -> Block {
    let handoffs = match &sources.handoffs {
        Ok(handoffs) => handoffs,
        Err(why) => return unavailable("handoff.summary", why),
    };
    let rows = outcomes(frame, sources, handoffs).into_iter().filter(|one| one.of > 0).map(|one| {
        let share = one.count as f64 / one.of as f64;
        // Counts are far below 2^53. More incidents than decisions are no share, and have no interval.
        let interval = wilson(Sample { successes: one.count as f64, trials: one.of as f64 }, 0.95);
        let (low, high) = interval.map_or((Cell::None, Cell::None), |found| (found.lower.into(), found.upper.into()));
        vec![one.what.into(), one.count.into(), one.of.into(), share.into(), low, high]
    });
    let columns = [
        ("what did not hold", Text),
        ("count", Count),
        ("of", Count),
        ("share", Ratio),
        ("at least", Ratio),
        ("at most", Ratio),
    ];
    table("Decision quality; between the last two the true share lies, 19 times of 20", &columns, rows.collect())
}

/// Gates that accepted nearly all that came: either all of it was good, or nobody looked, or the rule asks nothing.
pub(crate) fn stale(sources: &Sources) -> Vec<Block> {
    let Ok(handoffs) = &sources.handoffs else { return Vec::new() };
    let rows = handoffs.gates.iter().filter(|one| one.always_approves);
    let rows = rows.map(|one| vec![Cell::from(&one.subject), one.accept_count.into(), one.review_count.into()]);
    vec![
        table(
            "Rules that stopped nothing in the month",
            &[("gate version", Text), ("accepted", Count), ("reviewed", Count)],
            rows.collect(),
        ),
        note("A rule that only ever approves is looked at: it may ask nothing any more."),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]
    use super::*;
    use crate::review::tests::{World, day, empty, framed, rate};
    use remit_api::council::v1::Incident;
    use remit_api::handoff::v1::{ConsideredApproval, NamedCount};

    #[test]
    fn what_did_not_hold_is_counted_of_what_was_decided() {
        let mut sources = empty();
        let block = |sources: &Sources| framed(&World::default(), |frame| decision_quality(frame, sources));
        assert!(matches!(block(&sources), Block::Note { .. }), "of nothing there is no share");
        let handoffs = sources.handoffs.as_mut().unwrap();
        let outcome = |key: &str, count| NamedCount { key: key.into(), count };
        handoffs.review_outcomes = vec![outcome("ACCEPTED", 37), outcome("RETURNED", 3)];
        handoffs.human_intervention = rate(2, 15);
        sources.routing.as_mut().unwrap().total_count = 60;
        // The second was recorded when the month was over.
        sources.own.incidents =
            [day(2), day(40)].map(|create_time| Incident { create_time, ..Default::default() }).to_vec();
        let Block::Table { rows, .. } = block(&sources) else { panic!("a table") };
        let counted: Vec<_> = rows.iter().map(|row| (row[1].clone(), row[2].clone())).collect();
        let expected = [(3, 40), (0, 40), (2, 15), (1, 100)].map(|(n, of): (i64, i64)| (n.into(), of.into()));
        assert_eq!(counted, expected);
        let upper = rows[1][5].as_number().unwrap();
        assert!(upper > 0.05, "none of 40 may still be one of twenty: {upper}");
    }

    #[test]
    fn a_gate_that_stopped_nothing_is_named() {
        let mut sources = empty();
        let gate = |subject: &str, always_approves| ConsideredApproval {
            subject: subject.into(),
            always_approves,
            ..Default::default()
        };
        sources.handoffs.as_mut().unwrap().gates =
            vec![gate("gates/a/versions/1", true), gate("gates/b/versions/1", false)];
        let Some(Block::Table { rows, .. }) = stale(&sources).into_iter().next() else { panic!("a table") };
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0][0], "gates/a/versions/1".into());
    }
}
