//! Checks requests against their proto files: against the bounds before anything is built of their bytes, and against
//! the rules of `buf.validate` when they are decoded, once.
//!
//! Only messages that a method takes are checked, with everything inside them: the decoder of every server and client
//! runs this, and a client decodes no requests. What there is to check stands in tables that the build script makes
//! from the descriptors; a rule that it does not know ends the build, so that none is ignored in silence.

mod dynamic;
#[cfg(test)]
mod oracle;
mod path;
mod rules;
mod scan;
pub(crate) mod table;
pub(crate) mod view;
mod walk;

pub use dynamic::violations;

use crate::wire::{At, Subjects, mask};
use prost::Message;
use prost::bytes::Bytes;
use scan::{Broken, Scan};
use table::{Plan, Request};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use view::View;
use walk::Walk;

/// The reason of a refusal by the rules of the proto files.
pub const REASON: &str = "FIELD_INVALID";
/// The reason of a refusal of text that no column can hold.
pub const NUL: &str = "TEXT_HAS_NUL";
/// The reason of a refusal of a message that has more bytes or more values than its method takes.
pub const TOO_LARGE: &str = "MESSAGE_TOO_LARGE";
/// The reason of a refusal of bytes that are no such message.
pub const MALFORMED: &str = "MESSAGE_MALFORMED";
const DOMAIN: &str = "remit";
/// More violations than this are counted, not kept.
const MAX_VIOLATIONS: usize = 50;

/// One field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path as in the proto file, for example `task.ratings[2].scores["risk"]`.
    pub field: String,
    /// What the field must be.
    pub description: String,
}

/// Reads a request.
///
/// # Errors
/// `RESOURCE_EXHAUSTED` ([`TOO_LARGE`]) for more bytes, or more values in all, than the method takes. Else
/// `INVALID_ARGUMENT`: with `google.rpc.BadRequest`, naming the first field that has more than it may ([`REASON`]) or
/// every field that breaks a rule, where the reason is that of the mask ([`mask::REASON`]) if an update names what it
/// cannot change, [`REASON`] for the rules of the proto file, and [`NUL`] for text with the character U+0000; again [`REASON`]
/// for a subject that has no canonical form; and [`MALFORMED`] for bytes that are no such message.
pub(crate) fn receive<M: Message + Default + View + Subjects>(
    bytes: Bytes,
    request: &'static Request,
) -> Result<M, Status> {
    bounded(&bytes, request)?;
    // Text with U+0000 has a zero byte, and few messages have one.
    let has_zero = bytes.contains(&0);
    let mut message = M::decode(bytes).map_err(|error| malformed(request, &error.to_string()))?;
    ruled(&message, request, has_zero)?;
    settle(&mut message, request)?;
    Ok(message)
}

/// Brings the subjects in a request into canonical form. An update is refused for those only that it changes.
fn settle<M: View + Subjects>(message: &mut M, request: &'static Request) -> Result<(), Status> {
    let mut unfit = Vec::new();
    message.settle(At::default(), &mut unfit);
    if unfit.is_empty() {
        return Ok(());
    }
    let asked = mask::Asked::of(message, request);
    let left = |path: &str| {
        let field = path.split('.').nth(1).and_then(|field| field.split('[').next());
        asked.as_ref().zip(field).is_some_and(|(asked, field)| asked.leaves(field))
    };
    let found: Vec<Violation> = unfit
        .into_iter()
        .filter(|unfit| !left(&unfit.field))
        .map(|unfit| Violation { field: unfit.field, description: unfit.description })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(refusal(REASON, &found, found.len())) }
}

/// Checks the bytes against every bound.
fn bounded(bytes: &[u8], request: &Request) -> Result<(), Status> {
    let (size, most, name) = (bytes.len(), request.most, request.plan.name);
    if size > most {
        return Err(too_large(format!("the message has {size} bytes; {name} takes at most {most}: send less at once")));
    }
    Scan::of(request).request(bytes, request.plan).map_err(|broken| match broken {
        Broken::Bound(violation) => refusal(REASON, &[violation], 1),
        Broken::Total(text) => too_large(format!("{text}: send less at once")),
        Broken::Malformed(text) => malformed(request, &text),
    })
}

/// Checks a decoded request against every rule.
fn ruled(message: &dyn View, request: &Request, has_zero: bool) -> Result<(), Status> {
    let asked = mask::Asked::of(message, request);
    if let Some(description) = asked.as_ref().and_then(mask::Asked::refused) {
        return Err(refusal(mask::REASON, &[Violation { field: mask::FIELD.to_owned(), description }], 1));
    }
    let mut walk = Walk::default();
    walk.request(message, request.plan, asked.as_ref());
    if walk.count > 0 {
        return Err(refusal(REASON, &walk.found, walk.count));
    }
    if has_zero {
        walk.nuls(message, request.plan, asked.as_ref());
    }
    if walk.count == 0 { Ok(()) } else { Err(refusal(NUL, &walk.found, walk.count)) }
}

/// The check of a decoded request alone.
#[cfg(test)]
pub(crate) type RuledOnly = fn(Bytes, &'static Request) -> Result<(), Status>;

#[cfg(test)]
pub(crate) fn ruled_only<M: Message + Default + View>(bytes: Bytes, request: &'static Request) -> Result<(), Status> {
    let has_zero = bytes.contains(&0);
    let message = M::decode(bytes).map_err(|error| Status::invalid_argument(error.to_string()))?;
    ruled(&message, request, has_zero)
}

/// The most bytes that a request may have, by the full name of its type; `None` for what no method takes.
pub fn most_bytes(request: &str) -> Option<usize> {
    find(crate::tree::REQUESTS, request).map(|request| request.most)
}

/// The plan of a message that a request can hold.
pub(crate) fn plan_of(name: &str) -> Option<&'static Plan> {
    find(crate::tree::PLANS, name)
}

/// Looks up a name in a table that is sorted by it.
fn find<T>(table: &[(&str, &'static T)], name: &str) -> Option<&'static T> {
    let at = table.binary_search_by_key(&name, |entry| entry.0).ok()?;
    table.get(at).map(|(_, found)| *found)
}

fn too_large(text: String) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(TOO_LARGE, DOMAIN, []);
    Status::with_error_details(Code::ResourceExhausted, text, details)
}

fn malformed(request: &Request, text: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(MALFORMED, DOMAIN, []);
    Status::with_error_details(Code::InvalidArgument, format!("{} cannot be read: {text}", request.plan.name), details)
}

/// A refusal by the first `found` of `count` violations.
fn refusal(reason: &str, found: &[Violation], count: usize) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, []);
    for violation in found {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    let mut text: Vec<_> =
        found.iter().take(3).map(|violation| format!("{}: {}", violation.field, violation.description)).collect();
    if count > text.len() {
        text.push(format!("and {} more", count - text.len()));
    }
    Status::with_error_details(Code::InvalidArgument, text.join("; "), details)
}

#[cfg(test)]
mod tests;
