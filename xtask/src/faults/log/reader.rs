//! Servers whose logs go to different readers, each of which fails in its own way.

use crate::failure::Failure;
use load::{clock::Clock, fault::Fault};
use rustix::{
    fs::{OFlags, fcntl_setfl},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, PipeReader, Read, Write, pipe},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// How soon a server must have ended, with a log that nobody takes.
const END_WITHIN: Duration = Duration::from_secs(10);

/// How soon a server must listen, and how soon a reader that goes on must find the count of what was dropped.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether something has come about.
const LOOK: Duration = Duration::from_millis(5);

/// Lines of a run beside those of its clients, at most.
const OTHER_LINES: u64 = 20;

/// Ctrl-S.
const STOP: u8 = 0x13;

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A file takes it.
    File,
    /// Nobody reads the pipe, until the end.
    Stopped,
    /// The disk is full.
    Full,
    /// `head -1` is gone after the first line.
    Gone,
    /// Somebody pressed Ctrl-S.
    Terminal,
}

impl Reader {
    /// All; the first one is what the others are compared with.
    pub const ALL: [Self; 5] = [Self::File, Self::Stopped, Self::Full, Self::Gone, Self::Terminal];
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "log in a file",
            Self::Stopped => "a pipe that nobody reads",
            Self::Full => "2>/dev/full",
            Self::Gone => "2>&1 | head -1",
            Self::Terminal => "Ctrl-S in its terminal",
        })
    }
}

/// A running server and its log. It is killed with this value.
pub struct Logged {
    /// Who reads its log.
    pub reader: Reader,
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    log: PathBuf,
    pipe: Option<PipeReader>,
    /// `head`.
    head: Option<Child>,
    /// The other end of its terminal, which is closed with this value.
    _master: Option<File>,
}

