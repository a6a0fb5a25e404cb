#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::review::cited::Cited;
use crate::review::due::Due;
use crate::review::measures::{Measure, Past};
use crate::review::pack::Drift;
use crate::review::pack::{
    Assurance, Bar, Block, Cell, Column, Evidence, Fact, Finding, Header, Point, Section, Trend, Unit,
};
use crate::review::rollout::Step;
use crate::review::tone::{Assessed, Tone};
use remit_api::council::v1::{Disposition, DriftResult, EvidenceClass, Finding as ApiFinding, ReviewState};
use remit_api::council::v1::{DriftDetector, DriftVerdict, FindingSeverity, RolloutState};
use std::io::Read as _;

fn evidence() -> Evidence {
    let blocks = vec![
        Block::Facts {
            title: "Facts".into(),
            facts: vec![Fact { label: "Rate".into(), unit: Unit::Ratio, value: Cell::None, n: Some(0) }],
        },
        Block::Table {
            title: "Table".into(),
            columns: vec![
                Column { label: "a|b".into(), unit: Unit::Text },
                Column { label: "n".into(), unit: Unit::Count },
            ],
            rows: vec![vec!["<script>alert(1)</script>".into(), 1_234_i64.into()]],
        },
        Block::Bars {
            title: "Bars".into(),
            bars: vec![Bar {
                label: "K & L".into(),
                value: 0.5,
                previous: Some(0.25),
                target: None,
                unit: Unit::Ratio,
                n: 10,
            }],
        },
        Block::Histogram { title: "Histogram".into(), month: vec![0.5, 0.5], baseline: vec![0.25, 0.75] },
        Block::Trend(Trend {
            title: "Trend".into(),
            points: vec![
                Point { period: "2009-04".into(), value: 0.1 },
                Point { period: "2009-05".into(), value: 0.4 },
            ],
            moderate: 0.1,
            significant: 0.25,
        }),
        Block::Unavailable { source: "kpi.summary".into(), why: "UNAVAILABLE: no way".into() },
    ];
    Evidence {
        schema: "remit.review.evidence/1".into(),
        header: Header {
            period: "2009-05".into(),
            body: "bodies/steering-group".into(),
            body_title: "AI steering group".into(),
            rule: "a majority of the eligible seats, at least 1 from legal".into(),
            zone: "UTC".into(),
            start_time: "2009-05-01T00:00:00Z".into(),
            end_time: "2009-06-01T00:00:00Z".into(),
            cut_off_time: "2009-06-04T00:00:00Z".into(),
            collect_time: "2009-06-01T00:00:00Z".into(),
            complete: false,
            generator: "test".into(),
            library: "test".into(),
            policy: "none".into(),
        },
        sections: vec![Section { number: 1, key: "header".into(), title: "Period".into(), blocks }],
        drift: Vec::new(),
        findings: vec![Finding::from(&ApiFinding { id: "F".into(), title: "=cmd()".into(), ..ApiFinding::default() })],
        assurance: vec![Assurance {
            id: "C1".into(),
            framework: "EU AI Act".into(),
            clause: "Art. 4".into(),
            requirement: "literacy".into(),
            class: EvidenceClass::Attested,
            result: Assessed::AttestationNeeded,
            evidence: vec!["attestation: no attestation".into()],
            checks: Vec::new(),
            waiver: String::new(),
        }],
        audit_verified: true,
        audit_checkpoint: String::new(),
        sources: Vec::new(),
        figures: Vec::new(),
        restated: Vec::new(),
        measures: Vec::new(),
        past: Vec::new(),
        cited: Vec::new(),
        due: Vec::new(),
        rollout: Vec::new(),
    }
}

pub(super) fn review(evidence: &Evidence) -> Review {
    let mut review = Review {
        name: "reviews/2009-05".into(),
        state: ReviewState::Open.into(),
        evidence_digest: digest::sha256(&evidence.bytes().unwrap()),
        ..Review::default()
    };
    review.pack_digest = Pack::assemble(evidence.clone(), &review).digest().unwrap();
    review
}

