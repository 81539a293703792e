//! Numbers that may be given out once only, and whether they were: two bits and a little for each.

use protocol::id::{Counter, DeviceNo};
use std::collections::BTreeMap;

/// Numbers of one block.
const BLOCK: u64 = 4_096;

type Bits = Box<[u64; 64]>;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Unique {
    /// Counters of devices, by device and block.
    counters: BTreeMap<(DeviceNo, u64), Bits>,
    /// Places, by block.
    places: BTreeMap<u64, Bits>,
}

impl Unique {
    /// Adds a post; false if it was there.
    pub fn add(&mut self, device: DeviceNo, counter: Counter) -> bool {
        let (block, bit) = (counter.value() / BLOCK, counter.value() % BLOCK);
        set(self.counters.entry((device, block)).or_insert_with(|| Box::new([0; 64])), bit)
    }

    /// Adds a place; false if it was there.
    pub fn add_place(&mut self, place: u64) -> bool {
        set(self.places.entry(place / BLOCK).or_insert_with(|| Box::new([0; 64])), place % BLOCK)
    }

    /// Whether a place was added.
    pub fn has_place(&self, place: u64) -> bool {
        let word = usize::try_from(place % BLOCK / 64).expect("a block has 64 words");
        self.places.get(&(place / BLOCK)).is_some_and(|bits| bits[word] & (1 << (place % 64)) != 0)
    }

    /// The highest counter of each device.
    pub fn highest(&self) -> BTreeMap<DeviceNo, Option<Counter>> {
        // Blocks come in their order, so the last one of a device stays.
        let last = |((device, block), bits): (&(DeviceNo, u64), &Bits)| {
            (*device, highest(bits).and_then(|bit| Counter::new(block * BLOCK + bit)))
        };
        self.counters.iter().map(last).collect()
    }

    /// One more than the highest place.
    pub fn places(&self) -> u64 {
        let last = self.places.last_key_value();
        last.and_then(|(block, bits)| Some(block * BLOCK + highest(bits)? + 1)).unwrap_or(0)
    }
}

fn set(bits: &mut Bits, bit: u64) -> bool {
    let word = &mut bits[usize::try_from(bit / 64).expect("a block has 64 words")];
    let mask = 1 << (bit % 64);
    let is_new = *word & mask == 0;
    *word |= mask;
    is_new
}

fn highest(bits: &Bits) -> Option<u64> {
    let at = bits.iter().rposition(|word| *word != 0)?;
    Some(at as u64 * 64 + u64::from(63 - bits[at].leading_zeros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_new_once_and_the_highest_is_known() {
        let mut unique = Unique::default();
        let (a, b) = (DeviceNo::FIRST, DeviceNo::FIRST.next());
        let counter = |value| Counter::new(value).unwrap();
        for value in [1, 2, 64, 4_095, 4_096, 1 << 62] {
            assert!(unique.add(a, counter(value)) && !unique.add(a, counter(value)));
        }
        assert!(unique.add(b, counter(63)));
        let highest = unique.highest();
        assert_eq!((highest[&a], highest[&b]), (Some(counter(1 << 62)), Some(counter(63))));
        assert!(unique.add_place(0) && unique.add_place(9_000) && !unique.add_place(0));
        assert_eq!(unique.places(), 9_001);
        assert!(unique.has_place(9_000) && !unique.has_place(8_999) && !unique.has_place(1));
    }
}
