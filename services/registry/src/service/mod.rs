//! The use cases of the registry, one function an RPC.

mod aliases;
mod artifacts;
mod automations;
mod expiry;
mod limits;
mod lineage;
mod models;
mod outputs;
mod timers;
mod transitions;

use remit_api::wire::Word;
use remit_core::{Error, Result, name};
use remit_runtime::{Cx, Mandates};
use remit_store::Db;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The registry: its database, and when to end.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// The database.
    pub db: Db,
    /// The keys of the council's mandates.
    pub mandates: Arc<Mandates>,
    /// Cancelled when the process begins to drain: watch streams end.
    pub shutdown: CancellationToken,
}

/// Whether the caller is one of the suite's own services.
fn is_suite(cx: &Cx, service: &str) -> bool {
    cx.service == Some(service)
}

/// The number that the id of a new version stands for, so that later numbers do not collide with it; 0 if none.
///
/// # Errors
/// `InvalidArgument` (`ID_INVALID`), naming `field`, unless the id is empty.
fn first_number(asked: &str, field: &str) -> Result<i64> {
    if asked.is_empty() {
        return Ok(0);
    }
    name::id(asked, field)?;
    // Only the plain writing of a number can collide with one that is drawn.
    Ok(asked.parse::<u32>().ok().filter(|number| number.to_string() == asked).map_or(0, i64::from))
}

/// Decides whether `to` may follow `from`, after which `allowed` may.
///
/// # Errors
/// `FailedPrecondition` (`TRANSITION_NOT_ALLOWED`), naming what is allowed.
fn check_move<S: Word + PartialEq>(name: &str, from: S, to: S, allowed: &[S]) -> Result<()> {
    if allowed.contains(&to) {
        return Ok(());
    }
    let words: Vec<&str> = allowed.iter().map(|state| state.word()).collect();
    let words = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    Err(Error::precondition(
        "TRANSITION_NOT_ALLOWED",
        format!("{name} is {}; {} cannot follow, allowed: {words}", from.word(), to.word()),
    ))
}

/// Compares the content that a decision was about with that of the resource; an empty digest is not checked.
///
/// # Errors
/// `FailedPrecondition` (`CONTENT_CHANGED`) if they differ.
fn check_content(name: &str, decided: &str, found: &str) -> Result<()> {
    if decided.is_empty() || decided == found {
        return Ok(());
    }
    let message = format!("{name} has content {found}, the decision was about {decided}");
    Err(Error::precondition("CONTENT_CHANGED", message))
}
