//! `cargo xtask attack`: strangers with nothing but random secrets try to use a server up, from hundreds of addresses,
//! beside people who talk, search and come in.
//!
//! The server has one core, all generators the other one. The same attackers send to a sink first, which answers
//! nothing: what people notice then is the generator, and what they notice more afterwards is the server. The people
//! come from addresses that have rates like everybody's.

mod aftermath;
mod bounds;

use crate::{
    failure::Failure,
    flood::{
        CORES, Pinned,
        crowd::{Crowd, Habits},
        figures::Figures,
    },
    proof::{
        Scratch,
        natterd::{Launch, Natterd},
    },
    workspace::Workspace,
};
use bounds::{Costs, Trial};
use clap::Args;
use load::{
    caller::Caller,
    clock::Clock,
    identity::Identity,
    process::{Process, raise_socket_limit},
};
use protocol::{
    entry::EntryKind,
    id::{Counter, Millis, RoomId},
    message::{ClientMsg, ServerMsg, Target},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const CLAIM: &str = "strangers can't use a server up";

/// How long everybody may take to come in, and an answer to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the attackers have before anything is measured: a generator starts.
const RUN_UP: Duration = Duration::from_millis(300);

/// Which network the people come from, and those who come and go from the one after it.
const PEOPLE_NETWORK: u8 = 1;

/// Time for which people are quiet between two posts, for each of them, and between two searches: however many there
/// are, they do enough to be measured, and what they say to each other does not grow with their number twice.
const POSTS_OF_ALL: Duration = Duration::from_millis(20);
const SEARCHES_OF_ALL: Duration = Duration::from_millis(40);

/// How many, and how long.
#[derive(Args)]
pub struct Options {
    /// Only the attack with this number of 1 to 8, or 0 for all of these at once, or 9: 5,000 connections that are silent,
    /// slow, garbage or half; more than once for some of them. Each by itself and then all unless given.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=9))]
    pub only: Vec<u8>,
    /// Addresses that the attackers come from.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=250))]
    pub addresses: u32,
    /// People beside them.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub people: u32,
    /// How long each attack goes on.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// How long the attackers send to the sink before; as long as the attack unless given.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub sink_seconds: Option<u64>,
    /// Messages that are stored before.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub stored: u32,
    /// By how much a p99 may be over its bound, in ms: few posts on a machine with other work have no good p99.
    #[arg(long, default_value_t = 0)]
    pub slack_ms: u64,
    /// Use the builds of the tests, which are slower.
    #[arg(long)]
    pub debug: bool,
    /// Another build of natterd, to see the claim broken.
    #[arg(long)]
    pub program: Option<PathBuf>,
}

impl Options {
    /// What CI has time for.
    pub fn short() -> Self {
        Self {
            only: vec![9, 0],
            addresses: 50,
            people: 50,
            seconds: 3,
            sink_seconds: Some(2),
            stored: 2_000,
            // Slow builds beside other work have no good p99: what must hold here is everything else.
            slack_ms: 3_000,
            debug: true,
            program: None,
        }
    }
}

/// The programs, and where their runs take place.
struct Ground<'a> {
    options: &'a Options,
    natterd: PathBuf,
    generator: PathBuf,
    pins: bool,
}

/// Attacks servers, and measures what people beside that notice and what is left.
///
/// # Errors
/// [`Failure::Unproven`] with every bound that is broken.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let programs = workspace.build_for_load(options.debug)?;
    raise_socket_limit()?;
    let pinned = Pinned::to(CORES[1])?;
    let natterd = options.program.clone().unwrap_or_else(|| programs.join("natterd"));
    let generator = programs.join("natter-load");
    let ground = Ground { options, natterd, generator, pins: pinned.is_some() };
    let attacks = if options.only.is_empty() { (1..=9).chain([0]).collect() } else { options.only.clone() };
    let mut broken = Vec::new();
    for attack in attacks {
        let scratch = Scratch::create(workspace, &format!("attack-{attack}"))?;
        let found = ground.try_attack(&scratch, attack)?;
        if found.is_empty() {
            scratch.discard();
        }
        broken.extend(found);
    }
    if broken.is_empty() { Ok(()) } else { Err(Failure::Unproven { what: CLAIM, why: broken.join("; ") }) }
}

