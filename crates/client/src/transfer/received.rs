//! The folder where files are received. Everything in it is made through a handle of the folder, so that no name,
//! whatever it is, leads out of it, and no link in it is followed.
//!
//! A file comes in under a hidden name that nobody chose, and gets its own when it is whole and on the disk.

use super::arriving::{SUMS, TREE, sums_name};
use super::{Download, Failure, Shape, safe_name};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use protocol::id::ContentHash;
use rustix::fs::{Mode, OFlags, RenameFlags, openat, renameat_with};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// How the hidden names begin and end.
pub(super) const PREFIX: &str = ".natter-";
pub(super) const SUFFIX: &str = ".part";

/// Bytes that are hashed at once.
const PIECE: usize = 1 << 20;

/// Numbers that are tried before a name is given up.
pub(super) const TRIES: u32 = 10_000;

/// The folder, which is made when something comes.
#[derive(Clone, Debug)]
pub struct Received {
    path: PathBuf,
    /// Where it was before: what came there in part goes on there.
    older: Option<PathBuf>,
}

impl Received {
    /// The folder with this path.
    pub fn new(path: PathBuf) -> Self {
        Self { path, older: None }
    }

    /// What was begun in this folder by an earlier version goes on there.
    #[must_use]
    pub fn or_older(self, older: PathBuf) -> Self {
        Self { older: Some(older), ..self }
    }

    /// The folder of an earlier version, if the list of this download's blocks lies there.
    fn begun_in_older(&self, download: &Download) -> Option<&Path> {
        let older = self.older.as_deref()?;
        older.join(sums_name(download)).symlink_metadata().is_ok_and(|found| found.is_file()).then_some(older)
    }

    /// Removes what programs that were killed left half received, and nobody went on with since `old`. What another one
    /// is receiving is locked.
    ///
    /// # Errors
    /// As the file system says; a folder that is not there is clean.
    pub fn clean(&self, old: SystemTime) -> io::Result<()> {
        self.older.iter().chain([&self.path]).try_for_each(|path| Self::clean_folder(path, old))
    }

    fn clean_folder(path: &Path, old: SystemTime) -> io::Result<()> {
        let dir = match Dir::open_ambient_dir(path, ambient_authority()) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in dir.entries()? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            if name.ends_with(TREE) {
                // It is written anew, if what it is written from is still there and nobody is writing it.
                if !touched_since(&dir, name, old)
                    && dir.symlink_metadata(name).is_ok_and(|found| found.is_dir())
                {
                    dir.remove_dir_all(name)?;
                }
                continue;
            }
            let resumable = match name.strip_suffix(SUFFIX) {
                Some(stem) => dir.symlink_metadata(format!("{stem}{SUMS}")).is_ok(),
                None if name.ends_with(SUMS) => true,
                None => continue,
            };
            if resumable && touched_since(&dir, name, old) {
                continue;
            }
            if is_file(&dir, Path::new(name)) {
                let free = dir.open(name).is_ok_and(|file| file.into_std().try_lock().is_ok());
                if free {
                    dir.remove_file(name)?;
                }
            }
        }
        Ok(())
    }

    /// Begins to receive a file of which nothing is left if it does not come whole.
    ///
    /// # Errors
    /// [`Failure::Unwritable`]
    pub fn begin(&self, random: u64) -> Result<Partial, Failure> {
        let folder = Folder::make(&self.path)?;
        let name = format!("{PREFIX}{random:016x}{SUFFIX}");
        let file = folder.dir.open_with(&name, OpenOptions::new().write(true).create_new(true))?.into_std();
        // Nobody else can have it: it is new, and its name is random. A file system without locks has none.
        let _ = file.try_lock();
        Ok(Partial { folder, name, file, kept: false })
    }

    /// Where the same content lies already under the name that it would get, or that with a number, if that is to be
    /// looked for. A folder's content is not what lies there: nothing is known of it.
    pub(super) async fn find_same(&self, download: &Download) -> Option<String> {
        let hash = download.origin.hash.filter(|_| download.keep.unless_there)?;
        // Whoever names a new file wants it there.
        if download.shape == Shape::Folder || download.keep.path.is_some() {
            return None;
        }
        let folder = Dir::open_ambient_dir(&self.path, ambient_authority()).ok()?;
        let folder = Folder { path: self.path.clone(), dir: Arc::new(folder) };
        let safe = safe_name(&download.name);
        for number in 0..TRIES {
            let name = if number == 0 { safe.clone() } else { numbered(&safe, number) };
            let file = folder.open_if_there(&name).ok()??;
            if file.metadata().ok()?.len() == download.size && hash_of(file).await.ok()? == hash {
                return Some(folder.path.join(name).display().to_string());
            }
        }
        None
    }

    /// Where this file goes.
    pub(super) fn folder_of(&self, download: &Download) -> Result<Folder, Failure> {
        let parent = download.keep.path.as_deref().and_then(Path::parent);
        let path = match parent {
            None => self.begun_in_older(download).unwrap_or(&self.path),
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
        };
        Ok(Folder::make(path)?)
    }
}

