//! Rows with the lines that they began on.

use crate::encoding::{decode, named};
use crate::number::Mark;
use crate::quotes::{check, line_ends};
use csv::{ByteRecord, ReaderBuilder, StringRecord};
use encoding_rs::Encoding;
use remit_core::{Error, Result};
use std::borrow::Cow;

/// What separates fields, the likeliest first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How a file is written, as far as somebody says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Format {
    encoding: Option<&'static Encoding>,
    separator: Option<u8>,
    /// What stands before decimals.
    pub mark: Option<Mark>,
}

impl Format {
    /// A format in words; each that is empty is left to what the file shows. `tab` is one for a separator.
    ///
    /// # Errors
    /// `InvalidArgument`: `ENCODING_UNKNOWN`, `SEPARATOR_INVALID`, `DECIMAL_MARK_INVALID`.
    pub fn named(encoding: &str, separator: &str, mark: &str) -> Result<Self> {
        let separator = match separator.as_bytes() {
            [] => None,
            b"tab" | b"\\t" => Some(b'\t'),
            [byte] if is_separator(*byte) => Some(*byte),
            _ => {
                let text = "must be one character that is no letter, digit or quote, or the word tab";
                return Err(Error::invalid("SEPARATOR_INVALID", "format.separator", text));
            }
        };
        let mark = match mark {
            "" => None,
            "." => Some(Mark::Point),
            "," => Some(Mark::Comma),
            _ => return Err(Error::invalid("DECIMAL_MARK_INVALID", "format.decimal_mark", "must be '.' or ','")),
        };
        let encoding = if encoding.is_empty() { None } else { Some(named(encoding)?) };
        Ok(Self { encoding, separator, mark })
    }
}

fn is_separator(byte: u8) -> bool {
    byte == b'\t' || byte == b' ' || (byte.is_ascii_punctuation() && byte != b'"')
}

/// A table with a header.
#[derive(Debug)]
pub struct Sheet<'a> {
    text: Cow<'a, [u8]>,
    encoding: &'static str,
    separator: u8,
    /// Where the rows begin, after the line that names the separator, and on which line that is.
    begin: (usize, u64),
    headers: Vec<String>,
}

/// A row that is not blank.
#[derive(Debug)]
pub struct Row {
    /// The line of the file that it begins on, from 1.
    pub line: u64,
    /// Its fields; `None` if they are not UTF-8.
    pub fields: Option<StringRecord>,
}

/// The rows after the header.
#[derive(Debug)]
pub struct Rows<'a> {
    text: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    record: ByteRecord,
    /// How far lines are counted, and the line there.
    counted: (usize, u64),
}

