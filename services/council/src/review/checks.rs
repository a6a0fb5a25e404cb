//! The tests behind the control library. Each says what it looks at, what it asks of each, how many it looks at, and
//! from when on it fails; with nothing to look at it says nothing. That records exist proves nothing here.

use super::pack::Checked;
use super::sources::{Frame, Got, Sources, done};
use crate::time::{at, days};
use crate::waiver::end_of;
use remit_api::audit::v1::Outcome;
use remit_api::council::v1::{
    ActionItemState, ClockState, DriftResult, DriftVerdict, HoldState, Incident, ProposalState, ReviewState,
};
use remit_api::handoff::v1::Rate;
use remit_api::registry::v1::{ArtifactVersionState, ModelVersionState};
use remit_api::scoring::v1::PolicyState;
use remit_core::quorum::{Ballot, Seat};
use std::collections::BTreeSet;

/// One test, as data.
#[derive(Debug)]
pub(crate) struct Test {
    /// The evidence key, such as `registry.disclosure`.
    pub(crate) key: &'static str,
    /// What is looked at.
    pub(crate) population: &'static str,
    /// What is asked of each.
    pub(crate) test: &'static str,
    /// How many are looked at.
    pub(crate) sample: &'static str,
    /// From when on it fails.
    pub(crate) threshold: &'static str,
    /// The codes of the findings that say the same: one cause is one finding.
    pub(crate) causes: &'static [&'static str],
}

macro_rules! tests {
    ($($key:literal: $population:literal, $test:literal, $sample:literal, $threshold:literal, [$($cause:literal),*];)+) => {
        /// Every test that the library may name, those that [`run`] answers.
        pub(crate) const TESTS: &[Test] = &[$(Test {
            key: $key,
            population: $population,
            test: $test,
            sample: $sample,
            threshold: $threshold,
            causes: &[$($cause),*],
        }),+];
    };
}

tests! {
    "audit.verify": "entries of the audit log", "is its content what its leaf and the tree say",
        "all that were recomputed, those of the month among them", "one that is not", ["AUDIT_LOG_INVALID"];
    "audit.summary": "events of the month", "is it in the log and not set aside", "all", "one set aside", [];
    "audit.retention": "the retention of the log, once anything is in it", "does it keep entries for six months",
        "the rule in force", "fewer than 184 days", [];
    "audit.erasures": "erasures of the month", "was it carried out", "all", "one that failed", [];
    "scoring.decisions": "tasks of the inventory", "has it a decision in force", "all", "one without", [];
    "scoring.checks": "checks of the month", "was it answered from a state that was known", "all",
        "more than one in a hundred", [];
    "scoring.policies": "the policy in force, once tasks are decided by it", "is it within its review date", "all",
        "past it", ["POLICY_STALE"];
    "scoring.tasks": "tasks of the inventory", "do its raters agree", "all", "one where they do not",
        ["NEEDS_RECONCILIATION"];
    "registry.versions": "model versions that ran in the month", "is it documented, owned and within its review date",
        "all", "one that is not", ["MODEL_PAST_REVIEW_DATE", "DOCUMENTATION_GAP"];
    "registry.artifacts": "artifact versions in force", "did a named approver and a digest come with it", "all",
        "one without", [];
    "registry.suspensions": "versions that drifted significantly by the review before, and stops of the month",
        "was it stopped, or was something else decided", "all", "one that runs on undecided", [];
    "registry.disclosure": "outputs of the month that may need a label", "is the label, or why none is needed, recorded",
        "all", "one without", ["DISCLOSURE_MISSING"];
    "handoff.summary": "unfinished handoffs", "how long has it waited", "the oldest", "30 days", [];
    "handoff.gates": "gates, once work passes any", "has it a version in force", "all but templates", "one without", [];
    "handoff.overrides": "overrides of the month", "has it a follow-up", "all", "one without",
        ["OVERRIDE_WITHOUT_FOLLOW_UP"];
    "handoff.reviewers": "reviewers of the month", "does approval look considered", "the 100 busiest",
        "one who approves nearly everything", [];
    "handoff.grades": "reviewed variants of the month", "has it factual errors", "all",
        "more than one in twenty, of 20 or more", [];
    "handoff.sla": "service-level clocks of the month", "was it met", "all", "fewer than nineteen in twenty", [];
    "handoff.routing": "leads of the month that waited for a person", "was it decided in time", "all",
        "fewer than nineteen in twenty", [];
    "kpi.summary": "KPIs with data in the month", "is it within its limit of breach", "all", "one beyond",
        ["TARGET_BREACHED"];
    "kpi.drift": "drift results with enough data", "is it below the significant threshold", "all", "one at or above",
        ["DRIFT_SIGNIFICANT"];
    "council.proposals": "proposals decided in the month, failed or escalated", "was it carried out, or given up", "all",
        "one that failed, or has been escalated for 30 days", [];
    "council.holds": "holds and break-glass uses of the month", "was each use reviewed by another person", "all",
        "one that was not", ["BREAK_GLASS_UNREVIEWED"];
    "council.drills": "the year up to the end of the month, if AI did anything in it",
        "was the kill switch tried", "all drills", "no drill", [];
    "council.waivers": "waivers in force in the month", "does it end for good", "all",
        "one rule waived in one scope for more than a year on end", [];
    "council.incidents": "incidents open in the month", "was each statutory report handed in in time", "all",
        "one that was not", ["CLOCK_BREACHED", "CLOCK_MET_LATE"];
    "council.reviews": "months before this one since the first review, at most 13", "is its pack sealed", "all",
        "one that is not", ["REVIEW_MISSED"];
    "council.action_items": "action items open in the month", "is it within its due date", "all", "one that is not",
        ["ACTION_OVERDUE"];
    "council.members": "votes and signatures of the month", "can the seats meet the rule of the body", "all seats",
        "they cannot", [];
    "council.trainings": "people who voted, signed or reviewed in the month, once any training is on record",
        "had she a training that counted", "all, of reviewers the 100 busiest", "one without", [];
}

