//! A file or a folder that is to be sent.

use super::tree::Tree;
use super::walk::Walk;
use super::{Failure, Opened, Shape, posted_name};
use protocol::id::TransferId;
use protocol::size::human_size;
use protocol::system_words::plain_words;
use rustix::fs::OFlags;
use std::cmp::Ordering;
use std::fs::{File, OpenOptions, metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf, absolute};
use std::time::{SystemTime, UNIX_EPOCH};

/// The largest size that says nothing, in bytes: files of /proc say 0, those of /sys a page.
pub(super) const UNTOLD: u64 = 4_096;

/// Bytes that a file, or all files of a folder, may have which say less: they are held in memory.
pub(super) const MAX_UNTOLD: usize = 64 * 1024 * 1024;

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
    File {
        file: File,
        modified: Option<SystemTime>,
    },
    /// What a file had that does not tell its size, as those of /proc and /sys; how much of it was read on.
    Read {
        bytes: Vec<u8>,
        at: usize,
    },
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
        let whole = path.canonicalize().map_err(|error| unreadable(path, &error))?;
        let walk = Walk::begin(&whole)?;
        // A link goes by its own name; `.` and `..` have one, too.
        let named = path.file_name().and_then(|_| absolute(path).ok());
        Ok(Self { walk, path: named.unwrap_or(whole) })
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
        found.find(|found| !matches!(found, Err(Failure::NotFound(_)))).unwrap_or_else(|| {
            // Without its quotes, if it was typed with some.
            let mut meant = paths.iter().map(AsRef::as_ref);
            let typed = meant.next().unwrap_or(Path::new(""));
            Err(not_found(meant.find(|path| *path != typed).unwrap_or(typed)))
        })
    }

    fn begin(path: &Path) -> Result<Opening, Failure> {
        // Looked at before it is opened: opening a pipe would wait for its writer.
        let before = metadata(path).map_err(|error| unreadable(path, &error))?;
        if before.is_dir() {
            return Looking::begin(path).map(Opening::Looking);
        }
        if !before.is_file() {
            return Err(Failure::NotPlain);
        }
        // What is read from the system itself may have nothing to say yet: nobody waits for that.
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
        let file = file.map_err(|error| unreadable(path, &error))?;
        let now = file.metadata().map_err(|error| unreadable(path, &error))?;
        let path = absolute(path).unwrap_or_else(|_| path.to_owned());
        let (size, modified) = (now.len(), now.modified().ok());
        let (size, content) = match read_if_untold(&file, size, MAX_UNTOLD)? {
            Some(bytes) => (bytes.len() as u64, Content::Read { bytes, at: 0 }),
            None => (size, Content::File { file, modified }),
        };
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
            first: None,
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
            Content::File { .. } | Content::Read { .. } => Shape::File,
            Content::Folder(_) => Shape::Folder,
        }
    }

    /// Links, devices, pipes and unreadable files of the system in a folder: they are not sent.
    pub fn left_out(&self) -> usize {
        match &self.content {
            Content::File { .. } | Content::Read { .. } => 0,
            Content::Folder(tree) => tree.left_out(),
        }
    }

    /// Another number if anything wrote to it: the time of its last change, in ns, or a digest of a folder.
    fn stamp(&self) -> u64 {
        let modified = match &self.content {
            Content::File { modified, .. } => modified,
            Content::Folder(tree) => return tree.stamp(),
            Content::Read { bytes, .. } => return stamp_of(bytes),
        };
        let age = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
        age.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Reads on in a file, at least one byte.
    ///
    /// # Errors
    /// [`Failure::Changed`] at its end: nobody reads on behind the size that it had. [`Failure::Folder`] if it is one.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let file = match &mut self.content {
            Content::File { file, .. } => file,
            Content::Folder(_) => return Err(Failure::Folder),
            Content::Read { bytes, at } => {
                let read = copy_from(bytes, *at, buffer);
                *at += read;
                return if read == 0 { Err(Failure::Changed) } else { Ok(read) };
            }
        };
        loop {
            match file.read(buffer) {
                Ok(0) => return Err(Failure::Changed),
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unread(&error)),
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
            Content::Read { bytes, .. } => {
                let read = copy_from(bytes, usize::try_from(offset).unwrap_or(usize::MAX), buffer);
                return if read < buffer.len() { Err(Failure::Changed) } else { Ok(read) };
            }
        };
        match file.read_exact_at(buffer, offset) {
            Ok(()) => Ok(buffer.len()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failure::Changed),
            Err(error) => Err(unread(&error)),
        }
    }

    /// Checks that it is still what it was when it was opened, but for what was added at its end; whether something was.
    ///
    /// # Errors
    /// [`Failure::Changed`] if it is not.
    pub fn check_whole(&self) -> Result<bool, Failure> {
        let (file, modified) = match &self.content {
            Content::File { file, modified } => (file, modified),
            Content::Folder(tree) => return tree.check_whole(),
            Content::Read { .. } => return Ok(false),
        };
        let now = file.metadata().map_err(|error| unread(&error))?;
        match now.len().cmp(&self.size) {
            Ordering::Greater => Ok(true),
            Ordering::Equal if now.modified().ok() == *modified => Ok(false),
            Ordering::Equal | Ordering::Less => Err(Failure::Changed),
        }
    }
}

/// All that is in a file whose size is not what it says, at most so many bytes; `None` for every other one. Only small
/// sizes are wrong.
pub(super) fn read_if_untold(file: &File, size: u64, most: usize) -> Result<Option<Vec<u8>>, Failure> {
    if size > UNTOLD {
        return Ok(None);
    }
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        match file.read_at(&mut piece, bytes.len() as u64) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(&error)),
        }
        if bytes.len() > most {
            let most = human_size(most as u64);
            return Err(Failure::Unreadable(format!("it says {size} bytes, and has more than {most}")));
        }
    }
    Ok((bytes.len() as u64 != size).then_some(bytes))
}

pub(super) fn copy_from(bytes: &[u8], at: usize, buffer: &mut [u8]) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let len = rest.len().min(buffer.len());
    buffer[..len].copy_from_slice(&rest[..len]);
    len
}

fn stamp_of(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(*blake3::hash(bytes).as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

fn name_of(path: &Path) -> String {
    posted_name(&path.file_name().unwrap_or_default().to_string_lossy())
}

/// Where there is none, from the root on: nobody need know in which folder this program runs.
fn not_found(path: &Path) -> Failure {
    Failure::NotFound(absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string())
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => not_found(path),
        io::ErrorKind::IsADirectory => Failure::Folder,
        _ => unread(error),
    }
}

fn unread(error: &io::Error) -> Failure {
    Failure::Unreadable(plain_words(error))
}
