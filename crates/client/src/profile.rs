//! What a client is to one server under one name: its secret, its device, its cursors and its outbox.
//!
//! Three files: `identity` is written once, `journal` holds the outbox and is synced before anything is sent,
//! `cursors` may lag behind a crash, which only shows lines again. Beside them `addresses` says where it was used, and
//! `merged` which older profile of the same server has taken its lines over.

mod addresses;
mod identity;
mod jobs;
mod journal;
mod kept;
mod location;
mod merge;

pub use addresses::{keep_apart, remember, remember_server};
pub use identity::Identity;
pub use location::{Located, Maybe, folder, is_known, locate};
pub use merge::{Merged, merge};

use crate::files::Files;
use crate::session::{Kept, Record, Save};
use rand::Rng;
use std::io;
use thiserror::Error;

/// Names of the files.
const IDENTITY: &str = "identity";
const JOURNAL: &str = "journal";
const CURSORS: &str = "cursors";

/// Why a profile can't be used.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The file system refused. Nothing was changed.
    #[error("can't use the profile's file '{file}'")]
    Io {
        /// Which file.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file does not read as it was written. Nothing was changed.
    #[error("the profile's file '{file}' is damaged in line {line}")]
    Damaged {
        /// Which file.
        file: &'static str,
        /// Where, from 1.
        line: usize,
    },
}

impl ProfileError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => {
                "check its permissions and the free space, or choose another folder with --state"
            }
            Self::Damaged { file: IDENTITY, .. } => {
                "restore it from a backup, or move it away to begin as a new person"
            }
            Self::Damaged { file: JOURNAL, .. } => {
                "move it away: lines that were not sent yet are lost with it"
            }
            Self::Damaged { .. } => "move it away: recent lines are then shown again",
        }
    }
}

/// A profile, opened.
#[derive(Debug)]
pub struct Profile<F> {
    files: F,
    identity: Identity,
    kept: Kept,
    records: Vec<Record>,
    /// Whether anything is written; not for a second process of one profile.
    writes: bool,
}

impl<F: Files> Profile<F> {
    /// Opens the profile, or makes one.
    ///
    /// # Errors
    /// [`ProfileError`]
    pub fn open(files: F, rng: &mut impl Rng) -> Result<Self, ProfileError> {
        let mut profile = Self::empty(files, rng)?;
        profile.writes = true;
        if let Some(content) = profile.read(CURSORS)? {
            profile.kept = kept::decode(&content).map_err(damaged(CURSORS))?;
        }
        if let Some(content) = profile.read(JOURNAL)? {
            profile.records = journal::decode(&content).map_err(damaged(JOURNAL))?;
            // Cuts off what a crash left half written, before something is added behind it.
            let whole = journal::encode(&profile.records);
            if whole.len() != content.len() {
                profile.write(JOURNAL, |files| files.replace(JOURNAL, &whole, true))?;
            }
        }
        Ok(profile)
    }

    /// Opens the profile for a second process: the same person on a device of its own that nothing is kept of.
    ///
    /// # Errors
    /// [`ProfileError`]
    pub fn open_beside(files: F, rng: &mut impl Rng) -> Result<Self, ProfileError> {
        let mut profile = Self::empty(files, rng)?;
        profile.identity.renew_device(rng);
        if let Some(content) = profile.read(CURSORS)? {
            // They go by the same name, and who is hidden stays hidden; the cursors are the other process's.
            let kept = kept::decode(&content).map_err(damaged(CURSORS))?;
            profile.kept = Kept { name: kept.name, ignored: kept.ignored, ..Kept::default() };
        }
        Ok(profile)
    }

    /// Opens a profile of this person, who goes by this name, that is a device of its own; or makes one. The name is
    /// empty where none was told yet.
    ///
    /// # Errors
    /// [`ProfileError`]
    pub fn open_for(
        mut files: F,
        person: Identity,
        name: &str,
        rng: &mut impl Rng,
    ) -> Result<Self, ProfileError> {
        let mut identity = person;
        identity.renew_device(rng);
        identity_of(&mut files, || identity)?;
        let mut profile = Self::open(files, rng)?;
        name.clone_into(&mut profile.kept.name);
        Ok(profile)
    }

    fn empty(mut files: F, rng: &mut impl Rng) -> Result<Self, ProfileError> {
        let identity = identity_of(&mut files, || Identity::new(rng))?;
        Ok(Self { files, identity, kept: Kept::default(), records: Vec::new(), writes: false })
    }

    fn read(&self, file: &'static str) -> Result<Option<Vec<u8>>, ProfileError> {
        self.files.read(file).map_err(|source| ProfileError::Io { file, source })
    }

    fn write(
        &mut self,
        file: &'static str,
        write: impl FnOnce(&mut F) -> io::Result<()>,
    ) -> Result<(), ProfileError> {
        write(&mut self.files).map_err(|source| ProfileError::Io { file, source })
    }

    /// Who this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What was kept beside the journal.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The journal's records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Keeps what the session wants kept, in order, with one sync for all that needs one.
    ///
    /// # Errors
    /// [`ProfileError`]: nothing more may be sent, since it would not survive a crash.
    pub fn save(&mut self, save: &Save) -> Result<(), ProfileError> {
        if !self.writes {
            return Ok(());
        }
        match save {
            Save::Append(records) => {
                let content = journal::encode(records);
                let sync = records.iter().any(|record| !matches!(record, Record::Acked { .. }));
                self.write(JOURNAL, |files| files.append(JOURNAL, &content, sync))
            }
            Save::Replace(records) => {
                let content = journal::encode(records);
                self.write(JOURNAL, |files| files.replace(JOURNAL, &content, true))
            }
            Save::Kept(kept) => {
                let content = kept::encode(kept);
                self.write(CURSORS, |files| files.replace(CURSORS, &content, false))
            }
        }
    }
}

/// The identity that is there, else a new one. Of several processes that make one, all have the same in the end: two
/// secrets of one profile would be two people, of whom one never comes back.
fn identity_of(files: &mut impl Files, make: impl FnOnce() -> Identity) -> Result<Identity, ProfileError> {
    let io = |source| ProfileError::Io { file: IDENTITY, source };
    let decode = |content: Vec<u8>| Identity::decode(&content).map_err(damaged(IDENTITY));
    if let Some(content) = files.read(IDENTITY).map_err(io)? {
        return decode(content);
    }
    let made = make();
    if files.create(IDENTITY, made.encode().as_bytes()).map_err(io)? {
        return Ok(made);
    }
    // Another one was faster, or it was removed again just now: then an empty one is damage, which is said.
    decode(files.read(IDENTITY).map_err(io)?.unwrap_or_default())
}

fn damaged(file: &'static str) -> impl Fn(usize) -> ProfileError {
    move |line| ProfileError::Damaged { file, line }
}

#[cfg(test)]
mod tests;
