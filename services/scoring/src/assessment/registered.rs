//! What the registry says of a check: the model version and its approval, and the automations that do the task.

use super::{Facts, Reasons, approval};
use remit_api::registry::v1 as registry;
use remit_api::wire::time;
use remit_core::lifecycle::GRACE;
use remit_policy::Pattern;

/// Whether the model version may run for the purpose.
pub(super) fn model<'a>(facts: &'a Facts<'a>, purpose: &str, reasons: &mut Reasons<'a>) {
    use registry::ModelVersionState as State;
    let version = &facts.request.model_version;
    let Some(model) = facts.model else {
        if facts.ages.models.age.is_some_and(|age| age <= facts.settings.deny_after) {
            reasons.deny("MODEL_VERSION_UNKNOWN", version, format!("the registry has no {version}"));
        }
        return;
    };
    approval::approval(model, facts.now, reasons);
    match model.state() {
        State::Approved | State::Restricted => {
            if !model.approved_purposes.iter().any(|approved| approved == purpose) {
                let text = format!("{version} is not approved for {purpose}");
                reasons.deny("PURPOSE_NOT_APPROVED", version, text);
            }
            if model.state() == State::Restricted {
                let why = because(&model.state_reason);
                let text = format!("{version} is restricted{why}: a person decides on the result");
                reasons.restrict("MODEL_RESTRICTED", Pattern::HumanInTheLoop, version, text);
            }
            terms(facts, model, reasons);
        }
        State::Suspended => {
            reasons.deny("MODEL_SUSPENDED", version, format!("{version} is suspended{}", because(&model.state_reason)));
        }
        State::Retired => reasons.deny("MODEL_RETIRED", version, format!("{version} is retired")),
        State::Proposed | State::Evaluating | State::Unspecified => {
            reasons.deny("MODEL_NOT_APPROVED", version, format!("{version} is not approved"));
        }
    }
}

/// The terms of an approval: how long it stands and under which conditions. Each that is data has a reason of its own
/// here; conditions in words can only be told.
fn terms<'a>(facts: &'a Facts<'a>, model: &'a registry::ModelState, reasons: &mut Reasons<'a>) {
    let version = &facts.request.model_version;
    if let Some(by) = model.review_by.as_ref().map(time::of).filter(|by| *by <= facts.now) {
        if by.plus(GRACE) <= facts.now {
            let text = format!("{version} should have been reviewed by {by}, and nobody has: its approval has ended");
            reasons.deny("MODEL_REVIEW_OVERDUE", version, text);
        } else {
            let text = format!("{version} should have been reviewed by {by}: a person decides on the result");
            reasons.restrict("MODEL_PAST_REVIEW_DATE", Pattern::HumanInTheLoop, version, text);
        }
    }
    if !model.conditions.is_empty() {
        reasons.info("MODEL_CONDITIONS", version, "the approval has conditions");
    }
}

/// Whether the functions concerned have approved that AI does the task across their borders (S73).
///
/// One that is suspended stops the work whatever others say. One that is proposed or retired does so unless another
/// that does the task is approved: the work may have moved there.
pub(super) fn automations<'a>(facts: &'a Facts<'a>, reasons: &mut Reasons<'a>) {
    use registry::AutomationState as State;
    let approved = facts.automations.iter().any(|automation| automation.state() == State::Approved);
    for automation in facts.automations {
        let name = &automation.name;
        match automation.state() {
            State::Approved => {}
            State::Suspended => {
                let text = format!("{name}, which does the task, is suspended{}", because(&automation.state_reason));
                reasons.deny("AUTOMATION_SUSPENDED", name, text);
            }
            _ if approved => {}
            State::Retired => {
                reasons.deny("AUTOMATION_OUT_OF_SERVICE", name, format!("{name}, which did the task, is retired"));
            }
            State::Proposed | State::Unspecified => {
                let text = format!("{name}, which does the task across functions, is not approved by all of them");
                reasons.deny("AUTOMATION_NOT_APPROVED", name, text);
            }
        }
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}
