//! Recomputes a log from what is stored, and names what is wrong.
//!
//! Everything is derived again from the entries' own bytes: leaf hashes, tiles of every level, frontier,
//! root, checkpoint and search columns. What retention removed is accounted for by the record of its
//! pruning, and that record by its entry in the log.

mod handovers;
mod people;
mod pruned;
mod rules;
mod sequence;
mod tile;
mod times;
mod tree;

use crate::leaf::Leaf;
use crate::service::Service;
use crate::store::columns::Columns;
use crate::store::entries::{self, Full};
use crate::store::heads::{self, RawHead};
use crate::store::tiles;
use handovers::Handovers;
use people::People;
use pruned::Pruned;
use remit_core::{Error, Result, Tenant};
use remit_store::Tx;
use remit_tlog::{Checkpoint, Frontier, Hash, empty_root, leaf_hash};
use rules::Rules;
use sequence::Sequences;
use std::collections::BTreeSet;
use tile::Tiles;
use tree::Tree;

pub use remit_api::audit::v1::FindingKind;

/// How many entries are read at once.
const CHUNK: u64 = 512;

/// The most findings that are kept unless asked for fewer.
pub const MAX_FINDINGS: usize = 1_000;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The part of the log.
    pub kind: FindingKind,
    /// The entry or tile.
    pub location: String,
    /// What is wrong.
    pub message: String,
}

/// What a check found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The size that the head states, or 0 if there is none.
    pub size: u64,
    /// The root recomputed at that size.
    pub root: Hash,
    /// The stored checkpoint.
    pub checkpoint: String,
    /// The first index that was recomputed.
    pub start: u64,
    /// Entries recomputed from their content.
    pub entries: u64,
    /// Entries checked by their leaf hash alone.
    pub pruned: u64,
    /// Entries whose personal data was erased.
    pub erased: u64,
    /// Tiles recomputed.
    pub tiles: u64,
    /// What is wrong, in the order found.
    pub findings: Vec<Finding>,
}

/// How far a check is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// The first index that it recomputes.
    pub(crate) start: u64,
    /// The first index that it has not looked at yet.
    pub(crate) next: u64,
    /// How many entries the log has.
    pub(crate) size: u64,
}

/// Collects findings up to a bound.
struct Findings {
    found: Vec<Finding>,
    most: usize,
}

impl Findings {
    fn add(&mut self, kind: FindingKind, location: impl Into<String>, message: impl Into<String>) {
        if !self.full() {
            self.found.push(Finding { kind, location: location.into(), message: message.into() });
        }
    }

    fn full(&self) -> bool {
        self.found.len() >= self.most
    }
}

fn at(index: u64) -> String {
    format!("entries/{index}")
}

impl Service {
    /// Checks a tenant's log in one consistent state; with `since`, a signed checkpoint from before, only
    /// what came after it, and that the log extends it.
    ///
    /// # Errors
    /// `InvalidArgument` (`NOTE_INVALID`) if `since` was not signed by this log; as the database fails.
    pub async fn fsck(&self, tenant: &Tenant, since: &str, max_findings: usize) -> Result<Report> {
        self.fsck_telling(tenant, since, max_findings, &|_| {}).await
    }

