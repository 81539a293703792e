//! Uploads: a log of blocks, each verified as it arrives, that goes on where it was cut.

use super::FileSystem;
use super::contents::{Contents, upload_name};
use super::header::{BLOCKS, Header, VALUE, name_of};
use bytes::Bytes;
use protocol::blocks::{BlockHasher, Tree, hash_of_first};
use protocol::id::{BlockValue, ContentHash};
use protocol::limits::{BLOCK, DEAD_AFTER_MS, MAX_RESERVE_STEP, MIN_RESERVE_STEP};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Blocks that may wait to be put on the disk: so much may be lost by a crash of the machine.
///
/// Each is put there as soon as those before it are, because the syncs of the log wait for whatever the disk has to
/// write: many small pieces keep them up for a moment each, few large ones for as long as they take (measured at
/// 50 MB/s: a post's 99th percentile is 2.7 ms with a sync for each block, 8 ms with one for 32).
pub(super) const UNSYNCED: usize = 32;

/// How long a sync is the last one that begins: blocks of a fast upload are put on the disk a few at a time, since each
/// sync costs the processor too, which such an upload has none of to spare.
const SYNC_PAUSE: Duration = Duration::from_millis(10);

/// Why a piece of an upload was not taken.
#[derive(Debug, Error)]
pub enum UploadError {
    /// Bytes that are out of place, too many, or not what was announced. What was checked before stays.
    #[error("the content is not what was announced")]
    Wrong,
    /// There is no space for it.
    #[error("the disk is full")]
    Full {
        /// Bytes that are left.
        left: u64,
    },
    /// It was given up meanwhile, or another connection goes on with it.
    #[error("the upload goes on elsewhere, or was given up")]
    Elsewhere,
    /// The disk failed.
    #[error("the disk failed")]
    Io(#[source] io::Error),
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { left: 0 },
            _ => Self::Io(error),
        }
    }
}

/// How far an upload has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Bytes that are here and right: whole blocks.
    pub settled: u64,
    /// It is complete and has this hash.
    pub whole: Option<ContentHash>,
    /// It was given up.
    pub gone: bool,
}

/// An upload that may be under way on one connection at a time.
#[derive(Debug)]
pub(super) struct Partial {
    pub header: Header,
    /// Bytes that are reserved for it, ahead of what comes: its size, once all of it came.
    pub(super) reserved: AtomicU64,
    pub progress: watch::Sender<Progress>,
    /// Who may go on with it: whoever counted it up last.
    pub turn: watch::Sender<u64>,
    settled: Arc<Mutex<Settled>>,
}

/// What is in the files of an upload. Held by the connection that goes on with it.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Whether there are files.
    created: bool,
    /// What was checked, and what came of the block behind it.
    hasher: BlockHasher,
    /// So far all that was hashed was handed over to the disk. Of the rest nobody knows.
    handed: u64,
    /// The last piece on its way to the disk, while the next one arrives. It belongs to whoever goes on, so that it can't
    /// come behind what is written in its place then.
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Settled {
    /// Waits for the last piece. If it did not reach its file, its block comes anew.
    async fn written(&mut self) -> io::Result<()> {
        let written = wait_for(&mut self.writing).await;
        if written.is_err() {
            self.hasher.restart_block();
        }
        written
    }

    /// Keeps of the block under way what another connection can go on with.
    async fn tidy_up(&mut self) {
        let is_written = self.written().await.is_ok() && self.handed == self.hasher.len();
        // A block that came whole is missing its check, which is not said again.
        if !is_written || self.hasher.value().is_some() {
            self.hasher.restart_block();
        }
    }
}

impl Partial {
    pub fn new(header: Header) -> Self {
        Self {
            header,
            reserved: AtomicU64::new(0),
            progress: watch::Sender::default(),
            turn: watch::Sender::default(),
            settled: Arc::default(),
        }
    }

    /// Bytes that are reserved for it.
    pub fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Relaxed)
    }

    /// One whose files are here, with these blocks.
    pub fn restored(header: Header, tree: Tree) -> Self {
        let progress = Progress { settled: tree.blocks() * BLOCK, ..Progress::default() };
        Self {
            header,
            reserved: AtomicU64::new(progress.settled),
            progress: watch::Sender::new(progress),
            turn: watch::Sender::default(),
            settled: Arc::new(Mutex::new(Settled {
                created: true,
                hasher: BlockHasher::after(tree),
                ..Settled::default()
            })),
        }
    }
}

