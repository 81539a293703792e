//! Files on their way: the session makes jobs and hears news of them, and a [`Carrier`] moves the bytes, over
//! connections of their own, so that the chat stays fast.

mod carrier;
mod download;
mod fault;
mod link;
mod meter;
mod name;
mod path;
mod received;
mod source;
#[cfg(test)]
mod tests;
mod upload;

pub use carrier::{Carrier, Login};
pub use fault::{Failure, Trouble};
pub use meter::{Meter, Pace};
pub use name::{posted_name, safe_name};
pub use path::candidates;
pub use received::{Partial, Received};
pub use source::Source;

use protocol::id::{ContentHash, TransferId};
use protocol::message::{FileBody, Target};

/// Which transfer of this process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct JobId(pub u64);

/// A file to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// Its number.
    pub id: JobId,
    /// Where it lies, as it was typed.
    pub path: String,
    /// Where it goes.
    pub target: Target,
}

/// A file to receive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Download {
    /// Its number.
    pub id: JobId,
    /// What it is.
    pub file: FileBody,
}

/// What becomes of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// Of which.
    pub id: JobId,
    /// What.
    pub step: Step,
}

/// A step of a job. `Uploaded`, `Received` and `Failed` are its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// It begins, or begins again.
    Begun {
        /// The file's name.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// So many of its bytes have been moved.
    Moved(u64),
    /// It broke off, and will be tried again.
    Broken(Trouble),
    /// The server has it, synced: an entry may name it.
    Uploaded(FileBody),
    /// It lies here, synced.
    Received(String),
    /// It failed for good.
    Failed(Failure),
}

/// A file's hash while its bytes pass.
#[derive(Clone, Debug, Default)]
struct Hasher(blake3::Hasher);

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn hash(&self) -> ContentHash {
        ContentHash(*self.0.finalize().as_bytes())
    }
}

/// A number for an upload that no other has.
fn transfer_id(rng: &mut impl rand::Rng) -> TransferId {
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    TransferId(id)
}