/// Six months, the least that automatic logs are kept (C10).
const LEAST_DAYS: i64 = 184;

/// What a test found: what it came to, of how many, in words.
pub(crate) struct Found {
    pub(crate) outcome: Checked,
    pub(crate) n: i64,
    pub(crate) said: String,
}

/// So many of `n` fail.
fn judged(n: i64, failing: i64, what: &str, wrong: &str) -> Found {
    let outcome = match (n, failing) {
        (_, 1..) => Checked::Failed,
        (..=0, _) => Checked::NothingToTest,
        _ => Checked::Passed,
    };
    let said = if failing > 0 { format!("{failing} of {n} {what} {wrong}") } else { format!("{n} {what}") };
    Found { outcome, n, said }
}

/// A share that must be at least or at most something; `bad` says when it is not.
fn share(rate: Option<&Rate>, bad: impl Fn(f64) -> bool, what: &str) -> Found {
    let (n, ratio) = rate.map_or((0, None), |rate| (rate.total, rate.ratio));
    let Some(ratio) = ratio.filter(|_| n > 0) else { return judged(0, 0, what, "") };
    let outcome = if bad(ratio) { Checked::Failed } else { Checked::Passed };
    Found { outcome, n, said: format!("{:.2} % of {n} {what}", ratio * 100.0) }
}

fn with<T>(source: &Got<T>, test: impl FnOnce(&T) -> Found) -> Found {
    match source {
        Ok(answer) => test(answer),
        Err(why) => away(why),
    }
}

fn away(why: &str) -> Found {
    Found { outcome: Checked::SourceNotAvailable, n: 0, said: format!("not available: {why}") }
}

fn count<T>(all: impl Iterator<Item = T>) -> i64 {
    i64::try_from(all.count()).unwrap_or(i64::MAX)
}

/// Runs the test of an evidence key.
pub(crate) fn run(key: &str, sources: &Sources, frame: &Frame<'_>, drift: &[DriftResult]) -> Found {
    match key.split_once('.').map_or("", |(service, _)| service) {
        "audit" => of_audit(key, sources),
        "scoring" => of_scoring(key, sources, frame),
        "registry" => of_registry(key, sources, frame),
        "handoff" => of_handoff(key, sources, frame),
        "kpi" => of_kpi(key, sources, drift),
        "council" => of_council(key, sources, frame),
        _ => away(&format!("{key} is not a source of this version")),
    }
}