/// What an upload that begins finds.
pub enum Begun<F: FileSystem> {
    /// It goes on.
    Going(Box<Upload<F>>),
    /// It was complete already.
    Whole(ContentHash),
}

/// An upload under way on one connection. When it is dropped, what came stays; over a
/// restart of the server only what was checked does.
pub struct Upload<F: FileSystem> {
    contents: Contents<F>,
    partial: Arc<Partial>,
    settled: OwnedMutexGuard<Settled>,
    name: String,
    file: F::File,
    values: F::File,
    /// Where the values begin in their file.
    begin: u64,
    turn: watch::Receiver<u64>,
    /// The last sync, when it began, and blocks that came since.
    syncing: Option<JoinHandle<io::Result<()>>>,
    sync_begun: Instant,
    unsynced: usize,
}

/// Waits for what was begun before, if there is something.
async fn wait_for(begun: &mut Option<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    match begun {
        Some(task) => {
            let done = task.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            *begun = None;
            done
        }
        None => Ok(()),
    }
}

impl<F: FileSystem> Contents<F> {
    /// Begins an upload or goes on with it. Whoever had it before loses it.
    ///
    /// # Errors
    /// [`UploadError`]
    pub async fn begin(&self, header: Header) -> Result<Begun<F>, UploadError> {
        let name = upload_name(header.transfer);
        self.begin_named(name, header).await
    }

    pub(super) async fn begin_named(&self, name: String, header: Header) -> Result<Begun<F>, UploadError> {
        let partial = self.reserve(&name, header)?;
        partial.turn.send_modify(|turn| *turn += 1);
        let turn = partial.turn.subscribe();
        let lease = partial.settled.clone().lock_owned();
        let settled = timeout(Duration::from_millis(DEAD_AFTER_MS), lease).await;
        let mut settled = settled.map_err(|_| UploadError::Elsewhere)?;
        settled.tidy_up().await;
        let progress = *partial.progress.borrow();
        if let Some(hash) = progress.whole {
            return Ok(Begun::Whole(hash));
        }
        if progress.gone || turn.has_changed().unwrap_or(true) {
            return Err(UploadError::Elsewhere);
        }
        let (file, values, begin) = match self.open_partial(&name, &partial.header, &mut settled).await {
            Ok(files) => files,
            Err(error) => {
                // What can't be made does not hold space; what is there may be gone on with.
                if !settled.created {
                    self.give_up_named(&name);
                }
                return Err(error.into());
            }
        };
        let contents = self.clone();
        let (syncing, sync_begun, unsynced) = (None, Instant::now(), 0);
        let upload = Upload {
            contents,
            partial,
            settled,
            name,
            file,
            values,
            begin,
            turn,
            syncing,
            sync_begun,
            unsynced,
        };
        Ok(Begun::Going(Box::new(upload)))
    }

    async fn open_partial(
        &self,
        name: &str,
        header: &Header,
        settled: &mut Settled,
    ) -> io::Result<(F::File, F::File, u64)> {
        let (path, beside) = (self.path(name), self.path(&format!("{name}{BLOCKS}")));
        let head = header.encode();
        let begin = head.len() as u64;
        if settled.created {
            return Ok((self.files.open(&path).await?, self.files.open(&beside).await?, begin));
        }
        let _held = self.hold(name).await;
        let file = self.create_anew(&path).await?;
        let values = self.create_anew(&beside).await?;
        self.files.write_at(&values, 0, head).await?;
        settled.created = true;
        Ok((file, values, begin))
    }

    /// Makes a file in the place of what may be left of an earlier upload that was given up.
    async fn create_anew(&self, path: &Path) -> io::Result<F::File> {
        match self.files.create(path).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.files.remove(path).await?;
                self.files.create(path).await
            }
            created => created,
        }
    }
}

impl<F: FileSystem> Upload<F> {
    /// Bytes that came.
    pub fn len(&self) -> u64 {
        self.settled.hasher.len()
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.settled.hasher.is_empty()
    }

    /// Bytes for which space must be reserved before what ends there may be written: so many at least, and so many at most.
    /// Nothing is reserved beyond the size of the whole, nor far ahead of what comes: what came is the measure of that.
    pub fn missing(&self, end: u64) -> Option<(u64, u64)> {
        let (size, reserved) = (self.partial.header.size, self.partial.reserved());
        let least = end.min(size).saturating_sub(reserved);
        let most =
            self.len().clamp(MIN_RESERVE_STEP, MAX_RESERVE_STEP).max(least).min(size - reserved.min(size));
        (least > 0).then_some((least, most))
    }

