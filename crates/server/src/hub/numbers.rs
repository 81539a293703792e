//! Numbers of people, devices and rooms: none that was ever told is given to anybody else.
//!
//! A number may be told before what it stands for is stored, and a commit may be refused or lost. So blocks of numbers
//! are reserved in the store ahead of their use, and after a restart numbers go on behind the block.

use super::Hub;
use crate::store::{Change, Reserved, Snapshot};
use protocol::id::{DeviceNo, PersonId, RoomId};
use protocol::limits::{NUMBERS_AHEAD, ROOMS_AHEAD};

/// What is reserved. Invariant: `stored <= asked`, number by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// What the store has: these may be told.
    stored: Reserved,
    /// What it was asked to have.
    asked: Reserved,
}

impl Numbers {
    /// Numbers of which these are reserved.
    pub fn new(reserved: Reserved) -> Self {
        Self { stored: reserved, asked: reserved }
    }

    /// Whether a person's number may be told before they are stored.
    pub fn may_tell_person(&self, person: PersonId) -> bool {
        self.stored.person.is_some_and(|most| person <= most)
    }

    /// The same of a device.
    pub fn may_tell_device(&self, device: DeviceNo) -> bool {
        self.stored.device.is_some_and(|most| device <= most)
    }

    /// What is to be reserved once these are in use: the next blocks, when half of one is used up.
    fn ask(&mut self, used: &Reserved) -> Option<Reserved> {
        let half = |ahead: u64| ahead / 2;
        let most = MAX_AHEAD;
        let people = |ahead| after(used.person, ahead, PersonId::value, PersonId::new);
        let devices = |ahead| after(used.device, ahead, DeviceNo::value, DeviceNo::new);
        let rooms = |ahead| after(used.room, ahead, RoomId::value, RoomId::new);
        let enough = people(half(most.0)) <= self.asked.person
            && devices(half(most.0)) <= self.asked.device
            && rooms(half(most.1)) <= self.asked.room;
        if enough {
            return None;
        }
        self.asked = Reserved {
            person: people(most.0).max(self.asked.person),
            device: devices(most.0).max(self.asked.device),
            room: rooms(most.1).max(self.asked.room),
        };
        Some(self.asked)
    }
}

/// People and devices, and rooms.
const MAX_AHEAD: (u64, u64) = (NUMBERS_AHEAD, ROOMS_AHEAD);

/// The number that comes so many behind the last one.
fn after<T>(last: Option<T>, ahead: u64, value: fn(T) -> u64, new: fn(u64) -> Option<T>) -> Option<T> {
    new(last.map_or(0, value).saturating_add(ahead))
}

/// What a start reserves before anybody is told anything.
pub fn first_numbers(snapshot: &Snapshot) -> Reserved {
    Numbers::new(Reserved::default()).ask(&snapshot.last).unwrap_or(snapshot.last)
}

impl Hub {
    /// The largest numbers that were given out.
    fn used_numbers(&self) -> Reserved {
        Reserved { person: self.people.last(), device: self.devices.last(), room: self.rooms.last() }
    }

    /// Reserves more numbers if there may soon be none. Call it when some were given out, before anything is queued
    /// that tells them.
    pub(super) fn reserve_numbers(&mut self) {
        let used = self.used_numbers();
        if let Some(numbers) = self.numbers.ask(&used) {
            self.sequencer.change(Change::Reserve { numbers });
        }
    }

    /// Whether the next new device can have a number that is reserved.
    pub(super) fn has_device_number(&self) -> bool {
        self.numbers.may_tell_device(DeviceNo::after(self.devices.last()))
    }

    /// What was reserved is stored.
    pub(super) fn note_reserved(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Reserve { numbers } = change {
                self.numbers.stored = *numbers;
            }
        }
    }

    /// Gives back what was reserved and not used: nobody is told anything any more.
    pub(super) fn return_numbers(&mut self) {
        let used = self.used_numbers();
        self.numbers.asked = used;
        self.sequencer.change(Change::Reserve { numbers: used });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: u64) -> Reserved {
        Reserved { person: PersonId::new(n), device: DeviceNo::new(n), room: RoomId::new(n) }
    }

    #[test]
    fn blocks_are_reserved_when_half_of_one_is_used() {
        let mut given = Numbers::new(Reserved::default());
        let first = given.ask(&Reserved::default()).unwrap();
        assert_eq!(first.person, PersonId::new(NUMBERS_AHEAD));
        assert_eq!(first.room, RoomId::new(ROOMS_AHEAD));
        assert!(!given.may_tell_person(PersonId::FIRST), "it is asked for, and not stored");
        given.stored = first;
        let device = |n| DeviceNo::new(n).unwrap();
        assert!(given.may_tell_device(device(NUMBERS_AHEAD)));
        assert!(!given.may_tell_device(device(NUMBERS_AHEAD + 1)));
        assert_eq!(given.ask(&numbers(ROOMS_AHEAD / 2)), None);
        let more = given.ask(&numbers(ROOMS_AHEAD / 2 + 1)).unwrap();
        assert_eq!(more.room, RoomId::new(ROOMS_AHEAD / 2 + 1 + ROOMS_AHEAD));
        assert!(more.person > first.person);
    }
}
