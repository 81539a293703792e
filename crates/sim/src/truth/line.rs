//! One entry of a log, and all that became of it.

use crate::net::token_of;
use crate::trace::Token;
use client::session::event::Said;
use protocol::entry::{Entry, EntryKind, Revision};
use server::store::NewEntry;

/// What an entry says at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    /// What happened to it since it was written.
    pub(crate) revision: Revision,
    /// The token of its text or name; nothing if it has none.
    pub(crate) token: Option<Token>,
}

/// An entry that is, or once was, durable.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What it is.
    pub(crate) kind: EntryKind,
    /// Its author's number; nothing for the server.
    pub(crate) person: Option<u64>,
    /// The entry that it refers to.
    pub(crate) reply_to: Option<u64>,
    /// The server's time, in ms since 1970.
    pub(crate) time: u64,
    /// Bytes of its author's name, and of its body as it is now.
    pub(super) bytes: (usize, usize),
    /// Whom it names.
    pub(super) named: super::mentions::Named,
    /// What it said, and from when on, in simulated microseconds. Invariant: not empty, oldest first.
    versions: Vec<(u64, Version)>,
}

impl Version {
    /// What an entry says as it goes over the wire.
    pub(crate) fn of_entry(entry: &Entry) -> Self {
        let is_said = entry.revision != Revision::Deleted;
        Self { revision: entry.revision, token: is_said.then(|| token_of(&entry.body)).flatten() }
    }

    /// What an entry says as it is shown.
    pub(crate) fn of_said(said: &Said) -> Self {
        let token = Token::find(&said.text);
        let is_offer = said.kind == EntryKind::FileOffer;
        Self {
            revision: said.revision,
            token: token.map(|token| if is_offer { token.offer() } else { token }),
        }
    }

    pub(crate) fn is_deleted(self) -> bool {
        self.revision == Revision::Deleted
    }
}

impl Line {
    pub(super) fn new(post: &NewEntry, at: u64) -> Self {
        let version = Version { revision: Revision::Original, token: token_of(&post.body) };
        Self {
            kind: post.kind,
            person: post.person.map(protocol::id::PersonId::value),
            reply_to: post.reply_to.map(protocol::id::Seq::value),
            time: post.time.0,
            bytes: (post.name.len(), post.body.len()),
            named: super::mentions::Named::default(),
            versions: vec![(at, version)],
        }
    }

    /// It says something else from here on, in so many bytes.
    pub(super) fn revise(&mut self, at: u64, version: Version, bytes: usize) {
        self.versions.push((at, version));
        self.bytes.1 = bytes;
    }

    /// When it became durable, in simulated microseconds.
    pub(crate) fn at(&self) -> u64 {
        self.versions.first().map_or(0, |(at, _)| *at)
    }

    /// What it says now.
    pub(crate) fn newest(&self) -> Option<Version> {
        self.versions.last().map(|(_, version)| *version)
    }

    /// The token with which it was written.
    pub(crate) fn token(&self) -> Option<Token> {
        self.versions.first().and_then(|(_, version)| version.token)
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.newest().is_some_and(Version::is_deleted)
    }

    /// Whether it changes another entry: then it need not be shown to whom that came with the change in it.
    pub(crate) fn is_change(&self) -> bool {
        matches!(self.kind, EntryKind::Edit | EntryKind::Delete)
    }

    /// Whether it is something that people say.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.kind, EntryKind::Text | EntryKind::Action)
    }

    /// Whether searches look at it.
    pub(crate) fn is_searched(&self) -> bool {
        self.is_text() || matches!(self.kind, EntryKind::Topic | EntryKind::File)
    }

    /// Whether it said this at some time from `since` on.
    pub(crate) fn said_since(&self, version: Version, since: u64) -> bool {
        self.since(since).any(|said| said == version)
    }

    /// What it has said from then on.
    pub(crate) fn since(&self, since: u64) -> impl Iterator<Item = Version> {
        let ends = self.versions.iter().skip(1).map(|(at, _)| *at).chain([u64::MAX]);
        self.versions.iter().zip(ends).filter(move |(_, end)| *end >= since).map(|((_, version), _)| *version)
    }

    /// Whether it has said nothing else since then.
    pub(crate) fn is_unchanged_since(&self, since: u64) -> bool {
        self.versions.last().is_some_and(|(at, _)| *at < since)
    }
}
