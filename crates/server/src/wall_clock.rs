//! How far the wall clock can be trusted.
//!
//! A wall clock is set by people and by their networks, and one that was set years ahead would have every message
//! deleted as too old. So the server stores what time it was, each hour that it runs, and doubts a clock that has
//! jumped since. A server that was switched off for as long looks the same: then nothing is lost by waiting either.
//! While it doubts, what is past its age is hidden and not deleted.

use crate::clock::{Now, Steady};
use crate::store::StoredClock;
use protocol::id::Millis;
use protocol::limits::{CLOCK_JUMP_MS, CLOCK_TRUST_MS, MIN_CLOCK_JUMP_MS};

const DAY: u64 = 86_400_000;

/// The wall clock, and what it should say.
#[derive(Clone, Debug)]
pub struct WallClock {
    /// What it should say: what it said when it was trusted last, and as much more as has passed since.
    trusted: Millis,
    /// What it said when it was looked at.
    wall: Millis,
    /// When that was.
    at: Steady,
    /// For how long the server has run since it doubts, in ms. Invariant: less than [`CLOCK_TRUST_MS`].
    doubted_ms: Option<u64>,
    /// By how much it may differ.
    jump_ms: u64,
}

/// What changed about a clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockNews {
    /// It jumped.
    Doubted,
    /// It says again what it should.
    Mended,
    /// It went on steadily for so long that it is believed.
    Believed,
}

impl WallClock {
    /// The clock at a start. Without a stored time there is only that of the newest entry, if there is one.
    ///
    /// `shortest_age` is that of the first thing that would be deleted.
    pub fn start(
        stored: Option<StoredClock>,
        newest: Option<Millis>,
        shortest_age: Option<u64>,
        now: Now,
    ) -> Self {
        let guess = newest.unwrap_or(now.wall).min(now.wall);
        let known = stored.unwrap_or(StoredClock { trusted: guess, wall: guess, doubted_ms: None });
        let jump_ms = shortest_age.map_or(CLOCK_JUMP_MS, |age| age.clamp(MIN_CLOCK_JUMP_MS, CLOCK_JUMP_MS));
        let mut clock =
            Self { trusted: known.trusted, wall: now.wall, at: now.steady, doubted_ms: None, jump_ms };
        if differs(now.wall, known.trusted, jump_ms) {
            // Going on from the same doubt, or beginning another one.
            let is_same = !differs(now.wall, known.wall, jump_ms);
            clock.doubted_ms = Some(known.doubted_ms.filter(|_| is_same).unwrap_or(0));
        } else {
            clock.trusted = now.wall;
        }
        clock
    }

    /// Believes it.
    pub fn accept(&mut self) {
        (self.trusted, self.doubted_ms) = (self.wall, None);
    }

    /// Looks at it.
    pub fn tick(&mut self, now: Now) -> Option<ClockNews> {
        let passed = now.steady.since(self.at);
        let is_steady = !differs(now.wall, after(self.wall, passed), self.jump_ms);
        self.trusted = after(self.trusted, passed);
        (self.wall, self.at) = (now.wall, now.steady);
        let is_off = differs(self.wall, self.trusted, self.jump_ms);
        let before = self.doubted_ms;
        self.doubted_ms = match before {
            _ if !is_off => None,
            Some(ms) if is_steady => Some(ms + passed).filter(|ms| *ms < CLOCK_TRUST_MS),
            _ => Some(0),
        };
        if self.doubted_ms.is_none() {
            self.trusted = self.wall;
        }
        match (before, self.doubted_ms) {
            (None, Some(_)) => Some(ClockNews::Doubted),
            (Some(_), None) if is_off => Some(ClockNews::Believed),
            (Some(_), None) => Some(ClockNews::Mended),
            _ => None,
        }
    }

    /// Whether it jumped, so that nothing may be deleted because of it.
    pub fn is_doubted(&self) -> bool {
        self.doubted_ms.is_some()
    }

    /// What the next start is to know.
    pub fn stored(&self) -> StoredClock {
        StoredClock { trusted: self.trusted, wall: self.wall, doubted_ms: self.doubted_ms }
    }

    /// What is to be said about it; `None` if it is trusted.
    pub fn words(&self) -> Option<String> {
        let left = CLOCK_TRUST_MS.saturating_sub(self.doubted_ms?);
        let (days, side) = match (self.wall.0, self.trusted.0) {
            (wall, trusted) if wall >= trusted => ((wall - trusted) / DAY, "ahead of"),
            (wall, trusted) => ((trusted - wall) / DAY, "behind"),
        };
        Some(format!(
            "the clock of this machine is {days} days {side} the time that this server knew: messages past their age \
             are hidden, and deleted only when it has run for {} more hours like this, or with --accept-clock",
            left.div_ceil(DAY / 24)
        ))
    }
}

/// What is to be said about a room whose newest entry has this time; `None` if that may be so.
pub fn words_on_room(room: &str, newest: Millis, wall: Millis) -> Option<String> {
    let ahead = newest.0.saturating_sub(wall.0);
    (ahead > MIN_CLOCK_JUMP_MS).then(|| {
        format!(
            "the newest message of {room} has a time {} days ahead of this machine's clock, and so has each that \
             follows: if the clock is right, natterd repair gives them the time of now",
            ahead / DAY
        )
    })
}

