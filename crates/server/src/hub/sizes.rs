//! How much the hub keeps of who is connected: all of it is nothing when nobody is.

use super::Hub;
use crate::room::Room;
use std::sync::{Mutex, PoisonError};

/// The sizes of what is kept for as long as somebody is connected or something is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// Connections that are logged in or wait for it.
    pub sessions: usize,
    /// Devices of those.
    pub devices: usize,
    /// People of those.
    pub people: usize,
    /// Logins that wait for their answer.
    pub arriving: usize,
    /// People whose links broke, in their time of grace.
    pub leaving: usize,
    /// Open rooms of all connections.
    pub readers: usize,
    /// People who are told to be there, of all rooms.
    pub online: usize,
    /// People who are told to type, of all rooms.
    pub typing: usize,
    /// Devices whose acknowledgements wait for an erasure.
    pub delayed_acks: usize,
    /// Contents on their way to the store.
    pub pending: usize,
    /// Connections that are to be told something.
    pub news: usize,
}

/// The sizes of the last second, for whoever watches a server.
#[derive(Debug, Default)]
pub struct Gauges(Mutex<Sizes>);

impl Gauges {
    /// The sizes as they were found last.
    pub fn read(&self) -> Sizes {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, sizes: Sizes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sizes;
    }
}

impl Hub {
    /// Tells the sizes, if anybody watches.
    pub(super) fn tell_sizes(&self) {
        let Some(gauges) = &self.settings.gauges else { return };
        let sum = |size: fn(&Room) -> usize| self.rooms.after(None).map(size).sum();
        gauges.set(Sizes {
            sessions: self.sessions.len(),
            devices: self.by_device.len(),
            people: self.by_person.len(),
            arriving: self.arriving.len(),
            leaving: self.leaving.len(),
            readers: sum(|room| room.readers.len()),
            online: sum(|room| room.roster.online().len()),
            typing: sum(|room| room.typing.len()),
            delayed_acks: self.delayed_acks.devices(),
            pending: self.pending.len(),
            news: self.news.len(),
        });
    }
}
