//! `cargo xtask faults pause`: the server's process stands still for a while, as in a suspended machine or behind a
//! stuck disk, under real clients that type on.
//!
//! Their connections seem dead to them meanwhile, and each tries again and again: the server finds all these
//! attempts at once when it goes on. Every client must come back by itself, and every line be in the log once.

mod people;

use crate::{
    failure::Failure,
    proof::{Scratch, natterd::Launch},
    workspace::Workspace,
};
use clap::Args;
use load::{caller::Caller, clock::Clock, identity::Identity};
use people::Person;
use protocol::entry::Entry;
use protocol::id::Seq;
use rustix::process::Signal;
use std::{collections::BTreeMap, fmt::Write, path::PathBuf, thread, time::Duration};

const CLAIM: &str =
    "everybody comes back by themselves after a pause of the server, and nothing is lost or doubled";

/// Where they talk: everybody is there from the start.
const ROOM: &str = "lobby";

/// How often each person types a line.
const TYPES_EVERY: Duration = Duration::from_secs(3);

/// How often it is looked who is to type.
const LOOK: Duration = Duration::from_millis(20);

/// How long they talk before the server stands still.
const BEFORE: Duration = Duration::from_secs(3);

/// How soon everybody is back and heard after the pause: a silence is noticed after 15 s, and a wait between two
/// attempts takes 8 s at most.
const BACK_WITHIN: Duration = Duration::from_secs(45);

/// How long the first lines of all may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long, how often, under whom.
#[derive(Args)]
pub struct Options {
    /// How long the server stands still, in seconds.
    #[arg(long, value_delimiter = ',', default_values_t = [20, 35, 50, 90])]
    pub seconds: Vec<u64>,
    /// How often, for each length.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub times: u32,
    /// Clients that type all the time.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub clients: u32,
    /// Another build of natterd, to see the claim broken.
    #[arg(long)]
    pub program: Option<PathBuf>,
    /// Another build of natter.
    #[arg(long)]
    pub client: Option<PathBuf>,
}

impl Options {
    /// What CI has time for.
    pub fn short() -> Self {
        Self { seconds: vec![16], times: 1, clients: 20, program: None, client: None }
    }
}

/// Lets the server stand still under people who type, and looks who comes back and what became of their lines.
///
/// # Errors
/// [`Failure::Unproven`] if somebody does not come back, or a line is missing or there twice.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    for seconds in &options.seconds {
        pause_for(workspace, options, Duration::from_secs(*seconds))?;
    }
    Ok(())
}

fn pause_for(workspace: &Workspace, options: &Options, length: Duration) -> Result<(), Failure> {
    let scratch = Scratch::create(workspace, &format!("pause-{}", length.as_secs()))?;
    let program = options.program.clone().unwrap_or_else(|| workspace.program("natterd"));
    let data = scratch.path().join("data").display().to_string();
    let launch = Launch::new(&program, scratch.path(), &["--data", &data])?;
    let server = launch.start()?;
    let natter = options.client.clone().unwrap_or_else(|| workspace.program("natter"));
    let mut talk = Talk::begin(&launch);
    for number in 0..options.clients {
        talk.people.push(Person::start(&natter, scratch.path(), number, launch.address)?);
    }
    let mut slowest = Duration::ZERO;
    talk.await_lines(PATIENCE)?;
    talk.people.iter_mut().for_each(|person| person.early = person.typed.len());
    for time in 1..=options.times {
        talk.go_on(BEFORE)?;
        server.signal(Signal::STOP)?;
        talk.go_on(length)?;
        server.signal(Signal::CONT)?;
        let back = talk.await_lines(BACK_WITHIN)?;
        slowest = slowest.max(back);
        eprintln!(
            "  pause {time} of {} s: all {} are back and heard within {} ms, {} lines",
            length.as_secs(),
            options.clients,
            back.as_millis(),
            talk.lines(),
        );
    }
    talk.end()?;
    server.stop()?;
    report(options, length, &talk, slowest);
    scratch.discard();
    Ok(())
}

fn report(options: &Options, length: Duration, talk: &Talk, slowest: Duration) {
    let reconnections: usize = talk.people.iter().map(Person::reconnections).sum();
    println!(
        "pause: {} times {} s under {} clients: all came back by themselves, {reconnections} reconnections, the last \
         line of the last one was stored {} ms after the pause at the latest; 0 lost, 0 doubled of {} lines, and of \
         what each client printed",
        options.times,
        length.as_secs(),
        options.clients,
        slowest.as_millis(),
        talk.lines(),
    );
}