    /// Reserves space for so many bytes more.
    ///
    /// # Errors
    /// Bytes that are left, if these are fewer.
    pub fn reserve(&self, bytes: u64) -> Result<(), u64> {
        self.contents.reserve_more(&self.partial, bytes)
    }

    /// Gives so many bytes back that were reserved.
    pub fn give_back(&self, bytes: u64) {
        self.contents.reserve_exactly(&self.partial, self.partial.reserved().saturating_sub(bytes));
    }

    /// Tells when another connection goes on with it, or it is given up.
    pub fn turn(&self) -> watch::Receiver<u64> {
        self.turn.clone()
    }

    /// Adds the next piece, which ends in the block under way.
    ///
    /// # Errors
    /// [`UploadError`]
    pub async fn write(&mut self, offset: u64, bytes: Bytes) -> Result<(), UploadError> {
        let (end, border) = (offset.saturating_add(bytes.len() as u64), self.settled.hasher.border() + BLOCK);
        let in_place =
            offset == self.settled.hasher.len() && end <= border && end <= self.partial.header.size;
        if !in_place || bytes.is_empty() {
            return Err(UploadError::Wrong);
        }
        // It is never closed.
        let turn = self.contents.pieces.clone().acquire_owned().await;
        self.settled.hasher.update(&bytes, |_, _| unreachable!("the piece ends in the block under way"));
        self.settled.written().await?;
        let written = self.contents.files.begin_write(&self.file, offset, bytes);
        self.settled.writing = Some(tokio::spawn(async move {
            let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            drop(turn);
            written
        }));
        self.settled.handed = end;
        Ok(())
    }

    /// Ends a block that more bytes follow, if it has this value.
    ///
    /// # Errors
    /// [`UploadError::Wrong`] if it has not, and then it is thrown away.
    pub async fn check(&mut self, index: u64, value: BlockValue) -> Result<(), UploadError> {
        let is_due =
            self.settled.hasher.index() == index && self.settled.hasher.len() < self.partial.header.size;
        let header = &self.partial.header;
        let told = index == 0 && !header.is_open_ended();
        let is_first = !told || self.settled.hasher.hash() == Some(header.first);
        if !is_due || self.settled.hasher.value() != Some(value) || !is_first {
            self.settled.hasher.restart_block();
            return Err(UploadError::Wrong);
        }
        self.settle_block().await
    }

    async fn settle_block(&mut self) -> Result<(), UploadError> {
        let index = self.settled.hasher.index();
        self.settled.written().await?;
        let Some(value) = self.settled.hasher.value() else { return Ok(()) };
        let at = self.begin + VALUE * index;
        self.contents.files.write_at(&self.values, at, Bytes::copy_from_slice(&value.0)).await?;
        self.settled.hasher.settle();
        self.sync_behind().await?;
        let settled = self.settled.hasher.border();
        self.partial.progress.send_modify(|progress| progress.settled = settled);
        Ok(())
    }

    /// Puts what came on the disk while more comes. If that is under way for what came before, or was begun a moment ago,
    /// it is left for the next time, unless too much waits already.
    async fn sync_behind(&mut self) -> Result<(), UploadError> {
        self.unsynced += 1;
        let is_under_way = self.syncing.as_ref().is_some_and(|syncing| !syncing.is_finished());
        let is_early = is_under_way || self.sync_begun.elapsed() < SYNC_PAUSE;
        if is_early && self.unsynced < UNSYNCED {
            return Ok(());
        }
        wait_for(&mut self.syncing).await?;
        (self.unsynced, self.sync_begun) = (0, Instant::now());
        let (files, file, values) = (self.contents.files.clone(), self.file.clone(), self.values.clone());
        self.syncing = Some(tokio::spawn(async move {
            files.sync(&file).await?;
            files.sync(&values).await
        }));
        Ok(())
    }

