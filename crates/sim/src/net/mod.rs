//! The network of a world: turmoil's, with slow links, windows in bytes, stalls and resets around it, or a real one.

mod bucket;
mod pipe;
mod shaped;
mod tap;

pub(crate) use bucket::Bucket;
pub(crate) use pipe::{End, Owner, Pipe};
pub(crate) use shaped::{Reading, Shaped, Writing};

use crate::coverage::Sometimes;
use crate::plan::NetPlan;
use crate::record::Record;
use crate::rule::Rule;
use crate::seed::stream;
use client::drive::{Connect, Connecting};
use protocol::id::Millis;
use protocol::limits::DEFAULT_PORT;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
pub(crate) use tap::{Tap, Wire, token_of};
use tokio::io::{AsyncRead, AsyncWrite};
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use turmoil::net::{TcpListener, TcpStream};

/// When a segment goes, in simulated microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// It leaves its sender, for the link or for the queue in front of it.
    pub(crate) goes: u64,
    /// It has come out of that queue and reaches its reader, if there is a queue.
    pub(crate) leaves: Option<u64>,
}

/// The name of the server's host.
pub(crate) const SERVER: &str = "server";

/// When every simulated world begins, in ms since the Unix epoch: a date that nobody mistakes for today.
pub(crate) const EPOCH_MS: u64 = 1_000_000_000_000;

/// The network; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    pub(crate) record: Record,
    pub(crate) plan: NetPlan,
    seed: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) hosts: Vec<Host>,
    by_address: BTreeMap<IpAddr, usize>,
    /// Connections by the client's address.
    pipes: BTreeMap<SocketAddr, Weak<Pipe>>,
    opened: u64,
    /// Streams of machines that lost their power: they must not say goodbye.
    limbo: (Vec<OwnedReadHalf>, Vec<OwnedWriteHalf>),
    /// How far the server's clock is off, in ms.
    skew: i64,
    /// Where each client connects to, if that is a real address. A real TCP sends again what a cut dropped.
    pub(crate) doors: Vec<SocketAddr>,
    /// The server's process is ending: its connections end with it, and nobody gives them up.
    pub(crate) server_ends: bool,
}

/// A client's host.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) up: Bucket,
    pub(crate) down: Bucket,
    /// What is sent up, or down, is dropped.
    pub(crate) cut_up: bool,
    pub(crate) cut_down: bool,
    pub(crate) held: bool,
    /// How much waits in front of its link, and how long the link itself takes, in microseconds.
    pub(crate) queue: u64,
    pub(crate) latency: u64,
}

impl State {
    fn host_of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or(0)
    }
}

