//! What a client asked for on one connection, and what it was given: the log as it was in between judges that.

mod part;

use crate::record::Pages;
use crate::rule::Rule;
use crate::trace::Token;
use crate::truth::{Truth, Version};
use client::session::Place;
use part::Part;
use protocol::entry::{Entry, EntryKind};
use protocol::id::{Counter, PersonId, Req, RoomId, Seq};
use protocol::limits::MIN_PREFIX;
use protocol::message::{ClientMsg, Found, RoomInfo, RoomKind, RoomsChange, ServerMsg, Target, TrimReason};
use std::collections::BTreeMap;

/// The questions of one connection.
#[derive(Debug)]
pub(crate) struct Asked {
    client: u16,
    /// The history that it is about: that of its welcome, which may be newer than the connection.
    epoch: u32,
    /// When each room was opened, in simulated microseconds.
    opened: BTreeMap<RoomId, u64>,
    questions: BTreeMap<Req, Question>,
    /// The rooms that the server said are theirs: since when, and until when.
    rooms: BTreeMap<RoomId, (u64, Option<u64>)>,
    /// Lines that were to be deleted, by the number of the post that says so.
    deletes: BTreeMap<Counter, (RoomId, Seq)>,
}

/// A question that is not answered.
#[derive(Debug)]
struct Question {
    at: u64,
    /// Where; nothing for all rooms.
    room: Option<RoomId>,
    /// What is searched for, and whether from the newest entry on.
    search: Option<(Token, bool)>,
    /// Which part of a history.
    part: Option<Part>,
}

impl Asked {
    pub(crate) fn new(client: u16, epoch: u32) -> Self {
        let (opened, questions, rooms, deletes) = Default::default();
        Self { client, epoch, opened, questions, rooms, deletes }
    }

    /// The client says something.
    pub(crate) fn note(&mut self, message: &ClientMsg, truth: &Truth, now: u64) {
        match message {
            ClientMsg::Open { room, .. } => drop(self.opened.insert(*room, now)),
            ClientMsg::Fetch { req, room, range, limit } => {
                let part = Some(Part::new(*room, range, *limit, truth));
                self.questions.insert(*req, Question { at: now, room: Some(*room), search: None, part });
            }
            ClientMsg::Search { req, room, words, before, .. } => {
                let search = Token::find(words).map(|token| (token, before.is_none()));
                self.questions.insert(*req, Question { at: now, room: *room, search, part: None });
            }
            ClientMsg::Post { counter, target, kind, reply_to, .. } => {
                self.deletes.remove(counter);
                if let (EntryKind::Delete, Target::Room { room }, Some(seq)) = (kind, target, reply_to) {
                    self.deletes.insert(*counter, (*room, *seq));
                }
            }
            _ => {}
        }
    }

    /// The server says something.
    pub(crate) fn judge(&mut self, message: &ServerMsg, pages: &mut Pages) {
        if let ServerMsg::Welcome { epoch, .. } = message
            && pages.truth.is_now(epoch.0)
        {
            self.epoch = pages.truth.epoch();
        }
        if pages.truth.epoch() != self.epoch {
            // What is still on its way from a history that is gone.
            return;
        }
        match message {
            ServerMsg::Welcome { device, .. } => {
                pages.sights[usize::from(self.client)].device = Some(device.value());
            }
            ServerMsg::Rooms { change, rooms, .. } => {
                rooms.iter().for_each(|info| self.take_room(change, info, pages));
            }
            ServerMsg::Entries { room, entries } => {
                let since = self.opened.get(room).copied().unwrap_or(0);
                entries.iter().for_each(|entry| self.check(*room, entry, since, pages));
            }
            ServerMsg::Trimmed { room, reason: TrimReason::Trimmed, first } => {
                self.check_begin(*room, *first, pages);
            }
            ServerMsg::Page { req, more, found } => {
                if let Some(question) = self.questions.remove(req) {
                    self.check_page(&question, *more, found, pages);
                }
            }
            ServerMsg::Ack { counter, .. } => self.check_deleted(*counter, pages),
            _ => {}
        }
    }

