//! The row that says which server this is.

use super::checksum::Fields;
use super::fault::Fault;
use protocol::id::ServerId;
use rusqlite::{Connection, OptionalExtension, params};

/// Sets the row's checksum apart from those of other tables.
const NUMBER: u8 = 11;

/// Writes it, in the place of one that may be there.
pub(super) fn write(db: &Connection, server: ServerId) -> Result<(), Fault> {
    let row = params![server.0, sum(server)];
    db.execute("INSERT OR REPLACE INTO server (id, server, sum) VALUES (1, ?, ?)", row)?;
    Ok(())
}

/// Reads it; `None` if there is none.
pub(super) fn read(db: &Connection) -> Result<Option<ServerId>, Fault> {
    let mut statement = db.prepare_cached("SELECT server, sum FROM server WHERE id = 1")?;
    let found = statement.query_row([], |row| Ok((row.get(0).map(ServerId)?, row.get::<_, i64>(1)?)));
    match found.optional()? {
        Some((server, found)) if found != sum(server) => {
            Err(Fault::damaged("the row that tells which server this is does not fit its checksum"))
        }
        found => Ok(found.map(|(server, _)| server)),
    }
}

fn sum(server: ServerId) -> i64 {
    let mut fields = Fields::of(NUMBER);
    fields.blob(&server.0);
    fields.sum()
}
