//! One run of the program, from the command line to the exit code.

use super::clock::SystemClock;
use super::end::{drive_failure, end_failure, timeout_failure};
use super::freight::Carriers;
use super::last::{self, Last};
use super::lookup;
use super::own::{Own, Purpose, forget};
use super::tcp::Tcp;
use super::{classic, downloads, errand, plain, signals, terminal};
use crate::address::Address;
use crate::cli::{Cli, Color, Errand, Images, Mistake, usage_failure};
use crate::drive::{Client, Face, Input, ports};
use crate::files::{DiskFiles, Files, MemoryFiles};
use crate::line::{ExitCode, Failure, Look, Pictures, Renderer, Zone};
use crate::profile::{Located, remember_server};
use crate::session::event::Event;
use crate::session::{Config, Session};
use crate::transfer::{Login, Piped, Received};
use clap::Parser;
use protocol::id::RunId;
use protocol::name::PersonName;
use protocol::system_words::plain_words;
use protocol::usage::Usage;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

/// Runs the program with these arguments, and says on stderr why if it fails.
pub fn run(args: impl Iterator<Item = OsString>) -> u8 {
    let args: Vec<_> = args.collect();
    let _terminal = terminal::Borrowed;
    let result = match Errand::parse(&args) {
        Some(Ok(errand)) => start(errand::run(&errand)),
        Some(Err(Mistake::Clap(error))) => unread(&error, &args),
        Some(Err(Mistake::NoVerb(failure))) => Err(failure),
        None => match Cli::try_parse_from(&args) {
            Ok(cli) if cli.classic => start(classic::chat(&cli)),
            Ok(cli) => start(chat(&cli)),
            Err(error) => unread(&error, &args),
        },
    };
    let code = result.unwrap_or_else(|failure| {
        let _ = writeln!(io::stderr(), "{failure}");
        failure.code
    });
    code as u8
}

/// A command line that is none, or that asks for help.
fn unread(error: &clap::Error, args: &[OsString]) -> Result<ExitCode, Failure> {
    if error.kind() == clap::error::ErrorKind::InvalidUtf8
        && let Some(Usage { what, hint }) = Usage::not_utf8(args.iter().map(OsString::as_os_str))
    {
        return Err(Failure::new(ExitCode::Usage, what, hint));
    }
    let verb = args.get(1).filter(|arg| ["send", "get"].iter().any(|verb| *arg == verb));
    let program = verb.map_or("natter".to_owned(), |verb| format!("natter {}", verb.display()));
    match usage_failure(error, &program) {
        Some(failure) => Err(failure),
        None => match error.print().and_then(|()| io::stdout().flush()) {
            Ok(()) => Ok(ExitCode::Fine),
            Err(error) => unwritten(&error).map(|()| ExitCode::Fine),
        },
    }
}

fn start(chat: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(
            ExitCode::User,
            format!("can't start: {}", plain_words(&error)),
            "close other programs, or raise the limits",
        )
    })?;
    let result = runtime.block_on(chat);
    // A name being looked up must not hold up the end.
    runtime.shutdown_background();
    result
}

async fn chat(cli: &Cli) -> Result<ExitCode, Failure> {
    let interactive = terminal::is_there();
    let prepare = |session: &mut Session, kept: bool| {
        if !cli.no_receive {
            session.receive_up_to(cli.max_receive.saturating_mul(1 << 20));
        }
        if cli.no_typing {
            session.turn_off_typing();
        }
        if kept {
            session.keep_transfers();
        }
    };
    let begin = |face, history| start_face(cli, face, interactive, history);
    hold(cli, Purpose::Chat, interactive, Extras::default(), prepare, begin).await
}

