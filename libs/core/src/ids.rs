//! Identifiers from an injected source.

use crate::clock::Timestamp;
use std::fmt;
use std::sync::Mutex;
use uuid::Uuid;

/// A source of random bytes.
pub type Entropy = Box<dyn FnMut(&mut [u8]) + Send>;

/// Makes identifiers: UUID version 7 (RFC 9562), ordered by the time given.
pub struct Ids {
    entropy: Mutex<Entropy>,
}

impl Ids {
    /// Uses `entropy` as the source of the random part.
    pub fn new(entropy: Entropy) -> Self {
        Self { entropy: Mutex::new(entropy) }
    }

    /// Fills `bytes` with random bytes.
    pub fn fill(&self, bytes: &mut [u8]) {
        let mut entropy = self.entropy.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        entropy(bytes);
    }

    /// The next identifier, ordered by `now` to the millisecond.
    pub fn next(&self, now: Timestamp) -> Uuid {
        let mut random = [0u8; 10];
        self.fill(&mut random);
        let millis = u64::try_from(now.0 / 1_000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}
