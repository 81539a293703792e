//! What entries mean for files on their way: an offer begins one, a file ends it, a deletion gives it up.

use super::table::{Stage, Wanted};
use crate::clock::Now;
use crate::session::Session;
use crate::session::event::TransferStep;
use crate::session::outbox::{DownJob, DownStage, Job, Offer};
use crate::transfer::{JobId, Keep, Order, Origin};
use protocol::entry::{Entry, EntryKind};
use protocol::id::{RoomId, Seq};
use protocol::message::{FileBody, OfferBody};

impl Session {
    /// An entry came; whether it is about a file that is known already, so that it begins no other one.
    pub(in crate::session) fn note_file(&mut self, room: RoomId, entry: &Entry) -> bool {
        match (entry.kind, entry.reply_to) {
            (EntryKind::FileOffer, _) if entry.person == self.me => {
                self.note_own_offer(room, entry);
                true
            }
            (EntryKind::File, Some(offer)) => self.note_end(room, offer, entry),
            (EntryKind::Delete, Some(line)) => {
                self.note_deleted(room, line, entry.person == self.me);
                true
            }
            _ => false,
        }
    }

    fn note_own_offer(&mut self, room: RoomId, entry: &Entry) {
        let Ok(offer) = OfferBody::decode(&entry.body) else {
            return;
        };
        let mine = self.outbox.jobs().iter().find_map(|(id, job)| match job {
            Job::Up(job) if job.opened.as_ref()?.transfer == offer.transfer => Some((id, job.offer)),
            _ => None,
        });
        match mine {
            Some((_, Offer::At(..))) => {}
            Some((id, _)) => {
                self.outbox.change_up(id, |job| job.offer = Offer::At(room, entry.seq));
                self.transfers.find(id).into_iter().for_each(|moving| moving.line = Some(entry.seq));
            }
            None => self.transfers.note_stray(offer.transfer, room, entry.seq),
        }
    }

    /// A file came that was offered.
    fn note_end(&mut self, room: RoomId, offer: Seq, entry: &Entry) -> bool {
        let Ok(file) = FileBody::decode(&entry.body) else {
            return false;
        };
        let ended = |job: &mut DownJob| {
            job.download.origin.hash = Some(file.hash);
            job.at = Some((room, entry.seq));
        };
        if let Some((id, job)) = self.download_at(room, offer) {
            if job.origin().hash.is_none() {
                self.outbox.change_down(id, ended);
                self.transfers.find(id).into_iter().for_each(|moving| moving.line = Some(entry.seq));
                if job.stage == DownStage::Coming {
                    self.transfers.downloads.push_back(Order::Whole(id, file.hash));
                }
            }
            return true;
        }
        let asked = self.transfers.iter_mut().find_map(|moving| match &mut moving.stage {
            Stage::Asked(job) if job.is_at(room, offer) => {
                moving.line = Some(entry.seq);
                Some(job)
            }
            _ => None,
        });
        let known = asked.is_some();
        asked.into_iter().for_each(ended);
        known
    }

    /// The file that this entry names or offers: the one that is coming, if there was another one before it.
    pub(super) fn download_at(&self, room: RoomId, seq: Seq) -> Option<(JobId, DownJob)> {
        let there = self.outbox.jobs().iter().filter_map(|(id, job)| match job {
            Job::Down(job) if job.is_at(room, seq) => Some((id, job)),
            _ => None,
        });
        let found = there.max_by_key(|(_, job)| job.stage == DownStage::Coming);
        found.map(|(id, job)| (id, job.clone()))
    }

    /// The file that its user is asked about, and that this entry names or offers.
    pub(super) fn asked_at(&self, room: RoomId, seq: Seq) -> Option<JobId> {
        self.transfers.iter().find_map(|(id, moving)| match &moving.stage {
            Stage::Asked(job) if job.is_at(room, seq) => Some(id),
            _ => None,
        })
    }

    /// An entry was deleted, by me or somebody else.
    fn note_deleted(&mut self, room: RoomId, line: Seq, by_me: bool) {
        if let Some((id, _)) = self.download_at(room, line).filter(|(_, job)| job.at == Some((room, line))) {
            // Nothing ends its offer any more.
            self.outbox.change_down(id, |job| job.at = None);
            self.withdraw_download(id);
            if self.transfers.find(id).is_none() {
                self.outbox.drop_job(id);
            }
        }
        self.asked_at(room, line).into_iter().for_each(|id| self.withdraw_download(id));
        let offered = self.outbox.jobs().iter().find_map(|(id, job)| match job {
            Job::Up(job) if job.offer == Offer::At(room, line) => Some(id),
            _ => None,
        });
        match (offered, offered.and_then(|id| self.transfers.find(id).cloned())) {
            (Some(id), Some(moving)) if by_me && moving.stage != Stage::Ending => {
                self.tell(moving.told(id, TransferStep::Cancelled));
                self.stop(id, &moving);
            }
            // The server forgot it: it is offered anew when it is sent anew.
            (Some(id), _) => self.outbox.change_up(id, |job| job.offer = Offer::None),
            (None, _) => {}
        }
    }

    /// What an entry offers to others than its author.
    pub(in crate::session) fn wanted(room: RoomId, entry: &Entry) -> Option<Wanted> {
        let (origin, size, name, shape) = match entry.kind {
            EntryKind::File => {
                let file = FileBody::decode(&entry.body).ok()?;
                (Origin { transfer: None, hash: Some(file.hash) }, file.size, file.name, file.shape)
            }
            EntryKind::FileOffer => {
                let offer = OfferBody::decode(&entry.body).ok()?;
                let origin = Origin { transfer: Some(offer.transfer), hash: None };
                (origin, offer.size, offer.name, offer.shape)
            }
            _ => return None,
        };
        let (seq, from) = (entry.seq, entry.name.clone());
        Some(Wanted { room, seq, origin, size, name, shape, from, keep: Keep::default() })
    }

    /// An upload that failed before its offer had a number: the offer is taken back now.
    pub(super) fn take_back_strays(&mut self, now: Now) {
        for (room, seq) in self.transfers.take_strays() {
            self.take_back(room, seq, now);
        }
    }
}
