//! The gRPC services, one file a service.

pub mod artifacts;
pub mod automations;
pub mod models;
pub mod outputs;

use futures::stream::BoxStream;
use tonic::Status;

/// A stream of answers.
pub type Answers<T> = BoxStream<'static, Result<T, Status>>;
