//! The client's state machine: what the server says and the user types goes in, messages, events and things
//! to keep come out. It does no I/O and knows no clock.
//!
//! The driver's contract:
//! - `handle_*` takes something in, with the time at which it came.
//! - After each, [`Session::poll_save`] first, until it is empty; [`Session::handle_kept`] or
//!   [`Session::handle_unkept`] tells how it went. [`Session::poll_transmit`] gives no post that is not kept.
//! - [`Session::poll_event`] gives what is to be shown; [`Session::handle_shown`] tells how many of these were,
//!   because only then do the kept cursors move.
//! - [`Session::handle_tick`] is due at [`Session::timeout`].
//! - Once [`Session::end`] is there, the last messages are sent and the session is over.

mod answers;
mod awaited;
mod blocks;
mod changes;
mod comings;
mod commands;
mod cursors;
mod entries;
mod errors;
pub mod event;
mod heartbeat;
mod ignored;
mod leaving;
mod listing;
mod login;
mod marks;
mod news;
mod outbox;
mod place;
mod poll;
mod posting;
mod reading;
mod recent;
mod requests;
mod resume;
mod rooms;
mod roster;
mod save;
mod search;
mod seek;
mod shelf;
#[cfg(test)]
mod tests;
mod transfers;
mod typing;
mod unkept;
mod view;

pub use outbox::{
    Content, DownJob, DownStage, Job, Offer, Outcome, Pending, Post, Record, Standing, UpJob, Whereabouts,
};
pub use place::Place;
pub use resume::Tally;
pub use roster::Change;
pub use save::{Kept, KeptRoom, Save};
pub use transfers::{Ongoing, Wanted};
pub use view::View;

use crate::clock::{Now, after};
use crate::transfer::Keep;
use changes::Deferred;
use event::{End, Event, Loss, Welcome};
use heartbeat::Heartbeat;
use ignored::Ignored;
use leaving::Leaving;
use marks::Marks;
use outbox::Outbox;
use protocol::command::Command;
use protocol::id::{DeviceId, DeviceNo, Epoch, Millis, PersonId, RunId};
use protocol::limits::MAX_BODY;
use protocol::message::{ClientMsg, RoomInfo, Secret, ServerMsg};
use reading::Reading;
use requests::{Asked, Requests};
use resume::Resume;
use rooms::Rooms;
use save::Keeper;
use search::Searched;
use std::collections::VecDeque;
use transfers::Transfers;

/// Time from the connection to the login's answer, in ms; a stranger's port may say nothing at all.
const LOGIN_MS: u64 = 10_000;

/// What was said before is shown first, but for at most so long, in ms, before lines are taken.
const CATCH_UP_MS: u64 = 3_000;

/// Lines that `/history` shows at first.
const HISTORY: u16 = 20;

/// Posts that may wait before more input is read.
const MAX_WAITING: usize = 256;

/// Events that may wait for the face before no more is read from the server.
const MAX_UNSHOWN: usize = 512;

/// What a session is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name that its user wants.
    pub name: String,
    /// This device.
    pub device: DeviceId,
    /// Who this is.
    pub secret: Secret,
    /// Program and version.
    pub agent: String,
    /// This run of the process.
    pub run: RunId,
    /// Entries to show of a room that was never read.
    pub history: u16,
    /// Whether a person sees the prompt: then what fails leads back to where they were. A script's next line
    /// must never go to another place than it asked for.
    pub interactive: bool,
}

/// How far a session has come.
///
/// `Down` → (connected) `Login` → (`Welcome`) `Listing` → (last page of `Rooms`) `Up` → (disconnected) `Down`;
/// from anywhere `Over`, for good.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    Down,
    Login { since: Millis },
    Listing,
    Up,
    Over(End),
}

