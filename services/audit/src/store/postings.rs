//! Postings: of each value, which entries under full tiles of level 0 have it.
//!
//! An entry is written with two indexes, its position and its event id. Where values are is written apart, and little at a
//! time: one row when a tile of 256 entries is full, and when [`GROUP`] tiles are, these rows become [`BUCKETS`] others, in
//! each of which a part of all values has its places. So a value is found by reading one row of each group, a conjunction
//! is an `and` of bits, and what comes after the last full tile, at most 255 entries, is looked at one by one.
//!
//! A value is known by 32 bits of a hash. What two values share leads to candidates that the filter then refuses.

use super::columns::Columns;
use super::heads::{self, signed, unsigned};
use remit_core::{Result, Tenant};
use remit_store::filter::Atom;
use remit_store::{BulkInsert, Sql, Tx};
use remit_tlog::leaf_hash;
use remit_tlog::tile::WIDTH;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many tiles have their postings together.
pub const GROUP: u64 = 64;

/// In how many rows a group has its postings: a value's is told by the first bits of its mark.
pub const BUCKETS: u32 = 256;

/// Instead of a bucket: the row of one tile whose group is not full.
const LOOSE: i64 = -1;

/// More places than this are written as bits.
const MOST_PLACES: usize = 31;

/// The form of places that are bits.
const AS_BITS: u8 = 255;

/// How many beginnings of a value can be looked for.
const MOST_BEGINNINGS: usize = 6;

/// Which entries under one tile: the first is the lowest bit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bits([u64; 4]);

impl Bits {
    /// Adds the entry at `place`.
    pub fn set(&mut self, place: u8) {
        if let Some(word) = self.0.get_mut(usize::from(place / 64)) {
            *word |= 1 << (place % 64);
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }

    /// What is in either.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
        self
    }

    /// What is in both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word &= more);
        self
    }

    /// The places in ascending order.
    pub fn places(self) -> impl Iterator<Item = u8> {
        let has =
            move |place: &u8| self.0.get(usize::from(place / 64)).is_some_and(|word| word >> (place % 64) & 1 == 1);
        (0..=u8::MAX).filter(has)
    }
}

/// What stands for a value: 32 bits of a hash.
pub type Mark = u32;

fn mark(field: &str, form: &str, value: &str) -> Mark {
    let hash = leaf_hash([field, form, value].concat().as_bytes());
    hash.0.iter().take(4).fold(0, |mark, byte| mark << 8 | Mark::from(*byte))
}

fn bucket(mark: Mark) -> i64 {
    i64::from(mark / (Mark::MAX / BUCKETS + 1))
}

/// The fields whose values have beginnings that can be looked for, up to each of the signs that divide names.
const DIVIDED: [&str; 3] = ["action", "resource", "model_version"];

/// The beginnings of a value that have marks of their own, the shortest first.
fn beginnings(value: &str) -> impl Iterator<Item = &str> {
    let ends = value.match_indices(['/', '.']).filter_map(|(at, _)| value.get(..=at));
    ends.take(MOST_BEGINNINGS)
}

/// The marks of an entry.
fn marks(columns: &Columns) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (field, value) in columns.values() {
        marks.push(mark(field, "=", value));
        if DIVIDED.contains(&field) {
            marks.extend(beginnings(value).map(|part| mark(field, "^", part)));
        }
    }
    marks
}

/// The mark that all have that an atom lets pass; none if there is no such mark.
pub(super) fn wanted(atom: &Atom) -> Option<Mark> {
    match atom {
        Atom::Is("id", _) => None,
        Atom::Is(field, value) => Some(mark(field, "=", value)),
        Atom::Begins(field, part) if DIVIDED.contains(field) => {
            beginnings(part).last().map(|part| mark(field, "^", part))
        }
        Atom::Begins(..) => None,
    }
}

/// The places of values under tiles: by mark and tile.
pub type Postings = BTreeMap<(Mark, u64), Bits>;

/// The postings of entries, each with its index.
pub fn of<'c>(entries: impl IntoIterator<Item = (u64, &'c Columns)>) -> Postings {
    let mut postings = Postings::new();
    for (index, columns) in entries {
        let place = u8::try_from(index % WIDTH).unwrap_or_default();
        for mark in marks(columns) {
            postings.entry((mark, index / WIDTH)).or_default().set(place);
        }
    }
    postings
}

/// Writes one posting at the end of a row: the mark, the tile within its group, and the places.
fn pack(row: &mut Vec<u8>, (mark, tile): (Mark, u64), bits: Bits) {
    row.extend(mark.to_be_bytes());
    row.push(u8::try_from(tile % GROUP).unwrap_or_default());
    let places: Vec<u8> = bits.places().collect();
    match u8::try_from(places.len()) {
        Ok(count) if places.len() <= MOST_PLACES => {
            row.push(count);
            row.extend(places);
        }
        _ => {
            row.push(AS_BITS);
            row.extend(bits.0.into_iter().flat_map(u64::to_be_bytes));
        }
    }
}