    fn take_room(&mut self, change: &RoomsChange, info: &RoomInfo, pages: &mut Pages) {
        let now = pages.now();
        if *change == RoomsChange::Removed {
            self.rooms.entry(info.room).or_insert((now, None)).1 = Some(now);
            pages.sights[usize::from(self.client)].marks.remove(&(self.epoch, info.room.value()));
            return;
        }
        let theirs = self.rooms.entry(info.room).or_insert((now, None));
        if theirs.1.is_some() {
            *theirs = (now, None);
        }
        let place = match info.kind {
            RoomKind::Public => Place::Room(info.name.clone()),
            RoomKind::Direct { .. } => Place::Person(info.name.clone()),
        };
        pages.sights[usize::from(self.client)].learn_name(&place.to_string(), info.room.value());
        self.check_counts(info, pages);
        self.check_begin(info.room, info.oldest, pages);
    }

    /// What is unread is what stands behind the mark, and a mark never goes back. A history that is trimmed has less.
    fn check_counts(&self, info: &RoomInfo, pages: &mut Pages) {
        let (client, room) = (self.client, info.room.value());
        let (read, newest) = (info.read.map_or(0, Seq::value), info.newest.map_or(0, Seq::value));
        let least = newest.saturating_sub(read.max(info.oldest.value() - 1));
        if u64::from(info.unread) != least || newest > pages.truth.head(room) {
            let head = pages.truth.head(room);
            pages.fail(Rule::Complete, format!("c{client} is told {info:?}, the newest entry is {head}"));
        }
        let reader = pages.sights[usize::from(client)].person.and_then(PersonId::new);
        if let Some(reader) = reader {
            let (least, most) = pages.truth.mentions(reader, room, read, newest, pages.now());
            // What comes late was counted long ago.
            let is_late = !pages.sights[usize::from(client)].is_unhindered();
            if info.mentions < least || info.mentions > most && !is_late {
                let what = format!("c{client} is told {info:?}, and is named {least} to {most} times there");
                pages.fail(Rule::Complete, what);
            }
        }
        let term = reader.and_then(|reader| pages.truth.members.term_since(reader, info.room));
        let now = pages.now();
        let marks = &mut pages.sights[usize::from(client)].marks;
        let (since, before, at) = marks.insert((self.epoch, room), (term, read, now)).unwrap_or_default();
        // A server that ended may have told what it had not stored yet. Of whom nothing is stored nothing is known after
        // that anyway.
        let is_same = term.is_some() && since == term && !pages.has_server_ended_since(at);
        if is_same && read < before {
            pages.fail(
                Rule::Complete,
                format!("c{client} has read {room} up to {read}, it was {before} before"),
            );
        }
    }

    /// Nobody is told that a room begins later than it does.
    fn check_begin(&self, room: RoomId, first: Seq, pages: &mut Pages) {
        let last = pages.truth.last_beginning(room.value());
        if first.value() > last {
            let oldest = pages.truth.oldest(room.value());
            let what = format!("c{} is told that {room} begins at {first}, it does at {oldest}", self.client);
            pages.fail(Rule::BeginningTold, what);
        }
    }

    /// An entry is what the log has, as it was at some time since it was asked for.
    fn check(&self, room: RoomId, entry: &Entry, since: u64, pages: &mut Pages) {
        let Some(line) = pages.truth.line(self.epoch, room.value(), entry.seq.value()) else {
            let what = format!("c{} is given entry {} of {room}, not in the log", self.client, entry.seq);
            return pages.fail(Rule::Durable, what);
        };
        let reader = pages.sights[usize::from(self.client)].person.and_then(PersonId::new);
        if reader.is_some_and(|reader| !pages.truth.members.may_read(reader, room, line.at())) {
            let what = format!("c{} is given entry {} of {room}, where they are not", self.client, entry.seq);
            return pages.fail(Rule::OnlyMembers, what);
        }
        let version = Version::of_entry(entry);
        let person = entry.person.map(protocol::id::PersonId::value);
        let is_same = line.kind == entry.kind
            && line.person == person
            && line.reply_to == entry.reply_to.map(Seq::value);
        if is_same && line.said_since(version, since) {
            return;
        }
        let rule = if is_same { Rule::NewestShown } else { Rule::OneOrder };
        let what = format!(
            "c{} is given {version:?} as entry {} of {room}, the log has {line:?}, asked for at {since} µs",
            self.client, entry.seq
        );
        pages.fail(rule, what);
    }

