//! Functions.

use super::Service;
use crate::store::functions::Functions;
use crate::{function, store};
use remit_api::scoring::v1 as api;
use remit_api::wire::{mask, required_text};
use remit_core::details::{Details as _, FunctionUpdated};
use remit_core::name::FunctionName;
use remit_core::{Error, Result, etag};
use remit_runtime::Cx;
use remit_store::Records as _;

/// Checks a function that is new: what an update does not name has not been checked.
fn complete(function: &api::Function) -> Result<()> {
    required_text(&function.title, "function.title")?;
    if function.status() == api::FunctionStatus::Unspecified {
        return Err(Error::invalid("FIELD_REQUIRED", "function.status", "is required"));
    }
    Ok(())
}

impl Service {
    pub(crate) async fn get_function(&self, cx: &Cx, request: api::GetFunctionRequest) -> Result<api::Function> {
        self.seed(&cx.tenant).await?;
        FunctionName::parse(&request.name, "name")?;
        Functions::get(&mut self.db.read().await?, &cx.tenant, &request.name).await
    }

    pub(crate) async fn list_functions(
        &self,
        cx: &Cx,
        request: api::ListFunctionsRequest,
    ) -> Result<api::ListFunctionsResponse> {
        self.seed(&cx.tenant).await?;
        let (functions, next_page_token) = Functions::list(&self.db, &cx.tenant, cx.page(&request)).await?;
        Ok(api::ListFunctionsResponse { functions, next_page_token })
    }

    pub(crate) async fn update_function(&self, cx: &Cx, request: api::UpdateFunctionRequest) -> Result<api::Function> {
        let given = request.function.clone().unwrap_or_default();
        FunctionName::parse(&given.name, "function.name")?;
        let updated = self
            .mutate(cx, &request, async |m| {
                let (tenant, head) = (m.tenant().clone(), store::claim(m, 1, 1).await?);
                let before = Functions::try_claim(m, &given.name).await?;
                if before.is_none() && !request.allow_missing {
                    return Err(Error::not_found(Functions::NOT_FOUND, &given.name));
                }
                etag::check(&given.etag, before.as_ref().map_or("", |before| before.etag.as_str()), &given.name)?;
                let current =
                    before.clone().unwrap_or_else(|| api::Function { name: given.name.clone(), ..Default::default() });
                // Of what is created everything counts (AIP-134).
                let mask = request.update_mask.as_ref().filter(|_| before.is_some());
                let mut function = match mask::update(&current, &given, mask)? {
                    Some(function) => function,
                    None if before.is_some() => return Ok(current),
                    None => current,
                };
                function::complete(&mut function, m.now());
                if before.is_some() {
                    Functions::save(m, &mut function).await?;
                } else {
                    complete(&function)?;
                    Functions::insert(m, &mut function).await?;
                }
                let before_digest = before.as_ref().map(function::content_digest).transpose()?.unwrap_or_default();
                let after_digest = function::content_digest(&function)?;
                let mut reopened = 0;
                if before_digest != after_digest {
                    let now = m.now();
                    store::decisions::end_function(m.tx(), &tenant, &function.name, now).await?;
                    reopened = store::tasks::reopen(m.tx(), &tenant, &function.name, head.revision).await?;
                }
                m.record(&function.name, |event| {
                    (event.before_digest, event.after_digest) = (before_digest, after_digest);
                    let tasks_reopened = i64::try_from(reopened).unwrap_or(i64::MAX);
                    event.details = FunctionUpdated { tasks_reopened, seed: false }.json();
                });
                Ok(function)
            })
            .await?;
        self.caches.refresh(&cx.tenant).await;
        Ok(updated)
    }
}
