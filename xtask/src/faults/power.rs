//! `cargo xtask faults power`: the power fails, at moments of a traced run of the server.
//!
//! kill -9 leaves everything that was written; a machine that loses power leaves only what was synced, and any part
//! of the rest, in any order. So the files are made anew from the trace as they may be after a cut, and a server
//! that believes that the machine was started again must open them, with all that anybody had been told.

mod disk;

use super::{
    order::judge::{self, Told},
    strace::{self, Call},
};
use crate::{
    failure::Failure,
    proof::{Chance, Oracle, Scratch, Size, World, body::Bodies, world::StoreKind},
    workspace::Workspace,
};
use clap::Args;
use disk::Disk;
use rustix::process::geteuid;
use std::{fs, path::Path, time::Duration};

const CLAIM: &str = "what was told survives the loss of power";

/// Where Linux tells which boot this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// How often, and of how long a run.
#[derive(Args)]
pub struct Options {
    /// Moments at which the power fails.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub cuts: u32,
    /// Messages of the run that is traced.
    #[arg(long, default_value_t = 3_000)]
    pub posts: u64,
    /// Which moments, and what of the unsynced writes is left.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Traces a server, and opens what a loss of power may leave of its files.
///
/// # Errors
/// [`Failure::Unproven`] if something that was told is gone, or if a server takes it for damage.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root may make a server believe that the machine was started again");
        eprintln!("hint: run it as root, or in a container");
        return Ok(());
    }
    strace::require()?;
    let scratch = Scratch::create(workspace, "power")?;
    let size = Size { writers: 16, followers: 4, rooms: 4, window: 4, bodies: Bodies::Mixed };
    let mut world = World::new(workspace, scratch.path(), StoreKind::Sqlite, size, options.seed)?;
    let calls = trace(&mut world, scratch.path(), options.posts)?;
    let told = judge::told(&calls);
    let end = calls.iter().map(|call| call.begin).max().unwrap_or(0) as u64;
    world.launch.wrapper = other_boot(scratch.path())?;
    let (mut chance, mut dropped) = (Chance::new(options.seed), 0);
    for cut in 1..=options.cuts {
        let at = usize::try_from(chance.below(end + 1)).unwrap_or(0);
        dropped += cut_at(&mut world, &calls, &told, at, &mut chance)?;
        eprintln!(
            "  cut {cut} at call {at} of {end}: {} told, {} left",
            world.company.acked(),
            world.oracle.entries()
        );
    }
    println!(
        "power: {} cuts of a run with {} messages, {dropped} sectors not as they had been written: every server \
         opens what is left, and nothing that was told is gone; the true rate is below {:.4} at 95 %",
        options.cuts,
        told.len(),
        3.0 / f64::from(options.cuts),
    );
    scratch.discard();
    Ok(())
}

/// A run with all calls that change a file or tell somebody something, ended by a kill.
fn trace(world: &mut World, folder: &Path, posts: u64) -> Result<Vec<Call>, Failure> {
    let trace = folder.join("trace");
    let calls =
        "trace=write,pwrite64,pwritev,pwritev2,writev,sendto,sendmsg,fsync,fdatasync,ftruncate,unlink";
    world.launch.wrapper = strace::wrapper(&trace, &["-e", calls]);
    let server = world.launch.start()?;
    world.gather()?;
    // A pause in the middle, in which the server moves its log into the database.
    for part in 1..=3 {
        world.company.until(Duration::from_secs(60), |company| company.acked() >= posts * part / 3)?;
        world.company.talks = false;
        world.company.until(Duration::from_secs(1), |_| false)?;
        world.company.talks = true;
    }
    world.kill(server)?;
    world.verdict(CLAIM)?;
    strace::read(&trace)
}

/// Makes the files as they may be after a cut, and has a server open them. Gives how many sectors are old.
fn cut_at(
    world: &mut World,
    calls: &[Call],
    told: &[Told],
    at: usize,
    chance: &mut Chance,
) -> Result<u64, Failure> {
    let disk = Disk::replay(calls, &world.data, at);
    let dropped = disk.write(chance).map_err(|(path, source)| Failure::Write { path, source })?;
    for writer in &mut world.company.writers {
        let known = told.iter().filter(|told| told.at < at && told.marker.0 == writer.number);
        writer.acked = known.map(|told| told.marker.1).max().unwrap_or(0);
    }
    // Who was told something is judged by the trace here; a reader's memory is of the whole run.
    world.company.followers.iter_mut().for_each(|follower| drop(follower.take_given()));
    world.oracle = Oracle::default();
    let server = world.launch.start()?;
    world.consult(&server)?;
    world.verdict(CLAIM)?;
    server.kill()?;
    Ok(dropped)
}

/// The words that make a program see another boot than this one.
fn other_boot(folder: &Path) -> Result<Vec<String>, Failure> {
    let path = folder.join("boot");
    fs::write(&path, "00000000-0000-4000-8000-000000000000\n")
        .map_err(|source| Failure::Write { path: path.clone(), source })?;
    let script = format!("mount --bind \"$0\" {BOOT} && exec \"$@\"");
    let words = ["unshare", "--mount", "sh", "-c", &script, &path.display().to_string()];
    Ok(words.map(str::to_owned).to_vec())
}
