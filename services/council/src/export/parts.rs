//! The document in full: the sections, each beginning with what it says, and the appendices.

use super::page::{Chart, Page, Part, Piece, Table, Value};
use super::values::{fact, is_number, shown};
use super::{Document, charts, first, words};
use crate::review::pack::{Block, Cell, Section, Unit};
use crate::review::tone::{Tone, Toned as _};
use remit_api::council::v1::{Disposition, RolloutState};
use remit_api::wire::Word as _;

/// What each section answers.
const ANSWERS: [(&str, &str); 20] = [
    ("header", "Which month this is, and whether all of its records are in."),
    ("attendance", "Who took part, and whether they may sign."),
    ("previous", "What became of what was decided before."),
    ("inventory", "What is new, changed or gone among tasks, models and prompts."),
    ("decisions", "What AI was allowed to do, and how often."),
    ("drift", "Whether what the machines see or say has changed."),
    ("quality", "How often reviewed work was wrong."),
    ("privacy", "What happened with personal data."),
    ("handoffs", "Whether people got AI's work in time, and how often it came back."),
    ("oversight", "Whether people look before they approve."),
    ("kpis", "Whether the figures reached their targets."),
    ("models", "Which models run, who approved them, and what is out of date."),
    ("incidents", "What went wrong, and whether it was reported in time."),
    ("waivers", "Which rules are set aside, for whom and until when."),
    ("policy", "Which rules changed, and which are out of date."),
    ("disclosure", "Whether people are told that they see AI's work."),
    ("controls", "Which rules of law and standards the records can answer for."),
    ("audit", "Whether the records themselves can be relied on."),
    ("requests", "What the body is asked to vote on."),
    ("strategy", "Whether the strategy still fits what happened."),
];

/// Terms that people outside do not know, explained where they first occur.
const TERMS: [(&str, &str); 12] = [
    ("PSI", "population stability index: how far two distributions lie apart; 0 is the same."),
    ("psi", "population stability index: how far two distributions lie apart; 0 is the same."),
    ("baseline", "what a value is compared with, usually the month a version was approved on."),
    ("cut-off", "the instant after which records belong to the next review."),
    ("checkpoint", "a signed statement of how long the audit log is and what it holds."),
    ("uorum", "quorum: how many members, of which groups, must agree."),
    ("reak-glass", "break-glass: a person bypasses a hold for a short time, on record."),
    ("aiver", "waiver: a rule set aside for a stated time by a vote."),
    ("SLA", "service level: the time that work may wait for people."),
    ("override", "a person replaces what AI did or decided."),
    ("Art. 22", "Art. 22 GDPR: decisions about people by machines alone."),
    ("Art. 50", "Art. 50 EU AI Act: telling people that they see AI's work."),
];

/// Things joined as people join them.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
        Tone::Mute => "mute",
    }
}

/// A value as people read it, with how good it is.
pub(super) fn judged(cell: &Cell, unit: Unit) -> Value {
    match cell {
        Cell::Judged { word, tone } => Value { text: word.replace('_', " ").to_lowercase(), tone: class(*tone) },
        Cell::Text(word) if words::is_word(word) => word.to_lowercase().into(),
        other => words::plain(&shown(other, unit)).into(),
    }
}

/// The heading of a column.
fn heading(label: &str) -> String {
    if words::is_word(label) { label.to_lowercase() } else { label.to_owned() }
}

