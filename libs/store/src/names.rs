//! The names of SQLite's unique constraints. Its errors name the columns instead: `t.a, t.b`.

use crate::classify;
use remit_core::Result;
use sqlx::{Row as _, SqlitePool};
use std::collections::HashMap;

/// Reads the catalog: columns as SQLite reports them, to the name of their constraint or index.
pub(crate) async fn read(pool: &SqlitePool) -> Result<HashMap<String, String>> {
    let rows = sqlx::query("select type, name, tbl_name, sql from sqlite_schema where sql is not null")
        .fetch_all(pool)
        .await
        .map_err(classify::plain)?;
    let mut names = HashMap::new();
    for row in rows {
        let get = |column| row.try_get::<String, _>(column).map_err(classify::plain);
        let (kind, name, table, sql) = (get("type")?, get("name")?, get("tbl_name")?, get("sql")?);
        let found = match kind.as_str() {
            "table" => in_table(&sql),
            "index" => in_index(&name, &sql),
            _ => Vec::new(),
        };
        for (constraint, columns) in found {
            let columns: Vec<String> = columns.iter().map(|column| format!("{table}.{column}")).collect();
            names.insert(columns.join(", "), constraint);
        }
    }
    Ok(names)
}

/// A constraint's name and columns.
type Named = (String, Vec<String>);

/// The words of a statement in lower case, with parentheses and commas as words of their own.
pub(crate) fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in sql.lines() {
        let code = line.split("--").next().unwrap_or_default().to_ascii_lowercase();
        let spaced = code.replace('(', " ( ").replace(')', " ) ").replace(',', " , ").replace('"', "");
        words.extend(spaced.split_whitespace().map(str::to_owned));
    }
    words
}

fn columns(words: &[String]) -> Vec<String> {
    words
        .iter()
        .skip_while(|word| *word != "(")
        .skip(1)
        .take_while(|word| *word != ")")
        .filter(|word| !matches!(word.as_str(), "," | "desc" | "asc"))
        .cloned()
        .collect()
}

/// The named unique constraints and the primary key of a `create table`.
fn in_table(sql: &str) -> Vec<Named> {
    let words = words(sql);
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let unique = matches!(
            (words.get(at + 2).map(String::as_str), words.get(at + 3).map(String::as_str)),
            (Some("unique"), Some("(")) | (Some("primary"), Some("key"))
        );
        if word == "constraint"
            && unique
            && let (Some(name), Some(rest)) = (words.get(at + 1), words.get(at + 2..))
        {
            found.push((name.clone(), columns(rest)));
        }
    }
    found
}

fn in_index(name: &str, sql: &str) -> Vec<Named> {
    let words = words(sql);
    if words.get(1).is_some_and(|word| word == "unique") {
        vec![(name.to_owned(), columns(&words))]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_found_by_their_columns() {
        let sql = "CREATE TABLE t (a text not null, b bigint, -- constraint x unique (z)\n
            constraint t_pk primary key (a, b), constraint t_b unique(b) , constraint t_c check (b in (1, 2)))";
        let found = in_table(sql);
        assert_eq!(
            found,
            [("t_pk".to_owned(), vec!["a".to_owned(), "b".to_owned()]), ("t_b".to_owned(), vec!["b".to_owned()])]
        );
        assert_eq!(in_index("i", "create unique index i on t (a, b desc)")[0].1, ["a", "b"]);
        assert!(in_index("i", "create index i on t (a)").is_empty());
    }
}
