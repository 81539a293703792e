//! Files of the classic mode: each is one frame, so there is at most one under way in each direction.

use super::{ClassicSession, Phase};
use crate::clock::Now;
use crate::session::Place;
use crate::session::event::{Event, Loss, Said, Transfer, TransferStep, Way};
use crate::transfer::{Failure, JobId, Meter, Shape, Trouble, Upload};
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, RoomId};
use protocol::message::{FileBody, Target};
use std::collections::VecDeque;

/// A file under way.
#[derive(Clone, Debug)]
struct Moving {
    way: Way,
    name: String,
    size: u64,
    meter: Meter,
}

/// The files of a session.
#[derive(Debug)]
pub(super) struct Files {
    /// To be sent: where they lie, and where they go. The first stays until it is sent.
    uploads: VecDeque<(String, Place)>,
    /// The first of `uploads` is being sent.
    sending: bool,
    /// What is known of it once it is open.
    up: Option<Moving>,
    down: Option<Moving>,
    receive_up_to: u64,
    person: bool,
}

impl Files {
    pub(super) fn new(receive_up_to: u64, person: bool) -> Self {
        Self { uploads: VecDeque::new(), sending: false, up: None, down: None, receive_up_to, person }
    }

    /// Files that are not settled.
    pub(super) fn len(&self) -> usize {
        self.uploads.len() + usize::from(self.down.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending
    }

    pub(super) fn add_upload(&mut self, path: &str, to: Place) {
        self.uploads.push_back((path.to_owned(), to));
    }

    pub(super) fn begin_upload(&mut self) -> Option<Upload> {
        let (path, _) = self.uploads.front().filter(|_| !self.sending)?;
        self.sending = true;
        // Classic frames have no numbers and no target: everybody gets them.
        let target = Target::Room { room: RoomId::FIRST };
        Some(Upload { id: JobId(0), path: path.clone(), target, opened: None, offered: false })
    }
}

impl Moving {
    fn told(&self, step: TransferStep) -> Event {
        let (way, name, size) = (self.way.clone(), self.name.clone(), self.size);
        let (id, shape) = (JobId(0), Shape::File);
        Event::Transfer(Transfer { id, line: None, way, name, size, shape, step })
    }
}

impl ClassicSession {
    /// The file to be sent is open.
    pub fn handle_upload_begun(&mut self, name: &str, size: u64, now: Now) {
        if let Some((_, to)) = self.files.uploads.front() {
            let meter = Meter::new(size, self.files.person, now.steady);
            let way = Way::Up { to: to.clone() };
            self.files.up = Some(Moving { way, name: name.to_owned(), size, meter });
        }
    }

    /// So many bytes of the file to be sent have left.
    pub fn handle_uploading(&mut self, bytes: u64, now: Now) {
        let up = self.files.up.as_mut();
        let told = up.and_then(|up| {
            let pace = up.meter.handle_moved(bytes, now.steady)?;
            Some(up.told(TransferStep::Moving(pace)))
        });
        told.into_iter().for_each(|event| self.tell(event));
    }

    /// The file's frame has left.
    pub fn handle_uploaded(&mut self, now: Now) {
        self.files.sending = false;
        self.files.uploads.pop_front();
        let Some(up) = self.files.up.take() else { return };
        if up.meter.was_told() {
            self.tell(up.told(TransferStep::Sent(up.meter.pace(now.steady))));
        }
        self.fresh.push_back((now.steady, format!("/send {}", up.name)));
        let mine = self.config.name.clone();
        let said = self.said(Some(&mine), EntryKind::File, &up.name, now);
        let file = FileBody { hash: ContentHash([0; 32]), size: up.size, name: up.name, shape: Shape::File };
        self.tell(Event::Said(Said { mine: true, file: Some(file), ..said }));
        self.advance(now);
    }

    /// The file can't be sent.
    pub fn handle_upload_failed(&mut self, failure: Failure, now: Now) {
        self.files.sending = false;
        let up = self.files.up.take();
        if let Some((path, to)) = self.files.uploads.pop_front() {
            self.mistakes += 1;
            let (name, size) = up.map_or((path, 0), |up| (up.name, up.size));
            let step = TransferStep::Failed(failure);
            self.tell(failed(to, name, size, step));
        }
        self.advance(now);
    }

    /// A file comes; whether to take it.
    pub fn handle_download_begun(&mut self, from: &str, name: &str, size: u64, now: Now) -> bool {
        if matches!(self.phase, Phase::Joining { .. }) {
            self.come_up(now);
        }
        let limit = self.files.receive_up_to;
        let meter = Meter::new(size, self.files.person, now.steady);
        let down = Moving { way: Way::Down { from: from.to_owned() }, name: name.to_owned(), size, meter };
        let said = self.said(Some(from), EntryKind::File, name, now);
        let file = FileBody { hash: ContentHash([0; 32]), size, name: name.to_owned(), shape: Shape::File };
        self.tell(Event::Said(Said { file: Some(file), ..said }));
        if size > limit {
            if limit > 0 {
                self.tell(down.told(TransferStep::Failed(Failure::TooLarge { size, limit })));
            }
            return false;
        }
        self.files.down = Some(down);
        true
    }

    /// So many bytes of the file that comes are here.
    pub fn handle_downloading(&mut self, bytes: u64, now: Now) {
        let told = self.files.down.as_mut().and_then(|down| {
            let pace = down.meter.handle_moved(bytes, now.steady)?;
            Some(down.told(TransferStep::Moving(pace)))
        });
        told.into_iter().for_each(|event| self.tell(event));
    }

    /// The file that came lies there, or failed.
    pub fn handle_downloaded(&mut self, result: Result<String, Failure>, now: Now) {
        if let Some(down) = self.files.down.take() {
            self.tell(down.told(match result {
                Ok(path) => TransferStep::Received { path },
                Err(failure) => TransferStep::Failed(failure),
            }));
        }
        self.advance(now);
    }

    /// A file came whose names can't be read.
    pub fn handle_nameless_file(&mut self) {
        self.tell(Event::Notice {
            text: "somebody sent a file without a readable name; it is left out".to_owned(),
        });
    }

    /// The link broke: the file that is being sent begins again on the next one, the one that came does not.
    pub(super) fn break_files(&mut self, loss: Loss) {
        self.files.sending = false;
        if let Some(up) = self.files.up.take() {
            self.tell(up.told(TransferStep::Broken(Trouble::Lost(loss))));
        }
        if let Some(down) = self.files.down.take() {
            self.tell(down.told(TransferStep::Failed(Failure::CutOff)));
        }
    }

    /// The session ends.
    pub(super) fn abandon_files(&mut self) {
        while let Some((path, to)) = self.files.uploads.pop_front() {
            self.mistakes += 1;
            let step = TransferStep::Failed(Failure::Left);
            self.tell(failed(to, path, 0, step));
        }
        if let Some(down) = self.files.down.take() {
            self.tell(down.told(TransferStep::Failed(Failure::Left)));
        }
    }
}

fn failed(to: Place, name: String, size: u64, step: TransferStep) -> Event {
    let (id, shape) = (JobId(0), Shape::File);
    Event::Transfer(Transfer { id, line: None, way: Way::Up { to }, name, size, shape, step })
}
