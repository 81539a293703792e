//! The simulated disk: files in memory.

use server::files::FileSystem;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Content = Arc<Mutex<Vec<u8>>>;

/// The files of one host; clones share them.
#[derive(Clone, Debug, Default)]
pub struct SimFiles(Arc<Mutex<BTreeMap<PathBuf, Content>>>);

impl SimFiles {
    fn names(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Content>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(file: &Content) -> MutexGuard<'_, Vec<u8>> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileSystem for SimFiles {
    type File = Content;

    async fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    async fn create(&self, path: &Path) -> io::Result<Content> {
        let mut names = self.names();
        if names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Content::default();
        names.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    async fn open(&self, path: &Path) -> io::Result<Content> {
        self.names().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn write(&self, file: &mut Content, written: &[u8]) -> io::Result<()> {
        bytes(file).extend_from_slice(written);
        Ok(())
    }

    async fn sync(&self, _: &mut Content) -> io::Result<()> {
        Ok(())
    }

    async fn read_at(&self, file: &mut Content, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = bytes(file);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let n = buffer.len().min(content.len() - from);
        buffer[..n].copy_from_slice(&content[from..from + n]);
        Ok(n)
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.names();
        let file = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.insert(to.to_owned(), file);
        Ok(())
    }

    async fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, path: PathBuf) {
        self.names().remove(&path);
    }
}
