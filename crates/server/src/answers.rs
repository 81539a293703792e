//! Answers that are read from the store: pages of history and what was found, for clients of both dialects.

use crate::hub::{Effect, FetchAnswer, FoundAnswer};
use crate::store::{Hits, Read, Store, StoreError};
use crate::voice;
use bytes::Bytes;
use protocol::id::{RoomId, Seq};
use protocol::limits::MAX_FRAME;
use protocol::message::{Found, ServerMsg};

/// Bytes of entries in one page: one frame takes them with its head.
const PAGE: usize = MAX_FRAME as usize - 8 * 1024;

/// Reads what was asked for, and answers.
pub async fn carry_out<St: Store>(effect: Effect, store: St) {
    // The permit is held until the answer is on its way: the connection asks for nothing more until then.
    let (conn, frames, _permit) = match effect {
        Effect::Fetch { conn, answer, room, range, limit, permit } => {
            let read = store.read(room, range, usize::from(limit), PAGE).await;
            (conn, read.map(|read| read_frames(read, answer, room)), permit)
        }
        Effect::Search { conn, answer, query, permit } => {
            let hits = store.search(query).await;
            (conn, hits.map(|hits| found_frames(hits, &answer)), permit)
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

fn read_frames(read: Read, answer: FetchAnswer, room: RoomId) -> Vec<Bytes> {
    match answer {
        FetchAnswer::Page(req) => {
            let found = read.entries.into_iter().map(|entry| Found { room, entry }).collect();
            vec![ServerMsg::Page { req, more: read.more, found }.encode()]
        }
        FetchAnswer::Lines(_) if read.entries.is_empty() => {
            vec![voice::server_line("Nothing was said yet.")]
        }
        FetchAnswer::Lines(offset) => {
            let begins =
                read.oldest > Seq::FIRST && read.entries.first().is_some_and(|e| e.seq == read.oldest);
            let begin =
                begins.then(|| voice::server_line("History begins here: what was said before is not kept."));
            let lines = read.entries.iter().filter_map(|entry| voice::history_line(entry, None, offset));
            begin.into_iter().chain(lines).collect()
        }
    }
}

fn found_frames(hits: Hits, answer: &FoundAnswer) -> Vec<Bytes> {
    match answer {
        FoundAnswer::Page(req) => {
            vec![ServerMsg::Page { req: *req, more: hits.more, found: hits.found }.encode()]
        }
        FoundAnswer::Lines { .. } if hits.found.is_empty() => {
            vec![voice::server_line("Nothing was found.")]
        }
        FoundAnswer::Lines { offset, places } => {
            // The newest line comes last, as in a conversation.
            let line = |found: &Found| {
                let place = places.get(&found.room).map(String::as_str);
                voice::history_line(&found.entry, place, *offset)
            };
            let more = if hits.more { " There is more: add a word." } else { "" };
            let count = voice::server_line(&format!("{} found.{more}", hits.found.len()));
            hits.found.iter().rev().filter_map(line).chain([count]).collect()
        }
    }
}
