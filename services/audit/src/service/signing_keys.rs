//! The change of the signing key: the old key's last statement is the new key's first.
//!
//! An entry names the new key, and the checkpoint that ends with it is signed by both keys. Whoever trusts the old key so
//! learns of the new one from the log itself, and nobody without the old key can say so.

use super::Service;
use crate::memory;
use crate::store::prunings::ROTATE;
use crate::store::{heads, key_handovers};
use remit_core::details::{Details as _, SigningKeyRotated};
use remit_core::{Result, Tenant};
use remit_store::tenants;
use remit_tlog::{Checkpoint, Note};

impl Service {
    /// Hands each log over to the new key that the old one signed last; nothing where no key is being changed. A log that
    /// is refused as it is stays with the old key until it is put right and the process starts again.
    ///
    /// # Errors
    /// As the database fails.
    pub async fn hand_over_all(&self) -> Result<()> {
        for tenant in tenants::list(&self.db).await? {
            match self.hand_over(&tenant).await {
                Err(error) if ["LOG_HEAD_INVALID", "LOG_ROLLED_BACK"].contains(&error.reason()) => {
                    tracing::error!(%tenant, reason = error.reason(), "a log is not handed over to the new key: {error}");
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn hand_over(&self, tenant: &Tenant) -> Result<()> {
        let Some(old) = self.keys.outgoing(tenant)? else { return Ok(()) };
        let new = self.keys.signer(tenant)?;
        self.db
            .own(tenant, ROTATE, async |m| {
                let head = heads::claim(m.tx(), tenant, self.db.now()).await?;
                memory::check(m.tx(), &self.keys, tenant, &head).await?;
                // A replica may have been faster, and a log without entries was signed by nobody.
                let last = Note::parse(&head.checkpoint).ok();
                if last.is_none_or(|note| note.verify(old.verifier()).is_err()) {
                    return Ok(());
                }
                let mut event = m.event(ROTATE, &format!("signingKeys/{:08x}", new.verifier().id()));
                event.details = SigningKeyRotated {
                    old_key: old.verifier().to_string(),
                    new_key: new.verifier().to_string(),
                    checkpoint: head.checkpoint,
                }
                .json();
                let head = self.record(m, event).await?;
                let checkpoint = Checkpoint { origin: self.keys.origin(tenant), size: head.size, root: head.root };
                let signature = old.sign(&checkpoint.to_string(), 0).to_string();
                key_handovers::put(m.tx(), tenant, head.size, &signature).await?;
                tracing::info!(%tenant, size = head.size, "the log has another signing key");
                Ok(())
            })
            .await
    }
}
