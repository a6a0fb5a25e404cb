//! The bytes that are hashed: one line of JSON, specified in `docs/audit.md`.
//!
//! Members stand in the order of the fields below, empty ones are left out, there is no white space
//! between tokens, and strings escape only `"`, `\` and the control characters below U+0020. A verifier
//! needs none of this: it hashes the line as it finds it.

use crate::details;
use prost_types::Timestamp as ProtoTime;
use remit_api::audit::v1 as api;
use remit_api::types;
use remit_api::wire::time::{of, stamp};
use remit_core::{Error, Result, Timestamp, digest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::num::NonZeroU64;

pub use remit_core::event::MAX_LEAF;

/// The version of the encoding, the first member of every leaf.
pub const VERSION: u8 = 1;

/// A leaf of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    v: u8,
    /// The event id.
    pub id: String,
    occurred_at: String,
    recorded_at: String,
    integrated_at: String,
    /// Who acted.
    pub actor: LeafActor,
    /// What was done.
    pub action: String,
    /// To what.
    pub resource: String,
    /// `SUCCESS`, `DENIED` or `FAILURE`.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    /// The caller's request id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The W3C trace id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// The recording service.
    pub service: String,
    /// The number of the event in that service's outbox, if it came through one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<NonZeroU64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    policy_version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    model_version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    before_digest: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    after_digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details: Option<Box<RawValue>>,
    /// The commitment to personal data kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal: Option<LeafPersonal>,
}

/// Who acted, within a leaf.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafActor {
    /// The subject of the token.
    pub subject: String,
    /// `human`, `ai` or `service`.
    pub kind: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    role_groups: Vec<String>,
    /// On whose behalf a service acted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub on_behalf_of: String,
}

/// The commitment to sealed personal data, within a leaf.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafPersonal {
    /// The pseudonymous reference.
    pub subject: String,
    /// The digest of the sealed data, `sha256:` and hexadecimal digits.
    pub digest: String,
}

const OUTCOMES: [(&str, api::Outcome); 3] =
    [("SUCCESS", api::Outcome::Success), ("DENIED", api::Outcome::Denied), ("FAILURE", api::Outcome::Failure)];

const KINDS: [(&str, types::ActorKind); 3] =
    [("human", types::ActorKind::Human), ("ai", types::ActorKind::Ai), ("service", types::ActorKind::Service)];

/// The outcome that a leaf or column names.
pub fn outcome(word: &str) -> api::Outcome {
    OUTCOMES.iter().find(|(known, _)| *known == word).map_or(api::Outcome::Unspecified, |(_, outcome)| *outcome)
}

/// The kind of actor that a leaf or column names.
pub fn actor_kind(word: &str) -> types::ActorKind {
    KINDS.iter().find(|(known, _)| *known == word).map_or(types::ActorKind::Unspecified, |(_, kind)| *kind)
}

impl Leaf {
    /// Takes the fields of an event; its personal data is committed to with [`Leaf::commit_to`].
    ///
    /// # Errors
    /// `InvalidArgument`, naming the field below `field`, for a time outside the years 1 to 9999
    /// (`TIME_OUT_OF_RANGE`), unknown kinds and outcomes, and details that are not JSON (`DETAILS_INVALID`).
    pub fn new(event: &api::Event, field: &str) -> Result<Self> {
        let at = |name: &str| format!("{field}.{name}");
        let actor = event.actor.clone().unwrap_or_default();
        let kind = KINDS.iter().find(|(_, kind)| *kind == actor.kind()).map(|(word, _)| (*word).to_owned());
        let outcome =
            OUTCOMES.iter().find(|(_, outcome)| *outcome == event.outcome()).map(|(word, _)| (*word).to_owned());
        Ok(Self {
            v: VERSION,
            id: event.id.clone(),
            occurred_at: write_time(event.occurred_at.as_ref(), || at("occurred_at"))?,
            recorded_at: write_time(event.recorded_at.as_ref(), || at("recorded_at"))?,
            integrated_at: String::new(),
            actor: LeafActor {
                subject: actor.subject,
                kind: kind.ok_or_else(|| Error::invalid("FIELD_REQUIRED", at("actor.kind"), "must be given"))?,
                roles: event.actor_roles.clone(),
                role_groups: actor.role_groups,
                on_behalf_of: actor.on_behalf_of,
            },
            action: event.action.clone(),
            resource: event.resource.clone(),
            outcome: outcome.ok_or_else(|| Error::invalid("FIELD_REQUIRED", at("outcome"), "must be given"))?,
            reason: event.reason.clone(),
            request_id: event.request_id.clone(),
            trace_id: event.trace_id.clone(),
            service: event.service.clone(),
            seq: u64::try_from(event.seq).ok().and_then(NonZeroU64::new),
            policy_version: event.policy_version.clone(),
            model_version: event.model_version.clone(),
            before_digest: event.before_digest.clone(),
            after_digest: event.after_digest.clone(),
            details: details::canonical(&event.details_json)
                .map_err(|why| Error::invalid("DETAILS_INVALID", at("details_json"), why))?,
            personal: None,
        })
    }

