//! The picture of an inventory: predictability against risk, the area of a bubble for hours a year.
//!
//! Ratings are whole numbers, so tasks share places: each place is a cell, in which its bubbles lie side by side.
//! Patterns differ in fill and outline as well as in colour, so that a black-and-white print still tells them apart.

use super::packing::{Circle, Frame, pack};
use remit_policy::Pattern;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many bubbles are kept while tasks pass by.
const MOST: usize = 2_000;
/// How many bubbles one cell shows.
const IN_CELL: usize = 60;
/// How many bubbles have a number and a line in the key.
const NAMED: usize = 12;

// A4 landscape, so that a print fills the page.
const WIDTH: f64 = 1_122.0;
const HEIGHT: f64 = 794.0;
const LEFT: f64 = 84.0;
const TOP: f64 = 84.0;
const CELL_X: f64 = 138.0;
const CELL_Y: f64 = 122.0;
/// The strip of a cell that holds its count.
const STRIP: f64 = 17.0;
const KEY_X: f64 = LEFT + 5.0 * CELL_X + 28.0;
/// The share of a cell that bubbles may fill: circles of mixed sizes do not pack much closer.
const FILL: f64 = 0.5;
/// Below this many pixels for the square root of an hour nothing is gained by drawing smaller.
const SMALLEST_SCALE: f64 = 0.05;

/// One task of the picture.
#[derive(Debug, Clone)]
pub(crate) struct Bubble {
    pub id: String,
    pub title: String,
    /// Predictability and risk, 1 to 5 each.
    pub place: (i32, i32),
    /// A year, at least 0.
    pub hours: f64,
    /// That of the decision in force.
    pub pattern: Option<Pattern>,
}

/// What is collected for a picture; bounded however many tasks there are.
#[derive(Debug, Default)]
pub(crate) struct Bubbles {
    largest: Vec<Bubble>,
    cells: BTreeMap<(i32, i32), Sum>,
    patterns: BTreeMap<Option<Pattern>, Sum>,
    unrated: usize,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    tasks: usize,
    hours: f64,
}

impl Sum {
    fn add(&mut self, hours: f64) {
        self.tasks += 1;
        self.hours += hours;
    }
}

