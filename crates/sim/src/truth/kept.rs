//! How much of each room is kept, computed from the plan: the store is not asked.

use super::{Line, Truth};
use crate::plan::KeepPlan;

/// Bytes that an entry stands for beside its name and its body, as WIRE.md and the operator's options count them.
const OVERHEAD: usize = 80;

/// For how long something may be kept that is past its age, in ms: two passes, and the syncs between them.
const OVERDUE_MS: u64 = 8_000;

impl Line {
    fn weight(&self) -> u64 {
        (self.bytes.0 + self.bytes.1 + OVERHEAD) as u64
    }
}

impl Truth {
    /// What is wrong with a room that begins at this entry from now on, if something is: some bound must ask for the last
    /// one that goes. By the server's clock it was `wall` ms since 1970 at the latest when that was decided.
    pub(crate) fn wrongly_trimmed(&self, room: u64, first: u64, keep: KeepPlan, wall: u64) -> Option<String> {
        let (head, gone) = (self.head(room), first.saturating_sub(1));
        if first > head.max(1) {
            return Some(format!("all of room {room} goes, its newest entry {head} as well"));
        }
        let line = self.line(self.epoch, room, gone)?;
        let by_count = keep.count.is_some_and(|count| head - gone >= count);
        let by_age = keep.age_ms.is_some_and(|age| line.time.saturating_add(age) < wall);
        let by_bytes = keep.bytes.is_some_and(|bytes| self.weight(room, gone) > bytes);
        let is_due = by_count || by_age || by_bytes;
        (!is_due).then(|| {
            format!(
                "entry {gone} of room {room} goes, of {head}, said at {} of {wall}, with {keep:?}",
                line.time
            )
        })
    }

    /// A room of which more is kept than should be, if there is one. By the server's clock it is `wall` ms since 1970 at least.
    pub(crate) fn overkept(&self, keep: KeepPlan, wall: u64) -> Option<String> {
        self.rooms().find_map(|room| {
            let (head, oldest) = (self.head(room), self.oldest(room));
            let by_count = keep.count.is_some_and(|count| head + 1 - oldest > count);
            let by_bytes = keep.bytes.is_some_and(|bytes| self.weight(room, oldest) > bytes);
            let is_old = |age| {
                let line = self.line(self.epoch, room, oldest);
                line.is_some_and(|line| line.time.saturating_add(age + OVERDUE_MS) < wall)
            };
            let by_age = !self.clock_jumped && keep.age_ms.is_some_and(is_old);
            let is_more = oldest < head && (by_count || by_bytes || by_age);
            is_more.then(|| format!("room {room} is kept from entry {oldest} on, of {head}, with {keep:?}"))
        })
    }

    /// The sum of the entries from this one on.
    fn weight(&self, room: u64, from: u64) -> u64 {
        self.range(room, from - 1, u64::MAX).map(|(_, line)| line.weight()).sum()
    }

    /// What is wrong with the time of an entry that comes next in a room, if something is. In ms since 1970 by the server's
    /// clock, it was `earliest` to `latest` when it was taken.
    pub(crate) fn mistimed(&self, room: u64, time: u64, earliest: u64, latest: u64) -> Option<String> {
        let before = self.room(room).next_back().map_or(0, |(_, line)| line.time);
        let is_right = time == before || time > before && (earliest..=latest).contains(&time);
        (!is_right).then(|| {
            format!(
                "an entry of room {room} has the time {time}, behind {before} and in {earliest} to {latest}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: u64 = 1_000_000;

    fn keep(count: Option<u64>, age_ms: Option<u64>, bytes: Option<u64>) -> KeepPlan {
        KeepPlan { count, age_ms, bytes }
    }

    /// Entries 1 to 9, each of 80 bytes, all said at 1 ms.
    fn nine() -> Truth {
        Truth::with_room(1, 9)
    }

    #[test]
    fn nothing_goes_before_a_bound_asks_for_it() {
        let truth = nine();
        let wrong = |first, keep| truth.wrongly_trimmed(1, first, keep, WALL).is_some();
        assert!(!wrong(5, keep(Some(5), None, None)) && wrong(6, keep(Some(5), None, None)));
        assert!(!wrong(9, keep(None, Some(999_998), None)) && wrong(2, keep(None, Some(999_999), None)));
        // The last five have 400 bytes.
        assert!(!wrong(5, keep(None, None, Some(400))) && wrong(6, keep(None, None, Some(400))));
        assert!(wrong(10, keep(Some(1), None, None)) && wrong(2, KeepPlan::default()));
    }

    #[test]
    fn what_is_past_its_bound_goes() {
        let truth = Truth::with_room(5, 9);
        let overkept = |keep| truth.overkept(keep, WALL).is_some();
        assert!(!overkept(keep(Some(5), None, None)) && overkept(keep(Some(4), None, None)));
        assert!(!overkept(keep(None, None, Some(400))) && overkept(keep(None, None, Some(399))));
        assert!(!overkept(keep(None, Some(WALL), None)) && overkept(keep(None, Some(WALL / 2), None)));
        // The newest one stays.
        assert!(Truth::with_room(9, 9).overkept(keep(Some(0), Some(0), Some(0)), WALL).is_none());
    }

    #[test]
    fn a_time_never_goes_back_and_is_that_of_the_clock() {
        let truth = nine();
        let wrong = |time| truth.mistimed(1, time, 100, 200).is_some();
        assert!(wrong(0) && !wrong(1) && wrong(50) && !wrong(100) && !wrong(200) && wrong(201));
    }
}
