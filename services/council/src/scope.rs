//! What a hold stops and a waiver covers.

use remit_api::council::v1::Scope;
use remit_api::council::v1::scope::Target;
use remit_core::name::{FunctionName, GateName, ModelVersionName, TaskName};
use remit_core::{Error, Result};

/// Refuses a scope that names nothing, or nothing of the right form.
///
/// # Errors
/// `InvalidArgument`, naming `field`: `SCOPE_REQUIRED`, `NAME_INVALID`.
pub(crate) fn check(scope: Option<&Scope>, field: &str) -> Result<()> {
    match scope.and_then(|scope| scope.target.as_ref()) {
        Some(Target::Organisation(true)) => Ok(()),
        Some(Target::Function(name)) => FunctionName::parse(name, &format!("{field}.function")).map(drop),
        Some(Target::Task(name)) => TaskName::parse(name, &format!("{field}.task")).map(drop),
        Some(Target::ModelVersion(name)) => ModelVersionName::parse(name, &format!("{field}.model_version")).map(drop),
        Some(Target::Gate(name)) => GateName::parse(name, &format!("{field}.gate")).map(drop),
        Some(Target::Organisation(false)) | None => {
            let rule = "must name one of organisation, function, task, model_version and gate";
            Err(Error::invalid("SCOPE_REQUIRED", field, rule))
        }
    }
}

/// A scope in words, such as `tasks/lead-scoring`; empty if it names nothing.
pub(crate) fn text(scope: Option<&Scope>) -> &str {
    match scope.and_then(|scope| scope.target.as_ref()) {
        Some(Target::Organisation(_)) => "organisation",
        Some(Target::Function(name) | Target::Task(name) | Target::ModelVersion(name) | Target::Gate(name)) => name,
        None => "",
    }
}
