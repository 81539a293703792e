//! What a session wants of a carrier, and what it hears of it.

use super::{Failure, Trouble};
use protocol::bundle::Index;
use protocol::id::{ContentHash, TransferId};
pub use protocol::message::Shape;
use protocol::message::{FileBody, Target};
use std::path::PathBuf;
use std::sync::Arc;

/// Which transfer of this profile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct JobId(pub u64);

/// Something to do, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order<J> {
    /// Move this until it has arrived or failed for good.
    Begin(J),
    /// The sender has sent all: the content has this hash.
    Whole(JobId, ContentHash),
    /// Read what is in the folder, and nothing more.
    Look(J),
    /// Give it up, and leave nothing of it here.
    Cancel(JobId),
    /// What became of it has been kept: nothing about it need be remembered any more.
    Forget(JobId),
}

/// A file or a folder to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// Its number.
    pub id: JobId,
    /// Where it lies, as it was typed.
    pub path: String,
    /// Where it goes.
    pub target: Target,
    /// What it was when an earlier process opened it: it must still be that.
    pub opened: Option<Opened>,
    /// Whether others know of that: then its offer is taken back if it does not come.
    pub offered: bool,
}

/// A source as it was when it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// By which the server knows the transfer.
    pub transfer: TransferId,
    /// Where it lies, whatever folder the next process is started in.
    pub path: String,
    /// Its name, as an entry may have it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Another one if anything wrote to it: the time of a file's last change, a digest of all of them for a folder.
    pub stamp: u64,
    /// What it is.
    pub shape: Shape,
    /// The hash of its first block, by which the server knows it, too; `None` before it was read.
    pub first: Option<ContentHash>,
}

impl Opened {
    /// Whether this is the same, whatever was read of it.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Self { first: other.first, ..self.clone() } == *other
    }
}

/// Where a content comes from. Invariant: one of both is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The upload that it is a download of, if it was offered before it was whole.
    pub transfer: Option<TransferId>,
    /// Its hash, once that is known.
    pub hash: Option<ContentHash>,
}

/// Where a content goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// Here, under this very name unless it is taken; in the folder for received files, under a safe form of its own
    /// name, if there is none.
    pub path: Option<PathBuf>,
    /// Whether files of a folder that were executable are so here.
    pub executables: bool,
    /// Whether it is not received if the same lies there already, under its name or that with a number.
    pub unless_there: bool,
}

/// A file or a folder to receive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Download {
    /// Its number.
    pub id: JobId,
    /// What it is.
    pub origin: Origin,
    /// Its size in bytes.
    pub size: u64,
    /// Its name as its sender gave it.
    pub name: String,
    /// What it is.
    pub shape: Shape,
    /// Where it goes.
    pub keep: Keep,
}

/// What becomes of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// Of which.
    pub id: JobId,
    /// What.
    pub step: Step,
}

/// A step of a job. `Uploaded`, `Received`, `There`, `Cancelled`, `Outdated` and `Failed` are its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// It was opened, to be sent.
    Opened(Opened),
    /// It is being received.
    Begun,
    /// So many files and folders have been found in the folder that is to be sent.
    Looking(usize),
    /// So many of its bytes have been hashed, before any is sent: the server may have it already.
    Hashing(u64),
    /// So many of its bytes, which an earlier process left, have been read again.
    Verifying(u64),
    /// The server takes it: it may be offered.
    Accepted,
    /// It goes on behind this byte.
    Resumed(u64),
    /// So many of its bytes have been moved.
    Moved(u64),
    /// So many of its bytes have been written to the files of the folder.
    Unpacking(u64),
    /// These paths of the folder have other names here, which this file system can hold side by side.
    Renamed(Arc<[(String, String)]>),
    /// All that its sender has sent is here; more is to come.
    Waiting,
    /// This is in the folder, or it can't be read for this reason; it is not begun by that.
    Listed(Result<Arc<Index>, Failure>),
    /// Links, devices, pipes and unreadable files of the system in the folder are not sent.
    LeftOut(usize),
    /// Something was added to it while it was sent: what it had when it was opened is sent.
    Grew,
    /// It broke off, and will be tried again.
    Broken(Trouble),
    /// The server has it, synced: an entry may name it.
    Uploaded {
        /// What the entry says.
        file: FileBody,
        /// Bytes that had to be sent by this process; 0 if the server had it already.
        sent: u64,
    },
    /// It lies here, synced.
    Received(String),
    /// The same lay here already: nothing was received.
    There(String),
    /// It is not what an earlier process began to send: nothing of that can be gone on with.
    Outdated,
    /// It was given up, as its user wished.
    Cancelled,
    /// It failed for good.
    Failed(Failure),
    /// Of no job: nothing more is moved this way, because the thread that did it has panicked.
    Stopped {
        /// Whether files were sent by it, or received.
        up: bool,
    },
}

impl From<Failure> for Step {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Step {
    /// Whether it only says how far a job is, and is out of date with the next one.
    pub(super) fn is_progress(&self) -> bool {
        matches!(
            self,
            Self::Looking(_) | Self::Hashing(_) | Self::Verifying(_) | Self::Moved(_) | Self::Unpacking(_)
        )
    }
}
