//! Whether the quotes of a table are in order: a quote that is not closed swallows the rows after it, and readers of CSV
//! let that pass.

/// A quoted field that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The line on which its quote opens.
    pub(crate) line: u64,
    /// Its place in the row, from 0.
    pub(crate) column: usize,
    /// The line on which it ends, if it does.
    pub(crate) end: Option<u64>,
}

/// Where a scan is.
#[derive(Clone, Copy)]
enum At {
    /// Before the first character of a field.
    Begin,
    /// In a field without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote between quotes: the end, or the first half of a quote that belongs to the text.
    Quote,
}

/// How many lines end in a text.
pub(crate) fn line_ends(text: &[u8]) -> u64 {
    let ends = text.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    u64::try_from(ends.count()).unwrap_or(u64::MAX)
}

/// The first field of a text whose quotes are wrong. The text begins on `line`.
pub(crate) fn check(text: &[u8], separator: u8, mut line: u64) -> Option<Wrong> {
    let (mut at, mut column, mut opened) = (At::Begin, 0_usize, line);
    for (place, &byte) in text.iter().enumerate() {
        let ends = byte == b'\n' || (byte == b'\r' && text.get(place + 1) != Some(&b'\n'));
        at = match (at, byte) {
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) | (At::Quote, b'"') => At::Quoted,
            (At::Begin, b'"') => {
                opened = line;
                At::Quoted
            }
            (_, byte) if byte == separator => {
                column += 1;
                At::Begin
            }
            (_, b'\r' | b'\n') => {
                column = 0;
                At::Begin
            }
            // What follows may be blank; it is left away.
            (At::Quote, b' ' | b'\t') => At::Quote,
            (At::Quote, _) => return Some(Wrong { line: opened, column, end: Some(line) }),
            (At::Begin | At::Plain, _) => At::Plain,
        };
        line += u64::from(ends);
    }
    matches!(at, At::Quoted).then_some(Wrong { line: opened, column, end: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_closed_where_its_field_ends() {
        for fine in ["a,b\n", "\"a\",\"b \"\"c\"\" d\"\r\n", "a,\"x\ny\"\n", "5\" screen,b", "\"a\" ,b", "\"\",\"\""] {
            assert_eq!(check(fine.as_bytes(), b',', 1), None, "{fine}");
        }
        let open = "id,title\r\na,\"x,1\r\nb,y\r\n";
        assert_eq!(check(open.as_bytes(), b',', 1), Some(Wrong { line: 2, column: 1, end: None }));
        let swallowed = "id,title\na,\"x,1\nb,\"y\",2\n";
        assert_eq!(check(swallowed.as_bytes(), b',', 1), Some(Wrong { line: 2, column: 1, end: Some(3) }));
    }

    #[test]
    fn lines_are_those_of_an_editor() {
        assert_eq!(
            ["", "a", "a\n", "a\r\nb\r\n", "a\rb", "\n\r"].map(|text| line_ends(text.as_bytes())),
            [0, 0, 1, 2, 1, 2]
        );
    }
}
