//! `remit handoff`.

use super::Group;
use super::connect::Session;
use super::list::{ListArgs, Page};
use super::output::Column;
use super::values::named;
use clap::Subcommand;
use remit_api::handoff::v1::handoff_service_client::HandoffServiceClient;
use remit_api::handoff::v1::{GetHandoffRequest, ListHandoffsRequest};
use remit_core::Result;

/// What to do with handoffs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List handoffs, such as those with 'state = "IN_REVIEW"'.
    List(ListArgs),
    /// Show a handoff with its variants and reviews.
    Show {
        /// The handoff.
        name: String,
    },
}

const COLUMNS: &[Column] = &[
    ("HANDOFF", "name", "handoffs/"),
    ("TITLE", "displayName", ""),
    ("GATE", "gate", "gates/"),
    ("STATE", "state", "HANDOFF_STATE_"),
    ("ITERATION", "iteration", ""),
    ("CLAIMED BY", "claimedBy", ""),
    ("DUE", "dueTime", ""),
];

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = HandoffServiceClient::new(session.wire());
    match group.command {
        Command::List(list) => {
            session
                .list(list, COLUMNS, async |page: Page| {
                    let request =
                        ListHandoffsRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_handoffs(request).await?.into_inner();
                    Ok((page.handoffs, page.next_page_token))
                })
                .await
        }
        Command::Show { name } => {
            let request = GetHandoffRequest { name: named("handoffs", &name) };
            session.show(client.get_handoff(request).await)
        }
    }
}
