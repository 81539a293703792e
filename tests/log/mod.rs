//! The pure core of a room (store, tail, cursors, outlets) against a naive model: a `Vec` of what was said.
//!
//! Readers' sockets take only as many bytes as the test grants, so every partial write, every lag behind
//! the tail and every trimmed history comes up; what each reader was given is decoded and compared.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod pipe;
mod reader;

use bytes::Bytes;
use pipe::block_on;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use protocol::entry::EntryKind;
use protocol::id::{Counter, DeviceNo, Epoch, Millis, PersonId, RoomId, Seq};
use reader::Reader;
use server::limits::Portions;
use server::log::{Next, RoomLog, View};
use server::store::{Batch, Change, Keep, MemoryLimits, MemoryStore, NewEntry, Oldest, Store};
use server::voice::Label;
use std::sync::Arc;

const READERS: usize = 3;

/// The last of them speaks the classic dialect.
const CLASSIC: usize = READERS - 1;

/// How far back edits and deletes reach: what they change is still kept, whatever is trimmed.
const REACH: usize = 6;

/// What was said. Entry i has the number i + 1.
#[derive(Clone, Debug, Default)]
struct Said(Vec<Line>);

/// One entry, and all that it ever said: a reader may have been given any of it.
#[derive(Clone, Debug)]
struct Line {
    author: u64,
    what: What,
    /// The last one is what it says now; empty once it is deleted.
    versions: Vec<Bytes>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Text,
    /// Of the entry with this index.
    Edit(usize),
    /// Of the entry with this index.
    Delete(usize),
}

impl Line {
    fn is_deleted(&self) -> bool {
        self.versions.last().is_some_and(Bytes::is_empty)
    }
}

impl Said {
    fn say(&mut self, author: u64, len: u16) {
        let versions = vec![body(self.0.len(), len)];
        self.0.push(Line { author, what: What::Text, versions });
    }

    /// The author of one of the newest texts changes it, or (without a length) deletes it.
    fn revise(&mut self, back: usize, len: Option<u16>) {
        let from = self.0.len().saturating_sub(REACH);
        let is_there = |at: &usize| self.0[*at].what == What::Text && !self.0[*at].is_deleted();
        let Some(target) = (from..self.0.len()).rev().filter(is_there).nth(back) else { return };
        let author = self.0[target].author;
        let Some(len) = len else {
            let edits = |(at, line): &(usize, &mut Line)| *at == target || line.what == What::Edit(target);
            self.0
                .iter_mut()
                .enumerate()
                .filter(edits)
                .for_each(|(_, line)| line.versions.push(Bytes::new()));
            return self.0.push(Line { author, what: What::Delete(target), versions: vec![Bytes::new()] });
        };
        let text = body(self.0.len(), len);
        self.0[target].versions.push(text.clone());
        self.0.push(Line { author, what: What::Edit(target), versions: vec![text] });
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// A batch is committed and offered to all readers.
    Append(Vec<(u64, u16)>),
    /// The same with a text, edits (with a length) and deletes of the newest texts, so many texts back.
    Revise((u64, u16), Vec<(usize, Option<u16>)>),
    /// Only so many entries are kept.
    Trim(u64),
    /// A reader connects again, after its last entry.
    Resume(usize),
    /// A reader connects as if for the first time, before the oldest entry.
    Restart(usize),
    /// A reader's socket takes so many bytes more.
    Grant(usize, usize),
    /// The room has been quiet: its tail is dropped from memory.
    ForgetTail,
    /// The server restarts with an empty store.
    Crash,
}

struct Model;

impl ReferenceStateMachine for Model {
    type State = Said;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Said> {
        Just(Said::default()).boxed()
    }

    fn transitions(_: &Said) -> BoxedStrategy<Op> {
        let small = prop::collection::vec((1..4u64, 1..200u16), 1..20);
        let large = prop::collection::vec((1..4u64, 1..16_000u16), 1..12);
        prop_oneof![
            8 => small.prop_map(Op::Append),
            2 => large.prop_map(Op::Append),
            3 => ((1..4u64, 1..200u16), prop::collection::vec((0..3usize, prop::option::of(1..16_000u16)), 1..5))
                .prop_map(|(text, revisions)| Op::Revise(text, revisions)),
            1 => (REACH as u64..40).prop_map(Op::Trim),
            2 => (0..READERS).prop_map(Op::Resume),
            1 => (0..READERS).prop_map(Op::Restart),
            8 => (0..READERS, prop_oneof![1..40usize, 40..5_000usize, 5_000..200_000usize])
                .prop_map(|(reader, bytes)| Op::Grant(reader, bytes)),
            1 => Just(Op::ForgetTail),
            1 => Just(Op::Crash),
        ]
        .boxed()
    }

