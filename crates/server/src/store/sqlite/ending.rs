//! The end of a room: its entries go a slice at a time, and what is known of it goes with the last of them.

use super::fault::Fault;
use super::mark;
use super::number::int;
use super::table::{HEAD, MEMBER, ROOM, SPOKE, Table};
use super::work::Work;
use crate::store::Keep;
use protocol::id::{PersonId, RoomId, Seq};
use rusqlite::params;

impl Work<'_> {
    /// Lets a room go, or as much of it as this batch has time for: then it is told as untrimmed.
    ///
    /// The room's own row goes last, so that a crash between two batches leaves a room with fewer entries, which is as
    /// sound as one that was trimmed.
    pub fn end_room(&mut self, room: RoomId) -> Result<(), Fault> {
        for person in self.people_in(&MEMBER, room)? {
            self.remove_member(room, person)?;
        }
        let nothing = Keep { count: Some(0), ..Keep::default() };
        self.trim_to(room, &nothing, 0)?;
        if self.untrimmed.contains(&room) {
            return Ok(());
        }
        let stored = self.head(room).last.map_or(0, Seq::value);
        let people = self.people_in(&SPOKE, room)?;
        let (db, seal) = self.seal();
        let key = int(room.value());
        for person in people {
            SPOKE.remove(db, seal, &[&key, &int(person.value())])?;
        }
        HEAD.remove(db, seal, &[&key])?;
        ROOM.remove(db, seal, &[&key])?;
        mark::add_ended(db, seal, stored)?;
        self.heads.remove(&room);
        self.ended.insert(room);
        Ok(())
    }

    /// Those whom one of the tables names that have a room and a person as their key.
    fn people_in(&self, table: &Table, room: RoomId) -> Result<Vec<PersonId>, Fault> {
        let sql = format!("SELECT person FROM {} WHERE room = ?", table.name);
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(params![int(room.value())], |row| row.get::<_, i64>(0))?;
        let people: Vec<i64> = rows.collect::<Result<_, _>>()?;
        Ok(people.into_iter().filter_map(|id| PersonId::new(u64::try_from(id).ok()?)).collect())
    }
}
