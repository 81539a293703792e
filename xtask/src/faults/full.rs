//! `cargo xtask faults full`: the disk fills up and gets room again.
//!
//! While it is full each refusal carries its code, reading and presence go on; once there is room, writing goes on.

use crate::{
    failure::Failure,
    proof::{
        Chance, Scratch, Size, World,
        body::Bodies,
        company::room_name,
        natterd::Natterd,
        world::{PATIENCE, StoreKind},
    },
    workspace::Workspace,
};
use clap::Args;
use load::caller::Caller;
use protocol::id::RoomId;
use protocol::message::{ClientMsg, Question, Range, Reply, ServerMsg};
use rustix::{
    fs::statvfs,
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::geteuid,
};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    time::Duration,
};

const CLAIM: &str = "a full disk refuses posts and nothing else";

/// How soon posts must be taken again once there is room.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// What the store may still write before the disk is full, in bytes: from nothing at all to a checkpoint's worth.
const MOST_ROOM: u64 = 4 << 20;

/// How long the disk stays full.
const FULL: Duration = Duration::from_millis(600);

/// What is written to and removed from the disk beside the store, in bytes.
const BALLAST: u64 = 16 << 20;

/// How often.
#[derive(Args)]
pub struct Options {
    /// How often the disk fills up.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub cycles: u32,
    /// Size of the disk in MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=4_096))]
    pub mib: u32,
    /// How much room is left each time.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// A small disk in memory, which is unmounted with this value.
struct Disk {
    path: PathBuf,
    ballast: PathBuf,
}

/// Fills a small disk again and again.
///
/// # Errors
/// [`Failure::Unproven`] if something else than posts is refused, or posts for too long.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root may mount the small disk that is filled");
        eprintln!("hint: run it as root, or in a container");
        return Ok(());
    }
    let scratch = Scratch::create(workspace, "full")?;
    let disk = Disk::mount(&scratch.path().join("disk"), options.mib)?;
    let size = Size { writers: 16, followers: 4, rooms: 4, window: 4, bodies: Bodies::Mixed };
    let mut world = World::new(workspace, scratch.path(), StoreKind::Sqlite, size, 1)?;
    world.move_to(&disk.path.join("data"));
    let server = world.launch.start()?;
    world.gather()?;
    let (mut chance, mut slowest) = (Chance::new(options.seed), Duration::ZERO);
    for cycle in 1..=options.cycles {
        let back = fill_once(&mut world, &disk, &server, &mut chance)?;
        slowest = slowest.max(back);
        eprintln!(
            "  cycle {cycle}: writing again after {} ms, {} acknowledged",
            back.as_millis(),
            world.company.acked()
        );
    }
    server.stop()?;
    world.drain()?;
    world.verify(workspace)?;
    let server = world.launch.start()?;
    world.consult(&server)?;
    world.reread(&server)?;
    world.verdict(CLAIM)?;
    server.stop()?;
    let refusals: u64 = world.company.writers.iter().map(|writer| writer.refusals).sum();
    println!(
        "full: {} times full, {refusals} posts refused with their code, reading and presence went on, writing came \
         back within {} ms, {} acknowledged and none lost, verify is clean",
        options.cycles,
        slowest.as_millis(),
        world.company.acked(),
    );
    drop(disk);
    scratch.discard();
    Ok(())
}

