//! The stored forms of rollups: a day with its quarter hours, and what a batch adds.

use crate::calendar::{QUARTER_HOUR, Span};
use crate::summary::{Shape, Summary};
use prost::Message;
use remit_core::{Error, Result};
use std::collections::BTreeMap;

/// Which rollup: the first instant of its bucket, and its series.
pub(crate) type Key = (i64, i64);

/// The quarter hour of an instant.
pub(crate) fn quarter(at: i64) -> Span {
    let start = at - at.rem_euclid(QUARTER_HOUR);
    Span { start, end: start + QUARTER_HOUR }
}

/// A day of a series. The quarter hours stay encoded, because a batch changes few of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Day {
    sum: Summary,
    quarters: BTreeMap<i64, Vec<u8>>,
    /// Whether a quarter hour was put in the place of another, so that the sum is no longer that of its parts.
    replaced: bool,
}

impl Day {
    /// A day of which nothing is known; `empty` is the empty shape of the KPI.
    pub(crate) fn new(empty: &Shape) -> Self {
        Self { sum: Summary::new(empty.clone()), quarters: BTreeMap::new(), replaced: false }
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Internal` if the bytes are not those of a day.
    pub(crate) fn decode(body: &[u8], quarters: &[u8], empty: &Shape) -> Result<Self> {
        let mut day = Self { sum: Summary::decode(body, empty)?, ..Self::new(empty) };
        for cell in cells(quarters)? {
            day.quarters.insert(cell.start(), cell.body);
        }
        Ok(day)
    }

    /// Adds to the quarter hour that begins at `quarter`.
    ///
    /// # Errors
    /// `Internal` if what is stored of it cannot be read.
    pub(crate) fn add(&mut self, quarter: i64, delta: &Summary, empty: &Shape) -> Result<()> {
        self.sum.merge(delta);
        let mut whole = delta.clone();
        if let Some(before) = self.quarters.get(&quarter) {
            whole.merge(&Summary::decode(before, empty)?);
        }
        self.quarters.insert(quarter, whole.encode());
        Ok(())
    }

    /// Puts `summary` in the place of the quarter hour that begins at `quarter`.
    pub(crate) fn replace(&mut self, quarter: i64, summary: &Summary) {
        self.replaced = true;
        self.quarters.insert(quarter, summary.encode());
    }

    /// The stored form: the sum, and the quarter hours.
    ///
    /// # Errors
    /// `Internal` if what is stored of a quarter hour cannot be read.
    pub(crate) fn encode(self, empty: &Shape) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut sum = self.sum;
        if self.replaced {
            // What a correction takes away cannot be subtracted from a minimum or a latest value.
            sum = Summary::new(empty.clone());
            for body in self.quarters.values() {
                sum.merge(&Summary::decode(body, empty)?);
            }
        }
        let cells = self.quarters.into_iter().map(|(start, body)| Cell::new((start, 0), body)).collect();
        Ok((sum.encode(), Cells { cells }.encode_to_vec()))
    }
}

/// The stored form of what a batch adds.
pub(crate) fn encode(deltas: &BTreeMap<Key, Summary>) -> Vec<u8> {
    let cells = deltas.iter().map(|(key, summary)| Cell::new(*key, summary.encode())).collect();
    Cells { cells }.encode_to_vec()
}

/// Gives each quarter hour of a stored form that begins within `span` to `each`: its start, its series, its summary.
///
/// # Errors
/// `Internal` if the bytes cannot be read; else what `each` says.
pub(crate) fn within(bytes: &[u8], span: Span, mut each: impl FnMut(Key, &[u8]) -> Result<()>) -> Result<()> {
    let found = cells(bytes)?.into_iter().filter(|cell| span.contains(cell.start()));
    found.into_iter().try_for_each(|cell| each((cell.start(), cell.series_id), &cell.body))
}

fn cells(bytes: &[u8]) -> Result<Vec<Cell>> {
    Cells::decode(bytes)
        .map(|read| read.cells)
        .map_err(|error| Error::internal("stored quarter hours cannot be decoded").with_source(error))
}

#[derive(Clone, PartialEq, Message)]
struct Cells {
    #[prost(message, repeated, tag = "1")]
    cells: Vec<Cell>,
}

#[derive(Clone, PartialEq, Message)]
struct Cell {
    /// Quarter hours since 1970.
    #[prost(int64, tag = "1")]
    quarter: i64,
    #[prost(int64, tag = "2")]
    series_id: i64,
    #[prost(bytes = "vec", tag = "3")]
    body: Vec<u8>,
}

impl Cell {
    fn new((start, series_id): Key, body: Vec<u8>) -> Self {
        Self { quarter: start.div_euclid(QUARTER_HOUR), series_id, body }
    }

    fn start(&self) -> i64 {
        self.quarter.saturating_mul(QUARTER_HOUR)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::summary::Counted;

    fn summary(values: &[i64]) -> Summary {
        let mut summary = Summary::new(Shape::None);
        for (at, value) in (1..).zip(values) {
            let counted =
                Counted { event_id: at.to_string(), occurred_at: at, recorded_at: at, value: *value, denominator: 0 };
            summary.add(&counted, [false; 7]);
        }
        summary
    }

    #[test]
    fn a_day_is_the_sum_of_its_quarter_hours_also_where_one_is_replaced() {
        let empty = Shape::None;
        let mut day = Day::new(&empty);
        day.add(0, &summary(&[5]), &empty).unwrap();
        day.add(QUARTER_HOUR, &summary(&[-9]), &empty).unwrap();
        day.add(0, &summary(&[7]), &empty).unwrap();
        let (body, quarters) = day.encode(&empty).unwrap();
        let sum = Summary::decode(&body, &empty).unwrap();
        assert_eq!((sum.n(), sum.min, sum.max, sum.moments.sum), (3, Some(-9), Some(7), 3));

        let mut day = Day::decode(&body, &quarters, &empty).unwrap();
        day.replace(QUARTER_HOUR, &summary(&[1]));
        let (body, quarters) = day.encode(&empty).unwrap();
        let sum = Summary::decode(&body, &empty).unwrap();
        assert_eq!((sum.n(), sum.min, sum.max, sum.moments.sum), (3, Some(1), Some(7), 13));
        let mut found = Vec::new();
        let first = Span { start: 0, end: 1 };
        within(&quarters, first, |key, body| {
            found.push((key, Summary::decode(body, &empty)?.n()));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [((0, 0), 2)]);
    }

    #[test]
    fn a_batch_keeps_its_series_apart() {
        let deltas = BTreeMap::from([((0, 1), summary(&[1])), ((0, 2), summary(&[2, 3]))]);
        let mut read = BTreeMap::new();
        within(&encode(&deltas), Span { start: 0, end: QUARTER_HOUR }, |key, body| {
            read.insert(key, Summary::decode(body, &Shape::None)?);
            Ok(())
        })
        .unwrap();
        assert_eq!(read, deltas);
        assert!(cells(&[0xff]).is_err());
    }
}
