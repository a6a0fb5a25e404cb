//! Sections about the council itself: reviews, actions, incidents, waivers, controls, the audit log.

use super::super::pack::Unit::{Count, Number, Text};
use super::super::pack::{Assurance, Block, Cell};
use super::super::sources::{Frame, Sources, done};
use super::super::tone::{Assessed, Tone};
use super::{at, count, facts, note, table, text, texts, time, with};
use crate::proposal::kind_of;
use crate::scope;
use crate::time::days;
use crate::waiver::end_of;
use remit_api::council::v1::{
    ActionItem, ActionItemState, EvidenceClass, IncidentCategory, ProposalState, QuorumRule, WaiverState,
};
use remit_api::wire::Word;
use remit_api::wire::time::stamp;
use std::collections::BTreeMap;

pub(crate) fn header(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let zone = if frame.review.zone.is_empty() { "UTC" } else { frame.review.zone.as_str() };
    let completeness = if frame.now >= frame.cut_off {
        "collected after the cut-off; what arrives later is restated in the next pack"
    } else {
        "collected before the cut-off; what arrives later is restated in the next pack"
    };
    let mut blocks = vec![facts(
        "",
        vec![
            text("Month", &frame.review.period),
            text("Zone", zone),
            text("From", frame.month.start().to_string()),
            text("Until", frame.month.end().to_string()),
            text("Cut-off", frame.cut_off.to_string()),
            text("Collected", frame.now.to_string()),
            text("Completeness", completeness),
            text("Decision policy in force", super::active_policy(sources)),
        ],
    )];
    let rows = sources.positions.iter().map(|one| {
        let whole = |n: Option<i64>| n.map_or(Cell::None, Cell::from);
        let said = if one.away.is_empty() { "complete" } else { one.away.as_str() };
        vec![Cell::from(&one.source), (&one.until).into(), whole(one.index), whole(one.of), said.into()]
    });
    let columns = [
        ("service", Text),
        ("asked up to", Text),
        ("entries counted", Count),
        ("entries of the log", Count),
        ("state", Text),
    ];
    blocks.push(table("What each service had handed over", &columns, rows.collect()));
    if let Ok(kpis) = &sources.kpis {
        let versions = kpis.kpis.iter().filter_map(|summary| summary.kpi.as_ref());
        let rows = versions.map(|kpi| vec![Cell::from(&kpi.name), kpi.version.into()]).collect();
        blocks.push(table("KPI definitions in force", &[("KPI", Text), ("version", Count)], rows));
    }
    blocks
}

/// A quorum rule in words.
pub(crate) fn rule_text(rule: &QuorumRule) -> String {
    let mut parts = Vec::new();
    if rule.majority {
        parts.push("a majority of the eligible seats".to_owned());
    }
    if rule.min_approvals > 0 {
        parts.push(format!("at least {} approvals", rule.min_approvals));
    }
    parts.extend(rule.group_minimums.iter().map(|(group, n)| format!("at least {n} from {group}")));
    parts.join(", ")
}

pub(crate) fn attendance(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let members = sources.own.members.iter().filter(|member| member.active);
    let rows =
        members.map(|member| vec![Cell::from(&member.subject), member.role_group.replace('_', " ").into()]).collect();
    let rule = frame.review.quorum.as_ref().map(rule_text).unwrap_or_default();
    vec![
        facts("", vec![text("Rule for signatures", rule)]),
        table("Members", &texts(["member", "role group"]), rows),
        note("Attendance, conflicts and signatures of this review are recorded beside the evidence."),
    ]
}

pub(crate) fn previous(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let reviews = frame.earlier.iter().filter(|review| review.period < frame.review.period).take(12);
    let reviews = reviews
        .map(|review| {
            let open = review.findings.iter().filter(|finding| finding.disposition == 0).count();
            vec![Cell::from(&review.period), Cell::judged(review.state()), review.findings.len().into(), open.into()]
        })
        .collect();
    let row = |item: &ActionItem| {
        let state = match item.state() {
            ActionItemState::Open if at(&item.due_time) < frame.now => {
                Cell::Judged { word: "OVERDUE".to_owned(), tone: Tone::Bad }
            }
            state => state.word().into(),
        };
        vec![
            Cell::from(&item.title),
            (&item.owner).into(),
            state,
            time(&item.due_time),
            item.times_carried.into(),
            (&item.origin).into(),
        ]
    };
    let in_month = |item: &&ActionItem| item.state() == ActionItemState::Open || frame.in_month(&item.close_time);
    let columns =
        [("action", Text), ("owner", Text), ("state", Text), ("due", Text), ("carried", Count), ("from", Text)];
    let earlier = [("month", Text), ("state", Text), ("findings", Count), ("undecided", Count)];
    let restated = sources.restated.iter().map(|one| {
        let (old, new) = (Cell::from(one.old_value), Cell::from(one.new_value));
        vec![Cell::from(&one.period), (&one.label).into(), old, one.old_n.into(), new, one.new_n.into()]
    });
    let columns_restated =
        [("month", Text), ("figure", Text), ("stated", Number), ("n", Count), ("now", Number), ("n now", Count)];
    vec![
        table("Figures of earlier months that are others by now", &columns_restated, restated.collect()),
        table("Earlier reviews", &earlier, reviews),
        table("Actions", &columns, sources.own.items.iter().filter(in_month).map(row).collect()),
    ]
}

