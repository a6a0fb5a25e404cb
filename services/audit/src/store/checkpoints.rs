//! Cosignatures of witnesses.

use super::heads::{signed, unsigned};
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Tx, query};

/// One witness's signature line for the checkpoint of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The name of the witness.
    pub witness: String,
    /// The line as it stands in the note.
    pub signature: String,
    /// When the witness signed, in seconds since 1970 by its own clock.
    pub cosign_time: i64,
}

/// Stores a line; a witness that signs the same size again replaces its first.
pub async fn put(tx: &mut Tx, tenant: &Tenant, size: u64, line: &Line, now: Timestamp) -> Result<()> {
    query(
        "insert into cosignatures (tenant_id, size, witness, signature, cosign_time, create_time) values ($1, $2, $3, $4, $5, $6)
         on conflict (tenant_id, size, witness) do update
         set signature = excluded.signature, cosign_time = excluded.cosign_time, create_time = excluded.create_time",
    )
    .bind(tenant)
    .bind(signed(size))
    .bind(&line.witness)
    .bind(&line.signature)
    .bind(line.cosign_time)
    .bind(now)
    .execute(tx)
    .await
    .map(|_| ())
}

/// The signature line of a witness at the greatest size that it cosigned.
pub async fn last_of(tx: &mut Tx, tenant: &Tenant, witness: &str) -> Result<Option<String>> {
    let row =
        query("select signature from cosignatures where tenant_id = $1 and witness = $2 order by size desc limit 1")
            .bind(tenant)
            .bind(witness)
            .fetch_optional(tx)
            .await?;
    row.map(|row| row.get("signature")).transpose()
}

/// The lines for one size, by witness.
pub async fn of_size(tx: &mut Tx, tenant: &Tenant, size: u64) -> Result<Vec<Line>> {
    let rows = query(
        "select witness, signature, cosign_time from cosignatures where tenant_id = $1 and size = $2 order by witness",
    )
    .bind(tenant)
    .bind(signed(size))
    .fetch_all(tx)
    .await?;
    let line = |row: &remit_store::Row| {
        Ok(Line {
            witness: row.get("witness")?,
            signature: row.get("signature")?,
            cosign_time: row.get("cosign_time")?,
        })
    };
    rows.iter().map(line).collect()
}

/// The sizes that were cosigned by at least `minimum`, greatest first, at most `limit`, below `below`.
pub async fn sizes(tx: &mut Tx, tenant: &Tenant, minimum: i64, below: u64, limit: i64) -> Result<Vec<u64>> {
    let rows = query(
        "select size from cosignatures where tenant_id = $1 and size < $2
         group by size having count(*) >= $3 order by size desc limit $4",
    )
    .bind(tenant)
    .bind(signed(below))
    .bind(minimum)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| row.get::<i64>("size").map(unsigned)).collect()
}
