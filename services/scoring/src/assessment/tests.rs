#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::cache::{Freshness, InForce};
use remit_api::council::v1::HoldState;
use remit_api::registry::v1::{Automation, AutomationState, ModelState, ModelVersionState};
use std::time::Duration;

const TASK: &str = "tasks/t";
const MODEL: &str = "models/m/versions/1";
pub(super) const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

/// The facts of an answer, all in order; a test spoils one of them.
pub(super) struct Case {
    request: api::CheckTaskRequest,
    entry: Option<Entry>,
    policy_digest: String,
    policy_review_by: Option<Timestamp>,
    function_digest: String,
    pub(super) model: Option<ModelState>,
    automations: Vec<Automation>,
    holds: Vec<council::Hold>,
    waivers: Vec<council::Waiver>,
    inventory_age: Option<Duration>,
    models_age: Option<Duration>,
    automations_age: Option<Duration>,
    holds_age: Option<Duration>,
}

pub(super) fn case() -> Case {
    Case {
        request: api::CheckTaskRequest {
            task: TASK.into(),
            model_version: MODEL.into(),
            run_id: "r".into(),
            ..Default::default()
        },
        entry: Some(Entry {
            function: "functions/f".into(),
            gate: "gates/g".into(),
            purpose: "lead-scoring".into(),
            disclosure: api::Disclosure::NotRequired,
            stakes: Stakes::Low,
            digest: "sha256:t".into(),
            decision: Some(InForce {
                name: "decisions/d".into(),
                function_digest: "f1".into(),
                pattern: Pattern::HumanOnTheLoop,
                policy: "policies/p/versions/1".into(),
                policy_digest: "p1".into(),
                sampling_ratio: 0.05,
                requirements: vec![],
            }),
            outdated: false,
        }),
        policy_digest: "p1".into(),
        policy_review_by: Some(NOW),
        function_digest: "f1".into(),
        model: Some(ModelState {
            name: MODEL.into(),
            state: ModelVersionState::Approved.into(),
            approved_purposes: vec!["lead-scoring".into()],
            ..Default::default()
        }),
        automations: vec![],
        holds: vec![],
        waivers: vec![],
        inventory_age: Some(Duration::ZERO),
        models_age: Some(Duration::ZERO),
        automations_age: Some(Duration::ZERO),
        holds_age: Some(Duration::ZERO),
    }
}

