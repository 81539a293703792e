//! What the session has to tell its face.

use super::place::Place;
use super::resume::Tally;
use super::roster::Change;
use crate::transfer::{Failure, JobId, Pace, Shape, Trouble};
use protocol::bundle::Index;
use protocol::command::Spec;
use protocol::entry::{EntryKind, Revision};
use protocol::id::{Millis, Seq};
use protocol::message::{Durability, FileBody, FileListing, RoomListing, RosterItem};
use std::sync::Arc;

/// Something that a face shows. Texts and names are as they came: the face makes them safe.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the sentence of an event says what its fields are")]
pub enum Event {
    /// Connecting takes a while.
    Connecting,
    /// The first login of this process worked.
    Welcome(Welcome),
    /// Connected again.
    Reconnected,
    /// The connection is gone; attempts to connect go on.
    Lost(Loss),
    /// Everything that was missed has come.
    Resumed(Tally),
    /// The server will stop, and can be reached again after so many ms.
    GoingAway { text: String, after_ms: u32 },
    /// The server's log was lost or restored: what was read before is not its history any more.
    NewHistory,
    /// Older entries of a room are not kept any more: it begins at `first`, `gone` unread ones are missing.
    Trimmed { place: Place, first: Seq, gone: u64 },
    /// The server left entries out.
    Gap { place: Place, missing: u64 },
    /// A room is open for the first time in this process.
    Entered(Entered),
    /// What is typed goes to this place from here on.
    Switched { place: Place },
    /// No longer in a room.
    Left { place: Place },
    /// What follows was not read before.
    Unread { place: Place, count: u64 },
    /// An entry of a log.
    Said(Said),
    /// Something happened to a person in the current room.
    Person { name: String, change: Change },
    /// People came into the current room and left it, since that was told last.
    Comings { came: Vec<String>, left: Vec<String> },
    /// This device is connected elsewhere, which ends the connection.
    Fenced { by: String, since: Millis },
    /// What is new in my rooms, at the first login.
    News { rooms: Vec<Unread> },
    /// So many lines were read on another device, and are not shown here.
    Elsewhere { place: Place, count: u64 },
    /// A post waits: it is not acknowledged yet.
    Pending { place: Place, text: String },
    /// A post that had not gone out was taken back.
    Withdrawn { place: Place, text: String },
    /// A post was refused for good.
    Refused { place: Place, kind: EntryKind, text: String, refusal: Refusal },
    /// A post was never sent, because what it is about is not in the server's new history.
    Void { place: Place, text: String },
    /// A post was sent before the server's history was lost: nobody knows whether it arrived.
    Uncertain { place: Place, text: String },
    /// The last of what was read before, to go on from.
    Context { place: Place, entries: Vec<Said> },
    /// The answer to `/history`.
    History { place: Place, entries: Vec<Said>, rest: Rest },
    /// The answer to `/search`, newest first; `first` is the number of the first. `place` is `None` for all rooms.
    /// Without a connection it is of what came since the program began.
    Found { place: Option<Place>, words: String, first: usize, hits: Vec<Said>, more: bool, offline: bool },
    /// The answer to `/jump`. Without a connection it is of what came since the program began.
    Around { place: Place, seq: Seq, entries: Vec<Said>, offline: bool },
    /// The answer to `/who`. Without a connection they are those who were there when it broke.
    People { place: Place, people: Vec<RosterItem>, offline: bool },
    /// The answer to `/list`.
    Rooms { rooms: Vec<Listed> },
    /// The answer to `/files`, newest first; whether there are more.
    Files { place: Place, files: Vec<FileListing>, more: bool },
    /// The answer to `/whois`.
    Whois { person: RosterItem, rooms: Vec<String>, seen: Millis, agent: String },
    /// The answer to `/topic`.
    Topic { place: Place, topic: String },
    /// My name is this now.
    Named { name: String },
    /// I am away, or back.
    Away { on: bool, text: String },
    /// A person is hidden, or shown again.
    Ignoring { name: String, on: bool },
    /// All who are hidden.
    Ignored { names: Vec<String> },
    /// The operator's words.
    Motd { text: String },
    /// Help, about one command or all.
    Help { about: Option<&'static Spec> },
    /// Clear the screen.
    Clear,
    /// A line that can't be done, and what to do about it.
    Mistake { text: String, hint: String },
    /// The server refused a request.
    Error { about: String, refusal: Refusal },
    /// Something becomes of a file.
    Transfer(Transfer),
    /// Something that there is only in the classic mode.
    Classic(Classic),
    /// The profile can't be kept for this reason, until it can.
    Unkept { what: Unkept, reason: String },
    /// It is kept again.
    KeptAgain,
    /// The session ends, and these were neither sent nor kept.
    Gone { lines: Vec<String> },
    /// The session ends; so many posts wait for the next time.
    Leaving { pending: usize },
    /// After a minute in which nothing else was told: this is waited for.
    StillWaiting(Awaited),
    /// Something about this process that its user should know.
    Notice { text: String },
}

/// What of a profile can't be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unkept {
    /// What is typed: it is not sent before it is kept.
    Outbox,
    /// How far rooms were read: lines are shown again after the next start.
    Cursors,
}

