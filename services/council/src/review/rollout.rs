//! The checklist of the first 90 days (S56 to S63, S74 to S78), read from the records: nobody ticks an item. Each names the
//! records that show it and since when; what is not shown says what is missing, and what could not be asked is unknown.

use super::pack::word;
use super::sources::{Got, Own, Version};
use crate::time::{Month, at, days};
use remit_api::audit::v1::Checkpoint;
use remit_api::council::v1::RolloutState::{Done, Open, UnderWay, Unknown};
use remit_api::council::v1::{self as api, Review, ReviewState, RolloutState};
use remit_api::handoff::v1::{GateState, GateVersion, Override};
use remit_api::kpi::v1::{Experiment, Kpi, Layer};
use remit_api::registry::v1::{ArtifactKind, ArtifactVersion, ArtifactVersionState, ModelVersionState};
use remit_api::scoring::v1::{AuditWindow, Decision, SummarizeDecisionsResponse};
use remit_api::wire::time::stamp;
use remit_core::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An item names at most so many records.
const MOST: usize = 10;
/// How long an audit of tasks takes (S56), and how long a pilot does (S60), in days.
const AUDIT_DAYS: u64 = 14;
const PILOT_DAYS: (u64, u64) = (42, 56);

/// What the other services know.
pub(crate) struct Asked {
    /// The spans in which tasks were observed.
    pub(crate) windows: Got<Vec<AuditWindow>>,
    /// How many tasks are decided.
    pub(crate) decisions: Got<SummarizeDecisionsResponse>,
    /// The newest decisions.
    pub(crate) newest: Got<Vec<Decision>>,
    /// All gate versions.
    pub(crate) gates: Got<Vec<GateVersion>>,
    /// The newest overrides.
    pub(crate) overrides: Got<Vec<Override>>,
    /// All model versions with their histories.
    pub(crate) versions: Got<Vec<Version>>,
    /// All artifact versions.
    pub(crate) artifacts: Got<Vec<ArtifactVersion>>,
    /// The newest checkpoint of the audit log.
    pub(crate) checkpoint: Got<Checkpoint>,
    /// All KPIs.
    pub(crate) kpis: Got<Vec<Kpi>>,
    /// All experiments.
    pub(crate) experiments: Got<Vec<Experiment>>,
}

/// One item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// The stable key.
    pub(crate) key: String,
    /// What is to be done.
    pub(crate) title: String,
    /// The facts that ask for it.
    pub(crate) facts: Vec<String>,
    /// How far it is.
    #[serde(with = "word")]
    pub(crate) state: RolloutState,
    /// What the records show, or what is missing.
    pub(crate) said: String,
    /// The records that show it, the newest first.
    pub(crate) records: Vec<String>,
    /// Since when it is done, RFC 3339; empty if it is not, or if no record says since when.
    pub(crate) since: String,
}

impl Step {
    /// The item as in the contract.
    pub(crate) fn to_api(&self) -> api::RolloutItem {
        api::RolloutItem {
            key: self.key.clone(),
            title: self.title.clone(),
            facts: self.facts.clone(),
            state: self.state.into(),
            said: self.said.clone(),
            records: self.records.clone(),
            since_time: self.since.parse::<jiff::Timestamp>().ok().map(|since| stamp(since.into())),
        }
    }
}

/// What records show of an item.
struct Shown {
    state: RolloutState,
    said: String,
    records: Vec<String>,
    since: Option<Timestamp>,
}

fn done(said: String, records: Vec<String>, since: Option<Timestamp>) -> Shown {
    Shown { state: Done, said, records, since }
}

fn not_done(said: impl Into<String>, records: Vec<String>) -> Shown {
    let state = if records.is_empty() { Open } else { UnderWay };
    Shown { state, said: said.into(), records, since: None }
}

/// What there is to read.
struct Read<'a> {
    asked: &'a Asked,
    own: &'a Own,
    now: Timestamp,
}

