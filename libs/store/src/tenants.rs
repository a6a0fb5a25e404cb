//! The tenants that this database has seen, for the work that nobody asks for: delivery, timers, tails.
//!
//! This list is the only thing in a service's database that spans tenants, and so are the questions which of them have
//! something to do: one statement a look, however many have nothing.

use crate::db::Db;
use crate::query::{Query, query};
use crate::shared::Signal;
use remit_core::{Result, Tenant};
use std::sync::PoisonError;

pub(crate) async fn load(db: &Db) -> Result<()> {
    let seen = list(db).await?;
    db.shared.tenants.write().unwrap_or_else(PoisonError::into_inner).extend(seen);
    Ok(())
}

/// Every tenant seen, by this process or another one on the same database.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn list(db: &Db) -> Result<Vec<Tenant>> {
    let mut tx = db.read().await?;
    let rows = query("select tenant_id from remit_tenants order by tenant_id").fetch_all(&mut tx).await?;
    rows.iter().map(|row| Tenant::new(row.get::<String>("tenant_id")?)).collect()
}

/// The tenants in the column `tenant_id` of what a question finds: those that have something to do.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn found(db: &Db, question: Query) -> Result<Vec<Tenant>> {
    let rows = question.fetch_all(&mut db.read().await?).await?;
    rows.iter().map(|row| Tenant::new(row.get::<String>("tenant_id")?)).collect()
}

/// The tenants this process knows without asking the database.
pub fn known(db: &Db) -> Vec<Tenant> {
    db.shared.tenants.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

/// Looks for tenants that another process has seen, and returns all.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn refresh(db: &Db) -> Result<Vec<Tenant>> {
    let seen = list(db).await?;
    let grew = {
        let mut known = db.shared.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.extend(seen);
        known.len() > before
    };
    if grew {
        db.shared.raise(Signal::Tenants);
    }
    Ok(known(db))
}

/// Remembers `tenant`. Costs a lookup in memory, and one write the first time.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn see(db: &Db, tenant: &Tenant) -> Result<()> {
    if db.shared.tenants.read().unwrap_or_else(PoisonError::into_inner).contains(tenant) {
        return Ok(());
    }
    // In a transaction of its own: the caller's may yet be rolled back, and memory would then know
    // a tenant that the database does not.
    let mut tx = db.write().await?;
    query("insert into remit_tenants (tenant_id, first_seen_at) values ($1, $2) on conflict (tenant_id) do nothing")
        .bind(tenant)
        .bind(db.now())
        .execute(&mut tx)
        .await?;
    tx.commit().await?;
    db.shared.tenants.write().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
    db.shared.raise(Signal::Tenants);
    Ok(())
}
