//! What is sent: names of resources and what happened to them; never personal data, reasons or details.

use crate::filter::Seen;
use remit_api::notify::v1::Format;
use remit_core::{Tenant, Timestamp};
use serde_json::{Value, json};

/// The type of a test.
pub(crate) const TEST: &str = "test";

/// One event as it is sent.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    /// What types of events begin with.
    pub(crate) prefix: &'a str,
    pub(crate) tenant: &'a Tenant,
    /// The position in the audit log; none for a test.
    pub(crate) index: Option<i64>,
    /// Unique within the tenant.
    pub(crate) id: &'a str,
    pub(crate) seen: &'a Seen,
    pub(crate) at: Timestamp,
}

impl Sent<'_> {
    /// The body, byte for byte.
    pub(crate) fn body(&self, format: Format) -> String {
        let seen = self.seen;
        let body = match format {
            Format::Slack => slack(&self.line()),
            Format::Teams => teams(&self.line()),
            // Of an e-mail the line is all.
            Format::Email => return self.line(),
            _ => json!({
                "specversion": "1.0",
                "id": self.id,
                "source": format!("/remit/tenants/{}", self.tenant),
                "type": format!("{}.{}.v1", self.prefix, kind(&seen.action)),
                "subject": seen.shown_resource(),
                "time": self.at.to_string(),
                "datacontenttype": "application/json",
                "data": {
                    "entryIndex": self.index,
                    "action": seen.action,
                    "resource": seen.shown_resource(),
                    "outcome": seen.outcome,
                    "service": seen.service,
                    "actorKind": seen.actor_kind,
                },
            }),
        };
        body.to_string()
    }

    fn line(&self) -> String {
        let Seen { action, outcome, .. } = self.seen;
        let resource = self.seen.shown_resource();
        match self.index {
            Some(index) => format!("Remit: {action} of {resource}: {outcome} (entry {index})"),
            None => format!("Remit: a test of {resource}: nothing has happened, and nothing is to be done"),
        }
    }
}

/// A text as a message for an incoming webhook of Slack.
pub(crate) fn slack(text: &str) -> Value {
    json!({"text": escaped(text), "mrkdwn": false, "unfurl_links": false})
}

/// A text as a message for an incoming webhook of Microsoft Teams.
pub(crate) fn teams(text: &str) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                // A run of text shows no markdown, so that a name cannot become a link.
                "body": [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text}]}],
            },
        }],
    })
}

/// The type of an event without what is around it; actions of programs of other issuers are in a space of their own.
fn kind(action: &str) -> String {
    if action == TEST {
        return "notify.test".to_owned();
    }
    let ours = action.split('.').next().is_some_and(|service| remit_core::SERVICES.contains(&service));
    let plain: String =
        action.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect();
    if ours { plain } else { format!("external.{plain}") }
}

/// Slack's own way to write a text that is none of its commands.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sent(format: Format, action: &str, resource: &str) -> Value {
        let seen = Seen {
            action: action.into(),
            resource: resource.into(),
            outcome: "SUCCESS",
            service: "kpi".into(),
            actor: "ann@example.com".into(),
            actor_kind: "HUMAN",
            details: json!({"text": "unmistakable"}),
        };
        let tenant = Tenant::new("acme").unwrap();
        let body = Sent {
            prefix: "com.example.remit",
            tenant: &tenant,
            index: Some(4),
            id: "e1",
            seen: &seen,
            at: Timestamp(0),
        }
        .body(format);
        assert!(!body.contains("ann@") && !body.contains("unmistakable"), "{body}");
        serde_json::from_str(&body).unwrap()
    }

    #[test]
    fn an_event_is_a_cloud_event_without_persons() {
        let event = sent(Format::CloudEvents, "kpi.alerts.fire", "alerts/a");
        assert_eq!(event["specversion"], "1.0");
        assert_eq!((&event["source"], &event["id"]), (&json!("/remit/tenants/acme"), &json!("e1")));
        assert_eq!(
            (&event["type"], &event["subject"]),
            (&json!("com.example.remit.kpi.alerts.fire.v1"), &json!("alerts/a"))
        );
        assert_eq!((&event["time"], &event["data"]["entryIndex"]), (&json!("1970-01-01T00:00:00Z"), &json!(4)));
        let other = sent(Format::CloudEvents, "crm sent\n", "x");
        assert_eq!(other["type"], "com.example.remit.external.crm_sent_.v1");
        let person = sent(Format::CloudEvents, "audit.subjects.erase", "subjects/ben");
        assert_eq!((&person["subject"], &person["data"]["resource"]), (&json!("subjects/-"), &json!("subjects/-")));
        assert!(!sent(Format::Slack, "audit.subjects.erase", "subjects/ben").to_string().contains("ben"));
    }

    #[test]
    fn a_hostile_name_is_text() {
        let hostile = "leads/<https://evil.example|click>";
        let slack = sent(Format::Slack, "kpi.alerts.fire", hostile);
        assert!(slack["text"].as_str().unwrap().contains("&lt;https://evil.example|click&gt;"));
        let teams = sent(Format::Teams, "kpi.alerts.fire", hostile);
        assert_eq!(teams["attachments"][0]["content"]["body"][0]["type"], "RichTextBlock");
    }
}
