//! The bytes of request messages that are not complete yet: what somebody begins and does not end is memory of the
//! process, so there is only so much of it, and of one tenant and one subject only a part.

use super::book::PAUSE;
use super::limits::Limits;
use crate::auth::Identity;
use remit_core::{Error, Kind, Result, Tenant};
use std::collections::HashMap;
use std::sync::Arc;

/// The largest message that any method takes: so much a subject may always have.
const LARGEST: usize = 8 * 1024 * 1024;

/// Who holds how many bytes. Whoever holds none is not in here.
#[derive(Debug, Default)]
pub(super) struct Held {
    all: usize,
    tenants: HashMap<Tenant, Share>,
}

#[derive(Debug, Default)]
struct Share {
    all: usize,
    subjects: HashMap<String, usize>,
}

impl Held {
    /// Counts `now` bytes in place of `before`, of at most `most` in all.
    ///
    /// # Errors
    /// Whose bound it is beyond, and how many bytes that is; then `before` still counts.
    fn change(
        &mut self,
        most: usize,
        tenant: &Tenant,
        subject: &str,
        before: usize,
        now: usize,
    ) -> std::result::Result<(), (String, usize)> {
        let share = self.tenants.entry(tenant.clone()).or_default();
        let own = share.subjects.entry(subject.to_owned()).or_default();
        let after = |count: usize| count.saturating_sub(before) + now;
        let refused = if now <= before {
            None
        } else if after(*own) > (most / 8).max(LARGEST) {
            Some((subject.to_owned(), (most / 8).max(LARGEST)))
        } else if after(share.all) > (most / 4).max(LARGEST) {
            Some((format!("the tenant {tenant}"), (most / 4).max(LARGEST)))
        } else if after(self.all) > most.max(LARGEST) {
            Some(("this process".to_owned(), most.max(LARGEST)))
        } else {
            None
        };
        if refused.is_none() {
            *own = after(*own);
            share.all = after(share.all);
            self.all = after(self.all);
        }
        if *own == 0 {
            share.subjects.remove(subject);
        }
        if share.subjects.is_empty() {
            self.tenants.remove(tenant);
        }
        refused.map_or(Ok(()), Err)
    }
}

/// The bytes that one call holds, until this is dropped.
#[derive(Debug)]
pub(crate) struct Account {
    limits: Arc<Limits>,
    tenant: Tenant,
    subject: String,
    bytes: usize,
}

impl Account {
    /// For the calls of `identity`; those of the suite's own services are not counted.
    pub(super) fn new(limits: &Arc<Limits>, identity: &Identity) -> Option<Self> {
        let (tenant, subject) = (identity.tenant.clone(), identity.actor.subject.clone());
        identity.service.is_none().then(|| Self { limits: limits.clone(), tenant, subject, bytes: 0 })
    }

    /// Says how many bytes the call holds now.
    ///
    /// # Errors
    /// `ResourceExhausted` (`REQUEST_BYTES`), with the time to wait.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<()> {
        if bytes == self.bytes {
            return Ok(());
        }
        let most = self.limits.request_bytes();
        let changed = self.limits.held().change(most, &self.tenant, &self.subject, self.bytes, bytes);
        match changed {
            Ok(()) => {
                self.bytes = bytes;
                Ok(())
            }
            Err((whose, most)) => {
                self.limits.count("REQUEST_BYTES");
                let text = format!(
                    "the messages of {whose} that have begun and are not complete would have more than {most} bytes \
                     (limits.request_bytes): send fewer large messages at once, and each without a pause"
                );
                Err(Error::new(Kind::ResourceExhausted, "REQUEST_BYTES", text).with_retry_after(PAUSE))
            }
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // Fewer is never refused.
            let _ = self.limits.held().change(0, &self.tenant, &self.subject, self.bytes, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_begun_and_not_ended_is_bounded_for_subject_tenant_and_process() {
        const MIB: usize = 1024 * 1024;
        let (mut held, most) = (Held::default(), 256 * MIB);
        let tenant = |number: usize| Tenant::new(format!("t{number}")).unwrap();
        let mut add = |number: usize, subject: &str, before: usize, now: usize| {
            held.change(most, &tenant(number), subject, before * MIB, now * MIB).map_err(|(whose, _)| whose)
        };
        assert_eq!(add(0, "ann", 0, 32), Ok(()));
        assert_eq!(add(0, "ann", 0, 1), Err("ann".to_owned()));
        assert_eq!(add(0, "bob", 0, 32), Ok(()));
        assert_eq!(add(0, "eve", 0, 1), Err("the tenant t0".to_owned()));
        for number in 1..4 {
            assert_eq!(add(number, "ann", 0, 32), Ok(()));
            assert_eq!(add(number, "bob", 0, 32), Ok(()));
        }
        assert_eq!(add(4, "ann", 0, 1), Err("this process".to_owned()));
        assert_eq!(add(0, "ann", 32, 0), Ok(()));
        assert_eq!(add(4, "ann", 0, 8), Ok(()));
        assert_eq!(add(4, "ann", 8, 0), Ok(()));
        assert_eq!(add(0, "bob", 32, 0), Ok(()));
        for number in 1..4 {
            assert_eq!(add(number, "ann", 32, 0), Ok(()));
            assert_eq!(add(number, "bob", 32, 0), Ok(()));
        }
        assert!(held.all == 0 && held.tenants.is_empty(), "{held:?}");
        // However little is allowed, the largest message passes.
        assert!(held.change(1, &tenant(0), "ann", 0, LARGEST).is_ok());
        assert!(held.change(1, &tenant(0), "ann", LARGEST, LARGEST + 1).is_err());
    }
}
