//! What is asked of a store, and what it answers.

use protocol::entry::Entry;
use protocol::id::{RoomId, Seq};
use protocol::message::Found;

/// Entries that were read, in order and without a gap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The oldest entry that is kept; one more than the newest if there is none.
    pub oldest: Seq,
    /// Whether there are more in the direction of the request.
    pub more: bool,
}

/// How many entries of `Around` are taken before its entry, and how many from it on, where so many bytes are to
/// be kept to: the nearest ones, one from each side in turns, the asked one first.
///
/// Both sides are weights, nearest first, of as many entries as the limit leaves them: half of it before the
/// asked one, the rest from it on.
pub fn nearest(
    mut before: impl Iterator<Item = usize>,
    mut after: impl Iterator<Item = usize>,
    bytes: usize,
) -> (usize, usize) {
    let (mut total, mut taken) = (0, [0, 0]);
    let mut open = [true, true];
    while open[0] || open[1] {
        for side in [1, 0] {
            let next = match side {
                _ if !open[side] => None,
                0 => before.next(),
                _ => after.next(),
            };
            let is_first = taken == [0, 0];
            match next {
                Some(weight) if is_first || total + weight <= bytes => {
                    total += weight;
                    taken[side] += 1;
                }
                _ => open[side] = false,
            }
        }
    }
    (taken[0], taken[1])
}

/// Entries with all of these words, newest first: those that were stored last, whichever room they are in.
///
/// What the words match is told at [`Words`](super::Words), what of an entry is looked at by
/// [`searchable`](super::searchable).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// Where to look. Empty: nowhere.
    pub rooms: Vec<RoomId>,
    /// The words, as a person typed them.
    pub words: String,
    /// Only entries stored before this one, whatever room it is in. Nothing is found if it is not kept.
    pub before: Option<(RoomId, Seq)>,
    /// At most so many.
    pub limit: usize,
    /// Of about at most so many bytes; at least one, if there is one.
    pub bytes: usize,
    /// The search ends after about so many ms of a processor's time with what was found by then.
    pub ms: u64,
    /// Whether everything else comes first.
    pub comes_last: bool,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hits {
    /// The entries, newest first.
    pub found: Vec<Found>,
    /// Whether there are more behind the last one.
    pub more: bool,
    /// Whether the time was over: there may be more then. What was found comes before it, as always.
    pub cut: bool,
}

impl Hits {
    /// What was found when the time was over.
    #[must_use]
    pub fn cut(self) -> Self {
        Self { more: true, cut: true, ..self }
    }
}
