//! The profile that a run uses: that of its person, one beside it, or that of an errand, which outlives a run that was
//! killed, so that the next run of the same command goes on instead of beginning again.

use super::clock::a_week_ago;
use super::end::{busy_failure, errand_failure, profile_failure};
use crate::files::{DiskFiles, Files, MemoryFiles};
use crate::line::{ExitCode, Failure};
use crate::profile::{Merged, Profile, merge};
use protocol::system_words::plain_words;
use rand::RngExt;
use rand::rngs::StdRng;
use std::fs::{read_dir, remove_dir_all, rename};
use std::io;
use std::path::{Path, PathBuf};

/// The folder of the errands' profiles, in that of their person's.
const ERRANDS: &str = "errands";

/// How the names of errands begin that are done, and whose folders are being removed.
const DONE: &str = "done-";

/// Attempts to have a folder that another run may be removing.
const TRIES: usize = 3;

/// What a run is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// A chat.
    Chat,
    /// Something that a script has done, which has this key if another run can go on with it.
    Errand(Option<&'a [u8]>),
}

/// The files of a profile; those that are not kept are in memory.
pub(super) type ProfileFiles = Box<dyn Files + Send>;

/// An opened profile.
pub(super) struct Own {
    pub(super) profile: Profile<ProfileFiles>,
    /// Where what outlives this run lies; `None` if nothing of it is kept.
    pub(super) kept: Option<PathBuf>,
    /// The file of the line editor's history.
    pub(super) history: Option<PathBuf>,
    /// What to say about it.
    pub(super) notices: Vec<String>,
}

impl Own {
    /// Opens the profile in `folder`, or that of the errand which has this key, if nobody else does that errand now.
    /// Younger profiles of the same server give it what they never sent.
    pub(super) fn open(
        purpose: Purpose<'_>,
        folder: &Path,
        younger: &[PathBuf],
        rng: &mut StdRng,
    ) -> Result<Self, Failure> {
        if let Purpose::Errand(Some(key)) = purpose {
            return Self::open_errand(key, folder, rng);
        }
        let mut files = DiskFiles::open(folder).map_err(failed(folder))?;
        let chats = matches!(purpose, Purpose::Chat);
        let mine = chats && files.lock().map_err(failed(folder))?;
        if mine {
            let history = files.path("typed");
            let notices = younger.iter().map(|younger| take_over(&mut files, folder, younger)).collect();
            let profile =
                Profile::open(boxed(files), rng).map_err(|error| profile_failure(&error, folder))?;
            let (kept, history) = (Some(folder.to_owned()), Some(history));
            return Ok(Self { profile, kept, history, notices });
        }
        let profile =
            Profile::open_beside(boxed(files), rng).map_err(|error| profile_failure(&error, folder))?;
        let notice = "another natter uses this profile: this one is a device of its own, and keeps nothing when it ends";
        let notices = chats.then(|| notice.to_owned()).into_iter().collect();
        Ok(Self { profile, kept: None, history: None, notices })
    }

    /// A profile of which nothing is kept: a new device of the person in `folder`, if there is one, else of a new one.
    /// No folder is made.
    pub(super) fn open_temporary(folder: Option<&Path>, rng: &mut StdRng) -> Result<Self, Failure> {
        let known = folder.filter(|folder| folder.join("identity").exists());
        let profile = match known {
            Some(folder) => Profile::open_beside(boxed(DiskFiles::at(folder)), rng)
                .map_err(|error| profile_failure(&error, folder))?,
            None => Profile::open_beside(Box::new(MemoryFiles::default()) as ProfileFiles, rng)
                .map_err(|error| profile_failure(&error, Path::new("memory")))?,
        };
        Ok(Self { profile, kept: None, history: None, notices: Vec::new() })
    }

    fn open_errand(key: &[u8], home: &Path, rng: &mut StdRng) -> Result<Self, Failure> {
        let beside = DiskFiles::open(home).map_err(failed(home))?;
        let beside = Profile::open_beside(beside, rng).map_err(|error| profile_failure(&error, home))?;
        let person = beside.identity().clone();
        let all = home.join(ERRANDS);
        clean(&all, rng);
        // Another person's errand, after the identity was moved away, is another one.
        let hash = blake3::Hasher::new().update(&person.secret.0).update(key).finalize();
        let folder = all.join(&hash.to_hex()[..32]);
        // Two runs of it would send the file twice, or receive it twice.
        let files = take(&folder).map_err(failed(&folder))?.map_err(busy_failure)?;
        let profile = Profile::open_for(boxed(files), person, &beside.kept().name, rng)
            .map_err(|error| errand_failure(&error, &folder))?;
        Ok(Self { profile, kept: Some(folder), history: None, notices: Vec::new() })
    }
}

/// What became of a younger profile of the same server, in words.
fn take_over(files: &mut DiskFiles, folder: &Path, younger: &Path) -> String {
    let (used, younger_name) = (folder.display(), younger.display());
    match merge(files, folder, younger) {
        Ok(Merged::Done { lines: 0 }) => {
            format!(
                "two profiles were of this server: '{used}' is used from now on, '{younger_name}' no more"
            )
        }
        Ok(Merged::Done { lines }) => format!(
            "two profiles were of this server: '{used}' is used from now on, and says the {lines} that '{younger_name}' \
             never sent",
            lines = if lines == 1 { "line".to_owned() } else { format!("{lines} lines") },
        ),
        Ok(Merged::Left) => format!(
            "two profiles are of this server: '{used}' is used; '{younger_name}' has something that only it can settle, \
             by a login at its own address"
        ),
        Err(error) => {
            format!(
                "two profiles are of this server: '{used}' is used; '{younger_name}' can't be read: {}",
                plain_words(&error)
            )
        }
    }
}

