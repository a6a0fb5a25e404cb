//! `remit audit`, the questions of an auditor: one entry, the story of one thing, what comes in, what is kept.

use super::audit_stream::ndjson;
use super::connect::{Session, answer, refused};
use super::output::{Column, json, print_raw};
use super::values::span;
use clap::{Args, Subcommand};
use prost_types::{Duration, FieldMask, Timestamp};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{
    CreateLegalHoldRequest, Entry, EntryView, GetEntryRequest, GetPersonalDataRequest, GetRetentionPolicyRequest,
    LegalHold, ListLegalHoldsRequest, PruneEntriesRequest, PruneEntriesResponse, ReleaseLegalHoldRequest,
    RetentionPolicy, SearchOrder, SearchRequest, TailRequest, UpdateRetentionPolicyRequest,
};
use remit_core::{Error, Result};
use serde_json::{Value, json as object};
use std::collections::{BTreeMap, BTreeSet};

/// What an auditor asks.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show one entry.
    Get {
        /// Its index.
        index: u64,
    },
    /// Who had a part in a resource and in the proposals that decided about it: how often, first and last.
    Who(About),
    /// The story of a resource in order: what was done to it, by whom and why, with the votes on the proposals that
    /// its entries name. Times are in the zone of this machine.
    Why(About),
    /// Print entries as they come, one JSON text a line.
    Tail {
        /// The first index.
        #[arg(long, default_value_t = 0)]
        start: i64,
        /// Only actions that begin with this; may be repeated.
        #[arg(long, value_name = "PREFIX")]
        action: Vec<String>,
        /// Go on when the end is reached.
        #[arg(long)]
        follow: bool,
    },
    /// Open the personal data of one entry. That you did is itself an entry.
    Reveal {
        /// The index of the entry.
        index: u64,
    },
    /// Show how long entries are kept, or change it.
    Retention {
        /// Keep entries for this many days.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(184..=36_600))]
        keep: Option<i64>,
        /// Keep entries for ever.
        #[arg(long, conflicts_with = "keep")]
        for_ever: bool,
    },
    /// Count what is past its retention and under no hold; remove its content with --remove.
    Prune {
        /// Remove it. This cannot be undone; hashes and proofs stay.
        #[arg(long)]
        remove: bool,
    },
    /// Engage, list and release legal holds.
    #[command(subcommand)]
    Hold(Hold),
}

