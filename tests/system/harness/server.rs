//! The real `natterd` on loopback.

use super::Transcript;
use super::process::{Finished, Process};
use rustix::process::Signal;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A running server.
pub struct Server {
    process: Process,
    addr: SocketAddr,
    args: Vec<String>,
    home: TempDir,
}

/// Where a server keeps what is said.
#[derive(Clone, Copy)]
enum Kept<'a> {
    InMemory,
    /// In a folder of its own.
    OnDisk,
    /// In this one.
    In(&'a Path),
}

impl Server {
    /// Starts one on any free port.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with more options.
    pub async fn start_with(args: &[&str]) -> Self {
        Self::launch("127.0.0.1", 0, args).await
    }

    /// Starts one that keeps everything in this folder.
    pub async fn start_in(data: &Path) -> Self {
        Self::start_in_with(data, &[]).await
    }

    /// The same with more options.
    pub async fn start_in_with(data: &Path, args: &[&str]) -> Self {
        let server = Self::try_launch("127.0.0.1", free_port(), Kept::In(data), args).await;
        server.expect("the server starts")
    }

    /// Starts one that listens on every address of this machine; the tests reach it on loopback all the same.
    pub async fn start_on_all_addresses(args: &[&str]) -> Self {
        Self::launch("0.0.0.0", 0, args).await
    }

    /// Starts one that will be restarted on its port.
    ///
    /// Clients go on trying to reach it in between. On a port that the kernel gives to outgoing connections such a
    /// client may connect to itself and then hold the port, so one below that range is taken. Another test may be
    /// faster in taking it: then the next one is tried.
    pub async fn start_to_be_restarted() -> Self {
        Self::start_on_a_low_port(Kept::InMemory, &[]).await
    }

    /// The same with a store that a restart finds again.
    pub async fn start_durable() -> Self {
        Self::start_durable_with(&[]).await
    }

    /// The same with more options.
    pub async fn start_durable_with(args: &[&str]) -> Self {
        Self::start_on_a_low_port(Kept::OnDisk, args).await
    }

    async fn start_on_a_low_port(kept: Kept<'_>, args: &[&str]) -> Self {
        for _ in 0..20 {
            if let Some(server) = Self::try_launch("127.0.0.1", free_port(), kept, args).await {
                return server;
            }
        }
        panic!("no port was free for long enough");
    }

    async fn launch(host: &str, port: u16, more: &[&str]) -> Self {
        let server = Self::try_launch(host, port, Kept::InMemory, more).await;
        server.expect("the server starts")
    }

    /// `None` if it ends at once.
    async fn try_launch(host: &str, port: u16, kept: Kept<'_>, more: &[&str]) -> Option<Self> {
        let port = port.to_string();
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let data = home.path().join("data").display().to_string();
        let store = match kept {
            Kept::InMemory => ["--store", "memory"],
            Kept::OnDisk => ["--data", data.as_str()],
            Kept::In(folder) => ["--data", folder.to_str().expect("temporary folders have plain names")],
        };
        let place = ["--host", host, "-p", port.as_str()];
        let args = place.iter().chain(&store).chain(more);
        let args: Vec<_> = args.map(|arg| (*arg).to_owned()).collect();
        let (process, addr) = listening(&args, &home).await?;
        Some(Self { process, addr, args, home })
    }

    /// Where clients reach it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it writes to stdout.
    pub fn out(&self) -> &Transcript {
        &self.process.out
    }

    /// What it writes to stderr.
    pub fn err(&self) -> &Transcript {
        &self.process.err
    }

    /// Resident memory in KiB.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most resident memory that there ever was, in KiB.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Threads.
    pub fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    fn status(&self, field: &str) -> u64 {
        let id = self.process.id().expect("the server runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no {field} in {status}"))
    }

    /// Ends it at once, as `kill -9` does.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Kills it and starts another on the same port.
    pub async fn restart(&mut self) {
        self.process.kill().await;
        self.start_again().await;
    }

    /// Asks it to stop, as a service manager does, and waits until it has.
    pub async fn stop(&mut self) -> Finished {
        self.stop_by(Signal::TERM).await
    }

    /// Sends it a signal, and waits until it has ended.
    pub async fn stop_by(&mut self, signal: Signal) -> Finished {
        self.signal(signal);
        self.process.finished().await
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> Finished {
        self.process.finished().await
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Starts another on the same port after [`Server::stop`].
    pub async fn start_again(&mut self) {
        let port = self.addr.port().to_string();
        let at = self.args.iter().position(|arg| arg == "-p").expect("-p is given");
        self.args[at + 1] = port;
        let (process, addr) = listening(&self.args, &self.home).await.expect("the port is still free");
        self.process = process;
        self.addr = addr;
    }
}

/// Starts a server and waits until it says where it listens; `None` if it ends instead.
async fn listening(args: &[String], home: &TempDir) -> Option<(Process, SocketAddr)> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let process = Process::start("natterd", &args, home.path());
    let line = process.out.line_or_end("listening on ").await?;
    let addr =
        line.split_once("listening on ").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    let mut addr: SocketAddr = addr.unwrap_or_else(|| panic!("no address in {line:?}"));
    if addr.ip().is_unspecified() {
        addr.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Some((process, addr))
}

/// A port that is free now, below those that Linux gives to outgoing connections, and another one each time.
fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id().wrapping_mul(31) + n * 7) % 10_000;
        let port = u16::try_from(port).expect("less than 30,000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
