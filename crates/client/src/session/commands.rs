//! What the user types.

use super::changes::Change;
use super::event::Event;
use super::place::Place;
use super::requests::{Asked, Why};
use super::{Phase, Session};
use crate::clock::Now;
use crate::transfer::Keep;
use protocol::command::{Command, Line, find, nearest};
use protocol::entry::EntryKind;
use protocol::id::{RoomId, Seq};
use protocol::limits::{MAX_AWAY, MAX_TOPIC};
use protocol::message::{Action, ClientMsg, Question, StateChange};
use protocol::name::{NAME_HINT, PersonName, RoomName};
use protocol::text::is_blank;

/// Leaving a prompt waits so long for what is not acknowledged, in ms.
const PATIENCE_MS: u64 = 2_000;

impl Session {
    /// A line was typed.
    pub fn handle_line(&mut self, line: &str, now: Now) {
        self.lines += 1;
        match Line::parse(line) {
            Ok(Line::Empty) => {}
            Ok(Line::Say(text)) => self.post(self.current.clone(), EntryKind::Text, None, text, now),
            Ok(Line::Command(command)) => self.handle_command(command, now),
            Err(error) => {
                self.mistake(error.to_string(), error.hint());
            }
        }
        self.advance(now);
    }

    /// A line of text came that is no command, whatever it begins with.
    pub fn handle_plain_text(&mut self, line: &str, now: Now) {
        self.lines += 1;
        if !is_blank(line) {
            self.post(self.current.clone(), EntryKind::Text, None, line.to_owned(), now);
        }
        self.advance(now);
    }

    /// A script that asks what was said means what it has said itself, too.
    fn is_early(&self, command: &Command, now: Now) -> bool {
        let asks = matches!(
            command,
            Command::History(_)
                | Command::Search(_)
                | Command::Jump(_)
                | Command::Files { .. }
                | Command::Get { .. }
        );
        let unsettled = self.outbox.len() > 0 || !self.leaving.is_all_seen(now);
        asks && !self.config.interactive && self.phase == Phase::Up && unsettled
    }

    /// Asks what was too early to be asked.
    pub(super) fn advance_held(&mut self, now: Now) {
        let early =
            self.phase != Phase::Up || self.held.as_ref().is_some_and(|held| self.is_early(held, now));
        if let Some(command) = self.held.take_if(|_| !early) {
            self.handle_command(command, now);
        }
    }

    /// A command that nobody typed.
    pub fn handle_order(&mut self, command: Command, now: Now) {
        self.lines += 1;
        self.handle_command(command, now);
        self.advance(now);
    }

    fn handle_command(&mut self, command: Command, now: Now) {
        let here = self.current.clone();
        match command {
            early if self.is_early(&early, now) => self.held = Some(early),
            Command::Join(room) => self.join_command(&room),
            Command::Part(room) => self.part_command(room.as_ref()),
            Command::Msg { to, text } => {
                self.post(Place::Person(to.as_str().to_owned()), EntryKind::Text, None, text, now);
            }
            Command::Query(None) => self.go_back(),
            Command::Query(Some(name)) => self.query(name.as_str().to_owned()),
            Command::Reply { to, text } => self.reply(here, to, text, now),
            Command::React { to, text } => self.react(here, to, text, now),
            Command::Me(text) => self.post(here, EntryKind::Action, None, text, now),
            Command::Edit { to, text } => self.change(here, to, Change::Edit(text), now),
            Command::Delete(to) => self.change(here, to, Change::Delete, now),
            Command::Nick(name) => self.nick(&name),
            Command::Away(text) => self.away(text),
            Command::Back => {
                self.state(Asked::Away { on: false, text: String::new() }, StateChange::Back);
            }
            Command::Topic(text) => self.topic(here, text),
            Command::Who(room) => self.who(room.as_ref()),
            Command::Whois(name) if self.is_online("/whois") => {
                self.whois(name.as_str().to_owned(), Why::Show);
            }
            Command::Whois(_) => {}
            Command::List => self.list(),
            Command::History(span) => self.history(here, span, now),
            Command::Search(search) => self.search(&here, search),
            Command::Jump(to) => self.jump(&here, to),
            file @ (Command::Send(_)
            | Command::Files { .. }
            | Command::Get { .. }
            | Command::Accept { .. }
            | Command::Decline(_)
            | Command::Look(_)
            | Command::Cancel(_)) => self.handle_file_command(here, file, now),
            Command::Block(None) => self.ask_blocks(),
            Command::Block(Some(name)) => self.block(name.as_str(), true),
            Command::Unblock(name) => self.block(name.as_str(), false),
            Command::Ignore(None) => self.tell(Event::Ignored { names: self.ignored.names() }),
            Command::Ignore(Some(name)) => self.ignore(name.as_str(), true),
            Command::Unignore(name) => self.ignore(name.as_str(), false),
            Command::Motd => self.motd(),
            Command::Clear => self.tell(Event::Clear),
            Command::Help(about) => self.help(about.as_deref()),
            Command::Quit => self.handle_leave(self.config.interactive.then_some(PATIENCE_MS), now),
        }
    }

