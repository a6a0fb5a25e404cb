//! Names that several steps of the demo use.

/// The name of version `version` (counted from 0) of the lead scorer.
pub(super) fn lead_scorer(version: usize) -> String {
    format!("models/lead-scorer/versions/{}", version + 1)
}
