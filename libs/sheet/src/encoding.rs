//! Which bytes are which characters.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use remit_core::{Error, Result};
use std::borrow::Cow;

/// Bytes that Windows-1252 gives no character; encodings of other places do.
const UNASSIGNED: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];

/// The encoding of a name such as `windows-1250`, by the labels of the WHATWG.
pub(crate) fn named(label: &str) -> Result<&'static Encoding> {
    Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| {
        let text = format!("'{label}' is no encoding; name one such as utf-8, utf-16le, windows-1252 or windows-1250");
        Error::invalid("ENCODING_UNKNOWN", "format.encoding", text)
    })
}

/// The text of a file in UTF-8 and what it was in. Single rows of a file in UTF-8 may still be broken.
pub(crate) fn decode<'a>(
    file: &'a [u8],
    wanted: Option<&'static Encoding>,
) -> Result<(Cow<'a, [u8]>, &'static Encoding)> {
    let (marked, mark) = Encoding::for_bom(file).map_or((None, 0), |(found, length)| (Some(found), length));
    let encoding = match wanted.or(marked) {
        Some(encoding) => encoding,
        None => found(file)?,
    };
    let body = if marked == Some(encoding) { &file[mark..] } else { file };
    if encoding == UTF_8 {
        return Ok((Cow::Borrowed(body), encoding));
    }
    let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(body) else {
        let text = format!("the file is not {}: save it as UTF-8, or name its encoding", encoding.name());
        return Err(Error::invalid("ENCODING_INVALID", "format.encoding", text));
    };
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    Ok((text, encoding))
}

/// The encoding of a file that says nothing of it.
fn found(file: &[u8]) -> Result<&'static Encoding> {
    // The beginnings of .xlsx and .xls.
    if file.starts_with(b"PK\x03\x04") || file.starts_with(b"\xd0\xcf\x11\xe0") {
        let text = "the file is a workbook: save the sheet as CSV in the program that made it";
        return Err(Error::invalid("ENCODING_INVALID", "format.encoding", text));
    }
    // A table begins with letters of ASCII in every language that writes its headers so; UTF-16 puts a zero beside each.
    match file {
        [first, 0, ..] if *first != 0 => return Ok(UTF_16LE),
        [0, second, ..] if *second != 0 => return Ok(UTF_16BE),
        _ => {}
    }
    let (mut broken, mut other) = (false, false);
    for chunk in file.utf8_chunks() {
        broken |= !chunk.invalid().is_empty();
        other |= !chunk.valid().is_ascii();
    }
    // Characters of UTF-8 beside broken ones: a file in UTF-8 with broken rows, which are named one by one.
    if !broken || other {
        return Ok(UTF_8);
    }
    if file.iter().any(|byte| UNASSIGNED.contains(byte)) {
        let text = "the file is neither UTF-8 nor Windows-1252: save it as UTF-8, or name its encoding";
        return Err(Error::invalid("ENCODING_INVALID", "format.encoding", text));
    }
    Ok(WINDOWS_1252)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(file: &[u8]) -> (String, &'static str) {
        let (text, encoding) = decode(file, None).unwrap();
        (String::from_utf8(text.into_owned()).unwrap(), encoding.name())
    }

    fn utf16(text: &str, little: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    }

    #[test]
    fn a_file_is_read_in_the_encoding_that_it_shows() {
        let text = "id;Größe €";
        assert_eq!(read(text.as_bytes()), (text.into(), "UTF-8"));
        assert_eq!(read(&[b"\xef\xbb\xbf", text.as_bytes()].concat()), (text.into(), "UTF-8"));
        assert_eq!(read(b"id;Gr\xf6\xdfe \x80"), (text.into(), "windows-1252"));
        for (mark, little) in [("\u{feff}", true), ("", true), ("\u{feff}", false), ("", false)] {
            let name = if little { "UTF-16LE" } else { "UTF-16BE" };
            assert_eq!(read(&utf16(&format!("{mark}{text}"), little)), (text.into(), name));
        }
    }

    #[test]
    fn what_cannot_be_known_is_refused_and_may_be_named() {
        assert_eq!(decode(b"caf\x8e \x9d", None).unwrap_err().reason(), "ENCODING_INVALID");
        let workbook = decode(b"PK\x03\x04\x14\x00\x06\x00", None).unwrap_err();
        assert!(workbook.message().contains("save the sheet as CSV"), "{workbook}");
        let polish = named("windows-1250").unwrap();
        let (text, _) = decode(b"\xb3\xf3d\x9f", Some(polish)).unwrap();
        assert_eq!(String::from_utf8_lossy(&text), "łódź");
        assert_eq!(named("klingon").unwrap_err().reason(), "ENCODING_UNKNOWN");
        assert_eq!(decode(b"\xff\xfei\x00\x00", None).unwrap_err().reason(), "ENCODING_INVALID", "half a character");
        let mixed = "ü".as_bytes().iter().chain(b"\xfc").copied().collect::<Vec<u8>>();
        assert_eq!(decode(&mixed, None).unwrap().1, UTF_8, "its broken rows are named");
    }
}
