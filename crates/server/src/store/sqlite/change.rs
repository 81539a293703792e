//! Changes beside the entries: people, devices, rooms, members, marks.

use super::fault::{Fault, unless_damaged};
use super::mark;
use super::number::int;
use super::table::{BLOCK, DEVICE, MEMBER, MENTION, PERSON, ROOM, SPOKE};
use super::work::Work;
use crate::store::{Change, RoomShape};
use protocol::id::{DeviceId, DeviceNo, Millis, PersonId, RoomId, Seq};
use rusqlite::params;

impl Work<'_> {
    /// Makes a change that is not a trim.
    pub fn change(&mut self, change: &Change) -> Result<(), Fault> {
        match change {
            Change::Person { person, name, credential } => {
                self.record.last_person = self.record.last_person.max(Some(*person));
                let credential = credential.map(|hash| hash.0.to_vec());
                let (db, seal) = self.seal();
                PERSON.put(db, seal, &[&int(person.value()), name, &credential])
            }
            Change::PersonGone { person } => {
                let (db, seal) = self.seal();
                PERSON.remove(db, seal, &[&int(person.value())]).map(drop)
            }
            Change::Device { device, id, person, seen } => self.see_device(*device, *id, *person, *seen),
            Change::DeviceGone { device } => {
                let (db, seal) = self.seal();
                DEVICE.remove(db, seal, &[&int(device.value())]).map(drop)
            }
            Change::Room { room, shape, topic } => self.make_room(*room, shape, topic),
            Change::Member { room, person, joined: true } => self.add_member(*room, *person),
            Change::Member { room, person, joined: false } => self.remove_member(*room, *person),
            Change::Mark { room, person, seq } => self.mark(*room, *person, *seq),
            Change::Fetched { room, seq, person } => self.fetch(*room, *seq, *person),
            Change::Reserve { numbers } => {
                let (db, seal) = self.seal();
                mark::write_reserved(db, seal, numbers)
            }
            Change::Clock { clock } => {
                let (db, seal) = self.seal();
                mark::write_clock(db, seal, clock)
            }
            Change::Hide { .. } => Ok(()),
            Change::RoomGone { room } => self.end_room(*room),
            Change::Spoke { room, person } => {
                let (db, seal) = self.seal();
                SPOKE.put(db, seal, &[&int(room.value()), &int(person.value())])
            }
            Change::Block { person, other, on } => {
                let (db, seal) = self.seal();
                let key = (int(person.value()), int(other.value()));
                if *on {
                    BLOCK.put(db, seal, &[&key.0, &key.1])
                } else {
                    BLOCK.remove(db, seal, &[&key.0, &key.1]).map(drop)
                }
            }
            Change::Trim { room, keep } => self.trim(*room, keep),
        }
    }

    fn see_device(
        &mut self,
        device: DeviceNo,
        id: DeviceId,
        person: PersonId,
        seen: Millis,
    ) -> Result<(), Fault> {
        self.record.last_device = self.record.last_device.max(Some(device));
        let (db, seal) = self.seal();
        let device = int(device.value());
        let counter = DEVICE.find(db, &[&device], |row| row.get::<_, i64>(3))?;
        let counter = counter.map_or(0, |(counter, _)| counter);
        DEVICE.put(db, seal, &[&device, &id.0, &int(person.value()), &counter, &int(seen.0)])
    }

    fn make_room(&mut self, room: RoomId, shape: &RoomShape, topic: &str) -> Result<(), Fault> {
        let (name, low, high) = match shape {
            RoomShape::Public { name } => (Some(name), None, None),
            RoomShape::Direct(low, high) => (None, Some(int(low.value())), Some(int(high.value()))),
        };
        let (db, seal) = self.seal();
        ROOM.put(db, seal, &[&int(room.value()), &name, &low, &high, &topic])
    }

    fn add_member(&mut self, room: RoomId, person: PersonId) -> Result<(), Fault> {
        let (db, seal) = self.seal();
        let key = (int(room.value()), int(person.value()));
        // Whoever joins takes the place of a damaged row.
        if unless_damaged(MEMBER.find(db, &[&key.0, &key.1], |_| Ok(())))?.flatten().is_some() {
            return Ok(());
        }
        MEMBER.put(db, seal, &[&key.0, &key.1, &0])
    }

    pub fn remove_member(&mut self, room: RoomId, person: PersonId) -> Result<(), Fault> {
        self.read_mentions(room, person, i64::MAX)?;
        let (db, seal) = self.seal();
        MEMBER.remove(db, seal, &[&int(room.value()), &int(person.value())]).map(drop)
    }

    fn mark(&mut self, room: RoomId, person: PersonId, seq: Seq) -> Result<(), Fault> {
        let (db, seal) = self.seal();
        let key = (int(room.value()), int(person.value()));
        let seq = int(seq.value());
        let read = MEMBER.find(db, &[&key.0, &key.1], |row| row.get::<_, i64>(2))?;
        if read.is_none_or(|(read, _)| read >= seq) {
            return Ok(());
        }
        MEMBER.put(db, seal, &[&key.0, &key.1, &seq])?;
        self.read_mentions(room, person, seq)
    }

    /// A person has read all mentions up to this number.
    fn read_mentions(&mut self, room: RoomId, person: PersonId, last: i64) -> Result<(), Fault> {
        let (db, seal) = self.seal();
        let key = (int(room.value()), int(person.value()));
        let mut statement =
            db.prepare_cached("SELECT seq FROM mention WHERE room = ? AND person = ? AND seq <= ?")?;
        let rows = statement.query_map(params![key.0, key.1, last], |row| row.get::<_, i64>(0))?;
        for seq in rows.collect::<Result<Vec<_>, _>>()? {
            MENTION.remove(db, seal, &[&key.0, &key.1, &seq])?;
        }
        Ok(())
    }
}
