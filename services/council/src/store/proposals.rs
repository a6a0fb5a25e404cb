//! Proposals with their votes.

use super::{BY_TIME, CREATE_TIME};
use crate::proposal::kind_of;
use crate::time::at;
use remit_api::council::v1::{ChangeClass, Proposal, ProposalState};
use remit_api::wire::Word as _;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Db, Order, Records, Value, query, tenants};

pub(crate) struct Proposals;

/// The tenants with decided proposals that are not executed yet.
///
/// # Errors
/// As [`remit_store::classify`] says.
pub(crate) async fn to_execute(db: &Db) -> Result<Vec<Tenant>> {
    let question = query(
        "select t.tenant_id from remit_tenants t where exists (
             select 1 from proposals p where p.tenant_id = t.tenant_id and p.state in ($1, $2))",
    );
    let question = question.bind(ProposalState::Approved.word()).bind(ProposalState::Executing.word());
    tenants::found(db, question).await
}

impl Records for Proposals {
    type Message = Proposal;
    const TABLE: &'static str = "proposals";
    const NOT_FOUND: &'static str = "PROPOSAL_NOT_FOUND";
    const EXISTS: &'static str = "PROPOSAL_EXISTS";
    const SORT: &'static [Key] = BY_TIME;
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", ProposalState::WORDS),
        Field::text("body", "parent"),
        Field::text("kind", "kind"),
        Field::words("change_class", "change_class", ChangeClass::WORDS),
        Field::text("proposer", "proposer").subjects(),
        CREATE_TIME,
    ];

    fn name(proposal: &Proposal) -> &str {
        &proposal.name
    }
    fn create_time(proposal: &Proposal) -> Timestamp {
        at(&proposal.create_time)
    }
    fn columns(proposal: &Proposal) -> Vec<(&'static str, Value)> {
        vec![
            ("state", proposal.state().word().into()),
            ("parent", (&proposal.body).into()),
            ("kind", kind_of(proposal).into()),
            ("change_class", proposal.change_class().word().into()),
            ("proposer", proposal.proposer.as_ref().map_or("", |actor| actor.subject.as_str()).into()),
        ]
    }
    fn set_etag(proposal: &mut Proposal, etag: String) {
        proposal.etag = etag;
    }
}
