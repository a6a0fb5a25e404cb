//! Functions and audit windows.

use super::Scoring;
use crate::{convert, store};
use remit_api::scoring::v1 as api;
use remit_core::{Error, Kind, Result, Tenant, name};
use remit_runtime::{Started, begin, finish};
use remit_store::{Call, page};

const SETTABLE: [&str; 11] = [
    "title",
    "compressible",
    "tooling_adopted",
    "senior_strategy_role",
    "market_premium",
    "maturity",
    "execution_kind",
    "status",
    "evidence_level",
    "strategy_owner",
    "notes",
];

/// Sets what the service sets.
pub(crate) fn finish_function(function: &mut api::Function, revision: i64) {
    let verdict = match convert::verdict(function) {
        "HIGH" => api::Suitability::High,
        "MEDIUM" => api::Suitability::Medium,
        _ => api::Suitability::Low,
    };
    function.set_suitability(verdict);
    function.etag = convert::etag(revision);
}

impl Scoring {
    pub(crate) async fn get_function(&self, tenant: &Tenant, function_name: &str) -> Result<api::Function> {
        self.seed(tenant).await?;
        let [id] = name::ids::<1>(function_name, "functions/*", "name")?;
        let found = store::functions::find(&mut self.db.read().await?, tenant, id).await?;
        let (function, _) = found.ok_or_else(|| Error::not_found("FUNCTION_NOT_FOUND", function_name))?;
        Ok(function)
    }

    pub(crate) async fn list_functions(
        &self,
        tenant: &Tenant,
        request: &api::ListFunctionsRequest,
    ) -> Result<api::ListFunctionsResponse> {
        self.seed(tenant).await?;
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(tenant, "scoring.functions.list", &[]);
        let after = keyset.after(&request.page_token)?;
        let rows = store::functions::list(&mut self.db.read().await?, tenant, after.as_deref(), size + 1).await?;
        let id = |function: &api::Function| function.name.strip_prefix("functions/").unwrap_or_default().to_owned();
        let (functions, next_page_token) = keyset.cut(rows, size, |function| vec![id(function).into()]);
        Ok(api::ListFunctionsResponse { functions, next_page_token })
    }

