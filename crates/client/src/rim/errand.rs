//! Errands: files that are sent or received by a script, without a chat.

mod face;
mod pipe;

use super::own::Purpose;
use super::plain;
use super::run::{Extras, Threads, hold, spawn};
use crate::cli::{Cli, Errand, Get, Send, Visit, usage_failure};
use crate::drive::{Face, Input};
use crate::line::{ExitCode, Failure};
use crate::session::Session;
use crate::transfer::{Keep, PIPE, Piped};
use face::{Outcome, Report};
use pipe::{Sink, Temporary};
use protocol::command::{Command, Shelved};
use protocol::name::{NameError, PersonName, RoomName};
use std::cell::Cell;
use std::env;
use std::fmt::Debug;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Does it.
pub(super) async fn run(errand: &Errand) -> Result<ExitCode, Failure> {
    match errand {
        Errand::Send(send) => run_send(send).await,
        Errand::Get(get) => run_get(get).await,
    }
}

async fn run_send(send: &Send) -> Result<ExitCode, Failure> {
    let cli = options(&send.visit)?;
    let place = Input::Order(place(&send.visit)?);
    let mut told = cli.quiet;
    let says = |text: &String| Input::Text(plain::stripped(text, &mut told));
    let message = send.message.iter().map(says).collect::<Vec<_>>();
    let (mut files, mut piped) = (Vec::new(), None);
    // Only a server of an earlier version needs a file.
    let spool = Temporary::new().ok();
    for file in &send.files {
        match file.as_str() {
            PIPE if piped.is_some() => return Err(twice()),
            PIPE if pipe::is_stdin_closed() => return Err(closed(&send.visit)),
            PIPE => {
                let spool = spool.as_ref().map(|spool| spool.path(&send.name));
                piped = Some(Piped { name: send.name.clone(), open: Box::new(pipe::read), spool });
            }
            path if pipe::is_pipe(path) => return Err(piped_failure(path, &send.visit)),
            _ => {}
        }
        files.push(Input::Order(Command::Send(file.clone())));
    }
    let report = Report { visit: send.visit.words(), json: send.visit.json, quiet: cli.quiet, paths: false };
    // Stdin does not come again.
    let key = if piped.is_none() { key(&send.visit, &(&send.message, &send.files)) } else { None };
    let inputs = |session: &mut Session| {
        let (posts, begun) = session.begun();
        let said = if posts > 0 { message.len() } else { 0 };
        let begun = usize::try_from(begun).unwrap_or(usize::MAX);
        let rest = message.into_iter().skip(said).chain(files.into_iter().skip(begun));
        std::iter::once(place).chain(rest).collect()
    };
    let (code, _) =
        do_all(&cli, key.as_deref(), Extras { limit: send.visit.timeout, piped }, report, inputs).await?;
    Ok(code)
}

async fn run_get(get: &Get) -> Result<ExitCode, Failure> {
    let mut cli = options(&get.visit)?;
    let file = Shelved::parse(get.file.as_deref().unwrap_or_default());
    let output = get.output.as_deref();
    let sink = output.and_then(Sink::at);
    let temporary = if sink.is_some() { Some(Temporary::new()?) } else { None };
    let mut keep = Keep { executables: get.exec, ..Keep::default() };
    cli.received = Some(match (&temporary, output) {
        (Some(temporary), _) => temporary.folder().to_owned(),
        (None, None) => PathBuf::from("."),
        (None, Some(path)) if path.ends_with('/') || Path::new(path).is_dir() => PathBuf::from(path),
        (None, Some(path)) => {
            if Path::new(path).symlink_metadata().is_ok() {
                let hint = "choose another name: nothing is ever replaced";
                return Err(Failure::new(ExitCode::User, format!("'{path}' exists already"), hint));
            }
            keep.path = Some(PathBuf::from(path));
            PathBuf::from(".")
        }
    });
    let key = if temporary.is_none() {
        key(&get.visit, &(&get.file, &get.output, get.exec))
    } else {
        // What comes goes into a folder that goes with this run.
        None
    };
    let place = Input::Order(place(&get.visit)?);
    let wish = Input::Order(Command::Get { file, executables: get.exec, again: get.force });
    let inputs = |session: &mut Session| {
        session.keep_at(keep);
        session.make_no_rooms();
        if session.is_receiving() { vec![place] } else { vec![place, wish] }
    };
    let (visit, json) = (get.visit.words(), get.visit.json);
    let report = Report { visit, json, quiet: cli.quiet, paths: temporary.is_none() };
    let (code, outcome) =
        do_all(&cli, key.as_deref(), Extras { limit: get.visit.timeout, piped: None }, report, inputs)
            .await?;
    match (code, outcome.failed, outcome.received) {
        (ExitCode::Fine, Some(failed), _) => Ok(failed),
        (ExitCode::Fine, None, None) => Ok(ExitCode::User),
        (ExitCode::Fine, None, Some(path)) => match sink {
            Some(sink) => pipe::pour(Path::new(&path), &sink),
            None => Ok(ExitCode::Fine),
        },
        (code, ..) => Ok(code),
    }
}

