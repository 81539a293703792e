//! What carriers tell of files on their way.

use super::table::{Doing, Stage};
use crate::clock::{Now, after};
use crate::session::event::{TransferStep, Way};
use crate::session::outbox::{Content, DownStage, Offer, Post, Whereabouts};
use crate::session::place::Place;
use crate::session::{Phase, Session};
use crate::transfer::{Failure, JobId, News, Opened, Order, Step, Trouble};
use protocol::entry::EntryKind;
use protocol::id::{Millis, RoomId, Seq};
use protocol::message::FileBody;

/// Smaller files are there before anybody could have begun to receive them: no offer goes before them. In bytes.
const OFFERED_ABOVE: u64 = 1024 * 1024;

/// A file's entry waits for the number of its offer, which was acknowledged, at most so long, in ms.
const OFFER_MS: u64 = 5_000;

impl Session {
    /// Something became of a file.
    pub fn handle_news(&mut self, news: News, now: Now) {
        let News { id, step } = news;
        match step {
            Step::Opened(opened) => self.handle_opened_source(id, opened),
            Step::Begun => {}
            Step::Looking(found) => self.handle_done(id, Doing::Looking, found as u64, now.steady),
            Step::Hashing(bytes) => self.handle_done(id, Doing::Hashing, bytes, now.steady),
            Step::Verifying(bytes) => self.handle_done(id, Doing::Verifying, bytes, now.steady),
            Step::Unpacking(bytes) => self.handle_done(id, Doing::Unpacking, bytes, now.steady),
            Step::Listed(listed) => self.handle_listed_folder(id, listed),
            Step::LeftOut(count) => self.tell_of(id, TransferStep::LeftOut { count }),
            Step::Moved(bytes) => self.handle_done(id, Doing::Moving, bytes, now.steady),
            Step::Accepted => self.offer(id, now),
            Step::Resumed(at) => self.handle_resumed(id, at),
            Step::Waiting => self.handle_waiting(id),
            Step::Broken(trouble) => self.handle_broken(id, trouble),
            Step::Uploaded { file, sent } => self.handle_uploaded(id, file, sent, now),
            Step::Received(path) => {
                self.handle_received_file(id, |path| TransferStep::Received { path }, path);
            }
            Step::There(path) => self.handle_received_file(id, |path| TransferStep::There { path }, path),
            Step::Renamed(names) => self.tell_of(id, TransferStep::Renamed { names }),
            Step::Outdated => self.begin_anew(id, now),
            Step::Grew => self.tell_of(id, TransferStep::Grew),
            Step::Cancelled => self.handle_cancelled(id),
            Step::Failed(failure) => self.handle_failed(id, failure, now),
            Step::Stopped { up } => self.handle_stopped(up),
        }
        self.advance(now);
    }

    fn handle_opened_source(&mut self, id: JobId, opened: Opened) {
        if let Some(moving) = self.transfers.find(id) {
            opened.name.clone_into(&mut moving.name);
            (moving.size, moving.shape) = (opened.size, opened.shape);
            let same = self.outbox.jobs().up(id).is_some_and(|job| job.opened.as_ref() == Some(&opened));
            if !same {
                self.outbox.change_up(id, |job| job.opened = Some(opened));
            }
        }
    }

    fn handle_done(&mut self, id: JobId, doing: Doing, bytes: u64, now: Millis) {
        let person = self.watched;
        let Some(moving) = self.transfers.find(id) else {
            return;
        };
        if doing == Doing::Moving {
            (moving.broken, moving.waiting, moving.moved) = (false, false, bytes);
            moving.goes_on = None;
        }
        if let Some(pace) = moving.handle_done(doing, bytes, person, now) {
            let told = moving.told(
                id,
                match doing {
                    Doing::Looking => TransferStep::Looking { found: pace.moved },
                    Doing::Hashing => TransferStep::Hashing(pace),
                    Doing::Verifying => TransferStep::Verifying(pace),
                    Doing::Unpacking => TransferStep::Unpacking(pace),
                    Doing::Moving => TransferStep::Moving(pace),
                },
            );
            self.tell(told);
        }
    }

    /// Another content lies there than an earlier process began to send. That one is given up, so that its space is free
    /// again, and then this one is sent.
    fn begin_anew(&mut self, id: JobId, now: Now) {
        self.take_back_offer(id, now);
        self.outbox.change_up(id, |job| {
            // Whatever folder this process was started in.
            if let Some(opened) = job.opened.take() {
                job.path = opened.path;
            }
            job.offer = Offer::None;
        });
        if let Some(moving) = self.transfers.find(id) {
            (moving.stage, moving.anew, moving.moved) = (Stage::Unresolved, true, 0);
            let told = moving.told(id, TransferStep::Anew);
            self.tell(told);
        }
    }

    fn tell_of(&mut self, id: JobId, step: TransferStep) {
        if let Some(moving) = self.transfers.find(id) {
            let told = moving.told(id, step);
            self.tell(told);
        }
    }

    /// Others may know of it, and begin to receive it.
    fn offer(&mut self, id: JobId, now: Now) {
        let Some(job) = self.outbox.jobs().up(id).filter(|job| job.offer == Offer::None) else {
            return;
        };
        let (Some(opened), place) = (job.opened.clone(), job.place.clone()) else {
            return;
        };
        if opened.size > OFFERED_ABOVE {
            let Opened { transfer, name, size, shape, .. } = opened;
            let file = Content { job: Some(id), size, shape, at: Whereabouts::Coming(transfer) };
            self.post_file(place, EntryKind::FileOffer, None, name, file, now);
        }
    }

