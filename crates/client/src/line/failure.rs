//! Why the program ends without success: one line, a hint, and the exit code that scripts rely on.

use std::fmt;

/// How the program ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything worked.
    Fine = 0,
    /// The user's error.
    User = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The server or the network.
    Server = 3,
    /// The server's key is not the known one.
    Untrusted = 4,
    /// The server refused.
    Refused = 5,
    /// Interrupted.
    Interrupted = 130,
}

/// What went wrong, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What, with the value.
    pub what: String,
    /// What to do about it.
    pub hint: String,
    /// What scripts get.
    pub code: ExitCode,
}

impl Failure {
    /// A failure.
    pub fn new(code: ExitCode, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into(), code }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "natter: {}\nhint: {}", self.what, self.hint)
    }
}
