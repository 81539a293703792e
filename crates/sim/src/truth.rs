//! What is durable: where each line stands in the log and what became of it, as the store itself knows it.

mod kept;
mod line;
mod members;
mod mentions;

pub(crate) use line::{Line, Version};
pub(crate) use members::Members;

use crate::record::A_DAY_MS;
use crate::trace::Token;
use mentions::Names;
use protocol::entry::{EntryKind, Revision};
use server::store::{Change, ErasureId, NewEntry};
use std::collections::BTreeMap;

/// The place of a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Spot {
    /// The history: 0 unless the store forgets at a crash.
    pub(crate) epoch: u32,
    /// The room's number.
    pub(crate) room: u64,
    /// The entry's number.
    pub(crate) seq: u64,
}

/// All lines that are durable.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    spots: BTreeMap<Token, Vec<Spot>>,
    /// The entries of each room of each history: entry `n` stands at `n - 1`.
    lines: BTreeMap<(u32, u64), Vec<Line>>,
    /// The oldest entry of a room that is kept, where that is not the first.
    oldest: BTreeMap<(u32, u64), u64>,
    /// When that changed last, in simulated microseconds.
    trimmed_at: BTreeMap<u64, u64>,
    /// Deleted entries, by room and number, whose texts have not left the disk.
    unerased: BTreeMap<(u64, u64), ErasureId>,
    /// Whether the server's clock has jumped so far that it may hide what is past its age by that clock.
    clock_jumped: bool,
    /// Who is in which room.
    pub(crate) members: Members,
    names: Names,
    epoch: u32,
    /// What the server calls this history.
    id: Option<[u8; 16]>,
    entries: u64,
}

impl Truth {
    /// One with entries in the first room, of which the first ones are not kept.
    #[cfg(test)]
    pub(crate) fn with_room(oldest: u64, head: u64) -> Self {
        let mut truth = Self::default();
        let post = Self::a_post();
        (1..=head).for_each(|seq| assert_eq!(truth.add(&post, seq, seq), None));
        truth.trim(1, oldest, 0);
        truth
    }

    /// Adds a line to the first room.
    #[cfg(test)]
    fn say(&mut self, body: &bytes::Bytes, at: u64) {
        let post = NewEntry { body: body.clone(), ..Self::a_post() };
        assert_eq!(self.add(&post, self.head(1) + 1, at), None);
    }

    #[cfg(test)]
    fn a_post() -> NewEntry {
        NewEntry {
            room: protocol::id::RoomId::FIRST,
            time: protocol::id::Millis(1),
            written: protocol::id::Millis(0),
            person: None,
            name: String::new(),
            origin: None,
            kind: EntryKind::System,
            reply_to: None,
            body: bytes::Bytes::new(),
            mentions: Vec::new(),
        }
    }

    /// An entry became durable. What is wrong with that, if something is.
    pub(crate) fn add(&mut self, post: &NewEntry, seq: u64, at: u64) -> Option<String> {
        let (epoch, room) = (self.epoch, post.room.value());
        let mut line = Line::new(post, at);
        line.named = self.named_by(&post.body, post.person, post.room, at);
        let token = line.token();
        self.entries += 1;
        if seq != self.head(room) + 1 {
            return Some(format!("entry {seq} of room {room} does not follow the one before it"));
        }
        if line.is_change() {
            self.change(&line, room, at);
        }
        self.lines.entry((epoch, room)).or_default().push(line);
        let token = token?;
        let mut spots = self.spots.remove(&token).unwrap_or_default();
        // A crash may take an upload that nobody has got, and its offer with it; then it is offered anew.
        let is_twice = spots.iter().any(|spot| !(token.is_offer() && self.is_gone(*spot)));
        spots.push(Spot { epoch, room, seq });
        let wrong = is_twice.then(|| format!("{token} is in the log twice: {spots:?}"));
        self.spots.insert(token, spots);
        wrong
    }

    fn is_gone(&self, Spot { epoch, room, seq }: Spot) -> bool {
        epoch < self.epoch || self.line(epoch, room, seq).is_some_and(Line::is_deleted)
    }

    /// Makes the change that an entry makes: to another one, and a delete to the edits of that one as well.
    fn change(&mut self, by: &Line, room: u64, at: u64) {
        let (target, lines) = (by.reply_to.unwrap_or(0), self.lines.entry((self.epoch, room)).or_default());
        let gone = Version { revision: Revision::Deleted, token: None };
        for (seq, line) in (1..).zip(lines.iter_mut()) {
            let is_edit = line.kind == EntryKind::Edit && line.reply_to == Some(target);
            match by.kind {
                EntryKind::Delete if seq == target || is_edit => line.revise(at, gone, 0),
                EntryKind::Edit if seq == target => {
                    let edited = Version { revision: Revision::Edited, token: by.token() };
                    line.revise(at, edited, by.bytes.1);
                }
                _ => {}
            }
        }
    }

    /// Why the store should not have taken this change of another entry, by its own rules.
    pub(crate) fn misplaced(&self, post: &NewEntry) -> Option<String> {
        let (room, target) = (post.room.value(), post.reply_to.map_or(0, protocol::id::Seq::value));
        let Some(line) = self.line(self.epoch, room, target).filter(|_| target >= self.oldest(room)) else {
            return Some(format!("changes entry {target} of room {room}, which is not there"));
        };
        let by_server = post.person.is_none() && line.kind == EntryKind::FileOffer;
        if line.person != post.person.map(protocol::id::PersonId::value) && !by_server {
            return Some(format!("changes entry {target} of room {room}, which somebody else wrote"));
        }
        line.is_deleted().then(|| format!("changes entry {target} of room {room}, which is deleted"))
    }