/// Everybody who types, and somebody who reads the log.
struct Talk {
    people: Vec<Person>,
    launch: Launch,
    clock: Clock,
    read: Option<Seq>,
    /// How often each line is in the log, by its text.
    log: BTreeMap<String, u32>,
    /// The order of the lines of each person in the log.
    orders: BTreeMap<String, Vec<String>>,
}

impl Talk {
    fn begin(launch: &Launch) -> Self {
        Self {
            people: Vec::new(),
            launch: launch.clone(),
            clock: Clock::start(),
            read: None,
            log: BTreeMap::new(),
            orders: BTreeMap::new(),
        }
    }

    fn lines(&self) -> usize {
        self.people.iter().map(|person| person.typed.len()).sum()
    }

    /// Has everybody type for so long.
    fn go_on(&mut self, time: Duration) -> Result<(), Failure> {
        let end = self.clock.now() + time;
        while self.clock.now() < end {
            let now = self.clock.now();
            for person in &mut self.people {
                person.type_if_due(now, TYPES_EVERY)?;
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Has everybody type a last line, and waits until all lines are in the log; says how long that took.
    fn await_lines(&mut self, patience: Duration) -> Result<Duration, Failure> {
        let begun = self.clock.now();
        self.people.iter_mut().try_for_each(Person::type_line)?;
        loop {
            self.read_on()?;
            let took = self.clock.now() - begun;
            let missing = self.missing();
            if missing.is_empty() {
                return self.check().map(|()| took);
            }
            if took > patience {
                return Err(unproven(&format!("{} s later is missing: {missing}", patience.as_secs())));
            }
            self.go_on(Duration::from_millis(200))?;
        }
    }

    fn missing(&self) -> String {
        let mut text = String::new();
        for person in &self.people {
            let missing = person.typed.iter().filter(|line| !self.log.contains_key(*line)).count();
            if missing > 0 {
                let _ = write!(text, "{} lines of {}; ", missing, person.name);
            }
        }
        text
    }

    fn read_on(&mut self) -> Result<(), Failure> {
        let identity = Identity::numbered("reader", 1 << 40, 1);
        let mut reader = Caller::login(self.launch.address, &identity, PATIENCE)?;
        let room = reader.join(ROOM)?;
        let mut entries: Vec<Entry> = Vec::new();
        self.read = reader.read_log(room, self.read, |entry| entries.push(entry))?;
        for entry in entries {
            let text = entry.text().into_owned();
            *self.log.entry(text.clone()).or_default() += 1;
            self.orders.entry(entry.name).or_default().push(text);
        }
        Ok(())
    }

    /// Nothing twice, nothing that nobody typed, and everybody's lines in their order.
    fn check(&self) -> Result<(), Failure> {
        for person in &self.people {
            let stored = self.orders.get(&person.name).map_or(&[][..], Vec::as_slice);
            if !person.typed.starts_with(stored) {
                let twice = self.log.iter().filter(|(_, count)| **count > 1).count();
                return Err(unproven(&format!(
                    "{} typed {} lines, and the log has {} of theirs, {twice} of all twice, or in another order",
                    person.name,
                    person.typed.len(),
                    stored.len(),
                )));
            }
            person.check_diagnostics().map_err(|why| unproven(&why))?;
        }
        Ok(())
    }

    /// Everybody leaves; each must have been shown every line of the others once, from when all were in.
    fn end(&mut self) -> Result<(), Failure> {
        self.await_lines(PATIENCE)?;
        let all: Vec<String> =
            self.people.iter().flat_map(|person| person.typed[person.early..].to_vec()).collect();
        let end = self.clock.now() + PATIENCE;
        loop {
            let wrong = self.people.iter().find_map(|person| person.check_shown(&all).err());
            match wrong {
                None => break,
                Some(why) if self.clock.now() > end => return Err(unproven(&why)),
                Some(_) => thread::sleep(LOOK * 10),
            }
        }
        self.people.iter_mut().for_each(Person::leave);
        let failed = self.people.iter_mut().find_map(|person| person.await_end(PATIENCE).err());
        failed.map_or(Ok(()), Err)
    }
}

fn unproven(why: &str) -> Failure {
    Failure::Unproven { what: CLAIM, why: why.to_owned() }
}
