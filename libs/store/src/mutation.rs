//! A mutation: one transaction that carries the change, the answer under its request id, the audit
//! events and the changes of watch feeds. All of it is durable together, or none of it is.

use crate::db::Db;
use crate::feed::{self, Change};
use crate::tx::Tx;
use crate::{outbox, query, tenants};
use prost::Message;
use remit_core::details::{ActionRefused, Details as _};
use remit_core::{Actor, AuditEvent, Error, Kind, Outcome, Result, Tenant, Timestamp, authority};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

/// Who asks for what.
#[derive(Debug, Clone)]
pub struct Call {
    /// The caller's tenant, from the token.
    pub tenant: Tenant,
    /// The caller.
    pub actor: Actor,
    /// The permission of the method, which is also the audit action: `registry.versions.suspend`.
    pub method: &'static str,
    /// The name of the resource that the request is about; empty if it names none.
    pub resource: String,
    /// The caller's request id; empty if the caller does not ask for repetition to be harmless.
    pub request_id: String,
    /// The digest of the request, by which another body under the same id is noticed.
    pub request_digest: [u8; 32],
    /// The W3C trace id; empty if none.
    pub trace_id: String,
    /// From where the caller called: the other end of the connection; none if from within the process.
    pub address: Option<SocketAddr>,
}

impl Call {
    /// The address as it stands in the details of an event; empty if there is none.
    pub fn shown_address(&self) -> String {
        self.address.map(|address| address.to_string()).unwrap_or_default()
    }
}

/// How many refusals have no entry of their own, because one of a sort a minute is enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Of the sort of the one that has, since the last of that sort that has.
    pub alike: u64,
    /// Of any sort in the tenant, since the last of any sort that has.
    pub in_all: u64,
}

/// The most characters of a resource's name and of a refusal's message in an event.
const MAX_RESOURCE: usize = 500;
const MAX_MESSAGE: usize = 1_000;

tokio::task_local! {
    static ON_RECORD: Cell<bool>;
}

/// Runs `work` and returns its output, and whether a refusal was put on record meanwhile ([`Db::refuse`]), so that whoever
/// answers it need not do so again.
pub async fn noting<F: Future>(work: F) -> (F::Output, bool) {
    ON_RECORD
        .scope(Cell::new(false), async move {
            let output = work.await;
            (output, ON_RECORD.with(Cell::get))
        })
        .await
}

/// Whether a failure is an attempt at what is not allowed, which goes on record: whoever may not, whatever it was; and of
/// an act of authority also what is not yet, or no longer, to be done.
fn is_attempt(method: &str, kind: Kind) -> bool {
    kind == Kind::PermissionDenied || (kind == Kind::FailedPrecondition && authority::is_of_authority(method))
}

/// Done once the mutation is durable.
type Hook = Box<dyn FnOnce() + Send>;

/// A mutation under way. Dropping it undoes everything, the request id included, so that a failed
/// call can be repeated.
pub struct Mutation {
    tx: Tx,
    db: Db,
    call: Call,
    now: OnceLock<Timestamp>,
    events: Vec<AuditEvent>,
    changes: Vec<Change>,
    hooks: Vec<Hook>,
    fired: Option<Fired>,
}

/// What a mutation knows of the timer that fired it.
#[derive(Debug, Clone)]
pub(crate) struct Fired {
    pub timer_id: String,
    pub due_at: Timestamp,
    pub detected_at: Timestamp,
}

