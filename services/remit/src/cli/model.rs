//! `remit model`.

use super::Group;
use super::connect::Session;
use super::list::{ListArgs, Page};
use super::output::Column;
use super::values::{named, versioned};
use clap::Subcommand;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    GetModelVersionRequest, ListModelVersionsRequest, ModelVersionState, TransitionModelVersionRequest,
};
use remit_core::Result;

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List model versions, newest first, such as those with 'state = "APPROVED"'. Filters are over state, provider,
    /// base_model, artifact_digest, owner, ai_act_class, review_by, create_time and update_time.
    List {
        /// A model; all if absent.
        model: Option<String>,
        /// Which of its versions.
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show a version with its evaluations and what its documentation lacks.
    Show {
        /// Such as lead-scorer/3, or lead-scorer/aliases/champion.
        name: String,
    },
    /// Stop a version at once. Only a proposal can let it run again.
    Suspend {
        /// Such as lead-scorer/3.
        name: String,
        /// Why; it is kept in the audit log.
        #[arg(long)]
        reason: String,
    },
}

const COLUMNS: &[Column] = &[
    ("VERSION", "name", "models/"),
    ("STATE", "state", "MODEL_VERSION_STATE_"),
    ("ALIASES", "aliases", ""),
    ("PURPOSES", "purposes", ""),
    ("PROVIDER", "provider", ""),
    ("OWNER", "owner", ""),
    ("LACKS", "documentationGaps", ""),
    ("SINCE", "stateTime", ""),
];

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = ModelServiceClient::new(session.wire());
    match group.command {
        Command::List { model, list } => {
            let parent = named("models", model.as_deref().unwrap_or("-"));
            session
                .list(list, COLUMNS, async |page: Page| {
                    let Page { size: page_size, token: page_token, filter } = page;
                    let request = ListModelVersionsRequest { parent: parent.clone(), page_size, page_token, filter };
                    let page = client.list_model_versions(request).await?.into_inner();
                    Ok((page.model_versions, page.next_page_token))
                })
                .await
        }
        Command::Show { name } => {
            let request = GetModelVersionRequest { name: versioned("models", &name)? };
            session.show(client.get_model_version(request).await)
        }
        Command::Suspend { name, reason } => {
            let request = TransitionModelVersionRequest {
                name: versioned("models", &name)?,
                state: ModelVersionState::Suspended.into(),
                reason,
                request_id: session.request_id(),
                ..Default::default()
            };
            session.row(client.transition_model_version(request).await, COLUMNS)
        }
    }
}
