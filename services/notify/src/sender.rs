//! Sends what is due: one subscription is one task, so that an endpoint that is slow or broken delays no other.

use crate::address::{Checked, Forbidden};
use crate::answer::{Answer, cut, read, refused};
use crate::backoff;
use crate::metrics::Metrics;
use crate::people::bounces::Path;
use crate::people::letter::{Letter, Words};
use crate::people::smtp::Handed;
use crate::service::{Service, mailed_to, stop};
use crate::signing;
use crate::store::queues::Due;
use crate::store::subscriptions::Subscriptions;
use crate::store::{at, deliveries, queues, secrets};
use remit_api::notify::v1::{Delivery, DeliveryAttempt, DeliveryState, Format, Subscription, SubscriptionState};
use remit_api::wire::time::stamp;
use remit_core::{Error, Result, Tenant, Timestamp};
use remit_runtime::config::Notify as Settings;
use remit_store::{Mutation, Records as _};
use reqwest::{Url, redirect};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// How often to look for what another process has left.
const LOOK: Duration = Duration::from_millis(500);
/// How long whoever takes deliveries has them for itself beyond the time that the last of them may take.
const MARGIN: Duration = Duration::from_secs(15);
/// The most deliveries of one subscription that are taken together, and how many of them are under way at once.
const TAKEN: i64 = 256;
const ABREAST: usize = 4;
/// How long whoever took deliveries begins with more of them; the rest is taken anew.
const BUDGET: Duration = Duration::from_secs(20);
/// How many tries are kept.
const TRIES: usize = 10;
/// How long deliveries that arrived are kept.
const KEEP: Duration = Duration::from_secs(7 * 86_400);
/// How long tries may go on at shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// Of what subscription deliveries were taken at once, and what they are signed with.
struct Batch {
    subscription: Subscription,
    secrets: Vec<Vec<u8>>,
    /// Until when nobody else sends for it.
    lease: Timestamp,
}

/// Deliveries, and what came of those that were tried.
type Sent = Vec<(Delivery, Option<Tried>)>;

/// What the tasks share that send a batch.
struct Work {
    tenant: Tenant,
    batch: Arc<Batch>,
    left: Mutex<std::vec::IntoIter<Delivery>>,
    away: Arc<AtomicBool>,
    started: Instant,
}

impl Work {
    fn next(&self) -> Option<Delivery> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

/// How far it is with a subscription.
#[derive(Default)]
struct Course {
    /// What came of batches, and is not written yet.
    tried: Vec<(Arc<Batch>, Sent)>,
    lease: Timestamp,
    /// Whether nobody answers at its endpoint, and when it is asked again.
    away: Arc<AtomicBool>,
    again: Option<Timestamp>,
}

/// When a try began, and what came of it.
type Tried = (Timestamp, Answer);

/// What is under way: at most one task a subscription.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    tasks: JoinSet<()>,
    busy: HashMap<(Tenant, String), Id>,
    /// Those of them at whose endpoints nobody answered last.
    silent: HashSet<(Tenant, String)>,
}

impl UnderWay {
    /// Starts the task of a subscription that has none.
    pub(crate) fn spawn(&mut self, key: (Tenant, String), task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.busy.insert(key, id);
    }

    /// How many there are of a tenant.
    fn of(&self, tenant: &Tenant) -> usize {
        self.busy.keys().filter(|(of, _)| of == tenant).count()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.busy.len()
    }

    /// Whether there is one of this key.
    pub(crate) fn has(&self, key: &(Tenant, String)) -> bool {
        self.busy.contains_key(key)
    }

    /// Waits until a task has ended, in whatever way, and frees its subscription; false if there is none. To give up
    /// waiting loses nothing.
    pub(crate) async fn ended(&mut self) -> bool {
        let Some(done) = self.tasks.join_next_with_id().await else { return false };
        let id = match done {
            Ok((id, ())) => id,
            Err(error) => {
                // The lease gives back what it had taken.
                tracing::error!("a delivery was cut off: {error}");
                error.id()
            }
        };
        self.busy.retain(|_, task| *task != id);
        self.silent.retain(|key| self.busy.contains_key(key));
        true
    }
}