pub(crate) fn privacy(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let incidents = sources.own.incidents.iter().filter(|incident| {
        let private = incident.category() == IncidentCategory::Privacy || incident.personal_data_breach;
        private && frame.lasted(&incident.close_time)
    });
    let rows = incidents
        .map(|incident| {
            let state = incident.state().word();
            vec![Cell::from(&incident.name), (&incident.title).into(), state.into(), time(&incident.aware_time)]
        })
        .collect();
    let columns = texts(["incident", "title", "state", "aware"]);
    let mut blocks = vec![table("Incidents with personal data", &columns, rows)];
    blocks.extend(with("audit.summary", &sources.entries, |entries| {
        let of = |action: &str| done(entries, action);
        vec![facts(
            "From the audit log",
            vec![
                count("Erasures", of("audit.subjects.erase")),
                count("Personal data revealed", of("audit.personal.reveal")),
                count("Legal holds created", of("audit.legalHolds.create")),
                count("Retention changed", of("audit.retention.update")),
            ],
        )]
    }));
    blocks.push(note("Decisions by automated means alone with legal or similar effect (GDPR Art. 22) are assessed by people; lead routing leaves the decision about a person to Sales."));
    blocks
}

pub(crate) fn incidents(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let all = &sources.own.incidents;
    // Later ones are not among them.
    let shown = all.iter().filter(|one| frame.lasted(&one.close_time));
    let rows = shown
        .map(|incident| {
            let clocks: Vec<String> = incident
                .clocks
                .iter()
                .map(|clock| {
                    let kind = clock.kind().word();
                    let said = format!("{kind} {} (due {})", clock.state().word(), at(&clock.due_time));
                    if clock.withdraw_time.is_none() {
                        return said;
                    }
                    let (when, was) = (at(&clock.withdraw_time), at(&clock.withdrawn_due_time));
                    format!("{said}, withdrawn {when} when it was due {was}, because: {}", clock.withdraw_reason)
                })
                .collect();
            vec![
                Cell::from(&incident.name),
                (&incident.title).into(),
                (&incident.system).into(),
                Cell::judged(incident.severity()),
                incident.state().word().into(),
                clocks.join("; ").into(),
                (&incident.after_action).into(),
            ]
        })
        .collect();
    let new = all.iter().filter(|incident| frame.in_month(&incident.create_time)).count();
    let closed = all.iter().filter(|incident| frame.in_month(&incident.close_time)).count();
    let open = all.iter().filter(|incident| !frame.before_end(&incident.close_time)).count();
    let columns = texts(["incident", "title", "system", "severity", "state", "clocks", "after-action"]);
    vec![
        facts("", vec![count("New", new), count("Closed", closed), count("Open at the end", open)]),
        table("Incidents", &columns, rows),
    ]
}

pub(crate) fn waivers(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let shown = sources.own.waivers.iter().filter(|waiver| end_of(waiver) >= frame.month.start());
    let granted = sources.own.waivers.iter().filter(|waiver| frame.in_month(&waiver.create_time)).count();
    let ended = sources.own.waivers.iter().filter(|one| frame.in_month(&Some(stamp(end_of(one))))).count();
    let rows = shown
        .map(|waiver| {
            let soon = waiver.state() == WaiverState::Active && at(&waiver.expire_time) < frame.now.plus(days(30));
            let state = waiver.state().word();
            vec![
                Cell::from(&waiver.name),
                (&waiver.control).into(),
                scope::text(waiver.scope.as_ref()).into(),
                if soon { "ACTIVE, ends within 30 days".into() } else { state.into() },
                time(&waiver.expire_time),
                (&waiver.compensating_control).into(),
            ]
        })
        .collect();
    let columns = texts(["waiver", "rule", "scope", "state", "ends", "compensating control"]);
    let counts = vec![count("Granted", granted), count("Ended", ended)];
    vec![
        facts("", counts),
        table("Waivers", &columns, rows),
        note("What a waiver covers counts as WAIVED, never as passed."),
    ]
}

