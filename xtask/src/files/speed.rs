//! How fast transfers are, beside a bare copy of the same file in the same minutes.

use super::bare;
use super::programs::{Mover, Programs, are_equal, make_file};
use crate::{bench::tally::median, failure::Failure};
use load::clock::Clock;
use std::{
    fs,
    net::SocketAddr,
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
    alone: Alone,
    copies: Duration,
    downloads: Duration,
}

/// The times of one file after another.
struct Alone {
    copy: Duration,
    upload: Duration,
    download: Duration,
}

/// Sends and fetches a file of `alone` bytes, and has ten people fetch one of `many` bytes at once, each time beside the
/// bare copy.
///
/// # Errors
/// [`Failure::Unproven`] if the median of a transfer is too slow, or something else arrives than was sent.
pub fn run(programs: &Programs<'_>, alone: u64, many: u64, reps: u32) -> Result<(), Failure> {
    let all = (0..reps).map(|rep| repeat(programs, alone, many, rep)).collect::<Result<Vec<_>, _>>()?;
    let ratio = |ours: fn(&Times) -> Duration, bare: fn(&Times) -> Duration| {
        let mut ratios: Vec<_> =
            all.iter().map(|times| bare(times).as_secs_f64() / ours(times).as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        (ratios[0], median(&ratios), ratios[ratios.len() - 1])
    };
    let figures = [
        ("upload", ratio(|times| times.alone.upload, |times| times.alone.copy)),
        ("download", ratio(|times| times.alone.download, |times| times.alone.copy)),
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

fn repeat(programs: &Programs<'_>, alone: u64, many: u64, rep: u32) -> Result<Times, Failure> {
    let server = programs.launch("sqlite")?.start()?;
    let targets: Vec<_> = (0..MANY).map(|number| programs.path(&format!("to-{number}"))).collect();
    let course = Course { programs, server: server.address, targets };
    let single = course.alone(&format!("alone-{rep}.bin"), alone)?;
    let (copies, downloads) = course.many(&format!("many-{rep}.bin"), many, rep.is_multiple_of(2))?;
    server.stop()?;
    remove(&[programs.path("data")]);
    let times = Times { alone: single, copies, downloads };
    say(alone, many, &times);
    Ok(times)
}

/// Where one repetition is run.
struct Course<'a> {
    programs: &'a Programs<'a>,
    server: SocketAddr,
    /// Where files arrive.
    targets: Vec<PathBuf>,
}

impl Course<'_> {
    /// One file after another.
    fn alone(&self, name: &str, bytes: u64) -> Result<Alone, Failure> {
        let file = self.programs.path(name);
        make_file(&file, bytes)?;
        let target = &self.targets[..1];
        warm_up(&file, target)?;
        let copy = timed(|| bare::copy(&file, target, None).map(drop))?;
        remove(target);
        warm_up(&file, target)?;
        let upload = timed(|| self.send(&file))?;
        warm_up(&file, target)?;
        let download = timed(|| self.get(0, name)?.finish())?;
        if !are_equal(&file, &target[0])? {
            return Err(Failure::Unproven { what: CLAIM, why: "something else arrived".to_owned() });
        }
        remove(target);
        remove(&[file]);
        Ok(Alone { copy, upload, download })
    }

    /// Ten copies at once, and ten downloads; the copies are the first of them or not.
    fn many(&self, name: &str, bytes: u64, copies_first: bool) -> Result<(Duration, Duration), Failure> {
        let file = self.programs.path(name);
        make_file(&file, bytes)?;
        self.send(&file)?;
        let time = |work: &dyn Fn() -> Result<(), Failure>| {
            warm_up(&file, &self.targets)?;
            let took = timed(work);
            remove(&self.targets);
            took
        };
        let copy = || bare::copy(&file, &self.targets, None).map(drop);
        let fetch = || {
            let movers = (0..MANY).map(|number| self.get(number, name)).collect::<Result<Vec<_>, _>>()?;
            movers.into_iter().try_for_each(Mover::finish)
        };
        let times = if copies_first {
            let copies = time(&copy)?;
            (copies, time(&fetch)?)
        } else {
            let downloads = time(&fetch)?;
            (time(&copy)?, downloads)
        };
        remove(&[file]);
        Ok(times)
    }

    fn send(&self, file: &Path) -> Result<(), Failure> {
        self.programs.send("alice", self.server, file)?.finish()
    }

    fn get(&self, number: usize, name: &str) -> Result<Mover, Failure> {
        self.programs.get(&format!("bob-{number}"), self.server, name, &self.targets[number])
    }
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

fn say(alone: u64, many: u64, times: &Times) {
    let rate = |bytes: u64, time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    eprintln!(
        "  bare copy {:.0} MB/s, upload {:.0}, download {:.0}; ten at once: bare copy {:.0} MB/s each, download {:.0}",
        rate(alone, times.alone.copy),
        rate(alone, times.alone.upload),
        rate(alone, times.alone.download),
        rate(many, times.copies),
        rate(many, times.downloads),
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
