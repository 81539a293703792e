//! What one client does, as data.

use serde::{Deserialize, Serialize};

/// A client.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClientPlan {
    /// Where it runs.
    pub host: usize,
    /// Whose it is: two clients of one person are two devices.
    pub person: u16,
    /// It speaks the classic dialect.
    pub classic: bool,
    /// It never comes: a plan that was made smaller keeps the numbers of those who are left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    /// It is a script without a memory: when it comes back it knows who it is, and nothing of what it sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgetful: bool,
    /// It leaves for good when all is healed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaves: bool,
    /// A person sits in front of it, not a script.
    pub interactive: bool,
    /// What it does, in order.
    pub steps: Vec<Step>,
}

/// Something that is done at a time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// When, in ms; later if what comes before it takes longer.
    pub at: u64,
    /// What.
    pub op: Op,
}

/// Something that a client does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Op {
    /// Says so many lines of so many bytes, where it is.
    Say {
        /// Lines.
        lines: u32,
        /// Bytes of each beside its token.
        bytes: usize,
    },
    /// Says a line that names a person.
    Mention {
        /// Whom.
        person: u16,
    },
    /// `/me`.
    Act,
    /// `/reply` to the last line of somebody else.
    Reply,
    /// `/reply` to a line of somebody else, by its number.
    Answer {
        /// How many such lines are between it and the end.
        back: usize,
    },
    /// `/edit`, of the last line of one's own, or by the number of an earlier one.
    Edit {
        /// How many lines of one's own are behind it.
        back: usize,
    },
    /// `/delete`, in the same way.
    Delete {
        /// How many lines of one's own are behind it.
        back: usize,
    },
    /// `/search` for a line.
    Search {
        /// Whose.
        client: u16,
        /// Their how manieth.
        n: u32,
        /// For the last one that was seen to be changed or taken back instead, if there is one.
        gone: bool,
        /// In all rooms.
        everywhere: bool,
    },
    /// A direct message to a person.
    Msg {
        /// Whom.
        person: u16,
    },
    /// `/join`, which also goes there.
    Join {
        /// Which room, by its number.
        room: u16,
    },
    /// `/part`.
    Part {
        /// Which room, by its number.
        room: u16,
    },
    /// `/nick`: one's own name with this number behind it.
    Nick {
        /// The number.
        n: u16,
    },
    /// `/away`.
    Away,
    /// `/back`.
    Back,
    /// `/topic`.
    Topic,
    /// `/history`.
    History,
    /// `/who`.
    Who,
    /// `/list`.
    List,
    /// `/whois` a person.
    Whois {
        /// Whom.
        person: u16,
    },
    /// Sends a file of so many bytes.
    Send {
        /// Bytes.
        bytes: u32,
    },
    /// Leaves with `/quit` and comes back.
    Leave {
        /// After so many ms.
        away_ms: u64,
    },
    /// Looks away: nothing is shown for a while, so that it becomes a slow reader.
    LookAway {
        /// So many ms.
        ms: u64,
    },
}

impl Op {
    /// Whether it puts an entry into a log, if all goes well.
    pub fn is_post(&self) -> bool {
        match self {
            Self::Say { .. }
            | Self::Mention { .. }
            | Self::Act
            | Self::Reply
            | Self::Answer { .. }
            | Self::Edit { .. }
            | Self::Delete { .. }
            | Self::Msg { .. }
            | Self::Topic
            | Self::Send { .. } => true,
            Self::Search { .. }
            | Self::Join { .. }
            | Self::Part { .. }
            | Self::Nick { .. }
            | Self::Away
            | Self::Back
            | Self::History
            | Self::Who
            | Self::List
            | Self::Whois { .. }
            | Self::Leave { .. }
            | Self::LookAway { .. } => false,
        }
    }
}

impl ClientPlan {
    /// How many posts it plans.
    pub fn posts(&self) -> usize {
        let posts = self.steps.iter().map(|step| match step.op {
            Op::Say { lines, .. } => lines as usize,
            _ => usize::from(step.op.is_post()),
        });
        posts.sum()
    }

    /// How many bytes of files it plans to send.
    pub fn file_bytes(&self) -> u64 {
        let bytes =
            self.steps.iter().map(|step| if let Op::Send { bytes } = step.op { u64::from(bytes) } else { 0 });
        bytes.sum()
    }
}
