//! The files of a room: what there is, and having one of them.

use super::Session;
use super::event::Event;
use super::place::Place;
use super::requests::Asked;
use super::transfers::Wanted;
use crate::transfer::{Keep, Origin};
use protocol::command::Shelved;
use protocol::id::{RoomId, Seq};
use protocol::message::{ClientMsg, FileListing, FileState, Question, Source};
use protocol::name::{NameKey, RoomName};

/// Files that `/files` shows unless all are wanted.
const SHOWN: usize = 20;

/// Files that are looked through, or shown, at most.
const MOST: usize = 1_000;

/// The list of files that was shown last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Shelf {
    room: Option<RoomId>,
    /// Newest first.
    rows: Vec<(Seq, String)>,
}

/// What a list of files is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To be shown, all of it or only the latest.
    Show { all: bool },
    /// To have one of them.
    Get { file: Shelved, executables: bool },
    /// To have the one that stood there with this name when the list was shown.
    Listed { seq: Seq, name: String, executables: bool },
}

/// A list of files that is being asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Listing {
    pub(crate) place: Place,
    pub(crate) room: RoomId,
    pub(crate) purpose: Purpose,
    /// Newest first.
    pub(crate) so_far: Vec<FileListing>,
}

impl Session {
    /// `/files`
    pub(super) fn files(&mut self, room: Option<&RoomName>, all: bool) {
        let place = room.map_or_else(|| self.current.clone(), |room| Place::Room(room.as_str().to_owned()));
        self.list_files(place, Purpose::Show { all });
    }

    /// `/get`
    pub(super) fn get_file(&mut self, place: Place, file: Shelved, executables: bool) {
        let row = match file {
            Shelved::Number(number) if self.shelf.room == self.room_at(&place) => {
                self.shelf.rows.get(number - 1).cloned()
            }
            _ => None,
        };
        let purpose = match row {
            Some((seq, name)) => Purpose::Listed { seq, name, executables },
            None => Purpose::Get { file, executables },
        };
        self.list_files(place, purpose);
    }

    fn list_files(&mut self, place: Place, purpose: Purpose) {
        let Some(room) = self.room_at(&place) else {
            let hint = match &place {
                Place::Room(name) => format!("type /join {name} first"),
                Place::Person(_) => "nothing was sent there yet".to_owned(),
            };
            return self.mistake(format!("there are no files of {place} to be seen"), hint);
        };
        if self.is_online() {
            self.ask_files(Listing { place, room, purpose, so_far: Vec::new() });
        }
    }

    fn ask_files(&mut self, listing: Listing) {
        let (room, before) = (listing.room, listing.so_far.last().map(|file| file.seq));
        self.ask(Asked::Files(listing), |req| ClientMsg::Ask {
            req,
            question: Question::Files { room, before },
        });
    }

    pub(super) fn handle_files(&mut self, mut listing: Listing, files: Vec<FileListing>, more: bool) {
        let more = more && !files.is_empty();
        listing.so_far.extend(files);
        let enough = match &listing.purpose {
            Purpose::Show { all: false } => listing.so_far.len() >= SHOWN,
            Purpose::Show { all: true } => listing.so_far.len() >= MOST,
            Purpose::Get { .. } | Purpose::Listed { .. } => {
                listing.found().is_some() || listing.so_far.len() >= MOST
            }
        };
        if more && !enough {
            return self.ask_files(listing);
        }
        match listing.purpose {
            Purpose::Show { all } => self.show_files(listing, all, more),
            Purpose::Get { .. } | Purpose::Listed { .. } => self.have(&listing),
        }
    }

    fn show_files(&mut self, listing: Listing, all: bool, more: bool) {
        let Listing { place, room, so_far: mut files, .. } = listing;
        let cut = !all && files.len() > SHOWN;
        if cut {
            files.truncate(SHOWN);
        }
        let rows = files.iter().map(|file| (file.seq, file.name.clone())).collect();
        self.shelf = Shelf { room: Some(room), rows };
        self.keep_names();
        self.tell(Event::Files { place, files, more: more || cut });
    }

    /// Receives what was found.
    fn have(&mut self, listing: &Listing) {
        let executables = match listing.purpose {
            Purpose::Get { executables, .. } | Purpose::Listed { executables, .. } => executables,
            Purpose::Show { .. } => false,
        };
        let place = &listing.place;
        let Some(file) = listing.found() else {
            let what = match &listing.purpose {
                Purpose::Get { file: Shelved::Number(number), .. } => format!("no file {number}"),
                Purpose::Get { file: Shelved::Line(seq), .. } => format!("no file at line #{seq}"),
                Purpose::Get { file: Shelved::Name(name), .. } | Purpose::Listed { name, .. } => {
                    format!("no file '{name}'")
                }
                Purpose::Show { .. } => "no file".to_owned(),
            };
            return self.mistake(format!("there is {what} in {place}"), "type /files to see what there is");
        };
        if file.state == FileState::Gone {
            let text = format!("'{}' is not kept any more", file.name);
            return self.mistake(text, format!("ask {} to send it again", file.sender));
        }
        let origin = match &file.source {
            Source::Content { hash } => Origin { transfer: None, hash: Some(*hash) },
            Source::Transfer { transfer } => Origin { transfer: Some(*transfer), hash: None },
        };
        let keep = Keep { executables, ..self.keep_at.clone() };
        self.want(Wanted {
            room: listing.room,
            seq: file.seq,
            origin,
            size: file.size,
            name: file.name.clone(),
            shape: file.shape,
            from: file.sender.clone(),
            keep,
        });
    }

    /// Names of the files that were listed last, for completion.
    pub(super) fn shelf_names(&self) -> impl Iterator<Item = &str> {
        self.shelf.rows.iter().map(|(_, name)| name.as_str())
    }
}

impl Listing {
    /// The command that it was asked for by.
    pub(crate) fn command(&self) -> String {
        match self.purpose {
            Purpose::Show { .. } => "/files".to_owned(),
            Purpose::Get { .. } | Purpose::Listed { .. } => "/get".to_owned(),
        }
    }

    /// The file that is wanted.
    fn found(&self) -> Option<&FileListing> {
        let files = &self.so_far;
        match &self.purpose {
            Purpose::Show { .. } => None,
            Purpose::Get { file: Shelved::Number(number), .. } => files.get(number.checked_sub(1)?),
            Purpose::Get { file: Shelved::Line(seq), .. } => files.iter().find(|file| file.seq == *seq),
            Purpose::Get { file: Shelved::Name(name), .. } => {
                let (wanted, key) = (NameKey::of(name), |file: &FileListing| NameKey::of(&file.name));
                let exact = files.iter().find(|file| key(file) == wanted);
                let begun = || files.iter().find(|file| key(file).as_str().starts_with(wanted.as_str()));
                exact.or_else(begun)
            }
            // What was an offer then may be a file now, at another line.
            Purpose::Listed { seq, name, .. } => {
                let same = files.iter().find(|file| file.seq == *seq);
                same.or_else(|| files.iter().find(|file| file.name == *name))
            }
        }
    }
}
