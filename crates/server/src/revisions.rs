//! The edits and deletes of one batch, by what they change: each entry is looked at once, however many there are.

use crate::store::NewEntry;
use protocol::entry::{Entry, EntryKind};
use protocol::id::Seq;
use std::collections::BTreeMap;

/// The last revision of each target. Those before it left no trace: an edit gives the whole body, and behind a delete
/// there is none.
#[derive(Debug, Default)]
pub struct Revisions<'a>(BTreeMap<Seq, &'a NewEntry>);

impl<'a> Revisions<'a> {
    /// Those of entries, of which each is an edit or a delete, in their order.
    pub fn of(entries: &'a [NewEntry]) -> Self {
        Self(entries.iter().filter_map(|entry| Some((entry.reply_to?, entry))).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the entries between these, both included, is a target.
    pub fn hits_any_of(&self, first: Seq, last: Seq) -> bool {
        self.0.range(first..=last).next().is_some()
    }

    /// Whether this entry is deleted.
    pub fn deletes(&self, target: Seq) -> bool {
        self.0.get(&target).is_some_and(|by| by.kind == EntryKind::Delete)
    }

    /// Changes an entry if it is a target, or an edit of one that is deleted. True if it is.
    pub fn revise(&self, entry: &mut Entry) -> bool {
        let of_edited = entry.reply_to.filter(|_| entry.kind == EntryKind::Edit);
        let by = self.0.get(&entry.seq).or_else(|| self.0.get(&of_edited?));
        by.is_some_and(|by| by.revise(entry))
    }
}
