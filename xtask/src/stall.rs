//! `cargo xtask stall`: readers that stand still in a busy room cost little, nobody else notices them, and they get
//! everything later.
//!
//! The same texts go by the same schedule to the same readers: alone, beside those that stand still, and alone again. A
//! machine's own pace changes within half an hour, so it is measured on both sides of what it is compared with.

use crate::{
    bench::contender::{pinned, report_of},
    failure::Failure,
    proof::{Scratch, natterd::Launch},
    workspace::Workspace,
};
use clap::Args;
use load::process::raise_socket_limit;

const CLAIM: &str = "readers that stand still cost little and hold up nobody";

/// Memory that a reader which stands still may cost the server.
const KIB_PER_READER: f64 = 64.0;

/// By how much the others' p99 may grow.
const SLOWER: f64 = 1.2;

/// Part of the readers that may be cut off. It happens to few of them in one run of four, and the systems do it: the
/// reader's memory for small segments is full before its window is, it drops one, and from then on neither side takes
/// the other's acknowledgements. The server hears nothing more of it, and lets it go.
const CUT_OFF: f64 = 0.05;

/// Seconds after which the buffers of the system are full, so that those who read nothing stand still.
const FILLED_AFTER: u32 = 30;

/// How many, how fast, and how long.
#[derive(Args)]
pub struct Options {
    /// Readers that stand still.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    readers: u32,
    /// Readers beside them.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    others: u32,
    /// Texts a second, of four senders together.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// How long they stand still.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

/// One run.
struct Run {
    p99_us: f64,
    resident_kib: f64,
    caught_up_s: f64,
    /// How many readers were cut off and came back when they read again.
    returned: f64,
}

/// Runs it without them, with them and without them again, and compares.
///
/// # Errors
/// [`Failure::Unproven`] with every bound that is broken, [`Failure::Unmeasured`] if a text was lost or doubled.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let cargo = workspace.cargo().args(["build", "--release", "--bins"]);
    cargo.args(["-p", "server", "-p", "load"]).run()?;
    raise_socket_limit()?;
    let half = (options.seconds / 2).max(1);
    let before = measure(workspace, options, (0, half))?;
    let beside = measure(workspace, options, (options.readers, options.seconds))?;
    let after = measure(workspace, options, (0, half))?;
    let standing = f64::from(options.readers) - beside.returned;
    let kib = (beside.resident_kib - before.resident_kib) / standing;
    let alone_us = f64::midpoint(before.p99_us, after.p99_us);
    let slower = beside.p99_us / alone_us;
    println!(
        "stall: {} readers stood still for {} s beside {} others at {} texts/s: {kib:.1} KiB of memory each; the \
         others' p99 {:.0} µs, {slower:.2} times that without them ({:.0} before, {:.0} after); all had every text {:.1} s after they went on, {:.0} of them on a \
         new connection",
        options.readers,
        options.seconds,
        options.others,
        options.rate,
        beside.p99_us,
        before.p99_us,
        after.p99_us,
        beside.caught_up_s,
        beside.returned,
    );
    let mut broken = Vec::new();
    if beside.returned > f64::from(options.readers) * CUT_OFF {
        broken.push(format!(
            "{} of them were cut off, {:.0} % are allowed",
            beside.returned,
            CUT_OFF * 100.0
        ));
    }
    if kib > KIB_PER_READER {
        broken.push(format!("{kib:.1} KiB for each of them, {KIB_PER_READER} are allowed"));
    }
    if slower > SLOWER {
        broken.push(format!("the others' p99 is {slower:.2} times as long, {SLOWER} is allowed"));
    }
    if broken.is_empty() { Ok(()) } else { Err(Failure::Unproven { what: CLAIM, why: broken.join("; ") }) }
}

fn measure(workspace: &Workspace, options: &Options, (stalled, seconds): (u32, u32)) -> Result<Run, Failure> {
    let programs = workspace.root.join("target/release");
    let scratch = Scratch::create(workspace, "stall")?;
    let data = scratch.path().join("data").display().to_string();
    let mut launch = Launch::new(&programs.join("natterd"), scratch.path(), &["--data", &data])?;
    launch.pin(0);
    let server = launch.start()?;
    let mut generator = pinned(1, &programs.join("natter-load"));
    generator
        .args(["paced", "--server", &launch.address.to_string(), "--server-pid", &server.id().to_string()])
        .args(["--receivers", &options.others.to_string(), "--rate", &options.rate.to_string()])
        .args(["--seconds", &seconds.to_string(), "--stalled", &stalled.to_string()])
        .args(["--warm-up", &FILLED_AFTER.to_string(), "--patience", "60"]);
    let report = report_of(generator, &CLAIM, &format!("with {stalled} readers that stand still"))?;
    server.stop()?;
    scratch.discard();
    let figure = |name: &str| report["figures"][name].as_f64().unwrap_or_default();
    Ok(Run {
        p99_us: figure("p99_us"),
        resident_kib: figure("resident_kib"),
        caught_up_s: figure("caught_up_s"),
        returned: figure("returned"),
    })
}
