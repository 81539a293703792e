//! The folder where files are received. Everything in it is made through a handle of the folder, so that no name,
//! whatever it is, leads out of it, and no link in it is followed.
//!
//! A file comes in under a hidden name that nobody chose, and gets its own when it is whole and on the disk.

use super::{Failure, safe_name};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use rustix::fs::{RenameFlags, renameat_with};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How the hidden names begin and end.
const PREFIX: &str = ".natter-";
const SUFFIX: &str = ".part";

/// Numbers that are tried before a name is given up.
const TRIES: u32 = 10_000;

/// The folder, which is made when something comes.
#[derive(Clone, Debug)]
pub struct Received {
    path: PathBuf,
}

impl Received {
    /// The folder with this path.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Removes what a program that was killed left half received. What another one is receiving is locked.
    ///
    /// # Errors
    /// As the file system says; a folder that is not there is clean.
    pub fn clean(&self) -> io::Result<()> {
        let dir = match Dir::open_ambient_dir(&self.path, ambient_authority()) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in dir.entries()? {
            let name = entry?.file_name();
            let left = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
            if left && is_file(&dir, Path::new(&name)) {
                let free = dir.open(&name).is_ok_and(|file| file.into_std().try_lock().is_ok());
                if free {
                    dir.remove_file(&name)?;
                }
            }
        }
        Ok(())
    }

    /// Begins to receive a file.
    ///
    /// # Errors
    /// [`Failure::Unwritable`]
    pub fn begin(&self, random: u64) -> Result<Partial, Failure> {
        Dir::create_ambient_dir_all(&self.path, ambient_authority())?;
        let dir = Dir::open_ambient_dir(&self.path, ambient_authority())?;
        let name = format!("{PREFIX}{random:016x}{SUFFIX}");
        let file = dir.open_with(&name, OpenOptions::new().write(true).create_new(true))?.into_std();
        // Nobody else can have it: it is new, and its name is random. A file system without locks has none.
        let _ = file.try_lock();
        Ok(Partial { folder: self.path.clone(), dir, name, file, kept: false })
    }
}

fn is_file(dir: &Dir, name: &Path) -> bool {
    dir.symlink_metadata(name).is_ok_and(|found| found.is_file())
}

/// A file that has come in part. When this is dropped, it is removed.
#[derive(Debug)]
pub struct Partial {
    folder: PathBuf,
    dir: Dir,
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
        let name = self.take_name(&safe_name(name))?;
        self.kept = true;
        self.dir.open(".")?.sync_all()?;
        Ok(self.folder.join(name).display().to_string())
    }

    /// Moves it to the first of `name.ext`, `name (1).ext` … that is free. Nothing is ever replaced.
    fn take_name(&self, safe: &str) -> io::Result<String> {
        for number in 0..TRIES {
            let name = if number == 0 { safe.to_owned() } else { numbered(safe, number) };
            match self.rename(&name) {
                Ok(()) => return Ok(name),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn rename(&self, name: &str) -> io::Result<()> {
        match self.dir.hard_link(&self.name, &self.dir, name) {
            Ok(()) => {
                // Whole under its own name; what is left of the other one is removed at the next start.
                let _ = self.dir.remove_file(&self.name);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // A file system without links.
            Err(_) => Ok(renameat_with(&self.dir, &self.name, &self.dir, name, RenameFlags::NOREPLACE)?),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // What can't be removed now is removed at the next start.
            let _ = self.dir.remove_file(&self.name);
        }
    }
}

/// `name (1).ext`, within the length that every file system takes.
fn numbered(name: &str, number: u32) -> String {
    let at = name.rfind('.').filter(|at| *at > 0).unwrap_or(name.len());
    let (stem, extension) = name.split_at(at);
    format!("{stem} ({number}){extension}")
}
