//! A client and the script of its server.

use super::super::*;
use crate::clock::Now;
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{Counter, Req, RoomId, RunId, Seq};
use protocol::message::{
    Durability, FileListing, Found, Limits, OpenFrom, Presence, Range, Reply, RoomInfo, RoomKind,
    RoomsChange, RosterItem, Target, ty,
};
use std::ops::RangeInclusive;

pub(super) const EPOCH: Epoch = Epoch([1; 16]);
pub(super) const LOBBY: RoomId = RoomId::FIRST;

pub(in super::super) fn seq(value: u64) -> Seq {
    Seq::new(value).expect("tests count from 1")
}

pub(super) fn counter(value: u64) -> Counter {
    Counter::new(value).expect("tests count from 1")
}

fn person(value: u64) -> PersonId {
    PersonId::new(value).expect("tests count from 1")
}

/// An entry of eve's, or of this client if it has a counter.
pub(in super::super) fn entry(at: u64, text: &str, own: Option<u64>) -> Entry {
    Entry {
        seq: seq(at),
        time: Millis(1_000),
        written: Millis(0),
        person: Some(person(if own.is_some() { 1 } else { 6 })),
        name: if own.is_some() { "alice".into() } else { "eve".into() },
        device: DeviceNo::new(if own.is_some() { 1 } else { 6 }),
        counter: own.map(counter),
        kind: EntryKind::Text,
        revision: Revision::Original,
        reply_to: None,
        body: Bytes::copy_from_slice(text.as_bytes()),
    }
}

pub(super) fn info(room: RoomId, name: &str) -> RoomInfo {
    RoomInfo {
        room,
        kind: RoomKind::Public,
        name: name.into(),
        topic: String::new(),
        oldest: Seq::FIRST,
        newest: None,
        read: None,
        unread: 0,
        mentions: 0,
    }
}

fn limits() -> Limits {
    Limits {
        frame: 65_536,
        body: 16_384,
        chunk: 0,
        window_posts: 64,
        window_bytes: 262_144,
        ping_after_ms: 5_000,
        dead_after_ms: 15_000,
        file: 0,
    }
}

/// A session, its time, and what it has sent.
pub(super) struct Scripted {
    pub(super) session: Session,
    pub(super) now: Now,
    pub(super) epoch: Epoch,
    sent: Vec<ClientMsg>,
    kept: Kept,
    /// The journal, as it grew.
    pub(super) journal: Vec<Record>,
    given: u64,
}

impl Scripted {
    pub(super) fn new() -> Self {
        Self::with(false, Kept::default())
    }

    /// A client that goes on from what it kept, with a person at its prompt or without.
    pub(super) fn with(interactive: bool, kept: Kept) -> Self {
        let config = Config {
            name: "alice".into(),
            device: DeviceId([1; 16]),
            secret: Secret([1; 32]),
            agent: "test".into(),
            run: RunId([2; 16]),
            history: 20,
            interactive,
        };
        let session = Session::new(config, kept, &[]);
        let (now, journal) = (Now::default(), Vec::new());
        Self { session, now, epoch: EPOCH, sent: Vec::new(), kept: Kept::default(), journal, given: 0 }
    }

    /// The next process of a client that died when its journal held this.
    pub(super) fn after(journal: &[Record]) -> Self {
        let mut client = Self::new();
        let config = client.session.config.clone();
        client.session = Session::new(config, Kept::default(), journal);
        client.journal = journal.to_vec();
        client
    }

    /// A client that is in an empty lobby, with nothing to tell.
    pub(super) fn ready() -> Self {
        let mut client = Self::new();
        client.enter();
        client
    }

    /// Logs in for the first time; it is in an empty lobby then, with nothing to tell.
    pub(super) fn enter(&mut self) {
        self.connect();
        self.log_in(None);
        self.opened(LOBBY, None, 1);
        self.events();
        self.sent();
    }

    fn pump(&mut self) {
        while let Some(save) = self.session.poll_save() {
            self.session.handle_kept(&save);
            match save {
                Save::Kept(kept) => self.kept = kept,
                Save::Append(records) => self.journal.extend(records),
                Save::Replace(records) => self.journal = records,
            }
        }
        while let Some(message) = self.session.poll_transmit(self.now) {
            self.sent.push(message);
        }
    }

    pub(super) fn connect(&mut self) {
        self.connect_cautiously();
    }

    /// The same; whether the login asks for a free device only.
    pub(super) fn connect_cautiously(&mut self) -> bool {
        self.session.handle_connected(self.now);
        self.pump();
        let cautious =
            |message| matches!(message, ClientMsg::Hello { attempt: Some(a), .. } if a.only_if_free);
        self.sent().into_iter().any(cautious)
    }

