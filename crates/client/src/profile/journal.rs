//! The journal's records as lines of JSON. A last line without an end was cut by a crash: it was never synced,
//! so nothing of it was sent.

use super::identity::{hex, unhex};
use crate::session::{Content, Place, Post, Record};
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, Counter, Epoch, Millis, PersonId, RoomId, Seq};
use protocol::message::Target;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Epoch {
        epoch: String,
        acked: u64,
    },
    Post {
        serial: u64,
        place: String,
        kind: u8,
        reply_to: u64,
        written: u64,
        body: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<StoredContent>,
    },
    Sent {
        serial: u64,
        counter: u64,
        target: To,
    },
    Acked {
        counter: u64,
    },
    Gone {
        serial: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum To {
    Room(u64),
    Person(u64),
}

#[derive(Serialize, Deserialize)]
struct StoredContent {
    hash: String,
    size: u64,
}

/// The records as they are stored.
pub(super) fn encode(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        serde_json::to_writer(&mut out, &to_line(record))
            .expect("a Vec takes everything, and all keys are strings");
        out.push(b'\n');
    }
    out
}

/// Reads what [`encode`] wrote; the number of the first bad line otherwise.
pub(super) fn decode(content: &[u8]) -> Result<Vec<Record>, usize> {
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = content[..whole].split_inclusive(|byte| *byte == b'\n');
    lines.enumerate().map(|(at, line)| read(line).ok_or(at + 1)).collect()
}

fn read(line: &[u8]) -> Option<Record> {
    from_line(serde_json::from_slice(line).ok()?)
}

fn to_line(record: &Record) -> Line {
    match record {
        Record::Epoch { epoch, acked } => {
            Line::Epoch { epoch: hex(&epoch.0), acked: acked.map_or(0, Counter::value) }
        }
        Record::Post { serial, post } => Line::Post {
            serial: *serial,
            place: post.place.to_string(),
            kind: post.kind.number(),
            reply_to: post.reply_to.map_or(0, Seq::value),
            written: post.written.0,
            body: post.body.clone(),
            file: post.file.map(|file| StoredContent { hash: hex(&file.hash.0), size: file.size }),
        },
        Record::Sent { serial, counter, target } => {
            let target = match target {
                Target::Room { room } => To::Room(room.value()),
                Target::Person { person } => To::Person(person.value()),
            };
            Line::Sent { serial: *serial, counter: counter.value(), target }
        }
        Record::Acked { counter } => Line::Acked { counter: counter.value() },
        Record::Gone { serial } => Line::Gone { serial: *serial },
    }
}

fn from_line(line: Line) -> Option<Record> {
    Some(match line {
        Line::Epoch { epoch, acked } => {
            Record::Epoch { epoch: Epoch(unhex(&epoch)?), acked: Counter::new(acked) }
        }
        Line::Post { serial, place, kind, reply_to, written, body, file } => Record::Post {
            serial,
            post: Post {
                place: Place::parse(&place)?,
                target: None,
                kind: EntryKind::from_number(kind),
                reply_to: Seq::new(reply_to),
                written: Millis(written),
                body,
                file: match file {
                    None => None,
                    Some(stored) => Some(content(&stored)?),
                },
            },
        },
        Line::Sent { serial, counter, target } => {
            let target = match target {
                To::Room(room) => Target::Room { room: RoomId::new(room)? },
                To::Person(person) => Target::Person { person: PersonId::new(person)? },
            };
            Record::Sent { serial, counter: Counter::new(counter)?, target }
        }
        Line::Acked { counter } => Record::Acked { counter: Counter::new(counter)? },
        Line::Gone { serial } => Record::Gone { serial },
    })
}

fn content(stored: &StoredContent) -> Option<Content> {
    Some(Content { hash: ContentHash(unhex(&stored.hash)?), size: stored.size })
}
