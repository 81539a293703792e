//! Files on their way, as far as it is decided: what is sent where, what is received, and what is told of it.
//!
//! What must outlive the process is in the outbox's journal; here is what is known of it in this one.

mod decide;
mod entries;
mod news;
mod table;

pub(super) use table::Transfers;
pub use table::{Ongoing, Wanted};

use super::event::{Refusal, TransferStep, Way};
use super::outbox::{DownJob, DownStage, Job, Offer, UpJob};
use super::place::Place;
use super::requests::{Asked, Why};
use super::save::Kept;
use super::{Phase, Session};
use crate::clock::Now;
use crate::transfer::{Download, Failure, JobId, Order, Upload, bare};
use protocol::message::{ClientMsg, RosterItem, Target};
use table::{Moving, Stage};

impl Session {
    /// Files of others that come from here on are received if they have at most so many bytes. At first none are.
    pub fn receive_up_to(&mut self, bytes: u64) {
        self.transfers.receive_up_to = bytes;
    }

    /// What is not done at the end goes on with the next process of this profile. At first it does not.
    pub fn keep_transfers(&mut self) {
        self.transfers.kept = true;
    }

    /// The next order about files to send.
    pub fn poll_upload(&mut self) -> Option<Order<Upload>> {
        self.transfers.uploads.pop_front()
    }

    /// The next order about files to receive.
    pub fn poll_download(&mut self) -> Option<Order<Download>> {
        self.transfers.downloads.pop_front()
    }

    /// `/send`: the file goes where its user is now, whenever that is.
    pub(super) fn send_file(&mut self, place: Place, path: String, now: Now) {
        let id = self.transfers.next_id();
        let ahead = self.transfers.uploading();
        let name = bare(&path).to_owned();
        let moving = Moving::new(Way::Up { to: place.clone() }, name, 0, Stage::Unresolved);
        if self.config.interactive && (ahead > 0 || self.phase != Phase::Up) {
            self.tell(moving.told(id, TransferStep::Queued { ahead }));
        }
        self.transfers.insert(id, moving);
        self.outbox.keep_job(id, Job::Up(UpJob { place, path, opened: None, offer: Offer::None }));
        if self.transfers.stopped.up {
            self.handle_stopped(true);
        }
        self.advance_transfers(now);
        self.advance(now);
    }

    /// Begins what waits for the number of its place, and tells the server what was received.
    pub(super) fn advance_transfers(&mut self, now: Now) {
        if self.phase != Phase::Up {
            return;
        }
        for (id, place) in self.transfers.unresolved() {
            if self.transfers.is_anew(id) && self.outbox.is_waiting_in(&place) {
                continue;
            }
            match (self.target_of(&place), place) {
                (Some(target), _) => self.begin_upload(id, target),
                (None, Place::Room(name)) => self.join(name),
                (None, Place::Person(name)) => {
                    let asked =
                        self.requests.any(|asked| matches!(asked, Asked::Whois { why: Why::Send, .. }));
                    if !asked {
                        self.whois(name, Why::Send);
                    }
                }
            }
        }
        self.take_back_strays(now);
        self.advance_uploaded(now);
        self.tell_fetched();
    }

    fn begin_upload(&mut self, id: JobId, target: Target) {
        let Some(job) = self.outbox.jobs().up(id) else {
            return;
        };
        let offered = job.offer != Offer::None;
        let upload = Upload { id, path: job.path.clone(), target, opened: job.opened.clone(), offered };
        if let Some(moving) = self.transfers.find(id) {
            moving.stage = Stage::Carried;
            self.transfers.uploads.push_back(Order::Begin(upload));
        }
    }

    /// The person was found for whom files are.
    pub(super) fn handle_receiver(&mut self, name: &str, person: &RosterItem) {
        for id in self.transfers.unresolved_at(&Place::Person(name.to_owned())) {
            self.begin_upload(id, Target::Person { person: person.person });
        }
    }

    /// Files can't be sent there.
    pub(super) fn fail_sends(&mut self, place: &Place, refusal: &Refusal) {
        for id in self.transfers.unresolved_at(place) {
            self.end_transfer(id, TransferStep::Failed(Failure::Refused(refusal.clone())));
        }
    }

