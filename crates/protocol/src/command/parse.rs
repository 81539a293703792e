//! From a typed line to a command with its arguments.

use super::files::{self, Shelved};
use super::{Spec, find, nearest};
use crate::id::Seq;
use crate::limits::{MAX_FETCH, MAX_QUERY};
use crate::name::{NAME_HINT, NameError, PersonName, RoomName};
use crate::text::is_blank;
use thiserror::Error;

/// What a typed line is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// Nothing that could be seen.
    Empty,
    /// Something to say; `//x` says `/x`.
    Say(String),
    /// A command.
    Command(Command),
}

/// A command with its arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is named after its row in the table, which says what it does")]
pub enum Command {
    Join(RoomName),
    Part(Option<RoomName>),
    Msg { to: PersonName, text: String },
    Query(Option<PersonName>),
    Reply { to: Option<Seq>, text: String },
    React { to: Option<Seq>, text: String },
    Me(String),
    Edit { to: Option<Seq>, text: String },
    Delete(Option<Seq>),
    Nick(PersonName),
    Away(String),
    Back,
    Topic(Option<String>),
    Who(Option<RoomName>),
    Whois(PersonName),
    List,
    History(Option<HistorySpan>),
    Search(Search),
    Jump(Jump),
    Send(String),
    Files { all: bool, room: Option<RoomName> },
    Get { file: Shelved, executables: bool, again: bool },
    Accept { file: Shelved, executables: bool },
    Decline(Shelved),
    Look(Shelved),
    Cancel(Shelved),
    Ignore(Option<PersonName>),
    Unignore(PersonName),
    Block(Option<PersonName>),
    Unblock(PersonName),
    Motd,
    Clear,
    Help(Option<String>),
    Quit,
}

/// How far back to look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HistorySpan {
    /// So many entries, 1 ..= [`MAX_FETCH`].
    Count(u16),
    /// What was said in the last so many ms.
    Ms(u64),
}

impl Default for HistorySpan {
    /// What is shown where nothing is said about it.
    fn default() -> Self {
        Self::Count(20)
    }
}

/// What to look for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Search {
    /// More of what was found last.
    More,
    /// All of these words.
    Words {
        /// In all rooms that I may read, not only in this one.
        everywhere: bool,
        /// Not empty, at most [`MAX_QUERY`] bytes.
        words: String,
    },
}

/// Which line to show among those around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Jump {
    /// The one after the last that was jumped to.
    Next,
    /// A line that was found, from 1.
    Found(usize),
    /// A line of this room.
    Line(Seq),
}

/// Why a slash line is no command. Nothing is sent.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CommandError {
    /// No such command.
    #[error("there is no command /{name}")]
    Unknown {
        /// What was typed.
        name: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// An argument is missing.
    #[error("/{} needs {}", .0.name, .0.usage)]
    Missing(&'static Spec),
    /// A name breaks the rules.
    #[error("{}", error.sentence(text))]
    Name {
        /// What was typed.
        text: String,
        /// The rule.
        error: NameError,
    },
    /// Neither a count nor a duration.
    #[error("'{0}' is neither a count nor a time such as 30m, 1h or 2d")]
    Span(String),
    /// No number of a line.
    #[error("'{0}' is no line's number")]
    Number(String),
    /// Too many words.
    #[error("that is too much to look for: {0} bytes of at most {MAX_QUERY}")]
    Query(usize),
}

impl CommandError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { nearest: Some(name), .. } => format!("did you mean /{name}?"),
            Self::Unknown { nearest: None, .. } => {
                "type /help for the commands, or //text to say /text".into()
            }
            Self::Missing(spec) => format!("type {}", spec.synopsis()),
            Self::Name { .. } => NAME_HINT.into(),
            Self::Span(_) => "type /history 50 or /history 1h".into(),
            Self::Number(_) => {
                "the numbers stand in /history and /search WORDS, those of files in /files".into()
            }
            Self::Query(_) => "leave out some words".into(),
        }
    }
}

impl Line {
    /// Reads a typed line.
    ///
    /// # Errors
    /// [`CommandError`] if it begins with one slash and is no command with its arguments.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let line = line.trim_end_matches(['\r', '\n']);
        if is_blank(line) {
            return Ok(Self::Empty);
        }
        match line.strip_prefix('/') {
            None => Ok(Self::Say(line.to_owned())),
            Some(rest) if rest.starts_with('/') => Ok(Self::Say(rest.to_owned())),
            Some(rest) => Command::parse(rest).map(Self::Command),
        }
    }
}

impl Command {
    fn parse(line: &str) -> Result<Self, CommandError> {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let spec = find(name)
            .ok_or_else(|| CommandError::Unknown { name: name.to_owned(), nearest: nearest(name) })?;
        Self::with_arguments(spec, rest.trim())
    }

