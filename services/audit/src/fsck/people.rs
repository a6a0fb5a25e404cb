//! Personal data and cosignatures, checked beside the entries.

use super::{FindingKind, Findings, Tree, at};
use crate::leaf::Leaf;
use crate::seal::SubjectKey;
use crate::service::Service;
use crate::store::entries::Full;
use crate::store::heads::{signed, unsigned};
use crate::store::{checkpoints, search, subjects};
use remit_core::details::SubjectErased;
use remit_core::{Result, Tenant, Timestamp, digest};
use remit_store::filter::Atom;
use remit_store::{Sql, Tx, query};
use remit_tlog::{Checkpoint, Note};
use std::collections::HashMap;

/// The keys and erasures of the subjects in one chunk of entries.
#[derive(Default)]
pub(super) struct People {
    /// Whether retention removed anything of the log, and so perhaps the entry of an erasure.
    pruned: bool,
    keys: HashMap<(String, i64), Option<SubjectKey>>,
    erased: HashMap<String, Erased>,
}

/// The last erasure of a subject.
#[derive(Clone, Copy)]
struct Erased {
    /// The index of its entry, where that is still there.
    by: Option<u64>,
    /// When a key was last destroyed, where retention may have removed the entry.
    at: Option<Timestamp>,
}

impl Erased {
    /// Whether it took the data of an entry.
    fn took(self, full: &Full) -> bool {
        let (_, recorded, _) = full.columns.times();
        self.by.is_some_and(|by| full.stored.index < by) || self.at.is_some_and(|at| recorded <= at.0)
    }
}

impl People {
    pub(super) fn new(pruned: bool) -> Self {
        Self { pruned, ..Self::default() }
    }

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
                && !self.erased.contains_key(subject)
            {
                let by = erasure(tx, tenant, subject).await?;
                let at = match by {
                    None if self.pruned => subjects::destroy_time(tx, tenant, subject).await?,
                    _ => None,
                };
                self.erased.insert(subject.to_owned(), Erased { by, at });
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
                if !self.erased.get(&personal.subject).is_some_and(|erased| erased.took(full)) {
                    let message = format!("the sealed data is missing, and no entry erased {} since", personal.subject);
                    wrong(message);
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

const ERASE: &str = "audit.subjects.erase";

/// The index of the last entry that erased a subject.
async fn erasure(tx: &mut Tx, tenant: &Tenant, subject: &str) -> Result<Option<u64>> {
    let resource = format!("subjects/{subject}");
    let need = [Atom::Is("resource", resource.clone())];
    let condition = |sql: Sql| {
        let sql = sql.push(" and resource = ").bind(&resource).push(" and action = ").bind(ERASE);
        sql.push(" and service = ").bind(crate::SCHEMA.service).push(" and outcome = 'SUCCESS'")
    };
    search::last(tx, tenant, vec![&need], &condition).await
}

/// The keys of subjects: each that is there opens, and each that was destroyed was destroyed by an entry, which says how
/// many went with it. Of keys destroyed at `since` or later that entry must be there.
pub(super) async fn keys(
    tx: &mut Tx,
    log: &Service,
    tenant: &Tenant,
    since: Option<Timestamp>,
    findings: &mut Findings,
) -> Result<()> {
    let mut destroyed: HashMap<(String, i64), u64> = HashMap::new();
    let (mut subject, mut generation) = (String::new(), 0i64);
    while !findings.full() {
        let rows = query(
            "select subject, generation, wrapped, destroy_time from subject_keys
             where tenant_id = $1 and (subject > $2 or (subject = $2 and generation > $3))
             order by subject, generation limit 500",
        )
        .bind(tenant)
        .bind(&subject)
        .bind(generation)
        .fetch_all(tx)
        .await?;
        let Some(last) = rows.last() else { break };
        let next = (last.get("subject")?, last.get("generation")?);
        for row in &rows {
            let (subject, generation): (String, i64) = (row.get("subject")?, row.get("generation")?);
            let live = row.get::<Option<Vec<u8>>>("wrapped")?.is_some();
            let mut wrong = |why: String| findings.add(FindingKind::SubjectKey, format!("subjects/{subject}"), why);
            match (live, row.get::<Option<i64>>("destroy_time")?) {
                (true, None) => {
                    if let Err(error) = subjects::key(tx, tenant, &subject, generation, log.keys().master()).await {
                        wrong(error.to_string());
                    }
                }
                (false, Some(at)) => *destroyed.entry((subject, at)).or_default() += 1,
                (true, Some(_)) => wrong(format!("key {generation} was destroyed and is there again")),
                (false, None) => wrong(format!("key {generation} is gone, and nothing says when it was destroyed")),
            }
        }
        (subject, generation) = next;
    }
    erasures(tx, tenant, destroyed, since, findings).await
}

async fn erasures(
    tx: &mut Tx,
    tenant: &Tenant,
    mut destroyed: HashMap<(String, i64), u64>,
    since: Option<Timestamp>,
    findings: &mut Findings,
) -> Result<()> {
    let mut next = -1i64;
    loop {
        let rows = query(
            "select idx, leaf from entries where tenant_id = $1 and action = $2 and idx > $3 and service = $4
             and outcome = 'SUCCESS' order by idx limit 500",
        )
        .bind(tenant)
        .bind(ERASE)
        .bind(next)
        .bind(crate::SCHEMA.service)
        .fetch_all(tx)
        .await?;
        let Some(last) = rows.last() else { break };
        next = last.get("idx")?;
        for row in &rows {
            // What is no leaf was named as such before.
            let Ok(leaf) = Leaf::decode(&row.get::<Vec<u8>>("leaf")?) else { continue };
            let (Some(subject), Ok((_, at))) = (leaf.resource.strip_prefix("subjects/"), leaf.times()) else {
                continue;
            };
            let stated = serde_json::from_str::<SubjectErased>(leaf.details()).unwrap_or_default().destroyed_keys;
            let found = destroyed.remove(&(subject.to_owned(), at.0)).unwrap_or_default();
            if found != stated {
                let index = at_index(row)?;
                let message =
                    format!("{stated} keys were destroyed by {index}, and {found} are stored as destroyed then");
                findings.add(FindingKind::SubjectKey, format!("subjects/{subject}"), message);
            }
        }
    }
    let Some(since) = since else { return Ok(()) };
    let mut left: Vec<_> = destroyed.into_iter().filter(|((_, at), _)| *at >= since.0).collect();
    left.sort_unstable();
    for ((subject, at), count) in left {
        let message = format!("{count} keys are destroyed at {}, and no entry says so", Timestamp(at));
        findings.add(FindingKind::SubjectKey, format!("subjects/{subject}"), message);
    }
    Ok(())
}

fn at_index(row: &remit_store::Row) -> Result<String> {
    Ok(at(unsigned(row.get("idx")?)))
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
