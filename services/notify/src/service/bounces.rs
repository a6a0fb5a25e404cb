//! E-mail that came back.

use super::{Service, mailed_to, stop};
use crate::people::bounces::{self, GOOD, Path};
use crate::store::bounces as store;
use crate::store::messages::EMAIL;
use crate::store::settings::Settings;
use crate::store::subscriptions::Subscriptions;
use remit_api::notify::v1::{BounceOutcome, ReportBounceRequest, ReportBounceResponse, SubscriptionState};
use remit_core::details::{BounceReported, Details as _};
use remit_core::{Error, Result, Timestamp};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _};

impl Service {
    pub(crate) async fn report_bounce(&self, cx: &Cx, request: ReportBounceRequest) -> Result<ReportBounceResponse> {
        let report = bounces::read(&request.message, &request.recipient).ok_or_else(|| {
            let why = "must be a delivery status notification (RFC 3464): other mail to a return path says nothing";
            Error::invalid("BOUNCE_INVALID", "message", why)
        })?;
        let key = self.known_link_key(&cx.tenant).await?;
        self.mutate(cx, &request, async |m| {
            let now = m.now();
            // Without a key nothing was ever sent.
            let reached = if key.is_some() { store::reached(m).await? } else { Vec::new() };
            let made = |(resource, address): (String, String)| {
                let path = Path { tenant: &cx.tenant, resource: &resource, address: &address };
                let key = key.as_deref().unwrap_or_default();
                let made = report.tokens.iter().filter_map(|token| path.made(token, key, now)).max()?;
                Some((resource, address, made))
            };
            let Some((resource, address, made)) = reached.into_iter().find_map(made) else {
                let why = "it came back to no return path that was used within seven days for an address that is still \
                           set: nothing follows from it";
                return Err(Error::precondition("BOUNCE_UNKNOWN", why));
            };
            let (outcome, owner) = if report.is_final {
                self.came_back(m, (&resource, &address), made, &report.status).await?
            } else {
                (BounceOutcome::Passing, String::new())
            };
            let details = BounceReported { status: report.status.clone(), is_final: report.is_final, owner };
            m.record(&resource, |event| event.details = details.json());
            Ok(ReportBounceResponse { outcome: outcome.into(), status: report.status.clone(), resource })
        })
        .await
    }

    /// What follows for an address that an e-mail, made at `made`, came back from for good, and who is to hear of a doubt.
    /// Whoever has read one e-mail with all its headers can say that it came back: so the first puts the address in doubt
    /// and breaks nothing, and one that was made after it was said breaks it. What tells of the doubt is such an e-mail.
    async fn came_back(
        &self,
        m: &mut Mutation,
        (resource, address): (&str, &str),
        made: Timestamp,
        status: &str,
    ) -> Result<(BounceOutcome, String)> {
        let settings = Settings::try_claim(m, resource).await?;
        let subscription = if settings.is_none() { Subscriptions::try_claim(m, resource).await? } else { None };
        let is_broken = settings.as_ref().is_some_and(|it| !it.email_problem.is_empty())
            || subscription.as_ref().is_some_and(|it| it.state() == SubscriptionState::Broken);
        if is_broken {
            return Ok((BounceOutcome::Broken, String::new()));
        }
        let now = m.now();
        let doubted = store::doubted(m, resource).await?.filter(|since| now.since(*since) < GOOD);
        let Some(since) = doubted else {
            store::doubt(m, resource).await?;
            let owner = settings.map(|it| it.owner).or(subscription.map(|it| it.owner));
            return Ok((BounceOutcome::Doubted, owner.unwrap_or_default()));
        };
        if made <= since {
            return Ok((BounceOutcome::Doubted, String::new()));
        }
        if let Some(mut settings) = settings {
            self.breaks(m, &mut settings, EMAIL, address, &format!("mail to it came back ({status})")).await?;
        } else if let Some(subscription) = subscription.filter(|it| mailed_to(&it.endpoint) == Some(address)) {
            stop(m, &subscription, &format!("mail to its address came back ({status})")).await?;
        }
        Ok((BounceOutcome::Broken, String::new()))
    }
}
