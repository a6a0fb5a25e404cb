//! What aliases of models and labels of artifacts have in common.

use crate::store::aliases;
use remit_api::registry::v1::AliasChange;
use remit_api::wire::{actor, time::stamp};
use remit_core::{Error, Kind, Result, name};
use remit_store::Mutation;
use std::collections::BTreeMap;

/// Why an alias moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Why<'a> {
    /// The proposal behind it; empty if none.
    pub proposal: &'a str,
    /// The mandate behind it; empty if none.
    pub mandate: &'a str,
    /// The reason given.
    pub reason: &'a str,
}

/// Lets an alias of `owner`, which must be locked, point at `to` (nothing if it is empty), and adds that to the
/// history. Owner and versions are saved by the caller.
pub(super) async fn point(
    m: &mut Mutation,
    owner: &str,
    aliases: &mut BTreeMap<String, String>,
    (alias, to): (&str, &str),
    why: Why<'_>,
) -> Result<AliasChange> {
    let from = if to.is_empty() { aliases.remove(alias) } else { aliases.insert(alias.to_owned(), to.to_owned()) };
    let mut change = AliasChange {
        parent: owner.to_owned(),
        alias: alias.to_owned(),
        sequence: 0,
        from_version: from.unwrap_or_default(),
        to_version: to.to_owned(),
        proposal: why.proposal.to_owned(),
        mandate: why.mandate.to_owned(),
        reason: why.reason.to_owned(),
        actor: Some(actor(m.actor())),
        record_time: Some(stamp(m.now())),
    };
    aliases::insert(m, &mut change).await?;
    Ok(change)
}

/// Takes an alias from the list of one version, or adds it to that of another.
pub(super) fn list(aliases: &mut Vec<String>, alias: &str, there: bool) {
    aliases.retain(|other| other != alias);
    if there {
        aliases.push(alias.to_owned());
        aliases.sort_unstable();
    }
}

/// Compares what an alias points at with what the caller expects; an empty expectation is not checked.
///
/// # Errors
/// `Conflict` (`reason`) if they differ.
pub(super) fn check_expected(reason: &'static str, alias: &str, expected: &str, found: &str) -> Result<()> {
    if expected.is_empty() || expected == found {
        return Ok(());
    }
    let found = if found.is_empty() { "nothing" } else { found };
    Err(Error::new(Kind::Conflict, reason, format!("{alias} points at {found}, not at {expected}; read it again")))
}

/// Requires that a version is one of `owner`.
///
/// # Errors
/// `InvalidArgument` (`NAME_INVALID`), naming `field`.
pub(super) fn check_owner(version: &str, owner: &str, field: &str) -> Result<()> {
    if name::parent(version) == owner {
        return Ok(());
    }
    Err(Error::invalid("NAME_INVALID", field, format!("must be a version of {owner}")))
}