    fn with_arguments(spec: &'static Spec, rest: &str) -> Result<Self, CommandError> {
        let required = || {
            if rest.is_empty() { Err(CommandError::Missing(spec)) } else { Ok(rest.to_owned()) }
        };
        let first = rest.split_whitespace().next();
        Ok(match spec.name {
            "join" => Self::Join(room(&required()?)?),
            "part" => Self::Part(first.map(room).transpose()?),
            "msg" => {
                let (to, text) = rest.split_once(char::is_whitespace).ok_or(CommandError::Missing(spec))?;
                Self::Msg { to: person(to)?, text: text.trim_start().to_owned() }
            }
            "query" => Self::Query(first.map(person).transpose()?),
            "reply" => {
                let (to, text) = numbered(spec, rest)?;
                Self::Reply { to, text }
            }
            "react" => {
                let (to, text) = numbered(spec, rest)?;
                Self::React { to, text }
            }
            "me" => Self::Me(required()?),
            "edit" => {
                let (to, text) = numbered(spec, rest)?;
                Self::Edit { to, text }
            }
            "delete" => Self::Delete(first.map(line_number).transpose()?),
            "nick" => Self::Nick(person(&required()?)?),
            "away" => Self::Away(rest.to_owned()),
            "back" => Self::Back,
            "topic" => Self::Topic((!rest.is_empty()).then(|| rest.to_owned())),
            "who" => Self::Who(first.map(room).transpose()?),
            "whois" => Self::Whois(person(&required()?)?),
            "list" => Self::List,
            "history" => Self::History(first.map(span).transpose()?),
            "search" => Self::Search(search(spec, rest)?),
            "jump" => Self::Jump(jump(first)?),
            "send" => Self::Send(required()?),
            "files" => {
                let (all, name) = files::flag(rest, files::ALL);
                Self::Files { all, room: Some(name).filter(|name| !name.is_empty()).map(room).transpose()? }
            }
            "get" => {
                let (again, rest) = files::flag(rest, files::AGAIN);
                let (executables, rest) = files::flag(rest, files::EXECUTABLES);
                // In whatever order.
                let (late, file) = files::flag(rest, files::AGAIN);
                Self::Get { file: Shelved::parse(file), executables, again: again || late }
            }
            "accept" => {
                let (executables, file) = files::flag(rest, files::EXECUTABLES);
                Self::Accept { file: Shelved::parse(file), executables }
            }
            "decline" => Self::Decline(Shelved::parse(rest)),
            "look" => Self::Look(Shelved::parse(rest)),
            "cancel" => Self::Cancel(Shelved::parse(rest)),
            "ignore" => Self::Ignore(first.map(person).transpose()?),
            "unignore" => Self::Unignore(person(&required()?)?),
            "block" => Self::Block(first.map(person).transpose()?),
            "unblock" => Self::Unblock(person(&required()?)?),
            "motd" => Self::Motd,
            "clear" => Self::Clear,
            "help" => Self::Help(first.map(|name| name.trim_start_matches('/').to_owned())),
            "quit" => Self::Quit,
            other => unreachable!("the table has /{other}, which the parser does not know"),
        })
    }
}

fn room(text: &str) -> Result<RoomName, CommandError> {
    let bare = text.strip_prefix('#').unwrap_or(text);
    RoomName::parse(bare).map_err(|error| CommandError::Name { text: text.to_owned(), error })
}

fn person(text: &str) -> Result<PersonName, CommandError> {
    let bare = text.strip_prefix('@').unwrap_or(text);
    PersonName::parse(bare).map_err(|error| CommandError::Name { text: text.to_owned(), error })
}

/// `#N TEXT` or `TEXT`. A number alone is no text: who forgot it does not mean to say `#7`.
fn numbered(spec: &'static Spec, rest: &str) -> Result<(Option<Seq>, String), CommandError> {
    let (first, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let (to, text) = match first.strip_prefix('#').and_then(number) {
        Some(seq) => (Some(seq), text.trim_start()),
        None => (None, rest),
    };
    if text.is_empty() { Err(CommandError::Missing(spec)) } else { Ok((to, text.to_owned())) }
}

/// The number of a line, from 1.
pub(super) fn number(text: &str) -> Option<Seq> {
    text.parse().ok().and_then(Seq::new)
}

/// `#7` or `7`.
fn line_number(text: &str) -> Result<Seq, CommandError> {
    number(text.strip_prefix('#').unwrap_or(text)).ok_or_else(|| CommandError::Number(text.to_owned()))
}

/// `WORDS`, `-a WORDS` or nothing.
fn search(spec: &'static Spec, rest: &str) -> Result<Search, CommandError> {
    let (everywhere, words) = match rest.split_once(char::is_whitespace) {
        _ if rest == "-a" => return Err(CommandError::Missing(spec)),
        Some(("-a", words)) => (true, words.trim_start()),
        _ => (false, rest),
    };
    match words.len() {
        0 => Ok(Search::More),
        1..=MAX_QUERY => Ok(Search::Words { everywhere, words: words.to_owned() }),
        len => Err(CommandError::Query(len)),
    }
}

/// `3`, `#3` or nothing.
fn jump(text: Option<&str>) -> Result<Jump, CommandError> {
    let Some(text) = text else {
        return Ok(Jump::Next);
    };
    if let Some(line) = text.strip_prefix('#').and_then(number) {
        return Ok(Jump::Line(line));
    }
    let found = text.parse().ok().filter(|found| *found > 0).map(Jump::Found);
    found.ok_or_else(|| CommandError::Number(text.to_owned()))
}

/// `50`, `30m`, `1h`, `2d`.
fn span(text: &str) -> Result<HistorySpan, CommandError> {
    let bad = || CommandError::Span(text.to_owned());
    let unit: u64 = match text.chars().last() {
        Some('s') => 1_000,
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => 86_400_000,
        _ => 0,
    };
    if unit == 0 {
        let count: u64 = text.parse().map_err(|_| bad())?;
        let count = count.min(u64::from(MAX_FETCH));
        return u16::try_from(count).ok().filter(|n| *n > 0).map(HistorySpan::Count).ok_or_else(bad);
    }
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    count.checked_mul(unit).filter(|ms| *ms > 0).map(HistorySpan::Ms).ok_or_else(bad)
}
