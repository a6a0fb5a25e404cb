//! Finding entries: postings say where they may be, and the condition itself decides.
//!
//! Every page costs a bounded number of rows, however large the log is and whatever the filter says: where a page is not
//! full by then, it says after which index to go on.

use super::columns::FIELDS;
use super::entries::{self, SELECT, Stored};
use super::heads::{self, signed, unsigned};
use super::postings::{self, Bits, GROUP, Mark, Places};
use super::times::{self, Spans, Within};
use remit_core::{Result, Tenant};
use remit_store::filter::{self, Atom, Fragment};
use remit_store::{Order, Row, Sql, Tx};
use remit_tlog::tile::WIDTH;
use std::collections::{BTreeMap, BTreeSet};

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// The entries, in order.
    pub entries: Vec<Stored>,
    /// After which index to go on, where the search ended before it had enough and before the end of the log.
    pub resume: Option<i64>,
}

/// How many comparisons of parts of texts one search makes at most, and how many entries it looks at at least.
const MOST_COMPARISONS: u64 = 200_000;
const LEAST_ENTRIES: u64 = 2_000;

/// How many entries one search looks at where nothing says which of them could pass.
const MOST_ENTRIES: u64 = 20_000;

/// How many entries one search looks at that postings lead to.
const MOST_CANDIDATES: usize = 4_000;

/// How many tiles one search passes over at most.
const MOST_TILES: u64 = 16_384;

/// The most groups of tiles whose postings are read at once.
const MOST_GROUPS: u64 = 32;

/// How many entries are fetched by their index at once.
const CHUNK: usize = 128;

/// Reads a filter over entries.
///
/// # Errors
/// `InvalidArgument` (`FILTER_INVALID`).
pub fn parse(text: &str) -> Result<Fragment> {
    filter::parse(text, FIELDS)
}

/// A place where entries may be, and in which order they are wanted.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
    order: Order,
}

impl Span {
    /// Where a walk through it goes on after the entry at `last`.
    fn after(self, last: u64) -> Self {
        match self.order {
            Order::Ascending => Self { start: self.start.max(last + 1), ..self },
            Order::Descending => Self { end: self.end.min(last), ..self },
        }
    }

    fn within(self, start: u64, end: u64) -> Self {
        let start = self.start.max(start);
        Self { start, end: self.end.min(end).max(start), ..self }
    }

    fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The next `most` entries, and after which one to go on if they are not all.
    fn next(self, most: u64) -> (Self, Option<i64>) {
        match self.order {
            Order::Ascending => {
                let end = self.end.min(self.start.saturating_add(most));
                (Self { end, ..self }, (end < self.end).then(|| signed(end) - 1))
            }
            Order::Descending => {
                let start = self.start.max(self.end.saturating_sub(most));
                (Self { start, ..self }, (self.start < start).then(|| signed(start)))
            }
        }
    }
}

/// What is looked for: a condition, and what it needs.
struct Search<'s> {
    /// The statement that the condition completes, up to the tenant's value.
    select: &'static str,
    /// Adds the condition.
    condition: &'s (dyn Fn(Sql) -> Sql + Send + Sync),
    /// What every entry has that meets it: one of each of these.
    needs: Vec<Vec<Mark>>,
    /// How many are wanted.
    limit: i64,
}

/// The rows that a search found, and after which index to go on if it ended early.
type Rows = (Vec<Row>, Option<i64>);

/// The entries that pass `filter`, after the one at `after`, at most `limit`; fewer where that is a long way.
///
/// # Errors
/// As the database fails.
pub async fn search(
    tx: &mut Tx,
    tenant: &Tenant,
    filter: &Fragment,
    order: Order,
    after: Option<i64>,
    limit: i64,
) -> Result<Found> {
    let condition = |sql: Sql| sql.and_filter(filter);
    let search = Search {
        select: SELECT,
        condition: &condition,
        needs: marked(filter.needs().iter().map(Vec::as_slice)),
        limit,
    };
    // In this order: what is appended meanwhile is after what was the end.
    let (recorded, occurred) = (filter.span("recorded_at"), filter.span("occurred_at"));
    let spans = Spans { recorded, occurred, integrated: filter.span("integrated_at") };
    let within = times::within(tx, tenant, spans).await?;
    let span = span(filter, within, heads::size(tx, tenant).await?, order, after);
    let (rows, resume) = if is_by_id(filter) {
        (search.rows(tx, tenant, span).await?, None)
    } else if search.needs.is_empty() {
        search.scan(tx, tenant, span, most_entries(filter)).await?
    } else {
        search.run(tx, tenant, span).await?
    };
    Ok(Found { entries: rows.iter().map(entries::stored).collect::<Result<_>>()?, resume })
}

