//! The layout of the database, and how an older one becomes the newest.

use super::fault::Fault;
use super::record::Record;
use super::server;
use super::spoke;
use super::survey::Survey;
use crate::store::server_id;
use protocol::id::{Epoch, ServerId};
use rusqlite::Connection;

/// Marks a log as ours in its header: "nttr".
pub(super) const APPLICATION: i32 = 0x6e74_7472;

/// Marks a backup: "nttb".
pub(super) const BACKUP: i32 = 0x6e74_7462;

/// What makes each version out of the one before it. Forward only: a released step never changes.
const STEPS: [&str; 5] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
];

/// The first layout that tells which server this is.
const TELLS_SERVER: usize = 4;

/// The first layout that tells who has spoken, and who is blocked.
pub(super) const TELLS_SPOKEN: usize = 5;

/// The version that this program writes.
pub(super) const VERSION: usize = STEPS.len();

/// What a database is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A log.
    Log,
    /// A log with the contents of its files.
    Backup,
}

/// Why a database can't be used as it is.
#[derive(Debug)]
pub(super) enum Unusable {
    /// Another program made it.
    Foreign,
    /// A later version of this one made it.
    Newer(usize),
    /// Reading it failed, or it is not what was written.
    Fault(Fault),
}

impl<E: Into<Fault>> From<E> for Unusable {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// Brings a database to [`VERSION`], in one transaction. An empty one becomes a log with this epoch: a crash must not
/// leave one that has tables and does not know which history it is.
pub(super) fn migrate(db: &mut Connection, epoch: Epoch) -> Result<(), Unusable> {
    let found = version(db)?;
    if found < VERSION {
        let transaction = db.transaction()?;
        for (version, step) in (1_i32..).zip(STEPS).skip(found) {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", version)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        if found == 0 {
            Record::new(epoch).write(&transaction)?;
        }
        if found < TELLS_SERVER {
            // Made of the epoch, so that a backup of an older layout is of the same server.
            server::write(&transaction, server_id(Record::read(&transaction)?.epoch))?;
        }
        if (1..TELLS_SPOKEN).contains(&found) {
            spoke::fill(&transaction)?;
        }
        transaction.commit()?;
    }
    Ok(check(db, Kind::Log)?)
}

/// Which server the log is of.
pub(super) fn server_of(db: &Connection, record: &Record, rows: &mut Survey) -> Result<ServerId, Fault> {
    if layout_of(db)? < TELLS_SERVER {
        return Ok(server_id(record.epoch));
    }
    server::read(db, rows)?.ok_or_else(|| Fault::damaged("the row that tells which server this is is gone"))
}

/// The version of a log; 0 if it is empty.
pub(super) fn version(db: &Connection) -> Result<usize, Unusable> {
    version_of(db, Kind::Log)
}

/// The version of a database of ours; 0 if it is empty.
pub(super) fn version_of(db: &Connection, kind: Kind) -> Result<usize, Unusable> {
    let ours = if kind == Kind::Log { APPLICATION } else { BACKUP };
    let application = db.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
    let application = match application.map_err(Fault::from) {
        Err(fault) if fault.is_foreign() => return Err(Unusable::Foreign),
        result => result?,
    };
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, usize::try_from(version)) {
        (0, Ok(0)) if tables == 0 => Ok(0),
        (found, Ok(version)) if found == ours && (1..=VERSION).contains(&version) => Ok(version),
        (found, Ok(version)) if found == ours && version > VERSION => Err(Unusable::Newer(version)),
        _ => Err(Unusable::Foreign),
    }
}

/// The number of the layout of a log or a backup that is not empty.
pub(super) fn layout_of(db: &Connection) -> Result<usize, Fault> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or_default().min(VERSION))
}

/// The layout is read from the file as well, and a flipped bit there could give columns another meaning. It may be an
/// earlier one: backups are read as they were written.
pub(super) fn check(db: &Connection, kind: Kind) -> Result<(), Fault> {
    if layout(db)? == expected(kind, layout_of(db)?)? {
        Ok(())
    } else {
        Err(Fault::damaged("the layout of the database is not what was written"))
    }
}

/// The layout with this number that a database is to have.
pub(super) fn expected(kind: Kind, number: usize) -> Result<Layout, Fault> {
    let expected = Connection::open_in_memory()?;
    STEPS.iter().take(number).try_for_each(|step| expected.execute_batch(step))?;
    if kind == Kind::Backup {
        expected.execute_batch(super::backup::extra())?;
    }
    layout(&expected)
}

/// The kind, name and statement of everything in a database, by name.
type Layout = Vec<(String, String, String)>;

/// The layout that a database has.
pub(super) fn layout(db: &Connection) -> Result<Layout, Fault> {
    let mut statement = db.prepare(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch([1; 16]);

    #[test]
    fn an_empty_file_becomes_ours_at_once_and_stays_so() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, EPOCH).unwrap();
        migrate(&mut db, Epoch([2; 16])).unwrap();
        assert_eq!(Record::read(&db).unwrap().epoch, EPOCH);
    }

    #[test]
    fn what_is_newer_or_foreign_is_left_alone() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, EPOCH).unwrap();
        db.pragma_update(None, "user_version", 1 + i32::try_from(VERSION).unwrap()).unwrap();
        assert!(matches!(migrate(&mut db, EPOCH), Err(Unusable::Newer(version)) if version == VERSION + 1));
        let mut other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE recipe (name TEXT)").unwrap();
        assert!(matches!(migrate(&mut other, EPOCH), Err(Unusable::Foreign)));
    }

    #[test]
    fn a_row_of_the_server_that_is_gone_or_changed_is_damage() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, EPOCH).unwrap();
        let server = |db: &Connection| super::super::load::load(db).map(|loaded| loaded.snapshot.server);
        assert_eq!(server(&db).unwrap(), server_id(EPOCH));
        db.execute_batch("UPDATE server SET server = zeroblob(16)").unwrap();
        assert!(server(&db).is_err());
        db.execute_batch("DELETE FROM server").unwrap();
        assert!(server(&db).is_err());
    }

    #[test]
    fn a_changed_layout_is_damage() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, EPOCH).unwrap();
        db.execute_batch("DROP TABLE edit; CREATE TABLE edit (room, target, seq, sum)").unwrap();
        assert!(matches!(migrate(&mut db, EPOCH), Err(Unusable::Fault(Fault::Damaged(_)))));
    }
}
