//! One step of one log: a transaction that claims the head, gives out indexes, and stores entries,
//! sealed data, tiles and the new head with its signed checkpoint.

use crate::keys::Keys;
use crate::memory;
use crate::prepare::{Prepared, reused};
use crate::store::columns::Columns;
use crate::store::entries::{self, NewEntry, Stored};
use crate::store::heads::{self, Head};
use crate::store::subjects::{self, LiveKey, Sealed};
use crate::store::times::{self, Times};
use crate::store::{postings, tiles};
use remit_core::{Clock, Error, Kind, Result, Tenant};
use remit_store::{Db, Tx};
use remit_tlog::tile::{self, WIDTH};
use remit_tlog::{Checkpoint, Hash, leaf_hash};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// Where the events of one call went.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// One for each event, in the order of the call.
    pub places: Vec<Place>,
    /// The size of the log after the step.
    pub size: u64,
    /// The signed checkpoint of that size.
    pub checkpoint: String,
}

/// Where one event went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The index.
    pub index: u64,
    /// The leaf hash.
    pub hash: Hash,
    /// Whether it had been recorded before.
    pub duplicate: bool,
}

/// How often a step that lost against another writer is repeated before its callers are told.
const TRIES: usize = 5;

/// The answers of a step to its calls, and the head that it left.
type Done = (Vec<Result<Receipt>>, Head);

