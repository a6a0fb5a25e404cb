//! Exit codes that mean something, the same for every command.

use crate::cli::{safe, safe_json};
use remit_core::{Error, Kind};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::ExitCode;

/// The codes: 0 done, 1 failed, 2 wrong usage or wrong input, 3 refused in the present state, 4 not allowed,
/// 5 not found, 6 not reachable: try again.
fn code(error: &Error) -> u8 {
    match error.kind() {
        Kind::InvalidArgument => 2,
        Kind::FailedPrecondition | Kind::AlreadyExists | Kind::Conflict => 3,
        Kind::Unauthenticated | Kind::PermissionDenied => 4,
        Kind::NotFound => 5,
        Kind::Unavailable | Kind::ResourceExhausted | Kind::DeadlineExceeded => 6,
        Kind::Internal => 1,
    }
}

/// Writes the error to standard error, for a person or as `json`, and returns its code. The causes belong to it: at
/// the command line the reader is the operator.
pub fn report(error: &Error, json: bool) -> ExitCode {
    let text = if json { safe_json(&format!("{:#}", value(error))) } else { text(error) };
    // There is nobody left to tell that it cannot be told.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code(error))
}

/// Says that the command line cannot be understood, or the help that was asked for, and returns its code.
pub fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        return report(&misused(&error.to_string()), json);
    }
    // There is nobody left to tell that it cannot be told.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// What is wrong with a command line, of a text that also shows how it is used.
fn misused(text: &str) -> Error {
    let what = text.split("\n\nUsage:").next().unwrap_or(text).split("\n\nFor more").next().unwrap_or(text);
    let words = what.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ");
    Error::new(Kind::InvalidArgument, "USAGE_INVALID", format!("{words}; see --help"))
}

/// What an error comes of, the nearest cause first.
pub(crate) fn causes(error: &Error) -> Vec<String> {
    let first = std::error::Error::source(error);
    std::iter::successors(first, |cause| cause.source()).map(ToString::to_string).collect()
}

fn text(error: &Error) -> String {
    // A server's words may hold anything: a line of theirs must not look like one of ours.
    let told = |text: String| safe(&text).replace('\n', "\n    ");
    let because = causes(error).into_iter().map(|cause| format!("\n  because: {}", told(cause)));
    format!("remit: {} ({})", told(error.to_string()), error.reason()) + &because.collect::<String>()
}

fn value(error: &Error) -> Value {
    let fields = error.violations().iter().map(|field| json!({"field": field.field, "description": field.description}));
    json!({"error": {
        "reason": error.reason(),
        "message": error.message(),
        "fields": fields.collect::<Vec<_>>(),
        "causes": causes(error),
        "exitCode": code(error),
    }})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn an_error_says_the_same_to_people_and_to_programs() {
        let error =
            Error::invalid("TIME_INVALID", "range", "must be FROM..TO").with_source(std::io::Error::other("no number"));
        assert_eq!(text(&error), "remit: range: must be FROM..TO (TIME_INVALID)\n  because: no number");
        let value = &value(&error)["error"];
        assert_eq!((&value["reason"], &value["exitCode"]), (&json!("TIME_INVALID"), &json!(2)));
        assert_eq!(value["fields"][0]["field"], "range");
        assert_eq!(value["causes"], json!(["no number"]));
    }

    #[test]
    fn a_wrong_command_line_is_an_error_like_others_for_a_program() {
        let wrong = crate::args::Cli::command().try_get_matches_from(["remit", "task", "lst", "--json"]).unwrap_err();
        let error = misused(&wrong.to_string());
        assert_eq!((code(&error), error.reason()), (2, "USAGE_INVALID"));
        assert!(
            error.message().contains("unrecognized subcommand 'lst'") && error.message().contains("'list'"),
            "{error}"
        );
        assert!(!error.message().contains("Usage"), "{error}");
    }

    #[test]
    fn what_a_server_says_cannot_clear_the_refusal_or_fake_a_line() {
        let lie = "x\u{1b}[2J\u{9b}1A\u{202e}\rremit: fine\nverified  yes";
        let told = text(&Error::precondition("LOG_REFUSED", lie));
        assert!(!told.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\r']), "{told:?}");
        assert!(told.contains("\n    verified  yes"), "{told:?}");
        let json = safe_json(&value(&Error::precondition("LOG_REFUSED", lie)).to_string());
        assert!(!json.contains(['\u{1b}', '\u{9b}', '\u{202e}']) && json.contains("\\u009b"), "{json}");
        let read = serde_json::from_str::<Value>(&json).unwrap_or_default();
        assert_eq!(read["error"]["message"], lie, "it is JSON still");
    }
}
