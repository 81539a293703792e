//! Programs at a terminal of their own: what they write is read all the time, keys are written to them.

use super::{PATIENCE, binary::program};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize,
};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::spawn;
use std::time::Duration;
use tokio::time::Instant;

/// A terminal with a program at it, which leads its session. Both end with the test.
pub struct Pty {
    keys: File,
    /// Holds the terminal open, and knows its modes.
    terminal: OwnedFd,
    child: Child,
    seen: Arc<Seen>,
    /// Bytes that were waited for already.
    read: usize,
}

#[derive(Default)]
struct Seen {
    bytes: Mutex<Vec<u8>>,
    more: Condvar,
    /// Nobody looks: what is written stays in the terminal, until it takes no more.
    deaf: AtomicBool,
}

impl Pty {
    /// Starts a command at a new terminal of 80 by 24; all its files go below `home`.
    pub fn start(command: &[&str], home: &Path) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it can be opened");
        let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("of ASCII");
        let slave = || OpenOptions::new().read(true).write(true).open(&name).expect("it opens");
        let terminal = OwnedFd::from(slave());
        // Not the usual modes, so that nobody passes by setting those.
        let mut modes = tcgetattr(&terminal).expect("it has modes");
        modes.local_modes -= LocalModes::ECHOE;
        modes.input_modes |= InputModes::IXANY;
        tcsetattr(&terminal, OptionalActions::Now, &modes).expect("they can be set");
        let pty = Self {
            keys: File::from(master.try_clone().expect("a copy")),
            child: Command::new("setsid")
                .arg("--ctty")
                .args(command)
                .env_clear()
                .envs(std::env::vars_os().filter(|(key, _)| key == "PATH" || key == "LLVM_PROFILE_FILE"))
                .env("HOME", home)
                .env("XDG_STATE_HOME", home.join("state"))
                .env("NATTER_RECEIVED", home.join("received"))
                .env("TERM", "xterm-256color")
                .env("NO_COLOR", "1")
                .env("LC_ALL", "C.UTF-8")
                .env("PS1", "SHELL> ")
                .env("TZ", "UTC")
                .current_dir(home)
                .stdin(slave())
                .stdout(slave())
                .stderr(slave())
                .spawn()
                .expect("setsid is there (util-linux)"),
            terminal,
            seen: Arc::default(),
            read: 0,
        };
        pty.resize(80, 24);
        let (mut screen, seen) = (File::from(master), Arc::clone(&pty.seen));
        #[expect(clippy::disallowed_methods, reason = "a terminal blocks, and nothing here is simulated")]
        let _reads = spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                while seen.deaf.load(Ordering::SeqCst) {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                seen.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..read]);
                seen.more.notify_all();
            }
        });
        pty
    }

    /// The path of `natter`.
    pub fn natter() -> String {
        program("natter").display().to_string()
    }

    /// Types these bytes. A program that takes none for long fails the test.
    pub fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is there");
    }

    /// Whether the terminal takes no more output than fits into it.
    pub fn takes_nothing(&self, nothing: bool) {
        self.seen.deaf.store(nothing, Ordering::SeqCst);
    }

    /// Gives it another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.terminal, size).expect("the terminal is there");
    }

    /// Waits until `part` is written, behind what was waited for before; within `limit`.
    pub fn shows_within(&mut self, part: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut bytes = self.seen.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let found = bytes[self.read..].windows(part.len()).position(|at| at == part.as_bytes());
            if let Some(found) = found {
                self.read += found + part.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{part:?} is not shown within {limit:?}:\n{}", tail(&bytes));
            let waited = self.seen.more.wait_timeout(bytes, left);
            bytes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until `part` is written, behind what was waited for before.
    pub fn shows(&mut self, part: &str) {
        self.shows_within(part, PATIENCE);
    }

    /// All that was written.
    pub fn text(&self) -> String {
        let bytes = self.seen.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The terminal's modes, as `stty -g` tells them.
    pub fn modes(&self) -> String {
        let Termios { input_modes, output_modes, control_modes, local_modes, special_codes, .. } =
            tcgetattr(&self.terminal).expect("the terminal is there");
        format!("{input_modes:?} {output_modes:?} {control_modes:?} {local_modes:?} {special_codes:?}")
    }

    /// Waits until the modes are these.
    pub fn has_modes(&self, modes: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.modes() != modes {
            assert!(Instant::now() < deadline, "{}\nis not\n{modes}", self.modes());
            self.wait_for_more(Duration::from_millis(20));
        }
    }

    fn wait_for_more(&self, limit: Duration) {
        let bytes = self.seen.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.seen.more.wait_timeout(bytes, limit));
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        match kill_process(pid, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until the program has ended.
    pub fn finished(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it goes on:\n{}", self.text());
            self.wait_for_more(Duration::from_millis(20));
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.takes_nothing(false);
        self.signal(Signal::CONT);
        self.signal(Signal::HUP);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(3_000)..]).escape_debug().to_string()
}
