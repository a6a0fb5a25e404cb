//! All SQL of the council. Every resource is a record ([`remit_store::Records`]); beside them stand the evidence
//! of reviews and the seeds of seals.

mod action_items;
mod bodies;
mod constitutions;
mod controls;
mod heard;
mod holds;
mod incidents;
mod open;
mod proposals;
mod reviews;
mod revocations;
mod role_assignments;
mod trainings;
mod waivers;

pub(crate) use action_items::ActionItems;
pub(crate) use bodies::{Bodies, Delegations, Members, delegations, seats};
pub(crate) use constitutions::{CONSTITUTION, Constitutions};
pub(crate) use controls::{Attestations, ControlAssignments};
pub(crate) use heard::{hear, heard_until, keep_from, keep_until_now};
pub(crate) use holds::{BreakGlassUses, Holds};
pub(crate) use incidents::Incidents;
pub(crate) use open::{holds_in_force, open_proposals};
pub(crate) use proposals::{Proposals, to_execute};
pub(crate) use reviews::{
    Reviews, drop_collection, evidence, put_collection, put_evidence, review, seal_seed, to_collect,
};
pub(crate) use revocations::{ACCESS, Revocations, revocations};
pub(crate) use role_assignments::{RoleAssignments, role_assignments};
pub(crate) use trainings::Trainings;
pub(crate) use waivers::Waivers;

use remit_store::filter::Field;
use remit_store::record::Key;

const CREATE_TIME: Field = Field::timestamp("create_time", "create_time");
/// The order of registers, of which the newest entries are read most.
const BY_TIME: &[Key] = &[Key::Int("create_time")];
