//! Strategies for the parts of messages: numbers, texts, choices, entries.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{
    BlockValue, ContentHash, Counter, DeviceId, DeviceNo, Epoch, Millis, PersonId, Req, RoomId, RunId, Seq,
    ServerId, TransferId,
};
use protocol::limits::MAX_NUMBER;
use protocol::message::{
    Action, Attempt, Blob, Durability, FileListing, FileState, Found, Limits, OpenFrom, Order, Outcome,
    PersonRecord, Presence, Proof, Purpose, Question, Range, Reply, RoomInfo, RoomKind, RoomListing,
    RoomRecord, RoomsChange, RosterItem, Secret, Shape, Source, StateChange, Target, TrimReason,
};

/// The ends of the range often, everything else sometimes.
pub fn number() -> impl Strategy<Value = u64> + Clone {
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
    (0..=MAX_NUMBER).prop_map(Millis)
}

pub fn epoch() -> impl Strategy<Value = Epoch> {
    any::<[u8; 16]>().prop_map(Epoch)
}

pub fn server_id() -> impl Strategy<Value = ServerId> {
    any::<[u8; 16]>().prop_map(ServerId)
}

pub fn device_id() -> impl Strategy<Value = DeviceId> {
    any::<[u8; 16]>().prop_map(DeviceId)
}

pub fn transfer_id() -> impl Strategy<Value = TransferId> {
    any::<[u8; 16]>().prop_map(TransferId)
}

pub fn content_hash() -> impl Strategy<Value = ContentHash> {
    any::<[u8; 32]>().prop_map(ContentHash)
}

pub fn block_value() -> impl Strategy<Value = BlockValue> {
    any::<[u8; 32]>().prop_map(BlockValue)
}

pub fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        content_hash().prop_map(|hash| Source::Content { hash }),
        transfer_id().prop_map(|transfer| Source::Transfer { transfer }),
    ]
}

pub fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::File), Just(Shape::Folder), (2..=u8::MAX).prop_map(Shape::Other)]
}

pub fn file_state() -> impl Strategy<Value = FileState> {
    prop_oneof![
        any::<u64>().prop_map(|bytes| FileState::Offered { bytes }),
        Just(FileState::Here),
        Just(FileState::Gone),
    ]
}

pub fn file_listing() -> impl Strategy<Value = FileListing> {
    let entry = (seq(), millis(), person_id(), text(), text(), any::<u64>());
    let rest = (source(), shape(), file_state(), millis(), any::<u32>(), any::<u32>());
    (entry, rest).prop_map(
        |((seq, time, person, sender, name, size), (source, shape, state, expires, fetched, members))| {
            FileListing {
                seq,
                time,
                person,
                sender,
                name,
                size,
                source,
                shape,
                state,
                expires,
                fetched,
                members,
            }
        },
    )
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

pub fn blob() -> impl Strategy<Value = Blob> {
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

pub fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![
        Just(Proof::None),
        any::<[u8; 32]>().prop_map(|secret| Proof::Secret { secret: Secret(secret) }),
    ]
}

pub fn attempt() -> impl Strategy<Value = Attempt> {
    (any::<[u8; 16]>(), any::<u32>(), any::<[bool; 2]>()).prop_map(|(run, number, [only_if_free, errand])| {
        Attempt { run: RunId(run), number, only_if_free, errand }
    })
}

pub fn purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![Just(Purpose::Chat), Just(Purpose::Bulk)]
}

pub fn open_from() -> impl Strategy<Value = OpenFrom> {
    prop_oneof![
        Just(OpenFrom::Now),
        any::<u16>().prop_map(|count| OpenFrom::Last { count }),
        (epoch(), option::of(seq())).prop_map(|(epoch, seq)| OpenFrom::After { epoch, seq }),
    ]
}

pub fn range() -> impl Strategy<Value = Range> {
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

pub fn state_change() -> impl Strategy<Value = StateChange> {
    prop_oneof![
        (room_id(), any::<bool>()).prop_map(|(room, on)| StateChange::Typing { room, on }),
        text().prop_map(|text| StateChange::Away { text }),
        Just(StateChange::Back),
        text().prop_map(|name| StateChange::Name { name }),
    ]
}

pub fn question() -> impl Strategy<Value = Question> {
    prop_oneof![
        text().prop_map(|after| Question::Rooms { after }),
        (option::of(room_id()), option::of(person_id()))
            .prop_map(|(room, after)| Question::People { room, after }),
        text().prop_map(|name| Question::Whois { name }),
        (room_id(), option::of(seq())).prop_map(|(room, before)| Question::Files { room, before }),
        option::of(person_id()).prop_map(|after| Question::Blocks { after }),
    ]
}

pub fn action() -> impl Strategy<Value = Action> {
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
        person_id().prop_map(|person| Action::Block { person }),
        person_id().prop_map(|person| Action::Unblock { person }),
    ]
}