pub(super) fn is_file(dir: &Dir, name: &Path) -> bool {
    dir.symlink_metadata(name).is_ok_and(|found| found.is_file())
}

fn touched_since(dir: &Dir, name: &str, old: SystemTime) -> bool {
    let modified = dir.symlink_metadata(name).and_then(|found| found.modified());
    modified.is_ok_and(|modified| modified.into_std() >= old)
}

/// A folder that is open.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) dir: Arc<Dir>,
}

impl Folder {
    fn make(path: &Path) -> io::Result<Self> {
        Dir::create_ambient_dir_all(path, ambient_authority())?;
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self { path: path.to_owned(), dir: Arc::new(dir) })
    }

    /// Opens a plain file; a link is none.
    pub(super) fn open_if_there(&self, name: &str) -> io::Result<Option<File>> {
        if !is_file(&self.dir, Path::new(name)) {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Some(openat(&self.dir, name, flags, Mode::empty())?.into()))
    }

    /// Opens a file of a hidden name for reading and for writing at its end, or makes it. A link is not followed.
    pub(super) fn open_or_make(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        Ok(openat(&self.dir, name, flags, mode)?.into())
    }

    /// Moves a file to the first of `name.ext`, `name (1).ext` … that is free. Nothing is ever replaced. `before` is
    /// called with each name before it is tried.
    pub(super) fn take_name(
        &self,
        from: &str,
        safe: &str,
        mut before: impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<String> {
        for number in 0..TRIES {
            let name = if number == 0 { safe.to_owned() } else { numbered(safe, number) };
            if self.dir.symlink_metadata(&name).is_ok() {
                continue;
            }
            before(&name)?;
            match self.rename(from, &name) {
                Ok(()) => return Ok(name),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn rename(&self, from: &str, name: &str) -> io::Result<()> {
        match self.dir.hard_link(from, &self.dir, name) {
            Ok(()) => {
                // Whole under its own name; what is left of the other one is removed at the next start.
                let _ = self.dir.remove_file(from);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // A file system without links.
            Err(_) => Ok(renameat_with(&self.dir, from, &self.dir, name, RenameFlags::NOREPLACE)?),
        }
    }
}

/// A file that has come in part. When this is dropped, it is removed.
#[derive(Debug)]
pub struct Partial {
    folder: Folder,
    name: String,
    file: File,
    kept: bool,
}

impl Partial {
    /// Adds to its end.
    ///
    /// # Errors
    /// [`Failure::Unwritable`]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.file.write_all(bytes)?)
    }

    /// It is whole: puts it on the disk under a safe version of this name that nothing else has. Returns its path.
    ///
    /// # Errors
    /// [`Failure::Unwritable`]
    pub fn keep(mut self, name: &str) -> Result<String, Failure> {
        self.file.sync_all()?;
        let name = self.folder.take_name(&self.name, &safe_name(name), |_| Ok(()))?;
        self.kept = true;
        self.folder.dir.open(".")?.sync_all()?;
        Ok(self.folder.path.join(name).display().to_string())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // What can't be removed now is removed at the next start.
            let _ = self.folder.dir.remove_file(&self.name);
        }
    }
}

/// The hash of a file. Other files come in meanwhile.
async fn hash_of(mut file: File) -> io::Result<ContentHash> {
    let (mut hasher, mut piece) = (blake3::Hasher::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(ContentHash(*hasher.finalize().as_bytes())),
            read => hasher.update(&piece[..read]),
        };
        tokio::task::yield_now().await;
    }
}

/// `name (1).ext`, within the length that every file system takes.
pub(super) fn numbered(name: &str, number: u32) -> String {
    let at = name.rfind('.').filter(|at| *at > 0).unwrap_or(name.len());
    let (stem, extension) = name.split_at(at);
    format!("{stem} ({number}){extension}")
}
