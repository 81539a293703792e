//! Where something is said: a room, or the conversation with one person, by name.

use protocol::name::NameKey;
use std::fmt;

/// A room or a person, by name. Numbers belong to one history; names outlive it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// A room that anyone may join.
    Room(String),
    /// The room of two: me and this person.
    Person(String),
}

impl Place {
    /// The name without its sign.
    pub fn name(&self) -> &str {
        match self {
            Self::Room(name) | Self::Person(name) => name,
        }
    }

    /// Whether both are the same place, however they are spelled.
    pub fn is(&self, other: &Self) -> bool {
        matches!(self, Self::Room(_)) == matches!(other, Self::Room(_))
            && NameKey::of(self.name()) == NameKey::of(other.name())
    }

    /// Reads `#room` or `@person`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_at_checked(1)? {
            ("#", name) => Some(Self::Room(name.to_owned())),
            ("@", name) => Some(Self::Person(name.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(name) => write!(f, "#{name}"),
            Self::Person(name) => write!(f, "@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_what_it_shows() {
        for place in [Place::Room("dev".into()), Place::Person("bob".into())] {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
        assert_eq!(Place::parse("dev"), None);
        assert_eq!(Place::parse("é"), None);
    }

    #[test]
    fn places_are_compared_as_people_read_them() {
        assert!(Place::Room("Dev".into()).is(&Place::Room("dev".into())));
        assert!(!Place::Room("dev".into()).is(&Place::Person("dev".into())));
    }
}
