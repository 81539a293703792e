//! Token buckets: how fast people and networks may go, kept across reconnects; and who is exempt from that.

use crate::clock::Steady;
use protocol::id::PersonId;
use protocol::limits::rates::{Bucket, NewPeople, Rate};
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
    /// The new people of a network, for the share that it has whatever the others do.
    Share(IpAddr),
    /// All new people together.
    NewPeople,
    /// All guests together who are held for as long as it takes: what they overdraw is not the others' loss.
    Guests,
}

/// Who pays for what comes from one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payers {
    /// The person, once they are known.
    person: Option<PersonId>,
    /// From where.
    network: IpAddr,
    /// Whether they share what there is for new people.
    is_new: bool,
}

impl Payers {
    /// Who pays for what this person does from this address; nobody where it is exempt.
    pub fn of(person: Option<PersonId>, address: IpAddr, local: LocalAddresses) -> Option<Self> {
        (!local.is_exempt(address)).then(|| Self { person, network: network(address), is_new: false })
    }

    /// The same, who are new or are known by now.
    #[must_use]
    pub fn who_are_new(self, is_new: bool) -> Self {
        Self { is_new, ..self }
    }

    /// Whether they share what there is for new people.
    pub fn are_new(self) -> bool {
        self.is_new
    }

    /// Each of them, and all new people with those who are new.
    pub fn to_vec(self) -> Vec<Payer> {
        let person = self.person.map(Payer::Person);
        let new_people = self.is_new.then_some(Payer::NewPeople);
        person.into_iter().chain([Payer::Network(self.network)]).chain(new_people).collect()
    }

    fn each(self, rates: BucketRates) -> impl Iterator<Item = (Payer, Rate)> {
        let person = self.person.map(|person| (Payer::Person(person), rates.person));
        person.into_iter().chain([(Payer::Network(self.network), rates.network)])
    }
}

/// The rates of one bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BucketRates {
    /// Of each person.
    pub person: Rate,
    /// Of each network.
    pub network: Rate,
    /// What new people share; `None` where they need not.
    pub new_people: Option<NewPeople>,
}

/// The rates of all buckets.
#[derive(Clone, Debug)]
pub struct RateTable([BucketRates; Bucket::ALL.len()]);

impl Default for RateTable {
    fn default() -> Self {
        Self(Bucket::ALL.map(|bucket| BucketRates {
            person: bucket.of_person(),
            network: bucket.of_network(),
            new_people: Some(bucket.of_new_people()),
        }))
    }
}

impl RateTable {
    /// The same with other rates of one bucket.
    #[must_use]
    pub fn with(mut self, bucket: Bucket, rates: BucketRates) -> Self {
        self.0[bucket as usize] = rates;
        self
    }

    fn of(&self, bucket: Bucket) -> BucketRates {
        self.0[bucket as usize]
    }
}

/// How long a sender may be held before something is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// Not at all.
    None,
    /// For so many ms.
    Ms(u64),
    /// As long as it takes: nothing is refused.
    Endless,
}

/// Full buckets are forgotten when there are so many: that changes nothing for their owners.
const FEW_BUCKETS: usize = 10_000;

/// All token buckets.
///
/// Each is stored as the time at which it is full again (the generic cell rate algorithm, ITU-T I.371). One that is taken
/// from beyond empty is overdrawn: its owner is held until it has made up for that.
#[derive(Debug)]
pub struct Rates {
    table: RateTable,
    full_at: BTreeMap<(Bucket, Payer), u64>,
    /// How many there may be before full ones are looked for.
    forget_at: usize,
}

impl Rates {
    /// No bucket has been used yet.
    pub fn new(table: RateTable) -> Self {
        Self { table, full_at: BTreeMap::new(), forget_at: FEW_BUCKETS }
    }

