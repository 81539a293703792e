//! Keys that are pressed between two prompts are not shown by the terminal itself: the next prompt shows them.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io;

/// A terminal that does not echo, until this is dropped.
pub(super) struct Quiet {
    before: Option<Termios>,
}

impl Quiet {
    /// Takes the echo away. A terminal that does not let it be taken away keeps it, which only looks worse.
    pub(super) fn begin() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
        }
        Self { before }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
