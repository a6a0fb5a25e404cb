//! What holds for every method of the descriptor set, so that no method can forget it.
//!
//! The methods are found by name and by the fields of their requests; what a request needs beyond that stands in
//! the tables of `requests`. What is wrong with an answer is told by functions, and `proofs` gives them the answers
//! that there used to be. A new method that a rule applies to fails its test by name until it is there.

mod access;
mod actors;
mod annotations;
pub(crate) mod answers;
mod dry_runs;
mod fuzz;
mod names;
mod pages;
pub(crate) mod paths;
mod proofs;
mod ranges;
mod recorded;
pub(crate) mod requests;
mod updates;
pub(crate) mod wire;