    pub(crate) async fn update_function(
        &self,
        call: &Call,
        request: api::UpdateFunctionRequest,
    ) -> Result<api::Function> {
        self.seed(&call.tenant).await?;
        let given = request.function.unwrap_or_default();
        let [id] = name::ids::<1>(&given.name, "functions/*", "function.name")?;
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        if let Some(unknown) = paths.iter().find(|path| *path != "*" && !SETTABLE.contains(&path.as_str())) {
            let text = format!("{unknown} cannot be set; a caller may set {}", SETTABLE.join(", "));
            return Err(Error::invalid("UPDATE_MASK_INVALID", "update_mask", text));
        }
        let mut mutation = match begin(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        let head = store::claim(mutation.tx(), &call.tenant, 1, 1).await?;
        let before = store::functions::find(mutation.tx(), &call.tenant, id).await?;
        if before.is_none() && !request.allow_missing {
            return Err(Error::not_found("FUNCTION_NOT_FOUND", &given.name));
        }
        let etag = before.as_ref().map(|(function, _)| function.etag.clone()).unwrap_or_default();
        if !given.etag.is_empty() && given.etag != etag {
            let text = format!("{} has changed since etag {}: read it again", given.name, given.etag);
            return Err(Error::new(Kind::Conflict, "ETAG_MISMATCH", text));
        }
        let mut function = before.as_ref().map(|(function, _)| function.clone()).unwrap_or_default();
        function.name.clone_from(&given.name);
        merge(&mut function, &given, &paths);
        function.update_time = Some(convert::time(call.now));
        finish_function(&mut function, head.settings_revision);
        let digest = convert::function_digest(Some(&function))?;
        store::functions::put(mutation.tx(), &call.tenant, id, &digest, head.settings_revision, &function).await?;
        let before_digest = before.map(|(_, digest)| digest).unwrap_or_default();
        let mut reopened = 0;
        if before_digest != digest {
            store::decisions::end_function(mutation.tx(), &call.tenant, id, call.now).await?;
            reopened = store::tasks::reopen(mutation.tx(), &call.tenant, id, head.revision).await?;
        }
        let mut event = mutation.event(call.method, &function.name);
        event.before_digest = before_digest;
        event.after_digest = digest;
        event.details = serde_json::json!({"tasks_reopened": reopened});
        mutation.record(event);
        let answer = finish(mutation, function).await?;
        self.caches.refresh(&call.tenant).await;
        Ok(answer)
    }

    pub(crate) async fn create_audit_window(
        &self,
        call: &Call,
        request: api::CreateAuditWindowRequest,
    ) -> Result<api::AuditWindow> {
        const DAY: i64 = 86_400_000_000;
        let mut window = request.audit_window.unwrap_or_default();
        let micros = |at: &Option<prost_types::Timestamp>| at.as_ref().map_or(0, |at| convert::timestamp(at).micros());
        let length = micros(&window.end_time) - micros(&window.start_time);
        if !(DAY..=92 * DAY).contains(&length) {
            let text = "must be 1 to 92 days after start_time";
            return Err(Error::invalid("AUDIT_WINDOW_TIMES", "audit_window.end_time", text));
        }
        let mut mutation = match begin(&self.db, call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(mutation) => mutation,
        };
        window.name = format!("auditWindows/{}", request.audit_window_id);
        (window.tasks, window.tagged) = (0, 0);
        window.create_time = Some(convert::time(call.now));
        let id = &request.audit_window_id;
        if !store::functions::insert_window(mutation.tx(), &call.tenant, id, &window).await? {
            let text = format!("{} exists", window.name);
            return Err(Error::new(Kind::AlreadyExists, "AUDIT_WINDOW_EXISTS", text));
        }
        mutation.record(mutation.event(call.method, &window.name));
        finish(mutation, window).await
    }

    pub(crate) async fn list_audit_windows(
        &self,
        tenant: &Tenant,
        request: &api::ListAuditWindowsRequest,
    ) -> Result<api::ListAuditWindowsResponse> {
        let size = page::size(request.page_size)?;
        let keyset = self.db.keyset(tenant, "scoring.audit_windows.list", &[]);
        let after = keyset.after(&request.page_token)?;
        let rows =
            store::functions::list_windows(&mut self.db.read().await?, tenant, after.as_deref(), size + 1).await?;
        let id = |window: &api::AuditWindow| window.name.strip_prefix("auditWindows/").unwrap_or_default().to_owned();
        let (audit_windows, next_page_token) = keyset.cut(rows, size, |window| vec![id(window).into()]);
        Ok(api::ListAuditWindowsResponse { audit_windows, next_page_token })
    }
}

fn merge(function: &mut api::Function, given: &api::Function, paths: &[String]) {
    let every = paths.is_empty() || paths.iter().any(|path| path == "*");
    let named = |path: &str| every || paths.iter().any(|other| other == path);
    if named("title") {
        function.title.clone_from(&given.title);
    }
    if named("compressible") {
        function.compressible = given.compressible;
    }
    if named("tooling_adopted") {
        function.tooling_adopted = given.tooling_adopted;
    }
    if named("senior_strategy_role") {
        function.senior_strategy_role = given.senior_strategy_role;
    }
    if named("market_premium") {
        function.market_premium = given.market_premium;
    }
    if named("maturity") {
        function.maturity = given.maturity;
    }
    if named("execution_kind") {
        function.execution_kind = given.execution_kind;
    }
    if named("status") {
        function.status = given.status;
    }
    if named("evidence_level") {
        function.evidence_level = given.evidence_level;
    }
    if named("strategy_owner") {
        function.strategy_owner.clone_from(&given.strategy_owner);
    }
    if named("notes") {
        function.notes.clone_from(&given.notes);
    }
}
