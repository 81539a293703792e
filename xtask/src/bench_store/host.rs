//! Processor time that the host of a virtual machine gave to others while there was work for it here.
//!
//! It comes in pieces of milliseconds, so one in a hundred is a 99th percentile.

use std::fs;

/// The column of `/proc/stat` with time stolen by the host (proc_stat(5)), counted from the name's. Up to it they add up
/// to all of the time; the two behind it are counted in others already.
const STEAL: usize = 8;

/// Times of all processors together since the start, in ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Processors {
    stolen: u64,
    all: u64,
}

impl Processors {
    /// As they are now; `None` where the system does not say.
    pub fn now() -> Option<Self> {
        Self::of(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// The share that was stolen since then, from 0 to 1.
    pub fn stolen_since(&self, then: &Self) -> f64 {
        let all = self.all.saturating_sub(then.all).max(1);
        self.stolen.saturating_sub(then.stolen) as f64 / all as f64
    }

    fn of(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.lines().next()?.split_whitespace().collect();
        let ticks: Vec<u64> =
            fields.get(1..=STEAL)?.iter().map(|field| field.parse().ok()).collect::<Option<_>>()?;
        Some(Self { stolen: *ticks.last()?, all: ticks.iter().sum() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_all_time_in_between() {
        let at = |stat: &str| Processors::of(stat).expect("the system's own lines");
        let then = at("cpu  10 0 10 60 5 0 5 10 3 0\ncpu0 1 0 1 6 0 0 0 1 0 0\n");
        let now = at("cpu  40 0 20 100 5 0 5 30 9 0\n");
        assert_eq!(now.stolen_since(&then), 0.2);
        assert_eq!(Processors::of("cpu  1 2 3\n"), None);
    }
}
