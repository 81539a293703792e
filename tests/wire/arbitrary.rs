//! Strategies for every message of both dialects and every part of one.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::Union;
use protocol::classic::{ClassicMsg, ClassicReply};
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{
    ContentHash, Counter, DeviceId, DeviceNo, Epoch, Millis, PersonId, Req, RoomId, Seq, TransferId,
};
use protocol::limits::MAX_NUMBER;
use protocol::message::{
    Action, Blob, ClientMsg, Durability, Found, Limits, OpenFrom, Presence, Proof, Purpose, Question, Range,
    Reply, RoomInfo, RoomKind, RoomListing, RoomsChange, RosterItem, Secret, ServerMsg, StateChange, Target,
    TrimReason,
};

/// The ends of the range often, everything else sometimes.
fn number() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![1..=3_u64, 1..=MAX_NUMBER, MAX_NUMBER - 2..=MAX_NUMBER]
}

macro_rules! numbers {
    ($($function:ident: $ty:ident),*) => {$(
        pub fn $function() -> impl Strategy<Value = $ty> + Clone {
            number().prop_map(|value| $ty::new(value).expect("numbers are made within the range"))
        }
    )*};
}
numbers!(seq: Seq, room_id: RoomId, person_id: PersonId, device_no: DeviceNo, counter: Counter);

pub fn req() -> impl Strategy<Value = Req> {
    any::<u32>().prop_map(Req)
}

pub fn millis() -> impl Strategy<Value = Millis> {
    any::<u64>().prop_map(Millis)
}

pub fn epoch() -> impl Strategy<Value = Epoch> {
    any::<[u8; 16]>().prop_map(Epoch)
}

fn content_hash() -> impl Strategy<Value = ContentHash> {
    any::<[u8; 32]>().prop_map(ContentHash)
}

/// Any text, often an empty or an evil one.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z ]{1,20}",
        ".{0,60}",
        vec(any::<char>(), 0..40).prop_map(String::from_iter),
        Just("e::vil\n\u{202e}\u{1b}[2J\0".to_owned()),
    ]
}

pub fn body() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        text().prop_map(Bytes::from),
        vec(any::<u8>(), 0..80).prop_map(Bytes::from),
        // Long ones are rare and cheap to make.
        (any::<u8>(), 0..=protocol::limits::MAX_BODY).prop_map(|(byte, len)| Bytes::from(vec![byte; len])),
    ]
}

fn blob() -> impl Strategy<Value = Blob> {
    body().prop_map(Blob)
}

pub fn entry_kind() -> impl Strategy<Value = EntryKind> {
    any::<u8>().prop_map(EntryKind::from_number)
}

pub fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        room_id().prop_map(|room| Target::Room { room }),
        person_id().prop_map(|person| Target::Person { person }),
    ]
}

fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![
        Just(Proof::None),
        any::<[u8; 32]>().prop_map(|secret| Proof::Secret {
            secret: Secret(secret)
        }),
    ]
}

fn purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![Just(Purpose::Chat), Just(Purpose::Bulk)]
}

fn open_from() -> impl Strategy<Value = OpenFrom> {
    prop_oneof![
        Just(OpenFrom::Now),
        any::<u16>().prop_map(|count| OpenFrom::Last { count }),
        (epoch(), option::of(seq())).prop_map(|(epoch, seq)| OpenFrom::After { epoch, seq }),
    ]
}

fn range() -> impl Strategy<Value = Range> {
    prop_oneof![
        Just(Range::Latest),
        seq().prop_map(|seq| Range::Before { seq }),
        option::of(seq()).prop_map(|seq| Range::After { seq }),
        seq().prop_map(|seq| Range::Around { seq }),
        (seq(), seq()).prop_map(|(first, last)| Range::Between { first, last }),
        millis().prop_map(|time| Range::BeforeTime { time }),
        millis().prop_map(|time| Range::SinceTime { time }),
    ]
}

fn state_change() -> impl Strategy<Value = StateChange> {
    prop_oneof![
        (room_id(), any::<bool>()).prop_map(|(room, on)| StateChange::Typing { room, on }),
        text().prop_map(|text| StateChange::Away { text }),
        Just(StateChange::Back),
        text().prop_map(|name| StateChange::Name { name }),
    ]
}

