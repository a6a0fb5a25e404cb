//! The details of an event: any JSON that two readers cannot understand differently.

use remit_core::unique::UniqueKeys;
use serde_json::value::RawValue;

/// Checks a JSON text and drops the white space between its tokens; all else stays as it was sent, the
/// order of keys and the form of numbers included. Empty text and `null` are no details.
///
/// # Errors
/// Why it is refused: not JSON, nested more than 127 deep, or a key twice in one object, of which one
/// reader would take the first and another the last.
pub fn canonical(text: &str) -> Result<Option<Box<RawValue>>, String> {
    if text.trim_ascii().is_empty() || text.trim_ascii() == "null" {
        return Ok(None);
    }
    serde_json::from_str::<UniqueKeys>(text).map_err(|error| format!("must be JSON: {error}"))?;
    let mut compact = String::with_capacity(text.len());
    let (mut inside, mut escaped) = (false, false);
    for c in text.chars() {
        if inside || !matches!(c, ' ' | '\t' | '\r' | '\n') {
            compact.push(c);
        }
        match c {
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = inside && c == '\\' && !escaped;
    }
    RawValue::from_string(compact).map(Some).map_err(|error| format!("must be JSON: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn text(input: &str) -> String {
        canonical(input).unwrap().unwrap().get().to_owned()
    }

    #[test]
    fn white_space_goes_and_nothing_else() {
        assert_eq!(
            text(" { \"a b\" : \" \\\" \\\\\" ,\n\t\"c\":[ 1.50 , 1e2 ] } "),
            "{\"a b\":\" \\\" \\\\\",\"c\":[1.50,1e2]}"
        );
        assert_eq!(text("{\"b\":1,\"a\":{}}"), "{\"b\":1,\"a\":{}}");
        assert!(canonical("").unwrap().is_none());
        assert!(canonical(" null ").unwrap().is_none());
    }

    #[test]
    fn what_is_not_one_clear_value_is_refused() {
        for wrong in [
            "{",
            "{} {}",
            "{\"a\":1,\"a\":2}",
            "[{\"x\":{\"a\":1,\"\\u0061\":2}}]",
            "{a:1}",
            "01",
            "1e999",
            "\"\\ud800\"",
            "NaN",
        ] {
            assert!(canonical(wrong).is_err(), "{wrong}");
        }
        assert!(canonical(&"[".repeat(200)).is_err());
        assert!(canonical(&format!("{}{}", "[".repeat(127), "]".repeat(127))).is_ok());
        assert!(canonical(&format!("{}{}", "[".repeat(128), "]".repeat(128))).is_err());
    }

    proptest! {
        #[test]
        fn the_value_stays_the_same(value in "[ \\t\\n\"\\\\a-c{}\\[\\],:0-9]{0,40}", key in ".{0,10}") {
            let json = serde_json::json!({key: [value, 1, {"x": null}]});
            let pretty = serde_json::to_string_pretty(&json).unwrap();
            prop_assert_eq!(text(&pretty), json.to_string());
        }
    }
}