const FORMATS: [ExportFormat; 4] = [ExportFormat::Json, ExportFormat::Html, ExportFormat::Markdown, ExportFormat::Csv];

#[test]
fn each_table_is_a_file_of_its_own_and_what_is_due_an_event_of_a_calendar() {
    let mut evidence = evidence();
    evidence.due.push(Due {
        time: "2009-07-07T10:00:00Z".into(),
        what: "Name an owner; today".into(),
        owner: "lea".into(),
        resource: "actionItems/a".into(),
    });
    let review = review(&evidence);
    let made = |format| render(&Pack::assemble(evidence.clone(), &review), &review, format).unwrap();
    let archive = made(ExportFormat::CsvTables);
    assert_eq!(archive, made(ExportFormat::CsvTables), "the same bytes");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive.content)).unwrap();
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    for file in ["00-findings.csv", "00-due.csv", "17-controls.csv", "01-header-table.csv", "01-header-facts.csv"] {
        assert!(names.iter().any(|name| name == file), "{file} is not among {names:?}");
    }
    let mut table = String::new();
    archive.by_name("01-header-table.csv").unwrap().read_to_string(&mut table).unwrap();
    assert_eq!(table, "a|b,n\r\n<script>alert(1)</script>,1234\r\n");
    let mut findings = String::new();
    archive.by_name("00-findings.csv").unwrap().read_to_string(&mut findings).unwrap();
    assert!(findings.contains(",'=cmd(),"), "no formula: {findings}");

    let calendar = String::from_utf8(made(ExportFormat::Icalendar).content).unwrap();
    for said in ["DTSTART:20090707T100000Z", "DTSTAMP:20090601T000000Z", "SUMMARY:Due: Name an owner\\; today"] {
        assert!(calendar.contains(said), "{said}\n{calendar}");
    }
    assert_eq!(calendar.matches("BEGIN:VEVENT").count(), 1);
}

#[test]
fn the_same_pack_gives_the_same_bytes_also_after_storage() {
    let fresh = story();
    let review = review(&fresh);
    let stored = Evidence::read(&fresh.bytes().unwrap()).unwrap();
    assert_eq!(fresh, stored);
    let all: Vec<ExportFormat> = ExportFormat::WORDS.iter().filter_map(|word| ExportFormat::parse(word)).collect();
    assert!(all.len() >= 8, "{all:?}");
    for format in all {
        let one = render(&Pack::assemble(fresh.clone(), &review), &review, format).unwrap();
        let two = render(&Pack::assemble(stored.clone(), &review), &review, format).unwrap();
        assert_eq!(one, two);
        assert_eq!(one.content_digest, digest::sha256(&one.content));
        assert_eq!(one.pack_digest, review.pack_digest);
    }
}

#[test]
fn what_a_caller_wrote_stays_text() {
    let evidence = evidence();
    let review = review(&evidence);
    let page = |format| {
        let rendered = render(&Pack::assemble(evidence.clone(), &review), &review, format).unwrap();
        String::from_utf8(rendered.content).unwrap()
    };
    for format in [ExportFormat::Html, ExportFormat::Markdown] {
        assert!(!page(format).contains("<script>"));
    }
    assert!(page(ExportFormat::Html).contains("K &amp; L"));
    assert!(page(ExportFormat::Markdown).contains("a\\|b"));
    assert!(page(ExportFormat::Csv).contains(",'=cmd()\r\n"));
}

#[test]
fn what_is_not_available_is_shown_in_every_form() {
    let evidence = evidence();
    let review = review(&evidence);
    for format in FORMATS {
        let rendered = render(&Pack::assemble(evidence.clone(), &review), &review, format).unwrap();
        let text = String::from_utf8(rendered.content).unwrap();
        assert!(text.contains("UNAVAILABLE: no way"), "{format:?}");
    }
}

