//! Somebody who reads a room as it comes, comes back with its cursor after each cut, and remembers what it was given.

use super::violation::Violation;
use load::identity::Identity;
use protocol::entry::Entry;
use protocol::id::{Counter, DeviceNo, Epoch, Req, RoomId, Seq};
use protocol::message::{ClientMsg, OpenFrom, RoomsChange, ServerMsg};

/// Numbers of followers begin here, so that none is a writer's.
const FIRST: u64 = 1 << 20;

/// What a follower was given: an entry's number, whose it is, and its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its place.
    pub seq: Seq,
    /// Whose it is.
    pub device: DeviceNo,
    /// Its counter.
    pub counter: u64,
}

/// A reader of one room.
#[derive(Debug)]
pub struct Follower {
    identity: Identity,
    room_name: String,
    /// The room, once it has been let in.
    pub room: Option<RoomId>,
    epoch: Option<Epoch>,
    /// The last entry that it has.
    at: Option<Seq>,
    /// Whether entries flow.
    pub is_open: bool,
    /// What it was given since somebody asked last.
    given: Vec<Given>,
}

impl Follower {
    /// A follower who has never been there.
    pub fn new(number: usize, run: u64, room_name: &str) -> Self {
        Self {
            identity: Identity::numbered(&format!("f-{number}"), FIRST + number as u64, run),
            room_name: room_name.to_owned(),
            room: None,
            epoch: None,
            at: None,
            is_open: false,
            given: Vec::new(),
        }
    }

    /// The first words of a new connection.
    pub fn greet(&mut self) -> ClientMsg {
        self.identity.hello()
    }

    /// The connection has ended.
    pub fn handle_end(&mut self) {
        self.is_open = false;
    }

    /// What it was given since this was asked last.
    pub fn take_given(&mut self) -> Vec<Given> {
        std::mem::take(&mut self.given)
    }

    /// Takes in what the server said, and gives what is to be said now.
    ///
    /// # Errors
    /// [`Violation`] if it must not say that.
    pub fn handle_message(&mut self, msg: ServerMsg) -> Result<Option<ClientMsg>, Violation> {
        match msg {
            ServerMsg::Welcome { epoch, .. } => {
                self.epoch = Some(epoch);
                return Ok(Some(ClientMsg::Join { req: Req(1), name: self.room_name.clone() }));
            }
            ServerMsg::Rooms { change: RoomsChange::Added, req: Req(1), rooms, .. } => {
                self.room = rooms.first().map(|room| room.room);
                return Ok(self.open());
            }
            ServerMsg::Opened { next, room, .. } => {
                self.is_open = true;
                self.check_next(room, next)?;
            }
            ServerMsg::Trimmed { reason, .. } => {
                return Err(Violation::NewHistory {
                    what: format!("a reader's cursor is moved: {reason:?}"),
                });
            }
            ServerMsg::Entries { room, entries } => {
                entries.iter().try_for_each(|entry| self.handle_entry(room, entry))?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn open(&self) -> Option<ClientMsg> {
        let from = OpenFrom::After { epoch: self.epoch?, seq: self.at };
        Some(ClientMsg::Open { req: Req(2), room: self.room?, from })
    }

    fn handle_entry(&mut self, room: RoomId, entry: &Entry) -> Result<(), Violation> {
        self.check_next(room, entry.seq)?;
        self.at = Some(entry.seq);
        if let (Some(device), Some(counter)) = (entry.device, entry.counter.map(Counter::value)) {
            self.given.push(Given { seq: entry.seq, device, counter });
        }
        Ok(())
    }

    fn check_next(&self, room: RoomId, got: Seq) -> Result<(), Violation> {
        let due = Seq::after(self.at);
        if got == due {
            return Ok(());
        }
        Err(Violation::Gap { room, due: due.value(), got: got.value() })
    }
}
