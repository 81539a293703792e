//! Without a terminal: lines come from stdin, and go to stdout and stderr.

use crate::drive::{Face, Input};
use crate::line::{Channel, Renderer};
use crate::session::event::Event;
use std::io::{self, BufRead, Write};
use tokio::sync::mpsc;

/// Reads lines until stdin ends; the channel ends with it. Runs in a thread of its own.
pub(super) fn read(input: &mpsc::Sender<Input>) {
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    // A broken stdin is an ended one.
    while matches!(stdin.read_until(b'\n', &mut line), Ok(read) if read > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        if input.blocking_send(Input::Line(text)).is_err() {
            return;
        }
        line.clear();
    }
}

/// Writes events until they end, or until nobody reads them any more. Runs in a thread of its own.
pub(super) fn write(mut face: Face, mut renderer: Renderer, quiet: bool) {
    let mut shown = 0;
    while let Some(event) = face.events.blocking_recv() {
        let mut batch = vec![event];
        while let Ok(event) = face.events.try_recv() {
            batch.push(event);
        }
        // A closed pipe ends the face, which ends the session well.
        if write_batch(&batch, &mut renderer, quiet).is_err() {
            return;
        }
        shown += batch.len() as u64;
        face.shown.send_replace(shown);
    }
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
