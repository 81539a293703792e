//! `cargo xtask faults log`: nobody reads the server's log, or nobody can keep it, and its clients notice nothing.
//!
//! Five servers side by side: one whose log goes to a file, to compare with; one whose log is a pipe that nobody reads;
//! one with a full disk under its log; one in front of `head -1`; and one in a terminal that was stopped with Ctrl-S.
//! The same people come to all of them, talk and go.

mod reader;

use crate::{
    failure::Failure,
    proof::{Scratch, natterd::Launch},
    workspace::Workspace,
};
use clap::Args;
use load::{caller::Caller, clock::Clock, fault::Fault, identity::Identity};
use protocol::{
    entry::EntryKind,
    id::{Counter, Millis, RoomId},
    limits::MAX_AGENT,
    message::{ClientMsg, ServerMsg, Target},
};
use reader::{Logged, Reader};
use std::{path::PathBuf, thread, time::Duration};

const CLAIM: &str = "nobody notices that the server's log is not read";

/// How long anything may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What nobody may wait for longer, whatever becomes of the log.
const SLOWEST: Duration = Duration::from_secs(2);

/// What the median may be, in medians of the server whose log goes to a file, and beside them.
const TIMES: u32 = 2;
const BESIDE: Duration = Duration::from_millis(20);

/// People who come at once.
const AT_ONCE: u64 = 25;

/// People in all; they come again and again.
const PEOPLE: u64 = 500;

/// Visits of each server at the least: their lines are more than a pipe and the server's queue hold together.
const VISITS: u64 = 1_500;

/// How often they come, when there is time enough.
const EVERY: Duration = Duration::from_millis(500);

/// How long.
#[derive(Args)]
pub struct Options {
    /// How long nobody reads the log.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Another build of natterd, to see the claim broken.
    #[arg(long)]
    pub program: Option<PathBuf>,
}

impl Options {
    /// What CI has time for.
    pub fn short() -> Self {
        Self { seconds: 1, program: None }
    }
}

/// A server, its log, and what its clients notice.
struct Subject {
    logged: Logged,
    talker: Caller,
    room: RoomId,
    counter: u64,
    visits: u64,
    logins: Vec<Duration>,
    posts: Vec<Duration>,
}

/// Runs all five, and compares.
///
/// # Errors
/// [`Failure::Unproven`] if somebody waits, a server ends, or dropped lines are not counted.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let scratch = Scratch::create(workspace, "log")?;
    let program = options.program.clone().unwrap_or_else(|| workspace.program("natterd"));
    let mut subjects = Vec::new();
    for reader in Reader::ALL {
        // Only its address is taken.
        let launch = Launch::new(&program, scratch.path(), &[])?;
        let logged = Logged::start(&program, scratch.path(), launch.address, reader)?;
        subjects.push(Subject::new(logged)?);
    }
    let clock = Clock::start();
    let mut rounds = 0;
    while clock.now() < Duration::from_secs(options.seconds) || rounds * AT_ONCE < VISITS {
        rounds += 1;
        for subject in &mut subjects {
            subject.visit(&clock, rounds)?;
        }
        let due = EVERY * u32::try_from(rounds).unwrap_or(u32::MAX);
        if rounds * AT_ONCE >= VISITS {
            thread::sleep(due.saturating_sub(clock.now()).min(EVERY));
        }
    }
    let time = clock.now();
    let mut broken = Vec::new();
    let medians = subjects.first_mut().map(Subject::medians).unwrap_or_default();
    for subject in &mut subjects {
        broken.extend(subject.judge(medians));
    }
    for subject in subjects {
        broken.extend(subject.end()?);
    }
    if !broken.is_empty() {
        return Err(Failure::Unproven { what: CLAIM, why: broken.join("; ") });
    }
    println!(
        "log: {} s without a reader, nobody waited, and every line was written or counted",
        time.as_secs()
    );
    scratch.discard();
    Ok(())
}

impl Subject {
    fn new(logged: Logged) -> Result<Self, Failure> {
        let mut talker = Caller::login(logged.address, &Identity::numbered("talker", 1 << 40, 1), PATIENCE)?;
        let room = talker.join("lobby")?;
        let (logins, posts) = (Vec::new(), Vec::new());
        Ok(Self { logged, talker, room, counter: 0, visits: 0, logins, posts })
    }

    /// Some come and go, and one says a line.
    fn visit(&mut self, clock: &Clock, round: u64) -> Result<(), Failure> {
        let why = |fault| self.logged.failure(fault);
        let mut callers = Vec::new();
        for at in 0..AT_ONCE {
            let number = (round * AT_ONCE + at) % PEOPLE;
            callers.push((clock.now(), greet(&self.logged, number).map_err(why)?));
        }
        for (begun, caller) in &mut callers {
            caller.await_welcome().map_err(why)?;
            self.logins.push(clock.now() - *begun);
        }
        self.visits += AT_ONCE;
        drop(callers);
        let begun = clock.now();
        self.counter += 1;
        let counter = Counter::new(self.counter).unwrap_or(Counter::FIRST);
        let target = Target::Room { room: self.room };
        let (kind, reply_to, written, body) = (EntryKind::Text, None, Millis(0), "a line".into());
        self.talker.say(&ClientMsg::Post { counter, target, kind, reply_to, written, body }).map_err(why)?;
        let acked = |msg| matches!(msg, ServerMsg::Ack { counter: c, .. } if c == counter).then_some(());
        self.talker.find("an acknowledgement", acked).map_err(why)?;
        self.posts.push(clock.now() - begun);
        Ok(())
    }

    fn medians(&mut self) -> [Duration; 2] {
        [&mut self.logins, &mut self.posts].map(|times| {
            times.sort_unstable();
            times.get(times.len() / 2).copied().unwrap_or(SLOWEST)
        })
    }

    /// Prints what its clients noticed, and gives what they must not have.
    fn judge(&mut self, control: [Duration; 2]) -> Vec<String> {
        let (own, mut broken) = (self.medians(), Vec::new());
        for (at, (what, times)) in [("login", &self.logins), ("post", &self.posts)].into_iter().enumerate() {
            let slowest = times.last().copied().unwrap_or(SLOWEST);
            let bound = control[at] * TIMES + BESIDE;
            let line = format!(
                "{}: {what}: median {} ms (bound {} ms), slowest {} ms, of {}",
                self.logged.reader,
                own[at].as_millis(),
                bound.as_millis(),
                slowest.as_millis(),
                times.len(),
            );
            println!("log: {line}");
            if own[at] > bound || slowest > SLOWEST {
                broken.push(line);
            }
        }
        broken
    }

    /// Stops the server: well, and with all lines written or counted where somebody reads at last.
    fn end(self) -> Result<Vec<String>, Failure> {
        // Each of them logged in and out, the talker too.
        let least = 2 * (self.visits + 1);
        drop(self.talker);
        self.logged.end(least)
    }
}

/// A login with a line as long as it may be in the log.
fn greet(logged: &Logged, number: u64) -> Result<Caller, Fault> {
    let name = format!("{number}-{}", "x".repeat(24));
    let identity = Identity::numbered(&name, number, 1);
    let mut hello = identity.hello();
    if let ClientMsg::Hello { agent, .. } = &mut hello {
        *agent = "a".repeat(MAX_AGENT);
    }
    let mut caller = Caller::connect(logged.address, PATIENCE)?;
    caller.say(&hello)?;
    Ok(caller)
}
