//! The disk of the server: the contents of files. It belongs to the machine: every process of the server finds on it
//! what the one before left, and after a power loss what was synced, and by chance some of what was not.

use super::content::{Content, Node, content};
use crate::coverage::Sometimes;
use crate::net::EPOCH_MS;
use crate::record::Record;
use crate::seed::stream;
use bytes::Bytes;
use protocol::id::Millis;
use rand::RngExt;
use rand::rngs::SmallRng;
use server::files::{FileSystem, Listed};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The server's files; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ServerDisk {
    record: Record,
    /// The shortest and the longest time of a sync, in ms.
    sync_ms: (u64, u64),
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// What every process sees.
    names: BTreeMap<PathBuf, Node>,
    /// What changed in the folder since it was synced, in order.
    changes: Vec<Change>,
    last_change: u64,
    full: bool,
    slow_ms: Option<u64>,
    pieces: u64,
    /// The piece at which the server is to crash.
    trap: Option<u64>,
    sprung: bool,
    rng: SmallRng,
}

/// One change of a folder, which the disk makes as a whole or not at all.
#[derive(Debug)]
struct Change {
    number: u64,
    /// The names that it touched, and what they stood for before.
    before: Vec<(PathBuf, Option<Node>)>,
}

impl ServerDisk {
    pub(crate) fn new(record: Record, sync_ms: (u64, u64), seed: u64) -> Self {
        let state = State {
            names: BTreeMap::new(),
            changes: Vec::new(),
            last_change: 0,
            full: false,
            slow_ms: None,
            pieces: 0,
            trap: None,
            sprung: false,
            rng: stream(seed, "disk", 0),
        };
        Self { record, sync_ms, state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    pub(crate) fn set_slow(&self, ms: Option<u64>) {
        self.state().slow_ms = ms;
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
        // A file whose name comes back may have lost bytes as well.
        let mut lost = false;
        for node in state.nodes() {
            lost |= content(&node).lose_power(rng);
        }
        if lost {
            self.record.hit(Sometimes::LostBytes);
        }
        // A folder's changes reach the disk in their order, one by one; some of them may have by themselves.
        let kept = if rng.random() { state.changes.len() } else { rng.random_range(0..=state.changes.len()) };
        for change in state.changes.split_off(kept).into_iter().rev() {
            self.record.hit(Sometimes::LostName);
            for (name, node) in change.before {
                match node {
                    Some(node) => drop(state.names.insert(name, node)),
                    None => drop(state.names.remove(&name)),
                }
            }
        }
        state.changes.clear();
    }

    /// Every content under its final name, with its bytes.
    pub(crate) fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let named = |(path, node): (&PathBuf, &Node)| {
            let name = path.file_name()?.to_str()?.to_owned();
            (name.len() == 64).then(|| (name, content(node).bytes().to_vec()))
        };
        self.state().names.iter().filter_map(named).collect()
    }

    /// A sync takes a while, in which more may be written.
    async fn wait(&self) {
        let ms = {
            let state = &mut *self.state();
            state.slow_ms.unwrap_or_else(|| state.rng.random_range(self.sync_ms.0..=self.sync_ms.1))
        };
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Stands still for ever: the server is to crash at this very point.
    async fn spring<T>(&self) -> T {
        self.record.hit(Sometimes::CrashFile);
        std::future::pending().await
    }

    fn now(&self) -> Millis {
        Millis(EPOCH_MS + self.record.pages().now() / 1_000)
    }
}

impl State {
    /// Every file that has a name, or may have one again.
    fn nodes(&self) -> Vec<Node> {
        let before = self.changes.iter().flat_map(|change| &change.before);
        let mut nodes: Vec<Node> = self.names.values().cloned().collect();
        for node in before.filter_map(|(_, node)| node.clone()) {
            if !nodes.iter().any(|known| Arc::ptr_eq(known, &node)) {
                nodes.push(node);
            }
        }
        nodes
    }

    /// Lets these names stand for something else.
    fn change<const N: usize>(&mut self, names: [(&Path, Option<Node>); N]) {
        let before = names.map(|(name, node)| {
            let before = match node {
                Some(node) => self.names.insert(name.to_owned(), node),
                None => self.names.remove(name),
            };
            (name.to_owned(), before)
        });
        self.last_change += 1;
        self.changes.push(Change { number: self.last_change, before: before.into() });
    }
}

impl FileSystem for ServerDisk {
    type File = Node;

    async fn create(&self, path: &Path) -> io::Result<Node> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node: Node = Arc::new(Mutex::new(Content::new(self.now())));
        state.change([(path, Some(node.clone()))]);
        Ok(node)
    }

    async fn open(&self, path: &Path) -> io::Result<Node> {
        self.state().names.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn list(&self, _: &Path) -> io::Result<Vec<Listed>> {
        let listed = |(path, node): (&PathBuf, &Node)| {
            let content = content(node);
            let name = path.file_name()?.to_str()?.to_owned();
            Some(Listed { name, size: content.bytes().len() as u64, modified: content.modified() })
        };
        Ok(self.state().names.iter().filter_map(listed).collect())
    }

    async fn write_at(&self, node: &Node, offset: u64, bytes: Bytes) -> io::Result<()> {
        let trapped = self.count_piece()?;
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let now = self.now();
        content(node).write(from, bytes, now);
        if trapped { self.spring().await } else { Ok(()) }
    }

    async fn sync(&self, node: &Node) -> io::Result<()> {
        let written = content(node).written();
        self.wait().await;
        content(node).sync(written);
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
        let there = content.bytes();
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(there.len());
        let n = (buffer.len() - from).min(there.len() - at);
        buffer[from..from + n].copy_from_slice(&there[at..at + n]);
        Ok((buffer, n))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.names.get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        state.change([(from, None), (to, Some(node))]);
        Ok(())
    }

    async fn sync_folder(&self, _: &Path) -> io::Result<()> {
        if self.count_piece()? {
            return self.spring().await;
        }
        let last = self.state().last_change;
        self.wait().await;
        self.state().changes.retain(|change| change.number > last);
        Ok(())
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            state.change([(path, None)]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    fn disk() -> ServerDisk {
        ServerDisk::new(Record::new(0, false), (0, 0), 1)
    }

    /// What is under these names after a power loss, over many of them.
    async fn after(names: &[&str], prepare: impl AsyncFn(&ServerDisk)) -> BTreeSet<Vec<Option<Vec<u8>>>> {
        let mut seen = BTreeSet::new();
        for seed in 0..60 {
            let disk = disk();
            prepare(&disk).await;
            disk.lose_power(&mut SmallRng::seed_from_u64(seed));
            let state = disk.state();
            let read =
                |name: &&str| state.names.get(Path::new(name)).map(|node| content(node).bytes().to_vec());
            seen.insert(names.iter().map(read).collect());
        }
        seen
    }

    async fn write(disk: &ServerDisk, node: &Node, bytes: &'static [u8]) {
        let at = content(node).bytes().len() as u64;
        disk.write_at(node, at, Bytes::from_static(bytes)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_synced_survives_under_its_synced_name() {
        let seen = after(&["/a", "/b"], async |disk| {
            let node = disk.create(Path::new("/a")).await.unwrap();
            write(disk, &node, b"kept").await;
            disk.sync(&node).await.unwrap();
            disk.rename(Path::new("/a"), Path::new("/b")).await.unwrap();
            disk.sync_folder(Path::new("/")).await.unwrap();
        });
        assert_eq!(seen.await, [vec![None, Some(b"kept".to_vec())]].into());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rename_that_was_not_synced_happened_or_did_not() {
        let seen = after(&["/a", "/b"], async |disk| {
            let node = disk.create(Path::new("/a")).await.unwrap();
            disk.sync_folder(Path::new("/")).await.unwrap();
            write(disk, &node, b"x").await;
            disk.sync(&node).await.unwrap();
            disk.rename(Path::new("/a"), Path::new("/b")).await.unwrap();
        });
        let x = || Some(b"x".to_vec());
        assert_eq!(seen.await, [vec![None, x()], vec![x(), None]].into());
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_may_survive_without_its_bytes_and_a_removed_one_may_come_back() {
        let seen = after(&["/a", "/old"], async |disk| {
            let old = disk.create(Path::new("/old")).await.unwrap();
            write(disk, &old, b"o").await;
            disk.sync(&old).await.unwrap();
            disk.sync_folder(Path::new("/")).await.unwrap();
            disk.remove(Path::new("/old")).await.unwrap();
            let node = disk.create(Path::new("/a")).await.unwrap();
            write(disk, &node, b"x").await;
        });
        let seen = seen.await;
        assert!(seen.contains(&vec![Some(Vec::new()), None]), "{seen:?}");
        assert!(seen.contains(&vec![None, Some(b"o".to_vec())]), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sync_is_of_what_was_written_before_it_began() {
        let seen = after(&["/a"], async |disk| {
            let disk = ServerDisk { sync_ms: (5, 5), ..disk.clone() };
            let node = disk.create(Path::new("/a")).await.unwrap();
            disk.sync_folder(Path::new("/")).await.unwrap();
            write(&disk, &node, b"one").await;
            tokio::join!(async { disk.sync(&node).await.unwrap() }, write(&disk, &node, b"two"));
        });
        let seen = seen.await;
        assert!(seen.contains(&vec![Some(b"one".to_vec())]), "{seen:?}");
        assert!(seen.iter().all(|files| files[0].as_deref().is_some_and(|file| file.starts_with(b"one"))));
    }
}
