//! The gate of the simulation: fixed and fresh seeds, the plans that once broke something, and determinism.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use sim::cli::{Many, run_many};
use sim::coverage::Sometimes;
use sim::plan::Plan;
use sim::run::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs at the same time.
const JOBS: usize = 2;

fn check(from: u64, seeds: u64) {
    let many = Many { seeds, from, jobs: JOBS, first: false, meta: false, resume: None };
    let (held, summary) = run_many(&many).unwrap();
    assert!(held, "{summary}");
}

#[test]
fn nothing_breaks_in_32_fixed_seeds() {
    check(0, 32);
}

#[test]
fn nothing_breaks_in_16_fresh_seeds() {
    let from = fresh_seed();
    println!("the seeds from {from} on; the same again: NATTER_SIM_FROM={from} cargo test -p sim");
    check(from, 16);
}

/// Every commit has seeds of its own, and the same each time: what was red once is red again.
fn fresh_seed() -> u64 {
    if let Ok(from) = std::env::var("NATTER_SIM_FROM") {
        return from.parse().unwrap();
    }
    let commit = Command::new("git").args(["rev-parse", "--short=8", "HEAD"]).output();
    let commit = commit.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    // Without a history there are seeds all the same.
    let number = u64::from_str_radix(commit.trim(), 16).unwrap_or(1_000);
    // None of them is one of a crowd, which takes as long as ten others, more than once.
    number.next_multiple_of(10) + 4
}

#[test]
fn every_story_ends_well() {
    let stories = sim::story::all();
    assert!(stories.len() >= 9);
    for story in stories {
        let report = run(&story.plan, false);
        if let Some(violation) = report.violation {
            panic!("{}: {violation}", story.plan.name);
        }
        for what in story.sees {
            assert!(
                report.coverage.count(what) > 0,
                "{}: it never happened that {}",
                story.plan.name,
                what.text()
            );
        }
    }
}

#[test]
fn a_bad_moment_breaks_nothing_over_real_sockets_either() {
    let [story] = &sim::real::told(&["a bad moment".to_owned()])[..] else {
        panic!("there is no such story")
    };
    let report = sim::real::run_real(&story.plan).unwrap();
    assert_eq!(report.violation, None);
    for what in &story.sees {
        assert!(report.coverage.count(*what) > 0, "it never happened that {}", what.text());
    }
}

/// What came of a block is kept over a cut and over a restart of the server; what was lost on its way was not read.
#[test]
fn ten_cuts_and_a_power_loss_cost_a_file_two_blocks_at_most() {
    let story =
        sim::story::all().into_iter().find(|story| story.plan.name == "file through ten cuts").unwrap();
    let report = run(&story.plan, false);
    assert_eq!(report.violation, None);
    assert_eq!(report.coverage.count(Sometimes::FileArrived), 1);
    assert!(report.coverage.count(Sometimes::FileResumed) >= 9, "{:?}", report.coverage);
    let size: u64 = story.plan.clients.iter().map(sim::plan::ClientPlan::file_bytes).sum();
    let read = report.bulk_bytes[1];
    // Heads of frames, values and welcomes are far less than one in a hundred; a block whose
    // check was lost comes anew, which is rare.
    assert!((size..=size * 101 / 100 + 2 * (1 << 20)).contains(&read), "{read} bytes were read");
}

fn plans() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let mut plans: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    plans.sort();
    plans
}

#[test]
fn no_committed_plan_breaks_anything_again() {
    let plans = plans();
    assert!(!plans.is_empty());
    for path in plans {
        let plan: Plan = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        if let Some(violation) = run(&plan, false).violation {
            panic!("{}: {violation}", path.display());
        }
    }
}

/// The digests of these seeds, made by a process of its own.
fn digests(seeds: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_natter-sim")).arg("digest").args(seeds).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The events of a seed, made by a process of its own.
fn trace(seed: &str) -> Vec<String> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_natter-sim")).args(["seed", seed, "--trace"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_same_seed_gives_the_same_run_in_another_process() {
    let seeds = ["0", "1", "4", "5", "6", "7", "8", "9"];
    let (first, second) = (digests(&seeds), digests(&seeds));
    assert_eq!(first.len(), seeds.len());
    for (at, seed) in seeds.iter().enumerate() {
        if first[at] != second[at] {
            let (one, other) = (trace(seed), trace(seed));
            let differing = one.iter().zip(&other).find(|(one, other)| one != other);
            panic!("seed {seed} has two runs; they differ first in {differing:?}");
        }
    }
    let mut unlike: Vec<_> = first.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    unlike.sort_unstable();
    unlike.dedup();
    assert_eq!(unlike.len(), seeds.len(), "two seeds have one run: {first:?}");
}
