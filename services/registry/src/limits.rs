//! How many outputs a day an approval allows a model version, and how far it has come.

use remit_api::registry::v1::{ApprovalTerms, DailyLimit, DailyOutputs, ModelVersion};
use remit_api::wire::time::stamp;
use remit_core::calendar::local_day;
use remit_core::{Result, Timestamp};
use std::ops::Range;

/// What the terms of an approval say about outputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit<'a> {
    /// The most on one day, from 1 on.
    most: i64,
    zone: &'a str,
}

/// What bounds the outputs of these terms; `None` if nothing does.
pub(crate) fn of(terms: Option<&ApprovalTerms>) -> Option<Limit<'_>> {
    let terms = terms.filter(|terms| terms.max_outputs_per_day > 0)?;
    Some(Limit { most: terms.max_outputs_per_day, zone: &terms.time_zone })
}

impl Limit<'_> {
    /// The day of `at` in the zone of the limit.
    ///
    /// # Errors
    /// `InvalidArgument`, naming `terms.time_zone`: `TIME_ZONE_UNKNOWN`, `TIME_OUT_OF_RANGE`.
    pub(crate) fn day(self, at: Timestamp) -> Result<Range<Timestamp>> {
        local_day(self.zone, at, "terms.time_zone")
    }

    /// How far so many outputs are: first a reason, then more human, then denial. With as many as are allowed the next one
    /// is one too many, so that a person decides about it; where people decide and it goes on to twice as many, nobody can
    /// have decided.
    fn reached(self, outputs: i64) -> DailyLimit {
        if outputs >= self.most.saturating_mul(2) {
            DailyLimit::Exceeded
        } else if outputs >= self.most {
            DailyLimit::Reached
        } else if outputs >= self.most - self.most / 5 {
            DailyLimit::Near
        } else {
            DailyLimit::Unspecified
        }
    }

    /// What a version with so many outputs on the day shows; nothing below 80 %.
    pub(crate) fn shown(self, outputs: i64, day: &Range<Timestamp>) -> Option<DailyOutputs> {
        let limit = self.reached(outputs);
        (limit != DailyLimit::Unspecified).then(|| DailyOutputs {
            limit: limit.into(),
            outputs,
            max_outputs: self.most,
            start_time: Some(stamp(day.start)),
            end_time: Some(stamp(day.end)),
        })
    }
}

/// Whether a version shows the same as this already: as far, on the same day, of the same limit.
pub(crate) fn shows(version: &ModelVersion, wanted: Option<&DailyOutputs>) -> bool {
    let what = |shown: &DailyOutputs| (shown.limit, shown.max_outputs, shown.end_time);
    version.daily_outputs.as_ref().map(what) == wanted.map(what)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn terms(most: i64, zone: &str) -> ApprovalTerms {
        ApprovalTerms { max_outputs_per_day: most, time_zone: zone.into(), ..Default::default() }
    }

    #[test]
    fn first_a_reason_then_more_human_then_denial() {
        use DailyLimit::{Exceeded, Near, Reached, Unspecified};
        let cases = [
            (100, [(79, Unspecified), (80, Near), (99, Near), (100, Reached), (199, Reached), (200, Exceeded)]),
            (3, [(0, Unspecified), (2, Unspecified), (3, Reached), (4, Reached), (5, Reached), (6, Exceeded)]),
            (1, [(0, Unspecified), (1, Reached), (1, Reached), (2, Exceeded), (3, Exceeded), (i64::MAX, Exceeded)]),
        ];
        for (most, steps) in cases {
            let terms = terms(most, "");
            for (outputs, expected) in steps {
                assert_eq!(of(Some(&terms)).unwrap().reached(outputs), expected, "{outputs} of {most}");
            }
        }
        assert!(of(Some(&terms(0, ""))).is_none() && of(None).is_none());
    }

    #[test]
    fn a_day_is_that_of_the_zone() {
        // 2009-08-11T14:13:20Z, which is a quarter past two of the next night in Auckland.
        let at = Timestamp(1_250_000_000_000_000);
        let day = |zone: &str| of(Some(&terms(1, zone))).unwrap().day(at).map(|day| (day.start.to_string(), day.end));
        assert_eq!(day("").unwrap().0, "2009-08-11T00:00:00Z");
        assert_eq!(day("Pacific/Auckland").unwrap().0, "2009-08-11T12:00:00Z");
        assert!(day("Pacific/Auckland").unwrap().1 > at);
        assert_eq!(day("Mars/Olympus").unwrap_err().reason(), "TIME_ZONE_UNKNOWN");
    }
}
