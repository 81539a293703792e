//! What classic clients say: lines, and the commands that the server does for them.

use super::paying::Denied;
use super::post::Post;
use super::{Effect, FetchAnswer, Hub, Voice};
use crate::clock::Now;
use crate::conn::ConnId;
use crate::devices::NOT_COMPARED;
use crate::inbound::ClassicLine;
use crate::log::View;
use crate::sequencer::NewReply;
use crate::voice;
use bytes::Bytes;
use protocol::classic::{QUIT_ACK, UNKNOWN_COMMAND, ty};
use protocol::code::Code;
use protocol::command::{self, COMMANDS, Command, CommandError, HistorySpan, Line, Search};
use protocol::entry::EntryKind;
use protocol::frame::frame;
use protocol::id::{Millis, PersonId, RoomId, Seq};
use protocol::limits::MAX_FETCH;
use protocol::limits::rates::Bucket;
use protocol::message::{Range, Reply, RosterItem, Target};
use protocol::text::sanitize;

/// Who speaks, and where they stand.
#[derive(Clone, Copy)]
pub(super) struct Speaker {
    pub conn: ConnId,
    pub person: PersonId,
    pub current: RoomId,
    pub now: Now,
}

impl Hub {
    pub(super) fn handle_classic(&mut self, conn: ConnId, line: ClassicLine, now: Now) {
        let Some(session) = self.sessions.get(&conn) else {
            return;
        };
        let Voice::Classic { current } = session.voice else {
            return;
        };
        let speaker = Speaker { conn, person: session.person, current, now };
        match line {
            ClassicLine::Text(text) => self.hear_line(speaker, &text),
            ClassicLine::Unreadable => self.tell(speaker, "Not sent: that line was not UTF-8."),
            ClassicLine::TooLong => self.tell(speaker, "Not sent: that line was too long."),
            ClassicLine::Join => self.tell(speaker, "You have joined already."),
            ClassicLine::Unknown => self.tell(speaker, "Not sent: that frame has an unknown type."),
        }
    }

    pub(super) fn tell(&mut self, to: Speaker, text: &str) {
        self.send_bytes(to.conn, voice::server_line(text));
    }

    fn hear_line(&mut self, speaker: Speaker, text: &str) {
        match Line::parse(text) {
            Ok(Line::Empty) => {}
            Ok(Line::Say(text)) => self.say(speaker, speaker.current, EntryKind::Text, None, &text),
            Ok(Line::Command(command)) => {
                // Never refused, see there.
                let _ = self.pay(speaker.conn, Bucket::Requests, 1, speaker.now);
                self.obey(speaker, command);
            }
            Err(CommandError::Unknown { .. }) => {
                self.send_bytes(speaker.conn, voice::error_frame(UNKNOWN_COMMAND));
            }
            Err(error) => self.tell(speaker, &format!("{error}; {}", error.hint())),
        }
    }

    /// Posts for a classic client, which numbers nothing itself.
    pub(super) fn say(
        &mut self,
        speaker: Speaker,
        room: RoomId,
        kind: EntryKind,
        reply_to: Option<Seq>,
        text: &str,
    ) {
        if self.draining {
            return self.tell(speaker, "Not sent: the server stops.");
        }
        let Some(device) = self.sessions.get(&speaker.conn).map(|session| session.device) else {
            return;
        };
        let text = sanitize(text);
        let post = Post {
            counter: self.devices.expected(device),
            target: Target::Room { room },
            kind,
            reply_to,
            written: Millis(0),
            body: Bytes::copy_from_slice(text.as_bytes()),
        };
        match self.accept(speaker.conn, post, NOT_COMPARED, speaker.now) {
            Ok(_) => {}
            Err((code, _)) => self.tell(speaker, &format!("Not sent: {}.", code.text())),
        }
    }

