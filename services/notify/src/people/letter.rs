//! What is read in an e-mail or a chat, from one and the same notice.

use super::calendar::Method;
use crate::language::{clean, moment, notice as said, say, say_count};
use askama::Template;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};
use remit_api::notify::v1::{Format, Notice};
use remit_core::{Error, Result, Timestamp};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// The most characters of a subject.
const SUBJECT: usize = 150;

/// A notice as somebody reads it.
#[derive(Debug, Clone)]
struct Item {
    text: String,
    otherwise: String,
    until: String,
    told: String,
    link: String,
}

/// What is said to somebody about some notices.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    language: String,
    pub(crate) subject: String,
    items: Vec<Item>,
    /// What stands below all of it.
    notes: Vec<String>,
    /// Where she can say that she wants no more e-mails of the kind.
    unsubscribe: String,
}

/// Where a resource can be seen: the template with its name in it; empty if there is none.
fn link(template: &str, resource: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    template.replace("{resource}", &resource.bytes().map(escaped).collect::<String>())
}

/// Who else was told: roles and groups by name, and people by their number, for a message leaves the suite.
fn told(notice: &Notice, language: &str) -> String {
    let (people, others): (Vec<_>, Vec<_>) =
        notice.audiences.iter().partition(|audience| audience.starts_with("subject:"));
    let people = (!people.is_empty()).then(|| say_count(language, "told-people", people.len()));
    others.into_iter().cloned().chain(people).collect::<Vec<_>>().join(", ")
}

impl Words {
    /// Notices in a language, or that they ask for nothing more.
    /// Times are those of a time zone.
    pub(crate) fn of(notices: &[Notice], ended: bool, (language, zone): (&str, &str), links: &str) -> Self {
        let zone = super::pace::zone(zone);
        let item = |notice: &Notice| {
            let notice = said(notice.clone(), language, &zone);
            let text = clean(&notice.text, 2_000);
            let due = notice.due_time.as_ref().map(remit_api::wire::time::of);
            let due = due.and_then(|due| jiff::Timestamp::from_microsecond(due.0).ok());
            let due = due.map(|due| moment(due, &zone));
            let others = clean(&told(&notice, language), 500);
            Item {
                text: if ended { say(language, "ended", &[("text", &text)]) } else { text },
                otherwise: if ended { String::new() } else { notice.otherwise },
                until: due.filter(|_| !ended).unwrap_or_default(),
                told: others,
                link: link(links, &notice.resource),
            }
        };
        let items: Vec<Item> = notices.iter().map(item).collect();
        let subject = match &items[..] {
            [one] => clean(one.text.split(". ").next().unwrap_or_default(), SUBJECT),
            many => say_count(language, "digest-subject", many.len()),
        };
        let notes = ["inbox-hint", "no-right"].map(|id| say(language, id, &[])).to_vec();
        Self { language: language.to_owned(), subject, items, notes, unsubscribe: String::new() }
    }

    /// The code that confirms an address.
    pub(crate) fn code(code: &str, language: &str) -> Self {
        let subject = say(language, "code-subject", &[]);
        let notes = vec![say(language, "code-text", &[("code", code)])];
        Self { language: language.to_owned(), subject, items: Vec::new(), notes, unsubscribe: String::new() }
    }

    /// One line that says nothing but itself.
    pub(crate) fn line(line: &str) -> Self {
        let line = clean(line, 2_000);
        let subject = clean(&line, SUBJECT);
        Self { language: "en".to_owned(), subject, items: Vec::new(), notes: vec![line], unsubscribe: String::new() }
    }

    /// With a link by which no more e-mails of the kind are sent.
    pub(crate) fn unsubscribed_by(mut self, link: String) -> Self {
        self.unsubscribe = link;
        self
    }

    fn label(&self, id: &str) -> String {
        say(&self.language, id, &[])
    }

