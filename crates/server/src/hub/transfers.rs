//! Uploads that are known, found by their sender and by their content without a look at all of them.

use crate::clock::Steady;
use crate::files::Header;
use crate::shelf::Account;
use protocol::id::{ContentHash, PersonId, RoomId, Seq, TransferId};
use std::collections::{BTreeMap, BTreeSet};

/// The offer of an upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offer {
    None,
    /// It was accepted and has no number yet.
    Waiting,
    At(RoomId, Seq),
}

/// An upload.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) header: Header,
    /// Bytes that are counted as its own: those that were reserved as it arrived, and its size when it is complete.
    pub(super) reserved: u64,
    pub(super) person: PersonId,
    /// On whom its space is counted.
    pub(super) account: Account,
    /// Where it goes, as far as there is such a room: its space is counted there.
    pub(super) room: Option<RoomId>,
    pub(super) offer: Offer,
    /// Connections that go on with it; a new one may come before the old one has gone.
    pub(super) connections: u32,
    /// When it last went on.
    pub(super) last: Steady,
    /// Its hash, when it is complete.
    hash: Option<ContentHash>,
    /// Its entry is stored, and its space is that of the entry.
    posted: bool,
}

impl Transfer {
    /// One that nobody goes on with yet.
    pub(super) fn new(
        header: Header,
        (person, account): (PersonId, Account),
        room: Option<RoomId>,
        now: Steady,
    ) -> Self {
        let (reserved, connections, offer, hash, posted) = (0, 0, Offer::None, None, false);
        Self { header, reserved, person, account, room, offer, connections, last: now, hash, posted }
    }

    /// The same that a connection goes on with.
    #[must_use]
    pub(super) fn on_a_connection(self) -> Self {
        Self { connections: 1, ..self }
    }

    /// The same for which so many bytes are reserved.
    #[must_use]
    pub(super) fn with_reserved(self, reserved: u64) -> Self {
        Self { reserved, ..self }
    }

    /// Its hash, when it is complete.
    pub(super) fn hash(&self) -> Option<ContentHash> {
        self.hash
    }

    /// Whether its entry is stored.
    pub(super) fn is_posted(&self) -> bool {
        self.posted
    }
}

/// All of them. Invariant: `open` and `contents` have each that is not posted, and no other.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    all: BTreeMap<TransferId, Transfer>,
    open: BTreeMap<PersonId, BTreeSet<TransferId>>,
    contents: BTreeMap<ContentHash, BTreeSet<TransferId>>,
}

impl Transfers {
    pub(super) fn get(&self, transfer: TransferId) -> Option<&Transfer> {
        self.all.get(&transfer)
    }

    pub(super) fn get_mut(&mut self, transfer: TransferId) -> Option<&mut Transfer> {
        self.all.get_mut(&transfer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TransferId, &Transfer)> {
        self.all.iter().map(|(transfer, known)| (*transfer, known))
    }

    pub(super) fn insert(&mut self, transfer: TransferId, new: Transfer) {
        self.open.entry(new.person).or_default().insert(transfer);
        self.all.insert(transfer, new);
    }

    pub(super) fn remove(&mut self, transfer: TransferId) -> Option<Transfer> {
        self.close(transfer);
        self.all.remove(&transfer)
    }

    /// It is complete and has this hash, or is not any more.
    pub(super) fn set_hash(&mut self, transfer: TransferId, hash: Option<ContentHash>) {
        let Some(known) = self.all.get_mut(&transfer).filter(|known| !known.posted) else { return };
        let before = std::mem::replace(&mut known.hash, hash);
        before.into_iter().for_each(|hash| take_out(&mut self.contents, &hash, transfer));
        if let Some(hash) = hash {
            self.contents.entry(hash).or_default().insert(transfer);
        }
    }

    /// Its entry is stored.
    pub(super) fn set_posted(&mut self, transfer: TransferId) {
        self.close(transfer);
        if let Some(known) = self.all.get_mut(&transfer) {
            known.posted = true;
        }
    }

    /// The uploads of a person whose entries are not stored.
    pub(super) fn of_person(&self, person: PersonId) -> impl Iterator<Item = &Transfer> {
        let of = self.open.get(&person).into_iter().flatten();
        of.filter_map(|transfer| self.all.get(transfer))
    }

    /// The uploads that have become this content and whose entries are not stored.
    pub(super) fn of_content(&self, hash: ContentHash) -> impl Iterator<Item = (TransferId, &Transfer)> {
        let of = self.contents.get(&hash).into_iter().flatten();
        of.filter_map(|transfer| Some((*transfer, self.all.get(transfer)?)))
    }

    fn close(&mut self, transfer: TransferId) {
        let Some(known) = self.all.get(&transfer) else { return };
        take_out(&mut self.open, &known.person, transfer);
        known.hash.into_iter().for_each(|hash| take_out(&mut self.contents, &hash, transfer));
    }
}

fn take_out<K: Ord>(index: &mut BTreeMap<K, BTreeSet<TransferId>>, key: &K, transfer: TransferId) {
    if let Some(transfers) = index.get_mut(key) {
        transfers.remove(&transfer);
        if transfers.is_empty() {
            index.remove(key);
        }
    }
}
