//! Between API messages and the types of the core.

use prost::Message;
use remit_api::types::{Actor as ActorMessage, ActorKind as KindMessage};
use remit_core::{Actor, ActorKind, Error, Result, Timestamp, digest};
use std::time::Duration;

const MICROS: i64 = 1_000_000;
/// How far ahead of the clock a caller's time may lie: clocks differ, and so do time zones.
pub const AHEAD: Duration = Duration::from_secs(86_400);
/// How far back it may lie.
pub const BACK: Duration = Duration::from_secs(10 * 366 * 86_400);

/// The message for a time.
pub fn stamp(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.0.rem_euclid(MICROS) * 1_000;
    prost_types::Timestamp { seconds: time.0.div_euclid(MICROS), nanos: i32::try_from(nanos).unwrap_or(0) }
}

/// The time in a message.
///
/// # Errors
/// `InvalidArgument` (`TIME_INVALID`), naming `field`, if it is outside the years 1 to 9999.
pub fn time(stamp: &prost_types::Timestamp, field: &str) -> Result<Timestamp> {
    let fits =
        (-62_135_596_800..=253_402_300_799).contains(&stamp.seconds) && (0..1_000_000_000).contains(&stamp.nanos);
    if !fits {
        return Err(Error::invalid("TIME_INVALID", field, "must be a time between the years 1 and 9999"));
    }
    Ok(Timestamp(stamp.seconds * MICROS + i64::from(stamp.nanos) / 1_000))
}

/// When something happened: what the caller says, or now.
///
/// # Errors
/// `InvalidArgument` (`TIME_OUT_OF_RANGE`), naming `field`, if that is more than a day ahead of `now` or
/// more than ten years back.
pub fn occurred(stamp: Option<&prost_types::Timestamp>, now: Timestamp, field: &str) -> Result<Timestamp> {
    let Some(stamp) = stamp else { return Ok(now) };
    let at = time(stamp, field)?;
    let back = i64::try_from(BACK.as_micros()).unwrap_or(i64::MAX);
    if at > now.plus(AHEAD) || at.0 < now.0.saturating_sub(back) {
        return Err(Error::invalid(
            "TIME_OUT_OF_RANGE",
            field,
            format!("is {at}; must be at most one day ahead of {now} and at most ten years back"),
        ));
    }
    Ok(at)
}

/// The message for an actor.
pub fn actor(actor: &Actor) -> ActorMessage {
    let kind = match actor.kind {
        ActorKind::Human => KindMessage::Human,
        ActorKind::Ai => KindMessage::Ai,
        ActorKind::Service => KindMessage::Service,
    };
    ActorMessage {
        subject: actor.subject.clone(),
        kind: kind.into(),
        role_groups: actor.role_groups.clone(),
        on_behalf_of: actor.on_behalf_of.clone().unwrap_or_default(),
    }
}

/// A message stored by [`Message::encode_to_vec`].
///
/// # Errors
/// `Internal` if the bytes are not such a message.
pub fn decode<M: Message + Default>(body: &[u8]) -> Result<M> {
    M::decode(body).map_err(|error| Error::internal("a stored resource could not be read").with_source(error))
}

/// The digest of a message's encoding, in which map keys are sorted and fields are in order.
pub fn digest_of<M: Message>(message: &M) -> String {
    digest::sha256(&message.encode_to_vec())
}

/// The name of an enum value without the prefix of its enum, as used in columns and filters.
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

/// Requires text.
///
/// # Errors
/// `InvalidArgument` (`FIELD_REQUIRED`), naming `field`, if it is empty or blank.
pub fn required(text: &str, field: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::invalid("FIELD_REQUIRED", field, "is required"));
    }
    Ok(())
}

/// Requires a digest.
///
/// # Errors
/// `InvalidArgument` (`DIGEST_INVALID`), naming `field`, if the text is not one.
pub fn digest_field(text: &str, field: &str) -> Result<()> {
    if digest::is_digest(text) {
        return Ok(());
    }
    Err(Error::invalid("DIGEST_INVALID", field, "must be sha256: and 64 lowercase hexadecimal digits"))
}

/// As [`digest_field`], but empty is allowed.
///
/// # Errors
/// As [`digest_field`].
pub fn optional_digest(text: &str, field: &str) -> Result<()> {
    if text.is_empty() { Ok(()) } else { digest_field(text, field) }
}