type Item = (&'static str, &'static str, &'static [&'static str], fn(&Read<'_>) -> Got<Shown>);

const ITEMS: &[Item] = &[
    ("task_audit", "Observe for two weeks which tasks there are, and tag each.", &["S56", "S74"], task_audit),
    ("matrix", "Decide every task by the matrix.", &["S57", "S74"], matrix),
    (
        "owners",
        "Give every gate an owner, an accountable person and a time within which people look.",
        &["S58"],
        owners,
    ),
    ("registry", "Keep models in a registry and what happens in an audit log.", &["S59", "S77"], registry),
    ("criteria", "Set targets for the machines and for the strategy, before the pilot.", &["S75", "S76"], criteria),
    ("pilot", "Try one domain for six to eight weeks, before and after.", &["S60", "S75"], pilot),
    ("overrides", "Write down why people override AI.", &["S61"], overrides),
    ("library", "Keep playbooks, prompts and style guides, approved and by version.", &["S63"], library),
    ("training", "Write down the rules of handoffs, and train who decides.", &["S78"], training),
    ("cadence", "Review drift, quality and privacy every month, and seal it.", &["S62", "S77"], cadence),
];

/// The checklist.
pub(crate) fn steps(asked: &Asked, own: &Own, now: Timestamp) -> Vec<Step> {
    let read = Read { asked, own, now };
    let step = |(key, title, facts, show): &Item| {
        let away = |why| Shown { state: Unknown, said: format!("not known: {why}"), records: Vec::new(), since: None };
        let shown = show(&read).unwrap_or_else(away);
        Step {
            key: (*key).to_owned(),
            title: (*title).to_owned(),
            facts: facts.iter().map(|fact| (*fact).to_owned()).collect(),
            state: shown.state,
            said: shown.said,
            records: shown.records,
            since: shown.since.map(|since| since.to_string()).unwrap_or_default(),
        }
    };
    ITEMS.iter().map(step).collect()
}

fn known<T>(answer: &Got<T>) -> Got<&T> {
    answer.as_ref().map_err(Clone::clone)
}

/// The names of things with a time each, the newest first.
fn newest<'a>(named: impl Iterator<Item = (&'a str, Timestamp)>) -> Vec<String> {
    let mut named: Vec<_> = named.collect();
    named.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
    named.into_iter().take(MOST).map(|(name, _)| name.to_owned()).collect()
}

fn task_audit(read: &Read<'_>) -> Got<Shown> {
    let windows = known(&read.asked.windows)?;
    let long = |one: &&AuditWindow| at(&one.start_time).plus(days(AUDIT_DAYS)) <= at(&one.end_time);
    let over = windows.iter().filter(long).filter(|one| at(&one.end_time) <= read.now && one.tasks > 0);
    let whole: Vec<&AuditWindow> = over.clone().filter(|one| one.tagged == one.tasks).collect();
    if let Some(first) = whole.iter().min_by_key(|one| at(&one.end_time)) {
        let records = newest(whole.iter().map(|one| (one.name.as_str(), at(&one.end_time))));
        let said = format!("{} tasks were found, all tagged by frequency, complexity and risk", first.tasks);
        return Ok(done(said, records, Some(at(&first.end_time))));
    }
    let records = newest(windows.iter().map(|one| (one.name.as_str(), at(&one.end_time))));
    Ok(match over.max_by_key(|one| at(&one.end_time)) {
        Some(last) => {
            not_done(format!("{} of {} tasks found are not tagged", last.tasks - last.tagged, last.tasks), records)
        }
        None => not_done("no span of two weeks in which tasks were found is over", records),
    })
}

fn matrix(read: &Read<'_>) -> Got<Shown> {
    let (sums, decisions) = (known(&read.asked.decisions)?, known(&read.asked.newest)?);
    let records = newest(decisions.iter().map(|one| (one.name.as_str(), at(&one.decide_time))));
    let said = format!("{} of {} tasks have a decision in force", sums.tasks_decided, sums.tasks);
    if sums.tasks == 0 || sums.tasks_decided < sums.tasks {
        return Ok(not_done(said, records));
    }
    Ok(done(said, records, decisions.iter().map(|one| at(&one.decide_time)).max()))
}

/// The gate versions in force.
fn in_force<'a>(read: &Read<'a>) -> Got<Vec<&'a GateVersion>> {
    Ok(known(&read.asked.gates)?.iter().filter(|one| one.state() == GateState::Active).collect())
}

fn first_active(gates: &[&GateVersion]) -> Option<Timestamp> {
    gates.iter().map(|one| at(&one.activate_time)).min()
}

