//! A server that takes everything and answers nothing.

use crate::fault::Fault;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX);

/// It, with all its connections.
pub struct Sink {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    sockets: BTreeMap<usize, TcpStream>,
    next: usize,
}

impl Sink {
    /// A sink at a free port.
    ///
    /// # Errors
    /// [`Fault::System`] if there is none.
    pub fn bind() -> Result<Self, Fault> {
        let poll = Poll::new().map_err(Fault::system("an epoll"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = TcpListener::bind(address).map_err(Fault::system("a port"))?;
        let registered = poll.registry().register(&mut listener, LISTENER, Interest::READABLE);
        registered.map_err(Fault::system("a port"))?;
        Ok(Self { poll, events: Events::with_capacity(1_024), listener, sockets: BTreeMap::new(), next: 0 })
    }

    /// Where it is.
    ///
    /// # Errors
    /// [`Fault::System`] if the system does not say.
    pub fn address(&self) -> Result<SocketAddr, Fault> {
        self.listener.local_addr().map_err(Fault::system("an address"))
    }

    /// Takes what is there.
    ///
    /// # Errors
    /// [`Fault::System`] if there are no events.
    pub fn turn(&mut self, space: &mut [u8]) -> Result<(), Fault> {
        match self.poll.poll(&mut self.events, Some(Duration::from_millis(1))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.map_err(Fault::system("events"))?,
        }
        let tokens: Vec<_> = self.events.iter().map(|event| event.token()).collect();
        for token in tokens {
            if token == LISTENER { self.accept()? } else { self.take(token.0, space) }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Fault> {
        while let Ok((mut socket, _)) = self.listener.accept() {
            let registered = self.poll.registry().register(&mut socket, Token(self.next), Interest::READABLE);
            registered.map_err(Fault::system("a socket"))?;
            self.sockets.insert(self.next, socket);
            self.next += 1;
        }
        Ok(())
    }

    fn take(&mut self, number: usize, space: &mut [u8]) {
        while let Some(socket) = self.sockets.get_mut(&number) {
            match socket.read(space) {
                Ok(read) if read > 0 => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => drop(self.sockets.remove(&number)),
            }
        }
    }
}
