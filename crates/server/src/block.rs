//! A block: some entries of one batch, encoded once, exactly as they go on the wire.

use crate::files::ClassicFile;
use crate::log::LogPiece;
use crate::revisions::Revisions;
use crate::voice::{self, Label};
use bytes::{BufMut, Bytes, BytesMut};
use protocol::entry::{Entry, EntryKind};
use protocol::frame::put_frame;
use protocol::id::{PersonId, RoomId, Seq};
use protocol::limits::{HEADER, MAX_FRAME};
use protocol::message::ty;
use protocol::wire::Wire;
use std::sync::{Arc, OnceLock};

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
    /// The targets of the edits in it, whose words go when their target does.
    edited: Vec<Seq>,
    /// For classic readers that stand elsewhere (0) and in the room (1); made when the first of them asks.
    classic: [OnceLock<ClassicForm>; 2],
}

/// The same entries as classic frames.
#[derive(Debug, Default)]
struct ClassicForm {
    bytes: Bytes,
    entries: Vec<ClassicEntry>,
}

#[derive(Debug)]
struct ClassicEntry {
    seq: Seq,
    author: Option<PersonId>,
    /// Where its frame ends; where the one before it ends, if it has none.
    end: usize,
    /// The file that follows its frame.
    file: Option<Arc<ClassicFile>>,
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
        let edits = entries.iter().filter(|entry| entry.kind == EntryKind::Edit);
        let edited = edits.filter_map(|edit| edit.reply_to).collect();
        Self { first: first.seq, last: last.seq, room, bytes, edited, classic: Default::default() }
    }

    /// The same entries as they are after edits and deletes; `None` where nothing changes.
    ///
    /// A longer body may need more blocks.
    pub fn revised(&self, by: &Revisions<'_>) -> Option<Vec<Self>> {
        let concerns = by.hits_any_of(self.first, self.last) || self.edited.iter().any(|of| by.deletes(*of));
        if !concerns {
            return None;
        }
        let mut entries = self.entries();
        let changed = entries.iter_mut().filter_map(|entry| by.revise(entry).then_some(())).count();
        (changed > 0).then(|| Self::encode(self.room, &entries))
    }

    fn entries(&self) -> Vec<Entry> {
        let mut rest = &self.bytes[HEAD..];
        let mut entries = Vec::new();
        while !rest.is_empty() {
            entries.push(Entry::take(&mut rest).expect("we encoded it ourselves"));
        }
        entries
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

    /// The entries from `next` on for a classic reader, less their own lines.
    pub fn classic_from(&self, next: Seq, me: PersonId, label: &Label, current: bool) -> Vec<LogPiece> {
        let form = self.classic[usize::from(current)].get_or_init(|| self.classic_form(label, current));
        let mut pieces: Vec<LogPiece> = Vec::new();
        let mut run = 0..0;
        for entry in &form.entries {
            if entry.seq < next || entry.author == Some(me) {
                if !run.is_empty() {
                    pieces.push(LogPiece { bytes: form.bytes.slice(run), next: entry.seq, file: None });
                }
                run = entry.end..entry.end;
                continue;
            }
            run.end = entry.end;
            if let Some(file) = &entry.file {
                let bytes = form.bytes.slice(run);
                pieces.push(LogPiece { bytes, next: entry.seq.next(), file: Some(file.clone()) });
                run = entry.end..entry.end;
            }
        }
        pieces.push(LogPiece { bytes: form.bytes.slice(run), next: self.last.next(), file: None });
        pieces
    }

    fn classic_form(&self, label: &Label, current: bool) -> ClassicForm {
        let mut bytes = BytesMut::new();
        let mut entries = Vec::new();
        for entry in self.entries() {
            if let Some(frame) = voice::entry(&entry, label, current) {
                bytes.extend_from_slice(&frame);
            }
            let file = voice::file(&entry).map(Arc::new);
            entries.push(ClassicEntry { seq: entry.seq, author: entry.person, end: bytes.len(), file });
        }
        ClassicForm { bytes: bytes.freeze(), entries }
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
