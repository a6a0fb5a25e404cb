//! What every Remit process does alike: configuration, identity and permissions, the layer stack of
//! every call, the way to other services, delivery of audit events, durable timers, watch streams, and
//! serving with a graceful end.
//!
//! It owns no table and knows no service: a binary passes the services in.

mod address;
pub mod auth;
pub mod certificates;
pub mod clock;
pub mod config;
pub mod context;
pub mod cx;
mod lag;
pub mod layers;
pub mod mandates;
pub mod meters;
pub mod parts;
pub mod peers;
pub mod production;
mod refusals;
pub mod relay;
pub mod room;
mod sampling;
mod seeded;
mod serve;
pub mod statements;
pub mod status;
pub mod suite;
mod system;
pub mod tail;
pub mod telemetry;
pub mod timers;
pub mod upkeep;
pub mod watch;

pub use config::Config;
pub use context::trace_id;
pub use cx::{Answers, Caller, Cx, accept, answers, produce, unary};
pub use lag::Lag;
pub use layers::Routes;
pub use mandates::Mandates;
pub use parts::{Build, Condition, Conditions, Deps, Measure, Parts, ServiceDef, Tenants, Unrecorded};
pub use peers::{Channel, Peers};
pub use seeded::Seeded;
pub use status::{foreign, received, to_status};
pub use suite::{Running, Suite};
pub use tail::Follow;
