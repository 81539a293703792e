//! `cargo xtask ci`: the steps, in order, each with the one thing that it proves.

use std::time::{Duration, Instant};

use crate::{
    attack, crash, deny,
    failure::Failure,
    faults::{accidents, eio, flips, log, order, pause, power, relogin},
    flood, heavy, picture, runner, sim, tidy,
    workspace::Workspace,
};

/// What became of a step that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was checked.
    Passed,
    /// It passed, but a part was not checked: which, and how to have it checked.
    Partly(&'static str),
    /// Nothing was checked: why, and how to have it checked. Never in CI.
    Skipped(&'static str),
}

struct Step {
    name: &'static str,
    proves: &'static str,
    hint: &'static str,
    run: fn(&Workspace) -> Result<Outcome, Failure>,
}

/// Every step but the tests, cheap ones first where the order is free.
const STEPS: [Step; 21] = [
    Step {
        name: "fmt",
        proves: "every file is laid out by rustfmt, so that a diff shows only what changed",
        hint: "cargo xtask fmt",
        run: fmt,
    },
    Step {
        name: "clippy",
        proves: "no warning of the compiler or of clippy, and no clock, RNG, thread or HashMap without its reason",
        hint: "cargo clippy --workspace --all-targets",
        run: clippy,
    },
    Step {
        name: "docs",
        proves: "the documentation builds without a warning, so every link in it leads somewhere",
        hint: "cargo doc --workspace --no-deps",
        run: docs,
    },
    Step {
        name: "tidy",
        proves: "the house style holds as far as it can be counted, and no snapshot waits for review",
        hint: "cargo xtask tidy",
        run: |workspace| passed(tidy::run(workspace)),
    },
    Step {
        name: "deny",
        proves: "every dependency comes from crates.io under a licence we accept, at a version we name",
        hint: "cargo deny check bans licenses sources",
        run: deny::run,
    },
    Step {
        name: "build",
        proves: "both programs build, and the whole-system tests will run these very builds",
        hint: "cargo xtask build",
        run: |workspace| passed(workspace.build_programs()),
    },
    Step {
        name: "picture",
        proves: "the conversation in the README is what the programs print today",
        hint: "cargo xtask picture, then look at it",
        run: |workspace| passed(picture::run(workspace, true)),
    },
    Step {
        name: "sim",
        proves: "300 simulated minutes of cuts, crashes and slow links lose, double and reorder nothing",
        hint: "cargo xtask sim --seed SEED",
        run: |workspace| passed(sim::check(workspace)),
    },
    Step {
        name: "crash",
        proves: "20 kill -9 under 200 writers lose, double and reorder nothing that was acknowledged",
        hint: "cargo xtask crash",
        run: |workspace| passed(crash::run(workspace, &crash::Options::short())),
    },
    Step {
        name: "order",
        proves: "each message is written, then synced, and only then acknowledged and delivered",
        hint: "cargo xtask faults order",
        run: |workspace| passed(order::run(workspace, &order::Options::short())),
    },
    Step {
        name: "eio",
        proves: "a sync that fails ends the server before it acknowledges anything that it could not keep",
        hint: "cargo xtask faults eio --step 40 --database 4",
        run: |workspace| passed(eio::run(workspace, &eio::Options::short())),
    },
    Step {
        name: "power",
        proves: "whatever a cut of the power leaves of the files is opened, with all that anybody was told",
        hint: "cargo xtask faults power --cuts 100",
        run: |workspace| passed(power::run(workspace, &power::Options::short())),
    },
    Step {
        name: "flips",
        proves: "a flipped bit in the store is detected or harmless, every other message is read, and a repair mends it",
        hint: "cargo xtask faults flips --trials 20",
        run: |workspace| passed(flips::run(workspace, &flips::Options::short())),
    },
    Step {
        name: "relogin",
        proves: "what a device posts that came back without memory is stored, once, or not acknowledged",
        hint: "cargo xtask faults relogin --trials 25",
        run: |workspace| passed(relogin::run(workspace, &relogin::Options::short())),
    },
    Step {
        name: "pause",
        proves: "after 16 s without the server all clients come back by themselves, with all that was typed meanwhile",
        hint: "cargo xtask faults pause --seconds 16 --times 1 --clients 20",
        run: |workspace| passed(pause::run(workspace, &pause::Options::short())),
    },
    Step {
        name: "log",
        proves: "a log that nobody reads, or that can't be written, stops nobody, and its dropped lines are counted",
        hint: "cargo xtask faults log --seconds 1",
        run: |workspace| passed(log::run(workspace, &log::Options::short())),
    },
    Step {
        name: "accidents",
        proves: "an accident with the data folder ends in service or in a refusal that says what to do",
        hint: "cargo xtask faults accidents",
        run: |workspace| passed(accidents::run(workspace, &accidents::Options::short())),
    },
    Step {
        name: "flood",
        proves: "beside 300 devices that flood, people come in, are seen and are heard soon, and each device has its share",
        hint: "cargo xtask flood --debug --seconds 5",
        run: |workspace| passed(flood::run(workspace, &flood::Options::short())),
    },
    Step {
        name: "attack",
        proves: "strangers from 50 addresses, hostile connections and then all attacks at once, use nothing up: people beside \
                 them come in and are heard, memory and disk stay bounded, and a newcomer can do everything afterwards",
        hint: "cargo xtask attack --debug --only 9 --only 0 --addresses 50 --people 50 --seconds 3 --slack-ms 3000",
        run: |workspace| passed(attack::run(workspace, &attack::Options::short())),
    },
    Step {
        name: "heavy",
        proves: "500 people behind one address, a long paste, a busy script, a bot in 200 rooms and 300 files meet no refusal",
        hint: "cargo xtask heavy --debug --seconds 3 --lines 800 --files 300",
        run: |workspace| passed(heavy::run(workspace, &heavy::Options::short())),
    },
    Step {
        name: "doctests",
        proves: "every example in the documentation compiles and does what it says",
        hint: "cargo test --workspace --doc",
        run: doctests,
    },
];

/// The last step: the runner's summary must stay the last output of the run.
const TESTS: Step = Step {
    name: "tests",
    proves: "units, wire vectors, properties, the simulation and the real programs do what their claims say",
    hint: "cargo xtask test",
    run: |workspace| runner::run(workspace, &[]),
};

/// Runs every step, and stops at the first that fails.
///
/// # Errors
/// Fails with the step that failed.
pub fn run(workspace: &Workspace) -> Result<(), Failure> {
    // A snapshot that differs fails its test, and leaves nothing behind that could be accepted unseen.
    let _frozen = workspace.shell.push_env("INSTA_UPDATE", "no");
    let mut report = Vec::new();
    for step in &STEPS {
        report.push(run_step(step, workspace)?);
    }
    eprintln!("\nbefore the tests:\n{}", report.join("\n"));
    announce(&TESTS);
    (TESTS.run)(workspace).map(drop).map_err(|source| failed(&TESTS, source))
}

fn run_step(step: &Step, workspace: &Workspace) -> Result<String, Failure> {
    announce(step);
    let (result, time) = timed(|| (step.run)(workspace));
    let outcome = result.map_err(|source| failed(step, source))?;
    let line = report_line(step.name, outcome, time);
    eprintln!("{line}");
    Ok(line)
}

fn announce(step: &Step) {
    eprintln!("\n== {} ==\nproves: {}", step.name, step.proves);
}

fn failed(step: &Step, source: Failure) -> Failure {
    Failure::Step { step: step.name, hint: step.hint, source: Box::new(source) }
}

fn report_line(name: &str, outcome: Outcome, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match outcome {
        Outcome::Passed => format!("  {name:<9} {seconds:>7.1} s  ok"),
        Outcome::Partly(what) => format!("  {name:<9} {seconds:>7.1} s  ok, but {what}"),
        Outcome::Skipped(why) => format!("  {name:<9} {seconds:>7.1} s  SKIPPED: {why}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a step takes is what is measured here")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn passed(result: Result<(), Failure>) -> Result<Outcome, Failure> {
    result.map(|()| Outcome::Passed)
}

fn fmt(workspace: &Workspace) -> Result<Outcome, Failure> {
    workspace.cargo().args(["fmt", "--all", "--check"]).run()?;
    Ok(Outcome::Passed)
}

fn clippy(workspace: &Workspace) -> Result<Outcome, Failure> {
    let cargo = workspace.cargo().args(["clippy", "--workspace", "--all-targets"]);
    cargo.args(["--", "-D", "warnings"]).run()?;
    Ok(Outcome::Passed)
}

fn docs(workspace: &Workspace) -> Result<Outcome, Failure> {
    // RUSTDOCFLAGS would replace the flags of `.cargo/config.toml`; a list given here is appended to them.
    let cargo = workspace.cargo().args(["--config", r#"build.rustdocflags=["-D", "warnings"]"#]);
    cargo.args(["doc", "--workspace", "--no-deps"]).run()?;
    Ok(Outcome::Passed)
}

fn doctests(workspace: &Workspace) -> Result<Outcome, Failure> {
    workspace.cargo().args(["test", "--workspace", "--doc"]).run()?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_is_never_reported_as_plainly_ok() {
        let line = |outcome| report_line("deny", outcome, Duration::from_millis(1250));
        assert_eq!(line(Outcome::Passed), "  deny          1.2 s  ok");
        assert_eq!(line(Outcome::Partly("no x")), "  deny          1.2 s  ok, but no x");
        assert_eq!(line(Outcome::Skipped("no y")), "  deny          1.2 s  SKIPPED: no y");
    }

    #[test]
    fn step_names_are_unlike_each_other() {
        let mut names: Vec<_> = STEPS.iter().chain([&TESTS]).map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len() + 1);
    }
}