impl Bubbles {
    /// Takes a task in; one that has no place is counted.
    pub(crate) fn add(&mut self, bubble: Option<Bubble>) {
        let Some(bubble) = bubble else {
            self.unrated += 1;
            return;
        };
        self.cells.entry(bubble.place).or_default().add(bubble.hours);
        self.patterns.entry(bubble.pattern).or_default().add(bubble.hours);
        self.largest.push(bubble);
        if self.largest.len() >= 2 * MOST {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.largest.sort_by(|a, b| b.hours.total_cmp(&a.hours).then_with(|| a.id.cmp(&b.id)));
        self.largest.truncate(MOST);
    }
}

/// Name, attributes of a circle and colour of a number in it.
fn style(pattern: Option<Pattern>) -> (&'static str, &'static str, &'static str) {
    match pattern {
        Some(Pattern::HumanOnTheLoop) => ("human on the loop", "fill=\"#0b5394\" stroke=\"#0b5394\"", "#ffffff"),
        Some(Pattern::HumanInTheLoop) => ("human in the loop", "fill=\"#9fc5e8\" stroke=\"#0b5394\"", "#000000"),
        Some(Pattern::AiFirstDraft) => ("AI first draft", "fill=\"url(#draft)\" stroke=\"#b45f06\"", "#000000"),
        Some(Pattern::HumanOnly) => {
            ("human only", "fill=\"#ffffff\" stroke=\"#b45f06\" stroke-width=\"2.5\"", "#000000")
        }
        None => ("not decided", "fill=\"#ffffff\" stroke=\"#666666\" stroke-dasharray=\"3 2\"", "#000000"),
    }
}

fn patterns() -> impl Iterator<Item = Option<Pattern>> {
    Pattern::ALL.into_iter().rev().map(Some).chain([None])
}

/// Draws the picture. The same inventory gives the same bytes.
pub(crate) fn draw(mut bubbles: Bubbles, policy: &str) -> String {
    bubbles.cut();
    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = frame(&mut svg, &bubbles, policy);
    let (scale, cells) = place(&bubbles);
    let named = draw_cells(&mut svg, &bubbles, &cells);
    let _ = key(&mut svg, &bubbles, &named, scale);
    svg.push_str("</svg>\n");
    svg
}

/// The bubbles of one cell that are drawn.
struct Cell<'a> {
    place: (i32, i32),
    drawn: Vec<(&'a Bubble, Circle)>,
}

/// The largest scale tried at which every bubble that a cell should show finds a place in it.
fn place(bubbles: &Bubbles) -> (f64, Vec<Cell<'_>>) {
    let mut inside: BTreeMap<(i32, i32), Vec<&Bubble>> = BTreeMap::new();
    for bubble in &bubbles.largest {
        let cell = inside.entry(bubble.place).or_default();
        if cell.len() < IN_CELL {
            cell.push(bubble);
        }
    }
    let mut scale = scale(&bubbles.largest);
    loop {
        let cells: Vec<Cell<'_>> = inside.iter().map(|(place, bubbles)| fill(*place, bubbles, scale)).collect();
        let complete = cells.iter().zip(inside.values()).all(|(cell, wanted)| cell.drawn.len() == wanted.len());
        // With radii this small only the least ones can be left over, and their cell says how many.
        if complete || scale < SMALLEST_SCALE {
            return (scale, cells);
        }
        scale *= 0.88;
    }
}

fn fill<'a>(place: (i32, i32), bubbles: &[&'a Bubble], scale: f64) -> Cell<'a> {
    let (x, y) = corner(place);
    let room = Frame { x: x + 2.0, y: y + STRIP, width: CELL_X - 4.0, height: CELL_Y - STRIP - 2.0 };
    let radii: Vec<f64> = bubbles.iter().map(|bubble| radius(bubble.hours, scale)).collect();
    let circles = pack(room, &radii);
    let drawn = bubbles.iter().zip(circles).filter_map(|(bubble, circle)| Some((*bubble, circle?))).collect();
    Cell { place, drawn }
}

/// The upper left corner of a cell.
fn corner(place: (i32, i32)) -> (f64, f64) {
    (LEFT + CELL_X * f64::from(place.0 - 1), TOP + CELL_Y * f64::from(5 - place.1))
}

/// Pixels of radius for the square root of an hour: as large as the fullest cell and the largest task allow.
fn scale(largest: &[Bubble]) -> f64 {
    let mut hours: BTreeMap<(i32, i32), (usize, f64)> = BTreeMap::new();
    for bubble in largest {
        let (shown, sum) = hours.entry(bubble.place).or_default();
        if *shown < IN_CELL {
            *shown += 1;
            *sum += bubble.hours;
        }
    }
    let fullest = hours.values().map(|(_, sum)| *sum).fold(0.0, f64::max);
    let most = largest.first().map_or(0.0, |bubble| bubble.hours);
    let room = CELL_X * (CELL_Y - STRIP) * FILL;
    let by_cell = (room / (std::f64::consts::PI * fullest.max(1.0))).sqrt();
    by_cell.min((CELL_Y - STRIP) * 0.46 / most.max(1.0).sqrt())
}

fn radius(hours: f64, scale: f64) -> f64 {
    (hours.max(0.0).sqrt() * scale).max(2.0)
}

