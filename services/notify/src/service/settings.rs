//! Where notices reach people.

use super::Service;
use super::subscriptions::host_of;
use crate::store::bounces;
use crate::store::codes::{self, Code};
use crate::store::messages::{self, CODE, EMAIL, Message};
use crate::store::settings::{self as store, Settings};
use crate::{duties, language, people};
use jiff::tz::TimeZone;
use remit_api::notify::v1::{
    ConfirmEmailRequest, DutyRule, Format, GetNotificationSettingsRequest, NotificationSettings,
    UpdateNotificationSettingsRequest,
};
use remit_api::wire::{mask, required, time::stamp};
use remit_core::details::{Details as _, SettingsChanged};
use remit_core::name::SettingsName;
use remit_core::{Error, Kind, Result, Tenant, Timestamp, email, etag};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::time::Duration;

/// What lets somebody look after the settings of a role or a group.
pub(super) const SHARED: &str = "notify.subscriptions.update";
/// The role that looks after those of all.
const ADMIN: &str = "admin";
/// How long a code is good, how often it may be guessed, and how many are sent in which time.
const CODE_LIFE: Duration = Duration::from_secs(3_600);
const CODE_TRIES: i64 = 5;
const CODES: i64 = 5;
const CODES_IN: Duration = Duration::from_secs(86_400);
/// The name of what holds for everybody of the tenant who has not set it, and as what that is addressed: nobody.
pub(crate) const TENANT: &str = "notificationSettings/tenant";
const EVERYBODY: &str = "tenant";
/// How long somebody counts as what her token said she is.
const ADDRESSED: Duration = Duration::from_secs(90 * 86_400);

/// The last part of the name of a person's settings.
fn id_of(subject: &str) -> String {
    let digest = Sha256::digest(subject);
    format!("subject.{}", hex::encode(&digest[..20]))
}

/// The name of a person's settings.
pub(crate) fn name_of(subject: &str) -> String {
    SettingsName::new(id_of(subject)).to_string()
}

/// As what the caller is addressed, each until when.
pub(super) fn audiences(cx: &Cx, now: Timestamp) -> Vec<(String, Timestamp)> {
    let until = now.plus(ADDRESSED);
    let groups = cx.actor.role_groups.iter().map(|group| (format!("group:{group}"), until));
    let roles = cx.actor.roles.iter().map(|role| (format!("role:{role}"), until));
    let own = (format!("subject:{}", cx.actor.subject), Timestamp(i64::MAX));
    std::iter::once(own).chain(groups).chain(roles).collect()
}

fn digest(settings: &str, code: &str) -> String {
    hex::encode(Sha256::digest(format!("{settings}\0{code}")))
}

/// What the log says of settings, which is no address.
fn details(settings: &NotificationSettings, why: &str) -> serde_json::Value {
    let off = settings.rules.iter().filter(|rule| rule.no_email || rule.no_chat);
    SettingsChanged {
        audience: settings.audience.clone(),
        owner: settings.owner.clone(),
        email: settings.email_confirmed,
        chat: !settings.chat_endpoint.is_empty(),
        switched_off: off.map(|rule| rule.duty.clone()).collect(),
        state_reason: why.to_owned(),
    }
    .json()
}

/// Whether the issuer of the caller's token says that this is her address: she need not say a code then.
fn verified(cx: &Cx, address: &str) -> bool {
    cx.email.as_deref().is_some_and(|email| email::canonical(email).is_ok_and(|email| email == address))
}

/// Records a change under the action of the call.
fn record(m: &mut Mutation, settings: &NotificationSettings) {
    m.record(&settings.name, |event| event.details = details(settings, ""));
}

/// What a caller's rules must be.
fn check_rules(rules: &[DutyRule]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for rule in rules {
        let field = "notification_settings.rules";
        if !duties::is_known(&rule.duty) {
            let kinds: Vec<&str> = duties::all().map(|duty| duty.kind).collect();
            let why = format!("{:?} is no kind of duty: there are {}", rule.duty, kinds.join(", "));
            return Err(Error::invalid("DUTY_UNKNOWN", field, why));
        }
        if (rule.no_email || rule.no_chat) && duties::is_statutory(&rule.duty) {
            let why = format!("the law or the constitution puts a clock on {}: it cannot be switched off", rule.duty);
            return Err(Error::invalid("DUTY_STATUTORY", field, why));
        }
        if !seen.insert(&rule.duty) {
            return Err(Error::invalid("FIELD_INVALID", field, format!("must have {} once", rule.duty)));
        }
    }
    Ok(())
}

/// What a caller wants with settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    Read,
    Change,
}

