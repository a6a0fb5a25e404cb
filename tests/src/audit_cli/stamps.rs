//! Time stamps (RFC 3161), with an authority made of `openssl ts`.

use super::{Bench, text};
use crate::support::eventually;
use remit_api::audit::v1 as api;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SETTINGS: &str = "
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign
subjectKeyIdentifier=hash
[stamps]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=critical,timeStamping
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
[tsa]
default_tsa=clock
[clock]
serial=DIR/serial
default_policy=1.2.3.4.1
digests=sha256
ess_cert_id_alg=sha256
signer_digest=sha256
signer_cert=DIR/stamps.pem
signer_key=DIR/stamps.key
";

fn openssl(args: &[&str]) {
    let done = Command::new("openssl").args(args).output();
    let done = done.expect("openssl is installed: .ci/tools openssl says how");
    assert!(done.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A certificate by itself, and one for time stamps under it.
fn certificates(dir: &Path) {
    let at = |name: &str| text(&dir.join(name)).to_owned();
    std::fs::write(dir.join("settings"), SETTINGS.replace("DIR", text(dir))).expect("a file can be written");
    std::fs::write(dir.join("serial"), "01\n").expect("a file can be written");
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    for name in ["ca", "other", "stamps"] {
        let (key, request, subject) =
            (at(&format!("{name}.key")), at(&format!("{name}.csr")), format!("/CN=time {name}"));
        openssl(&[&["req", "-new", "-subj", &subject, "-keyout", &key, "-out", &request][..], &curve].concat());
        let (own, certificate, settings) = (at(&format!("{name}.key")), at(&format!("{name}.pem")), at("settings"));
        let (ca, ca_key) = (at("ca.pem"), at("ca.key"));
        let by: &[&str] = if name == "stamps" {
            &["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-extensions", "stamps"]
        } else {
            &["-signkey", &own, "-extensions", "ca"]
        };
        let sign = ["x509", "-req", "-in", &request, "-days", "30", "-extfile", &settings, "-out", &certificate];
        openssl(&[&sign[..], by].concat());
    }
}

/// What the authority answers at a path: the body of a request is a file in `dir`.
fn reply(dir: &Path, path: &str, mut query: Vec<u8>) -> (&'static str, &'static str, Vec<u8>) {
    const TYPE: &str = "application/timestamp-reply";
    match path {
        "/page" => return ("200 OK", "text/html", b"<html>".to_vec()),
        "/broken" => return ("200 OK", TYPE, b"<html>".to_vec()),
        "/large" => return ("200 OK", TYPE, vec![0x30; 40_000]),
        "/away" => return ("503 Service Unavailable", TYPE, Vec::new()),
        // The name of the digest ends at byte 20 of the request, the digest at 56, the nonce at 66.
        "/other" => query[40] ^= 1,
        "/replay" => query[60] ^= 1,
        "/reject" => query[19] = 2,
        _ => {}
    }
    let (asked, answered) = (dir.join("query"), dir.join("reply"));
    std::fs::write(&asked, query).expect("a file can be written");
    let settings = dir.join("settings");
    openssl(&["ts", "-reply", "-config", text(&settings), "-queryfile", text(&asked), "-out", text(&answered)]);
    ("200 OK", TYPE, std::fs::read(answered).expect("an answer"))
}

/// A time-stamping authority that speaks HTTP, which lies at some of its paths. Ends with the test.
async fn authority(dir: PathBuf) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let (path, query) = loop {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return;
                }
                let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
                let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                // A request by SHA-256 with a nonce of eight bytes has one length.
                if bytes.len() < end + 4 + 69 {
                    continue;
                }
                assert!(head.contains("content-type: application/timestamp-query"), "{head}");
                let path = head.split(' ').nth(1).expect("a path").to_owned();
                break (path, bytes.split_off(end + 4));
            };
            if path == "/silent" {
                tokio::spawn(async move { stream.read_buf(&mut Vec::new()).await });
                continue;
            }
            let (status, kind, body) = reply(&dir, &path, query);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_stamped_by_an_authority_and_checked_without_a_server() {
    let bench = Bench::new();
    let dir = bench.path("authority");
    std::fs::create_dir(&dir).expect("a directory can be made");
    certificates(&dir);
    let url = authority(dir.clone()).await;
    let (ca, other) = (dir.join("ca.pem"), dir.join("other.pem"));
    let server = bench.serve().await;
    bench.append("e", 0..3).await;
    let printed = bench.expect(&["checkpoint"], 0, &["verifier key: "]);
    let key = printed.lines().find_map(|line| line.strip_prefix("verifier key: ")).expect("a key").to_owned();
    let (token, note) = (bench.path("stamp.tsr"), bench.path("stamped"));
    let stamp = |path: &str, code: i32, printed: &[&str]| {
        let url = format!("{url}{path}");
        let args = ["timestamp", &url, "-o", text(&token), "--save", text(&note), "--timestamp-ca", text(&ca)];
        bench.expect(&args, code, printed)
    };
    for (path, code, reason) in [
        ("/page", 3, "SERVER_ANSWER_INVALID"),
        ("/broken", 3, "SERVER_ANSWER_INVALID"),
        ("/large", 3, "SERVER_ANSWER_INVALID"),
        ("/away", 3, "SERVER_ANSWER_INVALID"),
        ("/other", 3, "TIMESTAMP_INVALID"),
        ("/replay", 3, "TIMESTAMP_INVALID"),
        ("/reject", 3, "TIMESTAMP_REFUSED"),
    ] {
        stamp(path, code, &[reason]);
        assert!(!token.exists() && !note.exists(), "{path}: nothing is kept of what cannot be relied on");
    }
    let silent = format!("{url}/silent");
    let files = ["-o", text(&token), "--save", text(&note)];
    bench.expect(&[&["--timeout", "1", "timestamp", &silent][..], &files].concat(), 6, &["SERVER_SILENT"]);
    bench.expect(&[&["timestamp", "http://127.0.0.1:1"][..], &files].concat(), 6, &["SERVER_UNREACHABLE"]);
    bench.expect(&[&["timestamp", "nowhere"][..], &files].concat(), 2, &["URL_INVALID"]);
    let distrusted = ["--timestamp-ca", text(&other)];
    let asked = ["timestamp", &url];
    bench.expect(&[&asked[..], &files, &distrusted].concat(), 3, &["TIMESTAMP_INVALID", "trusted"]);
    bench.expect(&[&asked[..], &files].concat(), 0, &["nobody vouches"]);
    stamp("/", 0, &["3 entries"]);
    drop(server);

    // From here on there is no server, and another program says the same.
    openssl(&["ts", "-verify", "-in", text(&token), "-data", text(&note), "-CAfile", text(&ca)]);
    let verify = ["verify", text(&token), "--checkpoint", text(&note), "--key", &key, "--timestamp-ca"];
    bench.expect(&[&verify[..], &[text(&ca)]].concat(), 0, &["3 existed", "by the clock of the authority"]);
    bench.expect(&[&verify[..], &[text(&other)]].concat(), 3, &["TIMESTAMP_INVALID"]);
    bench.expect(&[&verify[..], &[text(&note)]].concat(), 2, &["CERTIFICATE_INVALID"]);
    bench.expect(&["verify", text(&token)], 2, &["FIELD_REQUIRED"]);
    let good = std::fs::read_to_string(&note).expect("the checkpoint");
    std::fs::write(&note, format!("{good}\u{2014} w.example AAAAAAAA\n")).expect("a file can be written");
    bench.expect(&[&verify[..], &[text(&ca)]].concat(), 3, &["TIMESTAMP_INVALID", "other data"]);
    let mut bytes = std::fs::read(&token).expect("the answer");
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    std::fs::write(&token, bytes).expect("a file can be written");
    std::fs::write(&note, good).expect("a file can be written");
    bench.expect(&[&verify[..], &[text(&ca)]].concat(), 3, &["TIMESTAMP_INVALID", "signature"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_its_logs_stamped_and_an_export_shows_it() {
    let bench = Bench::new();
    let dir = bench.path("authority");
    std::fs::create_dir(&dir).expect("a directory can be made");
    certificates(&dir);
    let url = authority(dir.clone()).await;
    let (ca, other) = (dir.join("ca.pem"), dir.join("other.pem"));
    let config = bench.path("remit.toml");
    let plain = std::fs::read_to_string(&config).expect("a file can be read");
    let stamping = format!("{plain}timestamp_url = {url:?}\ntimestamp_every = \"1s\"\ntimestamp_ca = {ca:?}\n");
    std::fs::write(&config, stamping).expect("a file can be written");
    let server = bench.serve().await;
    bench.append("e", 0..3).await;
    let filter = "action = \"audit.checkpoints.timestamp\" AND service = \"audit\"";
    eventually("the log is stamped", || {
        let mut client = bench.client(&bench.token);
        let request = api::SearchRequest { filter: filter.to_owned(), ..Default::default() };
        async move { client.search(request).await.is_ok_and(|found| !found.into_inner().entries.is_empty()) }
    })
    .await;
    drop(server);
    std::fs::write(&config, plain).expect("a file can be written");
    let server = bench.serve().await;
    // The entry of a stamp alone is nothing new, whatever time passed: the last is stamped and no more.
    let export = bench.path("export");
    bench.expect(&["export", "-o", text(&export)], 0, &[]);
    drop(server);
    let trusted = ["verify", text(&export), "--timestamp-ca", text(&ca)];
    let printed = bench.expect(&trusted, 0, &["TIMESTAMPED: 3 entries existed at", "by entry 3", "vouches for"]);
    assert_eq!(printed.matches("TIMESTAMPED").count(), 1, "{printed}");
    bench.expect(&["verify", text(&export)], 0, &["TIMESTAMPED", "was not compared"]);
    let refused = ["EXPORT_REFUSED", "entry 3 is no time stamp of this log", "trusted"];
    bench.expect(&["verify", text(&export), "--timestamp-ca", text(&other)], 3, &refused);
}
