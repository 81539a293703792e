//! What was said in a room lately: for quotes, to find the line that a change is about, and to look for words in it
//! without a connection.

use super::event::Quoted;
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{Millis, PersonId, Seq};
use protocol::search_terms::Words;
use std::collections::VecDeque;

/// Entries of each room that are remembered.
const KEPT: usize = 200;

/// Bytes of text that are remembered of a room: of older lines only the quote is.
const KEPT_BYTES: usize = 256 * 1024;

/// Characters of a quote.
const QUOTE: usize = 40;

/// A line that is remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    pub(crate) seq: Seq,
    pub(crate) person: PersonId,
    /// Its author and its beginning as it is now.
    pub(crate) quoted: Quoted,
    /// All of it, as it is now; empty if it is deleted or too old.
    pub(crate) text: String,
    pub(crate) revision: Revision,
    /// The entry that it answers.
    pub(crate) reply_to: Option<Seq>,
    /// Whether it names me.
    pub(crate) mention: bool,
    pub(crate) deleted: bool,
    /// It came with all changes up to this entry in it.
    as_of: Option<Seq>,
}

/// What an entry is beside what was shown before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum News {
    /// Something of its own.
    New,
    /// A change of this line, as it was before.
    Changed(Line),
    /// A change of a line that is not remembered.
    Elsewhere,
    /// A change that the line came with.
    Known,
}

/// The last lines of a room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    lines: VecDeque<Line>,
    /// Bytes of the texts of all lines. Invariant: at most [`KEPT_BYTES`] when no line is being taken in.
    bytes: usize,
}

impl Recent {
    /// Takes an entry in. `head` is the newest one that is known; `mention` whether this one names me.
    pub(crate) fn handle_entry(&mut self, entry: &Entry, head: Option<Seq>, mention: bool) -> News {
        match entry.kind {
            EntryKind::Edit | EntryKind::Delete => self.change(entry, mention),
            EntryKind::Text | EntryKind::Action | EntryKind::FileOffer | EntryKind::File => {
                self.add(entry, head, mention);
                News::New
            }
            _ => News::New,
        }
    }

    fn add(&mut self, entry: &Entry, head: Option<Seq>, mention: bool) {
        let Some(person) = entry.person else {
            return;
        };
        if self.lines.len() == KEPT
            && let Some(gone) = self.lines.pop_front()
        {
            self.bytes -= gone.text.len();
        }
        let text = words(entry);
        let quoted =
            Quoted { name: entry.name.clone(), text: shorten(&text), time: entry.time, kind: entry.kind };
        let changed = entry.revision != Revision::Original;
        self.lines.push_back(Line {
            seq: entry.seq,
            person,
            quoted,
            text: String::new(),
            revision: entry.revision,
            reply_to: entry.reply_to,
            mention,
            deleted: entry.revision == Revision::Deleted,
            as_of: head.max(Some(entry.seq)).filter(|_| changed),
        });
        let deleted = entry.revision == Revision::Deleted;
        self.keep_text(self.lines.len() - 1, if deleted { String::new() } else { text });
    }

    /// The text of a line, for which those of the oldest make room.
    fn keep_text(&mut self, at: usize, text: String) {
        self.bytes = self.bytes - self.lines[at].text.len() + text.len();
        self.lines[at].text = text;
        let mut oldest = self.lines.iter_mut();
        while self.bytes > KEPT_BYTES
            && let Some(line) = oldest.next()
        {
            self.bytes -= std::mem::take(&mut line.text).len();
        }
    }

    /// The lines around the one with this number, oldest first; none if that one is not remembered.
    pub(crate) fn around(&self, seq: Seq, count: usize) -> impl Iterator<Item = &Line> {
        let at = self.lines.iter().position(|line| line.seq == seq);
        let first = at.unwrap_or(self.lines.len()).saturating_sub(count / 2);
        self.lines.iter().skip(first).take(if at.is_some() { count } else { 0 })
    }

    /// The newest lines since this time, oldest first.
    pub(crate) fn latest(&self, count: usize, since: Millis) -> impl Iterator<Item = &Line> {
        let first = self.lines.len().saturating_sub(count);
        self.lines.iter().skip(first).filter(move |line| line.quoted.time >= since)
    }