fn frame(svg: &mut String, bubbles: &Bubbles, policy: &str) -> std::fmt::Result {
    let all = bubbles
        .cells
        .values()
        .fold(Sum::default(), |sum, cell| Sum { tasks: sum.tasks + cell.tasks, hours: sum.hours + cell.hours });
    let spoken: Vec<String> = patterns()
        .filter_map(|pattern| {
            bubbles.patterns.get(&pattern).map(|sum| format!("{} {}", thousands(sum.tasks as f64), style(pattern).0))
        })
        .collect();
    let (right, bottom) = (LEFT + 5.0 * CELL_X, TOP + 5.0 * CELL_Y);
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-labelledby=\"title desc\" font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" \
         font-size=\"13\" fill=\"#222222\">\n\
         <title id=\"title\">Tasks by predictability and risk</title>\n\
         <desc id=\"desc\">{} rated tasks with {} hours a year, by predictability from 1 to 5 and by risk from 1 to 5; \
         the area of a bubble is hours a year. {}. {} tasks without these ratings are not shown.</desc>\n\
         <defs><pattern id=\"draft\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"#fff3e0\"/>\
         <path d=\"M0 0V6\" stroke=\"#e69138\" stroke-width=\"3\"/></pattern></defs>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"36\" font-size=\"22\" font-weight=\"600\">Where AI may take the work</text>\n\
         <text x=\"{LEFT}\" y=\"60\" fill=\"#555555\">{} rated tasks, {} hours a year; decided by {}</text>",
        thousands(all.tasks as f64),
        thousands(all.hours),
        if spoken.is_empty() { "None is decided".to_owned() } else { escape(&spoken.join(", ")) },
        thousands(bubbles.unrated as f64),
        thousands(all.tasks as f64),
        thousands(all.hours),
        escape(policy.strip_prefix("policies/").unwrap_or(policy)),
    )?;
    // The two corners that the seed names (S7, S8).
    let (corner_x, corner_y) = (2.0 * CELL_X, 2.0 * CELL_Y);
    writeln!(
        svg,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{corner_x:.1}\" height=\"{corner_y:.1}\" fill=\"#eef5fb\"/>\n\
         <rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{corner_x:.1}\" height=\"{corner_y:.1}\" fill=\"#fdf4ea\"/>",
        right - corner_x,
        bottom - corner_y,
    )?;
    for step in 0..=5 {
        let (x, y) = (LEFT + CELL_X * f64::from(step), TOP + CELL_Y * f64::from(step));
        writeln!(svg, "<path d=\"M{x:.1} {TOP}V{bottom}M{LEFT} {y:.1}H{right}\" stroke=\"#cccccc\" fill=\"none\"/>")?;
        if step < 5 {
            let (low, high) = (step + 1, 5 - step);
            let (middle_x, middle_y) = (x + CELL_X / 2.0, y + CELL_Y / 2.0 + 5.0);
            writeln!(
                svg,
                "<text x=\"{middle_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{low}</text>\
                 <text x=\"{:.1}\" y=\"{middle_y:.1}\" text-anchor=\"end\">{high}</text>",
                bottom + 20.0,
                LEFT - 10.0,
            )?;
        }
    }
    let (middle_x, middle_y) = (LEFT + 2.5 * CELL_X, TOP + 2.5 * CELL_Y);
    let below = bottom + 44.0;
    writeln!(
        svg,
        "<text x=\"{middle_x:.1}\" y=\"{below:.1}\" text-anchor=\"middle\" font-weight=\"600\">Predictability</text>\n\
         <text x=\"{LEFT}\" y=\"{below:.1}\" fill=\"#555555\">different every time</text>\n\
         <text x=\"{right:.1}\" y=\"{below:.1}\" text-anchor=\"end\" fill=\"#555555\">always the same</text>\n\
         <g transform=\"translate(34 {middle_y:.1}) rotate(-90)\" text-anchor=\"middle\">\
         <text font-weight=\"600\">Risk</text>\
         <text x=\"{:.1}\" text-anchor=\"start\" fill=\"#555555\">an error costs nothing</text>\
         <text x=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">hard to undo</text></g>",
        -2.5 * CELL_Y,
        2.5 * CELL_Y,
    )
}