/// Holds a session until its end: `prepare` makes it ready, and is told whether anything is kept of it; `begin` starts
/// its face, with the file of what was typed. An errand that has a key is kept until it is done, and nothing goes on
/// for longer than `extras` say.
pub(super) async fn hold(
    cli: &Cli,
    purpose: Purpose<'_>,
    interactive: bool,
    extras: Extras,
    prepare: impl FnOnce(&mut Session, bool),
    begin: impl FnOnce(Face, Option<PathBuf>) -> Result<Threads, Failure>,
) -> Result<ExitCode, Failure> {
    let Extras { limit, piped } = extras;
    let state = state(cli);
    let (address, name) = whither(cli, state.as_deref())?;
    let mut rng = seeded()?;
    let (own, connect) = open(cli, purpose, state.as_deref(), &address, &name, &mut rng).await?;
    let Own { profile, kept, history, notices } = own;
    let errand = matches!(purpose, Purpose::Errand(Some(_)));
    let login = Login {
        device: profile.identity().device,
        secret: profile.identity().secret.clone(),
        name: name.as_str().to_owned(),
        agent: concat!("natter/", env!("CARGO_PKG_VERSION")).into(),
    };
    let config = config(&login, RunId(rng.random()), cli.history, interactive);
    let mut session = Session::new(config, profile.kept().clone(), profile.records());
    notices.into_iter().for_each(|text| session.notify(Event::Notice { text }));
    prepare(&mut session, kept.is_some());
    let (ports, mut face) = ports(&session);
    let carriers = face.freight.take().map(|freight| {
        Carriers::start(freight, &connect, &login, &mut rng, received(cli), hashed(kept.as_deref()), piped)
    });
    let input = face.input.downgrade();
    let threads = begin(face, history)?;
    let mut client = Client { session, profile, connect, clock: SystemClock::start(), rng, ports };
    let driven = tokio::select! {
        biased;
        driven = client.drive() => Ok(driven),
        () = signals::interrupted(input) => Err(Stopped::Interrupted),
        () = expired(limit) => Err(Stopped::Expired),
    };
    let awaited = client.session.awaited();
    // What a script does is not where its user was.
    if let (true, Some(state), false, 1..) = (interactive, &state, cli.temporary, client.session.logins()) {
        last::write(state, &address, &name);
    }
    if let (Purpose::Errand(_), Some(folder), Some(server), 1..) =
        (purpose, &client.connect.profile, client.session.server(), client.session.logins())
    {
        remember_server(folder, server);
    }
    let (refusals, mistakes) = (client.session.refusals(), client.session.mistakes());
    let unfinished = client.session.is_unfinished();
    let Client { session, profile, mut rng, ports, .. } = client;
    drop((session, ports));
    carriers.into_iter().for_each(Carriers::join);
    let written = threads.join();
    let goes_on = errand && unfinished;
    if matches!(driven, Err(Stopped::Interrupted)) && goes_on && !cli.quiet {
        say_interrupted();
    }
    if let Some(folder) = kept.filter(|_| errand && !unfinished) {
        forget(&folder, &mut rng);
    }
    drop(profile);
    let driven = match driven {
        Ok(driven) => driven,
        Err(Stopped::Interrupted) => return Ok(ExitCode::Interrupted),
        Err(Stopped::Expired) => return Err(timeout_failure(limit, &awaited, goes_on)),
    };
    let end = driven.map_err(|error| drive_failure(&error, &address))?;
    match end_failure(&end, &address) {
        Some(failure) => Err(failure),
        // A person has seen what went wrong; a script can only see it now.
        None if !interactive => written.map(|()| exit_code(refusals, mistakes)),
        None => written.map(|()| ExitCode::Fine),
    }
}

/// The server and the name: as the user says, else as they were last.
fn whither(cli: &Cli, state: Option<&Path>) -> Result<(Address, PersonName), Failure> {
    let named = |name: Option<PersonName>| match name.filter(|_| cli.user.is_none()) {
        Some(name) => Ok(name),
        None => cli.name(&login()),
    };
    match cli.address() {
        Some(address) => Ok((address, named(None)?)),
        None => {
            let Last { address, name } = last::read(state);
            Ok((address, named(name)?))
        }
    }
}

