//! `remit_core::Error` to `tonic::Status` and back: the only such map.

use crate::{context, telemetry};
use remit_core::{Error, Kind};
use std::collections::HashMap;
use std::error::Error as _;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The domain of every reason that this suite gives.
pub const DOMAIN: &str = "remit";

/// What a caller reads instead of the cause of a defect.
pub const INTERNAL_TEXT: &str = "an internal error; report the trace id";

/// The gRPC code of a kind.
pub fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::Conflict => Code::Aborted,
        Kind::ResourceExhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::Internal => Code::Internal,
    }
}

/// Makes the status that a caller sees, with `google.rpc.ErrorInfo` (the reason, and the trace id in
/// its metadata), `BadRequest` for refused fields and `RetryInfo` where waiting helps.
///
/// A defect or an unreachable dependency is logged here, once, with its sources; they are never sent. Refusals of
/// identity and permission are counted here, by reason: in the metric `remit.refusals`.
pub fn to_status(error: Error) -> Status {
    let trace_id = context::trace_id();
    match error.kind() {
        Kind::Internal => {
            tracing::error!(
                trace_id,
                reason = error.reason(),
                error = error.message(),
                cause = causes(&error),
                "internal error"
            );
        }
        Kind::Unavailable => {
            tracing::warn!(
                trace_id,
                reason = error.reason(),
                error = error.message(),
                cause = causes(&error),
                "unavailable"
            );
        }
        Kind::Unauthenticated | Kind::PermissionDenied => telemetry::refused(error.reason()),
        Kind::InvalidArgument
        | Kind::NotFound
        | Kind::AlreadyExists
        | Kind::FailedPrecondition
        | Kind::Conflict
        | Kind::ResourceExhausted
        | Kind::DeadlineExceeded => {}
    }
    let mut info = HashMap::new();
    if !trace_id.is_empty() {
        info.insert("trace_id".to_owned(), trace_id);
    }
    let mut details = ErrorDetails::new();
    details.set_error_info(error.reason(), DOMAIN, info);
    if !error.violations().is_empty() {
        let fields = error.violations().iter();
        details.set_bad_request(
            fields.map(|field| FieldViolation::new(&field.field, &field.description)).collect::<Vec<_>>(),
        );
    }
    if let Some(wait) = error.retry_after() {
        details.set_retry_info(Some(wait));
    }
    let message = if error.kind() == Kind::Internal { INTERNAL_TEXT } else { error.message() };
    Status::with_error_details(code(error.kind()), bounded(message), details)
}

/// The whole chain of causes as one line, for the log.
fn causes(error: &Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// A status travels in a header, and headers are bounded; details hold the rest.
fn bounded(message: &str) -> String {
    const MOST: usize = 2_000;
    if message.len() <= MOST {
        return message.to_owned();
    }
    let end = (0..=MOST).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &message[..end])
}

/// Reads the status of another service as an error of ours: kind, reason, message and refused fields,
/// never its metadata.
///
/// Codes that say that our own call was wrong (unauthenticated, unimplemented, …) become `Internal`:
/// the caller cannot act on them.
pub fn foreign(status: Status) -> Error {
    let kind = match status.code() {
        Code::InvalidArgument | Code::OutOfRange => Kind::InvalidArgument,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists => Kind::AlreadyExists,
        Code::FailedPrecondition => Kind::FailedPrecondition,
        Code::PermissionDenied => Kind::PermissionDenied,
        Code::Aborted => Kind::Conflict,
        Code::ResourceExhausted => Kind::ResourceExhausted,
        Code::Unavailable | Code::Cancelled => Kind::Unavailable,
        Code::DeadlineExceeded => Kind::DeadlineExceeded,
        // So end our own streams, which live no longer than their token: the next call has another.
        Code::Unauthenticated if reason(&status) == "TOKEN_EXPIRED" => Kind::Unavailable,
        // What has a source was said by nobody: the connection broke, and whether the call was done is not known.
        Code::Unknown | Code::Internal if std::error::Error::source(&status).is_some() => Kind::Unavailable,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss | Code::Unauthenticated | Code::Unimplemented => {
            let code = status.code();
            return Error::internal(format!("a service answered {code:?}: {}", status.message())).with_source(status);
        }
    };
    let details = status.get_error_details();
    let reason =
        details.error_info().filter(|info| info.domain == DOMAIN).map_or("PEER_FAILED", |info| intern(&info.reason));
    let mut error = Error::new(kind, reason, status.message());
    for field in details.bad_request().iter().flat_map(|bad| &bad.field_violations) {
        error = error.with_violation(&field.field, &field.description);
    }
    if let Some(wait) = details.retry_info().and_then(|retry| retry.retry_delay) {
        error = error.with_retry_after(wait.min(Duration::from_secs(3_600)));
    }
    error.with_source(status)
}

/// Reads what ended a stream of requests as an error of ours. What is wrong with its bytes is the caller's doing, also
/// where gRPC itself calls it internal, and a refusal of one of its messages says so itself.
pub fn received(status: Status) -> Error {
    let text = || format!("a message of the stream cannot be read: {}", status.message());
    match status.code() {
        Code::Internal | Code::Unknown | Code::DataLoss => {
            Error::new(Kind::InvalidArgument, "MESSAGE_MALFORMED", text())
        }
        Code::OutOfRange => Error::new(Kind::ResourceExhausted, "MESSAGE_TOO_LARGE", text()),
        _ => foreign(status),
    }
}

