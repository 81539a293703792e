//! Devices and guests that nobody will see again.

use super::Hub;
use crate::clock::Now;
use crate::store::Change;
use protocol::id::PersonId;

/// How exactly it is stored when a device that stays connected was seen, in ms.
pub(super) const SEEN_MS: u64 = 86_400_000;

impl Hub {
    /// Notes that devices are still here, so that a restart does not forget who stayed connected for long.
    pub(super) fn see_devices(&mut self, now: Now) {
        let connected = self.by_device.keys().copied();
        let seen: Vec<_> =
            connected.filter_map(|device| self.devices.see(device, now.wall, SEEN_MS)).collect();
        for change in seen {
            if let Change::Device { person, .. } = change {
                self.change_of(person, change);
            }
        }
    }

    /// Forgets devices that were not seen for long, and their counters with them.
    pub(super) fn forget_devices(&mut self, now: Now) {
        for device in self.devices.stale(now.wall) {
            if !self.by_device.contains_key(&device)
                && let Some(person) = self.devices.forget(device)
            {
                self.change_of(person, Change::DeviceGone { device });
            }
        }
    }

    /// Guests of a server that was killed: their connections ended with it, and so do they.
    pub(super) fn end_left_guests(&mut self, now: Now) {
        let guests = self.people.after(None).filter(|(_, person)| person.credential.is_none());
        let guests: Vec<PersonId> = guests.map(|(id, _)| id).collect();
        guests.into_iter().for_each(|guest| self.forget_person(guest, now));
    }
}
