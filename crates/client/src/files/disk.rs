//! The files of a profile in a folder that only their owner may read.

use super::Files;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The lock's file.
const LOCK: &str = "lock";

/// A folder of files.
#[derive(Debug)]
pub struct DiskFiles {
    folder: PathBuf,
    /// Held as long as this value lives.
    lock: Option<File>,
}

impl DiskFiles {
    /// The files of this folder, which is made, for its owner only, if there is none.
    ///
    /// # Errors
    /// If the folder can't be made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        Ok(Self { folder: folder.to_owned(), lock: None })
    }

    /// The files of this folder, to read them if there are any: it is not made.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), lock: None }
    }

    /// Takes the folder for this process; `false` if another one has it.
    ///
    /// # Errors
    /// If the lock's file can't be made.
    pub fn lock(&mut self) -> io::Result<bool> {
        let file = private().create(true).append(true).open(self.folder.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {
                // Only told to people: it is no matter if it can't be written.
                let _ = file.set_len(0).and_then(|()| write!(&file, "{}", std::process::id()));
                self.lock = Some(file);
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(true)
    }

    /// The process that has the folder, as far as that is known.
    pub fn holder(&self) -> Option<u32> {
        std::fs::read_to_string(self.folder.join(LOCK)).ok()?.parse().ok()
    }

    /// Where a file lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl Files for DiskFiles {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.path(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&mut self, name: &str, content: &[u8], sync: bool) -> io::Result<()> {
        let temporary = self.path(&format!("{name}.new"));
        let mut file = private().create(true).write(true).truncate(true).open(&temporary)?;
        file.write_all(content)?;
        if sync {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, self.path(name))?;
        if sync {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }

    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<bool> {
        // The file comes to be by its renaming, which replaces what is there: the lock keeps others from that.
        let lock = private().create(true).append(true).open(self.path(&format!("{name}.lock")))?;
        lock.lock()?;
        if self.path(name).try_exists()? {
            return Ok(false);
        }
        self.replace(name, content, true)?;
        Ok(true)
    }

    fn append(&mut self, name: &str, content: &[u8], sync: bool) -> io::Result<()> {
        let mut file = private().create(true).append(true).open(self.path(name))?;
        file.write_all(content)?;
        if sync {
            file.sync_data()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_only_by_its_owner() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("a/b");
        let mut files = DiskFiles::open(&folder).expect("a folder");
        assert_eq!(files.read("x").expect("readable"), None);
        files.replace("x", b"one", true).expect("writable");
        files.append("x", b"two", true).expect("writable");
        assert_eq!(files.read("x").expect("readable").as_deref(), Some(&b"onetwo"[..]));
        #[cfg(unix)]
        for (path, mode) in [(folder.clone(), 0o700), (folder.join("x"), 0o600)] {
            let found = std::fs::metadata(&path).expect("there").permissions();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&found) & 0o777, mode, "{path:?}");
        }
    }

    #[test]
    fn of_many_that_make_a_file_at_once_one_makes_it() {
        for _ in 0..20 {
            let root = tempfile::tempdir().expect("a temporary folder");
            let made = std::thread::scope(|scope| {
                let make = |n: u8| {
                    let mut files = DiskFiles::open(root.path()).expect("a folder");
                    files.create("x", &[n; 64]).expect("writable").then_some(n)
                };
                let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || make(n))).collect();
                threads.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
            });
            let [winner] = made[..] else { panic!("{made:?} all made it") };
            let content = DiskFiles::at(root.path()).read("x").expect("readable");
            assert_eq!(content, Some(vec![winner; 64]));
        }
    }

    #[test]
    fn a_second_process_does_not_get_the_lock() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let mut first = DiskFiles::open(root.path()).expect("a folder");
        let mut second = DiskFiles::open(root.path()).expect("a folder");
        assert!(first.lock().expect("lockable"));
        assert!(!second.lock().expect("lockable"));
        assert_eq!(second.holder(), Some(std::process::id()));
        drop(first);
        assert!(second.lock().expect("lockable"));
    }
}
