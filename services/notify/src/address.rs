//! Which addresses webhooks may reach. A name is resolved for every connection, each of its addresses is looked at, and
//! the connection goes to an address that was looked at: what a name says later changes nothing.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use remit_core::{Error, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// A network: an address and how many of its bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    bits: u128,
    length: u32,
    v4: bool,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let (bits, v4) = bits(address.parse().ok()?);
        let length: u32 = length.parse().ok()?;
        (length <= if v4 { 32 } else { 128 }).then_some(Self {
            bits,
            length: if v4 { length + 96 } else { length },
            v4,
        })
    }

    fn holds(&self, address: IpAddr) -> bool {
        let (bits, v4) = bits(address);
        let mask = if self.length == 0 { 0 } else { u128::MAX << (128 - self.length) };
        v4 == self.v4 && (bits ^ self.bits) & mask == 0
    }
}

fn bits(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), true),
        IpAddr::V6(v6) => (u128::from(v6), false),
    }
}

/// The rules for addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    allowed: Arc<[Network]>,
}

impl Rules {
    /// Reads the networks that are allowed although they are not of the open Internet.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) naming the one that is no network.
    pub(crate) fn new(networks: &[String]) -> Result<Self> {
        let read = |text: &String| {
            let wrong = || format!("{text:?} is not a network such as \"10.1.2.0/24\"");
            Network::parse(text).ok_or_else(|| Error::invalid("CONFIG_INVALID", "notify.allow_addresses", wrong()))
        };
        Ok(Self { allowed: networks.iter().map(read).collect::<Result<_>>()? })
    }

    /// Whether a webhook may be sent there.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        let meant = meant(address);
        self.allowed.iter().any(|network| network.holds(address) || network.holds(meant)) || is_open(meant)
    }

    /// Whether a webhook may be sent to the host of a URL, as far as that stands in it: an address is not resolved, and
    /// a name is looked at when it is.
    pub(crate) fn permits_host(&self, host: &str) -> bool {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        literal.ok().is_none_or(|address| self.permits(address))
    }
}

/// The IPv4 address that an IPv6 address leads to, if it does: mapped, compatible, NAT64 and 6to4 alike.
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let s = v6.segments();
    let of = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if !v6.is_loopback() && !v6.is_unspecified() => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => address,
    }
}

fn is_open(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_open_v4(v4),
        IpAddr::V6(v6) => is_open_v6(v6),
    }
}

fn is_open_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let closed = a == 0
        || a == 10
        || a == 127
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        // Link-local, where clouds keep their metadata.
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113);
    !closed
}

fn is_open_v6(v6: Ipv6Addr) -> bool {
    let [a, b, ..] = v6.segments();
    // Global unicast, without documentation, Teredo and what else is set apart there. NAT64 of a network of one's own and
    // discard prefixes lie outside anyway.
    (0x2000..0x4000).contains(&a) && !(a == 0x2001 && (b < 0x0200 || b == 0x0db8)) && !(a == 0x3fff && b < 0x1000)
}

/// What says the addresses of a name.
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Resolves names to addresses that the rules permit.
#[derive(Clone)]
pub(crate) struct Checked {
    rules: Rules,
    lookup: Lookup,
}

impl Checked {
    /// By these rules, asking this machine.
    pub(crate) fn new(rules: Rules) -> Self {
        let lookup =
            |name: String| async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) }.boxed();
        Self { rules, lookup: Arc::new(lookup) }
    }

    /// By these rules, where somebody else says what a name means.
    #[cfg(test)]
    pub(crate) fn by(rules: Rules, lookup: impl Fn() -> Vec<SocketAddr> + Send + Sync + 'static) -> Self {
        let lookup = move |_| std::future::ready(Ok(lookup())).boxed();
        Self { rules, lookup: Arc::new(lookup) }
    }
}

/// An address that the rules do not permit.
#[derive(Debug)]
pub(crate) struct Forbidden;

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name leads to an address that webhooks may not reach")
    }
}

impl std::error::Error for Forbidden {}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, found) = (self.rules.clone(), (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let found = found.await?;
            // One forbidden address is enough: whoever answers with both is trying something.
            if found.is_empty() || !found.iter().all(|address| rules.permits(address.ip())) {
                return Err(Forbidden.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_open_internet_is_reached() {
        let rules = Rules::default();
        let open =
            ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "64:ff9b::101:101"];
        for address in open {
            assert!(rules.permits(address.parse().unwrap()), "{address}");
        }
        let closed = [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ];
        for address in closed {
            assert!(!rules.permits(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_is_allowed_is_reached() {
        let rules = Rules::new(&["127.0.0.0/8".to_owned(), "fd00::/16".to_owned()]).unwrap();
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "fd00::1"] {
            assert!(rules.permits(address.parse().unwrap()), "{address}");
        }
        for address in ["10.0.0.1", "::1", "fd01::1", "0.0.0.1"] {
            assert!(!rules.permits(address.parse().unwrap()), "{address}");
        }
        assert!(Rules::new(&["0.0.0.0/0".to_owned()]).unwrap().permits("10.0.0.1".parse().unwrap()));
        for wrong in ["10.0.0.1", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/-1"] {
            assert_eq!(Rules::new(&[wrong.to_owned()]).unwrap_err().reason(), "CONFIG_INVALID", "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_not_resolved() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(Checked::new(Rules::default()).resolve(name()).await.is_err());
        let allowed = Rules::new(&["127.0.0.0/8".to_owned(), "::1/128".to_owned()]).unwrap();
        assert!(Checked::new(allowed).resolve(name()).await.is_ok());
    }
}