/// Runs a step for several calls; the outer error is the database's, the inner ones are the calls' own.
///
/// `last` is the head as the last step of this process left it. Nearly always nobody has appended since, and every event
/// is new: then the step claims that head and writes in one statement. What speaks against it undoes that, and the step
/// is run again from what is stored.
pub async fn run(
    db: &Db,
    clock: &dyn Clock,
    keys: &Keys,
    tenant: &Tenant,
    jobs: &[Vec<Prepared>],
    last: &Mutex<Option<Head>>,
) -> Result<Vec<Result<Receipt>>> {
    let lock = || last.lock().unwrap_or_else(PoisonError::into_inner);
    let step = Step { clock, keys, tenant, db };
    // Taken, so that a step whose outcome is unknown leaves none.
    let old = lock().take();
    if let Some(old) = old {
        match step.forward(jobs, &old).await {
            Ok(Some((receipts, head))) => {
                *lock() = Some(head);
                return Ok(receipts);
            }
            Ok(None) => {}
            Err(error) if error.kind() == Kind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    // Nearly always no event has been recorded before: assume so, and let the unique constraint say no.
    let mut lookup = false;
    for attempt in 1.. {
        match step.attempt(jobs, lookup).await {
            Ok(Some((receipts, head))) => {
                *lock() = Some(head);
                return Ok(receipts);
            }
            Ok(None) => lookup = true,
            Err(error) if error.kind() == Kind::Conflict && attempt < TRIES => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::internal("a step ended without an outcome"))
}

/// Appends one event in a transaction that changes something else too, so that both happen or neither.
/// The head row is then held until that transaction ends: claim it late.
///
/// # Errors
/// As the database fails; `AlreadyExists` if the event id is taken.
pub async fn append_in(
    tx: &mut Tx,
    db: &Db,
    clock: &dyn Clock,
    keys: &Keys,
    tenant: &Tenant,
    event: &Prepared,
) -> Result<Head> {
    let step = Step { clock, keys, tenant, db };
    let mut head = heads::claim(tx, tenant, clock.now()).await?;
    memory::check(tx, keys, tenant, &head).await?;
    let (new, sealed) = step.encode(tx, &[event], head.size).await?;
    if entries::insert(tx, tenant, &new).await? != 1 {
        return Err(Error::new(
            Kind::AlreadyExists,
            "EVENT_ID_REUSED",
            format!("event {} was recorded before", event.leaf.id),
        ));
    }
    subjects::insert(tx, tenant, sealed).await?;
    step.grow(tx, &mut head, &new).await?;
    heads::update(tx, tenant, &head).await?;
    Ok(head)
}

struct Step<'a> {
    db: &'a Db,
    clock: &'a dyn Clock,
    keys: &'a Keys,
    tenant: &'a Tenant,
}

/// An event's place while the step is planned.
#[derive(Clone, Copy)]
enum Slot {
    /// Recorded before.
    Old(u64, Hash),
    /// The n-th new entry of this step.
    New(usize),
    /// The same event as the n-th new entry of this step.
    Again(usize),
}

impl Step<'_> {
    /// Goes on from a head that this process left, with events that are new. None if they are not, if somebody else has
    /// appended since, or if there is personal data to seal.
    async fn forward(&self, jobs: &[Vec<Prepared>], old: &Head) -> Result<Option<Done>> {
        let fresh: Vec<&Prepared> = jobs.iter().flatten().collect();
        let ids: HashSet<&str> = fresh.iter().map(|event| event.leaf.id.as_str()).collect();
        let plain = ids.len() == fresh.len() && fresh.iter().all(|event| event.personal.is_none());
        // A head that is not the last that was seen is either behind, or was put back.
        let newest = self.keys.memory().is_newest(self.tenant, old.size, old.root);
        if !plain || fresh.is_empty() || !newest {
            return Ok(None);
        }
        let mut next = 0..;
        let slots: Vec<_> = jobs.iter().map(|job| Ok(next.by_ref().take(job.len()).map(Slot::New).collect())).collect();
        let new: Vec<NewEntry> = (old.size..).zip(&fresh).map(|(index, event)| plainly(index, event)).collect();
        let mut head = old.clone();
        self.extend(&mut head, &new)?;
        let claim = heads::advance(self.tenant, old, &head, self.clock.now());
        let mut tx = self.db.write().await?;
        if entries::insert_claiming(&mut tx, self.tenant, &new, claim).await? != new.len() as u64 {
            tx.rollback().await?;
            return Ok(None);
        }
        self.fill(&mut tx, old.size, &new).await?;
        tx.commit().await?;
        Ok(Some(self.done(slots, &new, old.size, head)))
    }

    /// None if an event id turned out to be taken although none was looked up.
    async fn attempt(&self, jobs: &[Vec<Prepared>], lookup: bool) -> Result<Option<Done>> {
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        let mut head = heads::claim(&mut tx, self.tenant, now).await?;
        memory::check(&mut tx, self.keys, self.tenant, &head).await?;
        let known = if lookup { self.known(&mut tx, jobs).await? } else { HashMap::new() };
        let (fresh, slots) = self.plan(&mut tx, jobs, &known).await?;
        let first = head.size;
        let (new, sealed) = self.encode(&mut tx, &fresh, first).await?;
        if !new.is_empty() {
            let inserted = entries::insert(&mut tx, self.tenant, &new).await?;
            if inserted != new.len() as u64 {
                tx.rollback().await?;
                if lookup {
                    return Err(Error::internal("the head row did not keep others from appending"));
                }
                return Ok(None);
            }
            subjects::insert(&mut tx, self.tenant, sealed).await?;
            self.grow(&mut tx, &mut head, &new).await?;
            heads::update(&mut tx, self.tenant, &head).await?;
        }
        tx.commit().await?;
        Ok(Some(self.done(slots, &new, first, head)))
    }

    /// What is answered after the commit of a step that began at `first`.
    fn done(&self, slots: Vec<Result<Vec<Slot>>>, new: &[NewEntry], first: u64, head: Head) -> Done {
        self.keys.memory().saw(self.tenant, head.size, head.root, &head.checkpoint);
        let place = |slot: Slot| match slot {
            Slot::Old(index, hash) => Place { index, hash, duplicate: true },
            Slot::New(at) => Place { index: first + at as u64, hash: new[at].hash, duplicate: false },
            Slot::Again(at) => Place { index: first + at as u64, hash: new[at].hash, duplicate: true },
        };
        let receipt = |slots: Vec<Slot>| Receipt {
            places: slots.into_iter().map(place).collect(),
            size: head.size,
            checkpoint: head.checkpoint.clone(),
        };
        (slots.into_iter().map(|slots| slots.map(receipt)).collect(), head)
    }

    async fn known(&self, tx: &mut Tx, jobs: &[Vec<Prepared>]) -> Result<HashMap<String, Stored>> {
        let ids: HashSet<&str> = jobs.iter().flatten().map(|event| event.leaf.id.as_str()).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        Ok(entries::by_event_ids(tx, self.tenant, &ids).await?.into_iter().collect())
    }

    /// Decides which events are new; a call with an event id that is taken by another body is refused
    /// as a whole and leaves no trace.
    async fn plan<'a>(
        &self,
        tx: &mut Tx,
        jobs: &'a [Vec<Prepared>],
        known: &HashMap<String, Stored>,
    ) -> Result<(Vec<&'a Prepared>, Vec<Result<Vec<Slot>>>)> {
        let (mut fresh, mut places, mut outcomes) =
            (Vec::<&Prepared>::new(), HashMap::<&str, usize>::new(), Vec::new());
        for job in jobs {
            let before = fresh.len();
            let mut slots = Ok(Vec::with_capacity(job.len()));
            for event in job {
                let id = event.leaf.id.as_str();
                let slot = if let Some(stored) = known.get(id) {
                    self.recorded(tx, event, stored).await?
                } else if let Some(at) = places.get(id) {
                    let first = fresh[*at];
                    if event.same_as(first) { Ok(Slot::Again(*at)) } else { Err(reused(id, first.hash, event.hash)) }
                } else {
                    places.insert(id, fresh.len());
                    fresh.push(event);
                    Ok(Slot::New(fresh.len() - 1))
                };
                match (slot, &mut slots) {
                    (Ok(slot), Ok(slots)) => slots.push(slot),
                    (Err(error), slots) => {
                        *slots = Err(error);
                        break;
                    }
                    (Ok(_), Err(_)) => break,
                }
            }
            if slots.is_err() {
                for event in fresh.drain(before..) {
                    places.remove(event.leaf.id.as_str());
                }
            }
            outcomes.push(slots);
        }
        Ok((fresh, outcomes))
    }

    /// Compares an event with the entry that has its id. Personal data is compared by sealing it again;
    /// once erased, it cannot be compared, and the rest decides.
    async fn recorded(&self, tx: &mut Tx, event: &Prepared, stored: &Stored) -> Result<Result<Slot>> {
        let leaf = stored.leaf()?;
        let first = leaf_hash(&stored.line);
        if !event.matches(&leaf)? {
            return Ok(Err(reused(&leaf.id, first, event.hash)));
        }
        if let (Some((subject, fields)), Some(sealed)) =
            (&event.personal, subjects::get(tx, self.tenant, stored.index).await?)
        {
            let key = match subjects::key(tx, self.tenant, subject, sealed.generation, self.keys.master()).await {
                // A key that cannot be opened is one with which nothing can be compared, as one that is destroyed.
                Err(error) if subjects::is_closed(&error) => None,
                other => other?,
            };
            if let Some(key) = key {
                let again = key.seal(self.tenant, subject, &leaf.id, fields)?;
                if again != sealed.sealed {
                    let second = event.leaf.clone().commit_to(subject, &again).encode()?;
                    return Ok(Err(reused(&leaf.id, first, leaf_hash(&second))));
                }
            }
        }
        Ok(Ok(Slot::Old(stored.index, first)))
    }

    /// Gives the new entries their indexes, and seals what is personal.
    async fn encode(&self, tx: &mut Tx, fresh: &[&Prepared], first: u64) -> Result<(Vec<NewEntry>, Vec<Sealed>)> {
        let subjects: HashSet<&str> =
            fresh.iter().filter_map(|event| Some(event.personal.as_ref()?.0.as_str())).collect();
        let keys = if subjects.is_empty() {
            HashMap::new()
        } else {
            let subjects: Vec<&str> = subjects.into_iter().collect();
            subjects::keys_for(tx, self.tenant, &subjects, self.keys.master(), self.db.ids(), self.clock.now()).await?
        };
        let (mut new, mut all_sealed) = (Vec::with_capacity(fresh.len()), Vec::new());
        for (at, event) in fresh.iter().enumerate() {
            let index = first + at as u64;
            let Some((subject, fields)) = &event.personal else {
                new.push(plainly(index, event));
                continue;
            };
            let LiveKey { generation, key } =
                keys.get(subject).ok_or_else(|| Error::internal("a subject has no key"))?;
            let sealed = key.seal(self.tenant, subject, &event.leaf.id, fields)?;
            let leaf = event.leaf.clone().commit_to(subject, &sealed);
            all_sealed.push(Sealed { index, subject: subject.clone(), generation: *generation, sealed });
            let line = leaf.encode()?;
            let columns = Columns::of(&leaf, event.times, event.integrated);
            new.push(NewEntry { index, hash: leaf_hash(&line), line, columns });
        }
        Ok((new, all_sealed))
    }

    /// Integrates new leaves: the frontier, the tiles that they fill, and the checkpoint.
    async fn grow(&self, tx: &mut Tx, head: &mut Head, new: &[NewEntry]) -> Result<()> {
        let start = head.size;
        self.extend(head, new)?;
        self.fill(tx, start, new).await
    }

    /// The head after new leaves, with its checkpoint.
    fn extend(&self, head: &mut Head, new: &[NewEntry]) -> Result<()> {
        let broken = |error: remit_tlog::Error| Error::internal("the log could not grow").with_source(error);
        for entry in new {
            head.frontier.push(entry.hash).map_err(broken)?;
        }
        head.size = head.frontier.size();
        head.root = head.frontier.root();
        let checkpoint = Checkpoint { origin: self.keys.origin(self.tenant), size: head.size, root: head.root };
        head.checkpoint = checkpoint.sign(&self.keys.signer(self.tenant)?).to_string();
        Ok(())
    }

    /// Stores what is kept of each tile that new leaves fill: its hashes, the times under it, and where its values are.
    async fn fill(&self, tx: &mut Tx, start: u64, new: &[NewEntry]) -> Result<()> {
        let end = start + new.len() as u64;
        if start / WIDTH == end / WIDTH {
            return Ok(());
        }
        let (mut postings, mut times) = (Vec::new(), Vec::new());
        for tile in start / WIDTH..end / WIDTH {
            let (low, high) = (tile * WIDTH, (tile + 1) * WIDTH);
            // What came before this step is read back once for 256 entries.
            let before = if low < start { entries::columns(tx, self.tenant, low, start).await? } else { Vec::new() };
            let inside = || new.iter().filter(|entry| (low..high).contains(&entry.index));
            let hashes: Vec<Hash> =
                before.iter().map(|(hash, _)| *hash).chain(inside().map(|entry| entry.hash)).collect();
            let columns = || before.iter().map(|(_, columns)| columns).chain(inside().map(|entry| &entry.columns));
            tiles::write(tx, self.tenant, 0, tile, &hashes).await?;
            self.raise(tx, tile, &hashes).await?;
            postings.push((tile, postings::of((low..high).zip(columns()))));
            times.extend(Times::of(columns().map(Columns::times)).map(|times| (tile, times)));
        }
        times::note(tx, self.tenant, &times).await?;
        postings::write(tx, self.tenant, postings).await
    }

    /// Adds the root of the full tile `index` of level 0 to the tile above, and so on while tiles fill.
    async fn raise(&self, tx: &mut Tx, index: u64, hashes: &[Hash]) -> Result<()> {
        let (mut level, mut index, mut root) = (0u8, index, tile::root(hashes));
        while let Some(hash) = root {
            level += 1;
            let (above, place) = (index / WIDTH, (index % WIDTH) as usize);
            let mut tile = tiles::read(tx, self.tenant, level, above).await?.unwrap_or_default();
            if tile.len() != place {
                return Err(crate::store::damaged(format!("tile {above} of level {level} has {} hashes", tile.len())));
            }
            tile.push(hash);
            tiles::write(tx, self.tenant, level, above, &tile).await?;
            (index, root) = (above, tile::root(&tile));
        }
        Ok(())
    }
}

/// The entry of an event that has nothing to seal.
fn plainly(index: u64, event: &Prepared) -> NewEntry {
    let columns = Columns::of(&event.leaf, event.times, event.integrated);
    NewEntry { index, hash: event.hash, line: event.line.clone(), columns }
}
