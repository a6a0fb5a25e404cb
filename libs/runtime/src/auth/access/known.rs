//! What is known of the tokens of one tenant, and what follows from it. Without I/O and without a clock.

use super::Grants;
use crate::auth::{Identity, SERVICE_ROLE};
use remit_api::council::v1::{Revocation, RoleAssignment};
use remit_api::wire::time::of;
use remit_core::{Actor, Error, Kind, Result, Timestamp, email};
use std::collections::HashMap;

const SECOND: i64 = 1_000_000;

/// One thing that the council has said.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Revocation(Revocation),
    Assignment(RoleAssignment),
}

/// By what an item is found.
#[derive(Debug, Clone, Copy)]
enum By {
    Token,
    Subject,
    Assignee,
    Email,
}

impl Item {
    fn key(&self) -> (By, &str) {
        match self {
            Self::Revocation(item) if item.token_id.is_empty() => (By::Subject, &item.subject),
            Self::Revocation(item) => (By::Token, &item.token_id),
            Self::Assignment(item) if item.email.is_empty() => (By::Assignee, &item.subject),
            Self::Assignment(item) => (By::Email, &item.email),
        }
    }
}

/// All that the council has said of the tokens of a tenant.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Where the watch stream has come to; empty before the first snapshot.
    pub cursor: String,
    items: HashMap<String, Item>,
    /// The names of items, by [`By`] and what they are found by.
    found: [HashMap<String, Vec<String>>; 4],
}

/// What is assigned to somebody.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Roles {
    roles: Vec<String>,
    role_groups: Vec<String>,
}

impl Roles {
    pub(super) fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.role_groups.is_empty()
    }

    /// Adds them to those that an actor has.
    pub(super) fn give(&self, actor: &mut Actor) {
        let add = |has: &mut Vec<String>, more: &[String]| {
            for one in more {
                if !has.contains(one) {
                    has.push(one.clone());
                }
            }
        };
        add(&mut actor.roles, &self.roles);
        add(&mut actor.role_groups, &self.role_groups);
    }
}

impl Known {
    /// What a snapshot says, and nothing else.
    pub(super) fn of(items: HashMap<String, Item>, cursor: String) -> Self {
        let mut known = Self { cursor, ..Self::default() };
        for (name, item) in items {
            known.put(name, Some(item));
        }
        known
    }

    /// Takes over what an item is now; none if it is gone.
    pub(super) fn put(&mut self, name: String, item: Option<Item>) {
        if let Some(old) = self.items.remove(&name) {
            let (by, key) = old.key();
            let found = &mut self.found[by as usize];
            if let Some(names) = found.get_mut(key) {
                names.retain(|other| *other != name);
                if names.is_empty() {
                    found.remove(key);
                }
            }
        }
        if let Some(item) = item {
            let (by, key) = item.key();
            self.found[by as usize].entry(key.to_owned()).or_default().push(name.clone());
            self.items.insert(name, item);
        }
    }

    fn at<'a>(&'a self, by: By, key: &str) -> impl Iterator<Item = &'a Item> + use<'a> {
        let names = if key.is_empty() { None } else { self.found[by as usize].get(key) };
        names.into_iter().flatten().filter_map(|name| self.items.get(name))
    }

    /// Refuses a token that was revoked.
    ///
    /// # Errors
    /// `Unauthenticated` (`TOKEN_REVOKED`). Why is not said: whoever shows the token may be who stole it.
    pub(super) fn check(&self, identity: &Identity, now: Timestamp) -> Result<()> {
        if self.items.is_empty() {
            return Ok(());
        }
        let (subject, behalf) = (&identity.actor.subject, identity.actor.on_behalf_of.as_deref().unwrap_or_default());
        let found = self.at(By::Token, &identity.token_id).chain(self.at(By::Subject, subject));
        for item in found.chain(self.at(By::Subject, behalf)) {
            if let Item::Revocation(revocation) = item
                && revokes(revocation, identity, now)
            {
                let what = if revocation.block {
                    format!("the subject of the token is blocked by {}", revocation.name)
                } else {
                    format!("the token was revoked by {}: a new one is needed", revocation.name)
                };
                return Err(Error::new(Kind::Unauthenticated, "TOKEN_REVOKED", what));
            }
        }
        Ok(())
    }

    /// What is assigned to whoever has this token, within what its issuer may grant.
    pub(super) fn assigned(&self, identity: &Identity, now: Timestamp, grants: &Grants) -> Roles {
        let mut all = Roles::default();
        if self.items.is_empty() {
            return all;
        }
        // As it stands in an assignment, which nobody is kept waiting for where there is none.
        let mut email = String::new();
        if !self.found[By::Email as usize].is_empty() {
            email = identity.email.as_deref().and_then(|given| email::canonical(given).ok()).unwrap_or_default();
        }
        let by_email = self.at(By::Email, &email);
        for item in self.at(By::Assignee, &identity.actor.subject).chain(by_email) {
            let Item::Assignment(assignment) = item else { continue };
            let assigner = assignment.assigner.as_ref().map_or("", |assigner| &assigner.subject);
            // By e-mail address somebody could give something to herself, which only her token tells.
            let own = assigner == identity.actor.subject;
            if own || assignment.issuer != identity.issuer || is_over(assignment.expire_time.as_ref(), now) {
                continue;
            }
            let most = grants.get(&identity.issuer);
            let role = |role: &&String| *role != SERVICE_ROLE && most.is_none_or(|most| most.role(role));
            let group = |group: &&String| most.is_none_or(|most| most.role_group(group));
            all.roles.extend(assignment.roles.iter().filter(role).cloned());
            all.role_groups.extend(assignment.role_groups.iter().filter(group).cloned());
        }
        all
    }
}

fn is_over(end: Option<&prost_types::Timestamp>, now: Timestamp) -> bool {
    end.is_some_and(|end| of(end) <= now)
}

/// Whether a revocation that was found by token or subject fits a token.
fn revokes(revocation: &Revocation, identity: &Identity, now: Timestamp) -> bool {
    let subject = &revocation.subject;
    let actor = &identity.actor;
    let theirs = subject.is_empty() || *subject == actor.subject || actor.on_behalf_of.as_ref() == Some(subject);
    let issuers = revocation.issuer.is_empty() || revocation.issuer == identity.issuer;
    if !theirs || !issuers || is_over(revocation.expire_time.as_ref(), now) {
        return false;
    }
    let until = revocation.revoke_time.as_ref().map_or(i64::MAX, |until| of(until).0.div_euclid(SECOND));
    // A token says the second in which it was issued; one that does not say counts as the oldest.
    let issued = i64::try_from(identity.issued).unwrap_or(i64::MAX);
    revocation.block || !revocation.token_id.is_empty() || issued <= until
}