    fn apply(mut said: Said, op: &Op) -> Said {
        match op {
            Op::Append(batch) => batch.iter().for_each(|(author, len)| said.say(*author, *len)),
            Op::Revise((author, len), revisions) => {
                said.say(*author, *len);
                revisions.iter().for_each(|(back, len)| said.revise(*back, *len));
            }
            Op::Crash => said.0.clear(),
            Op::Resume(_) | Op::Restart(_) | Op::Grant(..) | Op::ForgetTail | Op::Trim(_) => {}
        }
        said
    }
}

/// The real thing.
struct Core {
    store: MemoryStore,
    log: Arc<RoomLog>,
    readers: Vec<Reader>,
    /// Entries that were appended.
    len: usize,
}

fn entry(at: usize, line: &Line) -> NewEntry {
    let (kind, target) = match line.what {
        What::Text => (EntryKind::Text, None),
        What::Edit(target) => (EntryKind::Edit, Some(target)),
        What::Delete(target) => (EntryKind::Delete, Some(target)),
    };
    NewEntry {
        room: RoomId::FIRST,
        time: Millis(1_000),
        written: Millis(0),
        person: PersonId::new(line.author),
        name: format!("p{}", line.author),
        origin: DeviceNo::new(line.author).zip(Counter::new(at as u64 + 1)),
        kind,
        reply_to: target.and_then(|target| Seq::new(target as u64 + 1)),
        body: line.versions[0].clone(),
        mentions: Vec::new(),
    }
}

/// A text that is different for each entry.
fn body(at: usize, len: u16) -> Bytes {
    let text = format!("{at}:");
    text.bytes().chain(std::iter::repeat(b'x')).take(usize::from(len).max(text.len())).collect()
}

impl Core {
    fn new(epoch: u8, readers: Vec<Reader>) -> Self {
        // Small enough that the oldest entries are trimmed while somebody still wants them.
        let limits = MemoryLimits { room: 150_000, total: 1 << 20 };
        let store = MemoryStore::new(Epoch([epoch; 16]), limits);
        let log =
            Arc::new(RoomLog::new(RoomId::FIRST, Label::Room("lobby".into()), None, Portions::default()));
        Self { store, log, readers, len: 0 }
    }

    /// Appends what the model has more than this.
    fn append(&mut self, said: &Said) {
        let from = std::mem::replace(&mut self.len, said.0.len());
        let posts: Vec<_> = said.0.iter().enumerate().skip(from).map(|(at, line)| entry(at, line)).collect();
        let batch = Batch { posts: posts.clone(), changes: Vec::new() };
        let commit = block_on(self.store.append(batch)).unwrap();
        let numbers: Vec<_> = commit.posts.into_iter().map(Result::unwrap).collect();
        let expected: Vec<_> = (from..said.0.len()).map(|at| Seq::new(at as u64 + 1).unwrap()).collect();
        assert_eq!(numbers, expected, "numbers are gapless");
        let revisions: Vec<_> = posts.iter().filter(|post| post.revises()).cloned().collect();
        let entries = posts.iter().zip(numbers).map(|(post, seq)| post.numbered(seq)).collect();
        self.log.publish(entries, &revisions);
        self.readers.iter_mut().for_each(Reader::offer);
    }

    fn trim(&mut self, count: u64) {
        let keep = Keep { count: Some(count), ..Keep::default() };
        let changes = vec![Change::Trim { room: RoomId::FIRST, keep }];
        let commit = block_on(self.store.append(Batch { posts: Vec::new(), changes })).unwrap();
        commit.trimmed.into_iter().for_each(|(_, first)| self.log.trim(first));
    }

    fn pump(&mut self) {
        let store = self.store.clone();
        self.readers.iter_mut().for_each(|reader| reader.pump(&store));
    }
}

struct Test;

impl StateMachineTest for Test {
    type SystemUnderTest = Core;
    type Reference = Model;

    fn init_test(_: &Said) -> Core {
        let mut core = Core::new(0, Vec::new());
        core.readers = (0..READERS).map(|at| Reader::new(&core.log, at == CLASSIC)).collect();
        core
    }

    fn apply(mut core: Core, said: &Said, op: Op) -> Core {
        match op {
            Op::Append(_) | Op::Revise(..) => core.append(said),
            Op::Trim(count) => core.trim(count),
            Op::Resume(at) => core.readers[at].resume(&core.log),
            Op::Restart(at) => core.readers[at].restart(&core.log, core.store.oldest(RoomId::FIRST)),
            Op::Grant(at, bytes) => core.readers[at].grant(bytes),
            Op::ForgetTail => core.log.forget_tail(),
            Op::Crash => {
                core = Core::new(1, Vec::new());
                core.readers = (0..READERS).map(|at| Reader::new(&core.log, at == CLASSIC)).collect();
            }
        }
        core.pump();
        core
    }

    fn check_invariants(core: &Core, said: &Said) {
        let oldest = core.store.oldest(RoomId::FIRST);
        core.readers.iter().for_each(|reader| reader.check(said, oldest));
    }

    fn teardown(mut core: Core, said: Said) {
        for reader in &mut core.readers {
            reader.grant(usize::MAX / 2);
        }
        core.pump();
        let oldest = core.store.oldest(RoomId::FIRST);
        for reader in &core.readers {
            reader.check(&said, oldest);
            assert_eq!(reader.expected(), said.0.len() as u64 + 1, "a reader that reads gets everything");
        }
        for reader in &mut core.readers {
            reader.restart(&core.log, oldest);
            reader.grant(usize::MAX / 2);
        }
        core.pump();
        core.readers[..CLASSIC].iter().for_each(|reader| reader.check_now(&said));
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_is_given_the_log_in_order_without_a_silent_gap(sequential 1..60 => Test);
}

#[test]
fn what_is_not_kept_any_more_is_not_given_from_memory() {
    let mut core = Core::new(0, Vec::new());
    let mut said = Said::default();
    (0..10).for_each(|_| said.say(1, 50));
    core.append(&said);
    (0..10).for_each(|_| said.say(2, 50));
    core.append(&said);
    core.trim(15);
    let read = |n| core.log.read(Seq::new(n).unwrap(), View::Native, usize::MAX);
    assert_eq!([read(1), read(5)], [Next::InStore, Next::InStore]);
    let Next::Pieces(pieces) = read(6) else { panic!("the rest is in memory") };
    assert_eq!(pieces.last().map(|piece| piece.next), Seq::new(21));
}
