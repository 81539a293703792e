//! One room in plain lines: an object of JSON for each entry.

use super::entry::Kept;
use super::folder::Folder;
use super::head::Head;
use super::load::load;
use super::slots::slots;
use super::{OperateError, Task, reader, schema};
use crate::store::RoomShape;
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{RoomId, Seq};
use protocol::message::FileBody;
use protocol::name::NameKey;
use rusqlite::Connection;
use serde::Serialize;
use std::io::{self, Write};

/// Entries that are read at once.
const SLICE: u64 = 1_000;

/// A line. Fields never change their meaning; there may be more of them in a later version.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    /// When it was stored, in milliseconds since the Unix epoch.
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<u64>,
    name: &'a str,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileLine>,
    /// What is neither text nor a file, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

#[derive(Serialize)]
struct FileLine {
    name: String,
    size: u64,
    blake3: String,
}

/// What came of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exported {
    /// Entries that were written.
    pub written: u64,
    /// Entries that are damaged, and are left out.
    pub damaged: u64,
}

/// Writes all entries of a room, oldest first: a public one by its name, a conversation of two by its number. The
/// folder may be in use. Those that are damaged are left out and counted.
///
/// # Errors
/// [`OperateError`]
pub fn export(
    folder: &Folder,
    room: &str,
    out: &mut impl Write,
    task: &mut Task<'_>,
) -> Result<Exported, OperateError> {
    let path = folder.database();
    if !folder.has_database() {
        return Err(OperateError::NoLog { path: folder.path().to_owned() });
    }
    let failed = |fault| OperateError::from_fault(&path, fault);
    let db = reader::connect_anywhere(&path).map_err(failed)?;
    schema::version(&db).map_err(|unusable| OperateError::from_unusable(&path, unusable))?;
    let loaded = load(&db).map_err(failed)?;
    let known = loaded.snapshot.rooms.iter().find(|known| is_meant(room, known.room, &known.shape));
    let room = known.ok_or_else(|| OperateError::NoSuchRoom { name: room.to_owned() })?.room;
    let head = loaded.heads.get(&room).copied().unwrap_or_default();
    task.begin("writing", "entries", head.len());
    let (mut at, end) = (head.first.value(), head.first.value() + head.len());
    let mut exported = Exported { written: 0, damaged: 0 };
    while at < end {
        let to = end.min(at + SLICE);
        for slot in slice(&db, room, at, to).map_err(failed)? {
            let Some(kept) = slot else {
                exported.damaged += 1;
                continue;
            };
            write_line(&kept.entry, out).map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => OperateError::Closed,
                _ => failed(error.into()),
            })?;
            exported.written += 1;
        }
        task.advance(to - at);
        at = to;
    }
    Ok(exported)
}

fn is_meant(said: &str, room: RoomId, shape: &RoomShape) -> bool {
    match shape {
        RoomShape::Public { name } => NameKey::of(name) == NameKey::of(said),
        RoomShape::Direct(..) => said.parse() == Ok(room.value()),
    }
}

/// Those from one number to before another, `None` for a damaged one; a running server may trim them meanwhile.
fn slice(db: &Connection, room: RoomId, from: u64, to: u64) -> Result<Vec<Option<Kept>>, super::Fault> {
    let transaction = db.unchecked_transaction()?;
    let first = Head::find(&transaction, room)?.map_or(from, |head| head.first.value()).clamp(from, to);
    slots(&transaction, room, first, to)
}

fn write_line(entry: &Entry, out: &mut impl Write) -> io::Result<()> {
    let is_file = entry.kind == EntryKind::File && entry.revision != Revision::Deleted;
    let file = is_file.then(|| FileBody::decode(&entry.body).ok()).flatten();
    let text = std::str::from_utf8(&entry.body).ok().filter(|_| file.is_none() && is_text(entry.kind));
    let is_bytes = file.is_none() && text.is_none() && !entry.body.is_empty();
    let line = Line {
        seq: entry.seq.value(),
        time: entry.time.0,
        written: Some(entry.written.0).filter(|time| *time != 0),
        person: entry.person.map(|person| person.value()),
        name: &entry.name,
        kind: kind(entry.kind),
        reply_to: entry.reply_to.map(Seq::value),
        revision: match entry.revision {
            Revision::Original => None,
            Revision::Edited => Some("edited"),
            Revision::Deleted => Some("deleted"),
        },
        text: text.filter(|text| !text.is_empty()),
        file: file.map(|file| FileLine {
            name: file.name,
            size: file.size,
            blake3: blake3::Hash::from_bytes(file.hash.0).to_hex().to_string(),
        }),
        bytes: is_bytes.then(|| entry.body.iter().map(|byte| format!("{byte:02x}")).collect()),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn is_text(kind: EntryKind) -> bool {
    !matches!(kind, EntryKind::Opaque | EntryKind::Other(_) | EntryKind::File | EntryKind::FileOffer)
}

fn kind(kind: EntryKind) -> String {
    let name = match kind {
        EntryKind::Text => "text",
        EntryKind::Action => "action",
        EntryKind::Topic => "topic",
        EntryKind::Reaction => "reaction",
        EntryKind::Edit => "edit",
        EntryKind::Delete => "delete",
        EntryKind::FileOffer => "file-offer",
        EntryKind::File => "file",
        EntryKind::System => "system",
        EntryKind::Opaque => "opaque",
        EntryKind::Other(number) => return format!("kind-{number}"),
    };
    name.to_owned()
}
