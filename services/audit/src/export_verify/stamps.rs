//! Time stamps among the entries of an export: each is of the log that it stands in.

use crate::leaf::Leaf;
use crate::store::prunings::TIMESTAMP;
use crate::timestamp::{Authorities, Token};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use remit_core::Timestamp;
use remit_core::details::CheckpointTimestamped;
use remit_tlog::client::Trust;
use remit_tlog::proof::check_consistency;
use remit_tlog::{Checkpoint, Frontier, Hash, VerifierKey};

/// That a checkpoint existed at a time, by the word of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamped {
    /// The index of the entry that holds the authority's answer.
    pub index: u64,
    /// How many entries the checkpoint has.
    pub size: u64,
    /// When the authority saw it, by its clock.
    pub time: Timestamp,
    /// The number of the token at the authority.
    pub serial: String,
    /// The address of the authority, as the log says.
    pub authority: String,
    /// Whether the authority's certificate leads to one that is trusted; else none was given to compare with.
    pub trusted: bool,
}

/// What the entry at the end of `before` says of a time stamp, if it is of one. Who signed the checkpoint must be one of
/// `keys`.
///
/// # Errors
/// What is wrong with it: the log says that a checkpoint was stamped which is not its own, or was not stamped.
pub(super) fn check(
    leaf: &Leaf,
    before: &Frontier,
    keys: &[VerifierKey],
    authorities: Option<&Authorities>,
) -> Result<Option<Timestamped>, String> {
    if leaf.service != crate::SCHEMA.service || leaf.action != TIMESTAMP || leaf.outcome != "SUCCESS" {
        return Ok(None);
    }
    let index = before.size();
    let wrong = |why: &dyn std::fmt::Display| format!("entry {index} is no time stamp of this log: {why}");
    let stated: CheckpointTimestamped =
        serde_json::from_str(leaf.details()).map_err(|_| wrong(&"its details are not those of one"))?;
    let opened = keys.iter().find_map(|key| {
        Trust::new(key.name(), key.clone(), Vec::new(), 0).and_then(|log| log.open(&stated.checkpoint)).ok()
    });
    let Checkpoint { size, root, .. } = opened.ok_or_else(|| wrong(&"this log did not sign the checkpoint in it"))?;
    let proof = stated.consistency.iter().map(|hash| Hash::from_base64(hash)).collect::<Result<Vec<_>, _>>();
    let proof = proof.map_err(|error| wrong(&error))?;
    check_consistency(size, root, index, before.root(), &proof).map_err(|error| wrong(&error))?;
    let answer = BASE64_STANDARD.decode(&stated.answer).map_err(|_| wrong(&"the answer in it is not base64"))?;
    let read = || {
        let token = Token::read(&answer)?;
        token.is_of(stated.checkpoint.as_bytes())?;
        token.verify(authorities)
    };
    let stamp = read().map_err(|why| wrong(&why))?;
    let (time, serial, authority) = (stamp.time, stamp.serial, stated.authority);
    Ok(Some(Timestamped { index, size, time, serial, authority, trusted: authorities.is_some() }))
}
