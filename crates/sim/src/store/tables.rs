//! What a store keeps beside the logs: people, devices, rooms and members.

use protocol::id::{Counter, DeviceId, DeviceNo, Epoch, Millis, PersonId, RoomId, Seq};
use server::store::{Batch, Change, Commit, CredentialHash, RoomShape, Snapshot, StoredRoom};
use std::collections::BTreeMap;

/// The tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    people: BTreeMap<PersonId, (String, Option<CredentialHash>)>,
    devices: BTreeMap<DeviceNo, (DeviceId, PersonId)>,
    counters: BTreeMap<DeviceNo, Counter>,
    rooms: BTreeMap<RoomId, (RoomShape, String)>,
    members: BTreeMap<(RoomId, PersonId), Option<Seq>>,
    heads: BTreeMap<RoomId, (Seq, Millis)>,
}

impl Tables {
    /// Takes in what was committed.
    pub(super) fn apply(&mut self, batch: &Batch, commit: &Commit) {
        batch.changes.iter().for_each(|change| self.change(change));
        for (post, outcome) in batch.posts.iter().zip(&commit.posts) {
            let Ok(seq) = outcome else { continue };
            self.heads.insert(post.room, (*seq, post.time));
            if let Some((device, counter)) = post.origin {
                self.counters.insert(device, counter);
            }
        }
    }

    fn change(&mut self, change: &Change) {
        match change.clone() {
            Change::Person { person, name, credential } => drop(self.people.insert(person, (name, credential))),
            Change::PersonGone { person } => drop(self.people.remove(&person)),
            Change::Device { device, id, person, .. } => drop(self.devices.insert(device, (id, person))),
            Change::Room { room, shape, topic } => drop(self.rooms.insert(room, (shape, topic))),
            Change::Member { room, person, joined: true } => {
                self.members.entry((room, person)).or_default();
            }
            Change::Member { room, person, joined: false } => drop(self.members.remove(&(room, person))),
            Change::Mark { room, person, seq } => {
                if let Some(read) = self.members.get_mut(&(room, person)) {
                    *read = (*read).max(Some(seq));
                }
            }
        }
    }

    /// What a server is told that starts.
    pub(super) fn snapshot(&self, epoch: Epoch) -> Snapshot {
        let people = self.people.iter().map(|(person, (name, credential))| (*person, name.clone(), *credential));
        let devices = self.devices.iter();
        let devices = devices.map(|(no, (id, person))| (*no, *id, *person, self.counters.get(no).copied()));
        let rooms = self.rooms.iter().map(|(room, (shape, topic))| self.room(*room, shape.clone(), topic.clone()));
        Snapshot { epoch, people: people.collect(), devices: devices.collect(), rooms: rooms.collect() }
    }

    /// The rooms of each person, by name.
    pub(super) fn rooms_by_name(&self) -> BTreeMap<String, Vec<u64>> {
        let mut rooms: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (room, person) in self.members.keys() {
            if let Some((name, _)) = self.people.get(person) {
                rooms.entry(name.clone()).or_default().push(room.value());
            }
        }
        rooms
    }

    fn room(&self, room: RoomId, shape: RoomShape, topic: String) -> StoredRoom {
        let head = self.heads.get(&room).copied();
        let members = self.members.range((room, PersonId::FIRST)..);
        let members = members.take_while(|((of, _), _)| *of == room).map(|((_, person), read)| (*person, *read));
        StoredRoom {
            room,
            shape,
            topic,
            head: head.map(|(seq, _)| seq),
            time: head.map(|(_, time)| time).unwrap_or_default(),
            members: members.collect(),
        }
    }
}
