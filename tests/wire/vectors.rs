//! One frame of each type, byte by byte: committed, so that the wire can't change unnoticed.

use bytes::Bytes;
use protocol::classic::{ClassicMsg, ClassicReply};
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{
    BlockValue, ContentHash, Counter, DeviceId, DeviceNo, Epoch, Millis, PersonId, Req, RoomId, RunId, Seq,
    ServerId, TransferId,
};
use protocol::message::{
    Action, Attempt, Blob, ClientMsg, Durability, Found, Limits, OpenFrom, Order, Outcome, Presence, Proof,
    Purpose, Question, Range, Reply, RoomInfo, RoomKind, RoomsChange, RosterItem, Secret, ServerMsg, Source,
    StateChange, Target, TrimReason,
};

/// A message of either dialect and direction.
#[derive(Clone, PartialEq, Debug)]
pub enum Message {
    Client(ClientMsg),
    Server(ServerMsg),
    ClassicClient(ClassicMsg<'static>),
    ClassicServer(ClassicReply<'static>),
}

impl Message {
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Client(msg) => msg.encode(),
            Self::Server(msg) => msg.encode(),
            Self::ClassicClient(msg) => msg.encode(),
            Self::ClassicServer(msg) => msg.encode(),
        }
    }

    /// Decodes in the direction of `self`; the error as text, since the dialects have different ones.
    pub fn decode_like(&self, ty: u8, payload: &'static [u8]) -> Result<Option<Self>, String> {
        fn text(error: impl std::fmt::Display) -> String {
            error.to_string()
        }
        match self {
            Self::Client(_) => ClientMsg::decode(ty, payload).map(|msg| msg.map(Self::Client)).map_err(text),
            Self::Server(_) => ServerMsg::decode(ty, payload).map(|msg| msg.map(Self::Server)).map_err(text),
            Self::ClassicClient(_) => {
                ClassicMsg::decode(ty, payload).map(|msg| Some(Self::ClassicClient(msg))).map_err(text)
            }
            Self::ClassicServer(_) => {
                ClassicReply::decode(ty, payload).map(|msg| Some(Self::ClassicServer(msg))).map_err(text)
            }
        }
    }
}

/// A frame and what it says.
pub struct Vector {
    /// The heading of its section in `WIRE.md`.
    pub title: &'static str,
    pub message: Message,
    /// The whole frame in hexadecimal.
    pub hex: &'static str,
}

impl Vector {
    pub fn bytes(&self) -> Vec<u8> {
        let digits: Vec<u8> = self
            .hex
            .chars()
            .map(|c| u8::try_from(c.to_digit(16).expect("a hexadecimal digit")).expect("below 16"))
            .collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }
}

/// The bytes `first`, `first + 1`, … as ids and hashes of the examples.
fn count_up<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|at| first + u8::try_from(at).expect("at most 32"))
}

fn room() -> RoomId {
    RoomId::new(2).expect("within the range")
}

fn seq(value: u64) -> Seq {
    Seq::new(value).expect("within the range")
}

fn counter(value: u64) -> Counter {
    Counter::new(value).expect("within the range")
}

fn person(value: u64) -> PersonId {
    PersonId::new(value).expect("within the range")
}

fn device() -> DeviceNo {
    DeviceNo::new(5).expect("within the range")
}

/// The first moment of 2026.
const TIME: Millis = Millis(1_767_225_600_000);

fn entry() -> Entry {
    Entry {
        seq: seq(7),
        time: TIME,
        written: Millis(0),
        person: Some(person(3)),
        name: "alice".into(),
        device: Some(device()),
        counter: Some(counter(42)),
        kind: EntryKind::Text,
        revision: Revision::Original,
        reply_to: None,
        body: Bytes::from_static(b"hi"),
    }
}

fn bob() -> RosterItem {
    RosterItem {
        person: person(4),
        name: "bob".into(),
        presence: Presence { online: true, away: true, ..Presence::default() },
        away: "at lunch".into(),
    }
}

