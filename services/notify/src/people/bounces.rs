//! Mail that says that mail did not arrive (RFC 3464), and the return paths that it comes back to. A return path has a token
//! that the tenant's key made for one address and one second: what comes back to no such path says nothing, and a path that
//! somebody has read in an old e-mail says nothing any more. One that somebody has read in a new one says too little: an
//! address breaks by two e-mails, the second of which was sent after the first came back.

use aws_lc_rs::hmac;
use remit_core::{Tenant, Timestamp};
use std::borrow::Cow;
use std::time::Duration;

/// How long a return path is good: mail servers give up before.
pub(crate) const GOOD: Duration = Duration::from_secs(7 * 86_400);
/// How far the clock of the process that made it may be ahead.
const AHEAD: Duration = Duration::from_secs(60);
/// The digits of the second, and of the signature, in a token.
const SECOND: usize = 8;
const SIGNED: usize = 37;
/// How many characters a token has.
pub(crate) const TOKEN: usize = SECOND + SIGNED;
/// The most parts, and groups of fields, that are looked at.
const MOST: usize = 100;
/// Where a message says to whom it came.
const RECIPIENTS: [&str; 4] = ["to", "delivered-to", "x-original-to", "envelope-to"];

/// What a token is made for: whose address, by the name of its resource, and which.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) resource: &'a str,
    pub(crate) address: &'a str,
}

fn second(now: Timestamp) -> i64 {
    now.0.div_euclid(1_000_000)
}

impl Path<'_> {
    /// The token of the return path of what is sent now.
    pub(crate) fn token(&self, key: &[u8], now: Timestamp) -> String {
        self.of_second(key, second(now))
    }

    fn of_second(&self, key: &[u8], second: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let said = format!("remit bounce\0{}\0{}\0{}\0{second}", self.tenant, self.resource, self.address);
        format!("{second:08x}{}", &hex::encode(hmac::sign(&key, said.as_bytes()))[..SIGNED])
    }

    /// When the key made this token for this, if it did and not longer ago than it is good.
    pub(crate) fn made(&self, token: &str, key: &[u8], now: Timestamp) -> Option<Timestamp> {
        let of = token.get(..SECOND).and_then(|digits| i64::from_str_radix(digits, 16).ok())?;
        let same =
            aws_lc_rs::constant_time::verify_slices_are_equal(self.of_second(key, of).as_bytes(), token.as_bytes());
        let made = Timestamp(of * 1_000_000);
        let is_good = made <= now.plus(AHEAD) && now <= made.plus(GOOD);
        (is_good && same.is_ok()).then_some(made)
    }
}

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// What may be tokens in the addresses that it came to.
    pub(crate) tokens: Vec<String>,
    /// The status, such as `5.1.1`.
    pub(crate) status: String,
    /// Whether it failed for good.
    pub(crate) is_final: bool,
}

/// Reads a message; nothing if it is no report of the status of a delivery.
pub(crate) fn read(message: &[u8], recipient: &str) -> Option<Report> {
    let text = String::from_utf8_lossy(message);
    // What a pipe may put before the headers, as mailboxes have it.
    let text = if text.starts_with("From ") { text.split_once('\n')?.1 } else { &text };
    let lines: Vec<&str> = text.lines().collect();
    let (fields, body) = fields(&lines);
    let kind = value(&fields, "content-type")?;
    let (word, parameters) = kind.split_once(';')?;
    let is_status = parameter(parameters, "report-type").is_some_and(|it| it.eq_ignore_ascii_case("delivery-status"));
    if !word.trim().eq_ignore_ascii_case("multipart/report") || !is_status {
        return None;
    }
    let border = format!("--{}", parameter(parameters, "boundary").filter(|it| !it.is_empty())?);
    let parts = body.split(|line| line.trim_end() == border || line.trim_end() == format!("{border}--"));
    let (status, is_final) = parts.skip(1).take(MOST).find_map(status)?;
    let came_to =
        fields.iter().filter(|(name, _)| RECIPIENTS.contains(&name.as_str())).map(|(_, value)| value.as_ref());
    let tokens = std::iter::once(recipient).chain(came_to).flat_map(tokens).take(MOST).collect();
    Some(Report { tokens, status, is_final })
}

