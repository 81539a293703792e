//! Files: contents by their hash, uploads under way, and the connections that carry them.
//!
//! A file's bytes never pass the hub. They travel on a connection of their own (or, from a classic client, in
//! one streamed frame) straight to the disk; the hub judges before the first byte and learns the hash after the
//! last, and an entry names it. An upload is a log of blocks, each verified as it arrives; a download is a cursor
//! on it, and may follow while it grows.

mod bulk;
mod classic;
mod contents;
mod discard;
mod disk;
mod header;
mod reading;
mod restore;
mod upload;

pub use bulk::serve_bulk;
pub use classic::{ClassicFile, SenderSpace, classic_head, receive_classic};
pub use contents::Contents;
pub use disk::{Disk, TemporaryFolder, open_folder};
pub use header::{BLOCKS, Header, blocks_fit, is_content_file, name_of, write_blocks};
pub use reading::{Growth, Reading};
pub use restore::Brought;
pub use upload::{Begun, Progress, Upload, UploadError};

use bytes::Bytes;
use protocol::id::Millis;
use std::future::Future;
use std::io;
use std::path::Path;
use tokio::task::JoinHandle;

/// A file in a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its name; what is not UTF-8 is not ours and not listed.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written last.
    pub modified: Millis,
}

/// The little that file contents need of a file system, so that a simulation can lose what was not synced.
pub trait FileSystem: Clone + Send + Sync + 'static {
    /// An open file. Clones share it.
    type File: Clone + Send + Sync + 'static;

    /// Makes a new file to read and write; an error if there is one.
    fn create(&self, path: &Path) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Opens a file to read and write.
    fn open(&self, path: &Path) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// The files in a folder, in no order.
    fn list(&self, folder: &Path) -> impl Future<Output = io::Result<Vec<Listed>>> + Send;

    /// Writes all bytes from this offset on, over what may be there.
    fn write_at(
        &self,
        file: &Self::File,
        offset: u64,
        bytes: Bytes,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// The same without waiting for it: it goes on by itself.
    fn begin_write(&self, file: &Self::File, offset: u64, bytes: Bytes) -> JoinHandle<io::Result<()>> {
        let (files, file) = (self.clone(), file.clone());
        tokio::spawn(async move { files.write_at(&file, offset, bytes).await })
    }

    /// Returns when everything that was written is on the disk.
    fn sync(&self, file: &Self::File) -> impl Future<Output = io::Result<()>> + Send;

    /// Fills the buffer behind its first `from` bytes with what is in the file from this offset on, and tells with how
    /// many bytes: fewer only at the end.
    fn read_at(
        &self,
        file: &Self::File,
        offset: u64,
        buffer: Vec<u8>,
        from: usize,
    ) -> impl Future<Output = io::Result<(Vec<u8>, usize)>> + Send;

    /// Gives a file another name, in the place of one that may be there.
    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send;

    /// Returns when the names in a folder are on the disk.
    fn sync_folder(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send;

    /// Removes a file, if there is one.
    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send;
}