/// A login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// My name.
    pub name: String,
    /// The name that I asked for.
    pub wanted: String,
    /// How well things are kept.
    pub durability: Durability,
    /// What is stored, for how long, who can read it.
    pub storage: String,
    /// The operator's words; may be empty.
    pub motd: String,
}

/// A room that was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entered {
    /// Which.
    pub place: Place,
    /// Its topic; may be empty.
    pub topic: String,
    /// Nothing was ever said there.
    pub empty: bool,
    /// Who else is online there, if it is not too large to tell.
    pub people: Vec<String>,
    /// How many are online there.
    pub online: u32,
}

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// The server closed it, or the network did.
    Closed,
    /// Nothing was heard for too long.
    Silent,
    /// What came was not understood.
    Garbled,
    /// The server announced it.
    Announced,
    /// Another client logged in as this device.
    Fenced,
    /// The server is still storing what this device sent before.
    Busy,
}

/// What the server said when it refused something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// [`protocol::code::Code::number`], or one of a later version.
    pub code: u16,
    /// A number that some codes carry.
    pub detail: u64,
    /// The server's sentence.
    pub text: String,
}

/// An entry, with what the session knows about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// Where.
    pub place: Place,
    /// Whether that is where I am.
    pub here: bool,
    /// Its number.
    pub seq: Seq,
    /// When it was said.
    pub time: Millis,
    /// When it was written, if that was noticeably earlier; else 0.
    pub written: Millis,
    /// Who said it, by the name of that time; `None` for the server.
    pub name: Option<String>,
    /// Whether that is me.
    pub mine: bool,
    /// Whether it names me.
    pub mention: bool,
    /// What it is.
    pub kind: EntryKind,
    /// What happened to it since.
    pub revision: Revision,
    /// What it answers.
    pub reply: Option<Quote>,
    /// What was said; a file's name.
    pub text: String,
    /// The file, if that is what it is and it can be read.
    pub file: Option<FileBody>,
}

/// An entry that another one refers to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quote {
    /// Its number.
    pub seq: Seq,
    /// What it says, if it is not too long ago. To a change: what it said before.
    pub said: Option<Quoted>,
}

/// The beginning of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quoted {
    /// Who said it.
    pub name: String,
    /// How it begins.
    pub text: String,
    /// When it was said.
    pub time: Millis,
    /// What it is.
    pub kind: EntryKind,
}

/// Where a part of a history ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// There is more before it.
    Older,
    /// There is more after it.
    Newer,
    /// It reaches from its first line to now.
    Now,
    /// Nothing older is kept. It begins at this entry, if there is any.
    Begins(Option<Seq>),
    /// There is no connection: it is the last of what came since the program began.
    Offline,
}

/// A room that may be joined, and how far I have read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// As everybody sees it.
    pub listing: RoomListing,
    /// How much of it is new to me; `None` if I am not in it.
    pub unread: Option<u64>,
}

/// What is new in a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unread {
    /// Which.
    pub place: Place,
    /// Lines that I have not read.
    pub count: u64,
    /// Those of them that name me.
    pub mentions: u32,
}

/// What there is only in the classic mode.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the sentence of an event says what its field is")]
pub enum Classic {
    /// Help about what this client does by itself.
    Help,
    /// The link broke soon after these lines were sent: nobody knows whether they arrived.
    MayBeLost { lines: Vec<String> },
}

