//! `cargo xtask scale`: a store with ten million entries opens, pages and searches in no time.

use crate::{
    failure::Failure,
    proof::{
        Chance, Scratch,
        natterd::{Launch, Natterd},
    },
    workspace::Workspace,
};
use clap::Args;
use load::{caller::Caller, clock::Clock, fault::Fault, identity::Identity, process::Process};
use protocol::id::{RoomId, Seq};
use protocol::message::{ClientMsg, Range, ServerMsg, Target};
use std::{path::PathBuf, time::Duration};

const CLAIM: &str = "a large store opens, pages and searches in no time";

/// From a start after a kill until somebody has logged in and read.
const OPEN_WITHIN: Duration = Duration::from_secs(2);
/// A page of history.
const PAGE_WITHIN: Duration = Duration::from_millis(50);
/// The newest hits of a search.
const SEARCH_WITHIN: Duration = Duration::from_millis(200);

/// How long the index may take to catch up with a log that it has never seen.
const INDEX_WITHIN: Duration = Duration::from_secs(3_600);

/// How long anything else may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Hits and entries of a page, as a client asks for them.
const PAGE: u16 = 50;

/// How often each figure is taken; the slowest counts.
const TIMES: usize = 20;

/// The words that the filler spreads, and how often: every so many entries, or a few in all.
const WORDS: [(&str, &str); 3] =
    [("solitary", "1 hit"), ("uncommon", "1,000 hits"), ("ubiquitous", "a tenth of all entries")];

/// The word of the first entry of each room. The index goes from old to new, and what it lacks at the end of a room
/// is looked at without it as far as that is short, so it has nearly all when all of these are found.
const OPENING: &str = "opening";

/// How long the rest takes, with room to spare.
const REST: Duration = Duration::from_secs(5);

/// Which rooms the filler makes; the first has none of the words.
const ROOMS: usize = 64;

/// How large.
#[derive(Args)]
pub struct Options {
    /// Entries of the store.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    entries: u64,
    /// A folder that was filled before, with so many entries; else a new one is filled.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Keep the folder.
    #[arg(long)]
    keep: bool,
}

/// Fills a store with the server's own writer, kills the server, and takes the figures.
///
/// # Errors
/// [`Failure::Unproven`] if one is over its goal.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let cargo = workspace.cargo().args(["build", "--release", "-p", "server", "--bins", "--example", "fill"]);
    cargo.run()?;
    let scratch = Scratch::create(workspace, "scale")?;
    let data = options.data.clone().unwrap_or_else(|| scratch.path().join("data"));
    let release = workspace.root.join("target/release");
    if options.data.is_none() {
        let (entries, data) = (options.entries.to_string(), data.display().to_string());
        let fill = workspace.shell.cmd(release.join("examples/fill"));
        fill.args(["--data", &data, "--entries", &entries, "--rooms", &ROOMS.to_string()]).run()?;
    }
    let launch =
        Launch::new(&release.join("natterd"), scratch.path(), &["--data", &data.display().to_string()])?;
    let mut figures = Figures::default();
    index(&launch)?;
    let server = recover(&launch, &mut figures)?;
    let mut caller = login(&server)?;
    let rooms = join_all(&mut caller)?;
    page(&mut caller, &rooms, &mut figures)?;
    search(&mut caller, &rooms, &mut figures)?;
    let memory = Process::with_id(server.id()).resident_bytes()? / f64::from(1 << 20);
    figures.lines.push(format!("resident {memory:.0} MiB"));
    server.stop()?;
    println!("scale, {} entries:\n  {}", options.entries, figures.lines.join("\n  "));
    if !figures.over.is_empty() {
        return Err(Failure::Unproven { what: CLAIM, why: figures.over.join("; ") });
    }
    if !options.keep {
        scratch.discard();
    }
    Ok(())
}

/// What was measured, and what of it is over its goal.
#[derive(Default)]
struct Figures {
    lines: Vec<String>,
    over: Vec<String>,
}

impl Figures {
    fn add(&mut self, what: &str, mut times: Vec<Duration>, goal: Duration) {
        times.sort_unstable();
        let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
        let line = format!(
            "{what}: median {:.1} ms, slowest of {} {:.1} ms, goal {} ms",
            median.as_secs_f64() * 1e3,
            times.len(),
            slowest.as_secs_f64() * 1e3,
            goal.as_millis(),
        );
        if slowest > goal {
            self.over.push(line.clone());
        }
        self.lines.push(line);
    }
}

/// Has the index of words made, which a store that was filled apart from a server does not have yet.
fn index(launch: &Launch) -> Result<(), Failure> {
    let (clock, server) = (Clock::start(), launch.start()?);
    let mut caller = login(&server)?;
    join_all(&mut caller)?;
    while find(&mut caller, OPENING, None, u16::MAX)?.is_none_or(|hits| hits < ROOMS) {
        if clock.now() > INDEX_WITHIN {
            return Err(Failure::Unproven { what: CLAIM, why: "the index does not catch up".to_owned() });
        }
        // Its connection is kept alive by the questions.
        std::thread::sleep(Duration::from_secs(1));
    }
    std::thread::sleep(REST);
    eprintln!("  the index has caught up after {} s", clock.now().as_secs());
    server.stop()
}

