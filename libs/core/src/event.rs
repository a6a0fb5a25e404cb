//! The audit event: what a service records about one state change, in the same transaction.
//!
//! The audit service refuses an event that breaks a bound, and what it refuses is missing from the log. So
//! [`AuditEvent::encode`] holds the same bounds where the change is made: the caller is told, and nothing
//! changes. A test holds the two against each other.

use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::digest;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How an audited action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// The state changed as asked.
    Success,
    /// A rule refused the action, and the refusal itself is recorded.
    Denied,
    /// The action was tried and failed.
    Failure,
}

/// Personal data of one subject: kept apart, encrypted under that subject's key, and erasable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalData {
    /// A pseudonymous reference such as `leads/lead-00001`; it is not itself erased.
    pub subject: String,
    /// The fields.
    pub fields: BTreeMap<String, String>,
}

/// One state change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Unique within the tenant; a resend of the same event keeps it.
    pub id: String,
    /// Who acted.
    pub actor: Actor,
    /// The permission of the method that acted, such as `registry.versions.suspend`, or the name of
    /// the timer that fired.
    pub action: String,
    /// The name of the resource that changed, such as `models/lead-scorer/versions/1`.
    pub resource: String,
    /// How it ended.
    pub outcome: Outcome,
    /// A coded or free reason; empty if none was given.
    #[serde(default)]
    pub reason: String,
    /// When the caller says that it happened.
    pub occurred_at: Timestamp,
    /// When the service recorded it.
    pub recorded_at: Timestamp,
    /// The caller's request id; empty if none.
    #[serde(default)]
    pub request_id: String,
    /// The W3C trace id, 32 hexadecimal digits; empty if none.
    #[serde(default)]
    pub trace_id: String,
    /// The recording service, such as `registry`.
    pub service: String,
    /// The decision policy version that took part; empty if none.
    #[serde(default)]
    pub policy_version: String,
    /// The model version that took part; empty if none.
    #[serde(default)]
    pub model_version: String,
    /// The digest of the resource before, empty for a creation.
    #[serde(default)]
    pub before_digest: String,
    /// The digest of the resource after, empty for a deletion.
    #[serde(default)]
    pub after_digest: String,
    /// What else is worth knowing, without personal data.
    #[serde(default)]
    pub details: serde_json::Value,
    /// Personal data, apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal: Option<PersonalData>,
}

/// The most bytes of one leaf of the log: the length prefix of tlog-tiles entry bundles has 16 bits.
pub const MAX_LEAF: usize = 65_535;

/// The most bytes of an event as JSON, its personal fields aside. A leaf says the same in at most 350 bytes
/// more: times are written out, and it has a version, its number, the log's own time and the digest of the personal fields.
pub const MAX_EVENT: usize = MAX_LEAF - 350;

/// The longest details, in characters of JSON, and how deep they may be nested.
pub const MAX_DETAILS: usize = 61_440;
const MAX_DEPTH: usize = 100;

/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z, the range of google.protobuf.Timestamp.
const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

fn refused(field: &str, why: impl std::fmt::Display) -> Error {
    Error::invalid("AUDIT_EVENT_INVALID", format!("audit_event.{field}"), why.to_string())
}

fn bounded(field: &str, text: &str, least: usize, most: usize) -> Result<()> {
    let fits = text.len() >= least && (text.len() <= most || text.chars().count() <= most);
    if fits && !text.contains('\0') {
        return Ok(());
    }
    Err(refused(field, format_args!("must be {least} to {most} characters other than U+0000")))
}

fn words(field: &str, words: &[String]) -> Result<()> {
    if words.len() > 32 {
        return Err(refused(field, "must be at most 32"));
    }
    words.iter().try_for_each(|word| bounded(field, word, 1, 63))
}

fn depth_ok(value: &serde_json::Value, left: usize) -> bool {
    let inner = |value| left > 0 && depth_ok(value, left - 1);
    match value {
        serde_json::Value::Array(items) => items.iter().all(inner),
        serde_json::Value::Object(members) => members.values().all(inner),
        _ => true,
    }
}

impl AuditEvent {
    /// The event as JSON, once it is sure that the audit service will not refuse it.
    ///
    /// # Errors
    /// `InvalidArgument` (`AUDIT_EVENT_INVALID`), naming the field, or (`ENTRY_TOO_LARGE`).
    pub fn encode(&self) -> Result<String> {
        self.check()?;
        let text = serde_json::to_string(self)
            .map_err(|error| Error::internal("an audit event could not be encoded").with_source(error))?;
        let personal = self.personal.as_ref().filter(|_| text.len() > MAX_EVENT);
        let fields = personal.and_then(|personal| serde_json::to_string(&personal.fields).ok());
        let length = text.len() - fields.map_or(0, |fields| fields.len());
        if length > MAX_EVENT {
            let why =
                format!("what is to be recorded takes {length} bytes, the limit is {MAX_EVENT}: send less at once");
            return Err(Error::invalid("ENTRY_TOO_LARGE", "audit_event", why));
        }
        if text.len() > MAX_DETAILS && self.details.to_string().chars().count() > MAX_DETAILS {
            let why = format!("must be at most {MAX_DETAILS} characters: send less at once");
            return Err(Error::invalid("ENTRY_TOO_LARGE", "audit_event.details", why));
        }
        Ok(text)
    }

    fn check(&self) -> Result<()> {
        bounded("id", &self.id, 1, 100)?;
        bounded("actor.subject", &self.actor.subject, 1, 200)?;
        bounded("actor.on_behalf_of", self.actor.on_behalf_of.as_deref().unwrap_or_default(), 0, 200)?;
        words("actor.roles", &self.actor.roles)?;
        words("actor.role_groups", &self.actor.role_groups)?;
        bounded("action", &self.action, 1, 100)?;
        bounded("resource", &self.resource, 1, 500)?;
        bounded("reason", &self.reason, 0, 2_000)?;
        bounded("request_id", &self.request_id, 0, 100)?;
        bounded("service", &self.service, 1, 63)?;
        bounded("policy_version", &self.policy_version, 0, 300)?;
        bounded("model_version", &self.model_version, 0, 300)?;
        for (field, at) in [("occurred_at", self.occurred_at), ("recorded_at", self.recorded_at)] {
            if !TIMES.contains(&at.0) {
                return Err(refused(field, "must be a time in the years 1 to 9999"));
            }
        }
        let trace = self.trace_id.as_bytes();
        if !(trace.is_empty() || trace.len() == 32 && trace.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))) {
            return Err(refused("trace_id", "must be 32 lowercase hexadecimal digits"));
        }
        for (field, text) in [("before_digest", &self.before_digest), ("after_digest", &self.after_digest)] {
            if !(text.is_empty() || digest::is_digest(text)) {
                return Err(refused(field, "must be sha256: and 64 lowercase hexadecimal digits"));
            }
        }
        if !depth_ok(&self.details, MAX_DEPTH) {
            return Err(refused("details", format_args!("must be nested at most {MAX_DEPTH} deep")));
        }
        let Some(personal) = &self.personal else { return Ok(()) };
        bounded("personal.subject", &personal.subject, 1, 200)?;
        if !(1..=64).contains(&personal.fields.len()) {
            return Err(refused("personal.fields", "must be 1 to 64"));
        }
        personal.fields.iter().try_for_each(|(name, value)| {
            bounded("personal.fields", name, 1, 100)?;
            bounded("personal.fields", value, 0, 4_096)
        })
    }
}
