//! How fast transfers are, beside a bare copy of the same file in the same minutes.

use super::bare;
use super::programs::{Mover, Programs, are_equal, make_file};
use crate::{bench::tally::median, failure::Failure};
use load::clock::Clock;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const CLAIM: &str = "a transfer reaches at least 0.6 of what a bare copy of the same file reaches";

/// What a transfer must reach of the bare copy.
const GOAL: f64 = 0.6;

/// People who fetch at once.
const MANY: usize = 10;

/// The times of one repetition.
struct Times {
    copy: Duration,
    upload: Duration,
    download: Duration,
    copies: Duration,
    downloads: Duration,
}

/// Sends and fetches a file of so many bytes, and has ten people fetch it at once, each time beside the bare copy.
///
/// # Errors
/// [`Failure::Unproven`] if the median of a transfer is too slow, or something else arrives than was sent.
pub fn run(programs: &Programs<'_>, bytes: u64, reps: u32) -> Result<(), Failure> {
    let all = (0..reps).map(|rep| repeat(programs, bytes, rep)).collect::<Result<Vec<_>, _>>()?;
    let ratio = |ours: fn(&Times) -> Duration, bare: fn(&Times) -> Duration| {
        let mut ratios: Vec<_> =
            all.iter().map(|times| bare(times).as_secs_f64() / ours(times).as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        (ratios[0], median(&ratios), ratios[ratios.len() - 1])
    };
    let figures = [
        ("upload", ratio(|times| times.upload, |times| times.copy)),
        ("download", ratio(|times| times.download, |times| times.copy)),
        ("ten downloads", ratio(|times| times.downloads, |times| times.copies)),
    ];
    for (what, (least, median, most)) in figures {
        println!("speed: {what}: {median:.2} of the bare copy ({least:.2} to {most:.2}), goal {GOAL}");
    }
    match figures.iter().find(|(_, (_, median, _))| *median < GOAL) {
        None => Ok(()),
        Some((what, (_, median, _))) => {
            Err(Failure::Unproven { what: CLAIM, why: format!("{what} reaches {median:.2}") })
        }
    }
}

fn repeat(programs: &Programs<'_>, bytes: u64, rep: u32) -> Result<Times, Failure> {
    let name = format!("speed-{rep}.bin");
    let file = programs.path(&name);
    make_file(&file, bytes)?;
    let server = programs.launch("sqlite")?.start()?;
    // Who fetches has been here before: a first login is not what is measured.
    let targets: Vec<_> = (0..MANY).map(|number| programs.path(&format!("to-{number}"))).collect();
    let copy_to = |targets: &[PathBuf]| bare::copy(&file, targets, None).map(drop);
    let warm = |targets: &[PathBuf]| warm_up(&file, targets);
    warm(&targets[..1])?;
    let copy = timed(|| copy_to(&targets[..1]))?;
    remove(&targets);
    warm(&targets[..1])?;
    let upload = timed(|| programs.send("alice", server.address, &file)?.finish())?;
    let get = |number: usize| -> Result<Mover, Failure> {
        programs.get(&format!("bob-{number}"), server.address, &name, &targets[number])
    };
    warm(&targets[..1])?;
    let download = timed(|| get(0)?.finish())?;
    if !are_equal(&file, &targets[0])? {
        return Err(Failure::Unproven { what: CLAIM, why: "something else arrived".to_owned() });
    }
    remove(&targets);
    let copy_all = || {
        warm(&targets)?;
        let took = timed(|| copy_to(&targets));
        remove(&targets);
        took
    };
    let get_all = || {
        warm(&targets)?;
        let took = timed(|| {
            let movers = (0..MANY).map(get).collect::<Result<Vec<_>, _>>()?;
            movers.into_iter().try_for_each(Mover::finish)
        });
        remove(&targets);
        took
    };
    let (copies, downloads) = if rep.is_multiple_of(2) {
        let copies = copy_all()?;
        (copies, get_all()?)
    } else {
        let downloads = get_all()?;
        (copy_all()?, downloads)
    };
    server.stop()?;
    remove(&[file, programs.path("data")]);
    let times = Times { copy, upload, download, copies, downloads };
    say(bytes, &times);
    Ok(times)
}

/// Leaves the machine alike for each that is timed. What was removed is given back to the disk at some later sync, and a
/// virtual machine pays for memory that it has not used for a moment.
fn warm_up(file: &Path, targets: &[PathBuf]) -> Result<(), Failure> {
    rustix::fs::sync();
    for target in targets {
        fs::copy(file, target).map_err(|source| Failure::Write { path: target.clone(), source })?;
    }
    remove(targets);
    Ok(())
}

fn say(bytes: u64, times: &Times) {
    let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    eprintln!(
        "  bare copy {:.0} MB/s, upload {:.0}, download {:.0}; ten at once: bare copy {:.0} MB/s each, download {:.0}",
        rate(times.copy),
        rate(times.upload),
        rate(times.download),
        rate(times.copies),
        rate(times.downloads),
    );
}

fn timed(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let clock = Clock::start();
    work()?;
    Ok(clock.now())
}

/// What is not there need not be removed, and what can't be is removed with the folder.
fn remove(paths: &[PathBuf]) {
    for path in paths {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}
