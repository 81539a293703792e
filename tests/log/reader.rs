//! A reader: the server's outlet for it, and what a client would make of the bytes.

use super::pipe::{Pipe, block_on};
use super::{Line, Said, What};
use protocol::classic::ClassicReply;
use protocol::frame::{Deframer, Item};
use protocol::id::{PersonId, Seq};
use protocol::limits::MAX_UNASKED;
use protocol::message::{ServerMsg, TrimReason};
use server::connection::read_lagging;
use server::log::{RoomLog, View};
use server::outlet::{Drained, Outlet};
use server::store::MemoryStore;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What a reader was given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    /// An entry, as its number and body.
    Entry(u64, Vec<u8>),
    /// History begins here.
    Trimmed(u64),
    /// Some lines are gone (classic: it is not told how many).
    SomeTrimmed,
}

/// One reader.
pub struct Reader {
    view: View,
    outlet: Outlet,
    pipe: Pipe,
    deframer: Deframer,
    /// What came since it connected.
    got: Vec<Got>,
    /// The number that it expects first since it connected.
    from: u64,
}

impl Reader {
    /// A reader of the whole log.
    pub fn new(log: &Arc<RoomLog>, classic: bool) -> Self {
        // The classic one is the author 1, whose own lines it is not given.
        let view = if classic { View::Classic { me: PersonId::FIRST, current: true } } else { View::Native };
        let pipe = Pipe::default();
        let outlet = Outlet::new(Box::pin(pipe.clone()), MAX_UNASKED);
        let deframer = Deframer::new(u32::MAX);
        let mut reader = Self { view, outlet, pipe, deframer, got: Vec::new(), from: 1 };
        reader.connect(log, 1);
        reader
    }

    fn connect(&mut self, log: &Arc<RoomLog>, from: u64) {
        self.pipe = Pipe::default();
        self.outlet = Outlet::new(Box::pin(self.pipe.clone()), MAX_UNASKED);
        self.deframer = Deframer::new(u32::MAX);
        self.got = Vec::new();
        self.from = from;
        let roster = log.end().roster.version();
        self.outlet.open(log.clone(), self.view, Seq::new(from).unwrap(), roster);
        self.offer();
    }

    /// Connects again after the last entry that came. A classic client does not know where that was.
    pub fn resume(&mut self, log: &Arc<RoomLog>) {
        let from = match self.view {
            View::Native => self.expected(),
            View::Classic { .. } => Seq::after(log.head()).value(),
        };
        self.connect(log, from);
    }

    /// Connects before the oldest entry.
    pub fn restart(&mut self, log: &Arc<RoomLog>, oldest: Seq) {
        self.connect(log, oldest.value());
    }

    pub fn grant(&mut self, bytes: usize) {
        self.pipe.grant(bytes);
    }

    /// As the fan-out loop does.
    pub fn offer(&mut self) {
        self.outlet.offer();
    }

