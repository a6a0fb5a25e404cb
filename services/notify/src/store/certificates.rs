//! The certificates that the log knows.

use remit_core::Result;
use remit_store::{Mutation, query};

/// Notes the certificate of a setting; whether it is another than before.
pub(crate) async fn is_new(m: &mut Mutation, setting: &str, digest: &str) -> Result<bool> {
    let tenant = m.tenant().clone();
    let noted = query(
        "insert into certificates (tenant_id, setting, digest) values ($1, $2, $3)
         on conflict (tenant_id, setting) do update set digest = excluded.digest
         where certificates.digest <> excluded.digest",
    )
    .bind(&tenant)
    .bind(setting)
    .bind(digest)
    .execute(m.tx())
    .await?;
    Ok(noted == 1)
}
