//! Who is in a room: a snapshot in pages, then what changes.

use protocol::id::PersonId;
use protocol::message::RosterItem;
use std::collections::BTreeMap;

/// What happened to a person in a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Came.
    Came,
    /// Left.
    Left,
    /// Goes by this name now.
    Renamed(String),
    /// Is away, and says this about it.
    Away(String),
    /// Is back.
    Back,
}

/// One page or delta, as [`protocol::message::ServerMsg::Roster`] has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    pub(crate) snapshot: bool,
    pub(crate) more: bool,
    pub(crate) online: u32,
    pub(crate) members: u32,
    pub(crate) people: Vec<RosterItem>,
}

/// What a page did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// More pages of the snapshot follow.
    Loading,
    /// The snapshot is complete.
    Loaded,
    /// These people changed, in order: who, by the name that others knew, and how.
    Changed(Vec<(PersonId, String, Change)>),
}

/// Who is in a room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    people: BTreeMap<PersonId, RosterItem>,
    loading: bool,
    /// Members that are online; more than `people` in a large room.
    pub(crate) online: u32,
    /// All members.
    pub(crate) members: u32,
}

impl Roster {
    /// Takes a page or delta.
    pub(crate) fn handle_page(&mut self, page: Page) -> Outcome {
        self.online = page.online;
        self.members = page.members;
        if page.snapshot {
            self.people.clear();
            self.loading = true;
        }
        let loading = self.loading;
        let changes = page.people.into_iter().flat_map(|item| self.take(item)).collect();
        self.loading = loading && page.more;
        match (loading, page.more) {
            (true, true) => Outcome::Loading,
            (true, false) => Outcome::Loaded,
            (false, _) => Outcome::Changed(changes),
        }
    }

    /// Whether it tells who is online: one of a large room only counts.
    pub(crate) fn has_names(&self) -> bool {
        !self.people.is_empty() || self.online == 0
    }

    /// Those who are online, by number.
    pub(crate) fn people(&self) -> impl Iterator<Item = &RosterItem> {
        self.people.values()
    }

    fn take(&mut self, item: RosterItem) -> Vec<(PersonId, String, Change)> {
        let person = item.person;
        let before = if item.presence.online {
            self.people.insert(person, item.clone())
        } else {
            self.people.remove(&person)
        };
        changes(before, item).into_iter().map(|(name, change)| (person, name, change)).collect()
    }
}

fn changes(before: Option<RosterItem>, item: RosterItem) -> Vec<(String, Change)> {
    let Some(before) = before else {
        return item.presence.online.then_some((item.name, Change::Came)).into_iter().collect();
    };
    let mut changes = Vec::new();
    if before.name != item.name {
        changes.push((before.name, Change::Renamed(item.name.clone())));
    }
    if !item.presence.online || (item.presence.errand && !before.presence.errand) {
        changes.push((item.name, Change::Left));
    } else if before.presence.errand && !item.presence.errand {
        changes.push((item.name, Change::Came));
    } else if item.presence.away && (!before.presence.away || before.away != item.away) {
        changes.push((item.name, Change::Away(item.away)));
    } else if before.presence.away && !item.presence.away {
        changes.push((item.name, Change::Back));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::message::Presence;

    fn item(person: u64, name: &str, online: bool, away: Option<&str>) -> RosterItem {
        RosterItem {
            person: PersonId::new(person).expect("tests count from 1"),
            name: name.into(),
            presence: Presence { online, away: away.is_some(), ..Presence::default() },
            away: away.unwrap_or_default().into(),
        }
    }

    fn page(snapshot: bool, more: bool, people: Vec<RosterItem>) -> Page {
        Page { snapshot, more, online: 0, members: 0, people }
    }

    fn loaded() -> Roster {
        let mut roster = Roster::default();
        assert_eq!(
            roster.handle_page(page(true, true, vec![item(1, "alice", true, None)])),
            Outcome::Loading
        );
        assert_eq!(roster.handle_page(page(false, false, vec![item(2, "bob", true, None)])), Outcome::Loaded);
        roster
    }

    fn check(delta: RosterItem, expected: &[(&str, Change)]) {
        let Outcome::Changed(changes) = loaded().handle_page(page(false, false, vec![delta])) else {
            panic!("a delta of a loaded roster changes it");
        };
        let changes: Vec<_> =
            changes.iter().map(|(_, name, change)| (name.as_str(), change.clone())).collect();
        assert_eq!(changes, expected);
    }

    #[test]
    fn a_delta_is_told_as_what_happened() {
        check(item(3, "carol", true, None), &[("carol", Change::Came)]);
        check(item(2, "bob", false, None), &[("bob", Change::Left)]);
        check(item(2, "robert", true, None), &[("bob", Change::Renamed("robert".into()))]);
        check(item(2, "bob", true, Some("lunch")), &[("bob", Change::Away("lunch".into()))]);
        check(item(2, "bob", true, None), &[]);
        check(item(9, "ghost", false, None), &[]);
    }

    #[test]
    fn a_new_snapshot_replaces_all_and_tells_nothing() {
        let mut roster = loaded();
        assert_eq!(
            roster.handle_page(page(true, false, vec![item(3, "carol", true, None)])),
            Outcome::Loaded
        );
        assert_eq!(roster.people().count(), 1);
    }
}