impl Ground<'_> {
    /// Tries one attack, or all at once for 0, and gives what is over its bound.
    fn try_attack(&self, scratch: &Scratch, attack: u8) -> Result<Vec<String>, Failure> {
        let folder = scratch.path().join("data");
        let data = folder.display().to_string();
        let mut launch = Launch::new(&self.natterd, scratch.path(), &["--data", &data])?;
        if self.pins {
            launch.pin(CORES[0]);
        }
        let clock = Clock::start();
        let people = self.options.people as usize;
        let server = launch.start()?;
        self.fill(&server)?;
        let habits = self.habits();
        // The people are known: they were there before this start, and each of them said something.
        let mut crowd = Crowd::new(0, people, habits, launch.address, clock)?;
        crowd.gather(PATIENCE)?;
        crowd.flood_for(habits.speaks_every * 2)?;
        drop(crowd);
        server.stop()?;
        let server = launch.start()?;
        let mut crowd = Crowd::new(0, people, habits, launch.address, clock)?;
        crowd.gather(PATIENCE)?;
        let process = Process::with_id(server.id());
        let sunk = self.options.sink_seconds.unwrap_or(self.options.seconds);
        let alone = self.attack(&mut crowd, &server, attack, sunk, true)?;
        let (idle, before) = (process.resident_bytes()?, folder_bytes(&folder)?);
        process.forget_peak()?;
        let (cpu, begun) = (process.cpu_seconds()?, clock.now());
        let beside = self.attack(&mut crowd, &server, attack, self.options.seconds, false)?;
        let busy = (process.cpu_seconds()? - cpu) / (clock.now() - begun).as_secs_f64();
        let costs = Costs {
            memory: process.peak_bytes()? - idle,
            data: folder_bytes(&folder)?.saturating_sub(before),
            busy,
        };
        let mut trial = Trial { attack, alone, beside, costs, after: Vec::new() };
        trial.after.extend(aftermath::check(launch.address, clock, 1, "after it"));
        drop(crowd);
        server.stop()?;
        let server = launch.start()?;
        trial.after.extend(aftermath::check(launch.address, clock, 2, "after a restart"));
        server.stop()?;
        Ok(trial.report(self.options))
    }

    fn habits(&self) -> Habits {
        Habits {
            speaks_every: POSTS_OF_ALL * self.options.people,
            searches_every: Some(SEARCHES_OF_ALL * self.options.people),
            network: Some(PEOPLE_NETWORK),
        }
    }

    /// Stores messages, so that searches have something to look through.
    fn fill(&self, server: &Natterd) -> Result<(), Failure> {
        let mut filler =
            Caller::login(server.address, &Identity::numbered("filler", u64::from(u32::MAX), 1), PATIENCE)?;
        let (all, window) = (u64::from(self.options.stored), 100);
        for n in 1..=all {
            let body = format!("word {n} of a line of text that a person says over tea {}", n % 97);
            filler.say(&ClientMsg::Post {
                counter: Counter::new(n).unwrap_or(Counter::FIRST),
                target: Target::Room { room: RoomId::FIRST },
                kind: EntryKind::Text,
                reply_to: None,
                written: Millis(0),
                body: body.into(),
            })?;
            if n % window == 0 || n == all {
                filler.find("an acknowledgement", |msg| {
                    matches!(msg, ServerMsg::Ack { counter, .. } if counter.value() == n).then_some(())
                })?;
            }
        }
        Ok(())
    }

    /// Lets the attackers go on for so long, at the server or at their sink, and gives what people noticed.
    fn attack(
        &self,
        crowd: &mut Crowd,
        server: &Natterd,
        attack: u8,
        seconds: u64,
        sink: bool,
    ) -> Result<Figures, Failure> {
        let mut attackers = self.start(server, attack, seconds, sink)?;
        crowd.flood_for(RUN_UP)?;
        crowd.figures = Figures::default();
        crowd.flood_for(Duration::from_secs(seconds).saturating_sub(RUN_UP))?;
        crowd.close_figures();
        let figures = std::mem::take(&mut crowd.figures);
        while attackers.try_wait().map_err(gave_up)?.is_none() {
            crowd.flood_for(Duration::from_millis(20))?;
        }
        let output = attackers.wait_with_output().map_err(gave_up)?;
        if !output.status.success() {
            return Err(Failure::Unmeasured { what: CLAIM.into(), why: "the attackers gave up".into() });
        }
        eprintln!(
            "  {}: {}",
            if sink { "sink" } else { "server" },
            String::from_utf8_lossy(&output.stdout).trim()
        );
        Ok(figures)
    }

    fn start(&self, server: &Natterd, attack: u8, seconds: u64, sink: bool) -> Result<Child, Failure> {
        // What honest people notice is to come from the server, not from attackers on their own core.
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(&self.generator).args([
            "attack",
            "--server",
            &server.address.to_string(),
        ]);
        command.args(["--addresses", &self.options.addresses.to_string()]);
        command.args(["--people", &self.options.people.to_string(), "--seconds", &seconds.to_string()]);
        command.args(["--run", if sink { "1" } else { "2" }]);
        command.args(sink.then_some("--sink"));
        if attack > 0 {
            command.args(["--only", &attack.to_string()]);
        }
        command.stdout(Stdio::piped()).spawn().map_err(gave_up)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed over by map_err")]
fn gave_up(error: io::Error) -> Failure {
    Failure::Unmeasured { what: CLAIM.into(), why: error.to_string() }
}

/// Bytes of all files in a folder and below it.
fn folder_bytes(folder: &Path) -> Result<u64, Failure> {
    let failed = |source| Failure::Read { path: folder.to_owned(), source };
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // A file may go while it is looked for.
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        bytes += if found.is_dir() { folder_bytes(&path)? } else { found.len() };
    }
    Ok(bytes)
}
