//! The machine's file system.

use super::FileSystem;
use protocol::id::ContentHash;
use std::collections::BTreeSet;
use std::fs::File as Lock;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl FileSystem for Disk {
    type File = File;

    async fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path).await
    }

    async fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path).await
    }

    async fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path).await
    }

    async fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes).await
    }

    async fn sync(&self, file: &mut File) -> io::Result<()> {
        file.flush().await?;
        file.sync_all().await
    }

    async fn read_at(&self, file: &mut File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        file.seek(SeekFrom::Start(offset)).await?;
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read(&mut buffer[filled..]).await? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).await
    }

    async fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path).await?.sync_all().await
    }

    fn discard(&self, path: PathBuf) {
        #[expect(clippy::disallowed_methods, reason = "the real disk is part of the rim")]
        let removing = tokio::task::spawn_blocking(move || {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a file could not be removed");
            }
        });
        drop(removing);
    }
}

/// Opens the folder of contents, and makes it if there is none: the contents in it, oldest first.
///
/// What a broken upload left is removed, and so is what no entry names: nobody could ask for it.
///
/// # Errors
/// As the file system says.
pub fn open_contents(folder: &Path, named: &BTreeSet<ContentHash>) -> io::Result<Vec<(ContentHash, u64)>> {
    std::fs::create_dir_all(folder)?;
    restrict(folder)?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let name = entry.file_name();
        let hash = name.to_str().and_then(|name| blake3::Hash::from_hex(name).ok());
        match hash.map(|hash| ContentHash(*hash.as_bytes())) {
            Some(hash) if named.contains(&hash) => found.push((metadata.modified()?, hash, metadata.len())),
            Some(_) => std::fs::remove_file(entry.path())?,
            None if name.as_encoded_bytes().starts_with(b"upload-") => std::fs::remove_file(entry.path())?,
            None => tracing::warn!(path = %entry.path().display(), "this file is not ours: it is left alone"),
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, hash, size)| (hash, size)).collect())
}

/// A folder that lives as long as this value, for what the memory store names.
///
/// It is locked, so that a later server can tell the folder of one that was killed from one in use.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    _lock: Lock,
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
        std::fs::create_dir(&path)?;
        restrict(&path)?;
        let lock = Lock::create(path.join(LOCK))?;
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
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the temporary folder could not be removed");
        }
    }
}

/// Nobody else on the machine may read what people send each other.
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// Removes the folders of servers that are gone. What can't be removed is not ours to worry about.
fn remove_stale(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let Ok(lock) = Lock::open(entry.path().join(LOCK)) else { continue };
        if is_ours && lock.try_lock().is_ok() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_outlive_the_server_and_what_nobody_names_does_not() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("contents");
        assert_eq!(open_contents(&folder, &BTreeSet::new()).unwrap(), []);
        let (named, unnamed) = (blake3::hash(b"named"), blake3::hash(b"unnamed"));
        for (name, text) in [
            (named.to_hex().as_str(), "named"),
            (unnamed.to_hex().as_str(), "unnamed"),
            ("upload-3", "half"),
            ("notes", "of the operator"),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let hash = ContentHash(*named.as_bytes());
        assert_eq!(open_contents(&folder, &BTreeSet::from([hash])).unwrap(), [(hash, 5)]);
        let mut left: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [named.to_hex().as_str(), "notes"]);
    }

    #[test]
    fn the_folder_of_a_killed_server_is_removed_and_one_in_use_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let stale = parent.path().join("natterd-stale");
        std::fs::create_dir(&stale).unwrap();
        std::fs::write(stale.join(LOCK), "").unwrap();
        let other = parent.path().join("somebody-else");
        std::fs::create_dir(&other).unwrap();
        let used = TemporaryFolder::create(parent.path(), "used").unwrap();
        let new = TemporaryFolder::create(parent.path(), "new").unwrap();
        assert!(!stale.exists() && other.exists() && used.path().exists() && new.path().exists());
        let path = new.path().to_owned();
        drop(new);
        assert!(!path.exists());
    }
}
