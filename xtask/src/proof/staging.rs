//! A server's words for tests: a writer who is let into its room.

use super::body::Bodies;
use super::writer::{Habits, Writer};
use protocol::id::{Counter, DeviceNo, Epoch, Millis, PersonId, Req, RoomId, Seq};
use protocol::message::{Durability, Limits, RoomInfo, RoomKind, RoomsChange, ServerMsg};
use std::time::Duration;

/// The room that a staged writer is in.
pub const ROOM: RoomId = RoomId::FIRST;

/// Its device.
pub const DEVICE: DeviceNo = DeviceNo::FIRST;

/// A writer who may post to one room.
pub fn writer(window: usize, stubborn: bool) -> Writer {
    let habits = Habits { rooms: vec!["a".into()], bodies: Bodies::Short, window, stubborn };
    let mut writer = Writer::new(0, 1, habits);
    writer.greet();
    let_in(&mut writer, None);
    hear(
        &mut writer,
        ServerMsg::Rooms { req: Req(1), change: RoomsChange::Added, more: false, rooms: vec![room()] },
    );
    writer
}

/// Welcomes a writer, who is in its room already unless it never was.
pub fn let_in(writer: &mut Writer, last_counter: Option<Counter>) {
    hear(writer, welcome(last_counter));
    hear(
        writer,
        ServerMsg::Rooms { req: Req(0), change: RoomsChange::All, more: false, rooms: vec![room()] },
    );
}

/// A writer hears something that it must take.
pub fn hear(writer: &mut Writer, msg: ServerMsg) {
    writer.handle_message(msg, Duration::ZERO).unwrap();
}

/// The server has so many posts of the device.
pub fn welcome(last_counter: Option<Counter>) -> ServerMsg {
    let limits = Limits {
        frame: 0,
        body: 0,
        chunk: 0,
        window_posts: 0,
        window_bytes: 0,
        ping_after_ms: 0,
        dead_after_ms: 0,
        file: 0,
    };
    ServerMsg::Welcome {
        version: 1,
        features: 0,
        limits,
        person: PersonId::FIRST,
        name: "w-0".into(),
        device: DEVICE,
        last_counter,
        epoch: Epoch([1; 16]),
        durability: Durability::Disk,
        time: Millis(0),
        storage: String::new(),
        motd: String::new(),
        server: None,
    }
}

fn room() -> RoomInfo {
    RoomInfo {
        room: ROOM,
        kind: RoomKind::Public,
        name: "a".into(),
        topic: String::new(),
        oldest: Seq::FIRST,
        newest: None,
        read: None,
        unread: 0,
        mentions: 0,
    }
}
