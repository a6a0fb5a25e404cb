//! After an erasure no plaintext is left: in no table of any service, no file on SQLite, and no later export.

use super::{MODEL, ROUTING, TASK, activate, permit, routing};
use crate::support::{Suite, Topology};
use remit_api::audit::v1 as audit;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::handoff::v1 as pb;
use remit_core::SERVICES;
use remit_store::{Db, Engine, query};

const SECRET: &str = "unmistakable-plaintext";
const LEAD: &str = "lead-zq7";

/// Statements are literals everywhere but here, where the names of tables are found out.
async fn texts(db: &Db, sql: String) -> Vec<String> {
    let rows = query(sql.leak()).fetch_all(&mut db.read().await.expect("a reader")).await.expect("rows");
    rows.iter().map(|row| row.get("line").expect("a text")).collect()
}

/// The tables of a database in which a text stands, as text or as bytes.
async fn tables_with(db: &Db, text: &str) -> Vec<String> {
    let hexadecimal = hex::encode(text);
    let mut found = Vec::new();
    let tables = match db.engine() {
        Engine::Sqlite => "select name as line from sqlite_master where type = 'table'".to_owned(),
        Engine::Postgres => {
            "select tablename::text as line from pg_tables where schemaname = current_schema()".to_owned()
        }
    };
    for table in texts(db, tables).await {
        let lines = match db.engine() {
            Engine::Postgres => texts(db, format!("select t::text as line from \"{table}\" t")).await,
            Engine::Sqlite => {
                let columns = texts(db, format!("select name as line from pragma_table_info('{table}')")).await;
                let columns: Vec<_> = columns.iter().map(|name| format!("coalesce(hex(\"{name}\"), '')")).collect();
                texts(db, format!("select lower({}) as line from \"{table}\"", columns.join(" || ' ' || "))).await
            }
        };
        if lines.iter().any(|line| line.contains(text) || line.contains(&hexadecimal)) {
            found.push(table);
        }
    }
    found
}

async fn erased_everywhere(topology: Topology) {
    let Some(suite) = Suite::start(topology).await else {
        eprintln!("no PostgreSQL: not tested here");
        return;
    };
    activate(&suite, ROUTING).await;
    permit(&suite).await;
    let lead = pb::Lead {
        lead_id: LEAD.into(),
        score: Some(0.95),
        enrichment_confidence: Some(0.95),
        enrichment: [("company_size".to_owned(), SECRET.to_owned()), ("intent_signals".to_owned(), SECRET.to_owned())]
            .into(),
        ..Default::default()
    };
    let request = pb::RouteLeadRequest {
        lead: Some(lead),
        model_version: MODEL.into(),
        task: TASK.into(),
        request_id: "route-1".into(),
        ..Default::default()
    };
    routing(&suite.platform()).route_lead(request).await.expect("the lead is routed");
    suite.settle().await;
    let mut client = AuditServiceClient::new(suite.admin().to("audit"));
    let entry = suite.entries(&format!("subject = \"leads/{LEAD}\"")).await.swap_remove(0).name;
    let reveal = audit::GetPersonalDataRequest { name: entry };
    let data = client.get_personal_data(reveal.clone()).await.expect("it is kept until it is erased").into_inner();
    assert_eq!(data.fields["company_size"], SECRET);
    let erase = audit::EraseSubjectRequest { subject: format!("leads/{LEAD}"), ..Default::default() };
    client.erase_subject(erase).await.expect("the person is erased");
    client.get_personal_data(reveal).await.expect_err("nobody can read it again");

    for service in SERVICES {
        let db = suite.db(service).expect("it runs in this process");
        assert_eq!(tables_with(&db, SECRET).await, [""; 0], "{service} still has it");
    }
    let handoff = suite.db("handoff").expect("it runs in this process");
    assert!(!tables_with(&handoff, LEAD).await.is_empty(), "this search finds nothing at all");
    let request = audit::ExportRequest { include_sealed: true, ..Default::default() };
    let mut pieces = client.export(request).await.expect("an export").into_inner();
    let mut export = Vec::new();
    while let Some(piece) = pieces.message().await.expect("an export goes on") {
        export.extend(piece.data);
    }
    let export = String::from_utf8(export).expect("text");
    assert!(export.contains(LEAD) && !export.contains(SECRET));

    suite.stop().await;
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    let mut known = false;
    for (path, bytes) in suite.files() {
        assert!(!holds(&bytes, SECRET), "{} still has it", path.display());
        known |= holds(&bytes, LEAD);
    }
    assert!(known || topology != Topology::Sqlite, "these files hold nothing at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plaintext_is_left_after_an_erasure_on_sqlite() {
    erased_everywhere(Topology::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plaintext_is_left_after_an_erasure_on_postgres() {
    erased_everywhere(Topology::Postgres).await;
}
