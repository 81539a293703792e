//! The line editor: keys, completion, history.

use super::super::run::spawn;
use super::gate::Gate;
use crate::line::{Candidates, complete, is_path};
use crate::session::View;
use rustyline::completion::{Completer, FilenameCompleter};
use rustyline::config::{CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::{
    Cmd, ConditionalEventHandler, Context, Event, EventContext, EventHandler, ExternalPrinter, Helper,
    Highlighter, KeyCode, KeyEvent, Modifiers, Movement, RepeatCount, Validator,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Lines that are kept of what was typed.
const KEPT: usize = 1_000;

/// Offers completions, and tells the gate when a prompt stands.
#[derive(Helper, Highlighter, Validator)]
pub(super) struct Assistant {
    gate: Arc<Gate>,
    view: watch::Receiver<View>,
    paths: FilenameCompleter,
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        if is_path(line, at) {
            let (start, found) = self.paths.complete_path(line, at)?;
            return Ok((start, found.into_iter().map(|pair| pair.replacement).collect()));
        }
        let view = self.view.borrow();
        let candidates = Candidates { people: &view.people, rooms: &view.rooms, files: &view.files };
        Ok(complete(line, at, candidates))
    }
}

impl Hinter for Assistant {
    type Hint = String;

    /// The editor asks for a hint whenever it has drawn the prompt; there is none.
    fn hint(&self, _: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.gate.handle_prompt();
        None
    }
}

/// Asks before several lines are sent, since they are easily pasted by mistake.
struct Paste {
    /// Whether the user has been asked about what is in the editor.
    asked: AtomicBool,
    printer: Mutex<Box<dyn ExternalPrinter + Send>>,
}

impl Paste {
    /// Whether these lines may go.
    fn may_go(self: &Arc<Self>, input: &str) -> bool {
        if !input.contains('\n') || self.asked.swap(true, Ordering::SeqCst) {
            return true;
        }
        let question = format!(
            "      -- {} lines: Enter sends each of them, Ctrl+C clears them\n",
            input.lines().count()
        );
        let paste = Arc::clone(self);
        // Not from here: the editor may have to take another line first.
        spawn(move || {
            let mut printer = paste.printer.lock().unwrap_or_else(PoisonError::into_inner);
            // Unasked, the second Enter sends them all the same.
            let _ = printer.print(question);
        });
        false
    }

    fn forget(&self) {
        self.asked.store(false, Ordering::SeqCst);
    }
}

/// Closes the gate when a key is about to end the prompt.
struct Ending {
    gate: Arc<Gate>,
    paste: Arc<Paste>,
    key: Key,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Enter,
    CtrlC,
    CtrlD,
}

impl ConditionalEventHandler for Ending {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let empty = context.line().is_empty();
        match self.key {
            Key::CtrlC if !empty => {
                self.paste.forget();
                return Some(Cmd::Kill(Movement::WholeBuffer));
            }
            Key::CtrlD if !empty => return None,
            Key::Enter if !self.paste.may_go(context.line()) => return Some(Cmd::Noop),
            Key::Enter | Key::CtrlC | Key::CtrlD => self.gate.close(),
        }
        None
    }
}

/// The editor of one process.
pub(super) struct Editor {
    editor: rustyline::Editor<Assistant, FileHistory>,
    paste: Arc<Paste>,
    history: Option<PathBuf>,
}

impl Editor {
    pub(super) fn new(
        gate: &Arc<Gate>,
        view: watch::Receiver<View>,
        history: Option<PathBuf>,
    ) -> rustyline::Result<Self> {
        let config = Config::builder().completion_type(CompletionType::List).max_history_size(KEPT)?.build();
        let mut editor = rustyline::Editor::with_config(config)?;
        editor.set_helper(Some(Assistant { gate: Arc::clone(gate), view, paths: FilenameCompleter::new() }));
        let printer = Mutex::new(Box::new(editor.create_external_printer()?) as Box<_>);
        let paste = Arc::new(Paste { asked: AtomicBool::new(false), printer });
        let keys = [
            (KeyEvent(KeyCode::Enter, Modifiers::NONE), Key::Enter),
            (KeyEvent::ctrl('J'), Key::Enter),
            (KeyEvent::ctrl('C'), Key::CtrlC),
            (KeyEvent::ctrl('D'), Key::CtrlD),
        ];
        for (event, key) in keys {
            let ending = Ending { gate: Arc::clone(gate), paste: Arc::clone(&paste), key };
            editor.bind_sequence(event, EventHandler::Conditional(Box::new(ending)));
        }
        if let Some(history) = &history {
            // None is there the first time; a damaged one is only a convenience lost.
            let _ = editor.load_history(history);
        }
        Ok(Self { editor, paste, history })
    }

    /// What prints above the prompt.
    pub(super) fn printer(&mut self) -> rustyline::Result<impl rustyline::ExternalPrinter + Send + use<>> {
        self.editor.create_external_printer()
    }

    /// Reads a line, and keeps it for recall.
    pub(super) fn read(&mut self, prompt: &str) -> Result<String, ReadlineError> {
        self.paste.forget();
        let line = self.editor.readline(prompt)?;
        if !line.trim().is_empty() {
            let added = self.editor.add_history_entry(line.as_str()).unwrap_or(false);
            if let Some(history) = self.history.as_ref().filter(|_| added) {
                let _ = self.editor.append_history(history);
            }
        }
        Ok(line)
    }

    /// Columns of the terminal.
    pub(super) fn columns(&mut self) -> usize {
        self.editor.dimensions().map_or(80, |(columns, _)| usize::from(columns))
    }
}
