//! What classic users do with lines that were said: change them, take them back, look for them.

use super::classic::Speaker;
use super::post::Stored;
use super::search::Wanted;
use super::{FoundAnswer, Hub};
use crate::conn::ConnId;
use crate::devices::NOT_COMPARED;
use crate::sequencer::Waiting;
use crate::voice;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{DeviceNo, Seq};

/// Lines of one answer to a search: what a screen shows.
const FOUND: u16 = 20;

impl Hub {
    /// Changes a line of the speaker's own, or takes it back: the last one here unless it is said which.
    pub(super) fn change_line(&mut self, speaker: Speaker, kind: EntryKind, to: Option<Seq>, text: &str) {
        let last = self.sessions.get(&speaker.conn).and_then(|session| session.said.get(&speaker.current));
        let Some(target) = to.or(last.copied()) else {
            return self.tell(speaker, "You have said nothing here that could be changed.");
        };
        self.say(speaker, speaker.current, kind, Some(target), text);
    }

    /// Takes note of what a classic user said last, and tells them what became of a change.
    pub(super) fn note_said(&mut self, conn: ConnId, last: &Stored) {
        let Some(session) = self.sessions.get_mut(&conn) else {
            return;
        };
        let told = match last.kind {
            EntryKind::Edit => "Message changed.",
            EntryKind::Delete => "Message deleted.",
            // What was said before is still the last that can be changed.
            EntryKind::Reaction => "You reacted.",
            _ => {
                session.said.insert(last.room, last.seq);
                return;
            }
        };
        self.send_bytes(conn, voice::server_line(told));
    }

    /// The store refused a line of a classic user. The lines behind it have nothing to do with it, and a classic
    /// client can't send them again: they are numbered anew.
    pub(super) fn say_again(&mut self, conn: ConnId, device: DeviceNo, posts: Vec<(Waiting, Code)>) {
        for (mut waiting, code) in posts {
            if code != Code::OutOfOrder {
                let text = format!("Not sent: {}.", code.text());
                self.send_bytes(conn, voice::server_line(&text));
                continue;
            }
            let counter = self.devices.expected(device);
            self.devices.accept(device, counter, NOT_COMPARED);
            waiting.entry.origin = Some((device, counter));
            self.queue(waiting);
        }
    }

    /// Looks for lines in the room where the speaker stands, or in all of theirs.
    pub(super) fn find_lines(&mut self, speaker: Speaker, everywhere: bool, words: String) {
        let rooms = if everywhere { self.rooms_of(speaker.person) } else { Vec::new() };
        let places = rooms.into_iter().map(|room| (room, self.place(room, speaker.person))).collect();
        let room = (!everywhere).then_some(speaker.current);
        let answer = FoundAnswer::Lines { zone: self.settings.zone, places };
        let wanted = Wanted { room, words, limit: FOUND, before: None };
        if let Err((code, _)) = self.search(speaker.conn, wanted, answer, speaker.now) {
            self.tell(speaker, &format!("That did not work: {}.", code.text()));
        }
    }
}
