//! `docs/errors.md` against the sources: a caller branches on these codes, so none may be missing or invented.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What stands before a reason code that is returned.
const OPENERS: [&str; 15] = [
    "Error::invalid(",
    "Error::precondition(",
    "Error::denied(",
    "Error::not_found(",
    "refuse(",
    "unavailable(",
    "exists(",
    "reasons.deny(",
    "reasons.restrict(",
    "reasons.info(",
    "warning(",
    "self.find(",
    "findings.push(finding(",
    "const NOT_FOUND: &'static str =",
    "const EXISTS: &'static str =",
];

/// What stands before a field that is followed by a reason code.
const FIELD_OPENERS: [&str; 2] = ["Flaw::new(", "bad("];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of every Rust source of `libs` and `services`, without tests and examples.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("libs"), root().join("services")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !matches!(name, "tests" | "examples" | "benches" | "target") {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && name != "tests.rs" && !name.ends_with("_tests.rs") {
                let text = std::fs::read_to_string(&path).expect("a readable source file");
                let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
                found.push(text[..end].to_owned());
            }
        }
    }
    found
}

fn is_code(text: &str) -> bool {
    text.len() >= 5
        && !text.ends_with('_')
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The code that `text` begins with as a string literal, blanks aside.
fn leading_code(text: &str) -> Option<&str> {
    let literal = text.trim_start().strip_prefix('"')?.split('"').next()?;
    is_code(literal).then_some(literal)
}

/// What follows each place where `opener` stands in `text`.
fn after<'a>(text: &'a str, opener: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(opener).map(move |(at, _)| &text[at + opener.len()..])
}

/// The reason codes that `text` returns.
fn returned(text: &str) -> BTreeSet<&str> {
    let direct = OPENERS.iter().flat_map(|opener| after(text, opener)).filter_map(leading_code);
    let second = FIELD_OPENERS.iter().flat_map(|opener| after(text, opener));
    let kind = |rest: &&str| rest.split_once(',').is_some_and(|(kind, _)| kind.chars().all(char::is_alphanumeric));
    let later =
        second.chain(after(text, "Kind::").filter(kind)).filter_map(|rest| leading_code(rest.split_once(',')?.1));
    direct.chain(later).collect()
}

/// `text` with its comments blanked and its strings but for the quote that opens them, so that what is left is code.
fn blanked(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'/')) => text[at..].find('\n').map_or(bytes.len(), |length| at + length),
            (b'\'', Some(b'"')) => at + 3,
            (b'"', _) => {
                let mut end = at + 1;
                while end < bytes.len() && bytes[end] != b'"' {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                end + 1
            }
            _ => {
                at += 1;
                continue;
            }
        };
        let end = end.min(bytes.len());
        let kept = usize::from(bytes[at] == b'"');
        bytes[at + kept..end].fill(b' ');
        at = end;
    }
    bytes
}

/// Where the bracket stands that encloses what is at `at`.
fn enclosing(code: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0_u32;
    code[..at].iter().enumerate().rev().find_map(|(at, byte)| match byte {
        b')' | b']' | b'}' => {
            depth += 1;
            None
        }
        b'(' | b'[' | b'{' if depth > 0 => {
            depth -= 1;
            None
        }
        b'(' | b'[' | b'{' => Some(at),
        _ => None,
    })
}

/// Calls that only look at a code.
const LOOKS: [&str; 6] = ["matches!", "contains", "starts_with", "ends_with", "strip_prefix", "contains_key"];

/// The codes that `text` gives to somebody: handed to a call, returned, or the value of a field or constant; and
/// not those that it only compares with, matches, or keeps in a list.
fn given(text: &str) -> BTreeSet<String> {
    let code = blanked(text);
    let before = |at: usize| String::from_utf8_lossy(&code[at.saturating_sub(40)..at]).trim_end().to_owned();
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices('"').filter(|(at, _)| code[*at] == b'"') {
        let Some(literal) = leading_code(&text[at..]) else { continue };
        let after = String::from_utf8_lossy(&code[at + 1..]).trim_start().get(..2).unwrap_or_default().to_owned();
        let compared = ["==", "!="].iter().any(|sign| after == *sign || before(at).ends_with(sign));
        let pattern = after == "=>" || after.starts_with('|') || before(at).ends_with('|') || after == "if";
        let inside = enclosing(&code, at);
        let call = inside.map(before).unwrap_or_default();
        let tuple = inside.is_some_and(|at| code[at] == b'(')
            && !call.ends_with(|c: char| c.is_alphanumeric() || c == '!' || c == '_');
        let list = |at: Option<usize>| at.is_some_and(|at| code[at] == b'[');
        let listed = list(inside) || (tuple && list(inside.and_then(|at| enclosing(&code, at))));
        let looked_at = LOOKS.iter().any(|look| call.ends_with(look));
        if !(compared || pattern || listed || looked_at) {
            found.insert(literal.to_owned());
        }
    }
    found
}

