//! The connections to the replicas of one service, each call to the next that is well.

use super::tls::Files;
use crate::config::{Addresses, PeerTls};
use arc_swap::ArcSwap;
use remit_core::{Error, Result};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::AbortHandle;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response};

/// How often names are resolved, and files of certificates looked at.
const EVERY: Duration = Duration::from_secs(3);
/// How long after a failure the health of a replica is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// What it takes to connect to a service.
pub(super) struct Way {
    service: String,
    urls: Vec<(String, Uri)>,
    tls: PeerTls,
}

/// The connections to one service. Names are resolved again and again; where there is more than one replica, each is
/// asked for its health by a stream, so that one that drains, ends or loses its database gets no more calls at once.
pub(super) struct Replicas {
    way: Arc<Way>,
    known: ArcSwap<Known>,
    next: AtomicUsize,
}

struct Known {
    files: Files,
    /// By name, one for each URL: for where there is one replica, and while none is known to be well.
    named: Vec<Channel>,
    /// By address.
    each: Vec<Replica>,
}

struct Replica {
    at: (usize, SocketAddr),
    channel: Channel,
    well: Arc<AtomicBool>,
    watch: AbortHandle,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Way {
    /// The way to `service` at these addresses.
    ///
    /// # Errors
    /// `InvalidArgument` (`PEER_URL_INVALID`) naming the setting.
    pub(super) fn new(service: &str, addresses: &Addresses, tls: &PeerTls) -> Result<Self> {
        let invalid = |why: String| Error::invalid("PEER_URL_INVALID", format!("peers.{service}"), why);
        let urls = addresses.iter().map(|url| {
            let uri: Uri = url.parse().map_err(|error| invalid(format!("{url}: {error}")))?;
            if uri.host().is_none() {
                return Err(invalid(format!("{url} names no host")));
            }
            Ok((url.to_owned(), uri))
        });
        let urls = urls.collect::<Result<Vec<_>>>()?;
        if urls.is_empty() {
            return Err(invalid("must be a URL, or a list of URLs".to_owned()));
        }
        Ok(Self { service: service.to_owned(), urls, tls: tls.clone() })
    }

    fn endpoint(&self, url: usize, at: Option<SocketAddr>, files: &Files) -> Result<Endpoint> {
        let setting = || format!("peers.{}", self.service);
        let invalid = |error: tonic::transport::Error| Error::invalid("PEER_URL_INVALID", setting(), chain(&error));
        let Some((text, uri)) = self.urls.get(url) else {
            return Err(Error::internal("there is no such URL of a peer"));
        };
        let is_tls = uri.scheme_str() == Some("https");
        let mut endpoint = match at {
            None => Endpoint::from_shared(text.clone()).map_err(invalid)?,
            Some(at) => {
                let scheme = if is_tls { "https" } else { "http" };
                Endpoint::from_shared(format!("{scheme}://{at}")).map_err(invalid)?.origin(uri.clone())
            }
        };
        endpoint = super::with_habits(endpoint);
        if is_tls {
            let mut config = files.config();
            if let Some(host) = uri.host().filter(|_| at.is_some()) {
                config = config.domain_name(host.trim_matches(['[', ']']));
            }
            endpoint = endpoint.tls_config(config).map_err(invalid)?;
        }
        Ok(endpoint)
    }

    /// Connections by name.
    fn named(&self, files: &Files) -> Result<Vec<Channel>> {
        (0..self.urls.len()).map(|url| Ok(self.endpoint(url, None, files)?.connect_lazy())).collect()
    }

    /// Whether what it takes can change: a name, or a file.
    fn may_change(&self) -> bool {
        let is_name = |uri: &Uri| {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            host.parse::<std::net::IpAddr>().is_err()
        };
        self.urls.len() > 1 || self.urls.iter().any(|(_, uri)| is_name(uri)) || self.tls != PeerTls::default()
    }

    /// The addresses that the names stand for now. A name that cannot be resolved has none.
    async fn resolve(&self) -> BTreeSet<(usize, SocketAddr)> {
        let mut found = BTreeSet::new();
        for (url, (_, uri)) in self.urls.iter().enumerate() {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
            match tokio::net::lookup_host((host, port)).await {
                Ok(addresses) => found.extend(addresses.map(|address| (url, address))),
                Err(error) => tracing::debug!(service = self.service, host, %error, "a peer's name is not resolved"),
            }
        }
        found
    }

    /// The gRPC service whose health is asked for.
    fn checked(&self) -> String {
        let package = format!("remit.{}.v1.", self.service);
        let mut all = remit_api::pool().services().map(|service| service.full_name().to_owned());
        all.find(|name| name.starts_with(&package)).unwrap_or_default()
    }
}

impl Replicas {
    /// Connections that are made when they are needed.
    ///
    /// # Errors
    /// `InvalidArgument` (`PEER_URL_INVALID`, `CONFIG_INVALID`) naming the setting; as the key of `[peer_tls]` fails.
    pub(super) fn new(way: Arc<Way>) -> Result<Arc<Self>> {
        let files = Files::read(&way.tls)?;
        let named = way.named(&files)?;
        let known = ArcSwap::from_pointee(Known { files, named, each: Vec::new() });
        let replicas = Arc::new(Self { way, known, next: AtomicUsize::new(0) });
        // Without a runtime there is nobody to follow it, and no call either.
        if replicas.way.may_change() && tokio::runtime::Handle::try_current().is_ok() {
            tokio::spawn(follow(Arc::downgrade(&replicas)));
        }
        Ok(replicas)
    }

