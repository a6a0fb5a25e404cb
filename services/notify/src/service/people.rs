//! What follows for people from what the log says of them, and from their coming.

use super::settings::audiences;
use super::{Service, name_of, stop};
use crate::filter::Seen;
use crate::owners::ROLES_END;
use crate::store::notices;
use crate::store::settings::{self as store, Settings};
use crate::store::subscriptions::{self, Subscriptions};
use prost::Message as _;
use remit_api::notify::v1::{Notice, Subscription, SubscriptionState};
use remit_api::wire::decode;
use remit_core::{Result, Timestamp};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _, timers};
use std::collections::BTreeSet;

/// How many timers are looked at together.
const TIMERS: i64 = 1_000;

impl Service {
    /// Keeps up with what the log says of people: who is erased has no address here, and whose roles are other ones or
    /// whose tokens are revoked is told by her name alone until she comes again.
    pub(crate) async fn follow_people(&self, m: &mut Mutation, seen: &Seen) -> Result<()> {
        if seen.outcome != "SUCCESS" {
            return Ok(());
        }
        let changed = |m: &Mutation, subject: &str| self.guests.forget(&(m.tenant().clone(), subject.to_owned()));
        let said = |field: &str| seen.details.get(field).and_then(|value| value.as_str()).unwrap_or_default();
        match seen.action.as_str() {
            "audit.subjects.erase" => {
                let subject = seen.resource.strip_prefix("subjects/").unwrap_or_default();
                self.erase(m, subject).await
            }
            "council.revocations.create" if !said("subject").is_empty() && said("token_id").is_empty() => {
                let subject = said("subject");
                let blocked = seen.details.get("block").and_then(serde_json::Value::as_bool).unwrap_or_default();
                changed(m, subject);
                let audience = if blocked { String::new() } else { format!("subject:{subject}") };
                store::address_only(m, &name_of(subject), &audience).await
            }
            "council.roleAssignments.update" | "council.roleAssignments.delete" if !said("subject").is_empty() => {
                let subject = said("subject");
                changed(m, subject);
                store::address_only(m, &name_of(subject), &format!("subject:{subject}")).await
            }
            _ => Ok(()),
        }
    }

    async fn erase(&self, m: &mut Mutation, subject: &str) -> Result<()> {
        let own = name_of(subject);
        if Settings::try_claim(m, &own).await?.is_some() {
            store::clear(m, &own).await?;
            Settings::delete(m, &own).await?;
        }
        notices::forget(m, subject).await?;
        self.forget_reminders(m, subject).await?;
        // Nobody's rights stand behind what she subscribed to.
        for name in subscriptions::of(m, subject).await? {
            let Some(subscription) = Subscriptions::try_claim(m, &name).await? else { continue };
            let nobodys = Subscription { owner: String::new(), ..subscription };
            match nobodys.state() {
                SubscriptionState::Broken => Subscriptions::save(m, &mut nobodys.clone()).await?,
                _ => stop(m, &nobodys, "its owner was erased: whoever may read the log and resumes it owns it").await?,
            }
        }
        for shared in store::owned(m, subject).await? {
            if let Some(mut settings) = Settings::try_claim(m, &shared).await? {
                settings.owner.clear();
                Settings::save(m, &mut settings).await?;
            }
        }
        Ok(())
    }

    /// Takes a subject out of the reminders that are planned.
    async fn forget_reminders(&self, m: &mut Mutation, subject: &str) -> Result<()> {
        let (tenant, audience) = (m.tenant().clone(), format!("subject:{subject}"));
        let mut after = None;
        loop {
            let page = timers::due(m.tx(), &tenant, Timestamp(i64::MAX), after.as_ref(), TIMERS).await?;
            for timer in &page {
                if timer.kind == ROLES_END {
                    if timer.payload == subject.as_bytes() {
                        timers::cancel(m.tx(), &tenant, &timer.id).await?;
                    }
                    continue;
                }
                let mut notice: Notice = decode(&timer.payload)?;
                if !notice.audiences.contains(&audience) {
                    continue;
                }
                notice.audiences.retain(|told| *told != audience);
                if notice.audiences.is_empty() {
                    timers::cancel(m.tx(), &tenant, &timer.id).await?;
                } else {
                    let payload = notice.encode_to_vec();
                    timers::schedule(m.tx(), &tenant, &timer.id, &timer.kind, timer.due_at, &payload).await?;
                }
            }
            let Some(last) = page.into_iter().next_back() else { return Ok(()) };
            after = Some(last);
        }
    }

    /// Notes that the caller came, and as what: at most once a day, unless she comes as something else.
    pub(crate) async fn came(&self, cx: &Cx) -> Result<()> {
        let now = self.db.now();
        let audiences = audiences(cx, now);
        let who = (cx.tenant.clone(), cx.actor.subject.clone());
        let words: BTreeSet<String> = audiences.iter().map(|(audience, _)| audience.clone()).collect();
        if !self.guests.is_new(&who, &words, now) {
            return Ok(());
        }
        let name = name_of(&cx.actor.subject);
        // What notes that somebody came is not what her call costs.
        let note = async |m: &mut Mutation| {
            if Settings::try_claim(m, &name).await?.is_some() {
                store::address(m, &name, &audiences).await?;
            }
            Ok(())
        };
        let noted = remit_store::counted(self.db.own(&cx.tenant, "notify.settings.note", note));
        Box::pin(noted).await.0
    }
}
