//! The lines that a program has written so far.

use super::wait_in;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// What came out of one stream of a program, line by line, readable while the program runs.
#[derive(Clone)]
pub struct Transcript {
    name: String,
    state: Arc<watch::Sender<State>>,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    /// Lines before this one have been waited for already.
    read: usize,
    ended: bool,
}

impl Transcript {
    /// Starts to read `stream`, and does so until it ends.
    pub fn of(name: &str, stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let transcript = Self { name: name.to_owned(), state: Arc::default() };
        let state = Arc::clone(&transcript.state);
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line).await, Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                state.send_modify(|state| state.lines.push(text));
                line.clear();
            }
            state.send_modify(|state| state.ended = true);
        });
        transcript
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.state.borrow().lines.clone()
    }

    /// All lines so far as one text.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Waits for a line that holds `part`, after the one that was waited for last, and gives the whole of it.
    pub async fn line(&self, part: &str) -> String {
        let what = format!("a line of {} with {part:?}", self.name);
        self.wait(&what, |lines| lines.iter().position(|line| line.contains(part))).await
    }

    /// Waits for a line that holds `part`; `None` if the stream ends without one.
    pub async fn line_or_end(&self, part: &str) -> Option<String> {
        let what = format!("a line of {} with {part:?}, or its end", self.name);
        let look = |state: &mut State| {
            let line = state.lines.iter().find(|line| line.contains(part)).cloned();
            (line.is_some() || state.ended).then_some(line)
        };
        wait_in(&self.state, &what, look, show).await
    }

    /// Waits until `find` picks one of the lines that have not been waited for; those before it are passed over.
    pub async fn wait(&self, what: &str, find: impl Fn(&[String]) -> Option<usize>) -> String {
        let look = |state: &mut State| {
            let at = state.read + find(&state.lines[state.read..])?;
            state.read = at + 1;
            Some(state.lines[at].clone())
        };
        wait_in(&self.state, what, look, show).await
    }

    /// Waits until `done` holds for all lines so far.
    pub async fn until(&self, what: &str, done: impl Fn(&[String]) -> bool) {
        let what = format!("{} to show {what}", self.name);
        wait_in(&self.state, &what, |state| done(&state.lines).then_some(()), show).await;
    }

    /// Waits until the stream has ended.
    pub async fn ended(&self) {
        let what = format!("the end of {}", self.name);
        wait_in(&self.state, &what, |state| state.ended.then_some(()), show).await;
    }
}

/// The last lines, and whether there can be more.
fn show(state: &State) -> String {
    let from = state.lines.len().saturating_sub(40);
    let end = if state.ended { "(ended)" } else { "(goes on)" };
    format!("{} lines, the last:\n  {}\n{end}", state.lines.len(), state.lines[from..].join("\n  "))
}
