//! Transfers that are not over, as far as they must outlive the process.
//!
//! They are in the journal of the posts, because the post that ends a transfer and its end must be kept by one write:
//! else a crash between both would post a file twice, or never.

use super::record::{Content, Post, Record, Whereabouts};
use crate::session::place::Place;
use crate::transfer::{Download, JobId, Opened, Origin};
use protocol::id::{RoomId, Seq};
use std::collections::BTreeMap;

/// A transfer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// To be sent.
    Up(UpJob),
    /// To be received.
    Down(DownJob),
}

/// A file to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpJob {
    /// Where to, by name.
    pub place: Place,
    /// Where it lies, as it was typed.
    pub path: String,
    /// What it was when it was opened; `None` before that.
    pub opened: Option<Opened>,
    /// Whether others know of it.
    pub offer: Offer,
}

/// The offer of a file that is being sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Offer {
    /// There is none.
    #[default]
    None,
    /// Its post is in the outbox, or was.
    Posted,
    /// It is this entry.
    At(RoomId, Seq),
}

/// A file to be received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DownJob {
    /// Whose it is, by name.
    pub from: String,
    /// Its entry, or its offer's; `None` if that was in a history that is gone.
    pub at: Option<(RoomId, Seq)>,
    /// The entry that offered it, if there was one.
    pub offer: Option<Seq>,
    /// What is received.
    pub download: Download,
    /// How far it is.
    pub stage: DownStage,
}

/// How far a file is that is received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DownStage {
    /// It is not here yet.
    Coming,
    /// It is here; the server is to be told.
    Received,
    /// It is here, or not wanted. An entry about it may still come, for the first time or again.
    Settled,
}

impl DownJob {
    /// Whether this entry names it, or offered it.
    pub fn is_at(&self, room: RoomId, seq: Seq) -> bool {
        self.at.is_some_and(|(of, at)| of == room && (at == seq || self.offer == Some(seq)))
    }

    /// What it is a download of.
    pub fn origin(&self) -> Origin {
        self.download.origin
    }
}

/// All transfers that are not over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jobs {
    jobs: BTreeMap<JobId, Job>,
    /// The last number that was given. Invariant: every key of `jobs` <= last.
    last: JobId,
}

impl Jobs {
    pub(super) fn replay(&mut self, record: &Record) {
        match record {
            Record::Job { id, job } => self.insert(*id, job.clone()),
            Record::JobGone { id } => {
                self.jobs.remove(id);
            }
            Record::Begun { jobs, .. } => self.last = self.last.max(*jobs),
            Record::Post { post, .. } => self.handle_post(post),
            _ => {}
        }
    }

    /// The post of a file ends its transfer; that of an offer is part of it.
    pub(super) fn handle_post(&mut self, post: &Post) {
        let Some(Content { job: Some(id), at, .. }) = post.file else {
            return;
        };
        match at {
            Whereabouts::Stored(_) => {
                self.jobs.remove(&id);
            }
            Whereabouts::Coming(_) => {
                if let Some(Job::Up(job)) = self.jobs.get_mut(&id)
                    && job.offer == Offer::None
                {
                    job.offer = Offer::Posted;
                }
            }
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.jobs.iter().map(|(id, job)| Record::Job { id: *id, job: job.clone() })
    }

    /// All, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (JobId, &Job)> {
        self.jobs.iter().map(|(id, job)| (*id, job))
    }

    /// One to be sent.
    pub(crate) fn find(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    pub(crate) fn up(&self, id: JobId) -> Option<&UpJob> {
        match self.jobs.get(&id)? {
            Job::Up(job) => Some(job),
            Job::Down(_) => None,
        }
    }

    /// One to be received.
    pub(crate) fn down(&self, id: JobId) -> Option<&DownJob> {
        match self.jobs.get(&id)? {
            Job::Down(job) => Some(job),
            Job::Up(_) => None,
        }
    }

    /// Whether it is to be received, and its sender may not have sent all of it.
    pub(crate) fn is_growing(&self, id: JobId) -> bool {
        self.down(id).is_some_and(|job| job.origin().hash.is_none())
    }

    pub(super) fn insert(&mut self, id: JobId, job: Job) {
        self.last = self.last.max(id);
        self.jobs.insert(id, job);
    }

    /// The last number that was given, in this process or an earlier one.
    pub(crate) fn last(&self) -> JobId {
        self.last
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<Job> {
        self.jobs.remove(&id)
    }
}

impl super::Outbox {
    /// The transfers that are not over.
    pub(crate) fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// A transfer stands like this from here on.
    pub(crate) fn keep_job(&mut self, id: JobId, job: Job) {
        self.record(Record::Job { id, job: job.clone() });
        self.jobs.insert(id, job);
    }

    /// A transfer is over.
    pub(crate) fn drop_job(&mut self, id: JobId) {
        if self.jobs.remove(id).is_some() {
            self.record(Record::JobGone { id });
        }
    }

    /// Changes what is kept of an upload.
    pub(crate) fn change_up(&mut self, id: JobId, change: impl FnOnce(&mut UpJob)) {
        if let Some(mut job) = self.jobs.up(id).cloned() {
            change(&mut job);
            self.keep_job(id, Job::Up(job));
        }
    }

    /// Changes what is kept of a download.
    pub(crate) fn change_down(&mut self, id: JobId, change: impl FnOnce(&mut DownJob)) {
        if let Some(mut job) = self.jobs.down(id).cloned() {
            change(&mut job);
            self.keep_job(id, Job::Down(job));
        }
    }

    /// Whether a post of this transfer waits.
    pub(crate) fn is_posting(&self, id: JobId) -> bool {
        self.pending.iter().any(|pending| pending.post.file.is_some_and(|file| file.job == Some(id)))
    }
}
