//! What a world stands on: turmoil's hosts, or real threads and sockets (`real/`).

use crate::net::{SERVER, SimListener};
use crate::plan::Plan;
use crate::world::{Parts, TICK_MS, actors, serve};
use protocol::limits::DEFAULT_PORT;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use turmoil::{Builder, Sim};

/// Segments that a simulated connection holds, and connections that may wait to be accepted.
const TCP_CAPACITY: usize = 4_096;

/// What the faults of a plan are done to. The links' state stands in [`crate::net::State`] as well: a ground that looks
/// there itself need do nothing when it changes.
pub(crate) trait Ground {
    /// Lets time pass, until so many ms since the beginning.
    ///
    /// # Errors
    /// Something ended that must not.
    fn step(&mut self, until_ms: u64) -> Result<(), String>;

    /// Nothing moves between a host and the server.
    fn hold(&mut self, _host: usize) {}

    /// What was held arrives.
    fn release(&mut self, _host: usize) {}

    /// What a host sends up, or is sent down, is dropped.
    fn cut(&mut self, _host: usize, _up: bool, _down: bool) {}

    /// It is not any more.
    fn mend(&mut self, _host: usize, _up: bool, _down: bool) {}

    /// The server's process is gone when this returns.
    fn crash_server(&mut self);

    /// Another one begins.
    fn start_server(&mut self);
}

/// Turmoil's hosts.
pub(crate) struct Simulated(Sim<'static>);

/// The name of a client's host.
fn host_name(host: usize) -> String {
    format!("host{host}")
}

impl Simulated {
    /// The hosts of a plan, before anything has happened.
    pub(crate) fn new(plan: &Plan, parts: &Parts, folder: Option<&PathBuf>) -> Self {
        let mut sim = build(plan);
        let server = parts.clone();
        sim.host(SERVER, move || {
            let parts = server.clone();
            async move {
                let listener = turmoil::net::TcpListener::bind(("0.0.0.0", DEFAULT_PORT)).await?;
                let listener = SimListener { net: parts.net.clone(), listener };
                serve(listener, parts).await?;
                Ok(())
            }
        });
        let mut simulated = Self(sim);
        simulated.add_clients(plan, parts, folder);
        simulated
    }

    fn add_clients(&mut self, plan: &Plan, parts: &Parts, folder: Option<&PathBuf>) {
        for (host, link) in plan.links.iter().enumerate() {
            let (plan, here, folder) = (plan.clone(), parts.clone(), folder.cloned());
            self.0.host(host_name(host), move || {
                let actors = actors(host, &plan, &here, folder.as_ref());
                async move {
                    actors.into_iter().for_each(|actor| drop(tokio::task::spawn_local(actor.live())));
                    std::future::pending().await
                }
            });
            let address = self.0.lookup(host_name(host));
            parts.net.place_host(address, host);
            let latency = Duration::from_millis(link.latency_ms);
            self.0.set_link_max_message_latency(SERVER, host_name(host), latency);
        }
    }
}

fn build(plan: &Plan) -> Sim<'static> {
    Builder::new()
        .rng_seed(plan.seed)
        // Both default to something that no two runs share.
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(crate::net::EPOCH_MS))
        .simulation_duration(Duration::from_secs(86_400 * 365))
        .tick_duration(Duration::from_millis(TICK_MS))
        .tcp_capacity(TCP_CAPACITY)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .build()
}

impl Ground for Simulated {
    fn step(&mut self, _: u64) -> Result<(), String> {
        self.0.step().map(drop).map_err(|error| error.to_string())
    }

    fn hold(&mut self, host: usize) {
        self.0.hold(SERVER, host_name(host));
    }

    fn release(&mut self, host: usize) {
        self.0.release(SERVER, host_name(host));
    }

    fn cut(&mut self, host: usize, up: bool, down: bool) {
        let name = host_name(host);
        match (up, down) {
            (true, true) => self.0.partition(SERVER, name),
            (true, false) => self.0.partition_oneway(name, SERVER),
            (false, _) => self.0.partition_oneway(SERVER, name),
        }
    }

    fn mend(&mut self, host: usize, up: bool, down: bool) {
        let name = host_name(host);
        match (up, down) {
            (true, true) => self.0.repair(SERVER, name),
            (true, false) => self.0.repair_oneway(name, SERVER),
            (false, _) => self.0.repair_oneway(SERVER, name),
        }
    }

    fn crash_server(&mut self) {
        self.0.crash(SERVER);
    }

    fn start_server(&mut self) {
        self.0.bounce(SERVER);
    }
}
