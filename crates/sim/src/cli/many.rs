//! Many seeds at once, and what they sum up to.

use super::Many;
use super::kept::Kept;
use crate::coverage::{Coverage, Sometimes};
use crate::plan::Plan;
use crate::run::{Report, run};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What remains of one run.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    clients: usize,
    typed: u64,
    entries: u64,
    shown: u64,
    simulated_ms: u64,
    took_ms: u64,
    faults: usize,
    coverage: Coverage,
    broken: Option<String>,
}

/// A median run has at least so many clients and posts, and so many percent of those with faults felt one.
const CLIENTS: u64 = 20;
const POSTS: u64 = 200;
const FELT: u64 = 80;

/// In how many runs of a full check each effect must be seen.
const SEEN: u64 = 3;

/// Runs the seeds: whether all that was asked for held, and the summary.
///
/// # Errors
/// The file to resume from can't be read or written.
pub fn run_many(many: &Many) -> io::Result<(bool, String)> {
    let start = now();
    let (rows, before) = rows(many)?;
    let took = now().duration_since(start) + before;
    let mut summary = String::new();
    let held = sum_up(many, &rows, took, &mut summary);
    Ok((held, summary))
}

#[expect(clippy::disallowed_methods, reason = "the speed of the simulation is what is measured here")]
fn now() -> Instant {
    Instant::now()
}

/// What the runs have in common.
struct Shared {
    todo: Vec<u64>,
    rows: BTreeMap<u64, Row>,
    kept: Kept,
    failed: Option<io::Error>,
}

/// The rows of all seeds, and how long those took that were run before.
fn rows(many: &Many) -> io::Result<(BTreeMap<u64, Row>, Duration)> {
    let seeds = many.from..many.from + many.seeds;
    let (kept, mut rows) = Kept::open(many.resume.as_deref())?;
    rows.retain(|seed, _| seeds.contains(seed));
    let before = rows.values().map(|row| row.took_ms).sum::<u64>() / many.jobs.max(1) as u64;
    let todo = seeds.rev().filter(|seed| !rows.contains_key(seed)).collect();
    let shared = Mutex::new(Shared { todo, rows, kept, failed: None });
    std::thread::scope(|scope| {
        for _ in 0..many.jobs.max(1) {
            scope.spawn(|| while run_next(many, &shared) {});
        }
    });
    let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    match shared.failed {
        Some(error) => Err(error),
        None => Ok((shared.rows, Duration::from_millis(before))),
    }
}

/// Runs the next seed; whether there may be another.
fn run_next(many: &Many, shared: &Mutex<Shared>) -> bool {
    let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(seed) = lock().todo.pop() else { return false };
    let row = row(seed);
    let mut shared = lock();
    let is_last = row.broken.is_some() && many.first;
    if let Err(error) = shared.kept.add(seed, &row) {
        shared.failed = Some(error);
    }
    if is_last || shared.failed.is_some() {
        shared.todo.clear();
    }
    shared.rows.insert(seed, row);
    progress(shared.rows.len() as u64, many.seeds);
    true
}

fn row(seed: u64) -> Row {
    let (plan, start) = (Plan::random(seed), now());
    let Report { violation, coverage, simulated_ms, typed, entries, shown, .. } = run(&plan, false);
    let broken = violation.map(|violation| violation.to_string());
    Row {
        clients: plan.clients.len(),
        typed,
        entries,
        shown,
        simulated_ms,
        took_ms: u64::try_from(now().duration_since(start).as_millis()).unwrap_or(u64::MAX),
        faults: plan.faults.len(),
        coverage,
        broken,
    }
}

/// On a terminal only: a log needs no progress.
fn progress(done: u64, of: u64) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r{done} of {of} seeds");
        if done == of {
            let _ = writeln!(stderr);
        }
    }
}

fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(0)
}

fn sum_up(many: &Many, rows: &BTreeMap<u64, Row>, took: Duration, out: &mut String) -> bool {
    use std::fmt::Write;
    let broken: Vec<_> = rows.iter().filter_map(|(seed, row)| Some((seed, row.broken.as_ref()?))).collect();
    for (seed, what) in &broken {
        let _ = writeln!(out, "seed {seed} breaks {what}\n  replay: cargo xtask sim --seed {seed}");
    }
    let hours = rows.values().map(|row| row.simulated_ms).sum::<u64>() as f64 / 3_600_000.0;
    let minutes = took.as_secs_f64() / 60.0;
    let clients = median(rows.values().map(|row| row.clients as u64));
    let posts = median(rows.values().map(|row| row.typed));
    let mut coverage = Coverage::default();
    rows.values().for_each(|row| coverage.add_run(&row.coverage));
    let with_faults = rows.values().filter(|row| row.faults > 0).count() as u64;
    let felt = rows.values().filter(|row| row.faults > 0 && row.coverage.felt()).count() as u64;
    let felt = felt * 100 / with_faults.max(1);
    let entries: u64 = rows.values().map(|row| row.entries).sum();
    let shown: u64 = rows.values().map(|row| row.shown).sum();
    let died = |what| rows.values().map(|row| row.coverage.count(what)).sum::<u64>();
    let (servers, people) = (died(Sometimes::ServerDied), died(Sometimes::ClientDied));
    let _ = writeln!(out, "{servers} crashes of servers and {people} of clients");
    let _ = writeln!(
        out,
        "{} seeds, {} broke something; {hours:.2} simulated hours in {:.1} s: {:.1} h/min",
        rows.len(),
        broken.len(),
        took.as_secs_f64(),
        hours / minutes.max(1e-9)
    );
    let _ =
        writeln!(out, "{entries} entries stored, {shown} shown; median {clients} clients and {posts} posts");
    let _ = writeln!(
        out,
        "{with_faults} seeds with faults, {felt} % of them felt one; runs in which it happened that"
    );
    for what in Sometimes::ALL {
        let _ = writeln!(out, "{:>6}  {}", coverage.count(*what), what.text());
    }
    let is_work = clients >= CLIENTS && posts >= POSTS && felt >= FELT;
    let unseen = coverage.rarer_than(SEEN);
    if many.meta && !is_work {
        let _ = writeln!(out, "these runs are no work");
    }
    if many.meta && !unseen.is_empty() {
        let _ = writeln!(out, "too rarely seen: {unseen:?}");
    }
    broken.is_empty() && (!many.meta || is_work && unseen.is_empty())
}
