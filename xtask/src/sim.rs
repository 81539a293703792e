//! `cargo xtask sim`: the simulation, built once and handed its arguments.

use crate::{failure::Failure, mutants, workspace::Workspace};
use clap::Args;

/// What is run, and how. Without anything: 100 seeds.
#[derive(Debug, Args)]
pub struct Options {
    /// Run so many seeds
    #[arg(long, value_name = "N", default_value_t = 100)]
    seeds: u64,
    /// Begin with this seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    from: u64,
    /// So many at the same time
    #[arg(long, value_name = "J", default_value_t = 2)]
    jobs: usize,
    /// Fail if the runs are no work, or an effect is too rarely seen
    #[arg(long)]
    meta: bool,
    /// Run this one seed, and explain what it breaks
    #[arg(long, value_name = "SEED", conflicts_with_all = ["replay"])]
    seed: Option<u64>,
    /// Run this plan, and explain what it breaks
    #[arg(long, value_name = "PLAN")]
    replay: Option<String>,
    /// Run the stories whose name contains this
    #[arg(long, value_name = "NAME")]
    story: Option<String>,
    /// Run stories over real sockets as well and compare the verdicts: these, or those that are worth it
    #[arg(long, value_name = "NAME", num_args = 0..)]
    real: Option<Vec<String>>,
    /// Print every event of the one run
    #[arg(long)]
    trace: bool,
    /// Make the failing plan of the one run smaller, and print it
    #[arg(long)]
    shrink: bool,
}

/// The check of CI: enough seeds that every effect is seen several times.
pub const CI_SEEDS: u64 = 300;

/// Runs what the options say.
///
/// # Errors
/// Fails if a rule is broken.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    if let Some(story) = &options.story {
        return start(workspace, &["story".into(), story.clone()]);
    }
    if let Some(names) = &options.real {
        let args: Vec<_> = std::iter::once("real".to_owned()).chain(names.iter().cloned()).collect();
        return start(workspace, &args);
    }
    let one = options.seed.map(|seed| seed.to_string()).or_else(|| options.replay.clone());
    let args: Vec<String> = match one {
        Some(what) if options.shrink => vec!["shrink".into(), what],
        Some(what) => {
            let task = if options.seed.is_some() { "seed" } else { "replay" };
            let trace = options.trace.then(|| "--trace".to_owned());
            [task.to_owned(), what].into_iter().chain(trace).collect()
        }
        None => many(options.seeds, options.from, options.jobs, options.meta),
    };
    start(workspace, &args)
}

/// The check of CI.
///
/// # Errors
/// Fails if a rule is broken, or the runs are no work.
pub fn check(workspace: &Workspace) -> Result<(), Failure> {
    mutants::check(workspace)?;
    start(workspace, &many(CI_SEEDS, 10_000, 2, true))
}

fn many(seeds: u64, from: u64, jobs: usize, meta: bool) -> Vec<String> {
    let numbers = [("--seeds", seeds), ("--from", from), ("--jobs", jobs as u64)];
    let numbers = numbers.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]);
    let meta = meta.then(|| "--meta".to_owned());
    std::iter::once("run".to_owned()).chain(numbers).chain(meta).collect()
}

fn start(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    Ok(workspace.cargo().args(["run", "--quiet", "--package", "sim", "--"]).args(args).run()?)
}
