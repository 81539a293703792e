//! Who may write to the screen now.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest wait for a line that is being printed. It ends only if the editor itself has to take the line
/// first, and then the line waits in the editor and does no harm.
const PATIENCE: Duration = Duration::from_millis(100);

/// How lines get to the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Way {
    /// No editor is there: straight.
    #[default]
    Straight,
    /// The editor waits for a key: through it.
    Editor,
    /// The editor comes or goes: not now.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    way: Way,
    printing: bool,
    /// A prompt is about to stand; its first appearance opens the gate.
    armed: bool,
}

/// The gate between what is printed and the editor.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nothing through from here on, and waits for what is on its way.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.way = Way::Closed;
        state.armed = false;
        drop(self.changed.wait_timeout_while(state, PATIENCE, |state| state.printing));
    }

    /// The next prompt opens the gate.
    pub(super) fn arm(&self) {
        self.lock().armed = true;
    }

    /// A prompt stands.
    pub(super) fn handle_prompt(&self) {
        let mut state = self.lock();
        if std::mem::take(&mut state.armed) {
            state.way = Way::Editor;
            self.changed.notify_all();
        }
    }

    /// The editor is gone.
    pub(super) fn handle_gone(&self) {
        self.lock().way = Way::Straight;
        self.changed.notify_all();
    }

    /// Waits until something may be printed, and prints it: `straight`, or through the `editor`.
    pub(super) fn print<E>(
        &self,
        straight: impl FnOnce() -> Result<(), E>,
        editor: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = self.lock();
        while state.way == Way::Closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.way == Way::Straight {
            return straight();
        }
        state.printing = true;
        // The editor may have to take an earlier line first, and needs the gate for it.
        drop(state);
        let result = editor();
        self.lock().printing = false;
        self.changed.notify_all();
        result
    }
}
