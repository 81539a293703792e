//! How far a room has been read, and whether what comes next is new, a double, or behind a gap.

use protocol::id::Seq;

/// What an entry is to its reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The next one.
    Next,
    /// One that was read before.
    Double,
    /// Entries are missing in front of it, so many.
    Gap(u64),
}

/// The cursor of one room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cursor {
    /// The last entry that was received; `None` before the first. Meaningless until `placed`.
    seen: Option<Seq>,
    /// Whether it is known where to go on.
    placed: bool,
}

impl Cursor {
    /// A cursor that was kept: it goes on after `seen`.
    pub(crate) const fn at(seen: Option<Seq>) -> Self {
        Self { seen, placed: true }
    }

    /// Where to go on: after this entry, or from the oldest; the outer `None` if that is not known yet.
    pub(crate) fn position(&self) -> Option<Option<Seq>> {
        self.placed.then_some(self.seen)
    }

    /// The server set the cursor and will send `next` first. A cursor that knew its place keeps it, so that
    /// anything the server leaves out shows as a gap; but one before the first entry asks for the oldest, whichever
    /// that is by now. Returns how many entries are gone.
    pub(crate) fn handle_opened(&mut self, next: Seq) -> u64 {
        match (self.placed, self.seen) {
            (false, _) => {
                *self = Self::at(next.before());
                0
            }
            (true, None) => self.handle_trimmed(next),
            (true, Some(_)) => 0,
        }
    }

    /// The server said that history begins at `first`. Returns how many entries are gone.
    pub(crate) fn handle_trimmed(&mut self, first: Seq) -> u64 {
        let gone = first.value() - Seq::after(self.seen).value().min(first.value());
        *self = Self::at(first.before());
        gone
    }

    /// An entry came.
    pub(crate) fn handle_entry(&mut self, seq: Seq) -> Step {
        let expected = if self.placed { Seq::after(self.seen) } else { seq };
        if seq < expected {
            return Step::Double;
        }
        *self = Self::at(Some(seq));
        match seq.value() - expected.value() {
            0 => Step::Next,
            missing => Step::Gap(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(value: u64) -> Seq {
        Seq::new(value).expect("tests count from 1")
    }

    #[test]
    fn a_kept_cursor_takes_only_what_follows_it() {
        let mut cursor = Cursor::at(Some(seq(4)));
        cursor.handle_opened(seq(5));
        assert_eq!(cursor.handle_entry(seq(4)), Step::Double);
        assert_eq!(cursor.handle_entry(seq(5)), Step::Next);
        assert_eq!(cursor.handle_entry(seq(5)), Step::Double);
        assert_eq!(cursor.handle_entry(seq(9)), Step::Gap(3));
        assert_eq!(cursor.position(), Some(Some(seq(9))));
    }

    #[test]
    fn what_an_open_leaves_out_shows_as_a_gap() {
        let mut cursor = Cursor::at(Some(seq(4)));
        cursor.handle_opened(seq(8));
        assert_eq!(cursor.handle_entry(seq(8)), Step::Gap(3));
    }

    #[test]
    fn a_new_cursor_begins_where_the_server_says() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.position(), None);
        cursor.handle_opened(seq(81));
        assert_eq!(cursor.handle_entry(seq(81)), Step::Next);
        let mut empty = Cursor::default();
        empty.handle_opened(Seq::FIRST);
        assert_eq!(empty.position(), Some(None));
    }

    #[test]
    fn a_cursor_before_the_first_entry_begins_at_the_oldest_that_is_kept() {
        let mut cursor = Cursor::at(None);
        assert_eq!(cursor.handle_opened(seq(16)), 15);
        assert_eq!(cursor.handle_entry(seq(16)), Step::Next);
        assert_eq!(Cursor::at(None).handle_opened(Seq::FIRST), 0);
    }

    #[test]
    fn trimmed_history_is_no_gap() {
        let mut cursor = Cursor::at(Some(seq(4)));
        assert_eq!(cursor.handle_trimmed(seq(8)), 3);
        assert_eq!(cursor.handle_entry(seq(8)), Step::Next);
        assert_eq!(Cursor::at(Some(seq(20))).handle_trimmed(seq(1)), 0);
    }
}
