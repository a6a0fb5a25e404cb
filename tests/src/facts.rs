//! `docs/facts.md` and the citations: every number that is cited is explained, and nothing else stands there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/facts.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The ids in a text: one of S, A, R, U, C and one to three digits, standing alone.
fn ids(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_id = |word: &&str| {
        let (first, digits) = word.split_at_checked(1).unwrap_or_default();
        "SARUC".contains(first) && (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    };
    words.filter(|word| !word.is_empty()).filter(is_id).map(str::to_owned).collect()
}

/// What cites: comments of Rust, and proto files, pages and data as a whole.
fn cited_in(path: &Path, text: &str) -> BTreeSet<String> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => text.lines().filter_map(|line| line.split_once("//")).flat_map(|(_, note)| ids(note)).collect(),
        Some("proto" | "md" | "yaml" | "sql") => ids(text),
        _ => BTreeSet::new(),
    }
}

#[test]
fn every_citation_is_explained_and_every_explanation_cited() {
    let (mut cited, mut folders) = (BTreeSet::new(), Vec::new());
    folders.extend(["libs", "services", "proto/remit", "tests/src", "docs"].map(|folder| root().join(folder)));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(PAGE) {
                cited.extend(std::fs::read_to_string(&path).map(|text| cited_in(&path, &text)).unwrap_or_default());
            }
        }
    }
    let page = std::fs::read_to_string(root().join(PAGE)).expect("the page exists");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let explained: BTreeSet<String> = rows.flat_map(ids).collect();
    assert!(cited.len() > 100, "only {} citations were found", cited.len());
    // A row may refer to another, which must then have a row too.
    let needed = cited
        .union(&ids(&page.lines().filter(|line| line.starts_with("| ")).collect::<Vec<_>>().join("\n")))
        .cloned()
        .collect::<BTreeSet<_>>();
    assert_eq!(needed.difference(&explained).collect::<Vec<_>>(), Vec::<&String>::new(), "cited and not explained");
    assert_eq!(explained.difference(&needed).collect::<Vec<_>>(), Vec::<&String>::new(), "explained and not cited");
}

#[test]
fn what_looks_like_an_id_and_is_none_does_not_count() {
    assert_eq!(
        ids("see S43, A5 and (R6); not U+0000, SHA256, MapKey::U, C9999 or S"),
        BTreeSet::from(["S43", "A5", "R6"].map(str::to_owned))
    );
    let rust = cited_in(Path::new("x.rs"), "MapKey::U32(key) => 1, // held by S138\n");
    assert_eq!(rust, BTreeSet::from(["S138".to_owned()]));
}

/// The texts in quotes of a Rust source, without comments.
fn quoted(source: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, here) = rest.split_at(at);
        let is_raw = before.ends_with("r#");
        rest = if here.starts_with("//") {
            here.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(text) = here.strip_prefix('"') {
            let end = if is_raw { text.find("\"#") } else { closing(text) };
            let (text, rest) = text.split_at(end.unwrap_or(text.len()));
            found.push(text);
            rest.get(1..).unwrap_or_default()
        } else if let Some(rest) = here.strip_prefix("'\"'") {
            rest
        } else {
            &here[1..]
        };
    }
    found
}

/// Where the first quote stands that no backslash escapes.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// What a file says to people that only its authors understand.
fn told(path: &Path, text: &str) -> BTreeSet<String> {
    // Those with C are the names of controls, which people work with.
    let inner = |text: &str| ids(text).into_iter().filter(|id| !id.starts_with('C')).collect::<Vec<_>>();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => {
            let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
            // An id by itself is data, such as the `facts` of an item; in a sentence it is in the way.
            quoted(&text[..end]).into_iter().filter(|text| !ids(text).contains(*text)).flat_map(inner).collect()
        }
        Some("yaml") => {
            let values = text.lines().map(|line| line.split(" #").next().unwrap_or_default());
            values.filter(|line| !line.trim_start().starts_with('#')).flat_map(inner).collect()
        }
        Some("html" | "svg" | "ftl" | "txt") => inner(text).into_iter().collect(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn nothing_that_people_read_cites_an_id() {
    let (mut found, mut folders) = (Vec::new(), vec![root().join("libs"), root().join("services")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let of_tests = matches!(name, "tests" | "examples" | "tests.rs") || name.ends_with("_tests.rs");
            if path.is_dir() && !of_tests {
                folders.push(path);
            } else if path.is_file() && !of_tests {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                found.extend(told(&path, &text).into_iter().map(|id| format!("{}: {id}", path.display())));
            }
        }
    }
    assert!(found.is_empty(), "say it without, and cite it in a comment: {found:#?}");
}

#[test]
fn what_people_read_is_told_from_comments() {
    let of = |text: &str| told(Path::new("x.rs"), text).into_iter().collect::<Vec<_>>();
    assert_eq!(
        of("// S4 \"S7\"\nlet a = \"see S8 \\\" S9\"; let b = '\"'; let c = r#\"R6 \"quoted\" A6\"#; // S43"),
        ["A6", "R6", "S8", "S9"]
    );
    assert_eq!(of("f(\"control C5\", &[\"S9\"]) // S8"), Vec::<String>::new());
    let yaml = told(Path::new("x.yaml"), "# S1\nreason: high risk  # S2\nname: S3\n");
    assert_eq!(yaml, BTreeSet::from(["S3".to_owned()]));
}
