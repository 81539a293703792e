//! What people meant by their replies, edits and deletes, compared with what the log holds.

use crate::record::Pages;
use crate::trace::Token;
use protocol::entry::EntryKind;
use server::store::NewEntry;
use std::collections::{BTreeMap, BTreeSet};

/// Which line somebody meant with a line about it.
#[derive(Clone, Debug)]
pub(crate) enum Meant {
    /// Changes the line with this number, or their own last one.
    Change(Option<u64>),
    /// Answers the line with this number.
    Answer(u64),
    /// Answers the last line of somebody else. Up to these numbers such lines had been shown, by room.
    AnswerLast(BTreeMap<u64, u64>),
}

/// All that was meant.
#[derive(Debug, Default)]
pub(crate) struct Meanings {
    /// By the token of the line that is about another one, and the history that its author had been shown.
    lines: BTreeMap<Token, (u32, Meant)>,
    /// Numbers of the lines that each client took back: that has no token.
    taken_back: BTreeMap<u16, BTreeSet<u64>>,
}

impl Meanings {
    /// Somebody typed a line about another one.
    pub(crate) fn note(&mut self, token: Token, epoch: u32, meant: Meant) {
        self.lines.insert(token, (epoch, meant));
    }

    /// Somebody took the line with this number back.
    pub(crate) fn note_taken_back(&mut self, client: u16, seq: u64) {
        self.taken_back.entry(client).or_default().insert(seq);
    }
}

impl Pages {
    /// What is wrong with the line that a new entry is about, if something is. It is not in the truth yet.
    pub(crate) fn misunderstood(&self, post: &NewEntry, seq: u64) -> Option<String> {
        let token = crate::net::token_of(&post.body);
        match post.kind {
            EntryKind::Edit => self.truth.misplaced(post).or_else(|| self.mistaken_edit(token?, post, seq)),
            EntryKind::Delete => self.truth.misplaced(post).or_else(|| self.mistaken_delete(post, seq)),
            _ => self.mistaken_answer(token?, post),
        }
    }

    fn mistaken_edit(&self, token: Token, post: &NewEntry, seq: u64) -> Option<String> {
        match self.meanings.lines.get(&token) {
            Some((_, Meant::Change(Some(meant)))) if *meant == target(post) => None,
            Some((_, Meant::Change(None))) => self.newer_of(token.client, post, seq),
            other => Some(format!("{token} changes entry {}, meant was {other:?}", target(post))),
        }
    }

    fn mistaken_delete(&self, post: &NewEntry, seq: u64) -> Option<String> {
        let device = post.origin.map(|(device, _)| device.value())?;
        let client = self.sights.iter().position(|sight| sight.device == Some(device))?;
        let client = u16::try_from(client).ok()?;
        // A client takes back by itself what it can't keep: nobody meant a line by that.
        let line = self.truth.line(self.truth.epoch(), post.room.value(), target(post));
        if line.is_some_and(|line| line.kind == EntryKind::FileOffer) {
            return None;
        }
        let named = self.meanings.taken_back.get(&client);
        if named.is_some_and(|named| named.contains(&target(post))) {
            return None;
        }
        self.newer_of(client, post, seq)
    }

    /// A later line of this client in the room: that would have been their last one.
    fn newer_of(&self, client: u16, post: &NewEntry, seq: u64) -> Option<String> {
        let room = post.room.value();
        // One that is hidden is not known to somebody who came back since.
        let first = if self.truth.may_hide() { self.truth.last_beginning(room) } else { 0 };
        let lines = self.truth.range(room, target(post), seq);
        let mut own = lines.filter(|(seq, line)| *seq >= first && line.is_text() && !line.is_deleted());
        let (newer, _) = own.find(|(_, line)| line.token().is_some_and(|token| token.client == client))?;
        let target = target(post);
        Some(format!("c{client} changes entry {target} as the last of its own, which was {newer}"))
    }

    fn mistaken_answer(&self, token: Token, post: &NewEntry) -> Option<String> {
        let (epoch, meant) = self.meanings.lines.get(&token)?;
        // Numbers mean nothing in another history: what is said goes on without them.
        if self.truth.epoch() > 0 && post.reply_to.is_none() {
            return None;
        }
        let target = target(post);
        match meant {
            Meant::Answer(meant) if *meant != target => {
                Some(format!("{token} answers entry {target}, meant was {meant}"))
            }
            Meant::AnswerLast(shown) if *epoch == self.truth.epoch() => {
                let last = shown.get(&post.room.value()).copied().unwrap_or(0);
                let author = post.person.map(protocol::id::PersonId::value);
                let mut later = self.truth.range(post.room.value(), target, last + 1);
                let is_later = |line: &crate::truth::Line| {
                    line.is_text() && !line.is_deleted() && line.person.is_some() && line.person != author
                };
                let (later, _) = later.find(|(_, line)| is_later(line))?;
                Some(format!("{token} answers entry {target} as the last one, and {later} was shown"))
            }
            // The line that was to be changed had not gone out yet, so this is said in its place.
            _ => None,
        }
    }
}

fn target(post: &NewEntry) -> u64 {
    post.reply_to.map_or(0, protocol::id::Seq::value)
}
