//! `remit audit push`: asks a witness that somebody else runs, by the protocol that it has in common with all logs (C2SP
//! `tlog-witness`), and hands its cosignature to the server.

use super::audit_local;
use super::audit_server;
use super::connect::{Session, answer, no_answer};
use clap::Args;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{AddCosignatureRequest, GetCheckpointRequest};
use remit_core::{Error, Kind, Result};
use remit_tlog::add_checkpoint::{conflict, cosigned, request};
use remit_tlog::note::Algorithm;
use remit_tlog::{Note, VerifierKey};
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use std::time::Duration;

/// The most bytes of an answer.
const MOST: usize = 64 << 10;

/// Arguments of `remit audit push`.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The submission prefix of the witness, such as https://witness.example/prefix.
    url: String,
    /// The verifier key of the witness, got by a way you trust; the server knows it by audit.witnesses.
    #[arg(long, value_name = "KEY")]
    witness: String,
}

/// Offers the newest checkpoint, from the size on that the witness says it has seen.
pub(super) async fn push(session: &Session, arguments: &Push) -> Result<()> {
    let witness = audit_local::key(&arguments.witness, "witness")?;
    if witness.algorithm() != Algorithm::CosignatureV1 {
        return Err(Error::invalid("KEY_INVALID", "witness", "must be a cosignature key (type 4)"));
    }
    let way = Way::new(&arguments.url, session.timeout)?;
    let mut client = AuditServiceClient::new(session.wire());
    let offered = answer(client.get_checkpoint(GetCheckpointRequest::default()).await)?;
    audit_server::credible(&offered)?;
    let size = u64::try_from(offered.size).map_err(no_answer)?;
    let mut old = 0;
    // The witness is first asked which size it knows, by a size that is too small.
    for _ in 0..3 {
        let proof = audit_server::consistency(&mut client, old, offered.size).await?;
        let body = request(old, &proof, &offered.note).map_err(no_answer)?;
        let (status, text) = way.post(body).await?;
        let named = match status {
            StatusCode::OK => {
                let note = cosigned(&offered.note, &text, &witness).map_err(|error| way.wrong(&error))?;
                return deliver(session, &mut client, &note, size, &witness).await;
            }
            StatusCode::CONFLICT => conflict(&text).map_err(|error| way.wrong(&error))?,
            other => return Err(way.refused(other, old, size)),
        };
        if named > size {
            let what = format!("{} has cosigned {named} entries of this log, and the server shows {size}", way.url);
            return Err(Error::precondition("LOG_ROLLED_BACK", what));
        }
        if named == old && old > 0 {
            return Err(way.forked(named));
        }
        old = named;
    }
    Err(way.wrong(&"its size changes while it is asked"))
}

async fn deliver(
    session: &Session,
    client: &mut AuditServiceClient<crate::bearer::Wire>,
    note: &Note,
    size: u64,
    witness: &VerifierKey,
) -> Result<()> {
    let request = AddCosignatureRequest { note: note.to_string(), request_id: String::new() };
    let taken = answer(client.add_cosignature(request).await)?;
    session.out.text(&format!("{} cosigned {} at size {size}", witness.name(), taken.origin), || {
        Ok(serde_json::json!({"origin": taken.origin, "size": size, "witness": witness.to_string()}))
    })
}

/// The way to a witness.
struct Way {
    url: String,
    http: reqwest::Client,
}

impl Way {
    fn new(url: &str, limit: Duration) -> Result<Self> {
        let invalid = |why: String| Error::invalid("URL_INVALID", "url", why);
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(invalid(format!("{url} must start with http:// or https://")));
        }
        let http = reqwest::Client::builder().timeout(limit).redirect(Policy::none()).build();
        let http = http.map_err(|error| invalid(error.to_string()))?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http })
    }

    async fn post(&self, body: String) -> Result<(StatusCode, String)> {
        let lost = |error: reqwest::Error| {
            let (reason, what) = if error.is_timeout() {
                ("SERVER_SILENT", "is silent")
            } else {
                ("SERVER_UNREACHABLE", "cannot be reached")
            };
            Error::new(Kind::Unavailable, reason, format!("the witness {} {what}", self.url)).with_source(error)
        };
        let mut answer =
            self.http.post(format!("{}/add-checkpoint", self.url)).body(body).send().await.map_err(lost)?;
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(lost)? {
            text.extend_from_slice(&part);
            if text.len() > MOST {
                return Err(self.wrong(&"it is too large"));
            }
        }
        let text = String::from_utf8(text).map_err(|error| self.wrong(&error))?;
        Ok((answer.status(), text))
    }

    fn wrong(&self, why: &dyn std::fmt::Display) -> Error {
        let what = format!("the answer of the witness {} cannot be relied on: {why}", self.url);
        Error::precondition("SERVER_ANSWER_INVALID", what)
    }

    fn forked(&self, size: u64) -> Error {
        let what = format!("{} has cosigned another history of {size} entries of this log", self.url);
        Error::precondition("LOG_FORKED", what)
    }

    fn refused(&self, status: StatusCode, old: u64, size: u64) -> Error {
        let why = match status {
            StatusCode::NOT_FOUND => "it does not know the log: give its operator the origin and verifier key",
            StatusCode::FORBIDDEN => "it knows the log by another key: give its operator the verifier key",
            // The server's own proof does not lead from what the witness has seen.
            StatusCode::UNPROCESSABLE_ENTITY => return self.forked(old),
            _ => "see its log",
        };
        let what = format!("{} refused the checkpoint of {size} entries with {}: {why}", self.url, status.as_u16());
        Error::precondition("WITNESS_REFUSED", what)
    }
}
