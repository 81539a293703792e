//! The few things that a profile needs of a file system, so that a test can lose what was not synced.

mod disk;
mod memory;

pub use disk::DiskFiles;
pub use memory::MemoryFiles;

use std::io;

/// The files of one profile, by plain names.
pub trait Files {
    /// The content, or `None` if there is no such file.
    ///
    /// # Errors
    /// As the file system says.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Puts this content in the place of the old one, never half of it; on the disk before it returns if `sync`.
    ///
    /// # Errors
    /// As the file system says; the old content is then still there.
    fn replace(&mut self, name: &str, content: &[u8], sync: bool) -> io::Result<()>;

    /// Makes a file of this content, on the disk before it returns; `false`, and nothing is changed, if there is one.
    /// Of several processes that do it at once, one makes it.
    ///
    /// # Errors
    /// As the file system says; there is no new file then.
    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<bool> {
        if self.read(name)?.is_some() {
            return Ok(false);
        }
        self.replace(name, content, true)?;
        Ok(true)
    }

    /// Adds to the end; on the disk before it returns if `sync`.
    ///
    /// # Errors
    /// As the file system says; a part may have been added.
    fn append(&mut self, name: &str, content: &[u8], sync: bool) -> io::Result<()>;
}

impl<F: Files + ?Sized> Files for Box<F> {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).read(name)
    }

    fn replace(&mut self, name: &str, content: &[u8], sync: bool) -> io::Result<()> {
        (**self).replace(name, content, sync)
    }

    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<bool> {
        (**self).create(name, content)
    }

    fn append(&mut self, name: &str, content: &[u8], sync: bool) -> io::Result<()> {
        (**self).append(name, content, sync)
    }
}
