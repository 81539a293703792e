//! What the operator orders, and what they are told: frames of the operator's socket.
#![expect(missing_docs, reason = "the sentence of a choice's variant says what its fields are")]

use super::part::{Presence, RosterItem};
use crate::id::{Millis, PersonId, RoomId};
use crate::wire::{wire_choice, wire_list, wire_struct};

wire_choice! {
    /// What the operator wants.
    pub enum Order {
        /// All people, by number, after this one.
        People = 0 { after: Option<PersonId>, },
        /// One of them: who has this name, else this number.
        Person = 1 { name: String, },
        /// All rooms, by number, after this one.
        Rooms = 2 { after: Option<RoomId>, },
        /// One of them: the public room of this name, else the one with this number.
        Room = 3 { name: String, },
        /// Remove a person: their name is free, and what they said stays.
        RemovePerson = 4 { person: PersonId, },
        /// End a room: nobody is in it any more, and of its history stays a line that says so.
        EndRoom = 5 { room: RoomId, },
    }
}

wire_choice! {
    /// What became of an order.
    pub enum Outcome {
        /// It is done, and stored.
        Done = 0,
        /// People.
        People = 1 { people: Vec<PersonRecord>, },
        /// A person, their program, how many devices they have, from where they are connected, and their rooms.
        Person = 2 {
            person: PersonRecord,
            agent: String,
            devices: u32,
            addresses: Vec<String>,
            rooms: Vec<String>,
        },
        /// Rooms.
        Rooms = 3 { rooms: Vec<RoomRecord>, },
        /// A room, its topic and its first members.
        Room = 4 { room: RoomRecord, topic: String, people: Vec<RosterItem>, },
    }
}

wire_struct! {
    /// A person, as the operator sees them.
    pub struct PersonRecord {
        /// Who.
        person: PersonId,
        /// Their name.
        name: String,
        /// How they are.
        presence: Presence,
        /// When they were last heard; 0 if that is not known any more.
        seen: Millis,
        /// Rooms that they are in.
        rooms: u32,
    }
}

wire_struct! {
    /// A room, as the operator sees it.
    pub struct RoomRecord {
        /// The room.
        room: RoomId,
        /// Its name, or those of the two whose conversation it is.
        name: String,
        /// Whether it is a conversation of two.
        direct: bool,
        /// Its members.
        members: u32,
        /// Those that are online.
        online: u32,
        /// Entries that are kept.
        entries: u64,
        /// When the newest was stored; 0 if there is none.
        time: Millis,
    }
}

wire_list!(PersonRecord, RoomRecord);
