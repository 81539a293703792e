//! A file that is to be sent.

use super::{Failure, Opened, Shape, posted_name};
use protocol::id::TransferId;
use std::fs::{File, metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf, absolute};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file that is open for reading, and what it was when it was opened.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
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
        let name = posted_name(&name);
        let path = absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Self { file, path, name, size: now.len(), modified: now.modified().ok() })
    }

    /// Opens again what an earlier process, or an earlier attempt, opened.
    ///
    /// # Errors
    /// [`Failure::Changed`] if it is not what it was.
    pub fn reopen(opened: &Opened) -> Result<Self, Failure> {
        let source = Self::open(Path::new(&opened.path))?;
        if source.opened(opened.transfer) == *opened { Ok(source) } else { Err(Failure::Changed) }
    }

    /// What it is, to be opened again by another process.
    pub fn opened(&self, transfer: TransferId) -> Opened {
        Opened {
            transfer,
            path: self.path.to_string_lossy().into_owned(),
            name: self.name.clone(),
            size: self.size,
            stamp: self.stamp(),
            shape: self.shape(),
        }
    }

    /// Its name, as an entry may have it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size in bytes when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What it is.
    pub fn shape(&self) -> Shape {
        Shape::File
    }

    /// Another number if anything wrote to it: the time of its last change, in ns.
    fn stamp(&self) -> u64 {
        let age = self.modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
        age.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX))
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

    /// Reads from there, as many bytes as the buffer takes.
    ///
    /// # Errors
    /// [`Failure::Changed`] if there are not so many.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, Failure> {
        match self.file.read_exact_at(buffer, offset) {
            Ok(()) => Ok(buffer.len()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failure::Changed),
            Err(error) => Err(unreadable(&error)),
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
