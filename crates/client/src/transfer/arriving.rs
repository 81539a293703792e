//! A file that comes in, in blocks that are verified: what is here of it outlives the process.
//!
//! Beside the hidden partial file lies a hidden list of the values of its verified blocks. The blocks that were synced
//! are trusted by the next process; the few behind them are read again, because a crash of the machine may have lost
//! them.

use super::received::{Folder, PREFIX, SUFFIX, is_file};
use super::sums::{Sums, named_line, synced_line, value_line};
use super::unpack::Unpacking;
use super::{Download, Failure, Received, Shape, Step, safe_name};
use protocol::blocks::BlockHasher;
use protocol::id::BlockValue;
use protocol::limits::BLOCK;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// How the names of the lists end.
pub(super) const SUMS: &str = ".sums";

/// How the hidden names of folders end.
pub(super) const TREE: &str = ".tree";

/// Blocks after which the file is synced, so that the next process need not read more of them than that.
const SYNC_EVERY: usize = 64;

/// What begins.
#[derive(Debug)]
pub(super) enum Begun {
    /// It comes, or goes on.
    Arriving(Arriving),
    /// An earlier process gave it its name: it lies there, and the list of it is to be removed.
    There(String, Left),
}

/// What is left of a file that has its name: the list of its blocks, until that need not be remembered any more.
#[derive(Debug)]
pub(super) struct Left {
    folder: Folder,
    sums: String,
}

impl Left {
    /// Nothing need be remembered.
    pub(super) fn forget(self) {
        // What can't be removed now is removed when it is old.
        let _ = self.folder.dir.remove_file(&self.sums);
    }
}

/// A file that comes in.
#[derive(Debug)]
pub(super) struct Arriving {
    folder: Folder,
    part: String,
    sums: String,
    file: File,
    list: File,
    /// Blocks that were verified, and those of them that are on the disk.
    values: Vec<BlockValue>,
    synced: usize,
    /// It has its name.
    kept: bool,
}

impl Received {
    /// Begins to receive a file, or goes on where an earlier process stopped. `random` names what is being received
    /// twice at the same time.
    pub(super) fn arrive(&self, download: &Download, random: u64) -> Result<Begun, Failure> {
        let folder = self.folder_of(download)?;
        let known = key(download);
        if let Some(begun) = begin(folder.clone(), known, download)? {
            return Ok(begun);
        }
        match begin(folder, random, download)? {
            Some(begun) => Ok(begun),
            None => Err(Failure::Unwritable("the partial file is in use".to_owned())),
        }
    }

    /// Removes what an earlier process left of a file that is not wanted any more.
    pub(super) fn discard(&self, download: &Download) {
        // A folder that is not there has nothing of it.
        if let Ok(Some(Begun::Arriving(arriving))) =
            self.folder_of(download).and_then(|folder| begin(folder, key(download), download))
        {
            arriving.discard();
        }
    }
}

/// The number by which another process finds what is left.
fn key(download: &Download) -> u64 {
    let transfer = download.origin.transfer.map(|transfer| transfer.0[..8].to_vec());
    let hash = download.origin.hash.map(|hash| hash.0[..8].to_vec());
    let bytes = transfer.or(hash).unwrap_or_default();
    bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The name of the list of a download's blocks.
pub(super) fn sums_name(download: &Download) -> String {
    format!("{PREFIX}{:016x}{SUMS}", key(download))
}

/// `None` if somebody else is receiving it.
fn begin(folder: Folder, key: u64, download: &Download) -> Result<Option<Begun>, Failure> {
    let (part, sums) = (format!("{PREFIX}{key:016x}{SUFFIX}"), format!("{PREFIX}{key:016x}{SUMS}"));
    let mut content = Vec::new();
    if let Some(mut list) = folder.open_if_there(&sums)? {
        list.read_to_end(&mut content)?;
    }
    let kept = Sums::read(&content, download);
    let has_name = |name: &str| match download.shape {
        Shape::Folder => folder.is_named_tree(&part, name),
        Shape::File | Shape::Other(_) => folder.is_named(&part, name),
    };
    if let Some((id, name)) = kept.as_ref().and_then(|sums| sums.named.as_ref())
        && has_name(name)?
    {
        // The same content, received for another entry, is another file.
        let path = folder.path.join(name).display().to_string();
        return Ok((*id == download.id).then_some(Begun::There(path, Left { folder, sums })));
    }
    let file = folder.open_or_make(&part)?;
    if matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
        return Ok(None);
    }
    let list = folder.open_or_make(&sums)?;
    let mut arriving =
        Arriving { folder, part, sums, file, list, values: Vec::new(), synced: 0, kept: false };
    arriving.restore(kept.unwrap_or_default())?;
    arriving.rewrite(download)?;
    Ok(Some(Begun::Arriving(arriving)))
}

impl Arriving {
    /// The values of the blocks that are here.
    pub(super) fn values(&self) -> &[BlockValue] {
        &self.values
    }

    /// Takes what an earlier process left, as far as it is what it was.
    fn restore(&mut self, sums: Sums) -> Result<(), Failure> {
        let here = usize::try_from(self.file.metadata()?.len() / BLOCK).unwrap_or(usize::MAX);
        let mut values = sums.values;
        values.truncate(here);
        self.synced = sums.synced.min(values.len());
        let mut block = vec![0; usize::try_from(BLOCK).unwrap_or(usize::MAX)];
        let mut good = self.synced;
        while let Some(value) = values.get(good) {
            let offset = good as u64 * BLOCK;
            self.file.read_exact_at(&mut block, offset)?;
            let mut hasher = BlockHasher::after(values[..good].iter().copied().collect());
            hasher.update(&block, |_, _| {});
            if hasher.value() != Some(*value) {
                break;
            }
            good += 1;
        }
        values.truncate(good);
        self.values = values;
        Ok(())
    }

