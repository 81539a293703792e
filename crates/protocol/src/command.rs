//! Slash commands: one static table, used by the client for its own line and by the server for classic users.

mod files;
mod parse;

pub use files::Shelved;
pub use parse::{Command, CommandError, HistorySpan, Jump, Line, Search};

use crate::similar;

/// What stands behind a command, for help and completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Argument {
    /// Nothing.
    None,
    /// The name of a room.
    Room,
    /// The name of a person.
    Person,
    /// The name of a command.
    Command,
    /// The path of a file on the user's machine, to the end of the line.
    Path,
    /// A file that was sent here: its name or its line.
    File,
    /// Free text.
    Text,
}

/// A command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spec {
    /// Its name, without the slash.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// What stands behind it.
    pub usage: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// The kind of its first argument.
    pub argument: Argument,
    /// Whether the server does it for classic users.
    pub classic: bool,
}

const fn spec(
    name: &'static str,
    aliases: &'static [&'static str],
    usage: &'static str,
    help: &'static str,
    argument: Argument,
    classic: bool,
) -> Spec {
    Spec { name, aliases, usage, help, argument, classic }
}

/// All commands, in the order of the help text.
pub const COMMANDS: &[Spec] = &[
    spec("join", &[], "ROOM", "go to a room; it is made if there is none", Argument::Room, true),
    spec("part", &["leave"], "[ROOM]", "leave a room for good", Argument::Room, true),
    spec("msg", &["tell"], "NAME TEXT", "say something to one person", Argument::Person, true),
    spec("query", &[], "[NAME]", "talk to one person from here on", Argument::Person, true),
    spec("reply", &[], "[#N] TEXT", "answer line N, or the last line of somebody else", Argument::Text, true),
    spec(
        "react",
        &[],
        "[#N] TEXT",
        "react to message N, or the last one of somebody else",
        Argument::Text,
        true,
    ),
    spec("me", &[], "TEXT", "describe an action", Argument::Text, true),
    spec("edit", &[], "[#N] TEXT", "change your message N, or your last one here", Argument::Text, true),
    spec("delete", &["del"], "[#N]", "delete your message N, or your last one here", Argument::Text, true),
    spec("nick", &["name"], "NAME", "change your name", Argument::Text, true),
    spec("away", &[], "[TEXT]", "say that you are away", Argument::Text, true),
    spec("back", &[], "", "say that you are back", Argument::None, true),
    spec("topic", &[], "[TEXT]", "show or set the topic of the room", Argument::Text, true),
    spec("who", &["users", "names"], "[ROOM]", "show who is online", Argument::Room, true),
    spec("whois", &[], "NAME", "show what is known of a person", Argument::Person, true),
    spec("list", &["rooms"], "", "show all rooms", Argument::None, true),
    spec(
        "history",
        &[],
        "[COUNT|30m|1h|2d]",
        "show what was said before; again: further back",
        Argument::Text,
        true,
    ),
    spec(
        "search",
        &["find"],
        "[-a] [WORDS]",
        "find WORDS here (-a: everywhere); again: more",
        Argument::Text,
        true,
    ),
    spec("jump", &[], "[N|#N]", "show what was said around result N or line #N", Argument::Text, false),
    spec("send", &["upload"], "PATH", "send a file or a folder", Argument::Path, false),
    spec("files", &["shelf"], "[-a] [ROOM]", "show the files that were sent here", Argument::Room, false),
    spec(
        "get",
        &["download"],
        "[-x] [-f] [NAME|#N]",
        "receive the newest file, that of a name or line #N; -f: again",
        Argument::File,
        false,
    ),
    spec(
        "accept",
        &[],
        "[-x] [NAME|#N]",
        "receive what is offered; -x: programs stay programs",
        Argument::Text,
        false,
    ),
    spec("decline", &[], "[NAME|#N]", "do not receive what is offered", Argument::Text, false),
    spec(
        "look",
        &[],
        "[NAME|#N]",
        "show all that is in a folder, before it is received",
        Argument::File,
        false,
    ),
    spec("cancel", &[], "[NAME|#N]", "stop sending or receiving a file", Argument::Text, false),
    spec("ignore", &[], "[NAME]", "hide what a person says, or list whom you hide", Argument::Person, false),
    spec("unignore", &[], "NAME", "show again what a person says", Argument::Person, false),
    spec(
        "block",
        &[],
        "[NAME]",
        "refuse what a person writes to you alone, or list whom you block",
        Argument::Person,
        true,
    ),
    spec("unblock", &[], "NAME", "take again what a person writes to you", Argument::Person, true),
    spec("motd", &[], "", "show the message of the day", Argument::None, true),
    spec("clear", &[], "", "clear the screen", Argument::None, false),
    spec("help", &["?"], "[COMMAND]", "show the commands, or one of them", Argument::Command, true),
    spec("quit", &["exit", "q"], "", "leave", Argument::None, true),
];

/// The command with this name or alias, without the slash, in any case.
pub fn find(name: &str) -> Option<&'static Spec> {
    COMMANDS.iter().find(|spec| spec.names().any(|known| known.eq_ignore_ascii_case(name)))
}

/// The name that is most like this one, if any is near enough to be meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    similar::nearest(name, COMMANDS.iter().flat_map(Spec::names))
}

impl Spec {
    /// Its name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// `/name USAGE`.
    pub fn synopsis(&self) -> String {
        format!("/{} {}", self.name, self.usage).trim_end().to_owned()
    }
}