    /// As the connection's own task does, until the socket is full or all is written.
    pub fn pump(&mut self, store: &MemoryStore) {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match self.outlet.poll_drain(&mut cx) {
                Poll::Ready(Ok(Drained::CaughtUp)) | Poll::Pending => break,
                Poll::Ready(Ok(Drained::Lagging(lag))) => {
                    let (bytes, next) = block_on(read_lagging(store, &lag)).expect("the store reads");
                    self.outlet.put_stored(&lag, bytes, next);
                }
                Poll::Ready(Ok(Drained::File(_))) => unreachable!("nobody sends files here"),
                Poll::Ready(Err(error)) => panic!("the pipe never fails: {error}"),
            }
        }
        self.decode();
    }

    fn decode(&mut self) {
        let written = self.pipe.take();
        let mut input = &written[..];
        while let Some(item) = self.deframer.next(&mut input).expect("frames are well formed") {
            let Item::Frame(frame) = item else { panic!("no limit is set") };
            match self.view {
                View::Native => native(ServerMsg::decode(frame.ty, frame.payload).unwrap(), &mut self.got),
                View::Classic { .. } => {
                    classic(ClassicReply::decode(frame.ty, frame.payload).unwrap(), &mut self.got);
                }
            }
        }
    }

    /// The number that comes next, as far as the reader can know.
    pub fn expected(&self) -> u64 {
        match self.view {
            View::Native => self.got.iter().fold(self.from, |expected, got| match got {
                Got::Entry(..) => expected + 1,
                Got::Trimmed(first) => *first,
                Got::SomeTrimmed => expected,
            }),
            // It can't know: what it was given was compared with all that was said.
            View::Classic { .. } => self.outlet.next_in(protocol::id::RoomId::FIRST).unwrap().value(),
        }
    }

    /// Compares what came with what was said.
    pub fn check(&self, said: &Said, oldest: Seq) {
        match self.view {
            View::Native => self.check_native(said, oldest),
            View::Classic { .. } => self.check_classic(said),
        }
    }

    fn check_native(&self, said: &Said, oldest: Seq) {
        let mut expected = self.from;
        for got in &self.got {
            match got {
                Got::Entry(seq, text) => {
                    assert_eq!(*seq, expected, "no gap and no double that was not announced");
                    let at = usize::try_from(seq - 1).unwrap();
                    let versions = &said.0[at].versions;
                    assert!(versions.iter().any(|v| v[..] == text[..]), "entry {seq} is what was said");
                    expected += 1;
                }
                Got::Trimmed(first) => {
                    assert!(*first > expected, "a trim to {first} skips something");
                    assert!(*first <= oldest.value(), "nothing is skipped that is still kept");
                    expected = *first;
                }
                Got::SomeTrimmed => unreachable!("only classic readers are told so little"),
            }
        }
    }

    /// A reader that has just read everything sees what is said now.
    pub fn check_now(&self, said: &Said) {
        for got in &self.got {
            if let Got::Entry(seq, text) = got {
                let line = &said.0[usize::try_from(seq - 1).unwrap()];
                assert_eq!(line.versions.last().map(|now| &now[..]), Some(&text[..]), "entry {seq} now");
            }
        }
    }

    /// A classic reader sees no numbers: its lines are those of others, in order, gaps only where announced.
    fn check_classic(&self, said: &Said) {
        let begin = usize::try_from(self.from - 1).unwrap();
        let mut others = said.0.iter().enumerate().skip(begin).filter(|(_, line)| line.author != 1);
        let mut may_skip = false;
        for got in &self.got {
            match got {
                Got::Entry(_, text) => loop {
                    let (at, line) = others.next().expect("nothing is made up");
                    if classic_lines(line).any(|line| line == *text) {
                        // Deletes of one author look the same, so that this may be a later one.
                        may_skip &= matches!(line.what, What::Delete(_));
                        break;
                    }
                    let may_be_gone = line.is_deleted() && !matches!(line.what, What::Delete(_));
                    assert!(may_skip || may_be_gone, "line {} was skipped silently", at + 1);
                },
                Got::SomeTrimmed => may_skip = true,
                Got::Trimmed(_) => unreachable!("classic readers get no numbers"),
            }
        }
    }
}

fn native(msg: Option<ServerMsg>, got: &mut Vec<Got>) {
    match msg {
        Some(ServerMsg::Entries { entries, .. }) => {
            assert!(!entries.is_empty(), "a frame without entries is noise");
            got.extend(entries.iter().map(|entry| Got::Entry(entry.seq.value(), entry.body.to_vec())));
        }
        Some(ServerMsg::Trimmed { reason, first, .. }) => {
            assert_eq!(reason, TrimReason::Trimmed);
            got.push(Got::Trimmed(first.value()));
        }
        other => panic!("nothing else was sent: {other:?}"),
    }
}

fn classic(reply: ClassicReply<'_>, got: &mut Vec<Got>) {
    match reply {
        ClassicReply::Text(text) if text.starts_with("[Server]") => got.push(Got::SomeTrimmed),
        ClassicReply::Text(text) => got.push(Got::Entry(0, text.as_bytes().to_vec())),
        other => panic!("nothing else was sent: {other:?}"),
    }
}

/// What a classic reader may have been given of a line.
fn classic_lines(line: &Line) -> impl Iterator<Item = Vec<u8>> {
    let author = format!("p{}::", line.author);
    let what = match line.what {
        What::Text => "",
        What::Edit(_) => "* corrected: ",
        What::Delete(_) => "* deleted a message",
    };
    line.versions.iter().map(move |said| [author.as_bytes(), what.as_bytes(), said].concat())
}
