//! What a run tells: one line of JSON.

use crate::clock::Clock;
use crate::fault::Fault;
use crate::process::Process;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The figures of a run by their names, which end with their units.
pub type Figures = BTreeMap<&'static str, f64>;

/// A run, told in one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Which workload.
    pub workload: &'static str,
    /// How the server was spoken to.
    pub dialect: &'static str,
    /// How large it was, by the names of the options.
    pub settings: BTreeMap<&'static str, f64>,
    /// What came out.
    pub figures: Figures,
}

/// The state of everything that is counted at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    time: Duration,
    deliveries: u64,
    own_cpu: f64,
    server_cpu: Option<f64>,
}

/// Counts between two moments.
pub struct Meter {
    clock: Clock,
    server: Option<Process>,
    start: Reading,
}

impl Meter {
    /// Begins to count.
    ///
    /// # Errors
    /// [`Fault`] if a process can't be looked at.
    pub fn start(clock: Clock, server: Option<Process>, deliveries: u64) -> Result<Self, Fault> {
        let start = read(clock, server.as_ref(), deliveries)?;
        Ok(Self { clock, server, start })
    }

    /// What happened since the start.
    ///
    /// # Errors
    /// [`Fault`] if a process can't be looked at.
    pub fn stop(&self, deliveries: u64) -> Result<Figures, Fault> {
        let end = read(self.clock, self.server.as_ref(), deliveries)?;
        Ok(between(&self.start, &end))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure is rounded where it is shown, far above this loss")]
fn between(start: &Reading, end: &Reading) -> Figures {
    let seconds = (end.time - start.time).as_secs_f64();
    let deliveries = (end.deliveries - start.deliveries) as f64;
    let own = end.own_cpu - start.own_cpu;
    let mut figures = Figures::from([
        ("deliveries", deliveries),
        ("deliveries_per_s", deliveries / seconds),
        ("generator_cpu_s_per_million", own / deliveries * 1e6),
    ]);
    if let (Some(before), Some(after)) = (start.server_cpu, end.server_cpu) {
        figures.insert("server_cpu_s_per_million", (after - before) / deliveries * 1e6);
        figures.insert("server_cpu_share", (after - before) / seconds);
    }
    figures
}

fn read(clock: Clock, server: Option<&Process>, deliveries: u64) -> Result<Reading, Fault> {
    Ok(Reading {
        time: clock.now(),
        deliveries,
        own_cpu: Process::own().cpu_seconds()?,
        server_cpu: server.map(Process::cpu_seconds).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_counted_interval_only() {
        let reading = |seconds, deliveries, server_cpu| Reading {
            time: Duration::from_secs(seconds),
            deliveries,
            own_cpu: server_cpu * 2.0,
            server_cpu: Some(server_cpu),
        };
        let figures = between(&reading(10, 1_000_000, 3.0), &reading(14, 9_000_000, 5.0));
        assert_eq!(figures["deliveries_per_s"], 2e6);
        assert_eq!(figures["server_cpu_s_per_million"], 0.25);
        assert_eq!(figures["generator_cpu_s_per_million"], 0.5);
        assert_eq!(figures["server_cpu_share"], 0.5);
    }
}
