//! One good message of each type, and ways to spoil it.

use bytes::{BufMut, BytesMut};
use protocol::entry::EntryKind;
use protocol::id::{
    BlockValue, ContentHash, Counter, DeviceId, Epoch, Millis, PersonId, Req, RoomId, Seq, TransferId,
};
use protocol::message::{
    Action, Blob, ClientMsg, OpenFrom, Proof, Purpose, Question, Range, Secret, Source, StateChange, Target,
};

/// The lobby: the first room of a fresh server.
pub const LOBBY: RoomId = RoomId::FIRST;

/// A room that somebody else has made after it.
pub const ELSEWHERE: RoomId = LOBBY.next();

/// The conversation of two others that came next.
pub const PRIVATE: RoomId = ELSEWHERE.next();

/// The request that all samples have.
pub const REQ: Req = Req(5);

/// A text that [`with_bad_utf8`] finds and spoils.
pub const MARK: &str = "QQQQ";

/// A login whose texts can be spoiled.
pub fn hello(name: &str, agent: &str) -> ClientMsg {
    ClientMsg::Hello {
        min_version: 1,
        max_version: 1,
        features: 0,
        device: DeviceId([9; 16]),
        proof: Proof::Secret { secret: Secret([8; 32]) },
        purpose: Purpose::Chat,
        name: name.into(),
        agent: agent.into(),
        attempt: None,
    }
}

/// A post of this body into the lobby.
pub fn post(body: impl AsRef<[u8]>) -> ClientMsg {
    ClientMsg::Post {
        counter: Counter::FIRST,
        target: Target::Room { room: LOBBY },
        kind: EntryKind::Text,
        reply_to: None,
        written: Millis(0),
        body: bytes::Bytes::copy_from_slice(body.as_ref()),
    }
}

/// One of each type that a chat connection may say after the login, but for `Bye`, which has no fields.
pub fn requests() -> Vec<(&'static str, ClientMsg)> {
    let (req, room) = (REQ, LOBBY);
    vec![
        ("Join", ClientMsg::Join { req, name: MARK.into() }),
        ("Part", ClientMsg::Part { req, room }),
        ("Open", ClientMsg::Open { req, room, from: open_after() }),
        ("Close", ClientMsg::Close { req, room }),
        ("Post", post("text")),
        ("Fetch", ClientMsg::Fetch { req, room, range: Range::Before { seq: Seq::FIRST }, limit: 5 }),
        (
            "Search",
            ClientMsg::Search {
                req,
                room: None,
                words: MARK.into(),
                limit: 5,
                before_room: None,
                before: None,
            },
        ),
        ("Mark", ClientMsg::Mark { req, room, seq: Seq::FIRST }),
        ("State", state(StateChange::Away { text: MARK.into() })),
        ("Ask", ask(Question::Whois { name: MARK.into() })),
        ("Do", act(Action::Topic { text: MARK.into() })),
        ("Ping", ClientMsg::Ping { nonce: 5 }),
    ]
}

/// One of each type that only a bulk connection may say.
pub fn transfers() -> Vec<(&'static str, ClientMsg)> {
    let req = REQ;
    let (transfer, hash) = (TransferId([1; 16]), ContentHash([2; 32]));
    let target = Target::Room { room: LOBBY };
    let data = Blob(bytes::Bytes::from_static(b"data"));
    vec![
        ("Put", ClientMsg::Put { req, transfer, target, size: 4, first: hash, name: "a".into() }),
        ("Chunk", ClientMsg::Chunk { req, offset: 0, data }),
        ("Done", ClientMsg::Done { req, hash }),
        ("Drop", ClientMsg::Drop { req }),
        ("Get", ClientMsg::Get { req, source: Source::Content { hash }, offset: 0, credit: 4 }),
        ("Grant", ClientMsg::Grant { req, bytes: 4 }),
        ("Check", ClientMsg::Check { req, index: 0, value: BlockValue([3; 32]) }),
    ]
}

fn open_after() -> OpenFrom {
    OpenFrom::After { epoch: Epoch([7; 16]), seq: Some(Seq::FIRST) }
}

/// A change of my state.
pub fn state(change: StateChange) -> ClientMsg {
    ClientMsg::State { req: REQ, change }
}

/// A question.
pub fn ask(question: Question) -> ClientMsg {
    ClientMsg::Ask { req: REQ, question }
}

/// An action on the lobby.
pub fn act(action: Action) -> ClientMsg {
    ClientMsg::Do { req: REQ, room: Some(LOBBY), action }
}

/// Somebody who was never there.
pub fn nobody() -> PersonId {
    PersonId::new(1 << 40).expect("within the range of numbers")
}

/// A room that was never made.
pub fn nowhere() -> RoomId {
    RoomId::new(1 << 40).expect("within the range of numbers")
}

/// The frame with its mark turned into bytes that are not UTF-8.
pub fn with_bad_utf8(msg: &ClientMsg) -> Vec<u8> {
    let mut bytes = msg.encode().to_vec();
    let at = bytes.windows(MARK.len()).position(|part| part == MARK.as_bytes());
    let at = at.expect("the sample has a mark");
    bytes[at..at + MARK.len()].copy_from_slice(b"\xff\xfe\xc0\x80");
    bytes
}

/// The frame without its last byte, under a length that is true.
pub fn cut_short(msg: &ClientMsg) -> Vec<u8> {
    let bytes = msg.encode();
    framed(bytes[4], &bytes[5..bytes.len() - 1])
}

/// The frame with more bytes at its end, under a length that is true.
pub fn grown(msg: &ClientMsg) -> Vec<u8> {
    let bytes = msg.encode();
    framed(bytes[4], &[&bytes[5..], b"from a later version"].concat())
}

/// The frame with the number at `at` in its payload replaced.
pub fn with_number(msg: &ClientMsg, at: usize, number: u64) -> Vec<u8> {
    let mut bytes = msg.encode().to_vec();
    bytes[5 + at..5 + at + 8].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The frame with the byte at `at` in its payload replaced.
pub fn with_byte(msg: &ClientMsg, at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = msg.encode().to_vec();
    bytes[5 + at] = byte;
    bytes
}

/// A frame of any type.
pub fn framed(ty: u8, payload: &[u8]) -> Vec<u8> {
    protocol::frame::frame(ty, payload).to_vec()
}

/// A header without what it announces.
pub fn header(len: u32, ty: u8) -> Vec<u8> {
    let mut out = BytesMut::new();
    out.put_u32(len);
    out.put_u8(ty);
    out.to_vec()
}
