//! Every test behind the library fails for its reason, and says nothing where there is nothing to look at.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::checks::{TESTS, run};
use super::findings;
use super::pack::{Assurance, Checked, SourceState};
use super::sources::{Frame, Own, Sources, Version};
use super::tone::Assessed;
use super::{assurance, restated};
use crate::library;
use crate::time::Month;
use remit_api::audit::v1::{EntryCount, Finding as LogFinding, Outcome};
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::*;
use remit_api::handoff::v1::{ConsideredApproval, Gate, ModelGrades, NamedCount, Rate, ServiceLevelSummary};
use remit_api::kpi::v1::{Kpi, KpiSummary, Rollup, TargetState};
use remit_api::registry::v1::{
    ArtifactVersion, ArtifactVersionState, ModelVersion, ModelVersionState, ModelVersionTransition,
};
use remit_api::scoring::v1::{CheckCount, PolicyState, PolicyVersion};
use remit_api::types::Actor;
use remit_api::wire::time::stamp;
use remit_core::Timestamp;

const MODEL: &str = "models/m/versions/1";

fn month() -> Month {
    Month::parse("2026-05", "").unwrap()
}

/// So many days after the month began.
pub(super) fn day(n: i64) -> Option<prost_types::Timestamp> {
    Some(stamp(Timestamp(month().start().0 + n * 86_400_000_000)))
}

/// A month of a tenant in which nothing happened.
pub(super) fn empty() -> Sources {
    Sources {
        verify: Ok(remit_api::audit::v1::VerifyLogResponse { ok: true, ..Default::default() }),
        checkpoint: Ok(Default::default()),
        retention: Ok(Default::default()),
        entries: Ok(Default::default()),
        kpis: Ok(Default::default()),
        decisions: Ok(Default::default()),
        policies: Ok(vec![PolicyVersion { state: PolicyState::Active.into(), ..Default::default() }]),
        versions: Ok(Vec::new()),
        artifacts: Ok(Vec::new()),
        automations: Ok(Vec::new()),
        outputs: Ok(Default::default()),
        handoffs: Ok(Default::default()),
        handoffs_before: Ok(Default::default()),
        routing: Ok(Default::default()),
        gates: Ok(vec![Gate { active_version: "gates/g/versions/1".into(), ..Default::default() }]),
        distributions: Vec::new(),
        own: Own { members: vec![seat("mia", "legal"), seat("dan", "data")], ..Default::default() },
        positions: Vec::new(),
        restated: Vec::new(),
    }
}

fn seat(who: &str, group: &str) -> Member {
    Member { subject: who.into(), role_group: group.into(), active: true, ..Default::default() }
}

/// What is not among the sources: earlier reviews and drift.
#[derive(Default)]
pub(super) struct World {
    pub(super) earlier: Vec<Review>,
    pub(super) drift: Vec<DriftResult>,
}

