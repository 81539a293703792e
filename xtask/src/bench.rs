//! `cargo xtask bench`: natter, nats-server and the bare limit under the same load, in turns.
//!
//! A machine drifts from one minute to the next by more than programs differ, so only ratios of runs that
//! followed each other say something: each repetition runs all contenders, one after the other.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use serde_json::Value;

pub mod contender;
mod plan;
pub mod tally;

use crate::{failure::Failure, workspace::Workspace};
use contender::{Bench, Contender};
use plan::{Plan, Workload};
use tally::Tally;

/// What to measure, and how thoroughly.
#[derive(Args)]
pub struct Options {
    /// Workloads; all of them unless given.
    #[arg(long, value_enum, num_args = 1..)]
    workload: Vec<Workload>,
    /// Receivers in the room; those of the goals unless given.
    #[arg(long, num_args = 1..)]
    receivers: Vec<u32>,
    /// Idle connections.
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// Seconds that are counted of each run.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Repetitions, each of all contenders.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    reps: u32,
    /// Who is measured.
    #[arg(long, value_enum, num_args = 1.., default_values = ["natter", "nats", "limit"])]
    contender: Vec<Contender>,
    /// A file for every run's report, one JSON object a line.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The core that each server gets.
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// The core that the generator gets.
    #[arg(long, default_value_t = 1)]
    generator_core: u32,
}

/// Builds release programs, runs everything in turns, and prints medians, spreads and ratios to stdout.
///
/// # Errors
/// Fails with the first run that fails: figures of a server that loses a text count for nothing.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let cargo = workspace.cargo().args(["build", "--release", "--bins"]);
    cargo.args(["-p", "server", "-p", "load"]).run()?;
    let bench = Bench::open(options.server_core, options.generator_core)?;
    let contenders = present(&options.contender);
    let mut json = options.json.as_ref().map(create).transpose()?;
    for plan in plans(options) {
        let mut tally = Tally::default();
        for repetition in 1..=options.reps {
            for contender in &contenders {
                eprintln!("{plan}: {contender}, {repetition} of {}", options.reps);
                let mut report = bench.measure(*contender, &plan)?;
                tally.add(*contender, &report);
                if let Some((path, file)) = &mut json {
                    report["contender"] = contender.to_string().into();
                    report["repetition"] = repetition.into();
                    append(path, file, &report)?;
                }
            }
        }
        println!("\n{plan}: median (smallest to largest) of {}\n{tally}", options.reps);
    }
    Ok(())
}

/// Those that are installed; what is left out is said loudly, because a ratio to it will be missing.
fn present(wanted: &[Contender]) -> Vec<Contender> {
    let (present, missing): (Vec<_>, Vec<_>) = wanted.iter().partition(|contender| contender.is_installed());
    for contender in missing {
        eprintln!("SKIPPED: {contender} is not installed, so nothing is compared with it");
        eprintln!("hint: apt-get install nats-server");
    }
    present
}

fn plans(options: &Options) -> Vec<Plan> {
    let workloads =
        if options.workload.is_empty() { Workload::value_variants() } else { &options.workload[..] };
    let all = workloads
        .iter()
        .flat_map(|workload| workload.plans(&options.receivers, options.connections, options.seconds));
    all.collect()
}

fn create(path: &PathBuf) -> Result<(PathBuf, File), Failure> {
    let file = File::create(path).map_err(|source| Failure::Write { path: path.clone(), source })?;
    Ok((path.clone(), file))
}

fn append(path: &Path, file: &mut File, report: &Value) -> Result<(), Failure> {
    writeln!(file, "{report}").map_err(|source| Failure::Write { path: path.to_path_buf(), source })
}
