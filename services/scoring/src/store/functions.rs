//! Functions of the organisation.

use remit_api::scoring::v1::Function;
use remit_api::wire::time;
use remit_core::Timestamp;
use remit_store::record::Records;

pub(crate) struct Functions;

impl Records for Functions {
    type Message = Function;

    const TABLE: &'static str = "functions";
    const NOT_FOUND: &'static str = "FUNCTION_NOT_FOUND";
    const EXISTS: &'static str = "FUNCTION_EXISTS";

    fn name(function: &Function) -> &str {
        &function.name
    }

    /// Asked when it is created, which is its first change.
    fn create_time(function: &Function) -> Timestamp {
        function.update_time.as_ref().map(time::of).unwrap_or_default()
    }

    fn set_etag(function: &mut Function, etag: String) {
        function.etag = etag;
    }
}
