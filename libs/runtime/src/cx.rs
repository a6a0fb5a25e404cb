//! What a use case knows of its caller, and the one way to it from the wire.

use crate::context;
use crate::status::to_status;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use prost::Message;
use remit_api::wire::{About, Paged, Repeatable};
use remit_core::details::{Details as _, ReadRecorded};
use remit_core::{Actor, Error, Result, Tenant};
use remit_store::{Call, Db, Page};
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// The verified caller and the method that it called; the layer stack puts it into every request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant that the token names.
    pub tenant: Tenant,
    /// Who acts.
    pub actor: Arc<Actor>,
    /// Which of the suite's own services acts, by its own key; none for everybody else.
    pub service: Option<&'static str>,
    /// The permission of the method, which is also the action of its audit entry.
    pub method: &'static str,
    /// The caller's e-mail address, if the issuer of the token has verified it.
    pub email: Option<String>,
    /// From where: the other end of the connection; none if from within the process.
    pub address: Option<SocketAddr>,
    /// What puts the call on record before it is answered, for methods that only read and are recorded.
    pub recorder: Option<Recorder>,
}

/// Puts calls that only read on record: see `recorded` in `remit.options.v1.MethodPolicy`.
#[derive(Debug, Clone)]
pub struct Recorder(Db);

/// The most characters of a request in the entry of a read.
const MOST_SHOWN: usize = 4_000;

impl Recorder {
    pub(crate) fn new(db: Db) -> Self {
        Self(db)
    }

    /// Records `call`, which asked for `request`; `unrecorded` like it went without an entry before.
    ///
    /// # Errors
    /// As [`Db::record_read`].
    pub(crate) async fn record(&self, call: &Call, request: serde_json::Value, unrecorded: u64) -> Result<()> {
        let request = if request.to_string().len() > MOST_SHOWN { serde_json::Value::Null } else { request };
        let details = ReadRecorded { request, address: call.shown_address(), unrecorded };
        self.0.record_read(call, details.json()).await
    }
}

/// What a use case knows of the call that it serves.
#[derive(Debug, Clone)]
pub struct Cx {
    /// The tenant that the token names.
    pub tenant: Tenant,
    /// Who acts.
    pub actor: Arc<Actor>,
    /// Which of the suite's own services acts, by its own key; none for everybody else. What only the suite may do or
    /// say asks for this, and never for a role or a kind of actor.
    pub service: Option<&'static str>,
    /// The permission of the method, which is also the action of its audit entry.
    pub method: &'static str,
    /// The W3C trace id, 32 hexadecimal digits.
    pub trace_id: String,
    /// The caller's e-mail address, if the issuer of the token has verified it.
    pub email: Option<String>,
    /// From where the caller called: the other end of the connection; none if from within the process.
    pub address: Option<SocketAddr>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

impl Cx {
    /// The call as the store records it, for [`remit_store::Db::mutate`]. The digest of the request as it came
    /// tells a repeat from another request under the same id.
    pub fn call<M: Repeatable>(&self, request: &M) -> Call {
        let resource = request.resource().to_owned();
        Call { resource, ..self.call_as(request.request_id(), request) }
    }

    /// The call under a request id that stands elsewhere, or under none (empty); it names no resource.
    pub fn call_as<M: Message>(&self, request_id: &str, body: &M) -> Call {
        Call {
            tenant: self.tenant.clone(),
            actor: Actor::clone(&self.actor),
            method: self.method,
            resource: String::new(),
            request_id: request_id.to_owned(),
            request_digest: Sha256::digest(body.encode_to_vec()).into(),
            trace_id: self.trace_id.clone(),
            address: self.address,
        }
    }

    /// The page that a list request asks for.
    pub fn page<'a, M: Paged>(&self, request: &'a M) -> Page<'a> {
        Page {
            method: self.method,
            parent: request.parent(),
            filter: request.filter(),
            size: request.page_size(),
            token: request.page_token(),
            only: Vec::new(),
        }
    }
}

/// Takes a request apart into its caller and its message.
///
/// # Errors
/// `INTERNAL` if no layer has put a caller there: a server without the stack must not answer.
pub fn accept<T>(request: Request<T>) -> Result<(Cx, T), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let Some(caller) = extensions.remove::<Caller>() else {
        return Err(to_status(Error::internal("a request reached its handler without a verified caller")));
    };
    let scope = context::current();
    let cx = Cx {
        tenant: caller.tenant,
        actor: caller.actor,
        service: caller.service,
        method: caller.method,
        trace_id: scope.map(|scope| scope.trace.id()).unwrap_or_default(),
        email: caller.email,
        address: caller.address,
        deadline: scope.and_then(|scope| scope.deadline),
    };
    Ok((cx, message))
}

