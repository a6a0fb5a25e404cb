//! Dry runs (AIP-163): `validate_only` answers what would happen, and leaves nothing, a request id neither.

use super::answers::{Remit, nothing, valid};
use super::wire::methods;
use crate::support::{permission, reason};
use prost_reflect::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_leaves_nothing() {
    let remit = Remit::start().await;
    let mut broken = Vec::new();
    let mut tried = 0;
    for method in methods().into_iter().filter(|method| method.input().get_field_by_name("validate_only").is_some()) {
        let action = format!("action = \"{}\"", permission(&method));
        let before = remit.entries(&action).await;
        let mut dry = valid(&method);
        dry.set_field_by_name("request_id", Value::String(format!("dry-{}", method.name())));
        let mut real = dry.clone();
        dry.set_field_by_name("validate_only", Value::Bool(true));
        real.set_field_by_name("validate_only", Value::Bool(false));
        // Under one id: a dry run does not take it from what is done after it, nor ask for it before.
        for (step, request, entries) in [("dry", &dry, 0), ("again", &dry, 0), ("real", &real, 1), ("after", &dry, 1)] {
            if let Err(status) = remit.ask(&method, request).await {
                broken.push(format!("{} {step}: {} {}", method.name(), reason(&status), status.message()));
            }
            let found = remit.entries(&action).await - before;
            if found != entries {
                broken.push(format!("{} {step}: {found} audit entries instead of {entries}", method.name()));
            }
        }
        tried += 1;
    }
    assert!(tried > 0, "no method has dry runs");
    nothing(broken);
    remit.stop().await;
}
