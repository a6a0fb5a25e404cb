//! What a use case knows of its caller, and the one way to it from the wire.

use crate::context;
use crate::status::to_status;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use prost::Message;
use remit_api::wire::{Paged, Repeatable};
use remit_core::{Actor, Error, Result, Tenant};
use remit_store::{Call, Page};
use sha2::{Digest as _, Sha256};
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
    pub actor: Actor,
    /// Which of the suite's own services acts, by its own key; none for everybody else.
    pub service: Option<&'static str>,
    /// The permission of the method, which is also the action of its audit entry.
    pub method: &'static str,
}

/// What a use case knows of the call that it serves.
#[derive(Debug, Clone)]
pub struct Cx {
    /// The tenant that the token names.
    pub tenant: Tenant,
    /// Who acts.
    pub actor: Actor,
    /// Which of the suite's own services acts, by its own key; none for everybody else. What only the suite may do or
    /// say asks for this, and never for a role or a kind of actor.
    pub service: Option<&'static str>,
    /// The permission of the method, which is also the action of its audit entry.
    pub method: &'static str,
    /// The W3C trace id, 32 hexadecimal digits.
    pub trace_id: String,
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
            actor: self.actor.clone(),
            method: self.method,
            resource: String::new(),
            request_id: request_id.to_owned(),
            request_digest: Sha256::digest(body.encode_to_vec()).into(),
            trace_id: self.trace_id.clone(),
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
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Err(to_status(Error::internal("a request reached its handler without a verified caller")));
    };
    let scope = context::current();
    let cx = Cx {
        tenant: caller.tenant,
        actor: caller.actor,
        service: caller.service,
        method: caller.method,
        trace_id: scope.map(|scope| scope.trace.id()).unwrap_or_default(),
        deadline: scope.and_then(|scope| scope.deadline),
    };
    Ok((cx, request.into_inner()))
}

/// The one way through the door: from a request to its use case and back. A stream of requests comes to the use
/// case as it is.
///
/// # Errors
/// What the use case returns, as a status.
pub async fn unary<Q, A>(
    request: Request<Q>,
    use_case: impl AsyncFnOnce(&Cx, Q) -> Result<A>,
) -> Result<Response<A>, Status> {
    let (cx, message) = accept(request)?;
    // Boxed, so that the types of all use cases are not part of the type of their service.
    Box::pin(use_case(&cx, message)).await.map(Response::new).map_err(to_status)
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