/// How a script ends that was refused so often, and made so many mistakes.
fn exit_code(refusals: u64, mistakes: u64) -> ExitCode {
    match (refusals, mistakes) {
        (1.., _) => ExitCode::Refused,
        (0, 1..) => ExitCode::User,
        (0, 0) => ExitCode::Fine,
    }
}

/// Where is kept what is hashed of files to be sent.
fn hashed(kept: Option<&Path>) -> Box<dyn Files + Send> {
    match kept.map(DiskFiles::open) {
        Some(Ok(files)) => Box::new(files),
        _ => Box::new(MemoryFiles::default()),
    }
}

/// Where files are received.
pub(super) fn received(cli: &Cli) -> Received {
    match &cli.received {
        Some(folder) => Received::new(folder.clone()),
        None => Received::new(downloads::folder()).or_older(downloads::OLDER.into()),
    }
}

/// A session that is who its files are, too.
fn config(login: &Login, run: RunId, history: u16, interactive: bool) -> Config {
    let Login { device, secret, name, agent } = login.clone();
    Config { name, device, secret, agent, run, history, interactive }
}

/// What an errand has that a chat has not.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// It is given up after so long.
    pub(super) limit: Option<Duration>,
    /// What a program writes, to be sent.
    pub(super) piped: Option<Piped>,
}

/// Why a session was stopped before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stopped {
    Interrupted,
    Expired,
}

/// Waits until the time is over, if there is a limit.
async fn expired(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

fn say_interrupted() {
    // Nobody may be there to read it.
    let _ = writeln!(io::stderr(), "-- interrupted: the same command goes on where this one stopped");
}

/// The user's name on this machine.
pub(super) fn login() -> String {
    env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_default()
}

pub(super) fn seeded() -> Result<StdRng, Failure> {
    let mut seed = [0; 32];
    #[expect(clippy::disallowed_methods, reason = "the rim asks the system for randomness")]
    let filled = getrandom::fill(&mut seed);
    filled.map_err(|error| {
        Failure::new(
            ExitCode::User,
            format!("no random numbers: {}", plain_words(&error)),
            "check the system",
        )
    })?;
    Ok(StdRng::from_seed(seed))
}

/// The folder of all state, if there is a place for one.
fn state(cli: &Cli) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let xdg = || env::var_os("XDG_STATE_HOME").and_then(absolute);
    let home = || env::var_os("HOME").and_then(absolute).map(|home| home.join(".local/state"));
    cli.state.clone().or_else(xdg).or_else(home)
}

/// Opens the profile of this name at this address, and says how to connect as it.
async fn open(
    cli: &Cli,
    purpose: Purpose<'_>,
    state: Option<&Path>,
    address: &Address,
    name: &PersonName,
    rng: &mut StdRng,
) -> Result<(Own, Tcp), Failure> {
    let Some(state) = state else {
        let own = if cli.temporary { Own::open_temporary(None, rng) } else { Err(homeless()) };
        return Ok((own?, Tcp::anywhere(address.clone())));
    };
    let asks = lookup::can_ask();
    let found = lookup::find(state, address, name, asks && !cli.temporary).await;
    let connect = Tcp { only: found.only.clone(), ..Tcp::anywhere(address.clone()) };
    if cli.temporary {
        return Ok((Own::open_temporary(Some(&found.folder), rng)?, connect));
    }
    if let Some(text) = lookup::stranger(&found, address).filter(|_| !asks && !cli.quiet) {
        // On stderr, where an errand's notices go, too.
        let _ = writeln!(io::stderr(), "-- {text}");
    }
    let mut own = Own::open(purpose, &found.folder, &found.younger, rng)?;
    own.notices.extend(two_profiles(&found));
    Ok((own, Tcp { profile: Some(found.folder), ..connect }))
}

/// That an older profile of the same server is used once this one is settled.
fn two_profiles(found: &Located) -> Option<String> {
    let older = found.older.as_ref()?;
    Some(format!(
        "two profiles are of this server: '{}' has something that only it can settle; then '{}' is used, which is older",
        found.folder.display(),
        older.display()
    ))
}

