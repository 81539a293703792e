//! The folder that accidents happen to, what was acknowledged in it, and how it is looked at.

use super::CLAIM;
use super::happenings::Guard;
use crate::{
    failure::Failure,
    faults::copy_folder,
    proof::natterd::{Launch, Natterd},
};
use load::{caller::Caller, fault::Fault, identity::Identity};
use protocol::{
    entry::{Entry, EntryKind},
    id::{Counter, Epoch, Millis, Seq},
    message::{ClientMsg, ServerMsg, Target},
};
use std::{
    cell::Cell,
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    rc::Rc,
    time::Duration,
};

/// Messages that were acknowledged in each of the two lives of the server.
const MESSAGES: u64 = 100;

/// How long anything may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A library that is loaded before all others and sets the clock of a program ahead, by `CLOCK_AHEAD` seconds.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *time) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    const char *ahead = getenv("CLOCK_AHEAD");
    int failed = real(id, time);
    if (!failed && id == CLOCK_REALTIME && ahead) time->tv_sec += atol(ahead);
    return failed;
}
"#;

/// What is to be found of what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many, in the history that was there before.
    Same(usize),
    /// So many, in a history that every client is told is a new one.
    NewHistory(usize),
    /// A message that is there more than once.
    Doubled,
    /// It can't be read.
    Unread,
}

impl Found {
    /// How many.
    pub fn count(self) -> usize {
        match self {
            Self::Same(count) | Self::NewHistory(count) => count,
            Self::Doubled | Self::Unread => 0,
        }
    }
}

/// The folder, and what accidents need.
pub struct Place {
    /// How a server is started on it, by the right clock.
    launch: Launch,
    /// The library for a wrong clock.
    clock: PathBuf,
    /// By how many seconds the clock is ahead.
    ahead: Rc<Cell<i64>>,
    /// The folder itself.
    pub data: PathBuf,
    /// What it was when half of the messages were there.
    pub older: PathBuf,
    /// A backup of all.
    pub backup: PathBuf,
    program: PathBuf,
    master: PathBuf,
    aside: PathBuf,
    epoch: Epoch,
    /// Posts of the one who posts, in the copy that is there now.
    counter: Cell<u64>,
}

impl Place {
    /// Makes a folder as a server leaves it that is killed.
    ///
    /// # Errors
    /// Fails if that can't be done.
    pub fn make(program: &Path, natter: &Path, folder: &Path) -> Result<Self, Failure> {
        let path = |name: &str| folder.join(name);
        let data = path("data");
        let launch = Launch::new(program, folder, &["--data", &data.display().to_string()])?;
        let mut place = Self {
            launch,
            clock: make_clock(folder)?,
            ahead: Rc::default(),
            data,
            older: path("older"),
            backup: path("backup.db"),
            program: program.to_owned(),
            master: path("master"),
            aside: path("aside"),
            epoch: Epoch([0; 16]),
            counter: Cell::new(0),
        };
        for life in 1..=2 {
            let server = place.launch.start()?;
            (0..MESSAGES).try_for_each(|_| match place.post_one(&server, PATIENCE) {
                Ok(true) => Ok(()),
                Ok(false) => Err(unproven("a post is not acknowledged in a sound folder")),
                Err(failure) => Err(failure),
            })?;
            if life == 2 {
                place.send_file(natter, &server)?;
                place.epoch = place.login(&server, 1)?.epoch;
                let backup = place.natterd("backup", &place.backup)?;
                if !backup.status.success() {
                    return Err(unproven("there is no backup of a sound folder"));
                }
            }
            server.kill()?;
            copy_folder(&place.data, if life == 1 { &place.older } else { &place.master })?;
        }
        Ok(place)
    }

    /// How a server is started on the folder, as things are. By a wrong clock messages are kept for 30 days.
    pub fn launch(&self) -> Launch {
        let mut launch = self.launch.clone();
        let ahead = self.ahead.get();
        if ahead != 0 {
            let preload = format!("LD_PRELOAD={}", self.clock.display());
            launch.wrapper = vec!["env".to_owned(), preload, format!("CLOCK_AHEAD={ahead}")];
            launch.args.extend(["--keep-age".to_owned(), "30d".to_owned()]);
        }
        launch
    }

    /// Sets the clock of the servers to come ahead, until the guard is dropped.
    pub fn set_clock_ahead(&self, seconds: i64) -> Guard {
        self.ahead.set(seconds);
        Guard::Clock(self.ahead.clone())
    }

    /// Puts a fresh copy of the folder in its place.
    ///
    /// # Errors
    /// Fails if it can't be copied.
    pub fn copy_master(&self) -> Result<(), Failure> {
        remove(&self.data)?;
        self.counter.set(2 * MESSAGES);
        copy_folder(&self.master, &self.data)
    }

    /// Messages that were acknowledged in the folder.
    pub fn acknowledged(&self) -> usize {
        usize::try_from(2 * MESSAGES).unwrap_or(usize::MAX)
    }

    /// Copies what is at these places in the folder; an empty name is the folder itself.
    ///
    /// # Errors
    /// Fails if it can't be copied.
    pub fn remember(&self, touched: &[&str]) -> Result<Undo, Failure> {
        remove(&self.aside)?;
        fs::create_dir_all(&self.aside).map_err(|source| failed(&self.aside, source))?;
        let mut undo = Undo(Vec::new());
        for (at, name) in touched.iter().enumerate() {
            let (from, to) = (self.path(name), self.aside.join(at.to_string()));
            if from.exists() {
                copy(&from, &to)?;
            }
            undo.0.push((from, to));
        }
        Ok(undo)
    }

