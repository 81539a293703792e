//! A block: some entries of one batch, encoded once, exactly as they go on the wire.

use crate::voice::{self, Label};
use bytes::{BufMut, Bytes, BytesMut};
use protocol::entry::Entry;
use protocol::frame::put_frame;
use protocol::id::{PersonId, RoomId, Seq};
use protocol::limits::{HEADER, MAX_FRAME};
use protocol::message::ty;
use protocol::wire::Wire;
use std::sync::OnceLock;

/// Bytes of an `Entries` frame before its first entry: header, room and count.
const HEAD: usize = HEADER + 8 + 2;

/// Bytes of entries that one frame may hold. `u16::MAX` entries never fit, so the count can't overflow.
const ROOM_FOR_ENTRIES: usize = MAX_FRAME as usize - 1 - 8 - 2;

/// One `Entries` frame, shared by all readers.
#[derive(Debug)]
pub struct Block {
    /// The first entry in it.
    pub first: Seq,
    /// The last entry in it. Invariant: first <= last, and all between are in it.
    pub last: Seq,
    room: RoomId,
    bytes: Bytes,
    /// For classic readers that stand elsewhere (0) and in the room (1); made when the first of them asks.
    classic: [OnceLock<ClassicForm>; 2],
}

/// The same entries as classic frames.
#[derive(Debug, Default)]
struct ClassicForm {
    bytes: Bytes,
    /// For each entry: its number, its author, and where its frame ends (where the one before it ends, if
    /// it has none).
    ends: Vec<(Seq, Option<PersonId>, usize)>,
}

impl Block {
    /// Encodes entries, which must be consecutive, into as few blocks as their sizes allow.
    pub fn encode(room: RoomId, entries: &[Entry]) -> Vec<Self> {
        let mut blocks = Vec::new();
        let mut body = BytesMut::new();
        let mut from = 0;
        for (at, entry) in entries.iter().enumerate() {
            let before = body.len();
            entry.put(&mut body);
            if body.len() > ROOM_FOR_ENTRIES {
                let overflow = body.split_off(before);
                blocks.push(Self::from_encoded(room, &entries[from..at], &body));
                (body, from) = (overflow, at);
            }
        }
        if from < entries.len() {
            blocks.push(Self::from_encoded(room, &entries[from..], &body));
        }
        blocks
    }

    fn from_encoded(room: RoomId, entries: &[Entry], body: &[u8]) -> Self {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            unreachable!("a block is made only when an entry is there to go into it")
        };
        let bytes = entries_frame(room, entries.len(), body);
        Self {
            first: first.seq,
            last: last.seq,
            room,
            bytes,
            classic: Default::default(),
        }
    }

    /// Bytes of the native frame.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a block holds at least one entry.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The entries from `next` on as one `Entries` frame; the whole block without a copy.
    pub fn native_from(&self, next: Seq) -> Bytes {
        if next <= self.first {
            return self.bytes.clone();
        }
        let mut rest = &self.bytes[HEAD..];
        for _ in self.first.value()..next.value() {
            let len = usize::from(u16::take(&mut rest).expect("we encoded it ourselves"));
            rest = &rest[len..];
        }
        let count = usize::try_from(self.last.value() + 1 - next.value()).expect("a block is short");
        entries_frame(self.room, count, rest)
    }

    /// The entries from `next` on for a classic reader, less their own lines: pieces of whole frames, each
    /// with the number that the reader has next after it.
    pub fn classic_from(&self, next: Seq, me: PersonId, label: &Label, current: bool) -> Vec<(Bytes, Seq)> {
        let form = self.classic[usize::from(current)].get_or_init(|| self.classic_form(label, current));
        let mut pieces: Vec<(Bytes, Seq)> = Vec::new();
        let mut run = 0..0;
        for (seq, author, end) in &form.ends {
            if *seq < next || *author == Some(me) {
                if !run.is_empty() {
                    pieces.push((form.bytes.slice(run.clone()), *seq));
                }
                run = *end..*end;
            } else {
                run.end = *end;
            }
        }
        pieces.push((form.bytes.slice(run), self.last.next()));
        pieces
    }

    fn classic_form(&self, label: &Label, current: bool) -> ClassicForm {
        let mut rest = &self.bytes[HEAD..];
        let mut bytes = BytesMut::new();
        let mut ends = Vec::new();
        while !rest.is_empty() {
            let entry = Entry::take(&mut rest).expect("we encoded it ourselves");
            if let Some(frame) = voice::entry(&entry, label, current) {
                bytes.extend_from_slice(&frame);
            }
            ends.push((entry.seq, entry.person, bytes.len()));
        }
        ClassicForm {
            bytes: bytes.freeze(),
            ends,
        }
    }
}

fn entries_frame(room: RoomId, count: usize, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD + body.len());
    put_frame(&mut out, ty::ENTRIES, |out| {
        room.put(out);
        out.put_u16(u16::try_from(count).expect("no more fit into a frame"));
        out.extend_from_slice(body);
    });
    out.freeze()
}
