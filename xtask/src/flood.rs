//! `cargo xtask flood`: hundreds of devices keep their windows full beside people who talk as people do.
//!
//! The server has one core, the generator another one. What is fair is counted in posts, not in time: while a post
//! of one device waits, no more than two windows of each of the others may be served. What is soon is measured
//! against the batches of the same run: a post of somebody with little waiting goes with the next batch, so it waits
//! for the end of the one before, for its own, and for the news of both.

pub mod crowd;
pub mod figures;

use crate::{
    failure::Failure,
    proof::{Scratch, natterd::Launch},
    workspace::Workspace,
};
use clap::Args;
use crowd::{Crowd, Habits};
use figures::Figures;
use load::{clock::Clock, process::raise_socket_limit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::{path::PathBuf, thread::available_parallelism, time::Duration};

const CLAIM: &str = "whoever has little to say is heard soon beside devices that flood";

/// How long everybody may take to come in, and the windows to be full.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the flood goes on before it is measured.
const SETTLE: Duration = Duration::from_secs(2);

/// The cores of the server and of the generator.
pub const CORES: [usize; 2] = [0, 1];

/// How many, and how long.
#[derive(Args)]
pub struct Options {
    /// Devices that keep their windows full.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub devices: u32,
    /// People in a small room, who each say something now and then.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=200))]
    pub people: u32,
    /// How long it is measured.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..=3_600))]
    pub seconds: u64,
    /// Use the builds of the tests, which are slower.
    #[arg(long)]
    pub debug: bool,
    /// Another build of natterd, to see the claim broken.
    #[arg(long)]
    pub program: Option<PathBuf>,
}

impl Options {
    /// What CI has time for.
    pub fn short() -> Self {
        Self { devices: 300, people: 100, seconds: 5, debug: true, program: None }
    }
}

/// Floods a server, and measures what the others notice.
///
/// # Errors
/// [`Failure::Unproven`] with every bound that is broken.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let program = build(workspace, options)?;
    raise_socket_limit()?;
    let scratch = Scratch::create(workspace, "flood")?;
    let data = scratch.path().join("data").display().to_string();
    let mut launch = Launch::new(&program, scratch.path(), &["--data", &data])?;
    let pinned = Pinned::to(CORES[1])?;
    if pinned.is_some() {
        launch.pin(CORES[0]);
    } else {
        eprintln!("hint: there is one core for both, so the figures are worse than they should be");
    }
    let server = launch.start()?;
    let clock = Clock::start();
    let mut crowd = Crowd::new(
        options.devices as usize,
        options.people as usize,
        Habits::default(),
        launch.address,
        clock,
    )?;
    crowd.gather(PATIENCE)?;
    crowd.flood_for(SETTLE)?;
    crowd.figures = Figures::default();
    let cpu = load::process::Process::with_id(server.id());
    let before = cpu.cpu_seconds()?;
    let begun = clock.now();
    crowd.flood_for(Duration::from_secs(options.seconds))?;
    let time = clock.now() - begun;
    let busy = (cpu.cpu_seconds()? - before) / time.as_secs_f64();
    crowd.close_figures();
    drop(pinned);
    let broken = crowd.figures.report(options, time, busy);
    server.stop()?;
    if broken.is_empty() {
        scratch.discard();
        Ok(())
    } else {
        Err(Failure::Unproven { what: CLAIM, why: broken.join("; ") })
    }
}

fn build(workspace: &Workspace, options: &Options) -> Result<PathBuf, Failure> {
    match &options.program {
        Some(program) => Ok(program.clone()),
        None => Ok(workspace.build_for_load(options.debug)?.join("natterd")),
    }
}

/// This thread runs on one core for as long as this lives.
pub struct Pinned(CpuSet);

impl Pinned {
    /// `None` where there is only one core.
    ///
    /// # Errors
    /// Fails if the system refuses that.
    pub fn to(core: usize) -> Result<Option<Self>, Failure> {
        if available_parallelism().map_or(1, usize::from) < 2 {
            return Ok(None);
        }
        let refused =
            |error: rustix::io::Errno| load::fault::Fault::system("one core for the generator")(error.into());
        let before = sched_getaffinity(None).map_err(refused)?;
        let mut one = CpuSet::new();
        one.set(core);
        sched_setaffinity(None, &one).map_err(refused)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What was allowed before is allowed again.
        let _ = sched_setaffinity(None, &self.0);
    }
}
