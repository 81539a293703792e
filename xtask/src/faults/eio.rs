//! `cargo xtask faults eio`: a sync fails, for each of the first syncs of a server's life in turn.
//!
//! The server must end, with an error. What it acknowledged must have been synced before, by a sync that did not
//! fail (a later one that succeeds says nothing: the system forgets what it could not write); and after a restart
//! all of it is there.

mod database;

use super::order::judge::{self, Verdict};
use super::strace;
use crate::{
    failure::Failure,
    proof::{
        Scratch, Size, World,
        body::Bodies,
        natterd::{Natterd, Start},
        world::StoreKind,
    },
    workspace::Workspace,
};
use clap::Args;
use database::Talk;
use std::{fs, path::Path, time::Duration};

const CLAIM: &str = "a failed sync ends the server before it acknowledges what it could not keep";

/// How long it may take until the sync comes that fails, and until the server has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many syncs are made while a new server starts, each for a reason of its own.
const AT_START: u32 = 32;

/// Which syncs.
#[derive(Args)]
pub struct Options {
    /// The first sync that fails.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub from: u32,
    /// The last one.
    #[arg(long, default_value_t = 500)]
    pub to: u32,
    /// Every so many of them, after those of the start.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub step: u32,
    /// The last sync of the database itself that fails, once under load and once in silence.
    #[arg(long, default_value_t = 8)]
    pub database: u32,
}

impl Options {
    /// What CI has time for.
    pub fn short() -> Self {
        Self { from: 1, to: 500, step: 60, database: 4 }
    }
}

/// What came out.
#[derive(Default)]
struct Tally {
    trials: u32,
    /// Servers that never listened, because it was one of their first syncs.
    at_start: u32,
    /// Syncs of the database itself, which only checkpoints make once it is there.
    of_database: u32,
    acknowledged: u64,
}

/// Lets each of these syncs fail in a run of its own.
///
/// # Errors
/// [`Failure::Unproven`] if a server lives on, or told something too early.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    strace::require()?;
    let mut tally = Tally::default();
    let at_start = options.from..=options.to.min(AT_START);
    let later = (options.from.max(AT_START + 1)..=options.to).step_by(options.step as usize);
    for number in at_start.chain(later) {
        try_one(workspace, number, &mut tally)?;
    }
    for talk in [Talk::Always, Talk::Seldom] {
        (1..=options.database).try_for_each(|number| database::try_one(workspace, number, talk))?;
    }
    let Tally { trials, at_start, of_database, acknowledged } = tally;
    println!(
        "eio: {trials} syncs failed, one in each life ({at_start} before it listened, {of_database} of the database \
         file): each server ended with an error, {acknowledged} posts were acknowledged and none of them too early, \
         every restart is clean; the same holds for the first {} syncs of the database alone, under load and in silence",
        options.database,
    );
    Ok(())
}

fn try_one(workspace: &Workspace, number: u32, tally: &mut Tally) -> Result<(), Failure> {
    let scratch = Scratch::create(workspace, &format!("eio-{number}"))?;
    let size = Size { writers: 4, followers: 2, rooms: 2, window: 2, bodies: Bodies::Mixed };
    let mut world = World::new(workspace, scratch.path(), StoreKind::Sqlite, size, u64::from(number))?;
    let trace = scratch.path().join("trace");
    let inject = format!("inject=fsync,fdatasync:error=EIO:when={number}");
    let calls = "trace=write,pwrite64,pwritev,pwritev2,writev,sendto,sendmsg,fsync,fdatasync";
    world.launch.wrapper = strace::wrapper(&trace, &["-e", calls, "-e", &inject]);
    match world.launch.try_start()? {
        Start::Listening(server) => end_under_load(&mut world, server, number)?,
        Start::Ended { status, said } => {
            check_end(number, status.success(), &said)?;
            tally.at_start += 1;
        }
    }
    let verdict = examine(&trace, number, tally)?;
    tally.acknowledged += verdict.acknowledged;
    tally.trials += 1;
    come_back(workspace, &mut world)?;
    let (acked, entries) = (world.company.acked(), world.oracle.entries());
    eprintln!("  sync {number}: {acked} acknowledged, {entries} in the log");
    scratch.discard();
    Ok(())
}

/// The restart is clean, and all that was acknowledged is there.
fn come_back(workspace: &Workspace, world: &mut World) -> Result<(), Failure> {
    world.launch.wrapper.clear();
    let server = world.launch.start()?;
    world.consult(&server)?;
    world.verdict(CLAIM)?;
    server.stop()?;
    world.verify(workspace)
}

fn end_under_load(world: &mut World, mut server: Natterd, number: u32) -> Result<(), Failure> {
    world.company.call();
    let mut status = None;
    let ended = world.company.until(PATIENCE, |company| {
        status = server.ended().ok().flatten();
        status.is_some() || !company.violations.is_empty()
    })?;
    world.verdict(CLAIM)?;
    let Some(status) = status.filter(|_| ended) else {
        return Err(unproven(number, "it lives on"));
    };
    check_end(number, status.success(), &server.complaints())?;
    world.drain()
}

fn check_end(number: u32, well: bool, said: &str) -> Result<(), Failure> {
    if well {
        return Err(unproven(number, "it ended without an error"));
    }
    if said.contains("panicked") || said.trim().is_empty() {
        return Err(unproven(number, &format!("it did not say why it ended: {said}")));
    }
    Ok(())
}

/// The sync must really have failed, and nothing been told too early.
fn examine(trace: &Path, number: u32, tally: &mut Tally) -> Result<Verdict, Failure> {
    let calls = strace::read(trace)?;
    let failed = calls.iter().find(|call| call.injected);
    let failed = failed.ok_or_else(|| unproven(number, "no sync was made to fail"))?;
    tally.of_database += u32::from(failed.file.ends_with(".db"));
    let verdict = judge::judge(&calls);
    if let Some(early) = verdict.early.first() {
        return Err(unproven(number, &format!("{} too early, first {early}", verdict.early.len())));
    }
    // A trace is large, and there are hundreds of them.
    fs::remove_file(trace).map_err(|source| Failure::Write { path: trace.to_owned(), source })?;
    Ok(verdict)
}

fn unproven(number: u32, why: &str) -> Failure {
    Failure::Unproven { what: CLAIM, why: format!("sync {number} failed: {why}") }
}
