//! E-mail that came back.

use super::{Service, mailed_to, stop};
use crate::people::bounces::{self, Path};
use crate::store::bounces as store;
use crate::store::messages::EMAIL;
use crate::store::settings::Settings;
use crate::store::subscriptions::Subscriptions;
use remit_api::notify::v1::{BounceOutcome, ReportBounceRequest, ReportBounceResponse, SubscriptionState};
use remit_core::details::{BounceReported, Details as _};
use remit_core::{Error, Result};
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
            let made = |(resource, address): &(String, String)| {
                let path = Path { tenant: &cx.tenant, resource, address };
                let key = key.as_deref().unwrap_or_default();
                report.tokens.iter().any(|token| path.made(token, key, now))
            };
            let Some((resource, address)) = reached.into_iter().find(made) else {
                let why = "it came back to no return path that was used within seven days for an address that is still \
                           set: nothing follows from it";
                return Err(Error::precondition("BOUNCE_UNKNOWN", why));
            };
            if report.is_final {
                self.came_back(m, &resource, &address, &report.status).await?;
            }
            let details = BounceReported { status: report.status.clone(), is_final: report.is_final };
            m.record(&resource, |event| event.details = details.json());
            let outcome = if report.is_final { BounceOutcome::Broken } else { BounceOutcome::Passing };
            Ok(ReportBounceResponse { outcome: outcome.into(), status: report.status.clone(), resource })
        })
        .await
    }

    /// Breaks what mail came back from for good, unless it leads elsewhere by now.
    async fn came_back(&self, m: &mut Mutation, resource: &str, address: &str, status: &str) -> Result<()> {
        if let Some(mut settings) = Settings::try_claim(m, resource).await? {
            return self.breaks(m, &mut settings, EMAIL, address, &format!("mail to it came back ({status})")).await;
        }
        if let Some(subscription) = Subscriptions::try_claim(m, resource).await?
            && subscription.state() != SubscriptionState::Broken
            && mailed_to(&subscription.endpoint) == Some(address)
        {
            stop(m, &subscription, &format!("mail to its address came back ({status})")).await?;
        }
        Ok(())
    }
}
