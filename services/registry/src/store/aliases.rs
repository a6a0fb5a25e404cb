//! The history of aliases of models and of labels of artifacts; where they point now stands in the resources too.

use prost::Message as _;
use remit_api::registry::v1::AliasChange;
use remit_api::wire::decode;
use remit_core::{Result, Tenant};
use remit_store::record::{self, Key};
use remit_store::{Db, Mutation, Order, Page, Sql, query};

/// Adds a change to the history and puts its number within the alias into it. The parent must be locked.
pub(crate) async fn insert(m: &mut Mutation, change: &mut AliasChange) -> Result<()> {
    let row = query(
        "insert into alias_changes (tenant_id, parent, alias, sequence, version, record_time, body)
         values ($1, $2, $3,
                 (select coalesce(max(sequence), 0) + 1 from alias_changes
                  where tenant_id = $1 and parent = $2 and alias = $3), $4, $5, $6)
         returning sequence",
    )
    .bind(m.tenant())
    .bind(&change.parent)
    .bind(&change.alias)
    .bind(&change.to_version)
    .bind(m.now())
    .bind(change.encode_to_vec())
    .fetch_one(m.tx())
    .await?;
    change.sequence = row.get("sequence")?;
    Ok(())
}

/// Appends the name of the version that an alias points at, to stand after `name = `.
pub(super) fn target(sql: Sql, tenant: &Tenant, parent: &str, alias: &str) -> Sql {
    sql.push("(select version from alias_changes where tenant_id = ")
        .bind(tenant)
        .push(" and parent = ")
        .bind(parent)
        .push(" and alias = ")
        .bind(alias)
        .push(" order by sequence desc limit 1)")
}

/// Lists the history of one alias, or of all of the parent if `alias` is empty, the last first.
pub(crate) async fn history(
    db: &Db,
    tenant: &Tenant,
    page: Page<'_>,
    alias: &str,
) -> Result<(Vec<AliasChange>, String)> {
    let (page, keys): (_, &[Key]) = if alias.is_empty() {
        (page, &[Key::Int("record_time"), Key::Text("alias"), Key::Int("sequence")])
    } else {
        (page.only("alias", alias), &[Key::Int("sequence")])
    };
    let (rows, token) = record::rows(db, tenant, page, "alias_changes", "body", (keys, Order::Descending), &[]).await?;
    let changes = rows.iter().map(|row| {
        let change = decode::<AliasChange>(&row.get::<Vec<u8>>("body")?)?;
        Ok(AliasChange { sequence: row.get("sequence")?, ..change })
    });
    Ok((changes.collect::<Result<_>>()?, token))
}
