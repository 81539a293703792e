//! `cargo xtask`: builds and checks the whole of natter, on a person's machine and in CI alike.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod attack;
mod bench;
mod bench_store;
mod ci;
mod crash;
mod deny;
mod drain;
mod failure;
mod faults;
mod files;
mod flood;
mod heavy;
mod mutants;
mod picture;
mod proof;
mod runner;
mod scale;
mod sim;
mod stall;
mod tidy;
mod workspace;

use failure::Failure;
use workspace::Workspace;

/// Builds and checks natter.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check everything, in the order and with the strictness of CI.
    Ci,
    /// Check what the house style can count: sizes, purity, forbidden words, stray files.
    Tidy,
    /// Build both programs, then run the tests.
    Test {
        /// What the test runner is told, such as a part of a test's name.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build both programs, `natterd` and `natter`.
    Build,
    /// Measure natter beside nats-server and the bare limit, on two pinned cores.
    Bench(bench::Options),
    /// Kill the server again and again under writers: nothing acknowledged may be lost.
    Crash(crash::Options),
    /// Measure how fast messages are kept, on disk and in memory, beside the disk's own sync.
    BenchStore(bench_store::Options),
    /// Fill a store with ten million entries: it opens, pages and searches in no time.
    Scale(scale::Options),
    /// Stop the server under clients that post: it is soon, and nothing is lost or doubled.
    Drain(drain::Options),
    /// Make calls fail, disks fill and bits flip, and look at the order of its syncs.
    Faults {
        /// Which fault.
        #[command(subcommand)]
        fault: faults::Options,
    },
    /// Attack the server from hundreds of addresses: people beside that notice little, and newcomers come in afterwards.
    Attack(attack::Options),
    /// Flood the server from hundreds of devices: people beside them are heard soon, and each device has its share.
    Flood(flood::Options),
    /// Let honest people do much: 500 behind one address, pastes, scripts, bots, many files. Nothing is refused.
    Heavy(heavy::Options),
    /// Let readers stand still in a busy room: they cost little, and get everything later.
    Stall(stall::Options),
    /// Send large files over links that break, measure them beside a bare copy, and chat meanwhile.
    Files(files::Options),
    /// Draw the conversation in the README anew, from what the real programs print.
    Picture {
        /// Only compare it with the one that is kept.
        #[arg(long)]
        check: bool,
    },
    /// Run the real server and clients in a simulated world, seed by seed.
    Sim(sim::Options),
    /// Plant bugs in a copy of natter, and count the seeds until the simulation sees each.
    Mutants(mutants::Options),
    /// Format the whole workspace.
    Fmt,
}

fn main() -> ExitCode {
    match run(Args::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<(), Failure> {
    let workspace = Workspace::open()?;
    match task {
        Task::Ci => ci::run(&workspace),
        Task::Scale(options) => scale::run(&workspace, &options),
        Task::Tidy => tidy::run(&workspace),
        Task::Test { args } => {
            workspace.build_programs()?;
            runner::run(&workspace, &args).map(drop)
        }
        Task::Build => workspace.build_programs(),
        Task::Bench(options) => bench::run(&workspace, &options),
        Task::Crash(options) => crash::run(&workspace, &options),
        Task::BenchStore(options) => bench_store::run(&workspace, &options),
        Task::Drain(options) => drain::run(&workspace, &options),
        Task::Faults { fault } => faults::run(&workspace, &fault),
        Task::Attack(options) => attack::run(&workspace, &options),
        Task::Flood(options) => flood::run(&workspace, &options),
        Task::Heavy(options) => heavy::run(&workspace, &options),
        Task::Stall(options) => stall::run(&workspace, &options),
        Task::Files(options) => files::run(&workspace, &options),
        Task::Picture { check } => picture::run(&workspace, check),
        Task::Sim(options) => sim::run(&workspace, &options),
        Task::Mutants(options) => mutants::run(&workspace, &options),
        Task::Fmt => Ok(workspace.cargo().args(["fmt", "--all"]).run()?),
    }
}
