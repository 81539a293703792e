//! Files, as far as they are decided: who may read a content, entries that name one, and what is listed.

use super::post::Post;
use super::uploads::check_file_name;
use super::{Effect, Hub, Voice};
use crate::clock::Now;
use crate::conn::{ConnId, Pause};
use crate::devices::NOT_COMPARED;
use crate::files::Brought;
use crate::inbound::{BulkPlace, Hello};
use crate::shelf::{Account, Item, Named};
use crate::store::{Change, CredentialHash, NewEntry, StoredFile, StoredOffer};
use crate::voice;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, DeviceNo, Millis, PersonId, Req, RoomId, Seq, TransferId};
use protocol::limits::rates::{Bucket, FILE_TOKEN};
use protocol::limits::{FEATURE_UNKNOWN_SIZE, MAX_FILE_NAME, VERSION};
use protocol::message::{FileBody, FileState, Proof, Source, Target};

/// Files in one answer: each with the longest names, they fit a frame.
const MAX_LISTED: usize = 64;

/// What the operator decides about files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileRules {
    /// Bytes that the files of one person may have.
    pub person_bytes: u64,
    /// Bytes that the files of all guests may have together.
    pub guest_bytes: u64,
    /// Bytes that the files of one room may have.
    pub room_bytes: u64,
    /// How long contents are kept; `None` for as long as their entries.
    pub keep_files_ms: Option<u64>,
    /// How long an upload is kept that nobody goes on with.
    pub keep_uploads_ms: u64,
}

impl Default for FileRules {
    fn default() -> Self {
        let day = 24 * 3_600_000;
        Self {
            person_bytes: u64::MAX,
            guest_bytes: u64::MAX,
            room_bytes: u64::MAX,
            keep_files_ms: None,
            keep_uploads_ms: day,
        }
    }
}

impl FileRules {
    /// Bytes that may be counted on an account.
    pub fn bytes_of(&self, account: Account) -> u64 {
        match account {
            Account::Person(_) => self.person_bytes,
            Account::Guests => self.guest_bytes,
        }
    }

    /// How often it is looked for what has expired, in ms: so much longer may it stay.
    pub fn expiry_period_ms(&self) -> u64 {
        let shortest = self.keep_files_ms.unwrap_or(u64::MAX).min(self.keep_uploads_ms);
        (shortest / 60).clamp(1_000, 60_000)
    }
}

/// The contents and uploads on the disk: known without waiting, and let go without waiting.
pub trait ContentIndex: Send + Sync {
    /// The size of a content, if it is here.
    fn size(&self, hash: ContentHash) -> Option<u64>;

    /// A content of this size whose first block has this hash.
    fn likely(&self, size: u64, first: ContentHash) -> Option<ContentHash>;

    /// Bytes of an upload that are here and right, if it is under way.
    fn arrived(&self, transfer: TransferId) -> Option<u64>;

    /// Bytes that are left for more.
    fn left(&self) -> u64;

    /// Bytes that are reserved for an upload, if it is under way.
    fn reserved(&self, transfer: TransferId) -> Option<u64>;

    /// Lets a content go.
    fn remove(&self, hash: ContentHash);

    /// Lets an upload go.
    fn give_up(&self, transfer: TransferId);

    /// The uploads that the start found. Told once.
    fn take_brought(&self) -> Vec<Brought>;
}

impl<F: crate::files::FileSystem> ContentIndex for crate::files::Contents<F> {
    fn size(&self, hash: ContentHash) -> Option<u64> {
        self.size(hash)
    }

    fn likely(&self, size: u64, first: ContentHash) -> Option<ContentHash> {
        self.likely(size, first)
    }

    fn arrived(&self, transfer: TransferId) -> Option<u64> {
        self.arrived(transfer)
    }

    fn left(&self) -> u64 {
        self.left()
    }

    fn reserved(&self, transfer: TransferId) -> Option<u64> {
        self.reserved(transfer)
    }

    fn remove(&self, hash: ContentHash) {
        self.remove(hash);
    }

    fn give_up(&self, transfer: TransferId) {
        self.give_up(transfer);
    }

    fn take_brought(&self) -> Vec<Brought> {
        self.take_brought()
    }
}

impl std::fmt::Debug for dyn ContentIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentIndex")
    }
}