fn piece(section: &Section, at: usize, block: &Block) -> Option<Piece> {
    let region = format!("{}, table {}", section.title, at + 1);
    Some(match block {
        Block::Facts { facts, .. } => {
            let said = facts.iter().map(|one| (one.label.clone(), words::plain(&fact(one))));
            Piece::Facts(said.collect())
        }
        Block::Table { title, columns, rows } => Piece::Table(Table {
            title: title.clone(),
            region,
            columns: columns.iter().map(|column| (heading(&column.label), is_number(column.unit))).collect(),
            rows: rows
                .iter()
                .map(|row| columns.iter().zip(row).map(|(column, cell)| judged(cell, column.unit)).collect())
                .collect(),
        }),
        Block::Bars { title, bars } => Piece::Chart(Chart {
            title: title.clone(),
            panels: vec![charts::bars(title, bars)?],
            legend: "Shares on one axis. Filled: the month. Outlined: the month before. Line: the target. What is no \
                     share stands in the table."
                .to_owned(),
            table: None,
        }),
        Block::Histogram { title, month, baseline } => {
            let title = words::plain(title);
            let share = |value: &f64| Value::from(shown(&(*value).into(), Unit::Ratio));
            let rows = (1..).zip(month.iter().zip(baseline));
            Piece::Chart(Chart {
                panels: vec![charts::histogram(&title, month, baseline)],
                legend: "Share of values by bin, from low to high. Outlined: the baseline. Filled: the month."
                    .to_owned(),
                table: Some(Table {
                    title: String::new(),
                    region,
                    columns: [("bin", true), ("month", true), ("baseline", true)]
                        .map(|(label, right)| (label.to_owned(), right))
                        .to_vec(),
                    rows: rows
                        .map(|(at, (now, before)): (i32, _)| vec![at.to_string().into(), share(now), share(before)])
                        .collect(),
                }),
                title,
            })
        }
        Block::Trend(trend) => {
            let rows = trend
                .points
                .iter()
                .map(|point| vec![point.period.as_str().into(), shown(&point.value.into(), Unit::Number).into()]);
            Piece::Chart(Chart {
                title: words::plain(&trend.title),
                panels: vec![charts::trend(trend)],
                legend:
                    "Dashed: from where a shift is moderate, and clear. A month without enough data is a gap, shaded."
                        .to_owned(),
                table: Some(Table {
                    title: String::new(),
                    region,
                    columns: vec![("month".to_owned(), false), ("value".to_owned(), true)],
                    rows: rows.collect(),
                }),
            })
        }
        Block::Note { text } => Piece::Note(words::plain(text)),
        Block::Unavailable { source, why } => Piece::Gone(source.clone(), why.clone()),
    })
}

/// The first figures of a section in a sentence; where it has none, how long its tables are.
fn figures(section: &Section) -> String {
    const MOST: usize = 4;
    let of_facts = section.blocks.iter().find_map(|block| match block {
        Block::Facts { facts, .. } => {
            let counted = facts.iter().filter(|one| one.unit != Unit::Text && one.value.as_number().is_some());
            let said: Vec<String> =
                counted.take(MOST).map(|one| format!("{} {}", lower(&one.label), fact(one))).collect();
            (!said.is_empty()).then(|| list(&said))
        }
        _ => None,
    });
    let of_tables = || {
        let long = section.blocks.iter().filter_map(|block| match block {
            Block::Table { title, rows, .. } if !title.is_empty() => {
                Some(format!("{} {}", lower(title), super::values::number(rows.len() as f64)))
            }
            _ => None,
        });
        list(&long.take(MOST).collect::<Vec<_>>())
    };
    let said = of_facts.unwrap_or_else(of_tables);
    if said.is_empty() { said } else { format!("{}.", words::sentence(&said)) }
}

/// A label inside a sentence: `KPIs` stays as it is.
pub(super) fn lower(label: &str) -> String {
    let mut letters = label.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        _ => label.to_owned(),
    }
}

/// What a section says, before its details.
fn lead(document: &Document<'_>, section: &Section) -> String {
    let answers = ANSWERS.into_iter().find(|(key, _)| *key == section.key).map_or("", |(_, answers)| answers);
    let gone: Vec<String> = section
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Unavailable { source, .. } => Some(source.clone()),
            _ => None,
        })
        .collect();
    let of_section = document.pack.evidence.findings.iter().filter(|finding| finding.section == section.key);
    let open = of_section.filter(|finding| finding.disposition == Disposition::Unspecified).count();
    let asked = match (open, gone.is_empty()) {
        (0, true) => "Nothing in it asks for a decision.".to_owned(),
        (0, false) => format!("It could not be looked at in full: {} gave no answer.", list(&gone)),
        (1, _) => "One finding in it asks for an answer.".to_owned(),
        (n, _) => format!("{} in it ask for an answer.", words::sentence(&words::some(n, "finding", "findings"))),
    };
    format!("{answers} {} {asked}", figures(section)).trim_start().replace("  ", " ")
}

