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
use server::block::Block;
use server::log::RoomLog;
use server::store::{Batch, MemoryLimits, MemoryStore, NewEntry, Oldest, Store};
use server::voice::Label;
use std::sync::Arc;

const READERS: usize = 3;

/// The last of them speaks the classic dialect.
const CLASSIC: usize = READERS - 1;

/// What was said: by whom, and how much. Entry i has the number i + 1.
#[derive(Clone, Debug, Default)]
struct Said(Vec<(u64, u16)>);

#[derive(Clone, Debug)]
enum Op {
    /// A batch is committed and offered to all readers.
    Append(Vec<(u64, u16)>),
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
            Op::Append(batch) => said.0.extend(batch),
            Op::Crash => said.0.clear(),
            Op::Resume(_) | Op::Restart(_) | Op::Grant(..) | Op::ForgetTail => {}
        }
        said
    }
}

/// The real thing.
struct Core {
    store: MemoryStore,
    log: Arc<RoomLog>,
    readers: Vec<Reader>,
}

fn entry(at: usize, author: u64, len: u16) -> NewEntry {
    NewEntry {
        room: RoomId::FIRST,
        time: Millis(1_000),
        written: Millis(0),
        person: PersonId::new(author),
        name: format!("p{author}"),
        origin: DeviceNo::new(author).zip(Counter::new(at as u64 + 1)),
        kind: EntryKind::Text,
        reply_to: None,
        body: body(at, len),
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
        let log = Arc::new(RoomLog::new(RoomId::FIRST, Label::Room("lobby".into()), None));
        Self { store, log, readers }
    }

    fn append(&mut self, said: &Said, batch: &[(u64, u16)]) {
        // The model has it already.
        let from = said.0.len() - batch.len();
        let posts: Vec<_> =
            batch.iter().enumerate().map(|(i, (author, len))| entry(from + i, *author, *len)).collect();
        let commit =
            block_on(self.store.append(Batch { posts: posts.clone(), changes: Vec::new() })).unwrap();
        let numbers: Vec<_> = commit.posts.into_iter().map(Result::unwrap).collect();
        let expected: Vec<_> = (from..said.0.len()).map(|at| Seq::new(at as u64 + 1).unwrap()).collect();
        assert_eq!(numbers, expected, "numbers are gapless");
        let entries: Vec<_> = posts.iter().zip(numbers).map(|(post, seq)| post.numbered(seq)).collect();
        self.log.push(Block::encode(RoomId::FIRST, &entries));
        self.readers.iter_mut().for_each(Reader::offer);
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
            Op::Append(batch) => core.append(said, &batch),
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
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_is_given_the_log_in_order_without_a_silent_gap(sequential 1..60 => Test);
}
