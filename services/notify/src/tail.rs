//! What follows from the audit log: each entry becomes one delivery for every subscription that selects it, and the notices
//! that follow from it. The position moves in the transaction of both.

use crate::duties::{self, Ended};
use crate::filter::{Filter, Seen};
use crate::owners;
use crate::payload::Sent;
use crate::people;
use crate::service::{Service, stop};
use crate::store::deliveries::{self, Deliveries};
use crate::store::notices;
use crate::store::queues;
use crate::store::subscriptions::{self, Subscriptions, Version};
use prost::Message as _;
use remit_api::audit::v1::Entry;
use remit_api::notify::v1::{Delivery, DeliveryState, Notice, Subscription, SubscriptionState};
use remit_api::wire::time::{self, stamp};
use remit_core::name::{self, DeliveryName, NoticeName};
use remit_core::{Result, Tenant, Timestamp};
use remit_runtime::Follow;
use remit_store::{Db, Mutation, Records as _, Tx, tail, timers};
use std::collections::BTreeMap;

/// The most deliveries that wait for one subscription; then it breaks.
pub(crate) const BACKLOG: i64 = 100_000;
/// About how many deliveries are written by one transaction at most.
const ROWS: usize = 20_000;
/// The most subscriptions that are read by one statement.
const CHUNK: usize = 256;

/// The filters of the subscriptions of a tenant, by name, each with the version of the subscription that it was read from.
pub(crate) type Filters = BTreeMap<String, (Version, Filter)>;

impl Follow for Service {
    type Kept = Filters;

    const BATCH: usize = 500;

    fn db(&self) -> &Db {
        &self.db
    }

    /// Of this nothing is recorded in the audit log but that a subscription broke: it follows from the log, and would
    /// never come to an end.
    async fn take(
        &self,
        tenant: &Tenant,
        entries: &[Entry],
        from: i64,
        to: i64,
        filters: &mut Filters,
    ) -> Result<bool> {
        let keeping = subscriptions::keeping(&mut self.db.read().await?, tenant).await?;
        let (mut next, mut left) = (from, entries);
        while !left.is_empty() {
            let (part, rest) = left.split_at(together(left.len(), keeping.len()));
            let end = if rest.is_empty() { to } else { part.last().map_or(next, |last| last.index + 1) };
            if !self.take_part(tenant, part, next, end, filters).await? {
                return Ok(false);
            }
            (next, left) = (end, rest);
            self.wake.notify_one();
        }
        Ok(true)
    }
}

/// How many of so many entries are taken in one transaction for so many subscriptions: all of them may select all.
fn together(entries: usize, subscriptions: usize) -> usize {
    (ROWS / subscriptions.max(1)).clamp(1, entries.max(1)).min(entries)
}

impl Service {
    /// Takes entries in one transaction; false if another process was faster.
    async fn take_part(
        &self,
        tenant: &Tenant,
        entries: &[Entry],
        from: i64,
        to: i64,
        filters: &mut Filters,
    ) -> Result<bool> {
        let take = async |m: &mut Mutation| {
            if !tail::claim(m.tx(), tenant, from, to).await? {
                return Ok(false);
            }
            let events = entries.iter().filter_map(|entry| Some((entry, Seen::of(entry.event.as_ref()?))));
            let events: Vec<(&Entry, Seen)> = events.collect();
            for (entry, seen) in &events {
                tell(m, entry, seen).await?;
                owners::follow(self, m, seen, recorded(entry)).await?;
                self.follow_people(m, seen).await?;
            }
            let keeping = subscriptions::keeping(m.tx(), tenant).await?;
            renew(m.tx(), tenant, &keeping, filters).await?;
            for (name, read) in &*filters {
                keep(m, &self.event_prefix, (name.as_str(), read), &events).await?;
            }
            Ok(true)
        };
        let taken = self.db.own(tenant, "notify.deliveries.keep", take).await?;
        if taken {
            self.wake.notify_one();
            self.post.notify_one();
        }
        Ok(taken)
    }
}

/// Forgets the filters of the subscriptions that have changed or keep nothing any more, and reads those that are new.
async fn renew(tx: &mut Tx, tenant: &Tenant, keeping: &BTreeMap<String, Version>, filters: &mut Filters) -> Result<()> {
    filters.retain(|name, (version, _)| keeping.get(name).is_some_and(|now| now == version));
    let new: Vec<&str> = keeping.keys().map(String::as_str).filter(|name| !filters.contains_key(*name)).collect();
    for names in new.chunks(CHUNK) {
        for subscription in Subscriptions::named(tx, tenant, names).await? {
            let filter = Filter::parse(&subscription.filter)?;
            let version = subscriptions::version(&subscription);
            filters.insert(subscription.name, (version, filter));
        }
    }
    Ok(())
}