impl Logged {
    /// Starts a server that keeps what it is told below `folder`.
    ///
    /// # Errors
    /// Fails if it does not listen.
    pub fn start(
        program: &Path,
        folder: &Path,
        address: SocketAddr,
        reader: Reader,
    ) -> Result<Self, Failure> {
        let folder = folder.join(format!("{reader:?}").to_lowercase());
        let refused = |source| Failure::Write { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(refused)?;
        let log = folder.join("log");
        let mut command = Command::new(program);
        command
            .args(["--host", &address.ip().to_string(), "--port", &address.port().to_string(), "--data"])
            .arg(folder.join("data"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("out")).map_err(refused)?);
        let (mut unread, mut head, mut master) = (None, None, None);
        match reader {
            Reader::File => drop(command.stderr(File::create(&log).map_err(refused)?)),
            Reader::Stopped => {
                let (reads, writes) = pipe().map_err(refused)?;
                command.stderr(writes);
                unread = Some(reads);
            }
            Reader::Full => {
                let full = OpenOptions::new().write(true).open("/dev/full").map_err(refused)?;
                command.stderr(full);
            }
            Reader::Gone => {
                let (reads, writes) = pipe().map_err(refused)?;
                command.stdout(writes.try_clone().map_err(refused)?).stderr(writes);
                let first = File::create(&log).map_err(refused)?;
                head =
                    Some(Command::new("head").arg("-1").stdin(reads).stdout(first).spawn().map_err(refused)?);
            }
            Reader::Terminal => {
                let (terminal, other) = open_terminal().map_err(refused)?;
                command.stderr(terminal);
                master = Some(other);
            }
        }
        let child = command.spawn();
        let child = child.map_err(|source| Failure::Read { path: program.to_owned(), source })?;
        // The command holds the ends of pipes that only the server is to have.
        drop(command);
        let mut logged = Self { reader, address, child, log, pipe: unread, head, _master: master };
        logged.await_listening()?;
        if let Some(master) = &mut logged._master {
            master.write_all(&[STOP]).map_err(refused)?;
        }
        Ok(logged)
    }

    fn await_listening(&mut self) -> Result<(), Failure> {
        let clock = Clock::start();
        while TcpStream::connect(self.address).is_err() {
            if clock.now() > PATIENCE || matches!(self.child.try_wait(), Ok(Some(_))) {
                return Err(self.failed("it does not listen"));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Asks it to stop, and gives what is wrong with its end or with its log.
    ///
    /// # Errors
    /// Fails if it can't be looked at.
    pub fn end(mut self, least: u64) -> Result<Vec<String>, Failure> {
        let mut text = Vec::new();
        if self.reader == Reader::Stopped {
            self.read_until_counted(&mut text)?;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map(|pid| kill_process(pid, Signal::TERM));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.failed("it takes no signal"));
        }
        let clock = Clock::start();
        let status = loop {
            self.read_some(&mut text)?;
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if clock.now() < END_WITHIN => thread::sleep(LOOK),
                _ => {
                    return Ok(vec![format!(
                        "{}: it does not stop within {} s",
                        self.reader,
                        END_WITHIN.as_secs()
                    )]);
                }
            }
        };
        let took = clock.now();
        self.read_some(&mut text)?;
        if !status.success() {
            return Ok(vec![format!("{}: it stopped with {status}", self.reader)]);
        }
        let mut told = format!("log: {}: stopped well within {} ms", self.reader, took.as_millis());
        let mut broken = Vec::new();
        match self.reader {
            Reader::File => text = fs::read(&self.log).unwrap_or_default(),
            Reader::Gone => {
                let first = fs::read_to_string(&self.log).unwrap_or_default();
                if first.lines().count() != 1 {
                    broken.push(format!("{}: head printed {first:?}", self.reader));
                }
            }
            _ => {}
        }
        if matches!(self.reader, Reader::File | Reader::Stopped) {
            let counts = Counts::of(&String::from_utf8_lossy(&text));
            told += &format!(", {counts:?}");
            let is_complete = (least..=least + OTHER_LINES).contains(&counts.all());
            if !is_complete || (counts.dropped > 0) != (self.reader == Reader::Stopped) {
                broken.push(format!("{}: {counts:?}, and {least} lines were due", self.reader));
            }
        }
        println!("{told}");
        Ok(broken)
    }

    /// Reads the pipe until the lines that were dropped are counted in it.
    fn read_until_counted(&mut self, text: &mut Vec<u8>) -> Result<(), Failure> {
        let clock = Clock::start();
        while Counts::of(&String::from_utf8_lossy(text)).dropped == 0 {
            if clock.now() > PATIENCE {
                return Err(self.failed("what it dropped is not counted"));
            }
            self.read_some(text)?;
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Reads what is in the pipe now.
    fn read_some(&mut self, text: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let failed = |source| Failure::Read { path: self.log.clone(), source };
        fcntl_setfl(&*pipe, OFlags::NONBLOCK).map_err(|error| failed(error.into()))?;
        let mut piece = vec![0; 1 << 16];
        loop {
            match pipe.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(read) => text.extend(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// What a client of it met.
    pub fn failure(&self, fault: Fault) -> Failure {
        eprintln!("{}: a client could not go on", self.reader);
        Failure::Client(fault)
    }

    fn failed(&self, why: &str) -> Failure {
        Failure::Server { why: format!("{}: {why}", self.reader), said: String::new() }
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        for child in [Some(&mut self.child), self.head.as_mut()].into_iter().flatten() {
            // They only fail if it has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A terminal, and its other end. Nobody reads that: it holds a few KiB.
fn open_terminal() -> std::io::Result<(File, File)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let terminal = OpenOptions::new().read(true).write(true).open(name.to_string_lossy().as_ref())?;
    Ok((terminal, File::from(master)))
}

/// What a log says of its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    written: u64,
    dropped: u64,
    repeated: u64,
}

impl Counts {
    fn of(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines() {
            let number = |before: &str, behind: &str| -> Option<u64> {
                line.split_once(before)?.1.split_once(behind)?.0.parse().ok()
            };
            if let Some(dropped) = number("WARN dropped ", " line") {
                counts.dropped += dropped;
            } else if let Some(repeated) = number("… repeated ", " times") {
                counts.repeated += repeated;
            } else if line.contains("… repeated once") {
                counts.repeated += 1;
            } else {
                counts.written += 1;
            }
        }
        counts
    }

    fn all(self) -> u64 {
        self.written + self.dropped + self.repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_dropped_or_folded_are_counted_as_the_log_says() {
        let text = "T  INFO login\nT  WARN … repeated 3 times\nT  WARN … repeated once\n\
            T  WARN dropped 12 lines of this log: it could not be written\n\
            T  WARN dropped 1 line of this log: it could not be written\n";
        let counts = Counts::of(text);
        assert_eq!(counts, Counts { written: 1, dropped: 13, repeated: 4 });
        assert_eq!(counts.all(), 18);
    }
}
