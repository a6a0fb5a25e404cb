#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::principal::{group, person};
use crate::templates;
use remit_api::wire::time::stamp;
use remit_core::strictness::Direction::{Loosens, Mixed, Same, Tightens};

type Edit = fn(&mut pb::GateVersion);

fn creative_of(gate: &mut pb::GateVersion) -> &mut pb::CreativeRules {
    match &mut gate.rules {
        Some(Rules::Creative(rules)) => rules,
        _ => panic!("the gate is for reviewed work"),
    }
}

fn routing_of(gate: &mut pb::GateVersion) -> &mut pb::RoutingRules {
    match &mut gate.rules {
        Some(Rules::Routing(rules)) => rules,
        _ => panic!("the gate is for leads"),
    }
}

fn items(gate: &mut pb::GateVersion) -> &mut Vec<pb::ChecklistItem> {
    &mut gate.checklist.as_mut().unwrap().items
}

fn new_item(weight: f64) -> pb::ChecklistItem {
    pb::ChecklistItem {
        item: "accessible".into(),
        description: "Can be read by everybody".into(),
        weight,
        ..Default::default()
    }
}

/// Every change alone, as it goes from the template: the fields that say so, and the direction.
fn check(template: fn() -> pb::GateVersion, changes: &[(&str, Edit, Direction)]) {
    for (field, change, expected) in changes {
        let (before, mut after) = (template(), template());
        change(&mut after);
        let found = compare(Some(&before), &after);
        assert_eq!(direction(&found), *expected, "{field}: {found:?}");
        assert!(found.iter().all(|change| change.field == *field), "{field}: {found:?}");
        assert_eq!(found.is_empty(), *expected == Same);
        // The way back is the other way, and what cannot be compared cannot be compared back.
        let back = direction(&compare(Some(&after), &before));
        match expected {
            Same => assert_eq!(back, Same, "{field}"),
            Tightens => assert!(back.loosens(), "{field}: {back:?}"),
            Loosens | Mixed => assert_ne!(back, Same, "{field}"),
        }
    }
}

#[test]
fn each_field_of_a_creative_gate_goes_its_way() {
    check(
        templates::creative,
        &[
            ("", |gate| gate.display_name = "Another title".into(), Same),
            ("", |gate| gate.description = "Another text".into(), Same),
            ("triggers", |gate| gate.triggers.truncate(1), Loosens),
            ("owner", |gate| gate.owner = Some(group("interns")), Loosens),
            ("accountable_person", |gate| gate.accountable_person = "mallory".into(), Loosens),
            ("delegates", |gate| gate.delegates.clear(), Tightens),
            (
                "delegates",
                |gate| gate.delegates.push(pb::Delegate { principal: Some(person("dora")), expire_time: None }),
                Loosens,
            ),
            ("delegates", |gate| gate.delegates[0].expire_time = Some(stamp(Timestamp(1))), Tightens),
            ("service_level", |gate| gate.service_level.as_mut().unwrap().duration = "PT48H".into(), Loosens),
            ("service_level", |gate| gate.service_level.as_mut().unwrap().duration = "PT12H".into(), Tightens),
            ("service_level", |gate| gate.service_level.as_mut().unwrap().clock = 2, Mixed),
            ("remind_after", |gate| gate.remind_after = None, Loosens),
            ("expire_after", |gate| gate.expire_after = None, Loosens),
            ("expire_after", |gate| gate.expire_after.as_mut().unwrap().duration = "P30D".into(), Tightens),
            ("checklist.pass_mark", |gate| gate.checklist.as_mut().unwrap().pass_mark = 85.0, Tightens),
            ("checklist.pass_mark", |gate| gate.checklist.as_mut().unwrap().pass_mark = 10.0, Loosens),
            ("checklist.items", |gate| items(gate).truncate(2), Loosens),
            ("checklist.items", |gate| items(gate).push(new_item(1.0)), Tightens),
            ("checklist.items", |gate| items(gate).push(new_item(900.0)), Mixed),
            ("checklist.items[brand_fit].must_pass", |gate| items(gate)[0].must_pass = true, Tightens),
            ("checklist.items[legal].must_pass", |gate| items(gate)[1].must_pass = false, Loosens),
            ("checklist.items[legal].pass_grade", |gate| items(gate)[1].pass_grade = 50.0, Loosens),
            ("checklist.items[legal].weight", |gate| items(gate)[1].weight = 9.0, Mixed),
            (
                "checklist.items[legal].description",
                |gate| items(gate)[1].description = "Somebody had a look at it".into(),
                Mixed,
            ),
            ("iteration_limit", |gate| gate.iteration_limit = 20, Loosens),
            ("iteration_limit", |gate| gate.iteration_limit = 1, Tightens),
            ("escalation_ladder", |gate| gate.escalation_ladder.truncate(2), Loosens),
            ("escalation_ladder", |gate| gate.escalation_ladder.push(pb::EscalationRung::default()), Tightens),
            (
                "escalation_ladder[2].principal",
                |gate| gate.escalation_ladder[2].principal = Some(group("interns")),
                Loosens,
            ),
            ("", |gate| gate.escalation_ladder[2].display_name = "Chief".into(), Same),
            ("kpis", |gate| gate.kpis.truncate(1), Loosens),
            ("kpis", |gate| gate.kpis.push("kpis/complaints".into()), Tightens),
            ("brand_impacting", |gate| gate.brand_impacting = false, Loosens),
            ("risk", |gate| gate.risk = 1, Loosens),
            ("risk", |gate| gate.risk = 0, Tightens),
            ("stakes", |gate| gate.stakes = Stakes::Low.into(), Loosens),
            ("stakes", |gate| gate.stakes = 0, Tightens),
            ("expansion_guardrails", |gate| gate.expansion_guardrails.clear(), Loosens),
            ("compression_criteria", |gate| gate.compression_criteria = "Whatever sells".into(), Mixed),
            ("sampling.risk3_ratio", |gate| gate.sampling.as_mut().unwrap().risk3_ratio = 0.0, Loosens),
            ("", |gate| gate.sampling = None, Same),
            ("creative.variants_required", |gate| creative_of(gate).variants_required = 20, Tightens),
            ("creative.review_top_n", |gate| creative_of(gate).review_top_n = 1, Loosens),
            ("creative.triage_minutes", |gate| creative_of(gate).triage_minutes = 1, Loosens),
            ("creative.triage", |gate| creative_of(gate).triage.as_mut().unwrap().duration = "P30D".into(), Loosens),
            ("rules", |gate| gate.rules = templates::routing().rules, Mixed),
        ],
    );
}

