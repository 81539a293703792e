//! Numbers of people, devices and rooms: none that was ever told is given to anybody else.
//!
//! A number may be told before what it stands for is stored, and a commit may be refused or lost. So blocks of numbers
//! are reserved in the store ahead of their use, and after a restart numbers go on behind the block.

use super::Hub;
use crate::store::{Change, Reserved, Snapshot};
use protocol::code::Code;
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

    /// Makes sure that the next new device can have a number that is reserved.
    ///
    /// # Errors
    /// [`Code::Busy`] if more of them are on their way to the store now: after a start on a full disk there are none.
    /// [`Code::DiskFull`] while the store has no room for more.
    pub(super) fn check_device_number(&mut self) -> Result<(), Code> {
        if self.has_device_number() {
            return Ok(());
        }
        self.check_space()?;
        self.reserve_numbers();
        Err(Code::Busy)
    }

    /// The same for the next guest, or anybody else who is new.
    pub(super) fn check_guest_numbers(&mut self) -> Result<(), Code> {
        if self.numbers.may_tell_person(PersonId::after(self.people.last())) {
            return self.check_device_number();
        }
        self.reserve_numbers();
        Err(Code::Busy)
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
    use crate::clock::Now;
    use crate::conn::{Conn, ConnId};
    use crate::files::{Contents, Disk};
    use crate::hub::Settings;
    use crate::hub::staging::settings;
    use crate::inbound::Login;
    use crate::sequencer::Turn;
    use crate::store::{Commit, MemoryLimits, MemoryStore, Store};
    use protocol::id::Epoch;
    use std::sync::Arc;

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

    /// A server whose store takes one batch at a time, for as long as the test says.
    struct World {
        hub: Hub,
        store: MemoryStore,
        committing: Option<(Turn, Commit)>,
        logins: u64,
    }

    impl World {
        async fn new() -> Self {
            Self::begun_with(first_numbers).await
        }

        /// One whose start reserved these.
        async fn begun_with(reserved: fn(&Snapshot) -> Reserved) -> Self {
            let store = MemoryStore::new(Epoch([7; 16]), MemoryLimits::default());
            let mut settings = Settings { max_clients: 20_000, ..settings() };
            // More guests are there at once than may be remembered otherwise.
            settings.limits.bounds.provisional = 20_000;
            let contents = Arc::new(Contents::new(Disk, "/nowhere".into(), 0));
            let snapshot = store.load().await.unwrap();
            let (durability, history) = (store.durability(), Arc::new(store.clone()));
            let reserved = reserved(&snapshot);
            let hub = Hub::new(settings, snapshot, reserved, durability, history, contents, Now::default());
            Self { hub, store, committing: None, logins: 0 }
        }

        /// Has these many guests come, and tells how many are let in.
        fn log_in(&mut self, count: u64) -> usize {
            let before = self.hub.sessions.len();
            for _ in 0..count {
                self.logins += 1;
                let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
                let sink = Box::pin(tokio::io::sink());
                let (limits, now) = (crate::limits::Limits::default(), Now::default().steady);
                let conn = Arc::new(Conn::new(ConnId(self.logins), peer, sink, &limits, now));
                let login = Login::Classic(format!("guest-{}", self.logins));
                self.hub.handle_login(&conn, &login, Now::default());
            }
            self.hub.sessions.len() - before
        }

        /// The store is done with its batch, and takes the next one.
        async fn commit(&mut self) {
            if let Some((turn, commit)) = self.committing.take() {
                self.hub.handle_commit(turn, commit, Now::default());
            }
            if let Some(turn) = self.hub.next_turn(Now::default()) {
                let commit = self.store.append(turn.batch()).await.unwrap();
                self.committing = Some((turn, commit));
            }
        }
    }

    #[tokio::test]
    async fn ten_thousand_guests_come_in_while_each_commit_takes_as_long_as_a_thousand_of_their_logins() {
        let mut world = World::new().await;
        for _ in 0..10 {
            assert_eq!(world.log_in(1_000), 1_000);
            world.commit().await;
        }
    }

    #[tokio::test]
    async fn guests_who_come_too_fast_for_a_slow_store_use_up_no_number_and_come_in_when_it_has_caught_up() {
        let mut world = World::new().await;
        let ahead = usize::try_from(NUMBERS_AHEAD).unwrap();
        assert_eq!(world.log_in(10_000), ahead);
        assert_eq!(world.hub.people.last(), PersonId::new(NUMBERS_AHEAD));
        let mut let_in = ahead;
        for _ in 0..6 {
            world.commit().await;
            let_in += world.log_in(2_000);
        }
        assert!(let_in >= 10_000, "{let_in}");
        world.commit().await;
        world.commit().await;
        assert_eq!(world.log_in(2_000), 2_000);
    }

    #[tokio::test]
    async fn whoever_comes_after_a_start_that_could_reserve_nothing_comes_in_when_something_is_stored() {
        let mut world = World::begun_with(|snapshot| snapshot.last).await;
        assert_eq!(world.log_in(10), 0, "no number may be told");
        world.commit().await;
        world.commit().await;
        assert_eq!(world.log_in(10), 10);
    }
}
