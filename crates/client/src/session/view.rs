//! What a face needs beside the events: where the user is, and what can be completed.

use super::Session;
use super::place::Place;
use protocol::text::check_line;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A picture of the session at one time. Copies share the names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// Where what is typed goes.
    pub place: Place,
    /// Whether lines are taken: after the first login.
    pub ready: bool,
    /// My name.
    pub name: String,
    /// Names of people that are known, without mine.
    pub people: Arc<[String]>,
    /// Names of my rooms.
    pub rooms: Arc<[String]>,
    /// Names of the files that were listed last.
    pub files: Arc<[String]>,
    /// Names of others who type where I am.
    pub typing: Arc<[String]>,
    /// Lines that were taken in and whose effect on `place` is known.
    pub lines: u64,
}

/// The names that a view shares.
#[derive(Clone, Debug)]
pub(super) struct Names {
    people: Arc<[String]>,
    rooms: Arc<[String]>,
    files: Arc<[String]>,
    pub(super) typing: Arc<[String]>,
}

impl Default for Names {
    fn default() -> Self {
        Self { people: Arc::new([]), rooms: Arc::new([]), files: Arc::new([]), typing: Arc::new([]) }
    }
}

impl Session {
    /// The picture of now.
    pub fn view(&self) -> View {
        View {
            place: self.current.clone(),
            ready: self.logins > 0 && !self.catching_up,
            name: self.name.clone(),
            people: Arc::clone(&self.names.people),
            rooms: Arc::clone(&self.names.rooms),
            files: Arc::clone(&self.names.files),
            typing: Arc::clone(&self.names.typing),
            // A room may be asked for before any line was typed: one that was mine in a history that is gone.
            lines: self.lines.saturating_sub(u64::from(!self.is_done())),
        }
    }

    /// Rooms or rosters have changed.
    pub(super) fn collect_names(&mut self) {
        let me = self.me;
        let people = self.rooms.people().filter(|(id, _)| Some(*id) != me);
        let people: BTreeSet<_> = people.map(|(_, name)| name.to_owned()).collect();
        let rooms = self.rooms.iter().filter(|room| room.peer().is_none());
        self.names = Names {
            people: people.into_iter().collect(),
            rooms: rooms.map(|room| room.info.name.clone()).collect(),
            files: Arc::clone(&self.names.files),
            typing: Arc::clone(&self.names.typing),
        };
    }

    /// Files were listed.
    pub(super) fn keep_names(&mut self) {
        self.names.files =
            self.shelf_names().filter(|name| check_line(name).is_ok()).map(str::to_owned).collect();
    }
}
