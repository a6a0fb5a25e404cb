//! A mail server: SMTP with STARTTLS and a password, on this machine, which keeps what it is handed and refuses what it is
//! told to refuse.

use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// The user and the password, and how `AUTH PLAIN` says both.
const PASSWORD: &str = "correct horse";
const PLAIN: &str = "AHJlbWl0AGNvcnJlY3QgaG9yc2U=";

/// An e-mail that was taken.
#[derive(Debug, Clone)]
pub struct Mail {
    /// To whom.
    pub to: String,
    /// Where it comes back to.
    pub from: String,
    /// As it came.
    pub raw: String,
}

impl Mail {
    /// The value of a header, unfolded; empty if there is none.
    pub fn header(&self, name: &str) -> String {
        let head = self.raw.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let found = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned));
        found.unwrap_or_default()
    }

    /// The text of it: what is quoted is not quoted any more.
    pub fn text(&self) -> String {
        let (mut bytes, body) = (Vec::new(), self.raw.replace("=\r\n", ""));
        let mut rest = body.as_str();
        while let Some((before, after)) = rest.split_once('=') {
            bytes.extend_from_slice(before.as_bytes());
            match after.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &after[2..];
                }
                None => {
                    bytes.push(b'=');
                    rest = after;
                }
            }
        }
        bytes.extend_from_slice(rest.as_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[derive(Default)]
struct State {
    taken: Vec<Mail>,
    /// Who is refused for good.
    unknown: BTreeSet<String>,
    /// How often somebody is to be put off yet.
    busy: BTreeMap<String, usize>,
    /// How often somebody was put off or refused.
    turned_away: BTreeMap<String, usize>,
}

/// A running mail server.
#[derive(Clone)]
pub struct MailServer {
    /// What the configuration says of it.
    pub toml: String,
    state: Arc<Mutex<State>>,
}

impl MailServer {
    /// Starts one, whose certificate and password lie in `dir`.
    pub async fn start(dir: &Path) -> Self {
        let issuer_key = KeyPair::generate().expect("a key");
        let mut issuer = CertificateParams::new(Vec::new()).expect("parameters");
        issuer.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(issuer, issuer_key).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let mut server = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = server.signed_by(&key, &issuer).expect("a certificate");
        let (ca, password) = (dir.join("mail-ca.pem"), dir.join("mail-password"));
        std::fs::write(&ca, issuer.pem()).expect("the authority can be written");
        remit_store::private::create(&password, PASSWORD).expect("the password can be written");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let tls = ServerConfig::builder().with_no_client_auth();
        let tls = tls.with_single_cert(vec![server.der().clone()], key).expect("a certificate of this key");
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let toml = format!(
            "[notify.smtp]\nhost = \"localhost\"\nport = {port}\ntls = \"starttls\"\nca_file = {ca:?}\nuser = \"remit\"\n\
             password_file = {password:?}\nfrom = \"Remit <remit@corp.example>\"\n\
             domains = [\"corp.example\"]\nbounce = \"bounce+{{token}}@corp.example\"\n"
        );
        let state = Arc::<Mutex<State>>::default();
        let all = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, acceptor) = (all.clone(), acceptor.clone());
                tokio::spawn(async move { begin(stream, acceptor, state).await });
            }
        });
        Self { toml, state }
    }

    /// What somebody was sent, the oldest first.
    pub fn to(&self, address: &str) -> Vec<Mail> {
        let state = self.state.lock().expect("a lock");
        state.taken.iter().filter(|mail| mail.to == address).cloned().collect()
    }

    /// Knows somebody no more, or again.
    pub fn forget(&self, address: &str, is_unknown: bool) {
        let mut state = self.state.lock().expect("a lock");
        if is_unknown {
            state.unknown.insert(address.to_owned());
        } else {
            state.unknown.remove(address);
        }
    }

    /// Puts somebody off the next so many times.
    pub fn put_off(&self, address: &str, times: usize) {
        self.state.lock().expect("a lock").busy.insert(address.to_owned(), times);
    }

    /// How often somebody was put off or refused.
    pub fn turned_away(&self, address: &str) -> usize {
        self.state.lock().expect("a lock").turned_away.get(address).copied().unwrap_or_default()
    }
}

/// What came of a connection.
enum Then {
    Encrypt,
    Close,
}

async fn begin(stream: TcpStream, acceptor: TlsAcceptor, state: Arc<Mutex<State>>) {
    let mut stream = stream;
    if let Some(Then::Encrypt) = talk(&mut stream, "220 localhost\r\n", false, &state).await
        && let Ok(mut stream) = acceptor.accept(stream).await
    {
        talk(&mut stream, "", true, &state).await;
    }
}

/// Answers commands; nothing but STARTTLS in the clear.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    greeting: &str,
    is_encrypted: bool,
    state: &Mutex<State>,
) -> Option<Then> {
    let mut stream = BufReader::new(stream);
    stream.write_all(greeting.as_bytes()).await.ok()?;
    let (mut from, mut to, mut is_known) = (String::new(), String::new(), false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let answer = match line.trim_end() {
            hello if hello.starts_with("EHLO") && is_encrypted => {
                "250-localhost\r\n250-AUTH PLAIN\r\n250 8BITMIME".into()
            }
            hello if hello.starts_with("EHLO") => "250-localhost\r\n250 STARTTLS".into(),
            "STARTTLS" if !is_encrypted => {
                stream.write_all(b"220 go ahead\r\n").await.ok()?;
                return Some(Then::Encrypt);
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await.ok()?;
                return Some(Then::Close);
            }
            _ if !is_encrypted => "530 Must issue a STARTTLS command first".into(),
            auth if auth.strip_prefix("AUTH PLAIN ") == Some(PLAIN) => {
                is_known = true;
                "235 welcome".into()
            }
            _ if !is_known => "530 who are you".into(),
            sender if sender.starts_with("MAIL FROM:<") && sender.contains("@corp.example>") => {
                sender[11..].split('>').next().unwrap_or_default().clone_into(&mut from);
                "250 ok".into()
            }
            rcpt if rcpt.starts_with("RCPT TO:<") => {
                to = rcpt.trim_start_matches("RCPT TO:<").split('>').next().unwrap_or_default().to_owned();
                recipient(&to, state)
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                let raw = content(&mut stream).await?;
                state.lock().expect("a lock").taken.push(Mail { to: to.clone(), from: from.clone(), raw });
                "250 taken".into()
            }
            _ => String::from("500 what"),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}

fn recipient(to: &str, state: &Mutex<State>) -> String {
    let mut state = state.lock().expect("a lock");
    let is_busy = state.busy.get_mut(to).is_some_and(|times| {
        let is_busy = *times > 0;
        *times = times.saturating_sub(1);
        is_busy
    });
    let is_unknown = state.unknown.contains(to);
    if is_busy || is_unknown {
        *state.turned_away.entry(to.to_owned()).or_default() += 1;
    }
    match () {
        () if is_busy => "451 4.3.2 come back later".to_owned(),
        () if is_unknown => format!("550 5.1.1 <{to}> nobody of that name"),
        () => "250 ok".to_owned(),
    }
}

async fn content<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut raw = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        if line == ".\r\n" {
            return Some(raw);
        }
        raw += line.strip_prefix('.').unwrap_or(&line);
    }
}