/// What a story is about.
#[derive(Debug, Args)]
pub(crate) struct About {
    /// The name, such as models/lead-scorer/versions/1; what is under it is part of it.
    resource: String,
    /// How many entries at most.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

/// What to do with legal holds.
#[derive(Debug, Subcommand)]
pub(crate) enum Hold {
    /// Keep what is in the scope from being pruned or erased. What is given must all apply; nothing given holds the
    /// whole log.
    Engage {
        /// The id of the hold.
        id: String,
        /// The matter.
        #[arg(long)]
        reason: String,
        /// Everything of this personal-data subject.
        #[arg(long, default_value = "")]
        subject: String,
        /// Entries whose resource begins with this.
        #[arg(long, default_value = "", value_name = "PREFIX")]
        resource: String,
        /// Entries of this actor.
        #[arg(long, default_value = "")]
        actor: String,
        /// Entries recorded in this span.
        #[arg(long, value_name = "FROM..TO")]
        recorded: Option<String>,
    },
    /// List legal holds.
    List {
        /// Also those that were released.
        #[arg(long)]
        released: bool,
    },
    /// Release a legal hold.
    Release {
        /// The id of the hold.
        id: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

const STORY: &[Column] = &[
    ("WHEN", "when", ""),
    ("WHO", "event.actor.subject", ""),
    ("KIND", "event.actor.kind", "ACTOR_KIND_"),
    ("FOR", "event.actor.onBehalfOf", ""),
    ("DID", "event.action", ""),
    ("TO", "event.resource", ""),
    ("VOTE", "choice", "VOTE_CHOICE_"),
    ("OUTCOME", "event.outcome", "OUTCOME_"),
    ("WHY", "event.reason", ""),
    ("ENTRY", "name", "entries/"),
];

const PEOPLE: &[Column] = &[
    ("WHO", "actor", ""),
    ("KIND", "kind", "ACTOR_KIND_"),
    ("FOR", "onBehalfOf", ""),
    ("DID", "action", ""),
    ("OUTCOME", "outcome", "OUTCOME_"),
    ("TIMES", "count", ""),
    ("FIRST", "first", ""),
    ("LAST", "last", ""),
];

const HOLDS: &[Column] = &[
    ("HOLD", "name", "legalHolds/"),
    ("SUBJECT", "subject", ""),
    ("RESOURCE", "resourcePrefix", ""),
    ("ACTOR", "actor", ""),
    ("REASON", "reason", ""),
    ("BY", "creator", ""),
    ("SINCE", "createTime", ""),
    ("RELEASED", "releaseTime", ""),
];

/// The most entries that a server gives in one page.
const PAGE: usize = 1_000;
/// How many proposals of a story are looked up with one filter, which may have 2,000 characters.
const NAMES: usize = 5;
/// How many seconds a day has.
const DAY: i64 = 86_400;

/// Runs the command.
pub(super) async fn run(session: &Session, command: Command) -> Result<()> {
    let mut client = AuditServiceClient::new(session.wire());
    match command {
        Command::Get { index } => {
            let request = GetEntryRequest { name: format!("entries/{index}"), view: EntryView::Basic.into() };
            session.show(client.get_entry(request).await)
        }
        Command::Who(about) => who(session, &about).await,
        Command::Why(about) => why(session, &about).await,
        Command::Tail { start, action, follow } => tail(session, start, action, follow).await,
        Command::Reveal { index } => {
            let request = GetPersonalDataRequest { name: format!("entries/{index}") };
            session.show(client.get_personal_data(request).await)
        }
        Command::Retention { keep, for_ever } => {
            let policy = answer(client.get_retention_policy(GetRetentionPolicyRequest::default()).await)?;
            if keep.is_none() && !for_ever {
                return kept(session, &policy);
            }
            let keep = keep.map(|days| Duration { seconds: days * DAY, nanos: 0 });
            let request = UpdateRetentionPolicyRequest {
                // With the etag of what was just read: two people who change it at once are both told.
                retention_policy: Some(RetentionPolicy { keep, etag: policy.etag, ..Default::default() }),
                update_mask: Some(FieldMask { paths: vec!["keep".to_owned()] }),
                request_id: session.request_id(),
            };
            kept(session, &answer(client.update_retention_policy(request).await)?)
        }
        Command::Prune { remove } => {
            let request = PruneEntriesRequest { validate_only: !remove, request_id: session.request_id() };
            pruned(session, &answer(client.prune_entries(request).await)?, remove)
        }
        Command::Hold(command) => hold(session, command).await,
    }
}

/// How long entries are kept.
fn kept(session: &Session, policy: &RetentionPolicy) -> Result<()> {
    let text = match &policy.keep {
        None => "entries are kept for ever".to_owned(),
        Some(keep) => format!("entries are kept for {} days, and longer under a legal hold", keep.seconds / DAY),
    };
    session.out.text(&text, || json(policy))
}

/// What was removed, or would be.
fn pruned(session: &Session, done: &PruneEntriesResponse, removed: bool) -> Result<()> {
    let PruneEntriesResponse { pruned_count, held_count, end_index, more } = done;
    let what = if removed { "removed" } else { "to be removed with --remove, for good" };
    let rest = if *more { "; there are more, so ask again" } else { "" };
    let text =
        format!("{pruned_count} entries {what}; {held_count} before entry {end_index} stay under legal holds{rest}");
    session.out.text(&text, || json(done))
}

async fn hold(session: &Session, command: Hold) -> Result<()> {
    let mut client = AuditServiceClient::new(session.wire());
    match command {
        Hold::Engage { id, reason, subject, resource, actor, recorded } => {
            let recorded = recorded.map(|text| span(&text, "recorded")).transpose()?;
            let legal_hold =
                LegalHold { reason, subject, resource_prefix: resource, actor, recorded, ..Default::default() };
            let request = CreateLegalHoldRequest {
                legal_hold_id: id,
                legal_hold: Some(legal_hold),
                request_id: session.request_id(),
            };
            session.show(client.create_legal_hold(request).await)
        }
        Hold::List { released } => {
            let (mut holds, mut page_token) = (Vec::new(), String::new());
            loop {
                let request = ListLegalHoldsRequest { page_size: 1_000, page_token, show_released: released };
                let page = answer(client.list_legal_holds(request).await)?;
                holds.extend(page.legal_holds);
                if page.next_page_token.is_empty() {
                    return session.out.list(&holds, HOLDS);
                }
                page_token = page.next_page_token;
            }
        }
        Hold::Release { id, reason } => {
            let name = super::values::named("legalHolds", &id);
            let request =
                ReleaseLegalHoldRequest { name, reason, etag: String::new(), request_id: session.request_id() };
            session.show(client.release_legal_hold(request).await)
        }
    }
}

async fn tail(session: &Session, start_index: i64, action_prefixes: Vec<String>, follow: bool) -> Result<()> {
    let view = EntryView::Basic.into();
    let request = TailRequest { start_index, action_prefixes, snapshot_only: !follow, view };
    let mut stream = answer(AuditServiceClient::new(session.wire()).tail(request).await)?;
    while let Some(part) = stream.message().await.map_err(refused)? {
        for entry in &part.entries {
            print_raw(ndjson(entry)?.as_bytes())?;
        }
    }
    Ok(())
}

/// The filter for resources with these names, and for what is under them.
fn about<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let mut parts = Vec::new();
    for name in names {
        let name = name.trim_end_matches('/');
        // A star would ask for more than the one thing whose story it is.
        if name.is_empty() || name.contains(['"', '\\', '*']) {
            let must = format!("{name:?} must be the name of one resource, without quotes, backslashes and stars");
            return Err(Error::invalid("NAME_INVALID", "resource", must));
        }
        parts.push(format!("resource = \"{name}\" OR resource = \"{name}/*\""));
    }
    Ok(parts.join(" OR "))
}

/// Adds the entries that pass `filter` until there are `limit`; whether those are all.
async fn collect(session: &Session, filter: &str, limit: usize, found: &mut BTreeMap<i64, Entry>) -> Result<bool> {
    let mut client = AuditServiceClient::new(session.wire());
    let mut page_token = String::new();
    loop {
        let missing = limit.saturating_sub(found.len()).min(PAGE);
        if missing == 0 {
            return Ok(false);
        }
        let request = SearchRequest {
            filter: filter.to_owned(),
            order: SearchOrder::OldestFirst.into(),
            page_size: i32::try_from(missing).unwrap_or(i32::MAX),
            page_token,
            ..Default::default()
        };
        let page = answer(client.search(request).await)?;
        found.extend(page.entries.into_iter().map(|entry| (entry.index, entry)));
        if page.next_page_token.is_empty() {
            return Ok(true);
        }
        page_token = page.next_page_token;
    }
}

/// The proposals that the details of an entry name.
fn proposals(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            // Details are what a caller wrote: only what is a name may become part of a filter.
            let id = text.strip_prefix("proposals/").unwrap_or_default();
            if !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
                names.insert(text.clone());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| proposals(item, names)),
        Value::Object(fields) => fields.values().for_each(|field| proposals(field, names)),
        _ => {}
    }
}

