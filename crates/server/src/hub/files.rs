//! Files, as far as they are decided: who may read a content, and entries that name one.

use super::post::Post;
use super::{Hub, Voice};
use crate::clock::Now;
use crate::conn::ConnId;
use crate::inbound::Hello;
use crate::store::CredentialHash;
use crate::voice;
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, DeviceNo, Millis, PersonId, RoomId};
use protocol::limits::VERSION;
use protocol::message::{FileBody, Proof, Target};
use protocol::text::check_line;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a file's name.
const MAX_FILE_NAME: usize = 255;

/// Contents that are known before those that are gone are forgotten.
const MANY: usize = 10_000;

/// Which contents are here: known without waiting.
pub trait ContentIndex: Send + Sync {
    /// The size of a content, if it is here.
    fn size(&self, hash: ContentHash) -> Option<u64>;
}

impl<F: crate::files::FileSystem> ContentIndex for crate::files::Contents<F> {
    fn size(&self, hash: ContentHash) -> Option<u64> {
        self.size(hash)
    }
}

impl std::fmt::Debug for dyn ContentIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentIndex")
    }
}

/// Who may read a content: who brought it, and who is in a room with an entry that names it.
#[derive(Debug, Default)]
struct Readers {
    uploaders: BTreeSet<PersonId>,
    rooms: BTreeSet<RoomId>,
}

/// The rights on all contents.
#[derive(Debug, Default)]
pub(super) struct FileRights(BTreeMap<ContentHash, Readers>);

impl Hub {
    /// Lets a known person use a connection for files.
    pub(super) fn login_bulk(&mut self, hello: &Hello, now: Now) -> Result<(PersonId, Bytes), Code> {
        if !(hello.min_version..=hello.max_version).contains(&VERSION) {
            return Err(Code::Version);
        }
        // A guest ends with the one connection that they have, so nobody could know them again.
        let Proof::Secret { secret } = &hello.proof else { return Err(Code::NotAllowed) };
        let credential = CredentialHash(*blake3::hash(&secret.0).as_bytes());
        let person = self.people.proved_by(&credential).ok_or(Code::NoSuchPerson)?;
        let device = self.devices.of(person, Some(hello.device), now.wall);
        Ok((person, self.welcome_msg(person, device, now).encode()))
    }

    pub(super) fn add_upload(&mut self, person: PersonId, hash: ContentHash) {
        if self.files.0.len() >= MANY {
            let contents = &self.contents;
            self.files.0.retain(|hash, _| contents.size(*hash).is_some());
        }
        self.files.0.entry(hash).or_default().uploaders.insert(person);
    }

    pub(super) fn may_read(&self, person: PersonId, hash: ContentHash) -> bool {
        self.files.0.get(&hash).is_some_and(|readers| {
            readers.uploaders.contains(&person)
                || readers.rooms.iter().any(|room| self.authorize(person, *room).is_ok())
        })
    }

    /// Judges the body of an entry that names a file.
    pub(super) fn check_file(&self, person: PersonId, body: &[u8]) -> Result<FileBody, Code> {
        let file = FileBody::decode(body).map_err(|_| Code::NoSuchFile)?;
        if file.name.is_empty() || file.name.len() > MAX_FILE_NAME {
            return Err(Code::BadName);
        }
        check_line(&file.name).map_err(|_| Code::BadText)?;
        // Whoever could read it may pass it on; a hash alone opens nothing.
        if self.contents.size(file.hash) == Some(file.size) && self.may_read(person, file.hash) {
            Ok(file)
        } else {
            Err(Code::NoSuchFile)
        }
    }

    /// The members of a room may read what an entry there names.
    pub(super) fn open_file_to(&mut self, room: RoomId, hash: ContentHash) {
        self.files.0.entry(hash).or_default().rooms.insert(room);
    }

    /// A classic client's file arrived: it becomes an entry like any other.
    pub(super) fn handle_classic_file(&mut self, conn: ConnId, file: Result<FileBody, String>, now: Now) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let Voice::Classic { current } = session.voice else { return };
        let (person, device) = (session.person, session.device);
        let said = match file {
            Ok(file) => self.post_classic_file(conn, person, device, current, &file, now),
            Err(sentence) => Err(sentence),
        };
        match said {
            Ok(sentence) => self.send_bytes(conn, voice::server_line(&sentence)),
            Err(sentence) => self.send_bytes(conn, voice::error_frame(&sentence)),
        }
    }

    fn post_classic_file(
        &mut self,
        conn: ConnId,
        person: PersonId,
        device: DeviceNo,
        room: RoomId,
        file: &FileBody,
        now: Now,
    ) -> Result<String, String> {
        let end = file.name.floor_char_boundary(MAX_FILE_NAME);
        let file = FileBody { name: file.name[..end].to_owned(), ..*file };
        self.add_upload(person, file.hash);
        let post = Post {
            counter: self.devices.expected(device),
            target: Target::Room { room },
            kind: EntryKind::File,
            reply_to: None,
            written: Millis(0),
            body: file.encode(),
        };
        match self.accept(conn, post, None, now) {
            Ok(_) => Ok(format!("You sent '{}' ({}).", file.name, voice::human_size(file.size))),
            Err((code, _)) => Err(format!("Nobody got that file: {}.", code.text())),
        }
    }
}
