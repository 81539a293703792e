//! Our numbers as SQLite knows them: signed ones of 64 bits.

use super::fault::Fault;
use protocol::id::{RoomId, Seq};
use rusqlite::Row;

/// Bits of an entry's key that hold its number in the room: a trillion entries.
const SEQ_BITS: u32 = 40;

/// As SQLite wants it. What our types hold is below 2⁶³; times of a clock gone mad are cut there.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Where the row of an entry is: rooms follow each other, and in a room the entries do.
///
/// So a page of history is one short walk, and a time is found by halving.
pub(super) fn key(room: RoomId, seq: Seq) -> i64 {
    key_of(room, seq.value())
}

/// The same for a number that may be 0, or one past the last.
pub(super) fn key_of(room: RoomId, seq: u64) -> i64 {
    let most = (1 << SEQ_BITS) - 1;
    int(room.value()).saturating_mul(1 << SEQ_BITS).saturating_add(int(seq.min(most)))
}

/// The room and the number of a key.
pub(super) fn place_of(key: i64) -> Result<(RoomId, Seq), Fault> {
    let value = u64::try_from(key).unwrap_or_default();
    let room = RoomId::new(value >> SEQ_BITS);
    let seq = Seq::new(value & ((1 << SEQ_BITS) - 1));
    room.zip(seq).ok_or_else(|| Fault::damaged(format!("an entry has the key {key}")))
}

/// Whether a room's number fits into a key.
pub(super) fn fits(room: RoomId) -> bool {
    room.value() < 1 << (62 - SEQ_BITS)
}

/// A number of ours out of a column that is not null.
pub(super) fn number<T>(row: &Row<'_>, column: usize, new: fn(u64) -> Option<T>) -> Result<T, Fault> {
    let value = row.get::<_, i64>(column)?;
    let number = u64::try_from(value).ok().and_then(new);
    number.ok_or_else(|| Fault::damaged(format!("the number {value} is out of range")))
}

/// The same where 0 or null stands for none.
pub(super) fn maybe<T>(row: &Row<'_>, column: usize, new: fn(u64) -> Option<T>) -> Result<Option<T>, Fault> {
    match row.get::<_, Option<i64>>(column)? {
        None | Some(0) => Ok(None),
        Some(_) => number(row, column, new).map(Some),
    }
}

/// A count or a time.
pub(super) fn count(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    let value = row.get::<_, i64>(column)?;
    u64::try_from(value).map_err(|_| Fault::damaged(format!("the count {value} is out of range")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_rooms_and_of_entries_in_each() {
        let (a, b) = (RoomId::new(7).unwrap(), RoomId::new(8).unwrap());
        let last = Seq::new((1 << SEQ_BITS) - 1).unwrap();
        assert!(key(a, Seq::FIRST) < key(a, Seq::FIRST.next()));
        assert!(key(a, last) < key(b, Seq::FIRST));
        assert_eq!(place_of(key(a, last)).unwrap(), (a, last));
        assert!(place_of(0).is_err() && place_of(-1).is_err());
        assert!(fits(b) && !fits(RoomId::new(1 << 30).unwrap()));
    }
}
