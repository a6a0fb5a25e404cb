//! Texts that a spreadsheet would run.

use std::borrow::Cow;

/// What a formula begins with, in the forms of East Asian keyboards too (OWASP, CSV Injection).
const BEGINS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(BEGINS)
}

/// A text as a cell may hold it: one that a spreadsheet would take for a formula has an apostrophe before it. So has one
/// that has some already, so that [`without_mark`] gives back what was.
pub fn inert(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text of a cell without the apostrophe that [`inert`] put there.
pub fn without_mark(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_formula(text) => text,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, cell) in [
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1", "'＝1"),
            ("'=1", "''=1"),
            ("'quoted'", "'quoted'"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(inert(text), cell);
            assert_eq!(without_mark(cell), text);
        }
    }

    proptest! {
        #[test]
        fn what_was_marked_is_read_as_it_was(text in "['=+@a-]{0,6}") {
            let cell = inert(&text);
            prop_assert!(!cell.starts_with(BEGINS));
            prop_assert_eq!(without_mark(&cell), text.as_str());
        }
    }
}
