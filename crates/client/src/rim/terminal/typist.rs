//! What is typed, on its way to the session: whoever types never waits.

use super::super::run::spawn;
use crate::drive::Input;
use crate::editor::Submitted;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the end waits for the lines that nobody took.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lines that are told to be lost, at most.
const TOLD: usize = 1_000;

/// Takes what is typed.
pub(super) struct Typed(Option<Sender<Input>>);

impl Typed {
    pub(super) fn send(&self, line: Submitted) {
        if let Some(lines) = &self.0 {
            let input = match line {
                Submitted::Typed(line) => Input::Line(line),
                Submitted::Pasted(line) => Input::Text(line),
            };
            // What is typed after the end is told by nobody: its author has left.
            let _ = lines.send(input);
        }
    }

    /// The user leaves; nothing is typed after that.
    pub(super) fn leave(&mut self) {
        if let Some(lines) = self.0.take() {
            let _ = lines.send(Input::Leave);
        }
    }
}

/// Gives the session what was typed.
pub(super) struct Typist(Receiver<Vec<String>>);

impl Typist {
    /// Says which lines the session did not take before it ended.
    pub(super) fn tell_left(self) {
        let left = match self.0.recv_timeout(PATIENCE) {
            Ok(left) => left,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        };
        if left.is_empty() {
            return;
        }
        let mut text = format!("natter: {} of what was typed were not sent:\n", count(left.len()));
        left.iter().take(TOLD).for_each(|line| text += &format!("  {line}\n"));
        text += "hint: say them again\n";
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

fn count(lines: usize) -> String {
    format!("{lines} {}", if lines == 1 { "line" } else { "lines" })
}

/// Starts it. It ends when the session takes no more, or when the user leaves.
pub(super) fn start(input: mpsc::Sender<Input>) -> (Typed, Typist) {
    let (lines_in, lines) = channel();
    let (left_in, left) = channel();
    spawn(move || {
        let words = |input| match input {
            Input::Line(line) | Input::Text(line) => Some(line),
            Input::Order(_) | Input::Leave => None,
        };
        let mut refused = Vec::new();
        for one in &lines {
            if let Err(error) = input.blocking_send(one) {
                refused.extend(words(error.0));
                break;
            }
        }
        refused.extend(lines.try_iter().filter_map(words));
        let _ = left_in.send(refused);
    });
    (Typed(Some(lines_in)), Typist(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_types_never_waits_whatever_the_session_does() {
        let (input, mut session) = mpsc::channel(1);
        let (mut typed, typist) = start(input);
        let lines: Vec<_> = (0..20_000).map(|n| format!("line {n}")).collect();
        // Nobody takes a line meanwhile; if this waited, nobody ever would.
        lines.iter().for_each(|line| typed.send(Submitted::Typed(line.clone())));
        typed.leave();
        for line in &lines[..19_000] {
            assert_eq!(session.blocking_recv(), Some(Input::Line(line.clone())));
        }
        drop(session);
        let left = typist.0.recv_timeout(Duration::from_secs(30)).expect("it says what is left");
        // One was on its way: the session had room for it, and ended then.
        assert!(left == lines[19_000..] || left == lines[19_001..], "{} are left", left.len());
    }
}
