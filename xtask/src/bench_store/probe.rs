//! What the disk itself takes: a page is written and synced, again and again, as a store's log does it.

use crate::failure::Failure;
use load::clock::Clock;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};

/// Bytes of a page.
const PAGE: usize = 4_096;

/// Pages that are written: enough for a 99th percentile.
const PAGES: u64 = 500;

/// How long a write and its sync took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Half of them took less, in µs.
    pub p50_us: f64,
    /// 99 of 100 took less, in µs.
    pub p99_us: f64,
}

impl Probe {
    /// Writes at the end of a file in this folder, so that it grows, and syncs it each time, by the call that SQLite makes.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn take(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("probe");
        let failed = |source| Failure::Write { path: path.clone(), source };
        let file = File::create(&path).map_err(failed)?;
        let clock = Clock::start();
        let mut times = Vec::new();
        for page in 0..PAGES {
            let begun = clock.now();
            file.write_all_at(&[0x5a; PAGE], page * PAGE as u64).map_err(failed)?;
            file.sync_all().map_err(failed)?;
            times.push(clock.now() - begun);
        }
        fs::remove_file(&path).map_err(failed)?;
        Ok(Self::of(times))
    }

    /// The slower one by the 99th percentile.
    pub fn worse<'a>(&'a self, other: &'a Self) -> &'a Self {
        if self.p99_us < other.p99_us { other } else { self }
    }

    /// As JSON.
    pub fn report(&self) -> Value {
        json!({ "p50_us": self.p50_us, "p99_us": self.p99_us })
    }

    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at =
            |share: usize| times.get(times.len() * share / 100).map_or(0.0, |time| time.as_secs_f64() * 1e6);
        Self { p50_us: at(50), p99_us: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times = (0..100).rev().map(Duration::from_micros).collect();
        let Probe { p50_us, p99_us } = Probe::of(times);
        assert_eq!((p50_us.round(), p99_us.round()), (50.0, 99.0));
    }
}
