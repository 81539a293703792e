//! A tap on a client's connection: what the server promised on the wire, whatever the client makes of it.

use crate::asked::Asked;
use crate::cause::{Requests, Told};
use crate::coverage::Sometimes;
use crate::record::{Fate, Pages, Record};
use crate::rule::Rule;
use crate::sight::Sight;
use crate::trace::{Token, Who};
use protocol::code::Code;
use protocol::frame::{Deframer, Item};
use protocol::id::{PersonId, RoomId, Seq};
use protocol::limits::MAX_FRAME;
use protocol::message::{ClientMsg, OpenFrom, RoomsChange, ServerMsg, StateChange, ty};
use std::collections::{BTreeMap, BTreeSet};

/// What a device has on the wire, over all its connections.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    epoch: Option<[u8; 16]>,
    /// The line that each counter stood for when it was last sent.
    sent: BTreeMap<u64, Token>,
    /// Every line that was ever sent.
    said: BTreeSet<Token>,
    /// Counters up to this one are acknowledged.
    acked: u64,
    /// The newest entry that came over the wire, by room.
    got: BTreeMap<RoomId, u64>,
}

/// The tap on one connection.
#[derive(Debug)]
pub(crate) struct Tap {
    record: Record,
    client: u16,
    down: Deframer,
    up: Deframer,
    /// The entry that comes next in each open room.
    next: BTreeMap<RoomId, Option<Seq>>,
    /// The head of each room when it was opened, until it has come.
    behind: BTreeMap<RoomId, Seq>,
    asked: Asked,
    requests: Requests,
    /// The last number that the login told.
    welcomed: Option<u64>,
}

impl Tap {
    pub(crate) fn new(record: Record, client: u16) -> Self {
        let deframer = || Deframer::new(MAX_FRAME);
        let asked = Asked::new(client, record.pages().truth.epoch());
        Self {
            asked,
            requests: Requests::default(),
            welcomed: None,
            record,
            client,
            down: deframer(),
            up: deframer(),
            next: BTreeMap::new(),
            behind: BTreeMap::new(),
        }
    }

    /// Bytes came from the server.
    pub(crate) fn hear(&mut self, mut bytes: &[u8]) {
        let record = self.record.clone();
        loop {
            let message = match self.down.next(&mut bytes) {
                Ok(Some(Item::Frame(frame))) if is_told(frame.ty) => {
                    ServerMsg::decode(frame.ty, frame.payload)
                }
                Ok(Some(_)) => continue,
                Ok(None) => return,
                Err(error) => return record.fail(Rule::OneOrder, format!("the server sent {error}")),
            };
            match message {
                Ok(Some(message)) => self.take(&message, &mut record.pages()),
                Ok(None) => {}
                Err(error) => {
                    record.fail(Rule::OneOrder, format!("the server sent what can't be read: {error}"));
                }
            }
        }
    }

    /// Bytes go to the server.
    pub(crate) fn say(&mut self, mut bytes: &[u8]) {
        let record = self.record.clone();
        while let Ok(Some(item)) = self.up.next(&mut bytes) {
            let Item::Frame(frame) = item else { continue };
            let message = ClientMsg::decode(frame.ty, frame.payload);
            if let Ok(Some(message)) = &message {
                let mut pages = record.pages();
                let now = pages.now();
                self.asked.note(message, &pages.truth, now);
                self.requests.note(message, pages.now());
                self.note_wish(message, &mut pages);
            }
            match message {
                Ok(Some(ClientMsg::Post { counter, body, .. })) => {
                    let mut pages = record.pages();
                    let wire = self.wire(&mut pages);
                    let token = token_of(&body);
                    wire.said.extend(token);
                    match token {
                        Some(token) => wire.sent.insert(counter.value(), token),
                        // What has no token may have the number of a line that was refused.
                        None => wire.sent.remove(&counter.value()),
                    };
                }
                Ok(Some(ClientMsg::Open { room, from: OpenFrom::After { epoch, seq }, .. })) => {
                    self.check_cursor(room, epoch.0, seq, &mut record.pages());
                }
                _ => {}
            }
        }
    }

