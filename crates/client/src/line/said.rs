//! What people say.

use super::Renderer;
use crate::session::event::{Quote, Quoted, Said};
use protocol::entry::{EntryKind, Revision};
use protocol::id::Millis;
use protocol::message::Shape;
use protocol::size::human_size;
use protocol::text::{sanitize, sanitize_line};

/// Who speaks where there is no person.
const SERVER: &str = "server";

/// Whether the number of an entry is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Number {
    /// No: it is said now, or was a moment ago.
    Hidden,
    /// Yes, as for all in a part of a history.
    Shown,
    /// Yes, and it is the one that was asked for.
    Marked,
}

impl Renderer {
    /// The lines of an entry.
    pub(super) fn said(&mut self, said: &Said, number: Number) -> Vec<String> {
        let mut out = Vec::new();
        let stamp = self.stamp(said.time, &mut out);
        let label = match number {
            Number::Hidden if said.here => String::new(),
            Number::Hidden => format!("[{}] ", safe(&said.place.to_string())),
            Number::Shown => format!("#{} ", said.seq),
            Number::Marked => format!("> #{} ", said.seq),
        };
        let head = format!("{stamp}{}", self.look.faint(&label));
        // A file that was offered answers its offer, which need not be told.
        let answers =
            !is_change(said.kind) && said.kind != EntryKind::File && said.revision != Revision::Deleted;
        // A reaction to what is not remembered names its number itself.
        let known = |quote: &&Quote| said.kind != EntryKind::Reaction || quote.said.is_some();
        if let Some(quote) = said.reply.as_ref().filter(|_| answers).filter(known) {
            out.push(format!("{head}{}", self.look.faint(&quoted(quote))));
        }
        let live = number == Number::Hidden;
        let text = if is_change(said.kind) { self.change(said, live) } else { self.sentence(said) };
        let mut lines = text.split('\n');
        out.extend(lines.next().map(|first| format!("{head}{first}")));
        // Later lines are marked, so that nobody can make them look like somebody else's.
        out.extend(lines.map(|line| self.look.pad(&format!("│ {line}"))));
        if let Some(last) = out.last_mut() {
            let bell = if said.mention && self.look.bell { "\x07" } else { "" };
            *last = format!("{last}{}{bell}", self.look.faint(&self.remark(said, live)));
        }
        out
    }

    fn sentence(&self, said: &Said) -> String {
        let name = self.look.name(&safe(said.name.as_deref().unwrap_or(SERVER)), said.mine);
        let body = sanitize(&said.text);
        let body = if said.mention { self.look.strong(&body) } else { body.into_owned() };
        let target =
            said.reply.as_ref().map_or_else(|| "a message".to_owned(), |quote| format!("#{}", quote.seq));
        match said.kind {
            _ if said.revision == Revision::Deleted => format!("{name}: (deleted)"),
            EntryKind::Text => format!("{name}: {body}"),
            EntryKind::Action => format!("* {name} {body}"),
            EntryKind::Topic if said.text.is_empty() => format!("* {name} removed the topic"),
            EntryKind::Topic => format!("* {name} set the topic: {body}"),
            EntryKind::Reaction => format!("* {name} reacted to {target} with {body}"),
            EntryKind::FileOffer => format!("* {name} is sending '{}'", safe(&said.text)),
            EntryKind::File => match &said.file {
                Some(file) => {
                    let what = if file.shape == Shape::Folder { "the folder " } else { "" };
                    format!("* {name} sends {what}'{}' ({})", safe(&file.name), human_size(file.size))
                }
                // Of what is only remembered the name is known.
                None if !said.text.is_empty() => format!("* {name} sends '{}'", safe(&said.text)),
                None => format!("* {name} sends a file that this version of natter can't read"),
            },
            EntryKind::System => format!("-- {body}"),
            EntryKind::Opaque => format!("{name}: (encrypted)"),
            EntryKind::Edit | EntryKind::Delete | EntryKind::Other(_) => {
                format!("{name}: (something that this version of natter can't show)")
            }
        }
    }

    /// What became of an earlier line. On the way by it is told as it is now; among the lines of a history, where
    /// the line itself tells that, in short.
    fn change(&self, said: &Said, live: bool) -> String {
        let name = self.look.name(&safe(said.name.as_deref().unwrap_or(SERVER)), said.mine);
        let line =
            said.reply.as_ref().map_or_else(|| "a message".to_owned(), |quote| format!("#{}", quote.seq));
        let was = said.reply.as_ref().and_then(|quote| quote.said.as_ref()).filter(|_| live);
        let body = sanitize(&said.text);
        let body = if said.mention { self.look.strong(&body) } else { body.into_owned() };
        match (said.kind, was) {
            (EntryKind::Edit, Some(was)) if was.kind == EntryKind::Action => format!("* {name} {body}"),
            (EntryKind::Edit, _) if live => format!("{name}: {body}"),
            (EntryKind::Edit, _) => format!("* {name} changed {line}"),
            (_, Some(was)) => {
                let time = self.zone.local(was.time);
                let same = time.date() == self.zone.local(said.time).date();
                let time = time.format(if same { "%H:%M" } else { "%Y-%m-%d %H:%M" });
                format!("* {name} deleted a message of {time}")
            }
            (_, None) => format!("* {name} deleted {line}"),
        }
    }

    fn remark(&self, said: &Said, live: bool) -> String {
        let minute = |time| self.zone.local(time).format("%Y-%m-%d %H:%M").to_string();
        let written = if said.written == Millis(0) || minute(said.written) == minute(said.time) {
            String::new()
        } else {
            self.zone.local(said.written).format(" (written at %H:%M)").to_string()
        };
        let edited = match (&said.reply, said.revision) {
            (Some(Quote { said: Some(was), .. }), _) if said.kind == EntryKind::Edit && live => {
                format!(" (edited; it was '{}')", safe(&was.text))
            }
            (Some(Quote { seq, .. }), _) if said.kind == EntryKind::Edit && live => {
                format!(" (edited; it was #{seq})")
            }
            (_, Revision::Edited) => " (edited)".to_owned(),
            _ => String::new(),
        };
        format!("{edited}{written}")
    }
}

/// One line that a terminal takes.
pub(super) fn safe(text: &str) -> String {
    sanitize_line(text).into_owned()
}

/// Whether it is about an earlier line.
fn is_change(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Edit | EntryKind::Delete)
}

fn quoted(quote: &Quote) -> String {
    match &quote.said {
        Some(Quoted { name, text, .. }) => format!("↪ {}: {}", safe(name), safe(text)),
        None => format!("↪ #{}", quote.seq),
    }
}
