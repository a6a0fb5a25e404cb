//! What an address at the other end of a connection stands for.

use std::net::{IpAddr, Ipv6Addr};

/// What counts as one address: of IPv6 the network of a host, which can take any address in it.
pub(crate) fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Whether an address speaks for many callers, so that bounds for one do not fit: this machine, and known `proxies`.
pub(crate) fn speaks_for_many(address: IpAddr, proxies: &[IpAddr]) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || proxies.iter().any(|proxy| proxy.to_canonical() == address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_is_one_address_however_many_it_has() {
        assert_eq!(block(ip("2001:db8:1:2:aaaa::1")), block(ip("2001:db8:1:2::2")));
        assert_ne!(block(ip("2001:db8:1:2::1")), block(ip("2001:db8:1:3::1")));
        assert_eq!(block(ip("::ffff:192.0.2.7")), ip("192.0.2.7"));
        assert_ne!(block(ip("192.0.2.7")), block(ip("192.0.2.8")));
    }

    #[test]
    fn this_machine_and_proxies_speak_for_many() {
        let proxies = [ip("192.0.2.1"), ip("2001:db8::1")];
        for many in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"] {
            assert!(speaks_for_many(ip(many), &proxies), "{many}");
        }
        for one in ["192.0.2.2", "2001:db8::2", "10.0.0.1"] {
            assert!(!speaks_for_many(ip(one), &proxies), "{one}");
        }
    }
}
