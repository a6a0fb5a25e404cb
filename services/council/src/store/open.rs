//! How much is open, of all tenants at once, for who operates the service.

use remit_api::council::v1::HoldState;
use remit_api::wire::Word as _;
use remit_core::Result;
use remit_store::{Tx, query};

/// How many holds are in each state in which they are in force.
pub(crate) async fn holds_in_force(tx: &mut Tx) -> Result<[(&'static str, i64); 2]> {
    let sql = "select state, count(tenant_id) as held from holds where state <> 'LIFTED' group by state";
    let mut found = [HoldState::Engaged, HoldState::Bypassed].map(|state| (state.word(), 0));
    for row in query(sql).fetch_all(tx).await? {
        let state: String = row.get("state")?;
        for (word, held) in found.iter_mut().filter(|(word, _)| *word == state) {
            (*word, *held) = (*word, row.get("held")?);
        }
    }
    Ok(found)
}

/// How many proposals wait for votes.
pub(crate) async fn open_proposals(tx: &mut Tx) -> Result<i64> {
    query("select count(tenant_id) as open from proposals where state = 'OPEN'").fetch_one(tx).await?.get("open")
}
