//! What a tenant gets once, before its first call is served: its shipped policies, gates, definitions, bodies.

use remit_core::{Result, Tenant};
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

/// The tenants that are known to have what ships with a service.
#[derive(Debug, Clone, Default)]
pub struct Seeded(Arc<RwLock<HashSet<Tenant>>>);

impl Seeded {
    /// Runs `seed` for a tenant that this process has not seen before. Other processes may do the same at the same
    /// time: `seed` must be harmless to repeat.
    ///
    /// # Errors
    /// What `seed` returns; it is then tried again at the next call.
    pub async fn ensure(&self, tenant: &Tenant, seed: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
        if self.0.read().unwrap_or_else(PoisonError::into_inner).contains(tenant) {
            return Ok(());
        }
        // What a tenant gets once is not what its first call costs.
        Box::pin(remit_store::counted(seed())).await.0?;
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
        Ok(())
    }
}
