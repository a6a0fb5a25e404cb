//! What the events of one series and bucket add up to. Summaries merge exactly and in any order.

use crate::calendar::{Counts, GRANULARITIES, Late};
use prost::Message;
use remit_api::kpi::v1::{Granularity, Kind};
use remit_core::{Error, Result};
use remit_drift::{Edges, Histogram, Moments, Sample, Sketch};

/// An event as it counts: values in millionths, times in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The id, which decides which of two simultaneous events is the last.
    pub(crate) event_id: String,
    /// When it happened.
    pub(crate) occurred_at: i64,
    /// When it was recorded.
    pub(crate) recorded_at: i64,
    /// The value or numerator; 0 where the kind has none.
    pub(crate) value: i64,
    /// The denominator; 0 where the kind has none.
    pub(crate) denominator: i64,
}

/// What a summary keeps of the shape of the values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// Nothing.
    None,
    /// Counts between the fixed edges of the KPI.
    Histogram(Histogram),
    /// A quantile sketch.
    Sketch(Sketch),
    /// The latest event: time, id, value.
    Last(Option<(i64, String, i64)>),
}

impl Shape {
    /// The empty shape of a kind.
    pub(crate) fn of(kind: Kind, edges: &Edges) -> Self {
        match kind {
            Kind::Distribution => Self::Histogram(Histogram::new(edges.clone())),
            Kind::Percentile => Self::Sketch(Sketch::default()),
            Kind::Last => Self::Last(None),
            _ => Self::None,
        }
    }

    fn add(&mut self, event: &Counted) {
        let value = || Moments::value(i128::from(event.value));
        match self {
            Self::None => {}
            Self::Histogram(histogram) => histogram.add(value()),
            Self::Sketch(sketch) => sketch.add(value()),
            Self::Last(last) => {
                let older = |(at, id, _): &(i64, String, i64)| {
                    (*at, id.as_str()) < (event.occurred_at, event.event_id.as_str())
                };
                if last.as_ref().is_none_or(older) {
                    *last = Some((event.occurred_at, event.event_id.clone(), event.value));
                }
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Histogram(mine), Self::Histogram(theirs)) => {
                // The edges of a KPI never change.
                let same = mine.merge(theirs);
                debug_assert!(same);
            }
            (Self::Sketch(mine), Self::Sketch(theirs)) => mine.merge(theirs),
            (Self::Last(mine), Self::Last(theirs))
                if theirs.as_ref().map(|(at, id, _)| (at, id)) > mine.as_ref().map(|(at, id, _)| (at, id)) =>
            {
                mine.clone_from(theirs);
            }
            _ => {}
        }
    }
}

/// The sum of events.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    /// Count, sum and sum of squares of the values.
    pub(crate) moments: Moments,
    /// The sum of the denominators in millionths.
    pub(crate) denominator: i128,
    /// The least value in millionths.
    pub(crate) min: Option<i64>,
    /// The greatest value in millionths.
    pub(crate) max: Option<i64>,
    /// The shape of the values.
    pub(crate) shape: Shape,
    /// Events recorded after the period had closed, for each of [`GRANULARITIES`].
    pub(crate) late: Counts,
    /// Events that were replaced or taken out.
    pub(crate) corrected: u64,
    /// Those of them that were so after the period had closed, for each of [`GRANULARITIES`].
    pub(crate) corrected_late: Counts,
    /// When the last event was recorded; 0 without any.
    pub(crate) updated_at: i64,
}

