//! Who is told to be there, away or gone, judged while people come and go: by what each of them did themselves.

use crate::plan::Plan;
use crate::record::Pages;
use crate::sight::Sight;
use protocol::id::{PersonId, RoomId};
use protocol::message::{RosterItem, ServerMsg};
use std::collections::BTreeMap;

/// How soon a change has to be told, in microseconds.
const TOLD: u64 = 3_000_000;

/// The same of who said goodbye. A reset may overtake that; then they have their time of grace first.
const LEFT: u64 = 9_500_000;

/// How long a person stays present whose link broke without a word: until their silence is noticed, and the time of grace.
const GONE: u64 = 24_000_000;

/// Beyond so many clients only numbers are told, and changes are gathered for longer.
const CROWD: usize = 64;

/// How a person is, by what they did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// When any of it changed last, in microseconds.
    since: u64,
    /// Whether they said that they are away, where that is known: a login does not tell.
    away: Option<bool>,
    /// They left with a goodbye.
    farewell: bool,
}

/// The people of the first room, as a connection was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lobby {
    people: BTreeMap<PersonId, RosterItem>,
    /// When the connection was told of them first.
    since: Option<u64>,
}

impl Own {
    /// Something about it changed.
    pub(crate) fn touch(&mut self, now: u64) {
        self.since = now;
    }

    /// Whether nothing of it has changed since a while before then.
    pub(crate) fn rests_since(&self, at: u64) -> bool {
        self.since + TOLD < at
    }

    /// They came.
    pub(crate) fn come(&mut self, now: u64) {
        *self = Self { since: now, away: None, farewell: false };
    }

    /// They say that they are away, or back.
    pub(crate) fn say_away(&mut self, away: bool, now: u64) {
        (self.since, self.away) = (now, Some(away));
    }

    /// They went.
    pub(crate) fn go(&mut self, farewell: bool, now: u64) {
        (self.since, self.farewell) = (now, farewell);
    }
}

impl Lobby {
    /// A connection begins, which was told of nobody.
    pub(crate) fn begin(&mut self) {
        *self = Self::default();
    }

    /// The server tells of a room.
    pub(crate) fn take(&mut self, message: &ServerMsg, now: u64) {
        let ServerMsg::Roster { room: RoomId::FIRST, snapshot, people, .. } = message else { return };
        self.since.get_or_insert(now);
        if *snapshot {
            self.people.clear();
        }
        for item in people {
            if item.presence.online {
                self.people.insert(item.person, item.clone());
            } else {
                self.people.remove(&item.person);
            }
        }
    }
}

/// What somebody is told wrongly about somebody else, who has not changed for a while.
pub(crate) fn misjudged(plan: &Plan, pages: &Pages) -> Option<String> {
    let now = pages.now();
    if plan.clients.len() > CROWD || pages.was_server_struck_since(now.saturating_sub(TOLD)) {
        return None;
    }
    let is_alone = |sight: &Sight| {
        let same = pages.sights.iter().filter(|other| other.person == sight.person);
        same.count() == 1
    };
    let others: Vec<_> = pages.sights.iter().enumerate().filter(|(_, sight)| is_alone(sight)).collect();
    for (id, reader) in pages.sights.iter().enumerate() {
        let told_since = reader.lobby.since.unwrap_or(u64::MAX);
        if !reader.is_unhindered() || told_since.saturating_add(TOLD) > now {
            continue;
        }
        let wrong = others.iter().filter(|(other, _)| *other != id).find_map(|(other, person)| {
            let wrong = is_wrong(reader, person, now)?;
            Some(format!("c{id} is told of c{other} ({}) that they are {wrong}", person.name))
        });
        if wrong.is_some() {
            return wrong;
        }
    }
    None
}

fn is_wrong(reader: &Sight, person: &Sight, now: u64) -> Option<&'static str> {
    let told = reader.lobby.people.get(&PersonId::new(person.person?)?);
    let rested = now.saturating_sub(person.own.since);
    match told {
        Some(_) if !person.running && rested > if person.own.farewell { LEFT } else { GONE } => Some("there"),
        None if person.is_unhindered() && rested > TOLD => Some("not there"),
        Some(item) if person.is_unhindered() && rested > TOLD => {
            let is_away = person.own.away.is_some_and(|away| away != item.presence.away);
            if is_away {
                Some(if item.presence.away { "away" } else { "not away" })
            } else {
                (item.name != person.name).then_some("called otherwise")
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::message::Presence;

    const NOW: u64 = 100_000_000;

    fn roster(name: &str, online: bool, away: bool) -> ServerMsg {
        let presence = Presence { online, away, ..Presence::default() };
        let people = vec![RosterItem {
            person: PersonId::FIRST,
            name: name.to_owned(),
            presence,
            away: String::new(),
        }];
        ServerMsg::Roster {
            room: RoomId::FIRST,
            version: 1,
            snapshot: false,
            more: false,
            online: 1,
            members: 1,
            people,
        }
    }

    fn reader(told: &[ServerMsg]) -> Sight {
        let mut reader = Sight::default();
        told.iter().for_each(|message| reader.lobby.take(message, 0));
        reader
    }

    /// Somebody called "ann" who came, or went, at this time.
    fn person(at: u64, here: bool, farewell: bool) -> Sight {
        let mut person = Sight::default();
        (person.person, person.name, person.running) = (Some(1), "ann".to_owned(), here);
        person.come(0);
        if here {
            person.own.come(at);
        } else {
            person.online = false;
            person.own.go(farewell, at);
        }
        person
    }

    #[test]
    fn who_came_is_told_in_time_and_who_went_as_well() {
        let (here, nobody) = (reader(&[roster("ann", true, false)]), reader(&[]));
        assert_eq!(is_wrong(&here, &person(0, true, false), NOW), None);
        assert_eq!(is_wrong(&nobody, &person(0, true, false), NOW), Some("not there"));
        assert_eq!(is_wrong(&nobody, &person(NOW - TOLD, true, false), NOW), None);
        assert_eq!(is_wrong(&here, &person(NOW - LEFT - 1, false, true), NOW), Some("there"));
        assert_eq!(is_wrong(&here, &person(NOW - LEFT - 1, false, false), NOW), None);
        assert_eq!(is_wrong(&here, &person(NOW - GONE - 1, false, false), NOW), Some("there"));
        let gone = reader(&[roster("ann", true, false), roster("ann", false, false)]);
        assert_eq!(is_wrong(&gone, &person(NOW - GONE - 1, false, false), NOW), None);
    }

    #[test]
    fn names_and_who_is_away_are_told_in_time() {
        let mut ann = person(0, true, false);
        assert_eq!(is_wrong(&reader(&[roster("bob", true, false)]), &ann, NOW), Some("called otherwise"));
        // What a login left behind is not known.
        assert_eq!(is_wrong(&reader(&[roster("ann", true, true)]), &ann, NOW), None);
        ann.own.say_away(false, 0);
        assert_eq!(is_wrong(&reader(&[roster("ann", true, true)]), &ann, NOW), Some("away"));
        ann.own.say_away(true, 0);
        assert_eq!(is_wrong(&reader(&[roster("ann", true, false)]), &ann, NOW), Some("not away"));
        ann.own.say_away(true, NOW - 1);
        assert_eq!(is_wrong(&reader(&[roster("ann", true, false)]), &ann, NOW), None);
    }
}