/// Requires an id that can stand in a name.
///
/// # Errors
/// `InvalidArgument` (`NAME_INVALID`), naming `field`.
pub fn id_field(text: &str, field: &str) -> Result<()> {
    if remit_core::name::is_id(text) {
        return Ok(());
    }
    Err(Error::invalid(
        "NAME_INVALID",
        field,
        "must be 1 to 100 letters, digits, '.', '_' and '-', starting with a letter or a digit",
    ))
}

/// Requires a sub-message that the rules of the proto file require already.
///
/// # Errors
/// `InvalidArgument` (`FIELD_REQUIRED`), naming `field`.
pub fn present<T>(value: Option<T>, field: &str) -> Result<T> {
    value.ok_or_else(|| Error::invalid("FIELD_REQUIRED", field, "is required"))
}

/// The paths of an update mask, checked against the fields that may change.
///
/// # Errors
/// `InvalidArgument` (`UPDATE_MASK_INVALID`) for an empty mask or an unknown field; `FIELD_IMMUTABLE` for one
/// of `immutable`.
pub fn mask<'a>(
    mask: Option<&'a prost_types::FieldMask>,
    allowed: &[&str],
    immutable: &[&str],
) -> Result<Vec<&'a str>> {
    let paths: Vec<&str> = mask.map(|mask| mask.paths.iter().map(String::as_str).collect()).unwrap_or_default();
    if paths.is_empty() {
        return Err(Error::invalid(
            "UPDATE_MASK_INVALID",
            "update_mask",
            format!("must name some of {}", allowed.join(", ")),
        ));
    }
    for path in &paths {
        if immutable.contains(path) {
            return Err(Error::invalid(
                "FIELD_IMMUTABLE",
                "update_mask",
                format!("{path} cannot change; make a new version"),
            ));
        }
        if !allowed.contains(path) {
            return Err(Error::invalid(
                "UPDATE_MASK_INVALID",
                "update_mask",
                format!("{path} cannot be updated; use {}", allowed.join(", ")),
            ));
        }
    }
    Ok(paths)
}

/// Compares an etag given with the revision found; an empty etag is not checked.
///
/// # Errors
/// `Conflict` (`ETAG_MISMATCH`) if they differ.
pub fn check_etag(etag: &str, revision: i64, name: &str) -> Result<()> {
    if etag.is_empty() || etag == revision.to_string() {
        return Ok(());
    }
    Err(Error::new(
        remit_core::Kind::Conflict,
        "ETAG_MISMATCH",
        format!("{name} has changed: its etag is {revision}, not {etag}; read it again"),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn times_before_the_epoch_survive_the_round_trip() {
        for micros in [-1, 0, 1, -1_500_000, 1_234_567_890_123_456] {
            assert_eq!(time(&stamp(Timestamp(micros)), "t").unwrap(), Timestamp(micros));
        }
        assert!(time(&prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }, "t").is_err());
        assert!(time(&prost_types::Timestamp { seconds: 0, nanos: -1 }, "t").is_err());
    }

    #[test]
    fn what_happened_lies_near_the_clock() {
        let now = Timestamp(1_000 * 86_400 * MICROS);
        let day = |n: i64| stamp(Timestamp(n * 86_400 * MICROS));
        assert_eq!(occurred(None, now, "t").unwrap(), now);
        assert!(occurred(Some(&day(1_001)), now, "t").is_ok());
        assert_eq!(occurred(Some(&day(1_002)), now, "t").unwrap_err().reason(), "TIME_OUT_OF_RANGE");
        assert!(occurred(Some(&day(-3_000)), now, "t").is_err());
    }

    #[test]
    fn a_mask_names_only_what_may_change() {
        let of = |paths: &[&str]| prost_types::FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() };
        assert!(mask(Some(&of(&["a"])), &["a"], &["b"]).is_ok());
        assert_eq!(mask(Some(&of(&["b"])), &["a"], &["b"]).unwrap_err().reason(), "FIELD_IMMUTABLE");
        assert_eq!(mask(Some(&of(&["c"])), &["a"], &["b"]).unwrap_err().reason(), "UPDATE_MASK_INVALID");
        assert!(mask(Some(&of(&[])), &["a"], &[]).is_err());
        assert!(mask(None, &["a"], &[]).is_err());
    }
}
