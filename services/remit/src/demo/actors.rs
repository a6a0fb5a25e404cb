//! The people and programs of the demo, each with a token of its own, and their gRPC clients.

use crate::bearer::{Bearer, Wire};
use remit_api::system::v1::AdvanceClockRequest;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_api::wire::time::stamp;
use remit_core::{Actor, ActorKind, Error, Kind, Result, Timestamp};
use remit_runtime::status::reason;
use std::collections::BTreeMap;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// Makes a token for an actor of the demo's tenant.
pub type Mint = Box<dyn Fn(&Actor) -> Result<String> + Send + Sync>;

/// Where the suite is, and who talks to it.
pub struct Actors {
    channels: BTreeMap<String, Channel>,
    urls: BTreeMap<String, String>,
    bearers: BTreeMap<&'static str, Bearer>,
}

/// Everybody who takes part: name, kind, roles and role groups.
const CAST: &[(&str, ActorKind, &[&str], &[&str])] = &[
    ("admin", ActorKind::Human, &["admin"], &[]),
    // The three seats of the steering group (S62).
    ("ada", ActorKind::Human, &["member", "operator"], &["marketing_lead"]),
    ("ben", ActorKind::Human, &["member"], &["legal"]),
    ("cleo", ActorKind::Human, &["member", "auditor"], &["data"]),
    // The AI execution lead proposes; the campaign manager operates; the creative director reviews.
    ("dara", ActorKind::Human, &["operator", "member"], &["ai_execution_lead"]),
    ("carl", ActorKind::Human, &["reviewer"], &["creative_director"]),
    ("sam", ActorKind::Human, &["reviewer"], &["sales", "sales_ops"]),
    // Sits on the automation council with sam and ben (S73).
    ("pia", ActorKind::Human, &["member"], &["product"]),
    // Answers for data protection.
    ("petra", ActorKind::Human, &["privacy"], &[]),
    ("platform", ActorKind::Service, &["platform"], &[]),
    // What deploys the models: it may propose, and decides nothing.
    ("pipeline", ActorKind::Service, &["operator"], &[]),
    ("copywriter", ActorKind::Ai, &["platform"], &[]),
];

impl Actors {
    /// Connects to the services at `urls` (service name to URL) and mints a token for everybody.
    ///
    /// # Errors
    /// `InvalidArgument` for a URL that is none; whatever minting returns.
    pub fn connect(urls: BTreeMap<String, String>, mint: &Mint) -> Result<Self> {
        let mut channels = BTreeMap::new();
        for (service, url) in &urls {
            let endpoint = Endpoint::from_shared(url.clone())
                .map_err(|e| Error::invalid("URL_INVALID", service.clone(), e.to_string()))?
                .tcp_nodelay(true);
            channels.insert(service.clone(), endpoint.connect_lazy());
        }
        let mut bearers = BTreeMap::new();
        for (name, kind, roles, groups) in CAST {
            let owned = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
            let actor = Actor {
                subject: (*name).to_owned(),
                kind: *kind,
                roles: owned(roles),
                role_groups: owned(groups),
                on_behalf_of: None,
            };
            bearers.insert(*name, Bearer::new(&mint(&actor)?)?);
        }
        Ok(Self { channels, urls, bearers })
    }

    /// The connection of `actor` to `service`; both are names that this module knows.
    ///
    /// # Errors
    /// `Internal` if one of the names is unknown.
    pub(super) fn to(&self, service: &str, actor: &str) -> Result<Wire> {
        let channel = self.channels.get(service).ok_or_else(|| Error::internal(format!("no service {service}")))?;
        let bearer = self.bearers.get(actor).ok_or_else(|| Error::internal(format!("no actor {actor}")))?;
        Ok(bearer.over(channel.clone()))
    }

    /// Moves the clock of every process to `to`.
    ///
    /// # Errors
    /// What the service answers, for example that it has no manual clock.
    pub(super) async fn advance(&self, to: Timestamp) -> Result<()> {
        let mut seen = Vec::new();
        for (service, url) in &self.urls {
            if seen.contains(url) {
                continue;
            }
            seen.push(url.clone());
            let mut client = SystemServiceClient::new(self.to(service, "admin")?);
            client.advance_clock(AdvanceClockRequest { time: Some(stamp(to)) }).await.map_err(refused)?;
        }
        Ok(())
    }
}

/// Turns a status into an error that keeps its stable reason in the message.
pub(super) fn refused(status: Status) -> Error {
    let reason = reason(&status);
    Error::new(
        Kind::FailedPrecondition,
        "DEMO_CALL_REFUSED",
        format!("{:?} {reason}: {}", status.code(), status.message()),
    )
}