/// A client's session. See the module for its contract.
#[derive(Debug)]
pub struct Session {
    config: Config,
    phase: Phase,
    /// The first login of this process; `None` before it.
    welcome: Option<Welcome>,
    logins: u64,
    name: String,
    me: Option<PersonId>,
    device: Option<DeviceNo>,
    epoch: Option<Epoch>,
    max_body: usize,
    /// The server's time, and the steady time at which it was told.
    server_time: (Millis, Millis),
    /// The server asked to stay away for so many ms.
    stay_away: u32,
    /// Connections of this run so far.
    attempts: u32,
    /// Why the server ends this connection, if it said so.
    sent_away: Option<Loss>,
    /// Another connection of this device took over: how often this one has looked since whether it is free.
    fenced: Option<u32>,
    /// How often another connection of this device took over.
    fences: u64,
    started: Option<Millis>,
    ticked: Option<Millis>,
    told_connecting: bool,
    /// The user knows that the server has no space.
    told_full: bool,
    /// The first login is showing what was said before.
    catching_up: bool,
    heartbeat: Heartbeat,
    nonce: u64,
    rooms: Rooms,
    names: view::Names,
    listing: Vec<RoomInfo>,
    /// Names of rooms to be in: asked for and not answered, or mine in a history that is gone.
    joining: Vec<String>,
    /// Names of the public rooms that were mine in a history that is gone: they are read from their oldest entry.
    reread: Vec<String>,
    /// The first list of rooms has been seen, now or in an earlier process.
    returning: bool,
    /// Where what is typed goes.
    current: Place,
    /// Where `/query` and `/part` go back to.
    back_to: Place,
    outbox: Outbox,
    requests: Requests,
    resume: Resume,
    ignored: Ignored,
    leaving: Leaving,
    transfers: Transfers,
    keeper: Keeper,
    marks: Marks,
    typing: typing::Typing,
    unkept: unkept::Unsaved,
    /// A change of my last line, until it is known which that is. Nothing more is read from the user meanwhile.
    deferred: Option<Deferred>,
    /// A script's question about what was said, until all that it said before is there.
    held: Option<Command>,
    reading: Option<Reading>,
    /// Lines that `/history` shows unless it is told.
    last_count: u16,
    searched: Searched,
    shelf: shelf::Shelf,
    /// Where what is got goes, unless that is said.
    keep_at: Keep,
    /// Somebody sees how far files are at any time, not only their tenths.
    watched: bool,
    /// It is there for one thing: what is shown is not read by that, and what is got is waited for.
    errand: bool,
    /// Only rooms are joined that are there.
    makes_no_rooms: bool,
    /// When it is told next what is waited for.
    reminder: awaited::Reminder,
    lines: u64,
    /// Lines that could not be done, and lines that the server refused.
    mistakes: u64,
    refusals: u64,
    out: VecDeque<ClientMsg>,
    events: VecDeque<Event>,
    /// Events ever queued, ever given out and ever shown. Invariant: shown <= given <= queued.
    queued: u64,
    given: u64,
    shown: u64,
}

/// What a journal has that is not settled.
pub fn standing(journal: &[Record]) -> Standing {
    Outbox::restore(journal).standing()
}

impl Session {
    /// A session that goes on from what was kept.
    pub fn new(config: Config, kept: Kept, journal: &[Record]) -> Self {
        let mut outbox = Outbox::restore(journal);
        if config.interactive {
            outbox.wait_for_space();
        }
        let transfers = Transfers::restore(outbox.jobs());
        let lobby = Place::Room(protocol::name::RoomName::lobby().as_str().to_owned());
        Self {
            phase: Phase::Down,
            welcome: None,
            logins: 0,
            name: if kept.name.is_empty() { config.name.clone() } else { kept.name.clone() },
            me: None,
            device: None,
            epoch: kept.epoch,
            max_body: MAX_BODY,
            server_time: Default::default(),
            stay_away: 0,
            attempts: 0,
            sent_away: None,
            fenced: None,
            fences: 0,
            started: None,
            ticked: None,
            told_connecting: false,
            told_full: false,
            catching_up: true,
            heartbeat: Heartbeat::new(Millis(0)),
            nonce: 0,
            rooms: Rooms::default(),
            names: view::Names::default(),
            listing: Vec::new(),
            joining: Vec::new(),
            reread: Vec::new(),
            returning: false,
            current: lobby.clone(),
            back_to: lobby,
            outbox,
            requests: Requests::default(),
            resume: Resume::default(),
            ignored: Ignored::restore(kept.ignored.clone()),
            leaving: Leaving::default(),
            transfers,
            keeper: Keeper::new(kept),
            marks: Marks::default(),
            typing: typing::Typing::default(),
            unkept: unkept::Unsaved::default(),
            deferred: None,
            held: None,
            reading: None,
            last_count: HISTORY,
            searched: Searched::default(),
            shelf: shelf::Shelf::default(),
            keep_at: Keep::default(),
            watched: config.interactive,
            errand: false,
            makes_no_rooms: false,
            reminder: awaited::Reminder::default(),
            lines: 0,
            mistakes: 0,
            refusals: 0,
            out: VecDeque::new(),
            events: VecDeque::new(),
            queued: 0,
            given: 0,
            shown: 0,
            config,
        }
    }

    /// The transport is up.
    pub fn handle_connected(&mut self, now: Now) {
        self.heartbeat = Heartbeat::new(now.steady);
        self.log_in(now);
    }

    /// Bytes came from the server, whatever they are.
    pub fn handle_received(&mut self, now: Now) {
        self.heartbeat.handle_received(now.steady);
    }

