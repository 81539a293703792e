//! The files of a room: what there is, and having one of them.

use super::Session;
use super::event::Event;
use super::place::Place;
use super::requests::Asked;
use super::transfers::Wanted;
use crate::transfer::{Keep, Origin, posted_name};
use protocol::command::Shelved;
use protocol::id::{RoomId, Seq};
use protocol::message::{ClientMsg, FileListing, FileState, Question, Source};
use protocol::name::{NameKey, RoomName};

/// Files that `/files` shows unless all are wanted.
const SHOWN: usize = 20;

/// Files whose names a script is given instead of one that is not there.
const OFFERED: usize = 5;

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
    /// To have one of them. `listed` is the name that stood at its line when a list was shown.
    Get { file: Shelved, listed: Option<String>, keep: Keep },
    /// To see what is in one of them.
    Look { file: Shelved },
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
    pub(super) fn get_file(&mut self, place: Place, file: Shelved, keep: Keep) {
        let listed = file.line().filter(|_| self.shelf.room == self.room_at(&place)).and_then(|line| {
            self.shelf.rows.iter().find(|(seq, _)| *seq == line).map(|(_, name)| name.clone())
        });
        self.list_files(place, Purpose::Get { file, listed, keep });
    }

    /// `/look`: what is in what is offered, or in a file that was sent here.
    pub(super) fn look(&mut self, place: Place, file: Shelved) {
        match self.find_transfer(&file, true) {
            Some(id) => self.look_at(id),
            None => self.list_files(place, Purpose::Look { file }),
        }
    }

    fn list_files(&mut self, place: Place, purpose: Purpose) {
        let Some(room) = self.room_at(&place) else {
            if self.errand && self.refusals + self.mistakes > 0 {
                // It was told already that there is no such place.
                return;
            }
            let hint = match &place {
                Place::Room(name) => format!("type /join {name} first"),
                Place::Person(_) => "nothing was sent there yet".to_owned(),
            };
            return self.mistake(format!("there are no files of {place} to be seen"), hint);
        };
        let listing = Listing { place, room, purpose, so_far: Vec::new() };
        if self.is_online(&listing.command()) {
            self.ask_files(listing);
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
            Purpose::Get { file, .. } | Purpose::Look { file } => {
                listing.exact(file).is_some() || listing.so_far.len() >= MOST
            }
        };
        if more && !enough {
            return self.ask_files(listing);
        }
        match listing.purpose {
            Purpose::Show { all } => self.show_files(listing, all, more),
            Purpose::Get { .. } | Purpose::Look { .. } => self.have(&listing),
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

    /// Receives what was found, or shows what is in it.
    fn have(&mut self, listing: &Listing) {
        let Listing { place, room, purpose, .. } = listing;
        let (file, listed, keep) = match purpose {
            Purpose::Show { .. } => return,
            Purpose::Get { file, listed, keep } => (file, listed.as_deref(), Some(keep.clone())),
            Purpose::Look { file } => (file, None, None),
        };
        let Some((found, exact)) = listing.found(file, listed) else {
            let what = match (file.name(), file.line()) {
                (Some(name), None) => format!("no file '{name}'"),
                (Some(name), Some(line)) => format!("no file '{name}', and none at line #{line},"),
                (None, Some(line)) => format!("no file at line #{line}"),
                (None, None) => "no file".to_owned(),
            };
            let hint = if self.errand { listing.offers() } else { "type /files to see what there is".into() };
            return self.mistake(format!("there is {what} in {place}"), hint);
        };
        if found.state == FileState::Gone {
            let text = format!("'{}' is not kept any more", found.name);
            return self.mistake(text, format!("ask {} to send it again", found.sender));
        }
        if let Some(name) = file.name().filter(|_| !exact) {
            let text = format!("no file is called '{name}' exactly: this is '{}'", found.name);
            self.tell(Event::Notice { text });
        }
        let origin = match &found.source {
            Source::Content { hash } => Origin { transfer: None, hash: Some(*hash) },
            Source::Transfer { transfer } => Origin { transfer: Some(*transfer), hash: None },
        };
        let wanted = Wanted {
            room: *room,
            seq: found.seq,
            origin,
            size: found.size,
            name: found.name.clone(),
            shape: found.shape,
            from: found.sender.clone(),
            keep: keep.clone().unwrap_or_default(),
        };
        match keep {
            Some(_) => drop(self.want(wanted)),
            None => self.ask_about(wanted),
        }
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
            Purpose::Get { .. } => "/get".to_owned(),
            Purpose::Look { .. } => "/look".to_owned(),
        }
    }

    /// What there is instead, for somebody who has no commands: the newest.
    fn offers(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for file in self.so_far.iter().filter(|file| file.state != FileState::Gone) {
            if !names.contains(&file.name.as_str()) {
                names.push(&file.name);
            }
        }
        let quoted: Vec<_> = names.iter().take(OFFERED).map(|name| format!("'{name}'")).collect();
        let more = names.len().saturating_sub(OFFERED);
        match (quoted.join(", "), more) {
            (none, _) if none.is_empty() => "no file is kept there; check the room: -r ROOM".to_owned(),
            (some, 0) => format!("there is {some}"),
            (some, more) => format!("there is {some}, and {more} more"),
        }
    }

    /// The file that is surely meant: it is not looked for any further.
    fn exact(&self, file: &Shelved) -> Option<&FileListing> {
        let files = &self.so_far;
        match file {
            Shelved::Newest => files.iter().find(|file| file.state != FileState::Gone),
            Shelved::Line(seq) => files.iter().find(|file| file.seq == *seq),
            Shelved::Name(name) | Shelved::NameOrLine(name, _) => {
                files.iter().find(|file| file.name == *name)
            }
        }
    }

    /// The file that is meant, when all are known that there are, and whether it is the one that was named: a name goes
    /// before a number, and an exact name before one that only reads like it.
    fn found(&self, file: &Shelved, listed: Option<&str>) -> Option<(&FileListing, bool)> {
        if let Some(exact) = self.exact(file) {
            return Some((exact, true));
        }
        let files = &self.so_far;
        if let Some(line) = file.line() {
            let there = files.iter().find(|file| file.seq == line);
            // What was an offer when it was listed may be a file now, at another line.
            let moved = || files.iter().find(|file| Some(file.name.as_str()) == listed);
            if let Some(found) = there.or_else(moved) {
                return Some((found, true));
            }
        }
        // As it was made safe when it was announced.
        let wanted = NameKey::of(&posted_name(file.name()?));
        let key = |file: &FileListing| NameKey::of(&file.name);
        let same = files.iter().find(|file| key(file) == wanted);
        let begun = || files.iter().find(|file| key(file).as_str().starts_with(wanted.as_str()));
        Some((same.or_else(begun)?, false))
    }
}
