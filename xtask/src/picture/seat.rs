//! A program in the conversation: what it is told and what it prints.

use crate::failure::Failure;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// How often a screen is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How often at most: a quarter of a minute.
const LOOKS: usize = 750;

/// A running program; it is ended with this value.
pub struct Seat {
    child: Child,
    out: PathBuf,
}

impl Seat {
    /// Starts a program of this checkout in a folder.
    ///
    /// # Errors
    /// Fails if it can't be started.
    pub fn start(root: &Path, folder: &Path, program: &str, args: &[&str]) -> Result<Self, Failure> {
        let out = folder.join(format!("{program}-{}.out", args.join("_").replace('/', "_")));
        let path = root.join("target/debug").join(program);
        let failed = |source| Failure::Write { path: out.clone(), source };
        let output = File::create(&out).map_err(failed)?;
        // One file for both, as on a terminal.
        let errors = output.try_clone().map_err(failed)?;
        let child = Command::new(&path)
            .args(args)
            .current_dir(folder)
            .env("XDG_STATE_HOME", folder.join("state"))
            .env("NATTER_RECEIVED", "Downloads/natter")
            .env("CLICOLOR_FORCE", "1")
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .env("RUST_LOG", "error")
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| Failure::Read { path, source })?;
        Ok(Self { child, out })
    }

    /// Types a line.
    ///
    /// # Errors
    /// Fails if the program has ended.
    pub fn say(&mut self, line: &str) -> Result<(), Failure> {
        let failed = |source| Failure::Write { path: self.out.clone(), source };
        match &mut self.child.stdin {
            Some(stdin) => writeln!(stdin, "{line}").and_then(|()| stdin.flush()).map_err(failed),
            None => Ok(()),
        }
    }

    /// All that it has printed.
    ///
    /// # Errors
    /// Fails if that can't be read.
    pub fn screen(&self) -> Result<String, Failure> {
        fs::read_to_string(&self.out).map_err(|source| Failure::Read { path: self.out.clone(), source })
    }

    /// The first whole line with this text in it, as soon as it is there.
    ///
    /// # Errors
    /// Fails if it never comes.
    pub fn wait_for(&self, text: &str) -> Result<String, Failure> {
        for _ in 0..LOOKS {
            let screen = self.screen()?;
            let whole = screen.rfind('\n').map_or("", |end| &screen[..end]);
            if let Some(line) = whole.lines().find(|line| plain(line).contains(text)) {
                return Ok(plain(line));
            }
            thread::sleep(LOOK);
        }
        Err(Failure::Unsaid { text: text.to_owned(), screen: self.screen()? })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line without its colours.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        text.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    text + rest
}