fn part(document: &Document<'_>, section: &Section) -> Part {
    let mut pieces = Vec::new();
    for (at, block) in section.blocks.iter().enumerate() {
        if let Block::Facts { title, .. } = block
            && !title.is_empty()
        {
            pieces.push(Piece::Heading(title.clone()));
        }
        pieces.extend(piece(section, at, block));
    }
    if section.key == "attendance" {
        pieces.extend(people(document));
    }
    Part {
        id: section.key.clone(),
        title: format!("{}. {}", section.number, section.title),
        lead: lead(document, section),
        pieces,
    }
}

fn named(title: &str, facts: Vec<(String, String)>, none: &str) -> [Piece; 2] {
    let said = if facts.is_empty() { Piece::Note(none.to_owned()) } else { Piece::Facts(facts) };
    [Piece::Heading(title.to_owned()), said]
}

fn people(document: &Document<'_>) -> Vec<Piece> {
    let pack = document.pack;
    let group = |group: &str| group.replace('_', " ");
    let present = pack.attendance.iter().map(|one| {
        let word = if one.present { "present" } else { "absent" };
        (format!("{} ({})", one.subject, group(&one.role_group)), word.to_owned())
    });
    let recused = pack.recusals.iter().map(|one| (one.subject.clone(), format!("not on {}: {}", one.item, one.reason)));
    let signed = document.signatures.iter().map(|one| {
        let word = if one.valid { "signed" } else { "signed, void since a later change" };
        let when = words::plain(&one.time);
        (format!("{} ({})", one.signer, group(&one.role_group)), format!("{word}, {when} {}", one.comment))
    });
    let mut pieces = Vec::new();
    pieces.extend(named("Present", present.collect(), "Not recorded."));
    pieces.extend(named("Conflicts declared", recused.collect(), "None."));
    pieces.extend(named("Signatures", signed.collect(), "None."));
    pieces
}

fn controls(document: &Document<'_>) -> Part {
    let rows = document.pack.evidence.assurance.iter().map(|one| {
        vec![
            one.id.as_str().into(),
            format!("{} {}", one.framework, one.clause).into(),
            one.requirement.as_str().into(),
            one.class.word().replace('_', " ").to_lowercase().into(),
            Value { text: one.result.text().to_owned(), tone: one.result.tone().map_or("", class) },
            words::plain(&one.evidence.join("; ")).into(),
        ]
    });
    let columns = ["control", "place", "asks", "class", "result", "evidence"];
    Part {
        id: "all-controls".to_owned(),
        title: "Appendix A: all controls".to_owned(),
        lead: "What the records say about each rule; never that it is complied with.".to_owned(),
        pieces: vec![Piece::Table(Table {
            title: String::new(),
            region: "All controls".to_owned(),
            columns: columns.map(|label| (label.to_owned(), false)).to_vec(),
            rows: rows.collect(),
        })],
    }
}

fn proofs(document: &Document<'_>) -> Part {
    let header = &document.pack.evidence.header;
    let mut facts = vec![
        ("Pack".to_owned(), document.pack_digest.clone()),
        ("Evidence".to_owned(), document.pack.evidence_digest.clone()),
        ("Generator".to_owned(), format!("{}, control library {}", header.generator, header.library)),
    ];
    match &document.seal {
        Some(seal) => facts.extend([
            ("Seal".to_owned(), format!("{} over {}, {}", seal.algorithm, seal.signed, seal.time)),
            ("Signature".to_owned(), seal.signature.clone()),
            ("Public key".to_owned(), seal.public_key.clone()),
            ("Audit event".to_owned(), seal.audit_event.clone()),
        ]),
        None => facts.push(("Seal".to_owned(), "not sealed".to_owned())),
    }
    Part {
        id: "proofs".to_owned(),
        title: "Appendix B: what proves this pack".to_owned(),
        lead: "Digests, seal and key; the command remit review verify checks them in the JSON form without a server."
            .to_owned(),
        pieces: vec![Piece::Facts(facts)],
    }
}