fn of_audit(key: &str, sources: &Sources) -> Found {
    // A log that was not written in the month proves nothing about the month.
    let of_month = sources.entries.as_ref().map_or(0, |entries| entries.total_count);
    match key {
        "audit.verify" => with(&sources.verify, |verified| {
            let wrong = if verified.ok { 0 } else { count(verified.findings.iter()).max(1) };
            let n = if of_month > 0 { verified.checked_entry_count } else { 0 };
            let what = format!("entries recomputed of {}, from index {}", verified.size, verified.start_index);
            judged(n, wrong, &what, "are not what was recorded")
        }),
        "audit.summary" => with(&sources.entries, |entries| {
            let parked = sources.positions.iter().map(|source| source.parked).sum();
            judged(entries.total_count, parked, "events of the month", "were set aside")
        }),
        "audit.retention" => with(&sources.retention, |policy| {
            let days = policy.keep.as_ref().map(|keep| keep.seconds / 86_400);
            let failing = i64::from(days.is_some_and(|days| days < LEAST_DAYS));
            let mut found = judged(i64::from(of_month > 0), failing, "rule of retention", "keeps too short");
            let kept = days.map_or_else(|| "for ever".to_owned(), |days| format!("for {days} days"));
            found.said = format!("{}: entries are kept {kept}", found.said);
            found
        }),
        _ => with(&sources.entries, |entries| {
            let action = "audit.subjects.erase";
            let failed = entries.counts.iter().filter(|one| one.action == action && one.outcome() == Outcome::Failure);
            let failed: i64 = failed.map(|one| one.count).sum();
            judged(done(entries, action) + failed, failed, "erasures in the month", "failed")
        }),
    }
}

fn of_scoring(key: &str, sources: &Sources, frame: &Frame<'_>) -> Found {
    match key {
        "scoring.decisions" => with(&sources.decisions, |found| {
            judged(found.tasks, found.tasks - found.tasks_decided, "tasks", "have no decision in force")
        }),
        "scoring.checks" => with(&sources.decisions, |found| {
            let unknown = found.check_counts.iter().filter(|one| one.reason == "STATE_UNAVAILABLE");
            let unknown: i64 = unknown.map(|one| one.count).sum();
            let failing = if unknown.saturating_mul(100) > found.checks { unknown } else { 0 };
            judged(found.checks, failing, "checks before AI acted", "were answered without a known state")
        }),
        "scoring.policies" => {
            let decided = sources.decisions.as_ref().map_or(0, |found| found.tasks_decided);
            with(&sources.policies, |policies| {
                let active = || policies.iter().filter(|policy| policy.state() == PolicyState::Active);
                let past = |due: &Option<prost_types::Timestamp>| due.is_some() && at(due) < frame.now;
                let stale = count(active().filter(|policy| past(&policy.review_by)));
                let n = if decided > 0 { count(active()) } else { 0 };
                judged(n, stale, "policies in force", "are past their review date")
            })
        }
        _ => with(&sources.decisions, |found| {
            judged(found.tasks, found.needs_reconciliation, "tasks", "have raters who disagree")
        }),
    }
}

