//! `remit audit verify --state`: a server, held to what it said before.

use super::audit_local::{self, Verify, key, now};
use super::connect::{Session, answer, no_answer};
use crate::bearer::Wire;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{Checkpoint as Offered, GetCheckpointRequest, GetConsistencyProofRequest};
use remit_audit::export_verify::{CLOCKS, Handover, SINCE, followed};
use remit_audit::witness::Shelf;
use remit_core::{Error, Kind, Result};
use remit_tlog::client::{LogVerifier, Progress, Trust};
use remit_tlog::{Checkpoint, Hash, Note, VerifierKey};

/// Checks what a server says now against what it said before: its log must have grown from the remembered
/// checkpoint and still hold it.
pub(super) async fn verify_server(session: &Session, arguments: Verify) -> Result<()> {
    let mut client = AuditServiceClient::new(session.wire());
    let (witnesses, quorum) = arguments.witnesses()?;
    let min_cosignatures = i32::try_from(quorum).unwrap_or(i32::MAX);
    let offered = answer(client.get_checkpoint(GetCheckpointRequest { min_cosignatures }).await)?;
    let dir = arguments.state.unwrap_or_default();
    let (keys, notes) = (Shelf::open(&dir, "key")?, Shelf::open(&dir, "note")?);
    // What a server calls its log is up to the server: a log is remembered by where it was found.
    let (servers, place) = (Shelf::open(&dir, "server")?, place(&session.server, &session.tenant));
    let remembered = match servers.get(&place)? {
        Some(text) => Some(key(text.trim(), "state").map_err(|error| servers.damaged(&place, error))?),
        None => None,
    };
    let log = match (&arguments.key, remembered) {
        (Some(text), _) => key(text, "key")?,
        (None, Some(log)) if log.name() == offered.origin => log,
        (None, Some(log)) => {
            let what = format!("the server shows the log {}, and showed {} before", offered.origin, log.name());
            return Err(Error::precondition("LOG_RENAMED", what));
        }
        (None, None) => match keys.get(&offered.origin)? {
            Some(text) => key(text.trim(), "state").map_err(|error| keys.damaged(&offered.origin, error))?,
            None => {
                session.out.note("the key is the server's own, kept from now on: give --key to know whose log this is");
                VerifierKey::parse(&offered.verifier_key).map_err(no_answer)?
            }
        },
    };
    let (log, handovers) = led_on(&mut client, &offered, log).await?;
    handovers.iter().for_each(|handover| session.out.note(&audit_local::changed(handover)));
    let name = log.name().to_owned();
    let wrong = |error: remit_tlog::Error| {
        let reason = match &error {
            remit_tlog::Error::Rollback { .. } => "LOG_ROLLED_BACK",
            remit_tlog::Error::Fork { .. } => "LOG_FORKED",
            _ => "LOG_REFUSED",
        };
        Error::new(Kind::FailedPrecondition, reason, format!("{name}: {error}"))
    };
    let trust = Trust::new(log.name(), log.clone(), witnesses, quorum)
        .map_err(|error| Error::invalid("KEY_INVALID", "witness", error.to_string()))?
        .within(SINCE..=now().saturating_add(CLOCKS));
    let state = notes.get(&name)?;
    let former: Vec<VerifierKey> = handovers.into_iter().map(|handover| handover.old).collect();
    let verifier = LogVerifier::after(trust, &former, state.as_deref());
    let mut verifier = verifier.map_err(|error| notes.damaged(&name, error))?;
    let seen = verifier.seen().map_or(0, |seen| seen.size);
    let proof = consistency(&mut client, seen, offered.size).await?;
    let progress = verifier.update(&offered.note, &proof).map_err(wrong)?;
    // The key first: a note without its key could not be read again.
    keys.put(&name, &log.to_string())?;
    notes.put(&name, &offered.note)?;
    servers.put(&place, &log.to_string())?;
    // What was verified, and not what the server says beside it.
    let size = verifier.seen().map_or(0, |seen| seen.size);
    let text = match progress {
        Progress::First => format!("{name}: {size} entries, seen for the first time"),
        Progress::Unchanged => format!("{name}: {size} entries, as before"),
        Progress::Grew { from } => format!("{name}: {size} entries, extends the {from} of before"),
    };
    session.out.text(&text, || {
        let extends = (progress != Progress::First).then_some(seen);
        Ok(serde_json::json!({"verified": true, "origin": name, "size": size, "extends": extends}))
    })
}

/// The key that signs what is offered, if the log itself leads to it from the one that is trusted, with the changes that do;
/// else the one that is trusted, by which what is offered is then refused.
async fn led_on(
    client: &mut AuditServiceClient<Wire>,
    offered: &Offered,
    log: VerifierKey,
) -> Result<(VerifierKey, Vec<Handover>)> {
    let note = Note::parse(&offered.note).map_err(no_answer)?;
    if offered.size == 0 || note.verify(&log).is_ok() {
        return Ok((log, Vec::new()));
    }
    let checkpoint = Checkpoint::parse(&note.text).map_err(no_answer)?;
    // From the first size on: what is remembered may be older than the key that is given, or younger.
    let request = GetConsistencyProofRequest { old_size: 1, new_size: offered.size, with_handovers: true };
    let lines = answer(client.get_consistency_proof(request).await)?.handovers;
    followed(&lines, &checkpoint, &log).map_err(no_answer)
}

/// That what a server offers is a checkpoint, and signed by the key that it names: whose that key is it does not show.
pub(super) fn credible(offered: &Offered) -> Result<()> {
    let key = VerifierKey::parse(&offered.verifier_key).map_err(no_answer)?;
    let note = Note::parse(&offered.note).map_err(no_answer)?;
    note.verify(&key).map_err(no_answer)?;
    let Checkpoint { size, origin, .. } = Checkpoint::parse(&note.text).map_err(no_answer)?;
    if u64::try_from(offered.size) == Ok(size) && offered.origin == origin {
        return Ok(());
    }
    Err(no_answer("the checkpoint is of another log or size than it says"))
}

/// Where a log was found: the server, in one spelling, and the tenant.
fn place(server: &str, tenant: &str) -> String {
    format!("{} {tenant}", server.trim_end_matches('/').to_ascii_lowercase())
}

/// The server's proof that its log of `new` entries extends that of `old`; none where none is due.
pub(super) async fn consistency(client: &mut AuditServiceClient<Wire>, old: u64, new: i64) -> Result<Vec<Hash>> {
    let old_size = i64::try_from(old).unwrap_or(i64::MAX);
    if old_size == 0 || old_size >= new {
        return Ok(Vec::new());
    }
    let request = GetConsistencyProofRequest { old_size, new_size: new, with_handovers: false };
    let proof = answer(client.get_consistency_proof(request).await)?;
    let hash = |bytes: Vec<u8>| Hash::from_slice(&bytes).map_err(no_answer);
    proof.hashes.into_iter().map(hash).collect()
}
