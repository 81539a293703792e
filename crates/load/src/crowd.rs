//! All connections of a run, driven by one thread on epoll.

use crate::clock::Clock;
use crate::fault::Fault;
use crate::heartbeat::Heartbeat;
use crate::scratch::Scratch;
use crate::source;
use crate::speaker::{Persona, Speaker};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};
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
    server: SocketAddr,
    /// How often one came back, if those who are cut off come back.
    returns: Option<u32>,
}

struct Member<S> {
    /// About how many bytes the system keeps of what it has not read, where that is fewer than usual.
    unread: Option<usize>,
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
            server,
            returns: None,
        };
        let total = personas.len();
        let mut personas = personas.into_iter();
        let (mut ready, mut moved) = (0, clock.now());
        while ready < total {
            let free = ENTERING.saturating_sub(crowd.members.len() - ready);
            for persona in personas.by_ref().take(free) {
                crowd.enter(persona)?;
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
            let handled = member.handle_event(event, number, &mut self.scratch, |text| heard(number, text));
            match (handled, &mut self.returns) {
                (Err(fault), Some(returns)) if fault.is_cut() => {
                    member.come_back(number, self.server, self.poll.registry())?;
                    *returns += 1;
                }
                (handled, _) => handled?,
            }
        }
        Ok(())
    }

    /// Lets those who are cut off from here on come back and go on where they were, as clients do: at the turn that
    /// finds it out.
    pub fn let_return(&mut self) {
        self.returns = Some(0);
    }

    /// How often somebody was cut off and came back.
    pub fn returns(&self) -> u32 {
        self.returns.unwrap_or(0)
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
            match member.flush(number) {
                // The turn that reads what came before the cut finds it out.
                Err(fault) if fault.is_cut() && self.returns.is_some() => member.out.clear(),
                flushed => flushed?,
            }
        }
        Ok(())
    }

    fn enter(&mut self, persona: Persona) -> Result<(), Fault> {
        let number = self.members.len();
        let unread = persona.unread;
        let socket = connect(number, unread, self.server, self.poll.registry())?;
        let mut out = Vec::new();
        let speaker = S::greet(persona, &mut out);
        self.members.push(Member { unread, socket, speaker, left_over: Vec::new(), out });
        Ok(())
    }
}

/// Begins a connection whose events have this number.
fn connect(
    number: usize,
    unread: Option<usize>,
    server: SocketAddr,
    registry: &Registry,
) -> Result<TcpStream, Fault> {
    let failed = |source| Fault::Socket { member: number, source };
    let begun = match unread {
        None => TcpStream::connect(server),
        Some(bytes) => source::begin_with_buffer(bytes, server),
    };
    let mut socket = begun.map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut socket, Token(number), interest).map_err(failed)?;
    Ok(socket)
}

impl<S: Speaker> Member<S> {
    /// Connects again and goes on where the cut was.
    fn come_back(&mut self, number: usize, server: SocketAddr, registry: &Registry) -> Result<(), Fault> {
        self.out.clear();
        self.left_over.clear();
        if !self.speaker.resume(&mut self.out) {
            return Err(Fault::Closed(number));
        }
        self.socket = connect(number, self.unread, server, registry)?;
        Ok(())
    }

    fn handle_event(
        &mut self,
        event: &Event,
        number: usize,
        scratch: &mut Scratch,
        heard: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let ended = event.is_error() || event.is_read_closed();
        if ended || event.is_readable() {
            self.read(number, ended, scratch, heard)?;
        }
        if self.out.is_empty() {
            return Ok(());
        }
        self.flush(number)
    }

    /// Reads until the socket is empty, which a read that does not fill the buffer tells; where the connection has
    /// ended, until the socket says so: no other event will.
    fn read(
        &mut self,
        number: usize,
        ended: bool,
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
            if read < size && !ended {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaker::Role;
    use std::net::{Ipv4Addr, TcpListener};

    /// Says `A` on its first connection and `B` on later ones; each byte that it hears is a text, and the first lets it
    /// into its room.
    struct Parrot {
        is_ready: bool,
    }

    impl Speaker for Parrot {
        const DIALECT: &'static str = "parrot";

        fn greet(_persona: Persona, out: &mut Vec<u8>) -> Self {
            out.push(b'A');
            Self { is_ready: false }
        }

        fn resume(&mut self, out: &mut Vec<u8>) -> bool {
            out.push(b'B');
            true
        }

        fn hear(
            &mut self,
            input: &[u8],
            _out: &mut Vec<u8>,
            mut heard: impl FnMut(&[u8]) -> Result<(), Fault>,
        ) -> Result<usize, Fault> {
            self.is_ready = true;
            input.chunks(1).try_for_each(&mut heard)?;
            Ok(input.len())
        }

        fn is_ready(&self) -> bool {
            self.is_ready
        }

        fn say(&mut self, text: &[u8], out: &mut Vec<u8>) {
            out.extend_from_slice(text);
        }
    }

    /// Repeats the first byte of a connection to it.
    fn echo(listener: &TcpListener) -> std::net::TcpStream {
        let (mut socket, mut byte) = (listener.accept().unwrap().0, [0]);
        socket.read_exact(&mut byte).unwrap();
        socket.write_all(&byte).unwrap();
        socket
    }

    /// A member whose connection is cut once it says something; what it heard from there on, and how it went.
    fn cut_off(returns: bool) -> (Result<(), Fault>, Vec<u8>, u32) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        let persona = Persona { number: 0, role: Role::Receiver, room: String::new(), run: 0, unread: None };
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| {
                let mut first = echo(&listener);
                first.read_exact(&mut [0]).unwrap();
                drop(first);
                returns.then(|| echo(&listener))
            });
            let clock = Clock::start();
            let mut crowd: Crowd<Parrot> =
                Crowd::join(server, vec![persona], clock, Duration::from_secs(5)).unwrap();
            if returns {
                crowd.let_return();
            }
            crowd.say(0, b"!");
            crowd.flush(0).unwrap();
            let mut texts = Vec::new();
            let mut outcome = Ok(());
            while outcome.is_ok() && texts.is_empty() && clock.now() < Duration::from_secs(10) {
                outcome = crowd.turn(Wait::Upto(Duration::from_millis(10)), |_, text| {
                    texts.extend_from_slice(text);
                    Ok(())
                });
            }
            // The second connection is open until here.
            drop(serving.join().unwrap());
            (outcome, texts, crowd.returns())
        })
    }

    #[test]
    fn one_that_is_cut_off_comes_back_where_that_is_allowed() {
        let (outcome, texts, returns) = cut_off(true);
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!((texts.as_slice(), returns), (&b"B"[..], 1));
    }

    #[test]
    fn one_that_is_cut_off_ends_the_run_elsewhere() {
        let (outcome, texts, _) = cut_off(false);
        assert!(matches!(outcome, Err(Fault::Closed(0))), "{outcome:?}");
        assert_eq!(texts, b"");
    }
}
