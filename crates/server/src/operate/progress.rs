//! How far something is, on stderr: only when it takes longer than half a second, and on one line of a terminal.

use crate::store::Stage;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How long something may take without a word.
const QUIET: Duration = Duration::from_millis(500);

/// How often a terminal, and how often a file, is told.
const OFTEN: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(10);

/// What was told so far.
#[derive(Debug)]
pub struct Progress {
    told: Instant,
    /// Whether a line stands on the terminal that the next one replaces.
    is_open: bool,
    is_first: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self { told: now(), is_open: false, is_first: true }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long an operator waits is told by a real clock")]
fn now() -> Instant {
    Instant::now()
}

impl Progress {
    /// Tells how far it is, if it is time to.
    pub fn tell(&mut self, stage: &Stage) {
        let is_terminal = std::io::stderr().is_terminal();
        let often = if is_terminal { OFTEN } else { SELDOM };
        let pause = if self.is_first { QUIET } else { often };
        let now = now();
        if now.duration_since(self.told) < pause {
            return;
        }
        (self.told, self.is_first) = (now, false);
        let mut stderr = std::io::stderr().lock();
        let line = words(stage);
        // Whoever does not listen misses nothing that matters.
        let _ = if is_terminal { write!(stderr, "\r\x1b[K{line}") } else { writeln!(stderr, "{line}") };
        self.is_open = is_terminal;
    }

    /// Clears the line.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn words(stage: &Stage) -> String {
    let Stage { doing, what, done, all } = stage;
    if *all == 0 { format!("{doing} {what} …") } else { format!("{doing} {what}: {done} of {all}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_told_with_its_extent_where_that_is_known() {
        let stage = Stage { doing: "copying", what: "entries", done: 3, all: 10 };
        assert_eq!(words(&stage), "copying entries: 3 of 10");
        assert_eq!(words(&Stage { doing: "checking", what: "pages", done: 0, all: 0 }), "checking pages …");
    }
}
