//! `cargo xtask bench-store`: how fast messages are kept, on disk and in memory, beside what the disk itself can do.
//!
//! A disk drifts from one minute to the next by more than programs differ, so the variants run in turns, and the
//! disk's own sync is timed in the same folder around each run.

mod host;
mod probe;

use crate::{
    failure::Failure,
    proof::{Scratch, generator::Generator, natterd::Launch},
    workspace::Workspace,
};
use clap::{Args, ValueEnum};
use host::Processors;
use probe::Probe;
use serde_json::{Value, json};
use std::{
    fmt,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

/// What to measure, and how thoroughly.
#[derive(Args)]
pub struct Options {
    /// What is measured, in turns.
    #[arg(long, value_enum, num_args = 1.., default_values = ["disk", "memory"])]
    variant: Vec<Variant>,
    /// Texts a second of the runs that go by a schedule.
    #[arg(long, num_args = 1.., default_values_t = [1_000, 10_000])]
    rate: Vec<u32>,
    /// Clients that post.
    #[arg(long, default_value_t = 16)]
    clients: u32,
    /// Seconds that are counted of each run.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Repetitions, each of all variants.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    reps: u32,
    /// A file for every run's report, one JSON object a line.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A store and how it syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Variant {
    /// Synced before it is acknowledged: the default.
    Disk,
    /// Written, not synced.
    Process,
    /// The store in memory.
    Memory,
}

impl Variant {
    fn args(self) -> &'static [&'static str] {
        match self {
            Self::Disk => &["--store", "sqlite", "--durability", "disk"],
            Self::Process => &["--store", "sqlite", "--durability", "process"],
            Self::Memory => &["--store", "memory"],
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Disk => "disk",
            Self::Process => "process",
            Self::Memory => "memory",
        })
    }
}

/// Builds release programs and runs everything in turns; the reports go to stdout.
///
/// # Errors
/// Fails with the first run that fails: figures of a server that loses a text count for nothing.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let cargo = workspace.cargo().args(["build", "--release", "--bins", "-p", "server", "-p", "load"]);
    cargo.run()?;
    let mut json = options.json.as_ref().map(create).transpose()?;
    for schedule in [None].into_iter().chain(options.rate.iter().copied().map(Some)) {
        for repetition in 1..=options.reps {
            for variant in &options.variant {
                let report = measure(workspace, options, *variant, schedule, repetition)?;
                say(&report, *variant, schedule);
                if let Some((path, file)) = &mut json {
                    writeln!(file, "{report}")
                        .map_err(|source| Failure::Write { path: path.clone(), source })?;
                }
            }
        }
    }
    Ok(())
}

fn measure(
    workspace: &Workspace,
    options: &Options,
    variant: Variant,
    rate: Option<u32>,
    repetition: u32,
) -> Result<Value, Failure> {
    let scratch = Scratch::create(workspace, "bench-store")?;
    let before = Probe::take(scratch.path())?;
    let then = Processors::now();
    let mut report = load(workspace, scratch.path(), options, variant, rate)?;
    report["stolen"] = json!(then.zip(Processors::now()).map(|(then, now)| now.stolen_since(&then)));
    let after = Probe::take(scratch.path())?;
    report["variant"] = variant.to_string().into();
    report["repetition"] = repetition.into();
    report["sync_before"] = before.report();
    report["sync_after"] = after.report();
    let (ours, disks) = (report["figures"]["p99_us"].as_f64(), before.worse(&after).p99_us);
    report["p99_in_syncs"] = json!(ours.map(|ours| ours / disks));
    scratch.discard();
    Ok(report)
}

/// Starts a fresh server, puts it under load, and gives the generator's report.
fn load(
    workspace: &Workspace,
    folder: &Path,
    options: &Options,
    variant: Variant,
    rate: Option<u32>,
) -> Result<Value, Failure> {
    let release = |name: &str| workspace.root.join("target/release").join(name);
    let (data, temp) = (folder.join("data").display().to_string(), folder.display().to_string());
    let mut args = variant.args().to_vec();
    args.extend(if variant == Variant::Memory { ["--temp", &temp] } else { ["--data", &data] });
    let server = Launch::new(&release("natterd"), folder, &args)?.start()?;
    let mut args = vec!["--clients".to_owned(), options.clients.to_string()];
    args.extend(["--seconds".to_owned(), options.seconds.to_string()]);
    args.extend(rate.into_iter().flat_map(|rate| ["--rate".to_owned(), rate.to_string()]));
    let what = format!("natterd, {variant}");
    let report = Generator::start(&release("natter-load"), &server, &args, what)?.finish()?;
    server.stop()?;
    Ok(report)
}

fn say(report: &Value, variant: Variant, rate: Option<u32>) {
    let figure = |name: &str| report["figures"][name].as_f64().unwrap_or(f64::NAN);
    let sync = |when: &str, name: &str| report[when][name].as_f64().unwrap_or(f64::NAN);
    let load = rate.map_or("saturated".to_owned(), |rate| format!("{rate}/s"));
    println!(
        "{variant:<8} {load:<10} {:>8.0} acknowledged/s  p50 {:>7.0} us  p99 {:>7.0} us  server {:>4.2} cores  \
         (sync p50 {:.0} and {:.0} us, p99 {:.0} and {:.0} us; p99 is {:.1} of it; \
         {:.1} % of the processors' time stolen)",
        figure("acked_per_s"),
        figure("p50_us"),
        figure("p99_us"),
        figure("server_cpu_share"),
        sync("sync_before", "p50_us"),
        sync("sync_after", "p50_us"),
        sync("sync_before", "p99_us"),
        sync("sync_after", "p99_us"),
        report["p99_in_syncs"].as_f64().unwrap_or(f64::NAN),
        report["stolen"].as_f64().map_or(f64::NAN, |share| share * 100.0),
    );
}

fn create(path: &PathBuf) -> Result<(PathBuf, File), Failure> {
    let file = File::create(path).map_err(|source| Failure::Write { path: path.clone(), source })?;
    Ok((path.clone(), file))
}
