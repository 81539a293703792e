//! All connections of a run, driven by one thread on epoll.

use crate::clock::Clock;
use crate::fault::Fault;
use crate::heartbeat::Heartbeat;
use crate::scratch::Scratch;
use crate::source;
use crate::speaker::{Persona, Speaker};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// Connections that are on their way in at once: fewer than the 128 that a listener of the standard library lets wait.
const ENTERING: usize = 100;

/// Events that are taken from the system at once.
const EVENTS: usize = 4_096;

/// How a turn waits for something to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: waking a sleeping processor would be charged to the server.
    Never,
    /// At most so long.
    Upto(Duration),
}

/// Connections that are all in their rooms.
pub struct Crowd<S> {
    poll: Poll,
    events: Events,
    scratch: Scratch,
    members: Vec<Member<S>>,
    heartbeat: Heartbeat,
}

struct Member<S> {
    socket: TcpStream,
    speaker: S,
    /// The beginning of what the speaker could not hear yet.
    left_over: Vec<u8>,
    /// What the socket has not taken yet.
    out: Vec<u8>,
}

impl<S: Speaker> Crowd<S> {
    /// Connects everybody, in order, and waits until all are in their rooms.
    ///
    /// # Errors
    /// [`Fault`] if one of them can't get in, or if nobody gets in for as long as `patience`.
    pub fn join(
        server: SocketAddr,
        personas: Vec<Persona>,
        clock: Clock,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let mut crowd = Self {
            poll: Poll::new().map_err(Fault::system("an epoll"))?,
            events: Events::with_capacity(EVENTS),
            scratch: Scratch::default(),
            members: Vec::with_capacity(personas.len()),
            heartbeat: Heartbeat::new(personas.len(), clock.now()),
        };
        let total = personas.len();
        let mut personas = personas.into_iter();
        let (mut ready, mut moved) = (0, clock.now());
        while ready < total {
            let free = ENTERING.saturating_sub(crowd.members.len() - ready);
            for persona in personas.by_ref().take(free) {
                crowd.enter(server, persona)?;
            }
            crowd.turn(Wait::Upto(Duration::from_millis(10)), |_, _| Ok(()))?;
            let now = clock.now();
            let before = ready;
            // They get ready nearly in order, so few of them are looked at twice.
            while crowd.members.get(ready).is_some_and(|member| member.speaker.is_ready()) {
                ready += 1;
            }
            if ready > before {
                moved = now;
            } else if now - moved > patience {
                return Err(Fault::Stalled {
                    what: format!("the entrance of connection {ready} of {total}"),
                    after: patience,
                });
            }
            crowd.keep_alive(now)?;
        }
        Ok(crowd)
    }

    /// Takes in what came on all connections and sends what could not be sent before. Each text that somebody sent
    /// goes to `heard`, with the number of the connection.
    ///
    /// # Errors
    /// [`Fault`] of the connections, and those of `heard`.
    pub fn turn(
        &mut self,
        wait: Wait,
        mut heard: impl FnMut(usize, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let timeout = match wait {
            Wait::Never => Duration::ZERO,
            Wait::Upto(timeout) => timeout,
        };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.map_err(Fault::system("events"))?,
        }
        for event in &self.events {
            let Token(number) = event.token();
            let member = &mut self.members[number];
            member.handle_event(event, number, &mut self.scratch, |text| heard(number, text))?;
        }
        Ok(())
    }

    /// How many texts a member may send before it hears something.
    pub fn allowance(&self, member: usize) -> usize {
        self.members[member].speaker.allowance()
    }

    /// Has a member say a text. It is sent by [`flush`](Self::flush), together with others.
    pub fn say(&mut self, member: usize, text: &[u8]) {
        let member = &mut self.members[member];
        member.speaker.say(text, &mut member.out);
    }

    /// Sends what a member said; what the socket does not take is sent when it does.
    ///
    /// # Errors
    /// [`Fault::Socket`] if the connection broke.
    pub fn flush(&mut self, member: usize) -> Result<(), Fault> {
        self.members[member].flush(member)
    }

    /// Gives the signs of life that are due.
    ///
    /// # Errors
    /// [`Fault::Socket`] if a connection broke.
    pub fn keep_alive(&mut self, now: Duration) -> Result<(), Fault> {
        while let Some(number) = self.heartbeat.next_due(now) {
            let Some(member) = self.members.get_mut(number).filter(|member| member.speaker.is_ready()) else {
                continue;
            };
            member.speaker.ping(&mut member.out);
            member.flush(number)?;
        }
        Ok(())
    }

    fn enter(&mut self, server: SocketAddr, persona: Persona) -> Result<(), Fault> {
        let number = self.members.len();
        let failed = |source| Fault::Socket { member: number, source };
        let begun = match persona.unread {
            None => TcpStream::connect(server),
            Some(bytes) => source::begin_with_buffer(bytes, server),
        };
        let mut socket = begun.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(&mut socket, Token(number), interest).map_err(failed)?;
        let mut out = Vec::new();
        self.members.push(Member {
            socket,
            speaker: S::greet(persona, &mut out),
            left_over: Vec::new(),
            out,
        });
        Ok(())
    }
}

impl<S: Speaker> Member<S> {
    fn handle_event(
        &mut self,
        event: &Event,
        number: usize,
        scratch: &mut Scratch,
        heard: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if event.is_readable() || event.is_error() {
            self.read(number, scratch, heard)?;
        }
        if self.out.is_empty() {
            return Ok(());
        }
        self.flush(number)
    }

    /// Reads until the socket is empty, which a read that does not fill the buffer tells.
    fn read(
        &mut self,
        number: usize,
        scratch: &mut Scratch,
        mut heard: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        loop {
            let space = scratch.space();
            let size = space.len();
            let read = match self.socket.read(space) {
                Ok(0) => return Err(Fault::Closed(number)),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Fault::Socket { member: number, source });
                }
            };
            let too_long = || Fault::Refused("a frame without an end".to_owned());
            let input = scratch.joined(&self.left_over, read).ok_or_else(too_long)?;
            let used = self.speaker.hear(input, &mut self.out, &mut heard)?;
            self.left_over.clear();
            self.left_over.extend_from_slice(&input[used..]);
            if read < size {
                return Ok(());
            }
        }
    }

    fn flush(&mut self, number: usize) -> Result<(), Fault> {
        write_out(&mut self.socket, &mut self.out).map_err(|source| Fault::Socket { member: number, source })
    }
}

/// Writes as much as the socket takes, and keeps the rest.
///
/// # Errors
/// The socket's, other than that it is full.
pub fn write_out(socket: &mut TcpStream, out: &mut Vec<u8>) -> io::Result<()> {
    let mut written = 0;
    while written < out.len() {
        match socket.write(&out[written..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
            Err(error) => return Err(error),
        }
    }
    out.drain(..written);
    Ok(())
}
