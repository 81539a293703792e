//! All files that are not settled, and what is known of each.

use crate::session::event::{Event, Transfer, TransferStep, Way};
use crate::session::outbox::{DownJob, DownStage, Job, Jobs, Offer};
use crate::session::place::Place;
use crate::transfer::{Download, JobId, Keep, Meter, Order, Origin, Pace, Shape, Upload, bare};
use protocol::id::{Millis, RoomId, Seq, TransferId};
use protocol::message::FileBody;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How far a file that is not settled has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Where it is to be sent is not known by number yet.
    Unresolved,
    /// The carrier has it.
    Carried,
    /// The server has it; its entry waits for the number of its offer, but only until then.
    Uploaded(FileBody, Millis),
    /// Its user is asked whether to receive it.
    Asked(DownJob),
    /// It was given up; the carrier cleans up.
    Ending,
}

/// What a carrier does with a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doing {
    Looking,
    Hashing,
    Verifying,
    Moving,
    Unpacking,
}

/// A file that is not settled.
#[derive(Clone, Debug)]
pub(in crate::session) struct Moving {
    pub(in crate::session) way: Way,
    /// As it was typed, until the file is opened; its own from then on.
    pub(in crate::session) name: String,
    pub(in crate::session) size: u64,
    pub(super) shape: Shape,
    /// Its line, or its offer's, once there is one.
    pub(super) line: Option<Seq>,
    pub(super) stage: Stage,
    /// Runs from the moment that what is done begins.
    pub(super) meter: Option<(Doing, Meter)>,
    /// How far it is.
    pub(in crate::session) moved: u64,
    /// How far it is was told, so that its end must be told too.
    pub(super) was_told: bool,
    /// It broke off, was told so, and has not moved since.
    pub(super) broken: bool,
    /// Where it was told last that it goes on, unless it has moved since.
    pub(super) goes_on: Option<u64>,
    /// It waits for its sender, was told so, and has not moved since.
    pub(in crate::session) waiting: bool,
    /// It is sent anew, once the server knows that what was begun before does not come.
    pub(super) anew: bool,
}

impl Moving {
    pub(super) fn new(way: Way, name: String, size: u64, stage: Stage) -> Self {
        Self {
            way,
            name,
            size,
            shape: Shape::File,
            line: None,
            stage,
            meter: None,
            moved: 0,
            was_told: false,
            broken: false,
            goes_on: None,
            waiting: false,
            anew: false,
        }
    }

    pub(super) fn of_download(job: &DownJob, stage: Stage) -> Self {
        let (name, size) = (job.download.name.clone(), job.download.size);
        let (shape, line) = (job.download.shape, job.at.map(|(_, seq)| seq));
        Self { shape, line, ..Self::new(Way::Down { from: job.from.clone() }, name, size, stage) }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.way, Way::Up { .. })
    }

    /// Where it is to be sent.
    pub(super) fn place(&self) -> Option<&Place> {
        match &self.way {
            Way::Up { to } => Some(to),
            Way::Down { .. } => None,
        }
    }

    /// So many bytes were done; how far it is if that is to be told now.
    pub(super) fn handle_done(
        &mut self,
        doing: Doing,
        bytes: u64,
        person: bool,
        now: Millis,
    ) -> Option<Pace> {
        if !matches!(&self.meter, Some((same, _)) if *same == doing) {
            // Nobody knows how much there is to find, or what a program will write.
            let unknown = doing == Doing::Looking || self.size == 0;
            let size = if unknown { u64::MAX } else { self.size };
            self.meter = Some((doing, Meter::new(size, person, now)));
        }
        let (_, meter) = self.meter.as_mut()?;
        let pace = meter.handle_moved(bytes, now);
        self.was_told |= pace.is_some();
        pace
    }

    /// The attempt broke off, or goes on elsewhere.
    pub(super) fn handle_broken(&mut self) {
        if let Some((_, meter)) = &mut self.meter {
            meter.handle_broken();
        }
    }

    pub(super) fn pace(&self, now: Millis) -> Pace {
        self.meter.as_ref().map_or(Pace { moved: self.moved, rate: 0 }, |(_, meter)| meter.pace(now))
    }

    pub(in crate::session) fn told(&self, id: JobId, step: TransferStep) -> Event {
        let (way, name, size, shape) = (self.way.clone(), self.name.clone(), self.size, self.shape);
        Event::Transfer(Transfer { id, line: self.line, way, name, size, shape, step })
    }
}

