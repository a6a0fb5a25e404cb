//! Sentences in the languages of people. English is what they are written in, beside the duties, and what stands in for
//! what another language does not say.

use crate::duties;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use jiff::tz::TimeZone;
use remit_api::notify::v1::Notice;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;
use unic_langid::LanguageIdentifier;

type Bundle = FluentBundle<FluentResource>;

/// The languages that there are, English first.
pub(crate) const LANGUAGES: [&str; 4] = ["en", "de", "fr", "es"];

static CATALOGUES: LazyLock<BTreeMap<&'static str, Bundle>> = LazyLock::new(|| {
    let english = format!("{}\n{}", include_str!("languages/en.ftl"), duties_in_english());
    BTreeMap::from([
        ("en", bundle("en", english)),
        ("de", bundle("de", include_str!("languages/de.ftl").to_owned())),
        ("fr", bundle("fr", include_str!("languages/fr.ftl").to_owned())),
        ("es", bundle("es", include_str!("languages/es.ftl").to_owned())),
    ])
});

/// The sentences of the duties as a catalogue.
fn duties_in_english() -> String {
    let mut catalogue = String::new();
    for duty in duties::all() {
        let text = duty.text().replace('{', "{ $").replace('}', " }");
        let _ = writeln!(catalogue, "{} = {text}\n    .otherwise = {}", duty.kind, duty.otherwise());
    }
    catalogue
}

fn bundle(language: &str, catalogue: String) -> Bundle {
    let language: LanguageIdentifier = language.parse().unwrap_or_default();
    let mut bundle = Bundle::new_concurrent(vec![language]);
    // Values are cleaned of marks of direction, so that none need be put around them.
    bundle.set_use_isolating(false);
    // What cannot be read is left out, and English stands in; a test reads all of it.
    let resource = FluentResource::try_new(catalogue).unwrap_or_else(|(resource, _)| resource);
    let _ = bundle.add_resource(resource);
    bundle
}

fn found(language: &str, id: &str, attribute: Option<&str>, args: &FluentArgs<'_>) -> Option<String> {
    let bundle = CATALOGUES.get(language)?;
    let message = bundle.get_message(id)?;
    let pattern = match attribute {
        Some(attribute) => message.get_attribute(attribute)?.value(),
        None => message.value()?,
    };
    let mut wrong = Vec::new();
    let text = bundle.format_pattern(pattern, Some(args), &mut wrong).into_owned();
    wrong.is_empty().then_some(text)
}

/// What `id` says in a language, or in English; its own name if nothing says it.
fn filled(language: &str, id: &str, args: &FluentArgs<'_>) -> String {
    found(language, id, None, args).or_else(|| found("en", id, None, args)).unwrap_or_else(|| id.to_owned())
}

