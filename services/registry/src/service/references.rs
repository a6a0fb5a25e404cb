//! What a batch of outputs refers to, looked up once for the whole batch.

use crate::store::outputs::parent_id;
use crate::store::{artifacts, outputs, versions};
use remit_api::registry::v1::{ArtifactKind, ArtifactVersionState, Output, OutputEntry};
use remit_core::lifecycle::State;
use remit_core::{Result, Tenant, name};
use remit_store::Tx;
use std::collections::{BTreeMap, BTreeSet};

/// A registered model version.
#[derive(Debug, Clone)]
pub struct KnownVersion {
    /// Where it stands.
    pub state: State,
    /// The artifact versions it runs with.
    pub artifacts: Vec<String>,
}

/// A registered artifact version.
#[derive(Debug, Clone, Copy)]
pub struct KnownArtifact {
    /// What it is.
    pub kind: ArtifactKind,
    /// Where it stands.
    pub state: ArtifactVersionState,
}

/// Everything registered that a batch names.
#[derive(Debug, Default)]
pub struct References {
    /// By name.
    pub versions: BTreeMap<String, KnownVersion>,
    /// By name.
    pub artifacts: BTreeMap<String, KnownArtifact>,
    /// Ids of outputs that were recorded before or are in the batch.
    pub outputs: BTreeSet<String>,
}

impl References {
    /// Looks up what `entries` refer to. Names of a wrong form are not found; they are refused elsewhere.
    pub async fn load(tx: &mut Tx, tenant: &Tenant, entries: &[OutputEntry]) -> Result<Self> {
        let mut found = Self::default();
        let made = || entries.iter().filter_map(|entry| entry.output.as_ref());
        let named: BTreeSet<&str> = made().map(|output| output.model_version.as_str()).collect();
        for name in named {
            if let Ok([model, id]) = name::ids::<2>(name, "models/*/versions/*", "model_version")
                && let Some(row) = versions::find(tx, tenant, model, id).await?
            {
                let known = KnownVersion { state: row.state, artifacts: row.stored.body.artifacts };
                found.versions.insert(name.to_owned(), known);
            }
        }
        let inherited = found.versions.values().flat_map(|version| version.artifacts.iter());
        let named: BTreeSet<String> =
            made().flat_map(|output| output.artifacts.iter()).chain(inherited).cloned().collect();
        for name in named {
            if let Ok([artifact, id]) = name::ids::<2>(&name, "artifacts/*/versions/*", "artifacts")
                && let Some(row) = artifacts::find_version(tx, tenant, artifact, id).await?
            {
                let known = KnownArtifact { kind: row.stored.body.kind(), state: row.state };
                found.artifacts.insert(name, known);
            }
        }
        found.load_parents(tx, tenant, entries).await?;
        Ok(found)
    }

    async fn load_parents(&mut self, tx: &mut Tx, tenant: &Tenant, entries: &[OutputEntry]) -> Result<()> {
        let here: BTreeSet<&str> = entries.iter().map(|entry| entry.output_id.as_str()).collect();
        let made = entries.iter().filter_map(|entry| entry.output.as_ref());
        let parents: BTreeSet<&str> =
            made.flat_map(|output| output.parents.iter()).map(|name| parent_id(name)).collect();
        let elsewhere: Vec<&str> = parents.iter().copied().filter(|id| !here.contains(id)).collect();
        self.outputs = outputs::digests(tx, tenant, &elsewhere).await?.into_keys().collect();
        self.outputs.extend(parents.into_iter().filter(|id| here.contains(id)).map(str::to_owned));
        Ok(())
    }

    /// The artifact versions of an output and of its model version, without repetition.
    pub fn all_artifacts(&self, output: &Output) -> Vec<String> {
        let mut all = output.artifacts.clone();
        if let Some(version) = self.versions.get(&output.model_version) {
            for artifact in &version.artifacts {
                if !all.contains(artifact) {
                    all.push(artifact.clone());
                }
            }
        }
        all
    }
}
