//! Arguments of the commands about files.

use super::Spec;
use super::parse::{CommandError, number};
use crate::id::Seq;

/// All files, not only the latest.
pub(super) const ALL: [&str; 2] = ["-a", "--all"];

/// Programs stay programs.
pub(super) const EXECUTABLES: [&str; 2] = ["-x", "--exec"];

/// A file that was sent to a room, as somebody points at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shelved {
    /// By its place in the list of files, from 1, the newest.
    Number(usize),
    /// By its line.
    Line(Seq),
    /// By its name, or the beginning of one; the newest of that name.
    Name(String),
}

impl Shelved {
    /// `3`, `#17` or `cat.png`; a name that looks like a number begins with `./`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(line) = text.strip_prefix('#').and_then(number) {
            return Some(Self::Line(line));
        }
        match text.parse() {
            Ok(0) => None,
            Ok(place) => Some(Self::Number(place)),
            Err(_) => {
                let name = text.strip_prefix("./").unwrap_or(text);
                Some(name).filter(|name| !name.is_empty()).map(|name| Self::Name(name.to_owned()))
            }
        }
    }
}

/// Whether one of these stands at the beginning or the end, and what is left without it.
pub(super) fn flag<'a>(rest: &'a str, names: [&str; 2]) -> (bool, &'a str) {
    let front = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let back = rest.rsplit_once(char::is_whitespace).unwrap_or(("", rest));
    if names.contains(&front.0) {
        (true, front.1.trim())
    } else if names.contains(&back.1) {
        (true, back.0.trim())
    } else {
        (false, rest)
    }
}

pub(super) fn shelved(spec: &'static Spec, text: &str) -> Result<Shelved, CommandError> {
    match Shelved::parse(text) {
        Some(file) => Ok(file),
        None if text.is_empty() => Err(CommandError::Missing(spec)),
        None => Err(CommandError::Number(text.to_owned())),
    }
}

/// The number of a transfer, or nothing.
pub(super) fn transfer(text: &str) -> Result<Option<u64>, CommandError> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| CommandError::Transfer(text.to_owned()))
}
