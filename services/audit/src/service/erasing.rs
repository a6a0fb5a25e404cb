//! Personal data: opened, erased, and its keys sealed anew.

use super::{AuditLog, entry_index, entry_not_found};
use crate::leaf::proto_time;
use crate::store::{damaged, entries, head, keeping, personal};
use remit_api::audit::v1 as api;
use remit_core::{Error, Result, Tenant};
use remit_runtime::Started;
use remit_store::Call;

/// How many keys one call seals anew at most.
const MAX_REWRAPPED: i64 = 10_000;

impl AuditLog {
    /// Opens the personal data of one entry.
    ///
    /// # Errors
    /// `NotFound` (`ENTRY_NOT_FOUND`, `PERSONAL_DATA_ABSENT`); `FailedPrecondition` (`PERSONAL_DATA_ERASED`,
    /// `MASTER_KEY_MISSING`).
    pub async fn reveal(&self, tenant: &Tenant, name: &str) -> Result<api::PersonalData> {
        let index = entry_index(name)?;
        let mut tx = self.db.snapshot().await?;
        let Some(stored) = entries::get(&mut tx, tenant, index).await? else {
            let size = head::size(&mut tx, tenant).await?;
            let absent =
                || Error::not_found("PERSONAL_DATA_ABSENT", format!("personal data of pruned entries/{index}"));
            return Err(if index < size { absent() } else { entry_not_found(index) });
        };
        let leaf = stored.leaf()?;
        let Some(commitment) = &leaf.personal else {
            return Err(Error::not_found("PERSONAL_DATA_ABSENT", format!("personal data of entries/{index}")));
        };
        let erased = || {
            let message =
                format!("the personal data of entries/{index} was erased with its subject {}", commitment.subject);
            Error::precondition("PERSONAL_DATA_ERASED", message)
        };
        let sealed = personal::get(&mut tx, tenant, index).await?.ok_or_else(erased)?;
        let master = self.keys.master();
        let key =
            personal::key(&mut tx, tenant, &sealed.subject, sealed.generation, master).await?.ok_or_else(erased)?;
        let fields = key.open(tenant, &sealed.subject, &leaf.id, &sealed.sealed)?;
        let fields = fields.ok_or_else(|| damaged(format!("the sealed personal data of entry {index}")))?;
        Ok(api::PersonalData { subject: sealed.subject, fields: fields.into_iter().collect() })
    }

    /// Destroys a subject's keys and deletes what they sealed.
    ///
    /// # Errors
    /// `FailedPrecondition` (`SUBJECT_ON_HOLD`), naming the holds.
    pub async fn erase(&self, call: &Call, request: &api::EraseSubjectRequest) -> Result<api::EraseSubjectResponse> {
        let (tenant, subject) = (&call.tenant, request.subject.as_str());
        let mut mutation = match remit_runtime::begin::<api::EraseSubjectResponse>(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        // While the head row is held nothing is sealed under the keys that go.
        head::claim(mutation.tx(), tenant, call.now).await?;
        let mut held = Vec::new();
        for hold in keeping::active_holds(mutation.tx(), tenant).await? {
            if keeping::covers_subject(mutation.tx(), tenant, &hold, subject).await? {
                held.push(format!("legalHolds/{}", hold.id));
            }
        }
        if !held.is_empty() {
            let message = format!("{subject} is under legal hold: {}; release it first", held.join(", "));
            return Err(Error::precondition("SUBJECT_ON_HOLD", message));
        }
        let (erased_entry_count, first, last) = personal::extent(mutation.tx(), tenant, subject).await?;
        let destroyed = personal::destroy_keys(mutation.tx(), tenant, subject, call.now).await?;
        personal::delete(mutation.tx(), tenant, subject).await?;
        let erase_time = personal::destroyed_at(mutation.tx(), tenant, subject).await?;
        let entry = |index: Option<u64>| index.map(|index| format!("entries/{index}")).unwrap_or_default();
        let answer = api::EraseSubjectResponse {
            subject: subject.to_owned(),
            destroyed_key_count: head::signed(destroyed),
            erased_entry_count,
            first_entry: entry(first),
            last_entry: entry(last),
            erase_time: erase_time.map(proto_time),
        };
        // That there was nothing to erase is worth recording too: it shows that the request was served.
        let mut event = mutation.event(call.method, &format!("subjects/{subject}"));
        event.reason = request.reason.clone();
        event.details = serde_json::json!({ "destroyed_keys": destroyed, "erased_entries": erased_entry_count });
        let head = self.record(&mut mutation, event).await?;
        let answer = remit_runtime::finish(mutation, answer).await?;
        self.announce(tenant, &head);
        Ok(answer)
    }

    /// Seals subjects' keys under the current master key.
    ///
    /// # Errors
    /// `FailedPrecondition` (`MASTER_KEY_MISSING`) if an old master key is already gone.
    pub async fn rewrap(&self, call: &Call) -> Result<api::RewrapSubjectKeysResponse> {
        let tenant = &call.tenant;
        let mut mutation = match remit_runtime::begin::<api::RewrapSubjectKeysResponse>(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        // Held so that no subject is erased between the reading of its key and the writing.
        head::claim(mutation.tx(), tenant, call.now).await?;
        let master = self.keys.master();
        let (rewrapped, left) = personal::rewrap(mutation.tx(), tenant, master, self.db.ids(), MAX_REWRAPPED).await?;
        let answer = api::RewrapSubjectKeysResponse {
            master_key: master.current().to_owned(),
            rewrapped_count: rewrapped,
            remaining_count: left,
        };
        let mut event = mutation.event(call.method, &format!("masterKeys/{}", master.current()));
        event.details = serde_json::json!({ "rewrapped": rewrapped, "remaining": left });
        let head = self.record(&mut mutation, event).await?;
        let answer = remit_runtime::finish(mutation, answer).await?;
        self.announce(tenant, &head);
        Ok(answer)
    }
}