    /// As [`Service::fsck`], and calls `told` now and then with how far it is.
    ///
    /// # Errors
    /// As [`Service::fsck`].
    pub(crate) async fn fsck_telling(
        &self,
        tenant: &Tenant,
        since: &str,
        max_findings: usize,
        told: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Report> {
        let since = self.since(tenant, since)?;
        // Before the state that is checked, which then is not older.
        let kept = self.keys.memory().kept(tenant, &self.keys);
        let mut tx = self.db.snapshot().await?;
        let mut check = Check {
            log: self,
            tenant,
            findings: Findings { found: Vec::new(), most: max_findings.clamp(1, MAX_FINDINGS) },
            report: Report {
                size: 0,
                root: empty_root(),
                checkpoint: String::new(),
                start: 0,
                entries: 0,
                pruned: 0,
                erased: 0,
                tiles: 0,
                findings: Vec::new(),
            },
            rules: Rules::default(),
            sequences: Sequences::new(since.is_none()),
            handovers: Handovers::read(&mut tx, tenant, since.as_ref().map_or(0, |since| since.size)).await?,
            told,
        };
        check.run(&mut tx, since).await?;
        check.remembered(&mut tx, kept).await?;
        check.report.findings = check.findings.found;
        Ok(check.report)
    }

    /// The checkpoint that a check begins at.
    pub(crate) fn since(&self, tenant: &Tenant, note: &str) -> Result<Option<Checkpoint>> {
        if note.is_empty() {
            return Ok(None);
        }
        let wrong = |error: remit_tlog::Error| Error::invalid("NOTE_INVALID", "since_checkpoint", error.to_string());
        self.keys.open(tenant, note).map(Some).map_err(wrong)
    }
}

struct Check<'a> {
    log: &'a Service,
    tenant: &'a Tenant,
    findings: Findings,
    report: Report,
    rules: Rules,
    sequences: Sequences,
    handovers: Handovers,
    told: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Check<'_> {
    async fn run(&mut self, tx: &mut Tx, since: Option<Checkpoint>) -> Result<()> {
        let raw = heads::read_raw(tx, self.tenant).await?;
        let size = raw.as_ref().map_or(0, |raw| heads::unsigned(raw.size));
        self.report.size = size;
        let start = since.as_ref().map_or(0, |since| since.size);
        if start > size {
            let message = format!("the log had {start} entries and now has {size}: its tail was cut");
            self.findings.add(FindingKind::Checkpoint, format!("checkpoints/{start}"), message);
            return Ok(());
        }
        self.report.start = start;
        let mut tree = match Tree::begin(tx, self.tenant, start).await {
            Ok(tree) => tree,
            Err(error) => {
                self.findings.add(
                    FindingKind::Tile,
                    "tile",
                    format!("the log cannot be continued from {start}: {error}"),
                );
                return Ok(());
            }
        };
        if let Some(since) = since
            && tree.root() != since.root
        {
            let message =
                format!("the root hash was {} and now computes to {}: history was rewritten", since.root, tree.root());
            self.findings.add(FindingKind::Checkpoint, format!("checkpoints/{start}"), message);
        }
        let mut pruned = Pruned::read(tx, self.tenant, &mut self.findings).await?;
        let mut people = People::new(!pruned.is_empty());
        let mut tiles = Tiles::new(start, size);
        let mut cosigned = people::Cosigned::read(tx, self.tenant, start, size).await?;
        cosigned.check(self.log, self.tenant, &tree, &mut self.findings)?;
        let mut next = start;
        while next < size && !self.findings.full() {
            let until = size.min(next + CHUNK);
            let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
            let found = entries::full_range(tx, self.tenant, next, until, limit).await?;
            people.load(tx, self.log, self.tenant, &found, &mut self.findings).await?;
            let mut found = found.into_iter().peekable();
            for index in next..until {
                let full = found.next_if(|full| full.stored.index == index);
                let (hash, columns) = match full {
                    Some(full) => self.entry(full, &people, &pruned),
                    None => (self.absent(tx, index, &pruned).await?, None),
                };
                tiles.push(tx, self.tenant, index, columns, &mut self.findings).await?;
                let before = self.handovers.is_next().then(|| (tree.size(), tree.root()));
                tree.push(tx, hash, &mut self.findings).await?;
                if let Some(before) = before {
                    let origin = self.log.keys().origin(self.tenant);
                    self.handovers.check(&origin, before, (tree.size(), tree.root()), &mut self.findings);
                }
                cosigned.check(self.log, self.tenant, &tree, &mut self.findings)?;
            }
            next = until;
            (self.told)(Progress { start, next, size });
        }
        if self.findings.full() {
            return Ok(());
        }
        tree.finish(tx, &mut self.findings).await?;
        self.report.tiles = tree.checked();
        self.report.root = tree.root();
        self.records(tx, &mut pruned, start).await?;
        tiles.finish(tx, self.tenant, &mut self.findings).await?;
        times::surplus(tx, self.tenant, size, &mut self.findings).await?;
        if let Some(surplus) = entries::first_from(tx, self.tenant, size).await? {
            self.findings.add(FindingKind::SurplusEntry, at(surplus), format!("the log ends at {size}"));
        }
        match raw {
            Some(raw) => self.head(&raw, tree.frontier())?,
            None if size == 0 => {}
            None => self.findings.add(FindingKind::Head, "head", "the head row is missing"),
        }
        Ok(())
    }

