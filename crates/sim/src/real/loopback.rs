//! The ground of a real run: the server's machine, that of the clients, and the proxy's.

use super::clock::WallClock;
use super::ends::Door;
use super::machine::{Cores, Machine};
use super::proxy::{Behind, Link, accept_all};
use super::{SERVER, host_address, listen};
use crate::ground::Ground;
use crate::panics::take_real;
use crate::plan::Plan;
use crate::rule::Rule;
use crate::world::{Parts, actors, serve};
use std::io;
use std::net::{self, SocketAddr};
use std::path::PathBuf;
use tokio::net::TcpListener;

/// Threads that the server has for its connections, beside the one of its hub.
const SERVER_CORES: usize = 2;

/// Real threads and sockets. They go in the order in which they stand here.
pub(super) struct Loopback {
    clock: WallClock,
    parts: Parts,
    at: SocketAddr,
    behind: Behind,
    _clients: Machine,
    server: Option<Machine>,
    _proxy: Machine,
}

impl Loopback {
    /// Everything of a plan, and it begins.
    ///
    /// # Errors
    /// The system's: there is no such address, or no socket.
    pub(super) fn new(
        plan: &Plan,
        parts: &Parts,
        folder: Option<&PathBuf>,
        clock: WallClock,
    ) -> io::Result<Self> {
        let behind = Behind::default();
        let listener = listen(SocketAddr::new(SERVER, 0), plan.net.window)?;
        let at = listener.local_addr()?;
        let server = start_server(parts, &behind, listener)?;
        let (proxy, doors) = start_proxy(plan, parts, &behind, at)?;
        parts.net.state().doors = plan.clients.iter().map(|client| doors[client.host]).collect();
        let clients = start_clients(plan, parts, folder)?;
        let (parts, server) = (parts.clone(), Some(server));
        Ok(Self { clock, parts, at, behind, _clients: clients, server, _proxy: proxy })
    }
}

fn start_server(parts: &Parts, behind: &Behind, listener: net::TcpListener) -> io::Result<Machine> {
    let (parts, behind) = (parts.clone(), behind.clone());
    Machine::start("server", Cores::Beside(SERVER_CORES), move || async move {
        let net = parts.net.clone();
        let served = async {
            let listener = TcpListener::from_std(listener)?;
            serve(Door { net: parts.net.clone(), listener, behind }, parts).await
        };
        if let Err(error) = served.await {
            net.record.fail(Rule::Converges, format!("the server could not start: {error}"));
        }
    })
}

/// The proxy, and the door of each host.
fn start_proxy(
    plan: &Plan,
    parts: &Parts,
    behind: &Behind,
    server: SocketAddr,
) -> io::Result<(Machine, Vec<SocketAddr>)> {
    let (mut links, mut doors) = (Vec::new(), Vec::new());
    for (host, link) in plan.links.iter().enumerate() {
        let address = host_address(host)?;
        let listener = listen(SocketAddr::new(address, 0), plan.net.window)?;
        doors.push(listener.local_addr()?);
        parts.net.place_host(address, host);
        let (net, behind, latency_ms) = (parts.net.clone(), behind.clone(), link.latency_ms);
        links.push((Link { net, host, latency_ms, server, behind }, listener));
    }
    let record = parts.net.record.clone();
    let proxy = Machine::start("proxy", Cores::One, move || async move {
        for (link, listener) in links {
            match TcpListener::from_std(listener) {
                Ok(listener) => drop(tokio::task::spawn_local(accept_all(link, listener))),
                Err(error) => record.fail(Rule::Converges, format!("the proxy could not start: {error}")),
            }
        }
        std::future::pending::<()>().await;
    })?;
    Ok((proxy, doors))
}

fn start_clients(plan: &Plan, parts: &Parts, folder: Option<&PathBuf>) -> io::Result<Machine> {
    let (plan, parts, folder) = (plan.clone(), parts.clone(), folder.cloned());
    Machine::start("clients", Cores::One, move || async move {
        for host in 0..plan.links.len() {
            let actors = actors(host, &plan, &parts, folder.as_ref());
            actors.into_iter().for_each(|actor| drop(tokio::task::spawn_local(actor.live())));
        }
        std::future::pending::<()>().await;
    })
}

impl Ground for Loopback {
    fn step(&mut self, until_ms: u64) -> Result<(), String> {
        self.clock.sleep_until(until_ms);
        take_real().map_or(Ok(()), Err)
    }

    fn crash_server(&mut self) {
        self.server = None;
    }

    fn start_server(&mut self) {
        let started = listen(self.at, self.parts.net.plan.window)
            .and_then(|listener| start_server(&self.parts, &self.behind, listener));
        match started {
            Ok(server) => self.server = Some(server),
            Err(error) => {
                let what = format!("the server could not start again: {error}");
                self.parts.net.record.fail(Rule::Converges, what);
            }
        }
    }
}