fn limits() -> Limits {
    Limits {
        frame: 65_536,
        body: 16_384,
        chunk: 262_144,
        window_posts: 256,
        window_bytes: 262_144,
        ping_after_ms: 5_000,
        dead_after_ms: 15_000,
        file: 0,
    }
}

/// All vectors, in the order of the document.
pub fn vectors() -> Vec<Vector> {
    [client(), server(), classic()].into_iter().flatten().collect()
}

macro_rules! vectors {
    ($kind:ident: $($title:literal = $message:expr, $hex:literal;)*) => {
        vec![$(Vector { title: $title, message: Message::$kind($message), hex: $hex },)*]
    };
}

fn client() -> Vec<Vector> {
    use ClientMsg::*;
    vectors! { Client:
        "0x10 Hello" = Hello {
            min_version: 1,
            max_version: 1,
            features: 0,
            device: DeviceId(count_up(0xa0)),
            proof: Proof::Secret { secret: Secret(count_up(0)) },
            purpose: Purpose::Chat,
            name: "alice".into(),
            agent: "natter/0.1.0".into(),
            attempt: Some(Attempt { run: RunId(count_up(0xc0)), number: 2, only_if_free: false, errand: false }),
        },
            "0000006910000100010000000000000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf01000102030405060708090a0b0c0d\
            0e0f101112131415161718191a1b1c1d1e1f000005616c696365000c6e61747465722f302e312e30\
            c0c1c2c3c4c5c6c7c8c9cacbcccdcecf0000000200";
        "0x11 Join" = Join { req: Req(2), name: "dev".into() }, "0000000a11000000020003646576";
        "0x12 Part" = Part { req: Req(3), room: room() }, "0000000d12000000030000000000000002";
        "0x13 Open" = Open {
            req: Req(4),
            room: room(),
            from: OpenFrom::After { epoch: Epoch(count_up(0xe0)), seq: Some(seq(6)) },
        },
            "000000261300000004000000000000000202e0e1e2e3e4e5e6e7e8e9eaebecedeeef0000000000000006";
        "0x14 Close" = Close { req: Req(5), room: room() }, "0000000d14000000050000000000000002";
        "0x15 Post" = Post {
            counter: counter(42),
            target: Target::Room { room: room() },
            kind: EntryKind::Text,
            reply_to: None,
            written: Millis(0),
            body: Bytes::from_static(b"hi"),
        },
            "0000002715000000000000002a000000000000000002010000000000000000000000000000000000026869";
        "0x16 Fetch" = Fetch { req: Req(6), room: room(), range: Range::Before { seq: seq(7) }, limit: 50 },
            "00000018160000000600000000000000020100000000000000070032";
        "0x17 Search" = Search { req: Req(7), room: None, words: "lunch".into(), limit: 20, before_room: Some(room()), before: Some(seq(7)) },
            "000000261700000007000000000000000000056c756e6368001400000000000000020000000000000007";
        "0x18 Mark" = Mark { req: Req(8), room: room(), seq: seq(7) },
            "00000015180000000800000000000000020000000000000007";
        "0x19 State" = State { req: Req(9), change: StateChange::Away { text: "at lunch".into() } }, "0000001019000000090100086174206c756e6368";
        "0x1a Ask" = Ask { req: Req(10), question: Question::Whois { name: "bob".into() } }, "0000000b1a0000000a020003626f62";
        "0x1b Do" = Do { req: Req(11), room: Some(room()), action: Action::Topic { text: "new things".into() } },
            "0000001a1b0000000b000000000000000200000a6e6577207468696e6773";
        "0x1c Ping" = Ping { nonce: 12 }, "000000091c000000000000000c";
        "0x1d Bye" = Bye {}, "000000011d";
        "0x1e Operate" = Operate { req: Req(16), order: Order::Person { name: "bob".into() } },
            "0000000b1e00000010010003626f62";
        "0x20 Put" = Put {
            req: Req(13),
            transfer: TransferId(count_up(0xb0)),
            target: Target::Room { room: room() },
            size: 5,
            first: ContentHash(count_up(0x40)),
            name: "a.txt".into(),
        },
            "0000004d200000000db0b1b2b3b4b5b6b7b8b9babbbcbdbebf0000000000000000020000000000000005404142434445\
            464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f0005612e747874";
        "0x21 Chunk" = Chunk { req: Req(13), offset: 0, data: Blob(Bytes::from_static(b"hello")) },
            "00000016210000000d00000000000000000000000568656c6c6f";
        "0x22 Done" = Done { req: Req(13), hash: ContentHash(count_up(0x40)) },
            "00000025220000000d404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f";
        "0x23 Drop" = Drop { req: Req(13) }, "00000005230000000d";
        "0x24 Get" = Get { req: Req(14), source: Source::Content { hash: ContentHash(count_up(0x40)) }, offset: 0, credit: 262_144 },
            "00000032240000000e00404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f000000000000\
            000000040000";
        "0x25 Grant" = Grant { req: Req(14), bytes: 262_144 }, "00000009250000000e00040000";
        "0x26 Fetched" = Fetched { req: Req(15), room: room(), seq: seq(8) },
            "00000015260000000f00000000000000020000000000000008";
        "0x27 Check" = Check { req: Req(13), index: 0, value: BlockValue(count_up(0x40)) },
            "0000002d270000000d0000000000000000404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e\
            5f";
    }
}

