//! When to tell how far a transfer is: not at all if it is quick, and never too often.

use crate::clock::since;
use protocol::id::Millis;

/// A transfer that takes longer is told of, in ms.
const QUICK_MS: u64 = 500;

/// A person is told so often, in ms.
const OFTEN_MS: u64 = 500;

/// How far a transfer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Bytes so far.
    pub moved: u64,
    /// Bytes per second since it began.
    pub rate: u64,
}

/// Measures one transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meter {
    size: u64,
    begun: Millis,
    /// When and where the present attempt began; `None` until its first piece.
    origin: Option<(Millis, u64)>,
    moved: u64,
    /// When it was told the last time, and how far it was then.
    told: Option<(Millis, u64)>,
    /// Whether a person reads along; a file of lines is told of at every tenth.
    person: bool,
}

impl Meter {
    /// A transfer of so many bytes begins.
    pub fn new(size: u64, person: bool, now: Millis) -> Self {
        Self { size, begun: now, origin: Some((now, 0)), moved: 0, told: None, person }
    }

    /// So many bytes have been moved in all; how far it is if that is to be told now.
    pub fn handle_moved(&mut self, moved: u64, now: Millis) -> Option<Pace> {
        self.origin.get_or_insert((now, moved));
        self.moved = moved;
        let waited = since(now, self.begun) >= QUICK_MS;
        let due = match self.told {
            None => true,
            Some((at, _)) if self.person => since(now, at) >= OFTEN_MS,
            Some((_, told)) => self.tenth(moved) > self.tenth(told),
        };
        if !waited || !due || moved >= self.size {
            return None;
        }
        self.told = Some((now, moved));
        Some(self.pace(now))
    }

    /// The attempt broke off. The next one may begin anywhere.
    pub fn handle_broken(&mut self) {
        self.origin = None;
        self.told = self.told.map(|(at, _)| (at, 0));
    }

    /// Whether anything was told, so that its end must be told too.
    pub fn was_told(&self) -> bool {
        self.told.is_some()
    }

    /// How far it is.
    pub fn pace(&self, now: Millis) -> Pace {
        let (at, from) = self.origin.unwrap_or((now, self.moved));
        let moved = u128::from(self.moved.saturating_sub(from));
        let rate = moved * 1_000 / u128::from(since(now, at).max(1));
        Pace { moved: self.moved, rate: u64::try_from(rate).unwrap_or(u64::MAX) }
    }

    fn tenth(&self, moved: u64) -> u64 {
        u64::try_from(u128::from(moved) * 10 / u128::from(self.size.max(1))).unwrap_or(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a transfer of 1,000 bytes that moves 10 bytes every 100 ms.
    fn told(person: bool) -> Vec<u64> {
        let mut meter = Meter::new(1_000, person, Millis(0));
        let steps = (1..=100).filter_map(|n| meter.handle_moved(n * 10, Millis(n * 100)));
        steps.map(|pace| pace.moved).collect()
    }

    #[test]
    fn a_quick_transfer_is_not_told_of() {
        let mut meter = Meter::new(1_000, true, Millis(0));
        assert_eq!(meter.handle_moved(900, Millis(499)), None);
        assert!(!meter.was_told());
    }

    #[test]
    fn a_person_is_told_twice_a_second_and_a_script_at_each_tenth() {
        assert_eq!(told(true), (1..20).map(|n| n * 50).collect::<Vec<_>>());
        assert_eq!(told(false), [50, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    }

    #[test]
    fn the_rate_is_that_of_the_present_attempt() {
        let mut meter = Meter::new(1_000_000, true, Millis(0));
        meter.handle_moved(500_000, Millis(1_000));
        assert_eq!(meter.pace(Millis(1_000)).rate, 500_000);
        meter.handle_broken();
        meter.handle_moved(500_000, Millis(9_000));
        meter.handle_moved(510_000, Millis(10_000));
        assert_eq!(meter.pace(Millis(10_000)), Pace { moved: 510_000, rate: 10_000 });
    }
}
