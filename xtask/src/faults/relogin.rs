//! `cargo xtask faults relogin`: devices post, go before they are answered, and come back at once without memory.
//!
//! A client that crashed, a script, any client that keeps nothing: it takes `last_counter + 1` of its `Welcome` for
//! something new, while the posts of its last connection may still be on their way to the store. Whatever was
//! acknowledged, and whatever a `Welcome` counted, must be in the log once; what a `Welcome` left out must never
//! come.

mod device;

use crate::{
    failure::Failure,
    proof::{Chance, Scratch, natterd::Launch},
    workspace::Workspace,
};
use clap::{Args, ValueEnum};
use device::{Device, Logs};
use load::{caller::Caller, clock::Clock, identity::Identity};
use std::{fmt, path::PathBuf, time::Duration};

const CLAIM: &str = "what a device posts after it came back is stored if it is acknowledged";

/// How long anything that must come about may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Devices that go and come back side by side, so that there is always a commit under way.
const DEVICES: usize = 25;

/// How long each sync takes where it is slow: as long as that of a bad disk, and many times a login.
const SLOW: Duration = Duration::from_millis(30);

/// How a connection ends before its posts are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ending {
    /// `Bye` is said.
    Bye,
    /// The writing half is closed.
    Fin,
    /// The connection is reset.
    Rst,
    /// It stays, until the next one of the device takes over.
    Fenced,
}

/// How often, and with which server.
#[derive(Args)]
pub struct Options {
    /// How often devices come back after each ending, with a normal sync and again with a slow one.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub trials: u32,
    /// Only this ending.
    #[arg(long, value_enum)]
    pub ending: Option<Ending>,
    /// Another build of natterd, to see the claim broken.
    #[arg(long)]
    pub program: Option<PathBuf>,
    /// How many posts are under way each time.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Options {
    /// What CI has time for.
    pub fn short() -> Self {
        Self { trials: 25, ending: None, program: None, seed: 1 }
    }
}

/// What came out of all endings with one kind of sync.
#[derive(Default)]
struct Tally {
    trials: u32,
    /// Posts that their sender never heard of, and that were found stored.
    unheard: u64,
    /// Posts that were under way and that no log has: their sender is told so by its `Welcome`.
    dropped: u64,
    stored: u64,
    busy: u32,
}

/// Lets devices go and come back, and compares the log with what they were told.
///
/// # Errors
/// [`Failure::Unproven`] with everything that was acknowledged and is not stored, or is stored otherwise.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let endings = match &options.ending {
        Some(ending) => vec![*ending],
        None => vec![Ending::Bye, Ending::Fin, Ending::Rst, Ending::Fenced],
    };
    super::strace::require()?;
    for slow in [false, true] {
        let scratch = Scratch::create(workspace, "relogin")?;
        let program = options.program.clone().unwrap_or_else(|| workspace.program("natterd"));
        let data = scratch.path().join("data").display().to_string();
        let mut launch = Launch::new(&program, scratch.path(), &["--data", &data])?;
        if slow {
            let inject = format!("inject=fdatasync,fsync:delay_exit={}", SLOW.as_micros());
            let trace = ["-e", "trace=fdatasync,fsync", "-e", &inject];
            launch.wrapper = super::strace::wrapper(&scratch.path().join("trace"), &trace);
        }
        let clock = Clock::start();
        let server = launch.start()?;
        let mut chance = Chance::new(options.seed);
        let mut tally = Tally::default();
        for (at, ending) in endings.iter().enumerate() {
            let mut crowd = Crowd::come(&launch, at as u64, &mut chance)?;
            while crowd.trials < options.trials {
                crowd.go_and_come_back(&launch, *ending)?;
            }
            crowd.compare(*ending, &mut tally)?;
        }
        server.stop()?;
        report(&tally, &endings, slow, clock.now());
        scratch.discard();
    }
    Ok(())
}

/// Devices of one ending, each with what it was told.
struct Crowd<'a> {
    devices: Vec<Device>,
    /// Somebody who reads it all.
    reader: Caller,
    room: protocol::id::RoomId,
    chance: &'a mut Chance,
    trials: u32,
}

impl<'a> Crowd<'a> {
    fn come(launch: &Launch, part: u64, chance: &'a mut Chance) -> Result<Self, Failure> {
        let room = format!("relogin-{part}");
        let identity = |number: usize| {
            Identity::numbered(&format!("device-{part}-{number}"), (part << 16) + number as u64, 1)
        };
        let devices: Result<_, Failure> =
            (0..DEVICES).map(|number| Ok(Device::come(launch.address, identity(number), &room)?)).collect();
        let mut reader = Caller::login(launch.address, &identity(DEVICES), PATIENCE)?;
        let room = reader.join(&room)?;
        Ok(Self { devices: devices?, reader, room, chance, trials: 0 })
    }

    /// Every device posts, goes and is back before any of them waits for an answer.
    fn go_and_come_back(&mut self, launch: &Launch, ending: Ending) -> Result<(), Failure> {
        for device in &mut self.devices {
            device.post(self.chance.between(1, 40))?;
            device.go_and_greet(launch.address, ending)?;
        }
        for device in &mut self.devices {
            device.await_welcome(launch.address)?;
            device.post(self.chance.between(1, 3))?;
        }
        for device in &mut self.devices {
            device.await_acks()?;
        }
        self.trials += u32::try_from(DEVICES).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Each device's part of the log must be what the device was told, from the first post to the last.
    fn compare(mut self, ending: Ending, tally: &mut Tally) -> Result<(), Failure> {
        let mut logs = Logs::default();
        self.reader.read_log(self.room, None, |entry| logs.read(&entry))?;
        let wrong: Vec<_> = self.devices.iter().filter_map(|device| device.compare(&logs)).collect();
        if !wrong.is_empty() {
            let told: Vec<_> = wrong.iter().take(5).map(String::as_str).collect();
            let (count, trials) = (wrong.len(), self.trials);
            let why = format!(
                "{ending}: {count} of {DEVICES} devices after {trials} trials\n  {}",
                told.join("\n  ")
            );
            return Err(Failure::Unproven { what: CLAIM, why });
        }
        tally.trials += self.trials;
        for device in &self.devices {
            tally.unheard += device.unheard;
            tally.dropped += device.dropped;
            tally.busy += device.busy;
            tally.stored += device.stored();
        }
        Ok(())
    }
}

fn report(tally: &Tally, endings: &[Ending], slow: bool, took: Duration) {
    let sync = if slow { format!("syncs of {} ms", SLOW.as_millis()) } else { "normal syncs".to_owned() };
    let endings: Vec<_> = endings.iter().map(Ending::to_string).collect();
    println!(
        "relogin, {sync}: {} returns after {}: 0 acknowledged and not stored, 0 stored otherwise, 0 stored after a \
         welcome left them out; the true rate is below {:.4} at 95 %\n\
         {} posts stored and compared, {} of them told only by a welcome, {} not judged and dropped, {} told to come \
         back later, {} s",
        tally.trials,
        endings.join(", "),
        3.0 / f64::from(tally.trials),
        tally.stored,
        tally.unheard,
        tally.dropped,
        tally.busy,
        took.as_secs(),
    );
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bye => "Bye",
            Self::Fin => "FIN",
            Self::Rst => "RST",
            Self::Fenced => "a fence",
        })
    }
}
