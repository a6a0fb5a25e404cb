//! Personal data and cosignatures, checked beside the entries.

use super::{FindingKind, Findings, Tree, at};
use crate::leaf::Leaf;
use crate::seal::SubjectKey;
use crate::service::Service;
use crate::store::checkpoints;
use crate::store::entries::Full;
use crate::store::heads::{signed, unsigned};
use crate::store::subjects;
use remit_core::{Result, Tenant, digest};
use remit_store::{Tx, query};
use remit_tlog::{Checkpoint, Note};
use std::collections::{HashMap, HashSet};

/// The keys and erasures of the subjects in one chunk of entries.
#[derive(Default)]
pub(super) struct People {
    keys: HashMap<(String, i64), Option<SubjectKey>>,
    erased: HashSet<String>,
}

impl People {
    pub(super) async fn load(
        &mut self,
        tx: &mut Tx,
        log: &Service,
        tenant: &Tenant,
        found: &[Full],
        findings: &mut Findings,
    ) -> Result<()> {
        self.keys.clear();
        self.erased.clear();
        for full in found {
            if let Some((subject, generation, _)) = &full.sealed {
                let name = (subject.clone(), *generation);
                if self.keys.contains_key(&name) {
                    continue;
                }
                match subjects::key(tx, tenant, subject, *generation, log.keys().master()).await {
                    Ok(key) => {
                        self.keys.insert(name, key);
                    }
                    Err(error) => {
                        findings.add(
                            FindingKind::PersonalData,
                            at(full.stored.index),
                            format!("the key of {subject}: {error}"),
                        );
                        self.keys.insert(name, None);
                    }
                }
            } else if let Some(subject) = full.columns.subject()
                && !self.erased.contains(subject)
                && subjects::destroy_time(tx, tenant, subject).await?.is_some()
            {
                self.erased.insert(subject.to_owned());
            }
        }
        Ok(())
    }

    /// Checks the personal data of one entry; true if it was erased.
    pub(super) fn check(&self, tenant: &Tenant, full: &Full, leaf: &Leaf, findings: &mut Findings) -> bool {
        let location = at(full.stored.index);
        let mut wrong = |message: String| findings.add(FindingKind::PersonalData, location.clone(), message);
        match (&leaf.personal, &full.sealed) {
            (None, None) => false,
            (None, Some(_)) => {
                wrong("sealed data is stored for an entry that commits to none".into());
                false
            }
            (Some(personal), None) => {
                if !self.erased.contains(&personal.subject) {
                    wrong(format!("the sealed data is missing, and {} was never erased", personal.subject));
                }
                true
            }
            (Some(personal), Some((subject, generation, sealed))) => {
                let found = digest::sha256(sealed);
                if found != personal.digest || *subject != personal.subject {
                    wrong(format!(
                        "the sealed data of {subject} has digest {found}, the entry commits to {} of {}",
                        personal.digest, personal.subject
                    ));
                    return false;
                }
                match self.keys.get(&(subject.clone(), *generation)) {
                    Some(Some(key)) if matches!(key.open(tenant, subject, &leaf.id, sealed), Ok(Some(_))) => {}
                    Some(Some(_)) => wrong(format!("the sealed data cannot be opened with the key of {subject}")),
                    _ => {
                        wrong(format!("the key that sealed the data of {subject} is gone, and the data is still there"))
                    }
                }
                false
            }
        }
    }
}

/// Sealed data without an entry.
pub(super) async fn orphans(tx: &mut Tx, tenant: &Tenant, findings: &mut Findings) -> Result<()> {
    let rows = query(
        "select p.idx from personal_data p left join entries e on e.tenant_id = p.tenant_id and e.idx = p.idx
         where p.tenant_id = $1 and e.idx is null order by p.idx limit 100",
    )
    .bind(tenant)
    .fetch_all(tx)
    .await?;
    for row in rows {
        findings.add(
            FindingKind::PersonalData,
            at(unsigned(row.get("idx")?)),
            "sealed data is stored without its entry",
        );
    }
    Ok(())
}

/// The cosigned checkpoints, checked when the tree passes their size.
pub(super) struct Cosigned {
    lines: std::iter::Peekable<std::vec::IntoIter<(u64, checkpoints::Line)>>,
}

impl Cosigned {
    pub(super) async fn read(tx: &mut Tx, tenant: &Tenant, start: u64, end: u64) -> Result<Self> {
        let rows = query(
            "select size, witness, signature, cosign_time from cosignatures
             where tenant_id = $1 and size >= $2 and size <= $3 order by size, witness",
        )
        .bind(tenant)
        .bind(signed(start))
        .bind(signed(end))
        .fetch_all(tx)
        .await?;
        let line = |row: &remit_store::Row| {
            let line = checkpoints::Line {
                witness: row.get("witness")?,
                signature: row.get("signature")?,
                cosign_time: row.get("cosign_time")?,
            };
            Ok((unsigned(row.get("size")?), line))
        };
        let lines = rows.iter().map(line).collect::<Result<Vec<_>>>()?;
        Ok(Self { lines: lines.into_iter().peekable() })
    }

    pub(super) fn check(
        &mut self,
        log: &Service,
        tenant: &Tenant,
        tree: &Tree<'_>,
        findings: &mut Findings,
    ) -> Result<()> {
        while let Some((size, line)) = self.lines.next_if(|(size, _)| *size <= tree.size()) {
            let location = format!("checkpoints/{size}");
            let Some(key) = log.keys().witnesses().iter().find(|key| key.name() == line.witness) else { continue };
            let checkpoint = Checkpoint { origin: log.keys().origin(tenant), size, root: tree.root() };
            let verified = Note::parse(&format!("{checkpoint}\n{}", line.signature)).and_then(|note| note.verify(key));
            match verified {
                Ok(time) if i64::try_from(time) == Ok(line.cosign_time) => {}
                Ok(time) => findings.add(
                    FindingKind::Checkpoint,
                    location,
                    format!("the cosignature of {} is of time {time}, stored is {}", line.witness, line.cosign_time),
                ),
                Err(error) => {
                    findings.add(FindingKind::Checkpoint, location, format!("cosignature of {}: {error}", line.witness))
                }
            }
        }
        Ok(())
    }
}