/// The codes in the first column of the page's tables.
fn documented(page: &str) -> Vec<&str> {
    let code = |line: &'_ str| line.strip_prefix("| `").and_then(|rest| rest.split('`').next().map(str::len));
    page.lines().filter_map(|line| code(line).map(|length| &line[3..3 + length])).collect()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/errors.md")).expect("the page exists")
}

#[test]
fn every_returned_code_is_documented() {
    let (page, sources) = (page(), sources());
    let known: BTreeSet<_> = documented(&page).into_iter().collect();
    let returned: BTreeSet<_> = sources.iter().flat_map(|text| returned(text)).collect();
    assert!(returned.len() > 250, "only {} codes were found: the scan no longer fits the sources", returned.len());
    let missing: Vec<_> = returned.difference(&known).collect();
    assert!(missing.is_empty(), "docs/errors.md lacks {missing:?}");
}

#[test]
fn every_documented_code_is_given_by_the_sources() {
    let (page, sources) = (page(), sources());
    let given: BTreeSet<_> = sources.iter().flat_map(|text| given(text)).collect();
    let invented: Vec<_> = documented(&page).into_iter().filter(|code| !given.contains(*code)).collect();
    assert!(invented.is_empty(), "docs/errors.md names codes that the sources never give: {invented:?}");
}

#[test]
fn no_code_is_documented_twice() {
    let page = page();
    let mut seen = BTreeSet::new();
    let twice: Vec<_> = documented(&page).into_iter().filter(|code| !seen.insert(*code)).collect();
    assert!(twice.is_empty(), "docs/errors.md explains twice: {twice:?}");
}

#[test]
fn a_code_is_found_across_line_breaks() {
    let text =
        "Error::invalid(\n    \"AXIS_MISSING\",\n x); Error::new(\n Kind::Conflict,\n \"ETAG_MISMATCH\",\n text)";
    assert_eq!(returned(text), BTreeSet::from(["AXIS_MISSING", "ETAG_MISMATCH"]));
}

#[test]
fn a_code_that_is_only_compared_with_is_not_given() {
    for given_here in [
        "Error::invalid(\"CODE_GIVEN\", text)",
        "flaw(\n    \"CODE_GIVEN\",\n    message)",
        "Error::Fork { .. } => \"CODE_GIVEN\",",
        "const REASON: &str = \"CODE_GIVEN\";",
        "CheckReason { code: \"CODE_GIVEN\".into() }",
        "Verdict::Bad => (\"CODE_GIVEN\", Severity::High),",
        "if text != \"[\" { refuse(\"CODE_GIVEN\") }",
    ] {
        assert_eq!(given(given_here), BTreeSet::from(["CODE_GIVEN".to_owned()]), "{given_here}");
    }
    for only in [
        "if error.reason() == \"CODE_SEEN\" {",
        "if \"CODE_SEEN\" != reason {",
        "\"CODE_SEEN\" => retry(),",
        "\"OTHER_CODE\" | \"CODE_SEEN\" => retry(),",
        "\"CODE_SEEN\" if late => retry(),",
        "matches!(reason, \"CODE_SEEN\")",
        "reason.contains(\"CODE_SEEN\")",
        "const KNOWN: [&str; 1] = [\"CODE_SEEN\"];",
        "const TEXTS: &[(&str, u8)] = &[(\"CODE_SEEN\", 1)];",
        "// Error::invalid(\"CODE_SEEN\", text)",
    ] {
        assert_eq!(given(only), BTreeSet::new(), "{only}");
    }
}
