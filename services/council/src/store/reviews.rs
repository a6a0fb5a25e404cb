//! Reviews, their evidence, and what they are sealed with.

use crate::time::at;
use remit_api::council::v1::{Review, ReviewState};
use remit_api::wire::Word as _;
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Order, Records, Tx, Value, query};

pub(crate) struct Reviews;

impl Records for Reviews {
    type Message = Review;
    const TABLE: &'static str = "reviews";
    const NOT_FOUND: &'static str = "REVIEW_NOT_FOUND";
    const EXISTS: &'static str = "REVIEW_EXISTS";
    const SORT: &'static [Key] = &[Key::Text("period")];
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", ReviewState::WORDS),
        Field::text("body", "parent"),
        Field::text("period", "period"),
    ];

    fn name(review: &Review) -> &str {
        &review.name
    }
    fn create_time(review: &Review) -> Timestamp {
        at(&review.create_time)
    }
    fn columns(review: &Review) -> Vec<(&'static str, Value)> {
        vec![
            ("state", review.state().word().into()),
            ("parent", (&review.body).into()),
            ("period", (&review.period).into()),
        ]
    }
    fn set_etag(review: &mut Review, etag: String) {
        review.etag = etag;
    }
}

/// Stores the evidence of a review, in place of what was there.
pub(crate) async fn put_evidence(tx: &mut Tx, tenant: &Tenant, review: &str, evidence: &[u8]) -> Result<()> {
    query(
        "insert into packs (tenant_id, review, evidence) values ($1, $2, $3)
         on conflict (tenant_id, review) do update set evidence = excluded.evidence",
    )
    .bind(tenant)
    .bind(review)
    .bind(evidence)
    .execute(tx)
    .await
    .map(|_| ())
}

/// Returns the evidence of a review, if it was collected.
pub(crate) async fn evidence(tx: &mut Tx, tenant: &Tenant, review: &str) -> Result<Option<Vec<u8>>> {
    let row = query("select evidence from packs where tenant_id = $1 and review = $2")
        .bind(tenant)
        .bind(review)
        .fetch_optional(tx)
        .await?;
    row.map(|row| row.get("evidence")).transpose()
}

/// Returns the tenant's seed for seals, `fresh` if there was none.
pub(crate) async fn seal_seed(tx: &mut Tx, tenant: &Tenant, fresh: [u8; 32]) -> Result<[u8; 32]> {
    query("insert into seal_keys (tenant_id, seed) values ($1, $2) on conflict (tenant_id) do nothing")
        .bind(tenant)
        .bind(fresh)
        .execute(tx)
        .await?;
    let row = query("select seed from seal_keys where tenant_id = $1").bind(tenant).fetch_one(tx).await?;
    row.get::<Vec<u8>>("seed")?.try_into().map_err(|_| Error::internal("the seed of the seal key is not 32 bytes long"))
}
