//! What the user types: lines for all, the few commands of this client, and those of the server.

use super::{ClassicSession, FRESH_MS, Phase, place};
use crate::clock::{Now, since};
use crate::session::event::{Classic, Event, Said};
use protocol::classic::ClassicMsg;
use protocol::entry::EntryKind;
use protocol::limits::MAX_BODY;
use protocol::text::check_body;

/// Leaving a prompt waits so long for what is not sent, in ms.
const PATIENCE_MS: u64 = 2_000;

impl ClassicSession {
    /// A line was typed.
    pub fn handle_line(&mut self, line: &str, now: Now) {
        self.lines += 1;
        let line = line.trim_end_matches(['\r', '\n']);
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command.to_lowercase().as_str() {
            _ if line.trim().is_empty() => {}
            "/quit" | "/exit" | "/q" => {
                self.handle_leave(self.config.interactive.then_some(PATIENCE_MS), now);
            }
            "/send" | "/upload" if rest.trim().is_empty() => {
                self.mistake("/send needs PATH".into(), "type /send PATH");
            }
            "/send" | "/upload" => self.files.add_upload(rest.trim(), place()),
            "/help" | "/?" => self.tell(Event::Classic(Classic::Help)),
            "/clear" => self.tell(Event::Clear),
            _ => self.say(line, now),
        }
        self.advance(now);
    }

    /// A line of text came that is no command, whatever it begins with.
    pub fn handle_plain_text(&mut self, line: &str, now: Now) {
        self.lines += 1;
        let line = line.trim_end_matches(['\r', '\n']);
        // A classic server takes every line that begins with a slash for a command: a blank before it says it.
        let blank = if line.starts_with('/') { " " } else { "" };
        if !line.trim().is_empty() {
            self.say(&format!("{blank}{line}"), now);
        }
        self.advance(now);
    }

    fn say(&mut self, line: &str, now: Now) {
        if line.len() > MAX_BODY {
            let text = format!("that text is too long: {} bytes of at most {MAX_BODY}", line.len());
            return self.mistake(text, "say it in several lines");
        }
        if let Err(error) = check_body(line) {
            return self.mistake(error.to_string(), "leave that character out");
        }
        if self.phase != Phase::Up {
            self.tell(Event::Pending { place: place(), text: line.to_owned() });
        }
        self.waiting.push_back(line.to_owned());
        self.send_waiting(now);
    }

    fn mistake(&mut self, text: String, hint: &str) {
        self.mistakes += 1;
        self.tell(Event::Mistake { text, hint: hint.to_owned() });
    }

    /// Sends what waits, and shows it: the server does not give it back.
    pub(super) fn send_waiting(&mut self, now: Now) {
        while self.phase == Phase::Up
            && let Some(line) = self.waiting.pop_front()
        {
            self.out.push_back(ClassicMsg::Text(&line).encode());
            if !line.starts_with('/') {
                let name = self.config.name.clone();
                let said = self.said(Some(&name), EntryKind::Text, &line, now);
                self.tell(Event::Said(Said { mine: true, ..said }));
            }
            self.fresh.push_back((now.steady, line));
            self.forget_old(now);
        }
    }

    fn forget_old(&mut self, now: Now) {
        while self.fresh.pop_front_if(|(at, _)| since(now.steady, *at) > FRESH_MS).is_some() {}
    }

    /// The link broke: nobody knows what became of the last lines.
    pub(super) fn tell_lost(&mut self, now: Now) {
        self.forget_old(now);
        let lines: Vec<_> = self.fresh.drain(..).map(|(_, line)| line).collect();
        if !lines.is_empty() {
            self.lost += lines.len() as u64;
            self.tell(Event::Classic(Classic::MayBeLost { lines }));
        }
    }
}
