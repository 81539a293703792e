//! The row that says which server this is.

use super::checksum::Fields;
use super::fault::Fault;
use super::raw::RawRow;
use super::survey::Survey;
use protocol::id::ServerId;
use rusqlite::{Connection, params};

/// Sets the row's checksum apart from those of other tables.
const NUMBER: u8 = 11;

/// Writes it, in the place of one that may be there.
pub(super) fn write(db: &Connection, server: ServerId) -> Result<(), Fault> {
    let row = params![server.0, sum(server)];
    db.execute("INSERT OR REPLACE INTO server (id, server, sum) VALUES (1, ?, ?)", row)?;
    Ok(())
}

/// Reads it, also where one bit of it is turned around; `None` if there is none.
pub(super) fn read(db: &Connection, rows: &mut Survey) -> Result<Option<ServerId>, Fault> {
    let mut statement = db.prepare_cached("SELECT server, sum FROM server WHERE id = 1")?;
    let mut found = statement.query([])?;
    let Some(row) = found.next()? else { return Ok(None) };
    let mut raw = RawRow::of(NUMBER, row)?;
    if !raw.is_sound() {
        if !raw.correct() {
            return Err(Fault::damaged("the row that tells which server this is does not fit its checksum"));
        }
        rows.others
            .push("the row that tells which server this is has a bit turned around, and is read as it was");
    }
    raw.parse(|row| Ok(Some(ServerId(row.get(0)?))))
}

fn sum(server: ServerId) -> i64 {
    let mut fields = Fields::of(NUMBER);
    fields.blob(&server.0);
    fields.sum()
}