/// Until posts are refused, and until all writers are taken again; says how long that took.
fn fill_once(
    world: &mut World,
    disk: &Disk,
    server: &Natterd,
    chance: &mut Chance,
) -> Result<Duration, Failure> {
    // It came before the disk was full: who is new then has to wait, because that is to be stored as well.
    let mut visitor = world.visitor(server)?;
    let room = visitor.join(&room_name(0))?;
    disk.fill(chance.below(MOST_ROOM))?;
    let before = refusals(world);
    let refused = world.company.until(PATIENCE, |company| {
        company.writers.iter().map(|writer| writer.refusals).sum::<u64>() > before
            || !company.violations.is_empty()
    })?;
    world.verdict(CLAIM)?;
    if !refused {
        return Err(unproven("no post was refused"));
    }
    visit(&mut visitor, room)?;
    world.company.until(FULL, |company| !company.violations.is_empty())?;
    disk.clear()?;
    let cleared = world.clock.now();
    let back = world.company.until(BACK_WITHIN, |company| {
        company.writers.iter().all(|writer| writer.acked_at > cleared) || !company.violations.is_empty()
    })?;
    world.verdict(CLAIM)?;
    if back {
        Ok(world.clock.now() - cleared)
    } else {
        Err(unproven("posts are still refused 5 s after there was room"))
    }
}

/// Somebody who reads, asks who is there, and pings while the disk is full.
fn visit(caller: &mut Caller, room: RoomId) -> Result<(), Failure> {
    let page = caller.ask(|req| ClientMsg::Fetch { req, room, range: Range::Latest, limit: 50 })?;
    if !matches!(&page, ServerMsg::Page { found, .. } if !found.is_empty()) {
        return Err(unproven("history can't be read while the disk is full"));
    }
    let question = Question::People { room: Some(room), after: None };
    let answer = caller.ask(|req| ClientMsg::Ask { req, question })?;
    if !matches!(&answer, ServerMsg::Answer { reply: Reply::People { people }, .. } if !people.is_empty()) {
        return Err(unproven("nobody is told who is there while the disk is full"));
    }
    caller.say(&ClientMsg::Ping { nonce: 7 })?;
    let pong = |msg| matches!(msg, ServerMsg::Pong { nonce: 7, .. }).then_some(());
    Ok(caller.find("a pong", pong)?)
}

fn refusals(world: &World) -> u64 {
    world.company.writers.iter().map(|writer| writer.refusals).sum()
}

fn unproven(why: &str) -> Failure {
    Failure::Unproven { what: CLAIM, why: why.to_owned() }
}

impl Disk {
    fn mount(path: &Path, mib: u32) -> Result<Self, Failure> {
        fs::create_dir_all(path).map_err(|source| failed(path, source))?;
        let size = std::ffi::CString::new(format!("size={mib}m")).unwrap_or_default();
        mount("tmpfs", path, "tmpfs", MountFlags::empty(), size.as_c_str())
            .map_err(|error| failed(path, error.into()))?;
        Ok(Self { path: path.to_owned(), ballast: path.join("ballast") })
    }

    /// Leaves the store so many bytes.
    fn fill(&self, room: u64) -> Result<(), Failure> {
        let free = self.free()?;
        self.write_ballast(free.saturating_sub(room))
    }

    /// Gives room again.
    fn clear(&self) -> Result<(), Failure> {
        fs::remove_file(&self.ballast).map_err(|source| failed(&self.ballast, source))?;
        let free = self.free()?;
        if free < BALLAST {
            Err(unproven("the disk is too small for so many cycles: give --mib"))
        } else {
            Ok(())
        }
    }

    fn free(&self) -> Result<u64, Failure> {
        let stat = statvfs(&self.path).map_err(|error| failed(&self.path, error.into()))?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    fn write_ballast(&self, mut left: u64) -> Result<(), Failure> {
        let failed = |source| failed(&self.ballast, source);
        let mut file = File::create(&self.ballast).map_err(failed)?;
        let piece = vec![0; 1 << 16];
        while left > 0 {
            let size = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match file.write(&piece[..size]) {
                Ok(written) => left -= written as u64,
                // The store was faster in taking it.
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if unmount(&self.path, UnmountFlags::DETACH).is_err() {
            eprintln!("still mounted: {}", self.path.display());
        }
    }
}

fn failed(path: &Path, source: std::io::Error) -> Failure {
    Failure::Write { path: path.to_owned(), source }
}