fn of_registry(key: &str, sources: &Sources, frame: &Frame<'_>) -> Found {
    match key {
        "registry.versions" => with(&sources.versions, |versions| {
            let ran = || versions.iter().filter(|one| one.ran_in(frame.month)).map(|one| &one.version);
            let past = |due: &Option<prost_types::Timestamp>| due.is_some() && at(due) < frame.now;
            let gaps =
                ran().filter(|one| !one.documentation_gaps.is_empty() || one.owner.is_empty() || past(&one.review_by));
            judged(count(ran()), count(gaps), "model versions that ran", "lack documentation, an owner or a review")
        }),
        "registry.artifacts" => with(&sources.artifacts, |artifacts| {
            let approved = || artifacts.iter().filter(|one| one.state() == ArtifactVersionState::Approved);
            let bare = approved().filter(|one| one.approver.is_none() || one.content_digest.is_empty());
            judged(count(approved()), count(bare), "artifact versions in force", "lack an approver or a digest")
        }),
        "registry.suspensions" => with(&sources.versions, |versions| {
            let stopped = |state| matches!(state, ModelVersionState::Suspended | ModelVersionState::Retired);
            let changes = versions.iter().flat_map(|version| &version.transitions);
            let stops = changes.filter(|change| stopped(change.to_state()) && frame.in_month(&change.record_time));
            let before = frame.earlier.iter().find(|review| review.period < frame.review.period);
            let drifted = before.into_iter().flat_map(|review| &review.findings);
            let drifted: Vec<_> = drifted.filter(|finding| finding.code == "DRIFT_SIGNIFICANT").collect();
            let runs_on = drifted.iter().filter(|finding| {
                let now = versions.iter().find(|one| one.version.name == finding.resource);
                finding.disposition == 0 && now.is_some_and(|one| !stopped(one.version.state()))
            });
            let n = count(stops) + count(drifted.iter());
            judged(n, count(runs_on), "stops and drifted versions", "run on, and nobody decided so")
        }),
        _ => with(&sources.outputs, |outputs| {
            let of = |status: &str| outputs.by_disclosure_status.get(status).copied().unwrap_or(0);
            let all: i64 = outputs.by_disclosure_status.values().sum();
            judged(all - of("NOT_REQUIRED"), of("MISSING"), "outputs that may need a label", "lack it")
        }),
    }
}

fn of_handoff(key: &str, sources: &Sources, frame: &Frame<'_>) -> Found {
    let least = |ratio: f64| ratio < 0.95;
    match key {
        "handoff.gates" => {
            let worked = sources.handoffs.as_ref().map_or(0, |found| found.created_count + found.published_count);
            let routed = sources.routing.as_ref().map_or(0, |found| found.total_count);
            with(&sources.gates, |gates| {
                let used = || gates.iter().filter(|gate| !gate.template);
                let empty = count(used().filter(|gate| gate.active_version.is_empty()));
                let (n, empty) = if worked + routed > 0 { (count(used()), empty) } else { (0, 0) };
                judged(n, empty, "gates", "have no version in force")
            })
        }
        "handoff.routing" => with(&sources.routing, |found| {
            let met = found.decide.as_ref().and_then(|level| level.met.as_ref());
            share(met, least, "leads that waited for a person were decided in time")
        }),
        _ => with(&sources.handoffs, |found| match key {
            "handoff.summary" => {
                let open = i64::from(!found.oldest_open.is_empty());
                let old = at(&found.oldest_open_create_time).plus(days(30)) < frame.now;
                let failing = if open > 0 && old { open } else { 0 };
                judged(found.created_count.max(open), failing, "handoffs", "have waited longer than 30 days")
            }
            "handoff.overrides" => {
                let failing = found.overrides_without_follow_up;
                judged(found.override_count, failing, "overrides in the month", "have no follow-up")
            }
            "handoff.reviewers" => {
                let hasty = found.reviewers.iter().filter(|one| one.always_approves);
                judged(count(found.reviewers.iter()), count(hasty), "reviewers", "approve nearly everything")
            }
            "handoff.grades" => {
                let of = |pick: fn(&Rate) -> i64| -> i64 {
                    found.model_grades.iter().filter_map(|one| one.factual_errors.as_ref()).map(pick).sum()
                };
                let (n, errors) = (of(|rate| rate.total), of(|rate| rate.count));
                let failing = if n >= 20 && errors.saturating_mul(20) > n { errors } else { 0 };
                judged(n, failing, "reviewed variants", "had factual errors")
            }
            _ => {
                let met: i64 = found.service_levels.iter().map(|level| level.met_count).sum();
                let breached: i64 = found.service_levels.iter().map(|level| level.breached_count).sum();
                let failing = if breached.saturating_mul(20) > met + breached { breached } else { 0 };
                judged(met + breached, failing, "service-level clocks", "were breached")
            }
        }),
    }
}

