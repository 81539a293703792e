//! A content that is read, or an upload that is followed while it grows.

use super::header::VALUE;
use super::{Contents, FileSystem, Progress};
use protocol::blocks::value_of;
use protocol::id::{BlockValue, ContentHash};
use protocol::limits::BLOCK;
use std::io;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// The file of a content's block values, and where they begin in it.
#[derive(Debug)]
pub(super) struct Values<H> {
    pub file: H,
    pub begin: u64,
}

/// How far a content can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Growth {
    /// Up to here, and more is to come.
    Growing(u64),
    /// To its end; its hash, unless the reader asked by it.
    Whole(Option<ContentHash>),
    /// The upload was given up.
    Gone,
}

/// A content that is being read.
pub struct Reading<F: FileSystem> {
    files: F,
    pieces: Arc<Semaphore>,
    file: F::File,
    values: Option<Values<F::File>>,
    /// Its size in bytes, when it is whole.
    pub size: u64,
    progress: Option<watch::Receiver<Progress>>,
}

impl<F: FileSystem> Reading<F> {
    pub(super) fn new(
        contents: &Contents<F>,
        file: F::File,
        values: Option<Values<F::File>>,
        size: u64,
        progress: Option<watch::Receiver<Progress>>,
    ) -> Self {
        let (files, pieces) = (contents.files.clone(), contents.pieces.clone());
        Self { files, pieces, file, values, size, progress }
    }

    /// How far it can be read now.
    pub fn growth(&self) -> Growth {
        match self.progress.as_ref().map(|progress| *progress.borrow()) {
            None => Growth::Whole(None),
            Some(Progress { gone: true, .. }) => Growth::Gone,
            Some(Progress { whole: Some(hash), .. }) => Growth::Whole(Some(hash)),
            Some(Progress { settled, .. }) => Growth::Growing(settled),
        }
    }

    /// Returns when it may be read further. Nothing is lost if this is not waited for to its end.
    pub async fn grows(&mut self) {
        if let Some(progress) = &mut self.progress
            && progress.changed().await.is_ok()
        {
            return;
        }
        // Whoever told it is gone only when it is whole or given up, and that was told.
        std::future::pending::<()>().await;
    }

    /// Fills the buffer behind its first `from` bytes with what begins at this offset; with how many bytes is told:
    /// fewer only at the end.
    ///
    /// # Errors
    /// As the file system says.
    pub async fn read_at(&self, offset: u64, buffer: Vec<u8>, from: usize) -> io::Result<(Vec<u8>, usize)> {
        // It is never closed.
        let _turn = self.pieces.acquire().await;
        self.files.read_at(&self.file, offset, buffer, from).await
    }

    /// The value of a block that more bytes follow.
    ///
    /// # Errors
    /// As the file system says.
    pub async fn value(&self, index: u64) -> io::Result<BlockValue> {
        if let Some(values) = &self.values {
            let at = values.begin + VALUE * index;
            let (value, n) = self.files.read_at(&values.file, at, vec![0; 32], 0).await?;
            if let (32, Some(value)) = (n, value.first_chunk()) {
                return Ok(BlockValue(*value));
            }
        }
        let (block, n) = self.files.read_at(&self.file, index * BLOCK, vec![0; 1 << 20], 0).await?;
        Ok(value_of(index, &block[..n]))
    }
}
