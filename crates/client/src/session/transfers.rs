//! Files on their way, as far as it is decided: what is sent where, what is received, and what is told of it.

use super::event::{Event, Refusal, Transfer, TransferStep, Way};
use super::outbox::{Content, Post};
use super::place::Place;
use super::requests::{Asked, Why};
use super::{Phase, Session};
use crate::clock::Now;
use crate::transfer::{
    Download, Failure, JobId, Keep, Meter, News, Opened, Order, Origin, Shape, Step, Trouble, Upload,
};
use protocol::entry::EntryKind;
use protocol::id::Millis;
use protocol::message::{FileBody, RosterItem, Target};
use std::collections::{BTreeMap, VecDeque};

/// Files that may wait to be received: more of them at once are no conversation.
const MAX_WAITING: usize = 1_000;

/// A file that is not settled.
#[derive(Debug)]
struct Moving {
    way: Way,
    /// As it was typed, until the file is opened; its own from then on.
    name: String,
    size: u64,
    /// Runs from the moment that it begins.
    meter: Option<Meter>,
    /// It broke off, was told so, and has not moved since.
    broken: bool,
    /// Where it is to be sent is not known by number yet.
    unresolved: bool,
}

/// All files that are not settled.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    moving: BTreeMap<JobId, Moving>,
    last: JobId,
    uploads: VecDeque<Order<Upload>>,
    downloads: VecDeque<Order<Download>>,
    /// Files of others are received up to this size, in bytes.
    receive_up_to: u64,
}

impl Transfers {
    pub(super) fn is_empty(&self) -> bool {
        self.moving.is_empty()
    }

    /// Files that are to be sent.
    pub(super) fn sending(&self) -> usize {
        self.moving.values().filter(|moving| matches!(moving.way, Way::Up { .. })).count()
    }

    fn add(&mut self, way: Way, name: String, size: u64, unresolved: bool) -> JobId {
        self.last.0 += 1;
        let moving = Moving { way, name, size, meter: None, broken: false, unresolved };
        self.moving.insert(self.last, moving);
        self.last
    }
}

impl Session {
    /// Files of others that come from here on are received if they have at most so many bytes. At first none are.
    pub fn receive_up_to(&mut self, bytes: u64) {
        self.transfers.receive_up_to = bytes;
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
        self.transfers.add(Way::Up { to: place }, path, 0, true);
        self.advance_transfers();
        self.advance(now);
    }

