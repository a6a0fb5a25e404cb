//! The pure rules of Remit: no I/O, no clock of its own, no randomness of its own.
//!
//! Everything here can be tested without a database, a network or a runtime. Services call these
//! rules and keep the records; the rules decide.

pub mod acceptance;
pub mod actor;
pub mod authority;
pub mod calendar;
pub mod canonical;
pub mod clock;
pub mod details;
pub mod digest;
pub mod email;
pub mod error;
pub mod etag;
pub mod event;
pub mod ids;
pub mod lifecycle;
pub mod mandate;
pub mod name;
pub mod quorum;
pub mod routing;
pub mod strictness;
pub mod subject;
pub mod unique;

pub use actor::{Actor, ActorKind, SERVICE_PREFIX, SERVICES, Tenant};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use error::{Error, FieldViolation, Kind, Result};
pub use event::{AuditEvent, Outcome, PersonalData};
pub use ids::Ids;
