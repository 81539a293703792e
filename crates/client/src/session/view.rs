//! What a face needs beside the events: where the user is, and what can be completed.

use super::Session;
use super::place::Place;
use std::collections::BTreeSet;

/// A picture of the session at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// Where what is typed goes.
    pub place: Place,
    /// Whether lines are taken: after the first login.
    pub ready: bool,
    /// My name.
    pub name: String,
    /// Names of people that are known, without mine.
    pub people: Vec<String>,
    /// Names of my rooms.
    pub rooms: Vec<String>,
    /// Lines that were taken in and whose effect on `place` is known.
    pub lines: u64,
}

impl Session {
    /// The picture of now.
    pub fn view(&self) -> View {
        let me = self.me;
        let people: BTreeSet<String> =
            self.rooms.people().filter(|(id, _)| Some(*id) != me).map(|(_, name)| name.to_owned()).collect();
        let rooms = self.rooms.iter().filter(|room| room.peer().is_none()).map(|room| room.info.name.clone());
        let moving = self.requests.any(super::requests::Asked::moves);
        View {
            place: self.current.clone(),
            ready: self.logins > 0 && !self.catching_up,
            name: self.name.clone(),
            people: people.into_iter().collect(),
            rooms: rooms.collect(),
            lines: self.lines - u64::from(moving),
        }
    }
}
