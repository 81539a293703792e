//! The state machine of the classic mode. As pure as the native one, and driven like it.

mod files;
mod hearing;
mod typing;

use crate::clock::{Now, after, since};
use crate::drive::Talk;
use crate::session::event::{Event, Loss, Said, Welcome};
use crate::session::{Place, View};
use crate::transfer::Upload;
use bytes::Bytes;
use files::Files;
use protocol::classic::ClassicMsg;
use protocol::entry::{EntryKind, Revision};
use protocol::id::{Millis, Seq};
use protocol::message::Durability;
use std::collections::{BTreeSet, VecDeque};

/// Time from the connection to the server's first word, in ms.
const JOIN_MS: u64 = 10_000;

/// Time that the server is given to answer `/quit`, in ms.
const QUIT_MS: u64 = 5_000;

/// A line that was written so long before the link broke has surely left this machine, in ms. Nobody ever says
/// whether it arrived.
const FRESH_MS: u64 = 10_000;

/// Lines that may wait before more are read, and events that may wait for the face.
const MAX_WAITING: usize = 256;

/// Names that are remembered for completion.
const MAX_PEOPLE: usize = 1_000;

/// What stands under the greeting.
const HONEST: &str =
    "a classic server: it keeps nothing, and what is sent while the connection breaks may be lost";

/// What a session is made with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The name that its user wants.
    pub name: String,
    /// Whether a person sees the prompt.
    pub interactive: bool,
    /// Files of others are received up to this size, in bytes.
    pub receive_up_to: u64,
}

/// How a session ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClassicEnd {
    /// As its user wished.
    Quit,
    /// Somebody else has the name.
    NameTaken,
    /// The server does not let this client in, and says why.
    Refused(String),
    /// The server closed the connection, or fell silent, before its first word.
    NoLogin(Loss),
}

/// How far a session has come.
///
/// `Down` → (connected) `Joining` → (the server's first word) `Up` → (`/quit` sent) `Quitting` → `Over`;
/// (disconnected) leads from `Joining` and `Up` to `Down`, and from `Quitting` to `Over`.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    Down,
    Joining { since: Millis },
    Up,
    Quitting { since: Millis },
    Over(ClassicEnd),
}

/// A session with a classic server. The driver's contract is that of [`crate::session::Session`], without saves.
#[derive(Debug)]
pub struct ClassicSession {
    config: Config,
    phase: Phase,
    /// How often the server let this client in.
    joins: u64,
    /// The server holds the name of this client's broken connection; the driver drops this one too.
    turned_away: bool,
    told_turned_away: bool,
    /// Typed, and not sent yet.
    waiting: VecDeque<String>,
    /// Sent lately, and when.
    fresh: VecDeque<(Millis, String)>,
    out: VecDeque<Bytes>,
    files: Files,
    /// The wish to leave, and until when it waits; `None` inside waits for as long as it takes.
    leaving: Option<Option<Millis>>,
    people: BTreeSet<String>,
    lines: u64,
    refusals: u64,
    mistakes: u64,
    lost: u64,
    next: Seq,
    events: VecDeque<Event>,
    given: u64,
}

impl ClassicSession {
    /// A session that has not begun.
    pub fn new(config: Config) -> Self {
        Self {
            files: Files::new(config.receive_up_to, config.interactive),
            config,
            phase: Phase::Down,
            joins: 0,
            turned_away: false,
            told_turned_away: false,
            waiting: VecDeque::new(),
            fresh: VecDeque::new(),
            out: VecDeque::new(),
            leaving: None,
            people: BTreeSet::new(),
            lines: 0,
            refusals: 0,
            mistakes: 0,
            lost: 0,
            next: Seq::FIRST,
            events: VecDeque::new(),
            given: 0,
        }
    }

    /// The transport is up.
    pub fn handle_connected(&mut self, now: Now) {
        self.phase = Phase::Joining { since: now.steady };
        self.turned_away = false;
        self.out.push_back(ClassicMsg::Join(&self.config.name).encode());
    }

    /// The transport is gone.
    pub fn handle_disconnected(&mut self, loss: Loss, now: Now) {
        self.out.clear();
        self.break_files(loss);
        match std::mem::replace(&mut self.phase, Phase::Down) {
            Phase::Over(end) => self.phase = Phase::Over(end),
            Phase::Joining { .. } if self.joins == 0 => self.phase = Phase::Over(ClassicEnd::NoLogin(loss)),
            Phase::Down | Phase::Joining { .. } => {}
            Phase::Up => {
                self.tell(Event::Lost(loss));
                self.tell_lost(now);
            }
            Phase::Quitting { .. } => {
                self.tell_lost(now);
                self.phase = Phase::Over(ClassicEnd::Quit);
            }
        }
        self.advance(now);
    }

    /// Time has passed.
    pub fn handle_tick(&mut self, now: Now) {
        self.advance(now);
    }

