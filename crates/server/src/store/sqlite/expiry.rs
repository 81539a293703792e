//! Which contents may be gone because their time was over, kept beside the database: all others must be there.
//!
//! Entries go on naming a content that expired, so a folder that lost its contents would look like one that kept them
//! for a day. What tells them apart is how long the servers of this folder kept files.

use crate::store::StoredFile;
use protocol::id::{ContentHash, Millis};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

pub(super) const MAGIC: [u8; 8] = *b"ntexpir1";
pub(super) const LEN: usize = 32;

/// How long contents were kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Expiry {
    /// How long the last server of the folder keeps them, in ms; `None` for as long as their entries.
    pub keep_ms: Option<u64>,
    /// Those of entries from before this time may be gone for another reason: older servers kept them shorter, or it
    /// was accepted that they are lost.
    pub before: Millis,
}

impl Expiry {
    /// What a folder says; that of a folder in which nothing ever expired if it says nothing.
    pub(super) fn read(path: &Path) -> Self {
        let mut bytes = [0; LEN];
        let read = File::open(path).and_then(|file| file.read_exact_at(&mut bytes, 0));
        let number = |at: usize| u64::from_be_bytes(*bytes[at..].first_chunk().expect("32 bytes"));
        let keep_ms = Some(number(8)).filter(|ms| *ms != u64::MAX);
        let found = Self { keep_ms, before: Millis(number(16)) };
        if read.is_ok() && bytes == found.encode() { found } else { Self::default() }
    }

    /// Writes and syncs it.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.write_all_at(&self.encode(), 0)?;
        file.sync_all()
    }

    fn encode(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.keep_ms.unwrap_or(u64::MAX).to_be_bytes());
        bytes[16..24].copy_from_slice(&self.before.0.to_be_bytes());
        let hash = blake3::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&hash.as_bytes()[..8]);
        bytes
    }

    /// Contents of entries from before this time may be gone.
    pub fn horizon(&self, now: Millis) -> Millis {
        let kept_since = self.keep_ms.map_or(0, |keep| now.0.saturating_sub(keep));
        self.before.max(Millis(kept_since))
    }
}

/// Contents that entries name and that are not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MissingFiles {
    /// Those that should be.
    pub lost: u64,
    /// Those whose time was over.
    pub expired: u64,
    /// When the newest entry was stored that names one of them.
    pub newest: Option<Millis>,
}

impl MissingFiles {
    /// Looks for the contents of all entries.
    pub fn find(files: &[StoredFile], horizon: Millis, is_here: impl Fn(ContentHash) -> bool) -> Self {
        // A content stays as long as the last entry that names it.
        let mut newest = BTreeMap::new();
        for file in files {
            let time = newest.entry(file.hash).or_insert(file.time);
            *time = file.time.max(*time);
        }
        let mut missing = Self::default();
        for (_, time) in newest.into_iter().filter(|(hash, _)| !is_here(*hash)) {
            let count = if time < horizon { &mut missing.expired } else { &mut missing.lost };
            *count += 1;
            missing.newest = missing.newest.max(Some(time));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{RoomId, Seq};

    #[test]
    fn it_comes_out_as_it_went_in_and_a_damaged_one_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("expiry");
        assert_eq!(Expiry::read(&path), Expiry::default());
        for keep_ms in [None, Some(86_400_000)] {
            let expiry = Expiry { keep_ms, before: Millis(77) };
            expiry.write(&path).unwrap();
            assert_eq!(Expiry::read(&path), expiry);
        }
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Expiry::read(&path), Expiry::default());
    }

    #[test]
    fn a_content_is_lost_unless_the_time_of_all_its_entries_was_over() {
        let file = |hash, time| StoredFile {
            room: RoomId::FIRST,
            seq: Seq::FIRST,
            time: Millis(time),
            person: None,
            hash: ContentHash([hash; 32]),
            size: 1,
            offer: None,
        };
        let files = [file(1, 10), file(2, 10), file(2, 90), file(3, 95), file(4, 99)];
        let find =
            |expiry: Expiry| MissingFiles::find(&files, expiry.horizon(Millis(100)), |hash| hash.0[0] == 4);
        let lost = |lost, expired| MissingFiles { lost, expired, newest: Some(Millis(95)) };
        assert_eq!(find(Expiry::default()), lost(3, 0));
        assert_eq!(find(Expiry { keep_ms: Some(50), before: Millis(0) }), lost(2, 1));
        assert_eq!(find(Expiry { keep_ms: None, before: Millis(96) }), lost(0, 3));
    }
}
