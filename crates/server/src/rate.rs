//! Token buckets: how fast a person or an address may speak, kept across reconnects.

use crate::clock::Steady;
use protocol::id::PersonId;
use protocol::limits::{POST_BURST, POST_EVERY_MS, SEARCH_BURST, SEARCH_EVERY_MS};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether programs on this machine are free of rates and of counts per address. They are never free of windows and of
/// bounds of memory and space.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LocalAddresses {
    /// They are, if they come from 127.0.0.1 or ::1.
    #[default]
    Exempt,
    /// They are limited like all others: behind a tunnel or a proxy, strangers come from this machine too.
    Limited,
}

impl LocalAddresses {
    /// Whether whoever comes from this address is free of rates and of counts per address.
    ///
    /// The rest of 127.0.0.0/8 is not: those addresses are local only where plaintext is concerned.
    pub fn is_exempt(self, address: IpAddr) -> bool {
        let own = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        self == Self::Exempt && own.contains(&address.to_canonical())
    }
}

/// The network that rates and counts of an address are kept for: the address itself, or the /64 of an IPv6 address,
/// since one customer usually has all of that.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Whom a bucket is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Payer {
    /// A person, whatever their address.
    Person(PersonId),
    /// The [`network`] of an address, whoever they say they are.
    Network(IpAddr),
}

/// A rate: so many at once, refilled one each so many ms.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How many may come at once.
    pub burst: u32,
    /// Ms until another one is allowed.
    pub every_ms: u32,
}

/// Posts: faster than anybody types, slow enough that a room can be read.
pub const POSTS: Rate = Rate { burst: POST_BURST, every_ms: POST_EVERY_MS };

/// Searches: each may look through all that was ever said.
pub const SEARCHES: Rate = Rate { burst: SEARCH_BURST, every_ms: SEARCH_EVERY_MS };

/// Buckets that are kept; beyond it full ones are forgotten, which changes nothing for their owners.
const MAX_BUCKETS: usize = 100_000;

/// All buckets of one rate.
///
/// Stored as the time at which the bucket is full again (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug)]
pub struct Rates {
    rate: Rate,
    full_at: BTreeMap<Payer, u64>,
}

impl Rates {
    /// No bucket has been used yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at: BTreeMap::new() }
    }

    /// Takes one token from each payer, or from none.
    ///
    /// # Errors
    /// The ms until all of them have one.
    pub fn take(&mut self, payers: &[Payer], now: Steady) -> Result<(), u64> {
        let wait = payers.iter().map(|payer| self.wait(*payer, now)).max().unwrap_or(0);
        if wait > 0 {
            return Err(wait);
        }
        for payer in payers {
            let full_at = self.full_at.entry(*payer).or_default();
            *full_at = (*full_at).max(now.0) + u64::from(self.rate.every_ms);
        }
        if self.full_at.len() > MAX_BUCKETS {
            self.full_at.retain(|_, full_at| *full_at > now.0);
        }
        Ok(())
    }

    fn wait(&self, payer: Payer, now: Steady) -> u64 {
        let capacity = u64::from(self.rate.burst) * u64::from(self.rate.every_ms);
        let full_at = self.full_at.get(&payer).copied().unwrap_or(0).max(now.0);
        (full_at + u64::from(self.rate.every_ms)).saturating_sub(now.0 + capacity)
    }
}

/// Who pays for what comes from this address; nobody where it is exempt.
pub fn payers(person: PersonId, address: IpAddr, local: LocalAddresses) -> Vec<Payer> {
    if local.is_exempt(address) {
        return Vec::new();
    }
    vec![Payer::Person(person), Payer::Network(network(address))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_then_one_each_interval() {
        let mut rates = Rates::new(Rate { burst: 3, every_ms: 10 });
        let payer = [Payer::Person(PersonId::FIRST)];
        let mut take = |now| rates.take(&payer, Steady(now));
        assert_eq!([take(100), take(100), take(100)], [Ok(()); 3]);
        assert_eq!(take(100), Err(10));
        assert_eq!(take(109), Err(1));
        assert_eq!(take(110), Ok(()));
        assert_eq!(take(110), Err(10));
    }

    #[test]
    fn a_refusal_takes_nothing_from_anybody() {
        let mut rates = Rates::new(Rate { burst: 1, every_ms: 10 });
        let (one, two) = (Payer::Person(PersonId::FIRST), Payer::Person(PersonId::FIRST.next()));
        assert_eq!(rates.take(&[one], Steady(0)), Ok(()));
        assert_eq!(rates.take(&[one, two], Steady(0)), Err(10));
        assert_eq!(rates.take(&[two], Steady(0)), Ok(()));
    }

    #[test]
    fn programs_on_this_machine_are_exempt_unless_they_may_be_strangers_behind_a_tunnel() {
        let exempt = |local: LocalAddresses, address: &str| local.is_exempt(address.parse().unwrap());
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(exempt(LocalAddresses::Exempt, own), "{own}");
            assert!(!exempt(LocalAddresses::Limited, own), "{own}");
        }
        for stranger in
            ["127.0.0.2", "127.8.9.10", "::ffff:127.0.0.2", "192.0.2.7", "2001:db8::1", "0.0.0.0", "::"]
        {
            assert!(!exempt(LocalAddresses::Exempt, stranger), "{stranger}");
        }
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_prefix_of_64_bits() {
        let of = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
