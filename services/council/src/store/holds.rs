//! Holds and uses of the break-glass procedure.

use super::{BY_TIME, CREATE_TIME};
use crate::time::at;
use prost::Message as _;
use remit_api::council::v1::{BreakGlassUse, Hold, HoldState};
use remit_api::wire::Word as _;
use remit_core::{Result, Timestamp};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::{Mutation, Order, Records, Value};

pub(crate) struct Holds;

impl Records for Holds {
    type Message = Hold;
    const TABLE: &'static str = "holds";
    const NOT_FOUND: &'static str = "HOLD_NOT_FOUND";
    const EXISTS: &'static str = "HOLD_EXISTS";
    const SORT: &'static [Key] = BY_TIME;
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] =
        &[Field::words("state", "state", HoldState::WORDS), Field::boolean("drill", "drill"), CREATE_TIME];
    const FEED: &'static str = "holds";

    fn name(hold: &Hold) -> &str {
        &hold.name
    }
    fn create_time(hold: &Hold) -> Timestamp {
        at(&hold.create_time)
    }
    fn columns(hold: &Hold) -> Vec<(&'static str, Value)> {
        vec![("state", hold.state().word().into()), ("drill", hold.drill.into())]
    }
    fn set_etag(hold: &mut Hold, etag: String) {
        hold.etag = etag;
    }
    async fn publish(m: &mut Mutation, hold: &Hold) -> Result<()> {
        let body = (hold.state() != HoldState::Lifted).then(|| hold.encode_to_vec());
        m.change(Self::FEED, &hold.name, body).await
    }
}

pub(crate) struct BreakGlassUses;

impl Records for BreakGlassUses {
    type Message = BreakGlassUse;
    const TABLE: &'static str = "break_glass_uses";
    const NOT_FOUND: &'static str = "BREAK_GLASS_NOT_FOUND";
    const EXISTS: &'static str = "BREAK_GLASS_EXISTS";
    const SORT: &'static [Key] = BY_TIME;
    const ORDER: Order = Order::Descending;

    fn name(used: &BreakGlassUse) -> &str {
        &used.name
    }
    fn create_time(used: &BreakGlassUse) -> Timestamp {
        at(&used.create_time)
    }
    fn columns(used: &BreakGlassUse) -> Vec<(&'static str, Value)> {
        vec![("reviewed", used.review_time.is_some().into())]
    }
}