fn owners(read: &Read<'_>) -> Got<Shown> {
    let gates = in_force(read)?;
    let records = newest(gates.iter().map(|one| (one.name.as_str(), at(&one.activate_time))));
    let lacking =
        |one: &&&GateVersion| one.owner.is_none() || one.accountable_person.is_empty() || one.service_level.is_none();
    let n = gates.iter().filter(lacking).count();
    Ok(match (gates.len(), n) {
        (0, _) => not_done("no gate is in force", records),
        (all, 0) => done(format!("{all} gates in force have all three"), records, first_active(&gates)),
        (all, n) => not_done(format!("{n} of {all} gates in force lack one of them"), records),
    })
}

fn registry(read: &Read<'_>) -> Got<Shown> {
    let (versions, checkpoint) = (known(&read.asked.versions)?, known(&read.asked.checkpoint)?);
    let runs = |state| matches!(state, ModelVersionState::Approved | ModelVersionState::Restricted);
    let approved: Vec<_> = versions.iter().filter(|one| runs(one.version.state())).collect();
    let since = |one: &&Version| {
        let changes = one.transitions.iter().filter(|change| runs(change.to_state()));
        changes.map(|change| at(&change.record_time)).min().unwrap_or_else(|| at(&one.version.create_time))
    };
    let records = newest(approved.iter().map(|one| (one.version.name.as_str(), since(one))));
    let said = format!("{} versions are approved; the log holds {} entries", approved.len(), checkpoint.size);
    if approved.is_empty() || checkpoint.size == 0 {
        return Ok(not_done(said, newest(versions.iter().map(|one| (one.version.name.as_str(), since(&one))))));
    }
    Ok(done(said, records, approved.iter().map(since).min()))
}

fn criteria(read: &Read<'_>) -> Got<Shown> {
    let (kpis, gates) = (known(&read.asked.kpis)?, in_force(read)?);
    let with_target = |layers: &[Layer]| {
        let of_layer = kpis.iter().filter(|one| one.target.is_some() && layers.contains(&one.layer()));
        of_layer.min_by_key(|one| (at(&one.create_time), &one.name))
    };
    let machines = with_target(&[Layer::Operational, Layer::Execution]);
    let strategy = with_target(&[Layer::Strategic]);
    let found = [machines, strategy].into_iter().flatten();
    let mut records = newest(found.map(|one| (one.name.as_str(), at(&one.create_time))));
    records.extend(gates.iter().take(1).map(|one| one.name.clone()));
    Ok(match (machines, strategy, first_active(&gates)) {
        (Some(machines), Some(strategy), Some(gate)) => {
            let n = kpis.iter().filter(|one| one.target.is_some()).count();
            let said = format!("{n} KPIs have a target, and {} gates say what is accepted", gates.len());
            let since = at(&machines.create_time).max(at(&strategy.create_time)).max(gate);
            done(said, records, Some(since))
        }
        (None, ..) => not_done("no KPI of the machines has a target", records),
        (_, None, _) => not_done("no strategic KPI has a target", records),
        (.., None) => not_done("no gate in force says what is accepted", records),
    })
}

fn pilot(read: &Read<'_>) -> Got<Shown> {
    let experiments = known(&read.asked.experiments)?;
    let fits = |one: &&Experiment| {
        let (start, end) = (at(&one.start_time), at(&one.end_time));
        let long = start.plus(days(PILOT_DAYS.0)) <= end && end <= start.plus(days(PILOT_DAYS.1));
        long && one.cancel_reason.is_empty() && !one.retrospective
    };
    let pilots: Vec<&Experiment> = experiments.iter().filter(fits).collect();
    let records = newest(pilots.iter().map(|one| (one.name.as_str(), at(&one.end_time))));
    let ended = |one: &Experiment| one.conclude_time.map_or_else(|| at(&one.end_time), |_| at(&one.conclude_time));
    let over = pilots.iter().map(|one| ended(one)).filter(|end| *end <= read.now).min();
    Ok(match (pilots.len(), over) {
        (0, _) => not_done("no experiment of 42 to 56 days was registered before it began", records),
        (_, None) => not_done("one is registered, and its time is not over", records),
        (n, Some(end)) => done(format!("{n} registered before it began, the first over"), records, Some(end)),
    })
}

