//! Answers that are read from the store: pages of history and what was found, for clients of both dialects.

use crate::hub::{Effect, FetchAnswer, FoundAnswer, ListedFile};
use crate::inbound::Refusal;
use crate::search_queue::{SearchQueue, Searched};
use crate::store::{Hits, Read, Store, StoreError};
use crate::voice;
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind};
use protocol::id::{RoomId, Seq};
use protocol::limits::MAX_FRAME;
use protocol::limits::rates::Bucket;
use protocol::message::{FileBody, FileListing, Found, OfferBody, Range, Reply, ServerMsg, ty};

/// Bytes of entries in one page: one frame takes them with its head.
const PAGE: usize = MAX_FRAME as usize - 8 * 1024;

/// Reads what was asked for, and answers.
pub async fn carry_out<St: Store>(effect: Effect, store: St, searches: SearchQueue) {
    // The permit is held until the answer is on its way: the connection asks for nothing more until then.
    let (conn, frames, _permit) = match effect {
        Effect::Fetch { conn, answer, room, range, limit, permit } => {
            let read = store.read(room, range, usize::from(limit), PAGE).await;
            (conn, read.map(|read| read_frames(read, answer, room)), permit)
        }
        Effect::Search { conn, answer, person, payers, query, permit } => {
            let is_wanted = || !conn.outlet().is_closing();
            let searched = searches.search(&store, person, payers, query, is_wanted).await;
            (conn, searched.map(|searched| searched_frames(searched, &answer)), permit)
        }
        Effect::Files { conn, req, room, listed, more, permit } => {
            let files = read_files(&store, room, listed).await;
            let frame = |files| vec![ServerMsg::Answer { req, more, reply: Reply::Files { files } }.encode()];
            (conn, files.map(frame), permit)
        }
    };
    match frames {
        Ok(frames) => {
            frames.into_iter().for_each(|frame| conn.outlet().push_control(frame));
            conn.offer();
        }
        Err(error) => {
            let error: StoreError = error;
            tracing::error!(%error, "history could not be read");
            conn.close();
        }
    }
}

/// What the entries of files say of them. One that is gone meanwhile is left out.
async fn read_files<St: Store>(
    store: &St,
    room: RoomId,
    listed: Vec<ListedFile>,
) -> Result<Vec<FileListing>, StoreError> {
    let mut files = Vec::with_capacity(listed.len());
    for known in listed {
        let range = Range::Between { first: known.seq, last: known.seq };
        let read = store.read(room, range, 1, PAGE).await?;
        files.extend(read.entries.first().and_then(|entry| listing(entry, known)));
    }
    Ok(files)
}

fn listing(entry: &Entry, known: ListedFile) -> Option<FileListing> {
    let (size, name, shape) = match entry.kind {
        EntryKind::File => FileBody::decode(&entry.body).ok().map(|body| (body.size, body.name, body.shape)),
        EntryKind::FileOffer => {
            OfferBody::decode(&entry.body).ok().map(|body| (body.size, body.name, body.shape))
        }
        _ => None,
    }?;
    let ListedFile { seq, source, state, expires, fetched, members } = known;
    let (time, person, sender) = (entry.time, entry.person?, entry.name.clone());
    Some(FileListing {
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
    })
}

fn read_frames(read: Read, answer: FetchAnswer, room: RoomId) -> Vec<Bytes> {
    match answer {
        FetchAnswer::Page(req) => {
            let found = read.entries.into_iter().map(|entry| Found { room, entry }).collect();
            vec![ServerMsg::Page { req, more: read.more, found }.encode()]
        }
        FetchAnswer::Lines(_) if read.entries.is_empty() => {
            vec![voice::server_line("Nothing was said yet.")]
        }
        FetchAnswer::Lines(zone) => {
            let begins =
                read.oldest > Seq::FIRST && read.entries.first().is_some_and(|e| e.seq == read.oldest);
            let begin =
                begins.then(|| voice::server_line("History begins here: what was said before is not kept."));
            let lines = read.entries.iter().filter_map(|entry| voice::history_line(entry, None, zone));
            begin.into_iter().chain(lines).collect()
        }
    }
}

fn searched_frames(searched: Searched, answer: &FoundAnswer) -> Vec<Bytes> {
    let (code, detail) = match searched {
        Searched::Done(hits) if hits.cut && hits.found.is_empty() => (Code::TooBroad, 0),
        Searched::Done(hits) => return found_frames(hits, answer),
        Searched::TooMany => (Code::TooFast, u64::from(Bucket::Searches.of_person().every_ms)),
        Searched::Unwanted => return Vec::new(),
    };
    match answer {
        FoundAnswer::Page(req) => {
            vec![Refusal::about(code, ty::SEARCH, u64::from(req.0)).with(detail).encode()]
        }
        FoundAnswer::Lines { .. } => {
            vec![voice::server_line(&format!("That did not work: {}.", code.text()))]
        }
    }
}

fn found_frames(hits: Hits, answer: &FoundAnswer) -> Vec<Bytes> {
    match answer {
        FoundAnswer::Page(req) => {
            vec![ServerMsg::Page { req: *req, more: hits.more, found: hits.found }.encode()]
        }
        FoundAnswer::Lines { places, .. } if hits.found.is_empty() => {
            let more = if places.is_empty() { " /search -a WORDS looks in all your rooms." } else { "" };
            vec![voice::server_line(&format!("Nothing was found.{more}"))]
        }
        FoundAnswer::Lines { zone, places } => {
            // The newest line comes last, as in a conversation.
            let line = |found: &Found| {
                let place = places.get(&found.room).map(String::as_str);
                voice::history_line(&found.entry, place, *zone)
            };
            let more = if hits.more { " There is more: add a word." } else { "" };
            let count = voice::server_line(&format!("{} found.{more}", hits.found.len()));
            hits.found.iter().rev().filter_map(line).chain([count]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::weight;
    use bytes::Bytes;
    use protocol::entry::{Entry, EntryKind, Revision};
    use protocol::id::{Counter, DeviceNo, Millis, PersonId, Req};
    use protocol::limits::MAX_NUMBER;

    /// An entry that is as large on the wire as one with this body can be.
    fn largest(body: usize) -> Entry {
        let most = MAX_NUMBER;
        Entry {
            seq: Seq::new(most).unwrap(),
            time: Millis(most),
            written: Millis(most),
            person: PersonId::new(most),
            name: "x".repeat(128),
            device: DeviceNo::new(most),
            counter: Counter::new(most),
            kind: EntryKind::Text,
            revision: Revision::Edited,
            reply_to: Seq::new(most),
            body: Bytes::from(vec![b'x'; body]),
        }
    }

    #[test]
    fn a_page_fits_into_one_frame_whatever_its_entries_are() {
        for body in [0, 1, 50, 1_000, 16_384] {
            let entry = largest(body);
            let count = (PAGE / weight(&entry)).max(1);
            let room = RoomId::new(MAX_NUMBER).unwrap();
            let found = vec![Found { room, entry }; count];
            let frame = ServerMsg::Page { req: Req(1), more: true, found }.encode();
            assert!(frame.len() <= MAX_FRAME as usize, "{count} entries of {body} bytes: {}", frame.len());
        }
    }
}
