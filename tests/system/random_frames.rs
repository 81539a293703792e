//! Random sequences of frames in every login state: nothing that a peer sends panics, and others are served beside it.
//!
//! `NATTER_SEQUENCES=1000000` tries as many. They are the same ones each time, so fewer and fewer of them find the one
//! that panics.

use super::harness::{Identity, Native, Raw, Server, all_of, bounded};
use crate::wire::arbitrary;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use protocol::classic::ClassicMsg;
use protocol::entry::EntryKind;
use protocol::id::{Counter, Millis, Req, RoomId, Seq};
use protocol::message::{Action, ClientMsg, OpenFrom, Question, Range, StateChange, Target};
use std::net::SocketAddr;

/// Sequences of the short form.
const FEW: usize = 3_000;

/// Sequences that are tried side by side.
const BESIDE: usize = 20;

/// Sequences between two looks at whether others are served.
const LOOK: usize = 1_000;

/// People and devices that come again and again: the same ones in other states.
const PEOPLE: usize = 200;

/// In what state the frames come.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing was said before.
    New,
    /// Somebody with a secret is logged in.
    Native,
    /// The same without a secret.
    Guest,
    /// For files.
    Bulk,
    /// In the classic dialect.
    Classic,
    /// Somebody has said that they leave.
    Leaving,
}

/// What is sent on one connection.
#[derive(Clone, Debug)]
struct Sequence {
    state: State,
    pieces: Vec<Vec<u8>>,
}

fn sequence() -> impl Strategy<Value = Sequence> {
    let states =
        [State::New, State::Native, State::Guest, State::Bulk, State::Classic, State::Leaving, State::Native];
    (select(states.to_vec()), vec(piece(), 1..10)).prop_map(|(state, pieces)| Sequence { state, pieces })
}

/// A whole frame, right or wrong, or a piece of one.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let any_msg = arbitrary::client_msg().prop_map(|msg| msg.encode().to_vec());
    let likely = likely().prop_map(|msg| msg.encode().to_vec());
    let classic =
        arbitrary::classic().prop_map(|said| said.msg().map(|msg| msg.encode().to_vec()).unwrap_or_default());
    let line = select(&["hi", "/join a", "/msg alice hi", "/history 5", "/search tea", "/quit", "/nope"][..]);
    let line = line.prop_map(|line| ClassicMsg::Text(line).encode().to_vec());
    let damaged =
        (arbitrary::client_msg(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(msg, at, byte)| {
            let mut bytes = msg.encode().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
            bytes
        });
    let cut = (arbitrary::client_msg(), any::<prop::sample::Index>()).prop_map(|(msg, at)| {
        let bytes = msg.encode();
        bytes[..at.index(bytes.len())].to_vec()
    });
    let typed = (any::<u8>(), arbitrary::noise()).prop_map(|(ty, noise)| {
        let mut bytes = u32::try_from(noise.len() + 1).expect("it is short").to_be_bytes().to_vec();
        bytes.push(ty);
        bytes.extend(noise);
        bytes
    });
    prop_oneof![
        8 => likely,
        4 => any_msg,
        2 => typed,
        2 => classic,
        2 => line,
        1 => damaged,
        1 => cut,
        1 => arbitrary::noise(),
    ]
}

