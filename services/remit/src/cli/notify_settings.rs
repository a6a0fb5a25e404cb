//! `remit notify settings`: where notices reach the caller, or everybody of a role or role group; and `remit notify calendar`.

use super::connect::{Session, answer};
use super::output::{Column, json, print_raw, safe};
use super::values::named;
use clap::{Args, Subcommand, ValueEnum};
use prost_types::FieldMask;
use remit_api::notify::v1::bounce_service_client::BounceServiceClient;
use remit_api::notify::v1::notice_service_client::NoticeServiceClient;
use remit_api::notify::v1::settings_service_client::SettingsServiceClient;
use remit_api::notify::v1::{
    ConfirmEmailRequest, DutyRule, Format, GetNotificationSettingsRequest, NotificationSettings, Pace,
    RenderCalendarRequest, ReportBounceRequest, UpdateNotificationSettingsRequest,
};
use remit_core::{Error, Result};
use serde_json::Value;
use std::io::Read as _;
use tonic::{Response, Status};

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show where notices go.
    Show {
        /// Whose: `me`, `role.<role>`, `group.<role group>` or `tenant`.
        #[arg(default_value = "me")]
        of: String,
    },
    /// Change where notices go. What is not named stays as it is.
    Set(Box<Set>),
    /// Say the code that a new e-mail address was sent.
    Confirm {
        /// The code.
        code: String,
        /// Whose: `me`, `role.<role>`, `group.<role group>` or `tenant`.
        #[arg(long, default_value = "me")]
        of: String,
    },
}

/// What to change.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Whose: `me`, `role.<role>`, `group.<role group>` or `tenant`.
    #[arg(long, default_value = "me")]
    of: String,
    /// Where e-mail goes; empty for nowhere. The address gets a code, which `confirm` takes.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// An incoming webhook of Slack or Microsoft Teams; empty for none.
    #[arg(long, value_name = "URL")]
    chat: Option<String>,
    /// What that is one of.
    #[arg(long, value_enum)]
    chat_format: Option<Chat>,
    /// The language of notices: en, de, fr or es; empty for that of the suite.
    #[arg(long)]
    language: Option<String>,
    /// The time zone of the hours, such as Europe/Berlin; empty for UTC.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Send notices together, once a day at this hour, 0 to 23; `off` for at once.
    #[arg(long, value_name = "HOUR")]
    digest: Option<String>,
    /// Send nothing in these hours, such as 22:00-07:30; `off` for never.
    #[arg(long, value_name = "HH:MM-HH:MM")]
    quiet: Option<String>,
    /// What is different for one kind of duty: `alert_resolved=no-email,no-chat` or `=digest` or `=at-once`, and `=` for
    /// nothing. May be given several times; then these are all that are different.
    #[arg(long, value_name = "DUTY=HOW")]
    rule: Vec<String>,
}

/// Chats.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Chat {
    /// Slack.
    Slack,
    /// Microsoft Teams.
    Teams,
}

const SETTINGS: &[Column] = &[
    ("OF", "audience", ""),
    ("EMAIL", "email", ""),
    ("CONFIRMED", "emailConfirmed", ""),
    ("WHY NOT", "emailProblem", ""),
    ("CHAT", "chatEndpoint", ""),
    ("CHAT FORMAT", "chatFormat", "FORMAT_"),
    ("WHY NOT", "chatProblem", ""),
    ("LANGUAGE", "language", ""),
    ("ZONE", "timeZone", ""),
    ("DIGEST", "digest", ""),
    ("QUIET", "quiet", ""),
    ("RULES", "rules", ""),
    ("ETAG", "etag", ""),
];

const BOUNCES: &[Column] =
    &[("OUTCOME", "outcome", "BOUNCE_OUTCOME_"), ("STATUS", "status", ""), ("OF", "resource", "")];

fn wrong(field: &str, why: impl Into<String>) -> Error {
    Error::invalid("FIELD_INVALID", field, why)
}

/// Minutes since midnight of `22:30`.
fn minute(text: &str) -> Option<i32> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (i32, i32) = (hour.trim().parse().ok()?, minute.trim().parse().ok()?);
    ((0..24).contains(&hour) && (0..60).contains(&minute)).then_some(hour * 60 + minute)
}

fn rule(text: &str) -> Result<Option<DutyRule>> {
    let Some((duty, how)) = text.split_once('=') else {
        return Err(wrong(
            "rule",
            format!("{text:?} must be a kind of duty, `=` and how, such as alert_resolved=no-email"),
        ));
    };
    if how.is_empty() {
        return Ok(None);
    }
    let mut rule = DutyRule { duty: duty.to_owned(), ..DutyRule::default() };
    for word in how.split(',') {
        match word.trim() {
            "no-email" => rule.no_email = true,
            "no-chat" => rule.no_chat = true,
            "at-once" => rule.pace = Pace::AtOnce.into(),
            "digest" => rule.pace = Pace::Digest.into(),
            other => {
                let why = format!("{other:?} must be one of no-email, no-chat, at-once and digest");
                return Err(wrong("rule", why));
            }
        }
    }
    Ok(Some(rule))
}

