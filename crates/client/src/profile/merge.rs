//! Two profiles that turn out to be of one server: the older one takes over what the younger never sent.
//!
//! What was sent and not answered is not taken over: the server may have it, as the younger person's. It is settled by
//! logging in as that one once more.

use super::{IDENTITY, JOURNAL, ProfileError, damaged, journal};
use crate::files::{DiskFiles, Files};
use crate::session::{Post, Record, Standing, standing};
use std::fs;
use std::io;
use std::path::Path;

/// The mark of a profile whose lines another one has taken over: the path of that one.
const MERGED: &str = "merged";

/// The journal of a younger profile, while it is taken over.
const TAKEN: &str = "taken";

/// What became of a younger profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merged {
    /// All that it had is here; it is not looked at any more.
    Done {
        /// Lines that were taken over, which are sent now.
        lines: usize,
    },
    /// It has something that only it can settle, or another process uses it.
    Left,
}

/// Whether another profile has taken this one over, and is still there.
pub(super) fn is_merged(folder: &Path) -> bool {
    let into = fs::read_to_string(folder.join(MERGED));
    into.is_ok_and(|into| Path::new(into.trim_end_matches('\n')).join(IDENTITY).exists())
}

/// What the profile in this folder has that is not settled; one that can't be read is left alone.
pub(super) fn standing_of(folder: &Path) -> Standing {
    // An errand that was begun goes on as the person who began it.
    let errands = fs::read_dir(folder.join("errands")).into_iter().flatten().flatten();
    if errands.into_iter().any(|errand| !errand.file_name().to_string_lossy().starts_with("done-")) {
        return Standing::Unsettled;
    }
    let read = DiskFiles::at(folder).read(JOURNAL).map(Option::unwrap_or_default);
    match read.map(|content| journal::decode(&content)) {
        Ok(Ok(records)) => standing(&records),
        _ => Standing::Unsettled,
    }
}

/// Takes over what the younger profile never sent. The caller has the lock of the older one, and has not read its
/// journal yet.
///
/// # Errors
/// [`ProfileError`]: nothing is lost then, and the next start goes on.
pub fn merge(older: &mut DiskFiles, folder: &Path, younger: &Path) -> Result<Merged, ProfileError> {
    let failed = |source| ProfileError::Io { file: JOURNAL, source };
    finish(older)?;
    let mut files = DiskFiles::at(younger);
    if !files.lock().map_err(failed)? {
        return Ok(Merged::Left);
    }
    let lines = match standing_of(younger) {
        Standing::Unsettled => return Ok(Merged::Left),
        Standing::Settled => 0,
        Standing::Unsent(posts) => {
            // From here on it is here and nowhere else, whatever crashes.
            fs::rename(files.path(JOURNAL), older.path(TAKEN)).map_err(failed)?;
            [younger, folder].into_iter().try_for_each(sync).map_err(failed)?;
            finish(older)?;
            posts.len()
        }
    };
    let into = format!("{}\n", folder.display());
    files.replace(MERGED, into.as_bytes(), true).map_err(failed)?;
    Ok(Merged::Done { lines })
}

/// Adds what was taken to the journal. A crash on the way is no matter: what is there already is not added again.
fn finish(older: &mut DiskFiles) -> Result<(), ProfileError> {
    let failed = |source| ProfileError::Io { file: JOURNAL, source };
    let Some(taken) = older.read(TAKEN).map_err(failed)? else {
        return Ok(());
    };
    let taken = journal::decode(&taken).map_err(damaged(JOURNAL))?;
    let journal = older.read(JOURNAL).map_err(failed)?.unwrap_or_default();
    let mut records = journal::decode(&journal).map_err(damaged(JOURNAL))?;
    if let Standing::Unsent(posts) = standing(&taken) {
        let next = records.iter().filter_map(serial).max().map_or(0, |serial| serial + 1);
        let new: Vec<_> = posts.into_iter().filter(|post| !has(&records, post)).collect();
        records.extend((next..).zip(new).map(|(serial, post)| Record::Post { serial, post }));
        older.replace(JOURNAL, &journal::encode(&records), true).map_err(failed)?;
    }
    fs::remove_file(older.path(TAKEN)).map_err(failed)
}

fn has(records: &[Record], post: &Post) -> bool {
    records.iter().any(|record| matches!(record, Record::Post { post: known, .. } if known == post))
}