impl Db {
    /// The one way into a mutation: claims the request id of `call`, runs `work`, and commits what it did
    /// together with its answer. A repetition of the same request gets the first answer, and `work` does not
    /// run; a concurrent duplicate waits for the first. An answer to a request that changed nothing is kept like
    /// any other.
    ///
    /// `work` has the only connection: it must not take a second one from the pool, which on SQLite waits for
    /// this one, and on PostgreSQL for others that wait for each other.
    ///
    /// # Errors
    /// `AlreadyExists` (`REQUEST_ID_REUSED`) if the request id was used for another request; what `work` returns,
    /// and nothing has happened then, but that a `PermissionDenied` is on record ([`Db::refuse`]), and of an act of
    /// authority a `FailedPrecondition` too;
    /// `ResourceExhausted` (`OUTBOX_FULL`) if too many audit events wait for delivery; else as [`crate::classify`]
    /// says. After `Unavailable` the outcome is unknown: repeat the call with the same request id.
    pub async fn mutate<R: Message + Default>(
        &self,
        call: &Call,
        work: impl AsyncFnOnce(&mut Mutation) -> Result<R>,
    ) -> Result<R> {
        tenants::see(self, &call.tenant).await?;
        let mut tx = self.write().await?;
        if !call.request_id.is_empty()
            && let Some(answer) = claim(self, &mut tx, call).await?
        {
            return R::decode(answer.as_slice()).map_err(|error| {
                Error::internal("the first answer to this request id cannot be read").with_source(error)
            });
        }
        let mut mutation = Mutation::new(tx, self.clone(), call.clone(), None);
        // Boxed, as in `own`: work in work in work would be one type, too deep for the compiler to lay out.
        match Box::pin(work(&mut mutation)).await {
            Ok(answer) => {
                mutation.commit(&answer).await?;
                Ok(answer)
            }
            Err(error) => {
                if is_attempt(call.method, error.kind()) {
                    // Gives the connection back, of which the record needs one.
                    drop(mutation);
                    self.refuse(call, &error, Skipped::default()).await;
                }
                Err(error)
            }
        }
    }

    /// Records that a rule refused what `call` asked, in a transaction of its own: an event with the method's action,
    /// the outcome `DENIED` and the reason of `error`, about the resource that the request names. `skipped` refusals
    /// came before and were only counted.
    ///
    /// What cannot be recorded is logged and nothing else: a full outbox must not turn a refusal into another error.
    pub async fn refuse(&self, call: &Call, error: &Error, skipped: Skipped) {
        // Also where it fails: it is logged then, and whoever asks again fills a full outbox no less.
        let _ = ON_RECORD.try_with(|noted| noted.set(true));
        if let Err(failure) = self.record_refusal(call, error, skipped).await {
            tracing::error!(
                service = self.service(),
                tenant = %call.tenant,
                actor = call.actor.subject,
                method = call.method,
                refused = error.reason(),
                reason = failure.reason(),
                "a refusal could not be recorded: {failure}"
            );
        }
    }

    async fn record_refusal(&self, call: &Call, error: &Error, skipped: Skipped) -> Result<()> {
        let message = cut(error.message(), MAX_MESSAGE);
        let (unrecorded, unrecorded_in_all, address) = (skipped.alike, skipped.in_all, call.shown_address());
        let details = ActionRefused { message, address, unrecorded, unrecorded_in_all }.json();
        self.record_alone(call, |event| {
            event.outcome = Outcome::Denied;
            error.reason().clone_into(&mut event.reason);
            event.details = details;
        })
        .await
    }

    /// Records that `call`, which changes nothing, was allowed: an event with the method's action and `details`, about
    /// the resource that the request names, in a transaction of its own. What it asks for must not be given before.
    ///
    /// # Errors
    /// `ResourceExhausted` (`OUTBOX_FULL`); else as [`crate::classify`] says.
    pub async fn record_read(&self, call: &Call, details: serde_json::Value) -> Result<()> {
        self.record_alone(call, |event| event.details = details).await
    }

    /// Records the event of `call` and nothing else.
    async fn record_alone(&self, call: &Call, fill: impl FnOnce(&mut AuditEvent)) -> Result<()> {
        tenants::see(self, &call.tenant).await?;
        // Nothing has happened under the request id, which stays free for another try.
        let call = Call { request_id: String::new(), ..call.clone() };
        let resource = cut(&call.resource, MAX_RESOURCE);
        let resource = if resource.is_empty() { self.service().to_owned() } else { resource };
        let mut mutation = Mutation::new(self.write().await?, self.clone(), call, None);
        mutation.record(&resource, fill);
        mutation.commit(&()).await
    }