fn server() -> Vec<Vector> {
    use ServerMsg::*;
    vectors! { Server:
        "0x40 Welcome" = Welcome {
            version: 1,
            features: 0,
            limits: limits(),
            person: person(3),
            name: "alice".into(),
            device: device(),
            last_counter: Some(counter(41)),
            epoch: Epoch(count_up(0xe0)),
            durability: Durability::Disk,
            time: TIME,
            storage: "kept for ever".into(),
            motd: "hello".into(),
            server: Some(ServerId(count_up(0xf0))),
        },
            "0000008b40000100000000000000000001000000004000000400000100000400000000138800003a9800000000000000\
            0000000000000000030005616c69636500000000000000050000000000000029e0e1e2e3e4e5e6e7e8e9eaebecedeeef\
            020000019b76daa800000d6b65707420666f722065766572000568656c6c6ff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
        "0x41 Rooms" = Rooms {
            req: Req(2),
            change: RoomsChange::Added,
            more: false,
            rooms: vec![RoomInfo {
                room: room(),
                kind: RoomKind::Public,
                name: "dev".into(),
                topic: "new things".into(),
                oldest: seq(1),
                newest: Some(seq(7)),
                read: Some(seq(6)),
                unread: 1,
                mentions: 0,
            }],
        },
            "000000434100000002010000010000000000000002000003646576000a6e6577207468696e6773000000000000000100\
            0000000000000700000000000000060000000100000000";
        "0x42 Opened" = Opened {
            req: Req(4),
            room: room(),
            topic: "new things".into(),
            oldest: seq(1),
            newest: Some(seq(7)),
            next: seq(7),
        },
            "0000003142000000040000000000000002000a6e6577207468696e677300000000000000010000000000000007000000\
            0000000007";
        "0x43 Ack" = Ack { counter: counter(42), room: Some(room()), seq: Some(seq(7)) },
            "0000001943000000000000002a00000000000000020000000000000007";
        "0x44 Entries" = Entries { room: room(), entries: vec![entry()] },
            "00000025440000000000000002000100180780d0eab6b733000305616c696365052a01000000026869";
        "0x45 Page" = Page { req: Req(6), more: true, found: vec![Found { room: room(), entry: entry() }] },
            "0000002a4500000006010001000000000000000200180780d0eab6b733000305616c696365052a01000000026869";
        "0x46 Trimmed" = Trimmed { room: room(), reason: TrimReason::Trimmed, first: seq(5) },
            "00000012460000000000000002000000000000000005";
        "0x47 Roster" = Roster {
            room: room(),
            version: 9,
            snapshot: true,
            more: false,
            online: 1,
            members: 2,
            people: vec![bob()],
        },
            "00000035470000000000000002000000000000000901000000000100000002000100000000000000040003626f620300\
            086174206c756e6368";
        "0x48 Answer" = Answer {
            req: Req(10),
            more: false,
            reply: Reply::Whois {
                person: bob(),
                rooms: vec!["dev".into()],
                seen: TIME,
                agent: "natter/0.1.0".into(),
            },
        },
            "0000003c480000000a000300000000000000040003626f620300086174206c756e6368000100036465760000019b76da\
            a800000c6e61747465722f302e312e30";
        "0x49 Error" = Error {
            code: 220,
            about: 0x15,
            req: 44,
            close: false,
            detail: 43,
            text: "a post came out of order".into(),
        },
            "0000002f4900dc15000000000000002c00000000000000002b00186120706f73742063616d65206f7574206f66206f72\
            646572";
        "0x4a Pong" = Pong { nonce: 12, time: TIME },
            "000000114a000000000000000c0000019b76daa800";
        "0x4b GoAway" = GoAway { after_ms: 500, text: "restarting".into() },
            "000000114b000001f4000a72657374617274696e67";
        "0x4c Operated" = Operated { req: Req(16), more: false, outcome: Outcome::Done }, "000000074c000000100000";
        "0x50 PutAt" = PutAt { req: Req(13), offset: 0, credit: 262_144, likely: false },
            "00000012500000000d00000000000000000004000000";
        "0x51 Data" = Data { req: Req(14), offset: 0, data: Blob(Bytes::from_static(b"hello")) },
            "00000016510000000e00000000000000000000000568656c6c6f";
        "0x52 Credit" = Credit { req: Req(13), bytes: 262_144 }, "00000009520000000d00040000";
        "0x53 End" = End { req: Req(14), size: 5, hash: ContentHash(count_up(0x40)) },
            "0000002d530000000e0000000000000005404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e\
            5f";
        "0x54 Check" = Check { req: Req(14), index: 0, value: BlockValue(count_up(0x40)) },
            "0000002d540000000e0000000000000000404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e\
            5f";
    }
}

