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

/// The kind of an actor for a message.
pub fn kind(kind: ActorKind) -> types::ActorKind {
    match kind {
        ActorKind::Human => types::ActorKind::Human,
        ActorKind::Ai => types::ActorKind::Ai,
        ActorKind::Service => types::ActorKind::Service,
    }
}

/// The actor of a message, without roles; `None` if it names no kind.
pub fn actor_of(message: &types::Actor) -> Option<Actor> {
    let kind = match message.kind() {
        types::ActorKind::Human => ActorKind::Human,
        types::ActorKind::Ai => ActorKind::Ai,
        types::ActorKind::Service => ActorKind::Service,
        types::ActorKind::Unspecified => return None,
    };
    Some(Actor {
        subject: message.subject.clone(),
        kind,
        roles: Vec::new(),
        role_groups: message.role_groups.clone(),
        on_behalf_of: Some(message.on_behalf_of.clone()).filter(|subject| !subject.is_empty()),
    })
}
