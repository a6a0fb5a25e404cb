//! Handoffs and their trigger events.

use super::given;
use remit_api::handoff::v1::{Handoff, HandoffState, TriageCause};
use remit_api::wire::Word as _;
use remit_core::{Result, Timestamp};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Mutation, Order, Records, Value, query};

/// `handoffs/*`, the newest first.
pub(crate) struct Handoffs;

impl Records for Handoffs {
    type Message = Handoff;
    const TABLE: &'static str = "handoffs";
    const NOT_FOUND: &'static str = "HANDOFF_NOT_FOUND";
    const EXISTS: &'static str = "HANDOFF_EXISTS";
    const SORT: &'static [Key] = &[Key::Int("create_time")];
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", HandoffState::WORDS),
        Field::text("gate", "gate"),
        Field::text("task", "task"),
        Field::text("channel", "channel"),
        Field::boolean("human_led", "human_led"),
        Field::timestamp("create_time", "create_time"),
        Field::timestamp("due_time", "due_time"),
    ];

    fn name(message: &Handoff) -> &str {
        &message.name
    }

    fn create_time(message: &Handoff) -> Timestamp {
        given(&message.create_time)
    }

    fn columns(message: &Handoff) -> Vec<(&'static str, Value)> {
        let at = |time: Option<&prost_types::Timestamp>| Value::from(time.map(remit_api::wire::time::of));
        let triage = message.triage.as_ref();
        let signature = message.reviews.iter().rev().find_map(|review| review.signature.as_ref());
        let signature = signature.filter(|signature| signature.void_time.is_none());
        vec![
            ("gate", (&message.gate).into()),
            ("task", (&message.task).into()),
            ("channel", (&message.channel).into()),
            ("state", message.state().word().into()),
            ("human_led", message.human_led.into()),
            ("ai_run", message.run_inputs.is_some().into()),
            ("iteration", message.iteration.into()),
            ("override_count", message.override_count.into()),
            ("due_time", at(message.due_time.as_ref())),
            ("escalate_time", at(triage.and_then(|triage| triage.create_time.as_ref()))),
            ("escalate_cause", triage.map(|triage| TriageCause::word_of(triage.cause)).into()),
            ("accept_time", at(signature.and_then(|signature| signature.sign_time.as_ref()))),
            ("publish_time", at(message.publish_time.as_ref())),
        ]
    }

    fn set_etag(message: &mut Handoff, etag: String) {
        message.etag = etag;
    }
}

/// Records a trigger event; false if it was recorded before.
pub(crate) async fn insert_trigger(m: &mut Mutation, handoff: &str, event: &str) -> Result<bool> {
    let inserted = query(
        "insert into trigger_events (tenant_id, handoff, event_id, recorded_at) values ($1, $2, $3, $4)
         on conflict (tenant_id, handoff, event_id) do nothing",
    )
    .bind(m.tenant())
    .bind(handoff)
    .bind(event)
    .bind(m.now())
    .execute(m.tx())
    .await?;
    Ok(inserted == 1)
}