/// Whether the caller is one of those whom the settings of a role or group are about, or looks after all.
fn is_of(cx: &Cx, sort: &str, of: &str) -> bool {
    let (roles, groups) = (&cx.actor.roles, &cx.actor.role_groups);
    let hers = if sort == "role" { roles } else { groups };
    hers.iter().any(|it| it == of) || roles.iter().any(|role| role == ADMIN)
}

impl Service {
    /// The settings that a caller names, as nobody has set them.
    fn named(&self, cx: &Cx, name: &str, field: &str, wants: Wants) -> Result<NotificationSettings> {
        let id = SettingsName::parse(name, field)?.settings;
        let own = id_of(&cx.actor.subject);
        let (id, audience) = if id == "me" || id == own {
            (own, format!("subject:{}", cx.actor.subject))
        } else {
            let shared = id.split_once('.').filter(|(sort, of)| ["role", "group"].contains(sort) && !of.is_empty());
            let (sort, audience, reads) = match shared {
                Some((sort, of)) => {
                    if !is_of(cx, sort, of) {
                        let why =
                            format!("the settings of a {sort} are for those who have it, and for the role {ADMIN}");
                        return Err(Error::denied("SETTINGS_SHARED", why));
                    }
                    (sort, format!("{sort}:{of}"), true)
                }
                None if id == EVERYBODY => (EVERYBODY, EVERYBODY.to_owned(), false),
                None => return Err(Error::not_found(Settings::NOT_FOUND, name)),
            };
            let enough = reads && wants == Wants::Read;
            if !enough && !self.may(cx, SHARED) {
                let why = format!("the settings of a {sort} are for those who may change subscriptions ({SHARED})");
                return Err(Error::denied("SETTINGS_SHARED", why));
            }
            (id, audience)
        };
        let etag = etag::of(0);
        Ok(NotificationSettings { name: SettingsName::new(id).to_string(), audience, etag, ..Default::default() })
    }

    pub(crate) async fn get_notification_settings(
        &self,
        cx: &Cx,
        request: GetNotificationSettingsRequest,
    ) -> Result<NotificationSettings> {
        let unset = self.named(cx, &request.name, "name", Wants::Read)?;
        self.ready(&cx.tenant).await?;
        let found = Settings::find(&mut self.db.read().await?, &cx.tenant, &unset.name).await?;
        let mut settings = found.unwrap_or(unset);
        // Whoever has the URL of a chat can write there.
        if settings.name != name_of(&cx.actor.subject) && !self.sees_secrets(cx) {
            settings.chat_endpoint = host_of(&settings.chat_endpoint);
        }
        Ok(settings)
    }

    pub(crate) async fn update_notification_settings(
        &self,
        cx: &Cx,
        request: UpdateNotificationSettingsRequest,
    ) -> Result<NotificationSettings> {
        let given = required(request.notification_settings.as_ref(), "notification_settings")?;
        let unset = self.named(cx, &given.name, "notification_settings.name", Wants::Change)?;
        self.mutate(cx, &request, async |m| {
            let found = Settings::try_claim(m, &unset.name).await?;
            let (is_new, before) = (found.is_none(), found.unwrap_or_else(|| unset.clone()));
            etag::check(&given.etag, &before.etag, &before.name)?;
            let named = |field: &str| {
                request.update_mask.as_ref().is_some_and(|mask| mask.paths.iter().any(|path| path == field))
            };
            let wanted = mask::update(&before, given, request.update_mask.as_ref())?;
            // Whoever gives anew what does not work, or was not confirmed, wants it tried again.
            let given_email = email::canonical(&given.email).is_ok_and(|email| email == before.email);
            let email_again = named("email") && given_email && !people::reads_email(&before);
            let chat_again = named("chat_endpoint")
                && given.chat_endpoint == before.chat_endpoint
                && !before.chat_problem.is_empty();
            let again = (email_again || chat_again).then(|| before.clone());
            let Some(mut settings) = wanted.or(again) else { return Ok(before) };
            self.check_settings(&mut settings)?;
            let now = m.now();
            let moved = email_again || settings.email != before.email;
            if moved {
                settings.email_confirmed = unset.name == name_of(&cx.actor.subject) && verified(cx, &settings.email);
                settings.email_problem.clear();
            }
            if chat_again || settings.chat_endpoint != before.chat_endpoint {
                settings.chat_problem.clear();
            }
            settings.owner.clone_from(&cx.actor.subject);
            settings.update_time = Some(stamp(now));
            if is_new {
                settings.create_time = Some(stamp(now));
                if !Settings::try_insert(m, &mut settings).await? {
                    let why = format!("{} was set by somebody else meanwhile: read it again", settings.name);
                    return Err(Error::new(Kind::Conflict, "ETAG_MISMATCH", why));
                }
            } else {
                Settings::save(m, &mut settings).await?;
            }
            self.address(m, cx, &settings).await?;
            if moved {
                messages::forget_channel(m, &settings.name, EMAIL).await?;
                bounces::trust(m, &settings.name).await?;
                if !settings.email.is_empty() && !settings.email_confirmed {
                    self.send_code(m, &settings.name).await?;
                }
            }
            record(m, &settings);
            Ok(settings)
        })
        .await
    }

