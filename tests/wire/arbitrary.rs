//! Strategies for every message of both dialects, and for bytes that are none.

mod parts;

pub use parts::*;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::Union;
use protocol::classic::{ClassicMsg, ClassicReply};
use protocol::message::{ClientMsg, ServerMsg};

/// A strategy for one message from strategies for its fields, named as they are.
macro_rules! message {
    ($name:ident { $($field:ident: $strategy:expr),* $(,)? }) => {
        ($($strategy,)*).prop_map(|($($field,)*)| $name { $($field),* }).boxed()
    };
}

/// Every message that a client can send, each as often as the others.
pub fn client_msg() -> impl Strategy<Value = ClientMsg> {
    Union::new(client_msgs())
}

fn client_msgs() -> Vec<BoxedStrategy<ClientMsg>> {
    use ClientMsg::*;
    vec![
        message!(Hello {
            min_version: any::<u16>(),
            max_version: any::<u16>(),
            features: any::<u64>(),
            device: device_id(),
            proof: proof(),
            purpose: purpose(),
            name: text(),
            agent: text(),
            attempt: attempt().prop_map(Some),
        }),
        message!(Join { req: req(), name: text() }),
        message!(Part { req: req(), room: room_id() }),
        message!(Open { req: req(), room: room_id(), from: open_from() }),
        message!(Close { req: req(), room: room_id() }),
        message!(Post {
            counter: counter(),
            target: target(),
            kind: entry_kind(),
            reply_to: option::of(seq()),
            written: millis(),
            body: body(),
        }),
        message!(Fetch { req: req(), room: room_id(), range: range(), limit: any::<u16>() }),
        message!(Search {
            req: req(),
            room: option::of(room_id()),
            words: text(),
            limit: any::<u16>(),
            before_room: option::of(room_id()),
            before: option::of(seq())
        }),
        message!(Mark { req: req(), room: room_id(), seq: seq() }),
        message!(State { req: req(), change: state_change() }),
        message!(Ask { req: req(), question: question() }),
        message!(Do { req: req(), room: option::of(room_id()), action: action() }),
        message!(Ping { nonce: any::<u64>() }),
        Just(Bye {}).boxed(),
        message!(Operate { req: req(), order: order() }),
        message!(Put {
            req: req(),
            transfer: transfer_id(),
            target: target(),
            size: any::<u64>(),
            first: content_hash(),
            name: text(),
        }),
        message!(Chunk { req: req(), offset: any::<u64>(), data: blob() }),
        message!(Done { req: req(), hash: content_hash() }),
        message!(Drop { req: req() }),
        message!(Get { req: req(), source: source(), offset: any::<u64>(), credit: any::<u32>() }),
        message!(Grant { req: req(), bytes: any::<u32>() }),
        message!(Fetched { req: req(), room: room_id(), seq: seq() }),
        message!(Check { req: req(), index: any::<u64>(), value: block_value() }),
    ]
}

/// Every message that the server can send, each as often as the others.
pub fn server_msg() -> impl Strategy<Value = ServerMsg> {
    Union::new(server_msgs())
}

fn server_msgs() -> Vec<BoxedStrategy<ServerMsg>> {
    use ServerMsg::*;
    let welcome_about_the_person =
        (any::<u16>(), any::<u64>(), limits(), person_id(), text(), device_no(), option::of(counter()));
    let welcome_about_the_log = (epoch(), durability(), millis(), text(), text(), option::of(server_id()));
    let welcome = (welcome_about_the_person, welcome_about_the_log).prop_map(
        |(
            (version, features, limits, person, name, device, last_counter),
            (epoch, durability, time, storage, motd, server),
        )| Welcome {
            version,
            features,
            limits,
            person,
            name,
            device,
            last_counter,
            epoch,
            durability,
            time,
            storage,
            motd,
            server,
        },
    );
    vec![
        welcome.boxed(),
        message!(Rooms {
            req: req(),
            change: rooms_change(),
            more: any::<bool>(),
            rooms: vec(room_info(), 0..4),
        }),
        message!(Opened {
            req: req(),
            room: room_id(),
            topic: text(),
            oldest: seq(),
            newest: option::of(seq()),
            next: seq(),
        }),
        message!(Ack { counter: counter(), room: option::of(room_id()), seq: option::of(seq()) }),
        message!(Entries { room: room_id(), entries: vec(entry(), 0..4) }),
        message!(Page { req: req(), more: any::<bool>(), found: vec(found(), 0..4) }),
        message!(Trimmed { room: room_id(), reason: trim_reason(), first: seq() }),
        message!(Roster {
            room: room_id(),
            version: any::<u64>(),
            snapshot: any::<bool>(),
            more: any::<bool>(),
            online: any::<u32>(),
            members: any::<u32>(),
            people: vec(roster_item(), 0..4),
        }),
        message!(Answer { req: req(), more: any::<bool>(), reply: reply() }),
        message!(Error {
            code: any::<u16>(),
            about: any::<u8>(),
            req: any::<u64>(),
            close: any::<bool>(),
            detail: any::<u64>(),
            text: text(),
        }),
        message!(Pong { nonce: any::<u64>(), time: millis() }),
        message!(GoAway { after_ms: any::<u32>(), text: text() }),
        message!(Operated { req: req(), more: any::<bool>(), outcome: outcome() }),
        message!(PutAt { req: req(), offset: any::<u64>(), credit: any::<u32>(), likely: any::<bool>() }),
        message!(Data { req: req(), offset: any::<u64>(), data: blob() }),
        message!(Credit { req: req(), bytes: any::<u32>() }),
        message!(End { req: req(), size: any::<u64>(), hash: content_hash() }),
        message!(Check { req: req(), index: any::<u64>(), value: block_value() }),
    ]
}

