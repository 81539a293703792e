//! The world: simulated hosts with a server on one of them.

use crate::files::SimFiles;
use crate::net::{SimClock, SimListener};
use protocol::id::Epoch;
use protocol::limits::DEFAULT_PORT;
use server::config::Plaintext;
use server::files::Contents;
use server::hub::Settings;
use server::run::serve_until;
use server::store::{MemoryLimits, MemoryStore};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use turmoil::{Builder, Sim};

/// When every simulated world begins, in ms since the Unix epoch: a date that nobody mistakes for today.
pub const EPOCH_MS: u64 = 1_000_000_000_000;

/// The name of the server's host.
pub const SERVER: &str = "server";

/// Segments that a simulated connection holds, and connections that may wait to be accepted.
const TCP_CAPACITY: usize = 4_096;

/// An empty world. The same seed gives the same run.
pub fn world(seed: u64, duration: Duration) -> Sim<'static> {
    Builder::new()
        .rng_seed(seed)
        // Both default to something that no two runs share.
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(EPOCH_MS))
        .simulation_duration(duration)
        .tick_duration(Duration::from_millis(5))
        .tcp_capacity(TCP_CAPACITY)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .build()
}

/// Puts a server with an empty memory store on the host [`SERVER`]; each crash gives it a new epoch.
pub fn add_server(sim: &mut Sim<'_>) {
    let starts = Arc::new(std::sync::atomic::AtomicU8::new(0));
    sim.host(SERVER, move || {
        let start = starts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            let listener = turmoil::net::TcpListener::bind(("0.0.0.0", DEFAULT_PORT)).await?;
            let store = MemoryStore::new(Epoch([start; 16]), MemoryLimits::default());
            let utc = chrono::FixedOffset::east_opt(0).ok_or("UTC is a time zone")?;
            let settings = Settings {
                max_clients: 10_000,
                max_file: 1 << 30,
                motd: String::new(),
                offset: utc,
                keep: server::keep::Retention::default(),
            };
            let contents = Contents::new(SimFiles::default(), PathBuf::from("/"), 1 << 30);
            // Nobody stops it: it ends with its host.
            let (_stop, stopped) = watch::channel(false);
            let clock = Arc::new(SimClock);
            serve_until(
                SimListener(listener),
                store,
                contents,
                clock,
                settings,
                Plaintext::Anywhere,
                stopped,
            )
            .await?;
            Ok(())
        }
    });
}
