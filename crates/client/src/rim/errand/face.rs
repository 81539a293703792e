//! What an errand says: what was done on stdout, how it goes on stderr.

use crate::drive::Face;
use crate::line::{Channel, ExitCode, Look, Renderer, Zone};
use crate::session::event::{Event, Said, Transfer, TransferStep, Way};
use crate::transfer::Failure;
use protocol::entry::EntryKind;
use serde_json::json;
use std::io::{self, Write};

/// What to say.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// The server and the options that go there, for hints that name a command.
    pub(super) visit: String,
    /// What was done, as JSON.
    pub(super) json: bool,
    /// Nothing but failures on stderr.
    pub(super) quiet: bool,
    /// Where files lie that were received.
    pub(super) paths: bool,
}

/// How it went.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Outcome {
    /// Where the last file lies that was received.
    pub(super) received: Option<String>,
    /// The exit code of the first file that was not.
    pub(super) failed: Option<ExitCode>,
}

/// Writes events until they end. Runs in a thread of its own.
/// The result says whether stdout took all.
pub(super) fn write(mut face: Face, report: &Report, screen: bool) -> (Outcome, io::Result<()>) {
    let mut written = Ok(());
    let mut renderer =
        Renderer::for_errands(Look { color: false, screen, bell: false }, Zone::Local, report.visit.clone());
    let (mut outcome, mut shown, mut bar) = (Outcome::default(), 0, false);
    while let Some(event) = face.events.blocking_recv() {
        note(&event, &mut outcome);
        // No reason not to go on: what is to be done is not output.
        if let Some(line) = data(&event, report).filter(|_| written.is_ok()) {
            written = writeln!(io::stdout(), "{line}");
        }
        let moves = is_progress(&event);
        if is_told(&event, report) {
            let text: Vec<_> =
                renderer.render(&event).iter().map(|line| line.trim_start().to_owned()).collect();
            let _ = write_lines(&text, screen, moves, std::mem::replace(&mut bar, screen && moves));
        }
        shown += 1;
        face.shown.send_replace(shown);
    }
    if bar {
        let _ = writeln!(io::stderr());
    }
    (outcome, written)
}

/// On a screen, how far a file is stands on one row, which the next line takes.
fn write_lines(lines: &[String], screen: bool, moves: bool, bar: bool) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    if bar {
        write!(stderr, "\r\x1b[K")?;
    }
    if screen && moves {
        write!(stderr, "{}", lines.concat())?;
    } else {
        lines.iter().try_for_each(|line| writeln!(stderr, "{line}"))?;
    }
    stderr.flush()
}

fn is_progress(event: &Event) -> bool {
    matches!(event, Event::Transfer(Transfer { step, .. }) if step.is_progress())
}

fn is_told(event: &Event, report: &Report) -> bool {
    match event {
        event if Renderer::channel(event) == Channel::Failures => true,
        _ if report.quiet => false,
        Event::Transfer(Transfer { step: TransferStep::Received { .. }, .. }) => false,
        Event::Transfer(_)
        | Event::Notice { .. }
        | Event::StillWaiting(_)
        | Event::Connecting
        | Event::Lost(_)
        | Event::Reconnected => true,
        _ => false,
    }
}

/// What was done, for stdout.
fn data(event: &Event, report: &Report) -> Option<String> {
    match event {
        Event::Said(Said { kind: EntryKind::File, mine: true, file: Some(file), place, seq, .. })
            if report.json =>
        {
            let hash: String = file.hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
            let (place, line) = (place.to_string(), seq.value());
            Some(
                json!({"sent": file.name, "size": file.size, "blake3": hash, "to": place, "line": line})
                    .to_string(),
            )
        }
        Event::Transfer(Transfer {
            step: TransferStep::Received { path } | TransferStep::There { path },
            name,
            size,
            way,
            ..
        }) if report.paths => {
            let Way::Down { from } = way else { return None };
            let json = json!({"received": path, "name": name, "size": size, "from": from});
            Some(if report.json { json.to_string() } else { path.clone() })
        }
        _ => None,
    }
}

fn note(event: &Event, outcome: &mut Outcome) {
    let Event::Transfer(Transfer { step, way: Way::Down { .. }, .. }) = event else {
        return;
    };
    match step {
        TransferStep::Received { path } | TransferStep::There { path } => {
            outcome.received = Some(path.clone());
        }
        TransferStep::Failed(failure) => {
            outcome.failed.get_or_insert(match failure {
                Failure::Refused(_) => ExitCode::Refused,
                Failure::WrongContent | Failure::BadFolder(_) => ExitCode::Server,
                _ => ExitCode::User,
            });
        }
        TransferStep::Withdrawn => {
            outcome.failed.get_or_insert(ExitCode::User);
        }
        _ => {}
    }
}