/// What makes two errands the same, so that one goes on with what was left of the other. `None` if nobody can say.
fn key(visit: &Visit, what: &impl Debug) -> Option<Vec<u8>> {
    let here = env::current_dir().ok()?;
    Some(format!("{:?}", (here, &visit.to, &visit.room, what)).into_bytes())
}

/// Holds a session that does what is left to do of an errand that may have been begun before: `inputs` says what that
/// is. Without a key it begins anew each time; it is given up in time, as `extras` says.
async fn do_all(
    cli: &Cli,
    key: Option<&[u8]>,
    extras: Extras,
    report: Report,
    inputs: impl FnOnce(&mut Session) -> Vec<Input>,
) -> Result<(ExitCode, Outcome), Failure> {
    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let watched = io::stderr().is_terminal();
    let left = Cell::new(Vec::new());
    let prepare = |session: &mut Session, kept| {
        session.run_errand();
        if kept {
            session.keep_transfers();
        }
        if watched {
            session.watch();
        }
        left.set(inputs(session));
    };
    let told = Arc::clone(&outcome);
    let begin = |mut face: Face, _| {
        let input = face.input.clone();
        // The session leaves when all is done: nobody else may hold its input.
        let (closed, _) = tokio::sync::mpsc::channel(1);
        face.input = closed;
        let inputs = left.take();
        spawn(move || inputs.into_iter().for_each(|one| drop(input.blocking_send(one))));
        Ok(Threads::of(spawn(move || {
            let (outcome, written) = face::write(face, &report, watched);
            *told.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
            written
        })))
    };
    let key = key.filter(|_| !cli.temporary);
    let code = hold(cli, Purpose::Errand(key), false, extras, prepare, begin).await?;
    let outcome = std::mem::take(&mut *outcome.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((code, outcome))
}

/// `<(…)` and named pipes have no name that says anything, and come only once.
fn piped_failure(path: &str, visit: &Visit) -> Failure {
    let hint = format!("use - for what a pipe says: … | natter send {} - --name NAME", visit.words());
    Failure::new(ExitCode::Usage, format!("'{path}' is a pipe, not a file"), hint)
}

fn closed(visit: &Visit) -> Failure {
    let hint = format!("use - with a pipe or a file behind it: … | natter send {} -", visit.words());
    Failure::new(ExitCode::Usage, "there is nothing to read: stdin is closed", hint)
}

fn twice() -> Failure {
    Failure::new(ExitCode::Usage, "there is only one stdin", "name - once")
}

fn options(visit: &Visit) -> Result<Cli, Failure> {
    visit.cli().map_err(|error| {
        let other = || Failure::new(ExitCode::Usage, error.to_string(), "check the variables NATTER_…");
        usage_failure(&error, "natter").unwrap_or_else(other)
    })
}

/// The command that goes to where the files are.
fn place(visit: &Visit) -> Result<Command, Failure> {
    let bad =
        |text: &str, error: NameError| Failure::new(ExitCode::User, error.sentence(text), "check the name");
    match (&visit.to, &visit.room) {
        (Some(person), _) => {
            let bare = person.strip_prefix('@').unwrap_or(person);
            PersonName::parse(bare).map(|name| Command::Query(Some(name))).map_err(|error| bad(person, error))
        }
        (None, Some(room)) => {
            let bare = room.strip_prefix('#').unwrap_or(room);
            RoomName::parse(bare).map(Command::Join).map_err(|error| bad(room, error))
        }
        (None, None) => Ok(Command::Join(RoomName::lobby())),
    }
}
