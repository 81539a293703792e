//! Who is measured: a server that is started for one run, pinned to its core, and stopped after it.

use std::{
    env, fmt, io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use clap::ValueEnum;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use super::plan::Plan;
use crate::failure::Failure;

/// How often, and with which pause, a server is asked whether it is there.
const KNOCKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// A server that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Contender {
    /// natter, native dialect, memory store.
    Natter,
    /// natter, classic dialect, memory store.
    NatterClassic,
    /// NATS core.
    Nats,
    /// The bare limit of the generator.
    Limit,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Contender::Natter => "natter",
            Contender::NatterClassic => "natter-classic",
            Contender::Nats => "nats-server",
            Contender::Limit => "limit",
        })
    }
}

impl Contender {
    /// Whether it can be started here; our own always can.
    pub fn is_installed(self) -> bool {
        self != Contender::Nats || is_there("nats-server")
    }

    fn dialect(self) -> &'static str {
        match self {
            Contender::Natter => "native",
            Contender::NatterClassic => "classic",
            Contender::Nats => "nats",
            Contender::Limit => "limit",
        }
    }
}

/// Where runs take place.
pub struct Bench {
    /// The folder of the release programs.
    programs: PathBuf,
    server_core: u32,
    generator_core: u32,
}

impl Bench {
    /// A bench on these two cores.
    ///
    /// # Errors
    /// Fails if the machine lacks what it takes.
    pub fn open(server_core: u32, generator_core: u32) -> Result<Bench, Failure> {
        if thread::available_parallelism().map_or(1, usize::from) < 2 {
            return Err(unmeasured(&"a server", &"there is one processor core, and two are needed"));
        }
        if !is_there("taskset") {
            return Err(unmeasured(&"a server", &"taskset, of util-linux, is not installed"));
        }
        raise_socket_limit().map_err(|error| unmeasured(&"a server", &error))?;
        let own = env::current_exe().map_err(|error| unmeasured(&"a server", &error))?;
        let target = own.ancestors().nth(2).map(PathBuf::from).unwrap_or_default();
        Ok(Bench { programs: target.join("release"), server_core, generator_core })
    }

    /// Starts a fresh server, puts it under load, stops it, and gives back the generator's report.
    ///
    /// # Errors
    /// Fails if the server does not come up, or if the generator found a fault.
    pub fn measure(&self, contender: Contender, plan: &Plan) -> Result<Value, Failure> {
        let failed = |error: io::Error| unmeasured(&contender, &error);
        let address = free_address().map_err(failed)?;
        let server = self.start(contender, address).map_err(failed)?;
        wait_until_there(address).map_err(failed)?;
        let mut generator = self.pinned(self.generator_core, "natter-load");
        generator
            .args(&plan.args)
            .args(["--server", &address.to_string(), "--dialect", contender.dialect()])
            .args(["--server-pid", &server.0.id().to_string()]);
        report_of(generator, &contender, plan)
    }

    fn start(&self, contender: Contender, address: SocketAddr) -> io::Result<Server> {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut command = match contender {
            Contender::Natter | Contender::NatterClassic => {
                let mut natterd = self.pinned(self.server_core, "natterd");
                natterd.args(["--host", &host, "--port", &port, "--store", "memory"]);
                natterd.args(["--max-clients", "60000"]).env("RUST_LOG", "warn");
                natterd
            }
            Contender::Nats => {
                let mut nats = Command::new("taskset");
                nats.args(["-c", &self.server_core.to_string(), "nats-server"]);
                nats.args(["--addr", &host, "--port", &port]);
                nats
            }
            Contender::Limit => {
                let mut limit = self.pinned(self.server_core, "natter-load");
                limit.args(["limit", "--listen", &address.to_string()]);
                limit
            }
        };
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().map(Server)
    }

    fn pinned(&self, core: u32, program: &str) -> Command {
        pinned(core, &self.programs.join(program))
    }
}

/// A program on this core; `taskset` becomes the program, so its process id is the program's.
pub fn pinned(core: u32, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// Runs a generator of load to its end, and gives back what it tells of a plan.
///
/// # Errors
/// [`Failure::Unmeasured`] if it found a fault.
pub fn report_of(
    mut generator: Command,
    what: &dyn fmt::Display,
    plan: &dyn fmt::Display,
) -> Result<Value, Failure> {
    let output = generator.stderr(Stdio::inherit()).output().map_err(|error| unmeasured(what, &error))?;
    if !output.status.success() {
        return Err(unmeasured(what, &format!("the generator gave up {plan}")));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| unmeasured(what, &error))
}

/// A running server, which ends with this value, whatever happens.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It can only fail if the process has ended by itself, and then there is nothing left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn unmeasured(what: &dyn fmt::Display, why: &dyn fmt::Display) -> Failure {
    Failure::Unmeasured { what: what.to_string(), why: why.to_string() }
}

fn is_there(program: &str) -> bool {
    let probe = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok()
}

/// Servers inherit the limit: not all of them raise it themselves.
fn raise_socket_limit() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// An address of this machine that nobody listens on; somebody could take it before the server does, but hardly.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn wait_until_there(address: SocketAddr) -> io::Result<()> {
    for _ in 1..KNOCKS {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    TcpStream::connect(address).map(drop)
}
