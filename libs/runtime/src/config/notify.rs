//! What is told to whom: webhooks, e-mail, chats.

use super::{Span, invalid};
use crate::auth::is_near;
use remit_core::Result;
use serde::Deserialize;
use std::path::PathBuf;

/// The section `[notify]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Notify {
    pub allow_http: bool,
    pub allow_addresses: Vec<String>,
    pub timeout: Span,
    pub max_concurrent: usize,
    pub public_url: String,
    pub link: String,
    pub language: String,
    pub event_prefix: String,
    pub smtp: Smtp,
}

/// The section `[notify.smtp]`. The password is in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub ca_file: PathBuf,
    pub user: String,
    pub password_file: PathBuf,
    pub from: String,
    pub domains: Vec<String>,
    pub bounce: String,
}

/// How a connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// From its first byte.
    Required,
    /// After STARTTLS, and not at all if the server does not offer that.
    Starttls,
    /// Not at all, to a server on this machine.
    None,
}

/// The most characters before the @ of an address (RFC 5321, section 4.5.3.1.1), and those of a token.
const LOCAL: usize = 64;
const TOKEN: usize = 45;

/// Whether a token makes an address of this.
fn is_return_path(pattern: &str) -> bool {
    let Some((local, domain)) = pattern.split_once('@') else { return false };
    let plain =
        |text: &str, marks: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || marks.as_bytes().contains(&b));
    // What is beside the token must not be read as part of it.
    let Some((before, after)) =
        local.replace("{tenant}", "").split_once("{token}").map(|(a, b)| (a.to_owned(), b.to_owned()))
    else {
        return false;
    };
    let apart = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_hexdigit());
    apart(before.chars().last())
        && apart(after.chars().next())
        && before.len() + after.len() + TOKEN <= LOCAL
        && plain(&before, "+-_.=")
        && plain(&after, "+-_.=")
        && !domain.is_empty()
        && plain(&domain.replace("{tenant}", "t"), "-.")
}

impl Notify {
    /// Checks what types alone cannot say.
    pub(super) fn check(&self) -> Result<()> {
        if !(100..=30_000).contains(&self.timeout.get().as_millis()) {
            return Err(invalid("notify.timeout", "must be 100ms to 30s"));
        }
        if !(1..=1_000).contains(&self.max_concurrent) {
            return Err(invalid("notify.max_concurrent", "must be 1 to 1000"));
        }
        let url = reqwest::Url::parse(&self.public_url).ok();
        let fits = url.is_some_and(|url| {
            // Links hold what unsubscribes somebody.
            (url.scheme() == "https" || url.scheme() == "http" && is_near(&url)) && url.query().is_none()
        });
        if !(self.public_url.is_empty() || fits && !self.public_url.ends_with('/')) {
            let what = "must be an https URL without a slash at its end, such as \"https://remit.example\", or empty";
            return Err(invalid("notify.public_url", what));
        }
        let seen = self.link.starts_with("https://") && self.link.contains("{resource}");
        if !(self.link.is_empty() || seen) {
            let what =
                "must be an https URL with {resource} in it, such as \"https://app.example/{resource}\", or empty";
            return Err(invalid("notify.link", what));
        }
        let label = |label: &str| {
            let plain = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            !label.is_empty() && plain
        };
        if self.event_prefix.len() > 100 || !self.event_prefix.split('.').all(label) {
            let what = "must be a domain that is yours, reversed, such as \"com.example.remit\", in small letters";
            return Err(invalid("notify.event_prefix", what));
        }
        let smtp = &self.smtp;
        if smtp.host.is_empty() {
            return Ok(());
        }
        let near = smtp.host == "localhost" || smtp.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if smtp.tls == SmtpTls::None && !near {
            let what =
                "must be required or starttls: what goes to another machine in the clear can be read and changed";
            return Err(invalid("notify.smtp.tls", what));
        }
        if smtp.from.is_empty() {
            return Err(invalid("notify.smtp.from", "must be the address that e-mail comes from"));
        }
        if !smtp.bounce.is_empty() && !is_return_path(&smtp.bounce) {
            let what = "must be an address with {token} before its @, such as \"bounce+{token}@remit.example\", with at \
                        most 19 other characters there (mail servers take 64), or empty";
            return Err(invalid("notify.smtp.bounce", what));
        }
        if smtp.user.is_empty() != smtp.password_file.as_os_str().is_empty() {
            return Err(invalid("notify.smtp.password_file", "must be set exactly if notify.smtp.user is"));
        }
        Ok(())
    }
}
