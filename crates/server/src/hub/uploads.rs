//! Uploads, as far as they are decided: who may bring what where, and what becomes of what nobody goes on with.

use super::Hub;
use super::post::Post;
use crate::clock::{Now, Steady};
use crate::files::{Brought, Header};
use crate::inbound::{Admitted, Follow};
use crate::sequencer::Waiting;
use crate::shelf::{Item, Named};
use crate::store::{NewEntry, StoredFile, StoredOffer};
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, Millis, PersonId, RoomId, Seq, TransferId};
use protocol::limits::{MAX_FILE_NAME, MAX_NUMBER, MAX_UPLOADS};
use protocol::message::{OfferBody, Target};
use protocol::text::check_line;
use std::collections::BTreeMap;

/// How long an upload is known by its number after its entry was stored, in ms: readers of its offer may come late.
const POSTED_MS: u64 = 600_000;

/// The offer of an upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Offer {
    None,
    /// It was accepted and has no number yet.
    Waiting,
    At(RoomId, Seq),
}

/// An upload.
#[derive(Debug)]
pub(super) struct Transfer {
    header: Header,
    /// Bytes that are counted as its own: its size or, as long as that is not known, what was reserved as it arrived.
    reserved: u64,
    person: PersonId,
    /// Where it goes, as far as there is such a room: its space is counted there.
    room: Option<RoomId>,
    offer: Offer,
    /// Connections that go on with it; a new one may come before the old one has gone.
    connections: u32,
    /// When it last went on.
    last: Steady,
    /// Its hash, when it is complete.
    hash: Option<ContentHash>,
    /// Its entry is stored, and its space is that of the entry.
    posted: bool,
}

pub(super) type Transfers = BTreeMap<TransferId, Transfer>;

/// A refusal and the number that goes with it.
type Refused = (Code, u64);

impl Hub {
    /// Takes in the uploads that the start found.
    pub(super) fn restore_uploads(&mut self, brought: Vec<Brought>, now: Now) {
        for Brought { header, hash, at } in brought {
            // Between two starts only the clock on the wall tells how long nobody went on with it.
            let is_over = now.wall.0.saturating_sub(at.0) > self.settings.files.keep_uploads_ms;
            let known = |person: &PersonId| self.people.find(*person).is_some() && !is_over;
            let Some(person) = header.person.filter(known) else {
                self.contents.give_up(header.transfer);
                if let Some(hash) = hash {
                    self.contents.remove(hash);
                }
                continue;
            };
            let room = self.room_of(person, &header.target);
            let reserved = self.contents.reserved(header.transfer).unwrap_or(header.size);
            self.shelf.usage.add(Some(person), room, reserved);
            let (offer, transfer) = (Offer::None, header.transfer);
            let known = Transfer {
                header,
                reserved,
                person,
                room,
                offer,
                connections: 0,
                last: now.steady,
                hash,
                posted: false,
            };
            self.transfers.insert(transfer, known);
        }
    }

    /// Takes in an offer that the store knew. One whose upload is gone is taken back.
    pub(super) fn restore_offer(&mut self, offer: StoredOffer, now: Now) {
        let (room, seq) = (offer.room, offer.seq);
        self.shelf.add(room, seq, offer.into());
        match self.transfers.get_mut(&offer.transfer) {
            Some(known) if Some(known.person) == offer.person => known.offer = Offer::At(room, seq),
            _ => self.take_offer_back(room, seq, now),
        }
    }

    fn room_of(&self, person: PersonId, target: &Target) -> Option<RoomId> {
        match *target {
            Target::Room { room } => Some(room),
            Target::Person { person: other } => self.rooms.direct(person, other),
        }
    }

