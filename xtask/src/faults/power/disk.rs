//! Files as they are on the disk: what was synced, and what was written since and may or may not be there.

use crate::{faults::strace::Call, proof::Chance};
use std::{
    collections::BTreeMap,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Write { at: usize, data: Vec<u8> },
    Truncate { len: usize },
}

/// A file: what is on the disk for sure, and the changes since, in order, with the time at which each was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct File {
    synced: Vec<u8>,
    pending: Vec<(usize, Change)>,
}

/// How much of the unsynced changes is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Luck {
    /// None of them.
    Nothing,
    /// All of them up to some moment.
    Beginning,
    /// Each sector as it was at a moment of its own.
    Anything,
}

/// All files of a folder at one moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Disk {
    folder: PathBuf,
    files: BTreeMap<PathBuf, File>,
}

impl Disk {
    /// What these calls made of the files of a folder until `end`.
    pub fn replay(calls: &[Call], folder: &Path, end: usize) -> Self {
        let mut disk = Self { folder: folder.to_owned(), files: BTreeMap::new() };
        let mut done: Vec<_> = calls.iter().filter(|call| call.begin < end).collect();
        // A change is made when its call has returned; one that had not yet may have been made.
        done.sort_by_key(|call| call.end.min(end));
        for call in done {
            disk.handle_call(call, end);
        }
        disk
    }

    /// Writes the files as a cut may leave them, in place of what is in the folder. Gives how many sectors of them
    /// are not as they were in the system's memory.
    ///
    /// # Errors
    /// The path that could not be written.
    pub fn write(self, chance: &mut Chance) -> Result<u64, (PathBuf, io::Error)> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| (path, source)
        };
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(failed(&self.folder))?;
        }
        fs::create_dir_all(&self.folder).map_err(failed(&self.folder))?;
        let mut dropped = 0;
        for (path, file) in self.files {
            let luck = match chance.below(3) {
                0 => Luck::Nothing,
                1 => Luck::Beginning,
                _ => Luck::Anything,
            };
            let (bytes, lost) = file.survive(luck, chance);
            dropped += lost;
            fs::write(&path, bytes).map_err(failed(&path))?;
        }
        Ok(dropped)
    }

    fn handle_call(&mut self, call: &Call, end: usize) {
        if call.name == "unlink" && call.result == Some(0) {
            // Whoever takes a file away syncs its folder before going on.
            self.files.remove(Path::new(std::str::from_utf8(&call.data).unwrap_or_default()));
            return;
        }
        let path = Path::new(&call.file);
        // The index of the log is made anew from the log after each start.
        let is_ours = path.parent() == Some(&self.folder) && !call.file.ends_with("-shm");
        if !is_ours {
            return;
        }
        let file = self.files.entry(path.to_owned()).or_default();
        let last = call.last.and_then(|last| usize::try_from(last).ok());
        match call.name.as_str() {
            "fsync" | "fdatasync" if call.result == Some(0) && call.end < end => file.sync(call.begin),
            "pwrite64" => {
                let write = last.map(|at| Change::Write { at, data: call.data.clone() });
                file.pending.extend(write.map(|write| (call.end, write)));
            }
            // Only files that are written once, from their beginning, are not written by offset.
            "write" => file.pending.push((call.end, Change::Write { at: 0, data: call.data.clone() })),
            "ftruncate" => file.pending.extend(last.map(|len| (call.end, Change::Truncate { len }))),
            _ => {}
        }
    }
}

impl File {
    /// What was made before the sync began is on the disk now.
    fn sync(&mut self, begin: usize) {
        for (end, change) in std::mem::take(&mut self.pending) {
            if end < begin {
                change.apply(&mut self.synced);
            } else {
                self.pending.push((end, change));
            }
        }
    }

    /// The bytes that are left, and how many sectors are older than they were in the system's memory.
    ///
    /// The system writes whole sectors, each as it was at some moment, and the length of the file as it was at some
    /// moment: a later change of a sector is never there without the earlier ones.
    fn survive(self, luck: Luck, chance: &mut Chance) -> (Vec<u8>, u64) {
        let changes: Vec<_> = self.pending.into_iter().map(|(_, change)| change).collect();
        let all = changes.len();
        let beginning = below(chance, all + 1);
        let mut moment = || match luck {
            Luck::Nothing => 0,
            Luck::Beginning => beginning,
            Luck::Anything => [0, all, below(chance, all + 1)][below(chance, 3)],
        };
        let len = changes[..moment()].iter().fold(self.synced.len(), |len, change| change.len_after(len));
        let most = changes.iter().map(Change::end).max().unwrap_or(0).max(self.synced.len());
        let (mut bytes, mut old) = (self.synced, 0);
        bytes.resize(most, 0);
        for (number, sector) in bytes.chunks_mut(SECTOR).enumerate() {
            let start = number * SECTOR;
            if changes.iter().any(|change| change.touches(start..start + sector.len())) {
                let kept = moment();
                old += u64::from(kept < all);
                changes[..kept].iter().for_each(|change| change.apply_to(sector, start));
            }
        }
        bytes.resize(len, 0);
        (bytes, old)
    }
}

