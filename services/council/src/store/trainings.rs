//! Trainings.

use super::CREATE_TIME;
use crate::time::at;
use remit_api::council::v1::Training;
use remit_core::Timestamp;
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Records, Value};

pub(crate) struct Trainings;

impl Records for Trainings {
    type Message = Training;
    const TABLE: &'static str = "trainings";
    const NOT_FOUND: &'static str = "TRAINING_NOT_FOUND";
    const EXISTS: &'static str = "TRAINING_EXISTS";
    const SORT: &'static [Key] = &[Key::Int("expire_time")];
    const FIELDS: &'static [Field] =
        &[Field::text("subject", "subject").subjects(), Field::timestamp("expire_time", "expire_time"), CREATE_TIME];

    fn name(training: &Training) -> &str {
        &training.name
    }
    fn create_time(training: &Training) -> Timestamp {
        at(&training.create_time)
    }
    fn columns(training: &Training) -> Vec<(&'static str, Value)> {
        vec![("subject", (&training.subject).into()), ("expire_time", at(&training.expire_time).into())]
    }
}