impl Net {
    pub(crate) fn new(record: Record, plan: NetPlan, seed: u64, hosts: Vec<Host>) -> Self {
        let state = State { hosts, ..State::default() };
        Self { record, plan, seed, state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn place_host(&self, address: IpAddr, host: usize) {
        self.state().by_address.insert(address, host);
    }

    /// The host that has this address.
    pub(crate) fn host_of(&self, address: IpAddr) -> usize {
        self.state().host_of(address)
    }

    /// The connection of this client's address: whichever end comes first makes it.
    pub(crate) fn pipe(&self, peer: SocketAddr) -> Arc<Pipe> {
        let mut state = self.state();
        if let Some(pipe) = state.pipes.get(&peer).and_then(Weak::upgrade) {
            return pipe;
        }
        let host = state.host_of(peer.ip());
        let pipe = Arc::new(Pipe::new(host));
        state.pipes.insert(peer, Arc::downgrade(&pipe));
        state.opened += 1;
        if state.opened.is_multiple_of(256) {
            state.pipes.retain(|_, pipe| pipe.strong_count() > 0);
        }
        pipe
    }

    /// All connections that at least one end still has.
    pub(crate) fn pipes(&self) -> Vec<Arc<Pipe>> {
        self.state().pipes.values().filter_map(Weak::upgrade).collect()
    }

    /// Whose connections are left.
    pub(crate) fn left(&self) -> Vec<String> {
        let pipes = self.pipes();
        let told = pipes.iter().map(|pipe| {
            let state = pipe.state();
            let owner = state.owner.map_or("nobody".to_owned(), |owner| format!("c{}", owner.client));
            let flags = [(state.dark, "dark"), (state.lossy, "lossy"), (state.reset, "reset")];
            let flags: Vec<_> = flags.iter().filter(|(is, _)| *is).map(|(_, flag)| *flag).collect();
            format!("{owner} {} up {} down {}", flags.join(" "), state.up.under_way, state.down.under_way)
        });
        told.collect()
    }

    pub(crate) fn turn(&self, host: usize, end: End, bytes: usize, now: u64) -> Turn {
        let mut state = self.state();
        let Some(host) = state.hosts.get_mut(host) else { return Turn { goes: now, leaves: None } };
        let bucket = if end == End::Client { &mut host.up } else { &mut host.down };
        let at = bucket.reserve(bytes, now);
        match host.queue {
            0 => Turn { goes: at, leaves: None },
            queue => Turn { goes: at.saturating_sub(queue), leaves: Some(at + host.latency) },
        }
    }

    /// Whether what this end writes is dropped.
    pub(crate) fn is_cut(&self, host: usize, end: End) -> bool {
        let state = self.state();
        state.hosts.get(host).is_some_and(|host| if end == End::Client { host.cut_up } else { host.cut_down })
    }

    pub(crate) fn rng(&self) -> SmallRng {
        let opened = {
            let mut state = self.state();
            state.opened += 1;
            state.opened
        };
        stream(self.seed, "pieces", opened)
    }

    fn shape(&self, stream: TcpStream, pipe: Arc<Pipe>, end: End, tap: Option<Tap>) -> (Reading, Writing) {
        let (read, write) = stream.into_split();
        let tap = tap.map(|tap| Arc::new(Mutex::new(tap)));
        let reading = Reading::new(self.clone(), read, pipe.clone(), end, tap.clone());
        (reading, Writing::new(self.clone(), write, pipe, end, tap))
    }

    /// Keeps a stream from saying goodbye.
    fn bury(&self, read: Option<OwnedReadHalf>, write: Option<OwnedWriteHalf>) {
        let mut state = self.state();
        state.limbo.0.extend(read);
        state.limbo.1.extend(write);
    }

    /// Sets the server's clock.
    pub(crate) fn skew(&self, ms: i64) {
        self.state().skew = ms;
    }
}

/// A listener on the server's host.
pub(crate) struct SimListener {
    pub(crate) net: Net,
    pub(crate) listener: TcpListener,
}

impl server::listener::Listen for SimListener {
    type Read = Reading;
    type Write = Writing;

    async fn accept(&mut self) -> io::Result<(Reading, Writing, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        let pipe = self.net.pipe(peer);
        let (read, write) = self.net.shape(stream, pipe, End::Server, None);
        Ok((read, write, peer))
    }
}

/// A client's connection, simulated or real.
pub(crate) type Wired = Box<dyn Duplex>;

/// Both directions of a connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// Connects one client.
#[derive(Clone, Debug)]
pub(crate) struct SimConnect {
    pub(crate) net: Net,
    pub(crate) owner: Owner,
}

impl Connect for SimConnect {
    type Stream = Wired;

    fn connect(&self) -> Connecting<Wired> {
        let (net, owner) = (self.net.clone(), self.owner);
        Box::pin(async move {
            net.record.work();
            net.count_connect(owner);
            let tap = (!owner.bulk && !owner.classic).then(|| Tap::new(net.record.clone(), owner.client));
            let door = net.state().doors.get(usize::from(owner.client)).copied();
            if let Some(door) = door {
                let stream: Wired = Box::new(crate::real::connect(net, owner, door, tap).await?);
                return Ok(stream);
            }
            let stream = TcpStream::connect((SERVER, DEFAULT_PORT)).await?;
            let pipe = net.pipe(stream.local_addr()?);
            pipe.state().owner = Some(owner);
            let (read, write) = net.shape(stream, pipe, End::Client, tap);
            let stream: Wired = Box::new(Shaped { read, write });
            Ok(stream)
        })
    }
}

impl Net {
    fn count_connect(&self, owner: Owner) {
        let mut pages = self.record.pages();
        let now = pages.now();
        pages.note(crate::trace::Who::Client(owner.client), "connects", None, 0);
        let too_often =
            pages.sights.get_mut(usize::from(owner.client)).is_some_and(|sight| sight.connect(now));
        if too_often {
            pages.fail(Rule::Watchdog, format!("c{} connects again and again", owner.client));
        }
    }

    /// Bytes were dropped on their way.
    pub(crate) fn note_loss(&self, pipe: &Pipe) {
        let is_sent_again = !self.state().doors.is_empty();
        let mut state = pipe.state();
        if !state.lossy {
            state.lossy = !is_sent_again;
            let bulk = state.owner.is_some_and(|owner| owner.bulk);
            self.record.hit(if bulk { Sometimes::CutMidFile } else { Sometimes::CutMidSend });
        }
    }
}

/// Simulated time, as the server reads it.
#[derive(Clone, Debug)]
pub(crate) struct ServerClock(pub(crate) Net);

impl server::clock::Clock for ServerClock {
    fn now(&self) -> server::clock::Now {
        let now = self.0.record.pages().now() / 1_000;
        let skew = self.0.state().skew;
        let wall = Millis((EPOCH_MS + now).saturating_add_signed(skew));
        server::clock::Now { steady: server::clock::Steady(now), wall }
    }
}

/// Simulated time, as a client reads it.
#[derive(Clone, Debug)]
pub(crate) struct ClientClock(pub(crate) Record);

impl client::clock::Clock for ClientClock {
    fn now(&self) -> client::clock::Now {
        let now = self.0.pages().now() / 1_000;
        client::clock::Now { steady: Millis(now), wall: Millis(EPOCH_MS + now) }
    }
}
