//! What a user decides about files: to have one, to have it not, to give it up.

use super::news::is_down;
use super::table::{Moving, Ongoing, Stage, Wanted};
use crate::clock::Now;
use crate::session::Session;
use crate::session::event::TransferStep;
use crate::session::outbox::{DownJob, DownStage, Job, Offer, UpJob};
use crate::transfer::{Failure, JobId, Keep, Order, Shape};
use protocol::bundle::Index;
use protocol::command::Shelved;
use protocol::id::{RoomId, Seq};
use protocol::name::NameKey;
use std::sync::Arc;

/// Files that may wait to be received: more of them at once are no conversation.
const MAX_WAITING: usize = 1_000;

impl Session {
    /// The files that are under way, oldest first.
    pub fn ongoing(&self) -> impl DoubleEndedIterator<Item = Ongoing> {
        self.transfers.list(false)
    }

    /// The files that wait to be accepted or declined, oldest first.
    pub fn asked(&self) -> impl DoubleEndedIterator<Item = Ongoing> {
        self.transfers.list(true)
    }

    /// Receives a file: `/get`.
    pub fn want(&mut self, wanted: Wanted) -> JobId {
        let (room, seq) = (wanted.room, wanted.seq);
        match self.download_at(room, seq).map(|(id, job)| (id, job.stage)) {
            Some((id, DownStage::Coming)) => return id,
            // It was given up, or is wanted once more: what comes of the entry is this one's business now.
            Some((id, DownStage::Settled)) => self.outbox.drop_job(id),
            Some((_, DownStage::Received)) | None => {}
        }
        let asked = self.asked_at(room, seq);
        let id = asked.unwrap_or_else(|| self.transfers.next_id());
        self.begin_download(id, wanted.job(id));
        id
    }

    fn begin_download(&mut self, id: JobId, job: DownJob) {
        self.transfers.insert(id, Moving::of_download(&job, Stage::Carried));
        self.transfers.downloads.push_back(Order::Begin(job.download.clone()));
        self.outbox.keep_job(id, Job::Down(job));
        if self.transfers.stopped.down {
            self.handle_stopped(false);
        }
    }

    /// Somebody else sends a file that was not there when this profile came.
    pub(in crate::session) fn receive(&mut self, wanted: Wanted) {
        let limit = self.transfers.receive_up_to;
        let (room, seq) = (wanted.room, wanted.seq);
        // After a crash the entries come again that were shown last.
        let known = self.download_at(room, seq).is_some() || self.asked_at(room, seq).is_some();
        if limit == 0 || known {
            return;
        }
        let id = self.transfers.next_id();
        let full = self.transfers.len() >= MAX_WAITING;
        let ask = wanted.size > limit || wanted.shape == Shape::Folder;
        let job = wanted.job(id);
        if full || (ask && !self.config.interactive) {
            let size = job.download.size;
            let failure = if full { Failure::TooMany } else { Failure::TooLarge { size, limit } };
            let moving = Moving::of_download(&job, Stage::Carried);
            return self.tell(moving.told(id, TransferStep::Failed(failure)));
        }
        if !ask {
            return self.begin_download(id, job);
        }
        let moving = Moving::of_download(&job, Stage::Asked(job.clone()));
        if job.download.shape == Shape::Folder {
            // Nobody is asked about a folder without being told what is in it.
            self.transfers.downloads.push_back(Order::Look(job.download));
        } else {
            self.tell(moving.told(id, TransferStep::Asked { limit }));
        }
        self.transfers.insert(id, moving);
    }

    /// What is in a folder was read, or could not be.
    pub(super) fn handle_listed_folder(&mut self, id: JobId, listed: Result<Arc<Index>, Failure>) {
        let Some(moving) = self.transfers.find(id).filter(|moving| matches!(moving.stage, Stage::Asked(_)))
        else {
            return;
        };
        match listed {
            Ok(index) => {
                let all = std::mem::replace(&mut moving.was_told, true);
                let told = moving.told(id, TransferStep::Listed { index, all });
                self.tell(told);
            }
            Err(failure) => {
                let told = moving.told(id, TransferStep::Failed(failure));
                self.transfers.remove(id);
                self.tell(told);
            }
        }
    }