/// Reads the first posting of a row: its mark, its tile within the group, its places, and the rest.
fn unpack(row: &[u8]) -> Option<(Mark, u64, Bits, &[u8])> {
    let (mark, rest) = row.split_first_chunk::<4>()?;
    let ([tile, form], rest) = rest.split_first_chunk::<2>()?;
    let mut bits = Bits::default();
    let length = if *form == AS_BITS { 32 } else { usize::from(*form) };
    let (places, rest) = rest.split_at_checked(length)?;
    if *form == AS_BITS {
        for (word, bytes) in bits.0.iter_mut().zip(places.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
    } else {
        places.iter().for_each(|place| bits.set(*place));
    }
    Some((Mark::from_be_bytes(*mark), u64::from(*tile), bits, rest))
}

/// The postings in a row of the group that begins at `first`. What is damaged ends it: `fsck` names that, and nobody waits.
fn unpacked(mut row: &[u8], first: u64) -> impl Iterator<Item = ((Mark, u64), Bits)> {
    std::iter::from_fn(move || {
        let (mark, tile, bits, rest) = unpack(row)?;
        row = rest;
        Some(((mark, first + tile), bits))
    })
}

/// Rows by bucket.
pub type Rows = BTreeMap<i64, Vec<u8>>;

/// The rows that the postings of a whole group have, or of one tile.
pub fn rows(postings: &Postings, grouped: bool) -> Rows {
    let mut rows = Rows::new();
    for (key, bits) in postings {
        let bucket = if grouped { bucket(key.0) } else { LOOSE };
        pack(rows.entry(bucket).or_default(), *key, *bits);
    }
    rows
}

/// The first tile of the group of a tile.
pub fn group_of(tile: u64) -> u64 {
    tile / GROUP * GROUP
}

async fn insert(tx: &mut Tx, tenant: &Tenant, rows: Vec<(u64, Rows)>) -> Result<()> {
    let rows: Vec<(i64, i64, Vec<u8>)> = rows
        .into_iter()
        .flat_map(|(tile, rows)| rows.into_iter().map(move |(bucket, body)| (bucket, signed(tile), body)))
        .collect();
    BulkInsert::into("postings")
        .text("tenant_id", vec![tenant.as_str().to_owned(); rows.len()])
        .bigint("bucket", rows.iter().map(|(bucket, _, _)| *bucket).collect::<Vec<_>>())
        .bigint("tile", rows.iter().map(|(_, tile, _)| *tile).collect::<Vec<_>>())
        .bytes("body", rows.into_iter().map(|(_, _, body)| body))
        .on_conflict("(tenant_id, bucket, tile) do update set body = excluded.body")
        .execute(tx)
        .await
        .map(|_| ())
}

/// Stores the postings of tiles that have become full, in their order.
pub async fn write(tx: &mut Tx, tenant: &Tenant, tiles: Vec<(u64, Postings)>) -> Result<()> {
    let mut loose = Vec::new();
    for (tile, postings) in tiles {
        loose.push((tile, rows(&postings, false)));
        if (tile + 1).is_multiple_of(GROUP) {
            insert(tx, tenant, std::mem::take(&mut loose)).await?;
            group(tx, tenant, group_of(tile)).await?;
        }
    }
    insert(tx, tenant, loose).await
}

/// Puts the rows of the tiles of a full group together.
async fn group(tx: &mut Tx, tenant: &Tenant, first: u64) -> Result<()> {
    let bound = |sql: Sql| {
        let sql = sql.bind(tenant).push(" and bucket = ").bind(LOOSE).push(" and tile >= ").bind(signed(first));
        sql.push(" and tile < ").bind(signed(first + GROUP))
    };
    let mut postings = Postings::new();
    let select = bound(Sql::new("select body from postings where tenant_id = ")).query();
    for row in select.fetch_all(tx).await? {
        postings.extend(unpacked(&row.get::<Vec<u8>>("body")?, first));
    }
    bound(Sql::new("delete from postings where tenant_id = ")).query().execute(tx).await?;
    insert(tx, tenant, vec![(first, rows(&postings, true))]).await
}

/// Adds which rows are those of the group or tile that begins at `first`.
fn at(sql: Sql, tenant: &Tenant, first: u64) -> Sql {
    let sql = sql.bind(tenant).push(" and tile = ").bind(signed(first)).push(" and bucket in ");
    sql.bind_list(LOOSE..i64::from(BUCKETS))
}

/// The stored rows of the tile or group that begins at `first`.
pub async fn stored(tx: &mut Tx, tenant: &Tenant, first: u64) -> Result<Rows> {
    let sql = at(Sql::new("select bucket, body from postings where tenant_id = "), tenant, first);
    let rows = sql.query().fetch_all(tx).await?;
    rows.iter().map(|row| Ok((row.get("bucket")?, row.get("body")?))).collect()
}

/// How many rows there are of each tile or group, of those that begin at `start` or later.
pub async fn counts(tx: &mut Tx, tenant: &Tenant, start: i64) -> Result<BTreeMap<i64, i64>> {
    let sql = Sql::new("select tile, count(*) as n from postings where tenant_id = ").bind(tenant);
    let rows = sql.push(" and tile >= ").bind(start).push(" group by tile").query().fetch_all(tx).await?;
    rows.iter().map(|row| Ok((row.get("tile")?, row.get("n")?))).collect()
}

/// Brings the postings up to date after entries under `tiles` were removed.
pub async fn rewrite(tx: &mut Tx, tenant: &Tenant, tiles: &BTreeSet<u64>) -> Result<()> {
    let full = group_of(heads::size(tx, tenant).await? / WIDTH);
    let span = |tile: &u64| if *tile < full { (group_of(*tile), GROUP) } else { (*tile, 1) };
    for (first, width) in tiles.iter().map(span).collect::<BTreeSet<_>>() {
        let (start, end) = (first * WIDTH, (first + width) * WIDTH);
        let left = super::entries::columns_left(tx, tenant, start, end).await?;
        let postings = of(left.iter().map(|(index, _, columns)| (*index, columns)));
        at(Sql::new("delete from postings where tenant_id = "), tenant, first).query().execute(tx).await?;
        insert(tx, tenant, vec![(first, rows(&postings, width > 1))]).await?;
    }
    Ok(())
}

/// Where marks are, by tile.
pub(super) type Places = HashMap<Mark, BTreeMap<u64, Bits>>;

/// Where `marks` are under the full tiles from `start` to `end`. One statement, which so sees a tile alone or in its group,
/// whoever puts them together meanwhile.
pub(super) async fn read(
    tx: &mut Tx,
    tenant: &Tenant,
    marks: &BTreeSet<Mark>,
    (start, end): (u64, u64),
) -> Result<Places> {
    let buckets: BTreeSet<i64> = marks.iter().map(|mark| bucket(*mark)).chain([LOOSE]).collect();
    let sql = Sql::new("select tile, body from postings where tenant_id = ").bind(tenant).push(" and bucket in ");
    let sql = sql.bind_list(buckets).push(" and tile >= ").bind(signed(group_of(start)));
    let mut places = Places::new();
    for row in sql.push(" and tile < ").bind(signed(end)).query().fetch_all(tx).await? {
        let first = group_of(unsigned(row.get("tile")?));
        for ((mark, tile), bits) in unpacked(&row.get::<Vec<u8>>("body")?, first) {
            if marks.contains(&mark) && (start..end).contains(&tile) {
                places.entry(mark).or_default().insert(tile, bits);
            }
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bits(places: &[u8]) -> Bits {
        let mut bits = Bits::default();
        places.iter().for_each(|place| bits.set(*place));
        bits
    }

    #[test]
    fn bits_are_the_places_that_were_set() {
        let some = bits(&[0, 63, 64, 127, 200, 255]);
        assert_eq!(some.places().collect::<Vec<_>>(), [0, 63, 64, 127, 200, 255]);
        assert_eq!(some.and(bits(&[63, 65])).places().collect::<Vec<_>>(), [63]);
        assert_eq!(some.or(bits(&[1])).places().take(3).collect::<Vec<_>>(), [0, 1, 63]);
        assert!(bits(&[]).is_empty() && !some.is_empty());
    }

    #[test]
    fn postings_read_back_and_a_damaged_row_ends() {
        let many: Vec<u8> = (0..200).collect();
        let all: Postings =
            [((7, 128), bits(&[3])), ((7, 130), bits(&many)), ((Mark::MAX, 190), bits(&[0, 255]))].into();
        let row = rows(&all, false).remove(&LOOSE).unwrap();
        assert_eq!(unpacked(&row, 128).collect::<Postings>(), all);
        for cut in 0..row.len() {
            let left: Postings = unpacked(&row[..cut], 128).collect();
            assert!(left.len() < 3 && left.iter().all(|(key, bits)| all.get(key) == Some(bits)), "{cut}");
        }
        let grouped = rows(&all, true);
        assert_eq!(grouped.keys().copied().collect::<Vec<_>>(), [0, i64::from(BUCKETS) - 1]);
        assert_eq!(grouped.values().flat_map(|row| unpacked(row, 128)).collect::<Postings>(), all);
    }

    #[test]
    fn a_prefix_is_looked_for_by_its_longest_beginning() {
        let begins = |field: &'static str, part: &str| wanted(&Atom::Begins(field, part.to_owned()));
        assert_eq!(begins("resource", "models/m1/ver"), Some(mark("resource", "^", "models/m1/")));
        assert_eq!(begins("action", "council."), Some(mark("action", "^", "council.")));
        assert_eq!((begins("resource", "mod"), begins("actor", "a.b")), (None, None));
        assert_eq!(beginnings("models/ä.1/x").collect::<Vec<_>>(), ["models/", "models/ä.", "models/ä.1/"]);
        assert_eq!(beginnings(&"/".repeat(500)).count(), MOST_BEGINNINGS);
    }
}