    /// Judges an upload that begins or goes on.
    pub(super) fn handle_put(&mut self, header: Header, now: Now) -> Result<Admitted, Refused> {
        let person = header.person.ok_or((Code::NotAllowed, 0))?;
        check_file_name(&header.name).map_err(|code| (code, 0))?;
        match header.target {
            Target::Room { room } => self.authorize(person, room).map_err(|code| (code, 0))?,
            Target::Person { person: other } => {
                self.people.find(other).ok_or((Code::NoSuchPerson, 0))?;
            }
        }
        let likely = self.contents.likely(header.size, header.first);
        let likely = likely.is_some_and(|hash| self.may_read(person, hash));
        if let Some(known) = self.transfers.get_mut(&header.transfer) {
            if known.person != person {
                return Err((Code::NotAllowed, 0));
            }
            let of = |header: &Header| (header.target.clone(), header.size, header.first);
            if of(&known.header) != of(&header) {
                return Err((Code::WrongContent, 0));
            }
            (known.connections, known.last) = (known.connections + 1, now.steady);
            return Ok(known.hash.map_or(Admitted::Going { likely }, Admitted::Whole));
        }
        let room = self.room_of(person, &header.target);
        let uploads = self.transfers.values().filter(|known| known.person == person && !known.posted);
        if uploads.count() >= MAX_UPLOADS {
            return Err((Code::Quota, 0));
        }
        // The first byte of what has no size yet must fit.
        let reserved = if header.is_open_ended() { 0 } else { header.size };
        self.check_quotas(person, room, reserved.max(u64::from(header.is_open_ended())))?;
        // A restart gives up the uploads of people whom it does not know.
        self.store_person(person).map_err(|code| (code, 0))?;
        self.shelf.usage.add(Some(person), room, reserved);
        let (offer, transfer, hash, last) = (Offer::None, header.transfer, None, now.steady);
        let new =
            Transfer { header, reserved, person, room, offer, connections: 1, last, hash, posted: false };
        self.transfers.insert(transfer, new);
        Ok(Admitted::Going { likely })
    }

    /// Whether so many bytes more fit what a person, and a room, may have.
    pub(super) fn check_quotas(
        &self,
        person: PersonId,
        room: Option<RoomId>,
        size: u64,
    ) -> Result<(), Refused> {
        let rules = &self.settings.files;
        let of_person = rules.person_bytes.saturating_sub(self.shelf.usage.of_person(person));
        let of_room =
            room.map_or(u64::MAX, |room| rules.room_bytes.saturating_sub(self.shelf.usage.of_room(room)));
        let left = of_person.min(of_room);
        if size > left { Err((Code::Quota, left)) } else { Ok(()) }
    }

    /// Bytes that a person may still send in one file, with what is under way: who goes on with an upload is not told that
    /// it is too large. Never 0, which says that there are no files at all.
    pub(super) fn file_limit(&self, person: PersonId) -> u64 {
        if self.settings.max_file == 0 {
            return 0;
        }
        let own = self.transfers.values().filter(|known| known.person == person && !known.posted);
        let under_way: u64 = own.map(|known| known.reserved).sum();
        let used = self.shelf.usage.of_person(person).saturating_sub(under_way);
        let quota = self.settings.files.person_bytes.saturating_sub(used);
        let space = self.contents.left().saturating_add(under_way);
        self.settings.max_file.min(quota).min(space).clamp(1, MAX_NUMBER)
    }

    /// Reserves space for so many bytes more of an upload whose size is not known.
    pub(super) fn handle_reserve(&mut self, transfer: TransferId, bytes: u64) -> Result<(), Refused> {
        let known = self.transfers.get(&transfer).ok_or((Code::NoSuchTransfer, 0))?;
        let (person, room) = (known.person, known.room);
        self.check_quotas(person, room, bytes)?;
        self.shelf.usage.add(Some(person), room, bytes);
        if let Some(known) = self.transfers.get_mut(&transfer) {
            known.reserved = known.reserved.saturating_add(bytes);
        }
        Ok(())
    }

    /// A connection does not go on with an upload. One of which nothing was ever kept is forgotten.
    pub(super) fn handle_left(&mut self, transfer: TransferId, now: Now) {
        let Some(known) = self.transfers.get_mut(&transfer) else { return };
        (known.connections, known.last) = (known.connections.saturating_sub(1), now.steady);
        let is_nothing = known.hash.is_none() && known.offer == Offer::None && known.connections == 0;
        if is_nothing && self.contents.arrived(transfer).is_none() {
            self.forget_transfer(transfer);
        }
    }