/// What sends by HTTP: it connects to nothing that the rules do not permit, and follows nobody.
///
/// # Errors
/// `Internal` if there are no certificates to trust.
pub(crate) fn client(resolver: Checked, settings: &Settings) -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        // A proxy would resolve names itself, and nobody would look at what it connects to.
        .no_proxy()
        .dns_resolver(Arc::new(resolver))
        .timeout(settings.timeout.get())
        .user_agent("Remit")
        .build()
        .map_err(|error| Error::internal("webhooks cannot be sent").with_source(error))
}

/// Sends deliveries of all tenants.
#[derive(Clone)]
pub(crate) struct Sender {
    service: Service,
    client: reqwest::Client,
    metrics: Metrics,
    lease: Duration,
    slots: Arc<Semaphore>,
    /// To how many endpoints is sent at once at which nobody answered last, so that they hold up nobody else.
    most_silent: usize,
}

/// What is due, nothing if it cannot be read now: the next look comes soon.
pub(crate) fn known<T>(tenant: Option<&Tenant>, due: Result<Vec<T>>) -> Vec<T> {
    due.unwrap_or_else(|error| {
        tracing::warn!(tenant = tenant.map(Tenant::as_str), reason = error.reason(), "what is due is unknown: {error}");
        Vec::new()
    })
}

impl Sender {
    /// A sender after these settings.
    ///
    /// # Errors
    /// `Internal` if there are no certificates to trust.
    pub(crate) fn new(service: Service, metrics: Metrics, settings: &Settings) -> Result<Self> {
        let client = client(Checked::new(service.rules.clone()), settings)?;
        // Whoever is killed leaves what it had taken for no longer than this.
        let lease = BUDGET + settings.timeout.get() + MARGIN;
        let slots = Arc::new(Semaphore::new(settings.max_concurrent));
        let most_silent = (settings.max_concurrent / 2).max(1);
        Ok(Self { service, client, metrics, lease, slots, most_silent })
    }

