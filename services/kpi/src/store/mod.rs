//! All SQL of the service.

pub(crate) mod alert_rules;
pub(crate) mod alerts;
pub(crate) mod events;
pub(crate) mod experiments;
pub(crate) mod interpretations;
pub(crate) mod kpis;
pub(crate) mod memory;
pub(crate) mod pilots;
pub(crate) mod rollups;
pub(crate) mod settings;

use remit_core::Result;
use remit_store::{Mutation, query};

/// Marks the tenant as having what ships with the software; false if it was so before.
pub(crate) async fn seeded(m: &mut Mutation) -> Result<bool> {
    let tenant = m.tenant().clone();
    let marked = query("insert into seeded_tenants (tenant_id) values ($1) on conflict do nothing")
        .bind(&tenant)
        .execute(m.tx());
    Ok(marked.await? == 1)
}

/// Cuts `keys` into lists of few lengths, repeating the last key, so that few statements are prepared.
fn chunks<T: Clone>(keys: &[T]) -> Vec<Vec<T>> {
    const SIZES: [usize; 5] = [256, 64, 16, 4, 1];
    let mut chunks = Vec::new();
    for part in keys.chunks(SIZES[0]) {
        let size = SIZES.into_iter().rev().find(|size| *size >= part.len()).unwrap_or(SIZES[0]);
        let mut chunk = part.to_vec();
        if let Some(last) = part.last() {
            chunk.resize(size, last.clone());
        }
        chunks.push(chunk);
    }
    chunks
}