    /// The same, taken into the log at this time of its own clock; a leaf without one is none yet.
    ///
    /// # Errors
    /// `InvalidArgument` (`TIME_OUT_OF_RANGE`) outside the years 1 to 9999.
    pub fn integrated(mut self, at: Timestamp) -> Result<Self> {
        self.integrated_at = write_time(Some(&stamp(at)), || "integrated_at".to_owned())?;
        Ok(self)
    }

    /// The same, taken in when `other` was.
    #[must_use]
    pub fn integrated_with(mut self, other: &Self) -> Self {
        self.integrated_at.clone_from(&other.integrated_at);
        self
    }

    /// When the log took it in, by its own clock; none if it is none yet.
    pub fn integrated_at(&self) -> Option<Timestamp> {
        read_time(&self.integrated_at).ok()
    }

    /// The same, recorded when `other` was.
    #[must_use]
    pub fn recorded_with(mut self, other: &Self) -> Self {
        self.recorded_at.clone_from(&other.recorded_at);
        self
    }

    /// Commits to sealed personal data.
    #[must_use]
    pub fn commit_to(mut self, subject: &str, sealed: &[u8]) -> Self {
        self.personal = Some(LeafPersonal { subject: subject.to_owned(), digest: digest::sha256(sealed) });
        self
    }

    /// The line.
    ///
    /// # Errors
    /// `Internal` if it cannot be written, which no value of this type causes.
    pub fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::internal("a leaf could not be encoded").with_source(error))
    }

    /// Reads a line, and checks that it is the one encoding of what it says.
    ///
    /// # Errors
    /// Why it is not, in words.
    pub fn decode(line: &[u8]) -> Result<Self, String> {
        let leaf: Self = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if leaf.v != VERSION {
            return Err(format!("encoding version {} is not known", leaf.v));
        }
        leaf.times()?;
        read_time(&leaf.integrated_at)?;
        let again = serde_json::to_vec(&leaf).map_err(|error| error.to_string())?;
        if again == line { Ok(leaf) } else { Err("not the canonical encoding".to_owned()) }
    }

    /// `occurred_at` and `recorded_at`.
    ///
    /// # Errors
    /// Why the text of one is no time.
    pub fn times(&self) -> Result<(Timestamp, Timestamp), String> {
        Ok((read_time(&self.occurred_at)?, read_time(&self.recorded_at)?))
    }

    /// The event, without personal fields.
    pub fn to_event(&self) -> api::Event {
        let time = |text: &str| read_time(text).ok().map(stamp);
        api::Event {
            id: self.id.clone(),
            actor: Some(types::Actor {
                subject: self.actor.subject.clone(),
                kind: actor_kind(&self.actor.kind).into(),
                role_groups: self.actor.role_groups.clone(),
                on_behalf_of: self.actor.on_behalf_of.clone(),
            }),
            actor_roles: self.actor.roles.clone(),
            action: self.action.clone(),
            resource: self.resource.clone(),
            outcome: outcome(&self.outcome).into(),
            reason: self.reason.clone(),
            occurred_at: time(&self.occurred_at),
            recorded_at: time(&self.recorded_at),
            request_id: self.request_id.clone(),
            trace_id: self.trace_id.clone(),
            service: self.service.clone(),
            seq: self.seq.map_or(0, |seq| i64::try_from(seq.get()).unwrap_or(i64::MAX)),
            policy_version: self.policy_version.clone(),
            model_version: self.model_version.clone(),
            before_digest: self.before_digest.clone(),
            after_digest: self.after_digest.clone(),
            details_json: self.details.as_ref().map(|details| details.get().to_owned()).unwrap_or_default(),
            personal: None,
        }
    }

    /// Why, as the caller or the rule said.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The decision policy version that took part; empty if none.
    pub fn policy_version(&self) -> &str {
        &self.policy_version
    }

    /// The model version that took part; empty if none.
    pub fn model_version(&self) -> &str {
        &self.model_version
    }

    /// The details as text; empty if none.
    pub fn details(&self) -> &str {
        self.details.as_ref().map_or("", |details| details.get())
    }
}

/// The API's time in microseconds; what is finer is cut off.
///
/// # Errors
/// `InvalidArgument` (`TIME_OUT_OF_RANGE`) outside the years 1 to 9999.
fn from_proto(time: &ProtoTime, field: impl FnOnce() -> String) -> Result<Timestamp> {
    // 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, the range of google.protobuf.Timestamp.
    let ok = (-62_135_596_800..=253_402_300_799).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
    if ok {
        Ok(of(time))
    } else {
        Err(Error::invalid("TIME_OUT_OF_RANGE", field(), "must be a time in the years 1 to 9999"))
    }
}