pub(super) fn framed<T>(world: &World, work: impl FnOnce(&Frame<'_>) -> T) -> T {
    let quorum = QuorumRule { group_minimums: [("legal".to_owned(), 1)].into(), ..Default::default() };
    let review = Review { period: "2026-05".into(), quorum: Some(quorum), ..Default::default() };
    let month = month();
    let cut_off = month.cut_off(3);
    work(&Frame { review: &review, body_title: "", month: &month, cut_off, now: cut_off, earlier: &world.earlier })
}

fn assess(sources: &Sources, world: &World) -> Vec<Assurance> {
    framed(world, |frame| assurance::assess(library::controls().unwrap(), sources, frame, &world.drift))
}

fn ran() -> Version {
    let change = ModelVersionTransition {
        to_state: ModelVersionState::Approved.into(),
        record_time: day(-9),
        ..Default::default()
    };
    let version = ModelVersion {
        name: MODEL.into(),
        owner: "pat".into(),
        state: ModelVersionState::Approved.into(),
        ..Default::default()
    };
    Version { version, transitions: vec![change] }
}

pub(super) fn rate(count: i64, total: i64) -> Option<Rate> {
    Some(Rate { count, total, ratio: Some(count as f64 / total as f64), ..Default::default() })
}

fn rollup(state: TargetState) -> KpiSummary {
    KpiSummary {
        kpi: Some(Kpi { name: "kpis/k".into(), ..Default::default() }),
        current: Some(Rollup { n: 9, target_state: state.into(), ..Default::default() }),
        ..Default::default()
    }
}

type Spoil = fn(&mut Sources, &mut World);

/// For each test a month in which it passes, and what makes it fail then.
fn cases() -> Vec<(&'static str, Spoil, Spoil)> {
    vec![
        (
            "audit.verify",
            |s, _| {
                s.entries.as_mut().unwrap().total_count = 5;
                s.verify.as_mut().unwrap().checked_entry_count = 5;
            },
            |s, _| {
                let verified = s.verify.as_mut().unwrap();
                verified.ok = false;
                verified.findings.push(LogFinding::default());
            },
        ),
        (
            "audit.summary",
            |s, _| s.entries.as_mut().unwrap().total_count = 5,
            |s, _| s.positions.push(SourceState { parked: 1, ..Default::default() }),
        ),
        (
            "audit.retention",
            |s, _| s.entries.as_mut().unwrap().total_count = 5,
            |s, _| s.retention.as_mut().unwrap().keep = Some(prost_types::Duration { seconds: 86_400 * 90, nanos: 0 }),
        ),
        ("audit.erasures", |s, _| erasure(s, Outcome::Success), |s, _| erasure(s, Outcome::Failure)),
        (
            "scoring.decisions",
            |s, _| {
                let found = s.decisions.as_mut().unwrap();
                (found.tasks, found.tasks_decided) = (3, 3);
            },
            |s, _| s.decisions.as_mut().unwrap().tasks_decided = 2,
        ),
        (
            "scoring.checks",
            |s, _| s.decisions.as_mut().unwrap().checks = 100,
            |s, _| {
                let unknown = CheckCount { reason: "STATE_UNAVAILABLE".into(), count: 2, ..Default::default() };
                s.decisions.as_mut().unwrap().check_counts.push(unknown);
            },
        ),
        (
            "scoring.policies",
            |s, _| s.decisions.as_mut().unwrap().tasks_decided = 1,
            |s, _| s.policies.as_mut().unwrap()[0].review_by = day(1),
        ),
        (
            "scoring.tasks",
            |s, _| s.decisions.as_mut().unwrap().tasks = 3,
            |s, _| s.decisions.as_mut().unwrap().needs_reconciliation = 1,
        ),
        (
            "registry.versions",
            |s, _| s.versions.as_mut().unwrap().push(ran()),
            |s, _| s.versions.as_mut().unwrap()[0].version.documentation_gaps.push("limits".into()),
        ),
        (
            "registry.artifacts",
            |s, _| s.artifacts.as_mut().unwrap().push(artifact()),
            |s, _| {
                s.artifacts.as_mut().unwrap()[0].approver = None;
            },
        ),
        (
            "registry.suspensions",
            |s, w| {
                s.versions.as_mut().unwrap().push(ran());
                w.earlier.push(drifted(Disposition::RiskAccepted));
            },
            |_, w| w.earlier[0] = drifted(Disposition::Unspecified),
        ),
        ("registry.disclosure", |s, _| labelled(s, "EVIDENCED"), |s, _| labelled(s, "MISSING")),
        (
            "handoff.summary",
            |s, _| s.handoffs.as_mut().unwrap().created_count = 3,
            |s, _| {
                let found = s.handoffs.as_mut().unwrap();
                found.oldest_open = "handoffs/h".into();
                found.oldest_open_create_time = day(-40);
            },
        ),
        (
            "handoff.gates",
            |s, _| s.handoffs.as_mut().unwrap().created_count = 3,
            |s, _| {
                s.gates.as_mut().unwrap()[0].active_version.clear();
            },
        ),
        (
            "handoff.overrides",
            |s, _| s.handoffs.as_mut().unwrap().override_count = 3,
            |s, _| {
                s.handoffs.as_mut().unwrap().overrides_without_follow_up = 1;
            },
        ),
        (
            "handoff.reviewers",
            |s, _| s.handoffs.as_mut().unwrap().reviewers.push(ConsideredApproval::default()),
            |s, _| {
                s.handoffs.as_mut().unwrap().reviewers[0].always_approves = true;
            },
        ),
        ("handoff.grades", |s, _| grades(s, 1), |s, _| grades(s, 5)),
        ("handoff.sla", |s, _| clock(s, 99, 1), |s, _| clock(s, 1, 30)),
        (
            "handoff.routing",
            |s, _| {
                let decide = ServiceLevelSummary { met: rate(99, 100), ..Default::default() };
                s.routing.as_mut().unwrap().decide = Some(decide);
            },
            |s, _| s.routing.as_mut().unwrap().decide.as_mut().unwrap().met = rate(5, 100),
        ),
        (
            "kpi.summary",
            |s, _| s.kpis.as_mut().unwrap().kpis.push(rollup(TargetState::OnTarget)),
            |s, _| {
                s.kpis.as_mut().unwrap().kpis.push(rollup(TargetState::Breach));
            },
        ),
        (
            "kpi.drift",
            |_, w| w.drift.push(drift(DriftVerdict::None)),
            |_, w| {
                w.drift.push(drift(DriftVerdict::Significant));
            },
        ),
        (
            "council.proposals",
            |s, _| s.own.proposals.push(proposal(ProposalState::Executed)),
            |s, _| {
                s.own.proposals.push(proposal(ProposalState::Failed));
            },
        ),
        (
            "council.holds",
            |s, _| s.own.holds.push(Hold { create_time: day(3), ..Default::default() }),
            |s, _| s.own.uses.push(BreakGlassUse { create_time: day(4), ..Default::default() }),
        ),
        (
            "council.drills",
            |s, _| {
                s.versions.as_mut().unwrap().push(ran());
                s.own.holds.push(Hold { drill: true, create_time: day(3), ..Default::default() });
            },
            |s, _| s.own.holds.clear(),
        ),
        (
            "council.waivers",
            |s, _| s.own.waivers.push(waiver("C43", -9, 20)),
            |s, _| {
                s.own.waivers.push(waiver("C43", -380, -9));
            },
        ),
        (
            "council.incidents",
            |s, _| s.own.incidents.push(Incident { create_time: day(2), ..Default::default() }),
            |s, _| {
                let late = StatutoryClock { state: ClockState::MetLate.into(), met_time: day(9), ..Default::default() };
                s.own.incidents[0].clocks.push(late);
            },
        ),
        (
            "council.reviews",
            |_, w| w.earlier.push(reviewed(ReviewState::Sealed)),
            |_, w| {
                w.earlier[0] = reviewed(ReviewState::Open);
            },
        ),
        ("council.action_items", |s, _| s.own.items.push(item(40)), |s, _| s.own.items.push(item(4))),
        (
            "council.members",
            |s, _| {
                let vote = CastVote { create_time: day(2), ..Default::default() };
                s.own.proposals.push(Proposal { votes: vec![vote], create_time: day(40), ..Default::default() });
            },
            |s, _| s.own.members.retain(|one| one.role_group != "legal"),
        ),
        (
            "council.trainings",
            |s, _| {
                let voter = Some(Actor { subject: "mia".into(), ..Default::default() });
                let vote = CastVote { create_time: day(2), voter, ..Default::default() };
                s.own.proposals.push(Proposal { votes: vec![vote], create_time: day(40), ..Default::default() });
                let counts = |complete, expire| Training {
                    subject: "mia".into(),
                    complete_time: day(complete),
                    expire_time: day(expire),
                    ..Default::default()
                };
                s.own.trainings.extend([counts(-90, 3), counts(-9, 60)]);
            },
            |s, _| drop(s.own.trainings.pop()),
        ),
    ]
}

fn erasure(s: &mut Sources, outcome: Outcome) {
    let action = "audit.subjects.erase".to_owned();
    let counts = &mut s.entries.as_mut().unwrap().counts;
    counts.push(EntryCount { action, outcome: outcome.into(), count: 1, ..Default::default() });
}

fn artifact() -> ArtifactVersion {
    ArtifactVersion {
        state: ArtifactVersionState::Approved.into(),
        approver: Some(Actor::default()),
        content_digest: "sha256:00".into(),
        ..Default::default()
    }
}

fn labelled(s: &mut Sources, status: &str) {
    s.outputs.as_mut().unwrap().by_disclosure_status.insert(status.to_owned(), 5);
}

fn grades(s: &mut Sources, errors: i64) {
    let grades = ModelGrades { factual_errors: rate(errors, 40), ..Default::default() };
    s.handoffs.as_mut().unwrap().model_grades = vec![grades];
}

fn clock(s: &mut Sources, met_count: i64, breached_count: i64) {
    let level = ServiceLevelSummary { met_count, breached_count, ..Default::default() };
    s.handoffs.as_mut().unwrap().service_levels = vec![level];
}

fn drift(verdict: DriftVerdict) -> DriftResult {
    DriftResult { subject: MODEL.into(), verdict: verdict.into(), ..Default::default() }
}

fn proposal(state: ProposalState) -> Proposal {
    Proposal { state: state.into(), create_time: day(1), decide_time: day(2), ..Default::default() }
}

fn waiver(control: &str, from: i64, until: i64) -> Waiver {
    Waiver {
        name: "waivers/w".into(),
        control: control.into(),
        state: WaiverState::Active.into(),
        scope: Some(Scope { target: Some(Target::Organisation(true)) }),
        create_time: day(from),
        expire_time: day(until),
        ..Default::default()
    }
}

fn reviewed(state: ReviewState) -> Review {
    Review { period: "2026-04".into(), state: state.into(), ..Default::default() }
}

fn drifted(disposition: Disposition) -> Review {
    let finding = Finding {
        code: "DRIFT_SIGNIFICANT".into(),
        resource: MODEL.into(),
        disposition: disposition.into(),
        ..Default::default()
    };
    Review { findings: vec![finding], ..reviewed(ReviewState::Sealed) }
}

fn item(due: i64) -> ActionItem {
    ActionItem { state: ActionItemState::Open.into(), create_time: day(1), due_time: day(due), ..Default::default() }
}

fn outcome(key: &str, sources: &Sources, world: &World) -> Checked {
    framed(world, |frame| run(key, sources, frame, &world.drift)).outcome
}

#[test]
fn every_test_passes_fails_and_has_nothing_to_test() {
    let cases = cases();
    let keys: Vec<&str> = cases.iter().map(|(key, ..)| *key).collect();
    assert_eq!(keys, TESTS.iter().map(|test| test.key).collect::<Vec<_>>());
    for (key, pass, fail) in cases {
        let (mut sources, mut world) = (empty(), World::default());
        assert_eq!(outcome(key, &sources, &world), Checked::NothingToTest, "{key}");
        pass(&mut sources, &mut world);
        assert_eq!(outcome(key, &sources, &world), Checked::Passed, "{key}");
        fail(&mut sources, &mut world);
        assert_eq!(outcome(key, &sources, &world), Checked::Failed, "{key}");
    }
}

#[test]
fn every_automatic_control_can_fail_and_an_empty_tenant_has_none_available() {
    let nothing = assess(&empty(), &World::default());
    assert_eq!(nothing.iter().filter(|one| one.result == Assessed::EvidenceAvailable).count(), 0);
    let automatic = |one: &&Assurance| one.class == EvidenceClass::Automated;
    assert!(nothing.iter().filter(automatic).all(|one| one.result == Assessed::NoActivity));
    let mut failed: Vec<String> = Vec::new();
    for (key, pass, fail) in cases() {
        let (mut sources, mut world) = (empty(), World::default());
        pass(&mut sources, &mut world);
        fail(&mut sources, &mut world);
        for one in assess(&sources, &world).iter().filter(|one| one.result == Assessed::CheckFailed) {
            assert!(one.checks.iter().any(|check| check.key == key || check.outcome == Checked::Failed), "{}", one.id);
            failed.push(one.id.clone());
        }
    }
    let never: Vec<_> = nothing.iter().filter(automatic).filter(|one| !failed.contains(&one.id)).collect();
    assert!(never.is_empty(), "{never:#?}");
}

#[test]
fn a_control_without_evidence_is_a_finding_once_its_time_is_over() {
    let world = World::default();
    let found = |control: &str, due: i64| {
        let mut sources = empty();
        let named = |name: &str| Control {
            name: format!("controls/{name}"),
            owner: "lea".into(),
            due_time: day(due),
            ..Default::default()
        };
        sources.own.assignments.push(named(control));
        let assurance = assess(&sources, &world);
        framed(&world, |frame| findings::of_owners(frame, &sources, &assurance))
    };
    let overdue = found("C1", 3);
    assert_eq!(overdue.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["CONTROL_OVERDUE.controls.C1"]);
    assert!(overdue[0].detail.starts_with("lea sees to it"), "{overdue:#?}");
    assert_eq!(found("C1", 60), [], "there is time left");
    assert_eq!(found("C7", 3), [], "it does not apply");
}

/// What is frozen depends on what was gathered and when, and on nothing else: no clock, no order of a map, no chance.
#[test]
fn the_same_month_gives_the_same_bytes() {
    let frozen = || {
        let (mut sources, mut world) = (empty(), World::default());
        for (_, pass, fail) in cases() {
            pass(&mut sources, &mut world);
            fail(&mut sources, &mut world);
        }
        let evidence = framed(&world, |frame| super::build(frame, &sources, &world.drift)).unwrap();
        assert!(evidence.findings.len() > 5 && !evidence.due.is_empty(), "{:#?}", evidence.findings);
        evidence.bytes().unwrap()
    };
    assert_eq!(frozen(), frozen());
}

#[test]
fn one_cause_is_one_finding_with_the_controls_it_touches() {
    let (mut sources, world) = (empty(), World::default());
    labelled(&mut sources, "MISSING");
    let mut found = framed(&world, |frame| findings::all(frame, &sources, &[]));
    findings::of_controls(&mut found, &assess(&sources, &world));
    let codes: Vec<_> = found.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["DISCLOSURE_MISSING"]);
    assert!(found[0].controls.iter().any(|control| control == "C18"), "{found:#?}");

    let mut sources = empty();
    sources
        .handoffs
        .as_mut()
        .unwrap()
        .reviewers
        .push(ConsideredApproval { always_approves: true, ..Default::default() });
    let mut found = framed(&world, |frame| findings::all(frame, &sources, &[]));
    findings::of_controls(&mut found, &assess(&sources, &world));
    let told: Vec<_> = found.iter().map(|one| (one.id.as_str(), one.controls.as_slice())).collect();
    assert_eq!(told, [("CONTROL_CHECK_FAILED.handoff.reviewers", &["C6".to_owned()][..])]);
}

