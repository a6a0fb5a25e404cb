//! Time stamps of checkpoints by schedule.
//!
//! An authority is asked outside of any transaction, and its answer becomes an entry. A log without new entries is not stamped
//! again: the entry of a stamp alone is nothing new.

use super::Service;
use crate::memory;
use crate::store::prunings::TIMESTAMP;
use crate::store::{damaged, entries, heads, search, tiles};
use crate::timestamp::{Authority, Stamped};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use remit_core::details::{CheckpointTimestamped, Details as _};
use remit_core::{Kind, Result, Tenant, Timestamp};
use remit_store::filter::Atom;
use remit_store::{Sql, Tx, tenants};
use std::collections::HashMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The longest pause between two looks for logs that are due.
const PAUSE: Duration = Duration::from_secs(60);

/// How long an authority that failed is left alone.
const AGAIN: Duration = Duration::from_secs(600);

/// The entry of the last time stamp.
async fn last(tx: &mut Tx, tenant: &Tenant) -> Result<Option<u64>> {
    let need = [Atom::Is("action", TIMESTAMP.to_owned())];
    let condition = |sql: Sql| {
        let sql = sql.push(" and action = ").bind(TIMESTAMP).push(" and service = ").bind(crate::SCHEMA.service);
        sql.push(" and outcome = 'SUCCESS'")
    };
    search::last(tx, tenant, vec![&need], &condition).await
}

impl Service {
    /// Has each log stamped that has new entries, one every `every`, until `shutdown`. An authority that fails is named in
    /// the process's log and asked again later.
    pub async fn stamp_all(self, authority: Authority, every: Duration, shutdown: CancellationToken) {
        let mut due = HashMap::new();
        loop {
            if let Err(error) = self.stamp_due(&authority, every, &mut due).await {
                tracing::warn!(reason = error.reason(), "no log is stamped with the time: {error}");
            }
            tokio::select! {
                () = tokio::time::sleep(every.min(PAUSE)) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn stamp_due(
        &self,
        authority: &Authority,
        every: Duration,
        due: &mut HashMap<Tenant, Timestamp>,
    ) -> Result<()> {
        for tenant in tenants::list(&self.db).await? {
            if due.get(&tenant).is_some_and(|due| *due > self.db.now()) {
                continue;
            }
            let found = self.stamp_log(&tenant, authority, every).await;
            let next = found.as_ref().map_or_else(|_| self.db.now().plus(every.min(AGAIN)), |next| *next);
            due.insert(tenant.clone(), next);
            match found {
                // Who does not answer for one log does not for the next.
                Err(error) if error.kind() == Kind::Unavailable => return Err(error),
                Err(error) => {
                    tracing::warn!(%tenant, reason = error.reason(), "a log is not stamped with the time: {error}");
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Has the newest checkpoint of a log stamped, if that is due; when to look again.
    ///
    /// # Errors
    /// As [`Authority::stamp`] and the database fail.
    pub async fn stamp_log(&self, tenant: &Tenant, authority: &Authority, every: Duration) -> Result<Timestamp> {
        let mut tx = self.db.snapshot().await?;
        let head = heads::read(&mut tx, tenant).await?;
        let before = last(&mut tx, tenant).await?;
        let next = self.db.now().plus(every);
        if head.size == 0 || before.is_some_and(|index| index + 1 == head.size) {
            return Ok(next);
        }
        if let Some(index) = before {
            let entry = entries::range(&mut tx, tenant, index, index + 1, 1).await?.pop();
            let leaf = entry.ok_or_else(|| damaged(format!("entry {index} is missing")))?.leaf()?;
            let at = leaf.times().map_err(damaged)?.1.plus(every);
            if at > self.db.now() {
                return Ok(at);
            }
        }
        drop(tx);
        self.keys.check_head(tenant, &head)?;
        let stamped = authority.stamp(&head.checkpoint, self.db.ids()).await?;
        self.keep_stamp(tenant, &head, authority.url(), &stamped).await?;
        Ok(next)
    }

    async fn keep_stamp(
        &self,
        tenant: &Tenant,
        stamped: &heads::Head,
        authority: &str,
        answer: &Stamped,
    ) -> Result<()> {
        self.db
            .own(tenant, TIMESTAMP, async |m| {
                let head = heads::claim(m.tx(), tenant, self.db.now()).await?;
                memory::check(m.tx(), &self.keys, tenant, &head).await?;
                // Another replica may have been faster.
                if last(m.tx(), tenant).await?.is_some_and(|index| index >= stamped.size) {
                    return Ok(());
                }
                // The entry stands right behind the size that the proof leads to.
                let consistency = if head.size == stamped.size {
                    Vec::new()
                } else {
                    tiles::consistency(m.tx(), tenant, stamped.size, head.size).await?.hashes
                };
                let mut event = m.event(TIMESTAMP, &format!("checkpoints/{}", stamped.size));
                event.details = CheckpointTimestamped {
                    checkpoint: stamped.checkpoint.clone(),
                    authority: authority.to_owned(),
                    time: answer.stamp.time.to_string(),
                    answer: BASE64_STANDARD.encode(&answer.answer),
                    consistency: consistency.into_iter().map(remit_tlog::Hash::to_base64).collect(),
                }
                .json();
                self.record(m, event).await?;
                Ok(())
            })
            .await
    }
}