/// A sentence with texts in it.
pub(crate) fn say(language: &str, id: &str, texts: &[(&'static str, &str)]) -> String {
    filled(language, id, &FluentArgs::from_iter(texts.iter().map(|(name, text)| (*name, FluentValue::from(*text)))))
}

/// A sentence with a number in it.
pub(crate) fn say_count(language: &str, id: &str, count: usize) -> String {
    filled(language, id, &FluentArgs::from_iter([("count", FluentValue::from(count))]))
}

/// A time as people read it, in a time zone.
pub(crate) fn moment(at: jiff::Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// A text that is a time (RFC 3339) as people read it, in a time zone; any other as it is.
pub(crate) fn readable(text: &str, zone: &TimeZone) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(|_| text.to_owned(), |at| moment(at, zone))
}

/// A notice in a language, with times of a time zone. What was written in English stays so where it cannot be said otherwise.
pub(crate) fn notice(mut notice: Notice, language: &str, zone: &TimeZone) -> Notice {
    let texts = notice.parameters.iter().map(|(name, text)| (name.clone(), text.clone(), readable(text, zone)));
    let texts: Vec<(String, String, String)> = texts.collect();
    if language == "en" {
        // What was written says the times of UTC.
        let written = notice.text.clone();
        notice.text =
            texts.iter().filter(|(_, text, shown)| text != shown).fold(written, |written, (_, text, shown)| {
                written.replace(text.as_str(), shown).replace(readable(text, &TimeZone::UTC).as_str(), shown)
            });
        return notice;
    }
    let args =
        FluentArgs::from_iter(texts.iter().map(|(name, _, shown)| (name.as_str(), FluentValue::from(shown.as_str()))));
    if let Some(text) = found(language, &notice.duty, None, &args) {
        notice.text = if notice.reminder { say(language, "reminder", &[("text", &text)]) } else { text };
    }
    if let Some(otherwise) = found(language, &notice.duty, Some("otherwise"), &args) {
        notice.otherwise = otherwise;
    }
    notice
}

/// The language of settings, or else that of the configuration.
pub(crate) fn of<'a>(set: &'a str, usual: &'a str) -> &'a str {
    if set.is_empty() { usual } else { set }
}

/// A text from outside as one line of words: without control characters, marks of direction and what is not seen.
pub(crate) fn clean(text: &str, most: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().filter(|c| !hidden(*c)).take(most).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    fn placed(text: &str) -> BTreeSet<String> {
        let parts = text.split("{ $").skip(1);
        parts.filter_map(|part| Some(part.split([' ', '}']).next()?.to_owned())).collect()
    }

    /// The messages of a catalogue by name, each with its variables.
    fn messages(catalogue: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut all = BTreeMap::new();
        let mut last = String::new();
        for line in catalogue.lines().filter(|line| !line.starts_with('#')) {
            if let Some((id, text)) = line.split_once(" = ").filter(|_| !line.starts_with([' ', '['])) {
                last = id.to_owned();
                assert!(all.insert(last.clone(), placed(text)).is_none(), "{id} twice");
            } else if let Some((attribute, text)) =
                line.trim().strip_prefix('.').and_then(|rest| rest.split_once(" = "))
            {
                all.insert(format!("{last}.{attribute}"), placed(text));
            } else {
                all.entry(last.clone()).or_insert_with(BTreeSet::new).extend(placed(line));
            }
        }
        all
    }

    #[test]
    fn each_language_says_each_sentence_with_the_same_variables() {
        let english = format!("{}\n{}", include_str!("languages/en.ftl"), duties_in_english());
        let wanted = messages(&english);
        assert!(wanted.len() > 70, "{}", wanted.len());
        for (language, catalogue) in [
            ("en", english.as_str()),
            ("de", include_str!("languages/de.ftl")),
            ("fr", include_str!("languages/fr.ftl")),
            ("es", include_str!("languages/es.ftl")),
        ] {
            let read = FluentResource::try_new(catalogue.to_owned());
            assert!(read.is_ok(), "{language}: {:?}", read.err().map(|(_, errors)| errors));
            let has = messages(catalogue);
            for (id, variables) in wanted.iter().filter(|(id, _)| !id.is_empty()) {
                assert_eq!(has.get(id), Some(variables), "{language}: {id}");
            }
            // And Fluent finds them too.
            for duty in duties::all() {
                let names = placed(&duty.text().replace('{', "{ $"));
                let args = FluentArgs::from_iter(names.iter().map(|name| (name.clone(), FluentValue::from("x"))));
                for attribute in [None, Some("otherwise")] {
                    assert!(found(language, duty.kind, attribute, &args).is_some(), "{language}: {}", duty.kind);
                }
            }
        }
    }

    fn vote() -> Notice {
        let parameters = [("resource", "proposals/p"), ("kind", "suspend_model")];
        Notice {
            duty: "vote_wanted".to_owned(),
            text: "proposals/p is open.".to_owned(),
            parameters: parameters.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
            ..Notice::default()
        }
    }

    #[test]
    fn a_notice_is_said_in_the_language_of_its_reader_and_else_in_english() {
        let german = notice(vote(), "de", &TimeZone::UTC);
        assert_eq!(german.text, "proposals/p steht zur Abstimmung (suspend_model). Bitte lesen und abstimmen.");
        assert!(german.otherwise.starts_with("Ohne Quorum"));
        let reminder = notice(Notice { reminder: true, ..vote() }, "fr", &TimeZone::UTC);
        assert!(reminder.text.starts_with("Pas encore fait : proposals/p"), "{}", reminder.text);
        for other in ["en", "xx"] {
            assert_eq!(notice(vote(), other, &TimeZone::UTC).text, "proposals/p is open.");
        }
        // Of a duty that no catalogue knows, or without what fills it, the English stays.
        let unknown = Notice { duty: "brand_new".to_owned(), ..vote() };
        assert_eq!(notice(unknown, "de", &TimeZone::UTC).text, "proposals/p is open.");
        let empty = Notice { parameters: BTreeMap::new().into_iter().collect(), ..vote() };
        assert_eq!(notice(empty, "es", &TimeZone::UTC).text, vote().text);
        assert_eq!((say_count("en", "digest-subject", 1), say_count("de", "digest-subject", 3)).0, "Remit: one notice");
        assert_eq!(say_count("de", "digest-subject", 3), "Remit: 3 Mitteilungen");
    }

    #[test]
    fn a_time_is_read_in_the_zone_of_its_reader_and_a_date_stays_one() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (text, there) in [
            ("2026-06-11T08:00:00.123456Z", "2026-06-11 10:00 CEST"),
            ("2026-01-05T23:30:00+02:00", "2026-01-05 22:30 CET"),
            ("2026-06-11", "2026-06-11"),
            ("2026-06", "2026-06"),
            ("5.1.1", "5.1.1"),
            ("40", "40"),
        ] {
            assert_eq!(readable(text, &berlin), there);
        }
        assert_eq!(readable("2026-06-11T08:00:00Z", &TimeZone::UTC), "2026-06-11 08:00 UTC");
        let parameters =
            [("resource", "waivers/w"), ("control", "controls/c"), ("expire_time", "2026-06-11T08:00:00Z")];
        let waived = |text: &str| Notice {
            duty: "waiver_granted".to_owned(),
            text: text.to_owned(),
            parameters: parameters.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
            ..Notice::default()
        };
        // Also what was written before times were made readable.
        for written in ["Until 2026-06-11 08:00 UTC.", "Until 2026-06-11T08:00:00Z."] {
            assert_eq!(notice(waived(written), "en", &TimeZone::UTC).text, "Until 2026-06-11 08:00 UTC.");
            assert_eq!(notice(waived(written), "en", &berlin).text, "Until 2026-06-11 10:00 CEST.");
        }
        let german = notice(waived(""), "de", &berlin).text;
        assert!(german.contains("2026-06-11 10:00 CEST"), "{german}");
    }

    #[test]
    fn a_hostile_text_is_one_line_of_words() {
        assert_eq!(clean("a\r\nBcc: b\0\u{202e}c\u{200b}\u{2066}d", 99), "aBcc: bcd");
        assert_eq!(clean("abcdef", 3), "abc");
    }
}
