//! A post that waits, and what the journal keeps of it.

use super::jobs::Job;
use super::untold::Outcome;
use crate::clock::since;
use crate::session::place::Place;
use crate::transfer::{JobId, Shape};
use bytes::Bytes;
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, Counter, Epoch, Millis, Seq, TransferId};
use protocol::message::{ClientMsg, FileBody, OfferBody, Target};

/// A line that goes out noticeably later than it was written says so, in ms.
const WRITTEN_AFTER_MS: u64 = 5_000;

/// Something to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Post {
    /// Where to, by name: names outlive a history.
    pub place: Place,
    /// Where to, by number, once that is known.
    pub target: Option<Target>,
    /// What it is.
    pub kind: EntryKind,
    /// The entry that it answers.
    pub reply_to: Option<Seq>,
    /// When it was written, by this machine's clock.
    pub written: Millis,
    /// What is said; a file's name if there is a `file`.
    pub body: String,
    /// The content that a file's entry names.
    pub file: Option<Content>,
}

/// What a file's entry says beside its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// The transfer that it ends or offers, if this profile knows it.
    pub job: Option<JobId>,
    /// Its size in bytes.
    pub size: u64,
    /// What it is.
    pub shape: Shape,
    /// Where it can be had.
    pub at: Whereabouts,
}

/// How a content can be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whereabouts {
    /// The server has it whole, under this hash.
    Stored(ContentHash),
    /// The server gets it, by this transfer.
    Coming(TransferId),
}

impl Post {
    /// What its author would type to say it again.
    pub fn words(&self) -> String {
        let line = self.reply_to.map(|seq| format!("#{seq} ")).unwrap_or_default();
        let command = match self.kind {
            _ if self.file.is_some() => "/send ".into(),
            EntryKind::Action => "/me ".into(),
            EntryKind::Edit => format!("/edit {line}"),
            EntryKind::Delete => format!("/delete {line}"),
            EntryKind::Reaction => format!("/react {line}"),
            _ if self.reply_to.is_some() => format!("/reply {line}"),
            _ => String::new(),
        };
        format!("{command}{}", self.body).trim_end().to_owned()
    }

    /// Whether it means nothing without the line that it is about.
    pub(super) fn is_about_a_line(&self) -> bool {
        matches!(self.kind, EntryKind::Edit | EntryKind::Delete | EntryKind::Reaction)
    }

    /// About as many bytes as it takes on the wire.
    pub(super) fn wire_len(&self) -> usize {
        self.wire_body().len() + 48
    }

    fn wire_body(&self) -> Bytes {
        match self.file {
            None => Bytes::copy_from_slice(self.body.as_bytes()),
            Some(Content { size, shape, at, .. }) => {
                let name = self.body.clone();
                match at {
                    Whereabouts::Stored(hash) => FileBody { hash, size, name, shape }.encode(),
                    Whereabouts::Coming(transfer) => OfferBody { transfer, size, name, shape }.encode(),
                }
            }
        }
    }

    /// The message, with this counter.
    pub(super) fn message(&self, counter: Counter, target: Target, now: Millis) -> ClientMsg {
        let late = since(now, self.written) >= WRITTEN_AFTER_MS;
        ClientMsg::Post {
            counter,
            target,
            kind: self.kind,
            reply_to: self.reply_to,
            written: if late { self.written } else { Millis(0) },
            body: self.wire_body(),
        }
    }
}

/// A post that is not settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pending {
    /// Its place in the journal.
    pub serial: u64,
    /// What is to be said.
    pub post: Post,
    /// Its number; `None` as long as it was surely never sent.
    pub counter: Option<Counter>,
    pub(super) typed: Millis,
    pub(super) announced: bool,
}

impl Pending {
    pub(super) fn new(serial: u64, post: Post, typed: Millis) -> Self {
        Self { serial, post, counter: None, typed, announced: false }
    }

    /// The records from which it can be restored.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + use<> {
        let post = Record::Post { serial: self.serial, post: self.post.clone() };
        let sent = self.counter.zip(self.post.target.clone());
        let serial = self.serial;
        let sent = sent.map(|(counter, target)| Record::Sent { serial, counter, target });
        std::iter::once(post).chain(sent)
    }
}

/// A line of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the sentence of a variant says what its fields are")]
pub enum Record {
    /// The history that later counters belong to, and the last counter accepted there.
    Epoch { epoch: Epoch, acked: Option<Counter> },
    /// A post was written.
    Post { serial: u64, post: Post },
    /// It is sent under this counter from here on.
    Sent { serial: u64, counter: Counter, target: Target },
    /// All counters up to this one are acknowledged.
    Acked { counter: Counter },
    /// A post will be in no log, or may not be; its author is to be told.
    Failed { serial: u64, post: Post, outcome: Outcome },
    /// A post that never went out was given up, or its author was told that it is in no log.
    Gone { serial: u64 },
    /// A transfer stands like this from here on.
    Job { id: JobId, job: Job },
    /// A transfer is over.
    JobGone { id: JobId },
    /// So many posts were written and so many transfers begun, whatever became of them: stands in front of a journal that
    /// was written anew, where those that are over are not told of.
    Begun { posts: u64, jobs: JobId },
}
