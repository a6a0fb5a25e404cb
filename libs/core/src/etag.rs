//! Etags (AIP-154): which revision of a resource a caller has seen.

use crate::error::{Error, Kind, Result};

/// The etag of a revision: `r3`.
pub fn of(revision: i64) -> String {
    format!("r{revision}")
}

/// Compares the etag that a caller gave with that of the resource found; an empty one is not checked.
///
/// # Errors
/// `Conflict` (`ETAG_MISMATCH`) if they differ.
pub fn check(given: &str, found: &str, name: &str) -> Result<()> {
    if given.is_empty() || given == found {
        return Ok(());
    }
    Err(Error::new(
        Kind::Conflict,
        "ETAG_MISMATCH",
        format!("{name} has changed: its etag is {found}, not {given}; read it again"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_given_etag_is_compared() {
        assert_eq!(of(3), "r3");
        assert!(check("", "r3", "tasks/a").is_ok() && check("r3", "r3", "tasks/a").is_ok());
        assert_eq!(check("r2", "r3", "tasks/a").map_err(|error| error.reason()), Err("ETAG_MISMATCH"));
        assert!(check("3", "r3", "tasks/a").is_err());
    }
}
