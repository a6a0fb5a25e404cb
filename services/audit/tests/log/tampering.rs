use super::{Fixture, witness};
use remit_api::audit::v1::FindingKind;
use remit_core::Result;
use remit_store::query;
use remit_store::testing::each_engine;

/// A change of one row by hand, and what must be found.
pub type Tampering = (&'static str, FindingKind, &'static str);

pub const TAMPERINGS: &[Tampering] = &[
    ("update entries set leaf = $1 where idx = 17", FindingKind::Entry, "entries/17"),
    ("update entries set leaf_hash = $1 where idx = 17", FindingKind::Entry, "entries/17"),
    ("update entries set leaf_hash = $1 where idx = 600", FindingKind::Entry, "entries/600"),
    ("update entries set actor = 'mallory' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set outcome = 'DENIED' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set recorded_at = recorded_at + 1 where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set request_id = 'r' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set event_id = 'other' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set subject = null where idx = 640", FindingKind::Column, "entries/640"),
    ("update entries set actor_kind = 'ai' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set on_behalf_of = 'ann' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set action = 'registry.versions.read' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set resource = 'models/other' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set service = 'crm' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set occurred_at = occurred_at + 1 where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set integrated_at = integrated_at + 1 where idx = 18", FindingKind::Column, "entries/18"),
    ("update tile_times set integrated_first = integrated_first - 1 where idx = 1", FindingKind::Column, "tileTimes/1"),
    ("update tile_times set integrated_last = integrated_last + 1 where idx = 1", FindingKind::Column, "tileTimes/1"),
    ("update entries set trace_id = 't' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set tenant_id = 'other' where idx = 18", FindingKind::MissingEntry, "entries/18"),
    ("delete from entries where idx = 19", FindingKind::MissingEntry, "entries/19"),
    ("delete from entries where idx = 620", FindingKind::MissingEntry, "entries/620"),
    ("update entries set idx = 5000 where idx = 630", FindingKind::SurplusEntry, "entries/5000"),
    ("update tiles set hashes = $1 where level = 0 and idx = 1", FindingKind::Tile, "tile/0/001"),
    ("update tiles set hashes = $1 where level = 1 and idx = 0", FindingKind::Tile, "tile/1/000.p/2"),
    ("delete from tiles where level = 0 and idx = 0", FindingKind::Tile, "tile/0/000"),
    ("delete from tiles where level = 1", FindingKind::Tile, "tile/1/000.p/2"),
    ("update tiles set idx = 9 where level = 0 and idx = 1", FindingKind::Tile, "tile/0/9"),
    ("update tiles set level = 3 where level = 1", FindingKind::Tile, "tile/1/000.p/2"),
    ("update tiles set tenant_id = 'other' where level = 0 and idx = 0", FindingKind::Tile, "tile/0/000"),
    ("update tile_times set recorded_first = recorded_first - 1 where idx = 1", FindingKind::Column, "tileTimes/1"),
    ("update tile_times set occurred_last = occurred_last + 1 where idx = 1", FindingKind::Column, "tileTimes/1"),
    ("update tile_times set tenant_id = 'other' where idx = 1", FindingKind::Column, "tileTimes/1"),
    ("update tile_times set recorded_last = recorded_last + 1 where idx = 1", FindingKind::Column, "tileTimes/1"),
    ("update tile_times set occurred_first = 0 where idx = 0", FindingKind::Column, "tileTimes/0"),
    ("delete from tile_times where idx = 1", FindingKind::Column, "tileTimes/1"),
    ("update tile_times set idx = 2 where idx = 1", FindingKind::Column, "tileTimes/2"),
    ("update postings set body = $1 where tile = 1", FindingKind::Column, "postings/1"),
    ("update postings set tile = 2 where tile = 1", FindingKind::Column, "postings/2"),
    ("update postings set bucket = 3 where tile = 0", FindingKind::Column, "postings/0"),
    ("delete from postings where tile = 0", FindingKind::Column, "postings/0"),
    ("update postings set tenant_id = 'other' where tile = 1", FindingKind::Column, "postings/1"),
    ("insert into postings values ('acme', 3, 1, $1)", FindingKind::Column, "postings/1"),
    ("insert into postings values ('acme', -1, 9, $1)", FindingKind::Column, "postings/9"),
    ("insert into postings values ('acme', 900, 1, $1)", FindingKind::Column, "postings/1"),
    ("update entries set model_version = 'models/m/versions/2' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set reason = 'x' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set detail_to = 'x' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set policy_version = 'x' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set detail_proposal = 'x' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set detail_task = 'x' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set detail_decision = 'x' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set detail_gate_version = 'x' where idx = 18", FindingKind::Column, "entries/18"),
    ("update entries set detail_from = 'x' where idx = 18", FindingKind::Column, "entries/18"),
    ("update log_heads set root_hash = $1", FindingKind::Head, "head"),
    ("update log_heads set frontier = $1", FindingKind::Head, "head"),
    ("update log_heads set size = size - 1", FindingKind::SurplusEntry, "entries/641"),
    ("update log_heads set size = size + 1", FindingKind::MissingEntry, "entries/642"),
    ("update log_heads set checkpoint = 'x'", FindingKind::Checkpoint, "checkpoints/642"),
    ("update log_heads set tenant_id = 'other'", FindingKind::SurplusEntry, "entries/0"),
    ("delete from log_heads", FindingKind::SurplusEntry, "entries/0"),
    ("update cosignatures set signature = replace(signature, 'w1', 'w2')", FindingKind::Checkpoint, "checkpoints/641"),
    ("update cosignatures set tenant_id = 'other'", FindingKind::Checkpoint, "checkpoints/641"),
    ("update cosignatures set size = 640", FindingKind::Checkpoint, "checkpoints/640"),
    ("update personal_data set sealed = $1", FindingKind::PersonalData, "entries/640"),
    ("update personal_data set subject = 'leads/2'", FindingKind::PersonalData, "entries/640"),
    ("update personal_data set tenant_id = 'other'", FindingKind::PersonalData, "entries/640"),
    ("delete from personal_data", FindingKind::PersonalData, "entries/640"),
    ("update personal_data set idx = 12", FindingKind::PersonalData, "entries/12"),
    ("update subject_keys set wrapped = null, destroy_time = 1", FindingKind::PersonalData, "entries/640"),
    ("update subject_keys set tenant_id = 'other'", FindingKind::PersonalData, "entries/640"),
    ("update subject_keys set wrapped = $1", FindingKind::PersonalData, "entries/640"),
    ("insert into prunings values ('acme', 3, 4, 'e3', 1)", FindingKind::Pruning, "entries/3"),
];

