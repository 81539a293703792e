//! What an untouched store says, to compare a damaged one with.

use crate::{
    failure::Failure,
    proof::{World, company::room_name, natterd::Natterd, world::PATIENCE},
};
use load::{caller::Caller, fault::Fault, identity::Identity};
use protocol::entry::{Entry, EntryKind};
use protocol::id::{Counter, Epoch};
use std::path::Path;

/// All entries of all rooms, and the counters of all devices.
#[derive(Debug, PartialEq, Eq)]
pub struct Original {
    epoch: Epoch,
    rooms: Vec<Vec<Entry>>,
    counters: Vec<Option<Counter>>,
}

/// What a damaged store says.
#[derive(Debug)]
pub enum Sight {
    /// All entries that it has are right, or say that they are damaged.
    Seen(Seen),
    /// Something was refused, or the server ended.
    Refused(Fault),
    /// Something else: what.
    Other(String),
}

/// How much of what was there is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Entries that are right.
    pub right: usize,
    /// Entries that say that they are damaged.
    pub holes: usize,
    /// Acknowledged entries that are missing at the ends of rooms.
    pub gone: usize,
    /// Devices that were told a smaller counter than was acknowledged to them.
    pub forgotten: usize,
    /// Whether it says that this is another history.
    pub is_new_history: bool,
}

impl Original {
    /// Reads everything.
    ///
    /// # Errors
    /// [`Fault`] if something is refused.
    pub fn read(world: &World, server: &Natterd) -> Result<Self, Fault> {
        let login = |identity: &Identity| Caller::login(server.address, identity, PATIENCE);
        let mut caller = login(&world.oracle_identity())?;
        let mut rooms = Vec::new();
        for number in 0..world.rooms() {
            let room = caller.join(&room_name(number))?;
            let mut entries = Vec::new();
            caller.read_log(room, None, |entry| entries.push(entry))?;
            rooms.push(entries);
        }
        let writers = world.company.writers.iter();
        let counters = writers.map(|writer| Ok(login(&writer.identity)?.last_counter));
        Ok(Self { epoch: caller.epoch, rooms, counters: counters.collect::<Result<_, Fault>>()? })
    }

    /// Compares it with what this server says.
    pub fn compare(&self, world: &World, server: &Natterd) -> Sight {
        let there = match Self::read(world, server) {
            Ok(there) => there,
            Err(Fault::Gap { expected, got }) => {
                return Sight::Other(format!("entry {got} instead of {expected}"));
            }
            Err(fault) => return Sight::Refused(fault),
        };
        match self.count(world, &there) {
            Ok(seen) => Sight::Seen(seen),
            Err(what) => Sight::Other(what),
        }
    }

    fn count(&self, world: &World, there: &Self) -> Result<Seen, String> {
        let mut seen = Seen { is_new_history: there.epoch != self.epoch, ..Seen::default() };
        for (ours, theirs) in self.rooms.iter().zip(&there.rooms) {
            if theirs.len() > ours.len() {
                return Err(format!("{} entries of {}", theirs.len(), ours.len()));
            }
            for (ours, theirs) in ours.iter().zip(theirs) {
                match theirs {
                    theirs if theirs == ours => seen.right += 1,
                    theirs if is_hole(theirs) && theirs.seq == ours.seq => seen.holes += 1,
                    theirs => return Err(format!("{theirs:?} instead of {ours:?}")),
                }
            }
            // What was not acknowledged when the server was killed may be there or not.
            seen.gone += ours[theirs.len()..].iter().filter(|entry| is_acknowledged(world, entry)).count();
        }
        let counters = world.company.writers.iter().zip(self.counters.iter().zip(&there.counters));
        for (writer, (ours, theirs)) in counters {
            if theirs > ours {
                return Err(format!("the counter {theirs:?} instead of {ours:?}"));
            }
            seen.forgotten += usize::from(theirs.map_or(0, Counter::value) < writer.acked);
        }
        Ok(seen)
    }
}

fn is_hole(entry: &Entry) -> bool {
    entry.kind == EntryKind::System && entry.person.is_none() && entry.device.is_none()
}

/// Whether its author was told that it is stored.
fn is_acknowledged(world: &World, entry: &Entry) -> bool {
    let Some((device, counter)) = entry.device.zip(entry.counter) else { return true };
    let mut writers = world.company.writers.iter();
    writers.any(|writer| writer.device == Some(device) && counter.value() <= writer.acked)
}

/// A file or a folder that could not be used.
pub fn failed(path: &Path, source: std::io::Error) -> Failure {
    Failure::Write { path: path.to_owned(), source }
}
