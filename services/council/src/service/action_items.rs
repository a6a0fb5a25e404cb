//! Action items.

use super::{Council, actor, changed, check_etag, check_name, fresh, masked, new_name, required, some};
use crate::store;
use remit_api::council::v1::{
    ActionItem, ActionItemState, CloseActionItemRequest, CreateActionItemRequest, UpdateActionItemRequest,
};
use remit_core::{Error, Result};
use remit_runtime::{Cx, finish};

fn check_open(item: &ActionItem) -> Result<()> {
    if item.state() == ActionItemState::Open {
        return Ok(());
    }
    Err(Error::precondition("ACTION_ITEM_CLOSED", format!("{} is closed", item.name)))
}

impl Council {
    /// Creates an action item.
    pub async fn create_action_item(&self, cx: &Cx, request: CreateActionItemRequest) -> Result<ActionItem> {
        let name = new_name("actionItems", &request.action_item_id, "action_item_id")?;
        let given = required(request.action_item.clone(), "action_item")?;
        let mut mutation = fresh!(self, cx, request);
        let now = some(mutation.now());
        let mut item = ActionItem {
            name,
            title: given.title,
            description: given.description,
            owner: given.owner,
            due_time: given.due_time,
            origin: given.origin,
            state: ActionItemState::Open.into(),
            create_time: now,
            update_time: now,
            ..ActionItem::default()
        };
        store::insert(mutation.tx(), &cx.tenant, &mut item).await?;
        let mut event = changed(&mutation, &item.name, None, &item);
        event.details = serde_json::json!({"origin": item.origin});
        mutation.record(event);
        finish(mutation, item).await
    }

    /// Changes an open action item.
    pub async fn update_action_item(&self, cx: &Cx, request: UpdateActionItemRequest) -> Result<ActionItem> {
        let given = required(request.action_item.clone(), "action_item")?;
        check_name(&given.name, "actionItems/*", "action_item.name")?;
        let paths = masked(request.update_mask.as_ref(), &["title", "description", "owner", "due_time"])?;
        let mut mutation = fresh!(self, cx, request);
        let before: ActionItem = store::claim(mutation.tx(), &cx.tenant, &given.name).await?;
        check_etag(&before.name, &before.etag, &given.etag)?;
        check_open(&before)?;
        let mut item = before.clone();
        for path in paths {
            match path {
                "title" => item.title.clone_from(&given.title),
                "description" => item.description.clone_from(&given.description),
                "owner" => item.owner.clone_from(&given.owner),
                _ => item.due_time = given.due_time,
            }
        }
        item.update_time = some(mutation.now());
        store::save(mutation.tx(), &cx.tenant, &mut item).await?;
        let event = changed(&mutation, &item.name, Some(&before), &item);
        mutation.record(event);
        finish(mutation, item).await
    }

    /// Closes an action item.
    pub async fn close_action_item(&self, cx: &Cx, request: CloseActionItemRequest) -> Result<ActionItem> {
        check_name(&request.name, "actionItems/*", "name")?;
        let mut mutation = fresh!(self, cx, request);
        let before: ActionItem = store::claim(mutation.tx(), &cx.tenant, &request.name).await?;
        check_open(&before)?;
        let now = some(mutation.now());
        let state = if request.dropped { ActionItemState::Dropped } else { ActionItemState::Done };
        let mut item = ActionItem {
            state: state.into(),
            close_note: request.note.clone(),
            closer: Some(actor(&cx.actor)),
            close_time: now,
            update_time: now,
            ..before.clone()
        };
        store::save(mutation.tx(), &cx.tenant, &mut item).await?;
        let mut event = changed(&mutation, &item.name, Some(&before), &item);
        event.reason = request.note;
        mutation.record(event);
        finish(mutation, item).await
    }
}
