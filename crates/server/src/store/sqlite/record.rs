//! The log's own row: which history this is, how much was committed, and how the last server left it.

use super::checksum::Fields;
use super::fault::{Fault, unless_damaged};
use super::number::{count, int, maybe};
use super::raw::RawRow;
use super::survey::Survey;
use super::table::Seal;
use protocol::id::{DeviceNo, Epoch, PersonId};
use protocol::message::Durability;
use rusqlite::{Connection, Row, ToSql};

/// Sets the row's checksum apart from those of [`super::table`].
const NUMBER: u8 = 0;

const READ: &str = "SELECT epoch, commits, places, last_person, last_device, seal_rows, seal_sums, \
    durability, boot, clean, sum FROM log WHERE id = 1";

const WRITE: &str = "INSERT INTO log (epoch, commits, places, last_person, last_device, seal_rows, seal_sums, \
    durability, boot, clean, sum, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1) \
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, commits = excluded.commits, places = excluded.places, \
    last_person = excluded.last_person, last_device = excluded.last_device, seal_rows = excluded.seal_rows, \
    seal_sums = excluded.seal_sums, durability = excluded.durability, boot = excluded.boot, \
    clean = excluded.clean, sum = excluded.sum";

/// The row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// Which history this is.
    pub epoch: Epoch,
    /// Transactions that were committed.
    pub commits: u64,
    /// Entries that were ever stored.
    pub places: u64,
    /// The largest number of a person.
    pub last_person: Option<PersonId>,
    /// The largest number of a device.
    pub last_device: Option<DeviceNo>,
    /// What all small tables must add up to.
    pub seal: Seal,
    /// What a commit of the server that wrote this survives.
    pub durability: Durability,
    /// The run of the machine in which it was written; empty where machines don't tell.
    pub boot: String,
    /// Whether that server ended as it should.
    pub clean: bool,
}

impl Record {
    /// That of a new log.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            commits: 0,
            places: 0,
            last_person: None,
            last_device: None,
            seal: Seal::default(),
            durability: Durability::Disk,
            boot: String::new(),
            clean: true,
        }
    }

    /// Reads it.
    pub fn read(db: &Connection) -> Result<Self, Fault> {
        let mut statement = db.prepare_cached(READ)?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else {
            return Err(Fault::damaged("the row that tells how much was committed is gone"));
        };
        let record = Self::parse(row)?;
        if record.sum()? != row.get::<_, i64>(10)? {
            return Err(Fault::damaged(
                "the row that tells how much was committed does not fit its checksum",
            ));
        }
        Ok(record)
    }

    /// Reads it, also where one bit of it is turned around.
    pub fn read_or_correct(db: &Connection, rows: &mut Survey) -> Result<Self, Fault> {
        let fault = match Self::read(db) {
            Err(fault) if fault.is_damage() => fault,
            result => return result,
        };
        let record = Self::salvage(db)?.ok_or(fault)?;
        rows.others
            .push("the row that tells how much was committed has a bit turned around, and is read as it was");
        Ok(record)
    }

    /// Reads it, if it is sound or was but for one bit.
    pub fn salvage(db: &Connection) -> Result<Option<Self>, Fault> {
        if let Some(record) = unless_damaged(Self::read(db))? {
            return Ok(Some(record));
        }
        let Some(mut row) = RawRow::read_all(NUMBER, db, READ, [])?.pop() else { return Ok(None) };
        if !row.correct() {
            return Ok(None);
        }
        row.parse(Self::parse).map(Some)
    }

    /// Writes it.
    pub fn write(&self, db: &Connection) -> Result<(), Fault> {
        let sum = self.sum()?;
        let mut statement = db.prepare_cached(WRITE)?;
        self.with_columns(|columns| {
            let [a, b, c, d, e, f, g, h, i, j] = columns;
            statement.execute([a, b, c, d, e, f, g, h, i, j, &sum])
        })?;
        Ok(())
    }

    fn sum(&self) -> Result<i64, Fault> {
        let mut fields = Fields::of(NUMBER);
        self.with_columns(|columns| columns.iter().try_for_each(|column| fields.parameter(*column)))?;
        Ok(fields.sum())
    }

    fn with_columns<T>(&self, take: impl FnOnce([&dyn ToSql; 10]) -> T) -> T {
        take([
            &self.epoch.0,
            &int(self.commits),
            &int(self.places),
            &self.last_person.map_or(0, |person| int(person.value())),
            &self.last_device.map_or(0, |device| int(device.value())),
            &self.seal.rows,
            &self.seal.sums,
            &(self.durability.clone() as u8),
            &self.boot,
            &self.clean,
        ])
    }

    fn parse(row: &Row<'_>) -> Result<Self, Fault> {
        Ok(Self {
            epoch: Epoch(row.get(0)?),
            commits: count(row, 1)?,
            places: count(row, 2)?,
            last_person: maybe(row, 3, PersonId::new)?,
            last_device: maybe(row, 4, DeviceNo::new)?,
            seal: Seal { rows: row.get(5)?, sums: row.get(6)? },
            durability: match row.get::<_, u8>(7)? {
                1 => Durability::Process,
                _ => Durability::Disk,
            },
            boot: row.get(8)?,
            clean: row.get(9)?,
        })
    }
}
