//! Acknowledgements that wait until deleted texts have left the store's files.
//!
//! An acknowledgement counts for everything that its device sent before, so what a device sends behind a delete waits
//! with it. Nobody else's posts wait, and readers are given all of them at once. The store bounds the wait.

use super::Hub;
use super::post::Stored;
use crate::clock::Now;
use crate::store::ErasureId;
use protocol::id::{Counter, DeviceNo};
use std::collections::{BTreeMap, VecDeque};

/// Posts of one device that are acknowledged together.
#[derive(Debug)]
struct Delayed {
    until: ErasureId,
    /// The delete that waits. Invariant: first <= last.
    first: Counter,
    last: Stored,
}

/// All of them, by device. Invariants: no queue is empty; in a queue both erasures and counters rise.
#[derive(Debug, Default)]
pub(super) struct DelayedAcks {
    queues: BTreeMap<DeviceNo, VecDeque<Delayed>>,
}

impl DelayedAcks {
    /// Devices that have some.
    pub(super) fn devices(&self) -> usize {
        self.queues.len()
    }

    /// The next post of a device is stored; a delete waits for its erasure. Gives back what need not wait.
    pub(super) fn delay(
        &mut self,
        device: DeviceNo,
        stored: Stored,
        erasure: Option<ErasureId>,
    ) -> Option<Stored> {
        let newest = self.queues.get_mut(&device).and_then(VecDeque::back_mut);
        let until = match (newest, erasure) {
            (None, None) => return Some(stored),
            (None, Some(until)) => until,
            (Some(newest), Some(until)) if until > newest.until => until,
            (Some(newest), _) => {
                newest.last = stored;
                return None;
            }
        };
        let delayed = Delayed { until, first: stored.counter, last: stored };
        self.queues.entry(device).or_default().push_back(delayed);
        None
    }

    /// Whether this post of a device is stored and its acknowledgement waits.
    pub(super) fn has(&self, device: DeviceNo, counter: Counter) -> bool {
        let first = self.queues.get(&device).and_then(VecDeque::front);
        first.is_some_and(|first| first.first <= counter)
    }

    /// Whether any acknowledgement of a device waits.
    pub(super) fn has_any(&self, device: DeviceNo) -> bool {
        self.queues.contains_key(&device)
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// The erasure that is waited for first.
    fn next(&self) -> Option<ErasureId> {
        self.queues.values().filter_map(VecDeque::front).map(|delayed| delayed.until).min()
    }

    /// Takes what waited for this erasure or an earlier one: the last post of each device.
    fn end(&mut self, erasure: ErasureId) -> Vec<(DeviceNo, Stored)> {
        let mut ended = Vec::new();
        for (device, queue) in &mut self.queues {
            let mut last = None;
            while let Some(delayed) = queue.pop_front_if(|delayed| delayed.until <= erasure) {
                last = Some(delayed.last);
            }
            ended.extend(last.map(|last| (*device, last)));
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        ended
    }
}

impl Hub {
    /// The erasure in the store that somebody waits for.
    pub fn next_erasure(&self) -> Option<ErasureId> {
        self.delayed_acks.next()
    }

    /// An erasure has ended, and all before it.
    pub fn handle_erased(&mut self, erasure: ErasureId, now: Now) {
        for (device, last) in self.delayed_acks.end(erasure) {
            self.acknowledge(device, &last);
        }
        self.welcome_arrived(now);
    }

    /// Whether every accepted post of a device is stored, and may be acknowledged.
    pub(super) fn is_settled_device(&self, device: DeviceNo) -> bool {
        self.devices.is_settled(device) && !self.delayed_acks.has_any(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::entry::EntryKind;
    use protocol::id::{RoomId, Seq};

    fn stored(counter: u64) -> Stored {
        let counter = Counter::new(counter).unwrap();
        Stored { counter, room: RoomId::FIRST, seq: Seq::FIRST, kind: EntryKind::Text }
    }

    fn delay(acks: &mut DelayedAcks, device: u64, counter: u64, erasure: Option<u64>) -> Option<u64> {
        let device = DeviceNo::new(device).unwrap();
        let at_once = acks.delay(device, stored(counter), erasure.map(ErasureId));
        at_once.map(|stored| stored.counter.value())
    }

    fn end(acks: &mut DelayedAcks, erasure: u64) -> Vec<(u64, u64)> {
        let ended = acks.end(ErasureId(erasure)).into_iter();
        ended.map(|(device, last)| (device.value(), last.counter.value())).collect()
    }

    #[test]
    fn only_a_delete_and_what_its_device_sent_behind_it_wait() {
        let mut acks = DelayedAcks::default();
        assert_eq!(delay(&mut acks, 1, 1, None), Some(1));
        assert_eq!(delay(&mut acks, 1, 2, Some(1)), None);
        assert_eq!(delay(&mut acks, 1, 3, None), None);
        assert_eq!(delay(&mut acks, 2, 9, None), Some(9));
        let has = |counter| acks.has(DeviceNo::FIRST, Counter::new(counter).unwrap());
        assert_eq!([1, 2, 3].map(has), [false, true, true]);
        assert_eq!(end(&mut acks, 1), [(1, 3)]);
        assert!(acks.is_empty());
    }

    #[test]
    fn a_device_that_goes_on_deleting_is_told_of_each_erasure() {
        let mut acks = DelayedAcks::default();
        for (counter, erasure) in [(1, Some(1)), (2, None), (3, Some(2)), (4, Some(2)), (5, Some(4))] {
            assert_eq!(delay(&mut acks, 1, counter, erasure), None);
        }
        assert_eq!(delay(&mut acks, 2, 1, Some(4)), None);
        assert_eq!(acks.next(), Some(ErasureId(1)));
        assert_eq!(end(&mut acks, 1), [(1, 2)]);
        assert_eq!(acks.next(), Some(ErasureId(2)));
        assert_eq!(end(&mut acks, 3), [(1, 4)]);
        assert_eq!(end(&mut acks, 4), [(1, 5), (2, 1)]);
        assert_eq!(acks.next(), None);
    }
}