    fn check_page(&self, question: &Question, more: bool, found: &[Found], pages: &mut Pages) {
        for Found { room, entry } in found {
            self.check(*room, entry, question.at, pages);
            let theirs = self.rooms.get(room);
            if theirs.is_none_or(|(_, left)| left.is_some_and(|left| left < question.at)) {
                let what = format!("c{} is given entry {} of {room}, not theirs", self.client, entry.seq);
                pages.fail(Rule::SearchesFind, what);
            }
        }
        if let Some(wrong) = question.part.as_ref().and_then(|part| part.wrong(found, more, &pages.truth)) {
            pages.fail(Rule::Complete, format!("c{}: {wrong}", self.client));
        }
        if let Some((token, from_newest)) = question.search {
            let other = found.iter().find(|found| !is_about(token, Version::of_entry(&found.entry).token));
            if let Some(Found { room, entry }) = other {
                let what = format!("c{} finds entry {} of {room} for {token}", self.client, entry.seq);
                pages.fail(Rule::SearchesFind, what);
            }
            if from_newest && !more {
                self.check_complete(token, question, found, pages);
            }
        }
    }

    /// All that had been there since the question, and could be read, was found.
    fn check_complete(&self, token: Token, question: &Question, found: &[Found], pages: &mut Pages) {
        let theirs = |room: &RoomId| {
            self.rooms.get(room).is_some_and(|(since, left)| *since < question.at && left.is_none())
        };
        let everywhere = || self.rooms.keys().copied().collect();
        let rooms: Vec<RoomId> = question.room.map_or_else(everywhere, |room| vec![room]);
        for room in rooms.into_iter().filter(theirs) {
            let oldest = pages.truth.last_beginning(room.value());
            let missed = pages.truth.room(room.value()).find(|(seq, line)| {
                let is_sought = line.newest().is_some_and(|version| is_about(token, version.token));
                let is_kept = *seq >= oldest && line.is_searched() && line.is_unchanged_since(question.at);
                let is_found = |found: &Found| found.room == room && found.entry.seq.value() == *seq;
                is_sought && is_kept && !found.iter().any(is_found)
            });
            if let Some((seq, _)) = missed {
                let what = format!("c{} looks for {token}, entry {seq} of {room}, in vain", self.client);
                return pages.fail(Rule::SearchesFind, what);
            }
        }
    }

    fn check_deleted(&mut self, acked: Counter, pages: &mut Pages) {
        let waiting = self.deletes.split_off(&acked.next());
        for (room, seq) in std::mem::replace(&mut self.deletes, waiting).into_values() {
            let line = pages.truth.line(self.epoch, room.value(), seq.value());
            if !line.is_some_and(crate::truth::Line::is_deleted) {
                let what = format!("c{}: entry {seq} of {room} was deleted, and is there", self.client);
                pages.fail(Rule::Durable, what);
            }
            if pages.truth.is_unerased(room.value(), seq.value()) {
                let what = format!("c{}: the text of entry {seq} of {room} is not erased", self.client);
                pages.fail(Rule::Durable, what);
            }
        }
    }
}

/// Whether a search for this token finds what has that one: a long one is looked for as a beginning, too.
pub(crate) fn is_about(sought: Token, token: Option<Token>) -> bool {
    let is_open = sought.n.to_string().len() >= MIN_PREFIX;
    let begins = |token: Token| token.to_string().starts_with(&sought.to_string());
    token == Some(sought) || is_open && token.is_some_and(begins)
}