    /// Takes so many tokens from each payer's bucket, or none from anybody. Gives the ms for which the sender is to be
    /// held.
    ///
    /// # Errors
    /// The ms until all of them are there.
    pub fn take(
        &mut self,
        bucket: Bucket,
        payers: Payers,
        tokens: u32,
        patience: Patience,
        now: Steady,
    ) -> Result<u64, u64> {
        let rates = self.table.of(bucket);
        let shared = rates.new_people.filter(|_| payers.is_new);
        let shared =
            shared.map(|rates| self.payer_of_new((bucket, payers.network), rates, tokens, patience, now));
        let all = || payers.each(rates).chain(shared);
        let waits = all().map(|(payer, rate)| self.wait((bucket, payer), rate, tokens, now));
        let wait = waits.max().unwrap_or(0);
        let is_over = match patience {
            Patience::None => wait > 0,
            Patience::Ms(ms) => wait > ms,
            Patience::Endless => false,
        };
        if is_over {
            return Err(wait);
        }
        for (payer, rate) in all() {
            let full_at = self.full_after((bucket, payer), rate, tokens, now);
            self.full_at.insert((bucket, payer), full_at);
        }
        self.forget_full(now);
        Ok(wait)
    }

    /// Gives back what somebody who is held for as long as it takes did not wait for.
    pub fn give_back(&mut self, bucket: Bucket, payers: Payers, tokens: u32) {
        let rates = self.table.of(bucket);
        let shared = rates.new_people.filter(|_| payers.is_new).map(|new| (Payer::Guests, new.together));
        for (payer, rate) in payers.each(rates).chain(shared) {
            if let Some(full_at) = self.full_at.get_mut(&(bucket, payer)) {
                let tokens = u64::from(tokens.min(rate.burst));
                *full_at = full_at.saturating_sub(tokens * u64::from(rate.every_ms));
            }
        }
    }

    /// Who pays for new people of a network: their own share while there is something left of it, and all of them then.
    fn payer_of_new(
        &self,
        (bucket, network): (Bucket, IpAddr),
        rates: NewPeople,
        tokens: u32,
        patience: Patience,
        now: Steady,
    ) -> (Payer, Rate) {
        let share = Payer::Share(network);
        let is_small = tokens <= rates.share.burst;
        if is_small && self.wait((bucket, share), rates.share, tokens, now) == 0 {
            (share, rates.share)
        } else if patience == Patience::Endless {
            (Payer::Guests, rates.together)
        } else {
            (Payer::NewPeople, rates.together)
        }
    }

    /// The ms until a bucket has so many tokens.
    fn wait(&self, key: (Bucket, Payer), rate: Rate, tokens: u32, now: Steady) -> u64 {
        let full_at = self.full_after(key, rate, tokens, now);
        let capacity = u64::from(rate.burst) * u64::from(rate.every_ms);
        full_at.saturating_sub(now.0.saturating_add(capacity))
    }

    /// When a bucket will be full if so many tokens are taken. No more than it holds are asked for at once.
    fn full_after(&self, key: (Bucket, Payer), rate: Rate, tokens: u32, now: Steady) -> u64 {
        let full_at = self.full_at.get(&key).copied().unwrap_or(0).max(now.0);
        full_at.saturating_add(u64::from(tokens.min(rate.burst)) * u64::from(rate.every_ms))
    }

