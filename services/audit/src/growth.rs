//! What other processes append: one look at all logs, however many are waited for.

use crate::store::heads;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Db, Engine};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often the logs are looked at. On SQLite nobody else is expected to append.
const fn pause(engine: Engine) -> Duration {
    match engine {
        Engine::Sqlite => Duration::from_secs(1),
        Engine::Postgres => Duration::from_millis(100),
    }
}
/// How far the clocks of two processes may be apart before a log is found grown at the next look at all only.
const APART: Duration = Duration::from_secs(5);
/// How often all logs are looked at, whatever their time says.
const ALL: Duration = Duration::from_secs(10);

/// Finds the logs that have grown.
pub(crate) struct Growth {
    db: Db,
    /// From when on a log may have grown unseen.
    since: Timestamp,
    all: Option<Instant>,
}

impl Growth {
    pub(crate) fn new(db: Db) -> Self {
        Self { db, since: Timestamp(0), all: None }
    }

    /// Waits, and returns the logs that may have grown with their sizes.
    ///
    /// # Errors
    /// As the database fails.
    pub(crate) async fn look(&mut self) -> Result<Vec<(Tenant, u64)>> {
        tokio::time::sleep(pause(self.db.engine())).await;
        let is_time = self.all.is_none_or(|at| at.elapsed() >= ALL);
        let since = if is_time { Timestamp(i64::MIN) } else { self.since };
        let grown = heads::grown(&mut self.db.read().await?, since).await?;
        if is_time {
            self.all = Some(Instant::now());
        }
        if let Some(newest) = grown.iter().map(|(.., at)| *at).max() {
            self.since = newest.minus(APART);
        }
        Ok(grown.into_iter().map(|(tenant, size, _)| (tenant, size)).collect())
    }
}

/// When the logs were last looked at, if that is done at all.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<Option<Instant>>);

impl Looks {
    fn at(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether whoever asks is to begin looking.
    pub(crate) fn begin(&self) -> bool {
        let mut at = self.at();
        let begins = at.is_none();
        *at = at.or(Some(Instant::now()));
        begins
    }

    pub(crate) fn looked(&self) {
        *self.at() = Some(Instant::now());
    }

    /// Nobody looks any more, if `is_over` still says so now that nobody can begin.
    pub(crate) fn end(&self, is_over: impl FnOnce() -> bool) -> bool {
        let mut at = self.at();
        let over = is_over();
        if over {
            *at = None;
        }
        over
    }

    /// For how long nobody has looked.
    pub(crate) fn blind(&self) -> Duration {
        self.at().map_or(Duration::MAX, |at| at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_who_wait_one_looks_until_nobody_waits() {
        let looks = Looks::default();
        assert_eq!(looks.blind(), Duration::MAX, "nobody looks yet");
        assert!(looks.begin() && !looks.begin());
        assert!(!looks.end(|| false) && !looks.begin(), "somebody waits still");
        assert!(looks.blind() < Duration::MAX);
        assert!(looks.end(|| true) && looks.begin(), "who comes later begins anew");
    }
}
