//! How the server sounds to classic clients: entries, comings and goings and its own words as their frames.
//!
//! Those clients print what they get, so nothing leaves here that has not been made safe for a terminal.

use crate::clock::Zone;
use crate::files::ClassicFile;
use bytes::Bytes;
use protocol::classic::{SEPARATOR, ty};
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::frame::frame;
use protocol::limits::MAX_CLASSIC_FILE;
use protocol::message::FileBody;
use protocol::size::human_size;
use protocol::text::sanitize_line;

/// What a classic reader is told about where a line comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Label {
    /// A room with this name; said only in another room.
    Room(String),
    /// A conversation of two; always said.
    Direct,
}

/// A line of the server's own.
pub fn server_line(text: &str) -> Bytes {
    text_frame(&format!("[Server] {}", sanitize_line(text)))
}

/// A TEXT frame with exactly this text, already safe.
pub fn text_frame(text: &str) -> Bytes {
    frame(ty::TEXT, text.as_bytes())
}

/// An ERROR frame.
pub fn error_frame(text: &str) -> Bytes {
    frame(ty::ERROR, text.as_bytes())
}

/// `NAME joined the chat.`
pub fn joined(name: &str) -> Bytes {
    frame(ty::JOIN, format!("{name} joined the chat.").as_bytes())
}

/// `NAME left the chat.`
pub fn left(name: &str) -> Bytes {
    frame(ty::LEAVE, format!("{name} left the chat.").as_bytes())
}

/// An entry as a frame; `None` for what a classic client can't show.
///
/// `current` says whether the reader stands in the entry's room.
pub fn entry(entry: &Entry, label: &Label, current: bool) -> Option<Bytes> {
    let said = said(entry)?;
    let name = &entry.name;
    let prefix = match label {
        Label::Direct => format!("[@{name}] "),
        Label::Room(room) if !current => format!("[#{room}] "),
        Label::Room(_) => String::new(),
    };
    if entry.kind == EntryKind::File {
        // Said by the server: those clients can't read the FILE frame that follows.
        let said = said.trim_start_matches("* ");
        return Some(server_line(&format!("{prefix}{name} {said}")));
    }
    Some(text_frame(&match entry.person {
        Some(_) => format!("{prefix}{name}{SEPARATOR}{said}"),
        None => format!("[Server] {prefix}{said}"),
    }))
}

/// The file that a classic reader is sent for an entry, if it is one and not too large for its frame.
pub fn file(entry: &Entry) -> Option<ClassicFile> {
    if entry.kind != EntryKind::File {
        return None;
    }
    let FileBody { hash, size, name, .. } = FileBody::decode(&entry.body).ok()?;
    (size <= u64::from(MAX_CLASSIC_FILE)).then(|| ClassicFile { from: entry.name.clone(), name, hash, size })
}

/// An entry as a line of history, with its time of day and, if that is told, the place where it was said.
pub fn history_line(entry: &Entry, place: Option<&str>, zone: Zone) -> Option<Bytes> {
    let said = said(entry)?;
    let time = i64::try_from(entry.time.0).ok().and_then(chrono::DateTime::from_timestamp_millis)?;
    let time = time.with_timezone(&zone(entry.time)).format("%H:%M");
    let edited = if entry.revision == Revision::Edited { " (edited)" } else { "" };
    let place = place.map(|place| format!("[{place}] ")).unwrap_or_default();
    Some(server_line(&format!("{time} {place}{}: {said}{edited}", entry.name)))
}

/// What an entry says, on one line.
fn said(entry: &Entry) -> Option<String> {
    if entry.revision == Revision::Deleted {
        return None;
    }
    let text = entry.text();
    let text = sanitize_line(&text);
    match entry.kind {
        EntryKind::Text | EntryKind::System => Some(text.into_owned()),
        EntryKind::Action => Some(format!("* {text}")),
        EntryKind::Topic if text.is_empty() => Some("* took the topic away".to_owned()),
        EntryKind::Topic => Some(format!("* set the topic: {text}")),
        EntryKind::Edit => Some(format!("* corrected: {text}")),
        EntryKind::Delete => Some("* deleted a message".to_owned()),
        EntryKind::File => {
            let file = FileBody::decode(&entry.body).ok()?;
            Some(format!("* sends '{}' ({})", sanitize_line(&file.name), human_size(file.size)))
        }
        EntryKind::Reaction | EntryKind::FileOffer | EntryKind::Opaque | EntryKind::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{Millis, Seq};

    #[test]
    fn a_line_of_history_has_the_time_that_the_zone_had_when_it_was_said() {
        // The last Sunday of October 2026, 01:00 UTC: Berlin goes from two hours ahead to one.
        const CHANGE: u64 = 1_792_890_000_000;
        let berlin: Zone = |at| {
            let hours = if at.0 < CHANGE { 2 } else { 1 };
            chrono::FixedOffset::east_opt(hours * 3_600).unwrap()
        };
        let said_at = |time: u64| {
            let entry = Entry {
                seq: Seq::FIRST,
                time: Millis(time),
                written: Millis(0),
                person: None,
                name: "alice".to_owned(),
                device: None,
                counter: None,
                kind: EntryKind::Text,
                revision: Revision::Original,
                reply_to: None,
                body: Bytes::from_static(b"hello"),
            };
            let line = history_line(&entry, None, berlin).unwrap();
            String::from_utf8_lossy(&line).into_owned()
        };
        let (before, after) = (said_at(CHANGE - 60_000), said_at(CHANGE + 60_000));
        assert!(before.contains("02:59 alice: hello"), "{before}");
        assert!(after.contains("02:01 alice: hello"), "{after}");
    }
}
