//! The way to the other services: in this process or across the network, one type for both.

mod replicas;
mod tls;

use crate::auth::Keyring;
use crate::config::{Addresses, PeerTls};
use crate::{context, telemetry};
use futures::future::BoxFuture;
use remit_core::{Error, Kind, Result, Tenant};
use replicas::{Replicas, Way};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{ClientTlsConfig, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};
use tracing::{Instrument as _, Span};

/// A service of this process with the whole layer stack around it.
pub type Local = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// The connection of a generated client: `AuditServiceClient::new(peers.channel("audit"))`.
#[derive(Clone)]
pub struct Channel(Target);

#[derive(Clone)]
enum Target {
    /// Set once all services of the process are built, before any of them serves.
    Local(Arc<OnceLock<Local>>),
    Remote(tonic::transport::Channel),
    Replicas(Arc<Replicas>),
    Unknown(Arc<str>),
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Target::Local(_) => "Channel(in-process)",
            Target::Remote(_) | Target::Replicas(_) => "Channel(remote)",
            Target::Unknown(_) => "Channel(unknown)",
        })
    }
}

impl Channel {
    /// A connection to `url`, made at the first call and made again when it is lost. `https` trusts the
    /// certificate authorities of the system.
    ///
    /// # Errors
    /// If `url` is not one.
    pub fn remote(url: &str) -> std::result::Result<Self, tonic::transport::Error> {
        let mut endpoint = with_habits(Endpoint::from_shared(url.to_owned())?);
        if url.starts_with("https://") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
        }
        Ok(Self(Target::Remote(endpoint.connect_lazy())))
    }

    /// A connection to services of this process.
    pub fn local(service: Local) -> Self {
        Self(Target::Local(Arc::new(OnceLock::from(service))))
    }
}

/// What every connection to a peer has.
fn with_habits(endpoint: Endpoint) -> Endpoint {
    endpoint
        // Without it small calls wait 40 ms for an acknowledgement.
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
}