impl Summary {
    /// The summary of nothing.
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            moments: Moments::default(),
            denominator: 0,
            min: None,
            max: None,
            shape,
            late: Counts::default(),
            corrected: 0,
            corrected_late: Counts::default(),
            updated_at: 0,
        }
    }

    /// The number of events that count.
    pub(crate) fn n(&self) -> u64 {
        self.moments.n
    }

    /// The successes and trials of a proportion.
    pub(crate) fn sample(&self) -> Sample {
        Sample { successes: self.moments.total(), trials: Moments::value(self.denominator) }
    }

    /// The number of trials of a proportion.
    pub(crate) fn trials(&self) -> u64 {
        u64::try_from(self.denominator / 1_000_000).unwrap_or(0)
    }

    /// Counts an event.
    pub(crate) fn add(&mut self, event: &Counted, late: Late) {
        self.moments.add(event.value);
        self.denominator += i128::from(event.denominator);
        self.min = Some(self.min.map_or(event.value, |min| min.min(event.value)));
        self.max = Some(self.max.map_or(event.value, |max| max.max(event.value)));
        self.shape.add(event);
        self.late.iter_mut().zip(late).for_each(|(count, late)| *count += u64::from(late));
        self.updated_at = self.updated_at.max(event.recorded_at);
    }

    /// Notes that an event that counted does no longer.
    pub(crate) fn note_corrected(&mut self, corrected_at: i64, late: Late) {
        self.corrected += 1;
        self.corrected_late.iter_mut().zip(late).for_each(|(count, late)| *count += u64::from(late));
        self.updated_at = self.updated_at.max(corrected_at);
    }

    /// Adds another summary of the same KPI.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        self.denominator += other.denominator;
        self.min = self.min.into_iter().chain(other.min).min();
        self.max = self.max.into_iter().chain(other.max).max();
        self.shape.merge(&other.shape);
        for i in 0..GRANULARITIES.len() {
            self.late[i] += other.late[i];
            self.corrected_late[i] += other.corrected_late[i];
        }
        self.corrected += other.corrected;
        self.updated_at = self.updated_at.max(other.updated_at);
    }

    /// Late events and late corrections by the clock of `granularity`.
    pub(crate) fn late_by(&self, granularity: Granularity) -> (u64, u64) {
        let index = GRANULARITIES.iter().position(|known| *known == granularity).unwrap_or(2);
        (self.late[index], self.corrected_late[index])
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let shape = match &self.shape {
            Shape::None | Shape::Last(_) => Vec::new(),
            Shape::Histogram(histogram) => histogram.slots().iter().map(|count| count.cast_signed()).collect(),
            Shape::Sketch(sketch) => sketch
                .bins()
                .flat_map(|(sign, bin, count)| [i64::from(sign), i64::from(bin), count.cast_signed()])
                .collect(),
        };
        let last = if let Shape::Last(last) = &self.shape { last.clone() } else { None };
        let (last_at, last_id, last_value) = last.unwrap_or_default();
        let (sum, wide_sum) = split(self.moments.sum);
        let (squares, wide_squares) = split(self.moments.squares);
        let (denominator, wide_denominator) = split(self.denominator);
        Stored {
            n: self.moments.n,
            sum,
            wide_sum,
            squares,
            wide_squares,
            denominator,
            wide_denominator,
            min: self.min,
            max: self.max,
            last_at,
            last_id,
            last_value,
            shape,
            late: trimmed(&self.late),
            corrected: self.corrected,
            corrected_late: trimmed(&self.corrected_late),
            updated_at: self.updated_at,
        }
        .encode_to_vec()
    }

    /// Reads the stored form; `empty` is the empty shape of the KPI.
    ///
    /// # Errors
    /// `Internal` if the bytes are not a summary of that shape.
    pub(crate) fn decode(bytes: &[u8], empty: &Shape) -> Result<Self> {
        let stored = Stored::decode(bytes)
            .map_err(|error| Error::internal("a stored rollup cannot be decoded").with_source(error))?;
        let shape = match empty {
            Shape::None => Shape::None,
            Shape::Last(_) => {
                let last = (stored.last_at, stored.last_id, stored.last_value);
                Shape::Last(Some(last).filter(|(_, id, _)| !id.is_empty()))
            }
            Shape::Histogram(histogram) => {
                let slots = stored.shape.iter().map(|count| count.cast_unsigned()).collect();
                let restored = Histogram::from_slots(histogram.edges().clone(), slots);
                Shape::Histogram(restored.ok_or_else(|| Error::internal("a stored histogram has other bins"))?)
            }
            Shape::Sketch(_) => Shape::Sketch(Sketch::from_bins(stored.shape.chunks_exact(3).map(|bin| {
                let small = |x: i64| i32::try_from(x).unwrap_or(0);
                (small(bin[0]), small(bin[1]), bin[2].cast_unsigned())
            }))),
        };
        Ok(Self {
            moments: Moments {
                n: stored.n,
                sum: join(stored.sum, &stored.wide_sum),
                squares: join(stored.squares, &stored.wide_squares),
            },
            denominator: join(stored.denominator, &stored.wide_denominator),
            min: stored.min,
            max: stored.max,
            shape,
            late: padded(&stored.late),
            corrected: stored.corrected,
            corrected_late: padded(&stored.corrected_late),
            updated_at: stored.updated_at,
        })
    }
}

