//! A plan: everything that happens to a world, as data, made before it runs.
//!
//! A plan is made from a seed ([`Plan::random`]), told as a story ([`crate::story`]) or read from a file. Whatever
//! else is random in a run (latencies, pieces of reads, times of syncs) comes from its seed as well, from streams of
//! their own, so that striking out a fault or a client leaves the rest as it was.

mod client;
mod faults;
mod limits;
mod make;

pub use client::{ClientPlan, Op, Step};
pub use faults::{Fault, Kind, When};
pub use limits::{LimitsPlan, PortionsPlan, RatePlan};

use serde::{Deserialize, Serialize};

/// Everything that happens.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// What it is called.
    pub name: String,
    /// Where the rest of the randomness comes from.
    pub seed: u64,
    /// How long faults come and people talk, in ms; then everything is healed and must converge.
    pub safety_ms: u64,
    /// Hosts of clients, and their links to the server.
    pub links: Vec<Link>,
    /// What the network does to all connections.
    pub net: NetPlan,
    /// The server's store.
    pub store: StorePlan,
    /// Who is there.
    pub clients: Vec<ClientPlan>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Every line must be shown to all so many ms after it was typed, if that is asked.
    #[serde(default)]
    pub prompt_ms: Option<u64>,
    /// What the server takes from its clients, where that is less than by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsPlan>,
}

/// The link of a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Link {
    /// Bytes a second from it; 0 if it is never the bottleneck.
    pub up: u64,
    /// Bytes a second to it.
    pub down: u64,
    /// The longest time that a segment takes, in ms.
    pub latency_ms: u64,
    /// How much waits in front of it, in ms of its rate: what comes later, on whatever connection, waits behind that.
    /// With 0 nothing does, and connections take turns.
    #[serde(default)]
    pub queue_ms: u64,
}

/// What the network does to all connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetPlan {
    /// Bytes of one direction that may be on their way.
    pub window: u32,
    /// Some reads and writes move only a few bytes.
    pub short: bool,
}

/// How the server's store behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StorePlan {
    /// It forgets everything when the server ends.
    pub memory: bool,
    /// The shortest and the longest time of a sync, in ms.
    pub sync_ms: (u64, u64),
    /// How much of each room is kept.
    #[serde(default, skip_serializing_if = "KeepPlan::is_all")]
    pub keep: KeepPlan,
}

/// How much of each room is kept: all of it where nothing is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KeepPlan {
    /// So many entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Those of so many ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// So many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl KeepPlan {
    /// Whether all is kept.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

impl Plan {
    /// How many posts are planned.
    pub fn posts(&self) -> usize {
        self.clients.iter().map(ClientPlan::posts).sum()
    }
}
