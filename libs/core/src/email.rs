//! The one form of an e-mail address by which roles are assigned.
//!
//! Only the capitals of ASCII are made small, as every mail system does it. Unicode's lower case takes other letters for
//! them: the Kelvin sign is a `k` by it, and the two addresses are those of two people.

use crate::subject::has_unseen;

/// The most characters of an address (RFC 5321, section 4.5.3.1.3, without the brackets).
pub const MOST: usize = 254;

/// What an address must be.
pub const RULE: &str =
    "must be 1 to 254 characters, without spaces, control characters or characters that are not seen";

/// The form in which addresses are compared.
///
/// # Errors
/// [`RULE`] if it is none.
pub fn canonical(given: &str) -> Result<String, &'static str> {
    let address = given.trim_matches(' ');
    // Bytes bound characters from above four times over: what is longer is not looked at.
    let fits = !address.is_empty() && address.len() <= 4 * MOST && address.chars().count() <= MOST;
    if !fits || address.contains(char::is_whitespace) || has_unseen(address) {
        return Err(RULE);
    }
    Ok(address.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_capitals_of_ascii_are_others_letters() {
        assert_eq!(canonical(" Kim@Example.COM ").as_deref(), Ok("kim@example.com"));
        assert_eq!(canonical("\u{212a}im@example.com").as_deref(), Ok("\u{212a}im@example.com"));
        assert_eq!(canonical("\u{c9}va@example.com").as_deref(), Ok("\u{c9}va@example.com"));
        for wrong in ["", " ", "a b@x", "a\u{200b}@x", "a\n@x", "a\u{ad}@x", &"a".repeat(255)] {
            assert_eq!(canonical(wrong), Err(RULE), "{wrong:?}");
        }
    }
}
