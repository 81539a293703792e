//! The table of accidents.

use super::place::{Place, failed, remove, unproven};
use crate::{failure::Failure, proof::natterd::Start};
use rustix::{
    fs::{FlockOperation, fcntl_lock},
    mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount},
};
use std::{
    cell::Cell,
    fmt,
    fs::{self, File, OpenOptions, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    rc::Rc,
};

/// When it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before a server starts.
    Before,
    /// While one runs.
    During,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Before { "before" } else { "during" })
    }
}

/// What goes on until it is dropped.
pub enum Guard {
    /// Something is mounted here.
    Mounted(PathBuf),
    /// This file is locked.
    Locked {
        /// Closed with this value, which ends the lock.
        _file: File,
    },
    /// The clock is ahead by so many seconds.
    Clock(Rc<Cell<i64>>),
}

impl Drop for Guard {
    fn drop(&mut self) {
        match self {
            Self::Mounted(path) if unmount(&*path, UnmountFlags::DETACH).is_err() => {
                eprintln!("still mounted: {}", path.display());
            }
            Self::Clock(ahead) => ahead.set(0),
            Self::Mounted(_) | Self::Locked { .. } => {}
        }
    }
}

type Happens = fn(&Place) -> Result<Option<Guard>, Failure>;

/// Something that befalls a data folder.
#[derive(Clone, Copy)]
pub struct Accident {
    /// What.
    pub what: &'static str,
    /// When.
    pub when: When,
    /// What has to be put back to undo it; an empty name is the folder itself.
    pub touches: &'static [&'static str],
    /// Words that a server must have said about it.
    pub says: Option<&'static str>,
    /// Whether another history takes the place of the old one on purpose.
    pub replaces: bool,
    /// Whether messages may be hidden until it is undone.
    pub hides: bool,
    /// Lets it happen.
    pub happens: Happens,
}