#[test]
fn a_pack_that_is_not_the_one_on_record_is_not_rendered() {
    let evidence = evidence();
    let mut review = review(&evidence);
    review.minutes = "changed behind the digest".into();
    let error = render(&Pack::assemble(evidence, &review), &review, ExportFormat::Json).unwrap_err();
    assert_eq!(error.kind(), remit_core::Kind::Internal);
}

const LEAD_SCORER: &str = "models/lead-scorer/versions/2";

/// A month in which one model drifted, one KPI is far from its target and two are near theirs.
pub(super) fn story() -> Evidence {
    let mut story = evidence();
    story.header.complete = true;
    story.header.zone = "Europe/Berlin".into();
    let drift = DriftResult {
        detector: DriftDetector::LeadScore.into(),
        subject: LEAD_SCORER.into(),
        statistic: "psi".into(),
        value: Some(0.55),
        corrected_value: Some(0.51),
        n: 715,
        baseline_n: 1_431,
        baseline: "approval".into(),
        moderate_threshold: 0.1,
        significant_threshold: 0.25,
        verdict: DriftVerdict::Significant.into(),
        ..DriftResult::default()
    };
    story.drift = vec![Drift::from(&drift)];
    let finding = |id: &str, code: &str, severity: FindingSeverity, action: &str| {
        Finding::from(&ApiFinding {
            id: id.into(),
            code: code.into(),
            severity: severity.into(),
            section: "header".into(),
            title: format!("psi of {LEAD_SCORER} is 0.51"),
            detail: "n 715".into(),
            resource: LEAD_SCORER.into(),
            suggested_action: action.into(),
            ..ApiFinding::default()
        })
    };
    story.findings = vec![
        finding("A", "DRIFT_SIGNIFICANT", FindingSeverity::Critical, "suspend_model"),
        finding("B", "DOCUMENTATION_GAP", FindingSeverity::Warning, ""),
    ];
    let cited = |index| Cited { resource: LEAD_SCORER.into(), index, entry: "{}".into(), proof: Vec::new() };
    story.cited = vec![cited(412), cited(398)];
    let measure = |layer: &str, value: f64, target: f64, tone: Tone| Measure {
        kpi: format!("kpis/{layer}"),
        title: format!("The {layer} one"),
        layer: layer.into(),
        unit: Unit::Ratio,
        value: Cell::Num(value),
        n: 15,
        lower: Cell::Num(value - 0.05),
        upper: Cell::Num(value + 0.05),
        previous: Cell::None,
        previous_n: 0,
        target: Cell::Num(target),
        data: Cell::Text("PRESENT".into()),
        verdict: Cell::Judged { word: "ON_TARGET".into(), tone },
    };
    story.measures =
        vec![measure("OPERATIONAL", 0.13, 0.15, Tone::Good), measure("EXECUTION", 0.365, 0.085, Tone::Good)];
    let past = |period: &str, value| Past { period: period.into(), values: [("kpis/EXECUTION".into(), value)].into() };
    let step = |key: &str, state, since: &str| Step {
        key: key.into(),
        title: "Write down why people override AI.".into(),
        facts: vec!["S61".into()],
        state,
        said: "one of 2 was followed up".into(),
        records: vec!["overrides/one".into()],
        since: since.into(),
    };
    story.rollout = vec![step("a", RolloutState::Done, "2009-05-02T10:00:00Z"), step("b", RolloutState::UnderWay, "")];
    story.past = vec![past("2008-11", 0.09), past("2009-03", 0.11), past("2009-04", 0.12)];
    story
}

pub(super) fn rendered(evidence: &Evidence, review: &Review, format: ExportFormat) -> String {
    let rendered = render(&Pack::assemble(evidence.clone(), review), review, format).unwrap();
    // For a look at the pages: the folder named here takes them.
    if let Some(folder) = std::env::var_os("REMIT_PACK_DIR") {
        std::fs::write(std::path::Path::new(&folder).join(&rendered.filename), &rendered.content).unwrap();
    }
    String::from_utf8(rendered.content).unwrap()
}