/// A rule as `--rule` takes it.
fn rule_in_words(rule: &Value) -> String {
    let is = |field: &str| rule.get(field).and_then(Value::as_bool).unwrap_or_default();
    let text = |field: &str| rule.get(field).and_then(Value::as_str).unwrap_or_default();
    let pace = text("pace");
    let words = [
        (is("noEmail"), "no-email"),
        (is("noChat"), "no-chat"),
        (pace == "PACE_AT_ONCE", "at-once"),
        (pace == "PACE_DIGEST", "digest"),
    ];
    let how: Vec<&str> = words.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect();
    format!("{}={}", text("duty"), how.join(","))
}

/// Settings as a table shows them: hours and rules as `set` takes them.
fn in_words(mut settings: Value) -> Value {
    let number = |field: &str| settings.get(field).and_then(Value::as_u64).unwrap_or_default();
    let clock = |minute: u64| format!("{:02}:{:02}", minute / 60, minute % 60);
    let is_daily = settings.get("digest").and_then(Value::as_bool).unwrap_or_default();
    let digest = if is_daily { clock(number("digestHour") * 60) } else { "off".to_owned() };
    let (start, end) = (number("quietStartMinute"), number("quietEndMinute"));
    let quiet = if start == end { "off".to_owned() } else { format!("{}-{}", clock(start), clock(end)) };
    let rules = settings.get("rules").and_then(Value::as_array);
    let rules: Vec<Value> = rules.into_iter().flatten().map(|rule| rule_in_words(rule).into()).collect();
    if let Value::Object(fields) = &mut settings {
        for (name, value) in
            [("digest", Value::from(digest)), ("quiet", Value::from(quiet)), ("rules", Value::from(rules))]
        {
            fields.insert(name.to_owned(), value);
        }
    }
    settings
}

/// Shows settings.
fn shown(session: &Session, given: Result<Response<NotificationSettings>, Status>) -> Result<()> {
    session.out.in_words(&[answer(given)?], SETTINGS, in_words)
}

impl Set {
    /// The settings that are asked for, and which of them.
    fn asked(self) -> Result<(NotificationSettings, Vec<String>)> {
        let mut settings =
            NotificationSettings { name: named("notificationSettings", &self.of), ..NotificationSettings::default() };
        let mut paths = Vec::new();
        let mut set = |path: &str| paths.push(path.to_owned());
        let texts = [
            ("email", self.email, &mut settings.email),
            ("chat_endpoint", self.chat, &mut settings.chat_endpoint),
            ("language", self.language, &mut settings.language),
            ("time_zone", self.time_zone, &mut settings.time_zone),
        ];
        for (path, given, place) in texts {
            if let Some(given) = given {
                *place = given;
                set(path);
            }
        }
        if let Some(chat) = self.chat_format {
            settings.chat_format = if matches!(chat, Chat::Teams) { Format::Teams } else { Format::Slack }.into();
            set("chat_format");
        }
        if let Some(digest) = self.digest {
            set("digest");
            if digest != "off" {
                settings.digest = true;
                settings.digest_hour =
                    digest.parse().map_err(|_| wrong("digest", "must be an hour, 0 to 23, or off"))?;
                set("digest_hour");
            }
        }
        if let Some(quiet) = self.quiet {
            if quiet != "off" {
                let span = quiet.split_once('-').and_then(|(start, end)| Some((minute(start)?, minute(end)?)));
                let span = span.ok_or_else(|| wrong("quiet", "must be two times such as 22:00-07:30, or off"))?;
                (settings.quiet_start_minute, settings.quiet_end_minute) = span;
            }
            set("quiet_start_minute");
            set("quiet_end_minute");
        }
        if !self.rule.is_empty() {
            settings.rules = self.rule.iter().filter_map(|text| rule(text).transpose()).collect::<Result<_>>()?;
            set("rules");
        }
        if paths.is_empty() {
            return Err(wrong("set", "names nothing to change: give one of its options"));
        }
        Ok((settings, paths))
    }
}

