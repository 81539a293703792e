//! `cargo xtask faults accidents`: what befalls a data folder, before a server starts on it and while one runs.
//!
//! Each accident happens to a fresh copy of the same folder, in which some messages are in the database, some in its
//! write-ahead log only, and a file among the contents. It must end in service, or in a refusal that says what to do and
//! has changed nothing: once the accident is undone, everything is there. Whatever was acknowledged is counted before
//! and after; what is missing must have been told, by a refusal or as a new history.

mod happenings;
mod place;

use crate::{
    failure::Failure,
    proof::{
        Scratch,
        natterd::{Natterd, Start},
    },
    workspace::Workspace,
};
use clap::Args;
use happenings::{Accident, HAPPENINGS, When};
use place::{Found, Place};
use std::{fmt, path::PathBuf, time::Duration};

const CLAIM: &str =
    "an accident with the data folder ends in service or in a refusal, and loses nothing silently";

/// How long a server that runs on may take to end after an accident, or to acknowledge a post.
const NOTICES_WITHIN: Duration = Duration::from_secs(8);

/// Which.
#[derive(Args)]
pub struct Options {
    /// Every so many of them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub step: u16,
    /// Only those whose name has this in it.
    #[arg(long)]
    pub only: Option<String>,
    /// Another build of natterd, to see the claim broken.
    #[arg(long)]
    pub program: Option<PathBuf>,
}

impl Options {
    /// What CI has time for.
    pub fn short() -> Self {
        Self { step: 4, only: None, program: None }
    }
}

/// How an accident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// All is there and goes on.
    Service,
    /// The server did not start, and said what to do; all is there once the accident is undone.
    Refused,
    /// The running server ended with the reason, and then as above.
    Ended,
    /// A new history, which every client is told.
    NewHistory,
    /// Anything else.
    Wrong,
}

/// What came out of one.
struct Outcome {
    fate: Fate,
    /// Messages that were acknowledged before it, and those after it that must not be lost either.
    acknowledged: usize,
    /// Of these there at the end.
    found: usize,
    /// What the server said, or what is wrong.
    why: String,
}

/// Lets all of them happen, and prints the table.
///
/// # Errors
/// [`Failure::Unproven`] with every accident that ended badly.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let scratch = Scratch::create(workspace, "accidents")?;
    let program = options.program.clone().unwrap_or_else(|| workspace.program("natterd"));
    let place = Place::make(&program, &workspace.program("natter"), scratch.path())?;
    let wanted = |accident: &&Accident| options.only.as_ref().is_none_or(|part| accident.what.contains(part));
    let (mut wrong, mut counts) = (Vec::new(), [0_usize; 4]);
    println!("accidents: {:<68} {:<12} {:>6} {:>6}", "what happens", "ends in", "before", "after");
    for accident in HAPPENINGS.iter().filter(wanted).step_by(options.step.into()) {
        let outcome = happen(&place, accident)?;
        let line = format!("{}: {}", accident.when, accident.what);
        println!(
            "  {line:<77} {:<12} {:>6} {:>6}",
            outcome.fate.to_string(),
            outcome.acknowledged,
            outcome.found
        );
        println!("      {}", outcome.why);
        match outcome.fate {
            Fate::Wrong => wrong.push(format!("{line}: {}", outcome.why)),
            fate => counts[fate as usize] += 1,
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::Unproven { what: CLAIM, why: format!("\n  {}", wrong.join("\n  ")) });
    }
    let [service, refused, ended, new] = counts;
    println!(
        "accidents: {} ended in service ({service}), in a refusal ({refused}), in an end with its reason ({ended}) or \
         in a new history that clients are told ({new}): 0 silent losses",
        counts.iter().sum::<usize>()
    );
    scratch.discard();
    Ok(())
}

fn happen(place: &Place, accident: &Accident) -> Result<Outcome, Failure> {
    place.copy_master()?;
    match accident.when {
        When::Before => {
            let undo = place.remember(accident.touches)?;
            let guard = match (accident.happens)(place) {
                Err(Failure::Unproven { why, .. }) => return Ok(wrong(place.acknowledged(), 0, why)),
                happened => happened?,
            };
            let start = place.launch().try_start()?;
            judge_start(place, accident, start, place.acknowledged(), || {
                drop(guard);
                undo.undo()
            })
        }
        When::During => happen_during(place, accident),
    }
}