    pub(super) fn disconnect(&mut self) {
        self.session.handle_disconnected(event::Loss::Closed, self.now);
        self.pump();
        self.sent.clear();
    }

    pub(super) fn say(&mut self, message: ServerMsg) {
        self.session.handle_received(self.now);
        self.session.handle_message(message, self.now);
        self.pump();
    }

    pub(super) fn line(&mut self, line: &str) {
        self.session.handle_line(line, self.now);
        self.pump();
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now.steady.0 += ms;
        self.now.wall.0 += ms;
        self.session.handle_tick(self.now);
        self.pump();
    }

    /// `Welcome`, and the lobby as the only room.
    pub(super) fn log_in(&mut self, last: Option<u64>) {
        self.log_in_with(last, vec![info(LOBBY, "lobby")]);
    }

    /// `Welcome`, and these rooms.
    pub(super) fn log_in_with(&mut self, last: Option<u64>, rooms: Vec<RoomInfo>) {
        self.say(ServerMsg::Welcome {
            version: 1,
            features: 0,
            limits: limits(),
            person: person(1),
            name: "alice".into(),
            device: DeviceNo::FIRST,
            last_counter: last.map(counter),
            epoch: self.epoch,
            durability: Durability::Memory,
            time: Millis(1_000_000),
            storage: String::new(),
            motd: String::new(),
            server: None,
        });
        self.say(ServerMsg::Rooms { req: Req(0), change: RoomsChange::All, more: false, rooms });
    }

    pub(super) fn opened(&mut self, room: RoomId, newest: Option<u64>, next: u64) {
        let req = self.last_req();
        let newest = newest.map(seq);
        self.say(ServerMsg::Opened {
            req,
            room,
            topic: String::new(),
            oldest: Seq::FIRST,
            newest,
            next: seq(next),
        });
        self.say(ServerMsg::Roster {
            room,
            version: 1,
            snapshot: true,
            more: false,
            online: 0,
            members: 1,
            people: Vec::new(),
        });
    }

    pub(super) fn entries(&mut self, room: RoomId, seqs: RangeInclusive<u64>) {
        let entries = seqs.map(|at| entry(at, &format!("line {at}"), None)).collect();
        self.say(ServerMsg::Entries { room, entries });
    }

    /// The answer to the last request: files of a room.
    pub(super) fn files(&mut self, more: bool, files: Vec<FileListing>) {
        let req = self.last_req();
        self.say(ServerMsg::Answer { req, more, reply: Reply::Files { files } });
    }

    /// The answer to the last request.
    pub(super) fn page(&mut self, more: bool, found: Vec<(RoomId, Entry)>) {
        let req = self.last_req();
        let found = found.into_iter().map(|(room, entry)| Found { room, entry }).collect();
        self.say(ServerMsg::Page { req, more, found });
    }

    /// The answer to the last request: these entries of the lobby.
    pub(super) fn lobby_page(&mut self, more: bool, seqs: RangeInclusive<u64>) {
        let entries = seqs.map(|at| (LOBBY, entry(at, &format!("line {at}"), None)));
        self.page(more, entries.collect());
    }

    pub(super) fn ack(&mut self, number: u64) {
        self.say(ServerMsg::Ack { counter: counter(number), room: None, seq: None });
    }

