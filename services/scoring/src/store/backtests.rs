//! Backtests.

use remit_api::scoring::v1::Backtest;
use remit_api::wire::time;
use remit_core::Timestamp;
use remit_store::record::{Key, Records};
use remit_store::{Order, Value};

pub(crate) struct Backtests;

impl Records for Backtests {
    type Message = Backtest;

    const TABLE: &'static str = "backtests";
    const NOT_FOUND: &'static str = "BACKTEST_NOT_FOUND";
    const SORT: &'static [Key] = &[Key::Int("create_time")];
    const ORDER: Order = Order::Descending;

    fn name(backtest: &Backtest) -> &str {
        &backtest.name
    }

    fn create_time(backtest: &Backtest) -> Timestamp {
        backtest.create_time.as_ref().map(time::of).unwrap_or_default()
    }

    fn columns(backtest: &Backtest) -> Vec<(&'static str, Value)> {
        vec![("digest", backtest.digest.as_str().into())]
    }
}