/// A part of a classic FILE that a separator follows: free of `::` and not ending in half of one.
fn part() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace(':', "-"))
}

/// A classic frame with its parts owned, since the dialect's own types borrow them.
#[derive(Clone, Debug, PartialEq)]
pub enum Classic {
    Join(String),
    Text(String),
    Leave(String),
    Error(String),
    Command(String),
    File { from: String, name: String, content: Vec<u8> },
}

impl Classic {
    /// As a client would say it, if clients say it.
    pub fn msg(&self) -> Option<ClassicMsg<'_>> {
        Some(match self {
            Self::Join(text) => ClassicMsg::Join(text),
            Self::Text(text) => ClassicMsg::Text(text),
            Self::File { name, content, .. } => ClassicMsg::File { name, content },
            Self::Leave(_) | Self::Error(_) | Self::Command(_) => return None,
        })
    }

    /// As the server would say it.
    pub fn reply(&self) -> ClassicReply<'_> {
        match self {
            Self::Join(text) => ClassicReply::Join(text),
            Self::Text(text) => ClassicReply::Text(text),
            Self::Leave(text) => ClassicReply::Leave(text),
            Self::Error(text) => ClassicReply::Error(text),
            Self::Command(text) => ClassicReply::Command(text),
            Self::File { from, name, content } => ClassicReply::File { from, name, content },
        }
    }
}

pub fn classic() -> impl Strategy<Value = Classic> {
    prop_oneof![
        text().prop_map(Classic::Join),
        text().prop_map(Classic::Text),
        text().prop_map(Classic::Leave),
        text().prop_map(Classic::Error),
        text().prop_map(Classic::Command),
        (part(), part(), vec(any::<u8>(), 0..80)).prop_map(|(from, name, content)| Classic::File {
            from,
            name,
            content
        }),
    ]
}

/// Bytes that hold a frame here and there: nothing, noise, or true frames with a few bytes changed.
pub fn noise() -> impl Strategy<Value = Vec<u8>> {
    let frame = (0..400_u32, any::<u8>(), vec(any::<u8>(), 0..300)).prop_map(|(len, ty, payload)| {
        let mut bytes = len.to_be_bytes().to_vec();
        bytes.push(ty);
        bytes.extend(payload);
        bytes
    });
    prop_oneof![vec(any::<u8>(), 0..300), vec(frame, 0..6).prop_map(|frames| frames.concat())]
}

/// The claim of each strategy above: that it makes every message of its direction.
#[test]
fn every_message_has_a_strategy() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut made = |count: usize, ty: &mut dyn FnMut(&mut proptest::test_runner::TestRunner, usize) -> u8| {
        (0..count).map(|at| ty(&mut runner, at)).collect::<Vec<_>>()
    };
    let clients = client_msgs();
    let types = made(clients.len(), &mut |runner, at| clients[at].new_tree(runner).unwrap().current().ty());
    assert_eq!(types, ClientMsg::TYPES);
    let servers = server_msgs();
    let types = made(servers.len(), &mut |runner, at| servers[at].new_tree(runner).unwrap().current().ty());
    assert_eq!(types, ServerMsg::TYPES);
}
