//! How each resource of the contract is stored: its table, columns, order and filters.

use crate::store::Record;
use crate::time::micros;
use prost_types::Timestamp as Stamp;
use remit_api::council::v1::{
    ActionItem, Attestation, Body, BreakGlassUse, Delegation, Hold, Incident, Member, Proposal, Review, Waiver,
};
use remit_core::Timestamp;
use remit_store::filter::Field;
use remit_store::{Order, Value};

const CREATED: Field = Field::timestamp("create_time", "created_at");

fn at(stamp: Option<Stamp>) -> Timestamp {
    stamp.as_ref().map(micros).unwrap_or_default()
}

/// The collection part of a name: `bodies/b/members/m` gives `bodies/b`.
pub fn parent(name: &str) -> &str {
    name.rsplitn(3, '/').nth(2).unwrap_or_default()
}

impl Record for Body {
    const TABLE: &'static str = "bodies";
    const NOT_FOUND: &'static str = "BODY_NOT_FOUND";
    const EXISTS: &'static str = "BODY_EXISTS";
    const SORT: &'static str = "";
    const ORDER: Order = Order::Ascending;
    const FIELDS: &'static [Field] = &[CREATED];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
    fn set_etag(&mut self, etag: String) {
        self.etag = etag;
    }
}

impl Record for Member {
    const TABLE: &'static str = "members";
    const NOT_FOUND: &'static str = "MEMBER_NOT_FOUND";
    const EXISTS: &'static str = "MEMBER_EXISTS";
    const SORT: &'static str = "";
    const ORDER: Order = Order::Ascending;
    const FIELDS: &'static [Field] = &[CREATED];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        let (parent, subject) = (parent(&self.name).into(), (&self.subject).into());
        vec![("parent", parent), ("subject", subject), ("active", self.active.into())]
    }
}

impl Record for Delegation {
    const TABLE: &'static str = "delegations";
    const NOT_FOUND: &'static str = "DELEGATION_NOT_FOUND";
    const EXISTS: &'static str = "DELEGATION_EXISTS";
    const SORT: &'static str = "";
    const ORDER: Order = Order::Ascending;
    const FIELDS: &'static [Field] = &[CREATED];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("parent", parent(&self.name).into()),
            ("delegator", (&self.delegator).into()),
            ("delegate", (&self.delegate).into()),
            ("until_at", at(self.revoke_time.or(self.expire_time)).into()),
        ]
    }
}

impl Record for Proposal {
    const TABLE: &'static str = "proposals";
    const NOT_FOUND: &'static str = "PROPOSAL_NOT_FOUND";
    const EXISTS: &'static str = "PROPOSAL_EXISTS";
    const SORT: &'static str = "created_at";
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::codes(
            "state",
            "state",
            &[
                ("DRAFT", 1),
                ("OPEN", 2),
                ("APPROVED", 3),
                ("REJECTED", 4),
                ("EXPIRED", 5),
                ("CANCELLED", 6),
                ("ESCALATED", 7),
                ("EXECUTING", 8),
                ("EXECUTED", 9),
                ("FAILED", 10),
            ],
        ),
        Field::text("body", "parent"),
        Field::text("kind", "kind"),
        Field::codes("change_class", "change_class", &[("STANDARD", 1), ("NORMAL", 2), ("EMERGENCY", 3)]),
        Field::text("proposer", "proposer"),
        CREATED,
    ];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("state", self.state.into()),
            ("parent", (&self.body).into()),
            ("kind", crate::service::kind_of(self).into()),
            ("change_class", self.change_class.into()),
            ("proposer", self.proposer.as_ref().map_or("", |actor| actor.subject.as_str()).into()),
        ]
    }
    fn set_etag(&mut self, etag: String) {
        self.etag = etag;
    }
}

impl Record for Hold {
    const TABLE: &'static str = "holds";
    const NOT_FOUND: &'static str = "HOLD_NOT_FOUND";
    const EXISTS: &'static str = "HOLD_EXISTS";
    const SORT: &'static str = "created_at";
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::codes("state", "state", &[("ENGAGED", 1), ("BYPASSED", 2), ("LIFTED", 3)]),
        Field::boolean("drill", "drill"),
        CREATED,
    ];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![("state", self.state.into()), ("drill", self.drill.into())]
    }
    fn set_etag(&mut self, etag: String) {
        self.etag = etag;
    }
}

impl Record for BreakGlassUse {
    const TABLE: &'static str = "break_glass_uses";
    const NOT_FOUND: &'static str = "BREAK_GLASS_NOT_FOUND";
    const EXISTS: &'static str = "BREAK_GLASS_EXISTS";
    const SORT: &'static str = "created_at";
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[CREATED];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
}

