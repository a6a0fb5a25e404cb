//! Counts the statements of a piece of work, so that a test can hold what a call may cost without a clock.

use std::cell::Cell;

tokio::task_local! {
    static COUNT: Cell<u64>;
}

/// Runs `work` and returns its output with the number of statements that it sent. Opening and ending a
/// transaction do not count; a bulk insert counts once, however many rows it has.
pub async fn counted<F: Future>(work: F) -> (F::Output, u64) {
    COUNT
        .scope(Cell::new(0), async move {
            let output = work.await;
            (output, COUNT.with(Cell::get))
        })
        .await
}

pub(crate) fn count() {
    // Work that nobody counts, such as that of a background task.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}
