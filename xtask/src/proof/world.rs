//! A server, its company and the oracle, and what can be done to them.

use super::company::{Company, Size, room_name};
use super::natterd::{Launch, Natterd};
use super::oracle::{Oracle, Roll};
use super::violation::Violation;
use crate::{failure::Failure, workspace::Workspace};
use clap::ValueEnum;
use load::{caller::Caller, clock::Clock, fault::Fault, identity::Identity};
use protocol::id::RoomId;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// How long anything that must come about may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The number of the oracle's own person, which is nobody else's.
const ORACLE: u64 = 1 << 40;

/// Which store a server is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// The default: on disk.
    Sqlite,
    /// In memory: nothing that is proven here holds for it, which shows that the proof can fail.
    Memory,
}

/// A server and everybody around it.
pub struct World {
    /// How the server is started.
    pub launch: Launch,
    /// Everybody.
    pub company: Company,
    /// What it knows of the log.
    pub oracle: Oracle,
    /// The clock of the run.
    pub clock: Clock,
    /// The server's folder.
    pub data: PathBuf,
    /// How long it took at most until all were in, apart from the first time, when they are new.
    pub slowest_return: Duration,
    /// How often all came in.
    gathered: u32,
    size: Size,
    run: u64,
}

impl World {
    /// A world below this folder, in which nothing has happened yet.
    ///
    /// # Errors
    /// Fails if it can't be made.
    pub fn new(
        workspace: &Workspace,
        folder: &Path,
        store: StoreKind,
        size: Size,
        run: u64,
    ) -> Result<Self, Failure> {
        let data = folder.join("data");
        let (temp, data_arg) = (folder.display().to_string(), data.display().to_string());
        let args = match store {
            StoreKind::Sqlite => vec!["--data", data_arg.as_str()],
            StoreKind::Memory => vec!["--store", "memory", "--temp", temp.as_str()],
        };
        let launch = Launch::new(&workspace.program("natterd"), folder, &args)?;
        let clock = Clock::start();
        let company = Company::new(size, launch.address, clock, run)?;
        let (oracle, slowest_return, gathered) = (Oracle::default(), Duration::ZERO, 0);
        Ok(Self { launch, company, oracle, clock, data, slowest_return, gathered, size, run })
    }

    /// Puts the server's folder elsewhere, before its first start.
    pub fn move_to(&mut self, data: &Path) {
        let before = self.data.display().to_string();
        let args = self.launch.args.iter_mut().filter(|arg| **arg == before);
        args.for_each(|arg| *arg = data.display().to_string());
        data.clone_into(&mut self.data);
    }

    /// Has everybody come, and waits until all are in.
    ///
    /// # Errors
    /// Fails if that takes too long.
    pub fn gather(&mut self) -> Result<(), Failure> {
        let begun = self.clock.now();
        self.company.call();
        let came =
            self.company.until(PATIENCE, |company| company.is_in() || !company.violations.is_empty())?;
        if self.gathered > 0 {
            self.slowest_return = self.slowest_return.max(self.clock.now() - begun);
        }
        self.gathered += 1;
        if came { Ok(()) } else { Err(late("everybody to come in")) }
    }

    /// Kills the server and takes in what it had sent before.
    ///
    /// # Errors
    /// Fails if the connections outlive it.
    pub fn kill(&mut self, server: Natterd) -> Result<(), Failure> {
        server.kill()?;
        self.drain()
    }

    /// Takes in what is left on the connections of a server that has ended.
    ///
    /// # Errors
    /// Fails if they outlive it.
    pub fn drain(&mut self) -> Result<(), Failure> {
        self.company.talks = false;
        self.company.dismiss();
        let ended = self.company.until(PATIENCE, Company::is_away)?;
        self.company.talks = true;
        if ended { Ok(()) } else { Err(late("the end of all connections")) }
    }

    /// Reads what is new in the log, and judges it all.
    ///
    /// # Errors
    /// Fails if the log can't be read to its end. What is wrong in it goes to the violations.
    pub fn consult(&mut self, server: &Natterd) -> Result<(), Failure> {
        let rooms = self.read_on(server)?;
        for follower in &mut self.company.followers {
            let given = follower.take_given();
            let compared =
                rooms.get(&follower.room).map_or(Ok(()), |room| self.oracle.compare(*room, &given));
            self.company.violations.extend(compared.err());
        }
        self.company.violations.extend(self.oracle.judge(&self.company.writers));
        Ok(())
    }

    /// Reads the whole log again: it must be what it was when it was read piece by piece.
    ///
    /// # Errors
    /// Fails if the log can't be read to its end.
    pub fn reread(&mut self, server: &Natterd) -> Result<(), Failure> {
        let known = std::mem::take(&mut self.oracle);
        self.read_on(server)?;
        if known != self.oracle {
            let what = format!(
                "{} entries were read at first, {} now, or others",
                known.entries(),
                self.oracle.entries()
            );
            self.company.violations.push(Violation::NewHistory { what });
        }
        self.company.violations.extend(self.oracle.judge(&self.company.writers));
        Ok(())
    }

    /// Fails with the violations, if there are any.
    ///
    /// # Errors
    /// [`Failure::Unproven`].
    pub fn verdict(&self, what: &'static str) -> Result<(), Failure> {
        let violations = &self.company.violations;
        if violations.is_empty() {
            return Ok(());
        }
        let told: Vec<_> = violations.iter().take(10).map(Violation::to_string).collect();
        let why = format!("{} violations\n  {}", violations.len(), told.join("\n  "));
        Err(Failure::Unproven { what, why })
    }

    /// Runs `natterd verify` over the folder of a server that has ended.
    ///
    /// # Errors
    /// [`Failure::Server`] if it finds damage.
    pub fn verify(&self, workspace: &Workspace) -> Result<(), Failure> {
        let program = workspace.program("natterd");
        let output = Command::new(&program).arg("verify").arg(&self.data).output();
        let output = output.map_err(|source| Failure::Read { path: program, source })?;
        if output.status.success() {
            return Ok(());
        }
        let said =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        Err(Failure::Server { why: format!("`natterd verify` says {}", output.status), said })
    }

    /// A connection of somebody who only looks.
    ///
    /// # Errors
    /// Fails if the server does not let them in.
    pub fn visitor(&self, server: &Natterd) -> Result<Caller, Failure> {
        Ok(Caller::login(server.address, &self.oracle_identity(), PATIENCE)?)
    }

    /// Who that is to the server.
    pub fn oracle_identity(&self) -> Identity {
        Identity::numbered("oracle", ORACLE, self.run)
    }

    /// How many rooms there are.
    pub fn rooms(&self) -> usize {
        self.size.rooms
    }

    fn read_on(&mut self, server: &Natterd) -> Result<BTreeMap<Option<RoomId>, RoomId>, Failure> {
        let mut caller = self.visitor(server)?;
        let roll = Roll::new(&self.company.writers);
        let mut rooms = BTreeMap::new();
        for number in 0..self.size.rooms {
            let room = caller.join(&room_name(number))?;
            rooms.insert(Some(room), room);
            let (oracle, violations) = (&mut self.oracle, &mut self.company.violations);
            let read = caller.read_log(room, oracle.newest(room), |entry| {
                violations.extend(oracle.read(room, &entry, &roll).err());
            });
            match read {
                Err(Fault::Gap { expected: due, got }) => violations.push(Violation::Gap { room, due, got }),
                read => drop(read?),
            }
        }
        Ok(rooms)
    }
}

fn late(what: &'static str) -> Failure {
    Failure::Client(Fault::Stalled { what: what.to_owned(), after: PATIENCE })
}
