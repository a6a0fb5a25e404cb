//! Where notices reach somebody, and as what she is addressed.

use super::at;
use crate::service::TENANT;
use remit_api::notify::v1::NotificationSettings;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{BulkInsert, Mutation, Records, Sql, Tx, Value, query};

/// Settings, by name.
pub(crate) struct Settings;

impl Records for Settings {
    type Message = NotificationSettings;
    const TABLE: &'static str = "notification_settings";
    const NOT_FOUND: &'static str = "SETTINGS_NOT_FOUND";

    fn name(settings: &NotificationSettings) -> &str {
        &settings.name
    }
    fn create_time(settings: &NotificationSettings) -> Timestamp {
        at(&settings.create_time)
    }
    fn columns(settings: &NotificationSettings) -> Vec<(&'static str, Value)> {
        vec![("owner", (&settings.owner).into())]
    }
    fn set_etag(settings: &mut NotificationSettings, etag: String) {
        settings.etag = etag;
    }
}

/// The language of those of the tenant who have set none; empty if nobody has said so.
pub(crate) async fn usual_language(tx: &mut Tx, tenant: &Tenant) -> Result<String> {
    Ok(Settings::find(tx, tenant, TENANT).await?.map(|settings| settings.language).unwrap_or_default())
}

/// The settings of those who are addressed so now.
pub(crate) async fn addressed(
    m: &mut Mutation,
    audiences: &[String],
    now: Timestamp,
) -> Result<Vec<NotificationSettings>> {
    let rows = Sql::new("select revision, body from notification_settings where tenant_id = ")
        .bind(m.tenant())
        .push(" and name in (select settings from settings_audiences where tenant_id = ")
        .bind(m.tenant())
        .push(" and audience in ")
        .bind_list(audiences.iter().map(String::as_str))
        .push(" and until_time > ")
        .bind(now)
        .push(") order by name")
        .query()
        .fetch_all(m.tx())
        .await?;
    rows.iter().map(Settings::read).collect()
}

/// Notes as what claimed settings are addressed, each until when.
pub(crate) async fn address(m: &mut Mutation, name: &str, audiences: &[(String, Timestamp)]) -> Result<()> {
    let tenant = m.tenant().clone();
    query("delete from settings_audiences where tenant_id = $1 and settings = $2")
        .bind(&tenant)
        .bind(name)
        .execute(m.tx())
        .await?;
    if audiences.is_empty() {
        return Ok(());
    }
    let count = audiences.len();
    BulkInsert::into("settings_audiences")
        .text("tenant_id", vec![tenant.as_str().to_owned(); count])
        .text("audience", audiences.iter().map(|(audience, _)| audience.clone()))
        .text("settings", vec![name.to_owned(); count])
        .bigint("until_time", audiences.iter().map(|(_, until)| until.0))
        .on_conflict_do_nothing()
        .execute(m.tx())
        .await?;
    Ok(())
}

/// Forgets as what else settings are addressed than as this.
pub(crate) async fn address_only(m: &mut Mutation, name: &str, audience: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    query("delete from settings_audiences where tenant_id = $1 and settings = $2 and audience <> $3")
        .bind(&tenant)
        .bind(name)
        .bind(audience)
        .execute(m.tx())
        .await?;
    Ok(())
}

/// The names of settings that somebody set last.
pub(crate) async fn owned(m: &mut Mutation, owner: &str) -> Result<Vec<String>> {
    let tenant = m.tenant().clone();
    let rows = query("select name from notification_settings where tenant_id = $1 and owner = $2 order by name")
        .bind(&tenant)
        .bind(owner)
        .fetch_all(m.tx())
        .await?;
    rows.iter().map(|row| row.get("name")).collect()
}

/// Removes what belongs to claimed settings.
pub(crate) async fn clear(m: &mut Mutation, name: &str) -> Result<()> {
    let tenant = m.tenant().clone();
    for statement in [
        "delete from settings_audiences where tenant_id = $1 and settings = $2",
        "delete from settings_codes where tenant_id = $1 and settings = $2",
        "delete from messages where tenant_id = $1 and settings = $2",
        "delete from bounces where tenant_id = $1 and resource = $2",
    ] {
        query(statement).bind(&tenant).bind(name).execute(m.tx()).await?;
    }
    Ok(())
}