    fn obey(&mut self, speaker: Speaker, command: Command) {
        let Speaker { conn, current, .. } = speaker;
        match command {
            Command::Quit => {
                self.send_bytes(conn, frame(ty::COMMAND, QUIT_ACK.as_bytes()));
                self.close(conn, speaker.now);
            }
            Command::Help(name) => self.help(speaker, name.as_deref()),
            Command::Query(None) => self.enter(speaker, self.lobby),
            Command::Reply { to, text } => {
                let to = to.or_else(|| self.rooms.find(current)?.log.head());
                self.say(speaker, current, EntryKind::Text, to, &text);
            }
            Command::React { to, text } => {
                let to = to.or_else(|| self.rooms.find(current)?.log.head());
                self.say(speaker, current, EntryKind::Reaction, to, &text);
            }
            Command::Edit { to, text } => self.change_line(speaker, EntryKind::Edit, to, &text),
            Command::Delete(to) => self.change_line(speaker, EntryKind::Delete, to, ""),
            Command::Search(Search::More) => {
                self.tell(
                    speaker,
                    "Type what to look for: /search WORDS, or /search -a WORDS for all rooms.",
                );
            }
            Command::Search(Search::Words { everywhere, words }) => {
                self.find_lines(speaker, everywhere, words);
            }
            Command::Me(text) => self.say(speaker, current, EntryKind::Action, None, &text),
            Command::Topic(None) => self.tell_topic(speaker),
            Command::List => self.tell_rooms_list(speaker),
            Command::History(span) => self.history_lines(speaker, span.unwrap_or_default()),
            Command::Motd => self.tell_motd(speaker),
            Command::Block(None) => self.tell_blocks(speaker),
            Command::Ignore(_)
            | Command::Unignore(_)
            | Command::Send(_)
            | Command::Jump(_)
            | Command::Files { .. }
            | Command::Get { .. }
            | Command::Accept { .. }
            | Command::Decline(_)
            | Command::Look(_)
            | Command::Cancel(_)
            | Command::Clear => {
                self.send_bytes(conn, voice::error_frame(UNKNOWN_COMMAND));
            }
            may_fail => {
                if let Err(Denied { code, .. }) = self.attempt(speaker, may_fail) {
                    self.tell(speaker, &format!("That did not work: {}.", code.text()));
                }
            }
        }
    }

    /// Commands that the server may have to refuse.
    fn attempt(&mut self, speaker: Speaker, command: Command) -> Result<(), Denied> {
        let Speaker { conn, person, current, now } = speaker;
        match command {
            Command::Who(room) => self.who(speaker, room.as_ref())?,
            Command::Join(name) => {
                let room = self.join_room(conn, person, &name, now)?;
                self.enter(speaker, room);
            }
            Command::Part(name) => self.part(speaker, name.as_ref())?,
            Command::Msg { to, text } => {
                let room = self.direct_to(speaker, to.as_str())?;
                self.say(speaker, room, EntryKind::Text, None, &text);
            }
            Command::Query(Some(to)) => {
                let room = self.direct_to(speaker, to.as_str())?;
                self.enter(speaker, room);
            }
            Command::Nick(name) => {
                let name = self.set_name(conn, person, name.as_str(), now)?;
                let text = format!("You are {name} now.");
                self.send_after_commit(speaker.conn, NewReply::of(voice::server_line(&text)));
            }
            Command::Away(text) => {
                self.set_away(person, Some(&text), now)?;
                self.tell(speaker, "You are away. Type /back when you are back.");
            }
            Command::Back => {
                self.set_away(person, None, now)?;
                self.tell(speaker, "You are back.");
            }
            Command::Topic(Some(text)) => self.set_topic(conn, person, current, &text, now)?,
            Command::Whois(name) => self.tell_whois(speaker, name.as_str())?,
            Command::Block(Some(name)) => self.block(speaker, name.as_str(), true)?,
            Command::Unblock(name) => self.block(speaker, name.as_str(), false)?,
            _ => return Err(Code::Unsupported.into()),
        }
        Ok(())
    }

    fn help(&mut self, speaker: Speaker, name: Option<&str>) {
        let lines: Vec<String> = match name.map(command::find) {
            None => COMMANDS
                .iter()
                .filter(|spec| spec.classic)
                .map(|spec| format!("{} - {}", spec.synopsis(), spec.help))
                .collect(),
            Some(Some(spec)) => vec![format!("{} - {}", spec.synopsis(), spec.help)],
            Some(None) => vec!["There is no such command. Type /help for all of them.".to_owned()],
        };
        lines.iter().for_each(|line| self.tell(speaker, line));
    }

    fn who(&mut self, speaker: Speaker, room: Option<&protocol::name::RoomName>) -> Result<(), Code> {
        let room = match room {
            None => None,
            Some(name) => Some(self.rooms.named(name).ok_or(Code::NoSuchRoom)?),
        };
        room.map_or(Ok(()), |room| self.authorize(speaker.person, room))?;
        let (people, more) = self.list_people(room, None);
        let mut names: Vec<_> = people.iter().map(name_and_state).collect();
        names.sort_unstable();
        let more = if more { " and more" } else { "" };
        self.tell(speaker, &format!("Online users: {}{more}", names.join(", ")));
        Ok(())
    }

    /// Makes a room the one where a classic user stands.
    pub(super) fn enter(&mut self, speaker: Speaker, room: RoomId) {
        let Some(session) = self.sessions.get_mut(&speaker.conn) else {
            return;
        };
        session.voice = Voice::Classic { current: room };
        let conn = session.conn.clone();
        let me = speaker.person;
        conn.outlet().set_view(speaker.current, View::Classic { me, current: false });
        let is_read = self.rooms.find(room).is_some_and(|found| found.readers.contains_key(&conn.id));
        if is_read {
            conn.outlet().set_view(room, View::Classic { me, current: true });
        } else {
            self.read_classic(&conn, me, room, true);
        }
        let place = self.place(room, me);
        self.tell(speaker, &format!("You are in {place} now. Type /history to see what was said."));
    }

