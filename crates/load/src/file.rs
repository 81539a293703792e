//! W5, a file: from one sender to everybody in a room, and what memory it costs the server.
//!
//! natter carries it as a file: stored, synced, named by its hash, fetched by each receiver ([`native`]). Servers that
//! know no files pass it on as texts ([`relay`]); they store nothing, and are compared for what the way costs.

mod line;
mod native;

pub use native::carry;

use crate::clock::Clock;
use crate::crowd::{Crowd, Wait};
use crate::fault::Fault;
use crate::ledger::{Extent, Ledger};
use crate::process::Process;
use crate::report::Figures;
use crate::speaker::Speaker;
use std::time::Duration;

/// Bytes of a text that carries a piece: what every server takes by default.
pub const PIECE: usize = 64 * 1024;

/// Pieces that the sender may be ahead of the slowest receiver.
pub const WINDOW: usize = 16;

/// Time and the server's memory between two moments.
struct Gauge {
    clock: Clock,
    server: Option<Process>,
    begin: Duration,
    idle: f64,
}

impl Gauge {
    fn start(clock: Clock, server: Option<Process>) -> Result<Self, Fault> {
        let idle = server.as_ref().map_or(Ok(0.0), Process::resident_bytes)?;
        server.as_ref().map_or(Ok(()), Process::forget_peak)?;
        Ok(Self { begin: clock.now(), clock, server, idle })
    }

    /// The figures of a file of so many bytes that each of the receivers has now.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure is rounded where it is shown, far above this loss"
    )]
    fn stop(&self, bytes: u64, receivers: usize) -> Result<Figures, Fault> {
        let seconds = (self.clock.now() - self.begin).as_secs_f64();
        let delivered = bytes as f64 * receivers as f64;
        let mut figures =
            Figures::from([("seconds", seconds), ("delivered_mb_per_s", delivered / seconds / 1e6)]);
        if let Some(server) = &self.server {
            figures.insert(
                "server_peak_above_idle_mib",
                (server.peak_bytes()? - self.idle) / f64::from(1 << 20),
            );
        }
        Ok(figures)
    }
}

/// Passes a file on as texts of [`PIECE`] bytes over a crowd whose last member is the sender.
///
/// # Errors
/// [`Fault`] if a piece is wrong, missing or late without end.
pub fn relay<S: Speaker>(
    mut crowd: Crowd<S>,
    receivers: usize,
    bytes: u64,
    clock: Clock,
    patience: Duration,
    server: Option<Process>,
) -> Result<Figures, Fault> {
    let mut ledger = Ledger::new(Extent { receivers, senders: 1, window: WINDOW, text: PIECE });
    let pieces = bytes.div_ceil(PIECE as u64);
    let gauge = Gauge::start(clock, server)?;
    let (mut sent, mut moved) = (0, (clock.now(), 0));
    while sent < pieces || !ledger.is_settled() {
        while sent < pieces
            && let Some(text) = ledger.send(0)
        {
            crowd.say(receivers, text);
            sent += 1;
        }
        crowd.flush(receivers)?;
        crowd.turn(Wait::Never, |member, text| {
            if member < receivers { ledger.receive(member, text).map(drop) } else { Ok(()) }
        })?;
        let now = clock.now();
        crowd.keep_alive(now)?;
        if ledger.deliveries() > moved.1 {
            moved = (now, ledger.deliveries());
        } else if now - moved.0 > patience {
            return Err(Fault::Stalled { what: "the next piece of the file".to_owned(), after: patience });
        }
    }
    gauge.stop(pieces * PIECE as u64, receivers)
}
