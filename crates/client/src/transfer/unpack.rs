//! A folder that has come whole, written out of its content: into a new folder, through handles of it and of the
//! folders in it, so that no path leads out and no link is followed, whoever puts one there meanwhile.
//!
//! Names that this file system takes for one, or can't hold, get others. The file system itself says which these are.

use super::received::{TRIES, numbered};
use super::{Failure, safe_name};
use bytes::BytesMut;
use cap_std::fs::Dir;
use protocol::bundle::{BundleError, HEAD, Index, Item, Shape};
use rustix::fs::{Mode, OFlags, mkdirat, openat, sync};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

/// More files than these are synced all at once, with whatever else the system has to write.
const FEW: usize = 64;

/// What is in the folder whose content this is.
///
/// # Errors
/// [`Failure`] if it is none, or can't be read.
pub(super) fn index(content: &File) -> Result<Index, Failure> {
    let mut head = [0; HEAD];
    read(content, &mut head, 0)?;
    let mut list = BytesMut::zeroed(Index::length(head).map_err(|error| bad(&error))?);
    read(content, &mut list, HEAD as u64)?;
    Index::decode(&list).map_err(|error| bad(&error))
}

/// A folder that is being written.
pub(super) struct Unpacking<'a> {
    content: &'a File,
    index: Index,
    writer: Writer,
    /// The item whose turn it is, its file once that was made, and where its next byte lies in the content.
    item: usize,
    file: Option<File>,
    at: u64,
    done: bool,
}

impl<'a> Unpacking<'a> {
    /// Begins to write the folder whose content this is, under this name, which must be free.
    ///
    /// # Errors
    /// [`Failure`]
    pub(super) fn begin(
        content: &'a File,
        dir: &Dir,
        name: &str,
        executables: bool,
    ) -> Result<Self, Failure> {
        let index = index(content)?;
        if content.metadata()?.len() != index.size() {
            return Err(Failure::WrongContent);
        }
        let synced = index.items().len() <= FEW;
        let open = vec![make_folder(dir, name)?];
        let (path, buffer, renamed) = (Vec::new(), vec![0; PIECE], Vec::new());
        let writer = Writer { path, open, buffer, synced, executables, renamed };
        let at = index.front();
        Ok(Self { content, index, writer, item: 0, file: None, at, done: false })
    }

    /// What could not be written under its own name: its path, and the name that it has here.
    pub(super) fn into_renamed(self) -> Vec<(String, String)> {
        self.writer.renamed
    }

    /// Writes a little more of it; how many bytes of the content are written, or `None` once all of it is on the disk.
    ///
    /// # Errors
    /// [`Failure`]; what was written is left.
    pub(super) fn step(&mut self) -> Result<Option<u64>, Failure> {
        if self.done {
            return Ok(None);
        }
        let Some(item) = self.index.items().get(self.item) else {
            self.writer.finish()?;
            self.done = true;
            return Ok(None);
        };
        let left = self.index.end(self.item) - self.at;
        let file = match self.file.take() {
            Some(file) => Some(file),
            None => self.writer.make(item)?,
        };
        if let Some(mut file) = file {
            let len = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            self.writer.copy(self.content, &mut file, self.at, len)?;
            self.at += len as u64;
            if len as u64 == left {
                self.writer.finish_file(&file)?;
            } else {
                self.file = Some(file);
                return Ok(Some(self.at));
            }
        }
        self.item += 1;
        Ok(Some(self.at))
    }
}

/// The folders that lead to the current item.
struct Writer {
    path: Vec<String>,
    /// Invariant: one more than `path`, the outermost first.
    open: Vec<Dir>,
    buffer: Vec<u8>,
    /// Whether each file and folder is synced when it is done.
    synced: bool,
    /// Whether programs stay programs.
    executables: bool,
    /// Paths, and the names that they have here instead of their last ones.
    renamed: Vec<(String, String)>,
}

