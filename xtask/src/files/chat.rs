//! How fast chat is while a file moves.

use super::bare;
use super::programs::{Programs, make_file};
use super::relay::Relay;
use crate::{
    bench::tally::median,
    failure::Failure,
    proof::{
        generator::Generator,
        natterd::{Launch, Natterd},
    },
};
use std::fmt;

const CLAIM: &str = "chat stays fast while files move";

/// Clients that chat, and texts a second of all of them.
const CLIENTS: u32 = 16;
const RATE: u32 = 1_000;

/// Seconds that are counted, and before.
const SECONDS: u64 = 8;
const WARM_UP: u64 = 1;

/// What goes on beside the chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    BareCopy,
    Upload,
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nothing => "nothing",
            Self::BareCopy => "a bare copy",
            Self::Upload => "an upload",
        })
    }
}

/// Chats beside an upload at so many bytes a second, and beside what it is compared with.
///
/// # Errors
/// [`Failure::Unproven`] if the median of the 99th percentiles is over 1.5 × that beside a bare copy on disk, or over 2 ×
/// that of an idle server in memory.
pub fn run(programs: &Programs<'_>, rate: u64, reps: u32) -> Result<(), Failure> {
    let pairs = [("sqlite", Beside::BareCopy, 1.5), ("memory", Beside::Nothing, 2.0)];
    for (store, other, goal) in pairs {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..reps {
            theirs.push(measure(programs, store, other, rate)?);
            ours.push(measure(programs, store, Beside::Upload, rate)?);
        }
        let (ours, theirs) = (median(&ours), median(&theirs));
        let ratio = ours / theirs;
        println!(
            "chat: store {store}: p99 {ours:.0} us beside an upload at {} MB/s, {theirs:.0} us beside {other}: {ratio:.2}, \
             goal {goal}",
            rate / 1_000_000,
        );
        if ratio > goal {
            return Err(Failure::Unproven { what: CLAIM, why: format!("with {store} it is {ratio:.2}") });
        }
    }
    Ok(())
}

/// The 99th percentile of an acknowledgement, in µs.
fn measure(programs: &Programs<'_>, store: &str, beside: Beside, rate: u64) -> Result<f64, Failure> {
    let (file, copy) = (programs.path("beside.bin"), programs.path("copy.bin"));
    // A file that lasts longer than what is counted.
    make_file(&file, rate * (WARM_UP + SECONDS + 2))?;
    let launch: Launch = programs.launch(store)?;
    let server = launch.start()?;
    let load = start_load(programs, &server)?;
    match beside {
        Beside::Nothing => {}
        Beside::BareCopy => drop(bare::copy(&file, &[copy], Some(rate))?),
        Beside::Upload => {
            let relay = Relay::start(server.address, Some(rate))?;
            programs.send("alice", relay.address(), &file)?.finish()?;
        }
    }
    let report = load.finish()?;
    server.stop()?;
    let p99 = report["figures"]["p99_us"].as_f64().ok_or_else(|| unmeasured("there is no figure"))?;
    eprintln!("  store {store}, beside {beside}: p99 {p99:.0} us");
    Ok(p99)
}

fn start_load(programs: &Programs<'_>, server: &Natterd) -> Result<Generator, Failure> {
    let figures = [
        ("--clients", CLIENTS.to_string()),
        ("--rate", RATE.to_string()),
        ("--warm-up", WARM_UP.to_string()),
        ("--seconds", SECONDS.to_string()),
    ];
    let args: Vec<_> = figures.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    Generator::start(&programs.program("natter-load"), server, &args, CLAIM.to_owned())
}

fn unmeasured(why: &str) -> Failure {
    Failure::Unmeasured { what: CLAIM.to_owned(), why: why.to_owned() }
}
