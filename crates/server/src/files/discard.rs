//! Files that are removed while others come under the same name.
//!
//! The hub lets go of a content or an upload in a moment in which nothing can wait, and its files are removed a moment
//! later. Meanwhile the same content may be uploaded again: whoever makes or removes the files of a name holds that name,
//! and what is known by a name again by then is not removed.

use super::FileSystem;
use super::contents::{Contents, Kept};
use super::header::{BLOCKS, name_of};
use protocol::id::ContentHash;
use std::sync::{Arc, Weak};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A name that is held by whoever makes or removes its files.
pub(super) type Name = Weak<Mutex<()>>;

impl<F: FileSystem> Contents<F> {
    /// Waits until nobody else makes or removes the files of this name.
    pub(super) async fn hold(&self, name: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut kept = self.kept();
            kept.names.retain(|_, name| name.strong_count() > 0);
            let known = kept.names.get(name).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let new = Arc::default();
                kept.names.insert(name.to_owned(), Arc::downgrade(&new));
                new
            })
        };
        lock.lock_owned().await
    }

    /// Removes the files of a content some time soon, unless it is here again by then.
    pub(super) fn discard_content(&self, hash: ContentHash) {
        self.discard(name_of(hash), move |kept| kept.has_content(hash));
    }

    /// Removes the files of an upload some time soon, unless there is one of this name by then.
    pub(super) fn discard_upload(&self, name: &str) {
        let upload = name.to_owned();
        self.discard(name.to_owned(), move |kept| kept.has_upload(&upload));
    }

    fn discard(&self, name: String, is_known: impl Fn(&Kept) -> bool + Send + 'static) {
        let contents = self.clone();
        let removing = async move {
            let _held = contents.hold(&name).await;
            if !is_known(&contents.kept()) {
                contents.remove_files(&name).await;
            }
        };
        drop(tokio::spawn(removing));
    }

    /// Removes the files of a name, which the caller holds. What can't be removed is found at the next start.
    pub(super) async fn remove_files(&self, name: &str) {
        for path in [self.path(name), self.path(&format!("{name}{BLOCKS}"))] {
            if let Err(error) = self.files.remove(&path).await {
                tracing::warn!(path = %path.display(), %error, "a file could not be removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Begun, Disk, Header, Listed, Upload};
    use bytes::Bytes;
    use protocol::blocks::hash_of_first;
    use protocol::id::{PersonId, RoomId, TransferId};
    use protocol::message::Target;
    use std::fs::File;
    use std::io;
    use std::path::Path;
    use std::time::Duration;
    use tokio::sync::watch;
    use tokio::time::timeout;

    const CONTENT: &[u8] = b"the same again";

    /// The disk, whose removals wait until they may.
    #[derive(Clone)]
    struct Late {
        disk: Disk,
        may_remove: watch::Receiver<bool>,
    }

    impl FileSystem for Late {
        type File = Arc<File>;

        async fn create(&self, path: &Path) -> io::Result<Arc<File>> {
            self.disk.create(path).await
        }

        async fn open(&self, path: &Path) -> io::Result<Arc<File>> {
            self.disk.open(path).await
        }

        async fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
            self.disk.list(folder).await
        }

        async fn write_at(&self, file: &Arc<File>, offset: u64, bytes: Bytes) -> io::Result<()> {
            self.disk.write_at(file, offset, bytes).await
        }

        async fn sync(&self, file: &Arc<File>) -> io::Result<()> {
            self.disk.sync(file).await
        }

        async fn read_at(
            &self,
            file: &Arc<File>,
            offset: u64,
            buffer: Vec<u8>,
            from: usize,
        ) -> io::Result<(Vec<u8>, usize)> {
            self.disk.read_at(file, offset, buffer, from).await
        }

        async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.disk.rename(from, to).await
        }

        async fn sync_folder(&self, path: &Path) -> io::Result<()> {
            self.disk.sync_folder(path).await
        }

        async fn remove(&self, path: &Path) -> io::Result<()> {
            let _ = self.may_remove.clone().wait_for(|may| *may).await;
            self.disk.remove(path).await
        }
    }

    fn header() -> Header {
        Header {
            transfer: TransferId([1; 16]),
            person: Some(PersonId::FIRST),
            target: Target::Room { room: RoomId::FIRST },
            size: CONTENT.len() as u64,
            first: hash_of_first(CONTENT),
            name: "again".to_owned(),
        }
    }

    async fn begin(contents: &Contents<Late>) -> Box<Upload<Late>> {
        match contents.begin(header()).await.unwrap() {
            Begun::Going(upload) => upload,
            Begun::Whole(_) => panic!("it is not whole"),
        }
    }

    async fn upload(contents: Contents<Late>) -> ContentHash {
        let mut upload = begin(&contents).await;
        upload.append(Bytes::from_static(CONTENT)).await.unwrap();
        let hash = upload.hash().unwrap();
        upload.finish(hash).await.unwrap();
        hash
    }

    fn contents(folder: &Path) -> (Contents<Late>, watch::Sender<bool>) {
        let (may_remove, waits) = watch::channel(false);
        (Contents::new(Late { disk: Disk, may_remove: waits }, folder.to_owned(), 1 << 20), may_remove)
    }

    /// Does something while what was let go before is removed.
    async fn while_removing<T>(work: impl Future<Output = T>, may_remove: watch::Sender<bool>) -> T {
        tokio::pin!(work);
        // Whoever waits for the removal shows that, and whoever does not is done by then.
        let early = timeout(Duration::from_secs(1), &mut work).await;
        may_remove.send_replace(true);
        match early {
            Ok(done) => done,
            Err(_) => work.await,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_content_that_comes_again_while_it_is_removed_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (contents, may_remove) = contents(folder.path());
        let hash = upload(contents.clone()).await;
        contents.remove(hash);
        while_removing(upload(contents.clone()), may_remove).await;
        drop(contents.hold(&name_of(hash)).await);
        assert_eq!(contents.size(hash), Some(CONTENT.len() as u64));
        assert_eq!(std::fs::read(folder.path().join(name_of(hash))).unwrap(), CONTENT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_begins_again_while_it_is_removed_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (contents, may_remove) = contents(folder.path());
        drop(begin(&contents).await);
        contents.give_up(header().transfer);
        let again = while_removing(begin(&contents), may_remove).await;
        let name = crate::files::contents::upload_name(header().transfer);
        drop(contents.hold(&name).await);
        assert!(again.is_empty() && folder.path().join(name).exists());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_let_go_is_removed_and_no_name_is_held_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let (contents, may_remove) = contents(folder.path());
        may_remove.send_replace(true);
        let hash = upload(contents.clone()).await;
        contents.remove(hash);
        tokio::task::yield_now().await;
        drop(contents.hold(&name_of(hash)).await);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(contents.hold("another").await);
        assert_eq!(contents.kept().names.len(), 1);
    }
}
