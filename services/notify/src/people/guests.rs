//! Who has come lately, and as what: so that what notes it need not be written at every call.

use remit_core::{Tenant, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many people are remembered. Beyond that all are forgotten, and noted once more.
const MOST: usize = 20_000;
/// How long nothing need be noted of somebody who comes as the same. Another replica may have taken from her what was noted,
/// and this one does not hear of it: so long she is then told by her name alone.
const FRESH: Duration = Duration::from_secs(600);

/// Who came: of which tenant, and her subject.
type Who = (Tenant, String);

/// As what she came, and when.
type Came = (BTreeSet<String>, Timestamp);

/// As what people came, and when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guests(Arc<Mutex<HashMap<Who, Came>>>);

impl Guests {
    /// Whether it is to be noted that somebody came as this.
    pub(crate) fn is_new(&self, who: &Who, audiences: &BTreeSet<String>, now: Timestamp) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, at)) = known.get(who)
            && before == audiences
            && now.since(*at) < FRESH
        {
            return false;
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(who.clone(), (audiences.clone(), now));
        true
    }

    /// Has somebody noted when she comes next, whatever she comes as.
    pub(crate) fn forget(&self, who: &Who) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(who);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn somebody_is_noted_once_in_a_while_and_when_she_comes_as_another() {
        let guests = Guests::default();
        let who = (Tenant::new("acme").unwrap(), "ann".to_owned());
        let (member, admin) = (BTreeSet::from(["role:member".to_owned()]), BTreeSet::from(["role:admin".to_owned()]));
        let later = Timestamp(0).plus(FRESH);
        assert!(guests.is_new(&who, &member, Timestamp(0)) && !guests.is_new(&who, &member, Timestamp(1)));
        assert!(guests.is_new(&who, &admin, Timestamp(1)) && guests.is_new(&who, &member, Timestamp(2)));
        assert!(guests.is_new(&who, &member, later.plus(Duration::from_secs(1))));
        guests.forget(&who);
        assert!(guests.is_new(&who, &member, later.plus(Duration::from_secs(2))));
        assert!(guests.is_new(&(Tenant::new("other").unwrap(), "ann".to_owned()), &member, later));
    }
}