fn boxed(files: DiskFiles) -> ProfileFiles {
    Box::new(files)
}

/// The folder's files, or the process that has them.
fn take(folder: &Path) -> io::Result<Result<DiskFiles, Option<u32>>> {
    let mut tried = 0;
    loop {
        let locked = DiskFiles::open(folder).and_then(|mut files| Ok((files.lock()?, files)));
        tried += 1;
        match locked {
            Ok((true, files)) if folder.exists() => return Ok(Ok(files)),
            Ok((false, files)) => return Ok(Err(files.holder())),
            Err(error) if error.kind() != io::ErrorKind::NotFound || tried >= TRIES => return Err(error),
            // A run that was done has just removed it.
            Ok((true, _)) | Err(_) => {}
        }
    }
}

/// The errand whose profile lies here is done: the same command begins anew. The caller has the folder's lock.
pub(super) fn forget(folder: &Path, rng: &mut StdRng) {
    let name = format!("{DONE}{:016x}", rng.random::<u64>());
    let done = folder.with_file_name(name);
    // Renamed at once, so that no half of it is ever found. What can't be removed now is removed by the next errand.
    if rename(folder, &done).is_ok() {
        let _ = remove_dir_all(done);
    }
}

/// Removes what is left of errands that are done, and those that nobody went on with for a week.
fn clean(all: &Path, rng: &mut StdRng) {
    let old = a_week_ago();
    for entry in read_dir(all).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(DONE) {
            let _ = remove_dir_all(path);
            continue;
        }
        let touched = entry.metadata().and_then(|found| found.modified());
        if touched.is_ok_and(|touched| touched < old)
            && let Ok(Ok(_files)) = take(&path)
        {
            forget(&path, rng);
        }
    }
}

fn failed(folder: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |error| {
        let what = format!("can't use the profile's folder '{}': {}", folder.display(), plain_words(&error));
        Failure::new(ExitCode::User, what, "choose another one with --state DIR")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::fs::{File, FileTimes, create_dir};
    use std::time::{Duration, UNIX_EPOCH};

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    fn errand(home: &Path, key: &[u8]) -> Result<Own, Failure> {
        Own::open_errand(key, home, &mut rng())
    }

    #[test]
    fn an_errand_is_the_same_device_until_it_is_done_and_nobody_does_it_twice_at_a_time() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let first = errand(home.path(), b"send x").expect("free");
        let device = first.profile.identity().device;
        let second = errand(home.path(), b"send x").map(drop).expect_err("it is under way");
        assert_eq!(second, busy_failure(Some(std::process::id())));
        let other = errand(home.path(), b"send y").expect("another one");
        assert_eq!(other.profile.identity().secret, first.profile.identity().secret);
        let folder = first.kept.clone().expect("it is kept");
        drop(first);
        let again = errand(home.path(), b"send x").expect("free again");
        assert_eq!(again.profile.identity().device, device);
        forget(&folder, &mut rng());
        assert!(!folder.exists());
        errand(home.path(), b"send x").expect("it begins anew");
    }

    #[test]
    fn a_temporary_profile_needs_no_folder_and_leaves_none() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("natter/h_1/alice");
        Own::open_temporary(None, &mut rng()).expect("it needs none");
        let stranger = Own::open_temporary(Some(&folder), &mut rng()).expect("it needs none");
        assert!(std::fs::read_dir(root.path()).expect("readable").next().is_none(), "it leaves none");
        let known = Own::open(Purpose::Chat, &folder, &[], &mut rng()).expect("free");
        let again = Own::open_temporary(Some(&folder), &mut StdRng::seed_from_u64(2)).expect("free");
        assert_eq!(again.profile.identity().secret, known.profile.identity().secret, "the person there is");
        assert_ne!(again.profile.identity().device, known.profile.identity().device);
        assert!(stranger.kept.is_none() && again.kept.is_none());
    }

    #[test]
    fn a_damaged_errand_is_named_with_its_folder_and_begins_anew_without_it() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let kept = errand(home.path(), b"send x").expect("free").kept.expect("it is kept");
        for file in ["journal", "cursors", "identity"] {
            std::fs::write(kept.join(file), "no journal\n\0\n\n").expect("written");
            let failure = errand(home.path(), b"send x").map(drop).expect_err("damaged");
            let (folder, text) = (kept.display().to_string(), failure.to_string());
            assert!(
                text.contains(&format!("'{file}' is damaged")) && text.matches(&folder).count() == 2,
                "{text}"
            );
            remove_dir_all(&kept).expect("as the hint says");
            errand(home.path(), b"send x").expect("it begins anew");
        }
    }

    #[test]
    fn what_nobody_went_on_with_for_a_week_is_removed_unless_somebody_has_it() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let all = home.path().join(ERRANDS);
        let busy = errand(home.path(), b"busy").expect("free");
        for name in ["left", "done-1", "fresh"] {
            create_dir(all.join(name)).expect("a folder");
        }
        let age = |folder: &Path| {
            let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(1));
            File::open(folder).and_then(|folder| folder.set_times(times)).expect("its time is changed");
        };
        let held = busy.kept.clone().expect("it is kept");
        [held.clone(), all.join("left")].iter().for_each(|folder| age(folder));
        clean(&all, &mut rng());
        let left = [held, all.join("left"), all.join("done-1"), all.join("fresh")].map(|path| path.exists());
        assert_eq!(left, [true, false, false, true]);
    }
}
