//! The certificates that the log knows, so that each is said once whatever restarts.

use crate::mutation::Mutation;
use crate::query::query;
use remit_core::Result;

/// Notes which certificate is in a file, named as the log names it; whether it is another than before.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn is_new(m: &mut Mutation, name: &str, digest: &str) -> Result<bool> {
    let name = format!("certificate/{}/{name}", m.tenant());
    let noted = query(
        "insert into remit_settings (name, value) values ($1, $2)
         on conflict (name) do update set value = excluded.value where remit_settings.value <> excluded.value",
    )
    .bind(name)
    .bind(digest.as_bytes())
    .execute(m.tx())
    .await?;
    Ok(noted == 1)
}
