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
