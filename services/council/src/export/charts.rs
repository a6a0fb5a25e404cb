//! Charts as inline SVG, drawn without a script, with a text alternative each. Colours come from the
//! page's style sheet, so that they follow dark mode and print; what is filled and what is outlined tells series apart
//! in grey. A drawing is as wide as a phone, so that its text keeps its size there.

use super::values::{number, seconds};
use crate::review::pack::{Bar, Trend, Unit};
use crate::time::Month;
use std::fmt::Write as _;

const WIDTH: f64 = 360.0;
/// Where the axis of values stands: room for the longest label, such as `86.67 %`.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 22.0;
const FLOOR: f64 = 168.0;
const HEIGHT: f64 = 196.0;
/// What a label of a month needs.
const LABEL: f64 = 56.0;
/// So many letters of a title have room, and of a name beside which a value stands.
const TITLE: usize = 48;
const NAME: usize = 26;

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

/// A value beside the axis, where there is room for eight letters.
fn axis_text(value: f64, unit: Unit) -> String {
    let whole = |value: f64, unit: &str| format!("{} {unit}", number(value));
    match unit {
        Unit::Text | Unit::Count | Unit::Number if value.abs() >= 1e9 => whole(value / 1e9, "bn"),
        Unit::Text | Unit::Count | Unit::Number if value.abs() >= 1e6 => whole(value / 1e6, "M"),
        Unit::Text | Unit::Count | Unit::Number if value.abs() >= 1e4 => whole(value / 1e3, "k"),
        Unit::Seconds if value.abs() >= 8_640_000.0 => whole((value / 86_400.0).round(), "d"),
        _ => value_text(value, unit),
    }
}

/// The next round number, 1, 2 or 5 times a power of ten, at or above a value.
fn round_up(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|step| step * power)
        .find(|round| *round >= value * 0.999_999)
        .unwrap_or(10.0 * power)
}

fn open(height: f64, title: &str, description: &str) -> String {
    let (title, description) = (safe(title), safe(description));
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}. {description}\" \
         xmlns=\"http://www.w3.org/2000/svg\"><title>{title}</title>"
    )
}

/// So many months, of which the last is given: the oldest first. What is no month stands alone.
pub(super) fn months_up_to(last: &str, count: usize) -> Vec<String> {
    let Ok(month) = Month::parse(last, "") else { return vec![last.to_owned()] };
    let back = std::iter::successors(Some(month), |month| Some(month.previous()));
    let mut months: Vec<String> = back.take(count).map(|month| month.period()).collect();
    months.reverse();
    months
}

/// Values over months; none where there is no data.
pub(super) struct Line<'a> {
    /// The months, the oldest first.
    pub(super) months: &'a [String],
    /// A value each.
    pub(super) values: &'a [Option<f64>],
    /// How to read them.
    pub(super) unit: Unit,
}