    fn post_file(
        &mut self,
        place: Place,
        kind: EntryKind,
        reply_to: Option<Seq>,
        body: String,
        file: Content,
        now: Now,
    ) {
        let target = if self.phase == Phase::Up { self.target_of(&place) } else { None };
        let post = Post { place, target, kind, reply_to, written: now.wall, body, file: Some(file) };
        self.outbox.push(post, now);
    }

    fn handle_resumed(&mut self, id: JobId, at: u64) {
        let Some(moving) = self.transfers.find(id) else {
            return;
        };
        moving.handle_broken();
        moving.moved = at;
        // What broke off was told; that it goes on is told with it, and not again for each attempt that changes nothing.
        let again = moving.goes_on.replace(at) == Some(at);
        let told = moving.told(id, TransferStep::Resumed { at });
        if at > 0 && !again {
            self.tell(told);
        }
    }

    fn handle_waiting(&mut self, id: JobId) {
        let gone = self.is_sender_gone(id);
        if let Some(moving) = self.transfers.find(id)
            && !std::mem::replace(&mut moving.waiting, true)
        {
            let told = moving.told(id, TransferStep::Waiting { moved: moving.moved, gone });
            self.tell(told);
        }
    }

    fn handle_broken(&mut self, id: JobId, trouble: Trouble) {
        let Some(moving) = self.transfers.find(id) else {
            return;
        };
        moving.handle_broken();
        if !std::mem::replace(&mut moving.broken, true) {
            let told = moving.told(id, TransferStep::Broken(trouble));
            self.tell(told);
        }
    }

    fn handle_uploaded(&mut self, id: JobId, file: FileBody, sent: u64, now: Now) {
        let Some(moving) = self.transfers.find(id).filter(|moving| moving.stage == Stage::Carried) else {
            return;
        };
        moving.size = file.size;
        moving.stage = Stage::Uploaded(file, after(now.steady, OFFER_MS));
        let step = if sent == 0 && moving.size > 0 {
            Some(TransferStep::Here)
        } else {
            moving.was_told.then(|| TransferStep::Sent(moving.pace(now.steady)))
        };
        if let Some(step) = step {
            let told = moving.told(id, step);
            self.tell(told);
        }
        self.advance_uploaded(now);
    }

    /// Posts the entries of files that the server has, once their offers' numbers are known.
    pub(super) fn advance_uploaded(&mut self, now: Now) {
        for id in self.transfers.ids() {
            let Some(Stage::Uploaded(file, until)) =
                self.transfers.find(id).map(|moving| moving.stage.clone())
            else {
                continue;
            };
            let Some((place, offer)) = self.outbox.jobs().up(id).map(|job| (job.place.clone(), job.offer))
            else {
                self.transfers.remove(id);
                continue;
            };
            let posting = self.outbox.is_posting(id);
            let reply_to = match offer {
                Offer::None => None,
                Offer::At(_, seq) => Some(seq),
                Offer::Posted if posting || now.steady < until => continue,
                Offer::Posted => None,
            };
            let Some(moving) = self.transfers.remove(id) else {
                continue;
            };
            let FileBody { hash, size, name, .. } = file;
            let file = Content { job: Some(id), size, shape: moving.shape, at: Whereabouts::Stored(hash) };
            self.post_file(place, EntryKind::File, reply_to, name, file, now);
        }
    }

    /// When an entry does not wait for its offer's number any more.
    pub(in crate::session) fn uploaded_timeout(&self) -> Option<Millis> {
        let waiting = self.transfers.iter().filter_map(|(_, moving)| match moving.stage {
            Stage::Uploaded(_, until) => Some(until),
            _ => None,
        });
        waiting.min()
    }

    fn handle_received_file(&mut self, id: JobId, step: fn(String) -> TransferStep, path: String) {
        self.outbox.change_down(id, |job| job.stage = DownStage::Received);
        self.transfers.downloads.push_back(Order::Forget(id));
        if let Some(moving) = self.transfers.remove(id) {
            self.tell(moving.told(id, step(path)));
        }
    }

    /// Its user gave it up, or its sender did, and was told so when they did.
    fn handle_cancelled(&mut self, id: JobId) {
        self.transfers.remove(id);
        self.forget_job(id);
    }

    fn handle_failed(&mut self, id: JobId, failure: Failure, now: Now) {
        self.take_back_offer(id, now);
        self.end_transfer(id, TransferStep::Failed(failure));
    }

    /// Those who were offered this file are told that it does not come.
    pub(super) fn take_back_offer(&mut self, id: JobId, now: Now) {
        let Some(job) = self.outbox.jobs().up(id) else {
            return;
        };
        match (job.offer, &job.opened) {
            (Offer::At(room, seq), _) => self.take_back(room, seq, now),
            (Offer::Posted, Some(opened)) => {
                self.transfers.failed.insert(opened.transfer);
            }
            _ => {}
        }
    }

    pub(super) fn take_back(&mut self, room: RoomId, seq: Seq, now: Now) {
        if let Some(place) = self.rooms.find(room).map(|room| room.place()) {
            self.post(place, EntryKind::Delete, Some(seq), String::new(), now);
        }
    }

    /// Its sender gave it up: what is here of it is removed.
    pub(super) fn withdraw_download(&mut self, id: JobId) {
        let Some(moving) = self.transfers.find(id) else {
            return;
        };
        let told = moving.told(id, TransferStep::Withdrawn);
        match moving.stage {
            Stage::Ending => return,
            Stage::Asked(_) => {
                self.transfers.remove(id);
            }
            _ => {
                moving.stage = Stage::Ending;
                self.transfers.downloads.push_back(Order::Cancel(id));
            }
        }
        self.tell(told);
    }
}

/// Whether this is a file of somebody else.
pub(super) fn is_down(way: &Way) -> bool {
    matches!(way, Way::Down { .. })
}