    /// What lets a person into a room, or out of it.
    fn note_wish(&self, message: &ClientMsg, pages: &mut Pages) {
        let Some(person) = self.sight(pages).person.and_then(PersonId::new) else { return };
        match message {
            ClientMsg::Join { name, .. } => pages.truth.members.wish_in(person, name),
            ClientMsg::Part { room, .. } => {
                let now = pages.now();
                pages.truth.members.wish_out(person, *room, now);
            }
            ClientMsg::Close { room, .. } => drop(self.sight(pages).open.remove(&room.value())),
            ClientMsg::State { change: StateChange::Away { .. }, .. } => self.say_away(true, pages),
            ClientMsg::State { change: StateChange::Back, .. } => self.say_away(false, pages),
            ClientMsg::State { change: StateChange::Name { .. }, .. } => {
                let now = pages.now();
                self.sight(pages).own.touch(now);
            }
            _ => {}
        }
    }

    fn say_away(&self, away: bool, pages: &mut Pages) {
        let now = pages.now();
        self.sight(pages).own.say_away(away, now);
    }

    fn wire<'a>(&self, pages: &'a mut Pages) -> &'a mut Wire {
        &mut self.sight(pages).wire
    }

    fn sight<'a>(&self, pages: &'a mut Pages) -> &'a mut Sight {
        &mut pages.sights[usize::from(self.client)]
    }

    fn take(&mut self, message: &ServerMsg, pages: &mut Pages) {
        self.asked.judge(message, pages);
        self.judge_refusal(message, pages);
        match message {
            ServerMsg::Welcome { epoch, last_counter, person, .. } => {
                pages.sights[usize::from(self.client)].person = Some(person.value());
                let last = last_counter.map_or(0, protocol::id::Counter::value);
                self.welcomed = Some(last);
                self.sight(pages).lobby.begin();
                self.sight(pages).open.clear();
                self.welcome(epoch.0, last, pages);
            }
            ServerMsg::Roster { .. } => {
                let now = pages.now();
                self.sight(pages).lobby.take(message, now);
            }
            ServerMsg::Ack { counter, .. } => self.ack(counter.value(), pages),
            ServerMsg::Opened { room, newest, next, .. } => {
                self.next.insert(*room, Some(*next));
                self.sight(pages).open.insert(room.value(), next.value());
                if let Some(newest) = newest.filter(|newest| newest >= next) {
                    pages.coverage.hit(Sometimes::ResumeBehind);
                    self.behind.insert(*room, newest);
                }
            }
            ServerMsg::Error { code, .. } if is_of_the_dead(*code) => {
                let (client, is_unhindered) = (self.client, self.sight(pages).is_unhindered());
                if is_unhindered {
                    pages.fail(Rule::NotTakenForDead, format!("c{client} is told that it was silent"));
                }
            }
            ServerMsg::Error { code, about: ty::POST, req, detail, .. } if is_of_numbers(*code) => {
                let what = format!("c{} is refused post {req}, {detail} is expected", self.client);
                // What is sent behind a post that the disk had no room for is out of order as well.
                let is_first = self.welcomed.is_some_and(|last| *req == last + 1);
                if *code == Code::OtherContent.number() || is_first && self.sight(pages).forgetful {
                    pages.fail(Rule::NumbersGoOn, what);
                }
            }
            ServerMsg::Rooms { change: RoomsChange::Removed, rooms, .. } => {
                for info in rooms {
                    let sight = self.sight(pages);
                    sight.leave(info.room.value());
                    sight.open.remove(&info.room.value());
                    self.next.remove(&info.room);
                }
            }
            ServerMsg::Trimmed { room, first, .. } => {
                self.next.insert(*room, Some(*first));
                self.sight(pages).open.insert(room.value(), first.value());
            }
            ServerMsg::Entries { room, entries } => {
                for entry in entries {
                    self.entry(*room, entry.seq, pages);
                }
            }
            _ => {}
        }
    }

    fn judge_refusal(&mut self, message: &ServerMsg, pages: &mut Pages) {
        let ServerMsg::Error { code, about, req, .. } = message else { return };
        let told = Told { code: *code, about: *about, req: *req };
        let person = self.sight(pages).person.and_then(PersonId::new);
        let wrong = self.requests.judge(told, person, pages);
        // What is refused may be about a history that is gone.
        if let Some(wrong) = wrong.filter(|_| pages.truth.epoch() == 0) {
            pages.fail(Rule::RefusedForCause, format!("c{} {wrong}", self.client));
        }
    }

    fn welcome(&mut self, epoch: [u8; 16], last: u64, pages: &mut Pages) {
        pages.logged_in();
        pages.note(Who::Client(self.client), "is welcome", None, last);
        let wire = self.wire(pages);
        if wire.epoch.replace(epoch).is_some_and(|known| known != epoch) {
            (wire.sent, wire.acked, wire.got) = Default::default();
            pages.coverage.hit(Sometimes::NewHistory);
            return;
        }
        let unknown = wire.sent.range(wire.acked + 1..).next().is_some();
        let arrived = last > wire.acked;
        if unknown {
            pages.coverage.hit(Sometimes::ReconnectUnknown);
        }
        if arrived {
            pages.coverage.hit(Sometimes::ReconnectArrived);
        }
        self.ack(last, pages);
        if self.sight(pages).forgetful {
            // What was not stored will not be sent again, and its numbers are free.
            if unknown && arrived {
                pages.coverage.hit(Sometimes::ForgotWhatArrived);
            }
            self.wire(pages).sent.clear();
        }
    }

    fn ack(&mut self, counter: u64, pages: &mut Pages) {
        let wire = self.wire(pages);
        if counter <= wire.acked {
            return;
        }
        let acked: Vec<_> = wire.sent.range(wire.acked + 1..=counter).map(|(_, token)| *token).collect();
        wire.acked = counter;
        wire.sent = wire.sent.split_off(&(counter + 1));
        for token in acked {
            pages.acked(token);
        }
    }

    fn entry(&mut self, room: RoomId, seq: Seq, pages: &mut Pages) {
        let client = self.client;
        match self.next.insert(room, Some(seq.next())) {
            Some(Some(next)) if next == seq => {}
            Some(next) => pages.fail(
                Rule::OneOrder,
                format!("c{client} was sent entry {seq} of room {room} where {next:?} comes next"),
            ),
            // A room that was just left: what was on its way still comes.
            None => {
                self.next.remove(&room);
                return;
            }
        }
        self.sight(pages).open.insert(room.value(), seq.value() + 1);
        if let Some(newest) = self.behind.get(&room).copied() {
            if pages.truth.head(room.value()) > newest.value() {
                pages.coverage.hit(Sometimes::LiveDuringHistory);
                self.behind.remove(&room);
            } else if seq >= newest {
                self.behind.remove(&room);
            }
        }
        if seq.value() > pages.truth.head(room.value()) && pages.truth.epoch() == 0 {
            pages.fail(
                Rule::Durable,
                format!("c{client} was sent entry {seq} of room {room}, which is not durable"),
            );
        }
        self.wire(pages).got.insert(room, seq.value());
    }

    fn check_cursor(&self, room: RoomId, epoch: [u8; 16], seq: Option<Seq>, pages: &mut Pages) {
        let wire = self.wire(pages);
        if wire.epoch != Some(epoch) {
            return;
        }
        // What a client did not get over this wire another device of its owner may have read.
        let seq = seq.map_or(0, Seq::value);
        let most = wire.got.get(&room).copied().unwrap_or(0).max(pages.truth.head(room.value()));
        if seq > most {
            let client = self.client;
            pages.fail(
                Rule::CursorMovesOn,
                format!("c{client} resumes room {room} after {seq}, past its head {most}"),
            );
        }
    }
}

