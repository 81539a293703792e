//! A TCP proxy that breaks links on command, and counts what was under way when it did.

use super::eventually;
use bytes::{Buf, BytesMut};
use protocol::limits::HEADER;
use protocol::message::ty;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How a link ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// With a reset to both sides, as when a router forgets it.
    Reset,
    /// With an orderly end to both sides.
    Close,
}

/// A direction of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// A proxy in front of a server.
pub struct Proxy {
    addr: SocketAddr,
    links: Arc<Mutex<Vec<Arc<Link>>>>,
    _tasks: JoinSet<()>,
}

/// One connection through the proxy.
struct Link {
    /// Whether bytes pass, each way; those that are held pass when it is set again.
    up: watch::Sender<bool>,
    down: watch::Sender<bool>,
    cut: watch::Sender<Option<Cut>>,
    /// Counter of the last post that the client has sent.
    sent: AtomicU64,
    /// Counter of the last post that has passed.
    posted: AtomicU64,
    /// Counter of the last acknowledgement that has passed.
    acked: AtomicU64,
    /// `Welcome`s that have passed.
    welcomed: AtomicU64,
}

impl Proxy {
    /// Starts one in front of `server`.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let links: Arc<Mutex<Vec<Arc<Link>>>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, Arc::clone(&links)));
        Self { addr, links, _tasks: tasks }
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until a client has logged in through a link that is up.
    pub async fn logged_in(&self) {
        eventually("a login through the proxy", || {
            let link = self.live()?;
            (link.welcomed.load(Ordering::SeqCst) > 0).then_some(())
        })
        .await;
    }

    /// Waits until a post has passed whose acknowledgement has not.
    pub async fn holds_unacknowledged(&self) {
        eventually("a post under way", || self.live()?.is_unacknowledged().then_some(())).await;
    }

    /// Waits until a post has come from the client whose acknowledgement has not passed.
    pub async fn holds_post(&self) {
        eventually("a post from the client", || {
            let link = self.live()?;
            (link.sent.load(Ordering::SeqCst) > link.acked.load(Ordering::SeqCst)).then_some(())
        })
        .await;
    }

    /// Holds what comes one way over all links that are up.
    pub fn stall(&self, way: Way) {
        self.each(|link| link.gate(way).send_replace(false));
    }

    /// Leaves all links up without letting a byte pass, nor the end of either side: what a dead router does.
    pub fn make_half_open(&self) {
        self.stall(Way::Up);
        self.stall(Way::Down);
    }

    /// Lets pass again what was held.
    pub fn resume(&self) {
        self.each(|link| link.up.send_replace(true));
        self.each(|link| link.down.send_replace(true));
    }

    /// Cuts all links that are up, and tells how many of them had posts that were not acknowledged.
    pub fn cut(&self, how: Cut) -> usize {
        let links = std::mem::take(&mut *self.lock());
        let alive = links.iter().filter(|link| link.is_up());
        alive
            .map(|link| {
                let counted = usize::from(link.is_unacknowledged());
                link.cut.send_replace(Some(how));
                counted
            })
            .sum()
    }

    fn each(&self, act: impl Fn(&Link) -> bool) {
        for link in self.lock().iter() {
            act(link);
        }
    }

    /// The newest link, if it is up.
    fn live(&self) -> Option<Arc<Link>> {
        let last = self.lock().last().cloned()?;
        last.is_up().then_some(last)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Link>>> {
        self.links.lock().expect("nobody panics while holding the lock")
    }
}

impl Link {
    fn new() -> Self {
        Self {
            up: watch::Sender::new(true),
            down: watch::Sender::new(true),
            cut: watch::Sender::new(None),
            sent: AtomicU64::new(0),
            posted: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            welcomed: AtomicU64::new(0),
        }
    }