/// Draws the bubbles of each cell and returns those that have a number, by number.
fn draw_cells<'a>(svg: &mut String, bubbles: &Bubbles, cells: &[Cell<'a>]) -> Vec<&'a Bubble> {
    let large = cells.iter().flat_map(|cell| &cell.drawn).filter(|(_, circle)| circle.radius >= 9.0);
    let mut named: Vec<&Bubble> = large.map(|(bubble, _)| *bubble).collect();
    named.sort_by(|a, b| b.hours.total_cmp(&a.hours).then_with(|| a.id.cmp(&b.id)));
    named.truncate(NAMED);
    let numbers: BTreeMap<&str, usize> = named.iter().zip(1..).map(|(bubble, n)| (bubble.id.as_str(), n)).collect();
    for cell in cells {
        for (bubble, circle) in &cell.drawn {
            let (name, look, ink) = style(bubble.pattern);
            let (title, hours) = (escape(&bubble.title), thousands(bubble.hours));
            let _ = write!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\" {look}>\
                 <title>{title}: {hours} h a year, {name}</title></circle>",
                circle.x, circle.y, circle.radius
            );
            if let Some(number) = numbers.get(bubble.id.as_str()) {
                let _ = write!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" font-weight=\"600\" \
                     fill=\"{ink}\">{number}</text>",
                    circle.x,
                    circle.y + 4.0
                );
            }
            svg.push('\n');
        }
        let sum = bubbles.cells.get(&cell.place).copied().unwrap_or_default();
        let tasks = match sum.tasks {
            1 => "1 task".to_owned(),
            n if n == cell.drawn.len() => format!("{n} tasks"),
            n => format!("{} of {}", cell.drawn.len(), compact(n as f64)),
        };
        let (x, y) = corner(cell.place);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\" fill=\"#555555\">{tasks}, {} h</text>",
            x + 5.0,
            y + 12.0,
            compact(sum.hours)
        );
    }
    named
}

/// Patterns, sizes, and the tasks that have a number.
fn key(svg: &mut String, bubbles: &Bubbles, named: &[&Bubble], scale: f64) -> std::fmt::Result {
    let heading = |svg: &mut String, y: f64, text: &str| {
        writeln!(svg, "<text x=\"{KEY_X}\" y=\"{y:.1}\" font-weight=\"600\">{text}</text>")
    };
    let mut y = TOP + 12.0;
    heading(svg, y, "Who does the work")?;
    for pattern in patterns() {
        y += 24.0;
        let (name, look, _) = style(pattern);
        let sum = bubbles.patterns.get(&pattern).copied().unwrap_or_default();
        writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"8\" {look}/><text x=\"{:.1}\" y=\"{y:.1}\">{name}: {} tasks, {} h</text>",
            KEY_X + 9.0,
            y - 4.5,
            KEY_X + 26.0,
            compact(sum.tasks as f64),
            compact(sum.hours)
        )?;
    }
    y += 38.0;
    heading(svg, y, "Hours a year (area)")?;
    let most = bubbles.largest.first().map_or(0.0, |bubble| bubble.hours);
    let mut x = KEY_X;
    y += 14.0;
    let tallest = radius(round_figure(most), scale);
    for hours in [most, most / 4.0, most / 16.0].map(round_figure) {
        let r = radius(hours, scale);
        writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{r:.1}\" fill=\"none\" stroke=\"#444444\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + r,
            y + tallest,
            x + 2.0 * r + 5.0,
            y + tallest + 4.5,
            thousands(hours)
        )?;
        x += 2.0 * r + 62.0;
    }
    y += 2.0 * tallest + 34.0;
    if !named.is_empty() {
        heading(svg, y, "The largest")?;
    }
    for (number, bubble) in (1..).zip(named) {
        y += 21.0;
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\" font-weight=\"600\" font-size=\"12\">{number}</text>\
             <text x=\"{:.1}\" y=\"{y:.1}\" font-size=\"12\">{}, {} h</text>",
            KEY_X + 16.0,
            KEY_X + 24.0,
            escape(&short(&bubble.title, 34)),
            thousands(bubble.hours)
        )?;
    }
    let unrated = match bubbles.unrated {
        0 => String::new(),
        1 => " One task without both ratings is not shown.".to_owned(),
        n => format!(" {} tasks without both ratings are not shown.", thousands(n as f64)),
    };
    writeln!(
        svg,
        "<g font-size=\"10.5\" fill=\"#555555\"><text x=\"{LEFT}\" y=\"{:.1}\">Each cell: its tasks, how many of them are \
         drawn, their hours a year. A place within a cell means nothing.{unrated}</text>\
         <text x=\"{LEFT}\" y=\"{:.1}\">Blue corner: predictable and of low risk. Orange corner: unpredictable and \
         risky.</text></g>",
        HEIGHT - 28.0,
        HEIGHT - 13.0
    )
}

