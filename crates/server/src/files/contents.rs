//! Contents by their hash, and the space that they and the uploads under way take.

use super::FileSystem;
use super::discard::Name;
use super::header::{BLOCKS, Header, MAX_HEADER, name_of};
use super::reading::{Reading, Values};
use super::restore::Brought;
use super::upload::{Partial, Progress, UploadError};
use protocol::id::{ContentHash, TransferId};
use protocol::limits::BLOCK;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// All contents. Clones share them.
#[derive(Clone, Debug)]
pub struct Contents<F> {
    pub(super) files: F,
    pub(super) folder: PathBuf,
    /// Bytes that all contents may have together.
    capacity: u64,
    kept: Arc<Mutex<Kept>>,
    numbers: Arc<AtomicU64>,
    /// Pieces that may be read from the disk or written to it at once, of all files. However many files are under way, no
    /// more of their work stands in front of what people say than this; whoever waits is served in order.
    pub(super) pieces: Arc<Semaphore>,
}

/// So many keep a disk and a few cores busy, and take less than a millisecond together.
const PIECES: usize = 4;

/// Invariant: `bytes` is the sum of all sizes and of what is reserved for all uploads as they arrive; `firsts` has each
/// content whose first block is known, and no other.
#[derive(Debug, Default)]
pub(super) struct Kept {
    contents: BTreeMap<ContentHash, Known>,
    /// Contents by their size and the hash of their first block.
    firsts: BTreeMap<(u64, ContentHash), ContentHash>,
    /// Uploads by the names of their files.
    uploads: BTreeMap<String, Arc<Partial>>,
    bytes: u64,
    brought: Vec<Brought>,
    /// Names whose files are being made or removed.
    pub(super) names: BTreeMap<String, Name>,
}

impl Kept {
    pub(super) fn has_content(&self, hash: ContentHash) -> bool {
        self.contents.contains_key(&hash)
    }

    pub(super) fn has_upload(&self, name: &str) -> bool {
        self.uploads.contains_key(name)
    }
}

/// What is known of a content.
#[derive(Clone, Copy, Debug)]
struct Known {
    size: u64,
    /// The hash of its first block.
    first: Option<ContentHash>,
}

/// The name of an upload's file.
pub(super) fn upload_name(transfer: TransferId) -> String {
    format!("upload-{:032x}", u128::from_be_bytes(transfer.0))
}