/// The entries about a resource and about the proposals that they name, in the order of the log.
async fn story(session: &Session, about_it: &About) -> Result<Vec<Entry>> {
    let mut found = BTreeMap::new();
    let mut whole = collect(session, &about([about_it.resource.as_str()])?, about_it.limit, &mut found).await?;
    let mut names = BTreeSet::new();
    for event in found.values().filter_map(|entry| entry.event.as_ref()) {
        if let Ok(details) = serde_json::from_str(&event.details_json) {
            proposals(&details, &mut names);
        }
    }
    let names: Vec<_> = names.into_iter().collect();
    for names in names.chunks(NAMES) {
        let filter = about(names.iter().map(String::as_str))?;
        whole &= collect(session, &filter, about_it.limit, &mut found).await?;
    }
    if !whole {
        session.out.note(&format!("not the whole story: more than {} entries; ask with --limit", about_it.limit));
    }
    Ok(found.into_values().collect())
}

/// A time in the zone of whoever reads it, with its distance from UTC.
fn local(at: Option<&Timestamp>, zone: &jiff::tz::TimeZone) -> String {
    let at = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.map(|at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()).unwrap_or_default()
}

async fn why(session: &Session, about: &About) -> Result<()> {
    let zone = jiff::tz::TimeZone::system();
    let mut rows = Vec::new();
    for entry in story(session, about).await? {
        let mut row = json(&entry)?;
        if !session.out.json {
            let at = entry.event.as_ref().and_then(|event| event.recorded_at.as_ref());
            row["when"] = local(at, &zone).into();
            let details =
                entry.event.as_ref().and_then(|event| serde_json::from_str::<Value>(&event.details_json).ok());
            row["choice"] = details.and_then(|mut details| details.get_mut("choice").map(Value::take)).into();
        }
        rows.push(row);
    }
    session.out.values(rows, STORY)
}