fn write_time(time: Option<&ProtoTime>, field: impl Fn() -> String) -> Result<String> {
    let time = time.ok_or_else(|| Error::invalid("FIELD_REQUIRED", field(), "must be given"))?;
    let at = jiff::tz::Offset::UTC.to_datetime(from_proto(time, &field)?.to_jiff());
    Ok(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.subsec_nanosecond() / 1_000
    ))
}

fn read_time(text: &str) -> Result<Timestamp, String> {
    if text.len() != 27 || !text.ends_with('Z') {
        return Err(format!("{text:?} is not a time with microseconds in UTC"));
    }
    text.parse::<jiff::Timestamp>().map(Timestamp::from).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event() -> api::Event {
        api::Event {
            id: "evt-1".into(),
            actor: Some(types::Actor {
                subject: "ann@example.com".into(),
                kind: types::ActorKind::Human.into(),
                role_groups: vec!["legal".into()],
                on_behalf_of: String::new(),
            }),
            actor_roles: vec!["reviewer".into()],
            action: "registry.versions.suspend".into(),
            resource: "models/lead-scorer/versions/1".into(),
            outcome: api::Outcome::Success.into(),
            reason: "drift \"significant\" \u{e9}\u{1}".into(),
            occurred_at: Some(ProtoTime { seconds: 1_226_275_200, nanos: 5_000 }),
            recorded_at: Some(ProtoTime { seconds: 1_226_275_201, nanos: 999_999_999 }),
            request_id: "req-1".into(),
            trace_id: String::new(),
            service: "registry".into(),
            details_json: "{ \"psi\" : 0.310,\n\"bins\": [1, 2] }".into(),
            ..api::Event::default()
        }
    }

    fn leaf(event: &api::Event) -> Leaf {
        Leaf::new(event, "event").unwrap().integrated(Timestamp(1_226_275_202_000_007)).unwrap()
    }

    /// The vector of `docs/audit.md`.
    #[test]
    fn golden_vector() {
        let leaf = leaf(&event()).commit_to("leads/lead-1", b"sealed");
        let line = String::from_utf8(leaf.encode().unwrap()).unwrap();
        assert_eq!(line, include_str!("../tests/golden/leaf.json").trim_end());
        let hash = remit_tlog::leaf_hash(line.as_bytes());
        assert_eq!(hash.to_string(), include_str!("../tests/golden/leaf.hash").trim_end());
    }

    #[test]
    fn a_leaf_reads_back_and_no_other_form_does() {
        let leaf = leaf(&event());
        let line = leaf.encode().unwrap();
        let back = Leaf::decode(&line).unwrap();
        let mut expected = event();
        expected.details_json = "{\"psi\":0.310,\"bins\":[1,2]}".into();
        expected.recorded_at = Some(ProtoTime { seconds: 1_226_275_201, nanos: 999_999_000 });
        assert_eq!(back.to_event(), expected);
        assert_eq!(back.integrated_at(), Some(Timestamp(1_226_275_202_000_007)));
        let numbered = self::leaf(&api::Event { seq: 7, ..event() }).encode().unwrap();
        assert_eq!(Leaf::decode(&numbered).unwrap().to_event().seq, 7);
        let text = String::from_utf8(line).unwrap();
        let with = text.replace("\"service\":\"registry\"", "\"service\":\"registry\",\"seq\":7");
        assert_eq!(String::from_utf8(numbered).unwrap(), with);
        for wrong in [
            with.replace(":7", ":0"),
            text.replace("\"v\":1", "\"v\":2"),
            text.replace(":1,", ": 1,"),
            text.replace("\"outcome\"", "\"outcomes\""),
            text.replace("2008-11-10T00:00:00.000005Z", "2008-11-10T00:00:00Z"),
            text.replace("\"integrated_at\":\"2008-11-10T00:00:02.000007Z\",", ""),
            text.replace("2008-11-10T00:00:02.000007Z", ""),
            text.replace("\u{e9}", "\\u00e9"),
            format!("{text} "),
        ] {
            assert_ne!(wrong, text);
            assert!(Leaf::decode(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn impossible_times_are_refused_by_name() {
        for wrong in
            [None, Some(ProtoTime { seconds: 253_402_300_800, nanos: 0 }), Some(ProtoTime { seconds: 0, nanos: -1 })]
        {
            let error = Leaf::new(&api::Event { occurred_at: wrong, ..event() }, "events[3]").unwrap_err();
            assert_eq!(error.violations()[0].field, "events[3].occurred_at");
        }
    }
}