impl Case {
    pub(super) fn assess<R>(&self, look: impl FnOnce(Assessment<'_>) -> R) -> R {
        let fresh = |age| Freshness { revision: String::new(), age };
        let (inventory, models) = (fresh(self.inventory_age), fresh(self.models_age));
        let (automations, holds) = (fresh(self.automations_age), fresh(self.holds_age));
        let waivers = fresh(Some(Duration::ZERO));
        look(assess(&Facts {
            now: NOW,
            request: &self.request,
            entry: self.entry.as_ref(),
            scope: &Scope::of(&self.request, self.entry.as_ref()),
            active_policy_digest: &self.policy_digest,
            policy_review_by: self.policy_review_by,
            function_digest: &self.function_digest,
            model: self.model.as_ref(),
            automations: &self.automations,
            holds: &self.holds,
            waivers: &self.waivers,
            ages: &Ages { inventory, models, automations, holds, waivers },
            settings: &Settings {
                stale_after: Duration::from_secs(20),
                deny_after: Duration::from_secs(300),
                first_state_wait: Duration::ZERO,
            },
        }))
    }

    fn denied(self, code: &str) {
        self.assess(|found| {
            assert_eq!((found.denied, found.lead, found.pattern), (true, code, Pattern::HumanOnly));
            assert_eq!(found.reasons[0].code, code, "denials come first");
        });
    }

    fn restricted(self, code: &str) {
        let found = self.assess(|found| (found.denied, found.lead, found.pattern));
        assert_eq!(found, (false, code, Pattern::HumanInTheLoop));
    }
}

fn waiver(control: &str, expires: Timestamp, state: WaiverState) -> council::Waiver {
    council::Waiver {
        name: "waivers/w".into(),
        control: control.into(),
        scope: Some(council::Scope { target: Some(Target::Task(TASK.into())) }),
        state: state.into(),
        expire_time: Some(time::stamp(expires)),
        ..Default::default()
    }
}

#[test]
fn what_is_decided_approved_and_fresh_is_permitted() {
    let case = case();
    assert_eq!(Scope::of(&case.request, case.entry.as_ref()).gate, "gates/g");
    case.assess(|found| {
        assert_eq!((found.denied, found.pattern, found.lead), (false, Pattern::HumanOnTheLoop, "DECISION_PATTERN"));
        assert_eq!((found.purpose, found.stakes), ("lead-scoring", Stakes::Low));
    });
}

#[test]
fn nothing_is_said_to_be_missing_from_what_is_not_known() {
    for age in [None, Some(Duration::from_secs(301))] {
        let mut case = case();
        (case.entry, case.model) = (None, None);
        (case.inventory_age, case.models_age) = (age, age);
        case.assess(|found| {
            let denials = found.reasons.iter().filter(|reason| reason.effect == Effect::Deny);
            assert!(denials.map(|reason| reason.code).all(|code| code == "STATE_UNAVAILABLE"), "{:?}", found.lead);
            assert!(found.denied);
        });
    }
}

#[test]
fn every_denial_has_its_code() {
    let spoil = |change: fn(&mut Case)| {
        let mut case = case();
        change(&mut case);
        case
    };
    let model = |state: ModelVersionState| {
        let mut case = case();
        case.model.as_mut().unwrap().set_state(state);
        case
    };
    spoil(|c| c.entry = None).denied("TASK_UNKNOWN");
    spoil(|c| c.entry.as_mut().unwrap().decision = None).denied("TASK_NOT_DECIDED");
    spoil(|c| {
        let entry = c.entry.as_mut().unwrap();
        (entry.decision, entry.outdated) = (None, true);
    })
    .denied("DECISION_OUTDATED");
    spoil(|c| c.function_digest = "f2".into()).denied("DECISION_OUTDATED");
    spoil(|c| c.entry.as_mut().unwrap().decision.as_mut().unwrap().pattern = Pattern::HumanOnly).denied("HUMAN_ONLY");
    spoil(|c| c.model = None).denied("MODEL_VERSION_UNKNOWN");
    model(ModelVersionState::Proposed).denied("MODEL_NOT_APPROVED");
    model(ModelVersionState::Evaluating).denied("MODEL_NOT_APPROVED");
    model(ModelVersionState::Unspecified).denied("MODEL_NOT_APPROVED");
    model(ModelVersionState::Suspended).denied("MODEL_SUSPENDED");
    model(ModelVersionState::Retired).denied("MODEL_RETIRED");
    spoil(|c| c.model.as_mut().unwrap().approved_purposes = vec!["other".into()]).denied("PURPOSE_NOT_APPROVED");
    spoil(|c| {
        c.request.purpose = "other".into();
        c.model.as_mut().unwrap().approved_purposes.push("other".into());
    })
    .denied("PURPOSE_MISMATCH");
    spoil(|c| c.request.gate = "gates/other".into()).denied("GATE_MISMATCH");
    spoil(|c| c.models_age = None).denied("STATE_UNAVAILABLE");
    spoil(|c| c.inventory_age = Some(Duration::from_secs(301))).denied("STATE_UNAVAILABLE");
    spoil(|c| c.holds_age = Some(Duration::from_secs(301))).denied("STATE_UNAVAILABLE");
    spoil(|c| c.automations_age = None).denied("STATE_UNAVAILABLE");
    spoil(|c| c.model.as_mut().unwrap().review_by = Some(time::stamp(ago(30)))).denied("MODEL_REVIEW_OVERDUE");
    spoil(|c| c.automations = vec![automation(AutomationState::Proposed)]).denied("AUTOMATION_NOT_APPROVED");
    spoil(|c| c.automations = vec![automation(AutomationState::Unspecified)]).denied("AUTOMATION_NOT_APPROVED");
    spoil(|c| c.automations = vec![automation(AutomationState::Suspended)]).denied("AUTOMATION_SUSPENDED");
    spoil(|c| c.automations = vec![automation(AutomationState::Retired)]).denied("AUTOMATION_OUT_OF_SERVICE");
}

/// So many days before now.
fn ago(days: i64) -> Timestamp {
    Timestamp(NOW.0 - days * 86_400_000_000)
}

fn automation(state: AutomationState) -> Automation {
    Automation { name: "automations/a".into(), tasks: vec![TASK.into()], state: state.into(), ..Default::default() }
}

/// S73: the functions concerned approve what works across their borders.
#[test]
fn an_automation_stops_its_tasks_until_it_is_approved() {
    use AutomationState::{Approved, Proposed, Retired, Suspended};
    let denied = |states: &[AutomationState]| {
        let mut case = case();
        case.automations = states.iter().map(|state| automation(*state)).collect();
        case.assess(|found| if found.denied { found.lead } else { "" })
    };
    assert_eq!(denied(&[]), "");
    assert_eq!(denied(&[Approved]), "");
    assert_eq!(denied(&[Approved, Proposed]), "", "a successor that is being proposed stops nothing");
    assert_eq!(denied(&[Approved, Retired]), "", "the work has moved to the one that is approved");
    assert_eq!(denied(&[Approved, Suspended]), "AUTOMATION_SUSPENDED", "a stop is a stop");
    assert_eq!(denied(&[Retired, Proposed]), "AUTOMATION_OUT_OF_SERVICE");

    let scope = Scope { task: TASK, function: "", model_version: MODEL, gate: "" };
    let does = |tasks: &[&str], versions: &[&str]| {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        scope.is_done_by(&Automation { tasks: texts(tasks), model_versions: texts(versions), ..Default::default() })
    };
    assert!(does(&[TASK], &[]) && does(&["tasks/x", TASK], &["models/x/versions/1"]) && does(&[], &[MODEL]));
    assert!(!does(&["tasks/x"], &[MODEL]) && !does(&[], &["models/x/versions/1"]) && !does(&[], &[]));
}

/// S108: first a person decides, then the approval ends.
#[test]
fn what_is_past_its_review_date_becomes_more_human_and_then_ends() {
    let model = |by: Timestamp| {
        let mut case = case();
        case.model.as_mut().unwrap().review_by = Some(time::stamp(by));
        case
    };
    assert_eq!(model(Timestamp(NOW.0 + 1)).assess(|found| found.lead), "DECISION_PATTERN");
    model(NOW).restricted("MODEL_PAST_REVIEW_DATE");
    model(Timestamp(ago(30).0 + 1)).restricted("MODEL_PAST_REVIEW_DATE");
    model(ago(30)).denied("MODEL_REVIEW_OVERDUE");
    let mut restricted = model(ago(40));
    restricted.model.as_mut().unwrap().set_state(ModelVersionState::Restricted);
    restricted.denied("MODEL_REVIEW_OVERDUE");

    let policy = |by: Timestamp| {
        let mut case = case();
        case.policy_review_by = Some(by);
        case
    };
    assert_eq!(policy(NOW).assess(|found| found.lead), "DECISION_PATTERN");
    policy(Timestamp(NOW.0 - 1)).restricted("POLICY_PAST_REVIEW_DATE");
    policy(ago(400)).restricted("POLICY_PAST_REVIEW_DATE");

    // A waiver may give time while a person decides, and none once the approval has ended.
    let later = Timestamp(NOW.0 + 1_000_000);
    let mut waived = model(NOW);
    waived.waivers = vec![waiver("MODEL_PAST_REVIEW_DATE", later, WaiverState::Active)];
    assert_eq!(waived.assess(|found| (found.denied, found.pattern)), (false, Pattern::HumanOnTheLoop));
    let mut outdated = case();
    outdated.function_digest = "f2".into();
    outdated.waivers = vec![waiver("DECISION_OUTDATED", later, WaiverState::Active)];
    outdated.denied("DECISION_OUTDATED");
    let mut ended = model(ago(30));
    ended.waivers = vec![waiver("MODEL_REVIEW_OVERDUE", later, WaiverState::Active)];
    ended.denied("MODEL_REVIEW_OVERDUE");
}

#[test]
fn every_restriction_makes_the_answer_more_human() {
    let spoil = |change: fn(&mut Case)| {
        let mut case = case();
        change(&mut case);
        case
    };
    spoil(|c| c.inventory_age = Some(Duration::from_secs(21))).restricted("STATE_STALE");
    spoil(|c| c.models_age = Some(Duration::from_secs(21))).restricted("STATE_STALE");
    spoil(|c| c.holds_age = Some(Duration::from_secs(21))).restricted("STATE_STALE");
    spoil(|c| c.policy_digest = "p2".into()).restricted("POLICY_SUPERSEDED");
    spoil(|c| c.request.stakes = Stakes::High.into()).restricted("STAKES_HIGHER");
    spoil(|c| c.model.as_mut().unwrap().set_state(ModelVersionState::Restricted)).restricted("MODEL_RESTRICTED");
}

#[test]
fn what_only_informs_changes_nothing() {
    let mut told = case();
    told.request.run_id.clear();
    told.model.as_mut().unwrap().conditions.push("no names".into());
    told.assess(|found| {
        assert_eq!((found.denied, found.pattern, found.lead), (false, Pattern::HumanOnTheLoop, "DECISION_PATTERN"));
        let informs = found.reasons.iter().filter(|reason| reason.effect == Effect::Info);
        let codes: Vec<&str> = informs.map(|reason| reason.code).collect();
        assert_eq!(codes, ["MODEL_CONDITIONS", "RUN_ID_MISSING"]);
    });
}

#[test]
fn a_task_without_a_purpose_asks_for_its_own_name() {
    let mut unnamed = case();
    unnamed.entry.as_mut().unwrap().purpose.clear();
    unnamed.assess(|found| assert_eq!((found.purpose, found.lead), (TASK, "PURPOSE_NOT_APPROVED")));
    unnamed.model.as_mut().unwrap().approved_purposes = vec![TASK.into()];
    assert!(!unnamed.assess(|found| found.denied));
}

#[test]
fn holds_stop_work_in_their_scope_and_bypasses_end_by_themselves() {
    let hold = |state: HoldState, drill: bool, until: Option<Timestamp>| council::Hold {
        name: "holds/h".into(),
        state: state.into(),
        drill,
        bypass_expire_time: until.map(time::stamp),
        ..Default::default()
    };
    assert!(engaged(&hold(HoldState::Engaged, false, None), NOW));
    assert!(!engaged(&hold(HoldState::Engaged, true, None), NOW), "a drill stops no work");
    assert!(!engaged(&hold(HoldState::Lifted, false, None), NOW));
    assert!(!engaged(&hold(HoldState::Bypassed, false, Some(Timestamp(NOW.0 + 1))), NOW));
    assert!(engaged(&hold(HoldState::Bypassed, false, Some(NOW)), NOW));
    assert!(engaged(&hold(HoldState::Bypassed, false, None), NOW));

    let scope = Scope { task: TASK, function: "functions/f", model_version: MODEL, gate: "gates/g" };
    let covers = |target: Target| scope.covers(Some(&council::Scope { target: Some(target) }));
    assert!(covers(Target::Organisation(true)));
    assert!(covers(Target::Function("functions/f".into())) && !covers(Target::Function("functions/x".into())));
    assert!(covers(Target::Task(TASK.into())) && !covers(Target::Task("tasks/x".into())));
    assert!(covers(Target::ModelVersion(MODEL.into())) && !covers(Target::ModelVersion("models/m/versions/2".into())));
    assert!(covers(Target::Gate("gates/g".into())) && !covers(Target::Gate("gates/x".into())));
    assert!(!scope.covers(None));

    let mut held = case();
    held.holds = vec![hold(HoldState::Engaged, false, None)];
    held.waivers = vec![waiver("HOLD_ENGAGED", Timestamp(NOW.0 + 1_000_000), WaiverState::Active)];
    held.denied("HOLD_ENGAGED");
}

#[test]
fn a_waiver_is_listed_until_it_expires_and_then_said_to_have_expired() {
    let with = |waiver: council::Waiver| {
        let mut case = case();
        case.model.as_mut().unwrap().approved_purposes.clear();
        case.waivers = vec![waiver];
        case
    };
    let later = Timestamp(NOW.0 + 1_000_000);
    with(waiver("PURPOSE_NOT_APPROVED", later, WaiverState::Active)).assess(|waived| {
        assert!(!waived.denied);
        let reason = waived.reasons.iter().find(|reason| reason.code == "PURPOSE_NOT_APPROVED").unwrap();
        assert_eq!((reason.effect, reason.waiver), (Effect::Deny, "waivers/w"));
    });

    for expired in [
        waiver("PURPOSE_NOT_APPROVED", NOW, WaiverState::Active),
        waiver("PURPOSE_NOT_APPROVED", later, WaiverState::Expired),
    ] {
        with(expired).assess(|found| {
            assert!(found.denied && found.reasons.iter().any(|reason| reason.code == "WAIVER_EXPIRED"));
        });
    }
    let told = |expires: Timestamp| {
        with(waiver("PURPOSE_NOT_APPROVED", expires, WaiverState::Expired))
            .assess(|found| found.reasons.iter().any(|reason| reason.code == "WAIVER_EXPIRED"))
    };
    assert_eq!((told(Timestamp(ago(30).0 + 1)), told(ago(30))), (true, false), "after a month it is history");
    let denied = |waiver| with(waiver).assess(|found| found.denied);
    assert!(denied(waiver("PURPOSE_NOT_APPROVED", later, WaiverState::Revoked)));
    let ahead = Some(time::stamp(Timestamp(NOW.0 + 1)));
    let revoked = council::Waiver { revoke_time: ahead, ..waiver("PURPOSE_NOT_APPROVED", later, WaiverState::Revoked) };
    assert!(denied(revoked), "whoever revoked it has a clock that is ahead of ours");
    assert!(denied(waiver("GATE_MISMATCH", later, WaiverState::Active)), "a waiver is for one rule");
}
