//! What a classic server says.

use super::{ClassicEnd, ClassicSession, MAX_PEOPLE, Phase};
use crate::clock::Now;
use crate::session::Change;
use crate::session::event::{Event, Said};
use protocol::classic::{ClassicReply, NAME_TAKEN, QUIT_ACK, SEPARATOR, UNKNOWN_COMMAND};
use protocol::entry::EntryKind;
use protocol::mention;
use protocol::name::NameKey;

/// How the server's own lines begin, even if there is a separator in them.
const SERVER: &str = "[Server] ";

impl ClassicSession {
    /// A frame came that is no file.
    pub fn handle_frame(&mut self, ty: u8, payload: &[u8], now: Now) {
        if self.end().is_some() {
            return;
        }
        match ClassicReply::decode(ty, payload) {
            Ok(ClassicReply::Error(text)) => self.handle_error(text),
            Ok(reply) => {
                if matches!(self.phase, Phase::Joining { .. }) {
                    self.come_up(now);
                }
                self.handle_reply(reply, now);
            }
            // A newer or broken server; the rest can be understood all the same.
            Err(error) => {
                self.tell(Event::Notice { text: format!("the server sent what can't be shown: {error}") });
            }
        }
        self.advance(now);
    }

    /// A frame came that is larger than any line.
    pub fn handle_oversized(&mut self, len: u32) {
        self.tell(Event::Notice {
            text: format!("the server sent a line of {len} bytes, which is left out"),
        });
    }

    fn handle_reply(&mut self, reply: ClassicReply<'_>, now: Now) {
        match reply {
            ClassicReply::Text(text) => self.handle_text(text, now),
            ClassicReply::Join(text) => self.handle_person(text, " joined the chat.", Change::Came, now),
            ClassicReply::Leave(text) => self.handle_person(text, " left the chat.", Change::Left, now),
            ClassicReply::Command(QUIT_ACK) => {
                self.fresh.clear();
                self.phase = Phase::Over(ClassicEnd::Quit);
            }
            ClassicReply::Command(text) => {
                let said = self.said(None, EntryKind::System, text, now);
                self.tell(Event::Said(said));
            }
            // Files are streamed, and errors were handled before.
            ClassicReply::File { .. } | ClassicReply::Error(_) => {}
        }
    }

    fn handle_text(&mut self, text: &str, now: Now) {
        let person = text.split_once(SEPARATOR).filter(|_| !text.starts_with(SERVER));
        let said = match person {
            None => self.said(None, EntryKind::System, text, now),
            Some((name, body)) => {
                self.remember(name);
                let mention = self.names_me(name, body);
                Said { mention, ..self.said(Some(name), EntryKind::Text, body, now) }
            }
        };
        self.tell(Event::Said(said));
    }

    /// Whether a line by `author` names me.
    fn names_me(&self, author: &str, text: &str) -> bool {
        let is_other = |key: &NameKey| {
            let mut others = self.people.iter().filter(|name| *name != author);
            others.any(|name| NameKey::of(name) == *key)
        };
        mention::names(text, &self.config.name, is_other)
    }

    fn handle_person(&mut self, text: &str, end: &str, change: Change, now: Now) {
        let Some(name) = text.strip_suffix(end) else {
            let said = self.said(None, EntryKind::System, text, now);
            return self.tell(Event::Said(said));
        };
        match change {
            Change::Left => drop(self.people.remove(name)),
            _ => self.remember(name),
        }
        self.tell(Event::Person { name: name.to_owned(), change });
    }

    fn remember(&mut self, name: &str) {
        if self.people.len() < MAX_PEOPLE && name != self.config.name && !name.starts_with('[') {
            self.people.insert(name.to_owned());
        }
    }

    fn handle_error(&mut self, text: &str) {
        match self.phase {
            // The server has not noticed yet that the link broke.
            Phase::Joining { .. } if text == NAME_TAKEN && self.joins > 0 => {
                self.turned_away = true;
                if !std::mem::replace(&mut self.told_turned_away, true) {
                    let text = "the server still takes you for connected; trying again …".to_owned();
                    self.tell(Event::Notice { text });
                }
            }
            Phase::Joining { .. } if text == NAME_TAKEN => self.phase = Phase::Over(ClassicEnd::NameTaken),
            Phase::Joining { .. } => self.phase = Phase::Over(ClassicEnd::Refused(text.to_owned())),
            _ => {
                self.refusals += 1;
                let hint = match text {
                    UNKNOWN_COMMAND => "type /help for what this client does; the rest is up to the server",
                    _ => "that came from the server; /help shows what this client does",
                };
                self.tell(Event::Mistake {
                    text: format!("the server says '{}'", text.trim_end_matches('.')),
                    hint: hint.to_owned(),
                });
            }
        }
    }
}
