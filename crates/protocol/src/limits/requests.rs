//! What each message that a client sends costs it: its share of the window, its bucket, and what bounds it beside them.
//!
//! Whatever makes the server write, remember or send something is windowed, rated or replaced by the newest of its
//! kind. A message without a row here does not compile.

use super::rates::Bucket;
use crate::message::{Action, ClientMsg, Question, StateChange};

/// Bytes of the windows that a request takes until nothing of it waits: what it makes the server hold that way is less.
pub const REQUEST_SHARE: usize = 1_024;

/// What a message takes of its connection's window until nothing of it waits to be stored or sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// Nothing: nothing of it ever waits.
    Nothing,
    /// One [`REQUEST_SHARE`].
    Share,
    /// The bytes of its text and of what is stored with it, at least one share.
    Text,
    /// Bytes of files: they have credit of their own, and one transfer at a time.
    Credit,
}

impl Window {
    /// Its name in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Share => "one share",
            Self::Text => "its bytes",
            Self::Credit => "credit",
        }
    }
}

/// What a message costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name.
    pub message: &'static str,
    /// Its share of the window.
    pub window: Window,
    /// The buckets that it takes a token of.
    pub buckets: &'static [Bucket],
    /// What bounds it beside that, and why that is enough.
    pub bound: &'static str,
}

macro_rules! rows {
    ($($name:ident = $message:literal, $window:ident, [$($bucket:ident),*], $bound:literal;)*) => {
        $(const $name: Row = Row {
            message: $message,
            window: Window::$window,
            buckets: &[$(Bucket::$bucket),*],
            bound: $bound,
        };)*

        /// All rows.
        pub const ROWS: &[Row] = &[$($name),*];
    };
}

rows! {
    HELLO = "Hello", Nothing, [People], "once for each connection, before all else; the token only for somebody new";
    JOIN = "Join", Share, [Requests, Rooms], "alone on its way; 500 rooms for each person; the second token only for a room that is made";
    PART = "Part", Share, [Requests], "a member only once";
    OPEN = "Open", Share, [Requests], "alone on its way; one cursor for each room";
    CLOSE = "Close", Share, [Requests], "answered at once";
    POST = "Post", Text, [Posts, Directs], "16 KiB; the second token only for a direct room that is made";
    FETCH = "Fetch", Share, [Requests], "alone on its way; one frame of answer";
    SEARCH = "Search", Share, [Requests, Searches], "alone on its way; one frame of answer";
    MARK = "Mark", Share, [Requests], "stored only if it moves forward; other devices are told the newest";
    TYPING = "State typing", Share, [Requests], "never stored; gathered before a room is told";
    AWAY = "State away", Share, [Requests], "never stored; gathered before a room is told";
    BACK = "State back", Share, [Requests], "never stored; gathered before a room is told";
    NAME = "State name", Share, [Requests, Names], "gathered before a room is told";
    ASK_ROOMS = "Ask rooms", Share, [Requests], "alone on its way; one frame of answer";
    ASK_PEOPLE = "Ask people", Share, [Requests], "alone on its way; one frame of answer";
    ASK_WHOIS = "Ask whois", Share, [Requests], "alone on its way; one frame of answer";
    ASK_FILES = "Ask files", Share, [Requests], "alone on its way; one frame of answer";
    ASK_BLOCKS = "Ask blocks", Share, [Requests], "alone on its way; one frame of answer";
    TOPIC = "Do topic", Share, [Requests, Topics], "512 bytes";
    BLOCK = "Do block", Share, [Requests], "1,000 people for each person, each once";
    ROLE = "Do others", Share, [Requests], "refused by this version";
    PING = "Ping", Nothing, [], "only the newest is answered";
    BYE = "Bye", Nothing, [], "ends the connection";
    OPERATE = "Operate", Share, [Requests], "refused but on the operator's socket, where it is answered before the next is read";
    PUT = "Put", Credit, [], "one at a time on its connection; 64 uploads for each person";
    CHUNK = "Chunk", Credit, [], "as many bytes as were granted";
    DONE = "Done", Credit, [], "once for each upload";
    DROP = "Drop", Credit, [], "once for each transfer";
    GET = "Get", Credit, [], "one at a time on its connection";
    GRANT = "Grant", Credit, [], "adds up to a number";
    FETCHED = "Fetched", Share, [Requests], "stored once for each person and file; on a bulk connection one at a time";
    CHECK = "Check", Credit, [], "one for each block that was granted";
    CLASSIC_JOIN = "JOIN", Nothing, [People], "once for each connection, before all else";
    CLASSIC_TEXT = "TEXT", Text, [Posts, Directs], "16 KiB; held and never refused, since that client can't send it again";
    CLASSIC_COMMAND = "TEXT that begins with /", Text, [Requests], "alone on its way; then as the message that it stands for";
    CLASSIC_FILE = "FILE", Share, [Posts, ClassicFiles], "one at a time, streamed to the disk";
}

