//! Action items.

use super::{Service, insert, save};
use crate::seat;
use crate::store::{ActionItems, BreakGlassUses, CONSTITUTION, Constitutions, seats};
use crate::time::days;
use remit_api::council::v1::{
    ActionItem, ActionItemState, CloseActionItemRequest, CreateActionItemRequest, GetActionItemRequest,
    ListActionItemsRequest, ListActionItemsResponse, UpdateActionItemRequest,
};
use remit_api::types;
use remit_api::wire::time::stamp;
use remit_api::wire::{self, mask, required};
use remit_core::authority::STEERING_GROUP;
use remit_core::details::{ActionItemChanged, ActionItemCreated, Details as _};
use remit_core::name::ActionItemName;
use remit_core::{Error, Result, etag, name};
use remit_runtime::Cx;
use remit_store::{Mutation, Records as _};

fn check_open(item: &ActionItem) -> Result<()> {
    if item.state() == ActionItemState::Open {
        return Ok(());
    }
    Err(Error::precondition("ACTION_ITEM_CLOSED", format!("{} is closed", item.name)))
}

/// Writes that an item is done or dropped.
pub(super) fn close(m: &Mutation, item: &mut ActionItem, state: ActionItemState, note: &str) {
    let now = Some(stamp(m.now()));
    item.state = state.into();
    note.clone_into(&mut item.close_note);
    item.closer = Some(wire::actor(m.actor()));
    (item.close_time, item.update_time) = (now, now);
}

fn due(item: &ActionItem) -> String {
    item.due_time.as_ref().map(|due| wire::time::of(due).to_string()).unwrap_or_default()
}

fn created(item: &ActionItem, kind: &str) -> serde_json::Value {
    let (origin, owner) = (item.origin.clone(), item.owner.clone());
    ActionItemCreated { origin, kind: kind.to_owned(), owner, due_time: due(item) }.json()
}

/// Creates an item that follows from something else, due within so many days; returns its name. `kind` is what the
/// emergency change did that it reviews, and empty for any other item.
pub(super) async fn plan(m: &mut Mutation, kind: &str, within: u64, item: ActionItem) -> Result<String> {
    let now = m.now();
    let name = if item.name.is_empty() { ActionItemName::new(m.new_id()).to_string() } else { item.name.clone() };
    let mut item = ActionItem {
        name,
        due_time: Some(stamp(now.plus(days(within)))),
        state: ActionItemState::Open.into(),
        create_time: Some(stamp(now)),
        update_time: Some(stamp(now)),
        ..item
    };
    ActionItems::insert(m, &mut item).await?;
    let mut event = m.event("council.actionItems.create", &item.name);
    event.details = created(&item, kind);
    m.record_event(event);
    Ok(item.name)
}

/// Refuses to close what only a review may close, and what those close whom it is about.
///
/// # Errors
/// `FailedPrecondition` (`BREAK_GLASS_ITEM`) for the item of a break-glass use that nobody has reviewed;
/// `PermissionDenied` for that of a recovery: `OWN_RECOVERY` for those who did it, `NOT_ELIGIBLE` without a seat in the
/// steering group.
async fn check_closer(m: &mut Mutation, cx: &Cx, item: &ActionItem) -> Result<()> {
    if item.origin.starts_with("breakGlassUses/") {
        let used = BreakGlassUses::find(m.tx(), &cx.tenant, &item.origin).await?;
        if let Some(used) = used.filter(|used| used.action_item == item.name && used.review_time.is_none()) {
            let message = format!("{} is closed by the review of {}: call ReviewBreakGlass", item.name, used.name);
            return Err(Error::precondition("BREAK_GLASS_ITEM", message));
        }
    }
    if item.origin != CONSTITUTION {
        return Ok(());
    }
    let kept = Constitutions::find(m.tx(), &cx.tenant, CONSTITUTION).await?.unwrap_or_default();
    let Some(recovery) = kept.recoveries.iter().find(|one| one.action_item == item.name) else { return Ok(()) };
    let did = |actor: Option<&types::Actor>| actor.is_some_and(|actor| actor.subject == cx.actor.subject);
    if did(recovery.asker.as_ref()) || did(recovery.confirmer.as_ref()) {
        return Err(Error::denied("OWN_RECOVERY", "another person must say whether the recovery was justified"));
    }
    let seats = seats(m.tx(), &cx.tenant, STEERING_GROUP).await?;
    seat::acting(&cx.actor, STEERING_GROUP, &seats, &[], m.now()).map(drop)
}

impl Service {
    pub(crate) async fn create_action_item(&self, cx: &Cx, request: CreateActionItemRequest) -> Result<ActionItem> {
        let name = ActionItemName::new(name::id(&request.action_item_id, "action_item_id")?).to_string();
        let given = required(request.action_item.clone(), "action_item")?;
        let create = async |m: &mut Mutation| {
            let now = Some(stamp(m.now()));
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
            let details = created(&item, "");
            insert::<ActionItems>(m, &mut item, |event| event.details = details).await?;
            Ok(item)
        };
        self.mutate(cx, &request, create).await
    }

    pub(crate) async fn get_action_item(&self, cx: &Cx, request: GetActionItemRequest) -> Result<ActionItem> {
        ActionItemName::parse(&request.name, "name")?;
        self.get::<ActionItems>(cx, &request.name).await
    }

    pub(crate) async fn list_action_items(
        &self,
        cx: &Cx,
        request: ListActionItemsRequest,
    ) -> Result<ListActionItemsResponse> {
        let (action_items, next_page_token) = self.list::<ActionItems>(cx, cx.page(&request)).await?;
        Ok(ListActionItemsResponse { action_items, next_page_token })
    }

    pub(crate) async fn update_action_item(&self, cx: &Cx, request: UpdateActionItemRequest) -> Result<ActionItem> {
        let given = required(request.action_item.as_ref(), "action_item")?;
        ActionItemName::parse(&given.name, "action_item.name")?;
        let update = async |m: &mut Mutation| {
            let before = ActionItems::claim(m, &given.name).await?;
            etag::check(&given.etag, &before.etag, &before.name)?;
            check_open(&before)?;
            let Some(mut item) = mask::update(&before, given, request.update_mask.as_ref())? else {
                return Ok(before);
            };
            item.update_time = Some(stamp(m.now()));
            let details = ActionItemChanged { owner: item.owner.clone(), due_time: due(&item) };
            save::<ActionItems>(m, &before, &mut item, |event| event.details = details.json()).await?;
            Ok(item)
        };
        self.mutate(cx, &request, update).await
    }

    pub(crate) async fn close_action_item(&self, cx: &Cx, request: CloseActionItemRequest) -> Result<ActionItem> {
        ActionItemName::parse(&request.name, "name")?;
        let state = if request.dropped { ActionItemState::Dropped } else { ActionItemState::Done };
        let work = async |m: &mut Mutation| {
            let before = ActionItems::claim(m, &request.name).await?;
            check_open(&before)?;
            check_closer(m, cx, &before).await?;
            let mut item = before.clone();
            close(m, &mut item, state, &request.note);
            save::<ActionItems>(m, &before, &mut item, |event| event.reason.clone_from(&request.note)).await?;
            Ok(item)
        };
        self.mutate(cx, &request, work).await
    }
}
