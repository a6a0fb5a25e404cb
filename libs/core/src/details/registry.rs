//! Details of the events of `registry`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One move of an alias, as part of [`ModelAliasesMoved`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliasMoved {
    /// The alias, such as `champion`.
    pub alias: String,
    /// The version before, `models/{model}/versions/{version}`; empty if the alias was not set.
    pub from: String,
    /// The version after.
    pub to: String,
}

super::details! {
    /// A model was registered.
    ModelCreated for ["registry.models.create"] {
        /// The subject of the person who answers for it.
        owner: String,
        /// Whether it runs inside somebody else's software.
        external: bool,
    }

    /// A model, a model version or an artifact was changed; the digests of the event are over all of it.
    RegistryUpdated for ["registry.models.update", "registry.versions.update", "registry.artifacts.update"] {
        /// The paths of the update mask as it was given; empty for all that may change.
        fields: Vec<String>,
    }

    /// A model version was registered.
    ModelVersionCreated for ["registry.versions.create"] {
        /// Who supplies the model.
        provider: String,
        /// The base or foundation model with its version; empty if not given.
        base_model: String,
        /// The subject of the person who answers for the version.
        owner: String,
        /// The digest of weights, package or release document.
        artifact_digest: String,
        /// The artifact versions that it runs with, `artifacts/{artifact}/versions/{version}`.
        artifacts: Vec<String>,
    }

    /// The result of an evaluation was added to a model version.
    ModelVersionEvaluated for ["registry.versions.evaluate"] {
        /// The id of the evaluation within the version.
        evaluation: String,
        /// What was evaluated.
        suite: String,
        /// Whether it met its acceptance criteria.
        passed: bool,
        /// Metric to value.
        metrics: BTreeMap<String, f64>,
        /// The digest of the data it ran on; empty if not given.
        dataset_digest: String,
        /// Whether it is not shown that somebody else than who made the version added it: it does not count for an
        /// approval.
        self_reported: bool,
    }

    /// A model version moved from one state to another: asked for, with an artifact that was withdrawn, or because its
    /// approval ended.
    ModelVersionMoved for ["registry.versions.transition", "registry.versions.expire"] {
        /// The state before, a word of `ModelVersionState` such as `EVALUATING`.
        from: String,
        /// The state after.
        to: String,
        /// What it is approved for from then on.
        purposes: Vec<String>,
        /// Under which conditions.
        conditions: Vec<String>,
        /// The proposal that decided it, `proposals/{proposal}`; empty if none was needed.
        proposal: String,
        /// The aliases that its retirement cleared.
        cleared_aliases: Vec<String>,
        /// When its approval ends, RFC 3339; empty if it does not end by itself.
        expire_time: String,
        /// The artifact versions that the approval requires.
        required_artifacts: Vec<String>,
        /// The most outputs a day that the approval allows; 0 for any number.
        max_outputs_per_day: i64,
        /// The zone whose days are meant, an IANA name; empty for UTC.
        time_zone: String,
    }

    /// A model version came nearer to the outputs that its approval allows on one day, or a new day began. By whoever
    /// recorded the output; by the registry at midnight.
    ModelVersionLimited for ["registry.versions.limit"] {
        /// How far, a word of `DailyLimit` such as `REACHED`; empty for a new day.
        limit: String,
        /// How many outputs of the day were recorded when it came there; for a new day, when it last came further.
        outputs: i64,
        /// How many the approval allows.
        max_outputs: i64,
        /// When the day ends, or has ended, RFC 3339.
        end_time: String,
    }

    /// Aliases of a model moved, all in one step.
    ModelAliasesMoved for ["registry.aliases.set"] {
        /// The proposal that decided it, `proposals/{proposal}`.
        proposal: String,
        /// One move, or two if another alias took over the version that the first left. Each says `alias`, and the
        /// versions `from` (empty if the alias was not set) and `to`.
        aliases: Vec<AliasMoved>,
    }

    /// An artifact was registered.
    ArtifactCreated for ["registry.artifacts.create"] {
        /// What it is, a word of `ArtifactKind` such as `PROMPT`.
        kind: String,
        /// The subject of the person who answers for it.
        owner: String,
    }

    /// A version of an artifact was added.
    ArtifactVersionCreated for ["registry.artifact_versions.create"] {
        /// What the artifact is, a word of `ArtifactKind`.
        kind: String,
        /// The version that it was made from; empty for a fresh start.
        base_version: String,
        /// What changed and why.
        change_note: String,
    }

    /// A version of an artifact was approved.
    ArtifactVersionApproved for ["registry.artifact_versions.approve"] {
        /// The state before, a word of `ArtifactVersionState`.
        from: String,
        /// The state after.
        to: String,
        /// The proposal that approved it.
        proposal: String,
    }

    /// A version of an artifact was withdrawn.
    ArtifactVersionWithdrawn for ["registry.artifact_versions.withdraw"] {
        /// The state before, a word of `ArtifactVersionState`.
        from: String,
        /// The state after.
        to: String,
        /// The labels that this cleared.
        cleared_labels: Vec<String>,
        /// How many model versions this suspended.
        affected_model_versions: u64,
    }

    /// A label of an artifact moved.
    ArtifactLabelMoved for ["registry.artifact_labels.set"] {
        /// The label, such as `production`.
        label: String,
        /// The version before, `artifacts/{artifact}/versions/{version}`; empty if the label was not set.
        from: String,
        /// The version after.
        to: String,
    }

    /// An automation was registered.
    AutomationCreated for ["registry.automations.create"] {
        /// The subject of the person who answers for it.
        owner: String,
        /// The role groups of the functions that it touches.
        functions: Vec<String>,
        /// The model versions that it runs, `models/{model}/versions/{version}`.
        model_versions: Vec<String>,
    }

    /// An automation was changed.
    AutomationUpdated for ["registry.automations.update"] {
        /// The paths of the update mask as it was given; empty for all that may change.
        fields: Vec<String>,
        /// Whether the change made it PROPOSED again.
        approval_voided: bool,
    }

    /// An automation moved from one state to another.
    AutomationMoved for ["registry.automations.approve", "registry.automations.suspend", "registry.automations.retire"] {
        /// The state before, a word of `AutomationState`.
        from: String,
        /// The state after.
        to: String,
        /// The proposal that approved it; empty if it was stopped.
        proposal: String,
        /// Under which conditions it is approved.
        conditions: Vec<String>,
    }

    /// An output was recorded.
    OutputRecorded for ["registry.outputs.record"] {
        /// The digest of the asset.
        asset_digest: String,
        /// The task, `tasks/{task}`; empty if not given.
        task: String,
        /// The decision under which it was made, `decisions/{decision}`; empty if not given.
        decision: String,
        /// What is at stake, a word of `Stakes`; `UNSPECIFIED` counts as HIGH.
        stakes: String,
        /// Whether all version tags are there.
        complete: bool,
        /// The reasons of what was wrong and accepted nevertheless, such as `TAG_MISSING`.
        warnings: Vec<String>,
    }
}