    fn forget_full(&mut self, now: Steady) {
        if self.full_at.len() >= self.forget_at {
            self.full_at.retain(|_, full_at| *full_at > now.0);
            // Looked for again when there are twice as many, so that this costs no more than what made them.
            self.forget_at = FEW_BUCKETS.max(self.full_at.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn payers(person: u64) -> Payers {
        Payers::of(PersonId::new(person), HERE, LocalAddresses::Exempt).unwrap()
    }

    /// Names cost each person and the network this.
    fn rates(person: (u32, u32), network: (u32, u32)) -> Rates {
        let rate = |(burst, every_ms)| Rate { burst, every_ms };
        let rates = BucketRates { person: rate(person), network: rate(network), new_people: None };
        Rates::new(RateTable::default().with(Bucket::Names, rates))
    }

    fn take(rates: &mut Rates, person: u64, now: u64) -> Result<u64, u64> {
        rates.take(Bucket::Names, payers(person), 1, Patience::None, Steady(now))
    }

    #[test]
    fn a_burst_is_allowed_then_one_each_interval() {
        let mut rates = rates((3, 10), (100, 1));
        let mut take = |now| take(&mut rates, 1, now);
        assert_eq!([take(100), take(100), take(100)], [Ok(0); 3]);
        assert_eq!(take(100), Err(10));
        assert_eq!(take(109), Err(1));
        assert_eq!(take(110), Ok(0));
        assert_eq!(take(110), Err(10));
    }

    #[test]
    fn a_refusal_takes_nothing_from_anybody() {
        let mut rates = rates((1, 10), (2, 10));
        assert_eq!(take(&mut rates, 1, 0), Ok(0));
        assert_eq!(take(&mut rates, 1, 0), Err(10), "the network has one left");
        assert_eq!(take(&mut rates, 2, 0), Ok(0));
        assert_eq!(take(&mut rates, 3, 0), Err(10), "and none now");
    }

    #[test]
    fn who_is_too_fast_is_held_until_the_bucket_has_made_up_for_it_and_refused_beyond() {
        let mut rates = rates((2, 10), (100, 1));
        let mut take = |now| rates.take(Bucket::Names, payers(1), 1, Patience::Ms(25), Steady(now));
        assert_eq!([take(0), take(0), take(0), take(0)], [Ok(0), Ok(0), Ok(10), Ok(20)]);
        assert_eq!(take(0), Err(30));
        assert_eq!(take(20), Ok(10), "in the long run it is one each interval");
        assert_eq!(take(50), Ok(0));
        let endless = |tokens| rates.take(Bucket::Names, payers(1), tokens, Patience::Endless, Steady(50));
        assert!([1, 1, 1, 1, 1].map(endless).iter().all(Result::is_ok), "a classic line is never refused");
    }

    #[test]
    fn a_post_that_costs_more_than_a_bucket_holds_is_taken_from_a_full_one() {
        let mut rates = rates((3, 10), (100, 1));
        let mut take = |now| rates.take(Bucket::Names, payers(1), 17, Patience::None, Steady(now));
        assert_eq!(take(0), Ok(0));
        assert_eq!((take(29), take(30)), (Err(1), Ok(0)));
    }

    #[test]
    fn new_people_of_all_networks_share_a_bucket_and_each_network_has_something_of_its_own() {
        let rate = |burst, every_ms| Rate { burst, every_ms };
        let new_people = Some(NewPeople { share: rate(1, 1_000), together: rate(2, 10) });
        let rates = BucketRates { person: rate(100, 1), network: rate(100, 1), new_people };
        let mut rates = Rates::new(RateTable::default().with(Bucket::Names, rates));
        let mut take = |host: u8, is_new, now| {
            let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, host));
            let payers = Payers::of(PersonId::new(host.into()), address, LocalAddresses::Exempt).unwrap();
            rates.take(Bucket::Names, payers.who_are_new(is_new), 1, Patience::None, Steady(now))
        };
        assert_eq!([take(1, true, 0), take(1, true, 0), take(1, true, 0)], [Ok(0); 3]);
        assert_eq!(take(1, true, 0), Err(10), "all of them used up what they share");
        assert_eq!(take(2, true, 0), Ok(0), "another network has its own share");
        assert_eq!(take(2, true, 0), Err(10));
        assert_eq!(take(1, false, 0), Ok(0), "who is known pays nothing there");
        assert_eq!((take(2, true, 10), take(1, true, 10)), (Ok(0), Err(10)));
    }

    #[test]
    fn guests_who_are_held_for_long_take_nothing_from_others() {
        let rate = |burst, every_ms| Rate { burst, every_ms };
        let new_people = Some(NewPeople { share: rate(1, 60_000), together: rate(2, 10) });
        let rates = BucketRates { person: rate(100, 1), network: rate(1_000, 1), new_people };
        let mut rates = Rates::new(RateTable::default().with(Bucket::Names, rates));
        let mut take =
            |patience| rates.take(Bucket::Names, payers(1).who_are_new(true), 1, patience, Steady(0));
        let holds: Vec<_> = (0..6).map(|_| take(Patience::Endless)).collect();
        assert_eq!(holds, [Ok(0), Ok(0), Ok(0), Ok(10), Ok(20), Ok(30)]);
        assert_eq!(take(Patience::None), Ok(0));
    }

    #[test]
    fn buckets_do_not_pile_up() {
        let mut rates = rates((1, 10), (1_000_000, 1));
        for person in 1..=5 * FEW_BUCKETS as u64 {
            assert_eq!(take(&mut rates, person, person * 20), Ok(0));
        }
        assert!(rates.full_at.len() <= FEW_BUCKETS, "{}", rates.full_at.len());
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
