//! Transfers as lines of the journal.

use crate::hex::{hex, unhex};
use crate::session::{DownJob, DownStage, Offer, Place, UpJob};
use crate::transfer::{Download, JobId, Keep, Opened, Origin, Shape};
use protocol::id::{ContentHash, RoomId, Seq, TransferId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An upload.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredUp {
    place: String,
    path: String,
    opened: Option<StoredOpened>,
    offered: bool,
    offer: Option<(u64, u64)>,
}

#[derive(Serialize, Deserialize)]
struct StoredOpened {
    transfer: String,
    path: String,
    name: String,
    size: u64,
    stamp: u64,
    folder: bool,
    #[serde(default)]
    first: Option<String>,
}

impl StoredUp {
    pub(super) fn of(job: &UpJob) -> Self {
        let opened = job.opened.as_ref().map(|opened| StoredOpened {
            transfer: hex(&opened.transfer.0),
            path: opened.path.clone(),
            name: opened.name.clone(),
            size: opened.size,
            stamp: opened.stamp,
            folder: opened.shape == Shape::Folder,
            first: opened.first.map(|first| hex(&first.0)),
        });
        let offer = match job.offer {
            Offer::At(room, seq) => Some((room.value(), seq.value())),
            Offer::None | Offer::Posted => None,
        };
        let offered = job.offer != Offer::None;
        Self { place: job.place.to_string(), path: job.path.clone(), opened, offered, offer }
    }

    pub(super) fn read(self) -> Option<UpJob> {
        let opened = match self.opened {
            None => None,
            Some(opened) => Some(Opened {
                transfer: TransferId(unhex(&opened.transfer)?),
                path: opened.path,
                name: opened.name,
                size: opened.size,
                stamp: opened.stamp,
                shape: shape(opened.folder),
                first: opened.first.and_then(|first| unhex(&first)).map(ContentHash),
            }),
        };
        let offer = match self.offer {
            Some((room, seq)) => Offer::At(RoomId::new(room)?, Seq::new(seq)?),
            None if self.offered => Offer::Posted,
            None => Offer::None,
        };
        Some(UpJob { place: Place::parse(&self.place)?, path: self.path, opened, offer })
    }
}

/// A download.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredDown {
    from: String,
    at: Option<(u64, u64)>,
    offer: Option<u64>,
    transfer: Option<String>,
    hash: Option<String>,
    name: String,
    size: u64,
    folder: bool,
    to: Option<PathBuf>,
    executables: bool,
    #[serde(default)]
    unless_there: bool,
    stage: Stage,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Coming,
    Received,
    Settled,
}

impl StoredDown {
    pub(super) fn of(job: &DownJob) -> Self {
        let Download { origin, size, name, shape, keep, .. } = &job.download;
        Self {
            from: job.from.clone(),
            at: job.at.map(|(room, seq)| (room.value(), seq.value())),
            offer: job.offer.map(Seq::value),
            transfer: origin.transfer.map(|transfer| hex(&transfer.0)),
            hash: origin.hash.map(|hash| hex(&hash.0)),
            name: name.clone(),
            size: *size,
            folder: *shape == Shape::Folder,
            to: keep.path.clone(),
            executables: keep.executables,
            unless_there: keep.unless_there,
            stage: match job.stage {
                DownStage::Coming => Stage::Coming,
                DownStage::Received => Stage::Received,
                DownStage::Settled => Stage::Settled,
            },
        }
    }

    pub(super) fn read(self, id: u64) -> Option<DownJob> {
        let transfer = self.transfer.as_deref().map(|hex| unhex(hex).ok_or(())).transpose().ok()?;
        let hash = self.hash.as_deref().map(|hex| unhex(hex).ok_or(())).transpose().ok()?;
        let origin = Origin { transfer: transfer.map(TransferId), hash: hash.map(ContentHash) };
        let at = match self.at {
            None => None,
            Some((room, seq)) => Some((RoomId::new(room)?, Seq::new(seq)?)),
        };
        let keep = Keep { path: self.to, executables: self.executables, unless_there: self.unless_there };
        let (size, name, shape) = (self.size, self.name, shape(self.folder));
        let download = Download { id: JobId(id), origin, size, name, shape, keep };
        let stage = match self.stage {
            Stage::Coming => DownStage::Coming,
            Stage::Received => DownStage::Received,
            Stage::Settled => DownStage::Settled,
        };
        let offer = self.offer.and_then(Seq::new);
        Some(DownJob { from: self.from, at, offer, download, stage })
    }
}

fn shape(folder: bool) -> Shape {
    if folder { Shape::Folder } else { Shape::File }
}