#[test]
fn the_first_page_says_what_is_asked_of_whom_by_when_and_what_else_happens() {
    let mut story = story();
    story.sections[0].blocks.pop();
    let review = review(&story);
    let page = rendered(&story, &review, ExportFormat::SummaryMarkdown);
    for said in [
        "# May 2009 · AI steering group",
        "One decision is asked of you. One thing needs an owner.",
        "Decide whether Lead scorer v2 goes on",
        "PSI 0.51 on 715 values of this month, against 1\u{202f}431 of approval.",
        "Asked of: the members of the AI steering group, by a majority of the eligible seats, at least 1 from legal",
        "log entries 412 and 398: `remit audit search",
        "By: 4 July 2009",
        "If nothing is decided: It goes on as it is",
        "`remit review propose 2009-05 A --rationale 'WHY'`",
        "`remit review assign 2009-05 B --owner WHO --due DATE --note 'WHY'`",
        "Machines run well",
        "too few to say (n 15)",
        "Business | – | – | – | not measured this month",
        "PSI: population stability index",
    ] {
        assert!(page.contains(said), "{said}\n{page}");
    }
    assert!(!page.contains("Appendix"));
}

#[test]
fn page_and_markdown_say_the_same_and_every_form_has_the_whole_of_it() {
    let story = story();
    let review = review(&story);
    let (page, text) =
        (rendered(&story, &review, ExportFormat::Html), rendered(&story, &review, ExportFormat::Markdown));
    let summary = rendered(&story, &review, ExportFormat::SummaryHtml);
    for said in [
        "Decide whether Lead scorer v2 goes on",
        "Appendix A",
        "Appendix B",
        "The records show 1 of 2 steps; the next that they do not show: write down why people override AI.",
        &review.pack_digest,
    ] {
        assert!(page.contains(said) && text.contains(said), "{said}");
    }
    assert!(summary.contains("Decide whether Lead scorer v2 goes on") && !summary.contains("Appendix A"));
    for whole in [&page, &summary] {
        let ids: Vec<&str> = whole.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
        assert_eq!(ids.len(), unique.len(), "an anchor is there twice: {ids:?}");
        for target in whole.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(ids.contains(&target), "{target} leads nowhere");
        }
        let regions: Vec<&str> =
            whole.split("role=\"region\" aria-label=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let unique: std::collections::BTreeSet<&&str> = regions.iter().collect();
        assert_eq!(regions.len(), unique.len(), "a landmark is there twice: {regions:?}");
        assert!(!whole.contains("<script"));
    }
}

#[test]
fn what_was_not_looked_at_is_never_called_fine() {
    let mut story = story();
    story.findings.clear();
    let review = review(&story);
    let page = rendered(&story, &review, ExportFormat::SummaryMarkdown);
    assert!(
        page.contains("Nothing of what could be looked at needs a decision. Not everything was looked at"),
        "{page}"
    );
    assert!(!page.contains("Nothing is asked of you"));
}

#[test]
fn what_was_decided_is_not_asked_again() {
    let story = story();
    let mut review = review(&story);
    let mut decided = story.findings[0].to_api();
    decided.disposition = Disposition::RiskAccepted.into();
    decided.disposition_note = "until v3".into();
    review.findings = vec![decided];
    review.pack_digest = Pack::assemble(story.clone(), &review).digest().unwrap();
    let page = rendered(&story, &review, ExportFormat::Markdown);
    assert!(page.contains("Decided: the risk is accepted: until v3"), "{page}");
    assert!(!page.contains("remit review propose"));
    assert!(page.contains("**One thing needs an owner."), "{page}");
    let told = "## Decided\n\n**What the body has answered already.**\n\n- **Decide whether Lead scorer v2 goes on";
    assert!(page.contains(told), "{page}");
}