fn question() -> impl Strategy<Value = Question> {
    prop_oneof![
        text().prop_map(|after| Question::Rooms { after }),
        (option::of(room_id()), option::of(person_id()))
            .prop_map(|(room, after)| Question::People { room, after }),
        text().prop_map(|name| Question::Whois { name }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        text().prop_map(|text| Action::Topic { text }),
        person_id().prop_map(|person| Action::Invite { person }),
        (person_id(), text()).prop_map(|(person, reason)| Action::Kick { person, reason }),
        (person_id(), any::<u64>(), text()).prop_map(|(person, ms, reason)| Action::Ban {
            person,
            ms,
            reason
        }),
        person_id().prop_map(|person| Action::Unban { person }),
        (person_id(), any::<u64>()).prop_map(|(person, ms)| Action::Mute { person, ms }),
        person_id().prop_map(|person| Action::Unmute { person }),
        (person_id(), any::<u8>()).prop_map(|(person, role)| Action::Role { person, role }),
    ]
}

fn rooms_change() -> impl Strategy<Value = RoomsChange> {
    prop_oneof![
        Just(RoomsChange::All),
        Just(RoomsChange::Added),
        Just(RoomsChange::Changed),
        Just(RoomsChange::Removed),
    ]
}

fn room_kind() -> impl Strategy<Value = RoomKind> {
    prop_oneof![
        Just(RoomKind::Public),
        person_id().prop_map(|peer| RoomKind::Direct { peer }),
    ]
}

fn trim_reason() -> impl Strategy<Value = TrimReason> {
    prop_oneof![Just(TrimReason::Trimmed), Just(TrimReason::NewHistory)]
}

fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![
        Just(Durability::Memory),
        Just(Durability::Process),
        Just(Durability::Disk),
    ]
}

fn presence() -> impl Strategy<Value = Presence> {
    any::<[bool; 4]>().prop_map(|[online, away, typing, guest]| Presence {
        online,
        away,
        typing,
        guest,
    })
}

fn roster_item() -> impl Strategy<Value = RosterItem> {
    (person_id(), text(), presence(), text()).prop_map(|(person, name, presence, away)| RosterItem {
        person,
        name,
        presence,
        away,
    })
}

fn room_listing() -> impl Strategy<Value = RoomListing> {
    (room_id(), text(), text(), any::<u32>(), any::<u32>()).prop_map(
        |(room, name, topic, members, online)| RoomListing {
            room,
            name,
            topic,
            members,
            online,
        },
    )
}

fn room_info() -> impl Strategy<Value = RoomInfo> {
    let names = (room_id(), room_kind(), text(), text());
    let numbers = (
        seq(),
        option::of(seq()),
        option::of(seq()),
        any::<u32>(),
        any::<u32>(),
    );
    (names, numbers).prop_map(
        |((room, kind, name, topic), (oldest, newest, read, unread, mentions))| RoomInfo {
            room,
            kind,
            name,
            topic,
            oldest,
            newest,
            read,
            unread,
            mentions,
        },
    )
}

fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![
        Just(Revision::Original),
        Just(Revision::Edited),
        Just(Revision::Deleted),
    ]
}

pub fn entry() -> impl Strategy<Value = Entry> {
    let place = (seq(), millis(), millis());
    let author = (
        option::of(person_id()),
        text(),
        option::of(device_no()),
        option::of(counter()),
    );
    let content = (entry_kind(), revision(), option::of(seq()), body());
    (place, author, content).prop_map(
        |((seq, time, written), (person, name, device, counter), (kind, revision, reply_to, body))| Entry {
            seq,
            time,
            written,
            person,
            name,
            device,
            counter,
            kind,
            revision,
            reply_to,
            body,
        },
    )
}

fn found() -> impl Strategy<Value = Found> {
    (room_id(), entry()).prop_map(|(room, entry)| Found { room, entry })
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Done),
        vec(room_listing(), 0..4).prop_map(|rooms| Reply::Rooms { rooms }),
        vec(roster_item(), 0..4).prop_map(|people| Reply::People { people }),
        (roster_item(), vec(text(), 0..4), millis(), text()).prop_map(|(person, rooms, seen, agent)| {
            Reply::Whois {
                person,
                rooms,
                seen,
                agent,
            }
        }),
        text().prop_map(|name| Reply::Named { name }),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let sizes = (any::<u32>(), any::<u32>(), any::<u32>());
    let window = (any::<u16>(), any::<u32>());
    let times = (any::<u32>(), any::<u32>(), any::<u64>());
    (sizes, window, times).prop_map(
        |((frame, body, chunk), (window_posts, window_bytes), (ping_after_ms, dead_after_ms, file))| Limits {
            frame,
            body,
            chunk,
            window_posts,
            window_bytes,
            ping_after_ms,
            dead_after_ms,
            file,
        },
    )
}

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
            device: any::<[u8; 16]>().prop_map(DeviceId),
            proof: proof(),
            purpose: purpose(),
            name: text(),
            agent: text(),
        }),
        message!(Join {
            req: req(),
            name: text()
        }),
        message!(Part {
            req: req(),
            room: room_id()
        }),
        message!(Open {
            req: req(),
            room: room_id(),
            from: open_from()
        }),
        message!(Close {
            req: req(),
            room: room_id()
        }),
        message!(Post {
            counter: counter(),
            target: target(),
            kind: entry_kind(),
            reply_to: option::of(seq()),
            written: millis(),
            body: body(),
        }),
        message!(Fetch {
            req: req(),
            room: room_id(),
            range: range(),
            limit: any::<u16>()
        }),
        message!(Search {
            req: req(),
            room: option::of(room_id()),
            words: text(),
            limit: any::<u16>()
        }),
        message!(Mark {
            req: req(),
            room: room_id(),
            seq: seq()
        }),
        message!(State {
            req: req(),
            change: state_change()
        }),
        message!(Ask {
            req: req(),
            question: question()
        }),
        message!(Do {
            req: req(),
            room: room_id(),
            action: action()
        }),
        message!(Ping { nonce: any::<u64>() }),
        Just(Bye {}).boxed(),
        message!(Put {
            req: req(),
            transfer: any::<[u8; 16]>().prop_map(TransferId),
            target: target(),
            size: any::<u64>(),
            name: text(),
        }),
        message!(Chunk {
            req: req(),
            offset: any::<u64>(),
            data: blob()
        }),
        message!(Done {
            req: req(),
            hash: content_hash()
        }),
        message!(Drop { req: req() }),
        message!(Get {
            req: req(),
            hash: content_hash(),
            offset: any::<u64>(),
            credit: any::<u32>()
        }),
        message!(Grant {
            req: req(),
            bytes: any::<u32>()
        }),
        message!(Fetched {
            req: req(),
            room: room_id(),
            seq: seq()
        }),
    ]
}

