//! What can go wrong with a file on its way: trouble that passes, and failures that don't.

use crate::session::event::{Loss, Refusal};
use protocol::code::Code;

/// Why an attempt broke off. Another one may work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No connection came up; the system's words.
    NotReached(String),
    /// The connection ended.
    Lost(Loss),
    /// The server refused it for now.
    Refused(Refusal),
    /// A block was not what it should be.
    WrongBlock,
}

impl Trouble {
    /// It passes, whatever it is.
    pub(super) fn into_passing(self) -> Stop {
        Stop::Passing(self)
    }
}

/// Why a file was not sent or received. Trying it again changes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// There is no such file; where it was looked for.
    NotFound(String),
    /// It is a folder, and this server takes only files.
    Folder,
    /// It is a folder that can't be sent, or not be written here, for this reason.
    BadFolder(String),
    /// It is a device, a pipe or a socket.
    NotPlain,
    /// It can't be read; the system's words.
    Unreadable(String),
    /// It is larger than its receiver takes.
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The largest size in bytes.
        limit: u64,
    },
    /// The server takes no files.
    NoFiles,
    /// Somebody wrote to it while it was sent.
    Changed,
    /// The server refused it.
    Refused(Refusal),
    /// What came is not what was announced.
    WrongContent,
    /// Too many wait to be received already.
    TooMany,
    /// There is no room for it here.
    NoRoom {
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// In the file system of this folder.
        folder: String,
    },
    /// It can't be written here; the system's words.
    Unwritable(String),
    /// The connection broke in its middle, and it can't go on.
    CutOff,
    /// Its user left before it was done.
    Left,
}

impl Failure {
    /// Whether it was the server who did not take the file to be sent.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::NoFiles | Self::TooLarge { .. })
    }
}

/// How an attempt ended without success.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// Another attempt may work.
    Passing(Trouble),
    /// None will.
    Failed(Failure),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(refusal) if !passes(&refusal) => Self::Failed(Failure::Refused(refusal)),
            trouble => Self::Passing(trouble),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Whether the same may be taken later. A person is unknown to a server that has just lost its memory, until
/// the chat has logged in again.
fn passes(refusal: &Refusal) -> bool {
    matches!(
        refusal.known(),
        Some(
            Code::NoSuchPerson
                | Code::ServerFull
                | Code::AddressFull
                | Code::TooFast
                | Code::LoginTimeout
                | Code::Silent
                | Code::Stalled
        )
    )
}