    /// The user wants to leave. What is not sent is waited for, at most `patience` ms if that is given.
    pub fn handle_leave(&mut self, patience: Option<u64>, now: Now) {
        self.leaving = Some(patience.map(|ms| after(now.steady, ms)));
        self.advance(now);
    }

    /// What everything that happened leads to.
    fn advance(&mut self, now: Now) {
        match self.phase {
            Phase::Joining { since: begun } if since(now.steady, begun) >= JOIN_MS && self.joins == 0 => {
                self.phase = Phase::Over(ClassicEnd::NoLogin(Loss::Silent));
            }
            Phase::Quitting { since: begun } if since(now.steady, begun) >= QUIT_MS => {
                self.tell_lost(now);
                self.phase = Phase::Over(ClassicEnd::Quit);
            }
            _ => {}
        }
        self.send_waiting(now);
        let Some(wish) = self.leaving else { return };
        let late = wish.is_some_and(|until| now.steady >= until);
        let done = self.waiting.is_empty() && self.files.is_empty();
        match self.phase {
            Phase::Up if late && !self.files.is_empty() => {
                // A frame that has begun can't be left for another one.
                self.abandon_files();
                self.phase = Phase::Over(ClassicEnd::Quit);
            }
            Phase::Up if done || late => {
                self.out.push_back(ClassicMsg::Text("/quit").encode());
                self.phase = Phase::Quitting { since: now.steady };
            }
            Phase::Down | Phase::Joining { .. } if wish.is_some() => {
                self.abandon_files();
                self.phase = Phase::Over(ClassicEnd::Quit);
            }
            _ => {}
        }
    }

    /// The next frame for the server; nothing while a file's frame is on its way.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if self.files.is_sending() { None } else { self.out.pop_front() }
    }

    /// The next file for the server, once everything before it is on its way.
    pub fn poll_upload(&mut self) -> Option<Upload> {
        let free = self.phase == Phase::Up && self.out.is_empty();
        if free { self.files.begin_upload() } else { None }
    }

    /// Whether the driver is to drop the connection and try again later.
    pub fn wants_another_connection(&self, now: Now) -> bool {
        let silent = match self.phase {
            Phase::Joining { since: begun } => since(now.steady, begun) >= JOIN_MS,
            _ => false,
        };
        self.turned_away || silent
    }

    /// Whether to read from the server: a face that does not keep up slows it down.
    pub fn wants_messages(&self) -> bool {
        self.events.len() < MAX_WAITING
    }

    /// How often the server let this client in.
    pub fn joins(&self) -> u64 {
        self.joins
    }

    /// How the session ended, once it did.
    pub fn end(&self) -> Option<&ClassicEnd> {
        match &self.phase {
            Phase::Over(end) => Some(end),
            _ => None,
        }
    }

    /// How much the server refused.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// How much of what was typed could not be done.
    pub fn mistakes(&self) -> u64 {
        self.mistakes
    }

    /// How much of what was sent may be lost.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    fn said(&mut self, name: Option<&str>, kind: EntryKind, text: &str, now: Now) -> Said {
        let seq = self.next;
        self.next = seq.next();
        Said {
            place: place(),
            here: true,
            seq,
            time: now.wall,
            written: Millis(0),
            name: name.map(str::to_owned),
            mine: false,
            mention: false,
            kind,
            revision: Revision::Original,
            reply: None,
            text: text.to_owned(),
            file: None,
        }
    }

    /// The server's first word: it let this client in.
    fn come_up(&mut self, now: Now) {
        self.phase = Phase::Up;
        self.joins += 1;
        self.told_turned_away = false;
        let name = self.config.name.clone();
        self.tell(match self.joins {
            1 => Event::Welcome(Welcome {
                wanted: name.clone(),
                name,
                durability: Durability::Memory,
                storage: HONEST.to_owned(),
                motd: String::new(),
            }),
            _ => Event::Reconnected,
        });
        self.send_waiting(now);
    }
}

/// The one room of a classic server.
fn place() -> Place {
    Place::Room("classic".to_owned())
}

impl Talk for ClassicSession {
    fn view(&self) -> View {
        View {
            place: place(),
            ready: self.joins > 0,
            name: self.config.name.clone(),
            people: self.people.iter().cloned().collect(),
            rooms: [].into(),
            files: [].into(),
            typing: [].into(),
            lines: self.lines,
        }
    }

    fn timeout(&self) -> Option<Millis> {
        let step = match self.phase {
            Phase::Joining { since } => Some(after(since, JOIN_MS)),
            Phase::Quitting { since } => Some(after(since, QUIT_MS)),
            _ => None,
        };
        step.into_iter().chain(self.leaving.flatten()).min()
    }

    fn wants_input(&self) -> bool {
        let room = self.waiting.len() + self.files.len() < MAX_WAITING && self.events.len() < MAX_WAITING;
        self.joins > 0 && room && self.leaving.is_none()
    }

    fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.given += 1;
        Some(event)
    }

    fn given(&self) -> u64 {
        self.given
    }
}