fn serial(record: &Record) -> Option<u64> {
    match record {
        Record::Post { serial, .. } | Record::Failed { serial, .. } => Some(*serial),
        Record::Begun { posts, .. } => posts.checked_sub(1),
        _ => None,
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const UNSENT: &str =
        r##"{"post":{"serial":7,"place":"#lobby","kind":1,"reply_to":0,"written":5,"body":"never sent"}}"##;
    const OWN: &str =
        r##"{"post":{"serial":9,"place":"#lobby","kind":1,"reply_to":0,"written":1,"body":"my own"}}"##;
    const SENT: &str = r##"{"sent":{"serial":7,"counter":1,"target":{"room":1}}}"##;

    struct Two {
        root: tempfile::TempDir,
    }

    impl Two {
        fn new(older: &[&str], younger: &[&str]) -> Self {
            let root = tempfile::tempdir().unwrap();
            for (name, journal) in [("older", older), ("younger", younger)] {
                let folder = root.path().join(name);
                fs::create_dir(&folder).unwrap();
                fs::write(folder.join(IDENTITY), "").unwrap();
                fs::write(
                    folder.join(JOURNAL),
                    journal.iter().map(|line| format!("{line}\n")).collect::<String>(),
                )
                .unwrap();
            }
            Self { root }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn merge(&self) -> Merged {
            let mut older = DiskFiles::at(&self.path("older"));
            assert!(older.lock().unwrap());
            merge(&mut older, &self.path("older"), &self.path("younger")).unwrap()
        }

        fn bodies(&self) -> Vec<String> {
            let records = journal::decode(&fs::read(self.path("older/journal")).unwrap()).unwrap();
            let body = |record| match record {
                Record::Post { post, .. } => Some(post.body),
                _ => None,
            };
            records.into_iter().filter_map(body).collect()
        }
    }

    #[test]
    fn what_was_never_sent_is_taken_over_once_and_the_younger_is_marked() {
        let two = Two::new(&[OWN], &[UNSENT]);
        assert_eq!(two.merge(), Merged::Done { lines: 1 });
        assert_eq!(two.bodies(), ["my own", "never sent"]);
        assert!(is_merged(&two.path("younger")) && !is_merged(&two.path("older")));
        assert_eq!(two.merge(), Merged::Done { lines: 0 }, "there is nothing left to take");
        assert_eq!(two.bodies(), ["my own", "never sent"]);
        fs::remove_file(two.path("older/identity")).unwrap();
        assert!(!is_merged(&two.path("younger")), "the older one is gone");
    }

    #[test]
    fn what_may_have_arrived_stays_with_who_sent_it() {
        for younger in [&[UNSENT, SENT][..], &["damaged"]] {
            let two = Two::new(&[OWN], younger);
            assert_eq!(two.merge(), Merged::Left);
            assert_eq!(two.bodies(), ["my own"]);
            assert!(!is_merged(&two.path("younger")));
        }
        let two = Two::new(&[OWN], &[UNSENT, SENT, r#"{"acked":{"counter":1}}"#]);
        assert_eq!(two.merge(), Merged::Done { lines: 0 }, "it was answered");
        let two = Two::new(&[OWN], &[UNSENT]);
        fs::create_dir_all(two.path("younger/errands/0123")).unwrap();
        assert_eq!(two.merge(), Merged::Left, "an errand goes on as who began it");
    }

    #[test]
    fn a_crash_at_any_point_of_it_neither_loses_a_line_nor_doubles_it() {
        // After the younger journal was renamed, and after it was added.
        for added in [false, true] {
            let two = Two::new(&[OWN], &[UNSENT]);
            fs::rename(two.path("younger/journal"), two.path("older/taken")).unwrap();
            if added {
                let renumbered = UNSENT.replace("\"serial\":7", "\"serial\":10");
                fs::write(two.path("older/journal"), format!("{OWN}\n{renumbered}\n")).unwrap();
            }
            assert_eq!(two.merge(), Merged::Done { lines: 0 });
            assert_eq!(two.bodies(), ["my own", "never sent"], "added: {added}");
            assert!(!two.path("older/taken").exists());
        }
    }

    #[test]
    fn a_younger_one_in_use_is_left_alone() {
        let two = Two::new(&[OWN], &[UNSENT]);
        let mut user = DiskFiles::at(&two.path("younger"));
        assert!(user.lock().unwrap());
        assert_eq!(two.merge(), Merged::Left);
    }
}
