//! Faults that took effect, counted: a fault that is planned and changes nothing proves nothing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! sometimes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// Something that should happen in some runs.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        pub enum Sometimes {
            $($(#[$doc])* #[doc = $text] $name),*
        }

        impl Sometimes {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// In words.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

sometimes! {
    CutMidSend = "a cut dropped bytes that were on their way",
    CutMidFile = "a cut dropped bytes of a file",
    LongOneWayCut = "a cut in one direction outlasted the heartbeat",
    HeldAndReleased = "bytes were held back and then arrived",
    HalfOpenReaped = "the server gave up a connection whose other end was gone",
    ResetUnread = "a reset threw away bytes that were not read yet",
    ReconnectUnknown = "a client came back with a post of which it did not know whether it had arrived",
    ReconnectArrived = "a client learned at login that a post had arrived",
    ForgotWhatArrived = "a script without a memory learned at login that what it forgot had arrived",
    ResumeBehind = "a client resumed behind the head",
    LiveDuringHistory = "an entry was stored while a reader was given older ones",
    ServerDied = "the server's process or machine died",
    ClientDied = "a client's process or machine died",
    CrashUnsynced = "the server lost its power with a batch that was not synced",
    CrashSynced = "the server crashed between a sync and its acknowledgement",
    CrashFile = "the server crashed while a file arrived",
    LostName = "a power loss took a file's new name away",
    LostBytes = "a power loss took bytes of a file away",
    FileResumed = "a file went on where it was cut",
    FileArrived = "a file arrived",
    ClientUnsynced = "a client's machine lost its power with bytes that were not synced",
    ClientResent = "a client sent after its crash what it had written before",
    LateReader = "a reader was shown what was stored 20 seconds before",
    WriterParked = "a writer had to wait for a reader",
    SlowLink = "a writer had to wait for a slow link",
    Storm = "32 clients or more came back within a second",
    DiskFull = "the store refused a post because its disk was full",
    StoreFailed = "a failed sync ended the server",
    SlowSync = "a sync took longer than half a second",
    Drained = "the server was stopped with posts in flight",
    NewHistory = "a client found a new history",
    ClassicCut = "a classic client's connection was reset after a cut",
    Recalled = "somebody read again what was said before",
    EditSeen = "somebody was shown a change of a line that they had read",
    DeleteSeen = "somebody was shown that a line was taken back that they had read",
    ChangedBefore = "somebody was shown a line that came with a change in it",
    Withdrawn = "a line was changed or taken back before it was sent",
    Answered = "somebody was shown an answer with the line that it answers",
    SearchHit = "a search found something",
    SearchedGone = "a search for what was taken back found nothing",
    BeginningTold = "a reader was told that a history begins later than they had read",
    ShortRead = "bytes came in pieces of a few",
}

impl Sometimes {
    /// Whether only a fault brings it about: the others happen in calm runs as well.
    pub const fn is_fault(self) -> bool {
        !matches!(
            self,
            Self::Answered
                | Self::BeginningTold
                | Self::ChangedBefore
                | Self::DeleteSeen
                | Self::EditSeen
                | Self::SearchHit
                | Self::SearchedGone
                | Self::Withdrawn
                | Self::ClientResent
                | Self::ForgotWhatArrived
                | Self::LateReader
                | Self::LiveDuringHistory
                | Self::Recalled
                | Self::ReconnectArrived
                | Self::ResumeBehind
                | Self::ShortRead
                | Self::SlowLink
                | Self::WriterParked
        )
    }
}

/// How often each of them happened.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Coverage(BTreeMap<Sometimes, u64>);

impl Coverage {
    /// It happened.
    pub fn hit(&mut self, what: Sometimes) {
        *self.0.entry(what).or_default() += 1;
    }

    /// How often it happened.
    pub fn count(&self, what: Sometimes) -> u64 {
        self.0.get(&what).copied().unwrap_or(0)
    }

    /// Whether a fault took effect.
    pub fn felt(&self) -> bool {
        self.0.keys().any(|what| what.is_fault())
    }

    /// What happened in fewer runs than `times`.
    pub fn rarer_than(&self, times: u64) -> Vec<Sometimes> {
        Sometimes::ALL.iter().copied().filter(|what| self.count(*what) < times).collect()
    }

    /// Those that happened.
    pub fn iter(&self) -> impl Iterator<Item = (Sometimes, u64)> {
        self.0.iter().map(|(what, count)| (*what, *count))
    }

    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in other.iter() {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Counts those of another run, each once.
    pub fn add_run(&mut self, other: &Self) {
        other.iter().for_each(|(what, _)| self.hit(what));
    }
}
