//! When a token is valid, and how long it lives.

use super::refuse;
use remit_core::{Error, Result};
use serde_json::Value;

/// The end of the year 2999, beyond which a time is no time but a slip.
const LATEST: f64 = 32_503_680_000.0;

/// The times of a token, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    pub issued: Option<f64>,
    pub from: f64,
    pub until: f64,
}

/// What the times are measured with, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub now: f64,
    pub leeway: f64,
    pub lifetime: f64,
}

fn wrong(what: impl Into<String>) -> Error {
    refuse("TOKEN_CLAIMS", what)
}

fn time(body: &Value, name: &str) -> Result<Option<f64>> {
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let sane = |time: &f64| time.is_finite() && (0.0..=LATEST).contains(time);
    let what = || wrong(format!("the token's {name} must be a time in seconds since 1970"));
    value.as_f64().filter(sane).map(Some).ok_or_else(what)
}

impl Times {
    /// Reads the times of a token, whatever they are.
    ///
    /// # Errors
    /// `Unauthenticated` (`TOKEN_CLAIMS`) if one is not a time, or the token does not say when it begins and ends.
    pub fn read(body: &Value) -> Result<Self> {
        let (issued, begins) = (time(body, "iat")?, time(body, "nbf")?);
        let until = time(body, "exp")?.ok_or_else(|| wrong("the token never expires: it has no exp"))?;
        let from = match (issued, begins) {
            (Some(issued), Some(begins)) => issued.max(begins),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return Err(wrong("nobody can tell how long the token lives: it has neither iat nor nbf")),
        };
        Ok(Self { issued, from, until })
    }

    /// Whether the token is valid now.
    ///
    /// The lifetime counts from the later of `iat` and `nbf`. Neither may lie in the future, so that it cannot be made
    /// longer by either: what is accepted ends within a lifetime, and the leeway, from now.
    ///
    /// # Errors
    /// `Unauthenticated`: `TOKEN_EXPIRED`, `TOKEN_NOT_YET_VALID`, or `TOKEN_CLAIMS` for a token that lives too long or
    /// ends before it begins.
    pub fn check(self, bounds: Bounds) -> Result<()> {
        let Bounds { now, leeway, lifetime } = bounds;
        if self.from > self.until {
            return Err(wrong("the token ends before it begins"));
        }
        if self.until + leeway <= now {
            return Err(refuse("TOKEN_EXPIRED", "the token has expired"));
        }
        if self.from > now + leeway {
            return Err(refuse("TOKEN_NOT_YET_VALID", "the token is not valid yet"));
        }
        if self.until - self.from > lifetime {
            return Err(wrong(format!("the token lives longer than {lifetime} seconds")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const NOW: f64 = 1_800_000_000.0;
    const DAY: i64 = 86_400;

    /// The reason for which a token with these times, seconds from now, is refused.
    fn refused(iat: Option<i64>, nbf: Option<i64>, exp: i64) -> &'static str {
        let at = |time: Option<i64>| time.map(|time| 1_800_000_000 + time);
        let body = json!({"iat": at(iat), "nbf": at(nbf), "exp": at(Some(exp))});
        let bounds = Bounds { now: NOW, leeway: 10.0, lifetime: 86_400.0 };
        match Times::read(&body).and_then(|times| times.check(bounds)) {
            Ok(()) => "ok",
            Err(error) => error.reason(),
        }
    }

    #[test]
    fn a_token_is_valid_from_both_its_beginnings_until_its_end() {
        for (iat, nbf, exp, wanted) in [
            (Some(0), Some(0), 600, "ok"),
            (Some(0), None, 600, "ok"),
            (None, Some(0), 600, "ok"),
            (Some(9), Some(9), 600, "ok"),
            (Some(-DAY), Some(-DAY), -9, "ok"),
            (Some(-DAY), Some(-DAY), -10, "TOKEN_EXPIRED"),
            (Some(11), None, 600, "TOKEN_NOT_YET_VALID"),
            (None, Some(11), 600, "TOKEN_NOT_YET_VALID"),
            (Some(11), Some(0), 600, "TOKEN_NOT_YET_VALID"),
            (Some(0), Some(11), 600, "TOKEN_NOT_YET_VALID"),
            (Some(0), Some(700), 600, "TOKEN_CLAIMS"),
            (Some(700), Some(0), 600, "TOKEN_CLAIMS"),
            (None, None, 600, "TOKEN_CLAIMS"),
        ] {
            assert_eq!(refused(iat, nbf, exp), wanted, "{iat:?} {nbf:?} {exp}");
        }
    }

    #[test]
    fn neither_beginning_makes_a_lifetime_longer() {
        let years = 3_650 * DAY;
        assert_eq!(refused(Some(years - 60), Some(0), years), "TOKEN_NOT_YET_VALID");
        assert_eq!(refused(Some(0), Some(years - 60), years), "TOKEN_NOT_YET_VALID");
        assert_eq!(refused(Some(0), Some(0), DAY + 1), "TOKEN_CLAIMS");
        assert_eq!(refused(Some(-years), Some(-years), 60), "TOKEN_CLAIMS");
        assert_eq!(refused(Some(-years), Some(0), DAY), "ok");
        assert_eq!(refused(Some(0), Some(0), DAY), "ok");
    }

    #[test]
    fn what_is_no_time_is_named() {
        for (name, value) in [("exp", json!("soon")), ("iat", json!([1])), ("nbf", json!(1e300)), ("exp", json!(-1))] {
            let mut body = json!({"iat": 1, "nbf": 1, "exp": 2});
            body[name] = value;
            let error = Times::read(&body).unwrap_err();
            assert_eq!(error.reason(), "TOKEN_CLAIMS");
            assert!(error.message().contains(name), "{error}");
        }
    }
}
