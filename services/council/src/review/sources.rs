//! What a pack is made of: the answers of the other services, the council's own records, and the month that
//! frames them. What could not be had is kept as the reason why.

use super::pack::{Restated, SourceState};
use super::restated::Answers;
use crate::store::{
    ActionItems, Attestations, BreakGlassUses, CONSTITUTION, Constitutions, ControlAssignments, Holds, Incidents,
    Members, Proposals, Reviews, Trainings, Waivers,
};
use crate::time::{Month, at};
use prost_types::Timestamp as Stamp;
use remit_api::audit::v1::{Checkpoint, Outcome, RetentionPolicy, SummarizeEntriesResponse, VerifyLogResponse};
use remit_api::council::v1::{
    ActionItem, Attestation, BreakGlassUse, Constitution, Control, DriftResult, Hold, Incident, Member, Proposal,
    Review, Training, Waiver,
};
use remit_api::handoff::v1::{Gate, HandoffSummary, RoutingSummary};
use remit_api::kpi::v1::SummarizeKpisResponse;
use remit_api::registry::v1::{
    ArtifactVersion, Automation, ModelVersion, ModelVersionState, ModelVersionTransition, OutputSummary,
};
use remit_api::scoring::v1::{PolicyVersion, SummarizeDecisionsResponse};
use remit_core::{Result, Tenant, Timestamp};
use remit_runtime::foreign;
use remit_store::{Db, Records as _};
use tonic::{Response, Status};

/// Questions of one kind that a peer is asked at the same time.
pub(super) const AT_ONCE: usize = 16;
/// The largest answer of a peer, in bytes.
pub(super) const LARGEST: usize = 64 << 20;

/// How often the log says that an action was done. What was refused is in the log too, and was not done.
pub(crate) fn done(entries: &SummarizeEntriesResponse, action: &str) -> i64 {
    let same = entries.counts.iter().filter(|one| one.action == action && one.outcome() == Outcome::Success);
    same.map(|one| one.count).sum()
}

/// What frames the evidence.
pub(crate) struct Frame<'a> {
    /// The review.
    pub(crate) review: &'a Review,
    /// The body's name for people.
    pub(crate) body_title: &'a str,
    /// The month.
    pub(crate) month: &'a Month,
    /// When evidence is cut off.
    pub(crate) cut_off: Timestamp,
    /// When it was collected.
    pub(crate) now: Timestamp,
    /// Earlier reviews of the body, the latest first.
    pub(crate) earlier: &'a [Review],
}

impl Frame<'_> {
    /// Whether something was recorded in the month: each record is in the pack of one month, by when it was recorded.
    pub(crate) fn in_month(&self, stamp: &Option<Stamp>) -> bool {
        stamp.is_some() && (self.month.start()..self.month.end()).contains(&at(stamp))
    }

    /// Whether something with this end, if it has one, was still there when the month began.
    pub(crate) fn lasted(&self, end: &Option<Stamp>) -> bool {
        end.is_none() || at(end) >= self.month.start()
    }

    /// Whether something was recorded before the month was over.
    pub(crate) fn before_end(&self, stamp: &Option<Stamp>) -> bool {
        stamp.is_some() && at(stamp) < self.month.end()
    }
}

/// A source: its answer, or why there is none.
pub(crate) type Got<T> = std::result::Result<T, String>;

/// A model version with its history.
#[derive(Debug, Clone, Default)]
pub(crate) struct Version {
    /// The version.
    pub(crate) version: ModelVersion,
    /// Its state changes, the newest first.
    pub(crate) transitions: Vec<ModelVersionTransition>,
}

impl Version {
    /// Whether it was approved or restricted at some time of the month.
    pub(crate) fn ran_in(&self, month: &Month) -> bool {
        let runs =
            |state: ModelVersionState| matches!(state, ModelVersionState::Approved | ModelVersionState::Restricted);
        let at = |change: &ModelVersionTransition| at(&change.record_time);
        let reached_in_it = self
            .transitions
            .iter()
            .any(|change| (month.start()..month.end()).contains(&at(change)) && runs(change.to_state()));
        let when_it_began = self.transitions.iter().find(|change| at(change) < month.start());
        reached_in_it || when_it_began.is_some_and(|change| runs(change.to_state()))
    }
}