#[test]
fn what_did_not_answer_is_a_finding_and_a_control_that_is_waived_says_so() {
    let (mut sources, world) = (empty(), World::default());
    sources.kpis = Err("UNAVAILABLE: no way".into());
    sources.positions.push(SourceState {
        source: "kpi".into(),
        away: "UNAVAILABLE: no way".into(),
        ..Default::default()
    });
    sources.gates = Err("UNAVAILABLE: no way".into());
    sources.own.waivers.push(waiver("C43", -9, 50));
    let found = framed(&world, |frame| findings::all(frame, &sources, &[]));
    let away: Vec<_> =
        found.iter().filter(|one| one.code == findings::SOURCE_AWAY).map(|one| one.id.as_str()).collect();
    assert_eq!(away, ["SOURCE_AWAY.handoff", "SOURCE_AWAY.kpi"], "one for each service");
    let assured = assess(&sources, &world);
    let of = |id: &str| assured.iter().find(|one| one.id == id).map(|one| one.result);
    assert_eq!(of("C43"), Some(Assessed::Waived));
    assert_eq!(of("C65"), Some(Assessed::SourceNotAvailable));
    assert_eq!(of("C39"), Some(Assessed::SourceNotAvailable), "drift is not measured without the KPIs");
}

#[test]
fn what_is_recorded_after_the_month_is_for_a_later_pack() {
    let own = Own {
        incidents: vec![
            Incident { create_time: day(30), ..Default::default() },
            Incident { create_time: day(31), ..Default::default() },
        ],
        holds: vec![Hold { create_time: day(31), ..Default::default() }],
        uses: vec![BreakGlassUse { create_time: day(31), ..Default::default() }],
        waivers: vec![waiver("C43", 31, 60)],
        ..Default::default()
    };
    let own = own.until(&month());
    assert_eq!((own.incidents.len(), own.holds.len(), own.uses.len(), own.waivers.len()), (1, 0, 0, 0));
}

#[test]
fn a_month_has_the_figures_of_every_source_that_answered() {
    let mut sources = empty();
    sources.handoffs.as_mut().unwrap().review_outcomes.push(NamedCount { key: "ACCEPTED".into(), count: 4 });
    sources.routing = Err("UNAVAILABLE: no way".into());
    let figures = restated::figures(&sources.answers());
    assert!(figures.iter().any(|one| (one.key.as_str(), one.n) == ("handoffs.reviews", 4)));
    assert!(figures.iter().all(|one| !one.key.starts_with("leads.")), "what nobody said is no figure");
}
