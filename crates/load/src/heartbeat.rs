//! Signs of life: every connection gives one in each period, spread evenly so that they never come at once.

use std::time::Duration;

/// The period: the silence after which a native client pings.
const PERIOD: Duration = Duration::from_millis(protocol::limits::PING_AFTER_MS);

/// Says whose turn it is.
#[derive(Debug)]
pub struct Heartbeat {
    members: usize,
    began: Duration,
    /// Signs given so far; the next is that of member `given % members`.
    given: u64,
}

impl Heartbeat {
    /// A heartbeat of so many members that begins now.
    pub fn new(members: usize, now: Duration) -> Self {
        Self { members, began: now, given: 0 }
    }

    /// The next member whose sign is due.
    pub fn next_due(&mut self, now: Duration) -> Option<usize> {
        let members = u128::try_from(self.members).ok()?;
        let due = now.saturating_sub(self.began).as_nanos() * members / PERIOD.as_nanos();
        if u128::from(self.given) >= due {
            return None;
        }
        let member = usize::try_from(u128::from(self.given) % members).ok()?;
        self.given += 1;
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_is_due_once_in_a_period_and_in_turns() {
        let mut heartbeat = Heartbeat::new(4, Duration::from_secs(1));
        let mut due = |now| std::iter::from_fn(|| heartbeat.next_due(now)).collect::<Vec<_>>();
        assert_eq!(due(Duration::from_secs(1)), [0; 0]);
        assert_eq!(due(Duration::from_secs(1) + PERIOD / 4), [0]);
        assert_eq!(due(Duration::from_secs(1) + PERIOD), [1, 2, 3]);
        assert_eq!(due(Duration::from_secs(1) + PERIOD * 2), [0, 1, 2, 3]);
    }

    #[test]
    fn nobody_is_never_due() {
        assert_eq!(Heartbeat::new(0, Duration::ZERO).next_due(PERIOD), None);
    }
}
