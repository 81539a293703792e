//! The disk of a client: the few files of its profile.

use crate::coverage::Sometimes;
use crate::record::Record;
use client::files::Files;
use rand::RngExt;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The files of one client; clones share them, as the processes of one machine do.
#[derive(Clone, Debug)]
pub(crate) struct ClientDisk {
    record: Record,
    files: Arc<Mutex<BTreeMap<String, File>>>,
}

#[derive(Debug, Default)]
struct File {
    now: Vec<u8>,
    /// What is on the disk; `None` if not even the name is.
    synced: Option<Vec<u8>>,
    /// The present content took the place of the synced one by a rename.
    renamed: bool,
}

impl ClientDisk {
    pub(crate) fn new(record: Record) -> Self {
        Self { record, files: Arc::default() }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a file there before anything happens.
    pub(crate) fn lay_down(&self, name: &str, content: Vec<u8>) {
        let file = File { synced: Some(content.clone()), now: content, renamed: false };
        self.files().insert(name.to_owned(), file);
    }

    /// The power fails: unsynced bytes are gone, or a part of them is. Whether the cursors survived.
    pub(crate) fn lose_power(&self, rng: &mut SmallRng) -> bool {
        let mut files = self.files();
        let mut lost = false;
        for file in files.values_mut() {
            if file.synced.as_deref() == Some(&file.now) {
                continue;
            }
            lost = true;
            file.now = match file.synced.take() {
                // Of a rename either both or none of name and content survive; the old content stays else.
                Some(old) if file.renamed => {
                    if rng.random() {
                        std::mem::take(&mut file.now)
                    } else {
                        old
                    }
                }
                // A torn write: some of the added bytes reached the disk.
                Some(old) => {
                    let kept = rng.random_range(old.len().min(file.now.len())..=file.now.len());
                    file.now[..kept].to_vec()
                }
                // A name that was never synced: there with all, or with nothing in it.
                None => {
                    if rng.random() {
                        std::mem::take(&mut file.now)
                    } else {
                        Vec::new()
                    }
                }
            };
            (file.synced, file.renamed) = (Some(file.now.clone()), false);
        }
        if lost {
            self.record.hit(Sometimes::ClientUnsynced);
        }
        files.get("cursors").is_some_and(|file| !file.now.is_empty())
    }
}

impl Files for ClientDisk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files().get(name).map(|file| file.now.clone()))
    }

    fn replace(&mut self, name: &str, content: &[u8], sync: bool) -> io::Result<()> {
        let mut files = self.files();
        let file = files.entry(name.to_owned()).or_default();
        content.clone_into(&mut file.now);
        file.renamed = true;
        if sync {
            (file.synced, file.renamed) = (Some(content.to_vec()), false);
        }
        Ok(())
    }

    fn append(&mut self, name: &str, content: &[u8], sync: bool) -> io::Result<()> {
        let mut files = self.files();
        let file = files.entry(name.to_owned()).or_default();
        file.now.extend_from_slice(content);
        if sync {
            (file.synced, file.renamed) = (Some(file.now.clone()), false);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn disk() -> ClientDisk {
        ClientDisk::new(Record::new(0, false))
    }

    #[test]
    fn what_was_synced_survives_and_what_was_added_may_be_torn() {
        for seed in 0..50 {
            let mut disk = disk();
            disk.append("journal", b"first\n", true).unwrap();
            disk.append("journal", b"second\n", false).unwrap();
            disk.lose_power(&mut SmallRng::seed_from_u64(seed));
            let left = disk.read("journal").unwrap().unwrap();
            assert!(left.starts_with(b"first\n") && b"first\nsecond\n".starts_with(&left[..]));
        }
    }

    #[test]
    fn a_rename_that_was_not_synced_holds_or_does_not() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut disk = disk();
            disk.replace("cursors", b"old", true).unwrap();
            disk.replace("cursors", b"new", false).unwrap();
            disk.lose_power(&mut SmallRng::seed_from_u64(seed));
            seen.insert(disk.read("cursors").unwrap().unwrap());
        }
        assert_eq!(seen, [b"new".to_vec(), b"old".to_vec()].into());
    }
}
