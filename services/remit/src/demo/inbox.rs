//! Who hears of it: a receiver that the story is sent to while it happens, and the inbox of each member at its end.

use super::Observer;
use super::actors::{Actors, refused};
use super::files::write;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comfy_table::{Table, presets};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use remit_api::notify::v1::notice_service_client::NoticeServiceClient;
use remit_api::notify::v1::subscription_service_client::SubscriptionServiceClient;
use remit_api::notify::v1::{
    CreateSubscriptionRequest, GetSubscriptionRequest, ListDeliveriesRequest, ListNoticesRequest, Notice,
    ResumeSubscriptionRequest, RotateSecretRequest, Signing, Subscription, UpdateSubscriptionRequest,
};
use remit_core::{Error, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::Code;

const NAME: &str = "subscriptions/story";
/// What the council does, and what becomes of its decisions.
const FILTER: &str = "outcome = SUCCESS AND (service = council OR action = \"registry.versions.*\")";
/// Those who sit in a body.
pub(super) const MEMBERS: [&str; 6] = ["ada", "ben", "cleo", "dara", "pia", "sam"];

/// What was taken, by type; each `webhook-id` once.
#[derive(Debug, Default)]
struct Taken {
    ids: BTreeSet<String>,
    by_type: BTreeMap<String, usize>,
    forged: usize,
}

/// The receiver; it ends with this value.
pub(super) struct Receiver {
    taken: Arc<Mutex<Taken>>,
    listens: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listens.abort();
    }
}

/// What the receiver took, and who has what in her inbox.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Events by type, each counted once.
    pub events: BTreeMap<String, usize>,
    /// Requests whose signature was wrong.
    pub forged: usize,
    /// How many notices each member has, by subject.
    pub inboxes: BTreeMap<String, usize>,
}

/// Starts a receiver and has the story sent to it.
///
/// # Errors
/// Whatever the service refuses; `Unavailable` if there is no port.
pub(super) async fn listen(actors: &Actors) -> Result<Receiver> {
    let failed = |error| Error::internal("the receiver cannot listen").with_source(error);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let endpoint = format!("http://{}/story", listener.local_addr().map_err(failed)?);
    let mut client = SubscriptionServiceClient::new(actors.to("notify", "ada")?);
    let given = Subscription {
        name: NAME.to_owned(),
        filter: FILTER.to_owned(),
        endpoint,
        signing: Signing::Ed25519.into(),
        description: "the story of the demo".to_owned(),
        ..Subscription::default()
    };
    // A run that is taken up again listens on another port.
    match client.get_subscription(GetSubscriptionRequest { name: NAME.to_owned() }).await {
        Ok(_) => {
            let update = UpdateSubscriptionRequest { subscription: Some(given), ..Default::default() };
            client.update_subscription(update).await.map_err(refused)?;
        }
        Err(status) if status.code() == Code::NotFound => {
            let id = "story".to_owned();
            let create =
                CreateSubscriptionRequest { subscription_id: id, subscription: Some(given), ..Default::default() };
            client.create_subscription(create).await.map_err(refused)?;
        }
        Err(status) => return Err(refused(status)),
    }
    let rotate = RotateSecretRequest { name: NAME.to_owned(), ..Default::default() };
    let shown = client.rotate_secret(rotate).await.map_err(refused)?.into_inner().secret;
    let key = key(&shown).ok_or_else(|| Error::internal("the secret of the subscription cannot be read"))?;
    let taken = Arc::<Mutex<Taken>>::default();
    let all = taken.clone();
    let listens = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let taken = all.clone();
            tokio::spawn(async move { serve(stream, &key, &taken).await });
        }
    });
    let resume = ResumeSubscriptionRequest { name: NAME.to_owned(), ..Default::default() };
    client.resume_subscription(resume).await.map_err(refused)?;
    Ok(Receiver { taken, listens })
}

fn key(shown: &str) -> Option<VerifyingKey> {
    let bytes = STANDARD.decode(shown.strip_prefix("whpk_")?).ok()?;
    VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok()
}

