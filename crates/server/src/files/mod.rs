//! Files: contents by their hash, and the connections that carry them.
//!
//! A file's bytes never pass the hub. They travel on a connection of their own (or, from a classic client, in
//! one streamed frame) straight to the disk; the hub learns the hash, and an entry names it.

mod bulk;
mod classic;
mod contents;
mod disk;

pub use bulk::serve_bulk;
pub use classic::{ClassicFile, classic_head, receive_classic};
pub use contents::{Contents, Reading, Upload, UploadError};
pub use disk::{Disk, TemporaryFolder, open_contents};

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

/// The little that file contents need of a file system, so that a simulation can lose what was not synced.
pub trait FileSystem: Clone + Send + Sync + 'static {
    /// An open file.
    type File: Send;

    /// Makes a folder and those above it.
    fn create_folder(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send;

    /// Makes a new file to write to; an error if there is one.
    fn create(&self, path: &Path) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Opens a file to read from.
    fn open(&self, path: &Path) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Appends all bytes.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Returns when everything that was written is on the disk.
    fn sync(&self, file: &mut Self::File) -> impl Future<Output = io::Result<()>> + Send;

    /// Reads from this offset on; fewer bytes only at the end.
    fn read_at(
        &self,
        file: &mut Self::File,
        offset: u64,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;

    /// Gives a file another name, in the place of one that may be there.
    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send;

    /// Returns when the names in a folder are on the disk.
    fn sync_folder(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send;

    /// Removes a file some time soon. Nobody waits for it, so it can be done where nothing can wait.
    fn discard(&self, path: PathBuf);
}