fn overrides(read: &Read<'_>) -> Got<Shown> {
    let all = known(&read.asked.overrides)?;
    let records = newest(all.iter().map(|one| (one.name.as_str(), at(&one.create_time))));
    if all.is_empty() {
        return Ok(not_done("nobody has overridden AI yet", records));
    }
    let followed = all.iter().filter(|one| !one.follow_ups.is_empty()).count();
    let said = format!("{} of the newest {} overrides, each with its reason, were followed up", followed, all.len());
    Ok(done(said, records, all.iter().map(|one| at(&one.create_time)).min()))
}

fn library(read: &Read<'_>) -> Got<Shown> {
    const KINDS: [(ArtifactKind, &str); 3] = [
        (ArtifactKind::Playbook, "playbook"),
        (ArtifactKind::Prompt, "prompt"),
        (ArtifactKind::StyleGuide, "style guide"),
    ];
    let versions = known(&read.asked.artifacts)?;
    let approved = || versions.iter().filter(|one| one.state() == ArtifactVersionState::Approved);
    let first = |kind| approved().filter(|one| one.kind() == kind).map(|one| at(&one.approve_time)).min();
    let of_library = approved().filter(|one| KINDS.iter().any(|(kind, _)| *kind == one.kind()));
    let records = newest(of_library.map(|one| (one.name.as_str(), at(&one.approve_time))));
    let lacking: Vec<&str> = KINDS.iter().filter(|(kind, _)| first(*kind).is_none()).map(|(_, said)| *said).collect();
    if !lacking.is_empty() {
        return Ok(not_done(format!("no approved {}", lacking.join(", no approved ")), records));
    }
    let said = "at least one of each kind is approved".to_owned();
    Ok(done(said, records, KINDS.iter().filter_map(|(kind, _)| first(*kind)).max()))
}

fn training(read: &Read<'_>) -> Got<Shown> {
    let gates = in_force(read)?;
    let members: BTreeSet<&str> =
        read.own.members.iter().filter(|one| one.active).map(|one| one.subject.as_str()).collect();
    let current = |who: &str| {
        let of_her = read.own.trainings.iter().filter(|one| one.subject == who && at(&one.expire_time) > read.now);
        of_her.map(|one| at(&one.create_time)).min()
    };
    let counts = read.own.trainings.iter().filter(|one| at(&one.expire_time) > read.now);
    let records = newest(counts.map(|one| (one.name.as_str(), at(&one.create_time))));
    let trained: Vec<Timestamp> = members.iter().filter_map(|who| current(who)).collect();
    let said = format!(
        "{} gates in force; {} of {} members have a training that counts",
        gates.len(),
        trained.len(),
        members.len()
    );
    match (first_active(&gates), trained.iter().max()) {
        (Some(gate), Some(last)) if trained.len() == members.len() => Ok(done(said, records, Some(gate.max(*last)))),
        _ => Ok(not_done(said, records)),
    }
}

