//! L1, the bare limit: a server that does as little as a server can, to show what the kernel leaves to be reached.
//!
//! In each turn it reads from all senders that have something, and writes the same bytes to each receiver once.
//! It looks at nothing but the lengths of frames. It is no chat: it keeps nothing, and trusts everybody.

use crate::clock::Clock;
use crate::crowd::write_out;
use crate::fault::Fault;
use crate::scratch::Scratch;
use crate::speaker::{READY, RECEIVER, SENDER};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use protocol::frame::frame;
use protocol::limits::HEADER;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX);

/// How often it looks at the clock at least.
const NAP: Duration = Duration::from_millis(200);

/// The server.
pub struct LimitServer {
    poll: Poll,
    listener: TcpListener,
    scratch: Scratch,
    links: BTreeMap<usize, Link>,
    last: usize,
    /// What came in this turn.
    batch: Vec<u8>,
}

struct Link {
    socket: TcpStream,
    role: LinkRole,
    /// The beginning of a frame of a sender.
    left_over: Vec<u8>,
    /// What a receiver's socket has not taken yet.
    out: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkRole {
    Unknown,
    Sender,
    Receiver,
}

impl LimitServer {
    /// A server that listens there.
    ///
    /// # Errors
    /// [`Fault::System`] if it can't.
    pub fn bind(address: SocketAddr) -> Result<Self, Fault> {
        let poll = Poll::new().map_err(Fault::system("an epoll"))?;
        let mut listener = TcpListener::bind(address).map_err(Fault::system("the address"))?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(Fault::system("events"))?;
        Ok(Self {
            poll,
            listener,
            scratch: Scratch::default(),
            links: BTreeMap::new(),
            last: 0,
            batch: Vec::new(),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// [`Fault::System`] if the system does not know.
    pub fn address(&self) -> Result<SocketAddr, Fault> {
        self.listener.local_addr().map_err(Fault::system("the address"))
    }

    /// Serves for so long.
    ///
    /// # Errors
    /// [`Fault::System`] if the system gives no more events or sockets.
    pub fn serve(&mut self, clock: Clock, time: Duration) -> Result<(), Fault> {
        let mut events = Events::with_capacity(4_096);
        let end = clock.now() + time;
        while clock.now() < end {
            match self.poll.poll(&mut events, Some(NAP)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled.map_err(Fault::system("events"))?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(number) => self.serve_link(number),
                }
            }
            self.fan_out();
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Fault> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Fault::system("a connection")(error)),
            };
            let number = self.last;
            self.last += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = self.poll.registry().register(&mut socket, Token(number), interest);
            registered.and_then(|()| socket.set_nodelay(true)).map_err(Fault::system("a connection"))?;
            let link = Link { socket, role: LinkRole::Unknown, left_over: Vec::new(), out: Vec::new() };
            self.links.insert(number, link);
        }
    }

    fn serve_link(&mut self, number: usize) {
        let Some(link) = self.links.get_mut(&number) else {
            return;
        };
        let alive = link.read(&mut self.scratch, &mut self.batch) && link.flush();
        if !alive {
            self.links.remove(&number);
        }
    }

    /// One write of the same bytes to each receiver; only who could not take all of the last one has a copy.
    fn fan_out(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = &self.batch;
        self.links.retain(|_, link| link.role != LinkRole::Receiver || link.offer(batch));
        self.batch.clear();
    }
}

impl Link {
    /// Reads all there is; whole frames of a sender go to `batch`. False if the link is to end.
    fn read(&mut self, scratch: &mut Scratch, batch: &mut Vec<u8>) -> bool {
        loop {
            let space = scratch.space();
            let size = space.len();
            let read = match self.socket.read(space) {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            };
            let Some(mut input) = scratch.joined(&self.left_over, read) else {
                return false;
            };
            if self.role == LinkRole::Unknown && !self.begin(&mut input) {
                return false;
            }
            let (frames, rest) = input.split_at(whole_frames(input));
            if self.role == LinkRole::Sender {
                batch.extend_from_slice(frames);
            }
            self.left_over.clear();
            self.left_over.extend_from_slice(rest);
            if read < size {
                return true;
            }
        }
    }

    /// Takes the first frame, which has no payload and whose type is the role. False if it is none.
    fn begin(&mut self, input: &mut &[u8]) -> bool {
        let Some((header, rest)) = input.split_first_chunk::<HEADER>() else {
            return true;
        };
        self.role = match header[HEADER - 1] {
            SENDER => LinkRole::Sender,
            RECEIVER => LinkRole::Receiver,
            _ => return false,
        };
        *input = rest;
        self.out.extend_from_slice(&frame(READY, &[]));
        true
    }

    fn flush(&mut self) -> bool {
        self.out.is_empty() || write_out(&mut self.socket, &mut self.out).is_ok()
    }

    fn offer(&mut self, batch: &[u8]) -> bool {
        if !self.out.is_empty() {
            self.out.extend_from_slice(batch);
            return true;
        }
        let written = match self.socket.write(batch) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return false,
        };
        self.out.extend_from_slice(&batch[written..]);
        true
    }
}

/// Bytes of whole frames at the front.
fn whole_frames(input: &[u8]) -> usize {
    let mut end = 0;
    while let Some(length) = input.get(end..).and_then(<[u8]>::first_chunk::<4>) {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let next = end.saturating_add(4).saturating_add(length);
        if next > input.len() {
            break;
        }
        end = next;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaker::TEXT;

    #[test]
    fn only_whole_frames_are_passed_on() {
        let one = frame(TEXT, b"abc");
        let two = [&one[..], &one[..]].concat();
        for cut in 0..=two.len() {
            assert_eq!(whole_frames(&two[..cut]), cut / one.len() * one.len());
        }
    }
}
