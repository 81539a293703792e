//! Entries of a room some of which may be damaged: looked for from both sides and one by one, so that a bad row, or a
//! bad page, hides as few others as it can.

use super::entry::{self, Kept, NEWEST_BEFORE, OLDEST_AFTER, OLDEST_FIRST};
use super::fault::{Fault, unless_damaged};
use super::number::key_of;
use protocol::id::{Millis, RoomId, Seq};
use rusqlite::{Connection, Params, params};

/// Rows on each side of those that are wanted which a walk past damage may see first.
const MARGIN: u64 = 64;

/// Numbers that are looked at in one go for a sound entry near a damaged one.
const NEAR: u64 = 64;

/// The entries from one number to before another, in order: `None` for one that is missing or is not what was written.
pub(super) fn slots(db: &Connection, room: RoomId, from: u64, to: u64) -> Result<Vec<Option<Kept>>, Fault> {
    let wanted = to.saturating_sub(from);
    let len = usize::try_from(wanted).unwrap_or(usize::MAX);
    let mut slots = Slots { room, from, found: vec![None; len] };
    slots.walk(db, OLDEST_FIRST, params![key_of(room, from), key_of(room, to) - 1])?;
    if slots.is_full() {
        return Ok(slots.found);
    }
    // A key that is wrong, or a page that can't be read, ends a walk too early: these come from outside, from either
    // side, and do not mind what they see on their way.
    let rows = super::number::int(wanted + 2 * MARGIN);
    slots.walk(db, OLDEST_AFTER, params![key_of(room, from.saturating_sub(MARGIN)), rows])?;
    slots.walk(db, NEWEST_BEFORE, params![key_of(room, to + MARGIN), rows])?;
    slots.find_the_rest(db)?;
    Ok(slots.found)
}

/// The first sound entry from one number to before another.
pub(super) fn first_sound(db: &Connection, room: RoomId, from: u64, to: u64) -> Result<Option<Kept>, Fault> {
    if from < to
        && let Some(seq) = Seq::new(from)
        && let Some(Some(kept)) = unless_damaged(entry::find(db, room, seq))?
    {
        return Ok(Some(kept));
    }
    let mut at = from;
    while at < to {
        let end = to.min(at + NEAR);
        if let Some(kept) = slots(db, room, at, end)?.into_iter().flatten().next() {
            return Ok(Some(kept));
        }
        at = end;
    }
    Ok(None)
}

/// The time that a damaged entry is shown with: that of the next older one, else of the next younger one, so that
/// times never fall. The room keeps the entries from `first` to before `end`.
pub(super) fn time_of_damaged(
    db: &Connection,
    room: RoomId,
    seq: u64,
    first: u64,
    end: u64,
) -> Result<Option<Millis>, Fault> {
    let mut at = seq;
    while at > first {
        let from = at.saturating_sub(NEAR).max(first);
        if let Some(kept) = slots(db, room, from, at)?.into_iter().flatten().next_back() {
            return Ok(Some(kept.entry.time));
        }
        at = from;
    }
    Ok(first_sound(db, room, seq + 1, end)?.map(|kept| kept.entry.time))
}

struct Slots {
    room: RoomId,
    from: u64,
    found: Vec<Option<Kept>>,
}

impl Slots {
    fn is_full(&self) -> bool {
        self.found.iter().all(Option::is_some)
    }

    /// Takes what a walk comes by, until it ends or can't go on.
    fn walk(&mut self, db: &Connection, sql: &str, params: impl Params) -> Result<(), Fault> {
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(Some(row)) = unless_damaged(rows.next().map_err(Fault::from))? {
            if let Some(kept) = unless_damaged(entry::read(row))? {
                self.put(kept);
            }
        }
        Ok(())
    }

    fn find_the_rest(&mut self, db: &Connection) -> Result<(), Fault> {
        for (number, slot) in (self.from..).zip(&mut self.found) {
            if slot.is_none()
                && let Some(seq) = Seq::new(number)
            {
                *slot = unless_damaged(entry::find(db, self.room, seq))?.flatten();
            }
        }
        Ok(())
    }

    fn put(&mut self, kept: Kept) {
        let at = kept.entry.seq.value().checked_sub(self.from).and_then(|at| usize::try_from(at).ok());
        if kept.room == self.room
            && let Some(slot) = at.and_then(|at| self.found.get_mut(at))
        {
            *slot = Some(kept);
        }
    }
}
