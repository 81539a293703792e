//! Stdin and stdout in place of files, by way of temporary ones.

use crate::line::{ExitCode, Failure};
use crate::rim::run::seeded;
use rand::RngExt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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
        made.map_err(|error| failed("make a temporary folder", &error))?;
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

/// Reads all of stdin into a new file.
pub(super) fn spool(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(&mut io::stdin().lock(), &mut file).map(drop)
}

/// Writes a file to stdout.
pub(super) fn pour(path: &Path) -> Result<ExitCode, Failure> {
    if path.is_dir() {
        let what =
            format!("the folder '{}' can't go to stdout", path.file_name().unwrap_or_default().display());
        return Err(Failure::new(ExitCode::User, what, "name a folder with -o"));
    }
    let mut stdout = io::stdout().lock();
    let poured = File::open(path).and_then(|mut file| io::copy(&mut file, &mut stdout));
    match poured.and_then(|_| stdout.flush()) {
        Ok(()) => Ok(ExitCode::Fine),
        // Whoever read it has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::Fine),
        Err(error) => Err(failed("write to stdout", &error)),
    }
}

/// The system did not let it be done.
pub(super) fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::new(
        ExitCode::User,
        format!("can't {what}: {error}"),
        "make room, or name another folder with TMPDIR",
    )
}