/// What is to be said about the time of a data folder whose server may not run.
pub fn notes_on_time(
    stored: Option<StoredClock>,
    newest: Option<&(String, Millis)>,
    now: Now,
) -> Vec<String> {
    let clock = WallClock::start(stored, newest.map(|(_, time)| *time), None, now);
    let room = newest.and_then(|(room, time)| words_on_room(room, *time, now.wall));
    clock.words().into_iter().chain(room).collect()
}

fn after(time: Millis, ms: u64) -> Millis {
    Millis(time.0.saturating_add(ms))
}

fn differs(a: Millis, b: Millis, by_ms: u64) -> bool {
    a.0.abs_diff(b.0) > by_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = DAY / 24;
    const START: u64 = 20_000 * DAY;

    fn now(hours: u64, wall: u64) -> Now {
        Now { steady: Steady(hours * HOUR), wall: Millis(wall) }
    }

    fn sure(wall: u64) -> Option<StoredClock> {
        Some(StoredClock { trusted: Millis(wall), wall: Millis(wall), doubted_ms: None })
    }

    #[test]
    fn a_weekend_is_no_jump_and_a_summer_may_be_one() {
        let doubted = |away: u64| {
            let clock = WallClock::start(sure(START), None, Some(30 * DAY), now(0, START + away));
            clock.is_doubted()
        };
        assert!(!doubted(0) && !doubted(3 * DAY) && !doubted(7 * DAY));
        assert!(doubted(7 * DAY + 1) && doubted(60 * DAY) && doubted(10_000 * DAY));
    }

    #[test]
    fn what_is_kept_for_a_short_time_allows_small_jumps_only() {
        let doubted = |age, away| WallClock::start(sure(START), None, age, now(0, START + away)).is_doubted();
        assert!(doubted(Some(HOUR), DAY + 1) && !doubted(Some(HOUR), DAY));
        assert!(doubted(Some(2 * DAY), 3 * DAY) && !doubted(None, 3 * DAY));
    }

    #[test]
    fn without_a_stored_time_the_newest_entry_says_when_it_was() {
        let doubted = |newest| WallClock::start(None, newest, None, now(0, START)).is_doubted();
        assert!(
            !doubted(None) && !doubted(Some(Millis(START - DAY))) && !doubted(Some(Millis(START + 99 * DAY)))
        );
        assert!(doubted(Some(Millis(START - 90 * DAY))));
    }

    #[test]
    fn seven_days_of_steady_running_make_it_believed_across_restarts() {
        let ahead = START + 90 * DAY;
        let mut clock = WallClock::start(sure(START), None, None, now(0, ahead));
        for hour in 1..=100 {
            assert_eq!(clock.tick(now(hour, ahead + hour * HOUR)), None);
        }
        assert!(clock.words().unwrap().contains("90 days ahead"), "{:?}", clock.words());
        let stored = clock.stored();
        assert_eq!(stored.doubted_ms, Some(100 * HOUR));
        // A night later.
        let ahead = ahead + 110 * HOUR;
        let mut clock = WallClock::start(Some(stored), None, None, now(0, ahead));
        for hour in 1..68 {
            assert_eq!(clock.tick(now(hour, ahead + hour * HOUR)), None, "{hour}");
        }
        assert_eq!(clock.tick(now(68, ahead + 68 * HOUR)), Some(ClockNews::Believed));
        assert_eq!(clock.stored(), sure(ahead + 68 * HOUR).unwrap());
    }

    #[test]
    fn a_jump_while_it_runs_is_doubted_and_another_one_begins_anew() {
        let mut clock = WallClock::start(sure(START), None, None, now(0, START));
        assert_eq!(clock.tick(now(1, START + HOUR)), None);
        assert_eq!(clock.tick(now(2, START + 40 * DAY)), Some(ClockNews::Doubted));
        assert_eq!(clock.tick(now(50, START + 42 * DAY)), None);
        assert_eq!(clock.tick(now(51, START + 90 * DAY)), None);
        assert_eq!(clock.stored().doubted_ms, Some(0));
        assert_eq!(clock.tick(now(52, START + 52 * HOUR)), Some(ClockNews::Mended));
        assert!(!clock.is_doubted());
    }

    #[test]
    fn a_clock_that_went_back_and_was_set_right_is_not_doubted_any_more() {
        let mut clock = WallClock::start(sure(START), None, None, now(0, 0));
        assert!(clock.is_doubted());
        assert!(clock.words().unwrap().contains("20000 days behind"));
        assert_eq!(clock.tick(now(1, START + 5 * DAY)), Some(ClockNews::Mended));
    }

    #[test]
    fn an_accepted_clock_is_the_right_one() {
        let mut clock = WallClock::start(sure(START), None, None, now(0, START + 90 * DAY));
        clock.accept();
        assert_eq!(clock.words(), None);
        assert_eq!(clock.tick(now(1, START + 90 * DAY + HOUR)), None);
    }
}