impl Line<'_> {
    fn step(&self) -> f64 {
        let steps = self.months.len().saturating_sub(1).max(1);
        (WIDTH - LEFT - RIGHT - 16.0) / steps as f64
    }

    fn x(&self, at: usize) -> f64 {
        LEFT + 8.0 + self.step() * at as f64
    }

    fn described(&self) -> String {
        let said = self.months.iter().zip(self.values).map(|(month, value)| match value {
            Some(value) => format!("{month}: {}", value_text(*value, self.unit)),
            None => format!("{month}: no data"),
        });
        said.collect::<Vec<_>>().join("; ")
    }

    /// Gaps as shaded bands, the values as lines between neighbours and dots, and the months below.
    fn draw(&self, out: &mut String, y: impl Fn(f64) -> f64) {
        let half = self.step() / 2.0;
        for (at, value) in self.values.iter().enumerate() {
            let x = self.x(at);
            if value.is_none() {
                let from = (x - half).max(LEFT);
                let width = (x + half).min(WIDTH - RIGHT) - from;
                let tall = FLOOR - TOP;
                let _ = write!(
                    out,
                    "<rect class=\"n\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{tall:.1}\"/>"
                );
            }
        }
        let mut run: Vec<String> = Vec::new();
        for (at, value) in self.values.iter().map(Some).chain([None]).enumerate() {
            match value {
                Some(Some(value)) => run.push(format!("{:.1},{:.1}", self.x(at), y(*value))),
                Some(None) | None => {
                    if run.len() > 1 {
                        let _ = write!(out, "<polyline class=\"p\" points=\"{}\"/>", run.join(" "));
                    }
                    run.clear();
                }
            }
        }
        let last = self.months.len().saturating_sub(1);
        let mut free = 0.0;
        for (at, (month, value)) in self.months.iter().zip(self.values).enumerate() {
            let x = self.x(at);
            if let Some(value) = value {
                let _ = write!(out, "<circle class=\"m\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3.5\"/>", y(*value));
            }
            // The last month always has its label, and no other comes too near to it.
            let fits = x >= free && self.x(last) - x >= LABEL * 1.5;
            if fits || at == last {
                let class = if at == last && last > 0 { "l" } else { "c" };
                let place = if at == last && last > 0 { WIDTH - 4.0 } else { x };
                let _ = write!(
                    out,
                    "<text class=\"{class}\" x=\"{place:.1}\" y=\"{:.0}\">{}</text>",
                    FLOOR + 18.0,
                    safe(month)
                );
                free = x + LABEL;
            }
        }
    }
}

/// How high a value stands above the floor.
fn height(value: f64, top: f64) -> f64 {
    (value / top).clamp(0.0, 1.0) * (FLOOR - TOP)
}

/// What an axis reaches from and to.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Round ends that hold all values and zero; where they lie on both sides of it, zero is in the middle.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((0.0, 0.0), |(low, high), value| (f64::min(low, value), f64::max(high, value)));
        match (low < 0.0, high > 0.0) {
            (false, _) => Self { low: 0.0, high: round_up(high) },
            (true, false) => Self { low: -round_up(-low), high: 0.0 },
            (true, true) => {
                let end = round_up(high.max(-low));
                Self { low: -end, high: end }
            }
        }
    }

    fn y(&self, value: f64) -> f64 {
        FLOOR - height(value - self.low, self.high - self.low)
    }

    /// The axis, with numbers at both ends and in the middle.
    fn draw(&self, out: &mut String, unit: Unit) {
        for share in [0.0, 0.5, 1.0] {
            let value = self.low + share * (self.high - self.low);
            let y = self.y(value);
            let _ = write!(
                out,
                "<line class=\"g\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"l\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                safe(&axis_text(value, unit)),
            );
        }
    }
}

/// A value over months on its own axis, with its target and the interval of the last month.
pub(super) fn line(title: &str, line: &Line<'_>, target: Option<f64>, interval: Option<(f64, f64)>) -> String {
    let ends = interval.into_iter().flat_map(|(low, high)| [low, high]);
    let scale = Scale::of(line.values.iter().flatten().copied().chain(target).chain(ends));
    let y = |value: f64| scale.y(value);
    let aim = target.map(|target| format!("target {}; ", value_text(target, line.unit))).unwrap_or_default();
    let mut out = open(HEIGHT, title, &format!("{aim}{}", line.described()));
    let _ = write!(out, "<text x=\"4\" y=\"13\">{}</text>", safe(&cut(title, TITLE)));
    scale.draw(&mut out, line.unit);
    if let Some(target) = target {
        let at = y(target);
        let _ =
            write!(out, "<line class=\"t\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>", WIDTH - RIGHT);
    }
    if let Some((low, high)) = interval {
        let x = line.x(line.months.len().saturating_sub(1));
        let _ =
            write!(out, "<line class=\"i\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>", y(low), y(high));
    }
    line.draw(&mut out, y);
    out.push_str("</svg>");
    out
}