fn homeless() -> Failure {
    Failure::new(
        ExitCode::User,
        "there is no folder for the profile: HOME is not set, or no absolute path",
        "name one with --state DIR, or be somebody new each time with --temporary",
    )
}

/// The threads of a face. Those that wait for a key end with the program.
pub(super) struct Threads {
    writer: Option<JoinHandle<io::Result<()>>>,
    terminal: Option<terminal::Running>,
}

impl Threads {
    /// A face that only writes.
    pub(super) fn of(writer: JoinHandle<io::Result<()>>) -> Self {
        Self { writer: Some(writer), terminal: None }
    }

    /// Waits for them.
    ///
    /// # Errors
    /// If what was to be shown could not be written.
    pub(super) fn join(self) -> Result<(), Failure> {
        if let Some(terminal) = self.terminal {
            terminal.join();
        }
        // A panic has been reported by its thread.
        match self.writer.map(JoinHandle::join) {
            Some(Ok(Err(error))) => unwritten(&error),
            _ => Ok(()),
        }
    }
}

/// Stdout takes no more. Whoever closed it has enough; whatever else it is has lost something.
pub(super) fn unwritten(error: &io::Error) -> Result<(), Failure> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    let hint = "make room there; the same command shows it again";
    Err(Failure::new(ExitCode::User, format!("can't write to stdout: {}", plain_words(error)), hint))
}

pub(super) fn start_face(
    cli: &Cli,
    face: Face,
    interactive: bool,
    history: Option<PathBuf>,
) -> Result<Threads, Failure> {
    let renderer = Renderer::new(look(cli, interactive), Zone::Local);
    if interactive {
        let folder = cli.received.clone().unwrap_or_else(downloads::folder);
        let shown = (!cli.no_receive && !cli.classic).then(|| downloads::shown(&folder));
        let renderer = renderer.receiving_into(shown);
        return start_terminal(face, renderer, pictures(cli), history);
    }
    let input: tokio::sync::mpsc::Sender<Input> = face.input.clone();
    let leaving = input.downgrade();
    let quiet = cli.quiet;
    let reading = plain::Reading { commands: !cli.no_commands, quiet };
    spawn(move || reading.read(&input));
    let mut face = face;
    let writer = spawn(move || {
        // The reader alone holds the input: it ends when stdin does.
        let (closed, _) = tokio::sync::mpsc::channel(1);
        face.input = closed;
        let written = plain::write(face, renderer, quiet);
        if let (Err(_), Some(input)) = (&written, leaving.upgrade()) {
            // Who can't be heard leaves. A full channel means that lines wait, whose end comes by itself.
            let _ = input.try_send(Input::Leave);
        }
        written
    });
    Ok(Threads { writer: Some(writer), terminal: None })
}

#[expect(clippy::disallowed_methods, reason = "the rim starts threads: terminals and pipes block")]
pub(super) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::spawn(work)
}

fn start_terminal(
    face: Face,
    renderer: Renderer,
    pictures: Option<Pictures>,
    history: Option<PathBuf>,
) -> Result<Threads, Failure> {
    let terminal = terminal::start(face, renderer, pictures, history).map_err(|error| {
        Failure::new(
            ExitCode::User,
            format!("can't start: {}", plain_words(&error)),
            "close other programs, or raise the limits",
        )
    })?;
    Ok(Threads { writer: None, terminal: Some(terminal) })
}

/// Colours: as wished; else on a terminal that knows them, unless the environment says otherwise.
fn look(cli: &Cli, interactive: bool) -> Look {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    let forced = set("CLICOLOR_FORCE") && env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    let color = match cli.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => !set("NO_COLOR") && (forced || (io::stdout().is_terminal() && !dumb)),
    };
    Look { color, screen: interactive, bell: cli.bell && interactive }
}

fn pictures(cli: &Cli) -> Option<Pictures> {
    match cli.images {
        Images::Auto => Pictures::detect(|name| env::var(name).ok()),
        Images::Never => None,
    }
}
