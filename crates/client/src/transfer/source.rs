//! A file that is to be sent.

use super::{Failure, posted_name};
use protocol::blocks::hash_of_first;
use protocol::id::ContentHash;
use protocol::limits::BLOCK;
use std::fs::{File, metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

/// A file that is open for reading, and what it was when it was opened.
#[derive(Debug)]
pub struct Source {
    file: File,
    name: String,
    size: u64,
    modified: Option<SystemTime>,
}

impl Source {
    /// Opens the first of these that is there.
    ///
    /// # Errors
    /// [`Failure`] if it is none, or no plain file, or can't be read.
    pub fn open_any<P: AsRef<Path>>(paths: &[P]) -> Result<Self, Failure> {
        let mut found = paths.iter().map(|path| Self::open(path.as_ref()));
        found.find(|found| !matches!(found, Err(Failure::NotFound))).unwrap_or(Err(Failure::NotFound))
    }

    fn open(path: &Path) -> Result<Self, Failure> {
        // Looked at before it is opened: opening a pipe would wait for its writer.
        let before = metadata(path).map_err(|error| unreadable(&error))?;
        if before.is_dir() {
            return Err(Failure::Folder);
        }
        if !before.is_file() {
            return Err(Failure::NotPlain);
        }
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let now = file.metadata().map_err(|error| unreadable(&error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self { file, name: posted_name(&name), size: now.len(), modified: now.modified().ok() })
    }

    /// Its name, as an entry may have it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size in bytes when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of its first block, by which the server may know it. Reading begins at the beginning all the same.
    ///
    /// # Errors
    /// [`Failure`] if it can't be read.
    pub fn hash_of_first(&self) -> Result<ContentHash, Failure> {
        let most = usize::try_from(self.size.min(BLOCK)).unwrap_or(usize::MAX);
        let mut block = vec![0; most];
        self.file.read_exact_at(&mut block, 0).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Failure::Changed,
            _ => unreadable(&error),
        })?;
        Ok(hash_of_first(&block))
    }

    /// Reads on, at least one byte.
    ///
    /// # Errors
    /// [`Failure::Changed`] at its end: nobody reads on behind the size that it had.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        loop {
            match self.file.read(buffer) {
                Ok(0) => return Err(Failure::Changed),
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&error)),
            }
        }
    }

    /// Whether it is still what it was when it was opened.
    ///
    /// # Errors
    /// [`Failure::Changed`] if it is not.
    pub fn check_whole(&self) -> Result<(), Failure> {
        let now = self.file.metadata().map_err(|error| unreadable(&error))?;
        let same = now.len() == self.size && now.modified().ok() == self.modified;
        if same { Ok(()) } else { Err(Failure::Changed) }
    }
}

fn unreadable(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Failure::NotFound,
        io::ErrorKind::IsADirectory => Failure::Folder,
        _ => Failure::Unreadable(plain_words(error)),
    }
}

/// The system's words for an error, without its number.
pub(super) fn plain_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
