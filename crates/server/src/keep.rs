//! How long rooms are kept: what the operator says, and what people are told of it.

use crate::store::Keep;
use protocol::id::Millis;
use protocol::name::{NameKey, RoomName};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;
use thiserror::Error;

/// How much of a room is kept; all bounds hold at once. Without any, all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeepRule {
    /// Ms that an entry is kept.
    pub age_ms: Option<u64>,
    /// Entries.
    pub count: Option<u64>,
    /// Bytes of entries.
    pub bytes: Option<u64>,
}

/// The rules of a server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// For all rooms that have no rule of their own.
    pub default: KeepRule,
    /// Rules of rooms.
    pub rooms: BTreeMap<NameKey, RoomRule>,
}

/// The rule of one room, in the place of the server's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomRule {
    /// The room.
    pub name: RoomName,
    /// Its rule.
    pub rule: KeepRule,
}

/// Something that is no rule.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum KeepError {
    /// Not a time.
    #[error("'{0}' is no time such as 12h, 30d or 2y")]
    Age(String),
    /// Not a count.
    #[error("'{0}' is no number from 1 up")]
    Count(String),
    /// Not a size.
    #[error("'{0}' is no size such as 500K, 64M or 2G")]
    Bytes(String),
    /// Not a name and rules.
    #[error("'{0}' is not of the form ROOM=age:30d,count:1000,bytes:64M or ROOM=all")]
    Form(String),
    /// Not a room.
    #[error("'{0}' is no name of a room")]
    Name(String),
}

const SECOND: u64 = 1_000;
const DAY: u64 = 86_400 * SECOND;

/// Units of times, largest first.
const TIMES: [(char, u64, &str); 5] = [
    ('y', 365 * DAY, "year"),
    ('d', DAY, "day"),
    ('h', 3_600 * SECOND, "hour"),
    ('m', 60 * SECOND, "minute"),
    ('s', SECOND, "second"),
];

/// Units of sizes.
const SIZES: [(char, u64); 4] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];

/// A time such as `30d`, in ms.
///
/// # Errors
/// [`KeepError::Age`]
pub fn parse_age(text: &str) -> Result<u64, KeepError> {
    let unit = |(letter, ms, _): &(char, u64, &str)| Some((text.strip_suffix(*letter)?, *ms));
    let parsed = TIMES.iter().find_map(unit).and_then(|(count, ms)| positive(count)?.checked_mul(ms));
    parsed.ok_or_else(|| KeepError::Age(text.to_owned()))
}

/// A number from 1 up.
///
/// # Errors
/// [`KeepError::Count`]
pub fn parse_count(text: &str) -> Result<u64, KeepError> {
    positive(text).ok_or_else(|| KeepError::Count(text.to_owned()))
}

/// A size such as `64M`, in bytes.
///
/// # Errors
/// [`KeepError::Bytes`]
pub fn parse_bytes(text: &str) -> Result<u64, KeepError> {
    let bare = text.strip_suffix("iB").or(text.strip_suffix('B')).unwrap_or(text);
    let unit = |(letter, bytes): &(char, u64)| Some((bare.strip_suffix(*letter)?, *bytes));
    let (count, bytes) = SIZES.iter().find_map(unit).unwrap_or((bare, 1));
    let parsed = positive(count).and_then(|count| count.checked_mul(bytes));
    parsed.ok_or_else(|| KeepError::Bytes(text.to_owned()))
}

fn positive(text: &str) -> Option<u64> {
    text.parse().ok().filter(|n| *n > 0)
}

impl FromStr for RoomRule {
    type Err = KeepError;

    fn from_str(text: &str) -> Result<Self, KeepError> {
        let form = || KeepError::Form(text.to_owned());
        let (name, bounds) = text.split_once('=').ok_or_else(form)?;
        let name = RoomName::parse(name).map_err(|_| KeepError::Name(name.to_owned()))?;
        let mut rule = KeepRule::default();
        if bounds != "all" {
            for bound in bounds.split(',') {
                match bound.split_once(':').ok_or_else(form)? {
                    ("age", age) => rule.age_ms = Some(parse_age(age)?),
                    ("count", count) => rule.count = Some(parse_count(count)?),
                    ("bytes", bytes) => rule.bytes = Some(parse_bytes(bytes)?),
                    _ => return Err(form()),
                }
            }
        }
        Ok(Self { name, rule })
    }
}

impl KeepRule {
    /// Whether everything is kept.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// What is kept now.
    pub fn at(&self, now: Millis) -> Keep {
        let since = self.age_ms.map(|age| Millis(now.0.saturating_sub(age)));
        Keep { since, count: self.count, bytes: self.bytes }
    }

    /// Ms after which the oldest entries are looked at again though nothing was added: a hundredth of their age.
    pub fn period_ms(&self) -> Option<u64> {
        self.age_ms.map(|age| (age / 100).clamp(SECOND, 3_600 * SECOND))
    }

