//! Tables for people, in Markdown.

/// Rows under a title; printed as they come, so that a long run shows where it is.
pub struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the title, what the reader must know, and the heads.
    pub fn new(title: &str, note: &str, heads: &[&str], first_width: usize) -> Self {
        let widths: Vec<usize> =
            heads.iter().enumerate().map(|(at, head)| if at == 0 { first_width } else { head.len().max(9) }).collect();
        println!("\n## {title}\n\n{note}\n");
        let table = Self { widths };
        table.row(heads.iter().map(|head| (*head).to_owned()).collect());
        let line: Vec<String> = table
            .widths
            .iter()
            .enumerate()
            .map(|(at, width)| if at == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) })
            .collect();
        println!("| {} |", line.join(" | "));
        table
    }

    /// Prints a row.
    pub fn row(&self, cells: Vec<String>) {
        let cells: Vec<String> = cells
            .iter()
            .zip(&self.widths)
            .enumerate()
            .map(|(at, (cell, width))| if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
            .collect();
        println!("| {} |", cells.join(" | "));
    }
}

/// A number with thousands separators.
pub fn count(number: f64) -> String {
    if !number.is_finite() {
        return "-".into();
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Microseconds as milliseconds.
pub fn ms(micros: f64) -> String {
    format!("{:.2}", micros / 1_000.0)
}

/// A ratio with its least and greatest value.
pub fn ratio((median, least, greatest): (f64, f64, f64)) -> String {
    if median.is_nan() {
        return "turns too short".into();
    }
    format!("{median:.2} ({least:.2}–{greatest:.2})")
}
