//! From the server's milliseconds to the time on the wall.

use chrono::{DateTime, FixedOffset, Local, NaiveDateTime};
use protocol::id::Millis;

/// Which wall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Zone {
    /// This machine's.
    Local,
    /// So many seconds east of Greenwich, for tests.
    East(i32),
}

impl Zone {
    /// The time there; the epoch for times that no calendar reaches.
    pub fn local(self, time: Millis) -> NaiveDateTime {
        let utc = i64::try_from(time.0).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
        match self {
            Self::Local => utc.with_timezone(&Local).naive_local(),
            Self::East(seconds) => match FixedOffset::east_opt(seconds) {
                Some(offset) => utc.with_timezone(&offset).naive_local(),
                None => utc.naive_utc(),
            },
        }
    }
}
