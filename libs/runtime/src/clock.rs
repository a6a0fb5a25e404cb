//! The manual clock as a process keeps it: its position outlives a restart.

use remit_core::{Clock, Error, Kind, ManualClock, Result, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The latest time that a manual clock shows, 2200-01-01T00:00:00Z: it never goes back, and far beyond it times no longer
/// fit into what records and tokens are made of.
pub const LATEST: Timestamp = Timestamp(7_258_118_400_000_000);

/// The earliest time that a file may hold, 0001-01-01T00:00:00Z.
const EARLIEST: Timestamp = Timestamp(-62_135_596_800_000_000);

/// How far one call moves the clock at most: ten years, of which three may be leap years.
pub const LEAP: Duration = Duration::from_secs(3_653 * 86_400);

/// A [`ManualClock`] that writes every move to a file before it shows the new time.
#[derive(Debug)]
pub struct KeptClock {
    clock: ManualClock,
    path: PathBuf,
    /// One move at a time: the file never falls behind what was shown.
    moving: Mutex<()>,
}

impl KeptClock {
    /// Opens the clock kept at `path`, or starts one at `start`. A later position on file wins.
    ///
    /// # Errors
    /// `FailedPrecondition` (`CLOCK_FILE_DAMAGED`) if the file holds anything but a number of microseconds, from the year
    /// 1 to [`LATEST`].
    pub fn open(path: &Path, start: Timestamp) -> Result<Self> {
        let at = match std::fs::read_to_string(path) {
            Ok(text) => {
                let what =
                    || format!("{} does not hold a time up to {LATEST}; remove it to begin anew", path.display());
                let at = text.trim().parse().map(Timestamp);
                let at = at.map_err(|e| Error::precondition("CLOCK_FILE_DAMAGED", what()).with_source(e))?;
                if !(EARLIEST..=LATEST).contains(&at) {
                    return Err(Error::precondition("CLOCK_FILE_DAMAGED", what()));
                }
                at
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => start,
            Err(e) => {
                let what = format!("the clock's position cannot be read from {}", path.display());
                return Err(Error::new(Kind::Unavailable, "CLOCK_NOT_KEPT", what).with_source(e));
            }
        };
        Ok(Self { clock: ManualClock::new(at.max(start)), path: path.to_owned(), moving: Mutex::new(()) })
    }

    /// Moves the clock to `to`, or leaves it where it is if that would be backwards; returns the time
    /// that it then shows.
    ///
    /// # Errors
    /// `InvalidArgument` (`TIME_OUT_OF_RANGE`) beyond [`LATEST`], or more than [`LEAP`] ahead; `Unavailable`
    /// (`CLOCK_NOT_KEPT`) if the position cannot be written. The clock has not moved then.
    pub fn advance_to(&self, to: Timestamp) -> Result<Timestamp> {
        let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if to <= now {
            return Ok(now);
        }
        if to > LATEST || to.since(now) > LEAP {
            let what = format!("must be {LATEST} at the latest, and at most ten years after {now}");
            return Err(Error::invalid("TIME_OUT_OF_RANGE", "time", what));
        }
        let failed = |e: std::io::Error| {
            let what = format!("the clock's position cannot be written to {}", self.path.display());
            Error::new(Kind::Unavailable, "CLOCK_NOT_KEPT", what).with_source(e)
        };
        // Written whole beside the old one: a crash leaves one of the two.
        let partial = self.path.with_extension("partial");
        std::fs::write(&partial, to.0.to_string()).map_err(failed)?;
        std::fs::rename(&partial, &self.path).map_err(failed)?;
        Ok(self.clock.advance_to(to))
    }
}

impl Clock for KeptClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn as_manual(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_outlives_a_restart_and_never_goes_back() -> Result<()> {
        let dir = tempfile::tempdir().map_err(|e| Error::internal("no temporary folder").with_source(e))?;
        let path = dir.path().join("clock");
        let clock = KeptClock::open(&path, Timestamp(10))?;
        assert_eq!(clock.advance_to(Timestamp(50))?, Timestamp(50));
        assert_eq!(clock.advance_to(Timestamp(20))?, Timestamp(50));
        drop(clock);
        assert_eq!(KeptClock::open(&path, Timestamp(10))?.now(), Timestamp(50));
        assert_eq!(KeptClock::open(&path, Timestamp(90))?.now(), Timestamp(90));
        Ok(())
    }

    #[test]
    fn no_move_is_beyond_what_can_be_lived_with() -> Result<()> {
        let dir = tempfile::tempdir().map_err(|e| Error::internal("no temporary folder").with_source(e))?;
        let path = dir.path().join("clock");
        let start = Timestamp(LATEST.0 - 5 * 366 * 86_400 * 1_000_000);
        let clock = KeptClock::open(&path, Timestamp(0))?;
        let refused = |to: Timestamp| clock.advance_to(to).map_err(|error| error.reason()).err();
        assert_eq!(refused(start), Some("TIME_OUT_OF_RANGE"));
        assert_eq!(refused(Timestamp(i64::MAX)), Some("TIME_OUT_OF_RANGE"));
        assert_eq!((clock.now(), path.exists()), (Timestamp(0), false));
        let ten_years = Timestamp(3_653 * 86_400 * 1_000_000);
        assert_eq!(clock.advance_to(ten_years)?, ten_years);
        let clock = KeptClock::open(&path, start)?;
        assert_eq!(clock.advance_to(LATEST)?, LATEST);
        assert_eq!(
            clock.advance_to(LATEST.plus(Duration::from_secs(1))).map_err(|e| e.reason()).err(),
            Some("TIME_OUT_OF_RANGE")
        );
        assert_eq!(KeptClock::open(&path, start)?.now(), LATEST);
        for damaged in ["9223372036854000000", "-9223372036854000000", "soon"] {
            std::fs::write(&path, damaged).map_err(|e| Error::internal("not written").with_source(e))?;
            assert_eq!(KeptClock::open(&path, start).map_err(|e| e.reason()).err(), Some("CLOCK_FILE_DAMAGED"));
        }
        Ok(())
    }
}