    fn handle_file_command(&mut self, here: Place, command: Command, now: Now) {
        match command {
            Command::Send(path) => self.send_file(here, path, now),
            Command::Files { all, room } => self.files(room.as_ref(), all),
            Command::Get { file, executables, again } => {
                let keep = Keep { executables, unless_there: !again, ..self.keep_at.clone() };
                self.get_file(here, file, keep);
            }
            Command::Accept { file, executables } => {
                let keep = Keep { executables, ..self.keep_at.clone() };
                if let Some(id) = self.asked_by(&file) {
                    self.accept(id, keep);
                }
            }
            Command::Decline(file) => {
                if let Some(id) = self.asked_by(&file) {
                    self.decline(id);
                }
            }
            Command::Look(file) => self.look(here, file),
            Command::Cancel(file) => {
                if let Some(id) = self.under_way_by(&file) {
                    self.cancel(id, now);
                }
            }
            _ => {}
        }
    }

    /// Whether what a command asks can be asked now; tells if not.
    pub(super) fn is_online(&mut self, command: &str) -> bool {
        if self.phase != Phase::Up {
            let text = format!("not connected: {command} needs the server");
            self.mistake(text, "it works again when the connection is back");
        }
        self.phase == Phase::Up
    }

    fn join_command(&mut self, room: &RoomName) {
        let place = Place::Room(room.as_str().to_owned());
        if let Some(known) = self.rooms.by_place(&place).map(|room| room.place()) {
            return self.go_to(known);
        }
        self.current = place;
        self.join(room.as_str().to_owned());
    }

    fn part_command(&mut self, room: Option<&RoomName>) {
        let place = room.map_or_else(|| self.current.clone(), |room| Place::Room(room.as_str().to_owned()));
        if matches!(place, Place::Person(_)) {
            return self.go_back();
        }
        let Some(room) = self.room_at(&place) else {
            return self
                .mistake(format!("you are not in {place}"), "type /list for the rooms that there are");
        };
        if self.is_online("/part") {
            self.ask(Asked::Part { room }, |req| ClientMsg::Part { req, room });
        }
    }

    /// Leaves a private conversation: to the room that was there before, or another that is still mine.
    fn go_back(&mut self) {
        let here = self.current.clone();
        if matches!(here, Place::Room(_)) && self.rooms.by_place(&here).is_some() {
            return self.go_to(here);
        }
        match self.way_back() {
            Some(place) => self.go_to(place),
            None => self.mistake("you are in no room", "go to one with /join ROOM"),
        }
    }

    fn query(&mut self, name: String) {
        let place = Place::Person(name.clone());
        let known = self
            .rooms
            .people()
            .map(|(_, name)| Place::Person(name.to_owned()))
            .find(|known| known.is(&place));
        if let Some(known) = known {
            return self.go_to(known);
        }
        self.current = place.clone();
        match self.phase {
            Phase::Up => self.whois(name, Why::Query),
            _ => self.go_to(place),
        }
    }

    fn reply(&mut self, here: Place, to: Option<Seq>, text: String, now: Now) {
        self.answer(here, EntryKind::Text, to, text, "type /reply #N TEXT to answer message N", now);
    }

    fn react(&mut self, here: Place, to: Option<Seq>, text: String, now: Now) {
        self.answer(here, EntryKind::Reaction, to, text, "type /react #N TEXT to react to message N", now);
    }

    /// Says something about message `to`, or about the last one of somebody else.
    fn answer(&mut self, here: Place, kind: EntryKind, to: Option<Seq>, text: String, hint: &str, now: Now) {
        let last = || self.rooms.by_place(&here)?.recent.last_of_others(self.me);
        match to.or_else(last) {
            Some(seq) => self.post(here, kind, Some(seq), text, now),
            None => self.mistake("nobody else has said anything here yet", hint),
        }
    }

    fn state(&mut self, asked: Asked, change: StateChange) {
        let command = match &asked {
            Asked::Nick { .. } => "/nick",
            Asked::Away { on: true, .. } => "/away",
            _ => "/back",
        };
        if self.is_online(command) {
            self.ask(asked, |req| ClientMsg::State { req, change });
        }
    }

