//! What a native test client knows, built from what it hears, and the checks that each frame must pass.

use protocol::code::Code;
use protocol::entry::Entry;
use protocol::id::{Counter, DeviceNo, Millis, PersonId, RoomId, Seq};
use protocol::message::{RoomInfo, RoomsChange, RosterItem, ServerMsg, TrimReason};
use std::collections::{BTreeMap, VecDeque};

/// The state of one connection, as its frames told it.
#[derive(Default)]
pub struct View {
    /// Rooms of mine.
    pub rooms: BTreeMap<RoomId, RoomInfo>,
    /// Rooms that are open here.
    pub open: BTreeMap<RoomId, Reading>,
    /// The last of my posts that was acknowledged, 0 before the first.
    pub acked: u64,
    /// How many acknowledgements came.
    pub acks: u64,
    /// Where my posts came to lie, as far as `Ack` told.
    pub places: BTreeMap<u64, (RoomId, Seq)>,
    /// Messages that nobody has asked for yet.
    pub mail: VecDeque<ServerMsg>,
    /// The first thing that was wrong.
    pub fault: Option<String>,
    /// The connection has ended.
    pub ended: bool,
    /// The last of my posts that was sent, 0 before the first.
    pub posted: u64,
    device: Option<DeviceNo>,
}

/// A cursor and what it has passed.
#[derive(Default)]
pub struct Reading {
    /// The next entry that must come.
    pub next: Option<Seq>,
    /// What came, in order.
    pub entries: Vec<Entry>,
    /// How the cursor was moved.
    pub trims: Vec<(TrimReason, Seq)>,
    /// Who is there.
    pub roster: Roster,
    /// The counter of the last post of mine that came.
    mine: Option<Counter>,
}

/// Who is in a room, as snapshots and deltas told it.
#[derive(Default)]
pub struct Roster {
    /// Of the last frame.
    pub version: u64,
    /// Members that are online.
    pub online: u32,
    /// The people told by name.
    pub people: BTreeMap<PersonId, RosterItem>,
    /// All that was told of people after the last snapshot, in order.
    pub changes: Vec<RosterItem>,
    /// Whether a whole snapshot has come.
    pub complete: bool,
}

/// An `Error` frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why.
    pub code: Code,
    /// The type of the refused frame.
    pub about: u8,
    /// Its request or counter.
    pub req: u64,
    /// Whether the connection ends.
    pub close: bool,
    /// The number that goes with the code.
    pub detail: u64,
}

impl Refusal {
    /// The refusal in this message, if it is one.
    pub fn of(msg: &ServerMsg) -> Option<Self> {
        let ServerMsg::Error { code, about, req, close, detail, .. } = msg else {
            return None;
        };
        let code = Code::from_number(*code).unwrap_or_else(|| panic!("the code {code} is in no table"));
        Some(Self { code, about: *about, req: *req, close: *close, detail: *detail })
    }
}

impl View {
    /// Takes in a message; a fault stays for good.
    pub fn handle_message(&mut self, msg: ServerMsg) {
        let checked = match &msg {
            ServerMsg::Welcome { device, .. } => {
                self.device = Some(*device);
                Ok(())
            }
            ServerMsg::Rooms { change, rooms, .. } => {
                self.handle_rooms(change, rooms);
                Ok(())
            }
            ServerMsg::Ack { counter, room, seq } => self.handle_ack(*counter, *room, *seq),
            ServerMsg::Entries { room, entries } => self.handle_entries(*room, entries),
            ServerMsg::Opened { room, oldest, newest, next, .. } => {
                self.handle_opened(*room, *oldest, *newest, *next)
            }
            ServerMsg::Trimmed { room, reason, first } => self.handle_trimmed(*room, reason, *first),
            ServerMsg::Roster { .. } => self.handle_roster(&msg),
            _ => Ok(()),
        };
        if let (Err(fault), None) = (checked, &self.fault) {
            self.fault = Some(fault);
        }
        let kept_above =
            matches!(msg, ServerMsg::Ack { .. } | ServerMsg::Entries { .. } | ServerMsg::Roster { .. });
        if !kept_above {
            self.mail.push_back(msg);
        }
    }

