//! W4, idle: what a connection that says nothing costs the server, and how fast they come in.

use crate::clock::Clock;
use crate::crowd::{Crowd, Wait};
use crate::fault::Fault;
use crate::process::Process;
use crate::report::Figures;
use crate::speaker::{Persona, Speaker};
use std::net::SocketAddr;
use std::time::Duration;

/// How long the server may settle before it is measured.
const SETTLE: Duration = Duration::from_secs(2);

/// How long the generator sleeps at most while nothing happens.
const NAP: Duration = Duration::from_millis(50);

/// Connects everybody, waits a moment, and measures the server.
///
/// # Errors
/// [`Fault`] if somebody can't get in, or if the server can't be looked at.
pub fn run<S: Speaker>(
    address: SocketAddr,
    personas: Vec<Persona>,
    clock: Clock,
    patience: Duration,
    server: &Process,
) -> Result<Figures, Fault> {
    let connections = f64::from(u32::try_from(personas.len()).unwrap_or(u32::MAX));
    let (cpu, before, begin) = (server.cpu_seconds()?, server.resident_bytes()?, clock.now());
    let mut crowd: Crowd<S> = Crowd::join(address, personas, clock, patience)?;
    let joined = clock.now();
    let join_cpu = server.cpu_seconds()? - cpu;
    while clock.now() < joined + SETTLE {
        crowd.turn(Wait::Upto(NAP), |_, _| Ok(()))?;
        crowd.keep_alive(clock.now())?;
    }
    let after = server.resident_bytes()?;
    Ok(Figures::from([
        ("kib_per_connection", (after - before) / 1024.0 / connections),
        ("resident_before_kib", before / 1024.0),
        ("resident_after_kib", after / 1024.0),
        ("joined_s", (joined - begin).as_secs_f64()),
        ("join_server_cpu_s", join_cpu),
    ]))
}
