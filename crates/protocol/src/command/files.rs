//! Arguments of the commands about files.

use super::parse::number;
use crate::id::Seq;

/// All files, not only the latest.
pub(super) const ALL: [&str; 2] = ["-a", "--all"];

/// Programs stay programs.
pub(super) const EXECUTABLES: [&str; 2] = ["-x", "--exec"];

/// Also what is here already.
pub(super) const AGAIN: [&str; 2] = ["-f", "--force"];

/// A file that was sent to a room, or is on its way, as somebody points at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shelved {
    /// The newest.
    Newest,
    /// By the number of its line.
    Line(Seq),
    /// By its name, or the beginning of one; the newest of that name.
    Name(String),
    /// By its name, which is a number too: that of its line, if no file has this name.
    NameOrLine(String, Seq),
}

impl Shelved {
    /// Nothing, `#17`, `17` or `cat.png`; a name that begins with `#` or could be a number may have `./` before it.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::Newest;
        }
        if let Some(line) = text.strip_prefix('#').and_then(number) {
            return Self::Line(line);
        }
        match (text.strip_prefix("./").filter(|name| !name.is_empty()), number(text)) {
            (Some(name), _) => Self::Name(name.to_owned()),
            (None, Some(line)) => Self::NameOrLine(text.to_owned(), line),
            (None, None) => Self::Name(text.to_owned()),
        }
    }

    /// The name that it may be.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Newest | Self::Line(_) => None,
            Self::Name(name) | Self::NameOrLine(name, _) => Some(name),
        }
    }

    /// The line that it may be.
    pub fn line(&self) -> Option<Seq> {
        match self {
            Self::Newest | Self::Name(_) => None,
            Self::Line(line) | Self::NameOrLine(_, line) => Some(*line),
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
