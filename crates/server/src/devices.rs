//! Devices and their counters: what makes a post that is sent again appear once.
//!
//! An idempotent producer, as Kafka calls it (KIP-98): a device numbers its posts, and the server accepts
//! each number once and in order.

use crate::store::{Change, StoredDevice};
use protocol::id::{Counter, DeviceId, DeviceNo, Millis, PersonId};
use protocol::limits::{DEVICE_DAYS, MAX_REMEMBERED};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a post's counter says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is stored already: acknowledge it again.
    Stored,
    /// It awaits its commit: the acknowledgement will come.
    Waiting,
    /// It is the next one: judge it.
    Next,
    /// It belongs to a post with other content.
    Other {
        /// The one that is expected next.
        expected: Counter,
    },
    /// One or more are missing before it.
    OutOfOrder {
        /// The one that is expected.
        expected: Counter,
    },
}

/// A device.
#[derive(Debug)]
struct Device {
    /// Its own id; `None` for a guest's, which ends with its connection.
    id: Option<DeviceId>,
    person: PersonId,
    /// The last post that is stored.
    stored: Option<Counter>,
    /// The last post that was accepted. Invariant: stored <= accepted.
    accepted: Option<Counter>,
    /// What the last accepted posts held, the last of them that of `accepted`. Only in memory: a stored one would
    /// tell what was deleted. Invariant: at most [`MAX_REMEMBERED`].
    contents: VecDeque<Fingerprint>,
    seen: Millis,
}

impl Device {
    /// What the post with this counter held, if it is remembered.
    fn content(&self, counter: Counter) -> Option<Fingerprint> {
        let back = self.accepted?.value().checked_sub(counter.value())?;
        let at = (self.contents.len() as u64).checked_sub(back + 1)?;
        self.contents.get(usize::try_from(at).ok()?).copied()
    }
}

/// A keyed hash of what a post holds.
pub type Fingerprint = u64;

/// That of a post which the server numbers itself, for a classic client: it is never sent again.
pub const NOT_COMPARED: Fingerprint = 0;

/// All devices.
#[derive(Debug, Default)]
pub struct Devices {
    /// Boxed, as much of a map is empty places.
    by_no: BTreeMap<DeviceNo, Box<Device>>,
    by_id: BTreeMap<(PersonId, DeviceId), DeviceNo>,
    last: Option<DeviceNo>,
    /// Devices of which what is stored is damaged: nobody knows what they have posted.
    closed: BTreeSet<DeviceId>,
}

impl Devices {
    /// None yet; numbers up to `last` were given out before, and these devices are closed.
    pub fn new(last: Option<DeviceNo>, closed: BTreeSet<DeviceId>) -> Self {
        Self { last, closed, ..Self::default() }
    }

    /// Whether what is stored of a device is damaged.
    pub fn is_closed(&self, id: DeviceId) -> bool {
        self.closed.contains(&id)
    }

    /// The largest number that was given out.
    pub fn last(&self) -> Option<DeviceNo> {
        self.last
    }

    /// Takes in a stored device.
    pub fn restore(&mut self, stored: StoredDevice) {
        let StoredDevice { device: no, id, person, counter, seen } = stored;
        let contents = VecDeque::new();
        let device = Device { id: Some(id), person, stored: counter, accepted: counter, contents, seen };
        self.by_no.insert(no, Box::new(device));
        self.by_id.insert((person, id), no);
        self.last = self.last.max(Some(no));
    }

    /// The number of a person's device; a new one if it was never seen.
    pub fn of(&mut self, person: PersonId, id: Option<DeviceId>, now: Millis) -> DeviceNo {
        if let Some(no) = id.and_then(|id| self.by_id.get(&(person, id)).copied()) {
            return no;
        }
        let no = DeviceNo::after(self.last);
        self.last = Some(no);
        let contents = VecDeque::new();
        let device = Device { id, person, stored: None, accepted: None, contents, seen: now };
        self.by_no.insert(no, Box::new(device));
        if let Some(id) = id {
            self.by_id.insert((person, id), no);
        }
        no
    }

    /// The last post of a device that is stored.
    pub fn stored(&self, no: DeviceNo) -> Option<Counter> {
        self.by_no.get(&no)?.stored
    }

    /// The number that a device's next post must have.
    pub fn expected(&self, no: DeviceNo) -> Counter {
        Counter::after(self.by_no.get(&no).and_then(|device| device.accepted))
    }

    /// The device of a person with this id, if it was seen before.
    pub fn known(&self, person: PersonId, id: DeviceId) -> Option<DeviceNo> {
        self.by_id.get(&(person, id)).copied()
    }

    /// When each device of a person that may come back was last seen.
    pub fn seen_of(&self, person: PersonId) -> impl Iterator<Item = Millis> {
        let ids = (person, DeviceId([0; 16]))..=(person, DeviceId([u8::MAX; 16]));
        self.by_id.range(ids).filter_map(|(_, no)| Some(self.by_no.get(no)?.seen))
    }

