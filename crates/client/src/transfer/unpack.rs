//! A folder that has come whole, written out of its content: into a new folder, through handles of it and of the
//! folders in it, so that no path leads out and no link is followed, whoever puts one there meanwhile.

use super::Failure;
use bytes::BytesMut;
use cap_std::fs::Dir;
use protocol::bundle::{BundleError, HEAD, Index, Item, Shape};
use rustix::fs::{Mode, OFlags, mkdirat, openat, sync};
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
        let writer = Writer { path: Vec::new(), open, buffer: vec![0; PIECE], synced, executables };
        let at = index.front();
        Ok(Self { content, index, writer, item: 0, file: None, at, done: false })
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
}

impl Writer {
    /// Makes a file or a folder, and those that it lies in. Nothing may be there.
    fn make(&mut self, item: &Item) -> Result<Option<File>, Failure> {
        let mut names: Vec<_> = item.path.split('/').collect();
        let name = names.pop().unwrap_or_default();
        let same = self.path.iter().zip(&names).take_while(|(open, name)| open == *name).count();
        self.close_down_to(same)?;
        for folder in &names[same..] {
            let inner = make_folder(self.innermost(), folder)?;
            self.open.push(inner);
            self.path.push((*folder).to_owned());
        }
        match item.shape {
            Shape::Folder => make_folder(self.innermost(), name).map(|_| None),
            Shape::File { executable, .. } => {
                make_file(self.innermost(), name, executable && self.executables).map(Some)
            }
        }
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

fn sync_folder(dir: &Dir) -> io::Result<()> {
    dir.open(".")?.sync_all()
}

fn make_folder(dir: &Dir, name: &str) -> Result<Dir, Failure> {
    mkdirat(dir, name, Mode::RWXU | Mode::RWXG | Mode::RWXO).map_err(io::Error::from)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(dir, name, flags, Mode::empty()).map_err(io::Error::from)?;
    Ok(Dir::from_std_file(made.into()))
}

fn make_file(dir: &Dir, name: &str, executable: bool) -> Result<File, Failure> {
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
