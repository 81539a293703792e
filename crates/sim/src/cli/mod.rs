//! The command line of `natter-sim`.

mod kept;
mod many;
mod one;
mod real;

pub use many::run_many;

use crate::plan::Plan;
use crate::story;
use clap::{Args, Parser, Subcommand};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs the real server and real clients in a simulated world, and checks what must always hold.
#[derive(Debug, Parser)]
#[command(name = "natter-sim")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the plans of many seeds, and sum up
    Run(Many),
    /// Run one seed, and explain what it broke
    Seed {
        /// The seed
        seed: u64,
        #[command(flatten)]
        show: Show,
    },
    /// Run a plan from a file, and explain what it broke
    Replay {
        /// The plan, as JSON
        plan: PathBuf,
        #[command(flatten)]
        show: Show,
    },
    /// Run a story, or tell which there are
    Story {
        /// A part of its name
        name: Option<String>,
    },
    /// Run stories over real sockets as well, and compare the verdicts
    Real {
        /// Parts of their names; those that are worth it if there are none
        names: Vec<String>,
    },
    /// Make the failing plan of a seed or file as small as it can be
    Shrink {
        /// A seed, or a plan as JSON
        what: String,
        /// Where the small plan goes
        #[arg(long, value_name = "FILE")]
        into: Option<PathBuf>,
    },
    /// Print the digests of some seeds, to be compared with those of another process
    Digest {
        /// The seeds
        seeds: Vec<u64>,
    },
    /// Print the plan of a seed as JSON
    Plan {
        /// The seed
        seed: u64,
    },
}

/// Which seeds are run, and what of them must hold.
#[derive(Clone, Debug, Args)]
pub struct Many {
    /// How many seeds
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub from: u64,
    /// Runs at the same time
    #[arg(long, default_value_t = 2, value_name = "J")]
    pub jobs: usize,
    /// Stop at the first seed that breaks something
    #[arg(long)]
    pub first: bool,
    /// Fail if the runs are no work: too few clients, posts, or faults that took effect
    #[arg(long)]
    pub meta: bool,
    /// Add what becomes of each seed to this file, and leave out the seeds that are in it
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
}

/// What is shown of one run.
#[derive(Clone, Copy, Debug, Args)]
struct Show {
    /// Every event, not only the newest
    #[arg(long)]
    trace: bool,
}

/// The program.
pub fn main() -> ExitCode {
    match run(&Cli::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("natter-sim: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything held.
fn run(task: &Task) -> io::Result<bool> {
    match task {
        Task::Run(many) => {
            let (held, summary) = run_many(many)?;
            print!("{summary}");
            Ok(held)
        }
        Task::Seed { seed, show } => {
            Ok(one::explain(&Plan::random(*seed), &format!("cargo xtask sim --seed {seed}"), show.trace))
        }
        Task::Replay { plan, show } => {
            let command = format!("cargo xtask sim --replay {}", plan.display());
            Ok(one::explain(&read(plan)?, &command, show.trace))
        }
        Task::Story { name: None } => {
            for story in story::all() {
                println!("{}", story.plan.name);
            }
            Ok(true)
        }
        Task::Story { name: Some(name) } => {
            let told = story::all().into_iter().filter(|story| story.plan.name.contains(name.as_str()));
            let command = format!("cargo xtask sim --story '{name}'");
            let broken = told.filter(|story| !one::explain(&story.plan, &command, false));
            Ok(broken.count() == 0)
        }
        Task::Real { names } => real::compare(names),
        Task::Shrink { what, into } => {
            let plan = match what.parse() {
                Ok(seed) => Plan::random(seed),
                Err(_) => read(Path::new(what))?,
            };
            one::shrink(&plan, into.as_deref())
        }
        Task::Digest { seeds } => {
            for seed in seeds {
                println!("{seed} {:016x}", crate::run::run(&Plan::random(*seed), false).digest);
            }
            Ok(true)
        }
        Task::Plan { seed } => {
            println!("{}", to_json(&Plan::random(*seed)));
            Ok(true)
        }
    }
}

fn to_json(plan: &Plan) -> String {
    serde_json::to_string_pretty(plan).expect("all keys of a plan are strings")
}

fn read(path: &Path) -> io::Result<Plan> {
    let said = |error: &dyn std::fmt::Display| io::Error::other(format!("'{}': {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| said(&error))?;
    serde_json::from_str(&text).map_err(|error| said(&error))
}