/// Runs `remit notify settings`.
pub(super) async fn run(session: &Session, command: Command) -> Result<()> {
    let mut client = SettingsServiceClient::new(session.wire());
    let request_id = session.request_id();
    match command {
        Command::Show { of } => {
            let request = GetNotificationSettingsRequest { name: named("notificationSettings", &of) };
            shown(session, client.get_notification_settings(request).await)
        }
        Command::Set(set) => {
            let (settings, paths) = set.asked()?;
            let request = UpdateNotificationSettingsRequest {
                notification_settings: Some(settings),
                update_mask: Some(FieldMask { paths }),
                request_id,
            };
            let made = client.update_notification_settings(request).await;
            if made.as_ref().is_ok_and(|made| !made.get_ref().email.is_empty() && !made.get_ref().email_confirmed) {
                session.out.note("a code is on its way to that address: say it with `remit notify settings confirm`");
            }
            shown(session, made)
        }
        Command::Confirm { code, of } => {
            let request = ConfirmEmailRequest { name: named("notificationSettings", &of), code, request_id };
            shown(session, client.confirm_email(request).await)
        }
    }
}

/// Runs `remit notify calendar`.
pub(super) async fn calendar(session: &Session) -> Result<()> {
    let mut client = NoticeServiceClient::new(session.wire());
    let made = answer(client.render_calendar(RenderCalendarRequest {}).await)?;
    if session.out.json {
        return session.out.text("", || json(&made));
    }
    // With the ends of lines that the format asks for.
    print_raw(made.calendar.lines().map(|line| format!("{}\r\n", safe(line))).collect::<String>().as_bytes())
}

/// The most of a message that is read: what comes after is the original, of which nothing is needed.
const MOST: u64 = 262_144;

/// Runs `remit notify bounce`.
pub(super) async fn bounce(session: &Session, recipient: String) -> Result<()> {
    let (mut message, mut rest) = (Vec::new(), std::io::stdin().take(MOST));
    let read = rest.read_to_end(&mut message);
    // The mail server is not to find the pipe broken.
    let read = read.and_then(|_| std::io::copy(&mut rest.into_inner(), &mut std::io::sink()));
    read.map_err(|error| wrong("message", "cannot be read").with_source(error))?;
    let mut client = BounceServiceClient::new(session.wire());
    let request = ReportBounceRequest { message, recipient, request_id: session.request_id() };
    session.row(client.report_bounce(request).await, BOUNCES)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        set: Set,
    }

    fn asked(args: &[&str]) -> Result<(NotificationSettings, Vec<String>)> {
        Line::try_parse_from(std::iter::once(&"set").chain(args)).unwrap().set.asked()
    }

    #[test]
    fn a_table_shows_hours_and_rules_as_they_are_set() {
        let given = ["--digest", "0", "--quiet", "22:00-07:30", "--rule", "alert_resolved=no-email,digest"];
        let (settings, _) = asked(&[&given[..], &["--chat-format", "teams"]].concat()).unwrap();
        let shown = in_words(json(&settings).unwrap());
        assert_eq!(shown["digest"], "00:00");
        assert_eq!(shown["quiet"], "22:00-07:30");
        assert_eq!(shown["rules"], serde_json::json!(["alert_resolved=no-email,digest"]));
        assert_eq!(shown["chatFormat"], "FORMAT_TEAMS");
        let unset = in_words(json(&NotificationSettings::default()).unwrap());
        assert_eq!(unset["digest"], "off");
        assert_eq!(unset["quiet"], "off");
        assert_eq!(unset["rules"], serde_json::json!([]));
        for heading in ["CHAT FORMAT", "DIGEST", "QUIET", "RULES"] {
            assert!(SETTINGS.iter().any(|(shown, ..)| *shown == heading), "{heading}");
        }
    }

    #[test]
    fn only_what_is_named_changes() {
        let (settings, paths) =
            asked(&["--digest", "9", "--quiet", "22:00-7:30", "--rule", "alert_resolved=no-email,digest"]).unwrap();
        assert_eq!(paths, ["digest", "digest_hour", "quiet_start_minute", "quiet_end_minute", "rules"]);
        assert!(settings.digest && settings.digest_hour == 9 && settings.name == "notificationSettings/me");
        assert_eq!((settings.quiet_start_minute, settings.quiet_end_minute), (1_320, 450));
        assert!(settings.rules[0].no_email && !settings.rules[0].no_chat && settings.rules[0].pace() == Pace::Digest);
        let (settings, paths) = asked(&["--of", "role.member", "--email", "", "--digest", "off"]).unwrap();
        assert_eq!((settings.name.as_str(), settings.digest), ("notificationSettings/role.member", false));
        assert_eq!(paths, ["email", "digest"]);
        for wrong in [&["--quiet", "24:00-1:00"][..], &["--digest", "soon"], &["--rule", "x"], &["--rule", "x=y"], &[]]
        {
            assert_eq!(asked(wrong).unwrap_err().reason(), "FIELD_INVALID", "{wrong:?}");
        }
    }
}