    /// The way that these connections take.
    pub(super) fn way(&self) -> &Arc<Way> {
        &self.way
    }

    /// The connection for the next call.
    pub(super) fn next(&self) -> Option<Channel> {
        let known = self.known.load();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let from = |count: usize| (0..count).map(move |step| turn.wrapping_add(step) % count);
        let mut each = from(known.each.len()).filter_map(|at| known.each.get(at));
        match each.find(|replica| replica.well.load(Ordering::Relaxed)) {
            Some(replica) => Some(replica.channel.clone()),
            None => from(known.named.len()).next().and_then(|at| known.named.get(at).cloned()),
        }
    }

    /// How many replicas are well, of how many that are known; nothing where there is one.
    pub(super) fn health(&self) -> Option<(usize, usize)> {
        let known = self.known.load();
        let well = known.each.iter().filter(|replica| replica.well.load(Ordering::Relaxed)).count();
        (!known.each.is_empty()).then_some((well, known.each.len()))
    }

    async fn look(&self) {
        let found = self.way.resolve().await;
        let known = self.known.load_full();
        // A certificate that is half written is looked at again.
        let files = Files::read(&self.way.tls).unwrap_or_else(|error| {
            tracing::warn!(service = self.way.service, "peer_tls is as it was: {error}");
            known.files.clone()
        });
        let same_files = files == known.files;
        let wanted = if found.len() > 1 { found } else { BTreeSet::new() };
        if same_files && (wanted.iter().eq(known.each.iter().map(|replica| &replica.at))) {
            return;
        }
        if let Err(error) = self.change(&known, files, same_files, &wanted) {
            tracing::warn!(service = self.way.service, "the connections to a peer are as they were: {error}");
        }
    }

