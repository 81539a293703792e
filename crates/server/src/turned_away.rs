//! Connections that are not taken in: what they are told, and when they end.
//!
//! Some each second are told why at once. In a flood the others are kept for a moment before they end, unread and without
//! a word: whoever comes again as soon as they are sent away would come a hundred times as often, and each time costs the
//! server more than one that only waits.

use crate::inbound::Refusal;
use crate::listener::Listen;
use protocol::code::Code;
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

/// Connections that get time to hear why. Those beyond it are closed behind the reason at once, which they may then miss.
const HEARING: usize = 64;

/// Bytes of each of them that are read.
const HEARD: u64 = 64 * 1_024;

/// How long that may take.
const TURNING_AWAY: Duration = Duration::from_secs(1);

/// Connections each second that are told why they are turned away.
const TOLD_A_SECOND: u32 = 200;

/// How long the others are kept.
const KEPT: Duration = Duration::from_secs(2);

/// Those that end within this time of each other end together.
const TOGETHER: Duration = Duration::from_millis(20);

/// Connections that are not taken in, until they end.
pub struct TurnedAway<L: Listen> {
    hearing: Arc<Semaphore>,
    told: u32,
    told_since: Instant,
    /// Those that are kept, and until when: the first is due first.
    kept: VecDeque<(Instant, L::Read, L::Write)>,
    room: usize,
}

impl<L: Listen> TurnedAway<L> {
    /// None yet. So many may be kept; where more come, the oldest of them end.
    pub fn new(room: usize) -> Self {
        Self {
            hearing: Arc::new(Semaphore::new(HEARING)),
            told: 0,
            told_since: Instant::now(),
            kept: VecDeque::new(),
            room,
        }
    }

    /// Turns one away.
    pub async fn add(&mut self, read: L::Read, write: L::Write, code: Code) {
        let now = Instant::now();
        if now - self.told_since >= Duration::from_secs(1) {
            (self.told, self.told_since) = (0, now);
        }
        self.told += 1;
        if self.told <= TOLD_A_SECOND {
            return turn_away(read, write, code, &self.hearing).await;
        }
        L::keep(&write);
        self.kept.push_back((now + KEPT, read, write));
        if self.kept.len() > self.room {
            self.end_first();
        }
    }

    /// Waits until some of those that are kept are due, and ends them. Nothing is lost if this is not waited for to its end.
    pub async fn end_due(&mut self) {
        let Some((due, ..)) = self.kept.front() else { return pending().await };
        let until = *due + TOGETHER;
        sleep_until(until).await;
        while self.kept.front().is_some_and(|(due, ..)| *due <= until) {
            self.end_first();
        }
    }

    fn end_first(&mut self) {
        if let Some((_, read, write)) = self.kept.pop_front() {
            L::close(read, write);
        }
    }
}

/// Tells a connection why it is not taken, before anything of it is read. Nothing waits for a peer that takes no word:
/// what its socket does not take at once is lost.
async fn turn_away(
    read: impl AsyncRead + Unpin + Send + 'static,
    mut write: impl AsyncWrite + Unpin + Send + 'static,
    code: Code,
    hearing: &Arc<Semaphore>,
) {
    say_at_once(&mut write, &Refusal::of(code).encode_closing()).await;
    let Ok(permit) = hearing.clone().try_acquire_owned() else { return };
    tokio::spawn(async move {
        // What the peer sends meanwhile is taken off the socket: a close with bytes unread would throw the reason away.
        let heard = async {
            write.shutdown().await?;
            tokio::io::copy(&mut read.take(HEARD), &mut tokio::io::sink()).await
        };
        let _ = timeout(TURNING_AWAY, heard).await;
        drop(permit);
    });
}

/// Writes what a socket takes of this without waiting.
pub async fn say_at_once(write: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    let attempt = poll_fn(|cx| Poll::Ready(Pin::new(&mut *write).poll_write(cx, bytes)));
    // A fresh socket has room for a frame, but could seem full where this task has done much in one go. Who is gone already
    // does not need it.
    let _ = tokio::task::unconstrained(attempt).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::message::ServerMsg;
    use std::io;
    use std::net::SocketAddr;
    use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};

    /// Nobody comes out of it.
    struct Nobody;

    impl Listen for Nobody {
        type Read = ReadHalf<DuplexStream>;
        type Write = WriteHalf<DuplexStream>;

        async fn accept(&mut self) -> io::Result<(Self::Read, Self::Write, SocketAddr)> {
            pending().await
        }
    }

    #[tokio::test]
    async fn a_connection_too_many_is_told_so_before_it_has_said_anything() {
        let hearing = Arc::new(Semaphore::new(1));
        // The second finds nobody who waits for it.
        for _ in 0..2 {
            let (ours, mut theirs) = duplex(1_024);
            let (read, write) = split(ours);
            turn_away(read, write, Code::AddressFull, &hearing).await;
            let mut heard = vec![0; Refusal::of(Code::AddressFull).encode_closing().len()];
            theirs.read_exact(&mut heard).await.unwrap();
            let msg = ServerMsg::decode(heard[4], &heard[5..]).unwrap().unwrap();
            assert!(
                matches!(msg, ServerMsg::Error { code: 116, close: true, about: 0, req: 0, .. }),
                "{msg:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_holds_nothing_for_long() {
        let hearing = Arc::new(Semaphore::new(1));
        let (ours, _theirs) = duplex(1);
        let (read, write) = split(ours);
        turn_away(read, write, Code::ServerFull, &hearing).await;
        assert_eq!(hearing.available_permits(), 0);
        tokio::time::sleep(2 * TURNING_AWAY).await;
        assert_eq!(hearing.available_permits(), 1);
    }

    /// So many connections that were turned away, and the other ends.
    async fn flood(connections: u32, room: usize) -> (TurnedAway<Nobody>, Vec<DuplexStream>) {
        let (mut turned_away, mut peers) = (TurnedAway::new(room), Vec::new());
        for _ in 0..connections {
            let (ours, theirs) = duplex(1_024);
            let (read, write) = split(ours);
            turned_away.add(read, write, Code::Busy).await;
            peers.push(theirs);
        }
        (turned_away, peers)
    }

    /// Whether a peer hears why, hears nothing, or sees its end.
    async fn heard(peer: &mut DuplexStream) -> Option<usize> {
        timeout(Duration::ZERO, peer.read(&mut [0; 1_024])).await.ok().map(Result::unwrap)
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_flood_who_is_not_told_why_ends_only_after_a_while() {
        let (told, all) = (TOLD_A_SECOND as usize, TOLD_A_SECOND + 100);
        let (mut turned_away, mut peers) = flood(all, 1_000).await;
        let begun = Instant::now();
        for (n, peer) in peers.iter_mut().enumerate() {
            assert_eq!(heard(peer).await.is_some_and(|bytes| bytes > 0), n < told, "connection {n}");
        }
        turned_away.end_due().await;
        assert!((KEPT..KEPT + 2 * TOGETHER).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        for peer in &mut peers[told..] {
            assert_eq!(heard(peer).await, Some(0), "it has ended");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_more_are_turned_away_than_may_be_kept_the_oldest_of_them_end() {
        let (_turned_away, mut peers) = flood(TOLD_A_SECOND + 100, 70).await;
        for (n, peer) in peers[TOLD_A_SECOND as usize..].iter_mut().enumerate() {
            assert_eq!(heard(peer).await.is_some(), n < 30, "connection {n}");
        }
    }
}
