//! What goes wrong, as data.

use serde::{Deserialize, Serialize};

/// A fault.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// When it begins.
    pub when: When,
    /// What goes wrong.
    pub kind: Kind,
}

/// When a fault begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum When {
    /// At this time, in ms.
    At(u64),
    /// While the server stores its n-th batch: before it is synced, or between that and the acknowledgement.
    Append {
        /// Which batch since the beginning of the run.
        nth: u64,
        /// After the sync.
        synced: bool,
    },
    /// While the server writes its n-th piece of a file.
    Chunk {
        /// Which piece since the beginning of the run.
        nth: u64,
    },
}

/// What goes wrong.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// Nothing moves between a host and the server; then all of it arrives.
    Hold {
        /// The host.
        host: usize,
        /// For so many ms.
        ms: u64,
    },
    /// What is sent between a host and the server is dropped.
    Cut {
        /// The host.
        host: usize,
        /// For so many ms.
        ms: u64,
        /// What the host sends.
        up: bool,
        /// What is sent to it.
        down: bool,
    },
    /// All connections of a client are reset.
    Reset {
        /// The client.
        client: u16,
    },
    /// Every connection is reset.
    ResetAll,
    /// The connections of a client stand still.
    Stall {
        /// The client.
        client: u16,
        /// For so many ms.
        ms: u64,
    },
    /// The connections of a client are gone without a word to the server.
    HalfOpen {
        /// The client.
        client: u16,
    },
    /// A client's process dies, and is started again.
    ClientCrash {
        /// The client.
        client: u16,
        /// After so many ms.
        down_ms: u64,
        /// Its machine dies with it: no goodbye, and nothing of what was not synced.
        power: bool,
    },
    /// The server's process dies, and is started again.
    ServerCrash {
        /// After so many ms.
        down_ms: u64,
        /// Its machine dies with it.
        power: bool,
    },
    /// The server is asked to stop, and started again.
    ServerStop {
        /// So many ms after it has stopped.
        down_ms: u64,
    },
    /// Syncs take long.
    SlowSync {
        /// For so many ms.
        ms: u64,
        /// Each this many ms.
        sync_ms: u64,
    },
    /// The next sync fails.
    SyncFails,
    /// The server's disk is full.
    DiskFull {
        /// For so many ms.
        ms: u64,
    },
    /// The server's clock goes wrong by so many ms, for good.
    Clock {
        /// Forward, or back.
        by_ms: i64,
    },
}

impl Kind {
    /// The number of what it strikes, from 1; 0 if that is the server or everything.
    pub fn target(&self) -> u64 {
        match *self {
            Self::Hold { host, .. } | Self::Cut { host, .. } => host as u64 + 1,
            Self::Reset { client }
            | Self::Stall { client, .. }
            | Self::HalfOpen { client }
            | Self::ClientCrash { client, .. } => u64::from(client) + 1,
            _ => 0,
        }
    }

    /// In a word or two.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Hold { .. } => "hold",
            Self::Cut { up: true, down: true, .. } => "cut",
            Self::Cut { up: true, .. } => "cut up",
            Self::Cut { .. } => "cut down",
            Self::Reset { .. } => "reset",
            Self::ResetAll => "reset all",
            Self::Stall { .. } => "stall",
            Self::HalfOpen { .. } => "half-open",
            Self::ClientCrash { power: false, .. } => "client crash",
            Self::ClientCrash { .. } => "client power loss",
            Self::ServerCrash { power: false, .. } => "server crash",
            Self::ServerCrash { .. } => "server power loss",
            Self::ServerStop { .. } => "server stop",
            Self::SlowSync { .. } => "slow sync",
            Self::SyncFails => "sync fails",
            Self::DiskFull { .. } => "disk full",
            Self::Clock { .. } => "clock",
        }
    }
}