    /// A mutation that nobody asked for: the service's own work, under its own name ([`Actor::service`]). Where it
    /// follows from a call in progress, its events bear the trace id of that call ([`crate::Options::trace`]).
    ///
    /// # Errors
    /// What `work` returns, and nothing has happened then; else as [`Db::mutate`].
    pub async fn own<T>(
        &self,
        tenant: &Tenant,
        action: &'static str,
        work: impl AsyncFnOnce(&mut Mutation) -> Result<T>,
    ) -> Result<T> {
        tenants::see(self, tenant).await?;
        let mut mutation = Mutation::new(self.write().await?, self.clone(), self.own_call(tenant, action), None);
        let done = Box::pin(work(&mut mutation)).await?;
        mutation.commit(&()).await?;
        Ok(done)
    }

    pub(crate) fn own_call(&self, tenant: &Tenant, action: &'static str) -> Call {
        Call {
            tenant: tenant.clone(),
            actor: Actor::service(self.service()),
            method: action,
            resource: String::new(),
            request_id: String::new(),
            request_digest: [0; 32],
            trace_id: (self.shared.options.trace)(),
            address: None,
        }
    }
}

/// The first characters of a text, without those that an event may not have.
fn cut(text: &str, most: usize) -> String {
    text.chars().filter(|letter| *letter != '\0').take(most).collect()
}

/// Claims the request id, or returns the answer that was given under it.
async fn claim(db: &Db, tx: &mut Tx, call: &Call) -> Result<Option<Vec<u8>>> {
    let digest = format!("sha256:{}", hex::encode(call.request_digest));
    let claimed = query(
        "insert into remit_requests (tenant_id, subject, actor_kind, request_id, method, digest, response, recorded_at)
         values ($1, $2, $3, $4, $5, $6, null, $7)
         on conflict (tenant_id, subject, actor_kind, request_id) do nothing",
    )
    .bind(&call.tenant)
    .bind(&call.actor.subject)
    .bind(call.actor.kind.as_str())
    .bind(&call.request_id)
    .bind(call.method)
    .bind(&digest)
    .bind(db.now())
    .execute(tx)
    .await?;
    if claimed == 1 {
        return Ok(None);
    }
    let first = query(
        "select method, digest, response from remit_requests
         where tenant_id = $1 and subject = $2 and actor_kind = $3 and request_id = $4",
    )
    .bind(&call.tenant)
    .bind(&call.actor.subject)
    .bind(call.actor.kind.as_str())
    .bind(&call.request_id)
    .fetch_optional(tx)
    .await?
    // Purged between the two statements: the repetition is as good as new.
    .ok_or_else(|| {
        Error::new(Kind::Conflict, "WRITE_CONFLICT", "the record of this request id has just expired: repeat the call")
            .with_retry_after(Duration::from_millis(50))
    })?;
    let (method, was): (String, String) = (first.get("method")?, first.get("digest")?);
    if method != call.method || was != digest {
        return Err(Error::new(
            Kind::AlreadyExists,
            "REQUEST_ID_REUSED",
            format!(
                "request id {} was used before for another request: that was {method} with body {was}, \
                 this is {} with body {digest}",
                call.request_id, call.method
            ),
        )
        .with_violation("request_id", "must be new for a new request"));
    }
    first
        .get::<Option<Vec<u8>>>("response")?
        .map(Some)
        .ok_or_else(|| Error::internal(format!("request {} was recorded without its answer", call.request_id)))
}

impl Mutation {
    pub(crate) fn new(tx: Tx, db: Db, call: Call, fired: Option<Fired>) -> Self {
        let now = OnceLock::new();
        Self { tx, db, call, now, events: Vec::new(), changes: Vec::new(), hooks: Vec::new(), fired }
    }

    /// The transaction.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// The time of the mutation: that of the clock when it is first asked for. Ask after the first lock, so that
    /// of two changes of one thing the later one has the later time, however long it waited for the lock.
    pub fn now(&self) -> Timestamp {
        *self.now.get_or_init(|| self.db.now())
    }