fn of_kpi(key: &str, sources: &Sources, drift: &[DriftResult]) -> Found {
    if key == "kpi.drift" {
        // The detectors ask services: with one away they know too little, and not that nothing drifted.
        if let Err(why) = &sources.kpis {
            return away(why);
        }
        let judged_results = || drift.iter().filter(|result| result.verdict() != DriftVerdict::InsufficientData);
        let drifted = judged_results().filter(|result| result.verdict() == DriftVerdict::Significant);
        let what = format!("drift results with a verdict, of {}", drift.len());
        return judged(count(judged_results()), count(drifted), &what, "are significant");
    }
    with(&sources.kpis, |found| {
        let present = || found.kpis.iter().filter_map(|one| one.current.as_ref()).filter(|now| now.n > 0);
        let beyond = found.kpis.iter().filter(|one| super::findings::is_breached(one));
        judged(count(present()), count(beyond), "KPIs with data", "are beyond their limit")
    })
}

/// Whether a report was not handed in in time.
fn late(incident: &Incident) -> bool {
    let is_late = |state: ClockState| matches!(state, ClockState::Breached | ClockState::MetLate);
    incident.clocks.iter().any(|clock| is_late(clock.state()))
}

fn of_council(key: &str, sources: &Sources, frame: &Frame<'_>) -> Found {
    let own = &sources.own;
    match key {
        "council.proposals" => {
            let stuck = |state| matches!(state, ProposalState::Failed | ProposalState::Escalated);
            let of_month = own.proposals.iter().filter(|one| {
                frame.in_month(&one.decide_time) || (stuck(one.state()) && frame.before_end(&one.create_time))
            });
            let of_month: Vec<_> = of_month.collect();
            let long = |decided| at(decided).plus(days(30)) < frame.now;
            let failing = of_month.iter().filter(|one| match one.state() {
                ProposalState::Failed => true,
                ProposalState::Escalated => long(&one.decide_time),
                _ => false,
            });
            judged(count(of_month.iter()), count(failing), "proposals", "were not carried out")
        }
        "council.holds" => {
            let real = own.holds.iter().filter(|hold| !hold.drill);
            let of_month =
                real.filter(|hold| frame.in_month(&hold.create_time) || hold.state() == HoldState::Engaged).count();
            let uses =
                || own.uses.iter().filter(|used| frame.in_month(&used.create_time) || used.review_time.is_none());
            let open = uses().filter(|used| used.review_time.is_none());
            let n = i64::try_from(of_month).unwrap_or(i64::MAX).saturating_add(count(uses()));
            judged(n, count(open), "holds and break-glass uses", "were not reviewed")
        }
        "council.drills" => {
            let recent = |hold: &&remit_api::council::v1::Hold| {
                hold.drill && at(&hold.create_time).plus(days(366)) >= frame.month.end()
            };
            let drills = own.holds.iter().filter(recent);
            let drills = count(drills);
            let ran = sources.versions.iter().flatten().filter(|one| one.ran_in(frame.month));
            let acts = count(ran) + sources.decisions.as_ref().map_or(0, |found| found.checks);
            if drills == 0 && acts > 0 {
                let said = "the kill switch was not tried within a year, while AI ran".to_owned();
                return Found { outcome: Checked::Failed, n: 0, said };
            }
            judged(drills, 0, "drills of the kill switch within a year", "")
        }
        "council.waivers" => {
            let in_force: Vec<_> = own.waivers.iter().filter(|one| end_of(one) > frame.month.start()).collect();
            let lasting = in_force.iter().filter(|one| crate::waiver::in_force_for(one, &own.waivers) > days(366));
            judged(count(in_force.iter()), count(lasting), "waivers in force", "have been renewed for over a year")
        }
        "council.incidents" => {
            let open_in_month: Vec<_> = own.incidents.iter().filter(|one| frame.lasted(&one.close_time)).collect();
            let failing = open_in_month.iter().filter(|one| late(one));
            judged(count(open_in_month.iter()), count(failing), "incidents", "had a report that was late")
        }
        _ => of_body(key, sources, frame),
    }
}

