//! `cargo xtask drain`: the server is asked to stop while a thousand clients post, again and again.

use crate::{
    failure::Failure,
    proof::{Chance, Scratch, Size, World, body::Bodies, natterd::Natterd, world::StoreKind},
    workspace::Workspace,
};
use clap::Args;
use std::time::Duration;

const CLAIM: &str = "SIGTERM settles everything in flight, soon";

/// How soon it must have ended.
const SOON: Duration = Duration::from_secs(3);

/// How long it is watched at most: a late end is told with its time.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often, and among how many.
#[derive(Args)]
pub struct Options {
    /// How often the server is stopped.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub cycles: u32,
    /// Clients that post all the time.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub clients: u32,
    /// Which store; with `memory` the claim must be found broken.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
    pub store: StoreKind,
    /// Which moments are taken.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Stops, restarts, resends and compares.
///
/// # Errors
/// [`Failure::Unproven`] if it is late, or if something was lost or doubled.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    workspace.build_programs()?;
    load::process::raise_socket_limit()?;
    let scratch = Scratch::create(workspace, "drain")?;
    let clients = options.clients as usize;
    let size = Size { writers: clients, followers: 16, rooms: 8, window: 8, bodies: Bodies::Mixed };
    let mut world = World::new(workspace, scratch.path(), options.store, size, options.seed)?;
    let mut chance = Chance::new(options.seed);
    let mut times = Vec::new();
    let mut server = world.launch.start()?;
    for cycle in 1..=options.cycles {
        // They begin together, so that the time until all are in is not spent on filling the log.
        world.company.talks = false;
        world.gather()?;
        world.company.talks = true;
        let time = Duration::from_millis(chance.between(50, 1_000));
        world.company.until(time, |company| !company.violations.is_empty())?;
        times.push(stop(&mut world, server)?);
        server = world.launch.start()?;
        world.consult(&server)?;
        let took = times.last().map_or(0, Duration::as_millis);
        eprintln!("  cycle {cycle}: stopped in {took} ms, {} acknowledged", world.company.acked());
        world.verdict(CLAIM)?;
    }
    world.reread(&server)?;
    world.verdict(CLAIM)?;
    server.stop()?;
    world.verify(workspace)?;
    times.sort_unstable();
    let [median, slowest] = [times[times.len() / 2], times[times.len() - 1]].map(|time| time.as_millis());
    println!(
        "drain: {} stops under {clients} clients, median {median} ms, slowest {slowest} ms: 0 lost, 0 doubled; all \
         were back within {} ms; {} posts acknowledged, {} entries read and compared",
        options.cycles,
        world.slowest_return.as_millis(),
        world.company.acked(),
        world.oracle.entries(),
    );
    scratch.discard();
    Ok(())
}

/// Asks the server to stop while everybody posts on, and says how long that took.
fn stop(world: &mut World, mut server: Natterd) -> Result<Duration, Failure> {
    let asked = world.clock.now();
    server.terminate()?;
    let mut status = None;
    world.company.dismiss();
    world.company.until(PATIENCE, |_| {
        status = server.ended().ok().flatten();
        status.is_some()
    })?;
    let took = world.clock.now() - asked;
    world.drain()?;
    let unproven = |why| Err(Failure::Unproven { what: CLAIM, why });
    match status {
        None => unproven("it does not end".to_owned()),
        Some(status) if !status.success() => unproven(format!("it ended with {status}")),
        Some(_) if took > SOON => unproven(format!("it took {} ms", took.as_millis())),
        Some(_) => Ok(took),
    }
}
