//! The audit event: what a service records about one state change, in the same transaction.

use crate::actor::Actor;
use crate::clock::Timestamp;
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
