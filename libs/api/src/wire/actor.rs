//! Actors in messages.

use crate::types;
use remit_core::{Actor, ActorKind};

/// An actor for a message; its roles stay inside.
pub fn actor(actor: &Actor) -> types::Actor {
    types::Actor {
        subject: actor.subject.clone(),
        kind: kind(actor.kind).into(),
        role_groups: actor.role_groups.clone(),
        on_behalf_of: actor.on_behalf_of.clone().unwrap_or_default(),
    }
}

fn kind(kind: ActorKind) -> types::ActorKind {
    match kind {
        ActorKind::Human => types::ActorKind::Human,
        ActorKind::Ai => types::ActorKind::Ai,
        ActorKind::Service => types::ActorKind::Service,
    }
}
