//! Legal holds, the retention and cosignatures, compared with what the entries of the log say of them.

use super::{FindingKind, Findings, at};
use crate::leaf::Leaf;
use crate::service::retention_policies::keep_days;
use crate::store::legal_holds::LegalHolds;
use crate::store::prunings::{COSIGN, HOLD, RELEASE, RETAIN};
use crate::store::retention_policies;
use remit_api::audit::v1::LegalHold;
use remit_api::wire::time;
use remit_core::details::{CheckpointCosigned, LegalHoldEngaged, RetentionChanged};
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Records as _, Tx, query};
use std::collections::{BTreeMap, BTreeSet};

/// What the entries say: of each hold its engaging and its release, of the retention the last change, of each
/// cosignature that it came.
#[derive(Default)]
pub(super) struct Rules {
    engaged: BTreeMap<String, (u64, Leaf)>,
    released: BTreeMap<String, (u64, Leaf)>,
    retention: Option<(u64, Leaf)>,
    cosigned: BTreeMap<(i64, String), u64>,
}

impl Rules {
    /// Takes the entry at `index`.
    pub(super) fn push(&mut self, index: u64, leaf: &Leaf) {
        if leaf.service != crate::SCHEMA.service || leaf.outcome != "SUCCESS" {
            return;
        }
        let entry = || (index, leaf.clone());
        match leaf.action.as_str() {
            HOLD => {
                self.engaged.insert(leaf.resource.clone(), entry());
            }
            RELEASE => {
                self.released.insert(leaf.resource.clone(), entry());
            }
            RETAIN => self.retention = Some(entry()),
            COSIGN => {
                let size = leaf.resource.strip_prefix("checkpoints/").and_then(|size| size.parse().ok());
                let details = serde_json::from_str::<CheckpointCosigned>(leaf.details()).unwrap_or_default();
                for witness in details.witnesses {
                    self.cosigned.insert((size.unwrap_or_default(), witness), index);
                }
            }
            _ => {}
        }
    }

    /// Compares; what is stored and has no entry counts only if the log was read whole, without a start left out. Such
    /// entries are never pruned.
    pub(super) async fn compare(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        whole: bool,
        findings: &mut Findings,
    ) -> Result<()> {
        self.holds(tx, tenant, whole, findings).await?;
        self.keeping(tx, tenant, whole, findings).await?;
        self.cosignatures(tx, tenant, whole, findings).await
    }

    async fn holds(&self, tx: &mut Tx, tenant: &Tenant, whole: bool, findings: &mut Findings) -> Result<()> {
        let mut stored = BTreeMap::new();
        for active in [true, false] {
            match LegalHolds::all(tx, tenant, &[("active", active.into())]).await {
                Ok(holds) => stored.extend(holds.into_iter().map(|hold| (hold.name.clone(), (active, hold)))),
                Err(error) => {
                    findings.add(FindingKind::Rule, "legalHolds", format!("cannot be read: {error}"));
                    return Ok(());
                }
            }
        }
        // A row is found by its columns, and its record says the same again.
        let rows = query("select name, create_time from legal_holds where tenant_id = $1").bind(tenant);
        let rows = rows.fetch_all(tx).await?;
        let rows: BTreeMap<String, i64> =
            rows.iter().map(|row| Ok((row.get("name")?, row.get("create_time")?))).collect::<Result<_>>()?;
        let told = |name: &String| stored.get(name).and_then(|(_, hold)| micros(hold.create_time.as_ref()));
        let strange = rows.iter().filter(|(name, at)| told(name) != Some(**at)).map(|(name, _)| name);
        for name in strange.chain(stored.keys().filter(|name| !rows.contains_key(*name))) {
            findings.add(FindingKind::Rule, name, "its row and its record differ");
        }
        for (name, (index, leaf)) in &self.engaged {
            let Some((active, hold)) = stored.get(name) else {
                findings.add(FindingKind::Rule, name, format!("was engaged by {} and is gone", at(*index)));
                continue;
            };
            let mut wrong = |what: &str, by: u64| {
                findings.add(FindingKind::Rule, name, format!("{what} is not as {} says", at(by)));
            };
            if covers(hold) != serde_json::from_str::<LegalHoldEngaged>(leaf.details()).unwrap_or_default() {
                wrong("what it covers", *index);
            }
            let by = (hold.creator.as_str(), hold.reason.as_str(), micros(hold.create_time.as_ref()));
            if by != said(leaf) {
                wrong("who engaged it, when and why", *index);
            }
            let by = (hold.releaser.as_str(), hold.release_reason.as_str(), micros(hold.release_time.as_ref()));
            match self.released.get(name) {
                Some((end, leaf)) if by != said(leaf) || *active => wrong("its release", *end),
                None if whole && (by != ("", "", None) || !active) => wrong("that it is released", *index),
                _ => {}
            }
        }
        if whole {
            for name in stored.keys().filter(|name| !self.engaged.contains_key(*name)) {
                findings.add(FindingKind::Rule, name, "is there, and no entry engaged it");
            }
        }
        Ok(())
    }