    /// As plain text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            let _ = writeln!(text, "{}", item.text);
            for (id, value) in [
                ("otherwise-label", &item.otherwise),
                ("until-label", &item.until),
                ("told-label", &item.told),
                ("link-label", &item.link),
            ] {
                if !value.is_empty() {
                    let _ = writeln!(text, "{}: {value}", self.label(id));
                }
            }
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        if !self.unsubscribe.is_empty() {
            let _ = writeln!(text, "\n{}: {}", self.label("unsubscribe-label"), self.unsubscribe);
        }
        text
    }

    /// As HTML, in which a name is a name whatever stands in it.
    ///
    /// # Errors
    /// `Internal` if it cannot be written.
    pub(crate) fn html(&self) -> Result<String> {
        let page = Page {
            words: self,
            otherwise_label: self.label("otherwise-label"),
            until_label: self.label("until-label"),
            told_label: self.label("told-label"),
            link_label: self.label("link-label"),
            unsubscribe_label: self.label("unsubscribe-label"),
        };
        page.render().map_err(|error| Error::internal("an e-mail cannot be written").with_source(error))
    }

    /// As a message for an incoming webhook of a chat.
    pub(crate) fn chat(&self, format: Format) -> Value {
        let text = self.text();
        match format {
            Format::Teams => crate::payload::teams(&text),
            _ => crate::payload::slack(&text),
        }
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ words.language }}"><head><meta charset="utf-8"><title>{{ words.subject }}</title></head>
<body style="font-family: sans-serif; max-width: 40em">
{% for item in words.items %}<div style="margin-bottom: 1.5em"><p><strong>{{ item.text }}</strong></p><ul>
{% if !item.otherwise.is_empty() %}<li>{{ otherwise_label }}: {{ item.otherwise }}</li>{% endif %}
{% if !item.until.is_empty() %}<li>{{ until_label }}: {{ item.until }}</li>{% endif %}
{% if !item.told.is_empty() %}<li>{{ told_label }}: {{ item.told }}</li>{% endif %}
{% if !item.link.is_empty() %}<li><a href="{{ item.link }}">{{ link_label }}</a></li>{% endif %}
</ul></div>
{% endfor %}{% for note in words.notes %}<p>{{ note }}</p>
{% endfor %}{% if !words.unsubscribe.is_empty() %}<p><a href="{{ words.unsubscribe }}">{{ unsubscribe_label }}</a></p>{% endif %}
</body></html>
"#
)]
struct Page<'a> {
    words: &'a Words,
    otherwise_label: String,
    until_label: String,
    told_label: String,
    link_label: String,
    unsubscribe_label: String,
}

/// An e-mail before it is written down.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) to: String,
    pub(crate) words: Words,
    /// The same in every attempt, without the brackets.
    pub(crate) id: String,
    /// What all e-mails about one thing refer to, without the brackets; empty: nothing.
    pub(crate) thread: String,
    pub(crate) calendar: Option<(Method, String)>,
    pub(crate) at: Timestamp,
    /// Where it comes back to if it does not arrive; none: to the sender.
    pub(crate) returns: Option<Address>,
}

macro_rules! header {
    ($name:ident, $text:literal) => {
        #[derive(Debug, Clone)]
        struct $name(String);

        impl Header for $name {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($text)
            }
            fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Self(text.to_owned()))
            }
            fn display(&self) -> HeaderValue {
                HeaderValue::new(Self::name(), self.0.clone())
            }
        }
    };
}

header!(AutoSubmitted, "Auto-Submitted");
header!(ListUnsubscribe, "List-Unsubscribe");
header!(ListUnsubscribePost, "List-Unsubscribe-Post");

