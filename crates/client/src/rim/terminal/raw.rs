//! The modes of the terminal while the editor has it, and how they become what they were, whatever happens.

use rustix::io::Errno;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use std::io::{self, Write};
use std::panic;
use std::sync::{Mutex, Once, PoisonError};

const BRACKETED_PASTE: &str = "\x1b[?2004h";
const NO_BRACKETED_PASTE: &str = "\x1b[?2004l";

/// The modes that the terminal had, while it has others. The whole process has one terminal, and a panic of any thread
/// must find it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Takes the terminal, or takes it anew after it was away: bytes come as they are typed, and are not shown.
pub(super) fn enter() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            leave();
            report(panic);
        }));
    });
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(modes) = before.clone().or_else(|| tcgetattr(io::stdin()).ok()) else {
        return;
    };
    let mut raw = modes.clone();
    *before = Some(modes);
    raw.input_modes -=
        InputModes::BRKINT | InputModes::ICRNL | InputModes::INPCK | InputModes::ISTRIP | InputModes::IXON;
    raw.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    set(&raw);
    drop(before);
    say(BRACKETED_PASTE);
}

/// Gives the terminal back as it was.
pub(super) fn leave() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        say(NO_BRACKETED_PASTE);
        set(&before);
    }
}

/// At once: a terminal that takes no output must not hold this up.
fn set(modes: &Termios) {
    // A terminal that is gone has no modes.
    while tcsetattr(io::stdin(), OptionalActions::Now, modes) == Err(Errno::INTR) {}
}

fn say(text: &str) {
    let mut stdout = io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