    /// The lines with all of these words, oldest first.
    pub(crate) fn search(&self, words: &Words) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| is_searched(line.quoted.kind) && words.match_text(&line.text))
    }

    fn change(&mut self, entry: &Entry, mention: bool) -> News {
        let target = entry.reply_to;
        let Some(at) = self.lines.iter().position(|line| Some(line.seq) == target) else {
            return if entry.revision == Revision::Deleted { News::Known } else { News::Elsewhere };
        };
        let line = &mut self.lines[at];
        if line.deleted || entry.revision == Revision::Deleted || line.as_of >= Some(entry.seq) {
            return News::Known;
        }
        let before = line.clone();
        line.deleted = entry.kind == EntryKind::Delete;
        line.mention = mention;
        let text = words(entry);
        line.quoted.text = shorten(&text);
        line.revision = if line.deleted { Revision::Deleted } else { Revision::Edited };
        let text = if line.deleted { String::new() } else { text };
        self.keep_text(at, text);
        News::Changed(before)
    }

    /// The line with this number.
    pub(crate) fn find(&self, seq: Seq) -> Option<&Line> {
        self.lines.iter().find(|line| line.seq == seq)
    }

    /// Who said this line, and how it begins now.
    pub(crate) fn quote(&self, seq: Seq) -> Option<Quoted> {
        self.find(seq).map(|line| line.quoted.clone())
    }

    /// The last line that is still there and by somebody else.
    pub(crate) fn last_of_others(&self, me: Option<PersonId>) -> Option<Seq> {
        self.last(|line| Some(line.person) != me)
    }

    /// The last line of mine that is still there, of such a kind.
    pub(crate) fn last_of_mine(&self, me: Option<PersonId>, kind: impl Fn(EntryKind) -> bool) -> Option<Seq> {
        self.last(|line| Some(line.person) == me && kind(line.quoted.kind))
    }

    fn last(&self, wanted: impl Fn(&Line) -> bool) -> Option<Seq> {
        self.lines.iter().rev().find(|line| !line.deleted && wanted(line)).map(|line| line.seq)
    }
}

/// Whether searches look at such lines, as the server does.
fn is_searched(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Text | EntryKind::Action | EntryKind::File)
}

/// What an entry says, for people.
fn words(entry: &Entry) -> String {
    match entry.kind {
        _ if entry.revision == Revision::Deleted || entry.kind == EntryKind::Delete => "(deleted)".into(),
        _ => super::entries::words(entry),
    }
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(QUOTE) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None if line.len() < text.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::scripted::{entry, seq};
    use super::*;

    fn change(at: u64, kind: EntryKind, target: u64, text: &str) -> Entry {
        Entry { kind, reply_to: Some(seq(target)), ..entry(at, text, None) }
    }

    fn text(recent: &Recent, at: u64) -> String {
        recent.quote(seq(at)).expect("remembered").text
    }

    #[test]
    fn a_quote_is_short_and_says_that_it_is_cut() {
        assert_eq!(shorten("hi"), "hi");
        assert_eq!(shorten("one\ntwo"), "one…");
        assert_eq!(shorten(&"ä".repeat(50)).chars().count(), 41);
    }

    #[test]
    fn a_quote_follows_what_becomes_of_its_line() {
        let mut recent = Recent::default();
        recent.handle_entry(&entry(1, "teh", None), None, false);
        let edit = change(2, EntryKind::Edit, 1, "the");
        let news = recent.handle_entry(&edit, None, true);
        assert!(
            matches!(&news, News::Changed(line) if line.quoted.text == "teh" && !line.mention),
            "{news:?}"
        );
        assert_eq!(text(&recent, 1), "the");
        assert!(recent.find(seq(1)).expect("remembered").mention);
        let delete = change(3, EntryKind::Delete, 1, "");
        assert!(matches!(recent.handle_entry(&delete, None, false), News::Changed(_)));
        assert_eq!(text(&recent, 1), "(deleted)");
        assert_eq!(recent.last_of_others(None), None);
        assert_eq!(recent.handle_entry(&delete, None, false), News::Known);
    }

    #[test]
    fn what_a_line_came_with_is_no_news() {
        let mut recent = Recent::default();
        let edited = Entry { revision: Revision::Edited, ..entry(1, "third", None) };
        recent.handle_entry(&edited, Some(seq(4)), false);
        for (at, text) in [(2, "second"), (4, "third")] {
            let edit = change(at, EntryKind::Edit, 1, text);
            assert_eq!(recent.handle_entry(&edit, Some(seq(4)), false), News::Known);
        }
        let later = change(5, EntryKind::Edit, 1, "fourth");
        assert!(matches!(recent.handle_entry(&later, Some(seq(5)), false), News::Changed(_)));
        assert_eq!(text(&recent, 1), "fourth");
    }

    #[test]
    fn a_change_of_what_is_forgotten_is_told_unless_it_is_gone_too() {
        let mut recent = Recent::default();
        let edit = change(900, EntryKind::Edit, 1, "new");
        assert_eq!(recent.handle_entry(&edit, None, false), News::Elsewhere);
        let gone = Entry { revision: Revision::Deleted, ..edit };
        assert_eq!(recent.handle_entry(&gone, None, false), News::Known);
    }
}
