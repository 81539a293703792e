//! Who comes into a room and leaves it, folded: a while is waited, then one line tells of all of them. It tells only of
//! people who spoke lately, and of nobody on an errand. Everybody else is seen in `/who`.

use super::Session;
use super::event::Event;
use super::roster::Roster;
use crate::clock::{Now, after, since};
use protocol::id::{Millis, PersonId};
use std::collections::BTreeMap;

/// From the first coming or going to the line that tells of it, in ms: whoever is back by then never left.
const GATHER_MS: u64 = 2_000;

/// The same after a reconnection, in ms: the others may have lost their connections with ours, and wait for up to
/// [`MAX_BACKOFF_MS`](protocol::limits::MAX_BACKOFF_MS) before they come back.
const RETURN_MS: u64 = 15_000;

/// Who spoke within this time, in ms, is missed: half an hour, the longest that people leave a conversation lying.
const LATELY_MS: u64 = 30 * 60 * 1_000;

/// People whose last words are remembered in each room: more are not told of anyway, since such a roster has no names.
const MAX_SPEAKERS: usize = 1_000;

/// What the user knows of one room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comings {
    /// Whom the user takes to be there, by the name that they had; `None` before that is known.
    believed: Option<BTreeMap<PersonId, String>>,
    /// When people said something last, by the server's clock.
    spoke: BTreeMap<PersonId, Millis>,
    /// When the first change came that was not told yet, and when to tell it, in steady time.
    due: Option<(Millis, Millis)>,
    /// Others may have lost their connections with ours.
    returning: bool,
}

impl Comings {
    /// Somebody said something.
    pub(crate) fn handle_said(&mut self, person: PersonId, time: Millis) {
        if self.spoke.len() >= MAX_SPEAKERS && !self.spoke.contains_key(&person) {
            let longest_ago = self.spoke.iter().min_by_key(|(_, at)| **at).map(|(person, _)| *person);
            longest_ago.map(|person| self.spoke.remove(&person));
        }
        let last = self.spoke.entry(person).or_insert(time);
        *last = time.max(*last);
    }

    /// Somebody came or left.
    pub(crate) fn handle_change(&mut self, now: Millis) {
        self.due.get_or_insert((now, after(now, GATHER_MS)));
    }

    /// The connection is gone.
    pub(crate) fn handle_disconnected(&mut self) {
        self.returning = true;
    }

    /// Somebody has another name.
    pub(crate) fn handle_renamed(&mut self, person: PersonId, name: &str) {
        if let Some(known) = self.believed.as_mut().and_then(|believed| believed.get_mut(&person)) {
            name.clone_into(known);
        }
    }

    /// A whole roster came: the first one is what the user is shown, a later one is compared with what they believe.
    pub(crate) fn handle_snapshot(&mut self, roster: &Roster, now: Millis) {
        let returning = std::mem::take(&mut self.returning);
        if !roster.has_names() {
            *self = Self { spoke: std::mem::take(&mut self.spoke), ..Self::default() };
        } else if self.believed.is_none() {
            self.believe(roster);
        } else if returning {
            self.due = Some((now, after(now, RETURN_MS)));
        } else {
            self.handle_change(now);
        }
    }

    /// The user learns of the roster in another way, or does not look.
    pub(crate) fn believe(&mut self, roster: &Roster) {
        self.due = None;
        self.believed = roster.has_names().then(|| here(roster));
    }

    /// Who came and who left since that was told, if it is time: those who spoke lately. Who came and has spoken since
    /// is seen without that.
    fn take(&mut self, roster: &Roster, now: Now, time: Millis) -> Option<(Told, Told)> {
        let (begun, _) = self.due.take_if(|(_, due)| *due <= now.steady)?;
        let begun = Millis(time.0.saturating_sub(since(now.steady, begun)));
        let before = self.believed.take()?;
        self.believe(roster);
        let is = self.believed.as_ref()?;
        self.spoke.retain(|_, at| since(time, *at) <= LATELY_MS);
        let told = |these: &BTreeMap<PersonId, String>, others: &BTreeMap<PersonId, String>| {
            let new = these.iter().filter(|(person, _)| !others.contains_key(person));
            let missed = new.filter(|(person, _)| self.spoke.contains_key(person));
            missed.map(|(person, name)| (*person, name.clone())).collect::<Told>()
        };
        let (mut came, left) = (told(is, &before), told(&before, is));
        came.retain(|(person, _)| self.spoke.get(person).is_some_and(|at| *at < begun));
        Some((came, left))
    }
}

/// People to tell of.
type Told = Vec<(PersonId, String)>;

/// Those who are there, but not on an errand.
fn here(roster: &Roster) -> BTreeMap<PersonId, String> {
    let people = roster.people().filter(|item| item.presence.online && !item.presence.errand);
    people.map(|item| (item.person, item.name.clone())).collect()
}

impl Session {
    /// Tells who came and who left, if it is time. Of rooms where I am not, `/who` tells.
    pub(super) fn advance_comings(&mut self, now: Now) {
        let time = after(self.server_time.0, since(now.steady, self.server_time.1));
        let mut told = Vec::new();
        for room in self.rooms.iter_mut() {
            let here = room.place().is(&self.current);
            let changes = room.comings.take(&room.roster, now, time);
            told.extend(changes.filter(|_| here));
        }
        for (came, left) in told {
            let mut names = |people: Told| -> Vec<String> {
                let others = people.into_iter().filter(|(person, name)| {
                    Some(*person) != self.me && !self.ignored.hides(Some(*person), name)
                });
                others.map(|(_, name)| name).collect()
            };
            let (came, left) = (names(came), names(left));
            if !came.is_empty() || !left.is_empty() {
                self.tell(Event::Comings { came, left });
            }
        }
    }

    /// When there is something to tell, in steady time.
    pub(super) fn comings_timeout(&self) -> Option<Millis> {
        self.rooms.iter().filter_map(|room| room.comings.due).map(|(_, due)| due).min()
    }
}