    /// Whether every accepted post of a device is stored.
    pub fn is_settled(&self, no: DeviceNo) -> bool {
        self.by_no.get(&no).is_none_or(|device| device.accepted == device.stored)
    }

    /// What the counter of a post says that holds this.
    pub fn judge(&self, no: DeviceNo, counter: Counter, content: Fingerprint) -> Verdict {
        let expected = self.expected(no);
        let other = |device: &Device| device.content(counter).is_some_and(|known| known != content);
        if counter < expected && self.by_no.get(&no).is_some_and(|device| other(device)) {
            Verdict::Other { expected }
        } else if Some(counter) <= self.stored(no) {
            Verdict::Stored
        } else if counter < expected {
            Verdict::Waiting
        } else if counter == expected {
            Verdict::Next
        } else {
            Verdict::OutOfOrder { expected }
        }
    }

    /// The next post was accepted and awaits its commit.
    pub fn accept(&mut self, no: DeviceNo, counter: Counter, content: Fingerprint) {
        if let Some(device) = self.by_no.get_mut(&no) {
            device.accepted = Some(counter);
            if device.contents.len() == MAX_REMEMBERED {
                device.contents.pop_front();
            }
            device.contents.push_back(content);
        }
    }

    /// A post is stored.
    pub fn store(&mut self, no: DeviceNo, counter: Counter) {
        if let Some(device) = self.by_no.get_mut(&no) {
            device.stored = device.stored.max(Some(counter));
        }
    }

    /// The store refused a post: it and all after it were not accepted after all.
    pub fn refuse(&mut self, no: DeviceNo) {
        if let Some(device) = self.by_no.get_mut(&no) {
            let value = |counter: Option<Counter>| counter.map_or(0, Counter::value);
            let dropped = value(device.accepted).saturating_sub(value(device.stored));
            let kept = (device.contents.len() as u64).saturating_sub(dropped);
            device.contents.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
            device.accepted = device.stored;
        }
    }

    /// Forgets what the posts of a device held that was not seen for an hour.
    pub fn forget_contents(&mut self, now: Millis) {
        let old = |device: &&mut Box<Device>| device.seen.0.saturating_add(3_600_000) < now.0;
        self.by_no.values_mut().filter(old).for_each(|device| device.contents = VecDeque::new());
    }

    /// Notes that a device is still here; what is to be stored of that, if it was stored longer than this ago.
    pub fn see(&mut self, no: DeviceNo, now: Millis, after_ms: u64) -> Option<Change> {
        let device = self.by_no.get_mut(&no)?;
        let id = device.id?;
        if now.0.saturating_sub(device.seen.0) < after_ms {
            return None;
        }
        // A machine without a battery wakes up in 1970: that takes away nothing that was known before.
        device.seen = device.seen.max(now);
        Some(Change::Device { device: no, id, person: device.person, seen: device.seen })
    }

    /// The devices of a person that may come back.
    pub fn of_person(&self, person: PersonId) -> Vec<DeviceNo> {
        let own = (person, DeviceId([0; 16]))..=(person, DeviceId([u8::MAX; 16]));
        self.by_id.range(own).map(|(_, no)| *no).collect()
    }

    /// What is to be stored of the devices of a person of whom nothing is stored yet.
    pub fn changes_of(&self, person: PersonId) -> impl Iterator<Item = Change> {
        let known = self.of_person(person).into_iter().filter_map(|no| Some((no, self.by_no.get(&no)?)));
        known.filter_map(|(device, known)| {
            Some(Change::Device { device, id: known.id?, person: known.person, seen: known.seen })
        })
    }

    /// Forgets a device; tells whose it was.
    pub fn forget(&mut self, no: DeviceNo) -> Option<PersonId> {
        let Device { id, person, .. } = *self.by_no.remove(&no)?;
        if let Some(id) = id {
            self.by_id.remove(&(person, id));
        }
        Some(person)
    }

    /// How many devices a person has.
    pub fn count(&self, person: PersonId) -> usize {
        self.of_person(person).len()
    }

    /// The device of a person that is missed least: not connected, with nothing that waits to be stored, never used for a
    /// post if there is such a one, and not seen for longest.
    pub fn oldest(&self, person: PersonId, is_connected: impl Fn(DeviceNo) -> bool) -> Option<DeviceNo> {
        let idle = self.of_person(person).into_iter().filter(|no| !is_connected(*no) && self.is_settled(*no));
        let known = idle.filter_map(|no| Some((self.by_no.get(&no)?, no)));
        known.min_by_key(|(device, no)| (device.stored.is_some(), device.seen, *no)).map(|(_, no)| no)
    }

