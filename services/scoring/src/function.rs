//! What is read out of a function: its verdict, and what decisions on its tasks depend on.

use remit_api::scoring::v1 as api;
use remit_api::wire::{Word as _, time};
use remit_core::name::FunctionName;
use remit_core::strictness::{Comparison, Direction};
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

/// What a change of a function does to what AI may do in its tasks: all that a decision depends on counts, and what is
/// less known or less supported is stricter.
pub(crate) fn compare(before: &api::Function, after: &api::Function) -> Comparison {
    let mut found = Comparison::default();
    let (was, is) = (before.suitability(), after.suitability());
    let direction = Direction::more_is_looser(&i32::from(was), &i32::from(is));
    found.part("suitability", direction, was.word(), is.word());
    let (was, is) = (before.status(), after.status());
    found.part("status", Direction::by_looseness(&was, &is, |status| support(*status)), was.word(), is.word());
    let (was, is) = (before.maturity(), after.maturity());
    let direction = Direction::more_is_looser(&i32::from(was), &i32::from(is));
    found.part("maturity", direction, or_unknown(was.word()), or_unknown(is.word()));
    let (was, is) = (kind(before), kind(after));
    let structured = |kind: &api::ExecutionKind| i32::from(*kind == api::ExecutionKind::Structured);
    found.part("execution_kind", Direction::by_looseness(&was, &is, structured), was.word(), is.word());
    found
}

fn support(status: api::FunctionStatus) -> i32 {
    match status {
        api::FunctionStatus::Confirmed => 5,
        api::FunctionStatus::Likely => 4,
        api::FunctionStatus::Moving => 3,
        api::FunctionStatus::Weakly => 2,
        api::FunctionStatus::NotOnCurve | api::FunctionStatus::Untested | api::FunctionStatus::Unspecified => 1,
    }
}

/// The kind of execution that counts for tasks that name none.
fn kind(function: &api::Function) -> api::ExecutionKind {
    match function.execution_kind() {
        api::ExecutionKind::Unspecified => api::ExecutionKind::Structured,
        kind => kind,
    }
}

fn or_unknown(word: &str) -> &str {
    if word.is_empty() { "UNKNOWN" } else { word }
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

#[cfg(test)]
mod tests {
    use super::*;
    use remit_api::scoring::v1::{ExecutionKind, Function, FunctionStatus, Maturity, Signal};

    fn function() -> Function {
        let mut function = Function {
            compressible: Signal::Holds.into(),
            tooling_adopted: Signal::Holds.into(),
            status: FunctionStatus::Likely.into(),
            maturity: Maturity::Partial.into(),
            execution_kind: ExecutionKind::Cumulative.into(),
            ..Function::default()
        };
        complete(&mut function, Timestamp(0));
        function
    }

    /// A change, and what it is.
    type Case = (fn(&mut Function), Direction);

    #[test]
    fn a_function_is_looser_where_ai_may_do_more_in_its_tasks() {
        let cases: &[Case] = &[
            (|f| f.set_market_premium(Signal::Holds), Direction::Loosens),
            (|f| f.set_tooling_adopted(Signal::Fails), Direction::Same),
            (|f| f.set_compressible(Signal::Unspecified), Direction::Tightens),
            (|f| f.set_status(FunctionStatus::Confirmed), Direction::Loosens),
            (|f| f.set_status(FunctionStatus::Untested), Direction::Tightens),
            (|f| f.set_maturity(Maturity::Real), Direction::Loosens),
            (|f| f.set_maturity(Maturity::Unspecified), Direction::Tightens),
            (|f| f.set_execution_kind(ExecutionKind::Relational), Direction::Mixed),
            (|f| f.set_execution_kind(ExecutionKind::Unspecified), Direction::Loosens),
            (|f| f.title = "x".into(), Direction::Same),
            (
                |f| {
                    f.set_status(FunctionStatus::Confirmed);
                    f.set_maturity(Maturity::None);
                },
                Direction::Mixed,
            ),
        ];
        for (at, (change, direction)) in cases.iter().enumerate() {
            let mut after = function();
            change(&mut after);
            complete(&mut after, Timestamp(0));
            assert_eq!(compare(&function(), &after).direction(), *direction, "case {at}");
        }
        let untested = Function { status: FunctionStatus::Untested.into(), ..function() };
        let off = Function { status: FunctionStatus::NotOnCurve.into(), ..function() };
        assert_eq!(compare(&untested, &off).direction(), Direction::Mixed, "each has a cap of its own");
    }
}
