//! What gRPC's own code refuses, said as everything else is: with a reason, and with the code that fits.

use super::body;
use crate::context::Scope;
use crate::status::DOMAIN;
use http::{HeaderMap, HeaderValue};
use tonic::body::Body;
use tonic::{Code, Status};

/// A failure that has no kind among our errors, because only gRPC itself has it.
fn unimplemented(reason: &str, text: String, scope: &Scope) -> Status {
    let mut details = tonic_types::ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, [("trace_id".to_owned(), scope.trace.id())]);
    <Status as tonic_types::StatusExt>::with_error_details(Code::Unimplemented, text, details)
}

/// The answer to a call of a method that there is not.
pub(super) fn unknown_method(path: &str, scope: &Scope) -> http::Response<Body> {
    let path: String = path.chars().take(200).collect();
    unimplemented("METHOD_UNKNOWN", format!("there is no method {path}"), scope).into_http()
}

/// The answer to a request that is compressed, if it is. Nothing is decompressed here: what is sent is small, and what it
/// grows to when it is opened would have to be bounded again.
pub(super) fn compressed(headers: &HeaderMap, scope: &Scope) -> Option<http::Response<Body>> {
    let encoding = headers.get("grpc-encoding").filter(|encoding| encoding.as_bytes() != b"identity")?;
    let encoding: String = String::from_utf8_lossy(encoding.as_bytes()).chars().take(40).collect();
    let text = format!("requests compressed with {encoding:?} are not taken: send them as they are (identity)");
    let mut answer = unimplemented("ENCODING_UNSUPPORTED", text, scope).into_http();
    answer.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
    Some(answer)
}

/// Adds a reason to a failure that gRPC itself reports without one, so that every failure has one; and gives a request
/// that is too large the code of a bound that was reached.
pub(super) fn explain(headers: HeaderMap, scope: &Scope) -> HeaderMap {
    let failed = headers.get("grpc-status").is_some_and(|code| code.as_bytes() != b"0");
    if !failed || headers.contains_key("grpc-status-details-bin") {
        return headers;
    }
    let Some(status) = Status::from_header_map(&headers) else { return headers };
    let (code, reason) = match status.code() {
        Code::Ok => return headers,
        // gRPC's own code says so of a message beyond the bound, which it names; nothing here ever does.
        Code::OutOfRange => (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        Code::Unimplemented => (Code::Unimplemented, "METHOD_UNKNOWN"),
        Code::InvalidArgument => (Code::InvalidArgument, "MESSAGE_MALFORMED"),
        Code::Cancelled => (Code::Cancelled, "CANCELLED"),
        Code::Unavailable => (Code::Unavailable, "UNAVAILABLE"),
        Code::ResourceExhausted => (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
        code @ (Code::Internal | Code::Unknown | Code::DataLoss) => (code, "TRANSPORT_FAILED"),
        Code::DeadlineExceeded => (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        Code::NotFound => (Code::NotFound, "NOT_FOUND"),
        Code::AlreadyExists => (Code::AlreadyExists, "ALREADY_EXISTS"),
        Code::PermissionDenied => (Code::PermissionDenied, "PERMISSION_DENIED"),
        Code::Unauthenticated => (Code::Unauthenticated, "UNAUTHENTICATED"),
        Code::FailedPrecondition => (Code::FailedPrecondition, "FAILED_PRECONDITION"),
        Code::Aborted => (Code::Aborted, "ABORTED"),
    };
    let mut details = tonic_types::ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, [("trace_id".to_owned(), scope.trace.id())]);
    let status = <Status as tonic_types::StatusExt>::with_error_details_and_metadata(
        code,
        status.message(),
        details,
        status.metadata().clone(),
    );
    let mut with = body::trailers(&status);
    if let Some(kind) = headers.get(http::header::CONTENT_TYPE) {
        with.insert(http::header::CONTENT_TYPE, kind.clone());
    }
    if let Some(id) = headers.get("x-trace-id") {
        with.insert("x-trace-id", id.clone());
    }
    with
}
