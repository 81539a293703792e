//! What a user decides about files: to have one, to have it not, to give it up.

use super::news::is_down;
use super::table::{Moving, Ongoing, Stage, Wanted};
use crate::clock::Now;
use crate::session::Session;
use crate::session::event::TransferStep;
use crate::session::outbox::{DownJob, DownStage, Job};
use crate::transfer::{Failure, JobId, Keep, Order, Shape};
use protocol::bundle::Index;
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

    /// `/look`: all that is in this folder, or in the last one that was asked about.
    pub(in crate::session) fn look(&mut self, id: Option<JobId>) {
        let Some((_, job)) = self.asked_about(id) else {
            return;
        };
        if job.download.shape == Shape::Folder {
            self.transfers.downloads.push_back(Order::Look(job.download));
        } else {
            self.mistake(format!("'{}' is no folder", job.download.name), "type /accept to receive it");
        }
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

    /// `/accept`: this file, or the last one that was asked about.
    pub fn accept(&mut self, id: Option<JobId>, keep: Keep) {
        if let Some((id, mut job)) = self.asked_about(id) {
            job.download.keep = keep;
            self.begin_download(id, job);
        }
    }

    /// `/decline`: this file, or the last one that was asked about.
    pub fn decline(&mut self, id: Option<JobId>) {
        let Some((id, mut job)) = self.asked_about(id) else {
            return;
        };
        if let Some(moving) = self.transfers.remove(id) {
            self.tell(moving.told(id, TransferStep::Declined));
        }
        // The entry that ends its offer is no reason to ask again.
        job.stage = DownStage::Settled;
        self.outbox.keep_job(id, Job::Down(job));
    }

    fn asked_about(&mut self, id: Option<JobId>) -> Option<(JobId, DownJob)> {
        let found = self.transfers.iter().rev().find_map(|(at, moving)| match &moving.stage {
            Stage::Asked(job) if id.is_none_or(|id| id == at) => Some((at, job.clone())),
            _ => None,
        });
        if found.is_none() {
            let text = match id {
                None => "no file waits to be accepted".to_owned(),
                Some(id) => format!("no file with the number {} waits to be accepted", id.0),
            };
            let hint = match self.asked().next_back() {
                Some(other) => format!("'{}' waits with the number {}", other.name, other.id.0),
                None => "/files shows what there is, and /get takes any of it".to_owned(),
            };
            self.mistake(text, hint);
        }
        found
    }

    /// `/cancel`: this file, or the last one that is under way.
    pub fn cancel(&mut self, id: Option<JobId>, now: Now) {
        let Some((id, moving)) = self.under_way(id) else {
            let (text, hint) = match (id, self.under_way(None)) {
                (Some(id), Some((at, moving))) => (
                    format!("no file with the number {} is under way", id.0),
                    format!("'{}' is under way with the number {}", moving.name, at.0),
                ),
                _ => (
                    "there is nothing to cancel".to_owned(),
                    "/delete deletes what the server has".to_owned(),
                ),
            };
            return self.mistake(text, hint);
        };
        self.tell(moving.told(id, TransferStep::Cancelled));
        self.take_back_offer(id, now);
        self.stop(id, &moving);
    }

    /// This file, or the last one, if it is under way.
    fn under_way(&self, id: Option<JobId>) -> Option<(JobId, Moving)> {
        let found = self.transfers.iter().rev().find(|(at, moving)| {
            let ended = matches!(moving.stage, Stage::Ending | Stage::Asked(_) | Stage::Uploaded(..));
            !ended && id.is_none_or(|id| id == *at)
        });
        found.map(|(id, moving)| (id, moving.clone()))
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