    /// An entry was deleted, and its text leaves the disk with this erasure.
    pub(crate) fn begin_erasure(&mut self, erasure: ErasureId, room: u64, seq: u64) {
        self.unerased.insert((room, seq), erasure);
    }

    /// These deleted texts have left the disk, and all before them.
    pub(crate) fn end_erasures(&mut self, last: ErasureId) {
        self.unerased.retain(|_, erasure| *erasure > last);
    }

    /// Whether the text of a deleted entry is still on the disk.
    pub(crate) fn is_unerased(&self, room: u64, seq: u64) -> bool {
        self.unerased.contains_key(&(room, seq))
    }

    /// A room begins later from here on.
    pub(crate) fn trim(&mut self, room: u64, first: u64, at: u64) {
        self.oldest.insert((self.epoch, room), first);
        self.trimmed_at.insert(room, at);
    }

    /// The server begins, and calls its history so: if that is another one than before, everything is lost.
    pub(crate) fn begin(&mut self, id: [u8; 16]) {
        if self.id.replace(id).is_some_and(|known| known != id) {
            self.epoch += 1;
            self.members.forget();
            self.names = Names::default();
        }
    }

    /// A change became durable: what is wrong with that, if something is.
    pub(crate) fn take_change(&mut self, change: &Change, at: u64) -> Option<String> {
        self.names.take(change, at);
        self.members.take(change, at)
    }

    /// Whether the server calls the history of now so.
    pub(crate) fn is_now(&self, id: [u8; 16]) -> bool {
        self.id == Some(id)
    }

    /// The entries of a room in the present history, with their numbers.
    pub(crate) fn room(
        &self,
        room: u64,
    ) -> impl DoubleEndedIterator<Item = (u64, &Line)> + ExactSizeIterator {
        self.range(room, 0, u64::MAX)
    }

    /// Those after one entry and before another.
    pub(crate) fn range(
        &self,
        room: u64,
        after: u64,
        before: u64,
    ) -> impl DoubleEndedIterator<Item = (u64, &Line)> + ExactSizeIterator {
        let lines = self.lines.get(&(self.epoch, room)).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(lines.len());
        let to = usize::try_from(before.saturating_sub(1)).unwrap_or(usize::MAX).clamp(from, lines.len());
        lines[from..to].iter().enumerate().map(move |(at, line)| ((from + at) as u64 + 1, line))
    }

    /// The rooms of the present history in which something was said.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = u64> {
        self.lines.keys().filter(|(epoch, _)| *epoch == self.epoch).map(|(_, room)| *room)
    }

    /// The entry with this number.
    pub(crate) fn line(&self, epoch: u32, room: u64, seq: u64) -> Option<&Line> {
        let at = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.lines.get(&(epoch, room))?.get(at)
    }

    /// The first of the entries from `from` on and before `to` that is shown to everybody: it may not be left out.
    pub(crate) fn first_shown(&self, epoch: u32, room: u64, from: u64, to: u64) -> Option<u64> {
        (from..to).find(|seq| self.line(epoch, room, *seq).is_none_or(|line| !line.is_change()))
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Whether a line is, or ever was, in the log.
    pub(crate) fn has(&self, token: Token) -> bool {
        self.spots.contains_key(&token)
    }

    /// Where a line stands.
    pub(crate) fn spot(&self, token: Token) -> Option<Spot> {
        self.spots(token).last().copied()
    }

    /// Where a line stands and has stood, the oldest first: an offer may be made anew.
    pub(crate) fn spots(&self, token: Token) -> &[Spot] {
        self.spots.get(&token).map_or(&[], Vec::as_slice)
    }

    /// The newest entry of a room in the present history.
    pub(crate) fn head(&self, room: u64) -> u64 {
        self.lines.get(&(self.epoch, room)).map_or(0, |lines| lines.len() as u64)
    }

    /// The newest entry of a room that is shown to everybody.
    pub(crate) fn last_shown(&self, room: u64) -> u64 {
        self.room(room).rfind(|(_, line)| !line.is_change()).map_or(0, |(seq, _)| seq)
    }

    /// The oldest entry of a room that is kept in the present history.
    pub(crate) fn oldest(&self, room: u64) -> u64 {
        self.oldest.get(&(self.epoch, room)).copied().unwrap_or(1)
    }

    /// The last number that a room may be said to begin at: where it does, but a clock that jumped hides all that is
    /// past its age up to the newest entry. What is hidden then is not judged.
    pub(crate) fn last_beginning(&self, room: u64) -> u64 {
        if self.clock_jumped { self.head(room).max(1) } else { self.oldest(room) }
    }

    /// Whether entries that are kept may be hidden.
    pub(crate) fn may_hide(&self) -> bool {
        self.clock_jumped
    }

    /// The wall clock of a server that forgets what is past its age is off by so many ms from now on.
    pub(crate) fn note_clock(&mut self, off_ms: i64) {
        self.clock_jumped |= off_ms.unsigned_abs() >= A_DAY_MS;
    }
}
