//! Subscriptions.

use super::Service;
use super::settings::SHARED;
use crate::filter::{Filter, Seen};
use crate::payload::{Sent, TEST};
use crate::signing::{SECRET_BYTES, shown};
use crate::store::subscriptions::{self as store, Subscriptions};
use crate::store::{bounces, deliveries::Deliveries, queues, secrets};
use remit_api::notify::v1::{
    CreateSubscriptionRequest, DeleteSubscriptionRequest, DeleteSubscriptionResponse, Delivery, DeliveryState, Format,
    GetSubscriptionRequest, ListSubscriptionsRequest, ListSubscriptionsResponse, PauseSubscriptionRequest,
    ResumeSubscriptionRequest, RotateSecretRequest, RotateSecretResponse, Signing, Subscription, SubscriptionState,
    TestSubscriptionRequest, UpdateSubscriptionRequest,
};
use remit_api::wire::{self, Word as _, mask, required, time::stamp};
use remit_core::details::{Details as _, SubscriptionChanged};
use remit_core::name::{self, DeliveryName, SubscriptionName};
use remit_core::{Error, Kind, Result, email, etag};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _};
use reqwest::Url;
use std::time::Duration;

/// The most subscriptions of a tenant.
const MOST: i64 = 10_000;
/// How long a secret goes on signing beside a newer one.
const OVERLAP: Duration = Duration::from_secs(86_400);

fn details(subscription: &Subscription) -> SubscriptionChanged {
    let host = Url::parse(&subscription.endpoint).ok();
    SubscriptionChanged {
        owner: subscription.owner.clone(),
        filter: subscription.filter.clone(),
        host: host.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned(),
        state: subscription.state().word().to_owned(),
        state_reason: subscription.state_reason.clone(),
        overlap_end_time: String::new(),
    }
}

/// Records a change of a subscription under the action of the call.
fn record(m: &mut Mutation, before: Option<&Subscription>, after: Option<&Subscription>) {
    let Some(subscription) = after.or(before) else { return };
    m.record(&subscription.name, |event| {
        event.before_digest = before.map(wire::digest).unwrap_or_default();
        event.after_digest = after.map(wire::digest).unwrap_or_default();
        event.details = details(subscription).json();
    });
}

/// Stops a claimed subscription by itself, and records that: its owner hears of it.
pub(crate) async fn stop(m: &mut Mutation, before: &Subscription, why: &str) -> Result<()> {
    let mut subscription = before.clone();
    subscription.state = SubscriptionState::Broken.into();
    subscription.state_reason = why.to_owned();
    subscription.update_time = Some(stamp(m.now()));
    Subscriptions::save(m, &mut subscription).await?;
    let mut event = m.event("notify.subscriptions.break", &subscription.name);
    event.before_digest = wire::digest(before);
    event.after_digest = wire::digest(&subscription);
    event.details = details(&subscription).json();
    m.record_event(event);
    Ok(())
}

/// The address of a subscription by e-mail; nothing if it is none.
pub(crate) fn mailed_to(endpoint: &str) -> Option<&str> {
    // A query could add a subject or further recipients; what begins like a host is an address to some, and none to others.
    let is_plain = |address: &&str| !address.contains(['?', '%', ',']) && !address.starts_with('/');
    endpoint.strip_prefix("mailto:").filter(is_plain)
}

/// Of an endpoint its host alone.
pub(super) fn host_of(endpoint: &str) -> String {
    let host = match mailed_to(endpoint) {
        Some(address) => address.rsplit_once('@').map(|(_, domain)| format!("mailto:…@{domain}")),
        None => {
            Url::parse(endpoint).ok().map(|url| format!("{}://{}/…", url.scheme(), url.host_str().unwrap_or_default()))
        }
    };
    host.unwrap_or_default()
}

/// Whether programs that read an endpoint may read different things: some leave such characters out, or take a backslash for
/// a slash.
fn is_ambiguous(endpoint: &str) -> bool {
    endpoint.chars().any(|c| c.is_control() || c == '\\')
}

