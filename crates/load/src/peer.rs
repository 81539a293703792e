//! One native connection that may end at any time: whole messages in and out of a socket that never blocks.

use crate::fault::Fault;
use crate::inbox::Inbox;
use crate::source;
use mio::net::TcpStream;
use protocol::message::{ClientMsg, ServerMsg};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};

/// A connection.
#[derive(Debug)]
pub struct Peer {
    /// The socket, for whoever watches it.
    pub socket: TcpStream,
    inbox: Inbox,
    /// What the socket has not taken yet.
    out: Vec<u8>,
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Open,
    /// It has ended, from either side or by neither.
    Ended,
}

impl Peer {
    /// Begins to connect, from this address if one is given; that it failed shows when it is used.
    ///
    /// # Errors
    /// What the system said.
    pub fn connect(source: Option<IpAddr>, server: SocketAddr) -> io::Result<Self> {
        let socket = source::begin(source, server)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, inbox: Inbox::default(), out: Vec::new() })
    }

    /// Puts a message behind those that wait to be sent.
    pub fn say(&mut self, msg: &ClientMsg) {
        self.out.extend_from_slice(&msg.encode());
    }

    /// Sends what the socket takes.
    pub fn flush(&mut self) -> State {
        while !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_early(&error) => return State::Open,
                Err(_) => return State::Ended,
            }
        }
        State::Open
    }

    /// Hears all that is there. `space` is where it is read to.
    ///
    /// # Errors
    /// [`Fault::Refused`] if it is not what a server says.
    pub fn hear(&mut self, space: &mut [u8], mut heard: impl FnMut(ServerMsg)) -> Result<State, Fault> {
        loop {
            match self.socket.read(space) {
                Ok(0) => return Ok(State::Ended),
                Ok(read) => self.inbox.feed(&space[..read], &mut heard)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_early(&error) => return Ok(State::Open),
                Err(_) => return Ok(State::Ended),
            }
        }
    }
}

/// The socket is not ready: full, empty, or on its way to be connected.
fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