/// Calls over one connection.
async fn send(
    channel: tonic::transport::Channel,
    request: http::Request<Body>,
    span: Span,
) -> std::result::Result<http::Response<Body>, tonic::transport::Error> {
    let answer = match channel.oneshot(request).instrument(span.clone()).await {
        // tonic's own timer would be told as CANCELLED.
        Err(error) if is_timeout(&error) => Ok(crate::to_status(crate::layers::deadline_exceeded()).into_http()),
        answer => answer,
    };
    // What ends in trailers is known only when its message was read.
    let refused = answer.as_ref().map_or(Some(Code::Unavailable), |answer| {
        Status::from_header_map(answer.headers()).map(|status| status.code())
    });
    telemetry::ended(&span, refused.unwrap_or(Code::Ok));
    answer
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.0 {
            Target::Remote(channel) => channel.poll_ready(cx),
            Target::Local(_) | Target::Replicas(_) | Target::Unknown(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        match &mut self.0 {
            Target::Remote(channel) => {
                // The connection that is ready, and not another that would wait again.
                let ready = std::mem::replace(channel, channel.clone());
                let span = telemetry::outgoing_span(&mut request);
                Box::pin(send(ready, request, span))
            }
            Target::Replicas(replicas) => match replicas.next() {
                Some(channel) => {
                    let span = telemetry::outgoing_span(&mut request);
                    Box::pin(send(channel, request, span))
                }
                None => Box::pin(async { Ok(Status::unavailable("no replica is known").into_http()) }),
            },
            Target::Local(slot) => match slot.get().cloned() {
                Some(service) => Box::pin(async move {
                    match service.oneshot(request).await {
                        Ok(answer) => Ok(answer),
                        Err(never) => match never {},
                    }
                }),
                None => Box::pin(async { Ok(Status::unavailable("the service has not started yet").into_http()) }),
            },
            Target::Unknown(service) => {
                let text = format!("no way to the service {service}: set peers.{service} to its URL");
                Box::pin(async move { Ok(Status::unavailable(text).into_http()) })
            }
        }
    }
}

fn is_timeout(error: &tonic::transport::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<tonic::TimeoutExpired>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Where the services are and how a service names itself to them.
#[derive(Clone)]
pub struct Peers {
    channels: Arc<BTreeMap<String, Channel>>,
    local: Arc<OnceLock<Local>>,
    tokens: Arc<Tokens>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("channels", &self.channels).finish_non_exhaustive()
    }
}

impl Peers {
    /// `here` are the services of this process, `remote` the URLs of the others, and `tls` what is shown to them.
    ///
    /// # Errors
    /// `InvalidArgument` (`PEER_URL_INVALID`, `CONFIG_INVALID`) naming the setting; `FailedPrecondition` if the key of
    /// `[peer_tls]` is none that can be read by its owner alone.
    pub fn new(
        here: &[&str],
        remote: &BTreeMap<String, Addresses>,
        tls: &PeerTls,
        keys: Arc<Keyring>,
        lifetime: Duration,
    ) -> Result<Self> {
        let local = Arc::new(OnceLock::new());
        let mut channels = BTreeMap::new();
        for (service, addresses) in remote.iter().filter(|(service, _)| !here.contains(&service.as_str())) {
            let way = Arc::new(Way::new(service, addresses, tls)?);
            channels.insert(service.clone(), Channel(Target::Replicas(Replicas::new(way)?)));
        }
        for service in here {
            channels.insert((*service).to_owned(), Channel(Target::Local(local.clone())));
        }
        let tokens = Tokens { keys, lifetime, cache: Mutex::default() };
        Ok(Self { channels: Arc::new(channels), local, tokens: Arc::new(tokens) })
    }

    /// Opens the in-process way, once every service of the process is built.
    ///
    /// # Errors
    /// `Internal` if that has been done before.
    pub fn open(&self, local: Local) -> Result<()> {
        self.local.set(local).map_err(|_| Error::internal("the in-process services were opened twice"))
    }

    /// The connection to `service`. A service without an address answers `UNAVAILABLE` and names the setting.
    pub fn channel(&self, service: &str) -> Channel {
        self.channels.get(service).cloned().unwrap_or_else(|| Channel(Target::Unknown(service.into())))
    }

    /// The same over connections of its own: what carries many streams needs more than one, since HTTP/2 lets no more of
    /// them begin.
    pub fn apart(&self, service: &str) -> Channel {
        let shared = self.channel(service);
        match &shared.0 {
            Target::Replicas(replicas) => match Replicas::new(replicas.way().clone()) {
                Ok(own) => Channel(Target::Replicas(own)),
                // A file that could be read a moment ago cannot: what is there goes on.
                Err(_) => shared,
            },
            Target::Local(_) | Target::Remote(_) | Target::Unknown(_) => shared,
        }
    }

    /// Of the services that run elsewhere how many replicas are well, of how many; where one is all there is, it says
    /// nothing.
    pub fn replicas(&self) -> BTreeMap<&str, (usize, usize)> {
        let health = |channel: &Channel| match &channel.0 {
            Target::Replicas(replicas) => replicas.health(),
            Target::Local(_) | Target::Remote(_) | Target::Unknown(_) => None,
        };
        self.channels.iter().filter_map(|(service, channel)| Some((service.as_str(), health(channel)?))).collect()
    }

    /// Asks every peer for its health: `ok`, or why it did not answer within `patience`.
    pub async fn look(&self, patience: Duration) -> BTreeMap<String, String> {
        let elsewhere = self.channels.iter().filter(|(_, channel)| matches!(channel.0, Target::Replicas(_)));
        let answers = elsewhere.map(|(service, channel)| async move {
            let mut health = HealthClient::new(channel.clone());
            let asked = tokio::time::timeout(patience, health.check(HealthCheckRequest::default()));
            let found = match asked.await {
                Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => "ok".to_owned(),
                Ok(Ok(answer)) => answer.get_ref().status().as_str_name().to_owned(),
                Ok(Err(status)) => format!("{:?}: {}", status.code(), status.message()),
                Err(_) => "no answer".to_owned(),
            };
            (service.clone(), found)
        });
        futures::future::join_all(answers).await.into_iter().collect()
    }

    /// Wraps a message in a request of the service `us` on behalf of `tenant`: with a service token, with
    /// what is left of the caller's deadline, and as part of the same trace.
    pub fn request<T>(&self, us: &str, tenant: &Tenant, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        match self.tokens.header(us, tenant) {
            Ok(header) => {
                request.metadata_mut().insert("authorization", header);
            }
            // The peer refuses a call without a token, and that refusal is what the caller sees.
            Err(error) => tracing::error!(service = us, reason = error.reason(), "no service token: {error}"),
        }
        if let Some(scope) = context::current() {
            if let Some(deadline) = scope.deadline {
                request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            }
            if let Ok(trace) = crate::telemetry::outgoing(scope.trace).to_string().parse() {
                request.metadata_mut().insert("traceparent", trace);
            }
        }
        request
    }
}

/// Service tokens, made when needed and kept for half their life.
struct Tokens {
    keys: Arc<Keyring>,
    lifetime: Duration,
    cache: Mutex<HashMap<(String, Tenant), Cached>>,
}

/// A token as a header, and when to make the next: by the time that has passed and by the clock, of which the first
/// stands still while the machine sleeps and the second may be set back.
type Cached = (MetadataValue<Ascii>, Instant, SystemTime);

/// More tenants than this and the tokens are made anew: memory stays bounded.
const MAX_TOKENS: usize = 10_000;

impl Tokens {
    fn header(&self, us: &str, tenant: &Tenant) -> Result<MetadataValue<Ascii>> {
        let key = (us.to_owned(), tenant.clone());
        let (now, clock) = (Instant::now(), SystemTime::now());
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((header, until, by_clock)) = cache.get(&key)
            && *until > now
            && *by_clock > clock
        {
            return Ok(header.clone());
        }
        let token = self.keys.token(tenant, us, self.lifetime)?;
        let mut header: MetadataValue<Ascii> = format!("Bearer {token}")
            .parse()
            .map_err(|_| Error::new(Kind::Internal, "INTERNAL", "a service token is not a header value"))?;
        header.set_sensitive(true);
        if cache.len() >= MAX_TOKENS {
            cache.clear();
        }
        cache.insert(key, (header.clone(), now + self.lifetime / 2, clock + self.lifetime / 2));
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::auth::Authenticator;
    use crate::config::Config;

    #[tokio::test]
    async fn a_service_token_is_renewed_long_before_it_expires() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::from_toml(&format!("data.dir = {:?}", dir.path().display().to_string())).unwrap();
        let (_, signers) = Authenticator::open(&config).await.unwrap();
        let tokens = Peers::new(&[], &config.peers, &config.peer_tls, signers.services, Duration::from_secs(600))
            .unwrap()
            .tokens;
        let tenant = Tenant::new("acme").unwrap();
        let header = || tokens.header("audit", &tenant).unwrap();
        let first = header();
        assert_eq!(header(), first, "one token serves many calls");
        let change = |change: fn(&mut Cached)| tokens.cache.lock().unwrap().values_mut().for_each(change);
        change(|(_, until, by_clock)| {
            let half = Duration::from_secs(300);
            assert!(*until <= Instant::now() + half && *by_clock <= SystemTime::now() + half);
            *until = Instant::now();
        });
        let second = header();
        assert_ne!(second, first, "half its life is over");
        change(|(_, _, by_clock)| *by_clock = SystemTime::now());
        assert_ne!(header(), second, "the machine slept");
    }
}
