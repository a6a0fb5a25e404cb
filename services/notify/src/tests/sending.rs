#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::SCHEMA;
use crate::address::Rules;
use crate::answer::{KEPT, asked, masked};
use crate::tests::{Receiver, acme, read as request, settings};
use remit_store::testing::TestDb;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

#[tokio::test]
async fn a_task_that_panics_frees_its_subscription_like_one_that_ends() {
    let key = |id: &str| (Tenant::new("acme").unwrap(), format!("subscriptions/{id}"));
    let mut under_way = UnderWay::default();
    assert!(!under_way.ended().await, "nothing is under way");
    under_way.spawn(key("waits"), std::future::pending());
    under_way.spawn(key("panics"), async { panic!("as a defect would") });
    assert!(under_way.ended().await);
    assert_eq!(under_way.busy.keys().collect::<Vec<_>>(), [&key("waits")]);
    under_way.spawn(key("panics"), async {});
    assert!(under_way.ended().await);
    assert_eq!(under_way.busy.keys().collect::<Vec<_>>(), [&key("waits")]);
}

/// What a receiver does with a connection.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Answers this after the request.
    Says(&'static str),
    /// Begins with this, and then the second without end.
    Repeats(&'static str, &'static [u8]),
    /// Begins with this, and then says nothing more.
    Waits(&'static str),
    /// Hangs up.
    Leaves,
    /// Speaks TLS with a certificate that nobody vouches for.
    Pretends,
}

/// A receiver that does that; how many bytes it could send.
async fn receiver(does: Does) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, sent) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = sent.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move { serve(does, stream, &count).await });
        }
    });
    (port, sent)
}

async fn serve(does: Does, stream: TcpStream, sent: &AtomicUsize) -> Option<()> {
    if let Does::Pretends = does {
        let chain = vec![include_bytes!("self_signed.der").to_vec().into()];
        let key = include_bytes!("self_signed.key.der").to_vec();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key).into();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
        return TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok().map(drop);
    }
    let mut stream = BufReader::new(stream);
    if let Does::Leaves = does {
        return None;
    }
    let _ = request(&mut stream).await;
    let (Does::Says(begin) | Does::Repeats(begin, _) | Does::Waits(begin)) = does else { return None };
    stream.write_all(begin.as_bytes()).await.ok()?;
    match does {
        Does::Repeats(_, more) => loop {
            stream.write_all(more).await.ok()?;
            sent.fetch_add(more.len(), Ordering::SeqCst);
        },
        Does::Waits(_) => std::future::pending().await,
        _ => Some(()),
    }
}

async fn sender(allowed: &[&str]) -> (TestDb, Sender) {
    let database = TestDb::sqlite().unwrap();
    let service = Service::on(database.open(&SCHEMA).await.unwrap(), allowed).unwrap();
    (database, Sender::new(service, Metrics::new(), &settings()).unwrap())
}

