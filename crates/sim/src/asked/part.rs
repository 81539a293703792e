//! Whether a page of history is all that was asked for, as the log had it since then.

use crate::truth::Truth;
use protocol::id::RoomId;
use protocol::message::{Found, Range};

/// Bytes of bodies below which a page that is not full is not cut by the size of a frame.
const SMALL_PAGE: usize = 24 * 1024;

/// A question for a part of a history.
#[derive(Clone, Debug)]
pub(super) struct Part {
    room: RoomId,
    range: Range,
    limit: usize,
    /// The oldest and the newest entry when it was asked for.
    oldest: u64,
    head: u64,
}

impl Part {
    pub(super) fn new(room: RoomId, range: &Range, limit: u16, truth: &Truth) -> Self {
        let (oldest, head) = (truth.oldest(room.value()), truth.head(room.value()));
        Self { room, range: range.clone(), limit: usize::from(limit), oldest, head }
    }

    /// What is wrong with this answer, if something is.
    pub(super) fn wrong(&self, found: &[Found], more: bool, truth: &Truth) -> Option<String> {
        if truth.may_hide() {
            return None;
        }
        let seqs: Vec<u64> = found.iter().map(|found| found.entry.seq.value()).collect();
        let bytes: usize = found.iter().map(|found| found.entry.body.len()).sum();
        if seqs.len() > self.limit || seqs.windows(2).any(|pair| pair[1] != pair[0] + 1) {
            return Some(self.told("has a gap or is too long", &seqs, more));
        }
        if more && seqs.len() < self.limit && bytes < SMALL_PAGE {
            return Some(self.told("is cut without need", &seqs, more));
        }
        let is_right = self.reaches(&seqs, more, truth);
        (!is_right).then(|| self.told("is not what was asked for", &seqs, more))
    }

    /// Whether these entries are where they were asked for, and go as far as they say.
    fn reaches(&self, seqs: &[u64], more: bool, truth: &Truth) -> bool {
        match self.range {
            Range::Latest => self.ends_behind(self.head, seqs, more, truth),
            Range::Before { seq } => self.ends_behind(self.head.min(seq.value() - 1), seqs, more, truth),
            Range::After { seq } => self.begins_at(seq.map_or(1, |seq| seq.value() + 1), seqs, more, truth),
            // What is around an entry, or since a time, is judged by the entries alone.
            _ => true,
        }
    }

    /// Whether it goes from this entry or a later one back as far as it says.
    fn ends_behind(&self, last: u64, seqs: &[u64], more: bool, truth: &Truth) -> bool {
        match (seqs.first(), seqs.last()) {
            (Some(first), Some(end)) => {
                let reaches = if let Range::Before { .. } = self.range { *end == last } else { *end >= last };
                reaches && if more { *first > self.oldest } else { *first <= truth.oldest(self.room.value()) }
            }
            // All of it may have been trimmed meanwhile.
            _ => !more && (last < truth.oldest(self.room.value()) || last == 0),
        }
    }

    /// Whether it goes from this entry on as far as it says.
    fn begins_at(&self, from: u64, seqs: &[u64], more: bool, truth: &Truth) -> bool {
        let (oldest, head) = (truth.oldest(self.room.value()), truth.head(self.room.value()));
        match (seqs.first(), seqs.last()) {
            (Some(first), Some(end)) => {
                let begins = (from.max(self.oldest)..=from.max(oldest)).contains(first);
                begins && if more { *end < head } else { *end >= self.head }
            }
            _ => !more && from > self.head,
        }
    }

    fn told(&self, what: &str, seqs: &[u64], more: bool) -> String {
        let ends = seqs.first().zip(seqs.last());
        format!(
            "the page {ends:?} of {} entries (more: {more}) {what}: {:?} of {}, at most {}, which had {} to {}",
            seqs.len(),
            self.range,
            self.room,
            self.limit,
            self.oldest,
            self.head
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::Seq;

    fn part(range: Range, (oldest, head): (u64, u64)) -> Part {
        Part { room: RoomId::FIRST, range, limit: 3, oldest, head }
    }

    /// Whether these entries are a right answer, of a log that has not changed.
    fn is_right(part: &Part, seqs: &[u64], more: bool) -> bool {
        part.reaches(seqs, more, &Truth::with_room(part.oldest, part.head))
    }

    #[test]
    fn a_page_reaches_what_it_claims() {
        let latest = part(Range::Latest, (2, 9));
        assert!(is_right(&latest, &[7, 8, 9], true) && !is_right(&latest, &[7, 8, 9], false));
        assert!(!is_right(&latest, &[6, 7, 8], true) && !is_right(&latest, &[], false));
        let before = part(Range::Before { seq: Seq::new(4).unwrap() }, (2, 9));
        assert!(is_right(&before, &[2, 3], false) && !is_right(&before, &[2, 3], true));
        assert!(!is_right(&before, &[2], false));
        let after = part(Range::After { seq: Seq::new(4) }, (2, 9));
        assert!(is_right(&after, &[5, 6, 7], true) && !is_right(&after, &[5, 6, 7], false));
        assert!(
            !is_right(&after, &[6, 7, 8], true)
                && is_right(&part(Range::After { seq: Seq::new(9) }, (2, 9)), &[], false)
        );
        let early = part(Range::After { seq: None }, (2, 9));
        assert!(is_right(&early, &[2, 3, 4], true) && !is_right(&early, &[1, 2, 3], true));
    }
}
