//! Without a terminal: lines come from stdin, and go to stdout and stderr.

use crate::drive::{Face, Input};
use crate::line::{Channel, Renderer};
use crate::session::event::Event;
use protocol::text::strip;
use std::io::{self, BufRead, Write};
use tokio::sync::mpsc;

/// How lines from a pipe are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Whether a line that begins with a slash is a command.
    pub(super) commands: bool,
    /// Whether nothing is said about what was left out.
    pub(super) quiet: bool,
}

impl Reading {
    /// Reads lines until stdin ends; the channel ends with it. Runs in a thread of its own.
    pub(super) fn read(self, input: &mpsc::Sender<Input>) {
        let mut stdin = io::stdin().lock();
        let (mut line, mut first, mut told) = (Vec::new(), true, self.quiet);
        // A broken stdin is an ended one.
        while matches!(stdin.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            // A byte order mark is no part of the text.
            let text = if std::mem::take(&mut first) { text.trim_start_matches('\u{feff}') } else { text };
            let text = stripped(text, &mut told);
            let one = if self.commands { Input::Line(text) } else { Input::Text(text) };
            if input.blocking_send(one).is_err() {
                return;
            }
            line.clear();
        }
    }
}

/// The text without what no text may hold; what was left out is told once.
pub(super) fn stripped(text: &str, told: &mut bool) -> String {
    let clean = strip(text);
    if clean != text && !std::mem::replace(told, true) {
        // Nobody may be there to read it.
        let _ = writeln!(io::stderr(), "-- colours and other control characters are left out of the text");
    }
    clean.into_owned()
}

/// Writes events until they end, or until they can't be written any more. Runs in a thread of its own.
///
/// # Errors
/// If what people said could not be written.
pub(super) fn write(mut face: Face, mut renderer: Renderer, quiet: bool) -> io::Result<()> {
    let mut shown = 0;
    while let Some(event) = face.events.blocking_recv() {
        let mut batch = vec![event];
        while let Ok(event) = face.events.try_recv() {
            batch.push(event);
        }
        write_batch(&batch, &mut renderer, quiet)?;
        shown += batch.len() as u64;
        face.shown.send_replace(shown);
    }
    Ok(())
}

fn write_batch(events: &[Event], renderer: &mut Renderer, quiet: bool) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for event in events {
        let channel = Renderer::channel(event);
        for line in renderer.render(event) {
            match channel {
                Channel::Data => writeln!(stdout, "{line}")?,
                Channel::Diagnostics if quiet => {}
                // Nobody may be there to read it, which must not end the chat.
                Channel::Diagnostics | Channel::Failures => drop(writeln!(io::stderr(), "{line}")),
            }
        }
    }
    stdout.flush()
}
