//! A sync of the database itself fails, which only checkpoints make: while everybody posts, and while nobody does.
//!
//! In silence the server must end at once, not when the next post comes.

use super::{CLAIM, PATIENCE, check_end, come_back, unproven};
use crate::{
    failure::Failure,
    faults::strace,
    proof::{
        Scratch, Size, World,
        body::Bodies,
        natterd::{Natterd, Start},
        world::StoreKind,
    },
    workspace::Workspace,
};
use std::{fs, path::Path, time::Duration};

/// How long everybody posts, and how long everybody is silent after that: long enough for a checkpoint.
const PULSE: Duration = Duration::from_millis(50);
const SILENCE: Duration = Duration::from_millis(2_000);

/// When people post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// All the time.
    Always,
    /// A moment, and then not for a while.
    Seldom,
}

/// Lets the sync of the database with this number fail.
///
/// # Errors
/// [`Failure::Unproven`] if the server lives on, or acknowledged what it has not.
pub fn try_one(workspace: &Workspace, number: u32, talk: Talk) -> Result<(), Failure> {
    let scratch = Scratch::create(workspace, &format!("eio-database-{number}"))?;
    let size = Size { writers: 8, followers: 2, rooms: 2, window: 2, bodies: Bodies::Mixed };
    let mut world = World::new(workspace, scratch.path(), StoreKind::Sqlite, size, u64::from(number))?;
    let trace = scratch.path().join("trace");
    let database = world.data.join("natter.db").display().to_string();
    let inject = format!("inject=fsync,fdatasync:error=EIO:when={number}");
    let wrapper = strace::wrapper(&trace, &["-P", &database, "-e", "trace=fsync,fdatasync", "-e", &inject]);
    world.launch.wrapper = wrapper;
    match world.launch.try_start()? {
        Start::Listening(server) => end(&mut world, server, &trace, (number, talk))?,
        Start::Ended { status, said } => check_end(number, status.success(), &said)?,
    }
    come_back(workspace, &mut world)?;
    eprintln!("  sync {number} of the database, {talk:?}: {} acknowledged", world.company.acked());
    scratch.discard();
    Ok(())
}

fn end(
    world: &mut World,
    mut server: Natterd,
    trace: &Path,
    (number, talk): (u32, Talk),
) -> Result<(), Failure> {
    world.company.call();
    let begun = world.clock.now();
    while world.clock.now() < begun + PATIENCE {
        for (talks, time) in [(true, PULSE), (talk == Talk::Always, SILENCE)] {
            world.company.talks = talks;
            let mut status = None;
            world.company.until(time, |_| {
                status = server.ended().ok().flatten();
                status.is_some()
            })?;
            if let Some(status) = status {
                check_end(number, status.success(), &server.complaints())?;
                world.drain()?;
                return world.verdict(CLAIM);
            }
        }
        if fs::read_to_string(trace).unwrap_or_default().contains("(INJECTED)") {
            return Err(unproven(number, "it lives on"));
        }
    }
    Err(unproven(number, "no sync of the database was made to fail"))
}