    /// Begins what waits for the number of its place.
    pub(super) fn advance_transfers(&mut self) {
        if self.phase != Phase::Up {
            return;
        }
        let waiting = self.transfers.moving.iter().filter(|(_, moving)| moving.unresolved);
        let waiting: Vec<_> = waiting.filter_map(|(id, moving)| Some((*id, place_of(moving)?))).collect();
        for (id, place) in waiting {
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
    }

    fn begin_upload(&mut self, id: JobId, target: Target) {
        if let Some(moving) = self.transfers.moving.get_mut(&id) {
            moving.unresolved = false;
            let path = moving.name.clone();
            let upload = Upload { id, path, target, opened: None };
            self.transfers.uploads.push_back(Order::Begin(upload));
        }
    }

    /// The person was found for whom files are.
    pub(super) fn handle_receiver(&mut self, name: &str, person: &RosterItem) {
        let place = Place::Person(name.to_owned());
        for id in self.unresolved_at(&place) {
            self.begin_upload(id, Target::Person { person: person.person });
        }
    }

    /// Files can't be sent there.
    pub(super) fn fail_sends(&mut self, place: &Place, refusal: &Refusal) {
        for id in self.unresolved_at(place) {
            self.end_transfer(id, TransferStep::Failed(Failure::Refused(refusal.clone())));
        }
    }

    fn unresolved_at(&self, place: &Place) -> Vec<JobId> {
        let moving = self.transfers.moving.iter().filter(|(_, moving)| moving.unresolved);
        let there = moving.filter(|(_, moving)| place_of(moving).is_some_and(|at| at.is(place)));
        there.map(|(id, _)| *id).collect()
    }

    /// Somebody else has sent a file that was not there when this profile came.
    pub(super) fn receive(&mut self, file: FileBody, from: String) {
        let limit = self.transfers.receive_up_to;
        if limit == 0 {
            return;
        }
        let (name, size) = (file.name.clone(), file.size);
        let way = Way::Down { from };
        if size > limit || self.transfers.moving.len() >= MAX_WAITING {
            let step = TransferStep::Failed(if size > limit {
                Failure::TooLarge { size, limit }
            } else {
                Failure::TooMany
            });
            let (id, shape) = (JobId(0), Shape::File);
            return self.tell(Event::Transfer(Transfer { id, way, name, size, shape, step }));
        }
        let id = self.transfers.add(way, name.clone(), size, false);
        let origin = Origin { transfer: None, hash: Some(file.hash) };
        let download = Download { id, origin, size, name, shape: Shape::File, keep: Keep::default() };
        self.transfers.downloads.push_back(Order::Begin(download));
    }

    /// Something became of a file.
    pub fn handle_news(&mut self, news: News, now: Now) {
        let News { id, step } = news;
        match step {
            Step::Opened(Opened { name, size, .. }) => self.handle_begun(id, Some((name, size)), now.steady),
            Step::Begun => self.handle_begun(id, None, now.steady),
            Step::Hashing(_) | Step::Verifying(_) | Step::Accepted | Step::Resumed(_) | Step::Waiting => {}
            Step::Moved(bytes) => self.handle_moved(id, bytes, now.steady),
            Step::Broken(trouble) => self.handle_broken(id, trouble),
            Step::Uploaded { file, .. } => self.handle_uploaded(id, file, now),
            Step::Received(path) => self.end_transfer(id, TransferStep::Received { path }),
            Step::Cancelled => self.end_transfer(id, TransferStep::Cancelled),
            Step::Failed(failure) => self.end_transfer(id, TransferStep::Failed(failure)),
        }
        self.advance(now);
    }

    fn handle_begun(&mut self, id: JobId, named: Option<(String, u64)>, now: Millis) {
        let person = self.config.interactive;
        if let Some(moving) = self.transfers.moving.get_mut(&id) {
            if let Some((name, size)) = named {
                (moving.name, moving.size) = (name, size);
            }
            let size = moving.size;
            moving.meter.get_or_insert_with(|| Meter::new(size, person, now));
        }
    }

    fn handle_moved(&mut self, id: JobId, bytes: u64, now: Millis) {
        let Some(moving) = self.transfers.moving.get_mut(&id) else {
            return;
        };
        moving.broken = false;
        let pace = moving.meter.as_mut().and_then(|meter| meter.handle_moved(bytes, now));
        if let Some(pace) = pace {
            let told = moving.told(id, TransferStep::Moving(pace));
            self.tell(told);
        }
    }

    fn handle_broken(&mut self, id: JobId, trouble: Trouble) {
        let Some(moving) = self.transfers.moving.get_mut(&id) else {
            return;
        };
        if let Some(meter) = moving.meter.as_mut() {
            meter.handle_broken();
        }
        if !std::mem::replace(&mut moving.broken, true) {
            let told = moving.told(id, TransferStep::Broken(trouble));
            self.tell(told);
        }
    }

    fn handle_uploaded(&mut self, id: JobId, file: FileBody, now: Now) {
        let Some(moving) = self.transfers.moving.remove(&id) else {
            return;
        };
        if let Some(meter) = moving.meter.filter(Meter::was_told) {
            self.tell(moving.told(id, TransferStep::Sent(meter.pace(now.steady))));
        }
        let Some(place) = place_of(&moving) else { return };
        let target = if self.phase == Phase::Up { self.target_of(&place) } else { None };
        let FileBody { hash, size, name, .. } = file;
        let post = Post {
            place,
            target,
            kind: EntryKind::File,
            reply_to: None,
            written: now.wall,
            body: name,
            file: Some(Content { hash, size }),
        };
        self.outbox.push(post, now);
    }

    fn end_transfer(&mut self, id: JobId, step: TransferStep) {
        let Some(moving) = self.transfers.moving.remove(&id) else {
            return;
        };
        if let (Way::Up { .. }, TransferStep::Failed(failure)) = (&moving.way, &step) {
            let count = if failure.is_refusal() { &mut self.refusals } else { &mut self.mistakes };
            *count += 1;
        }
        self.tell(moving.told(id, step));
    }

    /// The session ends: what is not done will not be.
    pub(super) fn abandon_transfers(&mut self) {
        let begun: Vec<_> = self.transfers.moving.keys().copied().collect();
        for id in begun {
            self.end_transfer(id, TransferStep::Failed(Failure::Left));
        }
    }
}

impl Moving {
    fn told(&self, id: JobId, step: TransferStep) -> Event {
        let (way, name, size, shape) = (self.way.clone(), self.name.clone(), self.size, Shape::File);
        Event::Transfer(Transfer { id, way, name, size, shape, step })
    }
}

fn place_of(moving: &Moving) -> Option<Place> {
    match &moving.way {
        Way::Up { to } => Some(to.clone()),
        Way::Down { .. } => None,
    }
}
