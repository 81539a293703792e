//! The real programs: a server, and people who send and fetch files from the command line.

use crate::{
    failure::Failure,
    proof::{Scratch, natterd::Launch},
    workspace::Workspace,
};
use load::clock::Clock;
use std::{
    fs::{self, File},
    io::{Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

/// Where files are sent to.
const ROOM: &str = "files";

/// How long a program may take for one transfer.
const PATIENCE: Duration = Duration::from_secs(900);

/// How often it is looked whether one has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Bytes of a random file that are made, and compared, at once.
const PIECE: usize = 1 << 20;

/// The programs of one proof, built for release.
pub struct Programs<'a> {
    workspace: &'a Workspace,
    /// Where all of them keep what they keep.
    pub scratch: Scratch,
}

/// A person who moves a file.
#[derive(Debug)]
pub struct Mover {
    child: Child,
    name: String,
    said: PathBuf,
}

impl<'a> Programs<'a> {
    /// Builds them.
    ///
    /// # Errors
    /// Fails if they can't be built.
    pub fn build(workspace: &'a Workspace, proof: &str) -> Result<Self, Failure> {
        let packages = ["build", "--release", "--bins", "-p", "server", "-p", "client", "-p", "load"];
        workspace.cargo().args(packages).run()?;
        Ok(Self { workspace, scratch: Scratch::create(workspace, proof)? })
    }

    /// Where one of them lies.
    pub fn program(&self, name: &str) -> PathBuf {
        self.workspace.root.join("target/release").join(name)
    }

    /// Where a file of this name lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// How a server with this store is started, whose files may have any size.
    ///
    /// # Errors
    /// Fails if no port is free.
    pub fn launch(&self, store: &str) -> Result<Launch, Failure> {
        let (data, temp) = (self.path("data").display().to_string(), self.path("").display().to_string());
        let mut args = vec!["--store", store, "--max-file-mib", "1048576", "--file-space-mib", "1048576"];
        args.extend(if store == "memory" { ["--temp", &temp] } else { ["--data", &data] });
        Launch::new(&self.program("natterd"), self.scratch.path(), &args)
    }

    /// Has this person send a file.
    ///
    /// # Errors
    /// Fails if the program can't be started.
    pub fn send(&self, who: &str, server: SocketAddr, file: &Path) -> Result<Mover, Failure> {
        self.start(who, "send", server, &[file.as_os_str()])
    }

    /// Has this person fetch the newest file of this name.
    ///
    /// # Errors
    /// Fails if the program can't be started.
    pub fn get(&self, who: &str, server: SocketAddr, name: &str, to: &Path) -> Result<Mover, Failure> {
        self.start(who, "get", server, &[name.as_ref(), "-o".as_ref(), to.as_os_str()])
    }

    fn start(
        &self,
        who: &str,
        what: &str,
        server: SocketAddr,
        args: &[&std::ffi::OsStr],
    ) -> Result<Mover, Failure> {
        let program = self.program("natter");
        let said = self.path(&format!("{who}.said"));
        let err = File::options().append(true).create(true).open(&said);
        let err = err.map_err(|source| Failure::Write { path: said.clone(), source })?;
        let child = Command::new(&program)
            .args([what, &server.to_string(), "-u", who, "--room", ROOM])
            .arg("--state")
            .arg(self.path(&format!("{who}.state")))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(err)
            .spawn()
            .map_err(|source| Failure::Read { path: program, source })?;
        Ok(Mover { child, name: format!("{who} ({what})"), said })
    }
}

impl Mover {
    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// Fails if the system can't say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        self.child.try_wait().map_err(|source| Failure::Read { path: self.said.clone(), source })
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Errors
    /// Fails if the system refuses that.
    pub fn kill(&mut self) -> Result<(), Failure> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|source| Failure::Read { path: self.said.clone(), source })
    }

    /// Waits until it has done what it was asked to.
    ///
    /// # Errors
    /// [`Failure::Unmeasured`] with its last words if it has not.
    pub fn finish(mut self) -> Result<(), Failure> {
        let clock = Clock::start();
        loop {
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.unmeasured(&format!("it ended with {status}"))),
                None if clock.now() > PATIENCE => {
                    self.kill()?;
                    return Err(self.unmeasured("it does not come to an end"));
                }
                None => thread::sleep(LOOK),
            }
        }
    }

    fn unmeasured(&self, why: &str) -> Failure {
        let said = fs::read_to_string(&self.said).unwrap_or_default();
        let last = said.lines().rev().take(5).collect::<Vec<_>>();
        let last = last.into_iter().rev().collect::<Vec<_>>().join(" / ");
        Failure::Unmeasured { what: self.name.clone(), why: format!("{why}: {last}") }
    }
}

/// Makes a file of random bytes, which nothing can make smaller and no server has yet.
///
/// # Errors
/// Fails if it can't be written.
pub fn make_file(path: &Path, bytes: u64) -> Result<(), Failure> {
    let failed = |source| Failure::Write { path: path.to_owned(), source };
    let mut random = File::open("/dev/urandom").map_err(failed)?;
    let mut file = File::create(path).map_err(failed)?;
    let mut piece = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        random.read_exact(&mut piece[..most]).map_err(failed)?;
        file.write_all(&piece[..most]).map_err(failed)?;
        left -= most as u64;
    }
    file.sync_all().map_err(failed)
}

/// Whether two files are equal, byte for byte.
///
/// # Errors
/// Fails if one can't be read.
pub fn are_equal(one: &Path, other: &Path) -> Result<bool, Failure> {
    let open = |path: &Path| {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        opened.map_err(|source| Failure::Read { path: path.to_owned(), source })
    };
    let ((one_size, mut one_file), (other_size, mut other_file)) = (open(one)?, open(other)?);
    if one_size != other_size {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    let mut rest = one_size;
    while rest > 0 {
        let most = usize::try_from(rest).unwrap_or(PIECE).min(PIECE);
        let failed = |source| Failure::Read { path: one.to_owned(), source };
        one_file.read_exact(&mut left[..most]).map_err(failed)?;
        other_file.read_exact(&mut right[..most]).map_err(failed)?;
        if left[..most] != right[..most] {
            return Ok(false);
        }
        rest -= most as u64;
    }
    Ok(true)
}
