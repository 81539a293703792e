//! A plan over real TCP on this machine: the same people, faults and rules, but threads, sockets and time are real.
//!
//! The server runs on threads of its own and listens on one loopback address, each host of clients has another, and
//! between them stands a proxy that carries out what the plan says of links. The driver, the record and the rules are
//! those of the simulation. What is stored lies in the simulated store and on the simulated disks: they stop, fail and
//! forget when the plan says so.

mod clock;
mod ends;
mod loopback;
mod machine;
mod passage;
mod proxy;
mod told;

pub(crate) use clock::WallClock;
pub(crate) use ends::connect;
pub use told::told;

use crate::plan::Plan;
use crate::record::Record;
use crate::run::{Folder, Report, run_world};
use crate::world::{Parts, World};
use loopback::Loopback;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// How long a run may take in all, in ms.
pub const MOST_MS: u64 = 120_000;

/// Runs a plan over real sockets, in its own time and no longer than [`MOST_MS`].
///
/// # Errors
/// The plan is too long, or this machine has no such addresses.
pub fn run_real(plan: &Plan) -> io::Result<Report> {
    if plan.safety_ms >= MOST_MS {
        let what = format!("'{}' takes {} s, which is too long", plan.name, plan.safety_ms / 1_000);
        return Err(io::Error::other(what));
    }
    let record = Record::new(plan.clients.len(), false);
    let folder = Folder::of(plan);
    let parts = Parts::new(plan, &record);
    let clock = WallClock::start();
    record.pages().live_by(clock);
    let ground = Loopback::new(plan, &parts, folder.as_ref().map(Folder::path), clock)?;
    Ok(run_world(plan, &record, World::on(Box::new(ground), parts), MOST_MS))
}

/// Addresses of this machine that nobody else uses: the server's, and one for each host.
const fn address(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 77, 0, number))
}

/// The server's address.
const SERVER: IpAddr = address(1);

/// The address of a host, for both ends of its connections with the proxy and the near end of the proxy's with the
/// server.
///
/// # Errors
/// There are too many hosts.
fn host_address(host: usize) -> io::Result<IpAddr> {
    let number = u8::try_from(host + 2).map_err(|_| io::Error::other("too many hosts"))?;
    Ok(address(number))
}

/// Connections that may wait to be accepted: more than any storm.
const BACKLOG: i32 = 1_024;

/// Listens with windows of so many bytes, which every accepted connection inherits.
fn listen(at: SocketAddr, window: u32) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    // The server that was here before may have connections that linger.
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(window as usize)?;
    socket.set_send_buffer_size(window as usize)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
