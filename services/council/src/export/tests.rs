#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::review::pack::{
    Assurance, Bar, Block, Cell, Column, Evidence, Fact, Finding, Header, Point, Section, Trend, Unit,
};
use crate::review::tone::Assessed;
use remit_api::council::v1::{EvidenceClass, Finding as ApiFinding, ReviewState};

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
    }
}

fn review(evidence: &Evidence) -> Review {
    let mut review = Review { name: "reviews/2009-05".into(), state: ReviewState::Open.into(), ..Review::default() };
    review.pack_digest = Pack::assemble(evidence.clone(), &review).digest().unwrap();
    review
}

const FORMATS: [ExportFormat; 4] = [ExportFormat::Json, ExportFormat::Html, ExportFormat::Markdown, ExportFormat::Csv];

#[test]
fn the_same_pack_gives_the_same_bytes_also_after_storage() {
    let fresh = evidence();
    let review = review(&fresh);
    let stored = Evidence::read(&fresh.bytes().unwrap()).unwrap();
    assert_eq!(fresh, stored);
    for format in FORMATS {
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