    /// Each file that is here is told to the server once, which tells its sender.
    fn tell_fetched(&mut self) {
        let received = self.outbox.jobs().iter().filter_map(|(id, job)| match job {
            Job::Down(job) if job.stage == DownStage::Received => Some((id, job.at)),
            _ => None,
        });
        let received: Vec<_> = received.collect();
        for (id, at) in received {
            let asked = self.requests.any(|asked| matches!(asked, Asked::Fetched { id: of } if *of == id));
            match at {
                Some((room, seq)) if !asked => {
                    self.ask(Asked::Fetched { id }, |req| ClientMsg::Fetched { req, room, seq });
                }
                Some(_) => {}
                None => self.outbox.drop_job(id),
            }
        }
    }

    /// The server knows that this file is here, or does not want to know.
    pub(super) fn handle_fetched(&mut self, id: JobId) {
        self.forget_job(id);
    }

    /// It is over, and was not done.
    fn end_transfer(&mut self, id: JobId, step: TransferStep) {
        let Some(moving) = self.transfers.remove(id) else {
            return;
        };
        if let (Way::Up { .. }, TransferStep::Failed(failure)) = (&moving.way, &step) {
            let count = if failure.is_refusal() { &mut self.refusals } else { &mut self.mistakes };
            *count += 1;
        }
        self.tell(moving.told(id, step));
        self.forget_job(id);
    }

    /// Nothing of a job is kept any more, but what is needed to know its entries: the one that ends its offer is still to
    /// come, and after a crash those come again that were shown last.
    fn forget_job(&mut self, id: JobId) {
        match self.outbox.jobs().down(id) {
            Some(job) if job.at.is_some() => {
                self.outbox.change_down(id, |job| job.stage = DownStage::Settled);
            }
            _ => self.outbox.drop_job(id),
        }
    }

    /// Cursors were kept: entries in front of them do not come again.
    pub(super) fn handle_kept_cursors(&mut self, kept: &Kept) {
        let passed = |job: &DownJob| {
            let (room, seq) = job.at?;
            let kept = kept.rooms.iter().find(|kept| kept.room == room)?;
            Some(job.origin().hash.is_some() && kept.seen >= Some(seq))
        };
        let settled = self.outbox.jobs().iter().filter_map(|(id, job)| match job {
            Job::Down(job) if job.stage == DownStage::Settled && passed(job) == Some(true) => Some(id),
            _ => None,
        });
        for id in settled.collect::<Vec<_>>() {
            self.outbox.drop_job(id);
        }
    }

    /// The session ends: what is not done goes on with the next one, if anything is kept.
    pub(super) fn abandon_transfers(&mut self) {
        self.abandon(|_| true);
    }

    /// Nothing more is moved this way in this process.
    pub(super) fn handle_stopped(&mut self, up: bool) {
        let stopped = &mut self.transfers.stopped;
        *(if up { &mut stopped.up } else { &mut stopped.down }) = true;
        self.abandon(|moving| moving.is_up() == up && !matches!(moving.stage, Stage::Asked(_)));
        let what = if up { "sent" } else { "received" };
        let text = format!("no more files are {what} now: that part of natter has failed");
        self.mistake(text, "start natter again: it goes on with what was not done");
    }

    fn abandon(&mut self, is_over: impl Fn(&Moving) -> bool) {
        for id in self.transfers.ids() {
            if !self.transfers.find(id).is_some_and(|moving| is_over(moving)) {
                continue;
            }
            if !self.transfers.kept {
                self.end_transfer(id, TransferStep::Failed(Failure::Left));
            } else if let Some(moving) = self.transfers.remove(id)
                && !matches!(moving.stage, Stage::Asked(_))
            {
                self.tell(moving.told(id, TransferStep::Paused { moved: moving.moved }));
            }
        }
    }

    /// Numbers of rooms and entries mean nothing any more, and what was coming does not come.
    pub(super) fn forget_offers(&mut self) {
        let jobs: Vec<_> = self.outbox.jobs().iter().map(|(id, job)| (id, job.clone())).collect();
        for (id, job) in jobs {
            match job {
                Job::Up(_) => self.outbox.change_up(id, |job| job.offer = Offer::None),
                Job::Down(job) if job.stage == DownStage::Coming && job.origin().hash.is_some() => {
                    self.outbox.change_down(id, |job| job.at = None);
                }
                Job::Down(_) => {
                    self.outbox.change_down(id, |job| job.at = None);
                    self.withdraw_download(id);
                    self.outbox.drop_job(id);
                }
            }
        }
    }
}