/// The reason of a status, empty if it carries none.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Reasons are few and come from our own services, so keeping each one once is bounded; a peer that
/// sent thousands would get a fixed one.
fn intern(reason: &str) -> &'static str {
    use std::collections::BTreeSet;
    use std::sync::{LazyLock, Mutex, PoisonError};
    static KNOWN: LazyLock<Mutex<BTreeSet<&'static str>>> = LazyLock::new(|| Mutex::new(BTreeSet::new()));
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(reason) {
        return found;
    }
    let plain = reason.len() <= 63 && reason.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if known.len() >= 2_000 || !plain || reason.is_empty() {
        return "PEER_FAILED";
    }
    let kept: &'static str = Box::leak(reason.to_owned().into_boxed_str());
    known.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const KINDS: [Kind; 11] = [
        Kind::InvalidArgument,
        Kind::Unauthenticated,
        Kind::PermissionDenied,
        Kind::NotFound,
        Kind::AlreadyExists,
        Kind::FailedPrecondition,
        Kind::Conflict,
        Kind::ResourceExhausted,
        Kind::Unavailable,
        Kind::DeadlineExceeded,
        Kind::Internal,
    ];

    #[test]
    fn every_kind_survives_the_way_there_and_back() {
        for kind in KINDS {
            let error = Error::new(kind, "SOME_REASON", "what happened")
                .with_violation("task.ratings[2].risk", "must be 1 to 5")
                .with_retry_after(Duration::from_secs(2));
            let back = foreign(to_status(error));
            if matches!(kind, Kind::Internal | Kind::Unauthenticated) {
                assert_eq!(back.kind(), Kind::Internal);
                continue;
            }
            assert_eq!((back.kind(), back.reason(), back.message()), (kind, "SOME_REASON", "what happened"));
            assert_eq!(back.violations()[0].field, "task.ratings[2].risk");
            assert_eq!(back.retry_after(), Some(Duration::from_secs(2)));
        }
    }

    #[test]
    fn a_call_of_ours_that_outlived_its_token_can_be_made_again() {
        let expired = Error::new(Kind::Unauthenticated, "TOKEN_EXPIRED", "the token has expired");
        let back = foreign(to_status(expired));
        assert_eq!((back.kind(), back.reason()), (Kind::Unavailable, "TOKEN_EXPIRED"));
    }

    #[tokio::test]
    async fn what_the_connection_broke_can_be_tried_again() {
        // Whoever accepts and hangs up says nothing about the call.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hanging_up = tokio::spawn(async move {
            loop {
                drop(listener.accept().await);
            }
        });
        let channel = tonic::transport::Endpoint::from_shared(url).unwrap().connect_lazy();
        let mut client = remit_api::system::v1::system_service_client::SystemServiceClient::new(channel);
        let status = client.get_info(remit_api::system::v1::GetInfoRequest {}).await.unwrap_err();
        let error = foreign(status);
        assert_eq!((error.kind(), error.reason()), (Kind::Unavailable, "PEER_FAILED"), "{error}");
        hanging_up.abort();
        // A peer that says that it does not know is believed.
        assert_eq!(foreign(Status::unknown("what?")).kind(), Kind::Internal);
    }

    #[test]
    fn a_defect_shows_a_fixed_text_and_no_cause() {
        let error = Error::internal("row 17 is broken").with_source(std::io::Error::other("password hunter2"));
        let status = to_status(error);
        assert_eq!(status.message(), INTERNAL_TEXT);
        let seen = format!("{:?} {}", status.metadata(), String::from_utf8_lossy(status.details()));
        assert!(!seen.contains("hunter2") && !seen.contains("row 17"));
        assert_eq!(reason(&status), "INTERNAL");
    }

    #[test]
    fn a_foreign_status_leaves_its_metadata_behind() {
        let mut status = Status::not_found("tasks/x does not exist");
        status.metadata_mut().insert("set-cookie", "a=b".parse().unwrap());
        assert!(to_status(foreign(status)).metadata().is_empty());
    }

    #[test]
    fn what_a_caller_streams_wrongly_is_no_defect() {
        let of = |status: Status| {
            let error = received(status);
            (error.kind(), error.reason())
        };
        assert_eq!(of(Status::internal("Unexpected EOF")), (Kind::InvalidArgument, "MESSAGE_MALFORMED"));
        assert_eq!(of(Status::out_of_range("5 MiB")), (Kind::ResourceExhausted, "MESSAGE_TOO_LARGE"));
        let refused = to_status(Error::invalid("FIELD_INVALID", "events[2].kpi", "is required"));
        assert_eq!(of(refused.clone()), (Kind::InvalidArgument, "FIELD_INVALID"));
        assert_eq!(received(refused).violations()[0].field, "events[2].kpi");
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let status = to_status(Error::precondition("LONG", "é".repeat(3_000)));
        assert!(status.message().len() < 2_010);
    }
}
