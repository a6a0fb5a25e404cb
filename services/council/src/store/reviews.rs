//! Reviews, their evidence, and what they are sealed with.

use crate::time::at;
use prost::Message as _;
use remit_api::council::v1::{Collection, Review, ReviewState};
use remit_api::wire::Word as _;
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Db, Order, Records, Tx, Value, query, tenants};

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

/// The tenants with reviews whose evidence is to be collected.
///
/// # Errors
/// As [`remit_store::classify`] says.
pub(crate) async fn to_collect(db: &Db) -> Result<Vec<Tenant>> {
    let question = query(
        "select t.tenant_id from remit_tenants t where exists (
             select 1 from reviews r where r.tenant_id = t.tenant_id and r.state = $1)",
    );
    tenants::found(db, question.bind(ReviewState::Collecting.word())).await
}

/// Returns a review; of one whose evidence is being collected, with how far that is.
///
/// # Errors
/// `NotFound` (`REVIEW_NOT_FOUND`); else as [`remit_store::classify`] says.
pub(crate) async fn review(tx: &mut Tx, tenant: &Tenant, name: &str) -> Result<Review> {
    let row = query(
        "select reviews.revision, reviews.body, collections.body as collection from reviews
         left join collections on collections.tenant_id = reviews.tenant_id and collections.review = reviews.name
         where reviews.tenant_id = $1 and reviews.name = $2",
    )
    .bind(tenant)
    .bind(name)
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Err(Error::not_found(Reviews::NOT_FOUND, name)) };
    let mut review = Reviews::read(&row)?;
    if review.state() == ReviewState::Collecting
        && let Some(body) = row.get::<Option<Vec<u8>>>("collection")?
    {
        let broken = |error| Error::internal(format!("how far {name} is cannot be read")).with_source(error);
        review.collection = Some(Collection::decode(body.as_slice()).map_err(broken)?);
    }
    Ok(review)
}

/// Writes down how far the collection of a review is.
pub(crate) async fn put_collection(tx: &mut Tx, tenant: &Tenant, review: &str, collection: &Collection) -> Result<()> {
    query(
        "insert into collections (tenant_id, review, body) values ($1, $2, $3)
         on conflict (tenant_id, review) do update set body = excluded.body",
    )
    .bind(tenant)
    .bind(review)
    .bind(collection.encode_to_vec())
    .execute(tx)
    .await
    .map(drop)
}

/// Forgets how far the collection of a review was.
pub(crate) async fn drop_collection(tx: &mut Tx, tenant: &Tenant, review: &str) -> Result<()> {
    query("delete from collections where tenant_id = $1 and review = $2")
        .bind(tenant)
        .bind(review)
        .execute(tx)
        .await
        .map(drop)
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
