//! Sizes: the largest of everything fits the frame that carries it, and what may not is named.

use bytes::Bytes;
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{Counter, DeviceId, DeviceNo, Millis, PersonId, Req, RoomId, RunId, Seq};
use protocol::limits::{
    MAX_AGENT, MAX_AWAY, MAX_BODY, MAX_BULK_FRAME, MAX_CHUNK, MAX_CLASSIC_TEXT, MAX_FRAME,
    MAX_FRAME_BEFORE_LOGIN, MAX_NAME_BYTES, MAX_NUMBER, MAX_PAGE, MAX_QUERY, MAX_TOPIC,
};
use protocol::message::{
    Action, Attempt, Blob, ClientMsg, Found, Presence, Proof, Purpose, RoomInfo, RoomKind, RosterItem,
    Secret, ServerMsg, StateChange, Target,
};

/// What a frame's length says: type and payload.
fn len(frame: &Bytes) -> u32 {
    u32::from_be_bytes(*frame.first_chunk().expect("a frame has a length"))
}

fn text(len: usize) -> String {
    "x".repeat(len)
}

fn seq() -> Seq {
    Seq::new(MAX_NUMBER).expect("the largest number")
}

fn room() -> RoomId {
    RoomId::new(MAX_NUMBER).expect("the largest number")
}

fn largest_entry() -> Entry {
    Entry {
        seq: seq(),
        time: Millis(u64::MAX),
        written: Millis(u64::MAX),
        person: PersonId::new(MAX_NUMBER),
        name: text(MAX_NAME_BYTES),
        device: DeviceNo::new(MAX_NUMBER),
        counter: Counter::new(MAX_NUMBER),
        kind: EntryKind::Text,
        revision: Revision::Edited,
        reply_to: Some(seq()),
        body: Bytes::from(vec![b'x'; MAX_BODY]),
    }
}

#[test]
fn the_largest_hello_fits_the_first_frame() {
    let hello = ClientMsg::Hello {
        min_version: 1,
        max_version: 1,
        features: u64::MAX,
        device: DeviceId([0xff; 16]),
        proof: Proof::Secret { secret: Secret([0xff; 32]) },
        purpose: Purpose::Chat,
        name: text(MAX_NAME_BYTES),
        agent: text(MAX_AGENT),
        attempt: Some(Attempt { run: RunId([0xff; 16]), number: u32::MAX, only_if_free: true, errand: true }),
    };
    let len = len(&hello.encode());
    assert!(len <= MAX_FRAME_BEFORE_LOGIN / 4, "{len} bytes");
}

#[test]
fn the_largest_request_fits_a_frame() {
    let requests = [
        ClientMsg::Post {
            counter: Counter::new(MAX_NUMBER).expect("the largest number"),
            target: Target::Room { room: room() },
            kind: EntryKind::Text,
            reply_to: Some(seq()),
            written: Millis(u64::MAX),
            body: Bytes::from(vec![b'x'; MAX_BODY]),
        },
        ClientMsg::Search {
            req: Req(1),
            room: Some(room()),
            words: text(MAX_QUERY),
            limit: 1,
            before_room: Some(room()),
            before: Some(seq()),
        },
        ClientMsg::State { req: Req(1), change: StateChange::Away { text: text(MAX_AWAY) } },
        ClientMsg::Do { req: Req(1), room: Some(room()), action: Action::Topic { text: text(MAX_TOPIC) } },
    ];
    for request in requests {
        let len = len(&request.encode());
        assert!(len <= MAX_FRAME, "{len} bytes of type {:#04x}", request.ty());
    }
}

#[test]
fn three_of_the_largest_entries_fit_a_frame() {
    for msg in [
        ServerMsg::Entries { room: room(), entries: vec![largest_entry(); 3] },
        ServerMsg::Page {
            req: Req(1),
            more: true,
            found: vec![Found { room: room(), entry: largest_entry() }; 3],
        },
    ] {
        let len = len(&msg.encode());
        assert!(len <= MAX_FRAME, "{len} bytes of type {:#04x}", msg.ty());
    }
}

#[test]
fn the_largest_piece_of_a_file_fits_a_bulk_frame() {
    let data = Blob(Bytes::from(vec![0; MAX_CHUNK as usize]));
    let chunk = ClientMsg::Chunk { req: Req(u32::MAX), offset: u64::MAX, data: data.clone() };
    let piece = ServerMsg::Data { req: Req(u32::MAX), offset: u64::MAX, data };
    for frame in [chunk.encode(), piece.encode()] {
        assert!(len(&frame) <= MAX_BULK_FRAME, "{} bytes", len(&frame));
    }
}

#[test]
fn the_largest_body_and_a_command_in_front_fit_a_classic_text() {
    let command = format!("/msg {} {}", text(MAX_NAME_BYTES), text(MAX_BODY));
    let frame = protocol::classic::ClassicMsg::Text(&command).encode();
    assert!(len(&frame) <= MAX_CLASSIC_TEXT, "{} bytes", len(&frame));
}

/// So a writer of lists cuts its pages by bytes, too.
#[test]
fn a_page_of_the_largest_elements_is_too_large_for_a_frame() {
    let person = RosterItem {
        person: PersonId::FIRST,
        name: text(MAX_NAME_BYTES),
        presence: Presence::default(),
        away: text(MAX_AWAY),
    };
    let info = RoomInfo {
        room: room(),
        kind: RoomKind::Direct { peer: PersonId::FIRST },
        name: text(MAX_NAME_BYTES),
        topic: text(MAX_TOPIC),
        oldest: seq(),
        newest: Some(seq()),
        read: Some(seq()),
        unread: 0,
        mentions: 0,
    };
    let roster = ServerMsg::Roster {
        room: room(),
        version: 1,
        snapshot: true,
        more: false,
        online: 0,
        members: 0,
        people: vec![person; MAX_PAGE],
    };
    let rooms = ServerMsg::Rooms {
        req: Req(0),
        change: protocol::message::RoomsChange::All,
        more: false,
        rooms: vec![info; MAX_PAGE],
    };
    for msg in [roster, rooms] {
        let len = len(&msg.encode());
        assert!(len > MAX_FRAME, "{len} bytes of type {:#04x} fit: say so in WIRE.md", msg.ty());
    }
}