impl Record for Waiver {
    const TABLE: &'static str = "waivers";
    const NOT_FOUND: &'static str = "WAIVER_NOT_FOUND";
    const EXISTS: &'static str = "WAIVER_EXISTS";
    const SORT: &'static str = "created_at";
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::codes("state", "state", &[("ACTIVE", 1), ("EXPIRED", 2), ("REVOKED", 3)]),
        Field::text("control", "control"),
        Field::text("beneficiary", "beneficiary"),
        Field::timestamp("expire_time", "expire_at"),
        CREATED,
    ];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("state", self.state.into()),
            ("control", (&self.control).into()),
            ("beneficiary", (&self.beneficiary).into()),
            ("expire_at", at(self.expire_time).into()),
        ]
    }
    fn set_etag(&mut self, etag: String) {
        self.etag = etag;
    }
}

impl Record for Incident {
    const TABLE: &'static str = "incidents";
    const NOT_FOUND: &'static str = "INCIDENT_NOT_FOUND";
    const EXISTS: &'static str = "INCIDENT_EXISTS";
    const SORT: &'static str = "created_at";
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::codes("state", "state", &[("OPEN", 1), ("CLOSED", 2)]),
        Field::codes("severity", "severity", &[("LOW", 1), ("MEDIUM", 2), ("HIGH", 3), ("CRITICAL", 4)]),
        Field::codes(
            "category",
            "category",
            &[
                ("FACTUAL_ERROR", 1),
                ("PRIVACY", 2),
                ("BRAND", 3),
                ("BIAS", 4),
                ("SECURITY", 5),
                ("INTELLECTUAL_PROPERTY", 6),
                ("OVERSIGHT", 7),
                ("CONCERN", 8),
                ("OTHER", 9),
            ],
        ),
        Field::text("system", "system"),
        CREATED,
    ];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("state", self.state.into()),
            ("severity", self.severity.into()),
            ("category", self.category.into()),
            ("system", (&self.system).into()),
        ]
    }
    fn set_etag(&mut self, etag: String) {
        self.etag = etag;
    }
}

impl Record for ActionItem {
    const TABLE: &'static str = "action_items";
    const NOT_FOUND: &'static str = "ACTION_ITEM_NOT_FOUND";
    const EXISTS: &'static str = "ACTION_ITEM_EXISTS";
    const SORT: &'static str = "due_at";
    const ORDER: Order = Order::Ascending;
    const FIELDS: &'static [Field] = &[
        Field::codes("state", "state", &[("OPEN", 1), ("DONE", 2), ("DROPPED", 3)]),
        Field::text("owner", "owner"),
        Field::text("origin", "origin"),
        Field::timestamp("due_time", "due_at"),
        CREATED,
    ];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("state", self.state.into()),
            ("owner", (&self.owner).into()),
            ("origin", (&self.origin).into()),
            ("due_at", at(self.due_time).into()),
        ]
    }
    fn set_etag(&mut self, etag: String) {
        self.etag = etag;
    }
}

impl Record for Attestation {
    const TABLE: &'static str = "attestations";
    const NOT_FOUND: &'static str = "ATTESTATION_NOT_FOUND";
    const EXISTS: &'static str = "ATTESTATION_EXISTS";
    const SORT: &'static str = "created_at";
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[CREATED];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![("parent", parent(&self.name).into())]
    }
}

impl Record for Review {
    const TABLE: &'static str = "reviews";
    const NOT_FOUND: &'static str = "REVIEW_NOT_FOUND";
    const EXISTS: &'static str = "REVIEW_EXISTS";
    const SORT: &'static str = "period";
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::codes("state", "state", &[("PENDING", 1), ("OPEN", 2), ("SEALED", 3)]),
        Field::text("body", "parent"),
        Field::text("period", "period"),
    ];

    fn name(&self) -> &str {
        &self.name
    }
    fn created_at(&self) -> Timestamp {
        at(self.create_time)
    }
    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![("state", self.state.into()), ("parent", (&self.body).into()), ("period", (&self.period).into())]
    }
    fn set_etag(&mut self, etag: String) {
        self.etag = etag;
    }
}

#[cfg(test)]
mod tests {
    use super::parent;

    #[test]
    fn a_name_inside_another_has_a_parent() {
        assert_eq!(parent("bodies/b/members/m"), "bodies/b");
        assert_eq!(parent("holds/h"), "");
    }
}
