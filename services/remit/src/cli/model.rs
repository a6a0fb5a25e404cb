//! `remit model`.

use super::connect::{Session, refused};
use super::output::{Column, DEFAULT_LIMIT, pages};
use super::values::{named, versioned};
use clap::Subcommand;
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{
    GetModelVersionRequest, ListModelVersionsRequest, ModelVersionState, TransitionModelVersionRequest,
};
use remit_core::Result;

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List model versions, newest first.
    List {
        /// A model; all if absent.
        model: Option<String>,
        /// Such as 'state = "APPROVED"'; over state, provider, base_model, artifact_digest, owner, ai_act_class,
        /// review_by, create_time and update_time.
        #[arg(long, default_value = "")]
        filter: String,
        /// How many at most.
        #[arg(long, default_value_t = DEFAULT_LIMIT)]
        limit: usize,
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
pub async fn run(session: &Session, command: Command) -> Result<()> {
    let client = ModelServiceClient::new(session.wire());
    match command {
        Command::List { model, filter, limit } => {
            let parent = named("models", model.as_deref().unwrap_or("-"));
            let versions = pages(session.out, limit, |page_size, page_token| {
                let request =
                    ListModelVersionsRequest { parent: parent.clone(), page_size, page_token, filter: filter.clone() };
                let mut client = client.clone();
                async move {
                    let page = client.list_model_versions(request).await.map_err(refused)?.into_inner();
                    Ok((page.model_versions, page.next_page_token))
                }
            });
            session.out.list(&versions.await?, COLUMNS)
        }
        Command::Show { name } => {
            let request = GetModelVersionRequest { name: versioned("models", &name)? };
            let mut client = client;
            session.out.show(&client.get_model_version(request).await.map_err(refused)?.into_inner())
        }
        Command::Suspend { name, reason } => {
            let request = TransitionModelVersionRequest {
                name: versioned("models", &name)?,
                state: ModelVersionState::Suspended.into(),
                reason,
                request_id: session.request_id(),
                ..Default::default()
            };
            let mut client = client;
            let version = client.transition_model_version(request).await.map_err(refused)?.into_inner();
            session.out.list(&[version], COLUMNS)
        }
    }
}
