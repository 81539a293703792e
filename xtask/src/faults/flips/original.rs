//! What an untouched store says, to compare a damaged one with.

use crate::{
    failure::Failure,
    proof::{World, company::room_name, natterd::Natterd, world::PATIENCE},
};
use load::{caller::Caller, fault::Fault, identity::Identity};
use protocol::entry::Entry;
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
    /// The same.
    Same,
    /// Something was refused, or the server ended.
    Refused(#[expect(dead_code, reason = "it is shown when the sight is printed")] Fault),
    /// It says that this is another history.
    NewHistory,
    /// Something else: what.
    Other(String),
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
        let seen = match Self::read(world, server) {
            Ok(seen) => seen,
            Err(Fault::Gap { expected, got }) => {
                return Sight::Other(format!("entry {got} instead of {expected}"));
            }
            Err(fault) => return Sight::Refused(fault),
        };
        if seen.epoch != self.epoch {
            return Sight::NewHistory;
        }
        let rooms = self.rooms.iter().zip(&seen.rooms);
        if let Some((whole, part)) = rooms.clone().find(|(whole, part)| whole.len() != part.len()) {
            return Sight::Other(format!("{} entries of {}", part.len(), whole.len()));
        }
        let mut pairs = rooms.flat_map(|(ours, theirs)| ours.iter().zip(theirs));
        if let Some((ours, theirs)) = pairs.find(|(ours, theirs)| ours != theirs) {
            return Sight::Other(format!("{theirs:?} instead of {ours:?}"));
        }
        if seen.counters != self.counters {
            return Sight::Other(format!("counters {:?} instead of {:?}", seen.counters, self.counters));
        }
        Sight::Same
    }
}

/// A file or a folder that could not be used.
pub fn failed(path: &Path, source: std::io::Error) -> Failure {
    Failure::Write { path: path.to_owned(), source }
}
