//! Uploads, as far as they are decided: who may bring what where, and what becomes of what nobody goes on with.

use super::Hub;
use super::post::Post;
use super::transfers::{Offer, Transfer};
use crate::clock::Now;
use crate::files::{Brought, Header};
use crate::inbound::{Admitted, Follow};
use crate::shelf::{Account, Item, Named};
use crate::store::{StoredFile, StoredOffer};
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, Millis, PersonId, RoomId, Seq, TransferId};
use protocol::limits::{MAX_FILE_NAME, MAX_NUMBER, MAX_UPLOADS};
use protocol::message::{OfferBody, Target};
use protocol::text::check_line;

/// How long an upload is known by its number after its entry was stored, in ms: readers of its offer may come late.
const POSTED_MS: u64 = 600_000;

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
            let (account, transfer) = (self.account_of(Some(person)), header.transfer);
            self.shelf.usage.add(account, room, reserved);
            let known = Transfer::new(header, (person, account), room, now.steady);
            self.transfers.insert(transfer, known.with_reserved(reserved));
            self.transfers.set_hash(transfer, hash);
        }
    }

    /// Ends uploads of which the start found nothing that could be gone on with, and that nobody was offered.
    pub(super) fn end_empty_uploads(&mut self) {
        let is_empty =
            |known: &Transfer| known.reserved == 0 && known.hash().is_none() && known.offer == Offer::None;
        let empty: Vec<_> = self
            .transfers
            .iter()
            .filter(|(_, known)| is_empty(known))
            .map(|(transfer, _)| transfer)
            .collect();
        for transfer in empty {
            self.forget_transfer(transfer);
        }
    }

    /// On whom the space of somebody's files is counted: guests share one account.
    pub(super) fn account_of(&self, person: Option<PersonId>) -> Account {
        let known = person.and_then(|person| Some((person, self.people.find(person)?)));
        match known.filter(|(_, known)| known.credential.is_some()) {
            Some((person, _)) => Account::Person(person),
            None => Account::Guests,
        }
    }

    /// Takes in an offer that the store knew. One whose upload is gone is taken back.
    pub(super) fn restore_offer(&mut self, offer: StoredOffer, now: Now) {
        let (room, seq) = (offer.room, offer.seq);
        self.shelf.add(room, seq, offer.into());
        match self.transfers.get_mut(offer.transfer) {
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
            Target::Room { room } => {
                let may = self.authorize(person, room).and_then(|()| self.check_blocked_in(person, room));
                may.map_err(|code| (code, 0))?;
            }
            Target::Person { person: other } => {
                self.people.find(other).ok_or((Code::NoSuchPerson, 0))?;
                self.check_blocked(person, other).map_err(|code| (code, 0))?;
            }
        }
        let likely = self.contents.likely(header.size, header.first);
        let likely = likely.is_some_and(|hash| self.may_read(person, hash));
        if let Some(known) = self.transfers.get_mut(header.transfer) {
            if known.person != person {
                return Err((Code::NotAllowed, 0));
            }
            let of = |header: &Header| (header.target.clone(), header.size, header.first);
            if of(&known.header) != of(&header) {
                return Err((Code::WrongContent, 0));
            }
            (known.connections, known.last) = (known.connections + 1, now.steady);
            return Ok(known.hash().map_or(Admitted::Going { likely }, Admitted::Whole));
        }
        let room = self.room_of(person, &header.target);
        if self.transfers.of_person(person).count() >= MAX_UPLOADS {
            return Err((Code::Quota, 0));
        }
        // Nothing is reserved before it arrives, but all of it must fit now, or the first byte of what has no size yet.
        let account = self.account_of(Some(person));
        self.check_quotas(account, room, if header.is_open_ended() { 1 } else { header.size })?;
        // A restart gives up the uploads of people whom it does not know.
        self.store_person(person).map_err(|code| (code, 0))?;
        let transfer = header.transfer;
        let new = Transfer::new(header, (person, account), room, now.steady);
        self.transfers.insert(transfer, new.on_a_connection());
        Ok(Admitted::Going { likely })
    }

    /// Whether so many bytes more fit what a person or the guests together, and a room, may have.
    pub(super) fn check_quotas(
        &self,
        account: Account,
        room: Option<RoomId>,
        size: u64,
    ) -> Result<(), Refused> {
        let rules = &self.settings.files;
        let of_account = rules.bytes_of(account).saturating_sub(self.shelf.usage.of_account(account));
        let of_room =
            room.map_or(u64::MAX, |room| rules.room_bytes.saturating_sub(self.shelf.usage.of_room(room)));
        let left = of_account.min(of_room);
        if size > left { Err((Code::Quota, left)) } else { Ok(()) }
    }

    /// Bytes that a person may still send in one file, with what is under way: who goes on with an upload is not told that
    /// it is too large. Never 0, which says that there are no files at all.
    pub(super) fn file_limit(&self, person: PersonId) -> u64 {
        if self.settings.max_file == 0 {
            return 0;
        }
        let account = self.account_of(Some(person));
        let under_way: u64 = self.transfers.of_person(person).map(|known| known.reserved).sum();
        let used = self.shelf.usage.of_account(account).saturating_sub(under_way);
        let quota = self.settings.files.bytes_of(account).saturating_sub(used);
        let space = self.contents.left().saturating_add(under_way);
        self.settings.max_file.min(quota).min(space).clamp(1, MAX_NUMBER)
    }

    /// Reserves space for so many bytes more of an upload.
    pub(super) fn handle_reserve(&mut self, transfer: TransferId, bytes: u64) -> Result<(), Refused> {
        let known = self.transfers.get(transfer).ok_or((Code::NoSuchTransfer, 0))?;
        let (account, room) = (known.account, known.room);
        self.check_quotas(account, room, bytes)?;
        self.shelf.usage.add(account, room, bytes);
        if let Some(known) = self.transfers.get_mut(transfer) {
            known.reserved = known.reserved.saturating_add(bytes);
        }
        Ok(())
    }

    /// A connection does not go on with an upload. One of which nothing was ever kept is forgotten.
    pub(super) fn handle_left(&mut self, transfer: TransferId, now: Now) {
        let Some(known) = self.transfers.get_mut(transfer) else { return };
        (known.connections, known.last) = (known.connections.saturating_sub(1), now.steady);
        let is_nothing = known.hash().is_none() && known.offer == Offer::None && known.connections == 0;
        // Space is reserved for what arrives: without any, no byte has come.
        if is_nothing && self.contents.reserved(transfer).is_none_or(|bytes| bytes == 0) {
            self.forget_transfer(transfer);
        }
    }

    /// An upload is complete; false if its content did not stay.
    pub(super) fn handle_uploaded(&mut self, transfer: TransferId, hash: ContentHash, now: Now) -> bool {
        let is_here = self.contents.size(hash).is_some();
        let Some(known) = self.transfers.get_mut(transfer) else {
            self.release_content(hash);
            return false;
        };
        (known.connections, known.last) = (known.connections.saturating_sub(1), now.steady);
        // What was reserved and not needed is given back.
        let size = self.contents.size(hash).unwrap_or(known.reserved);
        let (account, room, rest) = (known.account, known.room, known.reserved.saturating_sub(size));
        known.reserved -= rest;
        self.shelf.usage.take(account, room, rest);
        self.transfers.set_hash(transfer, Some(hash).filter(|_| is_here));
        is_here
    }

    /// Whether an upload is a content that is here and its sender may read.
    pub(super) fn handle_claim(&mut self, transfer: TransferId, hash: ContentHash) -> bool {
        let Some(known) = self.transfers.get(transfer) else { return false };
        let size = known.header.size;
        let is_it = self.contents.size(hash) == Some(size) && self.may_read(known.person, hash);
        // Its entry counts like any other, so that there must be room for it although nothing is sent.
        let is_it = is_it && self.handle_reserve(transfer, size.saturating_sub(known.reserved)).is_ok();
        if is_it {
            self.transfers.set_hash(transfer, Some(hash));
        }
        is_it
    }

    /// What somebody reads who asks for an upload.
    pub(super) fn follow(&self, person: PersonId, transfer: TransferId) -> Follow {
        let Some(known) = self.transfers.get(transfer) else { return Follow::Nothing };
        let may = match known.offer {
            Offer::At(room, _) => self.authorize(person, room).is_ok(),
            Offer::None | Offer::Waiting => known.person == person,
        };
        match known.hash() {
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
        let known = self.transfers.remove(transfer)?;
        if known.is_posted() {
            return None;
        }
        self.shelf.usage.take(known.account, known.room, known.reserved);
        self.contents.give_up(transfer);
        if let Some(hash) = known.hash() {
            self.release_content(hash);
        }
        Some(known.offer)
    }

    /// Takes an offer back, in the server's name.
    fn take_offer_back(&mut self, room: RoomId, seq: Seq, now: Now) {
        self.append_entry(room, None, EntryKind::Delete, Some(seq), Bytes::new(), now);
    }

    /// Judges an offer: it is of an upload of its author's that goes there, has this size, and has none.
    pub(super) fn check_offer(&mut self, person: PersonId, post: &Post) -> Result<(), Code> {
        let offer = OfferBody::decode(&post.body).map_err(|_| Code::NoSuchTransfer)?;
        check_file_name(&offer.name)?;
        let known = self.transfers.get(offer.transfer).ok_or(Code::NoSuchTransfer)?;
        let is_its = known.person == person
            && known.header.size == offer.size
            && !known.header.is_open_ended()
            && known.header.target == post.target
            && known.offer == Offer::None
            && !known.is_posted();
        if is_its { Ok(()) } else { Err(Code::NoSuchTransfer) }
    }

    /// An offer was accepted: no other one is until the store has refused it.
    pub(super) fn set_offer_waiting(&mut self, body: &[u8], waits: bool) {
        let transfer = OfferBody::decode(body).ok().map(|offer| offer.transfer);
        if let Some(known) = transfer.and_then(|transfer| self.transfers.get_mut(transfer)) {
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
        match self.transfers.get_mut(offer.transfer) {
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
        let of_offer = |known: &Transfer| match known.offer {
            Offer::At(room, seq) => Some((room, seq)) == offer,
            Offer::None | Offer::Waiting => offer.is_none(),
        };
        let is_it = |known: &Transfer| Some(known.person) == file.person && of_offer(known);
        let known = self.transfers.of_content(file.hash).find(|(_, known)| is_it(known));
        if let Some((transfer, known)) = known {
            self.shelf.usage.take(known.account, known.room, known.reserved);
            self.transfers.set_posted(transfer);
            if let Some(known) = self.transfers.get_mut(transfer) {
                known.last = now.steady;
            }
        }
        let fetched = offer.map(|(room, seq)| self.shelf.end_offer(room, seq, file.seq));
        let gone = self.contents.size(file.hash).is_none();
        let account = self.account_of(file.person);
        self.shelf.add(file.room, file.seq, Item { gone, ..Item::of_file(file, account) });
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
        let is_brought = self.transfers.of_content(hash).next().is_some();
        if !is_brought && !self.shelf.names(hash) && !self.pending.contains_key(&hash) {
            self.contents.remove(hash);
        }
    }

    /// Whether this person brought a content and has no entry of it yet.
    pub(super) fn brought(&self, person: PersonId, hash: ContentHash) -> bool {
        self.transfers.of_content(hash).any(|(_, known)| known.person == person)
    }

    /// Gives up what nobody went on with for long, and lets contents go whose time is over.
    pub(super) fn expire_files(&mut self, now: Now) {
        let keep = self.settings.files.keep_uploads_ms;
        let over = |known: &Transfer| {
            let keep = if known.is_posted() { POSTED_MS } else { keep };
            known.connections == 0 && now.steady.since(known.last) > keep
        };
        let expired: Vec<_> =
            self.transfers.iter().filter(|(_, known)| over(known)).map(|(transfer, _)| transfer).collect();
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
