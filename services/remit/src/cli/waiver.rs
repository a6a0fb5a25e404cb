//! `remit waiver`: rules that are set aside for a time. They are granted by a proposal, and revoked at once.

use super::Group;
use super::connect::Session;
use super::list::{ListArgs, Page};
use super::output::Column;
use super::values::named;
use clap::Subcommand;
use remit_api::council::v1::waiver_service_client::WaiverServiceClient;
use remit_api::council::v1::{GetWaiverRequest, ListWaiversRequest, RevokeWaiverRequest};
use remit_core::Result;

/// What to do with waivers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List waivers, such as those with 'state = "ACTIVE"'.
    List(ListArgs),
    /// Show a waiver.
    Show {
        /// The waiver.
        name: String,
    },
    /// End a waiver before its time.
    Revoke {
        /// The waiver.
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

const COLUMNS: &[Column] = &[
    ("WAIVER", "name", "waivers/"),
    ("CONTROL", "control", ""),
    ("STATE", "state", "WAIVER_STATE_"),
    ("FOR", "beneficiary", ""),
    ("UNTIL", "expireTime", ""),
    ("REASON", "reason", ""),
];

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = WaiverServiceClient::new(session.wire());
    match group.command {
        Command::List(list) => {
            session
                .list(list, COLUMNS, async |page: Page| {
                    let request =
                        ListWaiversRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_waivers(request).await?.into_inner();
                    Ok((page.waivers, page.next_page_token))
                })
                .await
        }
        Command::Show { name } => {
            let request = GetWaiverRequest { name: named("waivers", &name) };
            session.show(client.get_waiver(request).await)
        }
        Command::Revoke { name, reason } => {
            let name = named("waivers", &name);
            let request = RevokeWaiverRequest { name, reason, request_id: session.request_id() };
            session.row(client.revoke_waiver(request).await, COLUMNS)
        }
    }
}
