//! Traces of a history in a folder that has no database any more.
//!
//! A volume that is mounted late, a restore that was cut off or a file that was deleted leaves a folder that looks
//! new, and is not. A server that began anew there would lose everything without a word. What a server leaves that
//! was killed in its very first start (empty folders, an index of words, a database without tables) is no trace.

use super::folder::Folder;
use super::witness;
use crate::files::{BLOCKS, is_content_file};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How the folders are named into which an older history is moved: this and a number.
const ASIDE: &str = "set-aside-";

/// What lies in a folder beside its database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Traces {
    /// Commits that were acknowledged.
    commits: u64,
    /// Files in the folder of contents that only a server with a database writes.
    contents: u64,
    /// Bytes of a write-ahead log.
    log: u64,
    /// Whether there is a database that a restore did not finish.
    half: bool,
}

impl Traces {
    /// Looks for them. `with_log`: a write-ahead log is one as well, since no database has taken it in.
    ///
    /// # Errors
    /// As the file system says: what can't be looked at may be one.
    pub fn find(folder: &Folder, with_log: bool) -> io::Result<Self> {
        Ok(Self {
            commits: witness::commits(&folder.witness()),
            contents: count_contents(&folder.contents())?,
            log: if with_log { size(&folder.wal())? } else { 0 },
            half: folder.half_restored().try_exists()?,
        })
    }

    /// What there is, in words; `None` if there is nothing.
    pub fn words(self) -> Option<String> {
        let Self { commits, contents, log, half } = self;
        let words: Vec<_> = [
            (commits > 0).then(|| format!("a witness of {commits} commits")),
            (contents > 0).then(|| format!("{contents} files in 'contents'")),
            (log > 0).then(|| format!("a write-ahead log of {log} bytes")),
            half.then(|| "a restore that was not finished".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

fn count_contents(folder: &Path) -> io::Result<u64> {
    let listed = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(0);
        }
        listed => listed?,
    };
    let mut count = 0;
    for file in listed {
        // What lies beside a content is part of it.
        let is_one = |name: &str| is_content_file(name) && !name.ends_with(BLOCKS);
        count += u64::from(file?.file_name().to_str().is_some_and(is_one));
    }
    Ok(count)
}

fn size(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Moves what an older history left into a folder of its own, out of the way of a new one. Nothing is deleted.
///
/// # Errors
/// As the file system says; what was moved by then stays there, and the rest where it was.
pub(super) fn set_aside_history(folder: &Folder) -> io::Result<Option<PathBuf>> {
    let paths = [folder.contents(), folder.witness()].into_iter().chain(logs(&folder.database()));
    let half = folder.half_restored();
    let paths = paths.chain(logs(&half)).chain([half]);
    set_aside(folder, paths)
}

/// Moves what is left of a database whose place a restored one takes: its log would be taken for that of the new one.
///
/// # Errors
/// As the file system says.
pub(super) fn set_aside_database(folder: &Folder) -> io::Result<Option<PathBuf>> {
    let database = folder.database();
    set_aside(folder, logs(&database).into_iter().chain([database]))
}

/// What SQLite writes beside a database, without which the database may lack commits.
fn logs(database: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", "-journal"].map(|suffix| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        path.into()
    })
}

fn set_aside(folder: &Folder, paths: impl Iterator<Item = PathBuf>) -> io::Result<Option<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.try_exists()? {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let aside = make_aside(folder.path())?;
    for path in found {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        fs::rename(&path, aside.join(name))?;
    }
    // The new names must be on the disk before the old ones are used again.
    File::open(&aside)?.sync_all()?;
    File::open(folder.path())?.sync_all()?;
    Ok(Some(aside))
}

fn make_aside(folder: &Path) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let path = folder.join(format!("{ASIDE}{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::super::witness::Witness;
    use super::*;
    use protocol::id::Epoch;

    struct Data {
        folder: Folder,
        _parent: tempfile::TempDir,
    }

    fn data() -> Data {
        let parent = tempfile::tempdir().unwrap();
        Data { folder: Folder::create(&parent.path().join("data")).unwrap(), _parent: parent }
    }

    fn words(folder: &Folder) -> Option<String> {
        Traces::find(folder, true).unwrap().words()
    }

    #[test]
    fn what_a_first_start_leaves_that_was_killed_is_no_trace() {
        let Data { folder, _parent } = data();
        Witness::open(&folder.witness()).unwrap();
        fs::create_dir(folder.contents()).unwrap();
        fs::create_dir(folder.contents().join("lost+found")).unwrap();
        fs::write(folder.contents().join(".nfs1"), "").unwrap();
        for name in ["search.db", "natter.db", "natter.db-wal"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(words(&folder), None);
        // Zeros, and a witness that was half written before the power went.
        fs::write(folder.witness(), [0; 40]).unwrap();
        assert_eq!(words(&folder), None);
    }

    #[test]
    fn a_witness_a_content_an_upload_a_log_and_half_a_restore_are_traces() {
        let check = |words_of_it: &str, make: fn(&Folder)| {
            let Data { folder, _parent } = data();
            make(&folder);
            assert_eq!(words(&folder).as_deref(), Some(words_of_it));
        };
        check("a witness of 3 commits", |folder| {
            Witness::open(&folder.witness()).unwrap().write(Epoch([1; 16]), 3).unwrap();
        });
        check("2 files in 'contents'", |folder| {
            fs::create_dir(folder.contents()).unwrap();
            fs::write(folder.contents().join(crate::files::name_of(protocol::id::ContentHash([7; 32]))), "a")
                .unwrap();
            fs::write(folder.contents().join(format!("upload-{:032x}", 1)), "b").unwrap();
            fs::write(folder.contents().join(format!("upload-{:032x}.blocks", 1)), "beside it").unwrap();
        });
        check("a write-ahead log of 5 bytes", |folder| fs::write(folder.wal(), "bytes").unwrap());
        check("a restore that was not finished", |folder| fs::write(folder.half_restored(), "").unwrap());
    }

    #[test]
    fn what_is_set_aside_is_whole_and_out_of_the_way() {
        let Data { folder, _parent } = data();
        assert_eq!(set_aside_history(&folder).unwrap(), None);
        for number in 1..=2 {
            fs::create_dir(folder.contents()).unwrap();
            fs::write(folder.contents().join("a"), "content").unwrap();
            fs::write(folder.wal(), "log").unwrap();
            let aside = set_aside_history(&folder).unwrap().unwrap();
            assert_eq!(aside, folder.path().join(format!("set-aside-{number}")));
            assert_eq!(fs::read_to_string(aside.join("contents/a")).unwrap(), "content");
            assert_eq!(fs::read_to_string(aside.join("natter.db-wal")).unwrap(), "log");
            assert!(!folder.contents().exists() && !folder.wal().exists());
        }
    }
}