fn classic() -> Vec<Vector> {
    let mut vectors = vectors! { ClassicClient:
        "0x01 TEXT, from a client" = ClassicMsg::Text("hi all"), "0000000701686920616c6c";
        "0x02 FILE, from a client" = ClassicMsg::File { name: "a.txt", content: b"hello" }, "0000000d02612e7478743a3a68656c6c6f";
        "0x03 JOIN, from a client" = ClassicMsg::Join("alice"), "0000000603616c696365";
    };
    vectors.extend(vectors! { ClassicServer:
        "0x01 TEXT, from the server" = ClassicReply::Text("bob::hi"), "0000000801626f623a3a6869";
        "0x02 FILE, from the server" = ClassicReply::File {
            from: "bob",
            name: "a.txt",
            content: b"hello",
        },
            "0000001202626f623a3a612e7478743a3a68656c6c6f";
        "0x03 JOIN, from the server" = ClassicReply::Join("bob joined the chat."),
            "0000001503626f62206a6f696e65642074686520636861742e";
        "0x04 LEAVE, from the server" = ClassicReply::Leave("bob left the chat."),
            "0000001304626f62206c6566742074686520636861742e";
        "0x05 ERROR, from the server" = ClassicReply::Error("Unknown command. Type /help."),
            "0000001d05556e6b6e6f776e20636f6d6d616e642e2054797065202f68656c702e";
        "0x06 COMMAND, from the server" = ClassicReply::Command("/quit_ack"), "0000000a062f717569745f61636b";
    });
    vectors
}