/// A file of a list, as far as the hub knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedFile {
    /// Its entry, which tells the rest.
    pub seq: Seq,
    /// By what it is fetched.
    pub source: Source,
    /// How far it has come.
    pub state: FileState,
    /// When it goes, or 0.
    pub expires: Millis,
    /// Members who have fetched it.
    pub fetched: u32,
    /// Members that could.
    pub members: u32,
}

impl Hub {
    /// Takes in what the store and the disk know of files.
    pub(super) fn restore_files(
        &mut self,
        files: Vec<StoredFile>,
        offers: Vec<StoredOffer>,
        fetched: Vec<(RoomId, Seq, PersonId)>,
        now: Now,
    ) {
        for file in files {
            let gone = self.contents.size(file.hash).is_none();
            let account = self.account_of(file.person);
            self.shelf.add(file.room, file.seq, Item { gone, ..Item::of_file(file, account) });
            if let Some(offer) = file.offer {
                self.shelf.end_offer(file.room, offer, file.seq);
            }
        }
        for (room, seq, person) in fetched {
            self.shelf.fetch(room, seq, person);
        }
        let brought = self.contents.take_brought();
        self.restore_uploads(brought, now);
        offers.into_iter().for_each(|offer| self.restore_offer(offer, now));
        self.end_empty_uploads();
    }

    /// Lets a known person use a connection for files.
    pub(super) fn login_bulk(&mut self, hello: &Hello, now: Now) -> Result<BulkPlace, Code> {
        if !(hello.min_version..=hello.max_version).contains(&VERSION) {
            return Err(Code::Version);
        }
        if self.settings.max_file == 0 {
            return Err(Code::Unsupported);
        }
        // A guest ends with the one connection that they have, so nobody could know them again.
        let Proof::Secret { secret } = &hello.proof else { return Err(Code::NotAllowed) };
        let credential = CredentialHash::of(secret);
        self.check_closed(&credential, hello)?;
        let person = self.people.proved_by(&credential).ok_or(Code::NoSuchPerson)?;
        if self.draining {
            return Err(Code::ServerFull);
        }
        let counted = self.admission.bulk(person).ok_or(Code::ServerFull)?;
        if self.devices.known(person, hello.device).is_none() {
            self.check_device_number()?;
            self.make_room_for_device(person)?;
        }
        let device = self.devices.of(person, Some(hello.device), now.wall);
        self.reserve_numbers();
        let features = hello.features & FEATURE_UNKNOWN_SIZE;
        let welcome = self.welcome_msg(person, device, features, now).encode();
        let is_new = self.known.is_new(Some(person), self.people.last(), now.steady);
        Ok(BulkPlace { person, is_new, welcome, counted })
    }

    pub(super) fn may_read(&self, person: PersonId, hash: ContentHash) -> bool {
        self.bringing == Some(hash)
            || self.brought(person, hash)
            || self.people.find(person).is_some_and(|known| {
                let newest_in = |room| Some((room, self.shelf.newest_of(hash, room)?));
                // The person's rooms are few, the entries that name a content may be very many.
                known.rooms().iter().filter_map(|room| newest_in(*room)).any(|(room, seq)| {
                    self.authorize(person, room).is_ok() && seq >= self.history.oldest(room)
                })
            })
    }

    /// Judges an entry that names a file.
    pub(super) fn check_file(&self, person: PersonId, post: &Post) -> Result<FileBody, (Code, u64)> {
        let file = FileBody::decode(&post.body).map_err(|_| (Code::NoSuchFile, 0))?;
        check_file_name(&file.name).map_err(|code| (code, 0))?;
        // Whoever could read it may pass it on; a hash alone opens nothing.
        if self.contents.size(file.hash) != Some(file.size) || !self.may_read(person, file.hash) {
            return Err((Code::NoSuchFile, 0));
        }
        let room = match post.target {
            Target::Room { room } => Some(room),
            Target::Person { person: other } => self.rooms.direct(person, other),
        };
        if let Some(offer) = post.reply_to {
            let item = room.and_then(|room| self.shelf.find(room, offer));
            let is_its = |item: &Item| item.person == Some(person) && matches!(item.named, Named::Offer(_));
            if !item.is_some_and(is_its) {
                return Err((Code::NoSuchEntry, 0));
            }
        }
        if self.bringing.is_none() && !self.brought(person, file.hash) {
            self.check_quotas(self.account_of(Some(person)), room, file.size)?;
        }
        Ok(file)
    }