    /// Writes the list anew: nothing may stand in it that is not true.
    fn rewrite(&mut self, download: &Download) -> Result<(), Failure> {
        let sums = Sums { values: self.values.clone(), synced: self.synced, named: None };
        self.list.set_len(0)?;
        self.list.rewind()?;
        self.list.write_all(sums.lines(download).as_bytes())?;
        Ok(())
    }

    /// Puts bytes to their place.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.file.write_all_at(bytes, offset)?)
    }

    /// The next block is what it should be.
    pub(super) fn note_verified(&mut self, value: BlockValue) -> Result<(), Failure> {
        self.values.push(value);
        self.list.write_all(value_line(value).as_bytes())?;
        if self.values.len() - self.synced >= SYNC_EVERY {
            self.file.sync_data()?;
            self.synced = self.values.len();
            self.list.write_all(synced_line(self.synced).as_bytes())?;
        }
        Ok(())
    }

    /// Nothing of what is here is what it should be.
    pub(super) fn begin_anew(&mut self, download: &Download) -> Result<(), Failure> {
        (self.values, self.synced) = (Vec::new(), 0);
        self.file.set_len(0)?;
        self.rewrite(download)
    }

    /// It is whole: puts it on the disk under its name, or the first of `name (1).ext` … that nothing else has.
    /// Returns its path.
    pub(super) async fn keep(
        mut self,
        download: &Download,
        tell: impl AsyncFn(Step),
    ) -> Result<(String, Left), Failure> {
        self.file.set_len(download.size)?;
        let folder = download.shape == Shape::Folder;
        let from = if folder {
            self.unpack(download.keep.executables, tell).await?
        } else {
            self.file.sync_all()?;
            self.part.clone()
        };
        let exact = download.keep.path.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let safe = exact.map_or_else(|| safe_name(&download.name), ToOwned::to_owned);
        let Self { folder: place, list, .. } = &mut self;
        let name = place.take_name(&from, &safe, |name| {
            // The next process knows by it that the file is there, and is not fetched again.
            list.write_all(named_line(download.id, name).as_bytes())?;
            list.sync_all()
        })?;
        self.kept = true;
        if folder {
            // All that is in it lies in the folder now.
            let _ = self.folder.dir.remove_file(&self.part);
        }
        self.folder.dir.open(".")?.sync_all()?;
        let path = self.folder.path.join(name).display().to_string();
        Ok((path, Left { folder: self.folder.clone(), sums: self.sums.clone() }))
    }

    /// Writes what is in the folder under a hidden name, and puts it on the disk. Returns that name.
    async fn unpack(&mut self, executables: bool, tell: impl AsyncFn(Step)) -> Result<String, Failure> {
        let name = tree_name(&self.part);
        self.folder.remove_tree(&name)?;
        let written = async {
            let mut unpacking = Unpacking::begin(&self.file, &self.folder.dir, &name, executables)?;
            while let Some(at) = unpacking.step()? {
                tell(Step::Unpacking(at)).await;
                // Other files come in meanwhile.
                tokio::task::yield_now().await;
            }
            let renamed = unpacking.into_renamed();
            if !renamed.is_empty() {
                tell(Step::Renamed(renamed.into())).await;
            }
            Ok(())
        };
        if let Err(failure) = written.await {
            // What can't be removed now is removed at the next start.
            let _ = self.folder.remove_tree(&name);
            if matches!(failure, Failure::BadFolder(_) | Failure::WrongContent) {
                self.values.clear();
            }
            return Err(failure);
        }
        Ok(name)
    }

    /// Removes all of it.
    pub(super) fn discard(mut self) {
        self.values.clear();
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.kept && self.values.is_empty() {
            // Nothing that the next process could use. What can't be removed now is removed when it is old.
            let _ = self.folder.dir.remove_file(&self.part);
            let _ = self.folder.dir.remove_file(&self.sums);
        }
    }
}

/// The hidden name under which a folder is written.
fn tree_name(part: &str) -> String {
    format!("{}{TREE}", part.strip_suffix(SUFFIX).unwrap_or(part))
}

impl Folder {
    /// Removes a folder with all that is in it, and follows no link in it; it may not be there.
    fn remove_tree(&self, name: &str) -> io::Result<()> {
        match self.dir.remove_dir_all(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the folder got this name, which was noted when it was whole: then nothing is left under its hidden one.
    fn is_named_tree(&self, part: &str, name: &str) -> io::Result<bool> {
        let there = |name: &str| self.dir.symlink_metadata(name).is_ok_and(|found| found.is_dir());
        let named = !there(&tree_name(part)) && there(name);
        if named && is_file(&self.dir, Path::new(part)) {
            self.dir.remove_file(part)?;
        }
        Ok(named)
    }

    /// Whether the partial file got this name: then nothing of it is left under its hidden one.
    fn is_named(&self, part: &str, name: &str) -> io::Result<bool> {
        let (Some(named), hidden) = (self.open_if_there(name)?, self.open_if_there(part)?) else {
            return Ok(false);
        };
        let Some(hidden) = hidden else {
            return Ok(true);
        };
        let (named, hidden) = (named.metadata()?, hidden.metadata()?);
        let same = (named.dev(), named.ino()) == (hidden.dev(), hidden.ino());
        if same {
            self.dir.remove_file(part)?;
        }
        Ok(same)
    }
}
