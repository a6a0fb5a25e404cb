//! Sends what is due to people. What is for one person is one task, so that a chat that is slow or broken delays nobody
//! else; who is sent to is looked at when it is sent, so that what she has changed meanwhile counts.

use super::bounces::Path;
use super::calendar::{self, Method};
use super::letter::{Letter, Words};
use super::smtp::{Handed, Smtp};
use super::{by_chat, by_email, unsubscribe};
use crate::address::Checked;
use crate::sender::{UnderWay, client, known};
use crate::service::Service;
use crate::store::deadlines::{self, Deadline};
use crate::store::messages::{self, CANCEL, CODE, EMAIL, Message};
use crate::store::notices::{self, Notices};
use crate::store::settings::{self, Settings};
use crate::{backoff, language};
use remit_api::notify::v1::{Format, Notice, NotificationSettings};
use remit_core::{Result, Tenant, Timestamp, name};
use remit_runtime::config::Notify;
use remit_store::{Mutation, Records as _};
use reqwest::Url;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often to look for what another process or a timer has left.
const LOOK: Duration = Duration::from_secs(1);
/// How long whoever takes messages has them for itself.
const LEASE: Duration = Duration::from_secs(600);
/// How long whoever took messages begins with more of them; what is left is taken again when the lease is over.
const BUDGET: Duration = Duration::from_secs(300);
/// The most messages of one person that are taken together: what one digest holds.
const TAKEN: i64 = 50;
/// How many people are sent to at once.
const ABREAST: usize = 16;
/// The failures of the operator's mail server, how seldom it is asked after three days, and for how long what it did not take
/// is kept.
const OURS: [&str; 6] =
    ["CONNECTION_FAILED", "TIMED_OUT", "TLS_FAILED", "SIGN_IN_FAILED", "SENDER_REFUSED", "EMAIL_OFF"];
const SELDOM: Duration = Duration::from_secs(8 * 3_600);
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How long tries may go on at shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// What is sent together, and what came of it.
struct Tried {
    names: Vec<String>,
    channel: String,
    /// Where it was sent.
    to: String,
    attempts: i64,
    start: Timestamp,
    handed: Handed,
}

impl Tried {
    /// Whether a failure is one of the operator's mail server. A code is good for an hour only, and not kept for it.
    fn is_ours(&self, error: &str) -> bool {
        self.channel == EMAIL && OURS.contains(&error) && !self.names.iter().any(|name| name.starts_with(CODE))
    }
}

/// What was taken for one person.
struct Taken {
    settings: NotificationSettings,
    messages: Vec<Message>,
    notices: BTreeMap<String, Notice>,
    /// Those of them that ask nothing any more.
    over: BTreeSet<String>,
    deadlines: Vec<Deadline>,
    key: Vec<u8>,
    /// The language in which she is written to.
    language: String,
}

/// Sends to the people of all tenants.
#[derive(Clone)]
pub(crate) struct Courier {
    service: Service,
    client: reqwest::Client,
}

impl Courier {
    /// A courier after these settings.
    ///
    /// # Errors
    /// `Internal` if there are no certificates to trust.
    pub(crate) fn new(service: Service, settings: &Notify) -> Result<Self> {
        let client = client(Checked::new(service.rules.clone()), settings)?;
        Ok(Self { service, client })
    }

