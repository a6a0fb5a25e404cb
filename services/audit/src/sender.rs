//! Who may say what in the log. The suite's own services, known by their keys, report what they did, whoever acted; a
//! program of any other issuer reports what it did itself, and nothing that could be taken for a service's event. When it
//! was recorded the log says of such an event: retention, legal holds and counts rest on that time, and not on a claim.

use remit_api::audit::v1 as api;
use remit_api::wire::{self, time};
use remit_core::{Actor, Error, Result, SERVICES, Timestamp};

/// First segments of actions that are no service's name and of the suite all the same: those of relays, and of what
/// every process has.
const SHARED: [&str; 2] = ["relay", "system"];

/// The caller of an append.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    /// Who calls.
    pub(crate) actor: &'a Actor,
    /// Which of the suite's services that is, if it is one.
    pub(crate) service: Option<&'static str>,
    /// When the log takes in what is sent.
    pub(crate) now: Timestamp,
}

impl Sender<'_> {
    /// Checks that the caller may vouch for an event, and completes it with what is known of the caller; `field` is
    /// the event's place in the request.
    ///
    /// # Errors
    /// `PermissionDenied` with `SERVICE_NOT_CALLER`, `ACTOR_NOT_CALLER` or `ACTION_RESERVED`, naming the field;
    /// `InvalidArgument`: `TIME_OUT_OF_RANGE` for what has not happened yet, `PERSONAL_DATA_IN_CLEAR` for what could never
    /// be erased.
    pub(crate) fn admit(&self, event: &mut api::Event, field: &str) -> Result<()> {
        match self.service {
            Some(service) => check_own(event, service, field),
            None => self.check_foreign(event, field),
        }
    }

    fn check_foreign(&self, event: &mut api::Event, field: &str) -> Result<()> {
        let me = &self.actor.subject;
        // A program that is called like a service must not pass for it.
        if SERVICES.iter().any(|service| reads_as(me, service)) || !(event.service.is_empty() || event.service == *me) {
            let service = if event.service.is_empty() { me } else { &event.service };
            return Err(not_caller(service, me, field));
        }
        let own = wire::actor(self.actor);
        let said = event.actor.as_ref().map(|actor| (&actor.subject, actor.kind, &actor.on_behalf_of));
        if said != Some((&own.subject, own.kind, &own.on_behalf_of)) {
            let what = format!("{me} reports what it did itself: the actor must be that of its token");
            return Err(denied("ACTOR_NOT_CALLER", what, format!("{field}.actor")));
        }
        let begins = first(&event.action);
        if let Some(owner) = SERVICES.iter().chain(&SHARED).find(|owner| reads_as(begins, owner)) {
            return Err(reserved(&event.action, owner, field));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !event.action.chars().all(plain) || matches!(begins, "remit" | "timer") {
            let what =
                "an action is of ASCII letters, digits, `.`, `_` and `-`, and is not one of the suite's".to_owned();
            return Err(denied("ACTION_RESERVED", what, format!("{field}.action")));
        }
        self.check_clear(event, field)?;
        time::past(event.occurred_at.as_ref(), self.now, &format!("{field}.occurred_at"))?;
        event.recorded_at = Some(time::stamp(self.now));
        event.service.clone_from(me);
        // Numbers are of the suite's outboxes.
        event.seq = 0;
        event.actor_roles.clone_from(&self.actor.roles);
        event.actor = Some(own);
        Ok(())
    }
}

impl Sender<'_> {
    /// Finds the one mark of a person that no pseudonym has, where nothing can be erased. What the suite's own services put
    /// there is known by its type; what a program does, nobody here knows.
    fn check_clear(&self, event: &api::Event, field: &str) -> Result<()> {
        let subject = event.personal.as_ref().map_or("", |personal| &personal.subject);
        let clear = [
            ("resource", event.resource.as_str()),
            ("reason", &event.reason),
            ("details_json", &event.details_json),
            ("personal.subject", subject),
        ];
        // Who acts is said anyway.
        let found = clear.into_iter().find(|(_, text)| addresses(text).any(|found| found != self.actor.subject));
        let Some((name, _)) = found else { return Ok(()) };
        let what = "holds an e-mail address, which could never be erased here: send it in personal.fields, and name the \
                    person by a pseudonym";
        Err(Error::invalid("PERSONAL_DATA_IN_CLEAR", format!("{field}.{name}"), what))
    }
}