/// Everything a pack is made of.
pub(crate) struct Sources {
    /// Verification of the audit log.
    pub(crate) verify: Got<VerifyLogResponse>,
    /// The newest checkpoint.
    pub(crate) checkpoint: Got<Checkpoint>,
    /// How long the log keeps its entries.
    pub(crate) retention: Got<RetentionPolicy>,
    /// The month's audit entries by action.
    pub(crate) entries: Got<SummarizeEntriesResponse>,
    /// All KPIs of the month.
    pub(crate) kpis: Got<SummarizeKpisResponse>,
    /// The month's decisions and checks.
    pub(crate) decisions: Got<SummarizeDecisionsResponse>,
    /// All policy versions.
    pub(crate) policies: Got<Vec<PolicyVersion>>,
    /// All model versions.
    pub(crate) versions: Got<Vec<Version>>,
    /// All artifact versions.
    pub(crate) artifacts: Got<Vec<ArtifactVersion>>,
    /// All cross-functional automations.
    pub(crate) automations: Got<Vec<Automation>>,
    /// The month's outputs.
    pub(crate) outputs: Got<OutputSummary>,
    /// The month's handoffs.
    pub(crate) handoffs: Got<HandoffSummary>,
    /// Those of the month before.
    pub(crate) handoffs_before: Got<HandoffSummary>,
    /// The month's lead routing.
    pub(crate) routing: Got<RoutingSummary>,
    /// All gates.
    pub(crate) gates: Got<Vec<Gate>>,
    /// Detectors that ask the KPI service.
    pub(crate) distributions: Vec<DriftResult>,
    /// The council's own records.
    pub(crate) own: Own,
    /// How far each service had handed over what it knows.
    pub(crate) positions: Vec<SourceState>,
    /// Figures of earlier months that are others by now.
    pub(crate) restated: Vec<Restated>,
}

impl Sources {
    /// The answers that the figures of the month come from.
    pub(crate) fn answers(&self) -> Answers<'_> {
        Answers {
            kpis: &self.kpis,
            decisions: &self.decisions,
            outputs: &self.outputs,
            handoffs: &self.handoffs,
            routing: &self.routing,
        }
    }
}

/// The council's own records: each field is all records of its type, those of the body where they belong to one.
#[derive(Debug, Default)]
pub(crate) struct Own {
    pub(crate) constitution: Option<Constitution>,
    pub(crate) members: Vec<Member>,
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) uses: Vec<BreakGlassUse>,
    pub(crate) waivers: Vec<Waiver>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) items: Vec<ActionItem>,
    pub(crate) attestations: Vec<Attestation>,
    pub(crate) assignments: Vec<Control>,
    pub(crate) trainings: Vec<Training>,
    pub(crate) reviews: Vec<Review>,
}

impl Own {
    /// Leaves out what was recorded when the month was over: it is in the pack of a later one.
    pub(crate) fn until(mut self, month: &Month) -> Self {
        let before = |stamp: &Option<Stamp>| at(stamp) < month.end();
        self.holds.retain(|one| before(&one.create_time));
        self.uses.retain(|one| before(&one.create_time));
        self.waivers.retain(|one| before(&one.create_time));
        self.incidents.retain(|one| before(&one.create_time));
        self
    }

    /// Reads the council's records of a tenant, those of `body` where they belong to one.
    ///
    /// # Errors
    /// As the store says.
    pub(crate) async fn read(db: &Db, tenant: &Tenant, body: &str) -> Result<Self> {
        let mut tx = db.snapshot().await?;
        let of_body = [("parent", body.into())];
        Ok(Self {
            constitution: Constitutions::find(&mut tx, tenant, CONSTITUTION).await?,
            members: Members::all(&mut tx, tenant, &of_body).await?,
            proposals: Proposals::all(&mut tx, tenant, &[]).await?,
            holds: Holds::all(&mut tx, tenant, &[]).await?,
            uses: BreakGlassUses::all(&mut tx, tenant, &[]).await?,
            waivers: Waivers::all(&mut tx, tenant, &[]).await?,
            incidents: Incidents::all(&mut tx, tenant, &[]).await?,
            items: ActionItems::all(&mut tx, tenant, &[]).await?,
            attestations: Attestations::all(&mut tx, tenant, &[]).await?,
            assignments: ControlAssignments::all(&mut tx, tenant, &[]).await?,
            trainings: Trainings::all(&mut tx, tenant, &[]).await?,
            reviews: Reviews::all(&mut tx, tenant, &of_body).await?,
        })
    }
}

/// The answer of a peer, or why there is none.
pub(crate) fn got<T>(answer: std::result::Result<Response<T>, Status>) -> Got<T> {
    answer.map(Response::into_inner).map_err(why)
}

/// Why there is no answer.
pub(crate) fn why(status: Status) -> String {
    let error = foreign(status);
    format!("{}: {}", error.reason(), error.message())
}
