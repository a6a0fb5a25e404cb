//! Waivers.

use super::{BY_TIME, CREATE_TIME};
use crate::time::at;
use prost::Message as _;
use remit_api::council::v1::{Waiver, WaiverState};
use remit_api::wire::Word as _;
use remit_core::{Result, Timestamp};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Mutation, Order, Records, Value};

pub(crate) struct Waivers;

impl Records for Waivers {
    type Message = Waiver;
    const TABLE: &'static str = "waivers";
    const NOT_FOUND: &'static str = "WAIVER_NOT_FOUND";
    const EXISTS: &'static str = "WAIVER_EXISTS";
    const SORT: &'static [Key] = BY_TIME;
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[
        Field::words("state", "state", WaiverState::WORDS),
        Field::text("control", "control"),
        Field::text("beneficiary", "beneficiary").subjects(),
        Field::timestamp("expire_time", "expire_time"),
        CREATE_TIME,
    ];
    const FEED: &'static str = "waivers";

    fn name(waiver: &Waiver) -> &str {
        &waiver.name
    }
    fn create_time(waiver: &Waiver) -> Timestamp {
        at(&waiver.create_time)
    }
    fn columns(waiver: &Waiver) -> Vec<(&'static str, Value)> {
        vec![
            ("state", waiver.state().word().into()),
            ("control", (&waiver.control).into()),
            ("beneficiary", (&waiver.beneficiary).into()),
            ("expire_time", at(&waiver.expire_time).into()),
        ]
    }
    fn set_etag(waiver: &mut Waiver, etag: String) {
        waiver.etag = etag;
    }
    async fn publish(m: &mut Mutation, waiver: &Waiver) -> Result<()> {
        // One that is over by time stays a while, so that whoever would still rely on it is told that it has ended. One
        // that a person has ended is gone: that it would match is no news.
        let told = waiver.state() != WaiverState::Revoked;
        m.change(Self::FEED, &waiver.name, told.then(|| waiver.encode_to_vec())).await
    }
}
