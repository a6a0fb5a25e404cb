//! A connection that does not wait for ever: a server that accepts and says nothing must not hold whoever checks it.

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use prost::bytes::Bytes;
use std::error::Error;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

/// How the text of a call that was given up begins.
pub(crate) const SILENT: &str = "the server did not answer within";

/// How long a server may be silent where nothing else is said.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What is answered at once: the names of such methods begin so.
const AT_ONCE: [&str; 5] = ["Get", "List", "Search", "Export", "AddCosignature"];

/// What waits for what has not happened yet.
const FOLLOWS: [&str; 2] = ["Tail", "Watch"];

/// How much longer the others may take, which work before they answer, or take in a stream first.
const WORK: u32 = 10;

/// A channel whose server is given up when it is silent for too long.
#[derive(Debug, Clone)]
pub(crate) struct Patient {
    channel: Channel,
    limit: Duration,
}

impl Patient {
    /// Waits `limit` for an answer to begin, and for each next part of it.
    pub(crate) fn new(channel: Channel, limit: Duration) -> Self {
        Self { channel, limit }
    }
}

/// How long to wait for the method at `path`; none for one that follows.
fn limit_of(path: &str, limit: Duration) -> Option<Duration> {
    let method = path.rsplit('/').next().unwrap_or_default();
    let begins = |names: &[&str]| names.iter().any(|name| method.starts_with(name));
    match (begins(&FOLLOWS), begins(&AT_ONCE)) {
        (true, _) => None,
        (_, true) => Some(limit),
        _ => Some(limit.saturating_mul(WORK)),
    }
}

/// How much longer than we wait the server may work.
const MOMENT: Duration = Duration::from_secs(1);

/// What the server is told of a limit, which else gives a call its own, shorter one. A stream is not bound by it: it may
/// go on for as long as its parts come in time. The channel keeps to what the server is told too, so that is a moment
/// longer: whoever waited in vain reads what she can do.
fn deadline_of(path: &str, limit: Duration) -> Option<HeaderValue> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let method = remit_api::pool().get_service_by_name(service)?.methods().find(|known| known.name() == method)?;
    if method.is_client_streaming() || method.is_server_streaming() {
        return None;
    }
    // At most eight digits.
    let told = limit.saturating_add(MOMENT).as_millis().min(99_999_999);
    HeaderValue::try_from(format!("{told}m")).ok()
}

fn silent(limit: Duration) -> Status {
    Status::unavailable(format!("{SILENT} {} seconds: --timeout gives it longer", limit.as_secs()))
}

impl Service<Request<Body>> for Patient {
    type Response = Response<Body>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let limit = limit_of(request.uri().path(), self.limit);
        let told = limit.and_then(|limit| deadline_of(request.uri().path(), limit));
        if let Some(told) = told {
            request.headers_mut().entry("grpc-timeout").or_insert(told);
        }
        let answer = self.channel.call(request);
        Box::pin(async move {
            let Some(limit) = limit else { return answer.await.map_err(Into::into) };
            let Ok(answer) = timeout(limit, answer).await else { return Err(silent(limit).into()) };
            Ok(answer?.map(|body| Body::new(Awaited { body, limit, silence: None })))
        })
    }
}

/// A body of which each part must come in time.
struct Awaited {
    body: Body,
    limit: Duration,
    /// Runs while the next part is waited for.
    silence: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Awaited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let part = Pin::new(&mut this.body).poll_frame(cx);
        if part.is_pending() {
            let limit = this.limit;
            let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(limit)));
            return silence.as_mut().poll(cx).map(|()| Some(Err(silent(limit))));
        }
        this.silence = None;
        part
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_api::audit::v1::GetCheckpointRequest;
    use remit_api::audit::v1::audit_service_client::AuditServiceClient;

    #[test]
    fn who_works_gets_longer_and_who_follows_is_not_given_up() {
        let limit = |method: &str| limit_of(&format!("/remit.audit.v1.AuditService/{method}"), Duration::from_secs(6));
        assert_eq!(limit("GetCheckpoint"), Some(Duration::from_secs(6)));
        assert_eq!(limit("Export"), Some(Duration::from_secs(6)));
        assert_eq!(limit("VerifyLog"), Some(Duration::from_secs(60)));
        assert_eq!(limit("Tail"), None);
    }

    #[test]
    fn the_server_is_told_how_long_a_single_answer_is_waited_for() {
        let told = |method: &str| {
            let told = deadline_of(&format!("/remit.audit.v1.AuditService/{method}"), Duration::from_secs(600));
            told.map(|value| value.to_str().unwrap_or_default().to_owned())
        };
        assert_eq!(told("Search").as_deref(), Some("601000m"), "longer than the server's own minute");
        assert_eq!([told("Export"), told("Tail"), told("VerifyLog"), told("Nothing")], [const { None }; 4]);
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_is_given_up() -> std::io::Result<()> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let channel = tonic::transport::Endpoint::from_shared(url).map(|endpoint| endpoint.connect_lazy());
        let channel = channel.map_err(std::io::Error::other)?;
        let mut client = AuditServiceClient::new(Patient::new(channel, Duration::from_millis(20)));
        let refused = client.get_checkpoint(GetCheckpointRequest::default()).await;
        assert!(refused.is_err_and(|status| status.message().starts_with(SILENT)));
        Ok(())
    }
}
