//! What the caller can decide. Every choice is bounded, and so is the time that a run takes.

use crate::ledger::{Extent, MIN_TEXT};
use crate::process::Process;
use crate::saturated::Span;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::time::Duration;

/// Puts a chat server on this machine under load, checks every delivery, and prints one line of JSON
#[derive(Clone, Debug, Parser)]
#[command(name = "natter-load", version)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Saturated fan-out: senders stay a window ahead of their slowest receiver
    #[command(visible_alias = "w1")]
    Saturated(SaturatedOptions),
    /// Paced: texts by a schedule, and how long they take
    #[command(visible_alias = "w2")]
    Paced(PacedOptions),
    /// Stored: texts, and how long it takes until they are acknowledged
    #[command(visible_alias = "w6")]
    Stored(StoredOptions),
    /// Idle: connections that say nothing, and the memory that they cost
    #[command(visible_alias = "w4")]
    Idle(IdleOptions),
    /// A file from one sender to everybody in a room, and the memory that it costs
    #[command(visible_alias = "w5")]
    File(FileOptions),
    /// Attack: strangers with nothing but random secrets, who try to use a server up
    Attack(AttackOptions),
    /// Serve as the bare limit, which does as little as a server can
    #[command(visible_alias = "l1")]
    Limit(LimitOptions),
}

/// The server and how to speak to it.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// Where the server listens; only addresses of this machine
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_loopback)]
    pub server: SocketAddr,

    /// What it speaks
    #[arg(long, value_enum, default_value_t = Dialect::Native)]
    pub dialect: Dialect,

    /// Its process id, for its processor time and memory
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,

    /// Seconds without progress after which the run has failed
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub patience: u64,
}

impl Target {
    /// The server's process, if it was named.
    pub fn process(&self) -> Option<Process> {
        self.server_pid.map(Process::with_id)
    }

    /// How long to wait for progress.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

/// A dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// natter's own
    Native,
    /// That of the older Python program
    Classic,
    /// NATS core
    Nats,
    /// That of the bare-limit server
    Limit,
}

/// What is sent, and for how long.
#[derive(Clone, Copy, Debug, Args)]
pub struct Texts {
    /// Bytes of a text
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(MIN_TEXT as i64..=4_096))]
    pub text: u32,

    /// Seconds that are not counted, at the beginning
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub warm_up: u64,

    /// Seconds that are counted
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
}

impl Texts {
    /// How long it takes.
    pub fn span(&self, patience: Duration) -> Span {
        Span {
            warm_up: Duration::from_secs(self.warm_up),
            counted: Duration::from_secs(self.seconds),
            patience,
        }
    }
}

/// One room, and how long.
#[derive(Clone, Copy, Debug, Args)]
pub struct Room {
    /// Connections that receive every text
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub receivers: u32,

    /// Connections that send
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub senders: u32,

    /// What is sent, and for how long.
    #[command(flatten)]
    pub texts: Texts,
}

impl Room {
    /// How many there are of everything, with this window.
    pub fn extent(&self, window: u32) -> Extent {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Extent {
            receivers: size(self.receivers),
            senders: size(self.senders),
            window: size(window),
            text: size(self.texts.text),
        }
    }
}

/// Options of the saturated workload.
#[derive(Clone, Debug, Args)]
pub struct SaturatedOptions {
    /// The server.
    #[command(flatten)]
    pub target: Target,

    /// The room.
    #[command(flatten)]
    pub room: Room,

    /// Texts that a sender may be ahead of its slowest receiver
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub window: u32,
}

/// Options of the paced workload.
#[derive(Clone, Debug, Args)]
pub struct PacedOptions {
    /// The server.
    #[command(flatten)]
    pub target: Target,

    /// The room.
    #[command(flatten)]
    pub room: Room,

    /// Texts a second, of all senders together
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,

    /// More connections in the room, which read nothing until the end, and everything then
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=5_000))]
    pub stalled: u32,
}

/// Options of the stored workload.
#[derive(Clone, Debug, Args)]
pub struct StoredOptions {
    /// The server.
    #[command(flatten)]
    pub target: Target,

    /// Connections that send
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub clients: u32,

    /// Texts a second, of all of them together; as many as their windows take unless given
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,

    /// Texts that a client leaves unacknowledged at most
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub window: u32,

    /// What is sent, and for how long.
    #[command(flatten)]
    pub texts: Texts,
}

/// Options of the idle workload.
#[derive(Clone, Debug, Args)]
pub struct IdleOptions {
    /// The server; its process id must be given.
    #[command(flatten)]
    pub target: Target,

    /// Connections
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub connections: u32,

    /// How many of them are in one room
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub per_room: u32,
}

/// Options of the file workload.
#[derive(Clone, Debug, Args)]
pub struct FileOptions {
    /// The server.
    #[command(flatten)]
    pub target: Target,

    /// Connections that receive it
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub receivers: u32,

    /// Its size in MiB
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub mib: u32,
}

/// Options of the attack.
#[derive(Clone, Debug, Args)]
pub struct AttackOptions {
    /// Where the server listens; only addresses of this machine
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_loopback)]
    pub server: SocketAddr,

    /// Send to a sink of its own instead, which only takes it
    #[arg(long)]
    pub sink: bool,

    /// Addresses that the attackers come from, 127.0.0.2 and on
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub addresses: u32,

    /// Only the attack with this number; 9 is of connections that are silent, slow, garbage or half
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub only: Option<u8>,

    /// How many people are there to be bothered
    #[arg(long, default_value_t = 100)]
    pub people: u32,

    /// Unlike that of other runs against the same server, so that strangers are new
    #[arg(long, default_value_t = 1)]
    pub run: u64,

    /// Seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
}

/// Options of the bare-limit server.
#[derive(Clone, Debug, Args)]
pub struct LimitOptions {
    /// Where to listen; only addresses of this machine
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0", value_parser = parse_loopback)]
    pub listen: SocketAddr,

    /// Seconds after which it ends
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
}

/// An address of this machine: load is never sent to another one.
fn parse_loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "an address with a port is needed, such as 127.0.0.1:12000".to_owned())?;
    if address.ip().to_canonical().is_loopback() {
        Ok(address)
    } else {
        Err("only addresses of this machine are taken: 127.0.0.1 or [::1]".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_options_are_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn load_goes_to_this_machine_only() {
        for (address, here) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("192.0.2.1:1", false),
            ("0.0.0.0:1", false),
            ("[2001:db8::1]:1", false),
            ("localhost:1", false),
        ] {
            assert_eq!(parse_loopback(address).is_ok(), here, "{address}");
        }
    }
}
