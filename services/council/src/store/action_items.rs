//! Action items.

use super::CREATE_TIME;
use crate::time::at;
use remit_api::council::v1::{ActionItem, ActionItemState};
use remit_api::wire::Word as _;
use remit_core::Timestamp;
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Records, Value};

pub(crate) struct ActionItems;

impl Records for ActionItems {
    type Message = ActionItem;
    const TABLE: &'static str = "action_items";
    const NOT_FOUND: &'static str = "ACTION_ITEM_NOT_FOUND";
    const EXISTS: &'static str = "ACTION_ITEM_EXISTS";
    const SORT: &'static [Key] = &[Key::Int("due_time")];
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", ActionItemState::WORDS),
        Field::text("owner", "owner").subjects(),
        Field::text("origin", "origin"),
        Field::timestamp("due_time", "due_time"),
        CREATE_TIME,
    ];

    fn name(item: &ActionItem) -> &str {
        &item.name
    }
    fn create_time(item: &ActionItem) -> Timestamp {
        at(&item.create_time)
    }
    fn columns(item: &ActionItem) -> Vec<(&'static str, Value)> {
        vec![
            ("state", item.state().word().into()),
            ("owner", (&item.owner).into()),
            ("origin", (&item.origin).into()),
            ("due_time", at(&item.due_time).into()),
        ]
    }
    fn set_etag(item: &mut ActionItem, etag: String) {
        item.etag = etag;
    }
}
