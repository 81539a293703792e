//! The real server as a child process, which is killed, stopped, watched and started again.

use crate::failure::Failure;
use load::clock::Clock;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

/// How often it is looked whether something has come about.
const LOOK: Duration = Duration::from_millis(2);

/// How long a server may take to listen: a machine that is busy with something else is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a server is started, again and again, on the same port.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What is put in front of the command line, such as a tracer.
    pub wrapper: Vec<String>,
    /// Options of the server, apart from its address.
    pub args: Vec<String>,
    program: PathBuf,
    folder: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What became of a start.
#[derive(Debug)]
pub enum Start {
    /// It listens.
    Listening(Natterd),
    /// It has ended.
    Ended {
        /// How.
        status: ExitStatus,
        /// What it printed to stderr.
        said: String,
    },
}

/// A running server. It is killed with this value.
#[derive(Debug)]
pub struct Natterd {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Until it listened.
    pub started_in: Duration,
    err: PathBuf,
}

impl Launch {
    /// A server built from this checkout; what it prints goes into `folder`.
    ///
    /// # Errors
    /// Fails if no port is free.
    pub fn new(program: &Path, folder: &Path, args: &[&str]) -> Result<Self, Failure> {
        Ok(Self {
            wrapper: Vec::new(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            program: program.to_owned(),
            folder: folder.to_owned(),
            address: free_address()?,
        })
    }

    /// The same with its output in another folder, at another address.
    ///
    /// # Errors
    /// Fails if no port is free.
    pub fn beside(&self, folder: &Path) -> Result<Self, Failure> {
        Ok(Self { folder: folder.to_owned(), address: free_address()?, ..self.clone() })
    }

    /// Has it run on this core alone, and in a session of its own. A system that shares its cores among sessions first
    /// weighs the server's threads by what the generator's do on the other core, and may then keep the core's own work,
    /// such as the end of a sync, waiting for 50 ms.
    pub fn pin(&mut self, core: usize) {
        self.wrapper = ["setsid", "taskset", "-c", &core.to_string()].map(str::to_owned).to_vec();
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// [`Failure::Server`] if it ends instead.
    pub fn start(&self) -> Result<Natterd, Failure> {
        match self.try_start()? {
            Start::Listening(server) => Ok(server),
            Start::Ended { status, said } => {
                Err(Failure::Server { why: format!("it ended with {status} instead of listening"), said })
            }
        }
    }

    /// Starts it and waits until it listens or has ended.
    ///
    /// # Errors
    /// Fails if it does neither.
    pub fn try_start(&self) -> Result<Start, Failure> {
        let clock = Clock::start();
        let mut server = self.spawn()?;
        let out = self.folder.join("natterd.out");
        loop {
            let said = fs::read_to_string(&out).unwrap_or_default();
            if said.contains("listening on") {
                server.started_in = clock.now();
                return Ok(Start::Listening(server));
            }
            if let Some(status) = server.ended()? {
                return Ok(Start::Ended { status, said: server.complaints() });
            }
            if clock.now() > PATIENCE {
                return Err(server.failure("it does not listen"));
            }
            thread::sleep(LOOK);
        }
    }

    /// Starts it and kills it so long after, wherever it is then.
    ///
    /// # Errors
    /// Fails if it can't be started or killed.
    pub fn start_and_kill(&self, after: Duration) -> Result<(), Failure> {
        let server = self.spawn()?;
        thread::sleep(after);
        server.kill()
    }

    fn spawn(&self) -> Result<Natterd, Failure> {
        let create = |name: &str| {
            let path = self.folder.join(name);
            File::create(&path).map_err(|source| Failure::Write { path: path.clone(), source })
        };
        let all: Vec<_> = self.wrapper.iter().map(PathBuf::from).chain([self.program.clone()]).collect();
        let mut command = Command::new(&all[0]);
        command
            .args(&all[1..])
            .args(["--host", &self.address.ip().to_string(), "--port", &self.address.port().to_string()])
            .args(&self.args)
            .env("XDG_DATA_HOME", self.folder.join("xdg"))
            .env("RUST_LOG", "warn")
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(create("natterd.out")?)
            .stderr(create("natterd.err")?);
        let child = command.spawn().map_err(|source| Failure::Read { path: all[0].clone(), source })?;
        let err = self.folder.join("natterd.err");
        Ok(Natterd { child, address: self.address, started_in: Duration::ZERO, err })
    }
}

impl Natterd {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// Fails if the system refuses that.
    pub fn kill(mut self) -> Result<(), Failure> {
        self.end()
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// Fails if it has ended.
    pub fn terminate(&self) -> Result<(), Failure> {
        self.signal(Signal::TERM)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Fails if it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map(|pid| kill_process(pid, signal));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(self.failure("it takes no signal")),
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Fails if the system can't say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        let looked = self.child.try_wait();
        looked.map_err(|source| Failure::Read { path: self.err.clone(), source })
    }

    /// Waits for its end, so long at most.
    ///
    /// # Errors
    /// Fails if it goes on.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus, Failure> {
        let clock = Clock::start();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if clock.now() > patience {
                return Err(self.failure(&format!("it goes on after {} s", patience.as_secs())));
            }
            thread::sleep(LOOK);
        }
    }

    /// Asks it to stop and waits until it has, well.
    ///
    /// # Errors
    /// Fails if it does not stop, or not with 0.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.terminate()?;
        let status = self.wait(PATIENCE)?;
        if status.success() { Ok(()) } else { Err(self.failure(&format!("it stopped with {status}"))) }
    }

    /// What it printed to stderr so far.
    pub fn complaints(&self) -> String {
        fs::read_to_string(&self.err).unwrap_or_default()
    }

    fn failure(&self, why: &str) -> Failure {
        let said = self.complaints();
        Failure::Server { why: why.to_owned(), said: said.trim_end().to_owned() }
    }

    fn end(&mut self) -> Result<(), Failure> {
        let failed = |source| Failure::Read { path: self.err.clone(), source };
        self.child.kill().map_err(failed)?;
        self.child.wait().map_err(failed)?;
        Ok(())
    }
}

impl Drop for Natterd {
    fn drop(&mut self) {
        // It can only fail if the process has ended by itself, and then there is nothing left to do.
        let _ = self.end();
    }
}

/// A free address below the ports that Linux gives to outgoing connections: a client that tries to reach a server
/// that is away would otherwise connect to itself now and then, and hold the port.
fn free_address() -> Result<SocketAddr, Failure> {
    let start = std::process::id() % 6_000;
    let mut ports = (0..6_000).filter_map(|at| u16::try_from(13_000 + (start + at * 7) % 6_000).ok());
    let free = ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let none = || Failure::Server { why: "no port is free".into(), said: String::new() };
    free.map(|port| (Ipv4Addr::LOCALHOST, port).into()).ok_or_else(none)
}
