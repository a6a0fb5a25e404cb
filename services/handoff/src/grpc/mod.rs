//! Decode, call, encode.

mod calendars;
mod gates;
mod handoffs;
mod routing;

pub use calendars::CalendarsGrpc;
pub use gates::GatesGrpc;
pub use handoffs::HandoffsGrpc;
pub use routing::RoutingGrpc;