    async fn keeping(&self, tx: &mut Tx, tenant: &Tenant, whole: bool, findings: &mut Findings) -> Result<()> {
        let policy = match retention_policies::get(tx, tenant).await {
            Ok(policy) => policy,
            Err(error) => {
                findings.add(FindingKind::Rule, "retentionPolicy", format!("cannot be read: {error}"));
                return Ok(());
            }
        };
        let days = keep_days(&policy);
        let right = match &self.retention {
            Some((_, leaf)) => {
                let details = serde_json::from_str::<RetentionChanged>(leaf.details()).unwrap_or_default();
                days == details.keep_days && micros(policy.update_time.as_ref()) == said(leaf).2
            }
            None => !whole || days.is_none(),
        };
        if !right {
            let by = self
                .retention
                .as_ref()
                .map_or_else(|| "no entry says so".to_owned(), |(index, _)| format!("{} says otherwise", at(*index)));
            let kept = days.map_or_else(|| "for ever".to_owned(), |days| format!("{days} days"));
            findings.add(FindingKind::Rule, "retentionPolicy", format!("entries are kept {kept}, and {by}"));
        }
        Ok(())
    }

    async fn cosignatures(&self, tx: &mut Tx, tenant: &Tenant, whole: bool, findings: &mut Findings) -> Result<()> {
        let rows =
            query("select size, witness from cosignatures where tenant_id = $1").bind(tenant).fetch_all(tx).await?;
        let mut stored = BTreeSet::new();
        for row in rows {
            stored.insert((row.get::<i64>("size")?, row.get::<String>("witness")?));
        }
        for ((size, witness), index) in self.cosigned.iter().filter(|(name, _)| !stored.contains(*name)) {
            let message = format!("the cosignature of {witness} came by {} and is gone", at(*index));
            findings.add(FindingKind::Checkpoint, format!("checkpoints/{size}"), message);
        }
        // That a witness began to cosign is an entry; what it cosigned later proves itself.
        let known: BTreeSet<&str> = self.cosigned.keys().map(|(_, witness)| witness.as_str()).collect();
        for (size, witness) in stored.iter().filter(|(_, witness)| whole && !known.contains(witness.as_str())) {
            let message = format!("a cosignature of {witness} is there, and no entry says that it began to cosign");
            findings.add(FindingKind::Checkpoint, format!("checkpoints/{size}"), message);
        }
        Ok(())
    }
}

/// Who, why and when, as an entry says.
fn said(leaf: &Leaf) -> (&str, &str, Option<i64>) {
    let recorded = leaf.times().ok().map(|(_, recorded)| recorded.0);
    (leaf.actor.subject.as_str(), leaf.reason(), recorded)
}

fn micros(at: Option<&prost_types::Timestamp>) -> Option<i64> {
    at.map(|at| time::of(at).0)
}

/// What a hold covers, as its entry has it.
fn covers(hold: &LegalHold) -> LegalHoldEngaged {
    let range = hold.recorded.unwrap_or_default();
    let text = |at: Option<prost_types::Timestamp>| at.map(|at| Timestamp::to_string(&time::of(&at)));
    LegalHoldEngaged {
        subject: hold.subject.clone(),
        resource_prefix: hold.resource_prefix.clone(),
        actor: hold.actor.clone(),
        recorded_from: text(range.start_time),
        recorded_until: text(range.end_time),
    }
}
