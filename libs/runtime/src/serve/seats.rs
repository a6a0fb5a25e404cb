//! The places for connections: how many there are, who has them, and who leaves when all are taken.
//!
//! A connection costs its caller nothing. So one on which nobody has shown a valid token gives its place to whoever comes
//! later, and a thousand silent ones keep nobody out.

use crate::address::{block, speaks_for_many};
use crate::context::Standing;
use remit_core::Tenant;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// The places of a server.
#[derive(Debug, Clone)]
pub(crate) struct Seats(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    per_address: usize,
    proxies: Vec<IpAddr>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// By number, so that the oldest comes first.
    seats: BTreeMap<u64, Place>,
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
    /// Who leaves next, as far as that was worked out, the last first: to look at all for each who comes would cost more
    /// than it does to come.
    next_out: Vec<u64>,
    next: u64,
}

/// How many are worked out at once.
const AHEAD: usize = 64;

#[derive(Debug)]
struct Place {
    address: IpAddr,
    standing: Standing,
    leave: CancellationToken,
}

impl Taken {
    fn remove(&mut self, number: u64) -> Option<Place> {
        let place = self.seats.remove(&number)?;
        if let Some(numbers) = self.by_address.get_mut(&place.address) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_address.remove(&place.address);
            }
        }
        Some(place)
    }

    fn of(&self, address: &IpAddr) -> usize {
        self.by_address.get(address).map_or(0, BTreeSet::len)
    }

    fn is_stranger(&self, number: u64) -> bool {
        self.seats.get(&number).is_some_and(|place| !place.standing.is_known())
    }

    /// The oldest stranger of an address, silent ones before such that called.
    fn stranger_of(&self, address: &IpAddr) -> Option<u64> {
        let numbers = self.by_address.get(address)?.iter().copied().filter(|number| self.is_stranger(*number));
        numbers.min_by_key(|number| (self.seats.get(number).is_some_and(|place| place.standing.has_called()), *number))
    }

    /// The stranger who leaves first: silent before such that called, of the address that has most, the oldest.
    fn stranger(&mut self) -> Option<u64> {
        while let Some(number) = self.next_out.pop() {
            if self.is_stranger(number) {
                return Some(number);
            }
        }
        let strangers = self.seats.iter().filter(|(_, place)| !place.standing.is_known());
        let mut ranked: Vec<_> = strangers
            .map(|(number, place)| (place.standing.has_called(), Reverse(self.of(&place.address)), *number))
            .collect();
        ranked.sort_unstable();
        // Not those that called for as long as others are silent.
        let first = ranked.first().is_some_and(|(called, ..)| *called);
        let alike = ranked.into_iter().take(AHEAD).filter(|(called, ..)| *called == first);
        self.next_out = alike.map(|(.., number)| number).collect();
        self.next_out.reverse();
        self.next_out.pop()
    }

    /// The newest connection of the tenant that has most, if that is more than its share: an equal one, or three quarters
    /// where there is no other.
    fn greedy(&self) -> Option<u64> {
        let mut by_tenant: HashMap<Tenant, (usize, u64)> = HashMap::new();
        for (number, place) in &self.seats {
            if let Some(tenant) = place.standing.tenant() {
                let has = by_tenant.entry(tenant).or_default();
                *has = (has.0 + 1, *number);
            }
        }
        let all = self.seats.len();
        let share = if by_tenant.len() > 1 { all.div_ceil(by_tenant.len()) } else { all * 3 / 4 };
        let (count, newest) = by_tenant.into_values().max_by_key(|(count, _)| *count)?;
        (count > share).then_some(newest)
    }

    fn evict(&mut self, number: u64) {
        if let Some(place) = self.remove(number) {
            place.leave.cancel();
        }
    }
}

impl Seats {
    pub(crate) fn new(most: usize, per_address: usize, proxies: Vec<IpAddr>) -> Self {
        Self(Arc::new(Shared { most, per_address, proxies, taken: Mutex::default() }))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `address`, if need be that of another; none if all who have one may keep it.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Seat> {
        let many = speaks_for_many(address, &self.0.proxies);
        let address = block(address);
        let mut taken = self.taken();
        if !many && taken.of(&address) >= self.0.per_address {
            let number = taken.stranger_of(&address)?;
            taken.evict(number);
        }
        if taken.seats.len() >= self.0.most {
            let number = taken.stranger().or_else(|| taken.greedy())?;
            taken.evict(number);
        }
        let (number, standing, leave) = (taken.next, Standing::default(), CancellationToken::new());
        taken.next += 1;
        taken.by_address.entry(address).or_default().insert(number);
        taken.seats.insert(number, Place { address, standing: standing.clone(), leave: leave.clone() });
        drop(taken);
        Some(Seat { seats: self.clone(), number, standing, leave })
    }

    /// Makes a stranger leave: the process is out of what connections are made of.
    pub(crate) fn relieve(&self) {
        let mut taken = self.taken();
        if let Some(number) = taken.stranger() {
            taken.evict(number);
        }
    }

    /// How many are taken.
    pub(crate) fn len(&self) -> usize {
        self.taken().seats.len()
    }
}

/// The place of a connection until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    number: u64,
    standing: Standing,
    leave: CancellationToken,
}

