//! Identity for plain HTTP routes: the same tokens and permissions as gRPC.

use super::door::{Door, Way};
use super::limits::Sort;
use crate::auth::{Identity, Methods, Priority};
use crate::context::{Peer, SCOPE, Scope, Trace};
use crate::refusals::Refusals;
use crate::status;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use remit_core::{Actor, Error, Kind, Result, Tenant};
use std::sync::Arc;

/// The verified caller of an HTTP request, found in its extensions.
#[derive(Debug, Clone)]
pub struct HttpCaller {
    /// The tenant that the token names.
    pub tenant: Tenant,
    /// Who acts.
    pub actor: Arc<Actor>,
    verified: Arc<(u64, Identity)>,
    peer: Option<Peer>,
    gate: Gate,
}

impl HttpCaller {
    /// Checks that the caller may call the method with this permission; a refusal is recorded.
    ///
    /// # Errors
    /// `PermissionDenied` (`PERMISSION_MISSING`, `ACTOR_KIND_NOT_ALLOWED`).
    pub fn require(&self, permission: &str) -> Result<()> {
        self.gate.methods.authorize(permission, &self.actor).inspect_err(|error| {
            if let Some(method) = self.gate.methods.of(permission) {
                self.gate.refusals.note(&self.verified.1, method, self.peer, error);
            }
        })
    }

    /// Records that the caller reads what the method with this permission gives, about `resource`: once a minute. To be
    /// called before the answer is given.
    ///
    /// # Errors
    /// As [`remit_store::Db::record_read`], and nothing must be given then.
    pub async fn on_record(&self, permission: &str, resource: &str) -> Result<()> {
        match self.gate.methods.of(permission) {
            Some(method) => self.gate.refusals.page(&self.verified.1, method, self.peer, resource).await,
            None => Err(Error::internal(format!("no method has the permission {permission}"))),
        }
    }
}

/// What [`verify`] needs.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub door: Arc<Door>,
    pub methods: Arc<Methods>,
    pub refusals: Refusals,
}

/// Refuses a request without a valid token, or beyond a limit; else puts an [`HttpCaller`] into its extensions.
pub(crate) async fn verify(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    // Pages have traces too, so that what is recorded of them can be told from each other.
    let scope = Scope { trace: Trace::begin(), deadline: None };
    let answer = async move {
        let (way, peer) = (Way::of(request.extensions()), request.extensions().get::<Peer>().copied());
        let verified = match gate.door.verify(request.headers(), &way, None).await {
            Ok(admitted) => admitted.verified,
            Err(error) => {
                gate.refusals.unknown(peer, None, &error);
                return problem(error);
            }
        };
        let _ticket = match gate.door.admit(&verified.1, Priority::Ordinary, Sort::Call, "HTTP") {
            Ok(ticket) => ticket,
            Err(error) => return problem(error),
        };
        let (tenant, actor) = (verified.1.tenant.clone(), verified.1.actor.clone());
        request.extensions_mut().insert(HttpCaller { tenant, actor, verified, peer, gate });
        next.run(request).await
    };
    SCOPE.scope(scope, answer).await
}

/// An error as `application/problem+json`.
///
/// # Source
/// RFC 9457; `reason` is an extension member.
pub fn problem(error: Error) -> Response {
    let code = match error.kind() {
        Kind::InvalidArgument => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::PermissionDenied => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::AlreadyExists | Kind::Conflict | Kind::FailedPrecondition => StatusCode::CONFLICT,
        Kind::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let (reason, wait) = (error.reason(), error.retry_after());
    // Through the one map, so that a defect is logged and its text kept back.
    let status = status::to_status(error);
    let body = serde_json::json!({ "status": code.as_u16(), "title": status.message(), "reason": reason });
    let mut response = (code, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/problem+json"));
    if code == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = wait {
        headers.insert(header::RETRY_AFTER, http::HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}
