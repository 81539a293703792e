//! Who is new: people whose numbers were first given out lately.
//!
//! Numbers only grow, so two of them are enough: nothing is kept for each person.

use crate::clock::Steady;
use protocol::id::PersonId;
use protocol::limits::rates::NEW_MS;

/// Up to which number people are known. Invariant: `known <= next`.
#[derive(Debug)]
pub(super) struct Known {
    known: Option<PersonId>,
    /// Those up to here are known from `at` on.
    next: Option<PersonId>,
    at: Steady,
}

impl Known {
    /// Everybody up to this number was there before the start.
    pub(super) fn up_to(last: Option<PersonId>, now: Steady) -> Self {
        Self { known: last, next: last, at: now.after(NEW_MS) }
    }

    /// Whether a person is new, where `last` is the largest number that was given out. Whoever has no number is.
    pub(super) fn is_new(&mut self, person: Option<PersonId>, last: Option<PersonId>, now: Steady) -> bool {
        if now >= self.at {
            (self.known, self.next, self.at) = (self.next, last, now.after(NEW_MS));
        }
        person.is_none() || person > self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_after_the_start_is_new_for_a_day_at_least() {
        let id = PersonId::new;
        let day = Steady(NEW_MS);
        let mut known = Known::up_to(id(7), Steady(0));
        assert!(!known.is_new(id(7), id(7), Steady(0)));
        assert!(known.is_new(None, id(7), Steady(0)));
        assert!(known.is_new(id(8), id(8), Steady(0)));
        assert!(known.is_new(id(8), id(8), day), "who came just before");
        assert!(known.is_new(id(9), id(9), day));
        assert!(!known.is_new(id(8), id(9), day.after(NEW_MS)));
        assert!(known.is_new(id(9), id(9), day.after(NEW_MS)));
    }
}
