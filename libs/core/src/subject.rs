//! The one form of a subject: who a token speaks for, or whom a request names.
//!
//! Identity providers and people write the same name in many ways: `Mallory`, `mallory `, `ｍａｌｌｏｒｙ`, or with a
//! character that nobody sees. Were these different people, one of them could hold four seats. So a subject is brought
//! into [`canonical`] form where it comes in, and nowhere else: by the authenticator for tokens, by the decoder for
//! every field of a request that the contract marks as a subject. Inside there is only the canonical form, which is also
//! what is stored and shown: no comparison can forget to normalise.
//!
//! Characters that nobody sees are refused and not removed: a name that needs them was made to be mistaken for
//! another, and a silent repair would make its bearer that other.
//!
//! What looks alike and is not the same character, such as a Cyrillic `а` for a Latin `a`, stays different: that is for
//! the identity provider to prevent, which knows the scripts of its people. So is whether it gives the same name,
//! differing in case only, to two people: here they are one.
//!
//! # Source
//! The profile UsernameCaseMapped of RFC 8265, section 3.3, with three differences: NFKC (Unicode Standard Annex 15)
//! stands for its width mapping and NFC, so that ligatures and superscripts do not count either; spaces are allowed
//! inside, one at a time, as distinguished names have them; what is left out of its IdentifierClass (symbols,
//! punctuation outside ASCII) is allowed, as providers use it.

use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization as _;

/// The most characters of a subject, in canonical form.
pub const MOST: usize = 200;

/// What a subject must be that has no canonical form.
pub const RULE: &str = "must be 1 to 200 characters, not counting spaces around it, without control characters, \
                        characters that are not seen, or ones that Unicode has not assigned";

/// Longer text is not looked at: the canonical form is hardly ever shorter.
const MOST_GIVEN: usize = 4_000;

/// What nobody sees, what has no fixed form yet, and spaces other than U+0020 that NFKC leaves.
static UNSEEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\x{1680}\x{2800}\x{FFFC}\x{FFFD}]",
    )
    .ok()
});

/// The canonical form of a subject: NFKC, lower case (a final sigma as any other), no spaces around it, single ones
/// inside. Borrowed if `given` is in canonical form already, as GUIDs, e-mail addresses in lower case and most
/// identifiers of providers are. The canonical form of a canonical form is itself.
///
/// # Errors
/// [`RULE`] if it has none.
pub fn canonical(given: &str) -> Result<Cow<'_, str>, &'static str> {
    if is_plain(given) {
        return if given.len() <= MOST { Ok(Cow::Borrowed(given)) } else { Err(RULE) };
    }
    if given.len() > MOST_GIVEN {
        return Err(RULE);
    }
    let unseen = has_unseen;
    // Before folding too: what is refused must not hide in a form that folding changes.
    if unseen(given) {
        return Err(RULE);
    }
    let mut text = fold(given);
    // Folding can make what normalises further; few texts need a second round and none is known to need a third.
    for _ in 0..3 {
        let again = fold(&text);
        if again == text {
            let fits = !text.is_empty() && text.chars().count() <= MOST && !unseen(&text);
            return if fits {
                Ok(if text == given { Cow::Borrowed(given) } else { Cow::Owned(text) })
            } else {
                Err(RULE)
            };
        }
        text = again;
    }
    Err(RULE)
}

/// Whether text has characters that nobody sees, or that have no fixed form.
pub(crate) fn has_unseen(text: &str) -> bool {
    UNSEEN.as_ref().is_none_or(|unseen| unseen.is_match(text))
}

/// Whether text is canonical at a glance: visible ASCII without capitals.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
}

fn fold(text: &str) -> String {
    let lower = text.nfkc().flat_map(char::to_lowercase).map(|letter| if letter == 'ς' { 'σ' } else { letter });
    let folded: String = lower.nfkc().collect();
    folded.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_person_is_one_subject_however_she_is_written() {
        for given in ["mallory", "Mallory", "MALLORY", "mallory ", "\u{a0}mallory\u{3000}", "ｍａｌｌｏｒｙ", "ᵐallory"]
        {
            assert_eq!(canonical(given).as_deref(), Ok("mallory"), "{given:?}");
        }
        for (given, form) in [
            ("Ann@Example.COM", "ann@example.com"),
            ("CN=Ann  Lee, O=Acme", "cn=ann lee, o=acme"),
            ("ΟΔΟΣ", "οδοσ"),
            ("οδος", "οδοσ"),
            ("Jose\u{301}", "josé"),
            ("STRAẞE", "straße"),
            ("ﬁona", "fiona"),
            ("İpek", "i̇pek"),
        ] {
            assert_eq!(canonical(given).as_deref(), Ok(form), "{given:?}");
        }
    }

    #[test]
    fn what_providers_give_passes_as_it_is() {
        for subject in [
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "auth0|5f7c8ec7c33c6c004bbafe82",
            "google-oauth2|103547991597142817347",
            "ann.lee+crm@example.com",
            "remit-scoring",
            "system:serviceaccount:prod:crm",
            "山田太郎",
            "josé",
        ] {
            assert!(matches!(canonical(subject), Ok(Cow::Borrowed(same)) if same == subject), "{subject}");
        }
    }

    #[test]
    fn what_nobody_sees_is_refused_and_not_removed() {
        for (given, what) in [
            ("mallory\u{200b}", "zero width space"),
            ("mal\u{200d}lory", "joiner"),
            ("\u{202e}yrollam", "right-to-left override"),
            ("mallory\u{2066}", "isolate"),
            ("mal\u{ad}lory", "soft hyphen"),
            ("mallory\u{feff}", "byte order mark"),
            ("mallory\u{fe0f}", "variation selector"),
            ("mallory\u{e0041}", "tag"),
            ("mallory\u{3164}", "Hangul filler"),
            ("mallory\u{34f}", "grapheme joiner"),
            ("mallory\u{2800}", "blank braille"),
            ("mallory\u{1680}", "ogham space"),
            ("mallory\u{2028}", "line separator"),
            ("mallory\n", "line feed"),
            ("mal\tlory", "tab"),
            ("mallory\0", "null"),
            ("mallory\u{e000}", "private use"),
            ("mallory\u{378}", "unassigned"),
            ("", "nothing"),
            ("  ", "spaces"),
        ] {
            assert_eq!(canonical(given), Err(RULE), "{what}");
        }
        assert!(canonical(&"é".repeat(MOST)).is_ok() && canonical(&"A".repeat(MOST)).is_ok());
        assert_eq!(canonical(&"é".repeat(MOST + 1)), Err(RULE));
        assert_eq!(canonical(&"a".repeat(MOST + 1)), Err(RULE));
        // One character that becomes eighteen.
        assert_eq!(canonical(&"\u{fdfa}".repeat(20)), Err(RULE));
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own_and_knows_no_case(given in "\\PC{0,40}") {
            if let Ok(form) = canonical(&given) {
                prop_assert!(matches!(canonical(&form), Ok(Cow::Borrowed(same)) if same == form));
                let lower: String = given.chars().flat_map(char::to_lowercase).collect();
                prop_assert_eq!(canonical(&lower).map(Cow::into_owned), Ok(form.clone().into_owned()));
            }
        }
    }
}