/// The four claims of a decoder, for each direction of each dialect.
mod claims {
    use super::super::messages::{ATTEMPT, SERVER};
    use super::{Message, Vector, vectors};
    use protocol::limits::HEADER;
    use protocol::message::ty::{HELLO, WELCOME};
    use protocol::message::{ClientMsg, ServerMsg};

    /// Runs a check on every vector; `leak` because the classic messages borrow what they are decoded from.
    fn each(check: impl Fn(&Vector, &'static [u8])) {
        for vector in vectors() {
            let bytes: &'static [u8] = vector.bytes().leak();
            check(&vector, bytes);
        }
    }

    #[test]
    fn every_type_of_both_directions_has_a_vector() {
        let types = |of: fn(&Message) -> Option<u8>| {
            vectors().iter().filter_map(|v| of(&v.message)).collect::<Vec<_>>()
        };
        let client = types(|message| match message {
            Message::Client(msg) => Some(msg.ty()),
            _ => None,
        });
        let server = types(|message| match message {
            Message::Server(msg) => Some(msg.ty()),
            _ => None,
        });
        assert_eq!((&client[..], &server[..]), (ClientMsg::TYPES, ServerMsg::TYPES));
        let classic_client = types(|message| match message {
            Message::ClassicClient(msg) => Some(msg.ty()),
            _ => None,
        });
        let classic_server = types(|message| match message {
            Message::ClassicServer(msg) => Some(msg.ty()),
            _ => None,
        });
        assert_eq!((classic_client, classic_server), (vec![1, 2, 3], vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn every_message_encodes_to_its_vector() {
        each(|vector, bytes| assert_eq!(vector.message.encode(), bytes, "{}", vector.title));
    }

    #[test]
    fn every_vector_decodes_to_its_message() {
        each(|vector, bytes| {
            let decoded = vector.message.decode_like(bytes[4], &bytes[HEADER..]);
            assert_eq!(decoded, Ok(Some(vector.message.clone())), "{}", vector.title);
        });
    }

    #[test]
    fn every_vector_has_the_length_that_it_says() {
        each(|vector, bytes| {
            let len = u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize;
            assert_eq!(len, bytes.len() - 4, "{}", vector.title);
        });
    }

    #[test]
    fn no_prefix_of_a_vector_is_a_message_of_fixed_layout() {
        each(|vector, bytes| {
            for at in HEADER..bytes.len() {
                let decoded = vector.message.decode_like(bytes[4], &bytes[HEADER..at]);
                match vector.message {
                    // Without its last field it is what older clients and servers send.
                    Message::Client(_) if bytes[4] == HELLO && at == bytes.len() - ATTEMPT => {}
                    Message::Server(_) if bytes[4] == WELCOME && at == bytes.len() - SERVER => {}
                    Message::Client(_) | Message::Server(_) => {
                        assert_eq!(
                            decoded,
                            Err("the payload ends too early".into()),
                            "{}, {at} bytes",
                            vector.title
                        );
                    }
                    // Classic strings fill the payload, so that a shorter one is another message.
                    Message::ClassicClient(_) | Message::ClassicServer(_) => {
                        assert_ne!(decoded, Ok(Some(vector.message.clone())), "{}, {at} bytes", vector.title);
                    }
                }
            }
        });
    }

    #[test]
    fn no_damaged_byte_of_a_vector_panics() {
        each(|vector, bytes| {
            for at in HEADER..bytes.len() {
                for value in 0..=u8::MAX {
                    let mut damaged = bytes[HEADER..].to_vec();
                    damaged[at - HEADER] = value;
                    _ = ClientMsg::decode(bytes[4], &damaged);
                    _ = ServerMsg::decode(bytes[4], &damaged);
                    _ = protocol::classic::ClassicMsg::decode(bytes[4], &damaged);
                    _ = protocol::classic::ClassicReply::decode(bytes[4], &damaged);
                }
            }
            assert!(bytes.len() >= HEADER, "{}", vector.title);
        });
    }
}