/// Whether those who decided in the month were trained. What counts is what counts when it ends.
fn of_trainings(sources: &Sources, frame: &Frame<'_>) -> Found {
    let own = &sources.own;
    if own.trainings.is_empty() {
        return judged(0, 0, "people, for no training is on record", "");
    }
    let Ok(handoffs) = &sources.handoffs else { return away("handoff did not say who reviewed") };
    let votes = own.proposals.iter().flat_map(|one| &one.votes).filter(|one| frame.in_month(&one.create_time));
    let signatures =
        frame.earlier.iter().flat_map(|one| &one.signatures).filter(|one| frame.in_month(&one.create_time));
    let actors = votes.filter_map(|one| one.voter.as_ref()).chain(signatures.filter_map(|one| one.signer.as_ref()));
    let reviewers = handoffs.reviewers.iter().filter(|one| one.review_count > 0).map(|one| one.subject.as_str());
    let people: BTreeSet<&str> = actors.map(|actor| actor.subject.as_str()).chain(reviewers).collect();
    let end = frame.month.end();
    let trained = |who: &str| {
        let of_her = own.trainings.iter().filter(|one| one.subject == who);
        of_her.clone().any(|one| at(&one.complete_time) <= end && at(&one.expire_time) > end)
    };
    let lacking: Vec<&str> = people.iter().copied().filter(|who| !trained(who)).collect();
    let what = "people who voted, signed or reviewed";
    let mut found = judged(count(people.iter()), count(lacking.iter()), what, "had no training that counts");
    if !lacking.is_empty() {
        found.said = format!("{}: {}", found.said, lacking.join(", "));
    }
    found
}

fn of_body(key: &str, sources: &Sources, frame: &Frame<'_>) -> Found {
    let own = &sources.own;
    match key {
        "council.reviews" => {
            let Some(first) = frame.earlier.iter().map(|review| review.period.as_str()).min() else {
                return judged(0, 0, "earlier reviews", "");
            };
            let mut months = Vec::new();
            let mut month = frame.month.previous();
            while months.len() < 13 && month.period().as_str() >= first {
                months.push(month.period());
                month = month.previous();
            }
            let sealed = |period: &&String| {
                let of_it = frame.earlier.iter().find(|review| review.period == **period);
                of_it.is_none_or(|review| review.state() != ReviewState::Sealed)
            };
            judged(count(months.iter()), count(months.iter().filter(sealed)), "months", "have no sealed review")
        }
        "council.action_items" => {
            let in_month = own
                .items
                .iter()
                .filter(|item| item.state() == ActionItemState::Open || frame.in_month(&item.close_time));
            let in_month: Vec<_> = in_month.filter(|item| frame.before_end(&item.create_time)).collect();
            let open = in_month.iter().filter(|item| item.state() == ActionItemState::Open);
            let overdue = open.filter(|item| at(&item.due_time) < frame.now);
            judged(count(in_month.iter()), count(overdue), "action items", "are overdue")
        }
        "council.trainings" => of_trainings(sources, frame),
        _ => {
            let votes = own.proposals.iter().flat_map(|one| &one.votes);
            let votes = votes.filter(|vote| frame.in_month(&vote.create_time));
            let signatures = frame.earlier.iter().flat_map(|review| &review.signatures);
            let signatures = signatures.filter(|one| frame.in_month(&one.create_time));
            let acted = count(votes) + count(signatures);
            let seats = own.members.iter().filter(|member| member.active);
            let seats = seats.map(|one| Seat { subject: one.subject.clone(), role_group: one.role_group.clone() });
            let rule = frame.review.quorum.as_ref().map(crate::body::rule).unwrap_or_default();
            let ballot = Ballot { rule, seats: seats.collect(), ..Ballot::default() };
            let lacking = ballot.unreachable();
            let mut found = judged(acted, 0, "votes and signatures in the month", "");
            if !lacking.is_empty() && !own.members.is_empty() {
                found.outcome = Checked::Failed;
                found.said = format!("the seats of the body cannot meet its rule: {}", lacking.join(", "));
            }
            found
        }
    }
}