    /// Shows what is in this folder, which its user is asked about, or asks about this file once more.
    pub(in crate::session) fn look_at(&mut self, id: JobId) {
        let limit = self.transfers.receive_up_to;
        let Some(moving) = self.transfers.find(id) else {
            return;
        };
        let told = moving.told(id, TransferStep::Asked { limit });
        match &moving.stage {
            Stage::Asked(job) if job.download.shape == Shape::Folder => {
                let job = job.download.clone();
                self.transfers.downloads.push_back(Order::Look(job));
            }
            _ => self.tell(told),
        }
    }

    /// Shows what is in a folder that was sent here, or how large a file is, and asks whether to receive it.
    pub(in crate::session) fn ask_about(&mut self, wanted: Wanted) {
        let id = self.transfers.next_id();
        let job = wanted.job(id);
        self.transfers.insert(id, Moving::of_download(&job, Stage::Asked(job.clone())));
        self.look_at(id);
    }

    /// What is got goes there from here on, unless that is said.
    pub fn keep_at(&mut self, keep: Keep) {
        self.keep_at = keep;
    }

    /// How far files are is told as often as for a person at a prompt.
    pub fn watch(&mut self) {
        self.watched = true;
    }

    /// The session is there for one thing: what is shown does not count as read, and what is got is waited for even if
    /// its sender has not sent all of it.
    pub fn run_errand(&mut self) {
        self.errand = true;
    }

    /// Receives a file that its user was asked about: `/accept`.
    pub fn accept(&mut self, id: JobId, keep: Keep) {
        if let Some(mut job) = self.asked_job(id) {
            job.download.keep = keep;
            self.begin_download(id, job);
        }
    }

    /// Does not receive a file that its user was asked about: `/decline`.
    pub fn decline(&mut self, id: JobId) {
        let Some(mut job) = self.asked_job(id) else {
            return;
        };
        if let Some(moving) = self.transfers.remove(id) {
            self.tell(moving.told(id, TransferStep::Declined));
        }
        // The entry that ends its offer is no reason to ask again.
        job.stage = DownStage::Settled;
        self.outbox.keep_job(id, Job::Down(job));
    }

    fn asked_job(&mut self, id: JobId) -> Option<DownJob> {
        match &self.transfers.find(id)?.stage {
            Stage::Asked(job) => Some(job.clone()),
            _ => None,
        }
    }

    /// The file that is meant among those that wait to be accepted; tells if there is none.
    pub(in crate::session) fn asked_by(&mut self, file: &Shelved) -> Option<JobId> {
        let found = self.find_transfer(file, true);
        if found.is_none() {
            let other = self.asked().next_back();
            let hint = match other {
                Some(other) => format!("'{}' waits: {}", other.name, self.pointed_at("/accept", other.id)),
                None => "/files shows what there is, and /get takes any of it".to_owned(),
            };
            self.mistake(format!("no file {}waits to be accepted", pointer(file)), hint);
        }
        found
    }

    /// The file that is meant among those that are under way; tells if there is none.
    pub(in crate::session) fn under_way_by(&mut self, file: &Shelved) -> Option<JobId> {
        let found = self.find_transfer(file, false);
        if found.is_none() {
            let other = self.find_transfer(&Shelved::Newest, false);
            let name = other.and_then(|id| Some(self.transfers.find(id)?.name.clone()));
            let (text, hint) = match (other, name) {
                (Some(id), Some(name)) => (
                    format!("no file {}is under way", pointer(file)),
                    format!("'{name}' is under way: {}", self.pointed_at("/cancel", id)),
                ),
                _ => (
                    "there is nothing to cancel".to_owned(),
                    "/delete #N deletes what the server has".to_owned(),
                ),
            };
            self.mistake(text, hint);
        }
        found
    }

