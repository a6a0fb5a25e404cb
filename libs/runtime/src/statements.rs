//! How many SQL statements a call has cost, at most, by method: a budget that a test holds without a clock.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

static MOST: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// The most that one call took, by method (`/remit.scoring.v1.TaskService/GetTask`), since the process began. What
/// a call asks of other services counts there. Calls that took none are not listed.
pub fn most() -> BTreeMap<String, u64> {
    MOST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

pub(crate) fn record(method: &str, count: u64) {
    // The hot path asks no database, and need not take the lock.
    if count == 0 {
        return;
    }
    let method = format!("/{method}");
    let mut most = MOST.lock().unwrap_or_else(PoisonError::into_inner);
    let before = most.entry(method).or_default();
    *before = count.max(*before);
}
