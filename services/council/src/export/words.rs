//! Names, times and codes as people use them: `Lead scorer v2` and not `models/lead-scorer/versions/2`.

use super::values::number;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Collections whose names people shorten: the collection, and what is said before the id.
const KINDS: [(&str, &str); 25] = [
    ("models", ""),
    ("artifacts", ""),
    ("policies", "policy "),
    ("kpis", ""),
    ("bodies", ""),
    ("tasks", ""),
    ("functions", ""),
    ("gates", "gate "),
    ("holds", "hold "),
    ("handoffs", "handoff "),
    ("incidents", "incident "),
    ("waivers", "waiver "),
    ("proposals", "proposal "),
    ("reviews", "review "),
    ("actionItems", "action "),
    ("breakGlassUses", "break-glass use "),
    ("controls", "control "),
    ("automations", "automation "),
    ("outputs", "output "),
    ("members", ""),
    ("decisions", "decision "),
    ("trainings", "training "),
    ("auditWindows", "audit of tasks "),
    ("experiments", "experiment "),
    ("overrides", "override "),
];

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '/' | '-' | '_' | '.')
}

/// An id in words: `lead-scorer` as `Lead scorer`.
pub(crate) fn id(text: &str) -> String {
    const LETTERS: [&str; 8] = ["ai", "crm", "gdpr", "kpi", "seo", "sla", "slo", "utm"];
    let said = |word: &str| if LETTERS.contains(&word) { word.to_uppercase() } else { word.to_owned() };
    sentence(&text.split(['-', '_']).map(said).collect::<Vec<_>>().join(" "))
}

/// One resource name in words; `None` if it is none that is known.
fn resource(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('/').collect();
    let [collection, first, rest @ ..] = parts.as_slice() else { return None };
    let (kind, before) = KINDS.into_iter().find(|(kind, _)| kind == collection)?;
    if first.is_empty() || rest.iter().any(|part| part.is_empty()) {
        return None;
    }
    // Ids that are drawn say nothing in words, and ids of controls are their names.
    let called = match kind {
        "controls" => (*first).to_owned(),
        _ if before.is_empty() => id(first),
        _ => first.replace(['-', '_'], " "),
    };
    let mut said = format!("{before}{called}");
    for pair in rest.chunks(2) {
        match pair {
            ["versions", version] => said.extend([" v", version]),
            [_, inner] => said.extend([", ", &id(inner)]),
            _ => return None,
        }
    }
    Some(said)
}

/// A text with every resource name in it in words, every time cut to the minute, and codes of enums in small letters.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let end = from.find(|character| !is_name(character) && character != ':').unwrap_or(from.len());
        let (token, after) = from.split_at(end);
        let word = token.trim_end_matches(['.', ':', '/', '-']);
        let tail = token.get(word.len()..).unwrap_or_default();
        match (resource(word), word.parse::<Timestamp>()) {
            (Some(said), _) => out.push_str(&said),
            (None, Ok(time)) => out.push_str(&time.strftime("%-d %B %Y, %H:%M UTC").to_string()),
            (None, Err(_)) if is_code(word) => out.push_str(&word.replace('_', " ").to_lowercase()),
            (None, Err(_)) if is_long(word) => out.push_str(&word.parse().map_or_else(|_| word.to_owned(), number)),
            (None, Err(_)) => out.push_str(word),
        }
        out.push_str(tail);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `NO_EVIDENCE`, and not `KPI`, `C10` or `GDPR`.
fn is_code(word: &str) -> bool {
    word.contains('_')
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        && !word.starts_with('_')
}

/// Whether a text is one word of the contract, such as `PRESENT`, and not `GDPR` or `C10`.
pub(crate) fn is_word(text: &str) -> bool {
    text.len() > 4 && text.chars().all(|c| c.is_ascii_uppercase())
}

/// `0.3333333333333333`: nobody means so many decimals.
fn is_long(word: &str) -> bool {
    let Some((whole, decimals)) = word.trim_start_matches('-').split_once('.') else { return false };
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    digits(whole) && digits(decimals) && decimals.len() > 4
}

/// Text with a capital letter first.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A month such as `2009-06` as `June 2009`.
pub(crate) fn month(period: &str) -> String {
    match format!("{period}-01").parse::<jiff::civil::Date>() {
        Ok(day) => day.strftime("%B %Y").to_string(),
        Err(_) => period.to_owned(),
    }
}

/// An instant as people of the zone read it: `4 July 2009, 00:00 (Europe/Berlin)`.
pub(crate) fn instant(text: &str, zone: &str) -> String {
    let named = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    match text.parse::<Timestamp>() {
        Ok(time) => format!("{} ({zone})", time.to_zoned(named).strftime("%-d %B %Y, %H:%M")),
        Err(_) => text.to_owned(),
    }
}

/// The day one month after an instant, which is when evidence of the next month is cut off.
pub(crate) fn month_later(text: &str, zone: &str) -> Option<jiff::Zoned> {
    let named = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let time = text.parse::<Timestamp>().ok()?.to_zoned(named);
    time.checked_add(jiff::Span::new().months(1)).ok()
}

/// `one thing`, `two things`, `23 things`.
pub(crate) fn some(n: usize, one: &str, many: &str) -> String {
    const SMALL: [&str; 10] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let number = SMALL.get(n).map_or_else(|| n.to_string(), |word| (*word).to_owned());
    format!("{number} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_said_as_people_say_them() {
        for (given, said) in [
            ("psi of models/lead-scorer/versions/1 is 0.2191", "psi of Lead scorer v1 is 0.2191"),
            ("bodies/steering-group.", "Steering group."),
            ("the check of controls/C10, (x)", "the check of control C10, (x)"),
            ("either/or and a/b/c", "either/or and a/b/c"),
            ("CLOCK_KIND_GDPR is late", "clock kind gdpr is late"),
            ("due 2009-07-04T00:00:00Z", "due 4 July 2009, 00:00 UTC"),
            ("C10 KPI models/", "C10 KPI models/"),
            ("naïve – models/x_y", "naïve – X y"),
            ("kpis/ai_run_failure_rate", "AI run failure rate"),
            ("value 0.3333333333333333, n 3", "value 0.3333, n 3"),
            ("ann_smith@example.com, 1.25", "ann_smith@example.com, 1.25"),
        ] {
            assert_eq!(plain(given), said);
        }
    }

    #[test]
    fn months_and_numbers_are_said_in_words() {
        assert_eq!(month("2009-06"), "June 2009");
        assert_eq!(month("soon"), "soon");
        assert_eq!(some(1, "thing", "things"), "one thing");
        assert_eq!(some(23, "thing", "things"), "23 things");
        assert_eq!(instant("2009-07-03T22:00:00Z", "Europe/Berlin"), "4 July 2009, 00:00 (Europe/Berlin)");
    }
}
