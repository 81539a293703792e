//! The journal's records as lines of JSON. A last line without an end was cut by a crash: it was never synced,
//! so nothing of it was sent.

use super::jobs::{StoredDown, StoredUp};
use crate::hex::{hex, unhex};
use crate::session::event::Refusal;
use crate::session::{Content, Job, Outcome, Place, Post, Record, Whereabouts};
use crate::transfer::{JobId, Shape};
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, Counter, Epoch, Millis, PersonId, RoomId, Seq, TransferId};
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
        #[serde(flatten)]
        post: StoredPost,
    },
    Failed {
        serial: u64,
        #[serde(flatten)]
        post: StoredPost,
        outcome: StoredOutcome,
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
    Upload {
        job: u64,
        #[serde(flatten)]
        stored: StoredUp,
    },
    Download {
        job: u64,
        #[serde(flatten)]
        stored: StoredDown,
    },
    JobGone {
        job: u64,
    },
    Begun {
        posts: u64,
        jobs: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum To {
    Room(u64),
    Person(u64),
}

#[derive(Serialize, Deserialize)]
struct StoredPost {
    place: String,
    kind: u8,
    reply_to: u64,
    written: u64,
    body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<StoredContent>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredOutcome {
    Refused { code: u16, detail: u64, text: String },
    Void,
    Uncertain,
}

#[derive(Serialize, Deserialize)]
struct StoredContent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transfer: Option<String>,
    size: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    folder: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<u64>,
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
        Record::Post { serial, post } => Line::Post { serial: *serial, post: StoredPost::of(post) },
        Record::Failed { serial, post, outcome } => {
            let outcome = StoredOutcome::of(outcome);
            Line::Failed { serial: *serial, post: StoredPost::of(post), outcome }
        }
        Record::Sent { serial, counter, target } => {
            let target = match target {
                Target::Room { room } => To::Room(room.value()),
                Target::Person { person } => To::Person(person.value()),
            };
            Line::Sent { serial: *serial, counter: counter.value(), target }
        }
        Record::Acked { counter } => Line::Acked { counter: counter.value() },
        Record::Gone { serial } => Line::Gone { serial: *serial },
        Record::Job { id, job: Job::Up(job) } => Line::Upload { job: id.0, stored: StoredUp::of(job) },
        Record::Job { id, job: Job::Down(job) } => Line::Download { job: id.0, stored: StoredDown::of(job) },
        Record::JobGone { id } => Line::JobGone { job: id.0 },
        Record::Begun { posts, jobs } => Line::Begun { posts: *posts, jobs: jobs.0 },
    }
}

fn from_line(line: Line) -> Option<Record> {
    Some(match line {
        Line::Epoch { epoch, acked } => {
            Record::Epoch { epoch: Epoch(unhex(&epoch)?), acked: Counter::new(acked) }
        }
        Line::Post { serial, post } => Record::Post { serial, post: post.read()? },
        Line::Failed { serial, post, outcome } => {
            Record::Failed { serial, post: post.read()?, outcome: outcome.read() }
        }
        Line::Sent { serial, counter, target } => {
            let target = match target {
                To::Room(room) => Target::Room { room: RoomId::new(room)? },
                To::Person(person) => Target::Person { person: PersonId::new(person)? },
            };
            Record::Sent { serial, counter: Counter::new(counter)?, target }
        }
        Line::Acked { counter } => Record::Acked { counter: Counter::new(counter)? },
        Line::Gone { serial } => Record::Gone { serial },
        Line::Upload { job, stored } => Record::Job { id: JobId(job), job: Job::Up(stored.read()?) },
        Line::Download { job, stored } => Record::Job { id: JobId(job), job: Job::Down(stored.read(job)?) },
        Line::JobGone { job } => Record::JobGone { id: JobId(job) },
        Line::Begun { posts, jobs } => Record::Begun { posts, jobs: JobId(jobs) },
    })
}

impl StoredPost {
    fn of(post: &Post) -> Self {
        Self {
            place: post.place.to_string(),
            kind: post.kind.number(),
            reply_to: post.reply_to.map_or(0, Seq::value),
            written: post.written.0,
            body: post.body.clone(),
            file: post.file.map(stored),
        }
    }

    fn read(self) -> Option<Post> {
        Some(Post {
            place: Place::parse(&self.place)?,
            target: None,
            kind: EntryKind::from_number(self.kind),
            reply_to: Seq::new(self.reply_to),
            written: Millis(self.written),
            body: self.body,
            file: match self.file {
                None => None,
                Some(stored) => Some(content(&stored)?),
            },
        })
    }
}

impl StoredOutcome {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Refused(Refusal { code, detail, text }) => {
                Self::Refused { code: *code, detail: *detail, text: text.clone() }
            }
            Outcome::Void => Self::Void,
            Outcome::Uncertain => Self::Uncertain,
        }
    }

    fn read(self) -> Outcome {
        match self {
            Self::Refused { code, detail, text } => Outcome::Refused(Refusal { code, detail, text }),
            Self::Void => Outcome::Void,
            Self::Uncertain => Outcome::Uncertain,
        }
    }
}

fn stored(file: Content) -> StoredContent {
    let (hash, transfer) = match file.at {
        Whereabouts::Stored(hash) => (Some(hex(&hash.0)), None),
        Whereabouts::Coming(transfer) => (None, Some(hex(&transfer.0))),
    };
    let (folder, job) = (file.shape == Shape::Folder, file.job.map(|id| id.0));
    StoredContent { hash, transfer, size: file.size, folder, job }
}

fn content(stored: &StoredContent) -> Option<Content> {
    let at = match (&stored.hash, &stored.transfer) {
        (Some(hash), _) => Whereabouts::Stored(ContentHash(unhex(hash)?)),
        (None, Some(transfer)) => Whereabouts::Coming(TransferId(unhex(transfer)?)),
        (None, None) => return None,
    };
    let shape = if stored.folder { Shape::Folder } else { Shape::File };
    Some(Content { job: stored.job.map(JobId), size: stored.size, shape, at })
}
