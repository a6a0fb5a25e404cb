//! The rules that every migration keeps, read from its text and from the catalogs it leaves behind.

use crate::db::Db;
use crate::migrate::Schema;
use crate::names::words;
use crate::query;
use crate::shared::Engine;
use crate::testing::TestDb;
use remit_core::{Error, Result};
use std::collections::BTreeSet;

/// What a migration must not contain, and why: a word, and what must stand before or after it to mean
/// what is forbidden, because most of these words are good names for columns.
const FORBIDDEN: [(&str, Beside, &str); 14] = [
    ("trigger", Beside::After("create"), "rules live in Rust, and sharded tables have no triggers"),
    ("sequence", Beside::After("create"), "ids come from the injected source"),
    ("identity", Beside::After("as"), "ids come from the injected source"),
    ("serial", Beside::Anything, "ids come from the injected source"),
    ("bigserial", Beside::Anything, "ids come from the injected source"),
    ("autoincrement", Beside::Anything, "ids come from the injected source"),
    ("now", Beside::Before("("), "time comes from the injected clock"),
    ("current_timestamp", Beside::Anything, "time comes from the injected clock"),
    ("random", Beside::Before("("), "randomness comes from the injected source"),
    ("exclude", Beside::Before("using"), "sharded tables have no exclusion constraints"),
    ("boolean", Beside::Anything, "flags are bigint 0 and 1"),
    ("integer", Beside::Anything, "integers are bigint"),
    ("timestamptz", Beside::Anything, "times are microseconds in bigint"),
    ("jsonb", Beside::Anything, "JSON is text, or a message in $BYTES"),
];

enum Beside {
    Anything,
    After(&'static str),
    Before(&'static str),
}

/// Checks that the tables of `schema` keep the rules on both engines: `tenant_id` comes first in every
/// primary key, unique constraint, index and foreign key; constraints are named; no triggers, sequences or
/// volatile functions; the columns are the same on both. PostgreSQL is checked where a server is named.
///
/// # Errors
/// `Internal` with a line for every rule that is broken.
pub async fn check_migrations(schema: &Schema) -> Result<()> {
    let mut broken = Vec::new();
    let mut version = 0;
    for migration in schema.migrations {
        if migration.version <= version {
            broken.push(format!("migration {} does not come after {version}", migration.version));
        }
        version = migration.version;
        for text in [Some(migration.sql), migration.sql_postgres].into_iter().flatten() {
            broken.extend(in_text(migration.name, text));
        }
    }
    let sqlite = TestDb::sqlite()?;
    let db = sqlite.open(schema).await?;
    broken.extend(in_sqlite(&db).await?);
    if let Some(postgres) = TestDb::postgres().await? {
        let other = postgres.open(schema).await?;
        broken.extend(in_postgres(&other).await?);
        let (ours, theirs) = (columns(&db).await?, columns(&other).await?);
        broken.extend(ours.symmetric_difference(&theirs).map(|column| format!("only one engine has {column}")));
    }
    if broken.is_empty() { Ok(()) } else { Err(Error::internal(broken.join("\n"))) }
}

fn in_text(name: &str, text: &str) -> Vec<String> {
    let words = words(text);
    let mut broken = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).and_then(|at| words.get(at)).map_or("", String::as_str);
        let next = words.get(at + 1).map_or("", String::as_str);
        let forbidden = FORBIDDEN.iter().find(|(forbidden, beside, _)| {
            forbidden == word
                && match beside {
                    Beside::Anything => true,
                    Beside::After(wanted) => before(1) == *wanted,
                    Beside::Before(wanted) => next == *wanted,
                }
        });
        if let Some((_, _, why)) = forbidden {
            broken.push(format!("{name}: {word}: {why}"));
        }
        let constrains = match word.as_str() {
            "primary" | "check" | "foreign" => true,
            "unique" => before(1) != "create",
            "references" => before(1) != ")",
            _ => false,
        };
        if constrains && before(2) != "constraint" {
            let near = words.get(at.saturating_sub(3)..(at + 3).min(words.len())).unwrap_or_default().join(" ");
            broken.push(format!("{name}: a constraint needs a name: {near}"));
        }
    }
    broken
}

async fn lines(db: &Db, sql: &'static str) -> Result<Vec<String>> {
    let rows = query(sql).fetch_all(&mut db.read().await?).await?;
    rows.iter().map(|row| row.get("line")).collect()
}

