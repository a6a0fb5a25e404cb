//! `remit proposal`.

use super::Group;
use super::connect::{Session, answer, message};
use super::list::{ListArgs, Page};
use super::output::Column;
use super::values::named;
use super::words;
use clap::{Subcommand, ValueEnum};
use remit_api::council::v1::proposal_service_client::ProposalServiceClient;
use remit_api::council::v1::{
    CancelProposalRequest, CreateProposalRequest, GetProposalRequest, ListProposalsRequest, OpenProposalRequest,
    RecuseRequest, RetryProposalRequest, VoteChoice, VoteRequest,
};
use remit_core::Result;
use std::path::PathBuf;

/// What to do with proposals.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List proposals, such as those with 'state = "OPEN"'.
    List(ListArgs),
    /// Show a proposal with its votes and what is missing.
    Show {
        /// The proposal.
        name: String,
    },
    /// Propose something, and open the vote on it.
    Create {
        /// The id of the proposal.
        id: String,
        /// A file (YAML or JSON) with `title`, `rationale`, `body` and `action`, such as
        /// `action: {lift_hold: {hold: holds/h1, reason: "the leak is closed"}}`; docs/authority.md names the acts. How
        /// urgent it is says `change_class`: CHANGE_CLASS_STANDARD, CHANGE_CLASS_NORMAL (if it is left out) or
        /// CHANGE_CLASS_EMERGENCY; rule and voting period are those of the body for that class. Where a body is amended, a
        /// `voting_period` is in seconds, such as `86400s`.
        file: PathBuf,
        /// Leave it a draft.
        #[arg(long)]
        draft: bool,
    },
    /// Open the vote on a draft.
    Open {
        /// The proposal.
        name: String,
    },
    /// Declare your conflict of interest; voids your vote.
    Recuse {
        /// The proposal.
        name: String,
        /// The conflict.
        #[arg(long)]
        reason: String,
    },
    /// Withdraw a proposal.
    Cancel {
        /// The proposal.
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Carry out again what was approved and failed.
    Retry {
        /// The proposal.
        name: String,
    },
    /// Vote. The vote is bound to the content that the digest stands for.
    Vote {
        /// The proposal.
        name: String,
        /// The choice.
        #[arg(value_enum)]
        choice: Choice,
        /// The content digest that `remit proposal show` printed: proof that what was read is what is voted on.
        #[arg(long)]
        digest: String,
        /// The seat that is voted for, if it is somebody else's by delegation.
        #[arg(long, default_value = "")]
        seat: String,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
    },
}

/// How to vote.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Choice {
    /// For it.
    Approve,
    /// Against it.
    Reject,
    /// Neither.
    Abstain,
    /// Against it, with the right of veto.
    Veto,
}

const COLUMNS: &[Column] = &[
    ("PROPOSAL", "name", "proposals/"),
    ("BODY", "body", "bodies/"),
    ("KIND", "kind", ""),
    ("TITLE", "title", ""),
    ("STATE", "state", "PROPOSAL_STATE_"),
    ("FOR", "tally.approvals", ""),
    ("AGAINST", "tally.rejections", ""),
    ("MISSING", "tally.missing", ""),
    ("BY", "proposer.subject", ""),
    ("EXPIRES", "expireTime", ""),
];

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    let mut client = ProposalServiceClient::new(session.wire());
    match group.command {
        Command::List(list) => {
            session
                .list_in_words(list, COLUMNS, words::proposal, async |page: Page| {
                    let request =
                        ListProposalsRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_proposals(request).await?.into_inner();
                    Ok((page.proposals, page.next_page_token))
                })
                .await
        }
        Command::Create { id, file, draft } => {
            let request = CreateProposalRequest {
                proposal_id: id,
                proposal: Some(message(&file, "PROPOSAL_FILE_INVALID")?),
                open: !draft,
                request_id: session.request_id(),
            };
            session.show(client.create_proposal(request).await)
        }
        Command::Show { name } => {
            let request = GetProposalRequest { name: named("proposals", &name) };
            session.show(client.get_proposal(request).await)
        }
        Command::Open { name } => {
            let request = OpenProposalRequest { name: named("proposals", &name), request_id: session.request_id() };
            let proposal = answer(client.open_proposal(request).await)?;
            session.out.in_words(&[proposal], COLUMNS, words::proposal)
        }
        Command::Recuse { name, reason } => {
            let name = named("proposals", &name);
            let proposal =
                answer(client.recuse(RecuseRequest { name, reason, request_id: session.request_id() }).await)?;
            session.out.in_words(&[proposal], COLUMNS, words::proposal)
        }
        Command::Cancel { name, reason } => {
            let name = named("proposals", &name);
            let request = CancelProposalRequest { name, reason, request_id: session.request_id() };
            let proposal = answer(client.cancel_proposal(request).await)?;
            session.out.in_words(&[proposal], COLUMNS, words::proposal)
        }
        Command::Retry { name } => {
            let request = RetryProposalRequest { name: named("proposals", &name), request_id: session.request_id() };
            let proposal = answer(client.retry_proposal(request).await)?;
            session.out.in_words(&[proposal], COLUMNS, words::proposal)
        }
        Command::Vote { name, choice, digest, seat, comment } => {
            let choice = match choice {
                Choice::Approve => VoteChoice::Approve,
                Choice::Reject => VoteChoice::Reject,
                Choice::Abstain => VoteChoice::Abstain,
                Choice::Veto => VoteChoice::Veto,
            };
            let request = VoteRequest {
                name: named("proposals", &name),
                choice: choice.into(),
                content_digest: digest,
                seat,
                comment,
                request_id: session.request_id(),
            };
            answer(client.vote(request).await)?;
            // The vote that decides executes: what became of that is what the voter wants to know.
            let request = GetProposalRequest { name: named("proposals", &name) };
            let proposal = answer(client.get_proposal(request).await)?;
            if let Some(failed) = proposal.execution.as_ref().filter(|execution| !execution.error.is_empty()) {
                session.out.note(&format!("approved, and not carried out: {}", failed.error));
            }
            session.out.in_words(&[proposal], COLUMNS, words::proposal)
        }
    }
}