    /// An entry is on its way that names a content, which stays for it.
    pub(super) fn set_pending(&mut self, hash: ContentHash) {
        *self.pending.entry(hash).or_default() += 1;
    }

    /// It has come to its end, whatever that is.
    fn end_pending(&mut self, hash: ContentHash) {
        if let Some(count) = self.pending.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.pending.remove(&hash);
            }
        }
    }

    /// Takes in what a stored entry says of files.
    pub(super) fn note_files(&mut self, seq: Seq, entry: &NewEntry, now: Now) {
        match entry.kind {
            EntryKind::File => {
                let Some(file) = StoredFile::of(entry.room, &entry.numbered(seq)) else { return };
                self.note_file(file, entry.reply_to, now);
                self.end_pending(file.hash);
            }
            EntryKind::FileOffer => {
                let offer = StoredOffer::of(entry.room, &entry.numbered(seq));
                offer.into_iter().for_each(|offer| self.note_offer(offer, now));
            }
            EntryKind::Delete => {
                let item = entry.reply_to.and_then(|target| self.shelf.remove(entry.room, target));
                item.iter().for_each(|item| self.note_gone(item));
            }
            _ => {}
        }
    }

    /// An entry was refused by the store.
    pub(super) fn note_refused(&mut self, entry: &NewEntry) {
        match entry.kind {
            EntryKind::File => {
                if let Ok(file) = FileBody::decode(&entry.body) {
                    self.end_pending(file.hash);
                    self.release_content(file.hash);
                }
            }
            EntryKind::FileOffer => self.set_offer_waiting(&entry.body, false),
            _ => {}
        }
    }

    /// Entries of a room before this one are gone.
    pub(super) fn trim_files(&mut self, room: RoomId, first: Seq) {
        let gone = self.shelf.remove_before(room, first);
        gone.iter().for_each(|item| match item.named {
            Named::Content(hash) => self.release_content(hash),
            // Its upload goes on: its entry is still to come.
            Named::Offer(_) => {}
        });
    }

    /// Somebody has fetched a file.
    pub(super) fn handle_fetched(&mut self, person: PersonId, room: RoomId, seq: Seq) -> Result<(), Code> {
        self.authorize(person, room)?;
        self.check_space()?;
        let seq = self.shelf.file_of(room, seq);
        if self.shelf.find(room, seq).is_none() {
            return Err(Code::NoSuchEntry);
        }
        self.store_person(person)?;
        self.mark_fetched(person, room, seq);
        Ok(())
    }

    /// Takes it down. By an offer it is known until that ends: then the file's entry has it.
    pub(super) fn mark_fetched(&mut self, person: PersonId, room: RoomId, seq: Seq) {
        let is_file = self.shelf.find(room, seq).is_some_and(|item| matches!(item.named, Named::Content(_)));
        if self.shelf.fetch(room, seq, person) && is_file {
            self.sequencer.change(Change::Fetched { room, seq, person });
        }
    }

    /// Lists the files of a room.
    pub(super) fn list_files(
        &mut self,
        conn: ConnId,
        req: Req,
        room: RoomId,
        before: Option<Seq>,
    ) -> Result<(), Code> {
        let me = self.person_of(conn)?;
        self.authorize(me, room)?;
        let members = self.rooms.find(room).map_or(0, |room| room.members.len());
        let oldest = self.history.oldest(room);
        let mut listed: Vec<_> = self
            .shelf
            .of_room(room, before)
            .take_while(|(seq, _)| *seq >= oldest)
            .take(MAX_LISTED + 1)
            .map(|(seq, item)| self.listed(seq, item, members))
            .collect();
        let more = listed.len() > MAX_LISTED;
        listed.truncate(MAX_LISTED);
        let permit = self.permit.take();
        if let Some(session) = self.sessions.get(&conn) {
            let conn = session.conn.clone();
            self.effects.push(Effect::Files { conn, req, room, listed, more, permit });
        }
        Ok(())
    }

    fn listed(&self, seq: Seq, item: &Item, members: usize) -> ListedFile {
        let (source, state) = match item.named {
            Named::Content(hash) => {
                let is_here = !item.gone && self.contents.size(hash).is_some();
                (Source::Content { hash }, if is_here { FileState::Here } else { FileState::Gone })
            }
            Named::Offer(transfer) => {
                let bytes = self.contents.arrived(transfer).unwrap_or(item.size);
                (Source::Transfer { transfer }, FileState::Offered { bytes })
            }
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let expires = match (item.named, self.settings.files.keep_files_ms) {
            (Named::Content(_), Some(keep)) => Millis(item.time.0.saturating_add(keep)),
            _ => Millis(0),
        };
        let (fetched, members) = (count(item.fetched.len()), count(members.saturating_sub(1)));
        ListedFile { seq, source, state, expires, fetched, members }
    }

    /// Reserves space for a file that a classic client is sending, which is counted until that has arrived. Gives the ms
    /// for which its sender is to be held.
    pub(super) fn reserve_classic(&mut self, conn: ConnId, bytes: u64, now: Now) -> Result<u64, u64> {
        let person = self.sessions.get(&conn).map(|session| session.person).ok_or(0_u64)?;
        let account = self.account_of(Some(person));
        self.check_quotas(account, None, bytes).map_err(|(_, left)| left)?;
        self.shelf.usage.add(account, None, bytes);
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.file_space += bytes;
        }
        let tokens = u32::try_from(bytes / FILE_TOKEN).unwrap_or(u32::MAX);
        // A classic sender is only held, never refused.
        let _ = self.pay(conn, Bucket::ClassicFiles, tokens, now);
        let Some(session) = self.sessions.get(&conn) else { return Ok(0) };
        let hold = session.conn.held_until().map_or(0, |until| until.since(now.steady));
        if hold > 0 {
            // It is read again when it has waited: its silence until then says nothing.
            session.conn.set_paused(Pause::Server, now.steady);
        }
        Ok(hold)
    }

    /// The file has arrived, or will not.
    pub(super) fn release_classic(&mut self, person: PersonId, bytes: u64) {
        let account = self.account_of(Some(person));
        self.shelf.usage.take(account, None, bytes);
    }

    /// A classic client's file arrived: it becomes an entry like any other.
    pub(super) fn handle_classic_file(&mut self, conn: ConnId, file: Result<FileBody, String>, now: Now) {
        let hash = file.as_ref().ok().map(|file| file.hash);
        if let Some(session) = self.sessions.get_mut(&conn) {
            let (person, bytes) = (session.person, std::mem::take(&mut session.file_space));
            self.release_classic(person, bytes);
        }
        let said = match self.sessions.get(&conn).map(|s| (s.person, s.device, s.voice)) {
            Some((person, device, Voice::Classic { current })) => file.and_then(|file| {
                self.set_pending(file.hash);
                self.bringing = Some(file.hash);
                let posted = self.post_classic_file(conn, (person, device, current), &file, now);
                self.bringing = None;
                self.end_pending(file.hash);
                posted
            }),
            _ => Err(String::new()),
        };
        match said {
            Ok(sentence) => self.send_bytes(conn, voice::server_line(&sentence)),
            Err(sentence) => {
                hash.into_iter().for_each(|hash| self.release_content(hash));
                self.send_bytes(conn, voice::error_frame(&sentence));
            }
        }
    }

    fn post_classic_file(
        &mut self,
        conn: ConnId,
        (person, device, room): (PersonId, DeviceNo, RoomId),
        file: &FileBody,
        now: Now,
    ) -> Result<String, String> {
        let end = file.name.floor_char_boundary(MAX_FILE_NAME);
        let file = FileBody { name: file.name[..end].to_owned(), ..file.clone() };
        let refused = |(code, _): (Code, u64)| format!("File not sent: {}.", code.text());
        self.check_quotas(self.account_of(Some(person)), Some(room), file.size).map_err(refused)?;
        let post = Post {
            counter: self.devices.expected(device),
            target: Target::Room { room },
            kind: EntryKind::File,
            reply_to: None,
            written: Millis(0),
            body: file.encode(),
        };
        match self.accept(conn, post, NOT_COMPARED, now) {
            Ok(_) => Ok(format!("You sent '{}' ({}).", file.name, protocol::size::human_size(file.size))),
            Err(refusal) => Err(refused(refusal)),
        }
    }
}
