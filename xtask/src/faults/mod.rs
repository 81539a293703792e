//! `cargo xtask faults`: what the server does when calls fail, disks fill and bits flip, and in which order it syncs.

pub mod accidents;
pub mod eio;
pub mod flips;
pub mod full;
pub mod log;
pub mod order;
pub mod pause;
pub mod power;
pub mod relogin;
mod strace;

use crate::{failure::Failure, workspace::Workspace};
use clap::Subcommand;
use std::{fs, io, path::Path};

/// Which fault.
#[derive(Subcommand)]
pub enum Options {
    /// Look at the system calls: each message is written, then synced, then acknowledged and delivered.
    Order(order::Options),
    /// Let syncs fail: the server ends, and acknowledged nothing that is not there after a restart.
    Eio(eio::Options),
    /// Fill the disk and make room again: refusals carry their code, reading goes on, writing comes back.
    Full(full::Options),
    /// Cut the power at moments of a traced run: what was told is in what is left of the files.
    Power(power::Options),
    /// Flip bits in the files: each is detected or harmless, and no message is silently wrong.
    Flips(flips::Options),
    /// Let devices go before they are answered and come back without memory: what is acknowledged is stored, once.
    Relogin(relogin::Options),
    /// Let the server stand still under real clients: all come back by themselves, and nothing is lost or doubled.
    Pause(pause::Options),
    /// Let nobody read the server's log, or nobody keep it: its clients notice nothing, and dropped lines are counted.
    Log(log::Options),
    /// Let accidents happen to the data folder: each ends in service or in a refusal, and nothing is lost silently.
    Accidents(accidents::Options),
}

/// Runs it.
///
/// # Errors
/// [`Failure::Unproven`] if the claim does not hold.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    workspace.build_programs()?;
    match options {
        Options::Order(options) => order::run(workspace, options),
        Options::Eio(options) => eio::run(workspace, options),
        Options::Full(options) => full::run(workspace, options),
        Options::Power(options) => power::run(workspace, options),
        Options::Flips(options) => flips::run(workspace, options),
        Options::Relogin(options) => relogin::run(workspace, options),
        Options::Pause(options) => pause::run(workspace, options),
        Options::Log(options) => log::run(workspace, options),
        Options::Accidents(options) => accidents::run(workspace, options),
    }
}

/// Makes `to` a copy of `from`, whatever it was before.
fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    if to.exists() {
        fs::remove_dir_all(to).map_err(|source| unread(to, source))?;
    }
    fs::create_dir_all(to).map_err(|source| unread(to, source))?;
    for entry in fs::read_dir(from).map_err(|source| unread(from, source))? {
        let path = entry.map_err(|source| unread(from, source))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else if path.is_file() {
            // A socket can't be copied, and is made anew.
            fs::copy(&path, &target).map_err(|source| unread(&path, source))?;
        }
    }
    Ok(())
}

fn unread(path: &Path, source: io::Error) -> Failure {
    Failure::Read { path: path.to_owned(), source }
}
