//! One native connection that waits for each answer: for whoever has time.

use crate::fault::Fault;
use crate::identity::Identity;
use crate::inbox::Inbox;
use crate::source;
use protocol::entry::Entry;
use protocol::id::{Counter, DeviceNo, Epoch, Req, RoomId, Seq};
use protocol::message::{ClientMsg, OpenFrom, Purpose, RoomsChange, ServerMsg};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of one read.
const READ: usize = 64 * 1024;

/// A logged-in connection.
pub struct Caller {
    stream: TcpStream,
    patience: Duration,
    inbox: Inbox,
    /// Heard, and not looked at yet.
    heard: VecDeque<ServerMsg>,
    space: Vec<u8>,
    next_req: u32,
    /// Which history the server has.
    pub epoch: Epoch,
    /// The last post of this device that the server has.
    pub last_counter: Option<Counter>,
    /// This device as entries show it, once it was let in.
    pub device: Option<DeviceNo>,
}

impl Caller {
    /// Logs in. Nothing that is waited for may take longer than `patience`.
    ///
    /// # Errors
    /// [`Fault`] if that does not work.
    pub fn login(server: SocketAddr, identity: &Identity, patience: Duration) -> Result<Self, Fault> {
        let mut caller = Self::connect(server, patience)?;
        caller.say(&identity.hello())?;
        caller.await_welcome()?;
        Ok(caller)
    }

    /// Connects, and says nothing yet.
    ///
    /// # Errors
    /// [`Fault::System`] if that does not work.
    pub fn connect(server: SocketAddr, patience: Duration) -> Result<Self, Fault> {
        let stream = TcpStream::connect_timeout(&server, patience);
        Self::on(stream.map_err(Fault::system("a connection"))?, patience)
    }

    /// Connects from this address, and logs in for this.
    ///
    /// # Errors
    /// As for [`login`](Self::login).
    pub fn login_from(
        source: IpAddr,
        server: SocketAddr,
        identity: &Identity,
        purpose: Purpose,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let stream = source::reach(source, server).map_err(Fault::system("a connection"))?;
        let mut caller = Self::on(stream, patience)?;
        caller.say(&identity.hello_for(purpose))?;
        caller.await_welcome()?;
        Ok(caller)
    }

    fn on(stream: TcpStream, patience: Duration) -> Result<Self, Fault> {
        stream.set_nodelay(true).map_err(Fault::system("an option of a socket"))?;
        stream.set_read_timeout(Some(patience)).map_err(Fault::system("an option of a socket"))?;
        Ok(Self {
            stream,
            patience,
            inbox: Inbox::default(),
            heard: VecDeque::new(),
            space: vec![0; READ],
            next_req: 1,
            epoch: Epoch([0; 16]),
            last_counter: None,
            device: None,
        })
    }

    /// Waits for the answer to the login.
    ///
    /// # Errors
    /// [`Fault::Denied`] if it is refused, others if there is no answer.
    pub fn await_welcome(&mut self) -> Result<(), Fault> {
        let (epoch, last_counter, device) = self.find("a welcome", |msg| match msg {
            ServerMsg::Welcome { epoch, last_counter, device, .. } => Some(Ok((epoch, last_counter, device))),
            ServerMsg::Error { code, text, .. } => Some(Err(Fault::Denied { code, text })),
            _ => None,
        })??;
        (self.epoch, self.last_counter, self.device) = (epoch, last_counter, Some(device));
        Ok(())
    }

    /// The connection itself, for who wants to end it in a way of their own.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`Fault::System`] if the connection broke.
    pub fn say(&mut self, msg: &ClientMsg) -> Result<(), Fault> {
        self.stream.write_all(&msg.encode()).map_err(Fault::system("to write to a connection"))
    }

    /// Asks for something, and gives the answer.
    ///
    /// # Errors
    /// [`Fault::Denied`] if it was refused, others if there was no answer.
    pub fn ask(&mut self, request: impl FnOnce(Req) -> ClientMsg) -> Result<ServerMsg, Fault> {
        let wanted = Req(self.next_req);
        self.next_req += 1;
        self.say(&request(wanted))?;
        self.find("an answer", |msg| match msg {
            ServerMsg::Rooms { req, .. }
            | ServerMsg::Opened { req, .. }
            | ServerMsg::Page { req, .. }
            | ServerMsg::Answer { req, .. }
                if req == wanted =>
            {
                Some(Ok(msg))
            }
            ServerMsg::Error { code, req, text, close, .. } if close || req == u64::from(wanted.0) => {
                Some(Err(Fault::Denied { code, text }))
            }
            _ => None,
        })?
    }

    /// Becomes a member of a room.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn join(&mut self, name: &str) -> Result<RoomId, Fault> {
        let name = name.to_owned();
        match self.ask(|req| ClientMsg::Join { req, name })? {
            ServerMsg::Rooms { change: RoomsChange::Added, rooms, .. } if rooms.len() == 1 => {
                Ok(rooms[0].room)
            }
            other => Err(Fault::Refused(format!("{other:?} to a join"))),
        }
    }

    /// Reads all entries of a room after this one, up to the newest at this moment, and gives that.
    ///
    /// # Errors
    /// [`Fault::Gap`] if one is missing, and as for [`ask`](Self::ask).
    pub fn read_log(
        &mut self,
        room: RoomId,
        after: Option<Seq>,
        mut read: impl FnMut(Entry),
    ) -> Result<Option<Seq>, Fault> {
        let from = OpenFrom::After { epoch: self.epoch, seq: after };
        let opened = self.ask(|req| ClientMsg::Open { req, room, from })?;
        let ServerMsg::Opened { newest, next, .. } = opened else {
            return Err(Fault::Refused(format!("{opened:?} to an open")));
        };
        let mut due = Seq::after(after);
        if next != due {
            return Err(Fault::Gap { expected: due.value(), got: next.value() });
        }
        while newest.is_some_and(|newest| due <= newest) {
            let entries = self.find("entries", |msg| match msg {
                ServerMsg::Entries { room: of, entries } if of == room => Some(Ok(entries)),
                ServerMsg::Error { code, text, .. } => Some(Err(Fault::Denied { code, text })),
                _ => None,
            })??;
            for entry in entries {
                if entry.seq != due {
                    return Err(Fault::Gap { expected: due.value(), got: entry.seq.value() });
                }
                due = due.next();
                read(entry);
            }
        }
        self.ask(|req| ClientMsg::Close { req, room })?;
        Ok(due.before())
    }

    /// The first thing that `look` finds something in; what was said before it is let go.
    ///
    /// # Errors
    /// [`Fault::Stalled`] if it does not come, and others if the connection ends before.
    pub fn find<R>(&mut self, what: &str, mut look: impl FnMut(ServerMsg) -> Option<R>) -> Result<R, Fault> {
        loop {
            while let Some(msg) = self.heard.pop_front() {
                if let Some(found) = look(msg) {
                    return Ok(found);
                }
            }
            let read = self.stream.read(&mut self.space).map_err(|source| match source.kind() {
                std::io::ErrorKind::WouldBlock => Fault::Stalled { what: what.into(), after: self.patience },
                _ => Fault::System { what: "to read from a connection", source },
            })?;
            if read == 0 {
                return Err(Fault::Closed(0));
            }
            let heard = &mut self.heard;
            self.inbox.feed(&self.space[..read], |msg| heard.push_back(msg))?;
        }
    }
}