    /// Devices that were not seen for so long that they may be forgotten.
    pub fn stale(&self, now: Millis) -> Vec<DeviceNo> {
        let before = now.0.saturating_sub(u64::from(DEVICE_DAYS) * 86_400_000);
        self.by_no.iter().filter(|(_, device)| device.seen.0 < before).map(|(no, _)| *no).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(n: u64) -> Counter {
        Counter::new(n).unwrap()
    }

    #[test]
    fn a_post_is_judged_once_and_acknowledged_for_ever() {
        let mut devices = Devices::default();
        let no = devices.of(PersonId::FIRST, Some(DeviceId([1; 16])), Millis(0));
        assert_eq!(devices.judge(no, counter(1), 7), Verdict::Next);
        devices.accept(no, counter(1), 7);
        assert_eq!(devices.judge(no, counter(1), 7), Verdict::Waiting);
        devices.store(no, counter(1));
        assert_eq!(devices.judge(no, counter(1), 7), Verdict::Stored);
        assert_eq!(devices.judge(no, counter(3), 7), Verdict::OutOfOrder { expected: counter(2) });
    }

    #[test]
    fn a_counter_that_is_used_for_another_post_is_told_apart_from_a_repetition() {
        let mut devices = Devices::default();
        let no = devices.of(PersonId::FIRST, Some(DeviceId([1; 16])), Millis(0));
        (1..=3).for_each(|n| devices.accept(no, counter(n), n * 10));
        let other = Verdict::Other { expected: counter(4) };
        assert_eq!(devices.judge(no, counter(2), 99), other, "while it waits");
        devices.store(no, counter(2));
        devices.refuse(no);
        assert_eq!(devices.judge(no, counter(1), 10), Verdict::Stored);
        assert_eq!(devices.judge(no, counter(2), 99), Verdict::Other { expected: counter(3) });
        assert_eq!(devices.judge(no, counter(3), 99), Verdict::Next, "what was refused is forgotten");
    }

    #[test]
    fn only_the_newest_contents_are_remembered_and_older_counters_are_acknowledged() {
        let mut devices = Devices::default();
        let no = devices.of(PersonId::FIRST, Some(DeviceId([1; 16])), Millis(0));
        let last = MAX_REMEMBERED as u64 + 1;
        (1..=last).for_each(|n| devices.accept(no, counter(n), n));
        devices.store(no, counter(last));
        assert_eq!(devices.judge(no, counter(1), 99), Verdict::Stored);
        assert_eq!(devices.judge(no, counter(2), 99), Verdict::Other { expected: counter(last + 1) });
        devices.forget_contents(Millis(3_600_001));
        assert_eq!(devices.judge(no, counter(2), 99), Verdict::Stored);
    }

    #[test]
    fn a_refused_post_does_not_move_the_counter() {
        let mut devices = Devices::default();
        let no = devices.of(PersonId::FIRST, Some(DeviceId([1; 16])), Millis(0));
        devices.accept(no, counter(1), 7);
        devices.accept(no, counter(2), 7);
        devices.store(no, counter(1));
        devices.refuse(no);
        assert_eq!(devices.judge(no, counter(2), 7), Verdict::Next);
    }

    #[test]
    fn a_clock_that_went_back_and_was_set_right_lets_no_device_be_forgotten() {
        let mut devices = Devices::default();
        let (id, today) = (Some(DeviceId([1; 16])), Millis(1_000_000_000_000));
        let no = devices.of(PersonId::FIRST, id, today);
        assert_eq!(devices.of(PersonId::FIRST, id, Millis(5)), no);
        let seen = devices.see(no, Millis(5), 0);
        assert!(matches!(seen, Some(Change::Device { seen, .. }) if seen == today), "{seen:?}");
        assert_eq!(devices.stale(today), []);
        let days = u64::from(DEVICE_DAYS) * 86_400_000;
        assert_eq!(devices.stale(Millis(today.0 + days)), []);
        assert_eq!(devices.stale(Millis(today.0 + days + 1)), [no]);
    }

    #[test]
    fn a_device_that_never_posted_is_forgotten_before_one_that_did_and_none_that_is_connected() {
        let mut devices = Devices::default();
        let of = |devices: &mut Devices, id, seen| {
            devices.of(PersonId::FIRST, Some(DeviceId([id; 16])), Millis(seen))
        };
        let [posted, connected, newer, older] =
            [of(&mut devices, 1, 1), of(&mut devices, 2, 2), of(&mut devices, 3, 9), of(&mut devices, 4, 8)];
        devices.of(PersonId::FIRST.next(), Some(DeviceId([9; 16])), Millis(0));
        assert_eq!(devices.count(PersonId::FIRST), 4);
        devices.accept(posted, counter(1), 0);
        devices.store(posted, counter(1));
        let mut forgotten = Vec::new();
        while let Some(device) = devices.oldest(PersonId::FIRST, |device| device == connected) {
            devices.forget(device);
            forgotten.push(device);
        }
        assert_eq!(forgotten, [older, newer, posted]);
    }

    #[test]
    fn the_same_device_of_another_person_is_another_device() {
        let mut devices = Devices::default();
        let id = Some(DeviceId([1; 16]));
        let one = devices.of(PersonId::FIRST, id, Millis(0));
        let two = devices.of(PersonId::FIRST.next(), id, Millis(0));
        assert_ne!(one, two);
        assert_eq!(devices.of(PersonId::FIRST, id, Millis(1)), one);
    }
}