pub(crate) fn controls(assurance: &[Assurance]) -> Vec<Block> {
    let classes = [EvidenceClass::Automated, EvidenceClass::Partial, EvidenceClass::Attested];
    let results = [
        Assessed::EvidenceAvailable,
        Assessed::AttestationNeeded,
        Assessed::NoActivity,
        Assessed::Waived,
        Assessed::SourceNotAvailable,
        Assessed::CheckFailed,
    ];
    let mut by_framework: BTreeMap<&str, Vec<&Assurance>> = BTreeMap::new();
    for control in assurance {
        by_framework.entry(&control.framework).or_default().push(control);
    }
    let rows = by_framework
        .into_iter()
        .map(|(framework, controls)| {
            let of_class = classes.map(|class| controls.iter().filter(|control| control.class == class).count());
            let with_result = results.map(|result| controls.iter().filter(|control| control.result == result).count());
            let numbers = of_class.into_iter().chain(with_result).map(Cell::from);
            [Cell::from(framework)].into_iter().chain(numbers).collect()
        })
        .collect();
    let labels = classes.map(Word::word).into_iter().chain(results.map(Assessed::text));
    let columns: Vec<_> = [("framework", Text)].into_iter().chain(labels.map(|label| (label, Count))).collect();
    vec![
        note(
            "This table says which evidence is available. It makes no statement about compliance: that is for people to judge.",
        ),
        table("Controls by framework", &columns, rows),
    ]
}

pub(crate) fn audit(sources: &Sources) -> Vec<Block> {
    let mut blocks = with("audit.verify", &sources.verify, |verified| {
        let result = if verified.ok { "nothing wrong was found" } else { "FAILED" };
        let wrong =
            verified.findings.iter().map(|one| vec![Cell::from(&one.location), (&one.message).into()]).collect();
        vec![
            facts(
                "Verification",
                vec![
                    text("Result", result),
                    count("Entries in the log", verified.size),
                    count("Recomputed from entry", verified.start_index),
                    count("Entries recomputed", verified.checked_entry_count),
                    count("Entries with erased personal data", verified.erased_entry_count),
                    text("Root hash", hex::encode(&verified.root_hash)),
                ],
            ),
            table("What is wrong", &texts(["where", "what"]), wrong),
        ]
    });
    blocks.extend(with("audit.checkpoint", &sources.checkpoint, |checkpoint| {
        vec![facts(
            "Checkpoint",
            vec![
                text("Origin", &checkpoint.origin),
                count("Size", checkpoint.size),
                count("Witness signatures", checkpoint.cosignatures.len()),
                text("Signed note", &checkpoint.note),
            ],
        )]
    }));
    blocks.extend(with("audit.summary", &sources.entries, |entries| {
        let rows = entries.counts.iter().take(20).map(|one| {
            let outcome = one.outcome().word();
            vec![Cell::from(&one.action), outcome.into(), one.count.into()]
        });
        let columns = [("action", Text), ("outcome", Text), ("count", Count)];
        vec![
            facts("The month", vec![count("Entries", entries.total_count), count("Actors", entries.actor_count)]),
            table("The most frequent actions", &columns, rows.collect()),
        ]
    }));
    blocks
}

pub(crate) fn requests(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let (mut open, mut decided) = (Vec::new(), Vec::new());
    for proposal in &sources.own.proposals {
        let row = vec![
            Cell::from(&proposal.name),
            (&proposal.title).into(),
            kind_of(proposal).into(),
            Cell::judged(proposal.state()),
            proposal.tally.as_ref().map_or(Cell::None, |tally| tally.approvals.into()),
            proposal.tally.as_ref().map_or(Cell::None, |tally| tally.eligible.into()),
        ];
        match proposal.state() {
            ProposalState::Draft | ProposalState::Open | ProposalState::Escalated | ProposalState::Failed => {
                open.push(row)
            }
            _ if frame.in_month(&proposal.decide_time) => decided.push(row),
            _ => {}
        }
    }
    let columns = [
        ("proposal", Text),
        ("question", Text),
        ("kind", Text),
        ("state", Text),
        ("approvals", Count),
        ("eligible", Count),
    ];
    vec![
        table("To decide", &columns, open),
        table("Decided in the month", &columns, decided),
        note("Findings that suggest a proposal are listed at the top of the pack."),
    ]
}