/// A transfer, for a list of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ongoing {
    /// Its number.
    pub id: JobId,
    /// Which way.
    pub way: Way,
    /// Its name.
    pub name: String,
    /// Its size in bytes; 0 as long as that is not known.
    pub size: u64,
    /// What it is.
    pub shape: Shape,
    /// How far it is, in bytes.
    pub moved: u64,
}

/// A file that its user wants to have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The room of its entry.
    pub room: RoomId,
    /// Its entry, or its offer's as long as there is none.
    pub seq: Seq,
    /// Where it comes from.
    pub origin: Origin,
    /// Its size in bytes.
    pub size: u64,
    /// Its name.
    pub name: String,
    /// What it is.
    pub shape: Shape,
    /// Whose it is.
    pub from: String,
    /// Where it goes.
    pub keep: Keep,
}

impl Wanted {
    pub(super) fn job(self, id: JobId) -> DownJob {
        let Self { room, seq, origin, size, name, shape, from, keep } = self;
        let download = Download { id, origin, size, name, shape, keep };
        let offer = download.origin.hash.is_none().then_some(seq);
        DownJob { from, at: Some((room, seq)), offer, download, stage: DownStage::Coming }
    }
}

/// All files that are not settled.
#[derive(Debug, Default)]
pub(in crate::session) struct Transfers {
    moving: BTreeMap<JobId, Moving>,
    last: JobId,
    pub(super) uploads: VecDeque<Order<Upload>>,
    pub(super) downloads: VecDeque<Order<Download>>,
    /// Files of others are received up to this size, in bytes.
    pub(super) receive_up_to: u64,
    /// What is not done at the end goes on with the next process.
    pub(super) kept: bool,
    /// Uploads that failed while their offers' numbers were not known, and these numbers.
    pub(super) failed: BTreeSet<TransferId>,
    strays: Vec<(RoomId, Seq)>,
    pub(super) stopped: Stopped,
}

/// Which ways nothing is moved any more in this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Stopped {
    pub(super) up: bool,
    pub(super) down: bool,
}

impl Transfers {
    /// Whether nothing is under way that its user waits for. What its sender has not sent yet may take for ever.
    pub(in crate::session) fn is_settled(&self, jobs: impl Fn(JobId) -> bool) -> bool {
        !self.moving.iter().any(|(id, moving)| match moving.stage {
            Stage::Asked(_) => false,
            _ => moving.is_up() || !jobs(*id),
        })
    }

    /// Files that are to be sent.
    pub(in crate::session) fn sending(&self) -> usize {
        self.moving.values().filter(|moving| moving.is_up()).count()
    }

    /// The oldest file that is under way.
    pub(in crate::session) fn first_under_way(&self) -> Option<(JobId, &Moving)> {
        self.iter().find(|(_, moving)| !matches!(moving.stage, Stage::Asked(_) | Stage::Ending))
    }

    /// The name of the last file that is on its way to this place.
    pub(in crate::session) fn sending_to(&self, place: &Place) -> Option<String> {
        let there =
            |moving: &&Moving| moving.stage != Stage::Ending && moving.place().is_some_and(|to| to.is(place));
        self.moving.values().rev().find(there).map(|moving| moving.name.clone())
    }