impl Writer {
    /// Makes a file or a folder, and those that it lies in. Nothing may be there.
    fn make(&mut self, item: &Item) -> Result<Option<File>, Failure> {
        let mut names: Vec<_> = item.path.split('/').collect();
        let name = names.pop().unwrap_or_default();
        let same = self.path.iter().zip(&names).take_while(|(open, name)| open == *name).count();
        self.close_down_to(same)?;
        for folder in &names[same..] {
            let inner = self.make_named(folder, make_folder)?;
            self.open.push(inner);
            self.path.push((*folder).to_owned());
        }
        match item.shape {
            Shape::Folder => self.make_named(name, make_folder).map(|_| None),
            Shape::File { executable, .. } => {
                let run = executable && self.executables;
                self.make_named(name, |dir, name| make_file(dir, name, run)).map(Some)
            }
        }
    }

    /// Makes something in the innermost folder, under its name or, if this file system has that already or can't hold
    /// it, another one.
    fn make_named<T>(
        &mut self,
        name: &str,
        make: impl Fn(&Dir, &str) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let dir = self.innermost();
        let mut base = name.to_owned();
        for number in 0..TRIES {
            let other = if number == 0 { base.clone() } else { numbered(&base, number) };
            let made = match make(dir, &other) {
                Err(error) if is_bad_name(&error) && base == name => {
                    base = safe_name(name);
                    make(dir, &base).map(|made| (made, base.clone()))
                }
                made => made.map(|made| (made, other)),
            };
            match made {
                Ok((made, here)) => {
                    if here != name {
                        let path = self.path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>();
                        self.renamed.push((path.join("/"), here));
                    }
                    return Ok(made);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_twin(dir, &base) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists).into())
    }

    fn close_down_to(&mut self, depth: usize) -> Result<(), Failure> {
        while self.path.len() > depth {
            if self.synced {
                sync_folder(self.innermost())?;
            }
            self.path.pop();
            self.open.pop();
        }
        Ok(())
    }

    fn innermost(&self) -> &Dir {
        self.open.last().expect("the outermost folder is never closed")
    }

    fn copy(&mut self, content: &File, file: &mut File, at: u64, len: usize) -> Result<(), Failure> {
        read(content, &mut self.buffer[..len], at)?;
        Ok(file.write_all(&self.buffer[..len])?)
    }

    fn finish_file(&self, file: &File) -> io::Result<()> {
        if self.synced { file.sync_all() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.close_down_to(0)?;
        if self.synced {
            sync_folder(self.innermost())?;
        } else {
            sync();
        }
        Ok(())
    }
}

/// Whether what is in the way may be something of the same folder: nothing in it is a link.
fn is_twin(dir: &Dir, name: &str) -> bool {
    dir.symlink_metadata(name).is_ok_and(|found| found.is_file() || found.is_dir())
}

/// Whether the file system can't hold this name.
fn is_bad_name(error: &io::Error) -> bool {
    let bad = [Errno::INVAL, Errno::ILSEQ, Errno::NAMETOOLONG];
    error.raw_os_error().is_some_and(|code| bad.iter().any(|bad| bad.raw_os_error() == code))
}

fn sync_folder(dir: &Dir) -> io::Result<()> {
    dir.open(".")?.sync_all()
}

fn make_folder(dir: &Dir, name: &str) -> io::Result<Dir> {
    mkdirat(dir, name, Mode::RWXU | Mode::RWXG | Mode::RWXO).map_err(io::Error::from)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(dir, name, flags, Mode::empty()).map_err(io::Error::from)?;
    Ok(Dir::from_std_file(made.into()))
}

fn make_file(dir: &Dir, name: &str, executable: bool) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let plain = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
    let run = if executable { Mode::XUSR | Mode::XGRP | Mode::XOTH } else { Mode::empty() };
    Ok(openat(dir, name, flags, plain | run).map_err(io::Error::from)?.into())
}

fn read(content: &File, buffer: &mut [u8], at: u64) -> Result<(), Failure> {
    match content.read_exact_at(buffer, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failure::WrongContent),
        other => Ok(other?),
    }
}

fn bad(error: &BundleError) -> Failure {
    Failure::BadFolder(error.to_string())
}