    /// Compares the log with what its process remembers outside of the database.
    async fn remembered(&mut self, tx: &mut Tx, kept: Result<Option<(u64, Hash)>>) -> Result<()> {
        let (size, root) = match kept {
            Ok(Some(kept)) => kept,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.findings.add(FindingKind::Head, "head", error.message());
                return Ok(());
            }
        };
        let now = self.report.size;
        let still = if size > now { None } else { Some(tiles::root(tx, self.tenant, size).await) };
        let what = match still {
            None => format!("ended at {now} of them: its tail was cut, or the database was put back"),
            Some(Ok(found)) if found == root => return Ok(()),
            Some(Ok(found)) => format!("had root {found} there: history was rewritten"),
            Some(Err(error)) => format!("could not be followed to there: {error}"),
        };
        let message = format!(
            "this log was last signed here with {size} entries and root {root} (audit-heads/{}.checkpoint in the data \
             directory), and in the database it {what}",
            self.tenant
        );
        self.findings.add(FindingKind::Head, "head", message);
        Ok(())
    }

    /// Compares what is stored beside the entries with what they say of it.
    async fn records(&mut self, tx: &mut Tx, pruned: &mut Pruned, start: u64) -> Result<()> {
        pruned.account(tx, self.tenant, self.report.size, &mut self.findings).await?;
        people::orphans(tx, self.tenant, &mut self.findings).await?;
        let erased = pruned.erasures_from(start);
        people::keys(tx, self.log, self.tenant, erased, &mut self.findings).await?;
        self.rules.compare(tx, self.tenant, start == 0, &mut self.findings).await?;
        self.sequences.finish(&mut self.findings);
        self.handovers.finish(&mut self.findings);
        Ok(())
    }

    /// Checks one entry and returns the leaf hash and the columns that its content gives.
    fn entry(&mut self, full: Full, people: &People, pruned: &Pruned) -> (Hash, Option<Columns>) {
        let stored = &full.stored;
        let computed = leaf_hash(&stored.line);
        self.report.entries += 1;
        if computed.0.as_slice() != stored.hash {
            let message = format!("the content has leaf hash {computed}, stored is {}", hex::encode(&stored.hash));
            self.findings.add(FindingKind::Entry, at(stored.index), message);
        }
        if pruned.covers(stored.index) {
            self.findings.add(FindingKind::Pruning, at(stored.index), "is there, and recorded as pruned");
        }
        let leaf = match Leaf::decode(&stored.line) {
            Ok(leaf) => leaf,
            Err(why) => {
                self.sequences.skip();
                self.findings.add(FindingKind::Entry, at(stored.index), format!("the content is no leaf: {why}"));
                return (computed, Some(full.columns));
            }
        };
        let times = leaf.times().ok().zip(leaf.integrated_at());
        let expected = times.map(|(times, integrated)| Columns::of(&leaf, times, integrated));
        if let Some(expected) = expected.as_ref().filter(|expected| **expected != full.columns) {
            self.findings.add(FindingKind::Column, at(stored.index), full.columns.differences(expected));
        }
        self.rules.push(stored.index, &leaf);
        self.handovers.push(&leaf);
        self.sequences.push(stored.index, &leaf, &mut self.findings);
        if people.check(self.tenant, &full, &leaf, &mut self.findings) {
            self.report.erased += 1;
        }
        (computed, expected)
    }

    /// Accounts for an entry that is not there; its leaf hash is then that of the stored tile.
    async fn absent(&mut self, tx: &mut Tx, index: u64, pruned: &Pruned) -> Result<Hash> {
        self.sequences.skip();
        let tile = crate::store::tiles::read(tx, self.tenant, 0, index / 256).await.unwrap_or_default();
        let hash = tile.and_then(|hashes| hashes.get((index % 256) as usize).copied());
        if pruned.covers(index) {
            self.report.pruned += 1;
        } else {
            let known = hash.map_or_else(String::new, |hash| format!("; its leaf hash was {hash}"));
            self.findings.add(
                FindingKind::MissingEntry,
                at(index),
                format!("is missing, and no pruning accounts for it{known}"),
            );
        }
        Ok(hash.unwrap_or_else(empty_root))
    }

    fn head(&mut self, raw: &RawHead, frontier: &Frontier) -> Result<()> {
        let root = frontier.root();
        if raw.root != root.0 {
            let message = format!("the root hash is {} and computes to {root}", hex::encode(&raw.root));
            self.findings.add(FindingKind::Head, "head", message);
        }
        if raw.frontier != Hash::join(frontier.hashes()) {
            self.findings.add(FindingKind::Head, "head", "the frontier is not the one that the entries give");
        }
        self.report.checkpoint.clone_from(&raw.checkpoint);
        if raw.size == 0 {
            return Ok(());
        }
        let location = format!("checkpoints/{}", raw.size);
        match self.log.keys().open(self.tenant, &raw.checkpoint) {
            Ok(checkpoint) if heads::signed(checkpoint.size) != raw.size || checkpoint.root != root => {
                let message = format!(
                    "states size {} and root {}, the entries give {} and {root}",
                    checkpoint.size, checkpoint.root, raw.size
                );
                self.findings.add(FindingKind::Checkpoint, location, message);
            }
            Ok(checkpoint) if checkpoint.origin != self.log.keys().origin(self.tenant) => {
                self.findings.add(
                    FindingKind::Checkpoint,
                    location,
                    format!("is of another log, {}", checkpoint.origin),
                );
            }
            Ok(_) => {}
            Err(error) => self.findings.add(FindingKind::Checkpoint, location, error.to_string()),
        }
        Ok(())
    }
}

/// Checks the logs of all tenants in a database, for `remit audit fsck`.
///
/// # Errors
/// As [`Service::fsck`].
pub async fn all(log: &Service, max_findings: usize) -> Result<Vec<(Tenant, Report)>> {
    let mut reports = Vec::new();
    // A log that is remembered and of which nothing is left in the database is looked for too.
    let stored = remit_store::tenants::list(&log.db).await?;
    let tenants: BTreeSet<Tenant> = stored.into_iter().chain(log.keys().memory().tenants()).collect();
    for tenant in tenants {
        let report = log.fsck(&tenant, "", max_findings).await?;
        reports.push((tenant, report));
    }
    Ok(reports)
}