    fn change(
        &self,
        known: &Known,
        files: Files,
        same_files: bool,
        wanted: &BTreeSet<(usize, SocketAddr)>,
    ) -> Result<()> {
        let named = if same_files { known.named.clone() } else { self.way.named(&files)? };
        let mut each = Vec::with_capacity(wanted.len());
        for at in wanted {
            let before = known.each.iter().find(|replica| replica.at == *at);
            let (channel, well) = match before.filter(|_| same_files) {
                Some(replica) => (replica.channel.clone(), replica.well.clone()),
                None => (self.way.endpoint(at.0, Some(at.1), &files)?.connect_lazy(), Arc::default()),
            };
            let watch = tokio::spawn(watch(channel.clone(), self.way.checked(), well.clone())).abort_handle();
            each.push(Replica { at: *at, channel, well, watch });
        }
        self.known.store(Arc::new(Known { files, named, each }));
        Ok(())
    }
}

async fn follow(replicas: Weak<Replicas>) {
    while let Some(now) = replicas.upgrade() {
        now.look().await;
        drop(now);
        tokio::time::sleep(EVERY).await;
    }
}

/// Keeps `well` as the replica says of itself.
async fn watch(channel: Channel, service: String, well: Arc<AtomicBool>) {
    loop {
        let ended = heard(&channel, &service, &well).await;
        if ended.is_err() {
            well.store(false, Ordering::Relaxed);
            tokio::time::sleep(AGAIN).await;
        } else {
            // The connection came of age: it is asked on another, and was well until now.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn heard(channel: &Channel, service: &str, well: &AtomicBool) -> std::result::Result<(), tonic::Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut answers = HealthClient::new(channel.clone()).watch(request).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        well.store(answer.status() == health_check_response::ServingStatus::Serving, Ordering::Relaxed);
    }
    Ok(())
}

/// An error with what caused it: the transport's own text says only that there is one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::runtime::Runtime;
    use tonic_health::ServingStatus;
    use tonic_health::pb::health_server::HealthServer;
    use tonic_health::server::{HealthReporter, HealthService};

    /// A runtime that ends, and with it its connections, without waiting.
    struct Ends(Option<Runtime>);

    impl Drop for Ends {
        fn drop(&mut self) {
            if let Some(runtime) = self.0.take() {
                runtime.shutdown_background();
            }
        }
    }

    /// A replica that knows the health of kpi, and that of a service of its own name.
    async fn replica(name: &'static str, at: &str) -> (String, HealthReporter, Ends) {
        let reporter = HealthReporter::new();
        for service in ["remit.kpi.v1.KpiService", name] {
            reporter.set_service_status(service, ServingStatus::Serving).await;
        }
        let listener = std::net::TcpListener::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            tonic::transport::Server::builder().add_service(health).serve_with_incoming(incoming).await.unwrap();
        });
        (url, reporter, Ends(Some(runtime)))
    }

    /// Who answers the next ten calls: `a`, `b`, or nobody.
    async fn answering(replicas: &Replicas) -> BTreeSet<&'static str> {
        let mut found = BTreeSet::new();
        for _ in 0..10 {
            let channel = replicas.next().unwrap();
            let ask = HealthCheckRequest { service: "a".to_owned() };
            found.insert(match HealthClient::new(channel).check(ask).await {
                Ok(_) => "a",
                Err(status) if status.code() == tonic::Code::NotFound => "b",
                Err(_) => "nobody",
            });
        }
        found
    }

    async fn until(replicas: &Replicas, wanted: &[&'static str]) {
        for _ in 0..600 {
            if answering(replicas).await.iter().eq(wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        unreachable!("{wanted:?} never answered alone");
    }

    #[tokio::test]
    async fn calls_go_round_the_replicas_that_are_well() {
        let (a, of_a, _a) = replica("a", "127.0.0.1:0").await;
        let (b, _, b_runs) = replica("b", "127.0.0.1:0").await;
        let way = Way::new("kpi", &format!("{a},{b}").as_str().into(), &PeerTls::default()).unwrap();
        let replicas = Replicas::new(Arc::new(way)).unwrap();
        until(&replicas, &["a", "b"]).await;
        of_a.set_service_status("remit.kpi.v1.KpiService", ServingStatus::NotServing).await;
        until(&replicas, &["b"]).await;
        of_a.set_service_status("remit.kpi.v1.KpiService", ServingStatus::Serving).await;
        until(&replicas, &["a", "b"]).await;
        assert_eq!(replicas.health(), Some((2, 2)));
        drop(b_runs);
        until(&replicas, &["a"]).await;
        assert_eq!(replicas.health(), Some((1, 2)));
        let _b = replica("b", b.trim_start_matches("http://")).await;
        until(&replicas, &["a", "b"]).await;
    }

    #[tokio::test]
    async fn a_peer_is_a_url_with_a_host() {
        let way = |text: &str| Way::new("kpi", &text.into(), &PeerTls::default()).map(drop);
        for text in ["", "http://", "a b", "http://a,"] {
            assert_eq!(way(text).unwrap_err().reason(), "PEER_URL_INVALID", "{text:?}");
        }
        assert!(way("http://a:1, https://b").is_ok());
    }
}
