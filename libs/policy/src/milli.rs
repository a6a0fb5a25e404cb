//! Decimal numbers with three places, so that sums and comparisons are exact.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A number in thousandths, from -1,000,000 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Milli(pub i64);

impl Milli {
    /// The whole number `n`.
    pub const fn whole(n: i64) -> Self {
        Self(n * 1000)
    }

    /// The nearest binary number, for messages and expressions.
    pub fn to_f64(self) -> f64 {
        // Below 2^53, so the conversion is exact and only the division rounds, alike everywhere.
        self.0 as f64 / 1000.0
    }

    /// The number if it is finite, in range, and has at most three decimal places.
    pub fn from_f64(value: f64) -> Option<Self> {
        let scaled = value * 1000.0;
        let rounded = scaled.round();
        (value.is_finite() && value.abs() <= 1_000_000.0 && (scaled - rounded).abs() < 1e-6)
            .then_some(Self(rounded as i64))
    }
}

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_f64())
    }
}

impl Serialize for Milli {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1000 == 0 {
            serializer.serialize_i64(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.to_f64())
        }
    }
}

impl<'de> Deserialize<'de> for Milli {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        Self::from_f64(value).ok_or_else(|| {
            serde::de::Error::custom("must be a number from -1000000 to 1000000 with at most three decimal places")
        })
    }
}