fn cadence(read: &Read<'_>) -> Got<Shown> {
    let month = |one: &Review| Month::parse(&one.period, &one.zone).ok();
    let sealed =
        |period: &str| read.own.reviews.iter().find(|one| one.period == period && one.state() == ReviewState::Sealed);
    let sealed_at = |one: &Review| one.seal.as_ref().map_or_else(Timestamp::default, |seal| at(&seal.create_time));
    let all = read.own.reviews.iter().filter(|one| one.state() == ReviewState::Sealed);
    let records = newest(
        all.clone().map(|one| (one.name.as_str(), month(one).map_or(Timestamp::default(), |month| month.end()))),
    );
    let Some(last) = all.max_by(|a, b| a.period.cmp(&b.period)) else {
        let begun = newest(read.own.reviews.iter().map(|one| (one.name.as_str(), at(&one.create_time))));
        return Ok(not_done("no review is sealed", begun));
    };
    let run: Vec<&Review> =
        std::iter::successors(Some(last), |one: &&Review| sealed(&month(one)?.previous().period())).collect();
    let said = format!("{} months in a row are sealed, up to {}", run.len(), last.period);
    // Two months after its end the next one is more than due.
    let late = month(last).is_none_or(|month| month.end().plus(days(62)) < read.now);
    if late {
        return Ok(not_done(format!("{said}, and none since"), records));
    }
    Ok(done(said, records, run.last().map(|first| sealed_at(first))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::council::v1::{Member, Seal, Training};
    use remit_api::handoff::v1::{Principal, ServiceLevel};
    use remit_api::registry::v1::{ModelVersion, ModelVersionTransition};

    /// So many days after 1 May 2026.
    fn day(n: i64) -> Option<prost_types::Timestamp> {
        Some(stamp(Timestamp(1_777_593_600_000_000 + n * 86_400_000_000)))
    }

    /// A tenant in which nothing was recorded.
    fn nothing() -> (Asked, Own) {
        let asked = Asked {
            windows: Ok(Vec::new()),
            decisions: Ok(Default::default()),
            newest: Ok(Vec::new()),
            gates: Ok(Vec::new()),
            overrides: Ok(Vec::new()),
            versions: Ok(Vec::new()),
            artifacts: Ok(Vec::new()),
            checkpoint: Ok(Checkpoint { size: 9, ..Default::default() }),
            kpis: Ok(Vec::new()),
            experiments: Ok(Vec::new()),
        };
        (
            asked,
            Own {
                members: vec![Member { subject: "mia".into(), active: true, ..Default::default() }],
                ..Own::default()
            },
        )
    }

    fn gate() -> GateVersion {
        GateVersion {
            name: "gates/g/versions/1".into(),
            state: GateState::Active.into(),
            owner: Some(Principal::default()),
            accountable_person: "mia".into(),
            service_level: Some(ServiceLevel::default()),
            activate_time: day(3),
            ..Default::default()
        }
    }

    fn artifact(kind: ArtifactKind, approved: i64) -> ArtifactVersion {
        let (state, name) = (ArtifactVersionState::Approved.into(), format!("artifacts/{approved}/versions/1"));
        ArtifactVersion { name, kind: kind.into(), state, approve_time: day(approved), ..Default::default() }
    }

    fn kpi(layer: Layer, created: i64) -> Kpi {
        let name = format!("kpis/{created}");
        Kpi { name, layer: layer.into(), target: Some(0.0), create_time: day(created), ..Default::default() }
    }

    fn sealed(period: &str, on: i64) -> Review {
        Review {
            name: format!("reviews/{period}"),
            period: period.into(),
            state: ReviewState::Sealed.into(),
            seal: Some(Seal { create_time: day(on), ..Default::default() }),
            ..Default::default()
        }
    }

    /// A tenant whose records show everything.
    fn everything() -> (Asked, Own) {
        let (mut asked, mut own) = nothing();
        asked.windows = Ok(vec![AuditWindow {
            name: "auditWindows/w".into(),
            start_time: day(-20),
            end_time: day(-6),
            tasks: 4,
            tagged: 4,
            ..Default::default()
        }]);
        asked.decisions = Ok(SummarizeDecisionsResponse { tasks: 4, tasks_decided: 4, ..Default::default() });
        asked.newest = Ok(vec![Decision { name: "decisions/d".into(), decide_time: day(2), ..Default::default() }]);
        asked.gates = Ok(vec![gate()]);
        let name = "overrides/o".into();
        asked.overrides = Ok(vec![Override { name, create_time: day(4), ..Default::default() }]);
        let approval = ModelVersionTransition {
            to_state: ModelVersionState::Approved.into(),
            record_time: day(5),
            ..Default::default()
        };
        let version = ModelVersion {
            name: "models/m/versions/1".into(),
            state: ModelVersionState::Approved.into(),
            ..Default::default()
        };
        asked.versions = Ok(vec![Version { version, transitions: vec![approval] }]);
        let kinds = [(ArtifactKind::Playbook, 6), (ArtifactKind::Prompt, 7), (ArtifactKind::StyleGuide, 8)];
        asked.artifacts = Ok(kinds.map(|(kind, approved)| artifact(kind, approved)).to_vec());
        asked.kpis = Ok(vec![kpi(Layer::Operational, 1), kpi(Layer::Strategic, 2)]);
        asked.experiments = Ok(vec![Experiment {
            name: "experiments/e".into(),
            start_time: day(-50),
            end_time: day(-1),
            ..Default::default()
        }]);
        own.trainings = vec![Training {
            name: "trainings/t".into(),
            subject: "mia".into(),
            create_time: day(9),
            expire_time: day(300),
            ..Default::default()
        }];
        own.reviews = vec![sealed("2026-02", 1), sealed("2026-04", 10), sealed("2026-05", 35)];
        (asked, own)
    }

    fn read(asked: &Asked, own: &Own) -> Vec<Step> {
        steps(asked, own, Timestamp(crate::time::at(&day(40)).0))
    }

    fn states(steps: &[Step]) -> Vec<(&str, RolloutState)> {
        steps.iter().map(|step| (step.key.as_str(), step.state)).collect()
    }

    #[test]
    fn each_item_names_what_shows_it_and_since_when() {
        let (asked, own) = everything();
        let shown = read(&asked, &own);
        assert!(shown.iter().all(|step| step.state == Done), "{shown:#?}");
        let since: Vec<_> =
            shown.iter().map(|step| (step.key.as_str(), step.since.get(..10).unwrap_or_default())).collect();
        assert_eq!(
            since,
            [
                ("task_audit", "2026-04-25"),
                ("matrix", "2026-05-03"),
                ("owners", "2026-05-04"),
                ("registry", "2026-05-06"),
                ("criteria", "2026-05-04"),
                ("pilot", "2026-04-30"),
                ("overrides", "2026-05-05"),
                ("library", "2026-05-09"),
                ("training", "2026-05-10"),
                // February stands alone.
                ("cadence", "2026-05-11"),
            ]
        );
        assert!(shown.iter().all(|step| !step.records.is_empty()), "{shown:#?}");
        let facts: BTreeSet<&str> = shown.iter().flat_map(|step| &step.facts).map(String::as_str).collect();
        let wanted = (56..=63).chain(74..=78).map(|n| format!("S{n}")).collect::<Vec<_>>();
        assert_eq!(facts.into_iter().collect::<Vec<_>>(), wanted, "none of the two lists is left out");
    }

    #[test]
    fn nothing_is_shown_where_nothing_is_recorded() {
        let (asked, own) = nothing();
        let shown = read(&asked, &own);
        assert!(shown.iter().all(|step| step.state == Open && step.since.is_empty()), "{shown:#?}");
        assert!(shown.iter().all(|step| !step.said.is_empty() && step.records.is_empty()), "{shown:#?}");
    }

    #[test]
    fn what_lacks_one_thing_is_not_done_and_who_does_not_answer_is_not_known() {
        type Spoil = fn(&mut Asked, &mut Own);
        let spoil: [(&str, RolloutState, Spoil); 14] = [
            ("task_audit", UnderWay, |asked, _| asked.windows.as_mut().unwrap()[0].tagged = 3),
            ("task_audit", UnderWay, |asked, _| asked.windows.as_mut().unwrap()[0].end_time = day(-7)),
            ("matrix", UnderWay, |asked, _| asked.decisions.as_mut().unwrap().tasks_decided = 3),
            ("owners", UnderWay, |asked, _| asked.gates.as_mut().unwrap()[0].accountable_person.clear()),
            ("registry", UnderWay, |asked, _| {
                asked.versions.as_mut().unwrap()[0].version.state = ModelVersionState::Suspended.into();
            }),
            ("criteria", UnderWay, |asked, _| drop(asked.kpis.as_mut().unwrap().pop())),
            ("pilot", Open, |asked, _| asked.experiments.as_mut().unwrap()[0].end_time = day(-20)),
            ("pilot", Open, |asked, _| asked.experiments.as_mut().unwrap()[0].retrospective = true),
            ("overrides", Open, |asked, _| asked.overrides.as_mut().unwrap().clear()),
            ("library", UnderWay, |asked, _| drop(asked.artifacts.as_mut().unwrap().pop())),
            ("training", Open, |_, own| own.trainings[0].expire_time = day(39)),
            ("cadence", UnderWay, |_, own| own.reviews.truncate(1)),
            ("cadence", UnderWay, |_, own| own.reviews.iter_mut().for_each(|one| one.state = ReviewState::Open.into())),
            ("pilot", Unknown, |asked, _| asked.experiments = Err("UNAVAILABLE: no way".into())),
        ];
        for (key, state, spoil) in spoil {
            let (mut asked, mut own) = everything();
            spoil(&mut asked, &mut own);
            let shown = read(&asked, &own);
            let other: Vec<_> = states(&shown).into_iter().filter(|(_, state)| *state != Done).collect();
            assert_eq!(other, [(key, state)], "{shown:#?}");
        }
    }
}
