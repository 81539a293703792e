//! The witness: how many commits were acknowledged, kept outside the database.
//!
//! A bit that flips in the last commits of the write-ahead log makes SQLite drop them, as if they had never been
//! finished. The witness is written after each sync and before its acknowledgement, without a sync of its own: it
//! survives the end of the program, and mostly that of the machine. One that is behind says nothing; one that is
//! ahead of the database proves that commits were lost.
//!
//! Whoever deletes or overwrites it while the server runs takes nothing away: the server knows what was in it, says
//! that it was gone, and writes it anew.

use protocol::id::Epoch;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(super) const MAGIC: [u8; 8] = *b"nttrack1";
pub(super) const LEN: usize = 40;

/// The open file.
#[derive(Debug)]
pub(super) struct Witness {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
}

impl Witness {
    /// Opens it, to write to it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let identity = identity(&file.metadata()?);
        Ok(Self { path: path.to_owned(), file, identity })
    }

    /// Takes down that so many commits of a log are acknowledged.
    pub fn write(&mut self, epoch: Epoch, commits: u64) -> io::Result<()> {
        let is_in_place = std::fs::metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity);
        if !is_in_place {
            *self = Self::open(&self.path)?;
            let path = self.path.display();
            tracing::warn!(%path, "the witness was deleted or replaced while the server ran: it is written anew");
        }
        self.file.write_all_at(&encode(epoch, commits), 0)
    }

    /// Writes it anew if it does not say what was written to it last.
    pub fn keep(&mut self, epoch: Epoch, commits: u64) -> io::Result<()> {
        if read_any(&self.path) == Some((epoch, commits)) { Ok(()) } else { self.write(epoch, commits) }
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// How many commits of this log were acknowledged at least.
pub(super) fn read(path: &Path, epoch: Epoch) -> u64 {
    read_any(path).filter(|(of, _)| *of == epoch).map_or(0, |(_, commits)| commits)
}

/// How many commits of any log were acknowledged at least.
pub(super) fn commits(path: &Path) -> u64 {
    read_any(path).map_or(0, |(_, commits)| commits)
}

/// The log and its commits; none and a torn one say nothing.
fn read_any(path: &Path) -> Option<(Epoch, u64)> {
    let mut bytes = [0; LEN];
    File::open(path).and_then(|file| file.read_exact_at(&mut bytes, 0)).ok()?;
    let epoch = Epoch(*bytes[8..].first_chunk().expect("a witness has 40 bytes"));
    let commits = u64::from_be_bytes(*bytes[24..].first_chunk().expect("a witness has 40 bytes"));
    (bytes == encode(epoch, commits)).then_some((epoch, commits))
}

fn encode(epoch: Epoch, commits: u64) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..24].copy_from_slice(&epoch.0);
    bytes[24..32].copy_from_slice(&commits.to_be_bytes());
    let hash = blake3::hash(&bytes[..32]);
    bytes[32..].copy_from_slice(&hash.as_bytes()[..8]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_tells_the_commits_of_its_own_log_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        assert_eq!(read(&path, Epoch([1; 16])), 0);
        let mut witness = Witness::open(&path).unwrap();
        witness.write(Epoch([1; 16]), 7).unwrap();
        witness.write(Epoch([1; 16]), 8).unwrap();
        assert_eq!(read(&path, Epoch([1; 16])), 8);
        assert_eq!(read(&path, Epoch([2; 16])), 0);
        assert_eq!(commits(&path), 8, "of whichever log");
        std::fs::write(&path, [0; LEN]).unwrap();
        assert_eq!((read(&path, Epoch([1; 16])), commits(&path)), (0, 0));
    }

    #[test]
    fn a_witness_that_is_gone_or_overwritten_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let epoch = Epoch([1; 16]);
        let mut witness = Witness::open(&path).unwrap();
        witness.write(epoch, 7).unwrap();
        std::fs::remove_file(&path).unwrap();
        witness.write(epoch, 8).unwrap();
        assert_eq!(commits(&path), 8, "with the next commit");
        std::fs::remove_file(&path).unwrap();
        witness.keep(epoch, 8).unwrap();
        assert_eq!(commits(&path), 8, "and without one");
        std::fs::write(&path, "what somebody wrote").unwrap();
        witness.keep(epoch, 8).unwrap();
        assert_eq!(commits(&path), 8);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(witness.keep(epoch, 8).is_err(), "what can't be written is no success");
    }
}
