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

/// Writes the folder, under this name, which must be free, and puts it on the disk.
///
/// # Errors
/// [`Failure`]; what was written is left under that name.
pub(super) fn unpack(
    content: &File,
    dir: &Dir,
    name: &str,
    executables: bool,
    mut moved: impl FnMut(u64),
) -> Result<(), Failure> {
    let index = index(content)?;
    if content.metadata()?.len() != index.size() {
        return Err(Failure::WrongContent);
    }
    let synced = index.items().len() <= FEW;
    let outermost = make_folder(dir, name)?;
    let mut writer = Writer { path: Vec::new(), open: vec![outermost], buffer: vec![0; PIECE], synced };
    let mut at = index.front();
    for item in index.items() {
        let mut file = writer.make(item, executables)?;
        let end = at + item.size();
        if let Some(file) = &mut file {
            writer.copy(content, file, at..end, &mut moved)?;
            if synced {
                file.sync_all()?;
            }
        }
        at = end;
    }
    writer.close_down_to(0)?;
    if synced {
        sync_folder(writer.innermost())?;
    } else {
        sync();
    }
    Ok(())
}

/// The folders that lead to the current item.
struct Writer {
    path: Vec<String>,
    /// Invariant: one more than `path`, the outermost first.
    open: Vec<Dir>,
    buffer: Vec<u8>,
    /// Whether each folder is synced when it is done.
    synced: bool,
}

impl Writer {
    /// Makes a file or a folder, and those that it lies in. Nothing may be there.
    fn make(&mut self, item: &Item, executables: bool) -> Result<Option<File>, Failure> {
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
                make_file(self.innermost(), name, executable && executables).map(Some)
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

    fn copy(
        &mut self,
        content: &File,
        file: &mut File,
        bytes: std::ops::Range<u64>,
        moved: &mut impl FnMut(u64),
    ) -> Result<(), Failure> {
        let mut at = bytes.start;
        while at < bytes.end {
            let len = usize::try_from(bytes.end - at).unwrap_or(PIECE).min(PIECE);
            read(content, &mut self.buffer[..len], at)?;
            file.write_all(&self.buffer[..len])?;
            at += len as u64;
            moved(at);
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
