//! That the edits of the other files leave no table and no column out, what is found in a log of which retention has
//! removed a part, and what nobody finds who has nothing but the database.

use super::tampering::{TAMPERINGS, Tampering};
use super::{Fixture, START, edits, exports, rotation, witness};
use remit_api::audit::v1::FindingKind;
use remit_audit::Service;
use remit_audit::sequencer::Limits;
use remit_audit::witness::Witness;
use remit_core::Result;
use remit_store::query;
use remit_store::testing::{TestDb, each_engine};
use remit_tlog::Hash;

const SCHEMA: &str = include_str!("../../migrations/0001_init.sql");
const SECURITY: &str = include_str!("../../../../SECURITY.md");

/// Edits of a log from which a pruning has taken all but 11 entries of two tiles; `;` stands between two statements.
const PRUNED: &[Tampering] = &[
    ("update prunings set start_idx = 1 where start_idx = 0", FindingKind::MissingEntry, "entries/0"),
    ("update prunings set end_idx = 9 where start_idx = 0", FindingKind::MissingEntry, "entries/9"),
    ("update prunings set end_idx = 11 where start_idx = 0", FindingKind::Pruning, "entries/10"),
    ("update prunings set event_id = 'e600' where start_idx = 0", FindingKind::Pruning, "entries/0"),
    ("update prunings set tenant_id = 'other' where start_idx = 0", FindingKind::MissingEntry, "entries/0"),
    ("delete from prunings where start_idx = 0", FindingKind::MissingEntry, "entries/0"),
    ("delete from entries where idx = 572", FindingKind::Pruning, "entries/0"),
    ("delete from entries where idx = 105", FindingKind::MissingEntry, "entries/105"),
    (
        "update tile_times set recorded_last = recorded_last + 90000000000000 where idx = 0",
        FindingKind::Pruning,
        "entries/0",
    ),
    ("update tile_times set recorded_first = recorded_first + 1 where idx = 0", FindingKind::Column, "tileTimes/0"),
    ("update tiles set hashes = $1 where level = 0 and idx = 0", FindingKind::Tile, "tile/0/000"),
    ("delete from tiles where level = 0 and idx = 1", FindingKind::Tile, "tile/0/001"),
    // What was found only until something was pruned.
    ("delete from legal_holds", FindingKind::Rule, "legalHolds/h1"),
    ("update legal_holds set active = 0", FindingKind::Rule, "legalHolds/h1"),
    (
        "insert into legal_holds (tenant_id, name, revision, create_time, active, body)
         select tenant_id, 'legalHolds/h9', revision, create_time, active, body from legal_holds",
        FindingKind::Rule,
        "legalHolds/h9",
    ),
    ("update retention_policies set body = $1", FindingKind::Rule, "retentionPolicy"),
    (
        "update subject_keys set wrapped = null, destroy_time = create_time; delete from personal_data",
        FindingKind::SubjectKey,
        "subjects/leads/1",
    ),
];

/// The tables and columns of the log.
fn columns() -> Vec<(&'static str, &'static str)> {
    let (mut table, mut found) = ("", Vec::new());
    for line in SCHEMA.lines() {
        if let Some(name) = line.strip_prefix("create table ").and_then(|rest| rest.strip_suffix(" (")) {
            table = name;
        } else if let Some(column) = line.strip_prefix("    ").filter(|_| !table.is_empty()) {
            let name = column.split(' ').next().unwrap();
            if !matches!(name, "constraint" | "--") {
                found.push((table, name));
            }
        } else {
            table = "";
        }
    }
    found
}

/// Whether an edit changes a column of a table.
fn changes(sql: &str, table: &str, column: &str) -> bool {
    let Some(rest) = sql.strip_prefix(&format!("update {table} set ")) else { return false };
    let set = rest.split(" where ").next().unwrap();
    set.split(", ").any(|part| part.split(" = ").next() == Some(column))
}

#[test]
fn every_column_is_in_an_edit_that_is_found_or_said_to_mean_nothing() {
    let all: Vec<&str> =
        [TAMPERINGS, edits::EDITS, PRUNED, rotation::EDITS].concat().iter().map(|edit| edit.0).collect();
    let columns = columns();
    assert!(columns.len() > 60, "{columns:?}");
    for (table, column) in &columns {
        let edited = all.iter().any(|sql| changes(sql, table, column));
        let stated = SECURITY.contains(&format!("`{table}.{column}`"));
        assert!(edited != stated, "{table}.{column}: in an edit {edited}, in SECURITY.md {stated}");
        assert!(all.iter().any(|sql| sql.starts_with(&format!("delete from {table}"))), "no row of {table} is deleted");
    }
    let lines = exports::EDITS.len() + rotation::LINE_EDITS.len();
    assert!(all.len() >= 100 && lines >= 35, "{} of rows, {lines} of lines", all.len());
}

async fn run(fixture: &Fixture, sql: &'static str) -> Result<()> {
    let mut tx = fixture.db.write().await?;
    for sql in sql.split("; ") {
        let change = query(sql);
        let change = if sql.contains("$1") { change.bind(vec![7u8; 32]) } else { change };
        change.execute(&mut tx).await?;
    }
    tx.commit().await
}

