//! The variants of all iterations, each as it was left.

use prost::Message as _;
use remit_api::handoff::v1::{Handoff, Variant};
use remit_api::wire::decode;
use remit_core::{Result, Tenant};
use remit_store::{BulkInsert, Mutation, Order, Row, Sql, Tx, Value, query};
use std::collections::BTreeSet;

/// Writes the variants of the present iteration.
pub(crate) async fn put(m: &mut Mutation, handoff: &Handoff) -> Result<()> {
    query("delete from variants where tenant_id = $1 and handoff = $2 and iteration = $3")
        .bind(m.tenant())
        .bind(&handoff.name)
        .bind(handoff.iteration)
        .execute(m.tx())
        .await?;
    let (variants, count) = (&handoff.variants, handoff.variants.len());
    // A person's variants have no rank: they stand as they were delivered.
    let ranks = (1..).zip(variants).map(|(place, variant)| match variant.ai_rank {
        0 => place,
        rank => i64::from(rank),
    });
    BulkInsert::into("variants")
        .text("tenant_id", vec![m.tenant().as_str().to_owned(); count])
        .text("handoff", vec![handoff.name.clone(); count])
        .bigint("iteration", vec![i64::from(handoff.iteration); count])
        .bigint("ai_rank", ranks)
        .text("variant_id", variants.iter().map(|variant| variant.variant.clone()))
        .text("ai_digest", variants.iter().map(|variant| delivered_by_ai(handoff, variant)))
        .bytes("body", variants.iter().map(Variant::encode_to_vec))
        .execute(m.tx())
        .await
        .map(drop)
}

/// What variants are listed by: the oldest iteration and the best rank first.
const KEY: [&str; 3] = ["iteration", "ai_rank", "variant_id"];

/// The key of a row.
pub(crate) fn key(row: &Row) -> Result<Vec<Value>> {
    let (iteration, rank): (i64, i64) = (row.get(KEY[0])?, row.get(KEY[1])?);
    Ok(vec![iteration.into(), rank.into(), row.get::<String>(KEY[2])?.into()])
}

/// The variant of a row.
pub(crate) fn read(row: &Row) -> Result<Variant> {
    decode(&row.get::<Vec<u8>>("body")?)
}

/// Those of these digests that AI delivered for any handoff of the tenant, as it was before people edited it.
pub(crate) async fn made_by_ai(tx: &mut Tx, tenant: &Tenant, digests: &[&str]) -> Result<BTreeSet<String>> {
    if digests.is_empty() {
        return Ok(BTreeSet::new());
    }
    let sql = Sql::new("select distinct ai_digest from variants where tenant_id = ").bind(tenant);
    let rows = sql.push(" and ai_digest in ").bind_list(digests.iter().copied()).query().fetch_all(tx).await?;
    rows.iter().map(|row| row.get("ai_digest")).collect()
}

/// The digest of what AI delivered; empty for what a person did.
fn delivered_by_ai(handoff: &Handoff, variant: &Variant) -> String {
    // Only AI ranks what it delivers, and keeps the rank when a person takes the lead.
    match (handoff.human_led && variant.ai_rank == 0, variant.original_digest.is_empty()) {
        (true, _) => String::new(),
        (false, true) => variant.content_digest.clone(),
        (false, false) => variant.original_digest.clone(),
    }
}

/// The variants of a handoff.
pub(crate) async fn list(
    tx: &mut Tx,
    tenant: &Tenant,
    handoff: &str,
    after: Option<&[Value]>,
    limit: i64,
) -> Result<Vec<Row>> {
    Sql::new("select iteration, ai_rank, variant_id, body from variants where tenant_id = ")
        .bind(tenant)
        .push(" and handoff = ")
        .bind(handoff)
        .and_after(&KEY, Order::Ascending, after)
        .order_limit(&KEY, Order::Ascending, limit)
        .query()
        .fetch_all(tx)
        .await
}