    /// Sends until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut under_way = UnderWay::default();
        loop {
            let mut waiting = known(None, queues::waiting(&self.service.db, self.service.db.now()).await);
            // Nobody waits behind a tenant that has much under way.
            waiting.sort_by_cached_key(|tenant| under_way.of(tenant));
            for tenant in waiting {
                for due in known(Some(&tenant), self.due(&tenant, &under_way).await) {
                    // Those at which nobody answered come last.
                    if due.is_silent && under_way.silent.len() >= self.most_silent {
                        break;
                    }
                    let Ok(slot) = self.slots.clone().try_acquire_owned() else { break };
                    let key = (tenant.clone(), due.name);
                    if due.is_silent {
                        under_way.silent.insert(key.clone());
                    }
                    let ((tenant, subscription), sender) = (key.clone(), self.clone());
                    under_way.spawn(key, async move {
                        if let Err(error) = sender.drain(&tenant, &subscription).await {
                            let (tenant, subscription) = (tenant.as_str(), subscription.as_str());
                            tracing::warn!(tenant, subscription, reason = error.reason(), "nothing was sent: {error}");
                        }
                        drop(slot);
                    });
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                true = under_way.ended() => {}
                () = self.service.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.slots.close();
        // A try that is cut off is sent once more, with the same id, so it is given a moment and no more.
        let _ = tokio::time::timeout(GRACE, async { while under_way.ended().await {} }).await;
    }

    async fn due(&self, tenant: &Tenant, under_way: &UnderWay) -> Result<Vec<Due>> {
        let busy = &under_way.busy;
        let room = i64::try_from(self.slots.available_permits() + busy.len()).unwrap_or(i64::MAX);
        let now = self.service.db.now();
        let due = queues::due(&mut self.service.db.read().await?, tenant, now, room).await?;
        Ok(due.into_iter().filter(|due| !busy.contains_key(&(tenant.clone(), due.name.clone()))).collect())
    }

    /// Sends what is due for one subscription, as long as nobody else waits for the place. While a batch is under way, what
    /// came of the one before is written and the next one taken.
    pub(crate) async fn drain(&self, tenant: &Tenant, name: &str) -> Result<()> {
        let mut course = Course::default();
        let mut next = self.step(tenant, name, &mut course, None, &[]).await?;
        while let Some((batch, deliveries)) = next {
            let batch = Arc::new(batch);
            let under_way: Vec<i64> = deliveries.iter().map(|delivery| delivery.entry_index).collect();
            let away = course.away.clone();
            let (tried, stepped) = tokio::join!(
                self.send_all(tenant, &batch, deliveries, &away),
                self.step(tenant, name, &mut course, Some(batch.lease), &under_way),
            );
            course.lease = batch.lease;
            course.tried.push((batch, tried));
            // What was sent is written in any case, else it is sent once more.
            next = stepped.unwrap_or_else(|error| {
                tracing::debug!(reason = error.reason(), "no more is sent now: {error}");
                None
            });
        }
        let lease = course.lease;
        self.step(tenant, name, &mut course, Some(lease), &[]).await.map(drop)
    }

    /// Writes what came of the batch before, if there is one, and takes the next while nobody waits for the place. Without
    /// a batch under way there is none to come: what is left then is taken by whoever looks next.
    async fn step(
        &self,
        tenant: &Tenant,
        name: &str,
        course: &mut Course,
        lease: Option<Timestamp>,
        under_way: &[i64],
    ) -> Result<Option<(Batch, Vec<Delivery>)>> {
        let waits_for_nobody = self.slots.available_permits() > 0 && !self.slots.is_closed();
        let begins = lease.is_none();
        let takes = begins || (waits_for_nobody && !under_way.is_empty());
        if course.tried.is_empty() && !takes {
            return Ok(None);
        }
        let tried = &course.tried;
        let step = async |m: &mut Mutation| {
            let mut again = course.again;
            for (batch, tried) in tried {
                again = self.settle(m, &batch.subscription, tried, again).await?;
            }
            let next = if takes { self.take(m, name, lease, under_way).await? } else { None };
            if let Some(lease) = lease.filter(|_| under_way.is_empty()) {
                queues::release(m, name, lease).await?;
            }
            Ok((again, next))
        };
        let action = if tried.is_empty() { "notify.deliveries.take" } else { "notify.deliveries.settle" };
        let (again, next) = self.service.db.own(tenant, action, step).await?;
        (course.again, course.tried) = (again, Vec::new());
        Ok(next)
    }

    /// Takes what is due of a subscription beside what is under way, if anything is and nobody else sends for it.
    async fn take(
        &self,
        m: &mut Mutation,
        name: &str,
        lease: Option<Timestamp>,
        under_way: &[i64],
    ) -> Result<Option<(Batch, Vec<Delivery>)>> {
        let Some(subscription) = Subscriptions::try_claim(m, name).await? else { return Ok(None) };
        let now = m.now();
        if subscription.state() != SubscriptionState::Active || !queues::is_free(m, name, now, lease).await? {
            return Ok(None);
        }
        let pace = i64::from(subscription.max_per_second);
        let most = if pace > 0 { pace.min(TAKEN) } else { TAKEN };
        let deliveries = deliveries::due(m, &subscription, now, under_way, most).await?;
        if deliveries.is_empty() {
            queues::renew(m, &subscription).await?;
            return Ok(None);
        }
        if pace > 0 {
            let share = i64::try_from(deliveries.len()).unwrap_or(most) * 1_000_000 / pace;
            queues::pace(m, name, Timestamp(now.0 + share)).await?;
        }
        let lease = now.plus(self.lease);
        queues::lease(m, name, lease).await?;
        let secrets = secrets::signing(m, name, now).await?;
        Ok(Some((Batch { subscription, secrets, lease }, deliveries)))
    }

    /// Tries each delivery once, some at a time, each in a task of its own; of an endpoint that nobody answers at no more is
    /// asked, nor when it took too long.
    async fn send_all(
        &self,
        tenant: &Tenant,
        batch: &Arc<Batch>,
        deliveries: Vec<Delivery>,
        away: &Arc<AtomicBool>,
    ) -> Sent {
        let abreast = ABREAST.min(deliveries.len());
        let work = Arc::new(Work {
            tenant: tenant.clone(),
            batch: batch.clone(),
            left: Mutex::new(deliveries.into_iter()),
            away: away.clone(),
            started: Instant::now(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..abreast {
            let (sender, work) = (self.clone(), work.clone());
            tasks.spawn(async move { sender.send_some(&work).await });
        }
        let mut sent = Vec::new();
        while let Some(some) = tasks.join_next().await {
            match some {
                Ok(some) => sent.extend(some),
                // They are taken anew.
                Err(error) => tracing::error!("deliveries were cut off: {error}"),
            }
        }
        sent
    }

    async fn send_some(&self, work: &Work) -> Sent {
        let mut sent = Vec::new();
        while let Some(delivery) = work.next() {
            if work.started.elapsed() > BUDGET || work.away.load(Ordering::Relaxed) {
                sent.push((delivery, None));
                continue;
            }
            let begun = self.service.db.now();
            let answer = self.send(&work.tenant, &work.batch.subscription, &work.batch.secrets, &delivery, begun).await;
            work.away.fetch_or(answer.is_silence(), Ordering::Relaxed);
            sent.push((delivery, Some((begun, answer))));
        }
        sent
    }

    /// Sends one delivery once.
    async fn send(
        &self,
        tenant: &Tenant,
        to: &Subscription,
        secrets: &[Vec<u8>],
        delivery: &Delivery,
        now: Timestamp,
    ) -> Answer {
        if to.format() == Format::Email {
            return self.mail(tenant, to, delivery).await;
        }
        let Ok(url) = Url::parse(&to.endpoint) else { return Answer::failed("ENDPOINT_INVALID", "it is no URL") };
        if !self.service.rules.permits_host(url.host_str().unwrap_or_default()) {
            return Answer::failed("ADDRESS_FORBIDDEN", &Forbidden.to_string());
        }
        let seconds = now.0.div_euclid(1_000_000);
        let signed = signing::header(to.signing(), secrets, &delivery.webhook_id, seconds, &delivery.payload);
        let Ok(signature) = signed else { return Answer::failed("SECRET_UNREADABLE", "rotate the secret") };
        let kind = match to.format() {
            Format::Slack | Format::Teams => "application/json",
            _ => "application/cloudevents+json; charset=utf-8",
        };
        let request = self
            .client
            .post(url)
            .header("content-type", kind)
            .header("webhook-id", &delivery.webhook_id)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", signature)
            .body(delivery.payload.clone());
        match request.send().await {
            Ok(response) => read(response, now).await,
            Err(error) => refused(&error),
        }
    }

    /// Sends one delivery once by e-mail.
    async fn mail(&self, tenant: &Tenant, to: &Subscription, delivery: &Delivery) -> Answer {
        let (Some(smtp), Some(address)) = (&self.service.smtp, mailed_to(&to.endpoint)) else {
            return Answer::failed("EMAIL_OFF", "this suite sends no e-mail");
        };
        // Looked at again: the configuration may have changed since.
        if !smtp.names_domain(address) {
            return Answer::failed("RECIPIENT_REFUSED", "its domain is not in notify.smtp.domains");
        }
        let Ok(key) = self.service.link_key(tenant).await else {
            return Answer::failed("KEY_UNREADABLE", "its return path cannot be signed");
        };
        let path = Path { tenant, resource: &to.name, address };
        let letter = Letter {
            to: address.to_owned(),
            words: Words::line(&delivery.payload),
            id: hex::encode(Sha256::digest(format!("{tenant}\0{}", delivery.webhook_id))),
            thread: String::new(),
            calendar: None,
            at: at(&delivery.create_time),
            returns: smtp.returns(path, &key, self.service.db.now()),
        };
        match smtp.send(&letter).await {
            Handed::Taken(answer) => Answer { status: 250, answer, error: "", wait: None },
            Handed::Refused { status, why } => {
                Answer { status, answer: cut(&why), error: "RECIPIENT_REFUSED", wait: None }
            }
            Handed::Failed { status, error, why } => Answer { status, answer: cut(&why), error, wait: None },
        }
    }

    /// Writes what came of it, and returns when an endpoint that nobody answers at is asked again; `again` says that already
    /// if it was silent before.
    async fn settle(
        &self,
        m: &mut Mutation,
        of: &Subscription,
        tried: &[(Delivery, Option<Tried>)],
        again: Option<Timestamp>,
    ) -> Result<Option<Timestamp>> {
        let name = of.name.as_str();
        let Some(subscription) = Subscriptions::try_claim(m, name).await? else { return Ok(again) };
        // One that was made anew under this name has nothing to do with what was sent for the other.
        if subscription.uid != of.uid {
            return Ok(again);
        }
        let now = m.now();
        let mut settled = Vec::with_capacity(tried.len());
        let has_arrived = tried.iter().any(|(_, tried)| tried.as_ref().is_some_and(|(_, it)| it.error.is_empty()));
        let (mut broken, mut again) = (None, again);
        for (delivery, tried) in tried {
            let Some((begun, answer)) = tried else { continue };
            let mut delivery = delivery.clone();
            let attempt = DeliveryAttempt {
                attempt_time: Some(stamp(*begun)),
                status: answer.status.into(),
                answer: answer.answer.clone(),
                error: answer.error.to_owned(),
            };
            self.metrics.tried(answer.error);
            delivery.attempts += 1;
            delivery.latest_attempts.push(attempt);
            let over = delivery.latest_attempts.len().saturating_sub(TRIES);
            delivery.latest_attempts.drain(..over);
            delivery.failures += i32::from(!answer.error.is_empty());
            let mut dice = [0];
            self.service.ids.fill(&mut dice);
            let failures = u32::try_from(delivery.failures).unwrap_or(u32::MAX);
            // Nobody can be blamed for what waited while the subscription was paused or broken.
            let start = at(&delivery.start_time).max(at(&subscription.resume_time));
            let next = backoff::next(failures, start, now, answer.wait, dice[0]);
            let (state, next) = match (answer.error, next) {
                ("", _) => (DeliveryState::Delivered, now),
                ("GONE", _) => {
                    broken = Some("its endpoint answered 410: it is gone");
                    (DeliveryState::Dead, now)
                }
                ("RECIPIENT_REFUSED", _) => {
                    broken = Some("its mail server refuses the address");
                    (DeliveryState::Dead, now)
                }
                (_, Some(next)) => {
                    again = again.into_iter().chain(answer.is_silence().then_some(next)).min();
                    (DeliveryState::Pending, next)
                }
                (_, None) => {
                    if !has_arrived && !deliveries::arrived(m, name, start).await? {
                        broken = broken.or(Some("nothing could be delivered for three days"));
                    }
                    (DeliveryState::Dead, now)
                }
            };
            delivery.state = state.into();
            delivery.next_attempt_time = Some(stamp(next));
            settled.push(delivery);
        }
        deliveries::settle(m, &settled).await?;
        if let Some(again) = again {
            let left = tried.iter().filter(|(_, tried)| tried.is_none()).map(|(delivery, _)| delivery.name.as_str());
            deliveries::put_off(m, left.collect(), again).await?;
        }
        // Whoever found nothing to try knows as much as before.
        let answers = tried.iter().filter_map(|(_, tried)| tried.as_ref());
        let silent = answers.map(|(_, answer)| answer.is_silence()).reduce(|one, other| one || other);
        if let Some(silent) = silent {
            queues::heard(m, name, silent).await?;
        }
        if let Some(why) = broken.filter(|_| subscription.state() != SubscriptionState::Broken) {
            stop(m, &subscription, why).await?;
        }
        deliveries::forget(m, name, now.minus(KEEP)).await?;
        queues::renew(m, &subscription).await?;
        Ok(again)
    }
}

#[cfg(test)]
#[path = "tests/sending.rs"]
mod tests;
