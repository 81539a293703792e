//! A look through a folder that is to be sent, a little at a time, so that it can be given up.

use super::Failure;
use super::source::{MAX_UNTOLD, UNTOLD, read_if_untold};
use super::tree::{open_quietly, unreadable};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt, ReadDir};
use protocol::bundle::{Item, Shape};
use protocol::limits::{MAX_BUNDLE_DEPTH, MAX_BUNDLE_ENTRIES};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

/// Entries that are looked at in one go: few enough that nobody waits for them.
const AT_ONCE: usize = 64;

/// What a file was when the folder was looked through. Another one if anything wrote to it, or took its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified: (i64, i64),
}

impl Mark {
    /// Whether this is the same file, to which at most something was added since; whether it was.
    pub(super) fn is_grown(&self, now: &Self) -> Option<bool> {
        let same = (self.device, self.inode) == (now.device, now.inode);
        match now.size.cmp(&self.size) {
            // Nothing was read of it. Files of /proc look different each time.
            Ordering::Equal if self.size == 0 => Some(false),
            _ if !same => None,
            Ordering::Less => None,
            Ordering::Equal => (self.modified == now.modified).then_some(false),
            Ordering::Greater => Some(true),
        }
    }

    pub(super) fn of(found: &Metadata) -> Self {
        let modified = (found.mtime(), found.mtime_nsec());
        Self { device: found.dev(), inode: found.ino(), size: found.len(), modified }
    }
}

/// What a look through a folder has found so far.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) dir: Dir,
    pub(super) items: Vec<Item>,
    pub(super) marks: BTreeMap<String, Mark>,
    /// What files have whose size does not tell it.
    pub(super) held: BTreeMap<String, Vec<u8>>,
    /// Bytes that they may still have. Invariant: with those that they have, [`MAX_UNTOLD`].
    room: usize,
    pub(super) left_out: usize,
    /// The folders that lead to what is next, the outermost first; none when all was looked at.
    open: Vec<Level>,
}

/// A folder whose entries are being looked at.
#[derive(Debug)]
struct Level {
    dir: Dir,
    entries: ReadDir,
    /// What stands in front of its entries' names: nothing, or a path that ends with a slash.
    above: String,
    /// Items that there were when it was entered.
    before: usize,
}

impl Walk {
    /// Begins with this folder.
    ///
    /// # Errors
    /// [`Failure`] if it can't be read.
    pub(super) fn begin(path: &Path) -> Result<Self, Failure> {
        let open =
            || Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| unreadable("", &error));
        let (items, marks, held) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let room = MAX_UNTOLD;
        let mut walk = Self { dir: open()?, items, marks, held, room, left_out: 0, open: Vec::new() };
        walk.enter(open()?, String::new())?;
        Ok(walk)
    }

    /// Files and folders that were found so far.
    pub(super) fn found(&self) -> usize {
        self.items.len()
    }

    /// Looks a little further; whether there is more.
    ///
    /// # Errors
    /// [`Failure`] if something can't be read, or can't be sent.
    pub(super) fn step(&mut self) -> Result<bool, Failure> {
        for _ in 0..AT_ONCE {
            let Some(level) = self.open.last_mut() else {
                return Ok(false);
            };
            match level.entries.next() {
                None => self.leave(),
                Some(Err(error)) => return Err(unreadable(level.above.trim_end_matches('/'), &error)),
                Some(Ok(entry)) => {
                    let name = entry.file_name();
                    let Some(name) = name.to_str() else {
                        let name = format!("{}{}", level.above, name.to_string_lossy());
                        return Err(Failure::BadFolder(format!("the name of '{name}' is not UTF-8")));
                    };
                    self.take(name)?;
                }
            }
        }
        Ok(!self.open.is_empty())
    }

    fn enter(&mut self, dir: Dir, above: String) -> Result<(), Failure> {
        if self.open.len() >= MAX_BUNDLE_DEPTH {
            return Err(Failure::BadFolder(format!("'{above}' lies deeper than {MAX_BUNDLE_DEPTH} folders")));
        }
        let entries = dir.entries().map_err(|error| unreadable(above.trim_end_matches('/'), &error))?;
        self.open.push(Level { dir, entries, above, before: self.items.len() });
        Ok(())
    }

    /// All of the innermost folder was looked at. One with nothing in it is an item of its own.
    fn leave(&mut self) {
        if let Some(Level { above, before, .. }) = self.open.pop()
            && self.items.len() == before
            && let Some(path) = above.strip_suffix('/')
        {
            self.items.push(Item { path: path.to_owned(), shape: Shape::Folder });
        }
    }

    /// Looks at an entry of the innermost folder.
    fn take(&mut self, name: &str) -> Result<(), Failure> {
        let Some(Level { dir, above, .. }) = self.open.last() else {
            return Ok(());
        };
        if self.items.len() >= MAX_BUNDLE_ENTRIES {
            let most = format!("there is more in it than {MAX_BUNDLE_ENTRIES} files and folders");
            return Err(Failure::BadFolder(most));
        }
        let path = format!("{above}{name}");
        let found = dir.symlink_metadata(name).map_err(|error| unreadable(&path, &error))?;
        if found.is_dir() {
            let inner = dir.open_dir(name).map_err(|error| unreadable(&path, &error))?;
            self.enter(inner, format!("{path}/"))?;
        } else if found.is_file() {
            let executable = found.mode() & 0o111 != 0;
            let Ok(held) = self.read_if_untold(name, &found) else {
                self.left_out += 1;
                return Ok(());
            };
            let size = match held {
                Some(bytes) => {
                    let size = bytes.len() as u64;
                    self.room -= bytes.len();
                    self.held.insert(path.clone(), bytes);
                    size
                }
                None => {
                    self.marks.insert(path.clone(), Mark::of(&found));
                    found.len()
                }
            };
            self.items.push(Item { path, shape: Shape::File { size, executable } });
        } else {
            self.left_out += 1;
        }
        Ok(())
    }

    /// All that is in a file of the innermost folder whose size does not tell that, as those of /proc and /sys: such a
    /// file takes no space on a disk. `None` for every other one.
    fn read_if_untold(&self, name: &str, found: &Metadata) -> Result<Option<Vec<u8>>, Failure> {
        let Some(Level { dir, .. }) =
            self.open.last().filter(|_| found.blocks() == 0 && found.len() <= UNTOLD)
        else {
            return Ok(None);
        };
        let file = open_quietly(dir, name).map_err(|error| unreadable(name, &error))?;
        read_if_untold(&file.into_std(), found.len(), self.room)
    }
}
