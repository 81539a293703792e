//! The proxy: takes the connections of each host, and passes bytes on to the server at the pace of the host's link.
//!
//! Bytes go in segments; each has its own delay, and those of one direction keep their order. A link that is held, cut
//! or stalled keeps what it has, and the sockets before it fill: the kernel's windows do the rest.

use super::host_address;
use super::passage::{DATA_AGAIN, pass, sleep_until};
use crate::coverage::Sometimes;
use crate::net::{End, Net, Pipe};
use rand::RngExt;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// Bytes of one segment, as on most links.
const SEGMENT: usize = 1_460;

/// How often it looks whether both ends of a connection that is dark are gone.
const LOOK: Duration = Duration::from_millis(100);

/// The connections that the proxy has with the server, by its own address; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Behind(Arc<Mutex<BTreeMap<SocketAddr, Weak<Pipe>>>>);

impl Behind {
    fn add(&self, address: SocketAddr, pipe: &Arc<Pipe>) {
        let mut pipes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pipes.retain(|_, pipe| pipe.strong_count() > 0);
        pipes.insert(address, Arc::downgrade(pipe));
    }

    /// The client's connection that this one goes on with.
    pub(super) fn pipe(&self, address: SocketAddr) -> Option<Arc<Pipe>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&address)?.upgrade()
    }
}

/// The link of one host.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) net: Net,
    pub(super) host: usize,
    /// The longest time that a segment takes, in ms.
    pub(super) latency_ms: u64,
    /// Where the server is.
    pub(super) server: SocketAddr,
    pub(super) behind: Behind,
}

/// Takes all connections of one host.
pub(super) async fn accept_all(link: Link, listener: TcpListener) {
    loop {
        let Ok((near, peer)) = listener.accept().await else {
            // Sockets may have run out; some of them end soon.
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let link = link.clone();
        drop(tokio::task::spawn_local(async move { link.carry(near, peer).await }));
    }
}

/// Why a connection ended before both ends were done.
struct Broken;

impl Link {
    /// Carries one connection until it ends.
    async fn carry(&self, mut near: TcpStream, peer: SocketAddr) {
        let pipe = self.net.pipe(peer);
        let Ok(mut far) = self.connect(&pipe).await else {
            let _ = near.set_zero_linger();
            return;
        };
        let ended = tokio::select! {
            biased;
            () = reset(&pipe) => {
                self.note_unread(&pipe);
                Err(Broken)
            }
            () = deserted(&pipe) => Err(Broken),
            ended = self.carry_both(&pipe, &mut near, &mut far) => ended,
        };
        if ended.is_err() {
            // Without this the system would send what is left, and then say goodbye.
            let _ = near.set_zero_linger();
            let _ = far.set_zero_linger();
        }
    }

    async fn connect(&self, pipe: &Arc<Pipe>) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        let window = self.net.plan.window;
        socket.set_recv_buffer_size(window)?;
        socket.set_send_buffer_size(window)?;
        socket.bind(SocketAddr::new(host_address(self.host)?, 0))?;
        self.behind.add(socket.local_addr()?, pipe);
        socket.connect(self.server).await
    }

    fn note_unread(&self, pipe: &Pipe) {
        let is_unread = {
            let state = pipe.state();
            state.up.under_way + state.down.under_way > 0
        };
        if is_unread {
            self.net.record.hit(Sometimes::ResetUnread);
        }
    }

    async fn carry_both(&self, pipe: &Pipe, near: &mut TcpStream, far: &mut TcpStream) -> Result<(), Broken> {
        // Whatever the two sides gather, the proxy sends as it comes.
        near.set_nodelay(true).map_err(|_| Broken)?;
        far.set_nodelay(true).map_err(|_| Broken)?;
        let ((near_read, near_write), (far_read, far_write)) = (near.split(), far.split());
        let lane = |end| Lane { link: self, pipe, end };
        let (up, down) = (lane(End::Client), lane(End::Server));
        tokio::try_join!(up.carry(near_read, far_write), down.carry(far_read, near_write)).map(drop)
    }
}