/// The separator that the first line names as Excel does, `sep=;`, and where the next line begins.
fn declared(text: &[u8]) -> Option<(u8, usize)> {
    let end = text.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let line = text[..end].trim_ascii_end();
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    // Trimmed away, a tab is the one that is named.
    let separator = match line.get(..4)?.eq_ignore_ascii_case(b"sep=").then(|| &line[4..])? {
        [] if text[..end].ends_with(b"\t") => b'\t',
        [byte] if is_separator(*byte) => *byte,
        _ => return None,
    };
    let next = if text[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
    Some((separator, next))
}

fn blank(field: &[u8]) -> bool {
    std::str::from_utf8(field).is_ok_and(|text| text.trim().is_empty())
}

fn reader(text: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(text)
}

fn unread(error: csv::Error) -> Error {
    Error::invalid("CSV_INVALID", "file", "cannot be read as a table").with_source(error)
}

/// A file without a header, or with one on `line` that cannot be read.
fn no_header(line: Option<u64>) -> Error {
    let text = match line {
        Some(line) => format!("line {line}: the header is not UTF-8: save the file as UTF-8, or name its encoding"),
        None => "the file has no header line: its first row must name the columns".to_owned(),
    };
    Error::invalid("HEADER_MISSING", "file", text)
}

/// The separator by which the first row that is not blank has most fields, if there is such a row. One by which its
/// quotes are wrong is none.
fn found(text: &[u8]) -> Result<Option<u8>> {
    let mut best: Option<(bool, usize, u8)> = None;
    for separator in SEPARATORS {
        let (mut reader, mut record, mut begin) = (reader(text, separator), ByteRecord::new(), 0);
        while reader.read_byte_record(&mut record).map_err(unread)? {
            let end = usize::try_from(reader.position().byte()).unwrap_or(text.len());
            // A row of nothing but another separator is one field of this one.
            let says = |byte: &u8| !SEPARATORS.contains(byte) && !byte.is_ascii_whitespace();
            if record.iter().flatten().any(says) {
                let fields = record.iter().filter(|field| !blank(field)).count();
                let in_order = text.get(begin..end).is_some_and(|row| check(row, separator, 1).is_none());
                if best.is_none_or(|(order, most, _)| (in_order, fields) > (order, most)) {
                    best = Some((in_order, fields, separator));
                }
                break;
            }
            begin = end;
        }
    }
    Ok(best.map(|(_, _, separator)| separator))
}

impl<'a> Sheet<'a> {
    /// Reads the header and checks the quotes of all rows.
    ///
    /// # Errors
    /// `InvalidArgument`: `ENCODING_INVALID`, `HEADER_MISSING`, `QUOTE_UNCLOSED`, `QUOTE_MISPLACED`, `CSV_INVALID`.
    pub fn read(file: &'a [u8], format: &Format) -> Result<Self> {
        let (text, encoding) = decode(file, format.encoding)?;
        let (named, begin) = declared(&text).map_or((None, (0, 1)), |(separator, next)| (Some(separator), (next, 2)));
        let separator = match format.separator.or(named) {
            Some(separator) => separator,
            None => found(&text[begin.0..])?.ok_or_else(|| no_header(None))?,
        };
        let mut sheet = Self { text, encoding: encoding.name(), separator, begin, headers: Vec::new() };
        let header = sheet.all().next().transpose()?;
        let fields = header.as_ref().and_then(|row| row.fields.as_ref());
        let Some(fields) = fields else {
            return Err(no_header(header.map(|row| row.line)));
        };
        sheet.headers = fields.iter().map(|field| field.trim().to_owned()).collect();
        sheet.quoted()?;
        Ok(sheet)
    }

    fn quoted(&self) -> Result<()> {
        let Some(wrong) = check(&self.text[self.begin.0..], self.separator, self.begin.1) else { return Ok(()) };
        let column = match self.headers.get(wrong.column).filter(|name| !name.is_empty() && name.len() <= 100) {
            Some(name) => format!("column '{name}'"),
            None => format!("column {}", wrong.column + 1),
        };
        let place = format!("line {}, {column}", wrong.line);
        Err(match wrong.end {
            None => {
                let text = "the quote that opens here is never closed, and takes all rows after it into this field: \
                            close it, and write a quote that belongs to the text twice";
                Error::invalid("QUOTE_UNCLOSED", "file", format!("{place}: {text}"))
            }
            Some(end) => {
                let text = format!(
                    "the quote that opens here ends on line {end} before more text: close it where the field ends, and \
                     write a quote that belongs to the text twice"
                );
                Error::invalid("QUOTE_MISPLACED", "file", format!("{place}: {text}"))
            }
        })
    }

    /// The names of the columns, as the file has them.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// The encoding that the file was read in, such as `UTF-8`.
    pub fn encoding(&self) -> &'static str {
        self.encoding
    }

    /// What separates fields.
    pub fn separator(&self) -> char {
        char::from(self.separator)
    }

    /// Whether a number such as `1.234`, which alone may be one or a thousand, is taken for one: where commas separate
    /// fields, as programs write them.
    pub fn mark_of_programs(&self) -> Option<Mark> {
        (self.separator == b',').then_some(Mark::Point)
    }

    fn all(&self) -> Rows<'_> {
        let text = &self.text[self.begin.0..];
        Rows { text, reader: reader(text, self.separator), record: ByteRecord::new(), counted: (0, self.begin.1) }
    }

    /// The rows after the header, those left out that hold nothing but separators.
    pub fn rows(&self) -> Rows<'_> {
        let mut rows = self.all();
        // The header was read before.
        let _ = rows.next();
        rows
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(false) => return None,
                Err(error) => return Some(Err(unread(error))),
                Ok(true) => {}
            }
            if self.record.iter().all(blank) {
                continue;
            }
            let at = self.record.position().map_or(0, csv::Position::byte);
            let at = usize::try_from(at).unwrap_or(usize::MAX).min(self.text.len());
            // The reader stands before the line feed of a row that ended with CR LF, and before blank lines.
            let breaks = self.text[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let (from, line) = self.counted;
            self.counted = (at + breaks, line + line_ends(&self.text[from..at + breaks]));
            let fields = StringRecord::from_byte_record(std::mem::take(&mut self.record)).ok();
            return Some(Ok(Row { line: self.counted.1, fields }));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn read(file: &str) -> (char, Vec<String>, Vec<(u64, String)>) {
        let sheet = Sheet::read(file.as_bytes(), &Format::default()).unwrap();
        let row =
            |row: Result<Row>| row.map(|row| (row.line, row.fields.unwrap().iter().collect::<Vec<_>>().join("|")));
        let rows = sheet.rows().map(|given| row(given).unwrap()).collect();
        (sheet.separator(), sheet.headers().to_vec(), rows)
    }

    #[test]
    fn the_separator_is_the_one_that_the_header_shows_or_the_first_line_names() {
        for (file, separator) in [
            ("id,title\n1,a;b\n", ','),
            ("id;title, long;x\n1;a;b\n", ';'),
            ("id\ttitle\r\n1\ta\r\n", '\t'),
            ("id|title\n1|a\n", '|'),
            ("sep=;\r\nid;title\r\n1;a\r\n", ';'),
            ("\"sep=^\"\r\nid^title\r\n1^a\r\n", '^'),
            ("SEP=\t\nid\ttitle\n1\ta\n", '\t'),
            ("\"id\",\"a;b;c;d\"\n1,a\n", ','),
            (";;\n\nid;title;\n1;a;\n", ';'),
            ("id\n1\n", ','),
        ] {
            let (found, headers, rows) = read(file);
            assert_eq!((found, headers[0].as_str()), (separator, "id"), "{file:?}");
            assert!(rows[0].1.starts_with('1'), "{file:?}");
        }
    }

    #[test]
    fn lines_are_those_of_the_file_and_blank_rows_are_none() {
        let crlf = "sep=,\r\nid,title\r\n1,a\r\n,\r\n2,\"b\r\nc\"\r\n\r\n , \r\n3,d\r\n";
        let lines = |file: &str| read(file).2.into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(lines(crlf), [3, 5, 9]);
        assert_eq!(lines(&crlf.replace("\r\n", "\n")), [3, 5, 9]);
        assert_eq!(lines(&crlf.replace("\r\n", "\r")), [3, 5, 9]);
        assert_eq!(lines("id,title\n"), [0_u64; 0]);
    }

    #[test]
    fn what_is_no_table_is_refused_with_the_line_and_what_to_do() {
        let refused = |file: &[u8]| Sheet::read(file, &Format::default()).unwrap_err();
        assert_eq!(refused(b"").reason(), "HEADER_MISSING");
        assert_eq!(refused(b"\n;;;\n").reason(), "HEADER_MISSING");
        let open = refused(b"id,title,comment\r\n1,a,b\r\n2,c,\"d\r\n3,e,f\r\n");
        assert_eq!(open.reason(), "QUOTE_UNCLOSED");
        assert!(open.message().contains("line 3, column 'comment'"), "{open}");
        let misplaced = refused(b"id,title\n1,\"a\n2,\"b\"\n");
        assert!(misplaced.message().contains("line 2, column 'title'"), "{misplaced}");
        assert_eq!(misplaced.reason(), "QUOTE_MISPLACED");
        for (separator, mark) in [("ab", ""), ("\"", ""), ("x", ""), ("\n", ""), ("", ";")] {
            assert!(Format::named("", separator, mark).is_err(), "{separator} {mark}");
        }
    }

    #[test]
    fn a_row_in_another_encoding_than_the_others_is_named() {
        let file = "id,title\n1,für\n2,f\u{1}r\n".replace('\u{1}', "\u{fc}").into_bytes();
        let at = file.len() - 4;
        let broken = [&file[..at], b"\xfc", &file[at + 2..]].concat();
        let sheet = Sheet::read(&broken, &Format::default()).unwrap();
        let rows: Vec<Row> = sheet.rows().map(Result::unwrap).collect();
        assert_eq!((rows[0].fields.is_some(), rows[1].fields.is_none(), rows[1].line), (true, true, 3));
    }

    proptest! {
        #[test]
        fn what_is_in_order_is_read_as_csv_reads_it(
            rows in prop::collection::vec(prop::collection::vec("[a-z,;\" \n]{0,5}x", 3), 1..6)
        ) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["id", "title", "comment"]).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let file = writer.into_inner().unwrap();
            let sheet = Sheet::read(&file, &Format::default()).unwrap();
            let found: Vec<Vec<String>> =
                sheet.rows().map(|row| row.unwrap().fields.unwrap().iter().map(str::to_owned).collect()).collect();
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn no_bytes_make_it_fail_otherwise_than_by_refusing(file in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(sheet) = Sheet::read(&file, &Format::default()) {
                prop_assert!(sheet.rows().count() <= file.len());
            }
        }
    }
}
