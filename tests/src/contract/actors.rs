//! Actors in the audit log: what a service does on its own is under its one name.

use super::answers::{Remit, nothing};
use super::wire::{methods, service_of};
use remit_api::types::{Actor, ActorKind};

/// What is wrong with how an entry calls one of the services.
pub(super) fn misnamed(actor: &Actor) -> Option<String> {
    let service = actor.subject.rsplit([':', '-', '/']).next().unwrap_or_default();
    let ours = actor.kind() == ActorKind::Service && methods().iter().any(|method| service_of(method) == service);
    (ours && actor.subject != format!("remit-{service}")).then(|| format!("{service} is called {:?}", actor.subject))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_has_one_name() {
    let remit = Remit::start().await;
    let actors = remit.actors().await;
    assert!(actors.iter().any(|actor| actor.subject == "remit-council"), "no service did anything of its own");
    nothing(actors.iter().filter_map(misnamed).collect());
    remit.stop().await;
}
