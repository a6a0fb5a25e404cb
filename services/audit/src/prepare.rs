//! What an event becomes before it is given a place: checked, encoded and, where it has no personal
//! data, hashed, outside of the transaction.

use crate::leaf::{Leaf, MAX_LEAF};
use crate::seal::Fields;
use remit_api::audit::v1 as api;
use remit_core::{Error, Kind, Result, SERVICES, Timestamp};
use remit_tlog::{Hash, leaf_hash};

/// An event on its way into the log.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The leaf, without its commitment to personal data.
    pub leaf: Leaf,
    /// `occurred_at` and `recorded_at`.
    pub times: (Timestamp, Timestamp),
    /// `integrated_at`.
    pub integrated: Timestamp,
    /// The encoding of `leaf`.
    pub line: Vec<u8>,
    /// The hash of `line`.
    pub hash: Hash,
    /// The personal data to seal: subject and fields.
    pub personal: Option<(String, Fields)>,
}

impl Prepared {
    /// Checks and encodes an event that stands at `field` of its request and is taken in at `now`.
    ///
    /// # Errors
    /// As [`Leaf::new`]; `InvalidArgument` (`TEXT_HAS_NUL`, `ENTRY_TOO_LARGE`).
    pub fn new(event: api::Event, field: &str, now: Timestamp) -> Result<Self> {
        let leaf = Leaf::new(&event, field)?.integrated(now)?;
        storable(&leaf, &event, field)?;
        let times = leaf.times().map_err(Error::internal)?;
        let personal = event.personal.map(|personal| (personal.subject, personal.fields.into_iter().collect()));
        let line = leaf.encode()?;
        // The commitment has the same length whatever it commits to.
        let length = match &personal {
            Some((subject, _)) => leaf.clone().commit_to(subject, &[]).encode()?.len(),
            None => line.len(),
        };
        if length > MAX_LEAF {
            let why = format!("takes {length} bytes encoded, the limit is {MAX_LEAF}");
            return Err(Error::invalid("ENTRY_TOO_LARGE", field, why));
        }
        Ok(Self { leaf, times, integrated: now, hash: leaf_hash(&line), line, personal })
    }

    /// Whether `other`, which has the same event id, says the same.
    pub fn same_as(&self, other: &Self) -> bool {
        let same = self.hash == other.hash
            || timed_as(self.leaf.clone(), &other.leaf).encode().is_ok_and(|line| line == other.line);
        same && self.personal == other.personal
    }

    /// Whether the entry `stored` has the same body but for its personal data.
    pub fn matches(&self, stored: &Leaf) -> Result<bool> {
        let subject = stored.personal.as_ref().map(|personal| personal.subject.as_str());
        if subject != self.personal.as_ref().map(|(subject, _)| subject.as_str()) {
            return Ok(false);
        }
        let mut bare = stored.clone();
        bare.personal = None;
        Ok(timed_as(bare, &self.leaf).encode()? == self.line)
    }

    /// The bytes that this event takes in the queue.
    pub fn weight(&self) -> usize {
        let personal =
            self.personal.as_ref().map_or(0, |(_, fields)| fields.iter().map(|(k, v)| k.len() + v.len()).sum());
        self.line.len() + personal + 200
    }
}

/// The leaf with those times of `other` that the log itself gives, which are others when the same event is sent again: when
/// it was taken in, and, where no service of the suite says so, when it was recorded.
fn timed_as(leaf: Leaf, other: &Leaf) -> Leaf {
    let leaf = leaf.integrated_with(other);
    if SERVICES.contains(&leaf.service.as_str()) { leaf } else { leaf.recorded_with(other) }
}

/// Refuses what a column cannot hold, here and not in the step: there it would fail for everybody.
fn storable(leaf: &Leaf, event: &api::Event, field: &str) -> Result<()> {
    let columns = [
        ("id", &leaf.id),
        ("actor.subject", &leaf.actor.subject),
        ("actor.on_behalf_of", &leaf.actor.on_behalf_of),
        ("action", &leaf.action),
        ("resource", &leaf.resource),
        ("request_id", &leaf.request_id),
        ("trace_id", &leaf.trace_id),
        ("service", &leaf.service),
    ];
    let subject = event.personal.as_ref().map(|personal| ("personal.subject", &personal.subject));
    match columns.into_iter().chain(subject).find(|(_, text)| text.contains('\0')) {
        Some((name, _)) => Err(Error::invalid("TEXT_HAS_NUL", format!("{field}.{name}"), "must not contain U+0000")),
        None => Ok(()),
    }
}

/// The error for an event id that was used for another body.
pub fn reused(id: &str, first: Hash, second: Hash) -> Error {
    let message = format!(
        "event {id} was recorded with leaf hash sha256:{first} and is now sent with sha256:{second}: \
         a new event needs a new id"
    );
    Error::new(Kind::AlreadyExists, "EVENT_ID_REUSED", message)
}
