//! Long random histories: whatever happens, a store answers as the naive model does.

use super::model::{Model, rooms};
use super::posts::{by, found, from, in_room, naming, person, room, seq, text};
use super::{FOREVER, StoreFactory, block_on};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use protocol::entry::EntryKind;
use protocol::id::Millis;
use protocol::message::Range;
use server::store::{Batch, Change, Commit, Keep, NewEntry, Query, Store};

#[derive(Clone, Debug)]
enum Op {
    /// Posts and changes are committed.
    Append(Vec<Said>, Vec<Change>),
    /// The store is closed and opened.
    Reopen,
    /// Entries are read.
    Read { room: u64, range: Range, limit: usize, bytes: usize },
    /// Entries are searched.
    Search { rooms: u64, words: &'static str, before: Option<(u64, u64)>, limit: usize, bytes: usize },
}

/// A post, without what follows from those before it.
#[derive(Clone, Debug)]
struct Said {
    author: u64,
    room: u64,
    kind: EntryKind,
    target: u64,
    words: Vec<&'static str>,
    named: Vec<u64>,
    numbered: bool,
}

/// Words of texts and of searches. Some of them are the beginnings of others.
const WORDS: [&str; 12] =
    ["tea", "teapot", "Über", "uber", "é", "42", "foo-bar", "x", "日本", "日本語", "語", "x日本"];

fn said() -> impl Strategy<Value = Said> {
    let kind = prop_oneof![
        6 => Just(EntryKind::Text),
        1 => Just(EntryKind::Action),
        1 => Just(EntryKind::Topic),
        1 => Just(EntryKind::Opaque),
        3 => Just(EntryKind::Edit),
        2 => Just(EntryKind::Delete),
    ];
    let words = vec(prop::sample::select(&WORDS[..]), 0..6);
    let named = prop::sample::subsequence(vec![1, 2, 3, 4], 0..3);
    (1..=3u64, 1..=2u64, kind, 1..40u64, words, named, any::<bool>()).prop_map(
        |(author, room, kind, target, words, named, numbered)| Said {
            author,
            room,
            kind,
            target,
            words,
            named,
            numbered,
        },
    )
}

fn a_change() -> impl Strategy<Value = Change> {
    let (n, who) = (1..=2u64, 1..=3u64);
    let bound = |most: u64| prop::option::of(0..most);
    prop_oneof![
        (n.clone(), who.clone(), any::<bool>()).prop_map(|(n, who, joined)| Change::Member {
            room: room(n),
            person: person(who),
            joined
        }),
        (n.clone(), who, 1..30u64).prop_map(|(n, who, to)| Change::Mark {
            room: room(n),
            person: person(who),
            seq: seq(to)
        }),
        (n, bound(300), bound(30), bound(4_000)).prop_map(|(n, since, count, bytes)| {
            let keep = Keep { since: since.map(Millis), count, bytes };
            Change::Trim { room: room(n), keep }
        }),
    ]
}

fn range() -> impl Strategy<Value = Range> {
    let (number, time) = (1..60u64, 0..400u64);
    prop_oneof![
        Just(Range::Latest),
        number.clone().prop_map(|n| Range::Before { seq: seq(n) }),
        (0..60u64).prop_map(|n| Range::After { seq: protocol::id::Seq::new(n) }),
        number.clone().prop_map(|n| Range::Around { seq: seq(n) }),
        (number.clone(), number).prop_map(|(a, b)| Range::Between { first: seq(a), last: seq(b) }),
        time.clone().prop_map(|n| Range::BeforeTime { time: Millis(n) }),
        time.prop_map(|n| Range::SinceTime { time: Millis(n) }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let queries =
        &["tea", "TE*", "über", "E", "4*", "foo bar", "bar", "foo-b*", "tea x", "x*", "foo-bar tea", "?"];
    let limit = prop_oneof![1..6usize, 1..100usize];
    let bytes = prop_oneof![0..2_000usize, Just(100_000usize)];
    prop_oneof![
        6 => (vec(said(), 0..12), vec(a_change(), 0..2)).prop_map(|(posts, changes)| Op::Append(posts, changes)),
        1 => Just(Op::Reopen),
        4 => (1..=3u64, range(), limit.clone(), bytes.clone())
            .prop_map(|(room, range, limit, bytes)| Op::Read { room, range, limit, bytes }),
        2 => (0..4u64, prop::sample::select(&queries[..]), prop::option::of((1..=2u64, 1..40u64)), limit, bytes)
            .prop_map(|(rooms, words, before, limit, bytes)| Op::Search { rooms, words, before, limit, bytes }),
    ]
}

/// Turns what was said into posts: time and counters only grow.
#[derive(Debug, Default)]
struct Clock {
    time: u64,
    counters: [u64; 4],
}

impl Clock {
    fn post(&mut self, said: &Said) -> NewEntry {
        self.time += 3;
        let body = if said.kind == EntryKind::Delete { String::new() } else { said.words.join(" ") };
        let reply_to = said.kind_refers().then(|| seq(said.target));
        let entry = NewEntry {
            kind: said.kind,
            reply_to,
            time: Millis(self.time),
            body: Bytes::from(body),
            ..naming(&said.named, in_room(said.room, by(said.author, text(""))))
        };
        if !said.numbered {
            return entry;
        }
        let counter = &mut self.counters[usize::try_from(said.author).unwrap()];
        *counter += 1;
        from(said.author, *counter, entry)
    }
}

impl Said {
    fn kind_refers(&self) -> bool {
        matches!(self.kind, EntryKind::Edit | EntryKind::Delete)
    }
}

/// Holds a store to the model, over many histories.
pub fn check<F: StoreFactory>(factory: impl Fn() -> F) {
    let cases = Config::default().cases.min(if cfg!(debug_assertions) { 96 } else { 256 });
    let mut runner = TestRunner::new(Config { cases, source_file: Some(file!()), ..Config::default() });
    let histories = vec(op(), 1..40);
    let hold = |ops: Vec<Op>| {
        run(&mut factory(), &ops);
        Ok(())
    };
    runner.run(&histories, hold).unwrap();
}

fn run<F: StoreFactory>(factory: &mut F, ops: &[Op]) {
    let (mut store, mut model, mut clock) = (factory.create(), Model::default(), Clock::default());
    let founding = Batch { posts: Vec::new(), changes: found() };
    assert_eq!(block_on(store.append(founding.clone())).unwrap(), model.append(&founding));
    for op in ops {
        match op {
            Op::Append(posts, changes) => {
                let posts = posts.iter().map(|said| clock.post(said)).collect();
                let batch = Batch { posts, changes: changes.clone() };
                let commit = block_on(store.append(batch.clone())).unwrap();
                assert_eq!(Commit { erasure: None, ..commit }, model.append(&batch), "{batch:?}");
                check_snapshot(&store, &model);
            }
            Op::Reopen => {
                store = factory.reopen(store);
                check_snapshot(&store, &model);
            }
            Op::Read { room: n, range, limit, bytes } => {
                let read = block_on(store.read(room(*n), range.clone(), *limit, *bytes)).unwrap();
                assert_eq!(read, model.read(room(*n), range, *limit, *bytes), "{op:?}");
            }
            Op::Search { rooms, words, before, limit, bytes } => {
                let rooms = (1..=2).filter(|n| rooms >> (n - 1) & 1 == 1).map(room).collect();
                let before = before.map(|(n, to)| (room(n), seq(to)));
                let query = Query {
                    rooms,
                    words: (*words).to_owned(),
                    before,
                    limit: *limit,
                    bytes: *bytes,
                    ms: FOREVER,
                    comes_last: false,
                };
                factory.settle(&store);
                assert_eq!(block_on(store.search(query.clone())).unwrap(), model.search(&query), "{query:?}");
            }
        }
    }
}

fn check_snapshot<S: Store>(store: &S, model: &Model) {
    let known = block_on(store.load()).unwrap();
    for (stored, room) in known.rooms.iter().zip(rooms()) {
        let read: Vec<_> = stored.members.iter().map(|member| (member.person, member.read)).collect();
        assert_eq!(read, model.members(room));
        for member in &stored.members {
            assert_eq!(
                member.mentions,
                model.mentions(room, member.person),
                "of {} in {room}",
                member.person
            );
        }
        assert_eq!(store.oldest(room), model.oldest(room));
    }
}