async fn sent(sender: &Sender, endpoint: &str, webhook_id: &str) -> Answer {
    let to = Subscription { endpoint: endpoint.to_owned(), ..Subscription::default() };
    let delivery = Delivery {
        webhook_id: webhook_id.to_owned(),
        payload: "{\"subject\":\"x\\r\\nBcc: all@example.com\"}".to_owned(),
        ..Delivery::default()
    };
    sender.send(&acme(), &to, &[vec![7; 32]], &delivery, Timestamp(0)).await
}

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_fail_has_its_name_and_its_bound() {
    let (_database, sender) = sender(&LOOPBACK).await;
    let cases = [
        (Does::Says("HTTP/1.1 204 Taken\r\n\r\n"), (204, "")),
        (Does::Says("HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\nouch"), (500, "REFUSED")),
        (Does::Says("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"), (410, "GONE")),
        (
            Does::Says("HTTP/1.1 307 Go\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n"),
            (307, "REDIRECTED"),
        ),
        (Does::Says("SSH-2.0-OpenSSH_9.2\r\n"), (0, "CONNECTION_FAILED")),
        (Does::Leaves, (0, "CONNECTION_FAILED")),
        (Does::Waits(""), (0, "TIMED_OUT")),
        (Does::Waits("HTTP/1.1 200 OK\r\nx: "), (0, "TIMED_OUT")),
        // It said that it took it; what else it says is not waited for.
        (Does::Waits("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc"), (200, "")),
        (Does::Repeats("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n", &[b'x'; 4096]), (200, "")),
        (Does::Repeats("HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n", b"4\r\nxxxx\r\n"), (503, "REFUSED")),
        (Does::Repeats("HTTP/1.1 200 OK\r\nx: ", &[b'x'; 4096]), (0, "CONNECTION_FAILED")),
        (Does::Repeats("HTTP/1.1 200 OK\r\n", "x: y\r\n".repeat(1_000).leak().as_bytes()), (0, "CONNECTION_FAILED")),
    ];
    for (does, expected) in cases {
        let (port, written) = receiver(does).await;
        let answer = sent(&sender, &format!("http://127.0.0.1:{port}/"), "s.1").await;
        assert_eq!((answer.status, answer.error), expected, "{does:?}: {}", answer.answer);
        assert!(answer.answer.chars().count() <= KEPT, "{does:?}");
        let written = written.load(Ordering::SeqCst);
        assert!(written < 64 << 20, "{does:?}: nobody reads a gigabyte: {written}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_tls_is_named() {
    let (_database, mut sender) = sender(&LOOPBACK).await;
    // Nothing waits here; a machine that is busy may take its time.
    let patient = Settings { timeout: remit_runtime::config::Span(Duration::from_secs(20)), ..settings() };
    sender.client = client(Checked::new(sender.service.rules.clone()), &patient).unwrap();
    for (does, word) in [(Does::Pretends, "certificate"), (Does::Says("HTTP/1.1 204 Taken\r\n\r\n"), "message")] {
        let (port, _) = receiver(does).await;
        let answer = sent(&sender, &format!("https://localhost:{port}/"), "s.1").await;
        assert_eq!((answer.status, answer.error), (0, "TLS_FAILED"), "{does:?}: {}", answer.answer);
        assert!(answer.answer.contains(word), "{does:?}: {}", answer.answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reaches_an_address_inside_under_whatever_name_or_after_a_redirect() {
    let inside = Receiver::start().await;
    let port = inside.url.strip_prefix("http://127.0.0.1:").unwrap().trim_end_matches("/hook");
    let (_database, closed) = sender(&[]).await;
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"] {
        let answer = sent(&closed, &format!("http://{host}:{port}/"), "s.1").await;
        assert_eq!((answer.status, answer.error), (0, "ADDRESS_FORBIDDEN"), "{host}: {}", answer.answer);
    }
    assert_eq!(inside.calls.load(Ordering::SeqCst), 0);
    let (_database, open) = sender(&LOOPBACK).await;
    let to = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", inside.url);
    let (port, _) = receiver(Does::Says(to.leak())).await;
    assert_eq!(sent(&open, &format!("http://127.0.0.1:{port}/"), "s.1").await.error, "REDIRECTED");
    assert_eq!(inside.calls.load(Ordering::SeqCst), 0, "a redirect is not followed, wherever it leads");
    let answer = sent(&open, &inside.url, "s.1\r\nx-injected: yes").await;
    assert!(!answer.error.is_empty() && inside.calls.load(Ordering::SeqCst) == 0, "no header is made of an id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_means_something_else_later_gains_nothing() {
    let (outside, inside) = (Receiver::at("127.0.0.2").await, Receiver::at("127.0.0.1").await);
    let port = |receiver: &Receiver| Url::parse(&receiver.url).unwrap().port().unwrap();
    let rules = Rules::new(&["127.0.0.2/32".to_owned()]).unwrap();
    let answers: [&[&str]; 5] =
        [&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2", "127.0.0.1"], &["::ffff:127.0.0.1"], &["169.254.169.254"]];
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    // Each connection asks again, and gets the next answer.
    let lookup = move || {
        let at = count.fetch_add(1, Ordering::SeqCst);
        answers[at.min(4)].iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect::<Vec<_>>()
    };
    let (_database, mut sender) = sender(&["127.0.0.2/32"]).await;
    sender.client = client(Checked::by(rules, lookup), &settings()).unwrap();
    let first = sent(&sender, &format!("http://rebinding.example:{}/hook", port(&outside)), "s.1").await;
    assert_eq!((first.status, first.error), (204, ""), "{}", first.answer);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "what was looked at is what is connected to");
    for number in 2..=5 {
        let answer = sent(&sender, &format!("http://rebinding.example:{}/hook", port(&inside)), "s.2").await;
        assert_eq!((answer.status, answer.error), (0, "ADDRESS_FORBIDDEN"), "{number}: {}", answer.answer);
        assert_eq!(asked.load(Ordering::SeqCst), number);
    }
    assert_eq!((outside.calls.load(Ordering::SeqCst), inside.calls.load(Ordering::SeqCst)), (1, 0));
}

#[test]
fn a_receiver_may_ask_for_a_time_and_its_answer_keeps_no_secret() {
    let now = Timestamp(1_767_603_600_000_000);
    for (header, seconds) in [
        ("120", Some(120)),
        (" 7 ", Some(7)),
        ("Mon, 05 Jan 2026 09:01:00 GMT", Some(60)),
        ("Mon, 05 Jan 2026 08:00:00 GMT", Some(0)),
        // Too far away for a number or a calendar: as far as can be, of which a day counts.
        ("99999999999999999999", Some(u64::MAX)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(u64::MAX)),
        ("Sat, 29 Feb 12024 00:00:00 GMT", Some(u64::MAX)),
        ("Fri, 31 Dec 9999", None),
        ("soon", None),
        ("-1", None),
        ("", None),
    ] {
        assert_eq!(asked(header, now).map(|wait| wait.as_secs()), seconds, "{header}");
    }
    let url = Url::parse("https://hooks.example/services/T0000/secret-of-the-hook?token=0123456789").unwrap();
    let said = masked("no_service at /services/T0000/secret-of-the-hook?token=0123456789", &url);
    assert!(!said.contains("secret-of-the-hook") && !said.contains("0123456789"), "{said}");
    assert!(said.starts_with("no_service at /"), "{said}");
    let query = "key=a%2Bb%2Fc&key2=top+secret&pin=1234&v=abc&bare-key";
    let url = Url::parse(&format!("https://hooks.example/ab/T0%c3%a9/T0%c3%a9x?{query}")).unwrap();
    let said = masked(
        "ab T0é T0éx T0%c3%a9x | a+b/c a%2Bb%2Fc | top secret top+secret | pin 1234 | abc | bare-key key2",
        &url,
    );
    assert_eq!(said, "ab T0é … … | … … | … … | pin … | abc | … key2", "short parts and names are none");
}

#[tokio::test]
async fn a_subscription_writes_to_no_domain_that_is_not_named() {
    let (_database, mut sender) = sender(&[]).await;
    let closed = remit_runtime::config::Smtp {
        host: "127.0.0.1".to_owned(),
        tls: remit_runtime::config::SmtpTls::None,
        from: "remit@corp.example".to_owned(),
        ..settings().smtp
    };
    let open = remit_runtime::config::Smtp { domains: vec!["Corp.example".to_owned()], ..closed.clone() };
    for (smtp, named) in [(&closed, false), (&open, true)] {
        let smtp = crate::people::smtp::Smtp::open(smtp).unwrap().unwrap();
        assert_eq!(smtp.names_domain("team@corp.example"), named);
        assert!(!smtp.names_domain("team@other.example") && smtp.permits("team@corp.example"));
        assert_eq!(smtp.permits("team@other.example"), !named, "a person confirms her address");
        sender.service.smtp = Some(Arc::new(smtp));
        let to = Subscription {
            endpoint: "mailto:team@other.example".to_owned(),
            format: Format::Email.into(),
            ..Subscription::default()
        };
        let answer = sender.send(&acme(), &to, &[], &Delivery::default(), Timestamp(0)).await;
        assert_eq!((answer.status, answer.error), (0, "RECIPIENT_REFUSED"), "{}", answer.answer);
    }
}