/// What is about rooms, entries and people that are there.
fn likely() -> impl Strategy<Value = ClientMsg> {
    let req = (1_u32..5).prop_map(Req);
    let room = (1_u64..4).prop_map(|n| RoomId::new(n).expect("it begins at 1"));
    let seq = (1_u64..30).prop_map(|n| Seq::new(n).expect("it begins at 1"));
    let counter = (1_u64..20).prop_map(|n| Counter::new(n).expect("it begins at 1"));
    let kind = select(vec![EntryKind::Text, EntryKind::Edit, EntryKind::Delete, EntryKind::Reaction]);
    let ranges = prop_oneof![
        Just(Range::Latest),
        seq.clone().prop_map(|seq| Range::Before { seq }),
        seq.clone().prop_map(|seq| Range::Around { seq }),
        (seq.clone(), seq.clone()).prop_map(|(first, last)| Range::Between { first, last }),
    ];
    let state = prop_oneof![
        (room.clone(), any::<bool>()).prop_map(|(room, on)| StateChange::Typing { room, on }),
        Just(StateChange::Away { text: "lunch".to_owned() }),
        Just(StateChange::Back),
        arbitrary::text().prop_map(|name| StateChange::Name { name }),
    ];
    let question = prop_oneof![
        Just(Question::People { room: None, after: None }),
        room.clone().prop_map(|room| Question::Files { room, before: None }),
        Just(Question::Whois { name: "alice".to_owned() }),
    ];
    prop_oneof![
        3 => (counter, room.clone(), kind, prop::option::of(seq.clone()), arbitrary::text()).prop_map(
            |(counter, room, kind, reply_to, text)| {
                let (target, body) = (Target::Room { room }, Bytes::from(text));
                ClientMsg::Post { counter, target, kind, reply_to, written: Millis(0), body }
            }
        ),
        1 => (req.clone(), select(&["lobby", "a", "b"][..]))
            .prop_map(|(req, name)| ClientMsg::Join { req, name: name.to_owned() }),
        1 => (req.clone(), room.clone()).prop_map(|(req, room)| ClientMsg::Part { req, room }),
        1 => (req.clone(), room.clone(), 0_u16..9)
            .prop_map(|(req, room, count)| ClientMsg::Open { req, room, from: OpenFrom::Last { count } }),
        1 => (req.clone(), room.clone()).prop_map(|(req, room)| ClientMsg::Close { req, room }),
        1 => (req.clone(), room.clone(), ranges, 0_u16..9)
            .prop_map(|(req, room, range, limit)| ClientMsg::Fetch { req, room, range, limit }),
        1 => (req.clone(), room.clone(), seq).prop_map(|(req, room, seq)| ClientMsg::Mark { req, room, seq }),
        1 => (req.clone(), state).prop_map(|(req, change)| ClientMsg::State { req, change }),
        1 => (req.clone(), question).prop_map(|(req, question)| ClientMsg::Ask { req, question }),
        1 => (req, room, arbitrary::text())
            .prop_map(|(req, room, text)| ClientMsg::Do { req, room: Some(room), action: Action::Topic { text } }),
    ]
}

/// What comes in front of the frames.
fn greeting(state: State, identity: &Identity) -> Vec<u8> {
    let join = ClassicMsg::Join("classic").encode();
    let bytes = match state {
        State::New => Bytes::new(),
        State::Native => identity.hello().encode(),
        State::Guest => Identity::guest("guest").hello().encode(),
        State::Bulk => identity.hello_bulk().encode(),
        State::Classic => join,
        State::Leaving => [identity.hello().encode(), ClientMsg::Bye {}.encode()].concat().into(),
    };
    bytes.to_vec()
}

/// Sends it on a connection of its own, and waits for that to end.
async fn send(server: SocketAddr, identity: &Identity, sequence: &Sequence) {
    let mut raw = Raw::connect_bulk(server).await;
    let mut bytes = greeting(sequence.state, identity);
    bytes.extend(sequence.pieces.concat());
    raw.send(&bytes).await;
    raw.finish().await;
    while raw.frame().await.is_some() {}
}

#[tokio::test]
async fn random_frames_in_every_login_state_panic_nothing_and_others_are_served() {
    let all = std::env::var("NATTER_SEQUENCES").map_or(FEW, |text| text.parse().expect("a number"));
    let patience = 120 + u64::try_from(all / 50).expect("it fits");
    bounded(patience, async {
        let mut server = Server::start().await;
        let mut runner = TestRunner::deterministic();
        let strategy = sequence();
        let people: Vec<_> = (0..PEOPLE).map(|n| Identity::new(&format!("somebody-{n}"))).collect();
        let mut tried = 0;
        while tried < all {
            let some: Vec<_> = (0..BESIDE.min(all - tried))
                .map(|_| strategy.new_tree(&mut runner).expect("sequences can be made").current())
                .collect();
            let sent = some.iter().zip(people.iter().cycle().skip(tried * 7 % PEOPLE));
            all_of(sent.map(|(sequence, identity)| send(server.addr(), identity, sequence))).await;
            tried += some.len();
            if tried % LOOK < BESIDE {
                let honest = Native::enter(server.addr(), &format!("honest-{tried}")).await;
                honest.say(honest.lobby(), "hello");
                honest.acked(1).await;
                honest.leave().await;
            }
        }
        let finished = server.stop().await;
        assert_eq!(finished.code, Some(0), "{}", finished.err);
        assert!(!finished.err.contains("panicked at"), "{}", finished.err);
        println!("{tried} sequences: no panic, and others were served");
    })
    .await;
}