impl Service {
    /// Where e-mail of a subscription may go: nobody who reads there is asked, so that only where the operator says so.
    fn check_mail(&self, endpoint: &str) -> Result<()> {
        let wrong = |why: &str| Error::invalid("ENDPOINT_INVALID", "subscription.endpoint", why);
        let Some(address) = mailed_to(endpoint) else {
            return Err(wrong("must be mailto: and one address, as the format is FORMAT_EMAIL"));
        };
        let Some(smtp) = &self.smtp else {
            let why = "this suite sends no e-mail: notify.smtp.host is not set";
            return Err(Error::precondition("EMAIL_OFF", why));
        };
        if is_ambiguous(address) || email::canonical(address).is_err() {
            return Err(wrong("must be mailto: and one address"));
        }
        if !smtp.names_domain(address) {
            return Err(wrong(if smtp.names_domains() {
                "must be mailto: and one address in one of notify.smtp.domains"
            } else {
                "must be in one of notify.smtp.domains, which has none: have the domain put into it, or let a person \
                 give her own address in her settings"
            }));
        }
        Ok(())
    }

    /// Where may be sent to by HTTP.
    pub(super) fn check_endpoint(&self, endpoint: &str, field: &str) -> Result<()> {
        let wrong = |why: &str| Error::invalid("ENDPOINT_INVALID", field, why);
        if is_ambiguous(endpoint) {
            return Err(wrong("must be a URL without control characters and backslashes"));
        }
        let url = Url::parse(endpoint).map_err(|_| wrong("must be a URL"))?;
        if !(url.scheme() == "https" || self.allow_http && url.scheme() == "http") {
            return Err(wrong("must be an https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must have no user and password: deliveries are signed instead"));
        }
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() || !self.rules.permits_host(host) {
            return Err(wrong("must lead to an address of the open Internet, or one in notify.allow_addresses"));
        }
        Ok(())
    }

    /// Whether the caller may see what is a secret of an endpoint.
    pub(super) fn sees_secrets(&self, cx: &Cx) -> bool {
        self.may(cx, SHARED)
    }

    /// A subscription as the caller may see it: whoever has the URL of a chat can write there, so that those who may change
    /// nothing see its host alone.
    fn shown(&self, cx: &Cx, mut subscription: Subscription) -> Subscription {
        if !self.sees_secrets(cx) {
            subscription.endpoint = host_of(&subscription.endpoint);
        }
        subscription
    }

    /// What may be sent to, and by whom.
    fn check(&self, cx: &Cx, subscription: &Subscription) -> Result<()> {
        Filter::asked(&subscription.filter).map_err(|error| error.within("subscription"))?;
        if subscription.format() == Format::Email {
            self.check_mail(&subscription.endpoint)?;
        } else {
            self.check_endpoint(&subscription.endpoint, "subscription.endpoint")?;
        }
        self.may_read(cx)
    }

    pub(crate) async fn create_subscription(
        &self,
        cx: &Cx,
        request: CreateSubscriptionRequest,
    ) -> Result<Subscription> {
        let name = SubscriptionName::new(name::id(&request.subscription_id, "subscription_id")?).to_string();
        let given = required(request.subscription.clone(), "subscription")?;
        self.mutate(cx, &request, async |m| {
            self.check(cx, &given)?;
            if store::count(m).await? >= MOST {
                let why = format!("there are {MOST} subscriptions, the most of a tenant: delete one first");
                return Err(Error::new(Kind::ResourceExhausted, "SUBSCRIPTIONS_FULL", why));
            }
            let at = Some(stamp(m.now()));
            let mut subscription = Subscription {
                name,
                signing: if given.signing() == Signing::Unspecified { Signing::Hmac.into() } else { given.signing },
                state: SubscriptionState::Paused.into(),
                state_reason: "it has no secret yet".to_owned(),
                owner: cx.actor.subject.clone(),
                uid: m.new_id(),
                resume_time: None,
                create_time: at,
                update_time: at,
                ..given
            };
            Subscriptions::insert(m, &mut subscription).await?;
            record(m, None, Some(&subscription));
            Ok(subscription)
        })
        .await
    }

