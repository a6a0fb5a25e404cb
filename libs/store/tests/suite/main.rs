//! The conformance suite: what this crate promises, on both engines.
//!
//! SQLite always; PostgreSQL where `REMIT_TEST_POSTGRES_URL` names a server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod background;
mod faults;
mod lists;
mod mutations;
mod opening;
mod records;
mod statements;

use remit_core::{Actor, ActorKind, ManualClock, Result, Tenant, Timestamp};
use remit_store::{Call, Db, Migration, Mutation, Options, Schema, query};
use std::sync::Arc;

pub(crate) const SCHEMA: Schema = Schema {
    service: "suite",
    migrations: &[Migration::new(
        1,
        "init",
        "create table things (
            tenant_id $KEY not null,
            thing_id $KEY not null,
            word $KEY,
            count bigint not null,
            weight double precision,
            body $BYTES,
            constraint things_pk primary key (tenant_id, thing_id),
            constraint things_word unique (tenant_id, word),
            constraint things_count check (count >= 0)
        );
        create table parts (
            tenant_id $KEY not null,
            part_id $KEY not null,
            thing_id $KEY not null,
            constraint parts_pk primary key (tenant_id, part_id),
            constraint parts_thing foreign key (tenant_id, thing_id) references things (tenant_id, thing_id)
        );
        create table shelves (
            tenant_id $KEY not null,
            name $KEY not null,
            revision bigint not null,
            create_time bigint not null,
            state $KEY not null,
            body $BYTES not null,
            constraint shelves_pk primary key (tenant_id, name)
        );",
    )],
};

pub(crate) fn tenant() -> Tenant {
    Tenant::new("acme").unwrap()
}

pub(crate) fn call(request_id: &str, body: u8) -> Call {
    Call {
        tenant: tenant(),
        actor: Actor {
            subject: "ana".to_owned(),
            kind: ActorKind::Human,
            roles: vec!["operator".to_owned()],
            role_groups: Vec::new(),
            on_behalf_of: None,
        },
        method: "suite.things.create",
        resource: "things/1".to_owned(),
        request_id: request_id.to_owned(),
        request_digest: [body; 32],
        trace_id: String::new(),
        address: "192.0.2.7:50123".parse().ok(),
    }
}

/// How many things there are.
pub(crate) async fn count(db: &Db) -> Result<i64> {
    query("select count(*) as n from things where tenant_id = $1")
        .bind(&tenant())
        .fetch_one(&mut db.read().await?)
        .await?
        .get("n")
}

/// Adds a thing.
pub(crate) async fn put(m: &mut Mutation, id: &str) -> Result<()> {
    query("insert into things (tenant_id, thing_id, count) values ($1, $2, 0)")
        .bind(&tenant())
        .bind(id)
        .execute(m.tx())
        .await
        .map(|_| ())
}

/// Answers with `answer` and does nothing else; what came before if the request did.
pub(crate) async fn answer(db: &Db, call: &Call, answer: &[u8]) -> Result<Vec<u8>> {
    db.mutate(call, async |_| Ok(answer.to_vec())).await
}

/// The answer that was given before.
pub(crate) async fn replay(db: &Db, call: &Call) -> Result<Vec<u8>> {
    db.mutate(call, async |_| panic!("a fresh mutation where a replay is due")).await
}

/// Options with a clock that stands still until it is moved.
pub(crate) fn manual(at: i64) -> (Options, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp(at)));
    (Options { clock: clock.clone(), ..Default::default() }, clock)
}
