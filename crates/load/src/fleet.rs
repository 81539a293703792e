//! Many native connections that come and go, driven by one thread on epoll: for trials that end servers.

use crate::fault::Fault;
use crate::peer::{Peer, State};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use protocol::message::{ClientMsg, ServerMsg};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// Bytes of one read.
const READ: usize = 64 * 1024;

/// Events that are taken from the system at once.
const EVENTS: usize = 1_024;

/// What the timer is called among the events: no place has this number.
const TIMER: Token = Token(usize::MAX);

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The server said something.
    Heard(ServerMsg),
    /// It has ended, or never came about.
    Ended,
}

/// Places for connections, each of which is taken or free.
pub struct Fleet {
    poll: Poll,
    /// Ends a wait: epoll's own timeouts are whole milliseconds, rounded up, which a schedule would be late by.
    timer: OwnedFd,
    events: Events,
    space: Vec<u8>,
    peers: Vec<Option<Peer>>,
    /// Those that have something to send.
    talking: BTreeSet<usize>,
    /// Those that ended while they were sending, which nobody was told yet.
    ended: Vec<usize>,
}

impl Fleet {
    /// So many free places.
    ///
    /// # Errors
    /// [`Fault::System`] if there is no epoll.
    pub fn new(places: usize) -> Result<Self, Fault> {
        let poll = Poll::new().map_err(Fault::system("an epoll"))?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK);
        let timer = timer.map_err(io::Error::from).map_err(Fault::system("a timer"))?;
        let descriptor = timer.as_raw_fd();
        let registered = poll.registry().register(&mut SourceFd(&descriptor), TIMER, Interest::READABLE);
        registered.map_err(Fault::system("a timer"))?;
        Ok(Self {
            poll,
            timer,
            events: Events::with_capacity(EVENTS),
            space: vec![0; READ],
            peers: std::iter::repeat_with(|| None).take(places).collect(),
            talking: BTreeSet::new(),
            ended: Vec::new(),
        })
    }

    /// Begins a connection in this place, in which an older one ends silently.
    ///
    /// # Errors
    /// [`Fault::Socket`] if the system refuses a socket.
    pub fn connect(&mut self, place: usize, server: SocketAddr) -> Result<(), Fault> {
        self.connect_from(place, None, server)
    }

    /// The same from this address, if one is given.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_from(
        &mut self,
        place: usize,
        source: Option<IpAddr>,
        server: SocketAddr,
    ) -> Result<(), Fault> {
        let failed = |source| Fault::Socket { member: place, source };
        let mut peer = Peer::connect(source, server).map_err(failed)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut peer.socket, Token(place), interest).map_err(failed)?;
        self.peers[place] = Some(peer);
        Ok(())
    }

    /// Ends a connection silently.
    pub fn hang_up(&mut self, place: usize) {
        self.peers[place] = None;
    }

    /// Whether there is a connection in this place.
    pub fn is_taken(&self, place: usize) -> bool {
        self.peers[place].is_some()
    }

    /// Has a connection say something at the end of the next turn, if there is one.
    pub fn say(&mut self, place: usize, msg: &ClientMsg) {
        if let Some(peer) = &mut self.peers[place] {
            peer.say(msg);
            self.talking.insert(place);
        }
    }

    /// Sends what was said, waits for something to happen, and tells what did.
    ///
    /// # Errors
    /// [`Fault`] if the server says what no server says.
    pub fn turn(&mut self, timeout: Duration) -> Result<Vec<(usize, Event)>, Fault> {
        for place in std::mem::take(&mut self.talking) {
            if self.peers[place].as_mut().is_some_and(|peer| peer.flush() == State::Ended) {
                self.ended.push(place);
            }
        }
        let timeout = if self.ended.is_empty() { timeout } else { Duration::ZERO };
        self.set_timer(timeout)?;
        match self.poll.poll(&mut self.events, timeout.is_zero().then_some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Vec::new()),
            polled => polled.map_err(Fault::system("events"))?,
        }
        let tokens = self.events.iter().map(|event| event.token());
        let places = tokens.filter(|token| *token != TIMER).map(|token| token.0).collect::<Vec<_>>();
        let mut told = Vec::new();
        // One that broke while it was sending may still have been told something.
        for place in places.into_iter().chain(std::mem::take(&mut self.ended)) {
            self.attend(place, &mut told)?;
        }
        Ok(told)
    }

    /// Has the next wait end after this time; zero sets no timer.
    fn set_timer(&self, timeout: Duration) -> Result<(), Fault> {
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let setting = Itimerspec { it_interval: never, it_value };
        let set = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting);
        set.map(drop).map_err(io::Error::from).map_err(Fault::system("a timer"))
    }

    fn attend(&mut self, place: usize, told: &mut Vec<(usize, Event)>) -> Result<(), Fault> {
        let Some(peer) = &mut self.peers[place] else {
            return Ok(());
        };
        let heard = peer.hear(&mut self.space, |msg| told.push((place, Event::Heard(msg))))?;
        if heard == State::Ended || peer.flush() == State::Ended {
            self.peers[place] = None;
            told.push((place, Event::Ended));
        }
        Ok(())
    }
}