/// Whether it says that somebody was silent for too long.
fn is_of_the_dead(code: u16) -> bool {
    [Code::Silent, Code::Stalled].iter().any(|dead| dead.number() == code)
}

/// Whether it says that the number of a post is not the right one.
fn is_of_numbers(code: u16) -> bool {
    [Code::OtherContent, Code::OutOfOrder].iter().any(|wrong| wrong.number() == code)
}

/// Which messages of the server count.
fn is_told(ty: u8) -> bool {
    let rooms = matches!(ty, ty::ROOMS | ty::ROSTER | ty::OPENED | ty::ENTRIES | ty::PAGE | ty::TRIMMED);
    rooms || matches!(ty, ty::WELCOME | ty::ACK | ty::ERROR)
}

pub(crate) fn token_of(body: &[u8]) -> Option<Token> {
    if let Some(token) = std::str::from_utf8(body).ok().and_then(Token::find) {
        return Some(token);
    }
    // A file: its name is the token.
    let file = protocol::message::FileBody::decode(body).ok();
    let offer = || protocol::message::OfferBody::decode(body).ok();
    file.and_then(|file| Token::find(&file.name))
        .or_else(|| offer().and_then(|offer| Token::find(&offer.name)).map(Token::offer))
}

impl Wire {
    /// A line that was sent, and whose author does not know what became of it.
    pub(crate) fn unsettled(&self, fates: &BTreeMap<Token, Fate>) -> Option<Token> {
        self.said.iter().copied().find(|token| matches!(fates.get(token), Some(Fate::Typed)))
    }
}
