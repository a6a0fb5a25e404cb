//! The picture of an inventory: predictability against risk, the area of a bubble for hours a year.

use crate::convert;
use crate::store::tasks::TaskRow;
use remit_core::policy::{Pattern, Policy};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

const MOST: usize = 2_000;
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 700.0;
const MARGIN: f64 = 70.0;

/// One task of the picture.
pub(crate) struct Bubble {
    id: String,
    title: String,
    predictability: i32,
    risk: i32,
    hours: f64,
    pattern: Option<Pattern>,
}

/// The bubble of a task, if both of its axes are rated.
pub(crate) fn bubble(row: &TaskRow, policy: &Policy) -> Option<Bubble> {
    let summaries = convert::summaries(&row.task, policy);
    Some(Bubble {
        predictability: summaries.get("predictability")?.median,
        risk: summaries.get("risk")?.median,
        id: row.id.clone(),
        title: row.task.title.clone(),
        hours: row.hours_per_year,
        pattern: Pattern::parse(&row.pattern).filter(|_| row.state == "DECIDED"),
    })
}

fn colour(pattern: Option<Pattern>) -> (&'static str, &'static str) {
    match pattern {
        Some(Pattern::HumanOnTheLoop) => ("#1b7f4b", "human on the loop"),
        Some(Pattern::HumanInTheLoop) => ("#c98a00", "human in the loop"),
        Some(Pattern::AiFirstDraft) => ("#3b6fb6", "AI first draft"),
        Some(Pattern::HumanOnly) => ("#a03030", "human only"),
        None => ("#888888", "not decided"),
    }
}

/// Draws the largest bubbles. The same inventory gives the same bytes.
pub(crate) fn draw(mut bubbles: Vec<Bubble>) -> String {
    bubbles.sort_by(|a, b| b.hours.total_cmp(&a.hours).then_with(|| a.id.cmp(&b.id)));
    bubbles.truncate(MOST);
    let largest = bubbles.first().map_or(1.0, |bubble| bubble.hours.max(1.0));
    let (cell_x, cell_y) = ((WIDTH - 2.0 * MARGIN) / 5.0, (HEIGHT - 2.0 * MARGIN) / 5.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>Tasks by predictability and risk; the area is hours a year</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    // Writing to a String cannot fail.
    for step in 0..=5 {
        let (x, y) = (MARGIN + cell_x * f64::from(step), MARGIN + cell_y * f64::from(step));
        let (right, bottom) = (WIDTH - MARGIN, HEIGHT - MARGIN);
        let _ = writeln!(svg, "<path d=\"M{x:.1} {MARGIN}V{bottom}M{MARGIN} {y:.1}H{right}\" stroke=\"#dddddd\"/>");
        if step < 5 {
            let (label_x, label_y) = (x + cell_x / 2.0, y + cell_y / 2.0);
            let (low, high) = (step + 1, 5 - step);
            let _ = writeln!(
                svg,
                "<text x=\"{label_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{low}</text>",
                bottom + 20.0
            );
            let _ =
                writeln!(svg, "<text x=\"{:.1}\" y=\"{label_y:.1}\" text-anchor=\"end\">{high}</text>", MARGIN - 10.0);
        }
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">predictability</text>",
        WIDTH / 2.0,
        HEIGHT - 20.0
    );
    let _ = writeln!(
        svg,
        "<text transform=\"translate(25 {:.1}) rotate(-90)\" text-anchor=\"middle\">risk</text>",
        HEIGHT / 2.0
    );
    let patterns = Pattern::ALL.into_iter().rev().map(Some).chain([None]);
    for (place, (fill, name)) in (0..).zip(patterns.map(colour)) {
        let x = MARGIN + 155.0 * f64::from(place);
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"30\" r=\"7\" fill=\"{fill}\" fill-opacity=\"0.6\"/>");
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"35\">{name}</text>", x + 12.0);
    }
    for bubble in &bubbles {
        // Ratings are whole numbers; a place within the cell by hash keeps bubbles apart, and stays.
        let hash = Sha256::digest(bubble.id.as_bytes());
        let within = |byte: u8| 0.15 + 0.7 * f64::from(byte) / 255.0;
        let x = MARGIN + cell_x * (f64::from(bubble.predictability - 1) + within(hash[0]));
        let y = MARGIN + cell_y * (f64::from(5 - bubble.risk) + within(hash[1]));
        let radius = 2.0 + 34.0 * (bubble.hours / largest).sqrt();
        let (fill, name) = colour(bubble.pattern);
        let (title, hours) = (escape(&bubble.title), bubble.hours);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{fill}\" fill-opacity=\"0.45\" \
             stroke=\"{fill}\"><title>{title}: {hours:.0} h a year, {name}</title></circle>"
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn escape(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).fold(String::new(), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_deterministic_and_escapes_titles() {
        let bubbles = || {
            vec![Bubble {
                id: "a".into(),
                title: "<script>".into(),
                predictability: 5,
                risk: 1,
                hours: 10.0,
                pattern: Some(Pattern::HumanOnTheLoop),
            }]
        };
        let svg = draw(bubbles());
        assert_eq!(svg, draw(bubbles()));
        assert!(svg.contains("&lt;script&gt;: 10 h a year") && !svg.contains("<script>"));
        assert!(draw(Vec::new()).ends_with("</svg>\n"));
    }
}