impl Letter {
    /// The letter as a message from `from`.
    ///
    /// # Errors
    /// `InvalidArgument` (`EMAIL_INVALID`) if its address is none; `Internal` if it cannot be written.
    pub(crate) fn write(&self, from: &Mailbox) -> Result<Message> {
        let address: Address =
            self.to.parse().map_err(|_| Error::invalid("EMAIL_INVALID", "email", "must be an address"))?;
        let wrong = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::internal("an e-mail cannot be written").with_source(error)
        };
        let domain = from.email.domain();
        let at = Duration::from_micros(u64::try_from(self.at.0).unwrap_or_default());
        let mut builder = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, address.clone()))
            .subject(clean(&self.words.subject, SUBJECT))
            .date(SystemTime::UNIX_EPOCH + at)
            .message_id(Some(format!("<{}@{domain}>", self.id)))
            // Nobody's program answers it.
            .header(AutoSubmitted("auto-generated".to_owned()));
        if self.returns.is_some() {
            let envelope = Envelope::new(self.returns.clone(), vec![address]);
            builder = builder.envelope(envelope.map_err(|error| wrong(error.into()))?);
        }
        if !self.thread.is_empty() {
            let thread = format!("<{}@{domain}>", self.thread);
            builder = builder.in_reply_to(thread.clone()).references(thread);
        }
        if !self.words.unsubscribe.is_empty() {
            builder = builder
                .header(ListUnsubscribe(format!("<{}>", self.words.unsubscribe)))
                .header(ListUnsubscribePost("List-Unsubscribe=One-Click".to_owned()));
        }
        let read = MultiPart::alternative()
            .singlepart(SinglePart::plain(self.words.text()))
            .singlepart(SinglePart::html(self.words.html()?));
        let body = match &self.calendar {
            None => read,
            Some((method, calendar)) => {
                let kind = format!("text/calendar; charset=utf-8; method={}", method.word());
                let kind = ContentType::parse(&kind).map_err(|error| wrong(error.into()))?;
                let attachment = Attachment::new("remit.ics".to_owned()).body(calendar.clone(), kind);
                MultiPart::mixed().multipart(read).singlepart(attachment)
            }
        };
        builder.multipart(body).map_err(|error| wrong(error.into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::wire::time::stamp;

    fn notice(resource: &str) -> Notice {
        let text = format!("{resource} is open for a vote (a<b). Please read it and vote.");
        let parameters = [("resource", resource), ("kind", "a<b")];
        Notice {
            duty: "vote_wanted".to_owned(),
            text,
            otherwise: "It expires.".to_owned(),
            resource: resource.to_owned(),
            audiences: vec!["subject:ann".to_owned(), "role:member".to_owned()],
            due_time: Some(stamp(Timestamp(0))),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Notice::default()
        }
    }

    fn letter(words: Words) -> String {
        let letter = Letter {
            to: "ann@example.com".to_owned(),
            words,
            id: "id".to_owned(),
            thread: "thread".to_owned(),
            calendar: Some((Method::Publish, "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n".to_owned())),
            at: Timestamp(0),
            returns: Some("bounce+ab@remit.example".parse().unwrap()),
        };
        let from: Mailbox = "Remit <remit@corp.example>".parse().unwrap();
        String::from_utf8(letter.write(&from).unwrap().formatted()).unwrap()
    }

    #[test]
    fn text_html_and_chat_say_the_same() {
        let words =
            Words::of(&[notice("proposals/p")], false, ("de", "Europe/Berlin"), "https://ui.example/{resource}");
        assert_eq!(words.subject, "proposals/p steht zur Abstimmung (a<b)");
        let (text, html) = (words.text(), words.html().unwrap());
        for part in [
            "steht zur Abstimmung",
            "Wenn nichts geschieht: Ohne Quorum",
            "Bis: 1970-01-01 01:00 CET",
            "role:member, eine Person",
        ] {
            assert!(text.contains(part) && html.contains(part), "{part}: {text}{html}");
        }
        assert!(!text.contains("ann") && !html.contains("ann"), "{text}");
        assert!(text.contains("https://ui.example/proposals/p") && html.contains("(a&#60;b)"), "{html}");
        assert_eq!(words.chat(Format::Slack)["text"].as_str().unwrap(), text.replace('<', "&lt;"));
        assert!(words.chat(Format::Teams).to_string().contains("steht zur Abstimmung"));
        let many = Words::of(&[notice("proposals/p"), notice("proposals/q")], false, ("en", ""), "");
        assert_eq!(many.subject, "Remit: 2 notices");
        assert!(many.text().contains("proposals/q is open"));
    }

    #[test]
    fn each_time_is_that_of_her_zone() {
        let parameters =
            [("resource", "waivers/w"), ("control", "controls/c"), ("expire_time", "1970-01-01T00:00:00Z")];
        let waived = Notice {
            duty: "waiver_granted".to_owned(),
            text: "waivers/w waives controls/c until 1970-01-01 00:00 UTC.".to_owned(),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..notice("waivers/w")
        };
        for language in ["en", "de"] {
            let text = Words::of(std::slice::from_ref(&waived), false, (language, "Europe/Berlin"), "").text();
            assert_eq!(text.matches("1970-01-01 01:00 CET").count(), 2, "{text}");
            assert!(!text.contains("UTC") && !text.contains("00:00Z"), "{text}");
        }
    }

    #[test]
    fn a_hostile_name_is_neither_a_header_nor_a_tag() {
        let hostile = "proposals/p\r\nBcc: eve@example.com\r\n\r\n\0<script>alert(1)</script>\u{202e}";
        let words = Words::of(&[notice(hostile)], false, ("en", ""), "https://ui.example/{resource}");
        let raw = letter(words.clone());
        let (head, _) = raw.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head}");
        assert!(!raw.contains('\0') && !words.text().contains('\u{202e}'));
        let html = words.html().unwrap();
        assert!(!html.contains("<script>") && !html.contains("ui.example/proposals/p\r"), "{html}");
    }

    #[test]
    fn a_letter_has_what_programs_look_for() {
        let words = Words::of(&[notice("proposals/p")], false, ("en", ""), "");
        let raw = letter(words.unsubscribed_by("https://remit.example/notify/unsubscribe?t=a".to_owned()));
        let head = raw.split_once("\r\n\r\n").unwrap().0.replace("\r\n ", " ");
        for line in [
            "Message-ID: <id@corp.example>",
            "In-Reply-To: <thread@corp.example>",
            "References: <thread@corp.example>",
            "Auto-Submitted: auto-generated",
            "List-Unsubscribe: <https://remit.example/notify/unsubscribe?t=a>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
        ] {
            assert!(head.lines().any(|found| found == line), "{line}: {head}");
        }
        assert!(raw.contains("text/calendar; charset=utf-8; method=PUBLISH"), "{raw}");
        assert!(raw.contains("text/plain") && raw.contains("text/html"));
    }
}
