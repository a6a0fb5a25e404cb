//! Fields that several messages have.

use prost_types::{FieldMask, Timestamp as ProtoTime};
use remit_api::wire::time;
use remit_core::{ActorKind, Error, Result, digest};
use remit_store::Mutation;

/// Requires a digest.
///
/// # Errors
/// `InvalidArgument` (`DIGEST_INVALID`), naming `field`, if the text is not one.
pub(crate) fn digest(text: &str, field: &str) -> Result<()> {
    if digest::is_digest(text) {
        return Ok(());
    }
    Err(Error::invalid("DIGEST_INVALID", field, "must be sha256: and 64 lowercase hexadecimal digits"))
}

/// As [`digest`], but empty is allowed.
///
/// # Errors
/// As [`digest`].
pub(crate) fn optional_digest(text: &str, field: &str) -> Result<()> {
    if text.is_empty() { Ok(()) } else { digest(text, field) }
}

/// Checks the names in a list by `parse`, which is given each name and the field that it stands in.
///
/// # Errors
/// What `parse` returns for the first name of a wrong form.
pub(crate) fn names<N>(names: &[String], field: &str, parse: fn(&str, &str) -> Result<N>) -> Result<()> {
    names.iter().enumerate().try_for_each(|(at, name)| parse(name, &format!("{field}[{at}]")).map(|_| ()))
}

/// Checks a name by `parse`, but empty is allowed.
///
/// # Errors
/// What `parse` returns.
pub(crate) fn optional<N>(name: &str, field: &str, parse: fn(&str, &str) -> Result<N>) -> Result<()> {
    if name.is_empty() { Ok(()) } else { parse(name, field).map(|_| ()) }
}

/// The paths of an update mask as it was given.
pub(crate) fn paths(mask: Option<&FieldMask>) -> Vec<String> {
    mask.map(|mask| mask.paths.clone()).unwrap_or_default()
}

/// When the owner took the ownership on: an owner whom somebody else names is claimed until she acts herself. `was` is
/// the owner before the change, and when she did so.
pub(crate) fn confirmed(m: &Mutation, owner: &str, was: (&str, Option<ProtoTime>)) -> Option<ProtoTime> {
    let known = was.1.filter(|_| was.0 == owner);
    let herself = m.actor().kind == ActorKind::Human && m.actor().subject == owner;
    known.or_else(|| herself.then(|| time::stamp(m.now())))
}
