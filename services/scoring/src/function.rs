//! What is read out of a function: its verdict, and what decisions on its tasks depend on.

use remit_api::scoring::v1 as api;
use remit_api::wire::{Word as _, time};
use remit_core::name::FunctionName;
use remit_core::{Result, Timestamp, canonical};
use remit_policy::suitability::{Seed, Signal, verdict};

fn signal(signal: api::Signal) -> Signal {
    match signal {
        api::Signal::Unspecified => None,
        api::Signal::Holds => Some(true),
        api::Signal::Fails => Some(false),
    }
}

/// Sets what the service sets.
pub(crate) fn complete(function: &mut api::Function, now: Timestamp) {
    let others = [function.tooling_adopted(), function.senior_strategy_role(), function.market_premium()].map(signal);
    let word = verdict(signal(function.compressible()), others);
    function.set_suitability(api::Suitability::parse(word).unwrap_or(api::Suitability::Low));
    function.update_time = Some(time::stamp(now));
}

/// The digest of what a decision depends on in a function.
pub(crate) fn content_digest(function: &api::Function) -> Result<String> {
    let content = serde_json::json!({
        "name": function.name,
        "suitability": function.suitability().word(),
        "status": function.status().as_str_name(),
        "maturity": function.maturity().as_str_name(),
        "execution_kind": function.execution_kind().as_str_name(),
    });
    canonical::digest(&content)
}

/// A function that every tenant starts with.
pub(crate) fn seeded(seed: Seed, now: Timestamp) -> api::Function {
    let signal = |signal: Signal| match signal {
        None => api::Signal::Unspecified,
        Some(true) => api::Signal::Holds,
        Some(false) => api::Signal::Fails,
    };
    let mut function = api::Function {
        name: FunctionName::new(seed.id).to_string(),
        title: seed.title,
        compressible: signal(seed.compressible).into(),
        tooling_adopted: signal(seed.tooling_adopted).into(),
        senior_strategy_role: signal(seed.senior_strategy_role).into(),
        market_premium: signal(seed.market_premium).into(),
        maturity: api::Maturity::parse(&seed.maturity).unwrap_or_default().into(),
        execution_kind: api::ExecutionKind::parse(&seed.execution_kind).unwrap_or_default().into(),
        status: api::FunctionStatus::parse(&seed.status).unwrap_or(api::FunctionStatus::Untested).into(),
        evidence_level: api::EvidenceLevel::parse(&seed.evidence).unwrap_or(api::EvidenceLevel::None).into(),
        notes: seed.notes,
        ..api::Function::default()
    };
    complete(&mut function, now);
    function
}