/// What a start after an accident comes to.
fn judge_start(
    place: &Place,
    accident: &Accident,
    start: Start,
    acknowledged: usize,
    undo: impl FnOnce() -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let server = match start {
        Start::Listening(server) => server,
        Start::Ended { said, .. } => {
            if !is_refusal(&said) || accident.says.is_some_and(|words| !said.contains(words)) {
                return Ok(wrong(
                    acknowledged,
                    0,
                    format!("it does not say what to do: {}", one_line(&said)),
                ));
            }
            undo()?;
            let server = match place.launch().try_start()? {
                Start::Listening(server) => server,
                Start::Ended { said, .. } => {
                    let why = format!("once it is undone it still says: {}", one_line(&said));
                    return Ok(wrong(acknowledged, 0, why));
                }
            };
            let found = place.look(&server)?;
            server.stop()?;
            return Ok(match found {
                Found::Same(found) if found == acknowledged => {
                    outcome(Fate::Refused, acknowledged, found, &said)
                }
                other => wrong(acknowledged, other.count(), format!("undone after a refusal: {other:?}")),
            });
        }
    };
    let found = place.look(&server)?;
    let said = server.complaints();
    if accident.says.is_some_and(|words| !said.contains(words)) {
        return Ok(wrong(acknowledged, found.count(), format!("nobody is told of it: {}", one_line(&said))));
    }
    match found {
        Found::Same(found) if found == acknowledged => goes_on(place, server, acknowledged, &said),
        Found::Same(_) if accident.hides => {
            server.stop()?;
            undo()?;
            Ok(match look_at_next_start(place)? {
                Found::Same(back) if back == acknowledged => {
                    outcome(Fate::Service, acknowledged, back, &said)
                }
                other => wrong(acknowledged, other.count(), format!("once it is undone: {other:?}")),
            })
        }
        Found::NewHistory(found) if accident.replaces => {
            server.stop()?;
            Ok(outcome(Fate::NewHistory, acknowledged, found, &said))
        }
        // It can't be told from a first start; but what is put back must be served again.
        Found::NewHistory(found) => {
            server.stop()?;
            undo()?;
            Ok(match look_at_next_start(place)? {
                Found::Same(back) if back == acknowledged => {
                    outcome(Fate::NewHistory, acknowledged, found, &said)
                }
                other => {
                    wrong(acknowledged, other.count(), format!("put back after a new history: {other:?}"))
                }
            })
        }
        other => Ok(wrong(acknowledged, other.count(), format!("{other:?}; it said: {}", one_line(&said)))),
    }
}

/// What is found once the server is started again.
fn look_at_next_start(place: &Place) -> Result<Found, Failure> {
    let server = place.launch().start()?;
    let found = place.look(&server)?;
    server.stop()?;
    Ok(found)
}

/// A server in service takes another post, and has it after the next start.
fn goes_on(place: &Place, server: Natterd, acknowledged: usize, said: &str) -> Result<Outcome, Failure> {
    if !place.post_one(&server, NOTICES_WITHIN)? {
        return Ok(wrong(acknowledged, acknowledged, "it serves, and takes no post".to_owned()));
    }
    server.stop()?;
    Ok(match look_at_next_start(place)? {
        Found::Same(found) if found == acknowledged + 1 => {
            outcome(Fate::Service, acknowledged, found - 1, said)
        }
        other => wrong(acknowledged + 1, other.count(), format!("at the next start: {other:?}")),
    })
}

fn happen_during(place: &Place, accident: &Accident) -> Result<Outcome, Failure> {
    let mut server = place.launch().start()?;
    // The store is at rest, so that what is remembered of it is whole.
    let undo = place.remember(accident.touches)?;
    let guard = match (accident.happens)(place) {
        Err(Failure::Unproven { why, .. }) => return Ok(wrong(place.acknowledged(), 0, why)),
        happened => happened?,
    };
    let acked = place.post_one(&server, NOTICES_WITHIN).unwrap_or(false);
    let acknowledged = place.acknowledged() + usize::from(acked);
    if acked {
        server.terminate()?;
    }
    let status = server.wait(NOTICES_WITHIN)?;
    let said = server.complaints();
    if status.success() != acked || !acked && !is_refusal(&said) {
        let did = if acked { "it acknowledged a post, and" } else { "it" };
        return Ok(wrong(acknowledged, 0, format!("{did} ended with {status}: {}", one_line(&said))));
    }
    drop(server);
    let start = place.launch().try_start()?;
    // What the first server said need not be said again by the next one.
    let says = accident.says.filter(|words| !said.contains(words));
    let mut outcome = judge_start(place, &Accident { says, ..*accident }, start, acknowledged, || {
        drop(guard);
        undo.undo()
    })?;
    if !acked && outcome.fate != Fate::Wrong {
        outcome.why = format!("{}; then {}: {}", one_line(&said), outcome.fate, outcome.why);
        outcome.fate = Fate::Ended;
    }
    Ok(outcome)
}

/// A refusal says what to do, and is no panic.
fn is_refusal(said: &str) -> bool {
    said.contains("hint: ") && !said.contains("panicked")
}

fn outcome(fate: Fate, acknowledged: usize, found: usize, said: &str) -> Outcome {
    Outcome { fate, acknowledged, found, why: one_line(said) }
}

fn wrong(acknowledged: usize, found: usize, why: String) -> Outcome {
    Outcome { fate: Fate::Wrong, acknowledged, found, why }
}

/// The last words of a program, without their times.
fn one_line(said: &str) -> String {
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join(" / ");
    if last.is_empty() { "(nothing said)".to_owned() } else { last.chars().take(400).collect() }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Service => "service",
            Self::Refused => "refusal",
            Self::Ended => "end",
            Self::NewHistory => "new history",
            Self::Wrong => "WRONG",
        })
    }
}