    fn handle_rooms(&mut self, change: &RoomsChange, rooms: &[RoomInfo]) {
        for info in rooms {
            if *change == RoomsChange::Removed {
                self.rooms.remove(&info.room);
                self.open.remove(&info.room);
            } else {
                self.rooms.insert(info.room, info.clone());
            }
        }
    }

    fn handle_ack(&mut self, counter: Counter, room: Option<RoomId>, seq: Option<Seq>) -> Result<(), String> {
        let counter = counter.value();
        if counter < self.acked || counter > self.posted {
            return Err(format!("ack of {counter} after {}, of {} posts", self.acked, self.posted));
        }
        self.acked = counter;
        self.acks += 1;
        if let (Some(room), Some(seq)) = (room, seq) {
            self.places.insert(counter, (room, seq));
        }
        Ok(())
    }

    fn handle_opened(
        &mut self,
        room: RoomId,
        oldest: Seq,
        newest: Option<Seq>,
        next: Seq,
    ) -> Result<(), String> {
        let reading = Reading { next: Some(next), ..Reading::default() };
        self.open.insert(room, reading);
        if oldest <= next && next <= Seq::after(newest) {
            Ok(())
        } else {
            Err(format!("opened at {next} of {oldest}..={newest:?}"))
        }
    }

    fn handle_trimmed(&mut self, room: RoomId, reason: &TrimReason, first: Seq) -> Result<(), String> {
        let reading = self.reading(room)?;
        reading.trims.push((reason.clone(), first));
        let before = reading.next.replace(first);
        if *reason == TrimReason::Trimmed && before > Some(first) {
            return Err(format!("trimmed back from {before:?} to {first}"));
        }
        Ok(())
    }

    fn handle_entries(&mut self, room: RoomId, entries: &[Entry]) -> Result<(), String> {
        if entries.is_empty() {
            return Err("a frame without entries".into());
        }
        let device = self.device;
        let reading = self.reading(room)?;
        for entry in entries {
            reading.handle_entry(entry)?;
            if entry.device.is_some() && entry.device == device {
                reading.handle_mine(entry.counter)?;
            }
        }
        Ok(())
    }

    fn handle_roster(&mut self, msg: &ServerMsg) -> Result<(), String> {
        let ServerMsg::Roster { room, version, snapshot, more, online, people, .. } = msg else {
            return Ok(());
        };
        let roster = &mut self.reading(*room)?.roster;
        if !snapshot && (*version <= roster.version || !roster.complete) {
            return Err(format!("roster {version} after {}", roster.version));
        }
        if *snapshot {
            if roster.complete || *version != roster.version {
                *roster = Roster::default();
            }
            roster.complete = !more;
        } else {
            roster.changes.extend(people.iter().cloned());
        }
        roster.version = *version;
        roster.online = *online;
        roster.people.extend(people.iter().map(|item| (item.person, item.clone())));
        Ok(())
    }

    fn reading(&mut self, room: RoomId) -> Result<&mut Reading, String> {
        self.open.get_mut(&room).ok_or_else(|| format!("a frame of room {room}, which is not open"))
    }
}

impl Reading {
    fn handle_entry(&mut self, entry: &Entry) -> Result<(), String> {
        if self.next != Some(entry.seq) {
            return Err(format!("entry {} where {:?} was due", entry.seq, self.next));
        }
        let last_time = self.entries.last().map_or(Millis(0), |last| last.time);
        if entry.time < last_time && self.trims.is_empty() {
            return Err(format!("entry {} is older than the one before", entry.seq));
        }
        self.next = Some(entry.seq.next());
        self.entries.push(entry.clone());
        Ok(())
    }

    fn handle_mine(&mut self, counter: Option<Counter>) -> Result<(), String> {
        let last = std::mem::replace(&mut self.mine, counter);
        if last < counter { Ok(()) } else { Err(format!("my post {counter:?} after {last:?}")) }
    }
}