    /// Notes as what settings are addressed now.
    async fn address(&self, m: &mut Mutation, cx: &Cx, settings: &NotificationSettings) -> Result<()> {
        let own = settings.name == name_of(&cx.actor.subject);
        let now = m.now();
        let shared = || vec![(settings.audience.clone(), Timestamp(i64::MAX))];
        store::address(m, &settings.name, &if own { audiences(cx, now) } else { shared() }).await
    }

    /// Checks what a caller wants, and brings her address into its one form.
    fn check_settings(&self, settings: &mut NotificationSettings) -> Result<()> {
        if !settings.email.is_empty() {
            let wrong = |why: &str| Error::invalid("EMAIL_INVALID", "notification_settings.email", why);
            settings.email = email::canonical(&settings.email).map_err(wrong)?;
            let Some(smtp) = &self.smtp else {
                let why = "this suite sends no e-mail: notify.smtp.host is not set";
                return Err(Error::precondition("EMAIL_OFF", why));
            };
            if !smtp.permits(&settings.email) {
                return Err(wrong(if smtp.names_domains() {
                    "must be an address in one of notify.smtp.domains"
                } else {
                    "must be an e-mail address such as ann@example.com"
                }));
            }
        }
        let only_language = NotificationSettings {
            name: settings.name.clone(),
            audience: settings.audience.clone(),
            language: settings.language.clone(),
            etag: settings.etag.clone(),
            owner: settings.owner.clone(),
            create_time: settings.create_time,
            update_time: settings.update_time,
            ..NotificationSettings::default()
        };
        if settings.audience == EVERYBODY && *settings != only_language {
            let why = "the settings of the tenant say its language and nothing else";
            return Err(Error::invalid("FIELD_INVALID", "notification_settings", why));
        }
        if !settings.chat_endpoint.is_empty() {
            self.check_endpoint(&settings.chat_endpoint, "notification_settings.chat_endpoint")?;
        }
        if ![Format::Unspecified, Format::Slack, Format::Teams].contains(&settings.chat_format()) {
            return Err(Error::invalid("FIELD_INVALID", "notification_settings.chat_format", "must be that of a chat"));
        }
        if !settings.language.is_empty() && !language::LANGUAGES.contains(&settings.language.as_str()) {
            let why = format!("must be one of {}, or empty", language::LANGUAGES.join(", "));
            return Err(Error::invalid("LANGUAGE_UNKNOWN", "notification_settings.language", why));
        }
        if !settings.time_zone.is_empty() && TimeZone::get(&settings.time_zone).is_err() {
            let why = "must be a time zone such as Europe/Berlin, or empty for UTC";
            return Err(Error::invalid("TIME_ZONE_UNKNOWN", "notification_settings.time_zone", why));
        }
        check_rules(&settings.rules)
    }

    /// Sends a new code to the address of claimed settings.
    async fn send_code(&self, m: &mut Mutation, settings: &str) -> Result<()> {
        let now = m.now();
        let (mut sent, mut since) = (0, now);
        if let Some(last) = codes::find(m, settings).await?
            && now.since(last.since) < CODES_IN
        {
            (sent, since) = (last.sent, last.since);
        }
        if sent >= CODES {
            let wait = since.plus(CODES_IN).since(now);
            let why = format!("{CODES} codes were sent within 24 hours, the most that are: wait");
            return Err(Error::new(Kind::ResourceExhausted, "CODES_EXHAUSTED", why).with_retry_after(wait));
        }
        let mut dice = [0; 8];
        self.ids.fill(&mut dice);
        let code = format!("{:08}", u64::from_le_bytes(dice) % 100_000_000);
        let kept =
            Code { digest: digest(settings, &code), expire_time: now.plus(CODE_LIFE), tries: 0, sent: sent + 1, since };
        codes::set(m, settings, &kept).await?;
        let message = Message {
            settings: settings.to_owned(),
            name: format!("{CODE}.{}", m.new_id()),
            channel: EMAIL.to_owned(),
            kind: CODE.to_owned(),
            notice: String::new(),
            slot: 0,
            next_at: now,
            start: now,
            attempts: 0,
            text: code,
        };
        messages::keep(m, &message).await
    }

