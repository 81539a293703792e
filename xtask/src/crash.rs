//! `cargo xtask crash`: the server is killed again and again under writers, and nothing acknowledged may be lost.

use crate::{
    failure::Failure,
    proof::{Chance, Scratch, Size, World, body::Bodies, natterd::Natterd, world::StoreKind},
    workspace::Workspace,
};
use clap::Args;
use std::time::Duration;

const CLAIM: &str = "what is acknowledged survives kill -9, once and in order";

/// Every so many kills the store is verified while it is still as the kill left it.
const VERIFY_EVERY: u32 = 10;

/// How often, and among how many.
#[derive(Args)]
pub struct Options {
    /// How often the server is killed.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub kills: u32,
    /// Clients that post all the time.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub writers: u32,
    /// Rooms that they post to.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rooms: u32,
    /// Which store; with `memory` the claim must be found broken.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
    pub store: StoreKind,
    /// How the server syncs: every kill -9 is survived by `disk` and by `process`.
    #[arg(long, default_value = "disk")]
    pub durability: String,
    /// Which moments are taken.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Options {
    /// What CI has time for.
    pub fn short() -> Self {
        let durability = "disk".to_owned();
        Self { kills: 20, writers: 200, rooms: 8, store: StoreKind::Sqlite, durability, seed: 1 }
    }
}

/// What came out.
#[derive(Default)]
struct Tally {
    slowest_start: Duration,
    /// Kills while some were still coming in.
    early: u32,
    /// Kills of a server that had not begun to listen, or had just begun; not among those that are counted.
    at_start: u32,
}

/// Kills, restarts, resends and compares.
///
/// # Errors
/// [`Failure::Unproven`] with everything that was lost, doubled, reordered or invented.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    workspace.build_programs()?;
    let scratch = Scratch::create(workspace, "crash")?;
    let size = Size {
        writers: options.writers as usize,
        followers: 2 * options.rooms as usize,
        rooms: options.rooms as usize,
        window: 8,
        bodies: Bodies::Mixed,
    };
    let mut world = World::new(workspace, scratch.path(), options.store, size, options.seed)?;
    if options.store == StoreKind::Sqlite {
        world.launch.args.extend(["--durability".into(), options.durability.clone()]);
    }
    let (mut chance, mut tally) = (Chance::new(options.seed), Tally::default());
    let mut server = restart(&world, &mut chance, &mut tally)?;
    for kill in 1..=options.kills {
        work_a_while(&mut world, &mut chance, &mut tally)?;
        world.kill(server)?;
        if options.store == StoreKind::Sqlite && kill % VERIFY_EVERY == 0 {
            world.verify(workspace)?;
        }
        server = restart(&world, &mut chance, &mut tally)?;
        world.consult(&server)?;
        eprintln!(
            "  kill {kill}: {} acknowledged, {} in the log",
            world.company.acked(),
            world.oracle.entries()
        );
        world.verdict(CLAIM)?;
    }
    finish(workspace, &mut world, server)?;
    report(&world, options, &tally);
    scratch.discard();
    Ok(())
}

/// Until a moment that chance takes: mostly when everybody posts, now and then while some are still coming back.
fn work_a_while(world: &mut World, chance: &mut Chance, tally: &mut Tally) -> Result<(), Failure> {
    let early = chance.below(5) == 0;
    if early {
        world.company.call();
        tally.early += 1;
    } else {
        world.gather()?;
    }
    let time = Duration::from_millis(chance.between(20, 900));
    world.company.until(time, |company| !company.violations.is_empty())?;
    Ok(())
}

/// Every other start is killed before it is through, which is no reason not to start the next time.
fn restart(world: &World, chance: &mut Chance, tally: &mut Tally) -> Result<Natterd, Failure> {
    while chance.below(2) == 0 {
        world.launch.start_and_kill(Duration::from_millis(chance.below(60)))?;
        tally.at_start += 1;
    }
    let server = world.launch.start()?;
    tally.slowest_start = tally.slowest_start.max(server.started_in);
    Ok(server)
}

/// Everybody comes back once more, then the server stops as it should, and the whole log is read from its beginning.
fn finish(workspace: &Workspace, world: &mut World, server: Natterd) -> Result<(), Failure> {
    world.gather()?;
    server.stop()?;
    world.drain()?;
    if world.data.exists() {
        world.verify(workspace)?;
    }
    let server = world.launch.start()?;
    world.consult(&server)?;
    world.reread(&server)?;
    world.verdict(CLAIM)?;
    server.stop()
}

fn report(world: &World, options: &Options, tally: &Tally) {
    let repeats: u64 = world.company.writers.iter().map(|writer| writer.repeats).sum();
    let kills = options.kills;
    println!(
        "crash: {kills} kills under {} writers ({} of them while some came back) and {} more at the start, \
         durability {}: 0 lost, 0 doubled, 0 gaps, 0 reordered; the true rate is below {:.3} at 95 %\n\
         {} posts acknowledged, {} entries read and compared, {repeats} posts sent again, \
         slowest start {} ms, everybody back within {} ms",
        options.writers,
        tally.early,
        tally.at_start,
        options.durability,
        3.0 / f64::from(kills),
        world.company.acked(),
        world.oracle.entries(),
        tally.slowest_start.as_millis(),
        world.slowest_return.as_millis(),
    );
}