impl<F: FileSystem> Contents<F> {
    /// Contents in this folder, which is empty, of at most `capacity` bytes in all.
    pub fn new(files: F, folder: PathBuf, capacity: u64) -> Self {
        let (kept, numbers, pieces) = (Arc::default(), Arc::default(), Arc::new(Semaphore::new(PIECES)));
        Self { files, folder, capacity, kept, numbers, pieces }
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        // No code panics while it holds the lock; if one did, the worst would be a file too many.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A name for an upload that nobody goes on with.
    pub(super) fn fresh_name(&self) -> String {
        format!("classic-{}", self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// The size of a content, if it is here.
    pub fn size(&self, hash: ContentHash) -> Option<u64> {
        self.kept().contents.get(&hash).map(|known| known.size)
    }

    /// A content of this size whose first block has this hash, if one is here.
    pub fn likely(&self, size: u64, first: ContentHash) -> Option<ContentHash> {
        self.kept().firsts.get(&(size, first)).copied()
    }

    /// Bytes of an upload that are here and right, if it is under way.
    pub fn arrived(&self, transfer: TransferId) -> Option<u64> {
        let upload = self.kept().uploads.get(&upload_name(transfer)).cloned()?;
        Some(upload.progress.borrow().settled)
    }

    /// Bytes that are left for more.
    pub fn left(&self) -> u64 {
        self.capacity.saturating_sub(self.bytes())
    }

    /// Bytes that are reserved for an upload, if it is under way.
    pub fn reserved(&self, transfer: TransferId) -> Option<u64> {
        let kept = self.kept();
        kept.uploads.get(&upload_name(transfer)).map(|upload| upload.reserved())
    }

    /// Reserves so many bytes more for an upload, if they are left.
    pub(super) fn reserve_more(&self, partial: &Partial, bytes: u64) -> Result<(), u64> {
        let mut kept = self.kept();
        let left = self.capacity.saturating_sub(kept.bytes);
        if bytes > left {
            return Err(left);
        }
        kept.bytes += bytes;
        partial.reserved.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// So much is reserved for an upload from here on: what it does not need is given back.
    pub(super) fn reserve_exactly(&self, partial: &Partial, size: u64) {
        let mut kept = self.kept();
        let before = partial.reserved.swap(size, Ordering::Relaxed);
        kept.bytes = (kept.bytes + size).saturating_sub(before);
    }

    /// Bytes of all contents and uploads.
    pub fn bytes(&self) -> u64 {
        self.kept().bytes
    }

    /// The uploads that a start found. Told once.
    pub fn take_brought(&self) -> Vec<Brought> {
        std::mem::take(&mut self.kept().brought)
    }

    /// Removes a content, if it is here. Whoever reads it can go on.
    pub fn remove(&self, hash: ContentHash) {
        let mut kept = self.kept();
        let Some(Known { size, first }) = kept.contents.remove(&hash) else { return };
        kept.bytes -= size;
        if let Some(first) = first.filter(|first| kept.firsts.get(&(size, *first)) == Some(&hash)) {
            kept.firsts.remove(&(size, first));
        }
        drop(kept);
        self.discard_content(hash);
    }

    /// Gives an upload up: nothing of it is left, and whoever brings or follows it is told.
    pub fn give_up(&self, transfer: TransferId) {
        self.give_up_named(&upload_name(transfer));
    }

    pub(super) fn give_up_named(&self, name: &str) {
        let mut kept = self.kept();
        let Some(partial) = kept.uploads.remove(name) else { return };
        kept.bytes -= partial.reserved();
        drop(kept);
        partial.progress.send_replace(Progress { settled: 0, gone: true, whole: None });
        partial.turn.send_modify(|turn| *turn += 1);
        self.discard_upload(name);
    }

    /// The upload of this name, which is new if there is none. Space is reserved as it arrives, but all of it must fit now.
    pub(super) fn reserve(&self, name: &str, header: Header) -> Result<Arc<Partial>, UploadError> {
        let mut kept = self.kept();
        if let Some(known) = kept.uploads.get(name) {
            return Ok(known.clone());
        }
        let left = self.capacity.saturating_sub(kept.bytes);
        if header.size > left && !header.is_open_ended() {
            return Err(UploadError::Full { left });
        }
        let partial = Arc::new(Partial::new(header));
        kept.uploads.insert(name.to_owned(), partial.clone());
        Ok(partial)
    }

    /// An upload has become a content, unless it was given up meanwhile.
    pub(super) fn settle(&self, name: &str, hash: ContentHash, first: ContentHash) -> bool {
        let mut kept = self.kept();
        let Some(partial) = kept.uploads.remove(name) else { return false };
        let size = partial.reserved();
        if kept.contents.insert(hash, Known { size, first: Some(first) }).is_some() {
            kept.bytes -= size;
        }
        kept.firsts.insert((size, first), hash);
        true
    }

    /// Takes in a content that a start found.
    pub(super) fn restore_content(&self, hash: ContentHash, size: u64, first: Option<ContentHash>) {
        let mut kept = self.kept();
        kept.contents.insert(hash, Known { size, first });
        kept.firsts.extend(first.map(|first| ((size, first), hash)));
        kept.bytes += size;
    }

    /// Takes in an upload that a start found.
    pub(super) fn restore_upload(&self, name: String, partial: Partial) {
        let mut kept = self.kept();
        kept.bytes += partial.reserved();
        kept.uploads.insert(name, Arc::new(partial));
    }

    pub(super) fn set_brought(&self, brought: Vec<Brought>) {
        self.kept().brought = brought;
    }

    /// Opens a content to read it; `None` if it is not here.
    ///
    /// # Errors
    /// As the file system says.
    pub async fn read(&self, hash: ContentHash) -> io::Result<Option<Reading<F>>> {
        let Some(size) = self.size(hash) else { return Ok(None) };
        let name = name_of(hash);
        let Some(file) = self.open_if_there(&name).await? else { return Ok(None) };
        let values = if size > BLOCK { self.open_values(&name).await } else { None };
        Ok(Some(Reading::new(self, file, values, size, None)))
    }

    /// Opens an upload to read it while it grows; `None` if it is not under way.
    ///
    /// # Errors
    /// As the file system says.
    pub async fn follow(&self, transfer: TransferId) -> io::Result<Option<Reading<F>>> {
        let name = upload_name(transfer);
        let Some(partial) = self.kept().uploads.get(&name).cloned() else { return Ok(None) };
        let Some(file) = self.open_if_there(&name).await? else { return Ok(None) };
        let values = self.open_values(&name).await;
        let progress = Some(partial.progress.subscribe());
        Ok(Some(Reading::new(self, file, values, partial.header.size, progress)))
    }

    /// Once it is open it can be read to its end, even if it is removed meanwhile.
    async fn open_if_there(&self, name: &str) -> io::Result<Option<F::File>> {
        match self.files.open(&self.path(name)).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The values of a content's blocks; `None` if they are not there or can't be read: they can be made again.
    async fn open_values(&self, name: &str) -> Option<Values<F::File>> {
        let file = self.files.open(&self.path(&format!("{name}{BLOCKS}"))).await.ok()?;
        let (head, n) = self.files.read_at(&file, 0, vec![0; MAX_HEADER], 0).await.ok()?;
        let (_, begin) = Header::decode(&head[..n]).ok()?;
        Some(Values { file, begin })
    }
}
