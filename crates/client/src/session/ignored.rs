//! People whose words are hidden, by name and, where known, by number, so that a new name does not help them.

use protocol::id::PersonId;
use protocol::name::NameKey;
use std::collections::{BTreeMap, BTreeSet};

/// The hidden people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ignored {
    names: BTreeMap<NameKey, String>,
    /// Numbers that such a name had in this history.
    people: BTreeSet<PersonId>,
}

impl Ignored {
    /// From the names that were kept.
    pub(crate) fn restore(names: Vec<String>) -> Self {
        let names = names.into_iter().map(|name| (NameKey::of(&name), name)).collect();
        Self { names, people: BTreeSet::new() }
    }

    /// Hides this name; whoever has it when they are next heard stays hidden under other names.
    pub(crate) fn add(&mut self, name: &str, person: Option<PersonId>) {
        self.names.insert(NameKey::of(name), name.to_owned());
        self.people.extend(person);
    }

    /// Shows this name again; whether it was hidden.
    pub(crate) fn remove(&mut self, name: &str, person: Option<PersonId>) -> bool {
        let by_number = person.is_some_and(|person| self.people.remove(&person));
        self.names.remove(&NameKey::of(name)).is_some() || by_number
    }

    /// Whether this person is hidden.
    pub(crate) fn hides(&mut self, person: Option<PersonId>, name: &str) -> bool {
        let Some(person) = person else {
            return false;
        };
        if self.names.contains_key(&NameKey::of(name)) {
            self.people.insert(person);
        }
        self.people.contains(&person)
    }

    /// Whether a line that came earlier is of somebody who is hidden now.
    pub(crate) fn is_of_hidden(&self, person: PersonId, name: &str) -> bool {
        self.people.contains(&person) || self.names.contains_key(&NameKey::of(name))
    }

    /// Numbers belong to one history.
    pub(crate) fn forget_numbers(&mut self) {
        self.people.clear();
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_does_not_bring_back_who_is_hidden() {
        let mut ignored = Ignored::restore(vec!["Eve".into()]);
        let eve = PersonId::new(7);
        assert!(ignored.hides(eve, "eve"));
        assert!(ignored.hides(eve, "mallory"));
        assert!(!ignored.hides(PersonId::new(8), "mallory"));
        assert!(!ignored.hides(None, "eve"));
        assert!(ignored.remove("eve", eve));
        assert!(!ignored.hides(eve, "eve"));
    }
}