    fn nick(&mut self, name: &PersonName) {
        // The server says the same, without the reason.
        if let Err(error) = PersonName::parse_new(name.as_str())
            && name.as_str() != self.name
        {
            return self.mistake(error.sentence(name.as_str()), NAME_HINT);
        }
        let name = name.as_str().to_owned();
        self.state(Asked::Nick { name: name.clone() }, StateChange::Name { name });
    }

    fn away(&mut self, text: String) {
        if text.len() > MAX_AWAY {
            return self.mistake("that is too long", format!("say it in {MAX_AWAY} bytes"));
        }
        self.state(Asked::Away { on: true, text: text.clone() }, StateChange::Away { text });
    }

    fn topic(&mut self, here: Place, text: Option<String>) {
        let Some((room, topic)) =
            self.rooms.by_place(&here).map(|room| (room.info.room, room.info.topic.clone()))
        else {
            return self.mistake(format!("{here} has no topic"), "go to a room with /join ROOM");
        };
        let Some(text) = text else {
            return self.tell(Event::Topic { place: here, topic });
        };
        if text.len() > MAX_TOPIC {
            return self.mistake("that topic is too long", format!("say it in {MAX_TOPIC} bytes"));
        }
        if self.is_online("/topic") {
            let (room, action) = (Some(room), Action::Topic { text });
            self.ask(Asked::Topic, |req| ClientMsg::Do { req, room, action });
        }
    }

    fn who(&mut self, room: Option<&RoomName>) {
        let place = room.map_or_else(|| self.current.clone(), |room| Place::Room(room.as_str().to_owned()));
        let Some(room) = self.room_at(&place) else {
            return match place {
                // Nothing was said there yet, so there is no room of two whose members could be asked for.
                Place::Person(name) if self.is_online("/who") => self.whois(name, Why::Show),
                Place::Person(_) => {}
                Place::Room(_) => self.tell_unread(&place),
            };
        };
        if self.phase != Phase::Up {
            return self.who_was_there(place, room);
        }
        let asked = Asked::People { place, room, so_far: Vec::new() };
        let question = Question::People { room: Some(room), after: None };
        self.ask(asked, |req| ClientMsg::Ask { req, question });
    }

    /// `/who` without a connection: who was there when it broke.
    fn who_was_there(&mut self, place: Place, room: RoomId) {
        let known = self.rooms.find(room);
        let people: Vec<_> = known.into_iter().flat_map(|room| room.roster.people().cloned()).collect();
        let online = known.map_or(0, |room| room.roster.online);
        if people.is_empty() && online > 0 {
            let text = format!("not connected; {online} were online in {place} when the connection broke");
            return self.tell(Event::Notice { text });
        }
        self.tell(Event::People { place, people, offline: true });
    }

    fn list(&mut self) {
        if self.is_online("/list") {
            let question = Question::Rooms { after: String::new() };
            self.ask(Asked::Rooms { so_far: Vec::new() }, |req| ClientMsg::Ask { req, question });
        }
    }

    fn ignore(&mut self, name: &str, on: bool) {
        let person = self.person(name);
        if on {
            self.ignored.add(name, person);
        } else if !self.ignored.remove(name, person) {
            return self.mistake(format!("{name} is not hidden"), "type /ignore to see who is");
        }
        self.keeper.note_change();
        self.tell(Event::Ignoring { name: name.to_owned(), on });
    }

    fn motd(&mut self) {
        let text = self.welcome.as_ref().map(|welcome| welcome.motd.clone()).unwrap_or_default();
        self.tell(Event::Motd { text });
    }

    fn help(&mut self, about: Option<&str>) {
        match about.map(|name| (name, find(name))) {
            None => self.tell(Event::Help { about: None }),
            Some((_, Some(spec))) => self.tell(Event::Help { about: Some(spec) }),
            Some((name, None)) => {
                let hint = nearest(name)
                    .map_or("type /help for the commands".into(), |near| format!("type /help {near}"));
                self.mistake(format!("there is no command /{name}"), hint);
            }
        }
    }

    /// Why nothing can be read there.
    pub(super) fn tell_unread(&mut self, place: &Place) {
        match place {
            Place::Room(name) if self.phase == Phase::Up => {
                self.mistake(format!("you are not in {place}"), format!("type /join {name} first"));
            }
            Place::Room(_) => {
                self.mistake(format!("nothing of {place} has come yet"), "wait for the connection");
            }
            Place::Person(_) => self.mistake(format!("nothing was said in {place} yet"), "say something"),
        }
    }

    pub(super) fn room_at(&self, place: &Place) -> Option<RoomId> {
        self.rooms.by_place(place).map(|room| room.info.room)
    }
}
