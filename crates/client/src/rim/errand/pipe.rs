//! Stdin and stdout in place of files, by way of temporary ones.

use crate::line::{ExitCode, Failure};
use crate::rim::run::{seeded, spawn};
use crate::transfer::Pieces;
use bytes::Bytes;
use protocol::system_words::plain_words;
use rand::RngExt;
use rustix::fs::{OFlags, fcntl_getfl, fstat};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Bytes of stdin that are read at once.
const PIECE: usize = 256 * 1024;

/// A folder that only its owner may see, and that goes with this value.
#[derive(Debug)]
pub(super) struct Temporary {
    folder: PathBuf,
}

impl Temporary {
    pub(super) fn new() -> Result<Self, Failure> {
        let number: u64 = seeded()?.random();
        let folder = std::env::temp_dir().join(format!("natter-{number:016x}"));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| {
            failed("make a temporary folder", &error, "make room, or name another folder with TMPDIR")
        })?;
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of this name in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(Path::new(name).file_name().unwrap_or("stdin".as_ref()))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What can't be removed is the system's to clean up, in its folder for that.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Reads stdin in a thread of its own, at most so many bytes.
pub(super) fn read(most: u64) -> Pieces {
    let (pieces_in, pieces) = tokio::sync::mpsc::channel(1);
    spawn(move || {
        let (mut stdin, mut buffer) = (io::stdin().lock().take(most), vec![0; PIECE]);
        loop {
            let piece = match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => Ok(Bytes::copy_from_slice(&buffer[..read])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let ends = piece.is_err();
            // Nobody to take it is the end, too.
            if pieces_in.blocking_send(piece).is_err() || ends {
                return;
            }
        }
    });
    pieces
}

/// What takes bytes and is no file.
pub(super) enum Sink {
    Stdout,
    /// A device or a named pipe.
    Device(PathBuf),
}

impl Sink {
    /// What there is at this path, unless it is a file, a folder or nothing.
    pub(super) fn at(path: &str) -> Option<Self> {
        if path == crate::transfer::PIPE {
            return Some(Self::Stdout);
        }
        let kind = std::fs::metadata(path).ok()?.file_type();
        let takes_bytes = kind.is_char_device() || kind.is_block_device() || kind.is_fifo();
        takes_bytes.then(|| Self::Device(path.into()))
    }
}

/// Whether this is a pipe: a named one, or one that a shell has made of a command.
pub(super) fn is_pipe(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

/// Whether stdin was closed when the program began: then `/dev/null` stands in its place, also for writing, which no
/// shell does for `< /dev/null`.
pub(super) fn is_stdin_closed() -> bool {
    let stdin = io::stdin();
    let writable = fcntl_getfl(&stdin).is_ok_and(|flags| flags.contains(OFlags::RDWR));
    let same = |null: std::fs::Metadata| fstat(&stdin).is_ok_and(|found| found.st_rdev == null.rdev());
    writable && std::fs::metadata("/dev/null").is_ok_and(same)
}

/// Writes a file to where no file is.
pub(super) fn pour(path: &Path, sink: &Sink) -> Result<ExitCode, Failure> {
    let (mut out, name): (Box<dyn Write>, _) = match sink {
        Sink::Stdout => (Box::new(io::stdout().lock()), "stdout".to_owned()),
        Sink::Device(device) => {
            let name = format!("'{}'", device.display());
            let opened = OpenOptions::new().write(true).open(device);
            (Box::new(opened.map_err(|error| unwritable(&name, &error))?), name)
        }
    };
    if path.is_dir() {
        let what =
            format!("the folder '{}' can't go to {name}", path.file_name().unwrap_or_default().display());
        return Err(Failure::new(ExitCode::User, what, "name a folder with -o"));
    }
    let poured = File::open(path).and_then(|mut file| io::copy(&mut file, &mut out));
    match poured.and_then(|_| out.flush()) {
        Ok(()) => Ok(ExitCode::Fine),
        // Whoever read it has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::Fine),
        Err(error) => Err(unwritable(&name, &error)),
    }
}

fn unwritable(name: &str, error: &io::Error) -> Failure {
    failed(&format!("write to {name}"), error, "name another place with -o, and get it again")
}

/// The system did not let it be done.
fn failed(what: &str, error: &io::Error, hint: &str) -> Failure {
    Failure::new(ExitCode::User, format!("can't {what}: {}", plain_words(error)), hint)
}