impl Seat {
    /// What the connection has shown so far.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Ready when the place is somebody else's.
    pub(crate) async fn lost(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::FutureExt as _;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn lost(seat: &Seat) -> bool {
        seat.lost().now_or_never().is_some()
    }

    fn know(seat: &Seat, tenant: &str) {
        seat.standing().called();
        seat.standing().known(&Tenant::new(tenant).unwrap());
    }

    #[test]
    fn the_oldest_silent_connection_makes_room_and_who_is_known_stays() {
        let seats = Seats::new(3, 9, Vec::new());
        let known = seats.take(ip("192.0.2.1")).unwrap();
        know(&known, "acme");
        let called = seats.take(ip("192.0.2.2")).unwrap();
        called.standing().called();
        let silent = seats.take(ip("192.0.2.3")).unwrap();
        let next = seats.take(ip("192.0.2.4")).unwrap();
        assert!(lost(&silent) && !lost(&called) && !lost(&known));
        know(&next, "acme");
        drop(silent);
        assert_eq!(seats.len(), 3);
        let last = seats.take(ip("192.0.2.5")).unwrap();
        assert!(lost(&called));
        know(&last, "acme");
        let _new = seats.take(ip("192.0.2.6")).unwrap();
        assert!(lost(&last) && !lost(&next) && !lost(&known), "of one tenant alone the newest");
    }

    #[test]
    fn of_strangers_those_go_first_whose_address_has_most() {
        let seats = Seats::new(4, 9, Vec::new());
        let early = seats.take(ip("192.0.2.1")).unwrap();
        let crowd: Vec<_> = (0..3).map(|_| seats.take(ip("192.0.2.7")).unwrap()).collect();
        let _new = seats.take(ip("192.0.2.8")).unwrap();
        assert!(lost(&crowd[0]) && !lost(&crowd[1]) && !lost(&early));
    }

    #[test]
    fn an_address_has_so_many_and_a_proxy_as_many_as_there_are() {
        let seats = Seats::new(100, 2, vec![ip("192.0.2.9")]);
        let first = seats.take(ip("192.0.2.1")).unwrap();
        let second = seats.take(ip("192.0.2.1")).unwrap();
        know(&second, "acme");
        let third = seats.take(ip("192.0.2.1")).unwrap();
        assert!(lost(&first) && !lost(&second));
        know(&third, "acme");
        assert!(seats.take(ip("192.0.2.1")).is_none());
        assert!(seats.take(ip("192.0.2.2")).is_some());
        for many in ["127.0.0.1", "192.0.2.9"] {
            let held: Vec<_> = (0..10).map(|_| seats.take(ip(many)).unwrap()).collect();
            assert!(!held.iter().any(lost), "{many}");
        }
    }

    #[test]
    fn a_tenant_with_more_than_its_share_makes_room_for_others() {
        let seats = Seats::new(6, 9, Vec::new());
        let hoard: Vec<_> = (0..5).map(|_| seats.take(ip("127.0.0.1")).unwrap()).collect();
        hoard.iter().for_each(|seat| know(seat, "hoarder"));
        let other = seats.take(ip("127.0.0.1")).unwrap();
        know(&other, "acme");
        let _new = seats.take(ip("127.0.0.1")).unwrap();
        assert!(lost(&hoard[4]) && !lost(&hoard[0]) && !lost(&other));
    }

    #[test]
    fn who_has_fair_shares_keeps_them() {
        let seats = Seats::new(40, 99, Vec::new());
        let held: Vec<_> = (0..40).map(|_| seats.take(ip("127.0.0.1")).unwrap()).collect();
        for (number, seat) in held.iter().enumerate() {
            know(seat, ["a1", "b1", "c1"][number % 3]);
        }
        assert!(seats.take(ip("127.0.0.1")).is_none());
        assert!(!held.iter().any(lost));
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_has_ended() {
        let seats = Seats::new(1, 1, Vec::new());
        for _ in 0..3 {
            let seat = seats.take(ip("192.0.2.1")).unwrap();
            know(&seat, "acme");
            assert!(seats.take(ip("192.0.2.1")).is_none());
        }
        seats.relieve();
        assert_eq!(seats.len(), 0);
    }
}
