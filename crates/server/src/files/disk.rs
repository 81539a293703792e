//! The machine's file system.

use super::{FileSystem, Listed};
use bytes::Bytes;
use protocol::id::Millis;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use tokio::task::JoinHandle;

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

/// Does what may have to wait for the disk where waiting keeps nobody up: one hop for each piece, not for each call.
fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[expect(clippy::disallowed_methods, reason = "the real disk is part of the rim")]
    tokio::task::spawn_blocking(work)
}

/// The same, and waits for it.
async fn wait_for<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    ended(begin(work)).await
}

async fn ended<T>(begun: JoinHandle<io::Result<T>>) -> io::Result<T> {
    begun.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

impl FileSystem for Disk {
    type File = Arc<File>;

    async fn create(&self, path: &Path) -> io::Result<Arc<File>> {
        let path = path.to_owned();
        wait_for(move || OpenOptions::new().read(true).write(true).create_new(true).open(path))
            .await
            .map(Arc::new)
    }

    async fn open(&self, path: &Path) -> io::Result<Arc<File>> {
        let path = path.to_owned();
        wait_for(move || OpenOptions::new().read(true).write(true).open(path)).await.map(Arc::new)
    }

    async fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        let folder = folder.to_owned();
        wait_for(move || list(&folder)).await
    }

    async fn write_at(&self, file: &Arc<File>, offset: u64, bytes: Bytes) -> io::Result<()> {
        ended(self.begin_write(file, offset, bytes)).await
    }

    fn begin_write(&self, file: &Arc<File>, offset: u64, bytes: Bytes) -> JoinHandle<io::Result<()>> {
        let file = file.clone();
        begin(move || file.write_all_at(&bytes, offset))
    }

    async fn sync(&self, file: &Arc<File>) -> io::Result<()> {
        let file = file.clone();
        wait_for(move || file.sync_data()).await
    }

    async fn read_at(
        &self,
        file: &Arc<File>,
        offset: u64,
        mut buffer: Vec<u8>,
        from: usize,
    ) -> io::Result<(Vec<u8>, usize)> {
        let file = file.clone();
        wait_for(move || {
            let mut filled = from;
            while filled < buffer.len() {
                match file.read_at(&mut buffer[filled..], offset + (filled - from) as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok((buffer, filled - from))
        })
        .await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        wait_for(move || fs::rename(from, to)).await
    }

    async fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        wait_for(move || File::open(path)?.sync_all()).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        wait_for(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

fn list(folder: &Path) -> io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let age = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified = Millis(u64::try_from(age.as_millis()).unwrap_or_default());
        if metadata.is_file() {
            listed.push(Listed { name, size: metadata.len(), modified });
        }
    }
    Ok(listed)
}

/// Opens the folder of contents, and makes it if there is none.
///
/// # Errors
/// As the file system says.
pub fn open_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    restrict(folder)
}

/// A folder that lives as long as this value, for what the memory store names.
///
/// It is locked, so that a later server can tell the folder of one that was killed from one in use.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    _lock: File,
}

/// How the folders begin.
const PREFIX: &str = "natterd-";

/// The file in each that is locked.
const LOCK: &str = "lock";

impl TemporaryFolder {
    /// A new folder below `parent`, whose name ends in `id`; those of killed servers are removed.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(parent: &Path, id: &str) -> io::Result<Self> {
        remove_stale(parent);
        let path = parent.join(format!("{PREFIX}{id}"));
        fs::create_dir(&path)?;
        restrict(&path)?;
        let lock = File::create(path.join(LOCK))?;
        lock.try_lock().map_err(io::Error::from)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the temporary folder could not be removed");
        }
    }
}

/// Nobody else on the machine may read what people send each other.
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Removes the folders of servers that are gone. What can't be removed is not ours to worry about.
fn remove_stale(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if is_ours && lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_killed_server_is_removed_and_one_in_use_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let stale = parent.path().join("natterd-stale");
        fs::create_dir(&stale).unwrap();
        fs::write(stale.join(LOCK), "").unwrap();
        let other = parent.path().join("somebody-else");
        fs::create_dir(&other).unwrap();
        let used = TemporaryFolder::create(parent.path(), "used").unwrap();
        let new = TemporaryFolder::create(parent.path(), "new").unwrap();
        assert!(!stale.exists() && other.exists() && used.path().exists() && new.path().exists());
        let path = new.path().to_owned();
        drop(new);
        assert!(!path.exists());
    }
}
