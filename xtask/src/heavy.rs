//! `cargo xtask heavy`: honest people who do much meet no refusal that their client does not settle by itself.
//!
//! The server limits programs on this machine like all others (`--limit-local`), and everybody here is new and behind
//! one address: nobody has less. Each use has a server of its own.

use crate::{
    failure::Failure,
    flood::crowd::{Crowd, Habits},
    proof::{
        Scratch,
        natterd::{Launch, Natterd},
    },
    workspace::Workspace,
};
use clap::Args;
use load::{caller::Caller, clock::Clock, identity::Identity, process::raise_socket_limit};
use protocol::{
    entry::{Entry, EntryKind},
    id::{Counter, Millis, RoomId},
    message::{ClientMsg, FileBody, OpenFrom, ServerMsg, Target},
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

const CLAIM: &str = "honest heavy use is not refused";

/// How long anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one program may take, and how often it is looked whether it has ended.
const LONGEST: Duration = Duration::from_secs(900);
const LOOK: Duration = Duration::from_millis(10);

/// Files that are sent by one command.
const FILES_AT_ONCE: u32 = 300;

/// Posts a second of the script.
const RATE: u32 = 100;

/// How much.
#[derive(Args)]
pub struct Options {
    /// People behind one address.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub people: u32,
    /// How long they talk, and a script posts.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Lines that somebody pastes.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub lines: u32,
    /// Rooms of a bot.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=499))]
    pub rooms: u32,
    /// Small files that somebody sends.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub files: u32,
    /// Use the builds of the tests, which are slower.
    #[arg(long)]
    pub debug: bool,
}

impl Options {
    /// What CI has time for.
    pub fn short() -> Self {
        Self { people: 500, seconds: 3, lines: 800, rooms: 200, files: 300, debug: true }
    }
}

/// The programs, and where their runs take place.
struct Ground<'a> {
    options: &'a Options,
    programs: PathBuf,
    scratch: &'a Path,
}

/// Tries each use.
///
/// # Errors
/// [`Failure::Unproven`] with what was refused or is not there.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let programs = workspace.build_for_load(options.debug)?;
    if !options.debug {
        workspace.cargo().args(["build", "--release", "-p", "client", "--bins"]).run()?;
    }
    raise_socket_limit()?;
    let scratch = Scratch::create(workspace, "heavy")?;
    let ground = Ground { options, programs, scratch: scratch.path() };
    ground.with_server("office", |server| ground.office(server))?;
    ground.with_server("paste", |server| ground.paste(server))?;
    ground.with_server("script", |server| ground.script(server))?;
    ground.with_server("bot", |server| ground.bot(server))?;
    ground.with_server("files", |server| ground.files(server))?;
    scratch.discard();
    Ok(())
}