    /// The caller's tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.call.tenant
    }

    /// The caller.
    pub fn actor(&self) -> &Actor {
        &self.call.actor
    }

    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The database this mutation writes to.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// A new id, ordered by the time of the mutation.
    pub fn new_id(&self) -> String {
        self.db.shared.ids.next(self.now()).to_string()
    }

    /// An audit event about `resource`, filled in from the call; pass it to [`Mutation::record_event`]. In
    /// a mutation fired by a timer, `details` say when it was due and when that was detected.
    pub fn event(&self, action: &str, resource: &str) -> AuditEvent {
        let details = match &self.fired {
            Some(fired) => serde_json::json!({
                "timer": fired.timer_id,
                "due_time": fired.due_at.to_string(),
                "detect_time": fired.detected_at.to_string(),
            }),
            None => serde_json::Value::Null,
        };
        AuditEvent {
            id: self.new_id(),
            actor: self.call.actor.clone(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            outcome: Outcome::Success,
            reason: String::new(),
            occurred_at: self.now(),
            recorded_at: self.now(),
            request_id: self.call.request_id.clone(),
            trace_id: self.call.trace_id.clone(),
            service: self.db.shared.service.to_owned(),
            policy_version: String::new(),
            model_version: String::new(),
            before_digest: String::new(),
            after_digest: String::new(),
            details,
            personal: None,
        }
    }

    /// Records the audit event of the call itself, about `resource`, once `fill` has completed it.
    pub fn record(&mut self, resource: &str, fill: impl FnOnce(&mut AuditEvent)) {
        let mut event = self.event(self.call.method, resource);
        fill(&mut event);
        self.record_event(event);
    }

    /// Puts an audit event into the outbox at commit.
    pub fn record_event(&mut self, event: AuditEvent) {
        self.events.push(event);
    }

    /// Does `hook` once everything is durable, and not at all if it does not become so.
    pub fn on_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    /// Sets the item `key` of a watch feed at commit, or deletes it where `body` is `None`.
    ///
    /// # Errors
    /// `Internal` if the feed or the key is empty.
    pub async fn change(&mut self, feed: &str, key: &str, body: Option<Vec<u8>>) -> Result<()> {
        if feed.is_empty() || key.is_empty() {
            return Err(Error::internal("a change needs a feed and a key"));
        }
        // Kept until commit, because the feed's head is then locked for the shortest time and always
        // after the rows of the service: no two mutations wait for each other.
        self.changes.push(Change { feed: feed.to_owned(), key: key.to_owned(), body });
        Ok(())
    }

    /// Makes everything durable together with `answer`, which answers a repetition.
    pub(crate) async fn commit(mut self, answer: &impl Message) -> Result<()> {
        if !self.call.request_id.is_empty() {
            query(
                "update remit_requests set response = $5
                 where tenant_id = $1 and subject = $2 and actor_kind = $3 and request_id = $4",
            )
            .bind(&self.call.tenant)
            .bind(&self.call.actor.subject)
            .bind(self.call.actor.kind.as_str())
            .bind(&self.call.request_id)
            .bind(answer.encode_to_vec())
            .execute(&mut self.tx)
            .await?;
        }
        feed::append(&mut self.tx, &self.call.tenant, self.changes).await?;
        let limit = self.db.shared.options.outbox_limit;
        outbox::append(&mut self.tx, &self.call.tenant, &self.events, limit).await?;
        self.tx.commit().await?;
        for hook in self.hooks {
            hook();
        }
        Ok(())
    }
}

impl std::fmt::Debug for Mutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mutation({} for {})", self.call.method, self.call.tenant)
    }
}

/// Forgets the answers recorded before `before`, at most `limit` of them; returns how many. Their
/// request ids count as new from then on.
///
/// # Errors
/// As [`crate::classify`] says.
pub async fn purge_requests(tx: &mut Tx, tenant: &Tenant, before: Timestamp, limit: i64) -> Result<u64> {
    query(
        "delete from remit_requests where tenant_id = $1 and (subject, actor_kind, request_id) in (
             select subject, actor_kind, request_id from remit_requests
             where tenant_id = $1 and recorded_at < $2 order by recorded_at limit $3)",
    )
    .bind(tenant)
    .bind(before)
    .bind(limit)
    .execute(tx)
    .await
}