    /// Adds bytes of an upload that nobody checks, settling blocks as they fill.
    ///
    /// # Errors
    /// [`UploadError`]
    pub async fn append(&mut self, mut bytes: Bytes) -> Result<(), UploadError> {
        while !bytes.is_empty() {
            if self.settled.hasher.value().is_some() {
                self.settle_block().await?;
            }
            let room = self.settled.hasher.border() + BLOCK - self.settled.hasher.len();
            let piece = bytes.split_to(usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len()));
            self.write(self.settled.hasher.len(), piece).await?;
        }
        Ok(())
    }

    /// The hash of what came, if that is all.
    pub fn hash(&self) -> Option<ContentHash> {
        let header = &self.partial.header;
        let is_all = header.is_open_ended() || self.settled.hasher.len() == header.size;
        self.settled.hasher.hash().filter(|_| is_all)
    }

    /// Puts the content on the disk under its name, if it is whole and has this hash. When this returns it survives a
    /// crash of the machine.
    ///
    /// # Errors
    /// [`UploadError`]; what was checked is kept then.
    pub async fn finish(&mut self, hash: ContentHash) -> Result<(), UploadError> {
        if self.partial.header.is_open_ended() {
            return self.finish_open_ended(hash).await;
        }
        let header = &self.partial.header;
        let is_first = header.size > BLOCK || hash == header.first;
        if self.hash() != Some(hash) || !is_first {
            self.settled.hasher.restart_block();
            return Err(UploadError::Wrong);
        }
        self.place(hash, header.first).await
    }

    /// The same for an upload whose size was not known: what came is all.
    async fn finish_open_ended(&mut self, hash: ContentHash) -> Result<(), UploadError> {
        if self.hash() != Some(hash) {
            self.settled.hasher.restart_block();
            return Err(UploadError::Wrong);
        }
        self.settled.written().await?;
        let size = self.settled.hasher.len();
        let probe = usize::try_from(size.min(BLOCK)).unwrap_or(0);
        let (first, n) = self.contents.files.read_at(&self.file, 0, vec![0; probe], 0).await?;
        let first = hash_of_first(&first[..n]);
        // The next start must find its true size.
        let header = Header { size, first, ..self.partial.header.clone() };
        self.contents.files.write_at(&self.values, 0, header.encode()).await?;
        self.place(hash, first).await
    }

    /// The same for an upload that nobody announced a hash of.
    ///
    /// # Errors
    /// [`UploadError`]
    pub async fn finish_unchecked(&mut self, first: ContentHash) -> Result<ContentHash, UploadError> {
        let hash = self.hash().ok_or(UploadError::Wrong)?;
        let header = Header { first, ..self.partial.header.clone() };
        self.contents.files.write_at(&self.values, 0, header.encode()).await?;
        self.place(hash, first).await?;
        Ok(hash)
    }

    async fn place(&mut self, hash: ContentHash, first: ContentHash) -> Result<(), UploadError> {
        self.settled.written().await?;
        wait_for(&mut self.syncing).await?;
        // What was reserved ahead and is not needed is given back: what came is all.
        self.contents.reserve_exactly(&self.partial, self.len());
        let contents = self.contents.clone();
        let (files, name, target) = (&contents.files, contents.path(&self.name), name_of(hash));
        // Until an entry names it, its header tells a server that starts who brought it.
        let with_header = self.partial.reserved() > BLOCK || self.partial.header.person.is_some();
        let was_here = contents.size(hash).is_some();
        if !was_here {
            self.sync_all(with_header).await?;
        }
        // From here on nobody removes files of this name: a content that is here still is when this one is known by it.
        let held = contents.hold(&target).await;
        if contents.size(hash).is_none() {
            if was_here {
                self.sync_all(with_header).await?;
            }
            if with_header {
                let beside = contents.path(&format!("{}{BLOCKS}", self.name));
                files.rename(&beside, &contents.path(&format!("{target}{BLOCKS}"))).await?;
            }
            files.rename(&name, &contents.path(&target)).await?;
            files.sync_folder(&contents.folder).await?;
        }
        let is_settled = contents.settle(&self.name, hash, first);
        drop(held);
        if !is_settled {
            // It was given up while it was put in its place: nobody will name it.
            contents.discard_content(hash);
            return Err(UploadError::Elsewhere);
        }
        // What is left under the old name, if anything, is of no use.
        contents.discard_upload(&self.name);
        self.partial.progress.send_replace(Progress {
            settled: self.partial.reserved(),
            whole: Some(hash),
            gone: false,
        });
        Ok(())
    }

    async fn sync_all(&self, with_header: bool) -> io::Result<()> {
        self.contents.files.sync(&self.file).await?;
        if with_header { self.contents.files.sync(&self.values).await } else { Ok(()) }
    }
}