impl Ground<'_> {
    fn with_server(
        &self,
        name: &str,
        work: impl FnOnce(&Natterd) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let clock = Clock::start();
        let folder = self.path(name);
        fs::create_dir_all(&folder).map_err(|source| Failure::Write { path: folder.clone(), source })?;
        let data = folder.join("data").display().to_string();
        let natterd = self.programs.join("natterd");
        let server = Launch::new(&natterd, &folder, &["--data", &data, "--limit-local"])?.start()?;
        let told = work(&server)?;
        println!(
            "heavy: {told}; 0 refusals that a client did not settle, in {:.1} s",
            clock.now().as_secs_f64()
        );
        server.stop()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// People who talk, search and come and go, all behind one address.
    fn office(&self, server: &Natterd) -> Result<String, Failure> {
        let habits = Habits {
            speaks_every: Duration::from_secs(5),
            searches_every: Some(Duration::from_secs(300)),
            network: None,
        };
        let people = self.options.people as usize;
        let mut crowd = Crowd::new(0, people, habits, server.address, Clock::start())?;
        crowd.gather(PATIENCE)?;
        crowd.flood_for(Duration::from_secs(self.options.seconds))?;
        crowd.close_figures();
        let figures = crowd.figures;
        if let Some((code, text)) = figures.refused.first() {
            return unproven(format!("{} refusals, the first one {code}: {text}", figures.refused.len()));
        }
        let (posts, searches, logins) = (figures.posts.len(), figures.searches.len(), figures.logins.len());
        Ok(format!(
            "{people} people behind one address, {posts} posts, {searches} searches, {logins} more logins"
        ))
    }

    /// Somebody who pastes more lines than are taken at once, into the real client.
    fn paste(&self, server: &Natterd) -> Result<String, Failure> {
        let lines: Vec<_> = (1..=self.options.lines).map(|n| format!("line {n}")).collect();
        let path = self.path("lines");
        let failed = |source| Failure::Write { path: path.clone(), source };
        fs::write(&path, lines.join("\n") + "\n").map_err(failed)?;
        let mut command = Command::new(self.programs.join("natter"));
        command.args([&server.address.to_string(), "-u", "paste", "--state"]).arg(self.path("paste-state"));
        command.stdin(File::open(&path).map_err(|source| Failure::Read { path: path.clone(), source })?);
        run_to_its_end(command, "natter")?;
        let arrived: Vec<_> = log(server.address, RoomId::FIRST)?
            .into_iter()
            .map(|entry| String::from_utf8_lossy(&entry.body).into_owned())
            .collect();
        if arrived != lines {
            let first = lines.iter().zip(&arrived).find(|(line, came)| line != came);
            return unproven(format!(
                "{} lines of {} came, first other: {first:?}",
                arrived.len(),
                lines.len()
            ));
        }
        Ok(format!("a paste of {} lines came once and in order", lines.len()))
    }

    /// A script that posts as fast as a person may for as long as it likes.
    fn script(&self, server: &Natterd) -> Result<String, Failure> {
        let seconds = self.options.seconds.min(600).to_string();
        let mut command = Command::new(self.programs.join("natter-load"));
        command.args(["stored", "--server", &server.address.to_string(), "--clients", "1"]);
        command.args([
            "--rate",
            &RATE.to_string(),
            "--seconds",
            &seconds,
            "--warm-up",
            "1",
            "--patience",
            "20",
        ]);
        run_to_its_end(command, "natter-load")?;
        Ok(format!("a script with {RATE} posts/s for {seconds} s"))
    }

    /// A bot that makes rooms, says something in each, and opens all of them when it comes again.
    fn bot(&self, server: &Natterd) -> Result<String, Failure> {
        let identity = Identity::numbered("bot", 1, 1);
        let mut bot = Caller::login(server.address, &identity, PATIENCE)?;
        let mut rooms = Vec::new();
        for n in 0..self.options.rooms {
            rooms.push(bot.join(&format!("project-{n}"))?);
        }
        for (n, room) in (1..).zip(&rooms) {
            say(&mut bot, n, *room, "hello")?;
        }
        drop(bot);
        let mut bot = Caller::login(server.address, &identity, PATIENCE)?;
        for room in rooms {
            let from = OpenFrom::Last { count: 10 };
            bot.ask(|req| ClientMsg::Open { req, room, from })?;
            bot.ask(|req| ClientMsg::Mark { req, room, seq: protocol::id::Seq::FIRST })?;
        }
        Ok(format!("a bot in {} rooms", self.options.rooms))
    }

    /// Somebody who sends many small files.
    fn files(&self, server: &Natterd) -> Result<String, Failure> {
        let folder = self.path("files-to-send");
        let failed = |source| Failure::Write { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut next = 0;
        while next < self.options.files {
            let end = self.options.files.min(next + FILES_AT_ONCE);
            let mut command = Command::new(self.programs.join("natter"));
            command.args(["send", &server.address.to_string(), "-u", "sender", "--state"]);
            command.arg(self.path("sender-state")).arg("--quiet");
            for n in next..end {
                let path = folder.join(format!("file-{n}.txt"));
                fs::write(&path, format!("content {n}")).map_err(failed)?;
                command.arg(path);
            }
            run_to_its_end(command, "natter send")?;
            next = end;
        }
        let entries = log(server.address, RoomId::FIRST)?;
        let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
        let names: Vec<_> =
            files.filter_map(|entry| FileBody::decode(&entry.body).ok()).map(|body| body.name).collect();
        let different = names.iter().collect::<BTreeSet<_>>().len();
        let all = self.options.files as usize;
        if names.len() != all || different != all {
            return unproven(format!("{} messages with {different} files for {all} files", names.len()));
        }
        Ok(format!("an upload of {all} small files, one message each"))
    }
}

/// Posts, and waits until that is stored.
fn say(caller: &mut Caller, n: u64, room: RoomId, text: &'static str) -> Result<(), Failure> {
    let counter = Counter::new(n).unwrap_or(Counter::FIRST);
    let (target, kind, reply_to) = (Target::Room { room }, EntryKind::Text, None);
    let body = text.as_bytes().into();
    caller.say(&ClientMsg::Post { counter, target, kind, reply_to, written: Millis(0), body })?;
    let acked = caller.find("an acknowledgement", |msg| match msg {
        ServerMsg::Ack { counter: acked, .. } if acked == counter => Some(Ok(())),
        ServerMsg::Error { code, text, .. } => Some(Err(load::fault::Fault::Denied { code, text })),
        _ => None,
    })?;
    Ok(acked?)
}

/// All entries of a room.
fn log(server: SocketAddr, room: RoomId) -> Result<Vec<Entry>, Failure> {
    let mut reader = Caller::login(server, &Identity::numbered("reader", 2, 1), PATIENCE)?;
    let mut entries = Vec::new();
    reader.read_log(room, None, |entry| entries.push(entry))?;
    Ok(entries)
}

/// Runs a program, for so long at most.
fn run_to_its_end(mut command: Command, what: &str) -> Result<(), Failure> {
    let started = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = started.or_else(|error| unproven(format!("{what} can't be started: {error}")))?;
    let clock = Clock::start();
    while let Ok(None) = child.try_wait() {
        if clock.now() > LONGEST {
            // It has ended by itself, or is ended now.
            let _ = child.kill();
            let _ = child.wait();
            return unproven(format!("{what} goes on after {} s", LONGEST.as_secs()));
        }
        thread::sleep(LOOK);
    }
    match child.wait_with_output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
            unproven(format!("{what} ended with {}: {said}", output.status))
        }
        Err(error) => unproven(format!("{what} was not waited for: {error}")),
    }
}

fn unproven<T>(why: String) -> Result<T, Failure> {
    Err(Failure::Unproven { what: CLAIM, why })
}