    /// The command that is about this transfer.
    fn pointed_at(&self, command: &str, id: JobId) -> String {
        match (self.line_of(id), self.transfers.iter().find(|(at, _)| *at == id)) {
            (Some((_, line)), _) => format!("{command} #{line}"),
            (None, Some((_, moving))) => format!("{command} {}", moving.name),
            (None, None) => command.to_owned(),
        }
    }

    /// The line of a transfer, once it has one.
    pub(in crate::session) fn line_of(&self, id: JobId) -> Option<(RoomId, Seq)> {
        let asked = self.transfers.iter().find_map(|(at, moving)| match &moving.stage {
            Stage::Asked(job) if at == id => Some(job.at),
            _ => None,
        });
        asked.unwrap_or_else(|| match self.outbox.jobs().find(id)? {
            Job::Up(UpJob { offer: Offer::At(room, seq), .. }) => Some((*room, *seq)),
            Job::Up(_) => None,
            Job::Down(job) => job.at,
        })
    }

    /// The transfer that is meant, among those that its user is asked about or those that are under way. A name goes
    /// before a number, the newest before older ones, and those of the current room before others.
    pub(in crate::session) fn find_transfer(&self, file: &Shelved, asked: bool) -> Option<JobId> {
        let eligible = |moving: &Moving| match moving.stage {
            Stage::Asked(_) => asked,
            Stage::Ending | Stage::Uploaded(..) => false,
            Stage::Unresolved | Stage::Carried => !asked,
        };
        let all = || self.transfers.iter().rev().filter(|(_, moving)| eligible(moving));
        let here = self.room_at(&self.current);
        let is_at = |id: JobId, moving: &Moving, line: Seq, room: Option<RoomId>| {
            let jobs = self.outbox.jobs();
            let job = if let Stage::Asked(job) = &moving.stage { Some(job) } else { jobs.down(id) };
            let own = self.line_of(id).filter(|(of, at)| *at == line && room.is_none_or(|room| room == *of));
            let offered = job.and_then(|job| Some((job.at?.0, job.offer?)));
            let offered = offered.filter(|(of, at)| *at == line && room.is_none_or(|room| room == *of));
            own.or(offered).is_some()
        };
        let exact = |name: &str| all().find(|(_, moving)| moving.name == name);
        let at_line = |line: Seq| {
            let nearby = all().find(|(id, moving)| here.is_some() && is_at(*id, moving, line, here));
            nearby.or_else(|| all().find(|(id, moving)| is_at(*id, moving, line, None)))
        };
        let loose = |name: &str| all().find(|(_, moving)| NameKey::of(&moving.name) == NameKey::of(name));
        let found = match file {
            Shelved::Newest => all().next(),
            _ => file
                .name()
                .and_then(exact)
                .or_else(|| file.line().and_then(at_line))
                .or_else(|| file.name().and_then(loose)),
        };
        found.map(|(id, _)| id)
    }

    /// Gives up a file that is under way: `/cancel`.
    pub fn cancel(&mut self, id: JobId, now: Now) {
        if let Some(moving) = self.transfers.find(id).map(|moving| moving.clone()) {
            self.tell(moving.told(id, TransferStep::Cancelled));
            self.take_back_offer(id, now);
            self.stop(id, &moving);
        }
    }

    /// Nothing of it is done any more, and nothing of it is left.
    pub(super) fn stop(&mut self, id: JobId, moving: &Moving) {
        self.forget_job(id);
        if moving.stage == Stage::Unresolved {
            self.transfers.remove(id);
            return;
        }
        if let Some(moving) = self.transfers.find(id) {
            moving.stage = Stage::Ending;
        }
        if is_down(&moving.way) {
            self.transfers.downloads.push_back(Order::Cancel(id));
        } else {
            self.transfers.uploads.push_back(Order::Cancel(id));
        }
    }
}

/// What was pointed at, and a blank; nothing if that was nothing.
fn pointer(file: &Shelved) -> String {
    match (file.name(), file.line()) {
        (Some(name), _) => format!("'{name}' "),
        (None, Some(line)) => format!("at line #{line} "),
        (None, None) => String::new(),
    }
}