pub fn rooms_change() -> impl Strategy<Value = RoomsChange> {
    prop_oneof![
        Just(RoomsChange::All),
        Just(RoomsChange::Added),
        Just(RoomsChange::Changed),
        Just(RoomsChange::Removed),
    ]
}

pub fn room_kind() -> impl Strategy<Value = RoomKind> {
    prop_oneof![Just(RoomKind::Public), person_id().prop_map(|peer| RoomKind::Direct { peer }),]
}

pub fn trim_reason() -> impl Strategy<Value = TrimReason> {
    prop_oneof![Just(TrimReason::Trimmed), Just(TrimReason::NewHistory)]
}

pub fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![Just(Durability::Memory), Just(Durability::Process), Just(Durability::Disk),]
}

pub fn presence() -> impl Strategy<Value = Presence> {
    any::<[bool; 5]>().prop_map(|[online, away, typing, guest, errand]| Presence {
        online,
        away,
        typing,
        guest,
        errand,
    })
}

pub fn roster_item() -> impl Strategy<Value = RosterItem> {
    (person_id(), text(), presence(), text()).prop_map(|(person, name, presence, away)| RosterItem {
        person,
        name,
        presence,
        away,
    })
}

pub fn room_listing() -> impl Strategy<Value = RoomListing> {
    (room_id(), text(), text(), any::<u32>(), any::<u32>())
        .prop_map(|(room, name, topic, members, online)| RoomListing { room, name, topic, members, online })
}

pub fn room_info() -> impl Strategy<Value = RoomInfo> {
    let names = (room_id(), room_kind(), text(), text());
    let numbers = (seq(), option::of(seq()), option::of(seq()), any::<u32>(), any::<u32>());
    (names, numbers).prop_map(|((room, kind, name, topic), (oldest, newest, read, unread, mentions))| {
        RoomInfo { room, kind, name, topic, oldest, newest, read, unread, mentions }
    })
}

pub fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![Just(Revision::Original), Just(Revision::Edited), Just(Revision::Deleted),]
}

pub fn entry() -> impl Strategy<Value = Entry> {
    let place = (seq(), millis(), millis());
    let author = (option::of(person_id()), text(), option::of(device_no()), option::of(counter()));
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

pub fn found() -> impl Strategy<Value = Found> {
    (room_id(), entry()).prop_map(|(room, entry)| Found { room, entry })
}

pub fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Done),
        vec(room_listing(), 0..4).prop_map(|rooms| Reply::Rooms { rooms }),
        vec(roster_item(), 0..4).prop_map(|people| Reply::People { people }),
        (roster_item(), vec(text(), 0..4), millis(), text())
            .prop_map(|(person, rooms, seen, agent)| { Reply::Whois { person, rooms, seen, agent } }),
        text().prop_map(|name| Reply::Named { name }),
        vec(file_listing(), 0..4).prop_map(|files| Reply::Files { files }),
    ]
}

pub fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        option::of(person_id()).prop_map(|after| Order::People { after }),
        text().prop_map(|name| Order::Person { name }),
        option::of(room_id()).prop_map(|after| Order::Rooms { after }),
        text().prop_map(|name| Order::Room { name }),
        person_id().prop_map(|person| Order::RemovePerson { person }),
        room_id().prop_map(|room| Order::EndRoom { room }),
    ]
}

fn person_record() -> impl Strategy<Value = PersonRecord> {
    (person_id(), text(), presence(), millis(), any::<u32>()).prop_map(
        |(person, name, presence, seen, rooms)| PersonRecord { person, name, presence, seen, rooms },
    )
}

fn room_record() -> impl Strategy<Value = RoomRecord> {
    let counts = (any::<u32>(), any::<u32>(), any::<u64>(), millis());
    (room_id(), text(), any::<bool>(), counts).prop_map(
        |(room, name, direct, (members, online, entries, time))| RoomRecord {
            room,
            name,
            direct,
            members,
            online,
            entries,
            time,
        },
    )
}

pub fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Done),
        vec(person_record(), 0..4).prop_map(|people| Outcome::People { people }),
        (person_record(), text(), any::<u32>(), vec(text(), 0..4), vec(text(), 0..4)).prop_map(
            |(person, agent, devices, addresses, rooms)| Outcome::Person {
                person,
                agent,
                devices,
                addresses,
                rooms
            }
        ),
        vec(room_record(), 0..4).prop_map(|rooms| Outcome::Rooms { rooms }),
        (room_record(), text(), vec(roster_item(), 0..4)).prop_map(|(room, topic, people)| Outcome::Room {
            room,
            topic,
            people
        }),
    ]
}

pub fn limits() -> impl Strategy<Value = Limits> {
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
