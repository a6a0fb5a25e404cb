//! `remit handoff`.

use super::connect::{Session, refused};
use super::output::{Column, DEFAULT_LIMIT, pages};
use super::values::named;
use clap::Subcommand;
use remit_api::handoff::v1::handoff_service_client::HandoffServiceClient;
use remit_api::handoff::v1::{GetHandoffRequest, ListHandoffsRequest};
use remit_core::Result;

/// What to do with handoffs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List handoffs.
    List {
        /// Such as 'state = "IN_REVIEW"'.
        #[arg(long, default_value = "")]
        filter: String,
        /// How many at most.
        #[arg(long, default_value_t = DEFAULT_LIMIT)]
        limit: usize,
    },
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
pub async fn run(session: &Session, command: Command) -> Result<()> {
    let mut client = HandoffServiceClient::new(session.wire());
    match command {
        Command::List { filter, limit } => {
            let handoffs = pages(session.out, limit, |page_size, page_token| {
                let request = ListHandoffsRequest { page_size, page_token, filter: filter.clone() };
                let mut client = client.clone();
                async move {
                    let page = client.list_handoffs(request).await.map_err(refused)?.into_inner();
                    Ok((page.handoffs, page.next_page_token))
                }
            });
            session.out.list(&handoffs.await?, COLUMNS)
        }
        Command::Show { name } => {
            let request = GetHandoffRequest { name: named("handoffs", &name) };
            session.out.show(&client.get_handoff(request).await.map_err(refused)?.into_inner())
        }
    }
}
