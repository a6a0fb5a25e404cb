//! Pages and filters.

use crate::{SCHEMA, tenant};
use proptest::prelude::*;
use remit_core::{Kind, Result, Tenant};
use remit_store::filter::{self, Field};
use remit_store::testing::each_engine;
use remit_store::{BulkInsert, Db, Keyset, Order, Sql, Value, page};

const FIELDS: &[Field] = &[
    Field::text("name", "thing_id"),
    Field::text("labels.word", "word"),
    Field::bigint("count", "count"),
    Field::double("weight", "weight"),
    Field::boolean("flag", "count"),
    Field::timestamp("create_time", "count"),
    Field::codes("state", "count", &[("NONE", 0), ("ONE", 1)]),
];

async fn fill(db: &Db, names: &[&str]) -> Result<()> {
    let mut tx = db.write().await?;
    BulkInsert::into("things")
        .text("tenant_id", names.iter().map(|_| "acme".to_owned()))
        .text("thing_id", names.iter().map(|name| (*name).to_owned()))
        .text("word", names.iter().map(|name| (!name.starts_with('_')).then(|| format!("w-{name}"))))
        .bigint("count", 0..names.len() as i64)
        .double("weight", (0..names.len()).map(|n| n as f64 / 10.0))
        .execute(&mut tx)
        .await?;
    tx.commit().await
}

async fn names(db: &Db, filter: &str) -> Result<Vec<String>> {
    let filter = filter::parse(filter, FIELDS)?;
    let rows = Sql::new("select thing_id from things where tenant_id = ")
        .bind(&tenant())
        .and_filter(&filter)
        .order_limit(&["thing_id"], Order::Ascending, 1_000)
        .query()
        .fetch_all(&mut db.read().await?)
        .await?;
    rows.iter().map(|row| row.get("thing_id")).collect()
}

#[tokio::test]
async fn filters_select_alike_on_both_engines() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        fill(&db, &["_none", "abc", "Abc", "abd", "b%c", "b_c", "xabcx", "ünï"]).await?;
        for (filter, expected) in [
            ("", vec!["Abc", "_none", "abc", "abd", "b%c", "b_c", "xabcx", "ünï"]),
            ("name = abc", vec!["abc"]),
            ("name = \"abc\"", vec!["abc"]),
            ("name = \"ab*\"", vec!["abc", "abd"]),
            ("name = \"*bc\"", vec!["Abc", "abc"]),
            ("name = \"*abc*\"", vec!["abc", "xabcx"]),
            ("name:abc", vec!["abc", "xabcx"]),
            ("name:\"%\"", vec!["b%c"]),
            ("name = \"b_*\"", vec!["b_c"]),
            ("name = \"ü*\"", vec!["ünï"]),
            ("name = \"*nï\"", vec!["ünï"]),
            ("name != \"*b*\"", vec!["_none", "ünï"]),
            ("count < 2", vec!["_none", "abc"]),
            ("count >= 6 AND weight < 0.65", vec!["xabcx"]),
            ("count = 1 OR count = 2", vec!["Abc", "abc"]),
            ("name = abc AND count = 1 OR count = 2", vec!["abc"]),
            ("NOT name:b", vec!["_none", "ünï"]),
            ("-name:b", vec!["_none", "ünï"]),
            ("labels.word = null", vec!["_none"]),
            ("labels.word != \"w-abc\" AND count < 3", vec!["Abc", "_none"]),
            ("NOT labels.word = \"w-abc\" AND count < 3", vec!["Abc", "_none"]),
            ("state = ONE", vec!["abc"]),
            ("flag = false", vec!["_none"]),
            ("create_time <= \"1970-01-01T00:00:00.000001Z\"", vec!["_none", "abc"]),
            ("name > \"b\" name < \"x\"", vec!["b%c", "b_c"]),
        ] {
            assert_eq!(names(&db, filter).await?, expected, "{filter}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_filter_cannot_become_sql() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        fill(&db, &["a", "b"]).await?;
        for attack in [
            "name = \"' or '1'='1\"",
            "name = \"a'; drop table things; --\"",
            "name:\"') or 1=1 --\"",
            "name = \"*$1\"",
            "name = \"\\\" or 1=1\"",
        ] {
            assert!(names(&db, attack).await?.is_empty(), "{attack}");
        }
        for refused in [
            "tenant_id = globex",
            "thing_id = a",
            "name = a; drop table things",
            "1 = 1",
            "name) or (1 = 1",
            "a",
            "regex(name, \"a\")",
            "count = \"1\"",
            "count = 1.5",
            "weight = abc",
            "flag = 1",
            "flag < true",
            "create_time > yesterday",
            "state = TWO",
            "name = (a OR b)",
            "name < null",
            "name = \"a\0\"",
            &"(".repeat(50),
            &"name = a ".repeat(51),
            &"x".repeat(3_000),
        ] {
            let error = filter::parse(refused, FIELDS).expect_err(refused);
            assert_eq!(error.kind(), Kind::InvalidArgument, "{refused}");
        }
        let error = filter::parse("tenant_id = globex", FIELDS).unwrap_err();
        assert_eq!(error.violations()[0].field, "filter");
        assert!(error.message().contains("labels.word"), "{error}");
        assert_eq!(names(&db, "").await?, ["a", "b"]);
        Ok(())
    })
    .await
}