/// The names in small letters and values of fields, unfolded, and the lines after them.
fn fields<'a, 'b>(lines: &'b [&'a str]) -> (Vec<(String, Cow<'a, str>)>, &'b [&'a str]) {
    let end = lines.iter().position(|line| line.trim().is_empty()).unwrap_or(lines.len());
    let mut found: Vec<(String, Cow<'a, str>)> = Vec::new();
    for line in &lines[..end] {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = found.last_mut() {
                value.to_mut().push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            found.push((name.trim().to_ascii_lowercase(), Cow::Borrowed(value.trim())));
        }
    }
    (found, lines.get(end + 1..).unwrap_or_default())
}

fn value<'a>(fields: &'a [(String, Cow<'_, str>)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
}

/// A parameter of a content type, without its quotes.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|one| {
        let (known, value) = one.split_once('=')?;
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// The gravest status in a part, and whether that is final; nothing if it is another part.
fn status(part: &[&str]) -> Option<(String, bool)> {
    let (head, body) = fields(part);
    let kind = value(&head, "content-type")?.split(';').next()?.trim().to_ascii_lowercase();
    if !["message/delivery-status", "message/global-delivery-status"].contains(&kind.as_str()) {
        return None;
    }
    // What is said of the message comes first, and of each recipient after it.
    let groups = body.split(|line| line.trim().is_empty()).take(MOST);
    let said = groups.filter_map(|group| {
        let (fields, _) = fields(group);
        let code = code(value(&fields, "status")?)?;
        let failed = value(&fields, "action")?.trim().eq_ignore_ascii_case("failed");
        let is_final = failed && code.starts_with('5');
        Some((code, is_final))
    });
    said.max_by_key(|(_, is_final)| *is_final)
}

/// A status after RFC 3463, without what is remarked beside it.
fn code(said: &str) -> Option<String> {
    let code = said.split([' ', '\t', '(']).next()?;
    let parts: Vec<&str> = code.split('.').collect();
    let number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (parts.len() == 3 && ["2", "4", "5"].contains(&parts[0]) && parts.iter().all(number)).then(|| code.to_owned())
}

/// What may be tokens in an address.
fn tokens(address: &str) -> Vec<String> {
    let runs = address.split(|c: char| !c.is_ascii_hexdigit());
    runs.filter(|run| run.len() == TOKEN).map(str::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_603_600_000_000);

    /// A report as a mail server writes it.
    fn report(to: &str, action: &str, status: &str) -> String {
        format!(
            "Return-Path: <>\r\nDate: Mon, 5 Jan 2026 09:00:00 +0000\r\nFrom: MAILER-DAEMON@mx.example\r\nTo: <{to}>\r\n\
             Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"A1/mx.example\"\r\n\r\n\
             This is a MIME-encapsulated message.\r\n\r\n--A1/mx.example\r\nContent-Type: text/plain\r\n\r\n\
             Status: 5.9.9\r\nAction: failed\r\n\r\n--A1/mx.example\r\n\
             Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
             Final-Recipient: rfc822; ann@example.com\r\nAction: {action}\r\nStatus: {status}\r\n\
             Diagnostic-Code: smtp; 550 5.1.1\r\n no such user\r\n\r\n--A1/mx.example\r\n\
             Content-Type: message/rfc822\r\n\r\nFrom: remit@corp.example\r\n\r\n--A1/mx.example--\r\n"
        )
    }

    #[test]
    fn a_report_says_whether_it_is_final() {
        let to = format!("bounce+{}@remit.example", "ab".repeat(22) + "c");
        for (action, status, expected) in [
            ("failed", "5.1.1", ("5.1.1", true)),
            ("Failed", "5.1.1 (bad destination mailbox address)", ("5.1.1", true)),
            ("failed", "4.4.7", ("4.4.7", false)),
            ("delayed", "4.0.0", ("4.0.0", false)),
            ("delayed", "5.0.0", ("5.0.0", false)),
            ("delivered", "2.0.0", ("2.0.0", false)),
        ] {
            let found = read(report(&to, action, status).as_bytes(), "").unwrap();
            assert_eq!((found.status.as_str(), found.is_final), expected, "{action} {status}");
            assert_eq!(found.tokens, ["ab".repeat(22) + "c"]);
        }
        let boxed = format!("From MAILER-DAEMON Mon Jan 5\n{}", report(&to, "failed", "5.1.1").replace("\r\n", "\n"));
        let upper = to.to_ascii_uppercase();
        let found = read(boxed.as_bytes(), &upper).unwrap();
        assert_eq!(found.tokens.len(), 2, "the recipient that the server says counts too, in any letters");
        // What is cut off in the original still says what is said before.
        let whole = report(&to, "failed", "5.1.1");
        assert!(read(whole.split_once("Content-Type: message/rfc822").unwrap().0.as_bytes(), "").is_some());
    }

    #[test]
    fn what_is_no_report_says_nothing() {
        let whole = report("a@b.example", "failed", "5.1.1");
        for (old, new) in [
            ("multipart/report", "multipart/mixed"),
            ("report-type=delivery-status", "report-type=disposition-notification"),
            ("report-type=delivery-status;", ""),
            ("boundary=\"A1/mx.example\"", "boundary=\"\""),
            ("boundary=\"A1/mx.example\"", "boundary=other"),
            ("message/delivery-status", "text/plain"),
            ("Status: 5.1.1", "Status: five"),
            ("Status: 5.1.1", "Status: 5.1.1.1"),
            ("Action: failed\r\nStatus: 5.1.1", "X: y"),
        ] {
            assert_eq!(read(whole.replace(old, new).as_bytes(), ""), None, "{old} -> {new}");
        }
        for junk in [&b""[..], b"\r\n\r\n", b"From ", b"a: b", &[0xff; 1_000], b"--".repeat(5_000).as_slice()] {
            assert_eq!(read(junk, ""), None);
        }
    }

    #[test]
    fn a_token_is_good_for_one_address_and_a_week_and_says_when_it_was_made() {
        let (acme, other) = (Tenant::new("acme").unwrap(), Tenant::new("other").unwrap());
        let path = Path { tenant: &acme, resource: "notificationSettings/subject.a", address: "ann@example.com" };
        let token = path.token(&[1; 32], NOW);
        assert_eq!((token.len(), tokens(&format!("b+{token}@x"))), (TOKEN, vec![token.clone()]));
        let days = |days: i64| Timestamp(NOW.0 + days * 86_400_000_000);
        assert_eq!([NOW, days(7)].map(|now| path.made(&token, &[1; 32], now)), [Some(NOW); 2]);
        assert_eq!([days(8), days(-1)].map(|now| path.made(&token, &[1; 32], now)), [None; 2]);
        assert_eq!(path.made(&token, &[2; 32], NOW), None);
        for wrong in [
            Path { tenant: &other, ..path },
            Path { resource: "notificationSettings/subject.b", ..path },
            Path { address: "eve@example.com", ..path },
        ] {
            assert_eq!(wrong.made(&token, &[1; 32], NOW), None, "{wrong:?}");
        }
        // Nobody makes an old one young.
        let younger = format!("{:08x}{}", second(NOW) + 1, &token[SECOND..]);
        for wrong in [younger, String::new(), format!("é{token}"), "f".repeat(TOKEN), format!("{:0>45}", "-1")] {
            assert_eq!(path.made(&wrong, &[1; 32], NOW), None, "{wrong}");
        }
    }
}
