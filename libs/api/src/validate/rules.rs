//! One value against its rules.

use super::table::{Rule, Scalar, Words};
use super::view::{Seen, View};

/// What the value must be, if it is not.
pub(super) fn broken(value: Seen<'_>, rule: &Rule, words: Words) -> Option<String> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let text = || if let Seen::Text(text) = value { text } else { "" };
    let chars = || text().chars().count();
    let bytes = || match value {
        Seen::Bytes(bytes) => bytes.len(),
        Seen::Text(text) => text.len(),
        _ => 0,
    };
    let order = |limit: &Scalar<'_>| Scalar::of(value).and_then(|value| value.compare(limit));
    let is_in = |list: &[Scalar<'_>]| Scalar::of(value).is_some_and(|value| list.contains(&value));
    let list = |list: &[Scalar<'_>]| list.iter().map(Scalar::shown).collect::<Vec<_>>().join(", ");
    // Most values keep most rules, so that a description is made only for what breaks one.
    let unless = |holds: bool, description: &dyn Fn() -> String| (!holds).then(description);
    match rule {
        Rule::MinLen(min) => unless(chars() >= *min, &|| format!("must be at least {min} characters")),
        Rule::MaxLen(max) => {
            // A character has at least one byte.
            let holds = bytes() <= *max || chars() <= *max;
            unless(holds, &|| format!("must be at most {max} characters, not {}", chars()))
        }
        Rule::Len(len) => unless(chars() == *len, &|| format!("must be {len} characters")),
        Rule::MinBytes(min) => unless(bytes() >= *min, &|| format!("must be at least {min} bytes")),
        Rule::MaxBytes(max) => unless(bytes() <= *max, &|| format!("must be at most {max} bytes, not {}", bytes())),
        Rule::Pattern(pattern, compiled) => {
            let holds = compiled.as_ref().is_some_and(|regex| regex.is_match(text()));
            unless(holds, &|| format!("must match {pattern}"))
        }
        Rule::Prefix(prefix) => unless(text().starts_with(prefix), &|| format!("must start with {prefix:?}")),
        Rule::Suffix(suffix) => unless(text().ends_with(suffix), &|| format!("must end with {suffix:?}")),
        Rule::Contains(part) => unless(text().contains(part), &|| format!("must contain {part:?}")),
        Rule::Uuid => unless(is_uuid(text()), &|| "must be a UUID".to_owned()),
        Rule::Gt(limit) => unless(order(limit) == Some(Greater), &|| format!("must be greater than {}", limit.shown())),
        Rule::Gte(limit) => {
            let holds = matches!(order(limit), Some(Greater | Equal));
            unless(holds, &|| format!("must be at least {}", limit.shown()))
        }
        Rule::Lt(limit) => unless(order(limit) == Some(Less), &|| format!("must be less than {}", limit.shown())),
        Rule::Lte(limit) => {
            let holds = matches!(order(limit), Some(Less | Equal));
            unless(holds, &|| format!("must be at most {}", limit.shown()))
        }
        Rule::Finite => {
            let holds = matches!(value, Seen::Float(number) if number.is_finite());
            unless(holds, &|| "must be a finite number".to_owned())
        }
        Rule::Const(wanted) => {
            unless(Scalar::of(value).as_ref() == Some(wanted), &|| format!("must be {}", wanted.shown()))
        }
        Rule::In(allowed) => unless(is_in(allowed), &|| format!("must be one of {}", list(allowed))),
        Rule::NotIn(refused) => unless(!is_in(refused), &|| refused_text(refused, words)),
        Rule::DefinedOnly => {
            let number = if let Seen::Int(number) = value { number } else { 0 };
            let known = words.is_empty() || words.iter().any(|(word, _)| i128::from(*word) == number);
            unless(known, &|| format!("must be a known value, not {number}"))
        }
        Rule::MinItems(_) | Rule::MaxItems(_) => None,
    }
}

/// How many items or entries there must be, if there are not so many.
pub(super) fn miscounted(count: usize, rule: &Rule, what: &str) -> Option<String> {
    match rule {
        Rule::MinItems(min) if count < *min => Some(format!("must have at least {min} {what}, not {count}")),
        Rule::MaxItems(max) if count > *max => Some(format!("must have at most {max} {what}, not {count}")),
        _ => None,
    }
}

/// Zero is how a missing enum value reads, so say that it is missing.
fn refused_text(refused: &[Scalar<'_>], words: Words) -> String {
    let name = |scalar: &Scalar<'_>| {
        let word = words.iter().find(|(number, _)| *scalar == Scalar::Int(i128::from(*number)));
        word.map_or_else(|| scalar.shown(), |(_, name)| (*name).to_owned())
    };
    format!("must not be {}", refused.iter().map(name).collect::<Vec<_>>().join(" or "))
}

/// Whether `text` is a UUID in its usual form of 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// Whether a `google.protobuf.Timestamp` is one of those that exist: of the years 1 to 9999.
pub(super) fn fits_the_calendar(time: &dyn View) -> bool {
    let number = |field| if let Seen::Int(number) = time.at(field) { number } else { 0 };
    (-62_135_596_800..=253_402_300_799).contains(&number(1)) && (0..1_000_000_000).contains(&number(2))
}