/// Where the entries that pass can be.
fn span(filter: &Fragment, within: Option<Within>, size: u64, order: Order, after: Option<i64>) -> Span {
    let (start, end) = within.unwrap_or((0, size));
    let span = Span { start, end: end.min(size), order };
    let (first, last) = filter.range("index");
    let span = span.within(first.map_or(0, unsigned), last.map_or(size, |last| unsigned(last).saturating_add(1)));
    after.map_or(span, |after| span.after(unsigned(after)))
}

/// The needs of which there are postings.
fn marked<'n>(needs: impl Iterator<Item = &'n [Atom]>) -> Vec<Vec<Mark>> {
    let marks = needs.filter_map(|need| need.iter().map(postings::wanted).collect::<Option<Vec<_>>>());
    marks.filter(|marks| !marks.is_empty()).collect()
}

/// Whether what passes has one of a few event ids, of which there is an index.
fn is_by_id(filter: &Fragment) -> bool {
    let ids = |need: &filter::Need| need.iter().all(|atom| matches!(atom, Atom::Is("id", _)));
    filter.needs().iter().any(|need| !need.is_empty() && ids(need))
}

/// How many entries a search may look at one by one.
fn most_entries(filter: &Fragment) -> u64 {
    let terms = u64::try_from(filter.terms()).unwrap_or(u64::MAX).max(1);
    match (filter.is_empty(), filter.is_scan()) {
        (true, _) => u64::MAX,
        (_, true) => (MOST_COMPARISONS / terms).clamp(LEAST_ENTRIES, MOST_ENTRIES),
        (_, false) => MOST_ENTRIES,
    }
}

impl Search<'_> {
    /// The statement for what is in a span.
    fn sql(&self, tenant: &Tenant, span: Span) -> Sql {
        let sql = (self.condition)(Sql::new(self.select).bind(tenant));
        let sql = sql.push(" and e.idx >= ").bind(signed(span.start)).push(" and e.idx < ").bind(signed(span.end));
        sql.order_limit(&["e.idx"], span.order, self.limit)
    }

    /// What is in a span, looked at one by one.
    async fn rows(&self, tx: &mut Tx, tenant: &Tenant, span: Span) -> Result<Vec<Row>> {
        if span.is_empty() { Ok(Vec::new()) } else { self.sql(tenant, span).query().fetch_all(tx).await }
    }

    fn is_full(&self, rows: &[Row]) -> bool {
        i64::try_from(rows.len()).unwrap_or(i64::MAX) >= self.limit
    }

    /// What is in the next `most` entries of a span.
    async fn scan(&self, tx: &mut Tx, tenant: &Tenant, span: Span, most: u64) -> Result<Rows> {
        let (next, resume) = span.next(most);
        let rows = self.rows(tx, tenant, next).await?;
        let resume = resume.filter(|_| !self.is_full(&rows));
        Ok((rows, resume))
    }

    /// What meets the needs: under full tiles where postings say, after them one by one.
    async fn run(&self, tx: &mut Tx, tenant: &Tenant, span: Span) -> Result<Rows> {
        // The tile that was open when the span was made: what has been filled since is looked at all the same.
        let open = span.end / WIDTH * WIDTH;
        let (tail, tiles) = (span.within(open, span.end), span.within(0, open));
        let mut rows = if span.order == Order::Descending { self.rows(tx, tenant, tail).await? } else { Vec::new() };
        let mut resume = None;
        if !self.is_full(&rows) && !tiles.is_empty() {
            resume = self.posted(tx, tenant, tiles, &mut rows).await?;
        }
        if resume.is_none() && span.order == Order::Ascending && !self.is_full(&rows) {
            rows.extend(self.rows(tx, tenant, tail).await?);
        }
        rows.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        Ok((rows, resume))
    }

    /// The same under full tiles.
    async fn posted(&self, tx: &mut Tx, tenant: &Tenant, tiles: Span, rows: &mut Vec<Row>) -> Result<Option<i64>> {
        if self.needs.is_empty() {
            let (found, resume) = self.scan(tx, tenant, tiles, MOST_ENTRIES).await?;
            rows.extend(found);
            return Ok(resume.filter(|_| !self.is_full(rows)));
        }
        let marks: BTreeSet<Mark> = self.needs.iter().flatten().copied().collect();
        let (mut left, mut groups, mut looked) = (tiles, 1, 0);
        while !left.is_empty() {
            let stretch = stretch(left, groups);
            let read = (stretch.start / WIDTH, stretch.end.div_ceil(WIDTH));
            let places = postings::read(tx, tenant, &marks, read).await?;
            for candidates in candidates(&self.meeting(&places), stretch).chunks(CHUNK) {
                rows.extend(self.those(tx, tenant, candidates, left.order).await?);
                if self.is_full(rows) {
                    return Ok(None);
                }
                looked += candidates.len();
                if looked >= MOST_CANDIDATES {
                    return Ok(candidates.last().map(|last| signed(*last)));
                }
            }
            left = match left.order {
                Order::Ascending => left.within(stretch.end, left.end),
                Order::Descending => left.within(0, stretch.start),
            };
            if tiles.len() - left.len() >= MOST_TILES * WIDTH && !left.is_empty() {
                return Ok(Some(match left.order {
                    Order::Ascending => signed(left.start) - 1,
                    Order::Descending => signed(left.end),
                }));
            }
            groups = (groups * 4).min(MOST_GROUPS);
        }
        Ok(None)
    }

    /// The places under each tile at which all needs are met.
    fn meeting(&self, places: &Places) -> BTreeMap<u64, Bits> {
        let met = |need: &Vec<Mark>| {
            let mut tiles = BTreeMap::<u64, Bits>::new();
            for (tile, bits) in need.iter().filter_map(|mark| places.get(mark)).flatten() {
                let known = tiles.entry(*tile).or_default();
                *known = known.or(*bits);
            }
            tiles
        };
        let all = self.needs.iter().map(met).reduce(|mut all, next| {
            all.retain(|tile, bits| {
                *bits = bits.and(next.get(tile).copied().unwrap_or_default());
                !bits.is_empty()
            });
            all
        });
        all.unwrap_or_default()
    }

    /// Those of the entries `indexes` that meet the condition, in order.
    async fn those(&self, tx: &mut Tx, tenant: &Tenant, indexes: &[u64], order: Order) -> Result<Vec<Row>> {
        let sql = (self.condition)(Sql::new(self.select).bind(tenant)).push(" and e.idx in ");
        let sql = sql.bind_list(indexes.iter().map(|index| signed(*index)));
        sql.order_limit(&["e.idx"], order, self.limit).query().fetch_all(tx).await
    }
}

