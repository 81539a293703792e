//! One native connection that waits for its answers: files need few connections, and each does one thing at a time.

use crate::fault::Fault;
use crate::identity::Identity;
use protocol::frame::{Deframer, Item};
use protocol::id::{Req, RoomId};
use protocol::limits::MAX_BULK_FRAME;
use protocol::message::{ClientMsg, OpenFrom, Purpose, RoomsChange, ServerMsg};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of one read.
const READ: usize = 256 * 1024;

const JOIN: Req = Req(1);
const OPEN: Req = Req(2);

/// A connection after its login.
pub struct Line {
    number: usize,
    stream: TcpStream,
    deframer: Deframer,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were read, and that were taken. Invariant: taken <= read <= buffer.len().
    read: usize,
    taken: usize,
}

impl Line {
    /// Connects as this person of this run.
    ///
    /// # Errors
    /// [`Fault`] if the server does not let it in.
    pub fn log_in(
        server: SocketAddr,
        number: usize,
        run: u64,
        purpose: Purpose,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let failed = |source| Fault::Socket { member: number, source };
        let stream = TcpStream::connect(server).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(patience)).map_err(failed)?;
        stream.set_write_timeout(Some(patience)).map_err(failed)?;
        let deframer = Deframer::new(MAX_BULK_FRAME);
        let mut line = Self { number, stream, deframer, buffer: vec![0; READ], read: 0, taken: 0 };
        let identity = Identity::numbered(&format!("file-{number}"), number as u64, run);
        line.say(&identity.hello_for(purpose))?;
        line.hear_until(|msg| matches!(msg, ServerMsg::Welcome { .. }).then_some(()))?;
        Ok(line)
    }

    /// Joins a room and sets a cursor at its end.
    ///
    /// # Errors
    /// [`Fault`] if the server refuses it.
    pub fn enter(&mut self, name: &str) -> Result<RoomId, Fault> {
        self.say(&ClientMsg::Join { req: JOIN, name: name.to_owned() })?;
        let room = self.hear_until(|msg| match msg {
            ServerMsg::Rooms { req: JOIN, change: RoomsChange::Added, rooms, .. } => {
                Some(rooms.first()?.room)
            }
            _ => None,
        })?;
        self.say(&ClientMsg::Open { req: OPEN, room, from: OpenFrom::Now })?;
        self.hear_until(|msg| matches!(msg, ServerMsg::Opened { req: OPEN, .. }).then_some(()))?;
        Ok(room)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`Fault::Socket`] if the connection broke.
    pub fn say(&mut self, msg: &ClientMsg) -> Result<(), Fault> {
        let member = self.number;
        self.stream.write_all(&msg.encode()).map_err(|source| Fault::Socket { member, source })
    }

    /// Hears messages until one gives what is wanted; the others are of no interest.
    ///
    /// # Errors
    /// [`Fault`] if the connection broke, or the server refuses something.
    pub fn hear_until<T>(&mut self, mut wanted: impl FnMut(ServerMsg) -> Option<T>) -> Result<T, Fault> {
        loop {
            match self.hear()? {
                ServerMsg::Error { code, text, .. } => {
                    return Err(Fault::Refused(format!("error {code}: {text}")));
                }
                ServerMsg::GoAway { text, .. } => return Err(Fault::SentAway(text)),
                msg => {
                    if let Some(found) = wanted(msg) {
                        return Ok(found);
                    }
                }
            }
        }
    }

    /// The next message.
    fn hear(&mut self) -> Result<ServerMsg, Fault> {
        let garbled = |error: &dyn std::fmt::Display| Fault::Refused(error.to_string());
        loop {
            let mut input = &self.buffer[self.taken..self.read];
            let item = self.deframer.next(&mut input).map_err(|error| garbled(&error))?;
            self.taken = self.read - input.len();
            match item {
                None => self.fill()?,
                Some(Item::Oversized { .. }) => return Err(garbled(&"a frame over the limit")),
                Some(Item::Frame(frame)) => {
                    let msg = ServerMsg::decode(frame.ty, frame.payload).map_err(|error| garbled(&error))?;
                    if let Some(msg) = msg {
                        return Ok(msg);
                    }
                }
            }
        }
    }

    fn fill(&mut self) -> Result<(), Fault> {
        let member = self.number;
        self.taken = 0;
        self.read = self.stream.read(&mut self.buffer).map_err(|source| Fault::Socket { member, source })?;
        if self.read == 0 { Err(Fault::Closed(member)) } else { Ok(()) }
    }
}
