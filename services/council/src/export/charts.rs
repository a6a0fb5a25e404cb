//! Charts as inline SVG, drawn without a script, with a text alternative each. Colours come from the
//! page's style sheet, so that they follow dark mode and print.

use super::values::{number, seconds};
use crate::review::pack::{Bar, Trend, Unit};
use std::fmt::Write as _;

const WIDTH: f64 = 720.0;

/// Text inside SVG.
fn safe(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// At most `most` characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn value_text(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => format!("{} %", number((value * 10_000.0).round() / 100.0)),
        Unit::Seconds => seconds(value),
        Unit::Text | Unit::Count | Unit::Number => number(value),
    }
}

fn open(height: f64, title: &str, description: &str) -> String {
    let (title, description) = (safe(title), safe(description));
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}. {description}\" \
         xmlns=\"http://www.w3.org/2000/svg\"><title>{title}</title>"
    )
}

/// Values beside those of the period before, each on a scale of its own, because KPIs share no unit.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    const ROW: f64 = 34.0;
    const LEFT: f64 = 220.0;
    const RIGHT: f64 = 130.0;
    let height = ROW * bars.len() as f64 + 8.0;
    let described: Vec<String> =
        bars.iter().map(|bar| format!("{}: {}", bar.label, value_text(bar.value, bar.unit))).collect();
    let mut out = open(height, title, &described.join("; "));
    for (at, bar) in bars.iter().enumerate() {
        let y = ROW * at as f64 + 4.0;
        let most = [Some(bar.value), bar.previous, bar.target].into_iter().flatten().map(f64::abs).fold(0.0, f64::max);
        let scale = if most > 0.0 { (WIDTH - LEFT - RIGHT) / most } else { 0.0 };
        let width = (bar.value.abs() * scale).max(1.0);
        let _ = write!(
            out,
            "<text class=\"l\" x=\"{:.0}\" y=\"{:.1}\">{}</text><rect class=\"m\" x=\"{LEFT:.0}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"14\" rx=\"2\"/>",
            LEFT - 8.0,
            y + 15.0,
            safe(&cut(&bar.label, 32)),
        );
        if let Some(previous) = bar.previous {
            let width = (previous.abs() * scale).max(1.0);
            let _ = write!(
                out,
                "<rect class=\"b\" x=\"{LEFT:.0}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"8\" rx=\"2\"/>",
                y + 16.0
            );
        }
        if let Some(target) = bar.target {
            let x = LEFT + target.abs() * scale;
            let _ = write!(
                out,
                "<line class=\"t\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
                y - 2.0,
                y + 26.0
            );
        }
        let _ = write!(
            out,
            "<text class=\"v\" x=\"{:.0}\" y=\"{:.1}\">{} · n {}</text>",
            WIDTH - RIGHT + 8.0,
            y + 15.0,
            safe(&value_text(bar.value, bar.unit)),
            number(bar.n as f64),
        );
    }
    out.push_str("</svg>");
    out
}

/// Two distributions over the same bins, side by side.
pub(crate) fn histogram(title: &str, month: &[f64], baseline: &[f64]) -> String {
    const HEIGHT: f64 = 200.0;
    const FLOOR: f64 = 172.0;
    const LEFT: f64 = 44.0;
    let bins = month.len().max(1) as f64;
    let most = month.iter().chain(baseline).copied().fold(0.0, f64::max).max(1e-9);
    let step = (WIDTH - LEFT - 8.0) / bins;
    let described: Vec<String> = month
        .iter()
        .zip(baseline)
        .enumerate()
        .map(|(at, (now, before))| {
            format!("bin {}: {} against {}", at + 1, value_text(*now, Unit::Ratio), value_text(*before, Unit::Ratio))
        })
        .collect();
    let mut out = open(HEIGHT, title, &described.join("; "));
    for share in [0.0, 0.5, 1.0] {
        let y = FLOOR - share * 160.0;
        let _ = write!(
            out,
            "<line class=\"g\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"l\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            safe(&value_text(most * share, Unit::Ratio)),
        );
    }
    for (at, (now, before)) in month.iter().zip(baseline).enumerate() {
        let x = LEFT + step * at as f64;
        for (class, share, shift) in [("b", before, 0.12), ("m", now, 0.5)] {
            let tall = share / most * 160.0;
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
                x + step * shift,
                FLOOR - tall,
                step * 0.36,
            );
        }
        let _ =
            write!(out, "<text class=\"c\" x=\"{:.1}\" y=\"{:.0}\">{}</text>", x + step / 2.0, FLOOR + 18.0, at + 1);
    }
    out.push_str("</svg>");
    out
}

/// A statistic over months with its thresholds.
pub(crate) fn trend(trend: &Trend) -> String {
    const HEIGHT: f64 = 200.0;
    const FLOOR: f64 = 168.0;
    const LEFT: f64 = 52.0;
    const TALL: f64 = 150.0;
    let top = trend.points.iter().map(|point| point.value).fold(trend.significant * 1.2, f64::max).max(1e-9);
    let count = trend.points.len().max(1) as f64;
    let step = (WIDTH - LEFT - 24.0) / (count - 1.0).max(1.0);
    let place = |at: usize, value: f64| {
        let x = if count > 1.0 { LEFT + 8.0 + step * at as f64 } else { LEFT + (WIDTH - LEFT) / 2.0 };
        (x, FLOOR - (value / top).clamp(0.0, 1.0) * TALL)
    };
    let described: Vec<String> =
        trend.points.iter().map(|point| format!("{}: {}", point.period, number(point.value))).collect();
    let mut out = open(HEIGHT, &trend.title, &described.join("; "));
    for (value, name) in [(0.0, ""), (trend.moderate, "moderate"), (trend.significant, "significant")] {
        let (_, y) = place(0, value);
        let class = if name.is_empty() { "g" } else { "t" };
        let _ = write!(
            out,
            "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"l\" x=\"{:.0}\" y=\"{:.1}\">{}</text><text class=\"s\" x=\"{:.0}\" y=\"{:.1}\">{name}</text>",
            LEFT - 6.0,
            y + 4.0,
            number(value),
            WIDTH - 2.0,
            y - 4.0,
        );
    }
    let points: Vec<String> = trend
        .points
        .iter()
        .enumerate()
        .map(|(at, point)| place(at, point.value))
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let _ = write!(out, "<polyline class=\"p\" points=\"{}\"/>", points.join(" "));
    let every = trend.points.len().div_ceil(12).max(1);
    for (at, point) in trend.points.iter().enumerate() {
        let (x, y) = place(at, point.value);
        let _ = write!(out, "<circle class=\"m\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
        if at % every == 0 || at + 1 == trend.points.len() {
            let _ =
                write!(out, "<text class=\"c\" x=\"{x:.1}\" y=\"{:.0}\">{}</text>", FLOOR + 18.0, safe(&point.period));
        }
    }
    out.push_str("</svg>");
    out
}
