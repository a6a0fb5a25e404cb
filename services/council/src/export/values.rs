//! Values as people read them.

use crate::review::pack::{Cell, Fact, Unit};

/// A number with thousands separated by a narrow space and at most four decimals.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) if digits.chars().any(|c| c.is_ascii_digit() && c != '0') => ("-", digits),
        Some(digits) => ("", digits),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut grouped = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    if !fraction.is_empty() {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

/// A length of time, such as `1 h 30 min`.
pub(crate) fn seconds(value: f64) -> String {
    let whole = value.abs();
    match whole {
        _ if whole < 120.0 => format!("{} s", number((value * 10.0).round() / 10.0)),
        _ if whole < 7_200.0 => format!("{} min", number((value / 6.0).round() / 10.0)),
        _ if whole < 172_800.0 => format!("{} h", number((value / 360.0).round() / 10.0)),
        _ => format!("{} d", number((value / 8_640.0).round() / 10.0)),
    }
}

/// A value in its unit; a dash where there is none.
pub(crate) fn shown(cell: &Cell, unit: Unit) -> String {
    match (cell, unit) {
        (Cell::None, _) => "–".to_owned(),
        (Cell::Text(text) | Cell::Judged { word: text, .. }, _) => text.clone(),
        (Cell::Int(value), Unit::Ratio) => format!("{} %", number(*value as f64 * 100.0)),
        (Cell::Num(value), Unit::Ratio) => format!("{} %", number((value * 10_000.0).round() / 100.0)),
        (Cell::Int(value), Unit::Seconds) => seconds(*value as f64),
        (Cell::Num(value), Unit::Seconds) => seconds(*value),
        (Cell::Int(value), _) => number(*value as f64),
        (Cell::Num(value), _) => number(*value),
    }
}

/// A fact's value with its n.
pub(crate) fn fact(fact: &Fact) -> String {
    match fact.n {
        Some(n) => format!("{} (n {})", shown(&fact.value, fact.unit), number(n as f64)),
        None => shown(&fact.value, fact.unit),
    }
}

/// Whether a column is set flush right.
pub(crate) fn is_number(unit: Unit) -> bool {
    unit != Unit::Text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_cut() {
        for (value, text) in
            [(0.0, "0"), (-0.00001, "0"), (1234567.0, "1\u{202f}234\u{202f}567"), (-1000.5, "-1\u{202f}000.5")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn no_data_is_not_zero() {
        assert_eq!(shown(&Cell::None, Unit::Ratio), "–");
        assert_eq!(shown(&Cell::Num(0.12345), Unit::Ratio), "12.35 %");
        assert_eq!(shown(&Cell::Num(5400.0), Unit::Seconds), "90 min");
    }
}
