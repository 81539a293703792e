//! Whether the server is still there: ping after silence of ours, give up after silence of its.

use crate::clock::{after, since};
use protocol::id::Millis;
use protocol::limits::{DEAD_AFTER_MS, PING_AFTER_MS};

/// The two silences of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    heard: Millis,
    sent: Millis,
    ping_after: u64,
    dead_after: u64,
}

impl Heartbeat {
    /// A heartbeat that begins now.
    pub(crate) const fn new(now: Millis) -> Self {
        Self { heard: now, sent: now, ping_after: PING_AFTER_MS, dead_after: DEAD_AFTER_MS }
    }

    /// Takes the server's times; 0 keeps the default.
    pub(crate) fn set_times(&mut self, ping_after: u32, dead_after: u32) {
        if ping_after > 0 {
            self.ping_after = u64::from(ping_after);
        }
        if dead_after > 0 {
            self.dead_after = u64::from(dead_after);
        }
    }

    /// Bytes came.
    pub(crate) fn handle_received(&mut self, now: Millis) {
        self.heard = now;
    }

    /// A frame was sent.
    pub(crate) fn handle_sent(&mut self, now: Millis) {
        self.sent = now;
    }

    /// Whether to say something.
    pub(crate) const fn is_ping_due(&self, now: Millis) -> bool {
        since(now, self.sent) >= self.ping_after
    }

    /// Whether the server is gone.
    pub(crate) const fn is_dead(&self, now: Millis) -> bool {
        since(now, self.heard) >= self.dead_after
    }

    /// When to look again.
    pub(crate) fn timeout(&self) -> Millis {
        after(self.sent, self.ping_after).min(after(self.heard, self.dead_after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_side_pings_and_a_silent_server_dies() {
        let mut heart = Heartbeat::new(Millis(0));
        assert_eq!(heart.timeout(), Millis(PING_AFTER_MS));
        assert!(!heart.is_ping_due(Millis(PING_AFTER_MS - 1)));
        assert!(heart.is_ping_due(Millis(PING_AFTER_MS)));
        heart.handle_sent(Millis(14_000));
        assert!(!heart.is_dead(Millis(DEAD_AFTER_MS - 1)));
        assert!(heart.is_dead(Millis(DEAD_AFTER_MS)));
        heart.handle_received(Millis(DEAD_AFTER_MS));
        assert!(!heart.is_dead(Millis(DEAD_AFTER_MS)));
    }
}
