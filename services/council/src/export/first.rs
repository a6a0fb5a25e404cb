//! The first page: what changed, what is asked of whom by when, and what happens if nothing is decided.

use super::page::{Chart, Part, Piece, Table, Value};
use super::parts::{judged, list, lower};
use super::values::{number, shown};
use super::{Document, asks, charts, words};
use crate::review::measures::Measure;
use crate::review::pack::{Cell, Drift, Evidence, Finding};
use crate::review::rollout::Step;
use crate::review::tone::Tone;
use remit_api::council::v1::{Disposition, DriftVerdict, FindingSeverity, RolloutState};

/// The layers: their word, what a person asks of them.
const LAYERS: [(&str, &str); 3] =
    [("OPERATIONAL", "Machines run well"), ("EXECUTION", "Work pays"), ("STRATEGIC", "Business")];

/// More things than this are not asked on the first page one by one.
const MOST: usize = 5;

fn undecided(evidence: &Evidence, severity: FindingSeverity) -> Vec<&Finding> {
    let open = |finding: &&Finding| finding.disposition == Disposition::Unspecified && finding.severity == severity;
    evidence.findings.iter().filter(open).collect()
}

/// What asked for an answer and has one.
fn decided(evidence: &Evidence) -> Vec<&Finding> {
    let grave = |finding: &&Finding| {
        finding.disposition != Disposition::Unspecified && finding.severity != FindingSeverity::Info
    };
    evidence.findings.iter().filter(grave).collect()
}

/// What was decided, shortly; those beyond what a first page holds are counted.
fn told(document: &Document<'_>) -> Option<Part> {
    let decided = decided(&document.pack.evidence);
    let asks = decided.iter().take(MOST).map(|finding| asks::ask(document, finding));
    let points: Vec<(String, String)> =
        asks.map(|ask| (ask.what.trim_end_matches('.').to_owned(), words::sentence(&ask.decided))).collect();
    let mut pieces = vec![Piece::Points(points)];
    if let Some(more) = decided.len().checked_sub(MOST).filter(|more| *more > 0) {
        pieces.push(Piece::Note(format!("{} more: see All findings.", number(more as f64))));
    }
    (!decided.is_empty()).then(|| Part {
        id: "decided".to_owned(),
        title: "Decided".to_owned(),
        lead: "What the body has answered already.".to_owned(),
        pieces,
    })
}

/// All in one sentence.
pub(super) fn lead(evidence: &Evidence) -> String {
    let decisions = undecided(evidence, FindingSeverity::Critical).len();
    let owners = undecided(evidence, FindingSeverity::Warning).len();
    let away = evidence.unavailable();
    let said = match (decisions, owners) {
        (0, 0) if away.is_empty() && !decided(evidence).is_empty() => {
            let n = decided(evidence).len();
            let verb = if n == 1 { "was" } else { "were" };
            let what = words::sentence(&words::some(n, "thing", "things"));
            format!("Nothing is asked of you any more. {what} that asked for an answer {verb} decided.")
        }
        (0, 0) if away.is_empty() => "Nothing is asked of you: what was looked at needs no decision.".to_owned(),
        (0, 0) => "Nothing of what could be looked at needs a decision.".to_owned(),
        (0, _) => format!("{} an owner.", need(owners)),
        (_, 0) => format!("{} asked of you.", are(decisions)),
        _ => format!("{} asked of you. {} an owner.", are(decisions), need(owners)),
    };
    if away.is_empty() {
        return said;
    }
    let sources = words::some(away.len(), "source", "sources");
    format!("{said} Not everything was looked at: {sources} gave no answer ({}).", away.join(", "))
}

fn are(n: usize) -> String {
    let verb = if n == 1 { "is" } else { "are" };
    format!("{} {verb}", words::sentence(&words::some(n, "decision", "decisions")))
}

fn need(n: usize) -> String {
    let verb = if n == 1 { "needs" } else { "need" };
    format!("{} {verb}", words::sentence(&words::some(n, "thing", "things")))
}

/// Asks as pieces; those beyond what a first page holds are counted and linked.
fn asked(document: &Document<'_>, findings: &[&Finding]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> =
        findings.iter().take(MOST).map(|finding| Piece::Ask(asks::ask(document, finding))).collect();
    if let Some(more) = findings.len().checked_sub(MOST).filter(|more| *more > 0) {
        pieces.push(Piece::Note(format!("{} more of this kind: see All findings.", number(more as f64))));
    }
    pieces
}

