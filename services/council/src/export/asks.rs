//! What a finding asks of people: what, why, of whom, by when, and what follows if nobody acts.

use super::page::Ask;
use super::{Document, words};
use crate::review::drift::OF_OUTCOMES;
use crate::review::pack::{Drift, Finding};
use remit_api::council::v1::{Disposition, FindingSeverity};
use remit_core::name;

/// By when: a review that is not sealed before the next one is collected is itself a finding.
fn deadline(document: &Document<'_>) -> String {
    let header = &document.pack.evidence.header;
    match words::month_later(&header.cut_off_time, &header.zone) {
        Some(next) => {
            format!("{}, when the next review is collected", next.strftime("%-d %B %Y"))
        }
        None => "the next review".to_owned(),
    }
}

/// The drift result that a finding is about.
fn drift_of<'a>(document: &'a Document<'_>, finding: &Finding) -> Option<&'a Drift> {
    let of = document.pack.evidence.drift.iter().filter(|one| one.subject == finding.resource);
    // Of a version that has drifted and is wrong the title says which is meant.
    of.max_by_key(|one| (finding.title.starts_with(one.statistic.as_str()), one.verdict))
}

/// A statistic as people call it.
pub(super) fn statistic(name: &str) -> String {
    match name {
        "psi" => "PSI".to_owned(),
        other => other.replace('_', " "),
    }
}

/// What is asked, and what follows if nobody acts.
fn request(finding: &Finding) -> (String, &'static str) {
    let about = words::plain(&finding.resource);
    let seen = words::sentence(&words::plain(&finding.title));
    let resource = finding.resource.as_str();
    match finding.code.as_str() {
        "DRIFT_SIGNIFICANT"
            if resource.starts_with("models/") && OF_OUTCOMES.iter().any(|one| finding.title.starts_with(one)) =>
        {
            (
                format!("Decide whether {about} goes on: what it predicts and what happens are clearly apart."),
                "It goes on predicting what does not happen, and what rests on its scores goes wrong unseen.",
            )
        }
        "DRIFT_SIGNIFICANT" if resource.starts_with("models/") => (
            format!("Decide whether {about} goes on: what it works on has shifted clearly."),
            "It goes on as it is, on something it was not approved for; each of its decisions is one that nobody looked at.",
        ),
        "DRIFT_SIGNIFICANT" => (
            format!("Decide what follows from a clear shift of {about}."),
            "The shift stands unexplained and the next review begins from it.",
        ),
        "DRIFT_MODERATE" => (
            format!("Name who finds out why {about} has shifted."),
            "Nothing stops; the shift is looked at again next month.",
        ),
        "AUDIT_LOG_INVALID" => (
            "Decide who investigates the audit log: it does not prove what it should.".to_owned(),
            "No figure of this review can be relied on, and no later review can rely on this one.",
        ),
        "OUTPUTS_UNAPPROVED" => (
            format!("Decide what happens with work by versions that nobody approved: {seen}."),
            "What was made stays in use, and the versions may go on.",
        ),
        "OUTPUTS_UNTAGGED" => (
            format!("Name who makes the work say what made it: {seen}."),
            "Nobody can say later which model or prompt made these outputs.",
        ),
        "CLOCK_BREACHED" => (
            format!("Name who reports the incident at once: {seen}."),
            "The statutory time has run out already; each further day counts against the organisation.",
        ),
        "REVIEW_MISSED" => (
            format!("Name who makes up for the review before this one: {seen}."),
            "A month of records stays without anybody's signature.",
        ),
        "ACTION_OVERDUE" => (
            format!("Do it, move it or give it to somebody else: {seen}."),
            "It is carried over to the next review, overdue.",
        ),
        "BREAK_GLASS_UNREVIEWED" => (
            format!("Name who, other than whoever used it, looks at why a hold was bypassed: {seen}."),
            "The use stays a finding in every review.",
        ),
        "WAIVER_EXPIRING" => {
            (format!("Renew the waiver or let it end: {seen}."), "It ends by itself, and the rule holds again.")
        }
        "POLICY_STALE" | "MODEL_PAST_REVIEW_DATE" => {
            (format!("Name who looks at it again: {seen}."), "It goes on unexamined past the date that was set for it.")
        }
        "DOCUMENTATION_GAP" => {
            (format!("Name who completes the description of {about}."), "It stays in use without a full description.")
        }
        "CROSS_LAYER_CONFLICT" | "GUARD_VIOLATED" => (
            format!("Name who explains it: {seen}."),
            "The machines are steered by a figure that may harm the aim behind it.",
        ),
        "CONTROL_OVERDUE" => (
            format!("Ask its owner for the evidence, or name another: {seen}."),
            "The control stays without evidence, and nobody has said until when.",
        ),
        "ATTESTATION_EXPIRING" => {
            (format!("Have it stated anew: {seen}."), "The control counts as not attested from then on.")
        }
        "CONTROL_CHECK_FAILED" => {
            (format!("Name who mends it: {seen}."), "The control stays without evidence that it holds.")
        }
        _ => (
            format!("Say what follows: {seen}."),
            "It stays undecided, and the next review shows it again if it is still so.",
        ),
    }
}

