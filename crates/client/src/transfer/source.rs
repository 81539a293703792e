//! A file or a folder that is to be sent.

use super::tree::Tree;
use super::walk::Walk;
use super::{Failure, Opened, Shape, posted_name};
use protocol::id::TransferId;
use std::fs::{File, metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf, absolute};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file or a folder that is open for reading, and what it was when it was opened.
#[derive(Debug)]
pub struct Source {
    content: Content,
    path: PathBuf,
    name: String,
    size: u64,
}

#[derive(Debug)]
enum Content {
    File { file: File, modified: Option<SystemTime> },
    Folder(Box<Tree>),
}

/// A source that is being opened.
#[derive(Debug)]
pub(crate) enum Opening {
    /// It is open.
    Whole(Source),
    /// It is a folder, and is being looked through.
    Looking(Looking),
}

/// A folder that is being looked through.
#[derive(Debug)]
pub(crate) struct Looking {
    path: PathBuf,
    walk: Walk,
}

impl Looking {
    fn begin(path: &Path) -> Result<Self, Failure> {
        // `.` and `..` have a name, too.
        let path = path.canonicalize().map_err(|error| unreadable(&error))?;
        Ok(Self { walk: Walk::begin(&path)?, path })
    }

    /// Files and folders that were found so far.
    pub(super) fn found(&self) -> usize {
        self.walk.found()
    }

    /// Looks a little further.
    ///
    /// # Errors
    /// [`Failure`] if something in it can't be read, or can't be sent.
    pub(super) fn step(mut self) -> Result<Opening, Failure> {
        if self.walk.step()? {
            return Ok(Opening::Looking(self));
        }
        let Self { path, walk } = self;
        let tree = Tree::of(walk)?;
        let size = tree.size();
        let content = Content::Folder(Box::new(tree));
        Ok(Opening::Whole(Source { content, name: name_of(&path), path, size }))
    }
}

impl Source {
    /// Opens the first of these that is there, at once.
    ///
    /// # Errors
    /// [`Failure`] if it is none, or neither a folder nor a plain file, or can't be read.
    #[cfg(test)]
    pub(crate) fn open_any<P: AsRef<Path>>(paths: &[P]) -> Result<Self, Failure> {
        let mut opening = Self::begin_any(paths)?;
        loop {
            opening = match opening {
                Opening::Whole(source) => return Ok(source),
                Opening::Looking(looking) => looking.step()?,
            };
        }
    }

    /// Begins to open the first of these that is there.
    ///
    /// # Errors
    /// [`Failure`] if it is none, or neither a folder nor a plain file, or can't be read.
    pub(crate) fn begin_any<P: AsRef<Path>>(paths: &[P]) -> Result<Opening, Failure> {
        let mut found = paths.iter().map(|path| Self::begin(path.as_ref()));
        found.find(|found| !matches!(found, Err(Failure::NotFound))).unwrap_or(Err(Failure::NotFound))
    }

    fn begin(path: &Path) -> Result<Opening, Failure> {
        // Looked at before it is opened: opening a pipe would wait for its writer.
        let before = metadata(path).map_err(|error| unreadable(&error))?;
        if before.is_dir() {
            return Looking::begin(path).map(Opening::Looking);
        }
        if !before.is_file() {
            return Err(Failure::NotPlain);
        }
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let now = file.metadata().map_err(|error| unreadable(&error))?;
        let path = absolute(path).unwrap_or_else(|_| path.to_owned());
        let (size, modified) = (now.len(), now.modified().ok());
        let content = Content::File { file, modified };
        Ok(Opening::Whole(Self { content, name: name_of(&path), path, size }))
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
        match self.content {
            Content::File { .. } => Shape::File,
            Content::Folder(_) => Shape::Folder,
        }
    }

    /// Links, devices and pipes of a folder: they are not sent.
    pub fn left_out(&self) -> usize {
        match &self.content {
            Content::File { .. } => 0,
            Content::Folder(tree) => tree.left_out(),
        }
    }

    /// Another number if anything wrote to it: the time of its last change, in ns, or a digest of a folder.
    fn stamp(&self) -> u64 {
        let modified = match &self.content {
            Content::File { modified, .. } => modified,
            Content::Folder(tree) => return tree.stamp(),
        };
        let age = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
        age.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Reads on in a file, at least one byte.
    ///
    /// # Errors
    /// [`Failure::Changed`] at its end: nobody reads on behind the size that it had. [`Failure::Folder`] if it is one.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let Content::File { file, .. } = &mut self.content else {
            return Err(Failure::Folder);
        };
        loop {
            match file.read(buffer) {
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
        let file = match &mut self.content {
            Content::File { file, .. } => file,
            Content::Folder(tree) => return tree.read_at(offset, buffer),
        };
        match file.read_exact_at(buffer, offset) {
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
        let (file, modified) = match &self.content {
            Content::File { file, modified } => (file, modified),
            Content::Folder(tree) => return tree.check_whole(),
        };
        let now = file.metadata().map_err(|error| unreadable(&error))?;
        let same = now.len() == self.size && now.modified().ok() == *modified;
        if same { Ok(()) } else { Err(Failure::Changed) }
    }
}

fn name_of(path: &Path) -> String {
    posted_name(&path.file_name().unwrap_or_default().to_string_lossy())
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
