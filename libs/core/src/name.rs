//! Resource names: collections and ids in turn, as in `models/lead-scorer/versions/3` (AIP-122).

use crate::error::{Error, Result};

/// Whether `id` can stand as one segment of a name: 1 to 100 characters of letters, digits, `.`,
/// `_` and `-`, starting with a letter or a digit.
pub fn is_id(id: &str) -> bool {
    (1..=100).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Takes the ids out of `name` by `pattern`, in which `*` stands for one id:
/// `ids("models/m/versions/3", "models/*/versions/*", "name")` is `["m", "3"]`.
///
/// # Errors
/// `InvalidArgument` (`NAME_INVALID`), naming `field`, if the name does not have that form.
pub fn ids<'a, const N: usize>(name: &'a str, pattern: &str, field: &str) -> Result<[&'a str; N]> {
    let wrong = || Error::invalid("NAME_INVALID", field, format!("must have the form {pattern}"));
    let mut found = [""; N];
    let mut next = 0;
    let (mut parts, mut wanted) = (name.split('/'), pattern.split('/'));
    loop {
        match (parts.next(), wanted.next()) {
            (None, None) if next == N => return Ok(found),
            (Some(part), Some("*")) if next < N && is_id(part) => {
                found[next] = part;
                next += 1;
            }
            (Some(part), Some(want)) if part == want => {}
            _ => return Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_1_to_100_letters_digits_and_marks() {
        assert!(is_id("a") && is_id("9.a_b-C") && is_id(&"a".repeat(100)));
        for wrong in ["", ".a", "-a", "a/b", "a b", "é", &"a".repeat(101)] {
            assert!(!is_id(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_name_gives_its_ids_and_only_in_its_form() -> Result<()> {
        assert_eq!(ids::<2>("models/m/versions/3", "models/*/versions/*", "name")?, ["m", "3"]);
        for wrong in [
            "",
            "models",
            "models/",
            "models/m",
            "models/m/versions/3/x",
            "models/a b/versions/3",
            "models/../versions/3",
        ] {
            assert!(ids::<2>(wrong, "models/*/versions/*", "name").is_err(), "{wrong}");
        }
        Ok(())
    }
}
