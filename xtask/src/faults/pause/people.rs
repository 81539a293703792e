//! Real `natter` programs, with a pipe for a keyboard and files for screens.

use crate::failure::Failure;
use load::clock::Clock;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

/// Somebody who types.
pub struct Person {
    /// Their name.
    pub name: String,
    /// What they typed, in order; no two lines of a run are alike.
    pub typed: Vec<String>,
    /// How many of them were typed before everybody was in: a client shows what is said from its first login on.
    pub early: usize,
    child: Child,
    input: Option<ChildStdin>,
    out: PathBuf,
    err: PathBuf,
    number: u32,
    next: Duration,
}

impl Person {
    /// Starts their client.
    ///
    /// # Errors
    /// Fails if it can't be started.
    pub fn start(program: &Path, folder: &Path, number: u32, server: SocketAddr) -> Result<Self, Failure> {
        let name = format!("person-{number}");
        let home = folder.join(&name);
        fs::create_dir_all(&home).map_err(|source| Failure::Write { path: home.clone(), source })?;
        let create =
            |path: &Path| File::create(path).map_err(|source| Failure::Write { path: path.into(), source });
        let (out, err) = (home.join("out"), home.join("err"));
        let mut child = Command::new(program)
            .args([&server.ip().to_string(), "-p", &server.port().to_string(), "-u", &name])
            .env("HOME", &home)
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("NATTER_RECEIVED", home.join("received"))
            .stdin(Stdio::piped())
            .stdout(create(&out)?)
            .stderr(create(&err)?)
            .spawn()
            .map_err(|source| Failure::Read { path: program.to_owned(), source })?;
        let input = child.stdin.take();
        Ok(Self { name, typed: Vec::new(), early: 0, child, input, out, err, number, next: Duration::ZERO })
    }

    /// Types a line if it is time to; everybody has a time of their own.
    ///
    /// # Errors
    /// Fails if the client is gone.
    pub fn type_if_due(&mut self, now: Duration, every: Duration) -> Result<(), Failure> {
        if self.next.is_zero() {
            self.next = now + every * (self.number % 60) / 60;
        }
        if now < self.next {
            return Ok(());
        }
        self.next += every;
        self.type_line()
    }

    /// Types a line.
    ///
    /// # Errors
    /// Fails if the client is gone.
    pub fn type_line(&mut self) -> Result<(), Failure> {
        let line = format!("line-{}-{}-", self.number, self.typed.len());
        let Some(input) = &mut self.input else { return Ok(()) };
        if writeln!(input, "{line}").is_err() {
            return Err(self.failure("ended by itself"));
        }
        self.typed.push(line);
        Ok(())
    }

    /// Nobody else has this profile: a client must not believe that somebody has.
    ///
    /// # Errors
    /// What it said.
    pub fn check_diagnostics(&self) -> Result<(), String> {
        let said = fs::read_to_string(&self.err).unwrap_or_default();
        let strange = |line: &&str| {
            line.contains("another client uses")
                || line.contains("panicked")
                || line.contains("-- back: ") && line.contains(" lost, ")
        };
        match said.lines().find(strange) {
            Some(line) => Err(format!("{} was told '{line}'", self.name)),
            None => Ok(()),
        }
    }

    /// Whether each line of the others was shown once, and nothing else of that kind.
    ///
    /// # Errors
    /// What is missing or there twice.
    pub fn check_shown(&self, all: &[String]) -> Result<(), String> {
        let shown = fs::read_to_string(&self.out).unwrap_or_default();
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for word in shown.split_whitespace().filter(|word| word.starts_with("line-")) {
            *counts.entry(word).or_default() += 1;
        }
        let own = format!("line-{}-", self.number);
        let others = all.iter().filter(|line| !line.starts_with(&own));
        let mut wrong = others.filter(|line| counts.get(line.as_str()) != Some(&1));
        match wrong.next() {
            Some(line) => {
                let count = counts.get(line.as_str()).unwrap_or(&0);
                Err(format!("{} was shown '{line}' {count} times, and {} more", self.name, wrong.count()))
            }
            None => Ok(()),
        }
    }

    /// How often it came back.
    pub fn reconnections(&self) -> usize {
        fs::read_to_string(&self.err).unwrap_or_default().matches("-- reconnected").count()
    }

    /// Ends the input.
    pub fn leave(&mut self) {
        self.input = None;
    }

    /// Waits until the client has ended well.
    ///
    /// # Errors
    /// Fails if it does not, or not with 0.
    pub fn await_end(&mut self, patience: Duration) -> Result<(), Failure> {
        let clock = Clock::start();
        loop {
            let looked = self.child.try_wait();
            match looked.map_err(|source| Failure::Read { path: self.err.clone(), source })? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.failure(&format!("ended with {status}"))),
                None if clock.now() > patience => return Err(self.failure("does not end")),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn failure(&self, why: &str) -> Failure {
        let said = fs::read_to_string(&self.err).unwrap_or_default();
        Failure::Server { why: format!("the client of {} {why}", self.name), said }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // They only fail if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