async fn who(session: &Session, about: &About) -> Result<()> {
    let zone = jiff::tz::TimeZone::system();
    session.out.values(people(&story(session, about).await?, &zone)?, PEOPLE)
}

/// Who did what how often, in the order in which they first did.
fn people(entries: &[Entry], zone: &jiff::tz::TimeZone) -> Result<Vec<Value>> {
    let mut places = BTreeMap::new();
    let mut rows: Vec<(Value, u64)> = Vec::new();
    for entry in entries {
        let value = json(entry)?;
        let field = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let [actor, kind, behalf, action, outcome] =
            ["/event/actor/subject", "/event/actor/kind", "/event/actor/onBehalfOf", "/event/action", "/event/outcome"]
                .map(field);
        let when = local(entry.event.as_ref().and_then(|event| event.recorded_at.as_ref()), zone);
        let key = (actor.clone(), kind.clone(), behalf.clone(), action.clone(), outcome.clone());
        let at = *places.entry(key).or_insert(rows.len());
        if let Some((row, count)) = rows.get_mut(at) {
            *count += 1;
            row["last"] = when.into();
        } else {
            let row = object!({
                "actor": actor, "kind": kind, "onBehalfOf": behalf, "action": action, "outcome": outcome,
                "first": when, "last": when,
            });
            rows.push((row, 1));
        }
    }
    let counted = rows.into_iter().map(|(mut row, count)| {
        row["count"] = count.into();
        row
    });
    Ok(counted.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::audit::v1::Event;
    use remit_api::types::Actor;

    #[test]
    fn a_story_is_of_one_thing_and_what_is_under_it() {
        assert_eq!(about(["models/m"]).unwrap(), "resource = \"models/m\" OR resource = \"models/m/*\"");
        assert_eq!(about(["models/m/"]).unwrap(), about(["models/m"]).unwrap());
        for wrong in ["", "/", "models/*", "m\" OR actor = \"ann", "m\\"] {
            assert!(about([wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_names_of_proposals_are_followed() {
        let details = object!({
            "proposal": "proposals/p1", "nested": [{"by": "proposals/p-2.x"}], "note": "see proposals/p3",
            "cheat": "proposals/x\" OR actor = \"ann", "star": "proposals/*", "none": "proposals/", "n": 1,
        });
        let mut names = BTreeSet::new();
        proposals(&details, &mut names);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["proposals/p-2.x", "proposals/p1"]);
    }

    #[test]
    fn who_did_the_same_is_counted_with_first_and_last_in_the_zone_of_the_reader() {
        let entry = |index: i64, subject: &str, seconds: i64| Entry {
            index,
            event: Some(Event {
                actor: Some(Actor { subject: subject.to_owned(), ..Default::default() }),
                action: "registry.versions.transition".to_owned(),
                recorded_at: Some(Timestamp { seconds, nanos: 0 }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let entries = [entry(0, "ann", 0), entry(1, "bob", 60), entry(2, "ann", 3_600)];
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
        let rows = people(&entries, &zone).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0]["actor"].as_str(), rows[0]["count"].as_u64()), (Some("ann"), Some(2)));
        assert_eq!(rows[0]["first"].as_str(), Some("1970-01-01 02:00:00 +02:00"));
        assert_eq!(rows[0]["last"].as_str(), Some("1970-01-01 03:00:00 +02:00"));
        assert_eq!((rows[1]["actor"].as_str(), rows[1]["count"].as_u64()), (Some("bob"), Some(1)));
    }
}