    /// How another server is started on the same folder.
    ///
    /// # Errors
    /// Fails if no port is free.
    pub fn second(&self) -> Result<Launch, Failure> {
        let folder = self.master.with_file_name("second");
        fs::create_dir_all(&folder).map_err(|source| failed(&folder, source))?;
        self.launch.beside(&folder)
    }

    /// Restores the backup, as a refusal advises.
    ///
    /// # Errors
    /// [`Failure::Unproven`] if that is refused as well.
    pub fn restore(&self) -> Result<Option<Guard>, Failure> {
        let restored = self.natterd("restore", &self.backup)?;
        if restored.status.success() {
            return Ok(None);
        }
        Err(unproven(&format!("the restore is refused: {}", String::from_utf8_lossy(&restored.stderr))))
    }

    fn natterd(&self, command: &str, file: &Path) -> Result<Output, Failure> {
        let output =
            Command::new(&self.program).arg(command).arg(file).arg("--data").arg(&self.data).output();
        output.map_err(|source| Failure::Read { path: self.program.clone(), source })
    }

    /// A place in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.data.clone() } else { self.data.join(name) }
    }

    /// Posts one more message; says whether it was acknowledged.
    ///
    /// # Errors
    /// Fails if the poster is not let in.
    pub fn post_one(&self, server: &Natterd, patience: Duration) -> Result<bool, Failure> {
        let identity = Identity::numbered("poster", 1, 1);
        let mut caller = Caller::login(server.address, &identity, patience)?;
        let room = caller.join("lobby")?;
        let number = self.counter.get() + 1;
        let counter = Counter::after(caller.last_counter);
        caller.say(&ClientMsg::Post {
            counter,
            target: Target::Room { room },
            kind: EntryKind::Text,
            reply_to: None,
            written: Millis(0),
            body: text(number).into(),
        })?;
        let answer = caller.find("an acknowledgement", |msg| match msg {
            ServerMsg::Ack { counter: acked, .. } if acked == counter => Some(true),
            ServerMsg::Error { .. } => Some(false),
            _ => None,
        });
        let acked = answer.unwrap_or(false);
        self.counter.set(self.counter.get() + u64::from(acked));
        Ok(acked)
    }

    /// Counts what is there of what was acknowledged.
    ///
    /// # Errors
    /// Fails if nobody is let in.
    pub fn look(&self, server: &Natterd) -> Result<Found, Failure> {
        let mut reader = self.login(server, 2)?;
        let room = reader.join("lobby")?;
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        let mut count = |entry: Entry| *counts.entry(entry.text().into_owned()).or_default() += 1;
        let mut read = reader.read_log(room, None, &mut count);
        if let Err(Fault::Gap { expected: 1, got }) = read {
            // The room does not begin at its first message: what is left of it is counted.
            reader = self.login(server, 2)?;
            read = reader.read_log(room, Seq::new(got - 1), &mut count);
        }
        if read.is_err() {
            return Ok(Found::Unread);
        }
        let wanted = (1..=self.counter.get()).map(text);
        let found: Vec<u32> = wanted.filter_map(|text| counts.get(&text).copied()).collect();
        Ok(match found.iter().any(|count| *count > 1) {
            true => Found::Doubled,
            false if reader.epoch == self.epoch => Found::Same(found.len()),
            false => Found::NewHistory(found.len()),
        })
    }

    fn login(&self, server: &Natterd, number: u64) -> Result<Caller, Fault> {
        let name = if number == 1 { "poster" } else { "reader" };
        Caller::login(server.address, &Identity::numbered(name, number, 1), PATIENCE)
    }

    /// Has a file among the contents.
    fn send_file(&self, natter: &Path, server: &Natterd) -> Result<(), Failure> {
        let file = self.master.with_file_name("file.txt");
        fs::write(&file, "what a file holds\n").map_err(|source| failed(&file, source))?;
        let sent = Command::new(natter)
            .args(["send", &server.address.to_string(), "-u", "sender", "-q", "--state"])
            .arg(self.master.with_file_name("state"))
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Failure::Read { path: natter.to_owned(), source })?;
        if sent.status.success() { Ok(()) } else { Err(unproven("a file can't be sent to a sound folder")) }
    }
}

/// What was at some places before something happened.
pub struct Undo(Vec<(PathBuf, PathBuf)>);

impl Undo {
    /// Puts it back, and takes away what was not there.
    ///
    /// # Errors
    /// Fails if it can't.
    pub fn undo(self) -> Result<(), Failure> {
        for (from, to) in self.0 {
            remove(&from)?;
            if to.exists() {
                copy(&to, &from)?;
            }
        }
        Ok(())
    }
}

fn make_clock(folder: &Path) -> Result<PathBuf, Failure> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, CLOCK).map_err(|error| failed(&source, error))?;
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").output();
    let built = built.map_err(|error| Failure::Read { path: PathBuf::from("cc"), source: error })?;
    if built.status.success() {
        return Ok(library);
    }
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    Err(Failure::Server { why: "the library for its clock can't be built".to_owned(), said })
}

fn text(number: u64) -> String {
    format!("message {number}")
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    if from.is_dir() {
        return copy_folder(from, to);
    }
    fs::copy(from, to).map(drop).map_err(|source| failed(from, source))
}

/// Removes a file or a folder, if it is there.
pub fn remove(path: &Path) -> Result<(), Failure> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

pub fn failed(path: &Path, source: io::Error) -> Failure {
    Failure::Write { path: path.to_owned(), source }
}

pub fn unproven(why: &str) -> Failure {
    Failure::Unproven { what: CLAIM, why: why.to_owned() }
}
