//! From a typed line to a command with its arguments.

use super::{Spec, find, nearest};
use crate::id::Seq;
use crate::name::{NameError, PersonName, RoomName};
use thiserror::Error;

/// What a typed line is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// Nothing but white space.
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
    Me(String),
    Nick(PersonName),
    Away(String),
    Back,
    Topic(Option<String>),
    Who(Option<RoomName>),
    Whois(PersonName),
    List,
    History(HistorySpan),
    Send(String),
    Ignore(Option<PersonName>),
    Unignore(PersonName),
    Motd,
    Clear,
    Help(Option<String>),
    Quit,
}

/// How far back to look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HistorySpan {
    /// So many entries, 1 ..= [`MAX_FETCH`](crate::limits::MAX_FETCH).
    Count(u16),
    /// What was said in the last so many ms.
    Ms(u64),
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
    #[error("'{text}': {error}")]
    Name {
        /// What was typed.
        text: String,
        /// The rule.
        error: NameError,
    },
    /// Neither a count nor a duration.
    #[error("'{0}' is neither a count nor a time such as 30m, 1h or 2d")]
    Span(String),
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
            Self::Name { .. } => "names have 1 to 32 characters, without spaces or commas".into(),
            Self::Span(_) => "type /history 50 or /history 1h".into(),
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
        if line.trim().is_empty() {
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
            "reply" => reply(spec, rest)?,
            "me" => Self::Me(required()?),
            "nick" => Self::Nick(person(&required()?)?),
            "away" => Self::Away(rest.to_owned()),
            "back" => Self::Back,
            "topic" => Self::Topic((!rest.is_empty()).then(|| rest.to_owned())),
            "who" => Self::Who(first.map(room).transpose()?),
            "whois" => Self::Whois(person(&required()?)?),
            "list" => Self::List,
            "history" => Self::History(span(first)?),
            "send" => Self::Send(required()?),
            "ignore" => Self::Ignore(first.map(person).transpose()?),
            "unignore" => Self::Unignore(person(&required()?)?),
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

/// `#N TEXT` or `TEXT`.
fn reply(spec: &'static Spec, rest: &str) -> Result<Command, CommandError> {
    let numbered = rest.strip_prefix('#').and_then(|rest| rest.split_once(char::is_whitespace));
    let numbered =
        numbered.and_then(|(n, text)| Some((n.parse().ok().and_then(Seq::new)?, text.trim_start())));
    let (to, text) = numbered.map_or((None, rest), |(seq, text)| (Some(seq), text));
    if text.is_empty() {
        return Err(CommandError::Missing(spec));
    }
    Ok(Command::Reply { to, text: text.to_owned() })
}

/// `50`, `30m`, `1h`, `2d`; 20 entries if nothing is said.
fn span(text: Option<&str>) -> Result<HistorySpan, CommandError> {
    let Some(text) = text else {
        return Ok(HistorySpan::Count(20));
    };
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
        let count = count.min(u64::from(crate::limits::MAX_FETCH));
        return u16::try_from(count).ok().filter(|n| *n > 0).map(HistorySpan::Count).ok_or_else(bad);
    }
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    count.checked_mul(unit).filter(|ms| *ms > 0).map(HistorySpan::Ms).ok_or_else(bad)
}
