//! Attacks by strangers who have nothing but random secrets, from many addresses, as fast as one core allows.
//!
//! What a [`raid`] says is fixed beforehand and waits for no answer, so it can be said to a [`sink`] as well, which
//! only takes it: what people notice then is what the generator costs, not the server.

mod raid;
mod sink;

use crate::clock::Clock;
use crate::fault::Fault;
use crate::options::AttackOptions;
use crate::report::Figures;
use crate::source;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use raid::{Raid, Step};
use sink::Sink;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Events that are taken from the system at once.
const EVENTS: usize = 4_096;

/// Bytes of one read.
const READ: usize = 64 * 1024;

/// Writes of one connection before another one has its turn.
const WRITES: usize = 4;

/// Pause before a connection that was ended comes again.
const AGAIN: Duration = Duration::from_millis(20);

/// How long the generator sleeps at most while nothing happens.
const NAP: Duration = Duration::from_millis(5);

/// All connections of the attack.
struct Attack {
    server: SocketAddr,
    clock: Clock,
    poll: Poll,
    slots: Vec<Slot>,
    /// Those that have more to say and a socket that takes it.
    busy: BTreeSet<usize>,
    /// When those go on that wait.
    waiting: BinaryHeap<Reverse<(Duration, usize)>>,
    space: Vec<u8>,
    connections: u64,
    refused: u64,
    written: u64,
    read: u64,
}

struct Slot {
    source: IpAddr,
    raid: Raid,
    socket: Option<TcpStream>,
    /// What the socket has not taken yet.
    out: Vec<u8>,
    /// Nothing is said before this.
    until: Duration,
    /// It ends its connection when it has waited.
    leaving: bool,
}

/// Attacks for so long.
///
/// # Errors
/// [`Fault`] if the system has no sockets left for it.
pub fn run(options: &AttackOptions, clock: Clock) -> Result<Figures, Fault> {
    let mut sink = options.sink.then(Sink::bind).transpose()?;
    let server = sink.as_ref().map_or(Ok(options.server), Sink::address)?;
    let mut attack = Attack::new(options, server, clock)?;
    let mut events = Events::with_capacity(EVENTS);
    let end = clock.now() + Duration::from_secs(options.seconds);
    while clock.now() < end {
        attack.turn(&mut events, sink.is_none())?;
        if let Some(sink) = &mut sink {
            sink.turn(&mut attack.space)?;
        }
    }
    Ok(attack.figures())
}

impl Attack {
    fn new(options: &AttackOptions, server: SocketAddr, clock: Clock) -> Result<Self, Fault> {
        let mut slots = Vec::new();
        for number in 0..options.addresses {
            let source = source::address(0, number);
            for kind in raid::kinds(options.only) {
                let raid = Raid::new(kind, slots.len() as u64, options.run, options.people);
                let (out, until) = (Vec::new(), Duration::ZERO);
                slots.push(Slot { source, raid, socket: None, out, until, leaving: false });
            }
        }
        Ok(Self {
            server,
            clock,
            poll: Poll::new().map_err(Fault::system("an epoll"))?,
            busy: (0..slots.len()).collect(),
            waiting: BinaryHeap::new(),
            slots,
            space: vec![0; READ],
            connections: 0,
            refused: 0,
            written: 0,
            read: 0,
        })
    }

    fn turn(&mut self, events: &mut Events, may_sleep: bool) -> Result<(), Fault> {
        let now = self.clock.now();
        while let Some(Reverse((at, slot))) = self.waiting.peek().copied()
            && at <= now
        {
            self.waiting.pop();
            self.busy.insert(slot);
        }
        for slot in std::mem::take(&mut self.busy) {
            self.act(slot)?;
        }
        let nap = if self.busy.is_empty() && may_sleep { NAP } else { Duration::ZERO };
        match self.poll.poll(events, Some(nap)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.map_err(Fault::system("events"))?,
        }
        for event in events.iter() {
            self.attend(event);
        }
        Ok(())
    }

    /// Takes in what came for a connection that reads, and has it go on if its socket takes more.
    fn attend(&mut self, event: &Event) {
        let Token(number) = event.token();
        let slot = &mut self.slots[number];
        if event.is_readable() && slot.raid.reads() {
            while let Some(socket) = &mut slot.socket {
                match socket.read(&mut self.space) {
                    Ok(read) if read > 0 => self.read += read as u64,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    _ => return self.end(number),
                }
            }
        }
        if event.is_error() {
            return self.end(number);
        }
        if self.slots[number].until <= self.clock.now() {
            self.busy.insert(number);
        }
    }

    /// Says what a connection has to say, or begins it.
    fn act(&mut self, number: usize) -> Result<(), Fault> {
        let now = self.clock.now();
        let slot = &mut self.slots[number];
        if slot.until > now {
            return Ok(());
        }
        if std::mem::take(&mut slot.leaving) {
            slot.socket = None;
        }
        let Some(socket) = &mut slot.socket else { return self.connect(number) };
        for _ in 0..WRITES {
            if slot.out.is_empty() {
                let (wait, leaves) = match slot.raid.go_on(&mut slot.out) {
                    Step::GoOn => (Duration::ZERO, false),
                    Step::Wait(wait) => (wait, false),
                    Step::Leave(wait) => (wait, true),
                };
                slot.leaving = leaves;
                if !wait.is_zero() {
                    slot.until = now + wait;
                    self.waiting.push(Reverse((slot.until, number)));
                }
            }
            while !slot.out.is_empty() {
                match socket.write(&slot.out) {
                    Ok(written) => {
                        slot.out.drain(..written);
                        self.written += written as u64;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                        return Ok(());
                    }
                    Err(_) => {
                        self.end(number);
                        return Ok(());
                    }
                }
            }
            if slot.until > now {
                return Ok(());
            }
        }
        self.busy.insert(number);
        Ok(())
    }

    fn connect(&mut self, number: usize) -> Result<(), Fault> {
        let slot = &mut self.slots[number];
        let Ok(mut socket) = source::begin(Some(slot.source), self.server) else {
            self.refused += 1;
            self.end(number);
            return Ok(());
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut socket, Token(number), interest);
        registered.map_err(|source| Fault::Socket { member: number, source })?;
        self.connections += 1;
        slot.socket = Some(socket);
        slot.out.clear();
        slot.raid.come();
        Ok(())
    }

    /// A connection has ended, and comes again.
    fn end(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        (slot.socket, slot.leaving) = (None, false);
        slot.until = self.clock.now() + AGAIN;
        self.waiting.push(Reverse((slot.until, number)));
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure is rounded where it is shown")]
    fn figures(&self) -> Figures {
        Figures::from([
            ("slots", self.slots.len() as f64),
            ("connections", self.connections as f64),
            ("refused", self.refused as f64),
            ("written_bytes", self.written as f64),
            ("read_bytes", self.read as f64),
        ])
    }
}