proptest! {
    #[test]
    fn no_filter_makes_the_parser_fail_otherwise_than_by_an_error(text in "\\PC{0,60}") {
        let _ = filter::parse(&text, FIELDS);
    }
}

async fn walk(db: &Db, keyset: &Keyset, order: Order, size: i64) -> Result<Vec<String>> {
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let after = keyset.after(&token)?;
        let rows = Sql::new("select count, thing_id from things where tenant_id = ")
            .bind(&tenant())
            .and_after(&["count", "thing_id"], order, after.as_deref())
            .order_limit(&["count", "thing_id"], order, size + 1)
            .query()
            .fetch_all(&mut db.read().await?)
            .await?;
        let rows: Vec<(i64, String)> =
            rows.iter().map(|row| Ok((row.get("count")?, row.get("thing_id")?))).collect::<Result<_>>()?;
        let (page, next) = keyset.cut(rows, size, |(count, id)| vec![Value::from(*count), Value::from(id)]);
        assert!(page.len() as i64 <= size);
        seen.extend(page.into_iter().map(|(_, id)| id));
        if next.is_empty() {
            return Ok(seen);
        }
        token = next;
    }
}

#[tokio::test]
async fn pages_cover_a_list_once_in_either_order() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let all: Vec<String> = (0..23).map(|n| format!("t{n:02}")).collect();
        fill(&db, &all.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let keyset = db.keyset(&tenant(), "suite.things.list", &["", "count"]);
        for size in [1, 5, 22, 23, 24] {
            assert_eq!(walk(&db, &keyset, Order::Ascending, size).await?, all);
            let reversed: Vec<String> = all.iter().rev().cloned().collect();
            assert_eq!(walk(&db, &keyset, Order::Descending, size).await?, reversed);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_page_token_serves_its_own_list_only() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let keyset = db.keyset(&tenant(), "suite.things.list", &["count > 1", "count"]);
        let key = vec![
            Value::from(-5),
            Value::from(0.1),
            Value::from("é"),
            Value::from(vec![0u8, 255]),
            Value::from(None::<i64>),
            Value::from(None::<String>),
        ];
        let token = keyset.token(&key);
        assert_eq!(keyset.after(&token)?, Some(key));
        assert_eq!(keyset.after("")?, None);
        let replica = database.open(&SCHEMA).await?;
        assert!(replica.keyset(&tenant(), "suite.things.list", &["count > 1", "count"]).after(&token).is_ok());
        for other in [
            db.keyset(&tenant(), "suite.things.list", &["count > 2", "count"]),
            db.keyset(&tenant(), "suite.things.list", &["count > 1", "name"]),
            db.keyset(&tenant(), "suite.things.list", &["count > 1count", ""]),
            db.keyset(&tenant(), "suite.parts.list", &["count > 1", "count"]),
            db.keyset(&Tenant::new("globex")?, "suite.things.list", &["count > 1", "count"]),
        ] {
            assert_eq!(other.after(&token).unwrap_err().reason(), "PAGE_TOKEN_INVALID");
        }
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let error = keyset.after(&String::from_utf8(altered).unwrap()).unwrap_err();
            assert_eq!(error.violations()[0].field, "page_token");
        }
        for wrong in ["x", "====", "AAAA", &"A".repeat(5_000), &token[..token.len() - 2]] {
            assert_eq!(keyset.after(wrong).unwrap_err().kind(), Kind::InvalidArgument);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_list_of_any_length_selects_its_members() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        fill(&db, &["a", "b", "c", "d", "e"]).await?;
        for ids in [vec![], vec!["a"], vec!["a", "x", "c"], vec!["a", "b", "c", "d", "e"]] {
            let rows = Sql::new("select thing_id from things where tenant_id = ")
                .bind(&tenant())
                .push(" and thing_id in ")
                .bind_list(ids.iter().copied())
                .order_limit(&["thing_id"], Order::Ascending, 100)
                .query()
                .fetch_all(&mut db.read().await?)
                .await?;
            let found: Vec<String> = rows.iter().map(|row| row.get("thing_id")).collect::<Result<_>>()?;
            assert_eq!(found, ids.into_iter().filter(|id| *id != "x").collect::<Vec<_>>());
        }
        Ok(())
    })
    .await
}

#[test]
fn page_sizes_are_bounded() {
    assert_eq!((page::size(0), page::size(1), page::size(1_000_000), page::size(-1)), (50, 1, 1_000, 50));
}
