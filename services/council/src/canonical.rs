//! Canonical JSON, so that equal values have equal bytes and one digest.
//!
//! # Source
//! RFC 8785: members sorted by UTF-16 code units, no white space, numbers as ECMAScript writes them.

use serde::Serialize;
use serde_json::{Number, Value};

/// The canonical bytes of a value. Numbers that JSON cannot express do not occur: serde has made them null.
pub(crate) fn bytes<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let value = serde_json::to_value(value)?;
    let mut out = String::new();
    write(&mut out, &value)?;
    Ok(out.into_bytes())
}

fn write(out: &mut String, value: &Value) -> serde_json::Result<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(value) => out.push_str(&number(value)),
        Value::String(text) => out.push_str(&serde_json::to_string(text)?),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(out, item)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (at, (name, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(name)?);
                out.push(':');
                write(out, member)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn number(value: &Number) -> String {
    if let Some(whole) = value.as_i64() {
        return whole.to_string();
    }
    if let Some(whole) = value.as_u64() {
        return whole.to_string();
    }
    ecmascript(value.as_f64().unwrap_or_default())
}

/// A finite number as ECMAScript writes it: the shortest digits that read back the same, with an
/// exponent below 1e-6 and from 1e21.
fn ecmascript(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if (1e-6..1e21).contains(&value.abs()) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_standard_hold() -> serde_json::Result<()> {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (5e-324, "5e-324"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (1e21, "1e+21"),
            (999_999_999_999_999_900_000.0, "999999999999999900000"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (333_333_333.333_333_3, "333333333.3333333"),
            (-1.5, "-1.5"),
        ] {
            assert_eq!(ecmascript(value), text);
        }
        let value =
            serde_json::json!({"b": [1, 2.50, null], "a": "\u{20ac}\n\"", "\u{1d11e}": true, "\u{fb33}": false});
        let text = "{\"a\":\"\u{20ac}\\n\\\"\",\"b\":[1,2.5,null],\"\u{1d11e}\":true,\"\u{fb33}\":false}";
        assert_eq!(bytes(&value)?, text.as_bytes());
        Ok(())
    }
}
