//! What a handler knows of its caller, and the two ends of a mutation.

use crate::context;
use prost::Message;
use remit_core::{Actor, Clock, Error, Result, Tenant};
use remit_store::{Begin, Call, Db, Mutation};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tonic::{Request, Status};

/// The verified caller and the method that it called; the layer stack puts it into every request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant that the token names.
    pub tenant: Tenant,
    /// Who acts.
    pub actor: Actor,
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
    /// The permission of the method, which is also the action of its audit entry.
    pub method: &'static str,
    /// The W3C trace id, 32 hexadecimal digits.
    pub trace_id: String,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

impl Cx {
    /// The call as the store records it. `body` is the request as it came: its digest tells a repeat from
    /// another request under the same id.
    pub fn call<M: Message>(&self, request_id: &str, body: &M, clock: &dyn Clock) -> Call {
        Call {
            tenant: self.tenant.clone(),
            actor: self.actor.clone(),
            method: self.method,
            request_id: request_id.to_owned(),
            request_digest: Sha256::digest(body.encode_to_vec()).into(),
            trace_id: self.trace_id.clone(),
            now: clock.now(),
        }
    }
}

/// Takes a request apart into its caller and its message.
///
/// # Errors
/// `INTERNAL` if no layer has put a caller there: a server without the stack must not answer.
pub fn accept<T>(request: Request<T>) -> Result<(Cx, T), Status> {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Err(crate::to_status(Error::internal("a request reached its handler without a verified caller")));
    };
    let scope = context::current();
    let cx = Cx {
        tenant: caller.tenant,
        actor: caller.actor,
        method: caller.method,
        trace_id: scope.map(|scope| scope.trace.id()).unwrap_or_default(),
        deadline: scope.and_then(|scope| scope.deadline),
    };
    Ok((cx, request.into_inner()))
}

/// How a mutation starts.
pub enum Started<R> {
    /// The request id was used before with the same body: this was the answer.
    Replay(R),
    /// The work is to be done, in this mutation.
    Fresh(Box<Mutation>),
}

/// Claims the request id and opens the transaction.
///
/// # Errors
/// `AlreadyExists` (`REQUEST_ID_REUSED`) if the id came before with another body; what the store returns.
pub async fn begin<R: Message + Default>(db: &Db, call: &Call) -> Result<Started<R>> {
    match db.begin(call).await? {
        Begin::Fresh(mutation) => Ok(Started::Fresh(Box::new(mutation))),
        Begin::Replay(bytes) => match R::decode(bytes.as_slice()) {
            Ok(answer) => Ok(Started::Replay(answer)),
            Err(error) => Err(Error::internal("the first answer to this request id cannot be read").with_source(error)),
        },
    }
}

/// Commits the mutation together with its answer and returns the answer.
///
/// # Errors
/// What the store returns; nothing has happened then.
pub async fn finish<R: Message>(mutation: impl Into<Box<Mutation>>, answer: R) -> Result<R> {
    mutation.into().commit(answer.encode_to_vec()).await?;
    Ok(answer)
}