    fn gate(&self, way: Way) -> &watch::Sender<bool> {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    /// Its task listens for a cut for as long as it runs.
    fn is_up(&self) -> bool {
        self.cut.receiver_count() > 0 && self.cut.borrow().is_none()
    }

    fn is_unacknowledged(&self) -> bool {
        self.posted.load(Ordering::SeqCst) > self.acked.load(Ordering::SeqCst)
    }

    fn note_sent(&self, way: Way, frames: &[(u8, u64)]) {
        let posts = frames.iter().filter(|(ty, _)| way == Way::Up && *ty == ty::POST);
        if let Some(last) = posts.map(|(_, counter)| *counter).max() {
            self.sent.fetch_max(last, Ordering::SeqCst);
        }
    }

    fn note(&self, way: Way, ty: u8, number: u64) {
        match (way, ty) {
            (Way::Up, ty::POST) => self.posted.fetch_max(number, Ordering::SeqCst),
            (Way::Down, ty::ACK) => self.acked.fetch_max(number, Ordering::SeqCst),
            (Way::Down, ty::WELCOME) => self.welcomed.fetch_add(1, Ordering::SeqCst),
            _ => 0,
        };
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, links: Arc<Mutex<Vec<Arc<Link>>>>) {
    let mut running = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(server).await else {
            continue;
        };
        let link = Arc::new(Link::new());
        running.spawn(drive(client, server, Arc::clone(&link), link.cut.subscribe()));
        links.lock().expect("nobody panics while holding the lock").push(link);
    }
}

async fn drive(
    mut client: TcpStream,
    mut server: TcpStream,
    link: Arc<Link>,
    mut cut: watch::Receiver<Option<Cut>>,
) {
    let options = [client.set_nodelay(true), server.set_nodelay(true)];
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let both = async {
        tokio::try_join!(
            pump(client_read, server_write, &link, Way::Up),
            pump(server_read, client_write, &link, Way::Down),
        )
    };
    let how = tokio::select! {
        biased;
        how = cut.wait_for(Option::is_some) => how.map_or(None, |how| *how),
        ended = both => ended.is_err().then_some(Cut::Reset),
    };
    if how == Some(Cut::Reset) || options.iter().any(Result::is_err) {
        // Dropping the sockets now resets them.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Passes bytes one way until they end; the error of a broken side has no more to say than that it broke.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    link: &Link,
    way: Way,
) -> Result<(), std::io::ErrorKind> {
    let mut gate = link.gate(way).subscribe();
    let mut passing = Passing::default();
    let mut chunk = BytesMut::with_capacity(16 * 1024);
    loop {
        let _ = gate.wait_for(|open| *open).await;
        let read = from.read_buf(&mut chunk).await.map_err(|error| error.kind())?;
        let frames = passing.look(&chunk);
        link.note_sent(way, &frames);
        let _ = gate.wait_for(|open| *open).await;
        if read == 0 {
            return to.shutdown().await.map_err(|error| error.kind());
        }
        frames.into_iter().for_each(|(ty, number)| link.note(way, ty, number));
        to.write_all(&chunk).await.map_err(|error| error.kind())?;
        chunk.clear();
    }
}

/// Reads along with what passes.
#[derive(Default)]
struct Passing {
    /// A frame that is not complete yet.
    begun: BytesMut,
}

impl Passing {
    /// Type and first number of each frame that these bytes complete.
    fn look(&mut self, bytes: &[u8]) -> Vec<(u8, u64)> {
        let mut frames = Vec::new();
        self.begun.extend_from_slice(bytes);
        while let Some(len) = self.begun.first_chunk().map(|len| u32::from_be_bytes(*len)) {
            let end = HEADER - 1 + len as usize;
            if self.begun.len() < end || len == 0 {
                break;
            }
            let mut frame = self.begun.split_to(end);
            frame.advance(HEADER - 1);
            let ty = frame.get_u8();
            frames.push((ty, frame.try_get_u64().unwrap_or(0)));
        }
        frames
    }
}
