//! E-mail as another's server and another's reader of messages take it: aiosmtpd and the e-mail package of Python.

use super::{acme, settings};
use crate::people::bounces::Path;
use crate::people::calendar::Method;
use crate::people::letter::{Letter, Words};
use crate::people::smtp::{Handed, Smtp};
use remit_api::notify::v1::Notice;
use remit_core::Timestamp;
use remit_runtime::config::{Smtp as Settings, SmtpTls};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Takes mail, and prints what it is as one line of JSON; refuses who is called `nobody` and puts off who is called `busy`.
const SERVER: &str = r#"
import email, email.policy, json, sys
from aiosmtpd.controller import Controller
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 nobody of that name"
        if address.startswith("busy@"):
            return "451 4.3.2 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.SMTP)
        parts = [part for part in mail.walk() if not part.is_multipart()]
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "subject": mail["Subject"], "names": sorted(mail.keys()),
            "types": [part.get_content_type() for part in parts], "texts": [part.get_content() for part in parts],
            "defects": [str(defect) for part in mail.walk() for defect in part.defects],
        }), flush=True)
        return "250 taken"
controller = Controller(Handler(), hostname="127.0.0.1", port=0, enable_SMTPUTF8=True)
controller.port = int(sys.argv[1])
controller.start()
print("ready", flush=True)
sys.stdin.read()
"#;

struct Server(Child, BufReader<ChildStdout>);

impl Server {
    /// Starts one; nothing if this machine has none.
    fn start(port: u16) -> Option<Self> {
        let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/webhooks/python");
        let mut command = Command::new("python3");
        command.args(["-c", SERVER, &port.to_string()]).env("PYTHONPATH", packages);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let stdout = BufReader::new(child.stdout.take()?);
        let mut server = Self(child, stdout);
        (server.line().trim() == "ready").then_some(server)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_letter_is_read_by_others_as_it_was_meant() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(mut server) = Server::start(port) else {
        eprintln!("no aiosmtpd (`.ci/tools webhooks`): not tested here");
        return;
    };
    let smtp = Smtp::open(&Settings {
        host: "127.0.0.1".to_owned(),
        port,
        tls: SmtpTls::None,
        from: "Remit <remit@corp.example>".to_owned(),
        bounce: "b+{token}@{tenant}.example".to_owned(),
        ..settings().smtp
    });
    let smtp = smtp.unwrap().unwrap();
    let hostile = "proposals/p\r\nBcc: eve@example.com\r\n.\r\n<script>\u{202e}";
    let notice = Notice {
        duty: "vote_wanted".to_owned(),
        text: format!("{hostile} is open for a vote (ä). Please read it and vote."),
        otherwise: "It expires.".to_owned(),
        resource: hostile.to_owned(),
        parameters: [("resource", hostile), ("kind", "ä")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Notice::default()
    };
    let address = "änn@example.com";
    let returns = smtp.returns(Path { tenant: &acme(), resource: "x/y", address }, &[1; 32], Timestamp(0));
    let words = Words::of(&[notice], false, ("de", "Europe/Berlin"), "https://ui.example/{resource}");
    let letter = Letter {
        to: address.to_owned(),
        words,
        id: "id".to_owned(),
        thread: "thread".to_owned(),
        calendar: Some((Method::Publish, "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n".to_owned())),
        at: Timestamp(0),
        returns,
    };
    assert_eq!(smtp.send(&letter).await, Handed::Taken("taken".to_owned()));
    let read: Value = serde_json::from_str(&server.line()).unwrap();
    assert_eq!((&read["to"], &read["defects"]), (&json!([address]), &json!([])));
    let from = read["from"].as_str().unwrap();
    assert!(from.starts_with("b+00000") && from.ends_with("@acme.example"), "{from}");
    assert!(read["subject"].as_str().unwrap().contains("Bcc: eve@example.com"), "{read}");
    assert!(!read["names"].as_array().unwrap().contains(&json!("Bcc")), "{read}");
    assert_eq!(read["types"], json!(["text/plain", "text/html", "text/calendar"]));
    for text in &read["texts"].as_array().unwrap()[..2] {
        let text = text.as_str().unwrap();
        assert!(text.contains("steht zur Abstimmung (ä)") && text.contains("Ohne Quorum"), "{text}");
    }
    assert!(!read["texts"][1].as_str().unwrap().contains("<script>"));
    for (who, status) in [("nobody@example.com", 550), ("busy@example.com", 451)] {
        let handed = smtp.send(&Letter { to: who.to_owned(), returns: None, ..letter.clone() }).await;
        match (status, &handed) {
            (550, Handed::Refused { status: 550, .. }) => {}
            (451, Handed::Failed { status: 451, error: "RECIPIENT_DELAYED", .. }) => {}
            _ => unreachable!("{who}: {handed:?}"),
        }
    }
}
