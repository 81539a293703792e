//! `cargo xtask files`: large files over links that break, how fast they are, and what chat feels of it.

mod bare;
mod chat;
mod claims;
mod cuts;
mod pace;
mod programs;
mod relay;
mod speed;

use crate::{failure::Failure, workspace::Workspace};
use clap::{Args, ValueEnum};
use programs::Programs;

/// What is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// A large file is sent and fetched at once over links that are cut.
    Cuts,
    /// Transfers beside a bare copy of the same file.
    Speed,
    /// Chat beside an upload.
    Chat,
    /// Somebody puts links in the way of folders that are being written.
    Races,
    /// The sender, the receiver and the server are killed in the middle of transfers.
    Kills,
}

/// How large, and how often.
#[derive(Args)]
pub struct Options {
    /// What is proven; races and kills only if they are named, since they take long.
    #[arg(long, value_enum, num_args = 1.., default_values = ["cuts", "speed", "chat"])]
    pub part: Vec<Part>,
    /// Size of the file that is sent over links that are cut, in MiB.
    #[arg(long, default_value_t = 4_096, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    pub mib: u64,
    /// How often each of its two links is cut.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub cuts: u32,
    /// Size of the files whose speed is measured alone, in MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub speed_mib: u64,
    /// Size of the files that ten people fetch at once, in MiB. A virtual machine gives memory back to its host after some
    /// seconds, and a page that it has to get again takes longer than all that is measured: ten copies should be
    /// done before.
    #[arg(long, default_value_t = 96, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub many_mib: u64,
    /// Rate of the transfer beside the chat, in MB a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub rate: u64,
    /// How often links are put in the way.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub races: u32,
    /// How often somebody is killed.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub kills: u32,
    /// Repetitions of what is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub reps: u32,
    /// Which moments are taken for the cuts.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Proves and measures.
///
/// # Errors
/// [`Failure::Unproven`] if a claim does not hold.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let (tests, measured): (Vec<Part>, Vec<Part>) =
        options.part.iter().copied().partition(|part| matches!(part, Part::Races | Part::Kills));
    for part in tests {
        match part {
            Part::Kills => claims::prove(workspace, &claims::KILLS, options.kills)?,
            _ => claims::prove(workspace, &claims::RACES, options.races)?,
        }
    }
    if !measured.is_empty() {
        measure(workspace, options, measured)?;
    }
    Ok(())
}

fn measure(workspace: &Workspace, options: &Options, parts: Vec<Part>) -> Result<(), Failure> {
    let programs = Programs::build(workspace, "files")?;
    for part in parts {
        match part {
            Part::Races | Part::Kills => {}
            Part::Cuts => cuts::run(&programs, options.mib << 20, options.cuts, options.seed)?,
            Part::Speed => {
                let (alone, many) = (options.speed_mib << 20, options.many_mib << 20);
                speed::run(&programs, alone, many, options.reps)?;
            }
            Part::Chat => chat::run(&programs, options.rate * 1_000_000, options.reps)?,
        }
    }
    programs.scratch.discard();
    Ok(())
}
