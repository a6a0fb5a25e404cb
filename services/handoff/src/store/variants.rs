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

/// The digests of what AI delivered for a handoff, in all its iterations, as it was before people edited it. Only where
/// no person has led the work: what a person delivers stands in the same table.
pub(crate) async fn made_by_ai(tx: &mut Tx, tenant: &Tenant, handoff: &str) -> Result<BTreeSet<String>> {
    let rows = query("select body from variants where tenant_id = $1 and handoff = $2")
        .bind(tenant)
        .bind(handoff)
        .fetch_all(tx)
        .await?;
    let original = |row: &Row| -> Result<String> {
        let variant = read(row)?;
        let edited = !variant.original_digest.is_empty();
        Ok(if edited { variant.original_digest } else { variant.content_digest })
    };
    rows.iter().map(original).collect()
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