/// The figures that a finding rests on, with what a reader needs to judge them.
fn reason(document: &Document<'_>, finding: &Finding) -> String {
    let detail = words::sentence(&words::plain(&finding.detail));
    let Some(drift) = drift_of(document, finding).filter(|_| finding.code.starts_with("DRIFT")) else {
        let missing = if finding.detail.is_empty() { &finding.title } else { &finding.detail };
        return if detail.is_empty() { words::sentence(&words::plain(missing)) } else { detail };
    };
    let statistic = words::sentence(&statistic(&drift.statistic));
    let mut said = format!(
        "{statistic} {} on {} values of this month, against {} of {}. From {} on a shift is moderate, from {} on clear.",
        drift.corrected_value.map_or_else(|| "without a value".to_owned(), super::values::number),
        super::values::number(drift.n as f64),
        super::values::number(drift.baseline_n as f64),
        words::plain(&drift.baseline),
        super::values::number(drift.moderate_threshold),
        super::values::number(drift.significant_threshold),
    );
    if !drift.note.is_empty() {
        said.extend([" ", &words::sentence(&words::plain(&drift.note)), "."]);
    }
    said
}

/// What was decided about a finding; empty if nothing was.
fn decided(finding: &Finding) -> String {
    let what = match finding.disposition {
        Disposition::Unspecified => return String::new(),
        Disposition::Noted => "noted".to_owned(),
        Disposition::RiskAccepted => "the risk is accepted".to_owned(),
        Disposition::ActionItem | Disposition::Proposal => {
            format!("{} follows", words::plain(&finding.disposition_reference))
        }
    };
    if finding.disposition_note.is_empty() { what } else { format!("{what}: {}", finding.disposition_note) }
}

/// A text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What a finding asks.
pub(super) fn ask(document: &Document<'_>, finding: &Finding) -> Ask {
    let header = &document.pack.evidence.header;
    let (what, otherwise) = request(finding);
    let decided = decided(finding);
    let critical = finding.severity == FindingSeverity::Critical;
    let review = quoted(name::last(&document.pack.review));
    let id = quoted(&finding.id);
    let command = match (decided.is_empty(), finding.suggested_action.is_empty()) {
        (false, _) => String::new(),
        (true, false) => format!("remit review propose {review} {id} --rationale 'WHY'"),
        (true, true) if finding.severity == FindingSeverity::Info => {
            format!("remit review dispose {review} {id} noted --note 'WHY'")
        }
        (true, true) => format!("remit review assign {review} {id} --owner WHO --due DATE --note 'WHY'"),
    };
    let section = document.pack.evidence.sections.iter().find(|section| section.key == finding.section);
    let of = match (critical, header.rule.is_empty()) {
        (true, true) => format!("the members of the {}, by a vote or a note in the minutes", header.body_title),
        (true, false) => format!("the members of the {}, by {}", header.body_title, header.rule),
        (false, _) => format!("the {}, to name an owner", header.body_title),
    };
    let concerned = finding.resource.contains('/');
    let cited = document.pack.evidence.cited.iter().filter(|one| one.resource == finding.resource);
    let cited: Vec<String> = cited.map(|one| super::values::number(one.index as f64)).collect();
    Ask {
        id: format!("ask-{}", finding.id),
        what,
        why: reason(document, finding),
        of,
        by: deadline(document),
        otherwise: otherwise.to_owned(),
        command,
        evidence: section.map_or_else(Default::default, |section| (section.key.clone(), section.title.clone())),
        cited: if concerned { super::parts::list(&cited) } else { String::new() },
        entries: if concerned {
            format!("remit audit search {}", quoted(&format!("resource = \"{}\"", finding.resource)))
        } else {
            String::new()
        },
        decided,
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_a_caller_named_stays_one_word_of_the_command() {
        assert_eq!(quoted("DRIFT_SIGNIFICANT.models.x.versions.1"), "DRIFT_SIGNIFICANT.models.x.versions.1");
        assert_eq!(quoted("a'; rm -rf ~ #"), "'a'\\''; rm -rf ~ #'");
        assert_eq!(quoted(""), "''");
    }
}
