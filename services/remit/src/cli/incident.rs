//! `remit incident`: what went wrong, and its statutory clocks.

use super::Group;
use super::connect::{Session, message};
use super::list::{ListArgs, Page};
use super::output::Column;
use super::values::named;
use clap::Subcommand;
use remit_api::council::v1::incident_service_client::IncidentServiceClient;
use remit_api::council::v1::{
    CloseIncidentRequest, CreateIncidentRequest, GetIncidentRequest, ListIncidentsRequest, RecordSubmissionRequest,
};
use remit_core::Result;
use std::path::PathBuf;

/// What to do with incidents.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List incidents, such as those with 'state = "OPEN"'.
    List(ListArgs),
    /// Show an incident with its clocks.
    Show {
        /// The incident.
        name: String,
    },
    /// Report an incident.
    Report {
        /// The id of the incident.
        id: String,
        /// A file (YAML or JSON) with `system`, `title`, `description`, `severity`, such as SEVERITY_HIGH, and the other
        /// fields of an incident.
        file: PathBuf,
    },
    /// Record that an authority or the people concerned were told.
    Submit {
        /// The incident.
        name: String,
        /// A file (YAML or JSON) with `clock`, such as CLOCK_KIND_GDPR_33, `recipient`, `reference`, `submit_time` and
        /// `incomplete`.
        file: PathBuf,
    },
    /// Close an incident.
    Close {
        /// The incident.
        name: String,
        /// The root cause.
        #[arg(long)]
        root_cause: String,
        /// What was learnt and changed.
        #[arg(long)]
        after_action: String,
    },
}

const COLUMNS: &[Column] = &[
    ("INCIDENT", "name", "incidents/"),
    ("TITLE", "title", ""),
    ("STATE", "state", "INCIDENT_STATE_"),
    ("SEVERITY", "severity", "SEVERITY_"),
    ("OWNER", "owner", ""),
    ("SINCE", "createTime", ""),
];

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = IncidentServiceClient::new(session.wire());
    let request_id = session.request_id();
    match group.command {
        Command::List(list) => {
            session
                .list(list, COLUMNS, async |page: Page| {
                    let request =
                        ListIncidentsRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_incidents(request).await?.into_inner();
                    Ok((page.incidents, page.next_page_token))
                })
                .await
        }
        Command::Show { name } => {
            let request = GetIncidentRequest { name: named("incidents", &name) };
            session.show(client.get_incident(request).await)
        }
        Command::Report { id, file } => {
            let incident = Some(message(&file, "INCIDENT_FILE_INVALID")?);
            let request = CreateIncidentRequest { incident_id: id, incident, request_id };
            session.show(client.create_incident(request).await)
        }
        Command::Submit { name, file } => {
            let submission = Some(message(&file, "SUBMISSION_FILE_INVALID")?);
            let request = RecordSubmissionRequest { name: named("incidents", &name), submission, request_id };
            session.show(client.record_submission(request).await)
        }
        Command::Close { name, root_cause, after_action } => {
            let name = named("incidents", &name);
            let request = CloseIncidentRequest { name, root_cause, after_action, request_id };
            session.row(client.close_incident(request).await, COLUMNS)
        }
    }
}