/// Shares beside those of the period before, all on one axis; `None` if no bar is a share.
pub(super) fn bars(title: &str, bars: &[Bar]) -> Option<String> {
    const ROW: f64 = 46.0;
    let bars: Vec<&Bar> = bars.iter().filter(|bar| bar.unit == Unit::Ratio && bar.value >= 0.0).collect();
    if bars.is_empty() {
        return None;
    }
    let highest = bars.iter().flat_map(|bar| [Some(bar.value), bar.previous, bar.target]).flatten();
    let top = round_up(highest.fold(0.0, f64::max));
    let (left, right) = (8.0, WIDTH - 12.0);
    let x = |value: f64| left + (value / top).clamp(0.0, 1.0) * (right - left);
    let floor = ROW * bars.len() as f64 + 6.0;
    let described: Vec<String> =
        bars.iter().map(|bar| format!("{}: {}", bar.label, value_text(bar.value, bar.unit))).collect();
    let mut out = open(floor + 22.0, title, &described.join("; "));
    for share in [0.0, 0.5, 1.0] {
        let (at, class) =
            (left + share * (right - left), ["f", "c", "l"][usize::from(share > 0.0) + usize::from(share > 0.5)]);
        let _ = write!(
            out,
            "<line class=\"g\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{floor:.1}\"/><text class=\"{class}\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
            floor + 15.0,
            safe(&value_text(top * share, Unit::Ratio)),
        );
    }
    for (at, bar) in bars.iter().enumerate() {
        let y = ROW * at as f64 + 16.0;
        let said = format!("{} · n {}", value_text(bar.value, bar.unit), number(bar.n as f64));
        let _ = write!(
            out,
            "<text x=\"{left:.0}\" y=\"{y:.1}\">{}</text><text class=\"l\" x=\"{right:.0}\" y=\"{y:.1}\">{}</text><rect class=\"m\" x=\"{left:.0}\" y=\"{:.1}\" width=\"{:.1}\" height=\"10\"/>",
            safe(&cut(&bar.label, NAME)),
            safe(&said),
            y + 5.0,
            (x(bar.value) - left).max(1.0),
        );
        if let Some(previous) = bar.previous {
            let wide = (x(previous) - left).max(1.0);
            let _ = write!(
                out,
                "<rect class=\"b\" x=\"{left:.0}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"6\"/>",
                y + 17.0
            );
        }
        if let Some(target) = bar.target {
            let at = x(target);
            let _ = write!(
                out,
                "<line class=\"t\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
                y + 2.0,
                y + 26.0
            );
        }
    }
    out.push_str("</svg>");
    Some(out)
}

/// Two distributions over the same bins, side by side.
pub(super) fn histogram(title: &str, month: &[f64], baseline: &[f64]) -> String {
    let bins = month.len().max(1) as f64;
    let top = round_up(month.iter().chain(baseline).copied().fold(0.0, f64::max));
    let step = (WIDTH - LEFT - RIGHT) / bins;
    let described: Vec<String> = month
        .iter()
        .zip(baseline)
        .enumerate()
        .map(|(at, (now, before))| {
            format!("bin {}: {} against {}", at + 1, value_text(*now, Unit::Ratio), value_text(*before, Unit::Ratio))
        })
        .collect();
    let mut out = open(HEIGHT, title, &described.join("; "));
    Scale { low: 0.0, high: top }.draw(&mut out, Unit::Ratio);
    // A label of two digits needs 20 units.
    let every = (20.0 / step).ceil().max(1.0);
    for (at, (now, before)) in month.iter().zip(baseline).enumerate() {
        let x = LEFT + step * at as f64;
        for (class, share, shift) in [("b", before, 0.12), ("m", now, 0.5)] {
            let tall = height(*share, top);
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
                x + step * shift,
                FLOOR - tall,
                step * 0.36,
            );
        }
        if (at as f64 % every).abs() < 0.5 {
            let _ = write!(
                out,
                "<text class=\"c\" x=\"{:.1}\" y=\"{:.0}\">{}</text>",
                x + step / 2.0,
                FLOOR + 18.0,
                at + 1
            );
        }
    }
    out.push_str("</svg>");
    out
}

