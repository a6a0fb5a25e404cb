//! The one error type of Remit and the small set of kinds a caller can act on.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The result of anything in Remit that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an error. A new kind needs a caller that acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong in itself; change it. gRPC `INVALID_ARGUMENT`.
    InvalidArgument,
    /// The caller is unknown. gRPC `UNAUTHENTICATED`.
    Unauthenticated,
    /// The caller is known and not allowed. gRPC `PERMISSION_DENIED`.
    PermissionDenied,
    /// The named resource does not exist in the caller's tenant. gRPC `NOT_FOUND`.
    NotFound,
    /// The resource, or the same request id with another body, exists already. gRPC `ALREADY_EXISTS`.
    AlreadyExists,
    /// The state must change first: a closed gate, a missing quorum. gRPC `FAILED_PRECONDITION`.
    FailedPrecondition,
    /// Another writer won; repeat the whole use case. gRPC `ABORTED`.
    Conflict,
    /// A bound was reached; wait, then resend with the same request id. gRPC `RESOURCE_EXHAUSTED`.
    ResourceExhausted,
    /// A dependency cannot be reached; safe to resend with the same request id. gRPC `UNAVAILABLE`.
    Unavailable,
    /// The deadline passed before the answer was ready. gRPC `DEADLINE_EXCEEDED`.
    DeadlineExceeded,
    /// A defect of ours; report the trace id. gRPC `INTERNAL`, with a fixed text.
    Internal,
}

/// One field of a request that was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field as in the proto file, for example `task.ratings[2].risk`.
    pub field: String,
    /// What the field must be.
    pub description: String,
}

/// An error with a kind for programs, a stable reason for documentation, a public message for
/// people, and a private source that is logged and never sent.
///
/// Messages are lowercase, without a full stop, and say what was being done to which id.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    reason: &'static str,
    message: String,
    violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Makes an error. `reason` is a stable UPPER_SNAKE_CASE code listed in `docs/errors.md`.
    pub fn new(kind: Kind, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, reason, message: message.into(), violations: Vec::new(), retry_after: None, source: None }
    }

    /// A request that is wrong in itself, naming the field.
    pub fn invalid(reason: &'static str, field: impl Into<String>, description: impl Into<String>) -> Self {
        let (field, description) = (field.into(), description.into());
        let mut error = Self::new(Kind::InvalidArgument, reason, format!("{field}: {description}"));
        error.violations.push(FieldViolation { field, description });
        error
    }

    /// A resource that the caller's tenant does not have.
    pub fn not_found(reason: &'static str, name: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, reason, format!("{name} does not exist"))
    }

    /// A state that must change before the request can succeed.
    pub fn precondition(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::FailedPrecondition, reason, message)
    }

    /// A caller that is known and not allowed.
    pub fn denied(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::PermissionDenied, reason, message)
    }

    /// A defect of ours. The message is logged; the caller sees a fixed text.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "INTERNAL", message)
    }

    /// Adds the cause, which is logged and never sent.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a refused field.
    #[must_use]
    pub fn with_violation(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.violations.push(FieldViolation { field: field.into(), description: description.into() });
        self
    }

    /// The same about a message that stands in `field` of a request: a rule names the fields of what it looks at,
    /// and a caller wants to know where in the request they are.
    #[must_use]
    pub fn within(mut self, field: &str) -> Self {
        for violation in &mut self.violations {
            let named = self.message.strip_prefix(violation.field.as_str()).filter(|rest| rest.starts_with(": "));
            if let Some(rest) = named {
                self.message = format!("{field}.{}{rest}", violation.field);
            }
            violation.field = format!("{field}.{}", violation.field);
        }
        self
    }

    /// The same about a `field` of a request that holds a document: where in it stands in the descriptions.
    #[must_use]
    pub fn inside(mut self, field: &str) -> Self {
        for violation in &mut self.violations {
            violation.description = format!("{}: {}", violation.field, violation.description);
            field.clone_into(&mut violation.field);
        }
        self
    }

    /// Says how long to wait before resending.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What the caller should do.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The stable code.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The public message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The refused fields, possibly none.
    pub fn violations(&self) -> &[FieldViolation] {
        &self.violations
    }

    /// How long to wait before resending, if known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_by_its_path_in_the_request() {
        let error = Error::invalid("CALENDAR_INVALID", "hours[0]", "is empty").within("calendar");
        assert_eq!(
            (error.message(), error.violations()[0].field.as_str()),
            ("calendar.hours[0]: is empty", "calendar.hours[0]")
        );
        let error = Error::invalid("POLICY_INVALID", "rules[1].when", "is no condition").inside("source");
        let violation = &error.violations()[0];
        assert_eq!(
            (violation.field.as_str(), violation.description.as_str()),
            ("source", "rules[1].when: is no condition")
        );
        assert_eq!(error.message(), "rules[1].when: is no condition");
    }
}
