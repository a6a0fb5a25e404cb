//! All SQL of the service, one function a statement.

pub mod calendars;
pub mod decisions;
pub mod gates;
pub mod handoffs;
pub mod routings;
pub mod summaries;
