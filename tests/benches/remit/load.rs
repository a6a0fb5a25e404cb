//! A load in a closed loop, and two loads beside each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a load did.
#[derive(Default)]
pub struct Load {
    ops: u64,
    span: Duration,
    micros: Vec<u32>,
}

impl Load {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.ops as f64 / self.span.as_secs_f64()
    }

    /// The latency that this share of operations did not exceed, in microseconds.
    pub fn percentile(&mut self, share: f64) -> f64 {
        if self.micros.is_empty() {
            return f64::NAN;
        }
        let at = ((self.micros.len() - 1) as f64 * share).round() as usize;
        f64::from(*self.micros.select_nth_unstable(at).1)
    }

    fn add(&mut self, other: Self) {
        self.ops += other.ops;
        self.span += other.span;
        self.micros.extend(other.micros);
    }
}

/// Runs `op` over and over from `callers` tasks for `span`, after a fifth of it to warm up.
pub async fn run<F, Fut>(callers: usize, span: Duration, op: F) -> Load
where
    F: Fn(usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let op = Arc::new(op);
    let begin = Instant::now() + span / 5;
    let end = begin + span;
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let op = op.clone();
            tokio::spawn(async move {
                let mut micros = Vec::new();
                loop {
                    let start = Instant::now();
                    if start >= end {
                        return micros;
                    }
                    op(caller).await;
                    let done = Instant::now();
                    // Whole operations within the span only, so that a rate is never flattered.
                    if start >= begin && done <= end {
                        micros.push(u32::try_from((done - start).as_micros()).unwrap_or(u32::MAX));
                    }
                }
            })
        })
        .collect();
    let mut load = Load { span, ..Load::default() };
    for task in tasks {
        let micros = task.await.unwrap();
        load.ops += micros.len() as u64;
        load.micros.extend(micros);
    }
    load
}

/// Ours and its floor, and how they compare.
pub struct Beside {
    pub floor: Load,
    pub ours: Load,
    /// Rate of ours to rate of the floor: median, least, greatest.
    pub ratio: (f64, f64, f64),
}

const ROUNDS: usize = 3;

/// Runs floor and ours in turns; `weights` are what one operation of each counts for.
pub async fn beside<A, B>(weights: (f64, f64), mut floor: impl FnMut() -> A, mut ours: impl FnMut() -> B) -> Beside
where
    A: Future<Output = Load>,
    B: Future<Output = Load>,
{
    let (mut floors, mut all, mut ratios) = (Load::default(), Load::default(), Vec::new());
    for round in 0..ROUNDS {
        // Who goes first changes, because the first finds a cooler machine.
        let (f, o) = if round % 2 == 0 {
            let f = floor().await;
            (f, ours().await)
        } else {
            let o = ours().await;
            (floor().await, o)
        };
        // A turn in which nothing was begun and ended says nothing of a rate.
        if f.ops > 0 && o.ops > 0 {
            ratios.push(o.rate() * weights.1 / (f.rate() * weights.0));
        }
        floors.add(f);
        all.add(o);
    }
    Beside { floor: floors, ours: all, ratio: spread(ratios) }
}

/// Median, least and greatest; no numbers of none.
pub fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    if values.is_empty() {
        return (f64::NAN, f64::NAN, f64::NAN);
    }
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

impl Load {
    /// A load of which only the total is known.
    pub fn counted(ops: u64, span: Duration) -> Self {
        Self { ops, span, micros: Vec::new() }
    }
}