/// Writes the deliveries of a subscription, of what the filter passes that was read of it.
async fn keep(
    m: &mut Mutation,
    prefix: &str,
    (name, (version, filter)): (&str, &(Version, Filter)),
    events: &[(&Entry, Seen)],
) -> Result<()> {
    let passing = |filter: &Filter| events.iter().filter(|(_, seen)| filter.passes(seen)).collect::<Vec<_>>();
    let mut chosen = passing(filter);
    if chosen.is_empty() {
        return Ok(());
    }
    // Locked first: whoever works out what is due next then sees what is written here.
    let Some(subscription) = Subscriptions::try_claim(m, name).await? else { return Ok(()) };
    if subscription.state() == SubscriptionState::Broken {
        return Ok(());
    }
    // Only now is it known to stay as it is; since it was read it may have been changed, or deleted and made again.
    if subscriptions::version(&subscription) != *version {
        chosen = passing(&Filter::parse(&subscription.filter)?);
    }
    if deliveries::pending(m, &subscription.name, BACKLOG).await? >= BACKLOG {
        return stop(m, &subscription, "100,000 events waited for its endpoint, the most that are kept").await;
    }
    let now = m.now();
    let tenant = m.tenant().clone();
    let deliveries = chosen.iter().map(|(entry, seen)| delivery((prefix, &tenant), &subscription, (*entry, seen), now));
    let mut deliveries: Vec<Delivery> = deliveries.collect();
    Deliveries::insert_all(m, &mut deliveries).await?;
    queues::set(m, &subscription.name, now).await
}

/// The record of an entry for a subscription, of a tenant whose events begin with `prefix`.
pub(crate) fn delivery(
    (prefix, tenant): (&str, &Tenant),
    subscription: &Subscription,
    (entry, seen): (&Entry, &Seen),
    now: Timestamp,
) -> Delivery {
    let id = entry.event.as_ref().map_or("", |event| event.id.as_str());
    let sent = Sent { prefix, tenant, index: Some(entry.index), id, seen, at: recorded(entry) };
    let (now, short) = (stamp(now), name::last(&subscription.name));
    Delivery {
        name: DeliveryName::new(short, entry.index.to_string()).to_string(),
        entry_index: entry.index,
        webhook_id: format!("{short}.{}", entry.index),
        action: seen.action.clone(),
        resource: seen.shown_resource().to_owned(),
        state: DeliveryState::Pending.into(),
        payload: sent.body(subscription.format()),
        next_attempt_time: Some(now),
        create_time: Some(now),
        start_time: Some(now),
        ..Delivery::default()
    }
}

/// When the event of an entry was recorded.
fn recorded(entry: &Entry) -> Timestamp {
    entry.event.as_ref().and_then(|event| event.recorded_at.as_ref()).map(time::of).unwrap_or_default()
}

/// What is said of a duty once more.
fn again(text: &str) -> String {
    format!("Not done yet: {text}")
}

/// Writes the notices that follow from an entry, and plans or ends reminders.
async fn tell(m: &mut Mutation, entry: &Entry, seen: &Seen) -> Result<()> {
    let tenant = m.tenant().clone();
    let timer = |kind: &str, about: &str, number: usize| format!("{kind}:{about}:{number}");
    let recorded = recorded(entry);
    let told = duties::told(seen, recorded);
    if let Some(Ended { about, kinds }) = duties::ended(seen) {
        let mut over = Vec::new();
        for (kind, reminders) in kinds {
            for number in 0..reminders.unwrap_or_default() {
                timers::cancel(m.tx(), &tenant, &timer(kind, &about, number)).await?;
            }
            // What is a cause anew has another time, and is not over.
            if told.iter().any(|told| told.kind == kind) {
                continue;
            }
            if duties::is_of_each(kind) {
                notices::undone(m, kind, &about, "").await?;
            }
            if reminders.is_some() {
                people::end(m, kind, &about).await?;
            }
            over.push(kind);
        }
        notices::end(m, &about, &over).await?;
    }
    for (kind, subjects) in duties::undone(seen) {
        for subject in subjects {
            notices::undone(m, kind, &seen.resource, &subject).await?;
        }
    }
    for (kind, subjects) in duties::done(seen) {
        for subject in subjects {
            people::done(m, kind, &seen.resource, &subject).await?;
        }
    }
    for told in told {
        // What is asked anew is asked of those too who had done it.
        if duties::is_of_each(told.kind) {
            notices::undone(m, told.kind, &seen.resource, "").await?;
        }
        let mut notice = Notice {
            name: NoticeName::new(format!("{}-{}", entry.index, told.kind)).to_string(),
            duty: told.kind.to_owned(),
            text: told.text,
            otherwise: told.otherwise.to_owned(),
            resource: seen.resource.clone(),
            audiences: told.audiences.into_iter().collect(),
            entry_index: entry.index,
            statutory: told.statutory,
            create_time: Some(stamp(recorded)),
            due_time: told.due.map(stamp),
            parameters: told.parameters.into_iter().collect(),
            reminder: told.again,
            end_time: None,
        };
        if told.again {
            notice.text = again(&notice.text);
        }
        for (number, at) in told.reminders {
            let name = NoticeName::new(format!("{}-{}-{}", entry.index, told.kind, number + 1)).to_string();
            let text = if told.later { notice.text.clone() } else { again(&notice.text) };
            let reminder = Notice { name, text, reminder: !told.later, ..notice.clone() };
            timers::schedule(
                m.tx(),
                &tenant,
                &timer(told.kind, &seen.resource, number),
                "notice.remind",
                at,
                &reminder.encode_to_vec(),
            )
            .await?;
        }
        if told.again {
            notices::supersede(m, &notice).await?;
        }
        if !told.later {
            people::tell(m, &mut notice).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_subscriptions_the_fewer_entries_are_taken_together() {
        for (entries, subscriptions, expected) in [
            (0, 0, 0),
            (500, 0, 500),
            (500, 40, 500),
            (500, 100, 200),
            (500, 10_000, 2),
            (500, 1_000_000, 1),
            (1, 0, 1),
        ] {
            assert_eq!(together(entries, subscriptions), expected, "{entries} {subscriptions}");
        }
    }
}
