//! Exit codes that mean something, the same for every command.

use remit_core::{Error, Kind};
use std::process::ExitCode;

/// The codes: 0 done, 1 failed, 2 wrong usage or wrong input, 3 refused in the present state, 4 not allowed,
/// 5 not found, 6 not reachable: try again.
pub fn code(error: &Error) -> u8 {
    match error.kind() {
        Kind::InvalidArgument => 2,
        Kind::FailedPrecondition | Kind::AlreadyExists | Kind::Conflict => 3,
        Kind::Unauthenticated | Kind::PermissionDenied => 4,
        Kind::NotFound => 5,
        Kind::Unavailable | Kind::ResourceExhausted | Kind::DeadlineExceeded => 6,
        Kind::Internal => 1,
    }
}

/// Writes the error for a person and returns its code. The causes follow, each on a line of its own: at
/// the command line the reader is the operator.
pub fn report(error: &Error) -> ExitCode {
    eprintln!("remit: {error} ({})", error.reason());
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        eprintln!("  because: {inner}");
        cause = inner.source();
    }
    ExitCode::from(code(error))
}
