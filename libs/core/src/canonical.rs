//! Canonical JSON (RFC 8785), so that equal values have equal bytes, and whoever takes a content digest again finds the
//! same.

use crate::digest;
use crate::error::{Error, Result};
use serde::Serialize;

/// The canonical JSON of `value`: members sorted by UTF-16 code units, no white space, numbers as ECMAScript writes
/// them. Every number is a double there, so integers beyond 2^53 lose digits: hold them as text. A member that is not a
/// finite number becomes null, as in all JSON that serde writes.
///
/// # Errors
/// `Internal` if the value has no JSON form, such as a map whose keys are lists.
pub fn json(value: &impl Serialize) -> Result<String> {
    serde_json_canonicalizer::to_string(value)
        .map_err(|error| Error::internal("writing canonical JSON").with_source(error))
}

/// The digest of the canonical JSON of `value`: what every content digest over JSON is.
///
/// # Errors
/// As [`json`].
pub fn digest(value: &impl Serialize) -> Result<String> {
    Ok(digest::sha256(json(value)?.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, from_str};

    /// RFC 8785, appendix B.
    #[test]
    fn numbers_are_written_as_ecmascript_does() {
        for (bits, text) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(json(&f64::from_bits(bits)).unwrap(), text, "{bits:016x}");
        }
        assert_eq!(json(&[f64::NAN, f64::INFINITY]).unwrap(), "[null,null]");
        assert!(json(&std::collections::BTreeMap::from([([0], 0)])).is_err());
        assert_eq!(json(&(i64::from(i32::MIN), 9_007_199_254_740_991u64)).unwrap(), "[-2147483648,9007199254740991]");
    }

    /// RFC 8785, 3.2.2.
    #[test]
    fn strings_are_escaped_where_they_must_be() {
        let sample: Value = from_str(
            r#"{
              "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
              "literals": [null, true, false]
            }"#,
        )
        .unwrap();
        let numbers = "[333333333.3333333,1e+30,4.5,0.002,1e-27]";
        let string = r#""€$\u000f\nA'B\"\\\\\"/""#;
        let wanted = format!(r#"{{"literals":[null,true,false],"numbers":{numbers},"string":{string}}}"#);
        assert_eq!(json(&sample).unwrap(), wanted);
        assert_eq!(json(&"\u{8}\t\n\u{c}\r\u{1f}\u{7f}").unwrap(), "\"\\b\\t\\n\\f\\r\\u001f\u{7f}\"");
    }

    /// RFC 8785, 3.2.3: a character beyond the basic plane comes before U+FB33, unlike in UTF-8.
    #[test]
    fn members_are_sorted_by_utf_16() {
        let sample: Value = from_str(
            r#"{
              "\u20ac": "Euro Sign",
              "\r": "Carriage Return",
              "\ufb33": "Hebrew Letter Dalet With Dagesh",
              "1": "One",
              "\ud83d\ude00": "Emoji: Grinning Face",
              "\u0080": "Control",
              "\u00f6": "Latin Small Letter O With Diaeresis"
            }"#,
        )
        .unwrap();
        let wanted = [
            r#""\r":"Carriage Return""#,
            r#""1":"One""#,
            "\"\u{80}\":\"Control\"",
            "\"\u{f6}\":\"Latin Small Letter O With Diaeresis\"",
            "\"\u{20ac}\":\"Euro Sign\"",
            "\"\u{1f600}\":\"Emoji: Grinning Face\"",
            "\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"",
        ];
        assert_eq!(json(&sample).unwrap(), format!("{{{}}}", wanted.join(",")));
    }

    #[test]
    fn a_digest_is_over_the_canonical_bytes() {
        let value: Value = from_str(r#"{ "b": 1.0, "a": [] }"#).unwrap();
        assert_eq!(json(&value).unwrap(), r#"{"a":[],"b":1}"#);
        assert_eq!(digest(&value).unwrap(), digest::sha256(br#"{"a":[],"b":1}"#));
    }
}
