//! The only crate of Remit that names a database driver.
//!
//! # One SQL text, two engines
//! A statement is written once, as a string literal with `$1`, `$2`, …, and runs on SQLite and on
//! PostgreSQL. [`Db`] and [`Tx`] are small enums over sqlx's *native* pools and connections, and a
//! statement's values are a small enum too ([`Value`]), turned into the open engine's own arguments at
//! the call. Two other ways were weighed. `sqlx::Any` reads as plainly and was no slower here on point
//! reads, but it knows no arrays, so that the bulk inserts of the hot paths could not share a transaction
//! with the rest, and it hides each engine's options. Code generic over `sqlx::Database` spreads half a
//! dozen bounds into every function that touches a row. The enum costs one branch a statement, keeps each
//! driver's statement cache, options and error codes, and its callers see neither bounds nor drivers:
//! a point read takes within a tenth of what it takes through the driver itself (`examples/point_read.rs`).
//!
//! # What portable SQL is
//! - Types are `text`, `bigint` and `double precision`, with two tokens in migrations: `$KEY` for text
//!   compared bytewise, `$BYTES` for byte strings. Times are microseconds in `bigint`, flags 0 and 1.
//! - Time, ids and randomness come from Rust. No `like` (it ignores case on SQLite), no `greatest`, no
//!   JSON operators; `sum` and `avg` of integers are cast: `cast(sum(n) as bigint)`.
//! - Upserts, `returning`, row values `(a, b) > ($1, $2)`, window functions, `filter` and common table
//!   expressions are the same on both.
//! - **Claim first**: a write transaction opens with the write that locks its row. Reading first and
//!   writing after fails on SQLite and silently loses updates on PostgreSQL.
//! - `tenant_id` comes first in every key and index and stands in every `where`.
//!
//! # What is here
//! [`Db`] opens and migrates; [`Tx`], [`query`], [`Sql`] and [`BulkInsert`] run statements;
//! [`Mutation`] joins a change with its idempotency record, its audit events ([`outbox`]) and its watch
//! feeds ([`feed`]); [`timers`] fire once; [`page`] and [`filter`] serve lists; [`lease`] shares out
//! background work; [`tenants`] knows for whom; [`tail`] how far the
//! audit log was followed; [`maintenance`] forgets what is old; [`classify`] maps
//! errors; [`DataDir`] locks the embedded mode's directory; [`private`] keeps keys and data from others.

mod bulk;
#[cfg(feature = "testing")]
mod catalog;
pub mod certificates;
pub mod classify;
mod counter;
mod datadir;
mod db;
pub mod feed;
pub mod filter;
pub mod lease;
pub mod maintenance;
pub mod mandates;
mod migrate;
mod mutation;
mod names;
mod open;
pub mod outbox;
pub mod page;
pub mod private;
mod query;
pub mod record;
mod shared;
pub mod snapshot;
#[cfg(feature = "testing")]
mod statements;
pub mod tail;
pub mod tenants;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timers;
mod tx;
mod value;

pub use bulk::BulkInsert;
pub use classify::violation;
pub use counter::counted;
pub use datadir::DataDir;
pub use db::{Db, PoolStats};
pub use migrate::{Migration, Schema};
pub use mutation::{Call, Mutation, Skipped, noting, purge_requests};
pub use page::{Keyset, PageToken};
pub use query::{Order, Query, Sql, query};
pub use record::{Page, Records};
pub use shared::{Engine, Options, Signal};
pub use timers::{Timer, TimerHandler};
pub use tx::Tx;
pub use value::{FromColumn, Row, Value};
