//! New people: provisional until they do something that lasts, then stored; and how they are forgotten.
//!
//! A secret costs nothing, so a login with a new one may cost the server only memory, and of that only so much: nothing
//! is stored of whoever only looked in. Whoever posts, joins a room, is written to or comes with a second device is
//! stored with that, in the same commit and in front of it.

use super::Hub;
use crate::clock::Now;
use crate::conn::Conn;
use crate::store::{Change, CredentialHash};
use protocol::code::Code;
use protocol::id::{DeviceNo, PersonId};
use protocol::name::{GUEST, PersonName};

impl Hub {
    /// A new, provisional person, who is in the lobby from the start.
    ///
    /// # Errors
    /// [`Code::ServerFull`] if as many provisional people as there may be are online, [`Code::Busy`] if no number is
    /// reserved: others would see one at once that could be given out again after a crash.
    pub(super) fn add_person(
        &mut self,
        wanted: &PersonName,
        credential: Option<CredentialHash>,
        now: Now,
    ) -> Result<PersonId, Code> {
        self.check_space()?;
        self.check_guest_numbers()?;
        while self.people.provisional_count() >= self.settings.limits.bounds.provisional {
            let absent = self.people.longest_absent().ok_or(Code::ServerFull)?;
            self.forget_person(absent, now);
        }
        let name = self.people.free_name(wanted);
        self.forget_absent_holder(&name, now);
        let person = self.people.add(name, credential, now.wall);
        self.reserve_numbers();
        self.add_member(self.lobby, person, now);
        Ok(person)
    }

    /// Whether a person is stored or on their way to the store.
    pub(super) fn is_stored(&self, person: PersonId) -> bool {
        self.people.find(person).is_some_and(|known| known.is_stored)
    }

    /// Has a person stored who was provisional. What makes them so must be queued behind this.
    ///
    /// # Errors
    /// [`Code::ServerFull`] if as many people are stored as may be, [`Code::NoSuchPerson`] if they were forgotten.
    pub(super) fn store_person(&mut self, person: PersonId) -> Result<(), Code> {
        let known = self.people.find(person).ok_or(Code::NoSuchPerson)?;
        if known.is_stored {
            return Ok(());
        }
        let (name, credential) = (known.newest_name().to_string(), known.credential);
        let rooms = known.rooms().to_vec();
        if self.people.stored_count() >= self.settings.limits.bounds.people {
            return Err(Code::ServerFull);
        }
        self.people.store(person);
        self.sequencer.change(Change::Person { person, name, credential });
        for room in rooms {
            self.sequencer.change(Change::Member { room, person, joined: true });
            let read = self.rooms.find(room).and_then(|found| found.members.get(&person).copied().flatten());
            if let Some(seq) = read {
                self.sequencer.change(Change::Mark { room, person, seq });
            }
        }
        let devices: Vec<_> = self.devices.changes_of(person).collect();
        devices.into_iter().for_each(|change| self.sequencer.change(change));
        Ok(())
    }

    /// Adds a change of what is stored of a person; of a provisional one nothing is.
    pub(super) fn change_of(&mut self, person: PersonId, change: Change) {
        if self.is_stored(person) {
            self.sequencer.change(change);
        }
    }

    /// Takes a name for a person, who goes by it once that is stored; false if it belongs to somebody else.
    pub(super) fn take_name(&mut self, person: PersonId, name: &PersonName, now: Now) -> bool {
        if self.people.absent_holder(&name.key()) != Some(person) {
            self.forget_absent_holder(name, now);
        }
        if !self.people.take_name(person, name.clone()) {
            return false;
        }
        match self.people.find(person) {
            Some(known) if known.is_stored => {
                let (name, credential) = (name.to_string(), known.credential);
                self.sequencer.change(Change::Person { person, name, credential });
            }
            _ => {
                self.people.settle_name(person, name.as_str());
                self.stir(person, now);
            }
        }
        true
    }

    /// Gives a known person the name that they ask for, if it is free. One that they have already is theirs whatever
    /// the rules for new names say; another one is made safe, unless nothing of it could be saved.
    pub(super) fn rename_on_login(&mut self, person: PersonId, name: &PersonName, conn: &Conn, now: Now) {
        if self.check_space().is_err() {
            return;
        }
        let Some(known) = self.people.find(person) else {
            return;
        };
        if known.newest_name() == name {
            return;
        }
        let name = match PersonName::parse_new(name.as_str()) {
            Ok(name) => name,
            Err(_) => {
                let safe = PersonName::made_safe_new(name.as_str());
                if safe.as_str() == GUEST {
                    return;
                }
                safe
            }
        };
        if known.name == name {
            return;
        }
        let payers = self.payers(person, conn.peer.ip(), now.steady);
        // Whoever was given `alice-2` keeps it while `alice` is taken.
        if self.may_rename(payers, now.steady) {
            self.take_name(person, &name, now);
        }
    }

    /// A name is given to somebody else whose provisional holder is offline: they come back as somebody new.
    fn forget_absent_holder(&mut self, name: &PersonName, now: Now) {
        if let Some(holder) = self.people.absent_holder(&name.key()) {
            self.forget_person(holder, now);
        }
    }

    /// A guest ends with their connection; their entries stay, and their name is free again.
    pub(super) fn end_guest(&mut self, person: PersonId, device: DeviceNo, now: Now) {
        self.forget_person(person, now);
        self.devices.forget(device);
    }

    /// Forgets a person who is offline, with all their devices.
    pub(super) fn forget_person(&mut self, person: PersonId, now: Now) {
        let rooms = self.rooms_of(person);
        let is_guest = self.people.find(person).is_some_and(|known| known.credential.is_none());
        for room in rooms {
            self.remove_member(room, person, now);
            if is_guest {
                self.note_one_sided(room, now);
            }
        }
        for device in self.devices.of_person(person) {
            self.devices.forget(device);
            self.change_of(person, Change::DeviceGone { device });
        }
        self.forget_blocks(person);
        self.change_of(person, Change::PersonGone { person });
        self.people.remove(person);
        self.leaving.remove(&person);
    }
}