    pub(crate) async fn get_subscription(&self, cx: &Cx, request: GetSubscriptionRequest) -> Result<Subscription> {
        SubscriptionName::parse(&request.name, "name")?;
        self.ready(&cx.tenant).await?;
        let found = Subscriptions::get(&mut self.db.read().await?, &cx.tenant, &request.name).await?;
        Ok(self.shown(cx, found))
    }

    pub(crate) async fn list_subscriptions(
        &self,
        cx: &Cx,
        request: ListSubscriptionsRequest,
    ) -> Result<ListSubscriptionsResponse> {
        self.ready(&cx.tenant).await?;
        let (found, next_page_token) = Subscriptions::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        let subscriptions = found.into_iter().map(|subscription| self.shown(cx, subscription)).collect();
        Ok(ListSubscriptionsResponse { subscriptions, next_page_token })
    }

    pub(crate) async fn update_subscription(
        &self,
        cx: &Cx,
        request: UpdateSubscriptionRequest,
    ) -> Result<Subscription> {
        let given = required(request.subscription.as_ref(), "subscription")?;
        SubscriptionName::parse(&given.name, "subscription.name")?;
        self.mutate(cx, &request, async |m| {
            let before = Subscriptions::claim(m, &given.name).await?;
            etag::check(&given.etag, &before.etag, &before.name)?;
            let Some(mut subscription) = mask::update(&before, given, request.update_mask.as_ref())? else {
                return Ok(before);
            };
            self.check(cx, &subscription)?;
            subscription.owner.clone_from(&cx.actor.subject);
            if subscription.unordered != before.unordered {
                queues::renew(m, &subscription).await?;
            }
            change(m, &before, subscription).await
        })
        .await
    }

    pub(crate) async fn delete_subscription(
        &self,
        cx: &Cx,
        request: DeleteSubscriptionRequest,
    ) -> Result<DeleteSubscriptionResponse> {
        SubscriptionName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let subscription = Subscriptions::claim(m, &request.name).await?;
            etag::check(&request.etag, &subscription.etag, &subscription.name)?;
            store::clear(m, &request.name).await?;
            Subscriptions::delete(m, &request.name).await?;
            record(m, Some(&subscription), None);
            Ok(DeleteSubscriptionResponse {})
        })
        .await
    }

    pub(crate) async fn pause_subscription(&self, cx: &Cx, request: PauseSubscriptionRequest) -> Result<Subscription> {
        SubscriptionName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let before = Subscriptions::claim(m, &request.name).await?;
            if before.state() == SubscriptionState::Paused {
                return Ok(before);
            }
            let (state, state_reason) = (SubscriptionState::Paused.into(), request.reason.clone());
            change(m, &before, Subscription { state, state_reason, ..before.clone() }).await
        })
        .await
    }

    pub(crate) async fn resume_subscription(
        &self,
        cx: &Cx,
        request: ResumeSubscriptionRequest,
    ) -> Result<Subscription> {
        SubscriptionName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let before = Subscriptions::claim(m, &request.name).await?;
            let now = m.now();
            // E-mail is not signed by us.
            if before.format() != Format::Email && secrets::signing(m, &before.name, now).await?.is_empty() {
                let why = format!("{} has no secret to sign with: rotate its secret first", before.name);
                return Err(Error::precondition("SECRET_MISSING", why));
            }
            self.may_read(cx)?;
            if before.state() == SubscriptionState::Active && before.owner == cx.actor.subject {
                return Ok(before);
            }
            queues::renew(m, &before).await?;
            if mailed_to(&before.endpoint).is_some() {
                bounces::trust(m, &before.name).await?;
            }
            let subscription = Subscription {
                state: SubscriptionState::Active.into(),
                state_reason: String::new(),
                owner: cx.actor.subject.clone(),
                resume_time: Some(stamp(now)),
                ..before.clone()
            };
            change(m, &before, subscription).await
        })
        .await
    }

    pub(crate) async fn rotate_secret(&self, cx: &Cx, request: RotateSecretRequest) -> Result<RotateSecretResponse> {
        SubscriptionName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let subscription = Subscriptions::claim(m, &request.name).await?;
            let mut secret = [0; SECRET_BYTES];
            self.ids.fill(&mut secret);
            let (now, end) = (m.now(), m.now().plus(OVERLAP));
            let first = secrets::signing(m, &subscription.name, now).await?.is_empty();
            secrets::add(m, &subscription.name, &secret, end).await?;
            m.record(&subscription.name, |event| {
                let digest = wire::digest(&subscription);
                (event.before_digest, event.after_digest) = (digest.clone(), digest);
                let overlap_end_time = if first { String::new() } else { end.to_string() };
                event.details = SubscriptionChanged { overlap_end_time, ..details(&subscription) }.json();
            });
            let secret = shown(subscription.signing(), &secret)?;
            Ok(RotateSecretResponse { secret, overlap_end_time: Some(stamp(end)) })
        })
        .await
    }

    pub(crate) async fn test_subscription(&self, cx: &Cx, request: TestSubscriptionRequest) -> Result<Delivery> {
        SubscriptionName::parse(&request.name, "name")?;
        self.mutate(cx, &request, async |m| {
            let subscription = Subscriptions::claim(m, &request.name).await?;
            let (now, id) = (m.now(), format!("test-{}", m.new_id()));
            let seen = Seen {
                action: TEST.to_owned(),
                resource: subscription.name.clone(),
                outcome: "SUCCESS",
                service: "notify".to_owned(),
                actor: String::new(),
                actor_kind: "SERVICE",
                details: serde_json::Value::Null,
            };
            let sent =
                Sent { prefix: &self.event_prefix, tenant: &cx.tenant, index: None, id: &id, seen: &seen, at: now };
            let short = name::last(&subscription.name);
            let mut delivery = Delivery {
                name: DeliveryName::new(short, &*id).to_string(),
                entry_index: -1,
                webhook_id: format!("{short}.{id}"),
                action: seen.action.clone(),
                // Tests wait for nothing, not for each other either.
                resource: id.clone(),
                state: DeliveryState::Pending.into(),
                payload: sent.body(subscription.format()),
                next_attempt_time: Some(stamp(now)),
                create_time: Some(stamp(now)),
                start_time: Some(stamp(now)),
                ..Delivery::default()
            };
            Deliveries::insert(m, &mut delivery).await?;
            queues::set(m, &subscription.name, now).await?;
            record(m, Some(&subscription), Some(&subscription));
            Ok(delivery)
        })
        .await
    }
}

