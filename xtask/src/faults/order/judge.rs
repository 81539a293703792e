//! Which of the calls came too early.

use crate::faults::strace::Call;
use crate::proof::body::{MARKER, read_marker};
use load::inbox::Inbox;
use protocol::limits::HEADER;
use protocol::message::ServerMsg;
use std::collections::{BTreeMap, BTreeSet};

/// A message: its writer and the counter.
pub type Marker = (usize, u64);

/// What was seen.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Messages that were acknowledged.
    pub acknowledged: u64,
    /// Messages that were told to readers, counted at each reader.
    pub deliveries: u64,
    /// Syncs that returned, of files that hold messages.
    pub syncs: usize,
    /// What came too early, in words.
    pub early: Vec<String>,
}

/// Judges calls that are given in the order in which they began.
pub fn judge(calls: &[Call]) -> Verdict {
    let (synced, syncs) = synced_at(calls);
    let mut verdict = Verdict { syncs, ..Verdict::default() };
    for Told { at, marker, what } in told(calls) {
        match what {
            What::Acknowledgement => verdict.acknowledged += 1,
            What::Delivery => verdict.deliveries += 1,
        }
        if synced.get(&marker).is_none_or(|synced| *synced >= at) {
            let (writer, counter) = marker;
            let early = format!("{what:?} of post {counter} of writer {writer}, before its sync returned");
            verdict.early.push(early);
        }
    }
    verdict
}

/// Something that a client or a reader was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// When the first byte of it was handed over.
    pub at: usize,
    /// About which message.
    pub marker: Marker,
    /// What it was.
    pub what: What,
}

/// How somebody is told of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Its writer gets an acknowledgement.
    Acknowledgement,
    /// A reader gets the message.
    Delivery,
}

/// All that anybody was told.
pub fn told(calls: &[Call]) -> Vec<Told> {
    streams(calls).values().flat_map(|said| told_in(said)).collect()
}

/// When each message was first on disk, and how many syncs returned.
fn synced_at(calls: &[Call]) -> (BTreeMap<Marker, usize>, usize) {
    // By the end of each write: a sync covers only what had been written whole when it began.
    let mut written: BTreeMap<&str, Vec<(usize, Marker)>> = BTreeMap::new();
    for call in calls.iter().filter(|call| is_write(call) && !call.file.starts_with("TCP")) {
        let list = written.entry(&call.file).or_default();
        list.extend(markers(&call.data).into_iter().map(|marker| (call.end, marker)));
    }
    let (mut synced, mut syncs) = (BTreeMap::new(), 0);
    let mut returned: Vec<_> = calls.iter().filter(|call| is_sync(call) && call.result.is_some()).collect();
    returned.sort_by_key(|call| call.end);
    for sync in returned {
        if sync.result != Some(0) {
            // What failed to be written is forgotten by the system: a later sync that succeeds says nothing of it.
            written.remove(sync.file.as_str());
        }
        let Some(list) = written.get_mut(sync.file.as_str()) else {
            continue;
        };
        syncs += 1;
        let (covered, later): (Vec<_>, _) =
            std::mem::take(list).into_iter().partition(|(end, _)| *end < sync.begin);
        *list = later;
        for (_, marker) in covered {
            synced.entry(marker).or_insert(sync.end);
        }
    }
    (synced, syncs)
}

fn is_sync(call: &Call) -> bool {
    matches!(call.name.as_str(), "fsync" | "fdatasync")
}

fn is_write(call: &Call) -> bool {
    matches!(call.name.as_str(), "write" | "pwrite64" | "pwritev" | "pwritev2" | "writev")
        && call.result.is_some_and(|result| result > 0)
}

/// All markers in these bytes, wherever they stand.
fn markers(data: &[u8]) -> BTreeSet<Marker> {
    let candidates = data.windows(MARKER).filter(|window| window[0] == b'w');
    candidates.filter_map(read_marker).collect()
}

/// What the server said on each connection, with the time at which the first byte of each message was handed over.
fn streams(calls: &[Call]) -> BTreeMap<&str, Vec<(usize, ServerMsg)>> {
    let mut streams: BTreeMap<&str, Stream> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.file.starts_with("TCP")) {
        let taken = call.result.and_then(|result| usize::try_from(result).ok()).unwrap_or(0);
        let stream = streams.entry(&call.file).or_default();
        stream.handle_call(call.begin, &call.data[..taken.min(call.data.len())]);
    }
    streams.into_iter().map(|(file, stream)| (file, stream.said)).collect()
}

/// Bytes of one connection, cut into messages.
#[derive(Default)]
struct Stream {
    inbox: Inbox,
    said: Vec<(usize, ServerMsg)>,
    /// When the first byte of the frame in hand was handed over, and how many bytes of it are still to come.
    begun: usize,
    left: usize,
    header: Vec<u8>,
}

impl Stream {
    fn handle_call(&mut self, begin: usize, mut data: &[u8]) {
        while !data.is_empty() {
            if self.left == 0 && self.header.is_empty() {
                self.begun = begin;
            }
            let piece = self.take_piece(&mut data);
            let (begun, said) = (self.begun, &mut self.said);
            // Bytes that are no message would fail every client of the run; here they are left out.
            let _ = self.inbox.feed(piece, |msg| said.push((begun, msg)));
        }
    }

