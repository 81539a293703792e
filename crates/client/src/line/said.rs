//! What people say.

use super::Renderer;
use super::size::human_size;
use crate::session::Place;
use crate::session::event::{Quote, Said};
use protocol::entry::{EntryKind, Revision};
use protocol::id::Millis;
use protocol::text::{sanitize, sanitize_line};

/// Who speaks where there is no person.
const SERVER: &str = "server";

impl Renderer {
    /// The lines of an entry; with its number in front if `numbered`.
    pub(super) fn said(&mut self, said: &Said, numbered: bool) -> Vec<String> {
        let mut out = Vec::new();
        let stamp = self.stamp(said.time, &mut out);
        let label = if said.here || numbered {
            String::new()
        } else {
            format!("[{}] ", safe(&said.place.to_string()))
        };
        let number = if numbered { format!("#{} ", said.seq) } else { String::new() };
        let head = format!("{stamp}{}", self.look.faint(&format!("{number}{label}")));
        if let Some(quote) = &said.reply {
            out.push(format!("{head}{}", self.look.faint(&quoted(quote))));
        }
        let text = self.sentence(said);
        let mut lines = text.split('\n');
        out.extend(lines.next().map(|first| format!("{head}{first}")));
        // Later lines are marked, so that nobody can make them look like somebody else's.
        out.extend(lines.map(|line| self.look.pad(&format!("│ {line}"))));
        if let Some(last) = out.last_mut() {
            let bell = if said.mention && self.look.bell { "\x07" } else { "" };
            *last = format!("{last}{}{bell}", self.look.faint(&self.remark(said)));
        }
        out
    }

    fn sentence(&self, said: &Said) -> String {
        let name = self.look.name(&safe(said.name.as_deref().unwrap_or(SERVER)), said.mine);
        let body = sanitize(&said.text);
        let body = if said.mention { self.look.strong(&body) } else { body.into_owned() };
        let target =
            said.reply.as_ref().map_or_else(|| "a line".to_owned(), |quote| format!("#{}", quote.seq));
        match said.kind {
            _ if said.revision == Revision::Deleted => format!("{name}: (deleted)"),
            EntryKind::Text => format!("{name}: {body}"),
            EntryKind::Action => format!("* {name} {body}"),
            EntryKind::Topic if said.text.is_empty() => format!("* {name} took the topic away"),
            EntryKind::Topic => format!("* {name} set the topic: {body}"),
            EntryKind::Reaction => format!("* {name} reacted to {target} with {body}"),
            EntryKind::Edit => format!("* {name} changed {target}: {body}"),
            EntryKind::Delete => format!("* {name} deleted {target}"),
            EntryKind::FileOffer => format!("* {name} offers a file: {body}"),
            EntryKind::File => match &said.file {
                Some(file) => format!("* {name} sends '{}' ({})", safe(&file.name), human_size(file.size)),
                None => format!("* {name} sends a file that this version of natter can't read"),
            },
            EntryKind::System => format!("-- {body}"),
            EntryKind::Opaque => format!("{name}: (encrypted)"),
            EntryKind::Other(_) => format!("{name}: (something that this version of natter can't show)"),
        }
    }

    fn remark(&self, said: &Said) -> String {
        let written = if said.written == Millis(0) {
            String::new()
        } else {
            self.zone.local(said.written).format(" (written at %H:%M)").to_string()
        };
        let edited = if said.revision == Revision::Edited { " (edited)" } else { "" };
        format!("{edited}{written}")
    }

    /// The answer to `/history`, with numbers for `/reply`.
    pub(super) fn history(&mut self, place: &Place, entries: &[Said], more: bool) -> Vec<String> {
        let place = safe(&place.to_string());
        if entries.is_empty() {
            return vec![self.info(&format!("nothing was said in {place} in that time"))];
        }
        (self.day, self.minute) = (None, None);
        let mut out = vec![self.info(&format!("from the history of {place}:"))];
        for said in entries {
            out.extend(self.said(said, true));
        }
        let end = if more { "end of this part; there is more" } else { "end of the history" };
        out.push(self.info(end));
        out
    }
}

/// One line that a terminal takes.
pub(super) fn safe(text: &str) -> String {
    sanitize_line(text).into_owned()
}

fn quoted(quote: &Quote) -> String {
    match &quote.said {
        Some((name, text)) => format!("↪ {}: {}", safe(name), safe(text)),
        None => format!("↪ #{}", quote.seq),
    }
}