    /// An upload is complete; false if its content did not stay.
    pub(super) fn handle_uploaded(&mut self, transfer: TransferId, hash: ContentHash, now: Now) -> bool {
        let is_here = self.contents.size(hash).is_some();
        let Some(known) = self.transfers.get_mut(&transfer) else {
            self.release_content(hash);
            return false;
        };
        (known.connections, known.last) = (known.connections.saturating_sub(1), now.steady);
        known.hash = Some(hash).filter(|_| is_here);
        // What was reserved and not needed is given back.
        let size = self.contents.size(hash).unwrap_or(known.reserved);
        let (person, room, rest) = (known.person, known.room, known.reserved.saturating_sub(size));
        known.reserved -= rest;
        self.shelf.usage.take(Some(person), room, rest);
        is_here
    }

    /// Whether an upload is a content that is here and its sender may read.
    pub(super) fn handle_claim(&mut self, transfer: TransferId, hash: ContentHash) -> bool {
        let Some(known) = self.transfers.get(&transfer) else { return false };
        let is_it = self.contents.size(hash) == Some(known.header.size) && self.may_read(known.person, hash);
        if is_it && let Some(known) = self.transfers.get_mut(&transfer) {
            known.hash = Some(hash);
        }
        is_it
    }

    /// What somebody reads who asks for an upload.
    pub(super) fn follow(&self, person: PersonId, transfer: TransferId) -> Follow {
        let Some(known) = self.transfers.get(&transfer) else { return Follow::Nothing };
        let may = match known.offer {
            Offer::At(room, _) => self.authorize(person, room).is_ok(),
            Offer::None | Offer::Waiting => known.person == person,
        };
        match known.hash {
            _ if !may => Follow::Nothing,
            Some(hash) => Follow::Whole(hash),
            None => Follow::Growing,
        }
    }

    /// An upload is given up: nothing of it is left, and its offer is taken back.
    pub(super) fn give_up(&mut self, transfer: TransferId, now: Now) {
        if let Some(Offer::At(room, seq)) = self.forget_transfer(transfer) {
            self.take_offer_back(room, seq, now);
        }
    }

    fn forget_transfer(&mut self, transfer: TransferId) -> Option<Offer> {
        let known = self.transfers.remove(&transfer)?;
        if known.posted {
            return None;
        }
        self.shelf.usage.take(Some(known.person), known.room, known.reserved);
        self.contents.give_up(transfer);
        if let Some(hash) = known.hash {
            self.release_content(hash);
        }
        Some(known.offer)
    }

    /// Takes an offer back, in the server's name.
    fn take_offer_back(&mut self, room: RoomId, seq: Seq, now: Now) {
        let entry = NewEntry {
            room,
            time: now.wall,
            written: Millis(0),
            person: None,
            name: String::new(),
            origin: None,
            kind: EntryKind::Delete,
            reply_to: Some(seq),
            body: Bytes::new(),
            mentions: Vec::new(),
        };
        self.sequencer.push(Waiting { entry, held: None });
    }

    /// Judges an offer: it is of an upload of its author's that goes there, has this size, and has none.
    pub(super) fn check_offer(&mut self, person: PersonId, post: &Post) -> Result<(), Code> {
        let offer = OfferBody::decode(&post.body).map_err(|_| Code::NoSuchTransfer)?;
        check_file_name(&offer.name)?;
        let known = self.transfers.get(&offer.transfer).ok_or(Code::NoSuchTransfer)?;
        let is_its = known.person == person
            && known.header.size == offer.size
            && !known.header.is_open_ended()
            && known.header.target == post.target
            && known.offer == Offer::None
            && !known.posted;
        if is_its { Ok(()) } else { Err(Code::NoSuchTransfer) }
    }

    /// An offer was accepted: no other one is until the store has refused it.
    pub(super) fn set_offer_waiting(&mut self, body: &[u8], waits: bool) {
        let transfer = OfferBody::decode(body).ok().map(|offer| offer.transfer);
        if let Some(known) = transfer.and_then(|transfer| self.transfers.get_mut(&transfer)) {
            match (known.offer, waits) {
                (Offer::None, true) => known.offer = Offer::Waiting,
                (Offer::Waiting, false) => known.offer = Offer::None,
                _ => {}
            }
        }
    }