/// Kills a server that has just been posted to, and takes the time until the next one has answered somebody.
fn recover(launch: &Launch, figures: &mut Figures) -> Result<Natterd, Failure> {
    let mut times = Vec::new();
    for _ in 0..3 {
        let server = launch.start()?;
        let mut caller = login(&server)?;
        let room = caller.join(&room_name(1))?;
        post_some(&mut caller, room)?;
        server.kill()?;
        let clock = Clock::start();
        let server = launch.start()?;
        let mut caller = login(&server)?;
        let room = caller.join(&room_name(1))?;
        read(&mut caller, room, Range::Latest)?;
        times.push(clock.now());
        server.kill()?;
    }
    figures.add("opens and serves after kill -9", times, OPEN_WITHIN);
    launch.start()
}

fn post_some(caller: &mut Caller, room: RoomId) -> Result<(), Failure> {
    let last = caller.last_counter.map_or(0, protocol::id::Counter::value);
    for counter in last + 1..=last + 64 {
        let counter = protocol::id::Counter::new(counter).ok_or_else(|| unproven("counters end"))?;
        caller.say(&ClientMsg::Post {
            counter,
            target: Target::Room { room },
            kind: protocol::entry::EntryKind::Text,
            reply_to: None,
            written: protocol::id::Millis(0),
            body: "something new".into(),
        })?;
    }
    let done = |msg| match msg {
        ServerMsg::Ack { counter, .. } if counter.value() == last + 64 => Some(Ok(())),
        ServerMsg::Error { code, text, .. } => Some(Err(Fault::Denied { code, text })),
        _ => None,
    };
    Ok(caller.find("the last acknowledgement", done)??)
}

fn page(caller: &mut Caller, rooms: &[RoomId], figures: &mut Figures) -> Result<(), Failure> {
    let mut chance = Chance::new(1);
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let room = rooms[usize::try_from(chance.below(rooms.len() as u64)).unwrap_or(0)];
        let newest = read(caller, room, Range::Latest)?.1.ok_or_else(|| unproven("a room is empty"))?;
        let middle = newest.value() / 4 + chance.below(newest.value() / 2);
        let seq = Seq::new(middle.max(1)).unwrap_or(Seq::FIRST);
        times.push(read(caller, room, Range::Before { seq })?.0);
    }
    figures.add("a page of 50 from the middle of a room", times, PAGE_WITHIN);
    Ok(())
}

fn search(caller: &mut Caller, rooms: &[RoomId], figures: &mut Figures) -> Result<(), Failure> {
    for (word, hits) in WORDS {
        for (place, room, some) in
            [("in all rooms", None, true), ("in a room without", Some(rooms[0]), false)]
        {
            let mut times = Vec::new();
            for _ in 0..TIMES {
                let clock = Clock::start();
                let found = find(caller, word, room, PAGE)?.unwrap_or(0);
                times.push(clock.now());
                if (found > 0) != some {
                    return Err(unproven(&format!("{found} hits for '{word}' {place}")));
                }
            }
            figures.add(&format!("search for a word with {hits}, {place}"), times, SEARCH_WITHIN);
        }
    }
    Ok(())
}

/// A page, how long it took, and the last entry in it.
fn read(caller: &mut Caller, room: RoomId, range: Range) -> Result<(Duration, Option<Seq>), Failure> {
    let clock = Clock::start();
    let page = caller.ask(|req| ClientMsg::Fetch { req, room, range, limit: PAGE })?;
    let time = clock.now();
    match page {
        ServerMsg::Page { found, .. } => Ok((time, found.last().map(|found| found.entry.seq))),
        other => Err(unproven(&format!("{other:?} to a fetch"))),
    }
}

/// How many hits of the first page there are; `None` while the index is not ready.
fn find(caller: &mut Caller, word: &str, room: Option<RoomId>, limit: u16) -> Result<Option<usize>, Failure> {
    let words = word.to_owned();
    match caller.ask(|req| ClientMsg::Search { req, room, words, limit, before_room: None, before: None }) {
        Ok(ServerMsg::Page { found, .. }) => Ok(Some(found.len())),
        Ok(other) => Err(unproven(&format!("{other:?} to a search"))),
        Err(Fault::Denied { .. }) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

fn login(server: &Natterd) -> Result<Caller, Failure> {
    Ok(Caller::login(server.address, &Identity::numbered("scale", 1, 1), PATIENCE)?)
}

fn join_all(caller: &mut Caller) -> Result<Vec<RoomId>, Failure> {
    (0..ROOMS).map(|number| Ok(caller.join(&room_name(number))?)).collect()
}

/// As the filler names them.
fn room_name(number: usize) -> String {
    format!("scale-{number}")
}

fn unproven(why: &str) -> Failure {
    Failure::Unproven { what: CLAIM, why: why.to_owned() }
}
