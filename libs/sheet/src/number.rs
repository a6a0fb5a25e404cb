//! Numbers as people of different countries write them.

/// What stands before the decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `1,234.5`
    Point,
    /// `1.234,5`
    Comma,
}

impl Mark {
    /// The character.
    pub fn character(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Point => Self::Comma,
            Self::Comma => Self::Point,
        }
    }
}

/// Why a text is not read as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is none.
    No,
    /// It is two: `1,234` is a thousand and more to some, and one and a bit to others.
    Ambiguous,
}

/// What groups the digits of large numbers, apart from the two marks.
const GROUPING: [char; 5] = [' ', '\u{a0}', '\u{202f}', '\'', '’'];

/// The parts of a number: its sign and digits, its exponent, whether it is a percentage.
fn parts(text: &str) -> (&str, &str, bool) {
    let text = text.trim();
    let (text, percent) = text.strip_suffix('%').map_or((text, false), |text| (text.trim_end(), true));
    let at = text.find(['e', 'E']).unwrap_or(text.len());
    let (digits, exponent) = text.split_at(at);
    (digits, exponent, percent)
}

/// The decimal mark that a text must have been written with, if it shows that.
fn shown(text: &str) -> Option<Mark> {
    let (digits, _, _) = parts(text);
    let digits = digits.trim_start_matches(['+', '-']);
    if !digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',') || GROUPING.contains(&c)) {
        return None;
    }
    let marks: Vec<(usize, char)> = digits.char_indices().filter(|(_, c)| matches!(c, '.' | ',')).collect();
    let mark = |c: char| if c == '.' { Mark::Point } else { Mark::Comma };
    match marks.as_slice() {
        [] => None,
        [(at, only)] => {
            let (before, after) = (&digits[..*at], &digits[at + 1..]);
            let may_group = after.len() == 3 && (1..=3).contains(&before.len()) && !before.starts_with('0');
            (!may_group || before.contains(GROUPING)).then(|| mark(*only))
        }
        [rest @ .., (_, last)] if rest.iter().all(|(_, other)| other == last) => Some(mark(*last).other()),
        [.., (_, last)] => Some(mark(*last)),
    }
}

/// The decimal mark of a file, from all of its numbers: that of those which show one, if they agree.
pub fn agreed<'a>(numbers: impl IntoIterator<Item = &'a str>) -> Option<Mark> {
    let mut found = None;
    for mark in numbers.into_iter().filter_map(shown) {
        if found.is_some_and(|found| found != mark) {
            return None;
        }
        found = Some(mark);
    }
    found
}

/// The digits of a whole number whose thousands may be set apart.
fn whole(text: &str, mark: Mark) -> Option<String> {
    let groups: Vec<&str> = text.split(|c| c == mark.other().character() || GROUPING.contains(&c)).collect();
    let digits = |group: &str| group.chars().all(|c| c.is_ascii_digit());
    if !groups.iter().all(|group| digits(group)) {
        return None;
    }
    match groups.as_slice() {
        [_] => {}
        [first, rest @ ..] if (1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3) => {}
        _ => return None,
    }
    Some(groups.concat())
}

/// The number in a text, and whether it is a percentage: `20 %` is 0.2 and one.
///
/// `mark` is that of the file; without one a number is read only if it shows its own.
///
/// # Errors
/// [`Unread`].
pub fn number(text: &str, mark: Option<Mark>) -> Result<(f64, bool), Unread> {
    let (digits, exponent, percent) = parts(text);
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits.strip_prefix('+').unwrap_or(digits)),
    };
    let mark = match mark.or_else(|| shown(digits)) {
        Some(mark) => mark,
        None if digits.contains(['.', ',']) => return Err(Unread::Ambiguous),
        None => Mark::Point,
    };
    let (before, after) = digits.split_once(mark.character()).unwrap_or((digits, ""));
    let before = whole(before, mark).ok_or(Unread::No)?;
    if before.len() + after.len() == 0 || !after.chars().all(|c| c.is_ascii_digit()) {
        return Err(Unread::No);
    }
    let value: f64 = format!("{sign}0{before}.{after}0{exponent}").parse().map_err(|_| Unread::No)?;
    Ok((if percent { value / 100.0 } else { value }, percent))
}

/// The same, but what is ambiguous is read by the mark that programs write, if that is the one in the text.
///
/// # Errors
/// [`Unread`].
pub fn number_of_programs(text: &str, mark: Option<Mark>, programs: Option<Mark>) -> Result<(f64, bool), Unread> {
    match (number(text, mark), programs) {
        (Err(Unread::Ambiguous), Some(written)) if text.contains(written.character()) => number(text, Some(written)),
        (read, _) => read,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]
    use super::*;

    #[test]
    fn a_number_shows_how_it_is_written_or_is_ambiguous() {
        for (text, value) in [
            ("20", 20.0),
            ("20.5", 20.5),
            ("20,5", 20.5),
            ("1,234.56", 1234.56),
            ("1.234,56", 1234.56),
            ("1.234.567", 1_234_567.0),
            ("1 234", 1234.0),
            ("1\u{a0}234,5", 1234.5),
            ("1\u{202f}234", 1234.0),
            ("12'345.6", 12_345.6),
            ("1’234", 1234.0),
            ("0,125", 0.125),
            ("1234,567", 1234.567),
            (",5", 0.5),
            ("2,0", 2.0),
            ("-3", -3.0),
            ("1,5E+03", 1500.0),
            ("2e2", 200.0),
        ] {
            assert_eq!(number(text, None), Ok((value, false)), "{text}");
        }
        for text in ["1,234", "1.234", "123,456"] {
            assert_eq!(number(text, None), Err(Unread::Ambiguous), "{text}");
        }
        assert_eq!(number("1.234", Some(Mark::Comma)), Ok((1234.0, false)));
        assert_eq!(number("1.234", Some(Mark::Point)), Ok((1.234, false)));
        assert_eq!(number_of_programs("1.234", None, Some(Mark::Point)), Ok((1.234, false)));
        assert_eq!(number_of_programs("1,234", None, Some(Mark::Point)), Err(Unread::Ambiguous));
        assert_eq!(number_of_programs("1.234", Some(Mark::Comma), Some(Mark::Point)), Ok((1234.0, false)));
        assert_eq!(number("20 %", None), Ok((0.2, true)));
        assert_eq!(number("12,5%", None), Ok((0.125, true)));
        for text in ["", "x", "inf", "NaN", "1,23,456", "1 2", "20 min", "(5)", "€5", "1e", "--1", "5-", "1.2.3,4,5"]
        {
            assert_eq!(number(text, None), Err(Unread::No), "{text}");
        }
        assert_eq!(number("20.5", Some(Mark::Comma)), Err(Unread::No), "no group has one digit");
    }

    #[test]
    fn a_file_has_the_mark_on_which_its_numbers_agree() {
        assert_eq!(agreed(["1,234", "20", "x", "", "20,5"]), Some(Mark::Comma));
        assert_eq!(agreed(["1,234", "1,234,567"]), Some(Mark::Point));
        assert_eq!(agreed(["1,234", "20"]), None);
        assert_eq!(agreed(["20.5", "20,5"]), None);
    }
}