/// The checklist of the first 90 days; none in packs from before there was one.
fn rollout(document: &Document<'_>) -> Option<Part> {
    let steps = &document.pack.evidence.rollout;
    if steps.is_empty() {
        return None;
    }
    let zone = &document.pack.evidence.header.zone;
    let all = "The records show every step of the first 90 days; nothing of it is left to do.";
    let lead = first::rollout_left(steps).unwrap_or_else(|| all.to_owned());
    let rows = steps.iter().map(|step| {
        let (text, tone) = match step.state {
            RolloutState::Done => ("done", "good"),
            RolloutState::UnderWay => ("under way", "warn"),
            RolloutState::Unknown => ("not known", "warn"),
            RolloutState::Open | RolloutState::Unspecified => ("open", "mute"),
        };
        let since = if step.since.is_empty() { "–".to_owned() } else { words::instant(&step.since, zone) };
        let records: Vec<String> = step.records.iter().map(|record| words::plain(record)).collect();
        vec![
            step.title.as_str().into(),
            Value { text: text.to_owned(), tone },
            since.into(),
            words::sentence(&step.said).into(),
            records.join("; ").into(),
            step.facts.join(", ").into(),
        ]
    });
    let columns = ["step", "state", "since", "what the records show", "records", "asked for by"];
    Some(Part {
        id: "rollout".to_owned(),
        title: "Appendix C: the first 90 days".to_owned(),
        lead,
        pieces: vec![Piece::Table(Table {
            title: String::new(),
            region: "The first 90 days".to_owned(),
            columns: columns.map(|label| (label.to_owned(), false)).to_vec(),
            rows: rows.collect(),
        })],
    })
}

/// Whether a part says a term.
fn says(part: &Part, term: &str) -> bool {
    let table = |table: &Table| {
        table.title.contains(term)
            || table.columns.iter().any(|(label, _)| label.contains(term))
            || table.rows.iter().flatten().any(|value| value.text.contains(term))
    };
    let piece = |piece: &Piece| match piece {
        Piece::Heading(text) | Piece::Note(text) | Piece::Written(text) => text.contains(term),
        Piece::Gone(..) => false,
        Piece::Points(pairs) | Piece::Facts(pairs) => {
            pairs.iter().any(|(label, value)| label.contains(term) || value.contains(term))
        }
        Piece::Table(one) => table(one),
        Piece::Chart(chart) => chart.title.contains(term) || chart.legend.contains(term),
        Piece::Ask(ask) => ask.what.contains(term) || ask.why.contains(term),
    };
    part.title.contains(term) || part.lead.contains(term) || part.pieces.iter().any(piece)
}

/// Puts what a term means below the lead of the part in which it first occurs.
fn explain(parts: &mut [Part]) {
    let mut told: Vec<&str> = Vec::new();
    for part in parts {
        let mut notes: Vec<String> = Vec::new();
        for (term, meaning) in TERMS {
            if told.contains(&meaning) || !says(part, term) {
                continue;
            }
            told.push(meaning);
            let named = meaning.contains(": ") && !matches!(term, "PSI" | "psi" | "SLA");
            notes.push(if named { words::sentence(meaning) } else { format!("{term}: {meaning}") });
        }
        if !notes.is_empty() {
            part.pieces.push(Piece::Note(notes.join(" ")));
        }
    }
}

/// The document of a pack.
pub(super) fn page(document: &Document<'_>) -> Page {
    let evidence = &document.pack.evidence;
    let header = &evidence.header;
    let mut all = first::parts(document);
    let of_first = all.len();
    all.push(first::all(document));
    all.extend(evidence.sections.iter().map(|section| part(document, section)));
    let written = if document.pack.minutes.is_empty() {
        Piece::Note("None yet.".to_owned())
    } else {
        Piece::Written(document.pack.minutes.clone())
    };
    all.push(Part {
        id: "minutes".to_owned(),
        title: "Minutes".to_owned(),
        lead: "What was said and decided at the meeting.".to_owned(),
        pieces: vec![written],
    });
    explain(&mut all);
    let parts = all.split_off(of_first);
    let short: String = document.pack_digest.chars().take(15).collect();
    let whole = if header.complete {
        "What arrives later is in the next review, marked."
    } else {
        "It was collected before the cut-off: what came in between is in the next review, marked."
    };
    Page {
        title: format!("{} · {}", words::month(&header.period), header.body_title),
        subtitle: format!(
            "Review of {} to {} · {}",
            words::instant(&header.start_time, &header.zone),
            words::instant(&header.end_time, &header.zone),
            document.state.to_lowercase()
        ),
        lead: first::lead(evidence),
        first: all,
        parts,
        appendices: [controls(document), proofs(document)].into_iter().chain(rollout(document)).collect(),
        frozen: format!(
            "Everything here is frozen as of {} (digest {short}…). {whole}",
            words::instant(&header.collect_time, &header.zone)
        ),
    }
}
