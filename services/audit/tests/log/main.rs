//! The log on both engines: what it records, proves, erases and prunes, and how tampering is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod columns;
mod edits;
mod entries;
mod exports;
mod keeping;
mod people;
mod rotation;
mod searching;
mod stamps;
mod tampering;
mod writing;

use ed25519_dalek::SigningKey;
use remit_api::audit::v1 as api;
use remit_api::types;
use remit_audit::Service;
use remit_audit::keys::Keys;
use remit_audit::seal::MasterKeys;
use remit_audit::sequencer::Limits;
use remit_core::{Actor, ActorKind, Clock, ManualClock, Result, Tenant, Timestamp};
use remit_runtime::Cx;
use remit_store::testing::{TestDb, ids};
use remit_store::{Db, Options};
use remit_tlog::note::Algorithm;
use remit_tlog::{Signer, VerifierKey};
use std::sync::Arc;

/// 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp(1_767_225_600_000_000);

pub struct Fixture {
    pub log: Service,
    pub db: Db,
    pub clock: Arc<ManualClock>,
    pub tenant: Tenant,
}

pub fn witness() -> Signer {
    Signer::new("w1.example", Algorithm::CosignatureV1, SigningKey::from_bytes(&[9; 32])).unwrap()
}

pub fn keys(master: &str) -> Arc<Keys> {
    let master = MasterKeys::parse(master).unwrap();
    let witnesses = [witness().verifier().to_string()];
    Arc::new(Keys::new("remit.example", SigningKey::from_bytes(&[1; 32]), master, &witnesses).unwrap())
}

pub const MASTER: &str = "k1 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

impl Fixture {
    pub async fn new(database: &TestDb) -> Result<Self> {
        Self::with_master(database, MASTER).await
    }

    pub async fn with_master(database: &TestDb, master: &str) -> Result<Self> {
        let clock = Arc::new(ManualClock::new(START));
        let db =
            database.open_with(&remit_audit::SCHEMA, Options { clock: clock.clone(), ..Default::default() }).await?;
        let log = Service::new(db.clone(), clock.clone(), keys(master), Limits::default());
        Ok(Self { log, db, clock, tenant: Tenant::new("acme")? })
    }

    pub async fn append(&self, events: Vec<api::Event>) -> Result<Vec<u64>> {
        let receipt = self.log.record_events(&self.tenant, events, |at| format!("events[{at}]")).await?;
        Ok(receipt.places.iter().map(|place| place.index).collect())
    }

    /// Appends plain events `e{from}` to `e{to - 1}`.
    pub async fn fill(&self, from: u64, to: u64) -> Result<()> {
        let mut next = from;
        while next < to {
            let until = to.min(next + 100);
            self.append((next..until).map(|n| self.event(&format!("e{n}"))).collect()).await?;
            next = until;
        }
        Ok(())
    }

    pub fn event(&self, id: &str) -> api::Event {
        let now = remit_api::wire::time::stamp(self.clock.now());
        api::Event {
            id: id.to_owned(),
            actor: Some(types::Actor {
                subject: "ann".into(),
                kind: types::ActorKind::Human.into(),
                ..types::Actor::default()
            }),
            actor_roles: vec!["operator".into()],
            action: "registry.versions.suspend".into(),
            resource: format!("models/lead-scorer/versions/{id}"),
            outcome: api::Outcome::Success.into(),
            occurred_at: Some(now),
            recorded_at: Some(now),
            service: "registry".into(),
            details_json: "{\"psi\":0.31}".into(),
            ..api::Event::default()
        }
    }

    pub fn personal(&self, id: &str, subject: &str, email: &str) -> api::Event {
        let fields = std::collections::HashMap::from([("email".to_owned(), email.to_owned())]);
        api::Event {
            personal: Some(api::PersonalData { subject: subject.into(), fields: fields.into_iter().collect() }),
            ..self.event(id)
        }
    }

    pub fn cx(&self, method: &'static str) -> Cx {
        self.cx_of(&self.tenant, method)
    }

