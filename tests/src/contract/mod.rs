//! What holds for every method of the descriptor set, so that no method can forget it.
//!
//! The methods are found by name and by the fields of their requests; what a request needs beyond that stands in
//! the tables of `requests`. A new method that a rule applies to fails its test by name until it is there.

mod access;
pub(crate) mod answers;
mod names;
mod pages;
mod ranges;
pub(crate) mod requests;
mod updates;
pub(crate) mod wire;