/// The stored form of a summary. Integers wider than 64 bits are two limbs, low first, in a field of their own: nearly all fit
/// into a few bytes, and a day has a hundred of these.
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(uint64, tag = "1")]
    n: u64,
    #[prost(sint64, tag = "2")]
    sum: i64,
    #[prost(fixed64, repeated, tag = "15")]
    wide_sum: Vec<u64>,
    #[prost(sint64, tag = "3")]
    squares: i64,
    #[prost(fixed64, repeated, tag = "16")]
    wide_squares: Vec<u64>,
    #[prost(sint64, tag = "4")]
    denominator: i64,
    #[prost(fixed64, repeated, tag = "17")]
    wide_denominator: Vec<u64>,
    #[prost(sint64, optional, tag = "5")]
    min: Option<i64>,
    #[prost(sint64, optional, tag = "6")]
    max: Option<i64>,
    #[prost(int64, tag = "7")]
    last_at: i64,
    #[prost(string, tag = "8")]
    last_id: String,
    #[prost(sint64, tag = "9")]
    last_value: i64,
    #[prost(sint64, repeated, tag = "10")]
    shape: Vec<i64>,
    #[prost(uint64, repeated, tag = "11")]
    late: Vec<u64>,
    #[prost(uint64, tag = "12")]
    corrected: u64,
    #[prost(uint64, repeated, tag = "13")]
    corrected_late: Vec<u64>,
    #[prost(int64, tag = "14")]
    updated_at: i64,
}

fn split(x: i128) -> (i64, Vec<u64>) {
    let bits = x.cast_unsigned();
    i64::try_from(x).map_or_else(|_| (0, vec![bits as u64, (bits >> 64) as u64]), |small| (small, Vec::new()))
}

fn join(small: i64, limbs: &[u64]) -> i128 {
    if limbs.is_empty() {
        return i128::from(small);
    }
    limbs.iter().take(2).enumerate().fold(0u128, |bits, (i, limb)| bits | u128::from(*limb) << (64 * i)).cast_signed()
}

fn trimmed(counts: &Counts) -> Vec<u64> {
    if counts.iter().all(|count| *count == 0) { Vec::new() } else { counts.to_vec() }
}

fn padded(counts: &[u64]) -> Counts {
    std::array::from_fn(|i| counts.get(i).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn shapes() -> [Shape; 4] {
        [Kind::Sum, Kind::Distribution, Kind::Percentile, Kind::Last]
            .map(|kind| Shape::of(kind, &Edges::unit_deciles()))
    }

    fn event() -> impl Strategy<Value = (Counted, Late)> {
        (0i64..50, -2_000_000i64..2_000_000, 1i64..1_000, any::<Late>(), 0u32..1000).prop_map(
            |(at, value, denominator, late, id)| {
                let event_id = format!("e{id}");
                (Counted { event_id, occurred_at: at, recorded_at: at + 7, value, denominator }, late)
            },
        )
    }

    proptest! {
        #[test]
        fn any_order_and_any_parts_give_the_same_summary_and_survive_storage(
            events in prop::collection::vec(event(), 0..60), cut in 0usize..60, shape in 0usize..4, seed in any::<u64>(),
        ) {
            let shape = shapes()[shape].clone();
            let of = |events: &[(Counted, Late)]| {
                let mut summary = Summary::new(shape.clone());
                events.iter().for_each(|(event, late)| summary.add(event, *late));
                summary
            };
            // Equal time and id with another value cannot happen: ids are unique within a KPI.
            let mut events = events;
            events.sort_by(|a, b| a.0.event_id.cmp(&b.0.event_id));
            events.dedup_by(|a, b| a.0.event_id == b.0.event_id);
            let whole = of(&events);
            let mut shuffled = events.clone();
            let mut state = seed | 1;
            for i in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                shuffled.swap(i, (state >> 33) as usize % (i + 1));
            }
            let cut = cut.min(shuffled.len());
            let mut merged = of(&shuffled[cut..]);
            merged.merge(&of(&shuffled[..cut]));
            prop_assert_eq!(&merged, &whole);
            prop_assert_eq!(Summary::decode(&merged.encode(), &shape).unwrap(), whole);
        }
    }

    #[test]
    fn negative_sums_survive_storage() {
        for x in [0, 1, -1, i128::MAX, i128::MIN, -(1 << 70), 1 << 63, i128::from(i64::MIN)] {
            let (small, limbs) = split(x);
            assert_eq!(join(small, &limbs), x);
        }
    }

    #[test]
    fn bytes_that_are_no_summary_are_an_error() {
        assert!(Summary::decode(&[0xff, 0xff], &Shape::None).is_err());
        let empty = Summary::new(Shape::None).encode();
        assert!(Summary::decode(&empty, &shapes()[1]).is_err());
    }
}