    /// A line of this client is acknowledged and comes back.
    pub(super) fn comes_back(&mut self, at: u64, number: u64, text: &str) {
        self.ack(number);
        self.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry(at, text, Some(number))] });
    }

    /// Everything in the posts that were sent but their place: counter, kind, what they refer to, body.
    pub(super) fn whole_posts(&mut self) -> Vec<(u64, EntryKind, Option<u64>, String)> {
        let post = |message| match message {
            ClientMsg::Post { counter, kind, reply_to, body, .. } => Some((
                counter.value(),
                kind,
                reply_to.map(Seq::value),
                String::from_utf8_lossy(&body).into_owned(),
            )),
            _ => None,
        };
        self.sent().into_iter().filter_map(post).collect()
    }

    /// The ranges and limits that were asked for.
    pub(super) fn fetches(&mut self) -> Vec<(Range, u16)> {
        let fetch = |message| match message {
            ClientMsg::Fetch { range, limit, .. } => Some((range, limit)),
            _ => None,
        };
        self.sent.iter().cloned().filter_map(fetch).collect()
    }

    /// How far it was told that rooms were read.
    pub(super) fn marks(&self) -> Vec<(RoomId, u64)> {
        let mark = |message: &ClientMsg| match message {
            ClientMsg::Mark { room, seq, .. } => Some((*room, seq.value())),
            _ => None,
        };
        self.sent.iter().filter_map(mark).collect()
    }

    pub(super) fn added(&mut self, room: RoomId, name: &str) {
        let req = self.last_req();
        let rooms = vec![info(room, name)];
        self.say(ServerMsg::Rooms { req, change: RoomsChange::Added, more: false, rooms });
    }

    pub(super) fn added_direct(&mut self, room: RoomId, name: &str, peer: u64) {
        let rooms = vec![RoomInfo { kind: RoomKind::Direct { peer: person(peer) }, ..info(room, name) }];
        self.say(ServerMsg::Rooms { req: Req(0), change: RoomsChange::Added, more: false, rooms });
    }

    pub(super) fn whois(&mut self, name: &str, number: u64) {
        let req = self.last_req();
        let person = RosterItem {
            person: person(number),
            name: name.into(),
            presence: Presence::default(),
            away: String::new(),
        };
        let reply = Reply::Whois { person, rooms: Vec::new(), seen: Millis(0), agent: String::new() };
        self.say(ServerMsg::Answer { req, more: false, reply });
    }

    /// A page of the list of rooms, in answer to what was asked last.
    pub(super) fn rooms_page(&mut self, more: bool, rooms: Vec<protocol::message::RoomListing>) {
        let req = self.last_req();
        self.say(ServerMsg::Answer { req, more, reply: Reply::Rooms { rooms } });
    }

    pub(super) fn refuse(&mut self, code: Code, about: u8, req: u64, close: bool) {
        self.say(ServerMsg::Error { code: code.number(), about, req, close, detail: 0, text: String::new() });
    }

    pub(super) fn refuse_last(&mut self, code: Code) {
        let req = self.last_req();
        self.refuse(code, ty::ASK, u64::from(req.0), false);
    }

    pub(super) fn refuse_post(&mut self, number: u64, code: Code, detail: u64) {
        let code = code.number();
        let text = String::new();
        self.say(ServerMsg::Error { code, about: ty::POST, req: number, close: false, detail, text });
    }

    pub(super) fn say_busy(&mut self, detail: u64) {
        let (code, about, text) = (Code::Busy.number(), ty::HELLO, String::new());
        self.say(ServerMsg::Error { code, about, req: 0, close: true, detail, text });
    }

    /// The number of the last request that was sent.
    fn last_req(&self) -> Req {
        let req = |message: &ClientMsg| match message {
            ClientMsg::Join { req, .. }
            | ClientMsg::Part { req, .. }
            | ClientMsg::Open { req, .. }
            | ClientMsg::Fetch { req, .. }
            | ClientMsg::Search { req, .. }
            | ClientMsg::State { req, .. }
            | ClientMsg::Ask { req, .. }
            | ClientMsg::Do { req, .. } => Some(*req),
            _ => None,
        };
        self.sent.iter().rev().find_map(req).unwrap_or_default()
    }

    /// What was sent since the connection began.
    pub(super) fn sent(&mut self) -> Vec<ClientMsg> {
        std::mem::take(&mut self.sent)
    }

    pub(super) fn opens(&self) -> Vec<(RoomId, OpenFrom)> {
        let open = |message: &ClientMsg| match message {
            ClientMsg::Open { room, from, .. } => Some((*room, from.clone())),
            _ => None,
        };
        self.sent.iter().filter_map(open).collect()
    }

    pub(super) fn joins(&self) -> Vec<String> {
        let join = |message: &ClientMsg| match message {
            ClientMsg::Join { name, .. } => Some(name.clone()),
            _ => None,
        };
        self.sent.iter().filter_map(join).collect()
    }

    /// The posts that were sent since they were last looked at, whose targets stay to be seen.
    pub(super) fn posts(&mut self) -> Vec<(u64, String)> {
        let post = |message: &mut ClientMsg| match message {
            ClientMsg::Post { counter, body, written, .. } if written.0 != u64::MAX => {
                written.0 = u64::MAX;
                Some((counter.value(), String::from_utf8_lossy(body).into_owned()))
            }
            _ => None,
        };
        self.sent.iter_mut().filter_map(post).collect()
    }

    pub(super) fn targets(&self) -> Vec<Target> {
        let target = |message: &ClientMsg| match message {
            ClientMsg::Post { target, .. } => Some(target.clone()),
            _ => None,
        };
        self.sent.iter().filter_map(target).collect()
    }

    /// What there is to show, without saying that it was shown.
    pub(super) fn events(&mut self) -> Vec<Event> {
        let events: Vec<_> = std::iter::from_fn(|| self.session.poll_event()).collect();
        self.given += events.len() as u64;
        events
    }

    /// Shows all that there is.
    pub(super) fn show_all(&mut self) {
        self.events();
        self.session.handle_shown(self.given, self.now);
        self.pump();
    }

    /// How far a room was shown, as it was kept.
    pub(super) fn kept_position(&self, room: RoomId) -> Option<Option<Seq>> {
        self.kept.rooms.iter().find(|kept| kept.room == room).map(|kept| kept.seen)
    }
}