/// Waits until the connection is reset.
async fn reset(pipe: &Pipe) {
    poll_fn(|cx| {
        let mut state = pipe.state();
        if state.reset {
            return Poll::Ready(());
        }
        state.up.reader = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Waits until both ends of a dark connection are gone, which neither tells the other.
async fn deserted(pipe: &Arc<Pipe>) {
    while !pipe.state().dark || Arc::strong_count(pipe) > 1 {
        tokio::time::sleep(LOOK).await;
    }
}

/// What comes out of a socket.
enum Piece {
    Segment(Vec<u8>),
    End,
    Broken,
}

/// One direction of a connection.
struct Lane<'a> {
    link: &'a Link,
    pipe: &'a Pipe,
    /// Who sends.
    end: End,
}

impl Lane<'_> {
    async fn carry(&self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), Broken> {
        let window = self.link.net.plan.window as usize;
        let (enter, leave) = mpsc::channel((window / SEGMENT).max(1));
        tokio::try_join!(self.fill(from, enter), self.drain(leave, to)).map(drop)
    }

    /// Takes segments in, and gives each the time at which it may arrive.
    async fn fill(&self, mut from: ReadHalf<'_>, enter: mpsc::Sender<(u64, Piece)>) -> Result<(), Broken> {
        let (mut rng, mut at) = (self.link.net.rng(), 0);
        loop {
            let most = self.piece(&mut rng);
            let mut segment = vec![0; most];
            let piece = match from.read(&mut segment).await {
                Ok(0) => Piece::End,
                Ok(n) => {
                    if most < SEGMENT {
                        self.link.net.record.hit(Sometimes::ShortRead);
                    }
                    segment.truncate(n);
                    Piece::Segment(segment)
                }
                Err(_) => Piece::Broken,
            };
            let Piece::Segment(segment) = piece else {
                let _ = enter.send((at, piece)).await;
                return Ok(());
            };
            at = at.max(self.arrival(segment.len(), &mut rng).await);
            self.pipe.state().outward(self.end).under_way += segment.len();
            if enter.send((at, Piece::Segment(segment))).await.is_err() {
                return Ok(());
            }
        }
    }

    /// How many bytes the next segment takes at most.
    fn piece(&self, rng: &mut SmallRng) -> usize {
        let is_short = self.link.net.plan.short && rng.random_ratio(1, 8);
        if is_short { rng.random_range(1..=64) } else { SEGMENT }
    }

    /// Waits until so many bytes find room in the queue in front of the link, if it has one; when they arrive.
    async fn arrival(&self, bytes: usize, rng: &mut SmallRng) -> u64 {
        let Link { net, host, latency_ms, .. } = self.link;
        let now = net.record.pages().now();
        let turn = net.turn(*host, self.end, bytes, now);
        if turn.goes > now + 50_000 {
            net.record.hit(Sometimes::SlowLink);
        }
        let Some(leaves) = turn.leaves else {
            return turn.goes + rng.random_range(0..=*latency_ms) * 1_000;
        };
        sleep_until(net, turn.goes).await;
        leaves
    }

    /// Lets segments arrive when they may.
    async fn drain(
        &self,
        mut leave: mpsc::Receiver<(u64, Piece)>,
        mut to: WriteHalf<'_>,
    ) -> Result<(), Broken> {
        while let Some((at, piece)) = leave.recv().await {
            sleep_until(&self.link.net, at).await;
            self.pass(self.end).await;
            let sent = match &piece {
                Piece::Segment(segment) => to.write_all(segment).await,
                Piece::End => return to.shutdown().await.map_err(|_| Broken),
                Piece::Broken => return Err(Broken),
            };
            if sent.is_err() {
                // Who sends learns over the same link that nobody listens.
                self.pass(if self.end == End::Client { End::Server } else { End::Client }).await;
                return Err(Broken);
            }
            if let Piece::Segment(segment) = piece {
                let mut state = self.pipe.state();
                let flow = state.outward(self.end);
                flow.under_way = flow.under_way.saturating_sub(segment.len());
            }
        }
        Ok(())
    }

    async fn pass(&self, end: End) {
        pass(&self.link.net, self.link.host, end, Some(self.pipe), DATA_AGAIN).await;
    }
}