async fn in_sqlite(db: &Db) -> Result<Vec<String>> {
    let mut broken = lines(
        db,
        "select t.name || ': index ' || i.name || ' begins with ' || coalesce(c.name, 'an expression') as line
         from sqlite_schema t, pragma_index_list(t.name) i, pragma_index_info(i.name) c
         where t.type = 'table' and t.name not in ('remit_settings', 'remit_migrations')
           and c.seqno = 0 and c.name is not 'tenant_id'",
    )
    .await?;
    broken.extend(
        lines(
            db,
            "select t.name || ': a foreign key begins with ' || f.\"from\" as line
             from sqlite_schema t, pragma_foreign_key_list(t.name) f
             where t.type = 'table' and f.seq = 0 and (f.\"from\" <> 'tenant_id' or f.\"to\" is not 'tenant_id')",
        )
        .await?,
    );
    broken.extend(
        lines(
            db,
            "select t.name || ': no primary key' as line from sqlite_schema t
             where t.type = 'table' and not exists (select 1 from pragma_table_info(t.name) c where c.pk > 0)",
        )
        .await?,
    );
    broken
        .extend(lines(db, "select name || ': is a trigger' as line from sqlite_schema where type = 'trigger'").await?);
    broken.extend(
        lines(
            db,
            "select t.name || '.' || c.name || ' has type ' || c.type as line
             from sqlite_schema t, pragma_table_info(t.name) c
             where t.type = 'table' and lower(c.type) not in ('text', 'bigint', 'double precision', 'blob')",
        )
        .await?,
    );
    Ok(broken)
}

async fn in_postgres(db: &Db) -> Result<Vec<String>> {
    let mut broken = lines(
        db,
        "select t.relname || ': index ' || i.relname || ' begins with ' || coalesce(a.attname, 'an expression') as line
         from pg_index x
         join pg_class t on t.oid = x.indrelid
         join pg_class i on i.oid = x.indexrelid
         left join pg_attribute a on a.attrelid = t.oid and a.attnum = x.indkey[0]
         where t.relnamespace = current_schema()::regnamespace
           and t.relname not in ('remit_settings', 'remit_migrations') and a.attname is distinct from 'tenant_id'",
    )
    .await?;
    broken.extend(
        lines(
            db,
            "select t.relname || ': foreign key ' || k.conname || ' begins with ' || a.attname as line
             from pg_constraint k
             join pg_class t on t.oid = k.conrelid
             join pg_attribute a on a.attrelid = t.oid and a.attnum = k.conkey[1]
             where t.relnamespace = current_schema()::regnamespace and k.contype = 'f' and a.attname <> 'tenant_id'",
        )
        .await?,
    );
    broken.extend(
        lines(
            db,
            "select t.relname || ': no primary key' as line from pg_class t
             where t.relnamespace = current_schema()::regnamespace and t.relkind in ('r', 'p')
               and not exists (select 1 from pg_constraint k where k.conrelid = t.oid and k.contype = 'p')",
        )
        .await?,
    );
    broken.extend(
        lines(
            db,
            "select relname || ': is a sequence' as line from pg_class
             where relnamespace = current_schema()::regnamespace and relkind = 'S'
             union all
             select g.tgname || ': is a trigger' from pg_trigger g join pg_class t on t.oid = g.tgrelid
             where t.relnamespace = current_schema()::regnamespace and not g.tgisinternal",
        )
        .await?,
    );
    broken.extend(
        lines(
            db,
            "select t.relname || '.' || a.attname || ' has type ' || format_type(a.atttypid, a.atttypmod) as line
             from pg_attribute a join pg_class t on t.oid = a.attrelid
             where t.relnamespace = current_schema()::regnamespace and t.relkind in ('r', 'p') and a.attnum > 0
               and not a.attisdropped
               and format_type(a.atttypid, a.atttypmod) not in ('text', 'bigint', 'double precision', 'bytea')
             union all
             select t.relname || '.tenant_id is not $KEY' from pg_attribute a
             join pg_class t on t.oid = a.attrelid join pg_collation c on c.oid = a.attcollation
             where t.relnamespace = current_schema()::regnamespace and t.relkind in ('r', 'p')
               and a.attname = 'tenant_id' and c.collname <> 'C'",
        )
        .await?,
    );
    Ok(broken)
}

async fn columns(db: &Db) -> Result<BTreeSet<String>> {
    let sql = match db.engine() {
        Engine::Sqlite => {
            "select t.name || '.' || c.name || case when c.\"notnull\" = 1 then ' not null' else '' end as line
             from sqlite_schema t, pragma_table_info(t.name) c where t.type = 'table'"
        }
        Engine::Postgres => {
            "select t.relname || '.' || a.attname || case when a.attnotnull then ' not null' else '' end as line
             from pg_attribute a join pg_class t on t.oid = a.attrelid
             where t.relnamespace = current_schema()::regnamespace and t.relkind in ('r', 'p') and a.attnum > 0
               and not a.attisdropped and not t.relispartition"
        }
    };
    Ok(lines(db, sql).await?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_a_rule_is_named() {
        let good = "create table t (tenant_id $KEY not null, id $KEY, trigger bigint, constraint t_pk primary key (tenant_id, id),
            constraint t_fk foreign key (tenant_id, id) references u (tenant_id, id));
            create unique index t_u on t (tenant_id); -- now() serial trigger";
        assert!(in_text("good", good).is_empty(), "{:?}", in_text("good", good));
        for bad in [
            "create table t (id text primary key)",
            "create table t (id text, unique (id))",
            "create table t (id text, check (id <> ''))",
            "create table t (id text references u (id))",
            "create table t (id bigserial)",
            "create trigger x",
            "create table t (at bigint default now())",
        ] {
            assert!(!in_text("bad", bad).is_empty(), "{bad}");
        }
    }
}
