//! Files in memory, which know what a crash would leave of them.

use super::Files;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

/// Files in memory; clones share them, as processes share a disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: Arc<Mutex<BTreeMap<String, Content>>>,
    full: Arc<AtomicBool>,
}

impl MemoryFiles {
    /// The machine loses power: what was not synced is gone.
    pub fn crash(&self) {
        for content in self.lock().values_mut() {
            content.now.clone_from(&content.synced);
        }
    }

    /// There is no space from here on, or again: half of what is added still fits.
    pub fn fill(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    fn check_space(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Content>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for MemoryFiles {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.lock().get(name).map(|content| content.now.clone()))
    }

    fn replace(&mut self, name: &str, content: &[u8], sync: bool) -> io::Result<()> {
        self.check_space()?;
        let mut files = self.lock();
        let file = files.entry(name.to_owned()).or_default();
        content.clone_into(&mut file.now);
        if sync {
            content.clone_into(&mut file.synced);
        }
        Ok(())
    }

    fn append(&mut self, name: &str, content: &[u8], sync: bool) -> io::Result<()> {
        let mut files = self.lock();
        let file = files.entry(name.to_owned()).or_default();
        if let Err(error) = self.check_space() {
            file.now.extend_from_slice(&content[..content.len() / 2]);
            file.synced.clone_from(&file.now);
            return Err(error);
        }
        file.now.extend_from_slice(content);
        if sync {
            file.synced = file.now.clone();
        }
        Ok(())
    }
}
