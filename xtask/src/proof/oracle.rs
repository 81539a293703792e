//! The judge: reads every log from its beginning and holds it against what everybody wrote down outside the server.

use super::follower::Given;
use super::violation::Violation;
use super::writer::Writer;
use protocol::entry::Entry;
use protocol::id::{Counter, DeviceNo, RoomId, Seq};
use std::collections::BTreeMap;

/// Lost posts of one writer that are told one by one.
const TOLD: usize = 3;

/// All that the log holds, as far as it was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Oracle {
    /// Whose each entry is. Invariant: entry `n` of a room stands at `n - 1`.
    rooms: BTreeMap<RoomId, Vec<(DeviceNo, u64)>>,
    /// Whether each post of a device was seen. Invariant: counter `n` stands at `n - 1`.
    posts: BTreeMap<DeviceNo, Vec<bool>>,
    /// The last counter of each device in each room.
    last: BTreeMap<(RoomId, DeviceNo), u64>,
}

impl Oracle {
    /// The last entry of a room that was read.
    pub fn newest(&self, room: RoomId) -> Option<Seq> {
        Seq::new(self.rooms.get(&room).map_or(0, |entries| entries.len() as u64))
    }

    /// Entries that were read.
    pub fn entries(&self) -> usize {
        self.rooms.values().map(Vec::len).sum()
    }

    /// Reads the next entry of a room.
    ///
    /// # Errors
    /// [`Violation`] if it must not be there.
    pub fn read(&mut self, room: RoomId, entry: &Entry, roll: &Roll<'_>) -> Result<(), Violation> {
        let due = Seq::after(self.newest(room));
        if entry.seq != due {
            return Err(Violation::Gap { room, due: due.value(), got: entry.seq.value() });
        }
        let strange =
            || Violation::Invented { what: format!("entry {} of room {room}: {entry:?}", entry.seq) };
        let device = entry.device.ok_or_else(strange)?;
        let counter = entry.counter.map(Counter::value).ok_or_else(strange)?;
        self.rooms.entry(room).or_default().push((device, counter));
        let writer = roll.find(device).filter(|writer| counter <= writer.reached).ok_or_else(strange)?;
        self.check_once(room, entry.seq, writer, device, counter)?;
        if writer.room_of(counter) != Some(room) || *writer.body(counter) != *entry.text() {
            return Err(Violation::Altered { writer: writer.number, counter, room, seq: entry.seq });
        }
        Ok(())
    }

    /// Holds what a follower was given against the log.
    ///
    /// # Errors
    /// [`Violation::Unread`] if it was given something that the log has not.
    pub fn compare(&self, room: RoomId, given: &[Given]) -> Result<(), Violation> {
        let entries = self.rooms.get(&room).map_or(&[][..], Vec::as_slice);
        let differs = |given: &&Given| {
            let at = usize::try_from(given.seq.value() - 1).unwrap_or(usize::MAX);
            entries.get(at) != Some(&(given.device, given.counter))
        };
        given.iter().find(differs).map_or(Ok(()), |given| {
            let Given { seq, device, counter } = *given;
            Err(Violation::Unread { room, seq, device, counter })
        })
    }

    /// Everything that was acknowledged must be there, and everything before what is there.
    pub fn judge<'a>(&self, writers: impl IntoIterator<Item = &'a Writer>) -> Vec<Violation> {
        writers.into_iter().flat_map(|writer| self.judge_writer(writer)).collect()
    }

    fn judge_writer(&self, writer: &Writer) -> Vec<Violation> {
        let seen = writer.device.and_then(|device| self.posts.get(&device)).map_or(&[][..], Vec::as_slice);
        let there = |counter: u64| usize::try_from(counter - 1).is_ok_and(|at| seen.get(at) == Some(&true));
        let number = writer.number;
        let lost = (1..=writer.acked).filter(|counter| !there(*counter)).take(TOLD);
        let lost = lost.map(|counter| Violation::Lost { writer: number, counter });
        let later = seen.len() as u64;
        let holes = (writer.acked + 1..=later).find(|counter| !there(*counter));
        lost.chain(holes.map(|counter| Violation::Hole { writer: number, counter, later })).collect()
    }

    fn check_once(
        &mut self,
        room: RoomId,
        seq: Seq,
        writer: &Writer,
        device: DeviceNo,
        counter: u64,
    ) -> Result<(), Violation> {
        let writer = writer.number;
        let seen = self.posts.entry(device).or_default();
        let at = usize::try_from(counter - 1).unwrap_or(usize::MAX);
        if seen.len() <= at {
            seen.resize(at + 1, false);
        }
        if std::mem::replace(&mut seen[at], true) {
            return Err(Violation::Doubled { writer, counter, room, seq });
        }
        let before = self.last.insert((room, device), counter).unwrap_or(0);
        if before > counter {
            return Err(Violation::Reordered { writer, counter, before, room });
        }
        Ok(())
    }
}

/// All writers by their devices.
pub struct Roll<'a>(BTreeMap<DeviceNo, &'a Writer>);

impl<'a> Roll<'a> {
    /// The roll of these writers.
    pub fn new(writers: &'a [Writer]) -> Self {
        Self(writers.iter().filter_map(|writer| Some((writer.device?, writer))).collect())
    }

    fn find(&self, device: DeviceNo) -> Option<&'a Writer> {
        self.0.get(&device).copied()
    }
}

#[cfg(test)]
mod tests;
