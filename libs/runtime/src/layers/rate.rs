//! A rate: so many a second on average, and what was not used may be saved up for a while.

use std::time::Duration;
use tokio::time::Instant;

/// How much may be had.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// 0: no bound.
    each_second: f64,
    most: f64,
}

impl Rate {
    /// `each_second` on average, of which what comes in `burst` may be saved up; 0 for no bound.
    pub(super) fn new(each_second: u32, burst: Duration) -> Self {
        let each_second = f64::from(each_second);
        Self { each_second, most: (each_second * burst.as_secs_f64()).max(1.0) }
    }

    /// How much comes in a second.
    pub(super) fn each_second(&self) -> f64 {
        self.each_second
    }
}

/// What somebody has left of a rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// All that can be saved up.
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self { left: rate.most, at: now }
    }

    /// How long until there is one to take; none if there is one now.
    pub(super) fn wait(&mut self, rate: Rate, now: Instant) -> Option<Duration> {
        if rate.each_second == 0.0 {
            return None;
        }
        let came = now.saturating_duration_since(self.at).as_secs_f64() * rate.each_second;
        *self = Self { left: (self.left + came).min(rate.most), at: now };
        (self.left < 1.0).then(|| Duration::from_secs_f64((1.0 - self.left) / rate.each_second))
    }

    /// Takes one.
    pub(super) fn take(&mut self, rate: Rate) {
        if rate.each_second > 0.0 {
            self.left -= 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_is_saved_up_for_a_while_and_no_longer() {
        let (rate, start) = (Rate::new(10, Duration::from_secs(2)), Instant::now());
        let mut bucket = Bucket::full(rate, start);
        for _ in 0..20 {
            assert_eq!(bucket.wait(rate, start), None);
            bucket.take(rate);
        }
        assert_eq!(bucket.wait(rate, start), Some(Duration::from_millis(100)));
        let later = start + Duration::from_millis(150);
        assert_eq!(bucket.wait(rate, later), None);
        bucket.take(rate);
        assert!(bucket.wait(rate, later).is_some());
        let much_later = start + Duration::from_secs(3_600);
        let mut taken = 0;
        while bucket.wait(rate, much_later).is_none() {
            bucket.take(rate);
            taken += 1;
        }
        assert_eq!(taken, 20);
    }

    #[test]
    fn a_rate_of_nothing_is_no_bound() {
        let (rate, now) = (Rate::new(0, Duration::from_secs(2)), Instant::now());
        let mut bucket = Bucket::full(rate, now);
        for _ in 0..1_000 {
            assert_eq!(bucket.wait(rate, now), None);
            bucket.take(rate);
        }
    }
}