    pub(crate) async fn confirm_email(&self, cx: &Cx, request: ConfirmEmailRequest) -> Result<NotificationSettings> {
        let name = self.named(cx, &request.name, "name", Wants::Change)?.name;
        // Counted by itself: a refusal undoes what is done with it, and a guess must count.
        let count = async |m: &mut Mutation| {
            if Settings::try_claim(m, &name).await?.is_none() {
                return Ok(());
            }
            let Some(code) = codes::find(m, &name).await? else { return Ok(()) };
            codes::set(m, &name, &Code { tries: code.tries + 1, ..code }).await
        };
        self.ready(&cx.tenant).await?;
        self.db.own(&cx.tenant, "notify.settings.guess", count).await?;
        self.mutate(cx, &request, async |m| {
            let mut settings = Settings::claim(m, &name).await?;
            let now = m.now();
            let code = codes::find(m, &name).await?;
            let good = code.filter(|code| {
                now < code.expire_time && code.tries <= CODE_TRIES && code.digest == digest(&name, request.code.trim())
            });
            let Some(code) = good else {
                let why = "it is not the code that was sent last, older than an hour, or was guessed five times: give the \
                           address anew";
                return Err(Error::precondition("CODE_WRONG", why));
            };
            codes::set(m, &name, &Code { expire_time: now, ..code }).await?;
            settings.email_confirmed = true;
            settings.email_problem.clear();
            bounces::trust(m, &name).await?;
            settings.update_time = Some(stamp(now));
            Settings::save(m, &mut settings).await?;
            self.address(m, cx, &settings).await?;
            record(m, &settings);
            Ok(settings)
        })
        .await
    }

    /// Sends no more e-mails of a kind to the holder of settings; says her language.
    pub(crate) async fn unsubscribe(&self, tenant: &Tenant, id: &str, duty: &str) -> Result<String> {
        let name = SettingsName::new(id).to_string();
        let work = async |m: &mut Mutation| {
            let Some(mut settings) = Settings::try_claim(m, &name).await? else { return Ok(String::new()) };
            let language = match settings.language.as_str() {
                "" => store::usual_language(m.tx(), tenant).await?,
                own => own.to_owned(),
            };
            match settings.rules.iter_mut().find(|rule| rule.duty == duty) {
                Some(rule) if rule.no_email => return Ok(language),
                Some(rule) => rule.no_email = true,
                None => {
                    settings.rules.push(DutyRule { duty: duty.to_owned(), no_email: true, ..DutyRule::default() });
                }
            }
            settings.update_time = Some(stamp(m.now()));
            Settings::save(m, &mut settings).await?;
            let mut event = m.event("notify.settings.unsubscribe", &settings.name);
            event.details = details(&settings, "");
            m.record_event(event);
            Ok(language)
        };
        self.db.own(tenant, "notify.settings.unsubscribe", work).await
    }

    /// Stops a channel of claimed settings, unless it leads elsewhere by now, and records that: who set it hears of it.
    pub(crate) async fn breaks(
        &self,
        m: &mut Mutation,
        settings: &mut NotificationSettings,
        channel: &str,
        to: &str,
        why: &str,
    ) -> Result<()> {
        let is_mail = channel == EMAIL;
        let current = if is_mail { &settings.email } else { &settings.chat_endpoint };
        let is_broken = !if is_mail { &settings.email_problem } else { &settings.chat_problem }.is_empty();
        if current != to || is_broken {
            return Ok(());
        }
        // What a server says may repeat the address, which the log must not keep.
        let shown = if to.is_empty() { why.to_owned() } else { why.replace(to, "…") };
        let problem = if is_mail { &mut settings.email_problem } else { &mut settings.chat_problem };
        problem.clone_from(&shown);
        settings.update_time = Some(stamp(m.now()));
        Settings::save(m, settings).await?;
        messages::forget_channel(m, &settings.name, channel).await?;
        let said = if is_mail { "its e-mail address" } else { "its chat" };
        let code = why.split_once('(').and_then(|(_, after)| Some(after.split_once(')')?.0));
        let code = code.filter(|code| code.chars().all(|c| c.is_ascii_digit() || c == '.'));
        let reason =
            code.map_or_else(|| format!("{said} cannot be reached"), |code| format!("{said} refuses it ({code})"));
        let mut event = m.event("notify.settings.break", &settings.name);
        event.details = details(settings, &reason);
        m.record_event(event);
        Ok(())
    }
}
