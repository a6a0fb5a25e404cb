//! Personal data: opened, erased, and its keys sealed anew.

use super::Service;
use super::entries::{entry_index, entry_name, entry_not_found};
use crate::store::{damaged, entries, heads, legal_holds, subjects};
use remit_api::audit::v1 as api;
use remit_api::wire::time;
use remit_core::details::{Details as _, KeysRewrapped, SubjectErased};
use remit_core::{Error, Result};
use remit_runtime::Cx;

/// How many keys one call seals anew at most.
const MAX_REWRAPPED: i64 = 10_000;

impl Service {
    /// Opens the personal data of one entry.
    ///
    /// # Errors
    /// `NotFound` (`ENTRY_NOT_FOUND`, `PERSONAL_DATA_ABSENT`); `FailedPrecondition` (`PERSONAL_DATA_ERASED`,
    /// `MASTER_KEY_MISSING`).
    pub async fn get_personal_data(&self, cx: &Cx, request: api::GetPersonalDataRequest) -> Result<api::PersonalData> {
        let (tenant, index) = (&cx.tenant, entry_index(&request.name)?);
        let mut tx = self.db.snapshot().await?;
        let Some(stored) = entries::get(&mut tx, tenant, index).await? else {
            let size = heads::size(&mut tx, tenant).await?;
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
        let sealed = subjects::get(&mut tx, tenant, index).await?.ok_or_else(erased)?;
        let master = self.keys.master();
        let key =
            subjects::key(&mut tx, tenant, &sealed.subject, sealed.generation, master).await?.ok_or_else(erased)?;
        let fields = key.open(tenant, &sealed.subject, &leaf.id, &sealed.sealed)?;
        let fields = fields.ok_or_else(|| damaged(format!("the sealed personal data of entry {index}")))?;
        Ok(api::PersonalData { subject: sealed.subject, fields: fields.into_iter().collect() })
    }

    /// Destroys a subject's keys and deletes what they sealed.
    ///
    /// # Errors
    /// `FailedPrecondition` (`SUBJECT_ON_HOLD`), naming the holds.
    pub async fn erase_subject(&self, cx: &Cx, request: api::EraseSubjectRequest) -> Result<api::EraseSubjectResponse> {
        let (tenant, subject) = (&cx.tenant, request.subject.as_str());
        self.db
            .mutate(&cx.call(&request), async |m| {
                // While the head row is held nothing is sealed under the keys that go.
                heads::claim(m.tx(), tenant, self.db.now()).await?;
                let mut held = Vec::new();
                for hold in legal_holds::active(m.tx(), tenant).await? {
                    if legal_holds::covers_subject(m.tx(), tenant, &hold, subject).await? {
                        held.push(hold.name);
                    }
                }
                if !held.is_empty() {
                    let message = format!("{subject} is under legal hold: {}; release it first", held.join(", "));
                    return Err(Error::precondition("SUBJECT_ON_HOLD", message));
                }
                let (erased_entries, first, last) = subjects::extent(m.tx(), tenant, subject).await?;
                let now = m.now();
                let destroyed_keys = subjects::destroy_keys(m.tx(), tenant, subject, now).await?;
                subjects::delete(m.tx(), tenant, subject).await?;
                let erase_time = subjects::destroy_time(m.tx(), tenant, subject).await?;
                let entry = |index: Option<u64>| index.map(|index| entry_name(index).to_string()).unwrap_or_default();
                // That there was nothing to erase is worth recording too: it shows that the request was served.
                let mut event = m.event(cx.method, &format!("subjects/{subject}"));
                event.reason.clone_from(&request.reason);
                event.details = SubjectErased { destroyed_keys, erased_entries }.json();
                self.record(m, event).await?;
                Ok(api::EraseSubjectResponse {
                    subject: subject.to_owned(),
                    destroyed_key_count: heads::signed(destroyed_keys),
                    erased_entry_count: erased_entries,
                    first_entry: entry(first),
                    last_entry: entry(last),
                    erase_time: erase_time.map(time::stamp),
                })
            })
            .await
    }

    /// Seals subjects' keys under the current master key.
    ///
    /// # Errors
    /// `FailedPrecondition` (`MASTER_KEY_MISSING`) if an old master key is already gone.
    pub async fn rewrap_subject_keys(
        &self,
        cx: &Cx,
        request: api::RewrapSubjectKeysRequest,
    ) -> Result<api::RewrapSubjectKeysResponse> {
        self.db
            .mutate(&cx.call(&request), async |m| {
                // Held so that no subject is erased between the reading of its key and the writing.
                heads::claim(m.tx(), &cx.tenant, self.db.now()).await?;
                let master = self.keys.master();
                let (rewrapped, remaining) =
                    subjects::rewrap(m.tx(), &cx.tenant, master, self.db.ids(), MAX_REWRAPPED).await?;
                let mut event = m.event(cx.method, &format!("masterKeys/{}", master.current()));
                event.details = KeysRewrapped { rewrapped, remaining }.json();
                self.record(m, event).await?;
                Ok(api::RewrapSubjectKeysResponse {
                    master_key: master.current().to_owned(),
                    rewrapped_count: rewrapped,
                    remaining_count: remaining,
                })
            })
            .await
    }
}
