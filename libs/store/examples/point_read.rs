//! Point reads through this crate and through sqlx's native query, on SQLite.
//!
//! Part of `make bench`. The order rotates from round to round, and the
//! median of the rounds is shown, because whoever goes first pays for a cold cache.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use remit_store::testing::TestDb;
use remit_store::{BulkInsert, Migration, Schema, query};
use std::time::Instant;

const SCHEMA: Schema = Schema {
    service: "bench",
    migrations: &[Migration::new(
        1,
        "init",
        "create table things (
            tenant_id $KEY not null, thing_id $KEY not null, note text not null, count bigint not null,
            constraint things_pk primary key (tenant_id, thing_id)
        )",
    )],
};
const SQL: &str = "select note, count from things where tenant_id = $1 and thing_id = $2";
const ROWS: i64 = 10_000;
const READS: i64 = 5_000;
const ROUNDS: usize = 9;

fn key(n: i64) -> String {
    format!("thing-{:05}", (n * 7_919) % ROWS)
}

#[tokio::main]
async fn main() {
    let database = TestDb::sqlite().unwrap();
    let db = database.open(&SCHEMA).await.unwrap();
    let mut tx = db.write().await.unwrap();
    BulkInsert::into("things")
        .text("tenant_id", (0..ROWS).map(|_| "acme".to_owned()))
        .text("thing_id", (0..ROWS).map(|n| format!("thing-{n:05}")))
        .text("note", (0..ROWS).map(|n| format!("{n:0>200}")))
        .bigint("count", 0..ROWS)
        .execute(&mut tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let native =
        sqlx::sqlite::SqlitePoolOptions::new().test_before_acquire(false).connect(database.url()).await.unwrap();

    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let way = (round + turn) % 2;
            let start = Instant::now();
            let mut sum = 0;
            for n in 0..READS {
                sum += match way {
                    0 => {
                        sqlx::query_as::<_, (String, i64)>(SQL)
                            .bind("acme")
                            .bind(key(n))
                            .fetch_one(&native)
                            .await
                            .unwrap()
                            .1
                    }
                    _ => {
                        let mut tx = db.read().await.unwrap();
                        let row = query(SQL).bind("acme").bind(key(n)).fetch_one(&mut tx).await.unwrap();
                        let _note: String = row.get("note").unwrap();
                        row.get::<i64>("count").unwrap()
                    }
                };
            }
            assert!(sum > 0);
            times[way].push(start.elapsed().as_secs_f64() * 1e6 / READS as f64);
        }
    }
    let median = |times: &[f64]| {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let ratios: Vec<f64> = times[1].iter().zip(&times[0]).map(|(ours, native)| native / ours).collect();
    println!("\n## Point reads, SQLite\n\nReads a second through the store to those through the driver's own query.\n");
    println!("| store, µs | driver, µs | ratio |\n| --------: | ---------: | ----: |");
    println!("| {:9.1} | {:10.1} | {:5.2} |", median(&times[1]), median(&times[0]), median(&ratios));
}
