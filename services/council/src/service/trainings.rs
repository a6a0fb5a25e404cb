//! Trainings: what people who decide were taught, and until when that counts.

use super::controls::check_seated;
use super::{Service, insert};
use crate::store::Trainings;
use crate::time::{at, days};
use remit_api::council::v1::{
    CreateTrainingRequest, GetTrainingRequest, ListTrainingsRequest, ListTrainingsResponse, Training,
};
use remit_api::wire::time::{past, stamp};
use remit_api::wire::{self, required};
use remit_core::details::{Details as _, TrainingRecorded};
use remit_core::name::TrainingName;
use remit_core::{Error, Result, digest, name};
use remit_runtime::Cx;
use remit_store::Mutation;

/// For how many days a training counts of which nobody said until when.
const COUNTS: u64 = 365;

impl Service {
    /// Records that a person was trained.
    ///
    /// # Errors
    /// As the proto file says.
    pub(crate) async fn create_training(&self, cx: &Cx, request: CreateTrainingRequest) -> Result<Training> {
        let name = TrainingName::new(name::id(&request.training_id, "training_id")?).to_string();
        let given = required(request.training.clone(), "training")?;
        if !given.document_digest.is_empty() && !digest::is_digest(&given.document_digest) {
            let rule = "must be empty or sha256: and 64 lowercase hexadecimal digits";
            return Err(Error::invalid("DIGEST_INVALID", "training.document_digest", rule));
        }
        let create = async |m: &mut Mutation| {
            check_seated(m, cx).await?;
            if given.subject == cx.actor.subject {
                return Err(Error::denied("OWN_TRAINING", "another member must record that you were trained"));
            }
            let complete = past(given.complete_time.as_ref(), m.now(), "training.complete_time")?;
            let end = given.expire_time.map_or_else(|| complete.plus(days(COUNTS)), |_| at(&given.expire_time));
            if end <= complete {
                let rule = "must be after complete_time";
                return Err(Error::invalid("TIME_OUT_OF_RANGE", "training.expire_time", rule));
            }
            let mut training = Training {
                name,
                expire_time: Some(stamp(end)),
                recorder: Some(wire::actor(&cx.actor)),
                create_time: Some(stamp(m.now())),
                ..given
            };
            let details = TrainingRecorded { subject: training.subject.clone(), expire_time: end.to_string() };
            insert::<Trainings>(m, &mut training, |event| event.details = details.json()).await?;
            Ok(training)
        };
        self.mutate(cx, &request, create).await
    }

    /// Returns a training.
    ///
    /// # Errors
    /// `InvalidArgument` (`NAME_INVALID`), `NotFound` (`TRAINING_NOT_FOUND`).
    pub(crate) async fn get_training(&self, cx: &Cx, request: GetTrainingRequest) -> Result<Training> {
        TrainingName::parse(&request.name, "name")?;
        self.get::<Trainings>(cx, &request.name).await
    }

    /// Lists trainings, those that end first first.
    ///
    /// # Errors
    /// `InvalidArgument` (`FILTER_INVALID`, `PAGE_TOKEN_INVALID`).
    pub(crate) async fn list_trainings(&self, cx: &Cx, request: ListTrainingsRequest) -> Result<ListTrainingsResponse> {
        let (trainings, next_page_token) = self.list::<Trainings>(cx, cx.page(&request)).await?;
        Ok(ListTrainingsResponse { trainings, next_page_token })
    }
}