/// Saves and records what became of a claimed subscription.
async fn change(m: &mut Mutation, before: &Subscription, mut after: Subscription) -> Result<Subscription> {
    after.update_time = Some(stamp(m.now()));
    Subscriptions::save(m, &mut after).await?;
    record(m, Some(before), Some(&after));
    Ok(after)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::SCHEMA;
    use crate::tests::acme;
    use remit_api::notify::v1::{DeliveryAttempt, GetDeliveryRequest, ListDeliveriesRequest};
    use remit_core::{Actor, ActorKind};
    use remit_store::testing::TestDb;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_subscription_shows_no_more_than_its_owner_may_see() {
        let database = TestDb::sqlite().unwrap();
        let mut service = Service::on(database.open(&SCHEMA).await.unwrap(), &[]).unwrap();
        let role = |name: &str, grants: &[&str]| (name.to_owned(), grants.iter().map(|&it| it.to_owned()).collect());
        service.roles =
            Arc::new(BTreeMap::from([role("integrator", &["notify.*"]), role("reader", &["audit.entries.search"])]));
        let cx = |method: &'static str, roles: &[&str]| Cx {
            tenant: acme(),
            actor: Actor {
                subject: "ann".into(),
                kind: ActorKind::Human,
                roles: roles.iter().map(|&role| role.to_owned()).collect(),
                role_groups: Vec::new(),
                on_behalf_of: None,
            }
            .into(),
            service: None,
            method,
            trace_id: String::new(),
            email: None,
            address: None,
            deadline: None,
        };
        let endpoint = "https://hooks.example/services/secret".to_owned();
        let create = CreateSubscriptionRequest {
            subscription_id: "s".to_owned(),
            subscription: Some(Subscription { endpoint: endpoint.clone(), ..Subscription::default() }),
            ..CreateSubscriptionRequest::default()
        };
        let alone = cx("notify.subscriptions.create", &["integrator"]);
        let refused = service.create_subscription(&alone, create.clone()).await.unwrap_err();
        assert_eq!(refused.reason(), "OWNER_MAY_NOT_READ");
        let both = cx("notify.subscriptions.create", &["integrator", "reader"]);
        let name = service.create_subscription(&both, create).await.unwrap().name;
        let rotate = RotateSecretRequest { name: name.clone(), ..RotateSecretRequest::default() };
        service.rotate_secret(&cx("notify.subscriptions.rotate", &["integrator"]), rotate).await.unwrap();
        let resume = ResumeSubscriptionRequest { name: name.clone(), ..ResumeSubscriptionRequest::default() };
        let resumed = service.resume_subscription(&cx("notify.subscriptions.resume", &["integrator"]), resume).await;
        assert_eq!(resumed.unwrap_err().reason(), "OWNER_MAY_NOT_READ");
        // Whoever may change nothing does not see what else is in the URL.
        let get = GetSubscriptionRequest { name };
        let seen = service.get_subscription(&cx("notify.subscriptions.get", &["reader"]), get.clone()).await.unwrap();
        assert_eq!(seen.endpoint, "https://hooks.example/…");
        let seen = service.get_subscription(&cx("notify.subscriptions.get", &["integrator"]), get).await.unwrap();
        assert_eq!(seen.endpoint, endpoint);
        // Nor what was answered, which may repeat the URL in another form; and what is over is tried no more.
        let attempt = DeliveryAttempt {
            status: 500,
            answer: "secret".to_owned(),
            error: "REFUSED".to_owned(),
            ..Default::default()
        };
        let delivery = |id: i64, state: DeliveryState| Delivery {
            name: format!("subscriptions/s/deliveries/{id}"),
            entry_index: id,
            state: state.into(),
            latest_attempts: vec![attempt.clone()],
            next_attempt_time: Some(stamp(remit_core::Timestamp(1_000_000))),
            create_time: Some(stamp(remit_core::Timestamp(0))),
            ..Delivery::default()
        };
        let kept = async |m: &mut Mutation| {
            for (id, state) in [(1, DeliveryState::Pending), (2, DeliveryState::Delivered), (3, DeliveryState::Dead)] {
                Deliveries::insert(m, &mut delivery(id, state)).await?;
            }
            Ok(())
        };
        service.db.own(&acme(), "notify.test", kept).await.unwrap();
        for (role, answer) in [("reader", ""), ("integrator", "secret")] {
            let list = ListDeliveriesRequest { parent: "subscriptions/s".to_owned(), ..Default::default() };
            let all = service.list_deliveries(&cx("notify.deliveries.list", &[role]), list).await.unwrap().deliveries;
            assert_eq!(all.len(), 3);
            for shown in all {
                let get = GetDeliveryRequest { name: shown.name.clone() };
                let alone = service.get_delivery(&cx("notify.deliveries.get", &[role]), get).await.unwrap();
                assert_eq!(alone, shown);
                let tried = &shown.latest_attempts[0];
                assert_eq!(
                    (tried.status, tried.error.as_str(), tried.answer.as_str()),
                    (500, "REFUSED", answer),
                    "{role}"
                );
                assert_eq!(shown.next_attempt_time.is_some(), shown.state() == DeliveryState::Pending, "{shown:?}");
            }
        }
    }

    #[test]
    fn an_endpoint_is_read_alike_by_all() {
        for (endpoint, address) in [
            ("mailto:a@example.com", Some("a@example.com")),
            ("mailto://a@example.com", None),
            ("mailto:/a@example.com", None),
            ("mailto:a@example.com?bcc=b@example.com", None),
            ("https://example.com/", None),
        ] {
            assert_eq!(mailed_to(endpoint), address, "{endpoint}");
        }
        for endpoint in [
            "https://a.example\\@b.example/",
            "https://a.example/\n",
            "https://a.\texample/",
            "mailto:a\u{7f}@b.example",
        ] {
            assert!(is_ambiguous(endpoint), "{endpoint:?}");
        }
        assert!(!is_ambiguous("https://a.example/b%0A?c=d"));
    }
}