/// The nearest of 1, 2 and 5 times a power of ten at most `hours`, and at least 1.
fn round_figure(hours: f64) -> f64 {
    let power = 10f64.powf(hours.max(1.0).log10().floor());
    let factor = [5.0, 2.0, 1.0].into_iter().find(|factor| factor * power <= hours.max(1.0)).unwrap_or(1.0);
    factor * power
}

/// A number that always finds room: from 10,000 on in thousands, from 10 million on in millions.
fn compact(number: f64) -> String {
    match number {
        n if n >= 9_999_500.0 => format!("{}M", thousands(n / 1e6)),
        n if n >= 9_999.5 => format!("{}k", thousands((n / 1e3).round())),
        n => thousands(n),
    }
}

/// A whole number with a comma at every three digits; one decimal place below 10.
fn thousands(number: f64) -> String {
    if number < 9.95 && number.fract() > 0.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most - 1).collect();
    format!("{}…", cut.trim_end())
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

    fn bubble(id: &str, title: &str, place: (i32, i32), hours: f64) -> Bubble {
        Bubble { id: id.into(), title: title.into(), place, hours, pattern: Some(Pattern::HumanOnTheLoop) }
    }

    #[test]
    fn a_picture_is_deterministic_and_escapes_titles() {
        let draw = || {
            let mut bubbles = Bubbles::default();
            bubbles.add(Some(bubble("a", "<script>", (5, 1), 10.0)));
            draw(bubbles, "policies/p/versions/1")
        };
        let svg = draw();
        assert_eq!(svg, draw());
        assert!(svg.contains("&lt;script&gt;: 10 h a year") && !svg.contains("<script>"));
        assert!(svg.contains("<desc id=\"desc\">1 rated tasks with 10 hours a year"));
        assert!(super::draw(Bubbles::default(), "").ends_with("</svg>\n"));
    }

    #[test]
    fn what_has_no_room_in_its_cell_is_counted_there() {
        let mut bubbles = Bubbles::default();
        (0..5_000).for_each(|n| bubbles.add(Some(bubble(&format!("t{n:04}"), "T", (3, 3), 100.0))));
        assert!(bubbles.largest.len() < 2 * MOST, "collecting is bounded");
        let svg = draw(bubbles, "policies/p/versions/1");
        // Five circles are in the key, and three show sizes.
        let drawn = svg.matches("<circle").count() - 8;
        assert_eq!(drawn, IN_CELL);
        assert!(svg.contains(&format!(">{drawn} of 5,000, 500k h<")));
    }

    #[test]
    fn a_giant_leaves_room_for_its_neighbours() {
        let mut bubbles = Bubbles::default();
        for (n, hours) in [4_160.0, 2_080.0, 100.0, 1.0].into_iter().enumerate() {
            bubbles.add(Some(bubble(&format!("t{n}"), &format!("Task {n}"), (5, 1), hours)));
        }
        let svg = draw(bubbles, "policies/p/versions/1");
        assert!(svg.contains(">4 tasks, 6,341 h<") && svg.contains(">Task 1, 2,080 h<"));
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([0.0, 0.4, 9.9, 12.4, 1_234_567.0].map(thousands), ["0", "0.4", "9.9", "12", "1,234,567"]);
        assert_eq!([0.0, 7.0, 520.0, 1_999.0].map(round_figure), [1.0, 5.0, 500.0, 1_000.0]);
        assert_eq!([9_999.4, 9_999.5, 92_248.0, 12_345_678.0].map(compact), ["9,999", "10k", "92k", "12M"]);
        assert_eq!(short("abcdef", 4), "abc…");
    }
}