    /// Sends until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut under_way = UnderWay::default();
        loop {
            for tenant in known(None, messages::waiting(&self.service.db, self.service.db.now()).await) {
                for settings in known(Some(&tenant), self.due(&tenant, &under_way).await) {
                    let key = (tenant.clone(), settings);
                    let ((tenant, settings), courier) = (key.clone(), self.clone());
                    under_way.spawn(key, async move {
                        if let Err(error) = courier.serve(&tenant, &settings).await {
                            let tenant = tenant.as_str();
                            tracing::warn!(tenant, reason = error.reason(), "nobody was told: {error}");
                        }
                    });
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                true = under_way.ended() => {}
                () = self.service.post.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        let _ = tokio::time::timeout(GRACE, async { while under_way.ended().await {} }).await;
    }

    async fn due(&self, tenant: &Tenant, under_way: &UnderWay) -> Result<Vec<String>> {
        let busy = under_way.len();
        let room = ABREAST.saturating_sub(busy);
        if room == 0 {
            return Ok(Vec::new());
        }
        let most = i64::try_from(room + busy).unwrap_or(i64::MAX);
        let now = self.service.db.now();
        let due = messages::due(&mut self.service.db.read().await?, tenant, now, most).await?;
        let free = due.into_iter().filter(|settings| !under_way.has(&(tenant.clone(), settings.clone())));
        Ok(free.take(room).collect())
    }

    /// Sends what is due to one person.
    async fn serve(&self, tenant: &Tenant, name: &str) -> Result<()> {
        let key = self.service.link_key(tenant).await?;
        let take = async |m: &mut Mutation| {
            let Some(settings) = Settings::try_claim(m, name).await? else { return Ok(None) };
            let now = m.now();
            let messages = messages::take(m, name, now, now.plus(LEASE), TAKEN).await?;
            let names: Vec<&str> = messages.iter().map(|message| message.notice.as_str()).collect();
            let deadlines = deadlines::told(m, &names).await?;
            let notices = Notices::named(m.tx(), tenant, &names).await?;
            let over = notices::over(m, &names).await?;
            let notices = notices.into_iter().map(|notice| (notice.name.clone(), notice)).collect();
            let usual = settings::usual_language(m.tx(), tenant).await?;
            let language = language::of(&settings.language, language::of(&usual, &self.service.language)).to_owned();
            Ok(Some(Taken { settings, messages, notices, over, deadlines, key, language }))
        };
        let Some(taken) = self.service.db.own(tenant, "notify.messages.take", take).await? else { return Ok(()) };
        let mut groups: BTreeMap<(String, String, i64, String), Vec<&Message>> = BTreeMap::new();
        for message in &taken.messages {
            let alone = if message.slot == 0 { message.name.clone() } else { String::new() };
            let key = (message.channel.clone(), message.kind.clone(), message.slot, alone);
            groups.entry(key).or_default().push(message);
        }
        let (mut tried, started) = (Vec::new(), Instant::now());
        for group in groups.values() {
            if started.elapsed() > BUDGET {
                break;
            }
            tried.extend(self.try_once(tenant, &taken, group).await?);
        }
        let settle = async |m: &mut Mutation| self.settle(m, name, &tried).await;
        self.service.db.own(tenant, "notify.messages.settle", settle).await
    }

    /// Sends once what is sent together.
    async fn try_once(&self, tenant: &Tenant, taken: &Taken, group: &[&Message]) -> Result<Option<Tried>> {
        let Some(first) = group.first() else { return Ok(None) };
        let settings = &taken.settings;
        let spoken = taken.language.as_str();
        // What she has said meanwhile counts: of a kind that she wants no more nothing is sent, together with others neither.
        let wanted = |notice: &&Notice| match first.channel.as_str() {
            EMAIL => by_email(settings, notice),
            _ => by_chat(settings, notice),
        };
        // Of what was done while it waited nobody is told; that it is done she hears if she has it in her calendar.
        let asks = |notice: &&Notice| first.kind == CANCEL || !taken.over.contains(&notice.name);
        let all = group.iter().filter_map(|message| taken.notices.get(&message.notice));
        let notices: Vec<Notice> = all.filter(asks).filter(wanted).cloned().collect();
        let words = if first.kind == CODE {
            Words::code(&first.text, spoken)
        } else {
            Words::of(&notices, first.kind == CANCEL, (spoken, &settings.time_zone), &self.service.links)
        };
        let nothing = notices.is_empty() && first.kind != CODE;
        let (to, handed) = if first.channel == EMAIL {
            let unwanted = nothing || settings.email.is_empty();
            let handed = match &self.service.smtp {
                _ if unwanted => Handed::Taken(String::new()),
                None => Handed::Failed { status: 0, error: "EMAIL_OFF", why: "this suite sends no e-mail".to_owned() },
                Some(smtp) => smtp.send(&self.letter(tenant, taken, first, &notices, words, smtp)?).await,
            };
            (settings.email.clone(), handed)
        } else {
            let sent = if nothing { Handed::Taken(String::new()) } else { self.chat(settings, &words).await };
            (settings.chat_endpoint.clone(), sent)
        };
        Ok(Some(Tried {
            names: group.iter().map(|message| message.name.clone()).collect(),
            channel: first.channel.clone(),
            to,
            attempts: first.attempts,
            start: first.start,
            handed,
        }))
    }

    fn letter(
        &self,
        tenant: &Tenant,
        taken: &Taken,
        first: &Message,
        notices: &[Notice],
        words: Words,
        smtp: &Smtp,
    ) -> Result<Letter> {
        let settings = &taken.settings;
        let digest = |what: &str| {
            let digest = Sha256::digest(format!("{tenant}\0{}\0{what}", settings.name));
            hex::encode(&digest[..16])
        };
        let thread = match notices {
            _ if first.kind == CODE => String::new(),
            [one] if first.slot == 0 => digest(&format!("about {}", one.resource)),
            _ => digest("together"),
        };
        let method = if first.kind == CANCEL { Method::Cancel } else { Method::Publish };
        let told = |deadline: &&Deadline| {
            notices.iter().any(|notice| notice.name == deadline.notice.name)
                && deadline.cancelled == (method == Method::Cancel)
        };
        let deadlines: Vec<Deadline> = taken.deadlines.iter().filter(told).cloned().collect();
        let calendar = if deadlines.is_empty() {
            None
        } else {
            let organizer = smtp.from.email.to_string();
            let spoken = (taken.language.as_str(), settings.time_zone.as_str());
            Some((method, calendar::render(tenant, &deadlines, method, spoken, &organizer)?))
        };
        let words = match notices {
            [one] if !one.statutory && !self.service.public_url.is_empty() => words.unsubscribed_by(unsubscribe::link(
                &self.service.public_url,
                &taken.key,
                tenant,
                name::last(&settings.name),
                &one.duty,
            )),
            _ => words,
        };
        let id = digest(&first.name);
        let path = Path { tenant, resource: &settings.name, address: &settings.email };
        let returns = smtp.returns(path, &taken.key, self.service.db.now());
        Ok(Letter { to: settings.email.clone(), words, id, thread, calendar, at: first.start, returns })
    }

    /// Posts to a chat.
    async fn chat(&self, settings: &NotificationSettings, words: &Words) -> Handed {
        let Ok(url) = Url::parse(&settings.chat_endpoint) else {
            return Handed::Refused { status: 0, why: "it is no URL".to_owned() };
        };
        if !self.service.rules.permits_host(url.host_str().unwrap_or_default()) {
            return Handed::Refused { status: 0, why: "its address is one that webhooks may not reach".to_owned() };
        }
        let format = if settings.chat_format() == Format::Teams { Format::Teams } else { Format::Slack };
        let body = words.chat(format).to_string();
        let sent = self.client.post(url).header("content-type", "application/json").body(body).send().await;
        match sent.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Handed::Taken(String::new()),
            Ok(status) if [404, 410].contains(&status.as_u16()) => {
                Handed::Refused { status: status.as_u16(), why: format!("it answered {}", status.as_u16()) }
            }
            Ok(status) => {
                let why = format!("it answered {}", status.as_u16());
                Handed::Failed { status: status.as_u16(), error: "REFUSED", why }
            }
            // Without the URL, which is a secret.
            Err(error) => {
                Handed::Failed { status: 0, error: "CONNECTION_FAILED", why: error.without_url().to_string() }
            }
        }
    }

    /// Writes what came of it.
    async fn settle(&self, m: &mut Mutation, name: &str, tried: &[Tried]) -> Result<()> {
        // Whoever is gone has nothing to settle.
        let Some(mut settings) = Settings::try_claim(m, name).await? else { return Ok(()) };
        let now = m.now();
        for tried in tried {
            let names: Vec<&str> = tried.names.iter().map(String::as_str).collect();
            let mut dice = [0];
            self.service.ids.fill(&mut dice);
            let failures = u32::try_from(tried.attempts + 1).unwrap_or(u32::MAX);
            let problem = match &tried.handed {
                Handed::Taken(_) => None,
                Handed::Refused { status: 0, why } => Some(why.clone()),
                Handed::Refused { status, why } => Some(format!("it was refused ({status}): {why}")),
                Handed::Failed { error, why, .. } => match backoff::next(failures, tried.start, now, None, dice[0]) {
                    Some(next) => {
                        let (tenant, error) = (m.tenant().to_string(), *error);
                        tracing::warn!(tenant, error, "a message to {name} is tried again");
                        messages::later(m, name, &names, next, 1).await?;
                        continue;
                    }
                    // That the operator's own server is away says nothing of whoever reads there: her address stays, and
                    // what she was to be told is sent when the server is back.
                    None if tried.is_ours(error) => {
                        if now.since(tried.start) < KEPT {
                            messages::later(m, name, &names, now.plus(SELDOM), 1).await?;
                        } else {
                            messages::forget(m, name, &names).await?;
                        }
                        continue;
                    }
                    None => Some(format!("nothing could be delivered for three days: {why}")),
                },
            };
            messages::forget(m, name, &names).await?;
            if let Some(problem) = problem {
                self.service.breaks(m, &mut settings, &tried.channel, &tried.to, &problem).await?;
            }
        }
        Ok(())
    }
}