/// A file or a folder on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// Its number in this profile.
    pub id: JobId,
    /// Its line, by which it is accepted, declined or cancelled; `None` if nobody knows of it yet.
    pub line: Option<Seq>,
    /// Which way.
    pub way: Way,
    /// Its name.
    pub name: String,
    /// Its size in bytes; 0 as long as that is not known.
    pub size: u64,
    /// What it is.
    pub shape: Shape,
    /// What becomes of it.
    pub step: TransferStep,
}

/// Which way a file goes.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the sentence of a way says what its field is")]
pub enum Way {
    /// To this place.
    Up { to: Place },
    /// From this person.
    Down { from: String },
}

/// What becomes of a file. From `Here` on, but for `Broken`, they are its end in this process.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the sentence of a step says what its field is")]
pub enum TransferStep {
    /// It is larger than what is received unasked: its user must accept or decline it.
    Asked { limit: u64 },
    /// It is a folder, which is looked through for a while: so many files and folders were found.
    Looking { found: u64 },
    /// It is hashed for a while: the server may have it already.
    Hashing(Pace),
    /// This is in the folder that is offered; all of it is to be shown, or only the beginning.
    Listed { index: Arc<Index>, all: bool },
    /// So many links, devices, pipes and unreadable files of the system in the folder are not sent.
    LeftOut { count: usize },
    /// It is here, and is written to the files of the folder for a while.
    Unpacking(Pace),
    /// These paths of the folder have other names here.
    Renamed { names: Arc<[(String, String)]> },
    /// What an earlier process left of it is read again for a while.
    Verifying(Pace),
    /// It has changed since it was begun: what was sent is given up, and it is sent anew.
    Anew,
    /// Something was added to it while it was sent: what it had before was sent.
    Grew,
    /// It goes on behind this byte.
    Resumed { at: u64 },
    /// It is sent behind so many others, or when there is a connection.
    Queued { ahead: usize },
    /// It takes a while, and is so far.
    Moving(Pace),
    /// All that its sender has sent so far is here; whether the sender is offline.
    Waiting { moved: u64, gone: bool },
    /// The server had it already: no byte was sent. Its entry follows.
    Here,
    /// The server has it, after a while; its entry follows.
    Sent(Pace),
    /// It broke off, and is tried again.
    Broken(Trouble),
    /// It lies here.
    Received { path: String },
    /// The same lay here already: nothing was received.
    There { path: String },
    /// The program ends: it goes on with the next one.
    Paused { moved: u64 },
    /// Its user did not want it.
    Declined,
    /// It was given up, as its user wished.
    Cancelled,
    /// Its sender gave it up.
    Withdrawn,
    /// It failed for good.
    Failed(Failure),
}

impl TransferStep {
    /// Whether it only says how far a file is, and is out of date with the next one.
    pub fn is_progress(&self) -> bool {
        matches!(
            self,
            Self::Moving(_)
                | Self::Looking { .. }
                | Self::Hashing(_)
                | Self::Verifying(_)
                | Self::Unpacking(_)
        )
    }
}

/// What a session waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the sentence of each says what its fields are; sizes are in bytes")]
pub enum Awaited {
    /// A connection, or the login.
    Server,
    /// The answer to a question, or the acknowledgement of a line.
    Answer,
    /// This file is being sent.
    Sending { name: String, moved: u64, size: u64 },
    /// This file is being received.
    Receiving { name: String, moved: u64, size: u64 },
    /// The rest of this file, which its sender has not sent yet; whether the sender is offline.
    Sender { name: String, from: String, gone: bool, moved: u64, size: u64 },
}

impl Awaited {
    /// Bytes that have moved so far.
    pub fn moved(&self) -> u64 {
        match self {
            Self::Server | Self::Answer => 0,
            Self::Sending { moved, .. } | Self::Receiving { moved, .. } | Self::Sender { moved, .. } => {
                *moved
            }
        }
    }
}

/// How a session ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// As its user wished.
    Quit,
    /// The server does not let this client in.
    Refused(Refusal),
    /// The server closed the connection, or fell silent, before the first login.
    NoLogin(Loss),
}
