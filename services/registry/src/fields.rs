//! Fields that several messages have.

use prost_types::{FieldMask, Timestamp as ProtoTime};
use remit_api::registry::v1::{Artifact, Automation, Model, ModelVersion};
use remit_api::wire::{Updatable, mask, time};
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

/// A resource that a person answers for.
pub(crate) trait Owned: Updatable {
    /// Who that is, and when she took it on.
    fn owned(&self) -> (&str, Option<ProtoTime>);

    /// Says when she took it on.
    fn set_confirmed(&mut self, at: Option<ProtoTime>);
}

macro_rules! owned {
    ($($kind:ty),+) => {$(
        impl Owned for $kind {
            fn owned(&self) -> (&str, Option<ProtoTime>) {
                (&self.owner, self.owner_confirmed_time)
            }

            fn set_confirmed(&mut self, at: Option<ProtoTime>) {
                self.owner_confirmed_time = at;
            }
        }
    )+};
}
owned!(Model, ModelVersion, Artifact, Automation);

/// The resource as an update wants it; `None` where that is as it is. To send it back as it is is how an owner whom somebody
/// else named takes it on, which is a change.
///
/// # Errors
/// As [`mask::update`].
pub(crate) fn updated<R: Owned>(m: &Mutation, before: &R, given: &R, mask: Option<&FieldMask>) -> Result<Option<R>> {
    let mut after = mask::update(before, given, mask)?.unwrap_or_else(|| before.clone());
    let at = confirmed(m, after.owned().0, before.owned());
    after.set_confirmed(at);
    Ok((after != *before).then_some(after))
}

/// When the owner took the ownership on: an owner whom somebody else names is claimed until she acts herself. `was` is
/// the owner before the change, and when she did so.
pub(crate) fn confirmed(m: &Mutation, owner: &str, was: (&str, Option<ProtoTime>)) -> Option<ProtoTime> {
    let known = was.1.filter(|_| was.0 == owner);
    let herself = m.actor().kind == ActorKind::Human && m.actor().subject == owner;
    known.or_else(|| herself.then(|| time::stamp(m.now())))
}