    /// Bytes that belong to one frame: the rest of its header, or of what follows it.
    fn take_piece<'a>(&mut self, data: &mut &'a [u8]) -> &'a [u8] {
        let wanted = if self.left > 0 { self.left } else { HEADER - self.header.len() };
        let (piece, rest) = data.split_at(wanted.min(data.len()));
        *data = rest;
        if self.left > 0 {
            self.left -= piece.len();
            return piece;
        }
        self.header.extend_from_slice(piece);
        if self.header.len() == HEADER {
            let length = self.header.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
            self.left = (length as usize).saturating_sub(1);
            self.header.clear();
        }
        piece
    }
}

fn told_in(said: &[(usize, ServerMsg)]) -> Vec<Told> {
    let (mut who, mut acked, mut told) = (None, 0, Vec::new());
    for (at, msg) in said {
        let mut tell = |marker, what| told.push(Told { at: *at, marker, what });
        match msg {
            ServerMsg::Welcome { name, .. } => {
                who = name.strip_prefix("w-").and_then(|name| name.parse().ok());
            }
            ServerMsg::Ack { counter, .. } => {
                let newly = acked + 1..=counter.value();
                let of =
                    who.into_iter().flat_map(|writer| newly.clone().map(move |counter| (writer, counter)));
                of.for_each(|marker| tell(marker, What::Acknowledgement));
                acked = acked.max(counter.value());
            }
            ServerMsg::Entries { entries, .. } => {
                let markers = entries.iter().filter_map(|entry| read_marker(&entry.body));
                markers.for_each(|marker| tell(marker, What::Delivery));
            }
            _ => {}
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::body::{Bodies, body};
    use bytes::Bytes;
    use protocol::entry::{Entry, EntryKind, Revision};
    use protocol::id::{Millis, RoomId, Seq};

    const WAL: &str = "/d/natter.db-wal";
    const SOCKET: &str = "TCP:[127.0.0.1:1->127.0.0.1:2]";

    fn call(name: &str, file: &str, data: &[u8], (begin, end): (usize, usize)) -> Call {
        let result = Some(i64::try_from(data.len()).unwrap());
        Call {
            name: name.into(),
            file: file.into(),
            data: data.to_vec(),
            last: None,
            result,
            injected: false,
            begin,
            end,
        }
    }

    fn write(at: usize) -> Call {
        let page = [b"page ".as_slice(), body(3, 1, Bodies::Short).as_bytes()].concat();
        call("pwrite64", WAL, &page, (at, at))
    }

    fn sync(begin: usize, end: usize) -> Call {
        call("fdatasync", WAL, b"", (begin, end))
    }

    fn delivery(at: usize) -> Call {
        let entry = Entry {
            seq: Seq::FIRST,
            time: Millis(0),
            written: Millis(0),
            person: None,
            name: "w-3".into(),
            device: None,
            counter: None,
            kind: EntryKind::Text,
            revision: Revision::Original,
            reply_to: None,
            body: Bytes::from(body(3, 1, Bodies::Short)),
        };
        let bytes = ServerMsg::Entries { room: RoomId::FIRST, entries: vec![entry] }.encode();
        call("writev", SOCKET, &bytes, (at, at))
    }

    fn early(calls: &[Call]) -> usize {
        let verdict = judge(calls);
        assert_eq!(verdict.deliveries, 1);
        verdict.early.len()
    }

    #[test]
    fn written_synced_delivered_is_right() {
        assert_eq!(early(&[write(0), sync(1, 2), delivery(3)]), 0);
    }

    #[test]
    fn a_delivery_while_the_sync_is_under_way_is_too_early() {
        assert_eq!(early(&[write(0), sync(1, 4), delivery(3)]), 1);
    }

    #[test]
    fn a_sync_that_began_before_the_write_does_not_count() {
        assert_eq!(early(&[sync(0, 2), write(1), delivery(3)]), 1);
    }

    #[test]
    fn a_sync_that_failed_or_was_of_another_file_does_not_count() {
        let failed = Call { result: Some(-1), ..sync(1, 2) };
        assert_eq!(early(&[write(0), failed, delivery(3)]), 1);
        let other = Call { file: "/d/natter.db".into(), ..sync(1, 2) };
        assert_eq!(early(&[write(0), other, delivery(3)]), 1);
    }

    #[test]
    fn a_sync_that_is_tried_again_after_a_failure_does_not_count() {
        let failed = Call { result: Some(-1), ..sync(1, 2) };
        assert_eq!(early(&[write(0), failed, sync(3, 4), delivery(5)]), 1);
    }

    #[test]
    fn a_message_that_is_sent_in_pieces_is_told_with_its_first_byte() {
        let whole = delivery(9).data;
        let (first, rest) = whole.split_at(7);
        let pieces = [call("sendto", SOCKET, first, (1, 1)), call("sendto", SOCKET, rest, (4, 4))];
        let [first, rest] = pieces;
        assert_eq!(early(&[write(0), first, sync(2, 3), rest]), 1);
    }
}
