//! `cargo xtask`: builds and checks the whole of natter, on a person's machine and in CI alike.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod ci;
mod deny;
mod failure;
mod picture;
mod runner;
mod sim;
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
    /// Draw the conversation in the README anew, from what the real programs print.
    Picture {
        /// Only compare it with the one that is kept.
        #[arg(long)]
        check: bool,
    },
    /// Run the real server and clients in a simulated world, seed by seed.
    Sim(sim::Options),
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
        Task::Tidy => tidy::run(&workspace),
        Task::Test { args } => {
            workspace.build_programs()?;
            runner::run(&workspace, &args).map(drop)
        }
        Task::Build => workspace.build_programs(),
        Task::Bench(options) => bench::run(&workspace, &options),
        Task::Picture { check } => picture::run(&workspace, check),
        Task::Sim(options) => sim::run(&workspace, &options),
        Task::Fmt => Ok(workspace.cargo().args(["fmt", "--all"]).run()?),
    }
}