/// The parts of the first page.
pub(super) fn parts(document: &Document<'_>) -> Vec<Part> {
    let evidence = &document.pack.evidence;
    let mut parts = Vec::new();
    for (id, title, severity, what) in [
        ("decide", "Decide", FindingSeverity::Critical, "What needs a decision by the body, the gravest first."),
        ("owners", "Give an owner", FindingSeverity::Warning, "What needs somebody who sees to it."),
    ] {
        let findings = undecided(evidence, severity);
        if !findings.is_empty() {
            let pieces = asked(document, &findings);
            parts.push(Part { id: id.to_owned(), title: title.to_owned(), lead: what.to_owned(), pieces });
        }
    }
    parts.extend(told(document));
    let mut pieces = vec![Piece::Table(layers(evidence))];
    pieces.extend(trends(evidence));
    pieces.push(Piece::Points(points(document)));
    parts.push(Part {
        id: "know".to_owned(),
        title: "Know".to_owned(),
        lead: "How the three layers stand, whether anything has drifted, and what holds this review together."
            .to_owned(),
        pieces,
    });
    parts
}

/// All findings, also those that are decided.
pub(super) fn all(document: &Document<'_>) -> Part {
    let evidence = &document.pack.evidence;
    let open = evidence.findings.iter().filter(|one| one.disposition == Disposition::Unspecified).count();
    let lead = if evidence.findings.is_empty() {
        lead(evidence)
    } else {
        format!(
            "{} in all, of which {} undecided.",
            words::sentence(&words::some(evidence.findings.len(), "finding", "findings")),
            number(open as f64)
        )
    };
    // The first page asks the same, so that the anchor is taken.
    let of_first = [FindingSeverity::Critical, FindingSeverity::Warning].map(|severity| undecided(evidence, severity));
    let taken: Vec<&str> = of_first.iter().flat_map(|all| all.iter().take(MOST)).map(|one| one.id.as_str()).collect();
    let pieces = evidence.findings.iter().map(|finding| {
        let mut ask = asks::ask(document, finding);
        if taken.contains(&finding.id.as_str()) {
            ask.id = format!("all-{}", finding.id);
        }
        Piece::Ask(ask)
    });
    Part { id: "findings".to_owned(), title: "All findings".to_owned(), lead, pieces: pieces.collect() }
}

/// The KPI that speaks for a layer: one that misses its target, else the one that rests on most values.
fn speaks<'a>(evidence: &'a Evidence, layer: &str) -> Option<&'a Measure> {
    let badness = |measure: &Measure| match measure.verdict {
        Cell::Judged { tone: Tone::Bad, .. } => 2,
        Cell::Judged { tone: Tone::Warn, .. } => 1,
        _ => 0,
    };
    let of_layer = evidence.measures.iter().filter(|one| one.layer == layer && one.value.as_number().is_some());
    of_layer.max_by_key(|one| (badness(one), one.target != Cell::None, one.n))
}

/// How a value stands: never "on target" where its interval holds the target.
fn stands(measure: &Measure) -> Value {
    let (low, high, target) = (measure.lower.as_number(), measure.upper.as_number(), measure.target.as_number());
    match (low, high, target) {
        (Some(low), Some(high), Some(target)) if low <= target && target <= high => {
            Value { text: format!("too few to say (n {})", number(measure.n as f64)), tone: "mute" }
        }
        (_, _, None) => Value { text: "no target set".to_owned(), tone: "mute" },
        _ => judged(&measure.verdict, measure.unit),
    }
}

fn layers(evidence: &Evidence) -> Table {
    let rows = LAYERS.into_iter().map(|(layer, says)| match speaks(evidence, layer) {
        Some(one) => {
            let interval = match (&one.lower, &one.upper) {
                (Cell::None, _) | (_, Cell::None) => String::new(),
                (low, high) => format!(" ({} to {})", shown(low, one.unit), shown(high, one.unit)),
            };
            let of = |value: &Cell, n: i64| match value {
                Cell::None => "–".to_owned(),
                value => format!("{} of n {}", shown(value, one.unit), number(n as f64)),
            };
            let now = format!("{}{interval} of n {}", shown(&one.value, one.unit), number(one.n as f64));
            vec![
                format!("{says} · {}", one.title).into(),
                now.into(),
                of(&one.previous, one.previous_n).into(),
                shown(&one.target, one.unit).into(),
                stands(one),
            ]
        }
        None => {
            let silent = Value { text: "not measured this month".to_owned(), tone: "mute" };
            vec![says.into(), "–".into(), "–".into(), "–".into(), silent]
        }
    });
    let columns = ["layer", "this month", "last month", "target", "verdict"];
    Table {
        title: "The three layers; in brackets the interval in which the true value lies, 19 times of 20".to_owned(),
        region: "The three layers".to_owned(),
        columns: columns.map(|label| (label.to_owned(), false)).to_vec(),
        rows: rows.collect(),
    }
}