#[test]
fn each_field_of_a_gate_for_leads_goes_its_way() {
    check(
        templates::routing,
        &[
            ("routing.score_above_ratio", |gate| routing_of(gate).score_above_ratio = 0.5, Loosens),
            ("routing.score_above_ratio", |gate| routing_of(gate).score_above_ratio = 0.95, Tightens),
            ("routing.confidence_above_ratio", |gate| routing_of(gate).confidence_above_ratio = 0.5, Loosens),
            ("routing.high_intent_above_ratio", |gate| routing_of(gate).high_intent_above_ratio = 0.99, Loosens),
            ("routing.required_enrichment", |gate| routing_of(gate).required_enrichment.clear(), Loosens),
            ("routing.sales_owners", |gate| routing_of(gate).sales_owners.push("mallory".into()), Loosens),
            ("routing.sales_ops_group", |gate| routing_of(gate).sales_ops_group = "interns".into(), Loosens),
            ("routing.sdr_group", |gate| routing_of(gate).sdr_group = "interns".into(), Loosens),
            ("", |gate| routing_of(gate).briefing_minute = 540, Same),
            ("service_level", |gate| gate.service_level.as_mut().unwrap().duration = "PT4H".into(), Loosens),
            ("service_level", |gate| gate.service_level.as_mut().unwrap().duration = "P1D".into(), Mixed),
            ("service_level", |gate| gate.service_level.as_mut().unwrap().calendar = "calendars/x".into(), Mixed),
        ],
    );
}

#[test]
fn whoever_joins_the_people_of_a_gate_loosens_it_and_is_named() {
    let rung = |principal| pb::EscalationRung { principal: Some(principal), ..Default::default() };
    let owner = templates::creative().owner.unwrap();
    for (template, joins, expected) in [
        (templates::creative as fn() -> pb::GateVersion, person("oscar"), Loosens),
        (templates::creative, group("interns"), Loosens),
        (templates::routing, person("oscar"), Loosens),
        // Somebody who acts on its work anyway is only called once more.
        (templates::creative, owner, Tightens),
    ] {
        let (before, mut after) = (template(), template());
        after.escalation_ladder.push(rung(joins.clone()));
        let found = compare(Some(&before), &after);
        assert_eq!(direction(&found), expected, "{found:?}");
        assert!(found[0].description.contains(&words(&joins)), "{found:?}");
    }
    // A delegation that ends does not become one for good.
    let mut before = templates::creative();
    let expire_time = Some(stamp(Timestamp(1)));
    before.delegates.push(pb::Delegate { principal: Some(person("dora")), expire_time });
    let mut after = before.clone();
    after.escalation_ladder.push(rung(person("dora")));
    assert!(direction(&compare(Some(&before), &after)).loosens());
    // Nobody joins unseen in front of the others, or in place of one.
    let mut after = templates::creative();
    after.escalation_ladder.insert(0, rung(person("oscar")));
    assert!(direction(&compare(Some(&templates::creative()), &after)).loosens());
}

#[test]
fn a_first_version_and_one_loosening_among_tightenings_need_a_mandate() {
    assert!(direction(&compare(None, &templates::creative())).loosens());
    let mut after = templates::creative();
    after.iteration_limit = 1;
    after.checklist.as_mut().unwrap().pass_mark = 90.0;
    assert_eq!(direction(&compare(Some(&templates::creative()), &after)), Tightens);
    after.kpis.truncate(1);
    let changes = compare(Some(&templates::creative()), &after);
    assert_eq!(direction(&changes), Mixed);
    let fields: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["checklist.pass_mark", "iteration_limit", "kpis", "kpis"]);
    assert_eq!(changes[0].description, "from 80 to 90");
}

#[test]
fn what_the_server_adds_changes_nothing() {
    let before = templates::creative();
    let mut after = templates::creative();
    after.name = "gates/x/versions/9".into();
    after.mandate = "token".into();
    after.proposal = "proposals/p".into();
    after.etag = "r9".into();
    assert!(compare(Some(&before), &after).is_empty());
}
