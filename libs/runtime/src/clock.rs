//! The manual clock as a process keeps it: its position outlives a restart.

use remit_core::{Clock, Error, Kind, ManualClock, Result, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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
    /// `FailedPrecondition` (`CLOCK_FILE_DAMAGED`) if the file holds anything but a number of microseconds.
    pub fn open(path: &Path, start: Timestamp) -> Result<Self> {
        let at = match std::fs::read_to_string(path) {
            Ok(text) => text.trim().parse().map(Timestamp).map_err(|e| {
                let what = format!("{} does not hold a time; remove it to begin anew", path.display());
                Error::precondition("CLOCK_FILE_DAMAGED", what).with_source(e)
            })?,
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
    /// `Unavailable` (`CLOCK_NOT_KEPT`) if the position cannot be written; the clock has not moved then.
    pub fn advance_to(&self, to: Timestamp) -> Result<Timestamp> {
        let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        if to <= self.clock.now() {
            return Ok(self.clock.now());
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
}