    /// The rule in words that go on after "kept": ` for 90 days, at most 1,000 messages of each room`.
    fn words(&self, of: &str) -> String {
        let mut words = String::new();
        // Writing to a string does not fail.
        if let Some(age) = self.age_ms {
            let _ = write!(words, " for {}", age_words(age));
        }
        let mut glue = if words.is_empty() { ":" } else { "," };
        if let Some(count) = self.count {
            let _ = write!(words, "{glue} at most {count} messages{of}");
            glue = " and";
        }
        if let Some(bytes) = self.bytes {
            let of = if glue == " and" { "" } else { of };
            let _ = write!(words, "{glue} at most {}{of}", protocol::size::human_size(bytes));
        }
        words
    }
}

fn age_words(ms: u64) -> String {
    let whole = |(_, unit, _): &&(char, u64, &str)| ms.is_multiple_of(*unit);
    let (count, unit) = TIMES.iter().find(whole).map_or((ms, "ms"), |(_, unit, name)| (ms / unit, *name));
    let plural = if count == 1 || unit == "ms" { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

impl Retention {
    /// The rule of a room; conversations have no name.
    pub fn rule(&self, name: Option<&str>) -> KeepRule {
        let own = name.filter(|_| !self.rooms.is_empty()).and_then(|name| self.rooms.get(&NameKey::of(name)));
        own.map_or(self.default, |own| own.rule)
    }

    /// Whether everything is kept everywhere.
    pub fn is_all(&self) -> bool {
        self.default.is_all() && self.rooms.values().all(|own| own.rule.is_all())
    }

    /// The shortest time that anything is kept, if time is a bound.
    pub fn shortest_age(&self) -> Option<u64> {
        let own = self.rooms.values().map(|own| own.rule.age_ms);
        own.chain([self.default.age_ms]).flatten().min()
    }

    /// The rule of most rooms in words that go on after "kept … "; empty if everything is kept.
    pub fn default_words(&self) -> String {
        self.default.words(" of each room")
    }

    /// The rules of single rooms in words that go on after those.
    pub fn room_words(&self) -> String {
        let mut words = String::new();
        for own in self.rooms.values() {
            let rule = if own.rule.is_all() { " without end".to_owned() } else { own.rule.words("") };
            let _ = write!(words, "; those of #{}{rule}", own.name);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_counts_and_sizes_are_read_as_people_write_them() {
        assert_eq!(parse_age("90d"), Ok(90 * DAY));
        assert_eq!(parse_age("2y"), Ok(730 * DAY));
        assert_eq!(parse_age("15s"), Ok(15_000));
        assert_eq!(parse_bytes("64M"), Ok(64 << 20));
        assert_eq!(parse_bytes("2GiB"), Ok(2 << 30));
        assert_eq!(parse_bytes("500KB"), Ok(500 << 10));
        assert_eq!(parse_bytes("1000"), Ok(1_000));
        assert_eq!(parse_count("1000"), Ok(1_000));
        for bad in ["", "d", "0d", "-1d", "90", "90 d", "90w", "99999999999999999y", "١d"] {
            assert_eq!(parse_age(bad), Err(KeepError::Age(bad.to_owned())));
        }
        for bad in ["", "0", "M", "1.5M", "x", "99999999999999999T"] {
            assert_eq!(parse_bytes(bad), Err(KeepError::Bytes(bad.to_owned())));
        }
    }

    #[test]
    fn a_room_has_a_rule_in_the_place_of_the_servers() {
        let dev: RoomRule = "Dev=age:30d,count:1000".parse().unwrap();
        let log: RoomRule = "log=all".parse().unwrap();
        let rooms = [dev, log].map(|own| (own.name.key(), own)).into();
        let default = KeepRule { age_ms: Some(90 * DAY), ..KeepRule::default() };
        let retention = Retention { default, rooms };
        assert_eq!(
            retention.rule(Some("dev")),
            KeepRule { age_ms: Some(30 * DAY), count: Some(1_000), bytes: None }
        );
        assert!(retention.rule(Some("LOG")).is_all());
        assert_eq!(retention.rule(Some("lobby")), default);
        assert_eq!(retention.rule(None), default);
        assert_eq!(retention.default_words(), " for 90 days");
        let words = "; those of #Dev for 30 days, at most 1000 messages; those of #log without end";
        assert_eq!(retention.room_words(), words);
    }

    #[test]
    fn what_is_no_rule_is_told() {
        let form = |text: &str| KeepError::Form(text.to_owned());
        for text in ["dev", "dev=", "dev=age", "dev=size:3", "dev=age:1d;count:3"] {
            assert!(text.parse::<RoomRule>().is_err(), "{text}");
        }
        assert_eq!("dev=".parse::<RoomRule>(), Err(form("dev=")));
        assert_eq!("a b=all".parse::<RoomRule>(), Err(KeepError::Name("a b".to_owned())));
        assert_eq!("dev=age:x".parse::<RoomRule>(), Err(KeepError::Age("x".to_owned())));
    }

    #[test]
    fn a_rule_is_told_in_words() {
        let rule = |age, count, bytes| KeepRule { age_ms: age, count, bytes }.words(" of each room");
        assert_eq!(rule(None, None, None), "");
        assert_eq!(rule(Some(DAY), None, None), " for 1 day");
        assert_eq!(
            rule(None, Some(9), Some(1 << 20)),
            ": at most 9 messages of each room and at most 1.0 MiB"
        );
        assert_eq!(rule(Some(2 * DAY), None, Some(1 << 20)), " for 2 days, at most 1.0 MiB of each room");
    }
}
