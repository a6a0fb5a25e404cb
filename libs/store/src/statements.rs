//! The rules that every statement keeps, read from the sources.

use remit_core::{Error, Result};
use std::fs;
use std::path::Path;

/// What a statement must not contain, and why.
const FORBIDDEN: [(&str, &str); 16] = [
    (" like ", "ignores case on SQLite only"),
    (" ilike ", "PostgreSQL only"),
    ("::", "a cast of PostgreSQL only: write cast(x as type)"),
    ("->", "JSON operators differ"),
    ("greatest(", "PostgreSQL only"),
    ("least(", "PostgreSQL only"),
    ("now()", "time comes from the injected clock"),
    ("current_timestamp", "time comes from the injected clock"),
    ("random()", "randomness comes from the injected source"),
    ("for update", "claim first, with the write that locks the row"),
    ("skip locked", "work is claimed per tenant"),
    ("advisory", "no advisory locks for correctness"),
    ("nextval", "ids come from the injected source"),
    ("insert or ", "SQLite only: write on conflict"),
    ("strpos(", "PostgreSQL only"),
    ("instr(", "SQLite only"),
];

/// Checks every SQL literal in the Rust sources under `folder`: it names `tenant_id`, and it says
/// nothing that only one engine understands. Statements that differ by engine on purpose belong in
/// `libs/store`.
///
/// # Errors
/// `Internal` with a line for every statement that breaks a rule, or if a source cannot be read.
pub fn check_statements(folder: &Path) -> Result<()> {
    let mut broken = Vec::new();
    walk(folder, &mut broken).map_err(|error| {
        Error::internal(format!("cannot read the sources in {}: {error}", folder.display())).with_source(error)
    })?;
    if broken.is_empty() { Ok(()) } else { Err(Error::internal(broken.join("\n"))) }
}

fn walk(folder: &Path, broken: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, broken)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let found = literals(&fs::read_to_string(&path)?);
            // A statement built in pieces that ends with `where` goes on in another literal.
            let rest = found.iter().find(|literal| literal.trim_start().starts_with("tenant_id ="));
            for literal in &found {
                let open = literal.trim_end().to_lowercase().ends_with(" where");
                let whole = match rest {
                    Some(rest) if open => problems(&format!("{literal} {rest}")),
                    _ => problems(literal),
                };
                broken.extend(whole.into_iter().map(|problem| format!("{}: {problem}", path.display())));
            }
        }
    }
    Ok(())
}

fn problems(literal: &str) -> Vec<String> {
    let sql = literal.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let is = |start: &str, then: &str| sql.strip_prefix(start).is_some_and(|rest| rest.contains(then));
    let statement = is("select ", " from ")
        || is("insert into ", "(")
        || is("update ", " set ")
        || is("delete from ", "")
        || is("with ", " as (");
    if !statement {
        return Vec::new();
    }
    let mut broken: Vec<String> = FORBIDDEN
        .iter()
        .filter(|(word, _)| sql.contains(word))
        .map(|(word, why)| format!("{}: {why}: {sql}", word.trim()))
        .collect();
    if !sql.contains("tenant_id") {
        broken.push(format!("no tenant_id: {sql}"));
    }
    broken
}

/// The string literals of a Rust source, without those in comments.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\''") {
            rest.find('\'').and_then(|_| rest.get(1..)?.find('\'').map(|end| end + 2)).unwrap_or(1)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
            match rest[1 + hashes..].strip_prefix('"') {
                Some(body) => {
                    let end = body.find(&format!("\"{}", "#".repeat(hashes))).unwrap_or(body.len());
                    found.push(body[..end].to_owned());
                    1 + hashes + 1 + end + (1 + hashes).min(body.len() - end)
                }
                None => 1,
            }
        } else if first == '"' {
            let (text, length) = quoted(&rest[1..]);
            found.push(text);
            1 + length
        } else {
            first.len_utf8()
        };
        rest = &rest[skip.min(rest.len())..];
    }
    found
}

/// The text up to the closing quote with its escapes undone, and how many bytes that took.
fn quoted(rest: &str) -> (String, usize) {
    let mut text = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, at + 1),
            '\\' => match chars.next() {
                Some((_, '\n' | 'n' | 't')) => text.push(' '),
                Some((_, other)) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    (text, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_found_and_comments_are_not() {
        let source = r##"// "no"
            /* "no" */ let a = "one \"two\" \
                three"; let c = '"'; let b = r#"raw "text""#; let d = r"x";"##;
        let found: Vec<String> =
            literals(source).iter().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(found, ["one \"two\" three", "raw \"text\"", "x"]);
    }

    #[test]
    fn statements_that_break_a_rule_are_named() {
        for good in [
            "select a from t where tenant_id = $1",
            "insert into t (tenant_id, a) values ($1, $2)",
            "update the mask",
            "select one of these",
            "must be a time such as 10::00",
        ] {
            assert!(problems(good).is_empty(), "{good}");
        }
        for bad in [
            "select a from t",
            "select a from t where tenant_id = $1 and a like 'x%'",
            "update t set a = now() where tenant_id = $1",
            "delete from t where a = $1",
            "select a::text from t where tenant_id = $1",
        ] {
            assert!(!problems(bad).is_empty(), "{bad}");
        }
    }
}
