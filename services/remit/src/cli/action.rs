//! `remit action`: what people have to do because of a review, an incident or a bypassed hold.

use super::Group;
use super::connect::Session;
use super::list::{ListArgs, Page};
use super::output::Column;
use super::values::{named, time};
use clap::Subcommand;
use remit_api::council::v1::action_item_service_client::ActionItemServiceClient;
use remit_api::council::v1::{
    ActionItem, CloseActionItemRequest, CreateActionItemRequest, GetActionItemRequest, ListActionItemsRequest,
};
use remit_core::Result;

/// What to do with action items.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List action items, such as those with 'state = "OPEN"'.
    List(ListArgs),
    /// Show an action item.
    Show {
        /// The action item.
        name: String,
    },
    /// Give somebody something to do.
    Create {
        /// The id of the action item.
        id: String,
        /// What.
        title: String,
        /// The person who sees to it.
        #[arg(long)]
        owner: String,
        /// By when, such as 2026-07-21.
        #[arg(long)]
        due: String,
        /// What it comes from, such as reviews/steering-group-2026-06.
        #[arg(long, default_value = "")]
        origin: String,
        /// More about it.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Close an action item.
    Close {
        /// The action item.
        name: String,
        /// What came of it.
        #[arg(long)]
        note: String,
        /// It was dropped and not done.
        #[arg(long)]
        dropped: bool,
    },
}

const COLUMNS: &[Column] = &[
    ("ACTION", "name", "actionItems/"),
    ("TITLE", "title", ""),
    ("STATE", "state", "ACTION_ITEM_STATE_"),
    ("OWNER", "owner", ""),
    ("DUE", "dueTime", ""),
    ("CARRIED", "timesCarried", ""),
    ("FROM", "origin", ""),
];

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = ActionItemServiceClient::new(session.wire());
    let request_id = session.request_id();
    match group.command {
        Command::List(list) => {
            session
                .list(list, COLUMNS, async |page: Page| {
                    let request =
                        ListActionItemsRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_action_items(request).await?.into_inner();
                    Ok((page.action_items, page.next_page_token))
                })
                .await
        }
        Command::Show { name } => {
            let request = GetActionItemRequest { name: named("actionItems", &name) };
            session.show(client.get_action_item(request).await)
        }
        Command::Create { id, title, owner, due, origin, description } => {
            let due_time = Some(time(&due, "due")?);
            let item = ActionItem { title, owner, due_time, origin, description, ..ActionItem::default() };
            let request = CreateActionItemRequest { action_item_id: id, action_item: Some(item), request_id };
            session.row(client.create_action_item(request).await, COLUMNS)
        }
        Command::Close { name, note, dropped } => {
            let request = CloseActionItemRequest { name: named("actionItems", &name), dropped, note, request_id };
            session.row(client.close_action_item(request).await, COLUMNS)
        }
    }
}
