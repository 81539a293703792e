//! A folder that is to be sent: what is in it, and its bytes as one content, read from where they lie.

use super::Failure;
use super::source::copy_from;
use super::walk::{Mark, Walk};
use bytes::Bytes;
use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use protocol::bundle::Index;
use protocol::system_words::plain_words;
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;

/// A folder that is open for reading. Links in it are not followed: they, devices and pipes are left out.
#[derive(Debug)]
pub(super) struct Tree {
    dir: Dir,
    index: Index,
    /// The encoded index, with which the content begins.
    front: Bytes,
    /// What each file of the index was.
    marks: BTreeMap<String, Mark>,
    /// What those files have whose size does not tell it, as when they were looked at.
    held: BTreeMap<String, Vec<u8>>,
    left_out: usize,
    /// The file that was read last, by its place in the index.
    open: Option<(usize, std::fs::File)>,
}

impl Tree {
    /// The folder that was looked through.
    ///
    /// # Errors
    /// [`Failure`] if it can't be sent.
    pub(super) fn of(walk: Walk) -> Result<Self, Failure> {
        let Walk { dir, items, marks, held, left_out, .. } = walk;
        let index = Index::new(items).map_err(|error| Failure::BadFolder(error.to_string()))?;
        let front = index.encode();
        Ok(Self { dir, index, front, marks, held, left_out, open: None })
    }

    /// Bytes of the content.
    pub(super) fn size(&self) -> u64 {
        self.index.size()
    }

    /// Links, devices, pipes and unreadable files of the system in it, which are not sent.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    /// Another number if anything in it changed: a digest of what all files were.
    pub(super) fn stamp(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.front);
        for mark in self.marks.values() {
            let Mark { device, inode, size, modified: (s, ns) } = *mark;
            for number in [device, inode, size, s.cast_unsigned(), ns.cast_unsigned()] {
                hasher.update(&number.to_be_bytes());
            }
        }
        for (path, bytes) in &self.held {
            hasher.update(path.as_bytes()).update(blake3::hash(bytes).as_bytes());
        }
        let hash = hasher.finalize();
        u64::from_be_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }

    /// Reads from there, as many bytes as the buffer takes.
    ///
    /// # Errors
    /// [`Failure::Changed`] if there are not so many, or not in the files that were there.
    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, Failure> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let rest = &mut buffer[done..];
            done += match usize::try_from(at).ok().and_then(|at| self.front.get(at..)) {
                Some(front) if !front.is_empty() => {
                    let len = front.len().min(rest.len());
                    rest[..len].copy_from_slice(&front[..len]);
                    len
                }
                _ => self.read_file(at, rest)?,
            };
        }
        Ok(done)
    }

    fn read_file(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, Failure> {
        let place = self.index.place(at).ok_or(Failure::Changed)?;
        let len = usize::try_from(place.len).unwrap_or(usize::MAX).min(buffer.len());
        if let Some(bytes) = self.held.get(&self.index.items()[place.item].path) {
            let from = usize::try_from(place.offset).unwrap_or(usize::MAX);
            return Ok(copy_from(bytes, from, &mut buffer[..len]));
        }
        let file = match self.open.take() {
            Some((item, file)) if item == place.item => file,
            _ => self.open_file(place.item)?,
        };
        let read = file.read_exact_at(&mut buffer[..len], place.offset);
        self.open = Some((place.item, file));
        match read {
            Ok(()) => Ok(len),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failure::Changed),
            Err(error) => Err(unreadable(&self.index.items()[place.item].path, &error)),
        }
    }

    /// Opens a file, if it is the one that was there. Whatever has taken its place is neither waited for nor read.
    fn open_file(&self, item: usize) -> Result<std::fs::File, Failure> {
        let path = &self.index.items()[item].path;
        let file = open_quietly(&self.dir, path).map_err(|error| gone_or(path, &error))?;
        if self.is_same(path, &file)? { Ok(file.into_std()) } else { Err(Failure::Changed) }
    }

    fn is_same(&self, path: &str, file: &File) -> Result<bool, Failure> {
        let now = file.metadata().map_err(|error| unreadable(path, &error))?;
        let grown = self.marks.get(path).and_then(|mark| mark.is_grown(&Mark::of(&now)));
        Ok(now.is_file() && grown.is_some())
    }

    /// Checks that all files are still what they were, but for what was added at their ends; whether something was.
    /// What came new since is not sent.
    ///
    /// # Errors
    /// [`Failure::Changed`] if they are not.
    pub(super) fn check_whole(&self) -> Result<bool, Failure> {
        let mut grew = false;
        for (path, mark) in &self.marks {
            let now = self.dir.symlink_metadata(path).map_err(|error| gone_or(path, &error))?;
            let grown = mark.is_grown(&Mark::of(&now)).filter(|_| now.is_file());
            grew |= grown.ok_or(Failure::Changed)?;
        }
        Ok(grew)
    }
}

/// Opens a file for reading. Neither a link in its place is followed, nor a pipe waited for.
pub(super) fn open_quietly(dir: &Dir, path: &str) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    dir.open_with(path, OpenOptions::new().read(true).custom_flags(flags.cast_signed()))
}

fn gone_or(path: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Failure::Changed,
        // A link stands there now.
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Failure::Changed,
        _ => unreadable(path, error),
    }
}

pub(super) fn unreadable(path: &str, error: &io::Error) -> Failure {
    let words = plain_words(error);
    Failure::Unreadable(if path.is_empty() { words } else { format!("'{path}': {words}") })
}