/// The next part of a span, up to the end of so many groups of tiles.
fn stretch(span: Span, groups: u64) -> Span {
    const GROUPED: u64 = GROUP * WIDTH;
    match span.order {
        Order::Ascending => span.within(span.start, (span.start / GROUPED + groups) * GROUPED),
        Order::Descending => span.within((span.end.div_ceil(GROUPED)).saturating_sub(groups) * GROUPED, span.end),
    }
}

/// The entries that bits say, in order, as far as they are in a span.
fn candidates(tiles: &BTreeMap<u64, Bits>, span: Span) -> Vec<u64> {
    let indexes = tiles.iter().flat_map(|(tile, bits)| bits.places().map(move |place| tile * WIDTH + u64::from(place)));
    let mut all: Vec<u64> = indexes.filter(|index| (span.start..span.end).contains(index)).collect();
    if span.order == Order::Descending {
        all.reverse();
    }
    all
}

/// Whether an entry meets a condition that needs what `needs` says.
pub(super) async fn any(
    tx: &mut Tx,
    tenant: &Tenant,
    needs: Vec<&[Atom]>,
    condition: &(dyn Fn(Sql) -> Sql + Send + Sync),
) -> Result<bool> {
    Ok(last(tx, tenant, needs, condition).await?.is_some())
}

/// The last entry that meets a condition that needs what `needs` says.
pub async fn last(
    tx: &mut Tx,
    tenant: &Tenant,
    needs: Vec<&[Atom]>,
    condition: &(dyn Fn(Sql) -> Sql + Send + Sync),
) -> Result<Option<u64>> {
    let needs = marked(needs.into_iter());
    let search = Search { select: "select e.idx from entries e where e.tenant_id = ", condition, needs, limit: 1 };
    let mut span = Span { start: 0, end: heads::size(tx, tenant).await?, order: Order::Descending };
    loop {
        let (rows, resume) = search.run(tx, tenant, span).await?;
        if let Some(row) = rows.first() {
            return Ok(Some(unsigned(row.get("idx")?)));
        }
        match resume {
            Some(after) => span = span.after(unsigned(after)),
            None => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stretches that are looked at, one after the other, until the end.
    fn stretches(start: u64, end: u64, order: Order, most: u64) -> Vec<(u64, u64)> {
        let (mut all, mut span) = (Vec::new(), Span { start, end, order });
        loop {
            let (next, resume) = span.next(most);
            all.push((next.start, next.end));
            match resume {
                Some(after) => span = span.after(unsigned(after)),
                None => return all,
            }
        }
    }

    #[test]
    fn a_search_in_steps_looks_at_every_entry_once() {
        use Order::{Ascending, Descending};
        assert_eq!(stretches(0, 10, Ascending, 4), [(0, 4), (4, 8), (8, 10)]);
        assert_eq!(stretches(0, 10, Descending, 4), [(6, 10), (2, 6), (0, 2)]);
        assert_eq!(stretches(3, 9, Ascending, 4), [(3, 7), (7, 9)]);
        assert_eq!(stretches(3, 9, Descending, 4), [(5, 9), (3, 5)]);
        assert_eq!(stretches(0, 0, Ascending, 4), [(0, 0)]);
        assert_eq!(stretches(0, 0, Descending, 4), [(0, 0)]);
    }
}
