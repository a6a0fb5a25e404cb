//! Keys that stand twice in one map of a file that somebody handed in.
//!
//! Formats disagree about what a repeated key means, and most readers take the last in silence: a policy whose sampling
//! ratios name a rating twice would be activated with a ratio that nobody who read its first lines has seen. So
//! whatever people write is walked once before it is read, and refused with the place of the second key.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Any value of a format that describes itself, such as YAML or JSON, in which no map has a key twice.
///
/// Deserialize a text as this before reading it as what it should be. The error of a repeated key names the key, and
/// the reader of the format adds line and column: those of the second key in YAML, those just after it in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = UniqueKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without tags")
    }

    fn visit_bool<E>(self, _: bool) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_str<E>(self, _: &str) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_unit<E>(self) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<UniqueKeys, A::Error> {
        while seq.next_element::<UniqueKeys>()?.is_some() {}
        Ok(UniqueKeys)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueKeys, A::Error> {
        let mut seen = HashSet::new();
        while map.next_key_seed(Key(&mut seen))?.is_some() {
            map.next_value::<UniqueKeys>()?;
        }
        Ok(UniqueKeys)
    }
}

/// The next key of a map. It is compared while it is read, because only then does the reader know where it stands.
struct Key<'a>(&'a mut HashSet<String>);

impl Key<'_> {
    fn see<E: Error>(self, key: String) -> Result<(), E> {
        if self.0.contains(&key) {
            return Err(E::custom(format!("the key {key:?} stands twice in one map")));
        }
        self.0.insert(key);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is a text, a number or a truth value")
    }

    fn visit_bool<E: Error>(self, key: bool) -> Result<(), E> {
        self.see(key.to_string())
    }

    fn visit_i64<E: Error>(self, key: i64) -> Result<(), E> {
        self.see(key.to_string())
    }

    fn visit_u64<E: Error>(self, key: u64) -> Result<(), E> {
        self.see(key.to_string())
    }

    fn visit_f64<E: Error>(self, key: f64) -> Result<(), E> {
        self.see(key.to_string())
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        self.see(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(text: &str) -> Option<String> {
        serde_json::from_str::<UniqueKeys>(text).err().map(|error| error.to_string())
    }

    #[test]
    fn a_key_may_stand_once_in_each_map() {
        for fine in ["1", "null", "[true, 1.5, -3, \"a\"]", "{\"a\": {\"a\": [{\"a\": 1}, {\"a\": 2}]}, \"b\": {}}"] {
            assert_eq!(refused(fine), None, "{fine}");
        }
        for twice in ["{\"a\": 1, \"a\": 1}", "[{\"x\": {\"b\": 1, \"a\": 1, \"\\u0062\": 2}}]", "{\"\": 1, \"\": 2}"] {
            assert!(refused(twice).unwrap().contains("twice"), "{twice}");
        }
    }

    #[test]
    fn the_key_and_its_line_are_named() {
        let text = refused("{\n  \"ratios\": {\n    \"1\": 0.05,\n    \"2\": 0.1,\n    \"1\": 0\n  }\n}").unwrap();
        assert!(text.contains("\"1\" stands twice") && text.contains("line 5"), "{text}");
    }

    #[test]
    fn what_nests_without_end_is_refused() {
        assert!(refused(&"[".repeat(100_000)).is_some());
    }
}