/// The month and the twelve before for what speaks for each layer; a month without data is a gap.
fn trends(evidence: &Evidence) -> Option<Piece> {
    let mut panels = Vec::new();
    let mut columns = vec![("month".to_owned(), false)];
    let months = charts::months_up_to(&evidence.header.period, 13);
    let mut rows: Vec<Vec<Value>> = months.iter().map(|month| vec![Value::from(month.as_str())]).collect();
    for (layer, says) in LAYERS {
        let Some(one) = speaks(evidence, layer) else { continue };
        let value = |month: &String| {
            if *month == evidence.header.period {
                return one.value.as_number();
            }
            evidence.past.iter().find(|past| past.period == *month)?.values.get(&one.kpi).copied()
        };
        let values: Vec<Option<f64>> = months.iter().map(value).collect();
        for (row, value) in rows.iter_mut().zip(&values) {
            row.push(shown(&(*value).into(), one.unit).into());
        }
        columns.push((one.title.clone(), true));
        let band = one.lower.as_number().zip(one.upper.as_number());
        let line = charts::Line { months: &months, values: &values, unit: one.unit };
        panels.push(charts::line(&format!("{says}: {}", one.title), &line, one.target.as_number(), band));
    }
    if panels.is_empty() {
        return None;
    }
    let title = "The three layers over 13 months".to_owned();
    let region = "Values of the three layers by month".to_owned();
    Some(Piece::Chart(Chart {
        title,
        panels,
        legend: "Each line is one KPI on its own axis. Dashed: the target. The bar at the last month: its interval. \
                 A month without data is a gap, shaded."
            .to_owned(),
        table: Some(Table { title: String::new(), region, columns, rows }),
    }))
}

/// The size of the log that a signed note speaks of.
fn log_size(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

/// How many steps of the first 90 days are left, and which is the next; `None` when none is.
pub(super) fn rollout_left(steps: &[Step]) -> Option<String> {
    let mut left = steps.iter().filter(|step| step.state != RolloutState::Done);
    let next = lower(left.next()?.title.trim_end_matches('.'));
    let n = left.count().saturating_add(1);
    Some(format!(
        "The records show {} of {} steps; the next that they do not show: {next}.",
        steps.len().saturating_sub(n),
        steps.len()
    ))
}

fn points(document: &Document<'_>) -> Vec<(String, String)> {
    let evidence = &document.pack.evidence;
    let verdicts = |verdict| evidence.drift.iter().filter(move |one| one.verdict == verdict);
    let named = |one: &Drift| format!("{} by {}", words::plain(&one.subject), asks::statistic(&one.statistic));
    let clear: Vec<String> = verdicts(DriftVerdict::Significant).map(named).collect();
    let unknown = verdicts(DriftVerdict::InsufficientData).count();
    let shifted = if clear.is_empty() { String::new() } else { format!(" ({})", clear.join(", ")) };
    let drift = format!(
        "{} of {} signals shifted clearly{shifted}, {} moderately; {} could not be judged for want of data.",
        clear.len(),
        evidence.drift.len(),
        verdicts(DriftVerdict::Moderate).count(),
        unknown,
    );
    let records = match (evidence.audit_verified, log_size(&evidence.audit_checkpoint)) {
        (true, Some(size)) => format!("The audit log was checked and holds up to entry {}.", number(size as f64)),
        (true, None) => "The audit log was checked, and no checkpoint was given.".to_owned(),
        (false, _) => "The audit log could not be verified: the figures rest on records nobody has checked.".to_owned(),
    };
    let mut results: Vec<(&'static str, usize)> = Vec::new();
    for control in &evidence.assurance {
        match results.iter_mut().find(|(text, _)| *text == control.result.text()) {
            Some((_, n)) => *n += 1,
            None => results.push((control.result.text(), 1)),
        }
    }
    let controls = results.iter().map(|(text, n)| format!("{n} {text}")).collect::<Vec<_>>().join(", ");
    let overdue = evidence.findings.iter().filter(|one| one.code == "ACTION_OVERDUE").count();
    let signed = document.signatures.iter().filter(|one| one.valid).count();
    let away = evidence.unavailable();
    let mut points = vec![
        ("Drift".to_owned(), drift),
        ("Records".to_owned(), records),
        ("Rules".to_owned(), format!("{} controls: {controls}.", evidence.assurance.len())),
        (
            "Actions".to_owned(),
            if overdue == 0 { "None overdue.".to_owned() } else { format!("{overdue} overdue, above.") },
        ),
        ("Signatures".to_owned(), format!("{signed} that count; {}.", document.state.to_lowercase())),
    ];
    if let Some(said) = rollout_left(&evidence.rollout) {
        points.push(("First 90 days".to_owned(), said));
    }
    if !away.is_empty() {
        points.push(("Not looked at".to_owned(), format!("{}.", list(&away))));
    }
    points
}