    pub fn cx_of(&self, tenant: &Tenant, method: &'static str) -> Cx {
        Cx {
            tenant: tenant.clone(),
            actor: Actor {
                subject: "dpo".into(),
                kind: ActorKind::Human,
                roles: vec!["auditor".into()],
                role_groups: vec![],
                on_behalf_of: None,
            }
            .into(),
            service: None,
            method,
            trace_id: String::new(),
            email: None,
            address: None,
            deadline: None,
        }
    }

    pub async fn checkpoint(&self, min_cosignatures: i32) -> Result<api::Checkpoint> {
        let request = api::GetCheckpointRequest { min_cosignatures };
        self.log.get_checkpoint(&self.cx("audit.checkpoints.get"), request).await
    }

    pub async fn get(&self, name: &str, view: api::EntryView) -> Result<api::Entry> {
        let request = api::GetEntryRequest { name: name.into(), view: view.into() };
        self.log.get_entry(&self.cx("audit.entries.get"), request).await
    }

    pub async fn reveal(&self, name: &str) -> Result<api::PersonalData> {
        let request = api::GetPersonalDataRequest { name: name.into() };
        self.log.get_personal_data(&self.cx("audit.personal.reveal"), request).await
    }

    pub async fn inclusion(&self, name: &str, size: i64) -> Result<api::InclusionProof> {
        let request = api::GetInclusionProofRequest { name: name.into(), size };
        self.log.get_inclusion_proof(&self.cx("audit.proofs.get"), request).await
    }

    pub async fn cosign(&self, note: &str) -> Result<api::Checkpoint> {
        let request = api::AddCosignatureRequest { note: note.into(), ..Default::default() };
        self.log.add_cosignature(&self.cx("audit.checkpoints.cosign"), request).await
    }

    pub async fn retention(&self) -> Result<api::RetentionPolicy> {
        let request = api::GetRetentionPolicyRequest::default();
        self.log.get_retention_policy(&self.cx("audit.retention.get"), request).await
    }

    pub async fn hold(&self, name: &str) -> Result<api::LegalHold> {
        let request = api::GetLegalHoldRequest { name: name.into() };
        self.log.get_legal_hold(&self.cx("audit.legalHolds.get"), request).await
    }

    pub async fn consistency(&self, old_size: i64, new_size: i64) -> Result<api::ConsistencyProof> {
        let request = api::GetConsistencyProofRequest { old_size, new_size, with_handovers: false };
        self.log.get_consistency_proof(&self.cx("audit.proofs.get"), request).await
    }

    pub fn log_key(&self) -> VerifierKey {
        self.log.keys().signer(&self.tenant).unwrap().verifier().clone()
    }

    pub async fn export(&self, request: api::ExportRequest) -> Result<Vec<u8>> {
        let mut export = self.log.begin_export(&self.tenant, &request).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = self.log.export_next(&mut export).await? {
            bytes.extend_from_slice(&piece.data);
        }
        Ok(bytes)
    }

    /// The findings of a whole check.
    pub async fn findings(&self) -> Result<Vec<(api::FindingKind, String)>> {
        let report = self.log.fsck(&self.tenant, "", 1_000).await?;
        Ok(report.findings.into_iter().map(|finding| (finding.kind, finding.location)).collect())
    }

    /// Moves the clock.
    pub fn tick(&self, seconds: u64) {
        self.clock.advance_to(self.clock.now().plus(std::time::Duration::from_secs(seconds)));
    }

    /// A second process on the same database.
    pub async fn replica(&self, database: &TestDb) -> Result<Self> {
        let options = Options { clock: self.clock.clone(), ..Default::default() };
        let db = database.open_with(&remit_audit::SCHEMA, options).await?;
        let log = Service::new(db.clone(), self.clock.clone(), keys(MASTER), Limits::default());
        Ok(Self { log, db, clock: self.clock.clone(), tenant: self.tenant.clone() })
    }
}

#[tokio::test]
async fn the_migrations_keep_the_rules_of_the_store() -> Result<()> {
    let _ = ids();
    remit_store::testing::check_migrations(&remit_audit::SCHEMA).await
}