/// Takes the requests of one connection.
async fn serve(stream: TcpStream, key: &VerifyingKey, taken: &Mutex<Taken>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.trim().split_once(": ") {
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
        }
        let length: usize = headers.get("content-length")?.parse().ok()?;
        let mut body = vec![0; length.min(1 << 20)];
        stream.read_exact(&mut body).await.ok()?;
        let body = String::from_utf8(body).ok()?;
        let answer = if verified(key, &headers, &body) {
            note(taken, &headers, &body);
            "HTTP/1.1 204 Taken\r\n\r\n"
        } else {
            taken.lock().unwrap_or_else(PoisonError::into_inner).forged += 1;
            "HTTP/1.1 401 Forged\r\ncontent-length: 0\r\n\r\n"
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

fn verified(key: &VerifyingKey, headers: &BTreeMap<String, String>, body: &str) -> bool {
    let header = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
    let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
    header("webhook-signature").split(' ').any(|signature| {
        let bytes = signature.strip_prefix("v1a,").and_then(|text| STANDARD.decode(text).ok());
        let signature = bytes.and_then(|bytes| Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| key.verify(signed.as_bytes(), &signature).is_ok())
    })
}

fn note(taken: &Mutex<Taken>, headers: &BTreeMap<String, String>, body: &str) {
    let kind = serde_json::from_str::<Value>(body).ok().and_then(|event| Some(event["type"].as_str()?.to_owned()));
    let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.ids.insert(headers.get("webhook-id").cloned().unwrap_or_default()) {
        *taken.by_type.entry(kind.unwrap_or_default()).or_default() += 1;
    }
}

/// Waits until the story has arrived, and shows it with the inbox of each member, which is written below `out`.
///
/// # Errors
/// Whatever the service refuses; `Unavailable` if a file cannot be written.
pub(super) async fn show(actors: &Actors, receiver: &Receiver, out: &Path, observer: &dyn Observer) -> Result<Heard> {
    arrive(actors).await?;
    let mut heard = {
        let taken = receiver.taken.lock().unwrap_or_else(PoisonError::into_inner);
        Heard { events: taken.by_type.clone(), forged: taken.forged, ..Heard::default() }
    };
    let events: usize = heard.events.values().sum();
    observer.line(&format!("  the receiver took {events} events of {} types, each once, signed", heard.events.len()));
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["member", "notices", "under a clock", "the newest"]);
    for member in MEMBERS {
        let notices = inbox(actors, member).await?;
        let clocks = notices.iter().filter(|notice| notice.statutory).count();
        let newest: String = notices.first().map(|newest| newest.text.chars().take(70).collect()).unwrap_or_default();
        table.add_row([member.to_owned(), notices.len().to_string(), clocks.to_string(), newest]);
        write(&out.join("inboxes").join(format!("{member}.txt")), text(&notices).as_bytes())?;
        heard.inboxes.insert(member.to_owned(), notices.len());
    }
    observer.line(&table.to_string());
    Ok(heard)
}

/// Waits until nothing is to be sent any more, and not for ever: what a killed run had taken comes later.
async fn arrive(actors: &Actors) -> Result<()> {
    let mut client = SubscriptionServiceClient::new(actors.to("notify", "ada")?);
    let mut quiet = 0;
    for _ in 0..200 {
        let filter = "state = PENDING".to_owned();
        let request = ListDeliveriesRequest { parent: NAME.to_owned(), page_size: 1, filter, ..Default::default() };
        let waiting = client.list_deliveries(request).await.map_err(refused)?.into_inner().deliveries;
        quiet = if waiting.is_empty() { quiet + 1 } else { 0 };
        if quiet == 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Everything in the inbox of a member, the newest first, up to what one reads.
async fn inbox(actors: &Actors, member: &str) -> Result<Vec<Notice>> {
    let mut client = NoticeServiceClient::new(actors.to("notify", member)?);
    let (mut notices, mut page_token) = (Vec::new(), String::new());
    for _ in 0..10 {
        let request = ListNoticesRequest { page_size: 1_000, page_token, ..Default::default() };
        let page = client.list_notices(request).await.map_err(refused)?.into_inner();
        notices.extend(page.notices);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(notices)
}

fn text(notices: &[Notice]) -> String {
    let mut text = String::new();
    for notice in notices {
        let at = notice.create_time.as_ref().map(|at| remit_api::wire::time::of(at).to_string()).unwrap_or_default();
        let told = notice.audiences.join(", ");
        let _ = writeln!(
            text,
            "{at}  {}\n  {}\n  If nothing is done: {}\n  Told: {told}\n",
            notice.duty, notice.text, notice.otherwise
        );
    }
    text
}
