//! Whether the approval of a model version holds still, and holds for what it runs with.

use super::Reasons;
use remit_api::registry::v1::{DailyLimit, ModelState};
use remit_api::wire::time;
use remit_core::Timestamp;
use remit_core::lifecycle::GRACE;
use remit_policy::Pattern;
use std::time::Duration;

/// How long before its end an approval is said to end.
const NOTICE: Duration = Duration::from_secs(14 * 86_400);

/// First a reason, then more human, then denial. The registry moves the version's state at the same times; here they are
/// held against the clock, so that an approval ends though nobody fires its timers.
pub(super) fn approval<'a>(model: &'a ModelState, now: Timestamp, reasons: &mut Reasons<'a>) {
    let version = &model.name;
    for artifact in &model.withdrawn_artifacts {
        reasons.deny("ARTIFACT_WITHDRAWN", artifact, format!("{version} runs with {artifact}, which is withdrawn"));
    }
    daily(model, now, reasons);
    let Some(terms) = &model.terms else { return };
    for artifact in terms.required_artifacts.iter().filter(|name| !model.artifacts.contains(name)) {
        let text = format!("{version} is approved only with {artifact}, with which it does not run");
        reasons.deny("APPROVAL_CONDITION_UNMET", artifact, text);
    }
    let Some(end) = terms.expire_time.as_ref().map(time::of) else { return };
    if now >= end.plus(GRACE) {
        let text = format!("the approval of {version} ended at {end} and was not renewed");
        reasons.deny("APPROVAL_EXPIRED", version, text);
    } else if now >= end {
        let text = format!("the approval of {version} ended at {end}: a person decides on the result");
        reasons.restrict("APPROVAL_EXPIRED", Pattern::HumanInTheLoop, version, text);
    } else if now.plus(NOTICE) >= end {
        reasons.info("APPROVAL_ENDS", version, format!("the approval of {version} ends at {end}"));
    }
}

/// The outputs that the approval allows on one day. What the registry says holds until that day is over by the clock here.
fn daily<'a>(model: &'a ModelState, now: Timestamp, reasons: &mut Reasons<'a>) {
    let today = |end: &_| now < time::of(end);
    let Some(shown) = model.daily_outputs.as_ref().filter(|shown| shown.end_time.as_ref().is_some_and(today)) else {
        return;
    };
    let version = &model.name;
    let made = format!("{version} has {} outputs today, of at most {}", shown.outputs, shown.max_outputs);
    match shown.limit() {
        DailyLimit::Unspecified => {}
        DailyLimit::Near => reasons.info("DAILY_OUTPUTS_NEAR", version, made),
        DailyLimit::Reached => {
            let text = format!("{made}: a person decides on the result");
            reasons.restrict("DAILY_OUTPUTS_REACHED", Pattern::HumanInTheLoop, version, text);
        }
        DailyLimit::Exceeded => reasons.deny("DAILY_OUTPUTS_EXCEEDED", version, made),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{NOW, case};
    use super::*;
    use remit_api::registry::v1::ApprovalTerms;
    use remit_api::wire::time::stamp;

    const DAY: i64 = 86_400_000_000;

    /// Whether it is denied, the pattern, and the gravest reason.
    fn answer(change: impl FnOnce(&mut ModelState)) -> (bool, Pattern, &'static str) {
        let mut case = case();
        change(case.model.as_mut().unwrap());
        case.assess(|found| (found.denied, found.pattern, found.lead))
    }

    #[test]
    fn an_approval_ends_step_by_step() {
        let ends = |at: i64| {
            let mut case = case();
            let terms = ApprovalTerms { expire_time: Some(stamp(Timestamp(NOW.0 + at))), ..Default::default() };
            case.model.as_mut().unwrap().terms = Some(terms);
            case.assess(|found| {
                let codes = found.reasons.iter().map(|reason| reason.code).filter(|code| code.starts_with("APPROVAL"));
                (found.denied, found.pattern, codes.collect::<Vec<_>>())
            })
        };
        let all = Pattern::HumanOnTheLoop;
        assert_eq!(ends(15 * DAY), (false, all, vec![]));
        assert_eq!(ends(14 * DAY), (false, all, vec!["APPROVAL_ENDS"]));
        assert_eq!(ends(1), (false, all, vec!["APPROVAL_ENDS"]));
        assert_eq!(ends(0), (false, Pattern::HumanInTheLoop, vec!["APPROVAL_EXPIRED"]));
        assert_eq!(ends(1 - 30 * DAY), (false, Pattern::HumanInTheLoop, vec!["APPROVAL_EXPIRED"]));
        assert_eq!(ends(-30 * DAY), (true, Pattern::HumanOnly, vec!["APPROVAL_EXPIRED"]));
    }

    #[test]
    fn an_approval_holds_only_with_what_it_requires() {
        let guardrail = "artifacts/g/versions/3".to_owned();
        let required = || Some(ApprovalTerms { required_artifacts: vec![guardrail.clone()], ..Default::default() });
        let met = answer(|model| (model.terms, model.artifacts) = (required(), vec![guardrail.clone()]));
        assert!(!met.0);
        let unmet = answer(|model| model.terms = required());
        assert_eq!(unmet, (true, Pattern::HumanOnly, "APPROVAL_CONDITION_UNMET"));
    }

    #[test]
    fn a_withdrawn_artifact_is_the_reason_of_its_own() {
        use remit_api::registry::v1::ModelVersionState;
        let found = answer(|model| {
            model.set_state(ModelVersionState::Suspended);
            model.withdrawn_artifacts = vec!["artifacts/p/versions/1".to_owned()];
        });
        assert_eq!(found, (true, Pattern::HumanOnly, "ARTIFACT_WITHDRAWN"));
    }

    #[test]
    fn a_day_has_its_outputs_and_ends() {
        use remit_api::registry::v1::DailyOutputs;
        let today = |limit: DailyLimit, end: i64| {
            let end_time = Some(stamp(Timestamp(NOW.0 + end)));
            let mut case = case();
            let shown =
                DailyOutputs { limit: limit.into(), outputs: 9, max_outputs: 9, end_time, ..Default::default() };
            case.model.as_mut().unwrap().daily_outputs = Some(shown);
            case.assess(|found| {
                let code = found.reasons.iter().map(|reason| reason.code).find(|code| code.starts_with("DAILY"));
                (found.denied, found.pattern, code)
            })
        };
        let (all, loop_in) = (Pattern::HumanOnTheLoop, Pattern::HumanInTheLoop);
        assert_eq!(today(DailyLimit::Unspecified, 1), (false, all, None));
        assert_eq!(today(DailyLimit::Near, 1), (false, all, Some("DAILY_OUTPUTS_NEAR")));
        assert_eq!(today(DailyLimit::Reached, 1), (false, loop_in, Some("DAILY_OUTPUTS_REACHED")));
        assert_eq!(today(DailyLimit::Exceeded, 1), (true, Pattern::HumanOnly, Some("DAILY_OUTPUTS_EXCEEDED")));
        for over in [0, -1] {
            assert_eq!(today(DailyLimit::Exceeded, over), (false, all, None), "the registry's timer may be late");
        }
    }
}