fn below(chance: &mut Chance, end: usize) -> usize {
    usize::try_from(chance.below(end as u64)).unwrap_or(0)
}

impl Change {
    /// Behind the last byte that it writes.
    fn end(&self) -> usize {
        match self {
            Self::Write { at, data } => at + data.len(),
            Self::Truncate { .. } => 0,
        }
    }

    /// The length of a file of this length after it.
    fn len_after(&self, len: usize) -> usize {
        match self {
            Self::Write { .. } => len.max(self.end()),
            Self::Truncate { len } => *len,
        }
    }

    fn touches(&self, bytes: Range<usize>) -> bool {
        match self {
            Self::Write { at, .. } => *at < bytes.end && self.end() > bytes.start,
            Self::Truncate { len } => *len < bytes.end,
        }
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        bytes.resize(self.len_after(bytes.len()), 0);
        self.apply_to(bytes, 0);
    }

    /// Changes the part of it that lies in these bytes, the first of which is the file's byte `start`.
    fn apply_to(&self, bytes: &mut [u8], start: usize) {
        let end = start + bytes.len();
        match self {
            Self::Truncate { len } if *len < end => bytes[len.saturating_sub(start)..].fill(0),
            Self::Truncate { .. } => {}
            Self::Write { at, data } => {
                let (from, to) = ((*at).max(start), self.end().min(end));
                if from < to {
                    bytes[from - start..to - start].copy_from_slice(&data[from - at..to - at]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, data: &[u8], last: u64, (begin, end): (usize, usize)) -> Call {
        Call {
            name: name.into(),
            file: "/d/n.db-wal".into(),
            data: data.to_vec(),
            last: Some(last),
            result: Some(0),
            injected: false,
            begin,
            end,
        }
    }

    fn left(calls: &[Call], end: usize, luck: Luck) -> Vec<u8> {
        let disk = Disk::replay(calls, Path::new("/d"), end);
        let file = disk.files.into_values().next().unwrap_or_default();
        file.survive(luck, &mut Chance::new(1)).0
    }

    #[test]
    fn what_was_synced_is_there_and_what_was_not_need_not_be() {
        let calls = [
            call("pwrite64", b"abcd", 0, (0, 0)),
            call("fdatasync", b"", 0, (1, 2)),
            call("pwrite64", b"XY", 1, (3, 3)),
        ];
        assert_eq!(left(&calls, 9, Luck::Nothing), b"abcd");
        assert_eq!(left(&calls, 2, Luck::Nothing), b"", "the sync had not returned");
        for luck in [Luck::Beginning, Luck::Anything] {
            let left = left(&calls, 9, luck);
            assert!(left == b"abcd" || left == b"aXYd", "{left:?}");
        }
    }

    #[test]
    fn a_later_change_of_a_sector_is_never_there_without_the_earlier_one() {
        let calls = [call("pwrite64", b"abcd", 0, (0, 0)), call("pwrite64", b"XY", 1, (1, 1))];
        for seed in 0..100 {
            let disk = Disk::replay(&calls, Path::new("/d"), 9);
            let file = disk.files.into_values().next().unwrap_or_default();
            let (left, _) = file.survive(Luck::Anything, &mut Chance::new(seed));
            assert!(
                [&b""[..], b"abcd", b"aXYd", b"abc", b"\0\0\0\0", b"\0\0\0"].contains(&&left[..]),
                "{left:?}"
            );
        }
    }

    #[test]
    fn a_sync_covers_only_what_was_written_before_it_began() {
        let calls = [call("fdatasync", b"", 0, (0, 3)), call("pwrite64", b"abcd", 0, (1, 2))];
        assert_eq!(left(&calls, 9, Luck::Nothing), b"");
    }

    #[test]
    fn a_file_may_be_cut_and_grow_again() {
        let calls = [
            call("pwrite64", b"abcd", 0, (0, 0)),
            call("ftruncate", b"", 1, (1, 1)),
            call("pwrite64", b"z", 3, (2, 2)),
            call("fsync", b"", 0, (3, 4)),
        ];
        assert_eq!(left(&calls, 9, Luck::Nothing), b"a\0\0z");
    }
}