#[tokio::test]
async fn each_change_of_one_row_is_found_and_named() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        fixture.fill(0, 640).await?;
        fixture.append(vec![fixture.personal("p", "leads/1", "x@example.com")]).await?;
        let note = fixture.checkpoint(0).await?.note;
        let text = remit_tlog::Note::parse(&note).unwrap().text;
        let cosigned = format!("{note}{}", witness().sign(&text, 1_767_225_600));
        fixture.cosign(&cosigned).await?;
        assert_eq!(fixture.findings().await?, []);
        all(&fixture, COPY).await?;
        for (sql, kind, location) in TAMPERINGS {
            let mut tx = fixture.db.write().await?;
            let change = query(sql);
            let change = if sql.contains("$1") { change.bind(vec![7u8; 32]) } else { change };
            change.execute(&mut tx).await?;
            tx.commit().await?;
            let found = fixture.findings().await?;
            let named = found.contains(&(*kind, (*location).to_owned()));
            assert!(named, "{sql}: expected {kind:?} at {location}, found {found:?}");
            all(&fixture, RESTORE).await?;
        }
        assert_eq!(fixture.findings().await?, []);
        Ok(())
    })
    .await
}

/// Keeps a copy of what tampering touches.
const COPY: &[&str] = &[
    "create table copy_entries as select * from entries",
    "create table copy_tiles as select * from tiles",
    "create table copy_tile_times as select * from tile_times",
    "create table copy_postings as select * from postings",
    "create table copy_log_heads as select * from log_heads",
    "create table copy_cosignatures as select * from cosignatures",
    "create table copy_personal_data as select * from personal_data",
    "create table copy_subject_keys as select * from subject_keys",
];

/// Puts the copy back.
const RESTORE: &[&str] = &[
    "delete from prunings",
    "delete from entries",
    "insert into entries select * from copy_entries",
    "delete from tiles",
    "insert into tiles select * from copy_tiles",
    "delete from tile_times",
    "insert into tile_times select * from copy_tile_times",
    "delete from postings",
    "insert into postings select * from copy_postings",
    "delete from log_heads",
    "insert into log_heads select * from copy_log_heads",
    "delete from cosignatures",
    "insert into cosignatures select * from copy_cosignatures",
    "delete from personal_data",
    "insert into personal_data select * from copy_personal_data",
    "delete from subject_keys",
    "insert into subject_keys select * from copy_subject_keys",
];

async fn all(fixture: &Fixture, statements: &[&'static str]) -> Result<()> {
    let mut tx = fixture.db.write().await?;
    for sql in statements {
        query(sql).execute(&mut tx).await?;
    }
    tx.commit().await
}
