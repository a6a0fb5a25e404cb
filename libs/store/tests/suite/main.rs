//! The conformance suite: what this crate promises, on both engines.
//!
//! SQLite always; PostgreSQL where `REMIT_TEST_POSTGRES_URL` names a server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod background;
mod faults;
mod lists;
mod mutations;
mod opening;
mod statements;

use remit_core::{Actor, ActorKind, Result, Tenant, Timestamp};
use remit_store::{Begin, Call, Db, Migration, Mutation, Schema};

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
        );",
    )],
};

pub(crate) fn tenant() -> Tenant {
    Tenant::new("acme").unwrap()
}

pub(crate) fn call(request_id: &str, body: u8, now: i64) -> Call {
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
        request_id: request_id.to_owned(),
        request_digest: [body; 32],
        trace_id: String::new(),
        now: Timestamp(now),
    }
}

pub(crate) async fn fresh(db: &Db, call: &Call) -> Result<Mutation> {
    match db.begin(call).await? {
        Begin::Fresh(mutation) => Ok(mutation),
        Begin::Replay(_) => panic!("a replay where a fresh mutation is due"),
    }
}
