//! What ends a run early. A run that ended early has no figures.

use std::io;
use std::time::Duration;
use thiserror::Error;

/// Why a run ended early.
#[derive(Debug, Error)]
pub enum Fault {
    /// The system refused something.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why it was refused.
        source: io::Error,
    },
    /// A connection failed.
    #[error("connection {member}: {source}")]
    Socket {
        /// Its number.
        member: usize,
        /// What the socket said.
        source: io::Error,
    },
    /// The server ended a connection.
    #[error("connection {0}: the server closed it")]
    Closed(usize),
    /// The server ended a connection, and said why.
    #[error("the server sent a connection away: {0}")]
    SentAway(String),
    /// The server said something that its protocol does not allow, or refused what it must take.
    #[error("the server said '{0}'")]
    Refused(String),
    /// The server refused a request, by its rules.
    #[error("the server refused with error {code}: {text}")]
    Denied {
        /// The code.
        code: u16,
        /// Its sentence.
        text: String,
    },
    /// A text came that is not the next one of its sender.
    #[error("receiver {receiver} expected '{expected}' and got '{got}'")]
    WrongText {
        /// Who got it.
        receiver: usize,
        /// The beginning of the text that was due.
        expected: String,
        /// The beginning of the text that came.
        got: String,
    },
    /// A text came that nobody can have sent, or that came again.
    #[error("receiver {receiver} got '{got}', which nobody was due to send")]
    StrangeText {
        /// Who got it.
        receiver: usize,
        /// The beginning of the text.
        got: String,
    },
    /// A room's numbers have a gap.
    #[error("entry {got} came where {expected} was due")]
    Gap {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// Nothing moved any more.
    #[error("{what} was not done after {} s", after.as_secs())]
    Stalled {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// More texts of a paced run were under way than can be checked.
    #[error("the server fell {0} texts behind a sender")]
    Behind(usize),
    /// What the system says about a process can't be understood.
    #[error("no {what} in '{path}'")]
    NoFigure {
        /// The figure.
        what: &'static str,
        /// The file.
        path: String,
    },
}

impl Fault {
    /// The fault of a call to the system.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// Whether a connection ended, which its client can come back from.
    pub fn is_cut(&self) -> bool {
        matches!(self, Self::Socket { .. } | Self::Closed(_) | Self::SentAway(_))
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::System { .. } => "check the limits of this process",
            Self::Socket { .. } | Self::Closed(_) | Self::SentAway(_) => {
                "check that the server runs there, and that it takes so many connections"
            }
            Self::Denied { .. } => "the table of errors in WIRE.md says what it means",
            Self::Refused(_) => "check that --dialect is that of the server",
            Self::WrongText { .. } | Self::StrangeText { .. } | Self::Gap { .. } => {
                "the server lost, doubled, damaged or reordered a text: no figure of it counts"
            }
            Self::Stalled { .. } => "the server may be stuck; --patience sets how long to wait",
            Self::Behind(_) => "the server can't keep up with this rate: give a lower --rate",
            Self::NoFigure { .. } => "check --server-pid; the figures come from Linux' /proc",
        }
    }
}
