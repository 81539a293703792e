//! Whether something may pass a link now: it waits while the link is held, cut or stalled.

use crate::net::{End, Net, Pipe};
use crate::world::TICK_MS;
use std::time::Duration;

/// When TCP sends again what was lost, in microseconds: after this time at first, then after twice the time.
pub(super) const DATA_AGAIN: u64 = 200_000;

/// The same for the first segment of a connection.
pub(super) const CONNECT_AGAIN: u64 = 1_000_000;

/// What keeps something from passing.
enum Obstacle {
    /// Nothing.
    None,
    /// It waits, and goes on at once.
    Wait,
    /// It is lost, and sent again later.
    Loss,
}

/// Waits until what `end` sends over this host's link arrives. What was lost in a cut is sent again when TCP would.
pub(super) async fn pass(net: &Net, host: usize, end: End, pipe: Option<&Pipe>, again: u64) {
    let mut lost_at = None;
    loop {
        match obstacle(net, host, end, pipe) {
            Obstacle::None => match lost_at.take() {
                None => return,
                Some(since) => {
                    let now = net.record.pages().now();
                    sleep_until(net, next_try(since, again, now)).await;
                }
            },
            Obstacle::Wait => tokio::time::sleep(Duration::from_millis(TICK_MS)).await,
            Obstacle::Loss => {
                if lost_at.is_none() {
                    lost_at = Some(net.record.pages().now());
                    pipe.inspect(|pipe| net.note_loss(pipe));
                }
                tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
            }
        }
    }
}

fn obstacle(net: &Net, host: usize, end: End, pipe: Option<&Pipe>) -> Obstacle {
    if let Some(pipe) = pipe {
        let now = net.record.pages().now();
        let state = pipe.state();
        if state.dark || state.stalled_until > now {
            return Obstacle::Wait;
        }
    }
    if net.is_cut(host, end) {
        return Obstacle::Loss;
    }
    let is_held = net.state().hosts.get(host).is_some_and(|host| host.held);
    if is_held { Obstacle::Wait } else { Obstacle::None }
}

/// The first time from `now` on at which what was lost at `since` is sent again: each wait is twice the one before
/// (RFC 6298).
fn next_try(since: u64, again: u64, now: u64) -> u64 {
    let tries = (0..32).map(|tries| since + again * ((2 << tries) - 1));
    tries.into_iter().find(|at| *at >= now).unwrap_or(now)
}

/// Waits until a time of the run.
pub(super) async fn sleep_until(net: &Net, at: u64) {
    let now = net.record.pages().now();
    if at > now {
        tokio::time::sleep(Duration::from_micros(at - now)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_sent_again_at_twice_the_distance_each_time() {
        let at = |now| next_try(1_000_000, DATA_AGAIN, now);
        assert_eq!(at(1_000_000), 1_200_000);
        assert_eq!(at(1_200_001), 1_600_000);
        assert_eq!(at(5_000_000), 7_200_000);
    }
}
