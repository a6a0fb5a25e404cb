//! `remit control`: the control library, who sees to what, who was trained, and how far the rollout is.

use super::Group;
use super::connect::{Session, answer};
use super::list::{ListArgs, Page};
use super::output::Column;
use super::values::{named, time};
use clap::Subcommand;
use remit_api::council::v1::control_service_client::ControlServiceClient;
use remit_api::council::v1::rollout_service_client::RolloutServiceClient;
use remit_api::council::v1::training_service_client::TrainingServiceClient;
use remit_api::council::v1::{
    AssignControlRequest, Attestation, CreateAttestationRequest, CreateTrainingRequest, GetRolloutRequest,
    ListControlsRequest, ListTrainingsRequest, Training,
};
use remit_core::Result;

/// What to do with controls.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the controls of the library with who sees to each and by when.
    List {
        /// At most this many; 0 for as many as the server gives on a page.
        #[arg(long, default_value_t = 1_000)]
        limit: i32,
    },
    /// Name who sees to a control, and by when there is to be evidence of it. It takes a seat.
    Assign {
        /// The control, such as C27.
        control: String,
        /// The person.
        #[arg(long)]
        owner: String,
        /// By when, such as 2026-07-21; no such time if absent.
        #[arg(long)]
        due: Option<String>,
    },
    /// State for a control what records cannot prove. It takes a seat.
    Attest {
        /// The control, such as C27.
        control: String,
        /// The id of the attestation.
        id: String,
        /// What you state.
        #[arg(long)]
        statement: String,
        /// Where the document lies.
        #[arg(long, default_value = "")]
        document: String,
        /// Its digest, sha256: and 64 digits.
        #[arg(long, default_value = "")]
        digest: String,
        /// Until when it counts, such as 2027-05-01; as long as the control says if absent.
        #[arg(long)]
        until: Option<String>,
    },
    /// Record that a person was trained. Nobody records her own training; it takes a seat.
    Train {
        /// The id of the training.
        id: String,
        /// The person.
        subject: String,
        /// What she was taught.
        #[arg(long)]
        title: String,
        /// When it was complete, such as 2026-05-01.
        #[arg(long)]
        on: String,
        /// Until when it counts; 365 days if absent.
        #[arg(long)]
        until: Option<String>,
        /// Where the certificate lies.
        #[arg(long, default_value = "")]
        document: String,
    },
    /// List trainings, those that end first first, such as those with 'subject = "ann"'.
    Trainings(ListArgs),
    /// Show how far the first 90 days are, as the records have it.
    Rollout,
}

const COLUMNS: &[Column] = &[
    ("CONTROL", "name", "controls/"),
    ("FRAMEWORK", "framework", ""),
    ("CLAUSE", "clause", ""),
    ("CLASS", "evidenceClass", "EVIDENCE_CLASS_"),
    ("OWNER", "owner", ""),
    ("DUE", "dueTime", ""),
    ("PUT OFF", "timesPutOff", ""),
];
const ATTESTATIONS: &[Column] =
    &[("ATTESTATION", "name", "controls/"), ("OWNER", "owner", ""), ("COUNTS UNTIL", "expireTime", "")];
const TRAININGS: &[Column] = &[
    ("TRAINING", "name", "trainings/"),
    ("PERSON", "subject", ""),
    ("TITLE", "title", ""),
    ("COMPLETE", "completeTime", ""),
    ("COUNTS UNTIL", "expireTime", ""),
    ("RECORDED BY", "recorder.subject", ""),
];
const ROLLOUT: &[Column] = &[
    ("STEP", "title", ""),
    ("STATE", "state", "ROLLOUT_STATE_"),
    ("SINCE", "sinceTime", ""),
    ("WHAT THE RECORDS SHOW", "said", ""),
    ("RECORDS", "records", ""),
];

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = ControlServiceClient::new(session.wire());
    let mut trainings = TrainingServiceClient::new(session.wire());
    let request_id = session.request_id();
    let instant = |text: Option<String>, field| text.map(|text| time(&text, field)).transpose();
    match group.command {
        Command::List { limit } => {
            let request = ListControlsRequest { page_size: limit, ..ListControlsRequest::default() };
            session.out.list(&answer(client.list_controls(request).await)?.controls, COLUMNS)
        }
        Command::Assign { control, owner, due } => {
            let (name, due_time) = (named("controls", &control), instant(due, "due")?);
            let request = AssignControlRequest { name, owner, due_time, request_id };
            session.row(client.assign_control(request).await, COLUMNS)
        }
        Command::Attest { control, id, statement, document, digest, until } => {
            let attestation = Attestation {
                statement,
                reference: document,
                document_digest: digest,
                expire_time: instant(until, "until")?,
                ..Attestation::default()
            };
            let request = CreateAttestationRequest {
                parent: named("controls", &control),
                attestation_id: id,
                attestation: Some(attestation),
                request_id,
            };
            session.row(client.create_attestation(request).await, ATTESTATIONS)
        }
        Command::Train { id, subject, title, on, until, document } => {
            let training = Training {
                subject,
                title,
                document_uri: document,
                complete_time: Some(time(&on, "on")?),
                expire_time: instant(until, "until")?,
                ..Training::default()
            };
            let request = CreateTrainingRequest { training_id: id, training: Some(training), request_id };
            session.row(trainings.create_training(request).await, TRAININGS)
        }
        Command::Trainings(list) => {
            session
                .list(list, TRAININGS, async |page: Page| {
                    let request =
                        ListTrainingsRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = trainings.list_trainings(request).await?.into_inner();
                    Ok((page.trainings, page.next_page_token))
                })
                .await
        }
        Command::Rollout => {
            let mut client = RolloutServiceClient::new(session.wire());
            session.out.list(&answer(client.get_rollout(GetRolloutRequest {}).await)?.items, ROLLOUT)
        }
    }
}
