//! Sections about the council itself: reviews, actions, incidents, waivers, controls, the audit log.

use super::super::Frame;
use super::super::gather::Sources;
use super::super::pack::{Assurance, Block, Cell, Unit, short};
use super::{at, count, facts, note, table, text, time, with};
use crate::service::{kind_of, scope_text};
use crate::time::days;
use remit_api::council::v1::{
    ActionItem, ActionItemState, IncidentCategory, IncidentState, ProposalState, QuorumRule, WaiverState,
};
use std::collections::BTreeMap;

pub fn header(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
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
    if let Ok(kpis) = &sources.kpis {
        let versions = kpis.kpis.iter().filter_map(|summary| summary.kpi.as_ref());
        let rows = versions.map(|kpi| vec![Cell::from(&kpi.name), kpi.version.into()]).collect();
        blocks.push(table("KPI definitions in force", &[("KPI", Unit::Text), ("version", Unit::Count)], rows));
    }
    blocks
}

/// A quorum rule in words.
pub fn rule_text(rule: &QuorumRule) -> String {
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

pub fn attendance(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let members = sources.own.members.iter().filter(|member| member.active);
    let rows = members.map(|member| vec![Cell::from(&member.subject), (&member.role_group).into()]).collect();
    let rule = frame.review.quorum.as_ref().map(rule_text).unwrap_or_default();
    vec![
        facts("", vec![text("Rule for signatures", rule)]),
        table("Members", &[("member", Unit::Text), ("role group", Unit::Text)], rows),
        note("Attendance, conflicts and signatures of this review are recorded beside the evidence."),
    ]
}

pub fn previous(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let reviews = frame.earlier.iter().filter(|review| review.period < frame.review.period).take(12);
    let reviews = reviews
        .map(|review| {
            let state = short(review.state().as_str_name(), "REVIEW_STATE_");
            let open = review.findings.iter().filter(|finding| finding.disposition == 0).count();
            vec![Cell::from(&review.period), state.into(), review.findings.len().into(), open.into()]
        })
        .collect();
    let row = |item: &ActionItem| {
        let state = match item.state() {
            ActionItemState::Open if at(&item.due_time) < frame.now => "OVERDUE".to_owned(),
            state => short(state.as_str_name(), "ACTION_ITEM_STATE_"),
        };
        vec![
            Cell::from(&item.title),
            (&item.owner).into(),
            state.into(),
            time(&item.due_time),
            item.times_carried.into(),
            (&item.origin).into(),
        ]
    };
    let in_month =
        |item: &&ActionItem| item.state() == ActionItemState::Open || at(&item.close_time) >= frame.month.start();
    let columns = [
        ("action", Unit::Text),
        ("owner", Unit::Text),
        ("state", Unit::Text),
        ("due", Unit::Text),
        ("carried", Unit::Count),
        ("from", Unit::Text),
    ];
    let earlier = [("month", Unit::Text), ("state", Unit::Text), ("findings", Unit::Count), ("undecided", Unit::Count)];
    vec![
        table("Earlier reviews", &earlier, reviews),
        table("Actions", &columns, sources.own.items.iter().filter(in_month).map(row).collect()),
    ]
}

pub fn privacy(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let incidents = sources.own.incidents.iter().filter(|incident| {
        let private = incident.category() == IncidentCategory::Privacy || incident.personal_data_breach;
        private && (incident.state() == IncidentState::Open || at(&incident.create_time) >= frame.month.start())
    });
    let rows = incidents
        .map(|incident| {
            let state = short(incident.state().as_str_name(), "INCIDENT_STATE_");
            vec![Cell::from(&incident.name), (&incident.title).into(), state.into(), time(&incident.aware_time)]
        })
        .collect();
    let columns = [("incident", Unit::Text), ("title", Unit::Text), ("state", Unit::Text), ("aware", Unit::Text)];
    let mut blocks = vec![table("Incidents with personal data", &columns, rows)];
    blocks.extend(with("audit.summary", &sources.entries, |entries| {
        let of = |action: &str| {
            let same = entries.counts.iter().filter(|count| count.action == action);
            same.map(|count| count.count).sum::<i64>()
        };
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

pub fn incidents(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let all = &sources.own.incidents;
    let shown = all.iter().filter(|incident| {
        incident.state() == IncidentState::Open
            || at(&incident.create_time) >= frame.month.start()
            || at(&incident.close_time) >= frame.month.start()
    });
    let rows = shown
        .map(|incident| {
            let clocks: Vec<String> = incident
                .clocks
                .iter()
                .map(|clock| {
                    let kind = short(clock.kind().as_str_name(), "CLOCK_KIND_");
                    format!(
                        "{kind} {} (due {})",
                        short(clock.state().as_str_name(), "CLOCK_STATE_"),
                        at(&clock.due_time)
                    )
                })
                .collect();
            vec![
                Cell::from(&incident.name),
                (&incident.title).into(),
                (&incident.system).into(),
                short(incident.severity().as_str_name(), "SEVERITY_").into(),
                short(incident.state().as_str_name(), "INCIDENT_STATE_").into(),
                clocks.join("; ").into(),
                (&incident.after_action).into(),
            ]
        })
        .collect();
    let new = all.iter().filter(|incident| at(&incident.create_time) >= frame.month.start()).count();
    let open = all.iter().filter(|incident| incident.state() == IncidentState::Open).count();
    let columns = [
        ("incident", Unit::Text),
        ("title", Unit::Text),
        ("system", Unit::Text),
        ("severity", Unit::Text),
        ("state", Unit::Text),
        ("clocks", Unit::Text),
        ("after-action", Unit::Text),
    ];
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    vec![facts("", vec![count("New", number(new)), count("Open", number(open))]), table("Incidents", &columns, rows)]
}

pub fn waivers(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let shown = sources
        .own
        .waivers
        .iter()
        .filter(|waiver| waiver.state() == WaiverState::Active || at(&waiver.update_time) >= frame.month.start());
    let rows = shown
        .map(|waiver| {
            let soon = waiver.state() == WaiverState::Active && at(&waiver.expire_time) < frame.now.plus(days(30));
            let state = short(waiver.state().as_str_name(), "WAIVER_STATE_");
            vec![
                Cell::from(&waiver.name),
                (&waiver.control).into(),
                scope_text(waiver.scope.as_ref()).into(),
                if soon { "ACTIVE, ends within 30 days".into() } else { state.into() },
                time(&waiver.expire_time),
                (&waiver.compensating_control).into(),
            ]
        })
        .collect();
    let columns = [
        ("waiver", Unit::Text),
        ("rule", Unit::Text),
        ("scope", Unit::Text),
        ("state", Unit::Text),
        ("ends", Unit::Text),
        ("compensating control", Unit::Text),
    ];
    vec![table("Waivers", &columns, rows), note("What a waiver covers counts as WAIVED, never as passed.")]
}

pub fn controls(assurance: &[Assurance]) -> Vec<Block> {
    let mut by_framework: BTreeMap<&str, BTreeMap<&str, i64>> = BTreeMap::new();
    for control in assurance {
        *by_framework.entry(&control.framework).or_default().entry(&control.result).or_default() += 1;
        *by_framework.entry(&control.framework).or_default().entry(&control.class).or_default() += 1;
    }
    let labels = [
        "AUTOMATED",
        "PARTIAL",
        "ATTESTED",
        "evidence available",
        "attestation needed",
        "no evidence",
        "source not available",
        "check failed",
    ];
    let rows = by_framework
        .iter()
        .map(|(framework, counts)| {
            let numbers = labels.iter().map(|label| Cell::from(counts.get(label).copied().unwrap_or(0)));
            [Cell::from(*framework)].into_iter().chain(numbers).collect()
        })
        .collect();
    let columns: Vec<_> =
        [("framework", Unit::Text)].into_iter().chain(labels.iter().map(|label| (*label, Unit::Count))).collect();
    vec![
        note(
            "This table says which evidence is available. It makes no statement about compliance: that is for people to judge.",
        ),
        table("Controls by framework", &columns, rows),
    ]
}

pub fn audit(sources: &Sources) -> Vec<Block> {
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
            table("What is wrong", &[("where", Unit::Text), ("what", Unit::Text)], wrong),
        ]
    });
    blocks.extend(with("audit.checkpoint", &sources.checkpoint, |checkpoint| {
        let witnesses = i64::try_from(checkpoint.cosignatures.len()).unwrap_or(i64::MAX);
        vec![facts(
            "Checkpoint",
            vec![
                text("Origin", &checkpoint.origin),
                count("Size", checkpoint.size),
                count("Witness signatures", witnesses),
                text("Signed note", &checkpoint.note),
            ],
        )]
    }));
    blocks.extend(with("audit.summary", &sources.entries, |entries| {
        let rows = entries.counts.iter().take(20).map(|one| {
            let outcome = short(one.outcome().as_str_name(), "OUTCOME_");
            vec![Cell::from(&one.action), outcome.into(), one.count.into()]
        });
        let columns = [("action", Unit::Text), ("outcome", Unit::Text), ("count", Unit::Count)];
        vec![
            facts("The month", vec![count("Entries", entries.total_count), count("Actors", entries.actor_count)]),
            table("The most frequent actions", &columns, rows.collect()),
        ]
    }));
    blocks
}

pub fn requests(frame: &Frame<'_>, sources: &Sources) -> Vec<Block> {
    let (mut open, mut decided) = (Vec::new(), Vec::new());
    for proposal in &sources.own.proposals {
        let row = vec![
            Cell::from(&proposal.name),
            (&proposal.title).into(),
            kind_of(proposal).into(),
            short(proposal.state().as_str_name(), "PROPOSAL_STATE_").into(),
            proposal.tally.as_ref().map_or(Cell::None, |tally| tally.approvals.into()),
            proposal.tally.as_ref().map_or(Cell::None, |tally| tally.eligible.into()),
        ];
        match proposal.state() {
            ProposalState::Draft | ProposalState::Open | ProposalState::Escalated | ProposalState::Failed => {
                open.push(row)
            }
            _ if at(&proposal.decide_time) >= frame.month.start() => decided.push(row),
            _ => {}
        }
    }
    let columns = [
        ("proposal", Unit::Text),
        ("question", Unit::Text),
        ("kind", Unit::Text),
        ("state", Unit::Text),
        ("approvals", Unit::Count),
        ("eligible", Unit::Count),
    ];
    vec![
        table("To decide", &columns, open),
        table("Decided since the month began", &columns, decided),
        note("Findings that suggest a proposal are listed at the top of the pack."),
    ]
}