/// A statistic over months with its thresholds. A month without a point is a gap.
pub(super) fn trend(trend: &Trend) -> String {
    let last = trend.points.last().map_or("", |point| point.period.as_str());
    let mut months = months_up_to(last, 24);
    let first = trend.points.first().map_or("", |point| point.period.as_str());
    months.retain(|month| month.as_str() >= first);
    let value = |month: &String| trend.points.iter().find(|point| point.period == *month).map(|point| point.value);
    let values: Vec<Option<f64>> = months.iter().map(value).collect();
    let line = Line { months: &months, values: &values, unit: Unit::Number };
    let scale = Scale::of(values.iter().flatten().copied().chain([trend.significant * 1.1]));
    let y = |value: f64| scale.y(value);
    let thresholds = format!("moderate from {}, clear from {}; ", number(trend.moderate), number(trend.significant));
    let mut out = open(HEIGHT, &trend.title, &format!("{thresholds}{}", line.described()));
    scale.draw(&mut out, Unit::Number);
    let apart = y(trend.moderate) - y(trend.significant) >= 14.0;
    // Where the lines are too near for two labels above them, the lower one's stands below it.
    let below = if apart { -4.0 } else { 13.0 };
    for (value, name, shift) in [(trend.moderate, "moderate", below), (trend.significant, "clear", -4.0)] {
        let at = y(value);
        let _ = write!(
            out,
            "<line class=\"t\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"f s\" x=\"{:.0}\" y=\"{:.1}\">{name} {}</text>",
            WIDTH - RIGHT,
            LEFT + 4.0,
            at + shift,
            number(value),
        );
    }
    line.draw(&mut out, y);
    out.push_str("</svg>");
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::review::pack::Point;

    #[test]
    fn months_are_counted_back_over_the_year() {
        assert_eq!(months_up_to("2009-02", 4), ["2008-11", "2008-12", "2009-01", "2009-02"]);
        assert_eq!(months_up_to("soon", 4), ["soon"]);
    }

    #[test]
    fn a_top_is_round_and_never_below_what_it_holds() {
        for (value, top) in [(0.51, 1.0), (0.2, 0.2), (0.21, 0.5), (3.0, 5.0), (0.0, 1.0), (6_000.0, 10_000.0)] {
            assert!((round_up(value) - top).abs() < top * 1e-9, "{value}");
        }
    }

    #[test]
    fn what_is_below_zero_stands_below_zero() {
        let months = months_up_to("2024-02", 2);
        let drawn = |values: [f64; 2]| {
            let values = values.map(Some);
            line(
                "Calibration",
                &Line { months: &months, values: &values, unit: Unit::Number },
                None,
                Some((-0.6, -0.5)),
            )
        };
        let below = drawn([-0.4, -0.576]);
        // The axis reaches from -1 to 0, a length of 146: 58.4 and 84.1 below its top.
        assert!(below.contains("cy=\"80.4\"") && below.contains("cy=\"106.1\""), "{below}");
        assert!(below.contains(">-1</text>") && below.contains(">0</text>"), "{below}");
        let both = drawn([1.0, -0.5]);
        assert!(both.contains("cy=\"22.0\"") && both.contains("cy=\"131.5\""), "{both}");
    }

    #[test]
    fn a_month_without_data_parts_the_line_and_the_last_label_is_whole() {
        let point = |period: &str, value| Point { period: period.to_owned(), value };
        let drawn = trend(&Trend {
            title: "T".to_owned(),
            points: vec![point("2009-01", 0.1), point("2009-02", 0.2), point("2009-05", 0.3), point("2009-06", 0.1)],
            moderate: 0.1,
            significant: 0.25,
        });
        assert_eq!(drawn.matches("<polyline").count(), 2);
        assert_eq!(drawn.matches("class=\"n\"").count(), 2);
        assert!(drawn.contains("2009-03: no data"));
        assert!(drawn.contains(">2009-06</text>"));
    }

    #[test]
    fn bars_that_are_no_shares_have_no_axis_in_common_and_are_not_drawn() {
        let bar = |unit, value| Bar { label: "B".to_owned(), value, previous: None, target: None, unit, n: 3 };
        assert!(bars("B", &[bar(Unit::Seconds, 3.0)]).is_none());
        let drawn = bars("B", &[bar(Unit::Ratio, 0.4), bar(Unit::Seconds, 3.0)]).unwrap();
        assert_eq!(drawn.matches("class=\"m\"").count(), 1);
        assert!(drawn.contains(">50 %</text>"));
    }

    /// Where the texts of a drawing begin and end, by the widest letters that a text of 12 units has on average.
    fn boxes(drawn: &str) -> Vec<(f64, f64, f64, String)> {
        let of = |tag: &str, name: &str| -> Option<String> {
            let rest = tag.split_once(&format!("{name}=\""))?.1;
            Some(rest.split('"').next()?.to_owned())
        };
        let texts = drawn.split("<text ").skip(1).map(|rest| rest.split_once("</text>").unwrap().0);
        texts
            .map(|text| {
                let (tag, said) = text.split_once('>').unwrap();
                let x: f64 = of(tag, "x").unwrap().parse().unwrap();
                let y: f64 = of(tag, "y").unwrap().parse().unwrap();
                let said = said.replace("&amp;", "&");
                let wide = said.chars().count() as f64 * 7.0;
                let from = match of(tag, "class").unwrap_or_default().split(' ').next() {
                    Some("l") => x - wide,
                    Some("c") => x - wide / 2.0,
                    _ => x,
                };
                (from, from + wide, y, said)
            })
            .collect()
    }

    fn drawings() -> Vec<String> {
        let months = months_up_to("2009-06", 13);
        let mut drawn = Vec::new();
        for (unit, top) in [
            (Unit::Ratio, 0.8667),
            (Unit::Number, 0.0001),
            (Unit::Count, 12_345_678.0),
            (Unit::Number, 9e11),
            (Unit::Seconds, 7_000.0),
            (Unit::Seconds, 400_000_000.0),
        ] {
            let values: Vec<Option<f64>> =
                (0..13).map(|at| (at % 4 > 0).then_some(top * f64::from(at) / 12.0)).collect();
            let title = "Work pays: leads that became customers within ninety days of their first call";
            drawn.push(line(title, &Line { months: &months, values: &values, unit }, Some(top), Some((0.0, top))));
        }
        drawn.push(histogram("H", &[0.8667, 0.1333], &[0.5, 0.5]));
        drawn.push(histogram("H", &[0.05; 40], &[0.05; 40]));
        for significant in [0.25, 0.1001] {
            let points = months.iter().map(|month| Point { period: month.clone(), value: 0.5 }).collect();
            drawn.push(trend(&Trend { title: "T".to_owned(), points, moderate: 0.1, significant }));
        }
        let bar = |value| Bar {
            label: "Marketing-sourced revenue and pipeline acceleration".to_owned(),
            value,
            previous: Some(0.2),
            target: Some(0.3),
            unit: Unit::Ratio,
            n: 1_234_567,
        };
        drawn.extend(bars("B", &[bar(0.8667), bar(0.0)]));
        drawn
    }

    #[test]
    fn no_text_of_a_chart_is_outside_it_or_over_another() {
        for drawn in drawings() {
            let tall: f64 =
                drawn.split_once("viewBox=\"0 0 360 ").unwrap().1.split('"').next().unwrap().parse().unwrap();
            let boxes = boxes(&drawn);
            assert!(!boxes.is_empty());
            for (at, (from, to, y, said)) in boxes.iter().enumerate() {
                assert!(
                    *from >= 0.0 && *to <= WIDTH && *y >= 10.0 && *y <= tall - 2.0,
                    "{said} at {from} to {to}, {y}"
                );
                for (other_from, other_to, other_y, other) in &boxes[at + 1..] {
                    let apart = to <= other_from || other_to <= from || (y - other_y).abs() >= 11.0;
                    assert!(apart, "{said} lies over {other}");
                }
            }
        }
    }

    /// A phone of 400 pixels leaves 368 beside the margins, on which the drawing is 360 units wide.
    #[test]
    fn texts_keep_their_size_on_a_phone() {
        let style = include_str!("../../templates/review.html");
        let size: f64 = style.split_once("svg text{font:").unwrap().1.split_once("px").unwrap().0.parse().unwrap();
        assert!(size * 368.0 / WIDTH >= 11.0);
        assert!(style.contains("svg{width:100%") && style.contains("padding:0 1rem"));
    }
}