    /// Files that must be sent before another one begins.
    pub(super) fn uploading(&self) -> usize {
        let waits = |moving: &&Moving| matches!(moving.stage, Stage::Unresolved | Stage::Carried);
        self.moving.values().filter(|moving| moving.is_up()).filter(waits).count()
    }

    pub(super) fn len(&self) -> usize {
        self.moving.len()
    }

    /// Takes up what an earlier process of this profile left.
    pub(in crate::session) fn restore(jobs: &Jobs) -> Self {
        jobs.iter().fold(Self { last: jobs.last(), ..Self::default() }, |mut transfers, (id, job)| {
            transfers.restore_one(id, job);
            transfers
        })
    }

    fn restore_one(&mut self, id: JobId, job: &Job) {
        let moving = match job {
            Job::Up(job) => {
                let way = Way::Up { to: job.place.clone() };
                let line = if let Offer::At(_, seq) = job.offer { Some(seq) } else { None };
                match &job.opened {
                    None => Moving::new(way, bare(&job.path).to_owned(), 0, Stage::Unresolved),
                    Some(opened) => {
                        let moving = Moving::new(way, opened.name.clone(), opened.size, Stage::Unresolved);
                        Moving { shape: opened.shape, line, ..moving }
                    }
                }
            }
            Job::Down(job) if job.stage == DownStage::Coming => {
                self.downloads.push_back(Order::Begin(job.download.clone()));
                Moving::of_download(job, Stage::Carried)
            }
            Job::Down(_) => return,
        };
        self.moving.insert(id, moving);
    }

    pub(super) fn next_id(&mut self) -> JobId {
        self.last.0 += 1;
        self.last
    }

    pub(super) fn insert(&mut self, id: JobId, moving: Moving) {
        self.moving.insert(id, moving);
    }

    pub(in crate::session) fn find(&mut self, id: JobId) -> Option<&mut Moving> {
        self.moving.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<Moving> {
        self.moving.remove(&id)
    }

    pub(in crate::session) fn ids(&self) -> Vec<JobId> {
        self.moving.keys().copied().collect()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Moving> {
        self.moving.values_mut()
    }

    /// The upload failed or ended before its offer had a number.
    pub(super) fn note_stray(&mut self, transfer: TransferId, room: RoomId, seq: Seq) {
        if self.failed.remove(&transfer) {
            self.strays.push((room, seq));
        }
    }

    /// Offers that are to be taken back.
    pub(super) fn take_strays(&mut self) -> Vec<(RoomId, Seq)> {
        std::mem::take(&mut self.strays)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (JobId, &Moving)> {
        self.moving.iter().map(|(id, moving)| (*id, moving))
    }

    /// Whether this one is sent anew.
    pub(super) fn is_anew(&self, id: JobId) -> bool {
        self.moving.get(&id).is_some_and(|moving| moving.anew)
    }

    /// The uploads whose place is not known by number.
    pub(super) fn unresolved(&self) -> Vec<(JobId, Place)> {
        let waiting = self.iter().filter(|(_, moving)| moving.stage == Stage::Unresolved);
        waiting.filter_map(|(id, moving)| Some((id, moving.place()?.clone()))).collect()
    }

    pub(super) fn unresolved_at(&self, place: &Place) -> Vec<JobId> {
        let there = self.unresolved().into_iter().filter(|(_, at)| at.is(place));
        there.map(|(id, _)| id).collect()
    }

    /// Those that their user is asked about, or those that are under way.
    pub(super) fn list(&self, asked: bool) -> impl DoubleEndedIterator<Item = Ongoing> {
        let wanted = move |moving: &&Moving| match moving.stage {
            Stage::Asked(_) => asked,
            Stage::Ending => false,
            _ => !asked,
        };
        self.iter().filter(move |(_, moving)| wanted(moving)).map(|(id, moving)| Ongoing {
            id,
            way: moving.way.clone(),
            name: moving.name.clone(),
            size: moving.size,
            shape: moving.shape,
            moved: moving.moved,
        })
    }
}
