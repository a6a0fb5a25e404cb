//! Functions.

use super::Service;
use crate::store::functions::Functions;
use crate::{function, store};
use remit_api::scoring::v1 as api;
use remit_api::wire::{mask, required_text};
use remit_core::details::{Details as _, FunctionUpdated};
use remit_core::name::FunctionName;
use remit_core::strictness::Comparison;
use remit_core::{Error, Result, etag};
use remit_runtime::{Cx, mandates};
use remit_store::Records as _;

/// The act by which a function becomes looser.
const LOOSEN: &str = "loosen_rules";

/// Checks a function that is new: what an update does not name has not been checked.
fn complete(function: &api::Function) -> Result<()> {
    required_text(&function.title, "function.title")?;
    if function.status() == api::FunctionStatus::Unspecified {
        return Err(Error::invalid("FIELD_REQUIRED", "function.status", "is required"));
    }
    Ok(())
}

/// What the log says of a change.
fn updated(tasks_reopened: i64, change: &Comparison, proposal: String) -> FunctionUpdated {
    let (change, loosened) = (change.direction().as_str().to_owned(), change.loosened().to_vec());
    FunctionUpdated { tasks_reopened, seed: false, change, loosened, proposal }
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
                let mandate = self.mandates.shown(m, LOOSEN, &request).await?;
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
                // Nothing was decided by a function that was not there.
                let change = before.as_ref().map(|before| function::compare(before, &function)).unwrap_or_default();
                mandates::allow(m, LOOSEN, &given.name, &change, mandate.as_ref())?;
                if mandate.is_some() {
                    function.mandate.clone_from(&request.mandate);
                }
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
                    let proposal = mandate.map(|mandate| mandate.sub).unwrap_or_default();
                    event.details = updated(tasks_reopened, &change, proposal).json();
                });
                Ok(function)
            })
            .await?;
        self.caches.refresh(&cx.tenant).await;
        Ok(updated)
    }
}
