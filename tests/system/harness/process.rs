//! Programs as child processes: started in an empty environment of their own, ended with the test.

use super::{PATIENCE, Transcript, binary::program};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

/// A running program. When this is dropped it is killed, and a panic in its output fails the test.
pub struct Process {
    name: String,
    child: Child,
    /// Its input, until it is closed.
    pub input: Option<ChildStdin>,
    /// What it writes to stdout.
    pub out: Transcript,
    /// What it writes to stderr.
    pub err: Transcript,
}

/// How a program ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub out: String,
    /// What it wrote to stderr.
    pub err: String,
}

impl Process {
    /// Starts `natterd` or `natter`; all its files go below `home`.
    pub fn start(name: &str, args: &[&str], home: &Path) -> Self {
        std::fs::create_dir_all(home.join("run")).expect("a folder for sockets can be made");
        let mut child = Command::new(program(name))
            .args(args)
            .env_clear()
            .envs(std::env::vars_os().filter(|(key, _)| key == "PATH" || key == "LLVM_PROFILE_FILE"))
            .env("HOME", home)
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_RUNTIME_DIR", home.join("run"))
            .env("NATTER_RECEIVED", home.join("received"))
            // What is larger is asked about by default, and a pipe has nobody to answer.
            .env("NATTER_MAX_RECEIVE", "256")
            .env("RUST_BACKTRACE", "1")
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let out = child.stdout.take().expect("stdout is a pipe");
        let err = child.stderr.take().expect("stderr is a pipe");
        Self {
            input: child.stdin.take(),
            out: Transcript::of(&format!("{name}'s stdout"), out),
            err: Transcript::of(&format!("{name}'s stderr"), err),
            name: format!("{name} {}", args.join(" ")),
            child,
        }
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Interrupts it, as Ctrl+C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw).expect("the program runs");
        kill_process(pid, signal).expect("our own child takes our signal");
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("our own child can be killed");
    }

    /// Waits for its end and for the last of its output.
    pub async fn finished(&mut self) -> Finished {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("the program goes on:\n{}", self.outputs()));
        self.out.ended().await;
        self.err.ended().await;
        Finished {
            code: status.expect("a child can be waited for").code(),
            out: self.out.text(),
            err: self.err.text(),
        }
    }

    fn outputs(&self) -> String {
        let Self { name, out, err, .. } = self;
        format!("=== {name}\n--- stdout\n{}\n--- stderr\n{}", out.text(), err.text())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.outputs());
        } else {
            let panicked = self.err.text().contains("panicked at");
            assert!(!panicked, "a program panicked:\n{}", self.outputs());
        }
    }
}

/// Runs a program with empty input to its end.
pub async fn run(name: &str, args: &[&str]) -> Finished {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let mut process = Process::start(name, args, home.path());
    process.input = None;
    process.finished().await
}
