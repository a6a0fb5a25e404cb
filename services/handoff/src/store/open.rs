//! How much is open, of all tenants at once, for who operates the service.

use crate::machine::FINAL;
use remit_api::handoff::v1::HandoffState;
use remit_api::wire::Word;
use remit_core::{Result, Timestamp};
use remit_store::{Tx, query};

/// What waits in a state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) state: &'static str,
    pub(crate) count: i64,
    /// When the oldest was made.
    pub(crate) oldest: Option<Timestamp>,
}

/// The handoffs that are not at an end, for each state in which they may be.
pub(crate) async fn handoffs(tx: &mut Tx) -> Result<Vec<Open>> {
    // The words stand in the text, for only so is the index used that has the open ones alone.
    let sql = "select state, count(tenant_id) as found, min(create_time) as oldest from handoffs
               where state not in ('PUBLISHED', 'EXPIRED', 'CANCELLED') group by state";
    let rows = query(sql).fetch_all(tx).await?;
    let ends = FINAL.map(Word::word);
    let states = HandoffState::WORDS.iter().copied().filter(|word| !ends.contains(word));
    states
        .map(|state| {
            let mut open = Open { state, count: 0, oldest: None };
            for row in &rows {
                if row.get::<String>("state")? == state {
                    (open.count, open.oldest) = (row.get("found")?, row.get("oldest")?);
                }
            }
            Ok(open)
        })
        .collect()
}

/// How many leads are assigned that nobody has accepted, and when the first of them is due.
pub(crate) async fn leads(tx: &mut Tx) -> Result<(i64, Option<Timestamp>)> {
    let sql = "select count(tenant_id) as found, min(due_time) as due from assignments
               where accept_time is null and end_time is null";
    let row = query(sql).fetch_one(tx).await?;
    Ok((row.get("found")?, row.get("due")?))
}