/// The one way through the door: from a request to its use case and back. A stream of requests comes to the use
/// case as it is. A read that is to be on record is recorded here, between its answer and whoever asked: of a stream
/// before its first item.
///
/// # Errors
/// What the use case returns, as a status; as [`Db::record_read`] for what cannot be recorded, and then nothing is
/// told of the answer.
pub async fn unary<Q: About, A>(
    request: Request<Q>,
    use_case: impl AsyncFnOnce(&Cx, Q) -> Result<A>,
) -> Result<Response<A>, Status> {
    let recorder = request.extensions().get::<Caller>().and_then(|caller| caller.recorder.clone());
    let (cx, message) = accept(request)?;
    let Some(recorder) = recorder else {
        // Boxed, so that the types of all use cases are not part of the type of their service.
        return Box::pin(use_case(&cx, message)).await.map(Response::new).map_err(to_status);
    };
    let call = Call { resource: message.about().to_owned(), ..cx.call_as("", &()) };
    let shown = message.shown();
    let answer = Box::pin(use_case(&cx, message)).await.map_err(to_status)?;
    recorder.record(&call, shown, 0).await.map_err(to_status)?;
    Ok(Response::new(answer))
}

/// A stream of answers.
pub type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// The stream of answers that a use case returns; [`unary`] puts it into the response.
pub fn answers<T>(items: impl Stream<Item = Result<T>> + Send + 'static) -> Answers<T> {
    items.map(|item| item.map_err(to_status)).boxed()
}

/// How many answers wait for a slow reader.
const BUFFER: usize = 4;

/// The stream of answers that `work` sends. It runs as part of the same call; its error is the stream's last item.
pub fn produce<T, F>(work: impl FnOnce(mpsc::Sender<Result<T>>) -> F) -> Answers<T>
where
    T: Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(BUFFER);
    let work = work(sender.clone());
    tokio::spawn(context::carry(async move {
        if let Err(error) = work.await {
            // A reader that has left does not need to know.
            let _ = sender.send(Err(error)).await;
        }
    }));
    answers(ReceiverStream::new(receiver))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::Rng as _;
    use remit_api::kpi::v1::GetKpiRequest;
    use remit_core::{ActorKind, Ids, Outcome};
    use remit_store::{Options, Schema, outbox};

    async fn secret(_: &Cx, _: GetKpiRequest) -> Result<&'static str> {
        Ok("secret")
    }

    #[tokio::test]
    async fn a_read_that_cannot_be_recorded_is_not_answered() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("kpi.db").display());
        let schema = Schema { service: "kpi", migrations: &[] };
        let ids = Arc::new(Ids::new(Box::new(|bytes: &mut [u8]| rand::rng().fill_bytes(bytes))));
        let db = Db::open(&url, &schema, ids, Options { outbox_limit: 1, ..Options::default() }).await.unwrap();
        let tenant = Tenant::new("acme").unwrap();
        let ask = |recorder: Option<Recorder>| {
            let mut request = Request::new(GetKpiRequest { name: "kpis/k".to_owned() });
            request.extensions_mut().insert(Caller {
                tenant: tenant.clone(),
                actor: Actor { subject: "ann".to_owned(), kind: ActorKind::Human, ..Actor::service("kpi") }.into(),
                service: None,
                method: "kpi.definitions.get",
                email: None,
                address: "192.0.2.7:50123".parse().ok(),
                recorder,
            });
            request
        };
        let recorder = Some(Recorder::new(db.clone()));
        assert_eq!(unary(ask(recorder.clone()), secret).await.unwrap().into_inner(), "secret");
        let events = outbox::read_batch(&mut db.read().await.unwrap(), &tenant, 10).await.unwrap();
        let event = &events[0].event;
        assert_eq!((event.action.as_str(), event.resource.as_str()), ("kpi.definitions.get", "kpis/k"));
        assert_eq!((event.actor.subject.as_str(), event.outcome), ("ann", Outcome::Success));
        let read = ReadRecorded::read(&event.details).unwrap();
        assert_eq!((read.request, read.address.as_str()), (serde_json::json!({"name": "kpis/k"}), "192.0.2.7:50123"));
        // Nothing more can be recorded.
        let status = unary(ask(recorder), secret).await.unwrap_err();
        assert_eq!(crate::status::reason(&status), "OUTBOX_FULL");
        assert_eq!(unary(ask(None), secret).await.unwrap().into_inner(), "secret");
    }
}
