//! `cargo xtask faults order`: kill -9 can't show a missing sync, but the order of the system calls can.
//!
//! Every message has a marker that no other has. For each one the write to the log's file that holds it comes
//! first, then a sync of that file that returned, and only then the first byte of its acknowledgement and of any
//! delivery.

pub mod judge;

use super::strace;
use crate::{
    failure::Failure,
    proof::{Scratch, Size, World, body::Bodies, world::StoreKind},
    workspace::Workspace,
};
use clap::Args;
use judge::Verdict;
use std::time::Duration;

const CLAIM: &str = "written, then synced, then acknowledged and delivered";

/// How many messages, and from whom.
#[derive(Args)]
pub struct Options {
    /// Messages that must be seen on their whole way.
    #[arg(long, default_value_t = 1_000)]
    pub markers: u64,
    /// Which store; with `memory` the claim must be found broken.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
    pub store: StoreKind,
}

impl Options {
    /// What CI has time for, which is all of it.
    pub fn short() -> Self {
        Self { markers: 1_000, store: StoreKind::Sqlite }
    }
}

/// Traces a server under load, and judges the order of its calls.
///
/// # Errors
/// [`Failure::Unproven`] with the messages that were told too early.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    strace::require()?;
    let scratch = Scratch::create(workspace, "order")?;
    let trace = scratch.path().join("trace");
    let size = Size { writers: 16, followers: 4, rooms: 4, window: 4, bodies: Bodies::Short };
    let mut world = World::new(workspace, scratch.path(), options.store, size, 1)?;
    let calls =
        "trace=write,pwrite64,pwritev,pwritev2,writev,sendto,sendmsg,fsync,fdatasync,sync_file_range,msync";
    world.launch.wrapper = strace::wrapper(&trace, &["-e", calls]);
    let server = world.launch.start()?;
    world.gather()?;
    let enough = options.markers * 5 / 4;
    world.company.until(Duration::from_secs(60), |company| company.acked() >= enough)?;
    server.stop()?;
    world.drain()?;
    world.verdict(CLAIM)?;
    let verdict = judge::judge(&strace::read(&trace)?);
    check(&verdict, options.markers)?;
    println!(
        "order: {} messages seen from their write over {} syncs to their acknowledgement, and in {} deliveries: \
         each was synced before the first byte of either",
        verdict.acknowledged, verdict.syncs, verdict.deliveries,
    );
    scratch.discard();
    Ok(())
}

fn check(verdict: &Verdict, markers: u64) -> Result<(), Failure> {
    let early = &verdict.early;
    let unproven = |why| Err(Failure::Unproven { what: CLAIM, why });
    if !early.is_empty() {
        let told: Vec<_> = early.iter().take(10).map(String::as_str).collect();
        return unproven(format!("{} too early\n  {}", early.len(), told.join("\n  ")));
    }
    let (acknowledged, deliveries) = (verdict.acknowledged, verdict.deliveries);
    if acknowledged < markers || deliveries < markers {
        return unproven(format!("only {acknowledged} acknowledged and {deliveries} deliveries were seen"));
    }
    Ok(())
}
