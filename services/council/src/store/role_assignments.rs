//! Roles that people have inside Remit.

use super::revocations::{ACCESS, end, forget};
use super::{BY_TIME, CREATE_TIME};
use crate::time::at;
use prost::Message as _;
use remit_api::council::v1::RoleAssignment;
use remit_core::{Result, Timestamp};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Mutation, Order, Records, Value, query};

pub(crate) struct RoleAssignments;

impl Records for RoleAssignments {
    type Message = RoleAssignment;
    const TABLE: &'static str = "role_assignments";
    const NOT_FOUND: &'static str = "ROLE_ASSIGNMENT_NOT_FOUND";
    const EXISTS: &'static str = "ROLE_ASSIGNMENT_EXISTS";
    const SORT: &'static [Key] = BY_TIME;
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::text("subject", "subject").subjects(),
        Field::text("email", "email"),
        Field::text("issuer", "issuer"),
        Field::timestamp("expire_time", "expire_time"),
        CREATE_TIME,
    ];
    const FEED: &'static str = ACCESS;

    fn name(assignment: &RoleAssignment) -> &str {
        &assignment.name
    }
    fn create_time(assignment: &RoleAssignment) -> Timestamp {
        at(&assignment.create_time)
    }
    fn columns(assignment: &RoleAssignment) -> Vec<(&'static str, Value)> {
        vec![
            ("subject", (&assignment.subject).into()),
            ("email", (&assignment.email).into()),
            ("issuer", (&assignment.issuer).into()),
            ("expire_time", end(&assignment.expire_time).into()),
        ]
    }
    fn set_etag(assignment: &mut RoleAssignment, etag: String) {
        assignment.etag = etag;
    }
    async fn publish(m: &mut Mutation, assignment: &RoleAssignment) -> Result<()> {
        // Why is for people to read, and need not be in the memory of every process.
        let told = RoleAssignment { reason: String::new(), ..assignment.clone() };
        m.change(ACCESS, &assignment.name, Some(told.encode_to_vec())).await
    }
}

/// Forgets what was over at `now`, and counts what is left.
///
/// # Errors
/// As [`remit_store::classify`] says.
pub(crate) async fn role_assignments(m: &mut Mutation, now: Timestamp) -> Result<i64> {
    forget::<RoleAssignments>(m, now).await?;
    let tenant = m.tenant().clone();
    let left = query("select count(*) as n from role_assignments where tenant_id = $1")
        .bind(&tenant)
        .fetch_one(m.tx())
        .await?;
    left.get("n")
}
