//! The terminal: a line editor in a thread of its own, and lines printed above its prompt.
//!
//! The editor prints a line from outside only while it waits for a key. Between two prompts its printer would
//! write to the screen directly, and so overtake lines that wait and destroy what is erased. So a [`Gate`] is
//! closed from the moment that Enter is pressed until the next prompt stands.

mod editor;
mod gate;
mod quiet;
mod screen;

use super::run::spawn;
use crate::drive::{Face, Input};
use crate::line::{Pictures, Renderer, erase, prompt};
use crate::session::View;
use editor::Editor;
use gate::Gate;
use quiet::Quiet;
use rustix::process::{Signal, getpid, kill_process};
use rustyline::ExternalPrinter;
use screen::Screen;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Whether a person sits at a terminal that can do more than append.
pub(super) fn is_there() -> bool {
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
}

/// The next prompt waits so long for what the line before it leads to, so that it names the right place.
const SETTLE: Duration = Duration::from_millis(700);

/// The thread that reads keys.
pub(super) struct Reader {
    thread: JoinHandle<()>,
    stopping: Arc<AtomicBool>,
}

impl Reader {
    /// Ends the prompt, so that the terminal is as it was. The editor ends it on SIGINT.
    pub(super) fn stop(self) {
        self.stopping.store(true, Ordering::SeqCst);
        for _ in 0..40 {
            if self.thread.is_finished() {
                break;
            }
            // Fails only if this process is gone.
            let _ = kill_process(getpid(), Signal::INT);
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

/// Starts the threads of the terminal.
pub(super) fn start(
    face: Face,
    renderer: Renderer,
    pictures: Option<Pictures>,
    history: Option<PathBuf>,
) -> (Reader, JoinHandle<()>) {
    let gate = Arc::new(Gate::default());
    let stopping = Arc::new(AtomicBool::new(false));
    let (printers_in, printers) = mpsc::channel();
    let reader = Keys {
        gate: Arc::clone(&gate),
        view: face.view.clone(),
        input: face.input.clone(),
        stopping: Arc::clone(&stopping),
        runtime: Handle::current(),
        lines: 0,
    };
    let thread = spawn(move || reader.run(history, |printer| drop(printers_in.send(printer))));
    let screen = Screen::new(renderer, pictures);
    let writer = spawn(move || write(face, screen, &gate, &printers));
    (Reader { thread, stopping }, writer)
}

type Printer = Box<dyn ExternalPrinter + Send>;

/// What the thread that reads keys has.
struct Keys {
    gate: Arc<Gate>,
    view: watch::Receiver<View>,
    input: tokio::sync::mpsc::Sender<Input>,
    stopping: Arc<AtomicBool>,
    runtime: Handle,
    /// Lines that were sent.
    lines: u64,
}

impl Keys {
    fn run(mut self, history: Option<PathBuf>, give_printer: impl FnOnce(Printer)) {
        // No prompt before the first login: what fails until then is told in plain lines.
        if self.wait(None, |view| view.ready) {
            let editor = Editor::new(&self.gate, self.view.clone(), history);
            if let Ok(mut editor) = editor
                && let Ok(printer) = editor.printer()
            {
                give_printer(Box::new(printer));
                let _quiet = Quiet::begin();
                while self.read_line(&mut editor) {}
            }
        }
        self.gate.handle_gone();
        if !self.stopping.load(Ordering::SeqCst) {
            let _ = self.input.blocking_send(Input::Leave);
        }
    }

    /// Waits until the view is so, or for at most so long; `false` if the session is over.
    fn wait(&mut self, patience: Option<Duration>, ready: impl FnMut(&View) -> bool) -> bool {
        let view = &mut self.view;
        self.runtime.block_on(async {
            let waiting = view.wait_for(ready);
            match patience {
                None => waiting.await.is_ok(),
                Some(patience) => !matches!(tokio::time::timeout(patience, waiting).await, Ok(Err(_))),
            }
        })
    }

    /// Reads a line and sends it; `false` when there will be no more.
    fn read_line(&mut self, editor: &mut Editor) -> bool {
        let prompt = prompt(&self.view.borrow().place);
        self.gate.arm();
        let read = editor.read(&prompt);
        self.gate.close();
        let Ok(text) = read else {
            return false;
        };
        let mut stdout = io::stdout();
        // A terminal that is gone ends the next prompt.
        let _ = write!(stdout, "{}", erase(&prompt, &text, editor.columns())).and_then(|()| stdout.flush());
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            self.lines += 1;
            if self.input.blocking_send(Input::Line(line.to_owned())).is_err() {
                return false;
            }
        }
        let lines = self.lines;
        !self.stopping.load(Ordering::SeqCst) && self.wait(Some(SETTLE), |view| view.lines >= lines)
    }
}

/// Prints events until they end.
fn write(mut face: Face, mut screen: Screen, gate: &Gate, printers: &mpsc::Receiver<Printer>) {
    let mut shown = 0;
    let mut printer = None;
    while let Some(event) = face.events.blocking_recv() {
        let mut text = screen.lines(&event);
        shown += 1;
        while let Ok(event) = face.events.try_recv() {
            text += &screen.lines(&event);
            shown += 1;
        }
        let straight = || {
            let mut stdout = io::stdout();
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        };
        let through = || {
            let printer = printer.get_or_insert_with(|| printers.recv());
            match printer {
                Ok(printer) => printer.print(text.clone()).map_err(io::Error::other),
                Err(error) => Err(io::Error::other(*error)),
            }
        };
        if !text.is_empty() && gate.print(straight, through).is_err() {
            return;
        }
        face.shown.send_replace(shown);
    }
}
