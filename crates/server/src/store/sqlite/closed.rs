//! What is closed because its row is damaged: it is told apart from what never was, and nobody else is given it.

use super::fault::{Fault, unless_damaged};
use super::head::Head;
use super::load::Members;
use super::number::{key_of, place_of};
use super::slots::first_sound;
use super::survey::{Survey, bytes_in, number_in, text_in};
use super::table::{DEVICE, HEAD, PERSON, ROOM};
use super::trim;
use crate::store::{Closed, ClosedPerson, ClosedRoom, CredentialHash, RoomShape, StoredRoom};
use protocol::id::{DeviceId, Millis, PersonId, RoomId, Seq};
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};

/// What can be told of rows that are damaged. `rooms` are those whose rows are sound.
pub(super) fn find(
    rows: &Survey,
    rooms: &BTreeSet<RoomId>,
    heads: &BTreeMap<RoomId, Head>,
    members: &Members,
) -> Closed {
    let people = rows.damaged_of(&PERSON).map(|row| ClosedPerson {
        person: number_in(row, 0, PersonId::new),
        name: text_in(row, 1),
        credential: bytes_in(row, 2).map(CredentialHash),
    });
    let devices = rows.damaged_of(&DEVICE).filter_map(|row| bytes_in(row, 1).map(DeviceId));
    let mut closed = Closed { people: people.collect(), devices: devices.collect(), rooms: BTreeMap::new() };
    for row in rows.damaged_of(&ROOM) {
        let shape =
            match (text_in(row, 1), number_in(row, 2, PersonId::new), number_in(row, 3, PersonId::new)) {
                (Some(name), ..) => Some(RoomShape::Public { name }),
                (None, Some(low), Some(high)) => Some(RoomShape::Direct(low, high)),
                _ => None,
            };
        let number = number_in(row, 0, RoomId::new).filter(|room| !rooms.contains(room));
        closed.rooms.extend(number.map(|room| (room, ClosedRoom { shape, members: BTreeSet::new() })));
    }
    if rows.lacks(&ROOM) {
        // The number itself may be what is damaged.
        for room in heads.keys().chain(members.keys()).filter(|room| !rooms.contains(room)) {
            closed.rooms.entry(*room).or_default();
        }
    }
    for (room, found) in &mut closed.rooms {
        found.members = members.get(room).into_iter().flat_map(BTreeMap::keys).copied().collect();
    }
    closed
}

/// Finds out where logs begin and end whose rows that say so are damaged, if all rooms that there are had so many entries
/// together. Tells the rooms of which that can't be known:
/// another entry would be given a number that was used.
pub(super) fn find_heads(
    db: &Connection,
    rows: &Survey,
    places: u64,
    rooms: &BTreeSet<RoomId>,
    heads: &mut BTreeMap<RoomId, Head>,
) -> Result<BTreeSet<RoomId>, Fault> {
    if !rows.lacks(&HEAD) {
        return Ok(BTreeSet::new());
    }
    // The numbers of each room have no gap, so the entries that were ever stored are those of all heads together.
    let known: u64 = heads.values().map(|head| head.last.map_or(0, Seq::value)).sum();
    let numbered = rows.damaged_of(&HEAD).filter_map(|row| number_in(row, 0, RoomId::new));
    let missing: BTreeSet<_> =
        rooms.iter().copied().chain(numbered).filter(|room| !heads.contains_key(room)).collect();
    let mut found = BTreeMap::new();
    for room in missing {
        found.extend(head_of(db, room)?.map(|head| (room, head)));
    }
    let entries: u64 = found.values().map(|head| head.last.map_or(0, Seq::value)).sum();
    if known + entries != places {
        return Ok(found.into_keys().collect());
    }
    for (room, head) in &mut found {
        head.bytes = trim::weigh(db, *room, head)?.unwrap_or_default();
    }
    heads.extend(found);
    Ok(BTreeSet::new())
}

/// Takes rooms away of which it is not known where they end.
pub(super) fn close_rooms(closed: &mut Closed, rooms: &mut Vec<StoredRoom>, unknown: &BTreeSet<RoomId>) {
    for stored in rooms.extract_if(.., |stored| unknown.contains(&stored.room)) {
        let members = stored.members.iter().map(|member| member.person).collect();
        closed.rooms.insert(stored.room, ClosedRoom { shape: Some(stored.shape), members });
    }
}

/// Where a room's log begins and ends by its entries.
pub(super) fn head_of(db: &Connection, room: RoomId) -> Result<Option<Head>, Fault> {
    let end = |sql: &str| {
        let range = params![key_of(room, 1), key_of(room, u64::MAX)];
        let key = db.query_row(sql, range, |row| row.get::<_, Option<i64>>(0)).map_err(Fault::from);
        let key = unless_damaged(key)?.flatten();
        Ok::<_, Fault>(key.and_then(|key| place_of(key).ok()).map(|(_, seq)| seq))
    };
    let first = end("SELECT min(key) FROM entry WHERE key BETWEEN ? AND ?")?;
    let last = end("SELECT max(key) FROM entry WHERE key BETWEEN ? AND ?")?;
    let Some((first, last)) = first.zip(last) else { return Ok(None) };
    let newest = first_sound(db, room, last.value(), last.value() + 1)?;
    let time = newest.map_or(Millis(0), |kept| kept.entry.time);
    Ok(Some(Head { first, last: Some(last), time, bytes: 0 }))
}