    pub(super) fn place(&self, room: RoomId, me: PersonId) -> String {
        match self.rooms.find(room) {
            Some(found) => match found.peer(me) {
                Some(peer) if self.people.find(peer).is_none() => {
                    "a conversation with somebody who left".to_owned()
                }
                Some(peer) => format!("a conversation with {}", self.name_of(peer)),
                None => format!("#{}", found.name().unwrap_or_default()),
            },
            None => "no room".to_owned(),
        }
    }

    fn part(&mut self, speaker: Speaker, name: Option<&protocol::name::RoomName>) -> Result<(), Code> {
        let room = match name {
            None => speaker.current,
            Some(name) => self.rooms.named(name).ok_or(Code::NoSuchRoom)?,
        };
        self.authorize(speaker.person, room)?;
        if room == self.lobby {
            return Err(Code::NotAllowed);
        }
        let place = self.place(room, speaker.person);
        self.check_space()?;
        self.remove_member(room, speaker.person, speaker.now);
        self.tell(speaker, &format!("You left {place}."));
        if room == speaker.current {
            self.enter(speaker, self.lobby);
        }
        Ok(())
    }

    fn direct_to(&mut self, speaker: Speaker, name: &str) -> Result<RoomId, Denied> {
        let other = self.people.named(name).ok_or(Code::NoSuchPerson)?;
        let room = self.direct_room(speaker.conn, speaker.person, other, speaker.now)?;
        for person in [speaker.person, other] {
            if self.add_member(room, person, speaker.now) {
                self.tell_rooms(person, room);
            }
        }
        Ok(room)
    }

    fn tell_topic(&mut self, speaker: Speaker) {
        let topic = self.rooms.find(speaker.current).map(|found| found.topic.clone()).unwrap_or_default();
        let text =
            if topic.is_empty() { "There is no topic here.".to_owned() } else { format!("Topic: {topic}") };
        self.tell(speaker, &text);
    }

    fn tell_whois(&mut self, speaker: Speaker, name: &str) -> Result<(), Code> {
        let Reply::Whois { person, rooms, agent, .. } = self.whois(speaker.person, name)? else {
            return Ok(());
        };
        let state = if person.presence.online { "online" } else { "offline" };
        let rooms = rooms.iter().map(|room| format!("#{room}")).collect::<Vec<_>>().join(", ");
        let text = format!("{} is {state}, uses {agent}, shares {rooms} with you", name_and_state(&person));
        self.tell(speaker, &text);
        Ok(())
    }

    fn tell_rooms_list(&mut self, speaker: Speaker) {
        let (rooms, more) = self.list_rooms("");
        for room in rooms {
            let text = format!("#{}: {} of {} online. {}", room.name, room.online, room.members, room.topic);
            self.tell(speaker, text.trim_end());
        }
        if more {
            self.tell(speaker, "… and more.");
        }
    }

    fn block(&mut self, speaker: Speaker, name: &str, on: bool) -> Result<(), Code> {
        let other = self.people.named(name).ok_or(Code::NoSuchPerson)?;
        self.set_block(speaker.person, other, on)?;
        let state = if on { "is blocked now" } else { "is not blocked" };
        let text = format!("{} {state}.", self.name_of(other));
        self.send_after_commit(speaker.conn, NewReply::of(voice::server_line(&text)));
        Ok(())
    }

    fn tell_blocks(&mut self, speaker: Speaker) {
        let (people, more) = self.list_blocks(speaker.person, None);
        let names: Vec<_> = people.iter().map(|person| person.name.as_str()).collect();
        let more = if more { " and more" } else { "" };
        let text = format!("Blocked: {}{more}", names.join(", "));
        self.tell(speaker, if names.is_empty() { "Nobody is blocked." } else { &text });
    }

    fn tell_motd(&mut self, speaker: Speaker) {
        let motd = self.settings.motd.clone();
        self.tell(speaker, if motd.is_empty() { "No message of the day." } else { &motd });
    }

    fn history_lines(&mut self, speaker: Speaker, span: HistorySpan) {
        let Some(session) = self.sessions.get(&speaker.conn) else {
            return;
        };
        let (range, limit) = match span {
            HistorySpan::Count(count) => (Range::Latest, count.min(MAX_FETCH)),
            HistorySpan::Ms(ms) => {
                (Range::SinceTime { time: Millis(speaker.now.wall.0.saturating_sub(ms)) }, MAX_FETCH)
            }
        };
        let (conn, room) = (session.conn.clone(), speaker.current);
        let answer = FetchAnswer::Lines(self.settings.zone);
        let permit = self.permit.take();
        self.effects.push(Effect::Fetch { conn, answer, room, range, limit, permit });
    }
}

fn name_and_state(person: &RosterItem) -> String {
    if person.presence.away { format!("{} (away)", person.name) } else { person.name.clone() }
}