/// What a native message costs.
pub const fn row(msg: &ClientMsg) -> &'static Row {
    match msg {
        ClientMsg::Hello { .. } => &HELLO,
        ClientMsg::Join { .. } => &JOIN,
        ClientMsg::Part { .. } => &PART,
        ClientMsg::Open { .. } => &OPEN,
        ClientMsg::Close { .. } => &CLOSE,
        ClientMsg::Post { .. } => &POST,
        ClientMsg::Fetch { .. } => &FETCH,
        ClientMsg::Search { .. } => &SEARCH,
        ClientMsg::Mark { .. } => &MARK,
        ClientMsg::State { change, .. } => match change {
            StateChange::Typing { .. } => &TYPING,
            StateChange::Away { .. } => &AWAY,
            StateChange::Back => &BACK,
            StateChange::Name { .. } => &NAME,
        },
        ClientMsg::Ask { question, .. } => match question {
            Question::Rooms { .. } => &ASK_ROOMS,
            Question::People { .. } => &ASK_PEOPLE,
            Question::Whois { .. } => &ASK_WHOIS,
            Question::Files { .. } => &ASK_FILES,
            Question::Blocks { .. } => &ASK_BLOCKS,
        },
        ClientMsg::Do { action, .. } => match action {
            Action::Topic { .. } => &TOPIC,
            Action::Block { .. } | Action::Unblock { .. } => &BLOCK,
            Action::Invite { .. }
            | Action::Kick { .. }
            | Action::Ban { .. }
            | Action::Unban { .. }
            | Action::Mute { .. }
            | Action::Unmute { .. }
            | Action::Role { .. } => &ROLE,
        },
        ClientMsg::Ping { .. } => &PING,
        ClientMsg::Bye {} => &BYE,
        ClientMsg::Operate { .. } => &OPERATE,
        ClientMsg::Put { .. } => &PUT,
        ClientMsg::Chunk { .. } => &CHUNK,
        ClientMsg::Done { .. } => &DONE,
        ClientMsg::Drop { .. } => &DROP,
        ClientMsg::Get { .. } => &GET,
        ClientMsg::Grant { .. } => &GRANT,
        ClientMsg::Fetched { .. } => &FETCHED,
        ClientMsg::Check { .. } => &CHECK,
    }
}

/// What a frame that a classic client may send costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClassicKind {
    /// `JOIN`.
    Join,
    /// `TEXT` with a line.
    Line,
    /// `TEXT` with a command.
    Command,
    /// `FILE`.
    File,
}

/// The same for a classic frame.
pub const fn classic_row(kind: ClassicKind) -> &'static Row {
    match kind {
        ClassicKind::Join => &CLASSIC_JOIN,
        ClassicKind::Line => &CLASSIC_TEXT,
        ClassicKind::Command => &CLASSIC_COMMAND,
        ClassicKind::File => &CLASSIC_FILE,
    }
}