const fn before(what: &'static str, touches: &'static [&'static str], happens: Happens) -> Accident {
    Accident { what, when: When::Before, touches, says: None, replaces: false, hides: false, happens }
}

const fn during(what: &'static str, touches: &'static [&'static str], happens: Happens) -> Accident {
    Accident { what, when: When::During, touches, says: None, replaces: false, hides: false, happens }
}

impl Accident {
    const fn says(mut self, words: &'static str) -> Self {
        self.says = Some(words);
        self
    }

    const fn hides(mut self) -> Self {
        self.hides = true;
        self
    }

    const fn replaces(mut self) -> Self {
        self.replaces = true;
        self
    }
}

const DB: &str = "natter.db";
const WAL: &str = "natter.db-wal";
const WITNESS: &str = "witness";
const CONTENTS: &str = "contents";
const SEARCH: &str = "search.db";
const LOCK: &str = "lock";

/// Seconds of a day.
const DAY: i64 = 86_400;

/// All of them.
pub const HAPPENINGS: [Accident; 52] = [
    before("the database is deleted", &[DB], |place| take(place, DB)),
    before("the database is emptied", &[DB], |place| cut(place, DB, 0)),
    before("the database is cut in half", &[DB], |place| cut(place, DB, 2)),
    before("the database is replaced by a text", &[DB], |place| write(place, DB)),
    before("the database is replaced by a folder", &[DB], |place| become_folder(place, DB)),
    before("the database may only be read", &[DB], |place| set_mode(place, DB)),
    before("the database is replaced by an older one", &[DB], |place| older(place, &[DB])),
    before("the database is locked by another program", &[], |place| lock(place, DB))
        .says("is locked by another program"),
    before("the write-ahead log is deleted", &[WAL], |place| take(place, WAL)),
    before("the write-ahead log is emptied", &[WAL], |place| cut(place, WAL, 0)),
    before("the write-ahead log is cut in half", &[WAL], |place| cut(place, WAL, 2)),
    before("the write-ahead log is replaced by an older one", &[WAL], |place| older(place, &[WAL])),
    before("the database and its log are replaced by older ones", &[DB, WAL], |place| {
        older(place, &[DB, WAL])
    }),
    before("only the database came back", &[""], |place| only(place, DB)),
    before("only the contents came back", &[""], |place| only(place, CONTENTS)),
    before("a restore was cut off", &[""], restore_half),
    before("a restore was cut off and is run again", &[""], |place| {
        restore_half(place)?;
        place.restore()
    })
    .replaces(),
    before("the database is deleted and a backup restored", &[""], |place| {
        take(place, DB)?;
        place.restore()
    })
    .replaces(),
    before("the witness is deleted", &[WITNESS], |place| take(place, WITNESS)),
    before("the witness is emptied", &[WITNESS], |place| cut(place, WITNESS, 0)),
    before("the witness is replaced by an older one", &[WITNESS], |place| older(place, &[WITNESS])),
    before("the witness is replaced by a text", &[WITNESS], |place| write(place, WITNESS)),
    before("the contents are deleted", &[CONTENTS], |place| take(place, CONTENTS)).says("content"),
    before("the folder of contents is emptied", &[CONTENTS], |place| become_folder(place, CONTENTS))
        .says("content"),
    before("the folder of contents is replaced by a text", &[CONTENTS], |place| write(place, CONTENTS)),
    before("the index of words is deleted", &[SEARCH], |place| take(place, SEARCH)),
    before("the index of words is cut in half", &[SEARCH], |place| cut(place, SEARCH, 2)),
    before("the index of words is replaced by a text", &[SEARCH], |place| write(place, SEARCH)),
    before("the lock is deleted", &[LOCK], |place| take(place, LOCK)),
    before("the lock is replaced by a folder", &[LOCK], |place| become_folder(place, LOCK)),
    before("the folder is empty, as where a volume is not mounted", &[""], |place| become_folder(place, "")),
    before("the folder is replaced by a text", &[""], |place| write(place, "")),
    before("the folder is mounted to be read only", &[], mount_to_read),
    before("a text of somebody lies in the folder", &["notes.txt"], |place| write(place, "notes.txt")),
    before("the clock is 90 days ahead, and messages are kept for 30 days", &[], |place| {
        Ok(Some(place.set_clock_ahead(90 * DAY)))
    })
    .says("clock")
    .hides(),
    before("the clock went back by 20 years", &[], |place| Ok(Some(place.set_clock_ahead(-20 * 365 * DAY)))),
    during("the database is deleted", &[DB], |place| take(place, DB)),
    during("the database is cut in half", &[DB], |place| cut(place, DB, 2)),
    during("the database is replaced by an older one", &[DB], |place| older(place, &[DB])),
    during("the write-ahead log is deleted", &[WAL], |place| take(place, WAL)),
    during("the write-ahead log is emptied", &[WAL], |place| cut(place, WAL, 0)),
    during("the folder is renamed", &[""], rename),
    during("the folder is deleted", &[""], |place| take(place, "")),
    during("the witness is deleted", &[WITNESS], |place| take(place, WITNESS)).says("written anew"),
    during("the witness is replaced by a text", &[WITNESS], |place| write(place, WITNESS))
        .says("written anew"),
    during("the contents are deleted", &[CONTENTS], |place| take(place, CONTENTS)).says("content"),
    during("the folder of contents is replaced by an empty one", &[CONTENTS], |place| {
        become_folder(place, CONTENTS)
    })
    .says("content"),
    during("the folder of contents is replaced by a text", &[CONTENTS], |place| write(place, CONTENTS))
        .says("content"),
    during("the index of words is deleted", &[SEARCH], |place| take(place, SEARCH)),
    during("the lock is deleted", &[LOCK], |place| take(place, LOCK)),
    during("a second server is started", &[], second),
    during("the lock is deleted and a second server started", &[LOCK], |place| {
        take(place, LOCK)?;
        second(place)
    }),
];

fn take(place: &Place, name: &str) -> Result<Option<Guard>, Failure> {
    remove(&place.path(name)).map(|()| None)
}

/// Leaves this part of a file.
fn cut(place: &Place, name: &str, part: u64) -> Result<Option<Guard>, Failure> {
    let path = place.path(name);
    let cut = || {
        let file = OpenOptions::new().write(true).open(&path)?;
        let bytes = file.metadata()?.len();
        file.set_len(bytes.checked_div(part).unwrap_or(0))
    };
    cut().map(|()| None).map_err(|source| failed(&path, source))
}

fn write(place: &Place, name: &str) -> Result<Option<Guard>, Failure> {
    let path = place.path(name);
    remove(&path)?;
    fs::write(&path, "what somebody wrote\n").map(|()| None).map_err(|source| failed(&path, source))
}

fn become_folder(place: &Place, name: &str) -> Result<Option<Guard>, Failure> {
    let path = place.path(name);
    remove(&path)?;
    fs::create_dir(&path).map(|()| None).map_err(|source| failed(&path, source))
}

fn set_mode(place: &Place, name: &str) -> Result<Option<Guard>, Failure> {
    let path = place.path(name);
    fs::set_permissions(&path, Permissions::from_mode(0o400))
        .map(|()| None)
        .map_err(|source| failed(&path, source))
}

/// Puts older files in the place of these.
fn older(place: &Place, names: &[&str]) -> Result<Option<Guard>, Failure> {
    for name in names {
        let (from, to) = (place.older.join(name), place.path(name));
        remove(&to)?;
        fs::copy(&from, &to).map_err(|source| failed(&from, source))?;
    }
    Ok(None)
}

/// Leaves nothing but this.
fn only(place: &Place, name: &str) -> Result<Option<Guard>, Failure> {
    let failed = |source| failed(&place.data, source);
    for entry in fs::read_dir(&place.data).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() != *name {
            remove(&entry.path())?;
        }
    }
    Ok(None)
}

/// What a restore leaves that was cut off: half of a database under another name.
fn restore_half(place: &Place) -> Result<Option<Guard>, Failure> {
    become_folder(place, "")?;
    let part = place.path("natter.db.part");
    fs::copy(&place.backup, &part).map_err(|source| failed(&part, source))?;
    cut(place, "natter.db.part", 2)
}

fn rename(place: &Place) -> Result<Option<Guard>, Failure> {
    let to = place.data.with_extension("renamed");
    remove(&to)?;
    fs::rename(&place.data, &to).map(|()| None).map_err(|source| failed(&to, source))
}

fn lock(place: &Place, name: &str) -> Result<Option<Guard>, Failure> {
    let path = place.path(name);
    let file =
        OpenOptions::new().read(true).write(true).open(&path).map_err(|source| failed(&path, source))?;
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| failed(&path, error.into()))?;
    Ok(Some(Guard::Locked { _file: file }))
}

fn mount_to_read(place: &Place) -> Result<Option<Guard>, Failure> {
    let path: &Path = &place.data;
    let refused = |error: rustix::io::Errno| failed(path, error.into());
    mount_bind(path, path).map_err(refused)?;
    let guard = Guard::Mounted(path.to_owned());
    mount_remount(path, MountFlags::BIND | MountFlags::RDONLY, "").map_err(refused)?;
    Ok(Some(guard))
}

/// It must refuse, and say what to do; the first one runs on.
fn second(place: &Place) -> Result<Option<Guard>, Failure> {
    match place.second()?.try_start()? {
        Start::Ended { said, .. } if super::is_refusal(&said) => Ok(None),
        Start::Ended { said, .. } => Err(unproven(&format!("a second server says no hint: {said}"))),
        Start::Listening(_) => Err(unproven("two servers run on one folder")),
    }
}