/// Every message that the server can send, each as often as the others.
pub fn server_msg() -> impl Strategy<Value = ServerMsg> {
    Union::new(server_msgs())
}

fn server_msgs() -> Vec<BoxedStrategy<ServerMsg>> {
    use ServerMsg::*;
    let welcome_about_the_person = (
        any::<u16>(),
        any::<u64>(),
        limits(),
        person_id(),
        text(),
        device_no(),
        option::of(counter()),
    );
    let welcome_about_the_log = (epoch(), durability(), millis(), text(), text());
    let welcome = (welcome_about_the_person, welcome_about_the_log).prop_map(
        |(
            (version, features, limits, person, name, device, last_counter),
            (epoch, durability, time, storage, motd),
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
        message!(Ack {
            counter: counter(),
            room: option::of(room_id()),
            seq: option::of(seq())
        }),
        message!(Entries {
            room: room_id(),
            entries: vec(entry(), 0..4)
        }),
        message!(Page {
            req: req(),
            more: any::<bool>(),
            found: vec(found(), 0..4)
        }),
        message!(Trimmed {
            room: room_id(),
            reason: trim_reason(),
            first: seq()
        }),
        message!(Roster {
            room: room_id(),
            version: any::<u64>(),
            snapshot: any::<bool>(),
            more: any::<bool>(),
            online: any::<u32>(),
            members: any::<u32>(),
            people: vec(roster_item(), 0..4),
        }),
        message!(Answer {
            req: req(),
            more: any::<bool>(),
            reply: reply()
        }),
        message!(Error {
            code: any::<u16>(),
            about: any::<u8>(),
            req: any::<u64>(),
            close: any::<bool>(),
            detail: any::<u64>(),
            text: text(),
        }),
        message!(Pong {
            nonce: any::<u64>(),
            time: millis()
        }),
        message!(GoAway {
            after_ms: any::<u32>(),
            text: text()
        }),
        message!(PutAt {
            req: req(),
            offset: any::<u64>(),
            credit: any::<u32>()
        }),
        message!(Data {
            req: req(),
            offset: any::<u64>(),
            data: blob()
        }),
        message!(Credit {
            req: req(),
            bytes: any::<u32>()
        }),
        message!(End {
            req: req(),
            size: any::<u64>(),
            hash: content_hash()
        }),
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
    File {
        from: String,
        name: String,
        content: Vec<u8>,
    },
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
    prop_oneof![
        vec(any::<u8>(), 0..300),
        vec(frame, 0..6).prop_map(|frames| frames.concat())
    ]
}

/// The claim of each strategy above: that it makes every message of its direction.
#[test]
fn every_message_has_a_strategy() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut made = |count: usize, ty: &mut dyn FnMut(&mut proptest::test_runner::TestRunner, usize) -> u8| {
        (0..count).map(|at| ty(&mut runner, at)).collect::<Vec<_>>()
    };
    let clients = client_msgs();
    let types = made(clients.len(), &mut |runner, at| {
        clients[at].new_tree(runner).unwrap().current().ty()
    });
    assert_eq!(types, ClientMsg::TYPES);
    let servers = server_msgs();
    let types = made(servers.len(), &mut |runner, at| {
        servers[at].new_tree(runner).unwrap().current().ty()
    });
    assert_eq!(types, ServerMsg::TYPES);
}