    /// A message came from the server.
    pub fn handle_message(&mut self, message: ServerMsg, now: Now) {
        if self.end().is_some() {
            return;
        }
        match message {
            ServerMsg::Welcome { .. } => self.handle_welcome(message, now),
            ServerMsg::Rooms { req, change, more, rooms } => self.handle_rooms(req, &change, more, rooms),
            ServerMsg::Opened { req, room, topic, newest, next, .. } => {
                self.handle_opened(req, room, topic, newest, next);
            }
            ServerMsg::Ack { counter, .. } => self.handle_ack(counter, now),
            ServerMsg::Entries { room, entries } => self.handle_entries(room, &entries),
            ServerMsg::Page { req, more, found } => self.handle_page(req, more, &found),
            ServerMsg::Trimmed { room, reason, first } => self.handle_trimmed(room, &reason, first),
            ServerMsg::Roster { room, snapshot, more, online, members, people, .. } => {
                self.handle_roster(room, roster::Page { snapshot, more, online, members, people }, now);
            }
            ServerMsg::Answer { req, more, reply } => self.handle_answer(req, more, reply),
            ServerMsg::Error { code, about, req, close, detail, text } => {
                self.handle_error(errors::Failed { code, about, req, close, detail, text }, now);
            }
            ServerMsg::GoAway { after_ms, text } => {
                self.stay_away = after_ms;
                self.tell(Event::GoingAway { text, after_ms });
            }
            ServerMsg::Pong { .. } => {}
            // Files and the operator have their own connections; a chat connection never asks for these.
            ServerMsg::Operated { .. }
            | ServerMsg::PutAt { .. }
            | ServerMsg::Data { .. }
            | ServerMsg::Credit { .. }
            | ServerMsg::Check { .. }
            | ServerMsg::End { .. } => {}
        }
        self.advance(now);
    }

    /// The transport is gone.
    pub fn handle_disconnected(&mut self, loss: Loss, now: Now) {
        let announced = if self.stay_away > 0 { Loss::Announced } else { loss };
        let loss = self.sent_away.take().unwrap_or(announced);
        let phase = std::mem::replace(&mut self.phase, Phase::Down);
        self.outbox.handle_disconnected();
        self.out.clear();
        self.typing.handle_disconnected();
        self.collect_typing();
        self.listing.clear();
        self.rooms.iter_mut().for_each(|room| room.comings.handle_disconnected());
        let broken: Vec<_> =
            self.requests.clear().filter(|asked| !matches!(asked, Asked::Join { .. })).collect();
        match phase {
            Phase::Over(end) => self.phase = Phase::Over(end),
            Phase::Down => {}
            Phase::Login { .. } if loss == Loss::Busy => {}
            _ if self.welcome.is_none() => self.end_with(End::NoLogin(loss), now),
            Phase::Login { .. } => {}
            Phase::Listing | Phase::Up => self.tell(Event::Lost(loss)),
        }
        for command in broken.iter().filter_map(Asked::command) {
            self.mistake(format!("the connection broke before {command} was answered"), "try it again");
        }
        self.advance(now);
    }

    /// Time has passed.
    pub fn handle_tick(&mut self, now: Now) {
        self.ticked = Some(now.steady);
        let started = *self.started.get_or_insert(now.steady);
        let slow = now.steady >= after(started, outbox::PENDING_AFTER_MS);
        if slow && self.welcome.is_none() && !std::mem::replace(&mut self.told_connecting, true) {
            self.tell(Event::Connecting);
        }
        self.catching_up &= self.logins == 0 || now.steady < after(self.server_time.1, CATCH_UP_MS);
        if self.is_connected()
            && self.heartbeat.is_ping_due(now.steady)
            && !matches!(self.phase, Phase::Login { .. })
        {
            self.nonce += 1;
            self.out.push_back(ClientMsg::Ping { nonce: self.nonce });
        }
        self.advance_reminder(now);
        self.advance(now);
    }

    /// What everything that happened leads to.
    fn advance(&mut self, now: Now) {
        self.out.extend(self.requests.poll_again(now.steady));
        self.advance_transfers(now);
        let recalling = self.requests.any(|asked| matches!(asked, Asked::Context { .. }));
        if self.phase == Phase::Up
            && !recalling
            && let Some(tally) = self.resume.close()
        {
            self.catching_up = false;
            self.leaving.handle_resumed();
            tally.into_iter().for_each(|tally| self.tell_resumed(tally));
        }
        self.advance_deferred(now);
        self.advance_held(now);
        self.advance_posts(now);
        self.advance_marks(now.steady, false);
        self.advance_leaving(now);
        self.advance_comings(now);
        self.keeper.advance(now.steady, self.end().is_some());
    }

    fn tell(&mut self, event: Event) {
        self.queued += 1;
        self.events.push_back(event);
    }

    fn mistake(&mut self, text: impl Into<String>, hint: impl Into<String>) {
        self.mistakes += 1;
        self.tell(Event::Mistake { text: text.into(), hint: hint.into() });
    }

    fn ask(&mut self, asked: Asked, message: impl FnOnce(protocol::id::Req) -> ClientMsg) {
        let req = self.requests.ask(asked);
        self.out.extend(self.requests.send(req, message(req)));
    }
}
