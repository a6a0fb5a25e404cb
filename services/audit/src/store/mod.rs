//! All SQL of this service, by noun.

pub mod checkpoints;
pub mod columns;
pub mod entries;
pub mod heads;
pub mod key_handovers;
pub mod known_tiles;
pub mod legal_holds;
pub mod postings;
pub mod prunings;
pub mod retention_policies;
pub mod search;
pub mod subjects;
pub mod tiles;
pub mod times;

use remit_core::Error;

/// What was stored does not have the form that this program writes: damage, which `VerifyLog` names.
pub(crate) fn damaged(what: impl std::fmt::Display) -> Error {
    Error::internal(format!("the stored log is damaged: {what}; VerifyLog says where"))
}