/// What reads as an e-mail address in a text.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '@');
    let words = text.split(move |c: char| !inside(c)).map(|word| word.trim_matches(['.', '-']));
    words.filter(|word| {
        let Some((local, domain)) = word.split_once('@') else { return false };
        let Some((host, top)) = domain.rsplit_once('.') else { return false };
        // A version after a name of a package is none.
        !local.is_empty() && !host.is_empty() && top.chars().count() >= 2 && top.chars().all(char::is_alphabetic)
    })
}

fn check_own(event: &api::Event, service: &str, field: &str) -> Result<()> {
    if event.service != service {
        return Err(not_caller(&event.service, service, field));
    }
    let owner = first(&event.action);
    if owner == service || !SERVICES.contains(&owner) {
        return Ok(());
    }
    Err(reserved(&event.action, owner, field))
}

/// Whether people would take a text for this name.
fn reads_as(text: &str, name: &str) -> bool {
    text.trim().eq_ignore_ascii_case(name)
}

/// What an action begins with.
fn first(action: &str) -> &str {
    action.split('.').next().unwrap_or_default()
}

fn denied(reason: &'static str, what: String, field: String) -> Error {
    Error::denied(reason, what.clone()).with_violation(field, what)
}

fn not_caller(service: &str, caller: &str, field: &str) -> Error {
    let what = format!("{caller} may not report for {service:?}");
    denied("SERVICE_NOT_CALLER", what, format!("{field}.service"))
}

