//! The disk of the server: the contents of files.

use crate::coverage::Sometimes;
use crate::record::Record;
use bytes::Bytes;
use protocol::id::Millis;
use rand::RngExt;
use rand::rngs::SmallRng;
use server::files::{FileSystem, Listed};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The server's files; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ServerDisk {
    record: Record,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What every process sees.
    names: BTreeMap<PathBuf, Node>,
    /// The names that are on the disk.
    synced_names: BTreeMap<PathBuf, Node>,
    full: bool,
    pieces: u64,
    /// The piece at which the server is to crash.
    trap: Option<u64>,
    sprung: bool,
}

/// A file, under whatever names.
type Node = Arc<Mutex<Content>>;

#[derive(Debug, Default)]
pub(crate) struct Content {
    now: Vec<u8>,
    /// So many of its bytes are on the disk.
    synced: usize,
    modified: Millis,
}

impl ServerDisk {
    pub(crate) fn new(record: Record) -> Self {
        Self { record, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// The server stops in the midst of this piece of a file.
    pub(crate) fn set_trap_once(&self, piece: Option<u64>) {
        self.state().trap = piece;
    }

    /// Whether the trap has sprung: the server is to crash now.
    pub(crate) fn take_sprung(&self) -> bool {
        std::mem::take(&mut self.state().sprung)
    }

    /// Counts a piece of a file, or the moment in which its new name is to be synced; whether the trap springs.
    fn count_piece(&self) -> io::Result<bool> {
        let mut state = self.state();
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.pieces += 1;
        let trapped = state.trap.is_some_and(|piece| piece <= state.pieces);
        if trapped {
            (state.trap, state.sprung) = (None, true);
        }
        Ok(trapped)
    }

    /// The power fails: names and bytes that were not synced are gone, or some of them are.
    pub(crate) fn lose_power(&self, rng: &mut SmallRng) {
        let mut state = self.state();
        for node in state.names.values() {
            let mut content = content(node);
            let kept = rng.random_range(content.synced..=content.now.len());
            content.now.truncate(kept);
            content.synced = kept;
        }
        let unsynced = state.names.iter().any(|(name, _)| !state.synced_names.contains_key(name));
        // The folder is one file of its own: its new version is there as a whole, or the old one is.
        if unsynced && rng.random() {
            self.record.hit(Sometimes::LostName);
            state.names = state.synced_names.clone();
        }
        state.synced_names = state.names.clone();
    }

    /// Every content under its final name, with its bytes.
    pub(crate) fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let named = |(path, node): (&PathBuf, &Node)| {
            let name = path.file_name()?.to_str()?.to_owned();
            (name.len() == 64).then(|| (name, content(node).now.clone()))
        };
        self.state().names.iter().filter_map(named).collect()
    }
}

fn content(node: &Node) -> MutexGuard<'_, Content> {
    node.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileSystem for ServerDisk {
    type File = Node;

    async fn create(&self, path: &Path) -> io::Result<Node> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = Node::default();
        state.names.insert(path.to_owned(), node.clone());
        Ok(node)
    }

    async fn open(&self, path: &Path) -> io::Result<Node> {
        self.state().names.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn list(&self, _: &Path) -> io::Result<Vec<Listed>> {
        let listed = |(path, node): (&PathBuf, &Node)| {
            let content = content(node);
            let name = path.file_name()?.to_str()?.to_owned();
            Some(Listed { name, size: content.now.len() as u64, modified: content.modified })
        };
        Ok(self.state().names.iter().filter_map(listed).collect())
    }

    async fn write_at(&self, node: &Node, offset: u64, bytes: Bytes) -> io::Result<()> {
        let trapped = self.count_piece()?;
        {
            let mut content = content(node);
            let from = usize::try_from(offset).map_err(io::Error::other)?;
            let end = from + bytes.len();
            if content.now.len() < end {
                content.now.resize(end, 0);
            }
            content.now[from..end].copy_from_slice(&bytes);
            // What is written over is as little on the disk as what is added.
            content.synced = content.synced.min(from);
            content.modified = Millis(self.record.pages().now() / 1_000);
        }
        if trapped {
            self.record.hit(Sometimes::CrashFile);
            return std::future::pending().await;
        }
        Ok(())
    }

    async fn sync(&self, node: &Node) -> io::Result<()> {
        let mut content = content(node);
        content.synced = content.now.len();
        Ok(())
    }

    async fn read_at(
        &self,
        node: &Node,
        offset: u64,
        mut buffer: Vec<u8>,
        from: usize,
    ) -> io::Result<(Vec<u8>, usize)> {
        let content = content(node);
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(content.now.len());
        let n = (buffer.len() - from).min(content.now.len() - at);
        buffer[from..from + n].copy_from_slice(&content.now[at..at + n]);
        Ok((buffer, n))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), node);
        Ok(())
    }

    async fn sync_folder(&self, _: &Path) -> io::Result<()> {
        if self.count_piece()? {
            self.record.hit(Sometimes::CrashFile);
            return std::future::pending().await;
        }
        let mut state = self.state();
        state.synced_names = state.names.clone();
        Ok(())
    }

    fn discard(&self, path: PathBuf) {
        self.state().names.remove(&path);
    }
}