/// Every table, each after those that it does not need.
fn tables() -> Vec<&'static str> {
    let mut tables: Vec<&str> = columns().into_iter().map(|(table, _)| table).collect();
    tables.dedup();
    tables
}

async fn each_table(fixture: &Fixture, statements: &[&str]) -> Result<()> {
    for table in tables() {
        for statement in statements {
            run(fixture, statement.replace("TABLE", table).leak()).await?;
        }
    }
    Ok(())
}

const COPY: &[&str] = &["create table copy_TABLE as select * from TABLE"];
const RESTORE: &[&str] = &["delete from TABLE", "insert into TABLE select * from copy_TABLE"];

#[tokio::test]
async fn what_was_pruned_hides_no_edit() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        exports::pruned(&fixture).await?;
        assert_eq!(fixture.findings().await?, []);
        each_table(&fixture, COPY).await?;
        for (sql, kind, location) in PRUNED {
            run(&fixture, sql).await?;
            let found = fixture.findings().await?;
            let named = found.contains(&(*kind, (*location).to_owned()));
            assert!(named, "{sql}: expected {kind:?} at {location}, found {found:?}");
            each_table(&fixture, RESTORE).await?;
        }
        assert_eq!(fixture.findings().await?, []);
        Ok(())
    })
    .await
}

/// The same database with a process that remembers nothing.
fn forgetful(fixture: &Fixture) -> Fixture {
    let log = Service::new(fixture.db.clone(), fixture.clock.clone(), super::keys(super::MASTER), Limits::default());
    Fixture { log, db: fixture.db.clone(), clock: fixture.clock.clone(), tenant: fixture.tenant.clone() }
}

async fn proof(fixture: &Fixture, from: i64, to: i64) -> Result<Vec<Hash>> {
    let hashes = fixture.consistency(from, to).await?.hashes;
    Ok(hashes.iter().map(|hash| Hash::from_slice(hash).unwrap()).collect())
}

/// What SECURITY.md says that only outside memory sees.
#[tokio::test]
async fn what_the_database_alone_does_not_show_a_witness_refuses() -> Result<()> {
    let database = TestDb::sqlite()?;
    let fixture = &Fixture::new(&database).await?;
    let dir = tempfile::tempdir().unwrap();
    let watching = Witness::open(witness(), dir.path())?;
    let now = u64::try_from(START.0 / 1_000_000).unwrap();
    let log_key = fixture.log_key();
    fixture.fill(0, 300).await?;
    each_table(fixture, COPY).await?;
    fixture.fill(300, 320).await?;
    watching.cosign(&log_key, &fixture.checkpoint(0).await?.note, &[], now)?;

    // An older copy of the whole database: sound, signed, and shorter.
    each_table(fixture, RESTORE).await?;
    let back = forgetful(fixture);
    assert_eq!(back.findings().await?, []);
    let offer = async |log: &Fixture| {
        let offered = log.checkpoint(0).await?;
        let proof = if offered.size > 320 { proof(log, 320, offered.size).await? } else { Vec::new() };
        Ok::<_, remit_core::Error>(watching.cosign(&log_key, &offered.note, &proof, now).unwrap_err().reason())
    };
    assert_eq!(offer(&back).await?, "WITNESS_ROLLBACK");
    // It goes on from there as if nothing had been, until it is longer than what was seen.
    back.fill(400, 430).await?;
    assert_eq!(back.findings().await?, []);
    assert_eq!(offer(&back).await?, "WITNESS_FORK");

    // Whoever has the key besides writes another history from the start.
    let other = TestDb::sqlite()?;
    let forged = Fixture::new(&other).await?;
    forged.fill(1_000, 1_400).await?;
    assert_eq!(forged.findings().await?, []);
    assert_eq!(offer(&forged).await?, "WITNESS_FORK");
    Ok(())
}

/// That a witness began to cosign is an entry. A later cosignature that is taken away is missing to nobody but the witness.
#[tokio::test]
async fn a_later_cosignature_that_is_taken_away_is_remembered_by_its_witness() -> Result<()> {
    let database = TestDb::sqlite()?;
    let fixture = &Fixture::new(&database).await?;
    let dir = tempfile::tempdir().unwrap();
    let watching = Witness::open(witness(), dir.path())?;
    let (now, log_key) = (u64::try_from(START.0 / 1_000_000).unwrap(), fixture.log_key());
    let mut last = 0;
    for (from, to) in [(0, 5), (5, 9)] {
        fixture.fill(from, to).await?;
        let offered = fixture.checkpoint(0).await?;
        let proof = if last > 0 { proof(fixture, last, offered.size).await? } else { Vec::new() };
        let cosigned = watching.cosign(&log_key, &offered.note, &proof, now)?;
        fixture.cosign(&cosigned.note.to_string()).await?;
        last = offered.size;
    }
    run(fixture, "delete from cosignatures where size > 5").await?;
    assert_eq!(fixture.findings().await?, []);
    assert_eq!(watching.memory(&log_key)?.unwrap().size, 10);
    Ok(())
}