    /// An offer is stored.
    pub(super) fn note_offer(&mut self, offer: StoredOffer, now: Now) {
        let (room, seq) = (offer.room, offer.seq);
        self.shelf.add(room, seq, offer.into());
        match self.transfers.get_mut(&offer.transfer) {
            Some(known) if Some(known.person) == offer.person => {
                (known.offer, known.room) = (Offer::At(room, seq), known.room.or(Some(room)));
            }
            // It was given up meanwhile.
            _ => self.take_offer_back(room, seq, now),
        }
    }

    /// A file's entry is stored: its space is the entry's from here on, and the offer that it ends is none any more.
    pub(super) fn note_file(&mut self, file: StoredFile, ends: Option<Seq>, now: Now) {
        let offer = ends.map(|seq| (file.room, seq));
        let is_it = |known: &&mut Transfer| {
            !known.posted && Some(known.person) == file.person && known.hash == Some(file.hash)
        };
        let of_offer = |known: &&mut Transfer| match known.offer {
            Offer::At(room, seq) => Some((room, seq)) == offer,
            Offer::None | Offer::Waiting => offer.is_none(),
        };
        let known = self.transfers.values_mut().filter(|known| is_it(known)).find(|known| of_offer(known));
        if let Some(known) = known {
            (known.posted, known.last) = (true, now.steady);
            self.shelf.usage.take(Some(known.person), known.room, known.reserved);
        }
        let fetched = offer.map(|(room, seq)| self.shelf.end_offer(room, seq, file.seq));
        let gone = self.contents.size(file.hash).is_none();
        self.shelf.add(file.room, file.seq, Item { gone, ..file.into() });
        for person in fetched.into_iter().flatten() {
            self.mark_fetched(person, file.room, file.seq);
        }
    }

    /// An entry that named a file is gone, and what it named goes unless something else names it.
    pub(super) fn note_gone(&mut self, item: &Item) {
        match item.named {
            Named::Content(hash) => self.release_content(hash),
            Named::Offer(transfer) => drop(self.forget_transfer(transfer)),
        }
    }

    /// Removes a content that nothing names and nobody brings.
    pub(super) fn release_content(&mut self, hash: ContentHash) {
        let brought = self.transfers.values().any(|known| known.hash == Some(hash) && !known.posted);
        if !brought && !self.shelf.names(hash) && !self.pending.contains_key(&hash) {
            self.contents.remove(hash);
        }
    }

    /// Whether this person brought a content and has no entry of it yet.
    pub(super) fn brought(&self, person: PersonId, hash: ContentHash) -> bool {
        let mut uploads = self.transfers.values();
        uploads.any(|known| known.person == person && known.hash == Some(hash) && !known.posted)
    }

    /// Gives up what nobody went on with for long, and lets contents go whose time is over.
    pub(super) fn expire_files(&mut self, now: Now) {
        let keep = self.settings.files.keep_uploads_ms;
        let over = |known: &Transfer| {
            let keep = if known.posted { POSTED_MS } else { keep };
            known.connections == 0 && now.steady.since(known.last) > keep
        };
        let expired: Vec<_> =
            self.transfers.iter().filter(|(_, known)| over(known)).map(|(transfer, _)| *transfer).collect();
        for transfer in expired {
            tracing::debug!(?transfer, "an upload expired");
            self.give_up(transfer, now);
        }
        if let Some(keep) = self.settings.files.keep_files_ms.filter(|_| !self.clock.is_doubted()) {
            for hash in self.shelf.expire(Millis(now.wall.0.saturating_sub(keep))) {
                self.release_content(hash);
            }
        }
    }
}

/// Whether a file may have this name.
pub(super) fn check_file_name(name: &str) -> Result<(), Code> {
    if name.is_empty() || name.len() > MAX_FILE_NAME {
        return Err(Code::BadName);
    }
    check_line(name).map_err(|_| Code::BadText)
}
