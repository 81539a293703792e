//! Contents by their hash: written under a temporary name, synced, and only then given their own.

use super::FileSystem;
use protocol::id::ContentHash;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// Why an upload ended. Nothing of it is left.
#[derive(Debug, Error)]
pub enum UploadError {
    /// More bytes came than were announced, or than fit.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// What it may have, in bytes.
        limit: u64,
    },
    /// There is no space for it.
    #[error("the disk is full")]
    Full,
    /// The disk failed.
    #[error("the disk failed")]
    Io(#[source] io::Error),
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error),
        }
    }
}

/// All contents. Clones share them.
#[derive(Clone, Debug)]
pub struct Contents<F> {
    files: F,
    folder: PathBuf,
    /// Bytes that all contents may have together; the oldest go first.
    capacity: u64,
    kept: Arc<Mutex<Kept>>,
    uploads: Arc<AtomicU64>,
}

/// Invariant: `order` has the hashes of `sizes`, oldest first; `bytes` is the sum of all sizes and of what
/// is reserved for uploads.
#[derive(Debug, Default)]
struct Kept {
    sizes: BTreeMap<ContentHash, u64>,
    order: VecDeque<ContentHash>,
    bytes: u64,
}

impl<F: FileSystem> Contents<F> {
    /// Contents in this folder, which is empty, of at most `capacity` bytes in all.
    pub fn new(files: F, folder: PathBuf, capacity: u64) -> Self {
        Self { files, folder, capacity, kept: Arc::default(), uploads: Arc::default() }
    }

    /// Contents that are in this folder already, oldest first, with their sizes in bytes.
    pub fn restore(files: F, folder: PathBuf, capacity: u64, found: Vec<(ContentHash, u64)>) -> Self {
        let contents = Self::new(files, folder, capacity);
        let mut kept = contents.kept();
        for (hash, size) in found {
            kept.sizes.insert(hash, size);
            kept.order.push_back(hash);
            kept.bytes += size;
        }
        drop(kept);
        contents
    }

    /// Removes a content, if it is here.
    pub fn remove(&self, hash: ContentHash) {
        let mut kept = self.kept();
        let Some(size) = kept.sizes.remove(&hash) else { return };
        kept.bytes -= size;
        kept.order.retain(|other| *other != hash);
        drop(kept);
        self.files.discard(self.path_of(hash));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // No code panics while it holds the lock; if one did, the worst would be a file too many.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size of a content, if it is here.
    pub fn size(&self, hash: ContentHash) -> Option<u64> {
        self.kept().sizes.get(&hash).copied()
    }

    /// Begins an upload of at most `limit` bytes. Space is made for all of it before a byte is taken.
    ///
    /// # Errors
    /// [`UploadError`]
    pub async fn begin(&self, limit: u64) -> Result<Upload<F>, UploadError> {
        self.make_space(limit).await?;
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("upload-{number}"));
        let reserved = Reserved { kept: self.kept.clone(), bytes: limit };
        let file = self.files.create(&path).await?;
        let hasher = blake3::Hasher::new();
        Ok(Upload {
            contents: self.clone(),
            file,
            path: Some(path),
            hasher,
            size: 0,
            limit,
            _reserved: reserved,
        })
    }

    /// Removes the oldest contents until so many bytes more fit, and reserves them.
    async fn make_space(&self, bytes: u64) -> Result<(), UploadError> {
        loop {
            let oldest = {
                let mut kept = self.kept();
                if kept.bytes.saturating_add(bytes) <= self.capacity {
                    kept.bytes += bytes;
                    return Ok(());
                }
                let Some(oldest) = kept.order.pop_front() else { return Err(UploadError::Full) };
                let size = kept.sizes.remove(&oldest).unwrap_or_default();
                kept.bytes -= size;
                oldest
            };
            self.files.discard(self.path_of(oldest));
        }
    }

    /// Opens a content to read it; `None` if it is not here.
    ///
    /// # Errors
    /// As the file system says.
    pub async fn read(&self, hash: ContentHash) -> io::Result<Option<Reading<F>>> {
        let Some(size) = self.size(hash) else { return Ok(None) };
        match self.files.open(&self.path_of(hash)).await {
            // Once it is open it can be read to its end, even if it is removed meanwhile.
            Ok(file) => Ok(Some(Reading { files: self.files.clone(), file, size })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path_of(&self, hash: ContentHash) -> PathBuf {
        self.folder.join(blake3::Hash::from_bytes(hash.0).to_hex().as_str())
    }
}

/// A content that is being read.
pub struct Reading<F: FileSystem> {
    files: F,
    file: F::File,
    /// Its size in bytes.
    pub size: u64,
}

impl<F: FileSystem> Reading<F> {
    /// Reads from this offset on; fewer bytes only at the end.
    ///
    /// # Errors
    /// As the file system says.
    pub async fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.files.read_at(&mut self.file, offset, buffer).await
    }
}

/// Space that an upload holds, given back when it is dropped.
#[derive(Debug)]
struct Reserved {
    kept: Arc<Mutex<Kept>>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes -= self.bytes;
    }
}

/// A content that is still arriving. Unless it is finished, nothing of it is kept.
pub struct Upload<F: FileSystem> {
    contents: Contents<F>,
    file: F::File,
    /// Where it is written; `None` once it has its own name.
    path: Option<PathBuf>,
    hasher: blake3::Hasher,
    /// Invariant: size <= limit.
    size: u64,
    limit: u64,
    _reserved: Reserved,
}

impl<F: FileSystem> Upload<F> {
    /// Bytes that came.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`UploadError`]; the upload is then to be given up.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        let size = self.size + bytes.len() as u64;
        if size > self.limit {
            return Err(UploadError::TooLarge { limit: self.limit });
        }
        self.hasher.update(bytes);
        self.contents.files.write(&mut self.file, bytes).await?;
        self.size = size;
        Ok(())
    }

    /// The hash of what came so far.
    pub fn hash(&self) -> ContentHash {
        ContentHash(*self.hasher.finalize().as_bytes())
    }

    /// Syncs the content and gives it its name. When this returns it survives a crash of the machine.
    ///
    /// # Errors
    /// [`UploadError`]; nothing of it is kept then.
    pub async fn finish(mut self) -> Result<(ContentHash, u64), UploadError> {
        let files = self.contents.files.clone();
        files.sync(&mut self.file).await?;
        let (hash, size) = (self.hash(), self.size);
        if let Some(path) = &self.path {
            files.rename(path, &self.contents.path_of(hash)).await?;
            self.path = None;
            files.sync_folder(&self.contents.folder).await?;
        }
        let mut kept = self.contents.kept();
        // The same content again replaces itself.
        if kept.sizes.insert(hash, size).is_none() {
            kept.order.push_back(hash);
            kept.bytes += size;
        }
        Ok((hash, size))
    }
}

impl<F: FileSystem> Drop for Upload<F> {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            self.contents.files.discard(path);
        }
    }
}
