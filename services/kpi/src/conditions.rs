//! The numbers that stand for 0, in the conditions of alert rules above all, as the contract says.

/// The least change of a KPI that counts, as a ratio.
pub(crate) const LEAST_CHANGE: f64 = 0.02;
/// The part of a period after which its pace is judged.
pub(crate) const LEAST_ELAPSED: f64 = 0.2;
/// How many periods an anomaly is measured against.
pub(crate) const BASELINE: i32 = 20;
/// How many periods a chart that remembers looks at.
pub(crate) const HISTORY: i32 = 200;
/// How many standard deviations away an anomaly is.
pub(crate) const SIGMAS: f64 = 3.0;

/// What is given, or what stands for 0.
pub(crate) fn or<T: Default + PartialEq>(given: T, zero: T) -> T {
    if given == T::default() { zero } else { given }
}