fn reserved(action: &str, owner: &str, field: &str) -> Error {
    let what = format!("{action} is an action of {owner}, which alone reports it");
    denied("ACTION_RESERVED", what, format!("{field}.action"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_api::types;
    use remit_core::ActorKind;

    const NOW: Timestamp = Timestamp(1_250_000_000_000_000);

    fn event(service: &str, action: &str, actor: &str) -> api::Event {
        let kind = if actor == "crm" { types::ActorKind::Service } else { types::ActorKind::Human };
        let actor = types::Actor { subject: actor.to_owned(), kind: kind.into(), ..Default::default() };
        api::Event { service: service.into(), action: action.into(), actor: Some(actor), ..Default::default() }
    }

    fn reason(sender: &Sender<'_>, mut event: api::Event) -> &'static str {
        match sender.admit(&mut event, "events[3]") {
            Ok(()) => "OK",
            Err(error) => {
                assert!(error.violations()[0].field.starts_with("events[3]."));
                error.reason()
            }
        }
    }

    #[test]
    fn a_service_reports_its_own_events_whoever_acted() {
        let actor = Actor::service("registry");
        let registry = Sender { actor: &actor, service: Some("registry"), now: NOW };
        for (service, action, wanted) in [
            ("registry", "registry.versions.suspend", "OK"),
            ("registry", "relay.events.park", "OK"),
            ("registry", "system.clock.advance", "OK"),
            ("registry", "council.proposals.vote", "ACTION_RESERVED"),
            ("registry", "audit.entries.prune", "ACTION_RESERVED"),
            ("registry", "audit", "ACTION_RESERVED"),
            ("council", "council.proposals.vote", "SERVICE_NOT_CALLER"),
            ("", "registry.versions.suspend", "SERVICE_NOT_CALLER"),
        ] {
            assert_eq!(reason(&registry, event(service, action, "carol")), wanted, "{service} {action}");
        }
    }

    #[test]
    fn a_program_reports_itself_and_nothing_of_the_suite() {
        let actor = Actor {
            subject: "crm".to_owned(),
            kind: ActorKind::Service,
            roles: vec!["admin".to_owned()],
            role_groups: Vec::new(),
            on_behalf_of: None,
        };
        let crm = Sender { actor: &actor, service: None, now: NOW };
        for (service, action, who, wanted) in [
            ("", "crm.leads.merge", "crm", "OK"),
            ("crm", "crm.leads.merge", "crm", "OK"),
            ("erp", "crm.leads.merge", "crm", "SERVICE_NOT_CALLER"),
            ("council", "crm.leads.merge", "crm", "SERVICE_NOT_CALLER"),
            ("", "crm.leads.merge", "carol", "ACTOR_NOT_CALLER"),
            ("", "council.proposals.vote", "crm", "ACTION_RESERVED"),
            ("", "audit.entries.prune", "crm", "ACTION_RESERVED"),
            ("", "Audit.entries.prune", "crm", "ACTION_RESERVED"),
            ("", " audit.entries.prune", "crm", "ACTION_RESERVED"),
            ("", "relay.events.park", "crm", "ACTION_RESERVED"),
            ("", "system.clock.advance", "crm", "ACTION_RESERVED"),
        ] {
            assert_eq!(reason(&crm, event(service, action, who)), wanted, "{service} {action} {who}");
        }
        let mut kept = event("", "crm.leads.merge", "crm");
        kept.actor_roles = vec!["made_up".to_owned()];
        crm.admit(&mut kept, "event").unwrap();
        assert_eq!((kept.service.as_str(), kept.actor_roles), ("crm", actor.roles.clone()));

        // What can be erased is the fields of personal, and nothing else.
        let mail = "eve@example.com".to_owned();
        let clear = || event("", "crm.leads.merge", "crm");
        let personal = |subject: &str| {
            let fields = [("email".to_owned(), mail.clone())].into();
            api::Event { personal: Some(api::PersonalData { subject: subject.into(), fields }), ..clear() }
        };
        for (said, wanted) in [
            (api::Event { reason: format!("asked by {mail}."), ..clear() }, "PERSONAL_DATA_IN_CLEAR"),
            (api::Event { resource: format!("leads/{mail}"), ..clear() }, "PERSONAL_DATA_IN_CLEAR"),
            (api::Event { details_json: format!(r#"{{"a":["<{mail}>"]}}"#), ..clear() }, "PERSONAL_DATA_IN_CLEAR"),
            (personal(&mail), "PERSONAL_DATA_IN_CLEAR"),
            (personal("leads/1"), "OK"),
            (api::Event { reason: "a@b, npm:x@1.2.3, @team.lead, x@y. z".into(), ..clear() }, "OK"),
        ] {
            assert_eq!(reason(&crm, said), wanted);
        }
        let posing = Actor { subject: mail.clone(), kind: ActorKind::Human, ..actor.clone() };
        let own = api::Event { reason: format!("done by {mail}"), ..event("", "crm.leads.merge", &mail) };
        assert_eq!(reason(&Sender { actor: &posing, service: None, now: NOW }, own), "OK");

        // What happened is its word; when that was recorded is the log's.
        let hour = 3_600_000_000;
        let timed = |occurred: i64, recorded: i64| {
            let at = |after: i64| Some(time::stamp(Timestamp(NOW.0 + after)));
            api::Event { occurred_at: at(occurred), recorded_at: at(recorded), ..event("", "crm.leads.merge", "crm") }
        };
        for recorded in [-9_000 * hour, 0, 9_000 * hour] {
            let mut said = timed(-hour, recorded);
            crm.admit(&mut said, "event").unwrap();
            assert_eq!((said.occurred_at, said.recorded_at), (timed(-hour, 0).occurred_at, timed(0, 0).recorded_at));
        }
        assert_eq!(reason(&crm, timed(hour, 0)), "TIME_OUT_OF_RANGE");

        let mut for_another = event("", "crm.leads.merge", "crm");
        for_another.actor.as_mut().unwrap().on_behalf_of = "carol".to_owned();
        assert_eq!(reason(&crm, for_another), "ACTOR_NOT_CALLER");
        assert_eq!(reason(&crm, api::Event { actor: None, ..event("", "x", "crm") }), "ACTOR_NOT_CALLER");

        for name in ["audit", "Audit", "audit "] {
            let posing = Actor { subject: name.to_owned(), ..actor.clone() };
            let mut own = event(name, "x.y", "crm");
            own.actor.as_mut().unwrap().subject = name.to_owned();
            assert_eq!(reason(&Sender { actor: &posing, service: None, now: NOW }, own), "SERVICE_NOT_CALLER");
        }
    }
}
