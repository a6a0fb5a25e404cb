//! Aliases of models.

use super::models::{id, not_found, render};
use super::versions::{ids, publish};
use super::{Registry, record};
use crate::convert::{actor, id_field, stamp};
use crate::store::aliases::{self, Owner};
use crate::store::{models, versions};
use remit_api::registry::v1::{
    AliasChange, ListAliasHistoryRequest, ListAliasHistoryResponse, Model, SetModelAliasRequest,
};
use remit_core::lifecycle::State;
use remit_core::{Error, Kind, Result};
use remit_runtime::{Cx, Started};
use remit_store::Mutation;

/// One setting of an alias or label. The owner's row must be locked.
pub(crate) struct Change<'a> {
    /// Whose alias.
    pub owner: Owner<'a>,
    /// Which.
    pub alias: &'a str,
    /// The id of the version to point at; `None` to clear it.
    pub version: Option<&'a str>,
    /// The proposal behind it; empty if none.
    pub proposal: &'a str,
    /// Why.
    pub reason: &'a str,
}

impl Change<'_> {
    /// Makes the change and adds it to the history; returns it.
    pub async fn make(self, m: &mut Mutation) -> Result<AliasChange> {
        let (tenant, now) = (m.tenant().clone(), m.now());
        let before = aliases::find(m.tx(), &tenant, self.owner, self.alias).await?;
        let name = |id: Option<&str>| id.map(|id| self.owner.version(id)).unwrap_or_default();
        let change = AliasChange {
            parent: self.owner.name(),
            alias: self.alias.to_owned(),
            sequence: before.sequence + 1,
            from_version: name(before.version.as_deref()),
            to_version: name(self.version),
            proposal: self.proposal.to_owned(),
            reason: self.reason.to_owned(),
            actor: Some(actor(m.actor())),
            record_time: Some(stamp(now)),
        };
        aliases::put(m.tx(), &tenant, self.owner, self.version, &change, now).await?;
        Ok(change)
    }
}

/// Compares what an alias points at with what the caller expects; an empty expectation is not checked.
///
/// # Errors
/// `Conflict` (`reason`) if they differ.
pub(crate) fn check_expected(reason: &'static str, alias: &str, expected: &str, found: &str) -> Result<()> {
    if expected.is_empty() || expected == found {
        return Ok(());
    }
    let found = if found.is_empty() { "nothing" } else { found };
    Err(Error::new(Kind::Conflict, reason, format!("{alias} points at {found}, not at {expected}; read it again")))
}

impl Registry {
    /// Points an alias at a version.
    pub async fn set_model_alias(&self, cx: &Cx, req: SetModelAliasRequest) -> Result<Model> {
        let model = id(&req.model, "model")?;
        id_field(&req.alias, "alias")?;
        if !req.swap_alias.is_empty() {
            id_field(&req.swap_alias, "swap_alias")?;
        }
        if req.swap_alias == req.alias {
            return Err(Error::invalid("FIELD_NOT_ALLOWED", "swap_alias", "must differ from alias"));
        }
        let (of, version) = ids(&req.version, "version")?;
        if of != model {
            return Err(Error::invalid("NAME_INVALID", "version", format!("must be a version of {}", req.model)));
        }
        let call = cx.call(&req.request_id, &req, &*self.clock);
        let mut m = match remit_runtime::begin(&self.db, &call).await? {
            Started::Replay(answer) => return Ok(answer),
            Started::Fresh(m) => m,
        };
        models::claim(m.tx(), &cx.tenant, model, call.now).await?.ok_or_else(|| not_found(&req.model))?;
        let owner = Owner { collection: "models", id: model };
        let left = aliases::find(m.tx(), &cx.tenant, owner, &req.alias).await?.version;
        let left_name = left.as_deref().map(|id| owner.version(id)).unwrap_or_default();
        check_expected("ALIAS_MOVED", &req.alias, &req.expected_version, &left_name)?;
        self.check_approved(&mut m, model, version).await?;
        let set = |alias, version| Change {
            owner,
            alias,
            version: Some(version),
            proposal: &req.proposal,
            reason: &req.reason,
        };
        let mut changes = vec![set(&req.alias, version).make(&mut m).await?];
        if !req.swap_alias.is_empty() {
            let left = left.as_deref().filter(|left| *left != version).ok_or_else(|| {
                Error::precondition(
                    "NOTHING_TO_SWAP",
                    format!("{} leaves no other version for {}", req.alias, req.swap_alias),
                )
            })?;
            self.check_approved(&mut m, model, left).await?;
            changes.push(set(&req.swap_alias, left).make(&mut m).await?);
        }
        record(&mut m, &req.model, |event| {
            event.model_version.clone_from(&req.version);
            event.reason.clone_from(&req.reason);
            event.details = serde_json::json!({
                "proposal": req.proposal,
                "aliases": changes.iter().map(|change| serde_json::json!({
                    "alias": change.alias, "from": change.from_version, "to": change.to_version,
                })).collect::<Vec<_>>(),
            });
        });
        self.publish_moved(&mut m, &changes).await?;
        let row = models::find(m.tx(), &cx.tenant, model).await?.ok_or_else(|| not_found(&req.model))?;
        remit_runtime::finish(m, render(row)).await
    }

    async fn check_approved(&self, m: &mut Mutation, model: &str, id: &str) -> Result<()> {
        let tenant = m.tenant().clone();
        let name = format!("models/{model}/versions/{id}");
        let row = versions::find(m.tx(), &tenant, model, id).await?;
        match row.ok_or_else(|| super::versions::not_found(&name))?.state {
            State::Approved => Ok(()),
            state => Err(Error::precondition(
                "MODEL_VERSION_NOT_APPROVED",
                format!("{name} is {state}; an alias moves only to an APPROVED version"),
            )),
        }
    }

    /// Tells the watchers about every version that gained or lost an alias, once each.
    async fn publish_moved(&self, m: &mut Mutation, changes: &[AliasChange]) -> Result<()> {
        let mut names: Vec<&str> =
            changes.iter().flat_map(|c| [c.from_version.as_str(), c.to_version.as_str()]).collect();
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            let (model, id) = ids(name, "version")?;
            publish(m, model, id).await?;
        }
        Ok(())
    }

    /// Lists what a model's aliases have pointed at.
    pub async fn list_alias_history(&self, cx: &Cx, req: ListAliasHistoryRequest) -> Result<ListAliasHistoryResponse> {
        let model = id(&req.parent, "parent")?;
        let pager = self.pager(cx, &[&req.parent, &req.alias], req.page_size, &req.page_token)?;
        let mut tx = self.db.snapshot().await?;
        models::find(&mut tx, &cx.tenant, model).await?.ok_or_else(|| not_found(&req.parent))?;
        let owner = Owner { collection: "models", id: model };
        let rows = aliases::history(&mut tx, &cx.tenant, owner, &req.alias, &pager.window).await?;
        let (rows, next_page_token) = pager.cut(rows, aliases::key);
        Ok(ListAliasHistoryResponse { changes: rows.into_iter().map(|(_, change)| change).collect(), next_page_token })
    }
}
